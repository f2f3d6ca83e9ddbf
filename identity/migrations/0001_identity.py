"""The functions of all rules; people, their roles and rights."""

from pathlib import Path

import django.contrib.postgres.functions
import django.db.models.deletion
import pgtrigger.compiler
from django.conf import settings
from django.db import migrations, models

import ebalance.db.ids
import ebalance.db.on_delete
import ebalance.db.operations
import ebalance.db.rules
import ebalance.db.triggers

SQL = Path(__file__).parent / "sql"
FUNCTIONS = [
    (SQL / name).read_text(encoding="utf-8")
    for name in ("0001_functions.sql", "0001_audit_functions.sql")
]


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [
        # Each file is one statement list, sent as it is: sqlparse would split it at every semicolon.
        migrations.RunSQL([(sql, None) for sql in FUNCTIONS], migrations.RunSQL.noop),
        ebalance.db.operations.CreateTables(
            models=[
                migrations.CreateModel(
                    name="User",
                    fields=[
                        (
                            "id",
                            models.UUIDField(
                                db_comment="P0 · UUIDv7, sortable by time",
                                db_default=models.Func(
                                    function="uuid7", output_field=models.UUIDField()
                                ),
                                default=ebalance.db.ids.uuid7,
                                editable=False,
                                primary_key=True,
                                serialize=False,
                            ),
                        ),
                        (
                            "email",
                            models.TextField(
                                blank=True, db_comment="P1 · e-mail, lower case, trimmed", null=True
                            ),
                        ),
                        (
                            "phone",
                            models.TextField(blank=True, db_comment="P1 · phone, E.164", null=True),
                        ),
                        (
                            "telegram_user_id",
                            models.TextField(
                                blank=True, db_comment="P1 · Telegram's id, digits", null=True
                            ),
                        ),
                        (
                            "telegram_username",
                            models.TextField(
                                blank=True, db_comment="P1 · Telegram name, no @", null=True
                            ),
                        ),
                        (
                            "display_name",
                            models.TextField(
                                blank=True, db_comment="P1 · how the person is called", null=True
                            ),
                        ),
                        (
                            "timezone",
                            models.TextField(blank=True, db_comment="P0 · IANA zone", null=True),
                        ),
                        (
                            "status",
                            models.TextField(
                                db_comment="P0 · life cycle", db_default="active", default="active"
                            ),
                        ),
                        (
                            "created_at",
                            models.DateTimeField(
                                db_comment="P0 · when the row was written, UTC",
                                db_default=models.Func(
                                    function="now", output_field=models.DateTimeField()
                                ),
                                editable=False,
                                verbose_name="created at",
                            ),
                        ),
                        (
                            "updated_at",
                            models.DateTimeField(
                                db_comment="P0 · when the row was last written, UTC; kept by the database",
                                db_default=models.Func(
                                    function="now", output_field=models.DateTimeField()
                                ),
                                editable=False,
                                verbose_name="updated at",
                            ),
                        ),
                        (
                            "deleted_at",
                            models.DateTimeField(
                                blank=True,
                                db_comment="P0 · when the account was deleted, UTC",
                                null=True,
                            ),
                        ),
                        (
                            "password",
                            models.TextField(
                                blank=True,
                                db_comment="P1 · salted password hash; empty: none",
                                db_default="",
                                default="",
                            ),
                        ),
                        (
                            "last_login",
                            models.DateTimeField(
                                blank=True, db_comment="P0 · last login, UTC", null=True
                            ),
                        ),
                        (
                            "is_superuser",
                            models.BooleanField(
                                db_comment="P0 · required by Django's auth; grants nothing, roles do",
                                db_default=False,
                                default=False,
                                editable=False,
                            ),
                        ),
                        (
                            "session_stamp",
                            models.UUIDField(
                                db_comment="P0 · random, set by the database; a session with another one has ended",
                                db_default=django.contrib.postgres.functions.RandomUUID(),
                                editable=False,
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "person",
                        "verbose_name_plural": "people",
                        "db_table": "users",
                        "db_table_comment": "People: clients and staff",
                        "indexes": [
                            ebalance.db.rules.Index(
                                fields=["created_at"],
                                name="users_by_age",
                                serves="admin: newest people first",
                            )
                        ],
                        "constraints": [
                            models.UniqueConstraint(fields=("email",), name="users_email_unique"),
                            models.UniqueConstraint(fields=("phone",), name="users_phone_unique"),
                            models.UniqueConstraint(
                                fields=("telegram_user_id",), name="users_telegram_user_id_unique"
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("email"),
                                        function="is_email",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="users_email_is_normalised",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("email"),
                                        function="is_lower_case",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="users_email_is_lower_case",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("phone__regex", "^\\+[1-9][0-9]{9,14}$")),
                                name="users_phone_is_e164",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("telegram_user_id__regex", "^[0-9]+$")),
                                name="users_telegram_user_id_is_digits",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("display_name"),
                                        function="is_visible",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="users_display_name_not_blank",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(("status", "deleted"), ("deleted_at__isnull", False)),
                                    models.Q(
                                        models.Q(("status", "deleted"), _negated=True),
                                        ("deleted_at__isnull", True),
                                    ),
                                    _connector="OR",
                                ),
                                name="users_deleted_at_with_status",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(("status", "deleted"), _negated=True),
                                    models.Q(
                                        models.Q(
                                            ("display_name__isnull", True),
                                            ("email__isnull", True),
                                            ("phone__isnull", True),
                                            ("telegram_user_id__isnull", True),
                                            ("telegram_username__isnull", True),
                                        ),
                                        ("password__regex", "^(![A-Za-z0-9]{40})?$"),
                                    ),
                                    _connector="OR",
                                ),
                                name="users_deleted_holds_nothing_personal",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("status", "deleted"),
                                    ("email__isnull", False),
                                    ("phone__isnull", False),
                                    ("telegram_user_id__isnull", False),
                                    _connector="OR",
                                ),
                                name="users_reachable",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("created_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    ),
                                    models.Func(
                                        models.F("updated_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    ),
                                    models.Func(
                                        models.F("deleted_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    ),
                                    models.Func(
                                        models.F("last_login"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    ),
                                ),
                                name="users_times_finite",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("email__length__lte", 254)),
                                name="users_email_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("phone__length__lte", 16)),
                                name="users_phone_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("telegram_user_id__length__lte", 20)),
                                name="users_telegram_user_id_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("telegram_username__length__lte", 32)),
                                name="users_telegram_username_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("display_name__length__lte", 200)),
                                name="users_display_name_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("timezone__length__lte", 60)),
                                name="users_timezone_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("timezone"),
                                        function="is_zone_form",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="users_timezone_is_iana_zone",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("status__in", ["active", "blocked", "deleted"])
                                ),
                                name="users_status_in_set",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("password__length__lte", 128)),
                                name="users_password_has_length",
                            ),
                        ],
                        "triggers": [
                            pgtrigger.compiler.Trigger(
                                name="users_status_transition",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (OLD.status IS DISTINCT FROM NEW.status AND NOT ((OLD.status, NEW.status) IN (('active', 'blocked'), ('active', 'deleted'), ('blocked', 'active'), ('blocked', 'deleted'))))",
                                    execute="public.refuse_transition('users_status_transition', 'status', 'This change of status is not allowed')",
                                    func="",
                                    hash="dd57cfd88fa195b6ef2acd232febf3334f822c65",
                                    operation='UPDATE OF "status"',
                                    pgid="users_status_transition",
                                    table="users",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="users_last_owner_stays",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    execute="public.users_last_owner_stays()",
                                    func="CREATE OR REPLACE FUNCTION public.users_last_owner_stays() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $rule$ BEGIN\n    IF OLD.status = 'active' AND (TG_OP = 'DELETE' OR NEW.status <> 'active')\n       AND EXISTS (SELECT FROM public.user_roles\n                   WHERE user_id = OLD.id AND role_code = 'owner') THEN\n        \n    UPDATE public.roles SET scope = scope WHERE code = 'owner';\n    IF NOT EXISTS (\n        SELECT FROM public.user_roles r JOIN public.users u ON u.id = r.user_id\n        WHERE r.role_code = 'owner' AND u.status = 'active' AND u.id <> OLD.id\n    ) THEN\n        PERFORM public.raise_refusal('users_last_owner_stays', TG_TABLE_NAME, 'status', 'The last active owner cannot lose the role, be blocked or be deleted');\n    END IF;\n\n    END IF;\n    IF TG_OP = 'DELETE' THEN\n        RETURN OLD;\n    END IF;\n    RETURN NEW;\nEND $rule$; ",
                                    hash="e77e97af68524ea492151f163e0c6e7b098900da",
                                    operation='UPDATE OF "status" OR DELETE',
                                    pgid="users_last_owner_stays",
                                    table="users",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="users_end_sessions",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN ((OLD.password, OLD.email, OLD.status, OLD.session_stamp) IS DISTINCT FROM (NEW.password, NEW.email, NEW.status, NEW.session_stamp))",
                                    execute="public.users_end_sessions()",
                                    func="CREATE OR REPLACE FUNCTION public.users_end_sessions() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $rule$ BEGIN\n    NEW.session_stamp := pg_catalog.gen_random_uuid();\n    RETURN NEW;\nEND $rule$; ",
                                    hash="2ff28b09eb4abd530fd267536afa001f5e7ed6a2",
                                    operation="UPDATE",
                                    pgid="users_end_sessions",
                                    table="users",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="users_touch_updated_at",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    execute="public.touch_updated_at()",
                                    func="",
                                    hash="f58ecd41fe25b5b01d9506d983737f7af675069f",
                                    operation="UPDATE",
                                    pgid="users_touch_updated_at",
                                    table="users",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="users_update_audited",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN ((OLD.status IS DISTINCT FROM NEW.status))",
                                    constraint="CONSTRAINT",
                                    execute="public.audit_change('user_status_changed', 'id', 'status')",
                                    func="",
                                    hash="9a8f1096313930fb37be0047f3ebe30f381ca868",
                                    operation="UPDATE",
                                    pgid="users_update_audited",
                                    table="users",
                                    timing="DEFERRABLE INITIALLY DEFERRED",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="users_delete_audited",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    constraint="CONSTRAINT",
                                    execute="public.audit_change('user_deleted', 'id', 'status', 'created_at', 'updated_at', 'deleted_at', 'is_superuser', 'session_stamp')",
                                    func="",
                                    hash="8cc043f6e18debe6e2517c493c7115f4c40feac9",
                                    operation="DELETE",
                                    pgid="users_delete_audited",
                                    table="users",
                                    timing="DEFERRABLE INITIALLY DEFERRED",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="users_no_truncate",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    execute="public.refuse('users_no_truncate', 'id', 'This table cannot be emptied')",
                                    func="",
                                    hash="10f7abe9dfa1a4cc70b462e23f02067a17ff7cfd",
                                    level="STATEMENT",
                                    operation="TRUNCATE",
                                    pgid="users_no_truncate",
                                    table="users",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="users_password_audited",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN ((OLD.password IS DISTINCT FROM NEW.password))",
                                    constraint="CONSTRAINT",
                                    execute="public.audit_staff_secret('password_changed')",
                                    func="",
                                    hash="e046426f0a8394a00832877ff1b86f3a1d351411",
                                    operation="UPDATE",
                                    pgid="users_password_audited",
                                    table="users",
                                    timing="DEFERRABLE INITIALLY DEFERRED",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="users_email_audited",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN ((OLD.email IS DISTINCT FROM NEW.email))",
                                    constraint="CONSTRAINT",
                                    execute="public.audit_staff_secret('email_changed')",
                                    func="",
                                    hash="2a50bd6b00fa3f9373a4d4f3bd8a5f851d193ad8",
                                    operation="UPDATE",
                                    pgid="users_email_audited",
                                    table="users",
                                    timing="DEFERRABLE INITIALLY DEFERRED",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="users_timezone_is_known",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NOT public.is_time_zone(NEW.timezone))",
                                    execute="public.users_timezone_is_known()",
                                    func="CREATE OR REPLACE FUNCTION public.users_timezone_is_known() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $rule$ BEGIN\n    IF TG_OP = 'UPDATE' AND NEW.timezone = OLD.timezone THEN\n        RETURN NULL;\n    END IF;\n    PERFORM public.raise_refusal('users_timezone_is_known', TG_TABLE_NAME, 'timezone', 'The server does not know this time zone');\n    RETURN NULL;\nEND $rule$; ",
                                    hash="e8a6606cabb784c733d018d181488f5695eacd3c",
                                    operation='INSERT OR UPDATE OF "timezone"',
                                    pgid="users_timezone_is_known",
                                    table="users",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="users_created_at_not_ahead",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.created_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('users_created_at_not_ahead', 'created_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="bfc281edfd2a1d34aefda7078da63026cd297662",
                                    operation='INSERT OR UPDATE OF "created_at"',
                                    pgid="users_created_at_not_ahead",
                                    table="users",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="users_updated_at_not_ahead",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.updated_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('users_updated_at_not_ahead', 'updated_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="1695424226da5ccb347ecfde4a26e81dd1e29f59",
                                    operation='INSERT OR UPDATE OF "updated_at"',
                                    pgid="users_updated_at_not_ahead",
                                    table="users",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="users_deleted_at_not_ahead",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.deleted_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('users_deleted_at_not_ahead', 'deleted_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="a95fd3f74877f9e8d296bf62ff0fe4805991b911",
                                    operation='INSERT OR UPDATE OF "deleted_at"',
                                    pgid="users_deleted_at_not_ahead",
                                    table="users",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="users_last_login_not_ahead",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.last_login > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('users_last_login_not_ahead', 'last_login', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="068105e9f541a5653e0eadf70d7abf9c571850f0",
                                    operation='INSERT OR UPDATE OF "last_login"',
                                    pgid="users_last_login_not_ahead",
                                    table="users",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="users_id_stays",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (OLD.id IS DISTINCT FROM NEW.id)",
                                    execute="public.refuse('users_id_stays', 'id', 'The key of a record never changes')",
                                    func="",
                                    hash="c9ce8417192f23b87a61a481df9d93dbeb74a3f2",
                                    operation='UPDATE OF "id"',
                                    pgid="users_id_stays",
                                    table="users",
                                    when="BEFORE",
                                ),
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="Role",
                    fields=[
                        (
                            "code",
                            models.TextField(
                                db_comment="P0 · role", primary_key=True, serialize=False
                            ),
                        ),
                        (
                            "scope",
                            models.TextField(
                                db_comment="P0 · where the role acts: admin or product"
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "role",
                        "verbose_name_plural": "roles",
                        "db_table": "roles",
                        "db_table_comment": "The four roles",
                        "constraints": [
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(("code", "client"), ("scope", "product")),
                                    models.Q(
                                        models.Q(("code", "client"), _negated=True),
                                        ("scope", "admin"),
                                    ),
                                    _connector="OR",
                                ),
                                name="roles_client_is_product",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("code__in", ["owner", "assistant", "editor", "client"])
                                ),
                                name="roles_code_in_set",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("scope__in", ["admin", "product"])),
                                name="roles_scope_in_set",
                            ),
                        ],
                        "indexes": [],
                    },
                ),
                migrations.CreateModel(
                    name="UserRole",
                    fields=[
                        (
                            "id",
                            models.UUIDField(
                                db_comment="P0 · UUIDv7, sortable by time",
                                db_default=models.Func(
                                    function="uuid7", output_field=models.UUIDField()
                                ),
                                default=ebalance.db.ids.uuid7,
                                editable=False,
                                primary_key=True,
                                serialize=False,
                            ),
                        ),
                        (
                            "user",
                            models.ForeignKey(
                                db_comment="P0 · whose role",
                                db_index=False,
                                on_delete=django.db.models.deletion.DB_CASCADE,
                                related_name="user_roles",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "role",
                            models.ForeignKey(
                                db_column="role_code",
                                db_comment="P0 · granted role",
                                db_index=False,
                                on_delete=ebalance.db.on_delete.DB_RESTRICT,
                                related_name="user_roles",
                                to="identity.role",
                            ),
                        ),
                        (
                            "granted_at",
                            models.DateTimeField(
                                db_comment="P0 · when granted, UTC",
                                db_default=models.Func(
                                    function="now", output_field=models.DateTimeField()
                                ),
                                editable=False,
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "granted role",
                        "verbose_name_plural": "granted roles",
                        "db_table": "user_roles",
                        "db_table_comment": "Roles granted to people",
                        "indexes": [
                            ebalance.db.rules.Index(
                                fields=["role"],
                                name="user_roles_by_role",
                                serves="who has a role; the last owner",
                            )
                        ],
                        "constraints": [
                            models.UniqueConstraint(
                                fields=("user", "role"), name="user_roles_once_per_user"
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("granted_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="user_roles_times_finite",
                            ),
                        ],
                        "triggers": [
                            pgtrigger.compiler.Trigger(
                                name="user_roles_end_sessions",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    execute="public.user_roles_end_sessions()",
                                    func="CREATE OR REPLACE FUNCTION public.user_roles_end_sessions() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $rule$ BEGIN\n    IF TG_OP = 'DELETE' OR (OLD.user_id, OLD.role_code) <> (NEW.user_id, NEW.role_code) THEN\n        UPDATE public.users SET session_stamp = pg_catalog.gen_random_uuid() WHERE id = OLD.user_id;\n    END IF;\n    IF TG_OP = 'DELETE' THEN\n        RETURN OLD;\n    END IF;\n    RETURN NEW;\nEND $rule$; ",
                                    hash="3d816b6053d070608c8d44889baeed5b725735bd",
                                    operation="UPDATE OR DELETE",
                                    pgid="user_roles_end_sessions",
                                    table="user_roles",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="user_roles_last_owner_stays",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (OLD.role_code = 'owner')",
                                    execute="public.user_roles_last_owner_stays()",
                                    func="CREATE OR REPLACE FUNCTION public.user_roles_last_owner_stays() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $rule$ BEGIN\n    -- A user who is gone or not active was not the last active owner (users has its own rule).\n    IF (TG_OP = 'DELETE' OR NEW.role_code <> 'owner' OR NEW.user_id <> OLD.user_id)\n       AND EXISTS (SELECT FROM public.users WHERE id = OLD.user_id AND status = 'active') THEN\n        \n    UPDATE public.roles SET scope = scope WHERE code = 'owner';\n    IF NOT EXISTS (\n        SELECT FROM public.user_roles r JOIN public.users u ON u.id = r.user_id\n        WHERE r.role_code = 'owner' AND u.status = 'active' AND u.id <> OLD.user_id\n    ) THEN\n        PERFORM public.raise_refusal('user_roles_last_owner_stays', TG_TABLE_NAME, 'role_code', 'The last active owner cannot lose the role, be blocked or be deleted');\n    END IF;\n\n    END IF;\n    IF TG_OP = 'DELETE' THEN\n        RETURN OLD;\n    END IF;\n    RETURN NEW;\nEND $rule$; ",
                                    hash="7b4c26530d43df9e9ad0a5795275dacfa1841cc0",
                                    operation="UPDATE OR DELETE",
                                    pgid="user_roles_last_owner_stays",
                                    table="user_roles",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="user_roles_actor_keeps_role",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    execute="public.remember_acting_role()",
                                    func="",
                                    hash="6ccd6a193f282770a4d2bd4d5edda9e9f096006e",
                                    level="STATEMENT",
                                    operation="INSERT OR UPDATE OR DELETE",
                                    pgid="user_roles_actor_keeps_role",
                                    table="user_roles",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="user_roles_insert_audited",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    constraint="CONSTRAINT",
                                    execute="public.audit_change('role_granted', 'id', 'user_id', 'role_code')",
                                    func="",
                                    hash="444cf35e27bcff3e47ec77734aeb9c711bf51945",
                                    operation="INSERT",
                                    pgid="user_roles_insert_audited",
                                    table="user_roles",
                                    timing="DEFERRABLE INITIALLY DEFERRED",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="user_roles_update_audited",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN ((OLD.user_id IS DISTINCT FROM NEW.user_id OR OLD.role_code IS DISTINCT FROM NEW.role_code))",
                                    constraint="CONSTRAINT",
                                    execute="public.audit_change('role_changed', 'id', 'user_id', 'role_code')",
                                    func="",
                                    hash="f8182c8a8598a298a60e8cb107660938fbef77fa",
                                    operation="UPDATE",
                                    pgid="user_roles_update_audited",
                                    table="user_roles",
                                    timing="DEFERRABLE INITIALLY DEFERRED",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="user_roles_delete_audited",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    constraint="CONSTRAINT",
                                    execute="public.audit_change('role_taken', 'id', 'user_id', 'role_code', 'granted_at')",
                                    func="",
                                    hash="a093e1d70e7ec28f7ac1d97124e4be3e20a0d9a2",
                                    operation="DELETE",
                                    pgid="user_roles_delete_audited",
                                    table="user_roles",
                                    timing="DEFERRABLE INITIALLY DEFERRED",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="user_roles_no_truncate",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    execute="public.refuse('user_roles_no_truncate', 'id', 'This table cannot be emptied')",
                                    func="",
                                    hash="e37e967cf358338c9ad9cb0183120fadef900be9",
                                    level="STATEMENT",
                                    operation="TRUNCATE",
                                    pgid="user_roles_no_truncate",
                                    table="user_roles",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="user_roles_user_id_not_erased",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.user_id IS NOT NULL)",
                                    execute="public.refuse_for_erased_person('user_roles_user_id_not_erased', 'user_id', 'This person was erased; nothing more is written of them')",
                                    func="",
                                    hash="28450ef27027e8b6378b3604b46348c8f8ed8bba",
                                    operation='INSERT OR UPDATE OF "user_id"',
                                    pgid="user_roles_user_id_not_erased",
                                    table="user_roles",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="user_roles_granted_at_not_ahead",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.granted_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('user_roles_granted_at_not_ahead', 'granted_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="1e87bf8f0ad9920a1f97f454677bd6fc36056c91",
                                    operation='INSERT OR UPDATE OF "granted_at"',
                                    pgid="user_roles_granted_at_not_ahead",
                                    table="user_roles",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="user_roles_id_stays",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (OLD.id IS DISTINCT FROM NEW.id)",
                                    execute="public.refuse('user_roles_id_stays', 'id', 'The key of a record never changes')",
                                    func="",
                                    hash="157c27d18681979c3e052c2d3295edbdd8867be5",
                                    operation='UPDATE OF "id"',
                                    pgid="user_roles_id_stays",
                                    table="user_roles",
                                    when="BEFORE",
                                ),
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="DataExportRequest",
                    fields=[
                        (
                            "id",
                            models.UUIDField(
                                db_comment="P0 · UUIDv7, sortable by time",
                                db_default=models.Func(
                                    function="uuid7", output_field=models.UUIDField()
                                ),
                                default=ebalance.db.ids.uuid7,
                                editable=False,
                                primary_key=True,
                                serialize=False,
                            ),
                        ),
                        (
                            "user",
                            models.ForeignKey(
                                db_comment="P0 · whose data",
                                db_index=False,
                                on_delete=ebalance.db.on_delete.DB_RESTRICT,
                                related_name="data_export_requests",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        ("export_type", models.TextField(db_comment="P0 · what is exported")),
                        (
                            "status",
                            models.TextField(
                                db_comment="P0 · progress",
                                db_default="requested",
                                default="requested",
                            ),
                        ),
                        (
                            "file_url",
                            models.TextField(
                                blank=True,
                                db_comment="P1 · key of the finished file in the export store",
                                null=True,
                            ),
                        ),
                        (
                            "created_at",
                            models.DateTimeField(
                                db_comment="P0 · when requested, UTC",
                                db_default=models.Func(
                                    function="now", output_field=models.DateTimeField()
                                ),
                                editable=False,
                                verbose_name="created at",
                            ),
                        ),
                        (
                            "completed_at",
                            models.DateTimeField(
                                blank=True,
                                db_comment="P0 · when finished or failed, UTC",
                                null=True,
                            ),
                        ),
                        (
                            "expires_at",
                            models.DateTimeField(
                                blank=True,
                                db_comment="P0 · when the file is removed, UTC",
                                null=True,
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "data export",
                        "verbose_name_plural": "data exports",
                        "db_table": "data_export_requests",
                        "db_table_comment": "Requests for a copy of one's data",
                        "indexes": [
                            ebalance.db.rules.Index(
                                fields=["user"],
                                name="data_export_requests_by_user",
                                serves="a person's exports; the delete check",
                            ),
                            ebalance.db.rules.Index(
                                condition=models.Q(("status__in", ["ready", "failed"])),
                                fields=["created_at"],
                                name="data_export_requests_over",
                                serves="purge_expired, 90 days",
                            ),
                            ebalance.db.rules.Index(
                                condition=models.Q(("status__in", ["requested", "processing"])),
                                fields=["created_at"],
                                name="data_export_requests_queue",
                                serves="process_exports: what is to be done, oldest first",
                            ),
                        ],
                        "constraints": [
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("file_url__regex", "^[a-z0-9]+([/_.-][a-z0-9]+)*$")
                                ),
                                name="data_export_requests_file_url_is_object_key",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(
                                        ("status", "ready"),
                                        ("expires_at__isnull", False),
                                        ("file_url__isnull", False),
                                    ),
                                    models.Q(
                                        models.Q(("status", "ready"), _negated=True),
                                        ("expires_at__isnull", True),
                                        ("file_url__isnull", True),
                                    ),
                                    _connector="OR",
                                ),
                                name="data_export_requests_file_when_ready",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(
                                        ("status__in", ["ready", "failed"]),
                                        ("completed_at__isnull", False),
                                    ),
                                    models.Q(
                                        models.Q(
                                            ("status__in", ["ready", "failed"]), _negated=True
                                        ),
                                        ("completed_at__isnull", True),
                                    ),
                                    _connector="OR",
                                ),
                                name="data_export_requests_completed_when_over",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("created_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    ),
                                    models.Func(
                                        models.F("completed_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    ),
                                    models.Func(
                                        models.F("expires_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    ),
                                ),
                                name="data_export_requests_times_finite",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("export_type__in", ["user_data", "diary_pdf"])),
                                name="data_export_requests_export_type_in_set",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("status__in", ["requested", "processing", "ready", "failed"])
                                ),
                                name="data_export_requests_status_in_set",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("file_url__length__lte", 500)),
                                name="data_export_requests_file_url_has_length",
                            ),
                        ],
                        "triggers": [
                            pgtrigger.compiler.Trigger(
                                name="data_export_requests_status_transition",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (OLD.status IS DISTINCT FROM NEW.status AND NOT ((OLD.status, NEW.status) IN (('requested', 'processing'), ('requested', 'failed'), ('processing', 'ready'), ('processing', 'failed'))))",
                                    execute="public.refuse_transition('data_export_requests_status_transition', 'status', 'This change of status is not allowed')",
                                    func="",
                                    hash="b2d49a9df0a926f8457032c106c21fe3a514b64a",
                                    operation='UPDATE OF "status"',
                                    pgid="data_export_requests_status_transition",
                                    table="data_export_requests",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="data_export_requests_status_initial",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.status NOT IN ('requested'))",
                                    execute="public.refuse('data_export_requests_status_initial', 'status', 'A new record cannot start in this status')",
                                    func="",
                                    hash="2a89a91419499a6d821dde3ca7d7d7d63332e662",
                                    operation="INSERT",
                                    pgid="data_export_requests_status_initial",
                                    table="data_export_requests",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="data_export_requests_user_id_not_erased",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.user_id IS NOT NULL)",
                                    execute="public.refuse_for_erased_person('data_export_requests_user_id_not_erased', 'user_id', 'This person was erased; nothing more is written of them')",
                                    func="",
                                    hash="fa9b972472d257026630da6556cbf606c54a8019",
                                    operation='INSERT OR UPDATE OF "user_id"',
                                    pgid="data_export_requests_user_id_not_erased",
                                    table="data_export_requests",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="data_export_requests_created_at_not_ahead",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.created_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('data_export_requests_created_at_not_ahead', 'created_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="a8c2dbc30608b83b4065415ff4caf209463483ed",
                                    operation='INSERT OR UPDATE OF "created_at"',
                                    pgid="data_export_requests_created_at_not_ahead",
                                    table="data_export_requests",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="data_export_requests_completed_at_not_ahead",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.completed_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('data_export_requests_completed_at_not_ahead', 'completed_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="c4a8c070a56ec6303ab77030fa937facfae52e56",
                                    operation='INSERT OR UPDATE OF "completed_at"',
                                    pgid="data_export_requests_completed_at_not_ahead",
                                    table="data_export_requests",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="data_export_requests_id_stays",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (OLD.id IS DISTINCT FROM NEW.id)",
                                    execute="public.refuse('data_export_requests_id_stays', 'id', 'The key of a record never changes')",
                                    func="",
                                    hash="b9b779786c2d96ead1bd18cd469d3c463414ff29",
                                    operation='UPDATE OF "id"',
                                    pgid="data_export_requests_id_stays",
                                    table="data_export_requests",
                                    when="BEFORE",
                                ),
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="ErasureLedgerEntry",
                    fields=[
                        (
                            "id",
                            models.UUIDField(
                                db_comment="P0 · UUIDv7, sortable by time",
                                db_default=models.Func(
                                    function="uuid7", output_field=models.UUIDField()
                                ),
                                default=ebalance.db.ids.uuid7,
                                editable=False,
                                primary_key=True,
                                serialize=False,
                            ),
                        ),
                        (
                            "subject_id",
                            models.UUIDField(
                                db_comment="P0 · id of the erased person; names nobody any more"
                            ),
                        ),
                        (
                            "requested_at",
                            models.DateTimeField(db_comment="P0 · when erasure was asked for, UTC"),
                        ),
                        (
                            "completed_at",
                            models.DateTimeField(
                                db_comment="P0 · when it was done, UTC",
                                db_default=models.Func(
                                    function="now", output_field=models.DateTimeField()
                                ),
                            ),
                        ),
                        ("method", models.TextField(db_comment="P0 · who started it")),
                        (
                            "counts",
                            models.JSONField(
                                blank=True, db_comment="P0 · rows erased per table, {table: number}"
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "erasure",
                        "verbose_name_plural": "erasures",
                        "db_table": "erasure_ledger",
                        "db_table_comment": "Append-only list of erasures",
                        "indexes": [
                            ebalance.db.rules.Index(
                                fields=["subject_id"],
                                name="erasure_ledger_by_subject",
                                serves="replay_erasures",
                            )
                        ],
                        "constraints": [
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("counts"),
                                        function="is_row_counts",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="erasure_ledger_counts_are_numbers",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("requested_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    ),
                                    models.Func(
                                        models.F("completed_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    ),
                                ),
                                name="erasure_ledger_times_finite",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("completed_at__gte", models.F("requested_at"))),
                                name="erasure_ledger_completed_after_requested",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("method__in", ["self_service", "admin", "retention"])
                                ),
                                name="erasure_ledger_method_in_set",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("counts"),
                                        models.Value(20000),
                                        function="json_has_length",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="erasure_ledger_counts_has_length",
                            ),
                        ],
                        "triggers": [
                            pgtrigger.compiler.Trigger(
                                name="erasure_ledger_immutable",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    execute="public.refuse('erasure_ledger_immutable', 'id', 'These records are only added, never changed or deleted')",
                                    func="",
                                    hash="a354f050a9c85987ac31713f24c74b8fa646a6fd",
                                    operation="UPDATE",
                                    pgid="erasure_ledger_immutable",
                                    table="erasure_ledger",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="erasure_ledger_no_delete",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    execute="public.refuse('erasure_ledger_no_delete', 'id', 'These records are only added, never changed or deleted')",
                                    func="",
                                    hash="952e558f81f68999f85a605da8238a70670735ff",
                                    operation="DELETE",
                                    pgid="erasure_ledger_no_delete",
                                    table="erasure_ledger",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="erasure_ledger_no_truncate",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    execute="public.refuse('erasure_ledger_no_truncate', 'id', 'This table cannot be emptied')",
                                    func="",
                                    hash="c1c6c8100b2fdf1a975f39b90accfb4313407ac0",
                                    level="STATEMENT",
                                    operation="TRUNCATE",
                                    pgid="erasure_ledger_no_truncate",
                                    table="erasure_ledger",
                                    when="BEFORE",
                                ),
                            ),
                        ],
                    },
                ),
            ],
        ),
    ]
