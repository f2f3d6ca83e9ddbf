"""Second factors of staff, their recovery codes, limits of logins.

Rollback note: unapplying drops all second factors: staff set them up anew at the next login.
"""

import django.db.models.deletion
import pgtrigger.compiler
from django.conf import settings
from django.db import migrations, models

import ebalance.db.ids
import ebalance.db.operations
import ebalance.db.rules
import ebalance.db.triggers


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("audit", "0601_audit"),
        ("identity", "0001_identity"),
        ("identity", "0002_consents"),
    ]

    operations = [
        ebalance.db.operations.CreateTables(
            models=[
                migrations.CreateModel(
                    name="SecondFactor",
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
                                db_comment="P0 · whose second factor",
                                db_index=False,
                                on_delete=django.db.models.deletion.DB_CASCADE,
                                related_name="second_factors",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "secret_encrypted",
                            models.TextField(
                                db_comment="P1 · secret of TOTP in base32, sealed", editable=False
                            ),
                        ),
                        (
                            "last_step",
                            models.BigIntegerField(
                                blank=True,
                                db_comment="P0 · 30-second step of the last code; older codes are refused",
                                null=True,
                            ),
                        ),
                        (
                            "confirmed_at",
                            models.DateTimeField(
                                blank=True,
                                db_comment="P0 · when its first code was typed, UTC",
                                null=True,
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
                    ],
                    options={
                        "verbose_name": "second factor",
                        "verbose_name_plural": "second factors",
                        "db_table": "second_factors",
                        "db_table_comment": "Second factors of staff, sealed",
                        "indexes": [
                            ebalance.db.rules.Index(
                                fields=["user"],
                                name="second_factors_by_user",
                                serves="login; erasure",
                            )
                        ],
                        "constraints": [
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("secret_encrypted"),
                                        function="is_sealed",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="second_factors_secret_encrypted_is_sealed",
                            ),
                            models.UniqueConstraint(
                                condition=models.Q(("confirmed_at__isnull", False)),
                                fields=("user",),
                                name="second_factors_one_in_use",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(
                                        ("confirmed_at__isnull", False),
                                        ("last_step__isnull", False),
                                    ),
                                    models.Q(
                                        models.Q(("confirmed_at__isnull", False), _negated=True),
                                        ("last_step__isnull", True),
                                    ),
                                    _connector="OR",
                                ),
                                name="second_factors_step_with_confirmation",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("last_step__gte", 0)),
                                name="second_factors_last_step_in_range",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("confirmed_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    ),
                                    models.Func(
                                        models.F("created_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    ),
                                ),
                                name="second_factors_times_finite",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("secret_encrypted__length__lte", 400000)),
                                name="second_factors_secret_encrypted_has_length",
                            ),
                        ],
                        "triggers": [
                            pgtrigger.compiler.Trigger(
                                name="second_factors_person_stays",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN ((OLD.user_id IS DISTINCT FROM NEW.user_id OR OLD.created_at IS DISTINCT FROM NEW.created_at))",
                                    execute="public.refuse('second_factors_person_stays', 'user_id', 'A second factor stays with its person')",
                                    func="",
                                    hash="2d0b94ba094e425d1a92c2e9135674627e6c3a0e",
                                    operation="UPDATE",
                                    pgid="second_factors_person_stays",
                                    table="second_factors",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="second_factors_confirmed_once",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN ((OLD.confirmed_at IS DISTINCT FROM NEW.confirmed_at) AND OLD.confirmed_at IS NOT NULL)",
                                    execute="public.refuse('second_factors_confirmed_once', 'confirmed_at', 'A second factor is confirmed once')",
                                    func="",
                                    hash="68208488b744d06bc79124bdef892cca14460107",
                                    operation="UPDATE",
                                    pgid="second_factors_confirmed_once",
                                    table="second_factors",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="second_factors_code_is_good_once",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.last_step < OLD.last_step)",
                                    execute="public.refuse('second_factors_code_is_good_once', 'last_step', 'A code that was used is not good again')",
                                    func="",
                                    hash="17efbddc588a4dc441deee7df0ec7c3b307c51ef",
                                    operation='UPDATE OF "last_step"',
                                    pgid="second_factors_code_is_good_once",
                                    table="second_factors",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="second_factors_end_sessions",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    execute="public.second_factors_end_sessions()",
                                    func="CREATE OR REPLACE FUNCTION public.second_factors_end_sessions() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $rule$ BEGIN\n    IF (TG_OP = 'DELETE' AND OLD.confirmed_at IS NOT NULL)\n       OR (TG_OP = 'UPDATE' AND OLD.confirmed_at IS DISTINCT FROM NEW.confirmed_at) THEN\n        UPDATE public.users SET session_stamp = pg_catalog.gen_random_uuid() WHERE id = OLD.user_id;\n    END IF;\n    RETURN NULL;\nEND $rule$; ",
                                    hash="47ce9645db0e843d7c0f14beb9f3f7488bd79ecf",
                                    operation='UPDATE OF "confirmed_at" OR DELETE',
                                    pgid="second_factors_end_sessions",
                                    table="second_factors",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="second_factors_update_audited",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN ((OLD.confirmed_at IS DISTINCT FROM NEW.confirmed_at))",
                                    constraint="CONSTRAINT",
                                    execute="public.audit_change('second_factor_set', 'id', 'confirmed_at')",
                                    func="",
                                    hash="51e7085fa39bb990eec1ee075ee2a42a20fb1d7d",
                                    operation="UPDATE",
                                    pgid="second_factors_update_audited",
                                    table="second_factors",
                                    timing="DEFERRABLE INITIALLY DEFERRED",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="second_factors_delete_audited",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (OLD.confirmed_at IS NOT NULL)",
                                    constraint="CONSTRAINT",
                                    execute="public.audit_change('second_factor_removed', 'id', 'user_id', 'last_step', 'confirmed_at', 'created_at')",
                                    func="",
                                    hash="50e79bbc6b1a159191893a2b3cf8ebd85f1aa555",
                                    operation="DELETE",
                                    pgid="second_factors_delete_audited",
                                    table="second_factors",
                                    timing="DEFERRABLE INITIALLY DEFERRED",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="second_factors_no_truncate",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    execute="public.refuse('second_factors_no_truncate', 'id', 'This table cannot be emptied')",
                                    func="",
                                    hash="0b79e0e02eb73a42316ac8446aedafa03b58023c",
                                    level="STATEMENT",
                                    operation="TRUNCATE",
                                    pgid="second_factors_no_truncate",
                                    table="second_factors",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="second_factors_user_id_not_erased",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.user_id IS NOT NULL)",
                                    execute="public.refuse_for_erased_person('second_factors_user_id_not_erased', 'user_id', 'This person was erased; nothing more is written of them')",
                                    func="",
                                    hash="5c88154a096e23814412cb20fb452f3fc60e0583",
                                    operation='INSERT OR UPDATE OF "user_id"',
                                    pgid="second_factors_user_id_not_erased",
                                    table="second_factors",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="second_factors_confirmed_at_not_ahead",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.confirmed_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('second_factors_confirmed_at_not_ahead', 'confirmed_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="989141ec7b692b977d4e5f342099d38e2a9c12d5",
                                    operation='INSERT OR UPDATE OF "confirmed_at"',
                                    pgid="second_factors_confirmed_at_not_ahead",
                                    table="second_factors",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="second_factors_created_at_not_ahead",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.created_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('second_factors_created_at_not_ahead', 'created_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="ef3d80fe04be68339b4b25787250c1899353dc4d",
                                    operation='INSERT OR UPDATE OF "created_at"',
                                    pgid="second_factors_created_at_not_ahead",
                                    table="second_factors",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="second_factors_id_stays",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (OLD.id IS DISTINCT FROM NEW.id)",
                                    execute="public.refuse('second_factors_id_stays', 'id', 'The key of a record never changes')",
                                    func="",
                                    hash="5448616771e90484edf7f39fc37a1a6f7e2c65b7",
                                    operation='UPDATE OF "id"',
                                    pgid="second_factors_id_stays",
                                    table="second_factors",
                                    when="BEFORE",
                                ),
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="RecoveryCode",
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
                            "second_factor",
                            models.ForeignKey(
                                db_comment="P0 · of which second factor",
                                db_index=False,
                                on_delete=django.db.models.deletion.DB_CASCADE,
                                related_name="recovery_codes",
                                to="identity.secondfactor",
                            ),
                        ),
                        ("code_hash", models.TextField(db_comment="P1 · salted hash of the code")),
                        (
                            "used_at",
                            models.DateTimeField(
                                blank=True, db_comment="P0 · when it was used, UTC", null=True
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "recovery code",
                        "verbose_name_plural": "recovery codes",
                        "db_table": "recovery_codes",
                        "db_table_comment": "Recovery codes of second factors, hashed",
                        "indexes": [
                            ebalance.db.rules.Index(
                                fields=["second_factor"],
                                name="recovery_codes_by_factor",
                                serves="login with a recovery code",
                            )
                        ],
                        "constraints": [
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("code_hash__regex", "^[a-z0-9_]+\\$[!-~]{20,}$")
                                ),
                                name="recovery_codes_are_hashed",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("used_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="recovery_codes_times_finite",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("code_hash__length__lte", 128)),
                                name="recovery_codes_code_hash_has_length",
                            ),
                        ],
                        "triggers": [
                            pgtrigger.compiler.Trigger(
                                name="recovery_codes_factor_stays",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN ((OLD.second_factor_id IS DISTINCT FROM NEW.second_factor_id))",
                                    execute="public.refuse('recovery_codes_factor_stays', 'second_factor_id', 'A recovery code stays with its second factor')",
                                    func="",
                                    hash="dd9bbe38a65a780ef208d08b9f2b978a78dd5e7d",
                                    operation="UPDATE",
                                    pgid="recovery_codes_factor_stays",
                                    table="recovery_codes",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="recovery_codes_used_once",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN ((OLD.used_at IS DISTINCT FROM NEW.used_at) AND OLD.used_at IS NOT NULL)",
                                    execute="public.refuse('recovery_codes_used_once', 'used_at', 'A recovery code that was used is not good again')",
                                    func="",
                                    hash="7750cbb38f09029339a87165885ce293d36cfe14",
                                    operation="UPDATE",
                                    pgid="recovery_codes_used_once",
                                    table="recovery_codes",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="recovery_codes_update_audited",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN ((OLD.used_at IS DISTINCT FROM NEW.used_at))",
                                    constraint="CONSTRAINT",
                                    execute="public.audit_change('recovery_code_used', 'id', 'used_at')",
                                    func="",
                                    hash="5fab08ba246b32bfc3ac208b3cd31d380e89e777",
                                    operation="UPDATE",
                                    pgid="recovery_codes_update_audited",
                                    table="recovery_codes",
                                    timing="DEFERRABLE INITIALLY DEFERRED",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="recovery_codes_used_at_not_ahead",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.used_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('recovery_codes_used_at_not_ahead', 'used_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="c24bbc0065119b1ee476f4f4700a0981ea1c54f7",
                                    operation='INSERT OR UPDATE OF "used_at"',
                                    pgid="recovery_codes_used_at_not_ahead",
                                    table="recovery_codes",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="recovery_codes_id_stays",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (OLD.id IS DISTINCT FROM NEW.id)",
                                    execute="public.refuse('recovery_codes_id_stays', 'id', 'The key of a record never changes')",
                                    func="",
                                    hash="6ec3157dad52b14909733b4f8005bb8e4c655a80",
                                    operation='UPDATE OF "id"',
                                    pgid="recovery_codes_id_stays",
                                    table="recovery_codes",
                                    when="BEFORE",
                                ),
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="LoginLimit",
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
                            "kind",
                            models.TextField(db_comment="P0 · what the attempts have in common"),
                        ),
                        (
                            "key_hash",
                            models.TextField(
                                db_comment="P0 · keyed hash of the account, network or browser; names nobody"
                            ),
                        ),
                        (
                            "attempts",
                            models.IntegerField(db_comment="P0 · failed attempts that count"),
                        ),
                        (
                            "locked_until",
                            models.DateTimeField(
                                blank=True,
                                db_comment="P0 · no attempt is answered before, UTC",
                                null=True,
                            ),
                        ),
                        (
                            "expires_at",
                            models.DateTimeField(
                                db_comment="P0 · when the attempts stop to count, UTC"
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "login limit",
                        "verbose_name_plural": "login limits",
                        "db_table": "login_limits",
                        "db_table_comment": "Failed attempts to log in that count together",
                        "indexes": [
                            ebalance.db.rules.Index(
                                fields=["expires_at"],
                                name="login_limits_expires_at",
                                serves="purge_expired",
                            )
                        ],
                        "constraints": [
                            models.CheckConstraint(
                                condition=models.Q(("key_hash__regex", "^[0-9a-f]{64}$")),
                                name="login_limits_key_is_hashed",
                            ),
                            models.UniqueConstraint(fields=("key_hash",), name="login_limits_once"),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("attempts__gte", 0), ("attempts__lte", 1000000)
                                ),
                                name="login_limits_attempts_in_range",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("locked_until__isnull", True),
                                    ("expires_at__gte", models.F("locked_until")),
                                    _connector="OR",
                                ),
                                name="login_limits_lock_before_expiry",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("locked_until"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    ),
                                    models.Func(
                                        models.F("expires_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    ),
                                ),
                                name="login_limits_times_finite",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("kind__in", ["account", "client", "browser"])),
                                name="login_limits_kind_in_set",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("key_hash__length__lte", 64)),
                                name="login_limits_key_hash_has_length",
                            ),
                        ],
                        "triggers": [
                            pgtrigger.compiler.Trigger(
                                name="login_limits_id_stays",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (OLD.id IS DISTINCT FROM NEW.id)",
                                    execute="public.refuse('login_limits_id_stays', 'id', 'The key of a record never changes')",
                                    func="",
                                    hash="c97b72d86b94890291c15a80beb1c9f8efd39284",
                                    operation='UPDATE OF "id"',
                                    pgid="login_limits_id_stays",
                                    table="login_limits",
                                    when="BEFORE",
                                ),
                            )
                        ],
                    },
                ),
            ],
        ),
    ]
