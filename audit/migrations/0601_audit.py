import django.db.models.deletion
import pgtrigger.compiler
from django.conf import settings
from django.db import migrations, models

import ebalance.db.ids
import ebalance.db.on_delete
import ebalance.db.operations
import ebalance.db.rules
import ebalance.db.triggers


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("identity", "0001_identity"),
    ]

    operations = [
        ebalance.db.operations.CreateTables(
            models=[
                migrations.CreateModel(
                    name="AuditLogEntry",
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
                            "seq",
                            models.BigIntegerField(
                                db_comment="P0 · place in the chain; set by the database inside its lock",
                                editable=False,
                            ),
                        ),
                        (
                            "actor",
                            models.ForeignKey(
                                blank=True,
                                db_column="actor_user_id",
                                db_comment="P0 · who acted, if a person",
                                db_index=False,
                                null=True,
                                on_delete=ebalance.db.on_delete.DB_RESTRICT,
                                related_name="audit_log_entries",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "actor_role",
                            models.TextField(db_comment="P0 · role in which they acted"),
                        ),
                        ("action", models.TextField(db_comment="P0 · what was done, a code")),
                        (
                            "entity_type",
                            models.TextField(db_comment="P0 · what it was done to, a code"),
                        ),
                        (
                            "entity_id",
                            models.UUIDField(
                                blank=True, db_comment="P0 · id of the row", null=True
                            ),
                        ),
                        (
                            "entity_key",
                            models.TextField(
                                blank=True, db_comment="P0 · key of the row, if text", null=True
                            ),
                        ),
                        (
                            "old_value",
                            models.JSONField(
                                blank=True, db_comment="P0 · changed P0 columns before", null=True
                            ),
                        ),
                        (
                            "new_value",
                            models.JSONField(
                                blank=True, db_comment="P0 · changed P0 columns after", null=True
                            ),
                        ),
                        (
                            "ip_address",
                            models.GenericIPAddressField(
                                blank=True, db_comment="P0 · address of the request", null=True
                            ),
                        ),
                        (
                            "user_agent",
                            models.TextField(
                                blank=True, db_comment="P0 · user agent of the request", null=True
                            ),
                        ),
                        (
                            "created_at",
                            models.DateTimeField(
                                db_comment="P0 · when, UTC",
                                db_default=models.Func(
                                    function="now", output_field=models.DateTimeField()
                                ),
                                editable=False,
                                verbose_name="created at",
                            ),
                        ),
                        (
                            "prev_hash",
                            models.BinaryField(db_comment="P0 · row_hash of the row before"),
                        ),
                        (
                            "row_hash",
                            models.BinaryField(db_comment="P0 · SHA-256 of the canonical row"),
                        ),
                    ],
                    options={
                        "verbose_name": "audit log entry",
                        "verbose_name_plural": "audit log",
                        "db_table": "audit_log_entries",
                        "db_table_comment": "Audit log; append-only, hash-chained",
                        "indexes": [
                            ebalance.db.rules.Index(
                                fields=["entity_type", "entity_id", "seq"],
                                name="audit_log_entries_of_entity",
                                serves="history of a row",
                            ),
                            ebalance.db.rules.Index(
                                fields=["actor", "seq"],
                                name="audit_log_entries_by_actor",
                                serves="what a person did",
                            ),
                        ],
                        "constraints": [
                            models.UniqueConstraint(
                                fields=("seq",), name="audit_log_entries_seq_unique"
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("action"),
                                        function="is_code",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="audit_log_entries_action_is_code",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("entity_type"),
                                        function="is_code",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="audit_log_entries_entity_type_is_code",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("entity_key__regex", "^[A-Za-z0-9_-]{1,64}$")),
                                name="audit_log_entries_entity_key_is_key",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("old_value"),
                                        function="is_audit_value",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="audit_log_entries_old_value_is_p0",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("new_value"),
                                        function="is_audit_value",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="audit_log_entries_new_value_is_p0",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("created_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="audit_log_entries_times_finite",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    (
                                        "actor_role__in",
                                        ["owner", "assistant", "editor", "client", "system"],
                                    )
                                ),
                                name="audit_log_entries_actor_role_in_set",
                            ),
                        ],
                        "triggers": [
                            pgtrigger.compiler.Trigger(
                                name="audit_log_entries_chain",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    execute="public.chain_audit_entry()",
                                    func="",
                                    hash="fc6df93eeb96672758d6c1a6e82e22adc6ea615b",
                                    operation="INSERT",
                                    pgid="audit_log_entries_chain",
                                    table="audit_log_entries",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="audit_log_entries_immutable",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    execute="public.refuse('audit_log_entries_immutable', 'id', 'These records are only added, never changed or deleted')",
                                    func="",
                                    hash="fd48748f2d918bd3ca2fbbc15809ee5a1d07643d",
                                    operation="UPDATE",
                                    pgid="audit_log_entries_immutable",
                                    table="audit_log_entries",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="audit_log_entries_no_delete",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    execute="public.refuse('audit_log_entries_no_delete', 'id', 'These records are only added, never changed or deleted')",
                                    func="",
                                    hash="eed5a7e231bdb7c9874d3fadf8b55f5ed64317e0",
                                    operation="DELETE",
                                    pgid="audit_log_entries_no_delete",
                                    table="audit_log_entries",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="audit_log_entries_no_truncate",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    execute="public.refuse('audit_log_entries_no_truncate', 'id', 'This table cannot be emptied')",
                                    func="",
                                    hash="e84ce36e83ecd7be2ebf4141d433fdd66d343471",
                                    level="STATEMENT",
                                    operation="TRUNCATE",
                                    pgid="audit_log_entries_no_truncate",
                                    table="audit_log_entries",
                                    when="BEFORE",
                                ),
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="MessageTemplate",
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
                        ("channel", models.TextField(db_comment="P0 · how it is sent")),
                        ("category", models.TextField(db_comment="P0 · occasion")),
                        ("name", models.TextField(db_comment="P0 · name")),
                        (
                            "status",
                            models.TextField(
                                db_comment="P0 · life cycle", db_default="draft", default="draft"
                            ),
                        ),
                        (
                            "language",
                            models.TextField(
                                db_comment="P0 · ISO 639-1", db_default="ru", default="ru"
                            ),
                        ),
                        (
                            "active_version",
                            models.IntegerField(
                                blank=True, db_comment="P0 · version in use", null=True
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
                        "verbose_name": "message template",
                        "verbose_name_plural": "message templates",
                        "db_table": "message_templates",
                        "db_table_comment": "Messages to clients",
                        "constraints": [
                            models.UniqueConstraint(
                                fields=("channel", "category", "name", "language"),
                                name="message_templates_once",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("name"),
                                        function="is_visible",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="message_templates_name_not_blank",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("language__regex", "^[a-z]{2}$")),
                                name="message_templates_language_is_iso_639",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(("status", "active"), _negated=True),
                                    ("active_version__isnull", False),
                                    _connector="OR",
                                ),
                                name="message_templates_active_has_version",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("created_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="message_templates_times_finite",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("channel__in", ["email", "telegram"])),
                                name="message_templates_channel_in_set",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("category__in", ["booking", "waitlist", "event", "moderation"])
                                ),
                                name="message_templates_category_in_set",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("status__in", ["draft", "active", "archived"])),
                                name="message_templates_status_in_set",
                            ),
                        ],
                        "triggers": [
                            pgtrigger.compiler.Trigger(
                                name="message_templates_status_transition",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (OLD.status IS DISTINCT FROM NEW.status AND NOT ((OLD.status, NEW.status) IN (('draft', 'active'), ('active', 'archived'), ('active', 'draft'), ('archived', 'active'))))",
                                    execute="public.refuse_transition('message_templates_status_transition', 'status', 'This change of status is not allowed')",
                                    func="",
                                    hash="90cdd6b967e4eb9ee8b5f3a4b9f4687ac2644125",
                                    operation='UPDATE OF "status"',
                                    pgid="message_templates_status_transition",
                                    table="message_templates",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="message_templates_active_version_exists",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.active_version IS NOT NULL)",
                                    constraint="CONSTRAINT",
                                    execute="public.message_templates_active_version_exists()",
                                    func="CREATE OR REPLACE FUNCTION public.message_templates_active_version_exists() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $rule$ BEGIN\n    IF EXISTS (SELECT FROM public.message_templates WHERE id = NEW.id AND active_version = NEW.active_version)\n       AND NOT EXISTS (SELECT FROM public.message_template_versions\n                       WHERE template_id = NEW.id AND version = NEW.active_version) THEN\n        PERFORM public.raise_refusal('message_templates_active_version_exists', TG_TABLE_NAME, 'active_version', 'There is no such version; it must exist before it is used');\n    END IF;\n    RETURN NULL;\nEND $rule$; ",
                                    hash="4a7cb1629481da4113fbb2303c4001935660c14c",
                                    operation='INSERT OR UPDATE OF "active_version"',
                                    pgid="message_templates_active_version_exists",
                                    table="message_templates",
                                    timing="DEFERRABLE INITIALLY IMMEDIATE",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="message_templates_channel_stays",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN ((OLD.channel IS DISTINCT FROM NEW.channel))",
                                    execute="public.refuse('message_templates_channel_stays', 'channel', 'A template keeps its channel')",
                                    func="",
                                    hash="ee07487030cb12c6616025a2e131109066891f1b",
                                    operation="UPDATE",
                                    pgid="message_templates_channel_stays",
                                    table="message_templates",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="message_templates_id_stays",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (OLD.id IS DISTINCT FROM NEW.id)",
                                    execute="public.refuse('message_templates_id_stays', 'id', 'The key of a record never changes')",
                                    func="",
                                    hash="947734e3a8cc5f202cdbafd0961d8761683ca9dc",
                                    operation='UPDATE OF "id"',
                                    pgid="message_templates_id_stays",
                                    table="message_templates",
                                    when="BEFORE",
                                ),
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="MessageTemplateVersion",
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
                            "template",
                            models.ForeignKey(
                                db_comment="P0 · template",
                                db_index=False,
                                on_delete=django.db.models.deletion.DB_CASCADE,
                                related_name="versions",
                                to="audit.messagetemplate",
                            ),
                        ),
                        (
                            "version",
                            models.IntegerField(db_comment="P0 · number, from 1, per template"),
                        ),
                        (
                            "subject",
                            models.TextField(
                                blank=True, db_comment="P0 · subject; exactly for e-mail", null=True
                            ),
                        ),
                        ("body_markdown", models.TextField(db_comment="P0 · text, Markdown")),
                        (
                            "updated_by",
                            models.ForeignKey(
                                db_column="updated_by_user_id",
                                db_comment="P0 · who saved it",
                                db_index=False,
                                on_delete=ebalance.db.on_delete.DB_RESTRICT,
                                related_name="message_template_versions",
                                to=settings.AUTH_USER_MODEL,
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
                        "verbose_name": "version of a template",
                        "verbose_name_plural": "versions of a template",
                        "db_table": "message_template_versions",
                        "db_table_comment": "Texts of messages; immutable",
                        "indexes": [
                            ebalance.db.rules.Index(
                                fields=["updated_by"],
                                name="message_template_versions_by_author",
                                serves="delete check",
                            )
                        ],
                        "constraints": [
                            models.UniqueConstraint(
                                fields=("template", "version"),
                                name="message_template_versions_once",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("version__gte", 1)),
                                name="message_template_versions_version_in_range",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("subject"),
                                        function="is_visible",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="message_template_versions_subject_not_blank",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("created_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="message_template_versions_times_finite",
                            ),
                        ],
                        "triggers": [
                            pgtrigger.compiler.Trigger(
                                name="message_template_versions_subject_for_email",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    execute="public.message_template_versions_subject_for_email()",
                                    func="CREATE OR REPLACE FUNCTION public.message_template_versions_subject_for_email() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $rule$ BEGIN\n    -- Without a template it is the foreign key's to refuse.\n    IF EXISTS (SELECT FROM public.message_templates\n               WHERE id = NEW.template_id\n                 AND (channel = 'email') <> (NEW.subject IS NOT NULL)) THEN\n        PERFORM public.raise_refusal('message_template_versions_subject_for_email', TG_TABLE_NAME, 'subject', 'A subject is given exactly for e-mail');\n    END IF;\n    RETURN NEW;\nEND $rule$; ",
                                    hash="cf0dde8b0ddfbd8f3a8cbfbc26b38400c05ad242",
                                    operation="INSERT",
                                    pgid="message_template_versions_subject_for_email",
                                    table="message_template_versions",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="message_template_versions_immutable",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    execute="public.refuse('message_template_versions_immutable', 'id', 'This record cannot be changed any more')",
                                    func="",
                                    hash="6ca97f653f78c04d9ac5e9455261d024008c1ee4",
                                    operation="UPDATE",
                                    pgid="message_template_versions_immutable",
                                    table="message_template_versions",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="message_template_versions_no_delete",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    execute="public.message_template_versions_no_delete()",
                                    func="CREATE OR REPLACE FUNCTION public.message_template_versions_no_delete() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $rule$ BEGIN\n    IF EXISTS (SELECT FROM public.message_templates WHERE id = OLD.template_id) THEN\n        PERFORM public.raise_refusal('message_template_versions_no_delete', TG_TABLE_NAME, 'template_id', 'A version is deleted only together with what it belongs to');\n    END IF;\n    RETURN OLD;\nEND $rule$; ",
                                    hash="7905610a7dd62cb3d9bf9c6167e0835a1807cbb4",
                                    operation="DELETE",
                                    pgid="message_template_versions_no_delete",
                                    table="message_template_versions",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="message_template_versions_no_truncate",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    execute="public.refuse('message_template_versions_no_truncate', 'id', 'This table cannot be emptied')",
                                    func="",
                                    hash="dc70ce0beaaf0750a37682c0206100c983dd084d",
                                    level="STATEMENT",
                                    operation="TRUNCATE",
                                    pgid="message_template_versions_no_truncate",
                                    table="message_template_versions",
                                    when="BEFORE",
                                ),
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="SystemSetting",
                    fields=[
                        (
                            "key",
                            models.TextField(
                                db_comment="P0 · code of the setting",
                                primary_key=True,
                                serialize=False,
                            ),
                        ),
                        ("value", models.JSONField(blank=True, db_comment="P0 · value, JSON")),
                        (
                            "updated_by",
                            models.ForeignKey(
                                blank=True,
                                db_column="updated_by_user_id",
                                db_comment="P0 · who changed it last",
                                db_index=False,
                                null=True,
                                on_delete=ebalance.db.on_delete.DB_RESTRICT,
                                related_name="system_settings",
                                to=settings.AUTH_USER_MODEL,
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
                    ],
                    options={
                        "verbose_name": "setting",
                        "verbose_name_plural": "settings",
                        "db_table": "system_settings",
                        "db_table_comment": "Settings changed at run time; no secrets",
                        "indexes": [
                            ebalance.db.rules.Index(
                                fields=["updated_by"],
                                name="system_settings_by_editor",
                                serves="the delete check",
                            )
                        ],
                        "constraints": [
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("key"),
                                        function="is_code",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="system_settings_key_is_code",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("key__regex", "(^|_)(secret|token|password|key)s?(_|$)"),
                                    _negated=True,
                                ),
                                name="system_settings_key_names_no_secret",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("updated_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="system_settings_times_finite",
                            ),
                        ],
                        "triggers": [
                            pgtrigger.compiler.Trigger(
                                name="system_settings_touch_updated_at",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    execute="public.touch_updated_at()",
                                    func="",
                                    hash="47ef4cd863c4325f245794e39943c074deaa91c8",
                                    operation="UPDATE",
                                    pgid="system_settings_touch_updated_at",
                                    table="system_settings",
                                    when="BEFORE",
                                ),
                            )
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="OutboxEvent",
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
                        ("event_type", models.TextField(db_comment="P0 · what happened, a code")),
                        (
                            "aggregate_type",
                            models.TextField(db_comment="P0 · what it happened to, a code"),
                        ),
                        ("aggregate_id", models.UUIDField(db_comment="P0 · id of that row")),
                        (
                            "payload",
                            models.JSONField(
                                blank=True,
                                db_comment="P0 · flat object of P0 values",
                                db_default=models.Value({}, output_field=models.JSONField()),
                                default=dict,
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
                            "available_at",
                            models.DateTimeField(
                                db_comment="P0 · not to be sent before, UTC",
                                db_default=models.Func(
                                    function="now", output_field=models.DateTimeField()
                                ),
                            ),
                        ),
                        (
                            "attempts",
                            models.IntegerField(
                                db_comment="P0 · tries so far", db_default=0, default=0
                            ),
                        ),
                        (
                            "published_at",
                            models.DateTimeField(
                                blank=True, db_comment="P0 · when sent, UTC", null=True
                            ),
                        ),
                        (
                            "last_error",
                            models.TextField(
                                blank=True, db_comment="P0 · last failure, a code", null=True
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "outbox event",
                        "verbose_name_plural": "outbox",
                        "db_table": "outbox_events",
                        "db_table_comment": "Domain events waiting to be sent",
                        "indexes": [
                            ebalance.db.rules.Index(
                                condition=models.Q(("published_at__isnull", True)),
                                fields=["available_at", "id"],
                                name="outbox_events_next",
                                serves="relay_outbox: the next unpublished, oldest first, skipping locked",
                            ),
                            ebalance.db.rules.Index(
                                fields=["aggregate_type", "aggregate_id", "created_at"],
                                name="outbox_events_of_aggregate",
                                serves="events of a row, in order",
                            ),
                        ],
                        "constraints": [
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("event_type"),
                                        function="is_code",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="outbox_events_event_type_is_code",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("aggregate_type"),
                                        function="is_code",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="outbox_events_aggregate_type_is_code",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("last_error"),
                                        function="is_code",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="outbox_events_last_error_is_code",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("payload"),
                                        function="is_outbox_payload",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="outbox_events_payload_is_p0",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("attempts__gte", 0)),
                                name="outbox_events_attempts_in_range",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("created_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    ),
                                    models.Func(
                                        models.F("available_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    ),
                                    models.Func(
                                        models.F("published_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    ),
                                ),
                                name="outbox_events_times_finite",
                            ),
                        ],
                        "triggers": [
                            pgtrigger.compiler.Trigger(
                                name="outbox_events_id_stays",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (OLD.id IS DISTINCT FROM NEW.id)",
                                    execute="public.refuse('outbox_events_id_stays', 'id', 'The key of a record never changes')",
                                    func="",
                                    hash="9f5fcdeac91dd691928af3279628a52188e6c127",
                                    operation='UPDATE OF "id"',
                                    pgid="outbox_events_id_stays",
                                    table="outbox_events",
                                    when="BEFORE",
                                ),
                            )
                        ],
                    },
                ),
            ],
        ),
    ]
