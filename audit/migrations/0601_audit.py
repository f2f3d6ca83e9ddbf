"""The audit log, the outbox, message templates, settings, rotations of keys."""

from pathlib import Path

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
IS_RESEALING = (SQL / "0601_is_resealing.sql").read_text(encoding="utf-8")
COMMENTS_OF_DJANGO = (SQL / "0601_comments_of_django.sql").read_text(encoding="utf-8")


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("admin", "0003_logentry_add_action_flag_choices"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("identity", "0001_identity"),
        ("sessions", "0001_initial"),
    ]

    operations = [
        ebalance.db.operations.CreateTables(
            models=[
                migrations.CreateModel(
                    name="Lease",
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
                            "name",
                            models.TextField(
                                db_comment="P0 · what is locked, a code, with the id of a row if any"
                            ),
                        ),
                        (
                            "token",
                            models.UUIDField(db_comment="P0 · of this one taking of the lease"),
                        ),
                        (
                            "holder",
                            models.TextField(db_comment="P0 · host and process that hold it"),
                        ),
                        (
                            "expires_at",
                            models.DateTimeField(
                                db_comment="P0 · when it ends unless it is renewed, UTC"
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "lease",
                        "verbose_name_plural": "leases",
                        "db_table": "leases",
                        "db_table_comment": "Locks that outlive a transaction",
                        "indexes": [
                            ebalance.db.rules.Index(
                                fields=["expires_at"],
                                name="leases_expires_at",
                                serves="purge_expired, at the end",
                            )
                        ],
                        "constraints": [
                            models.CheckConstraint(
                                condition=models.Q(
                                    (
                                        "name__regex",
                                        "^[a-z][a-z_]{0,59}(:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})?$",
                                    )
                                ),
                                name="leases_name_names_a_lock",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("holder__regex", "^[a-z0-9.-]{1,53}:[0-9]{1,10}$")
                                ),
                                name="leases_holder_is_host_and_process",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("expires_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="leases_times_finite",
                            ),
                            models.UniqueConstraint(fields=("name",), name="leases_name_unique"),
                            models.CheckConstraint(
                                condition=models.Q(("name__length__lte", 200)),
                                name="leases_name_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("holder__length__lte", 64)),
                                name="leases_holder_has_length",
                            ),
                        ],
                        "triggers": [
                            pgtrigger.compiler.Trigger(
                                name="leases_id_stays",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (OLD.id IS DISTINCT FROM NEW.id)",
                                    execute="public.refuse('leases_id_stays', 'id', 'The key of a record never changes')",
                                    func="",
                                    hash="2e5bf8152355cb90e361e94de71cef34b19aef6d",
                                    operation='UPDATE OF "id"',
                                    pgid="leases_id_stays",
                                    table="leases",
                                    when="BEFORE",
                                ),
                            )
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="Lock",
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
                        ("kind", models.TextField(db_comment="P0 · what is locked")),
                        (
                            "number",
                            models.IntegerField(
                                db_comment="P0 · part of the lock; 0 if it has one part",
                                db_default=0,
                                default=0,
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "lock",
                        "verbose_name_plural": "locks",
                        "db_table": "locks",
                        "db_table_comment": "Rows that writers lock; a role that only reads cannot",
                        "constraints": [
                            models.UniqueConstraint(fields=("kind", "number"), name="locks_once"),
                            models.CheckConstraint(
                                condition=models.Q(("number__gte", 0), ("number__lte", 9999)),
                                name="locks_number_in_range",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("kind__in", ["audit_chain", "lead_identifier"])
                                ),
                                name="locks_kind_in_set",
                            ),
                        ],
                        "triggers": [
                            pgtrigger.compiler.Trigger(
                                name="locks_id_stays",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (OLD.id IS DISTINCT FROM NEW.id)",
                                    execute="public.refuse('locks_id_stays', 'id', 'The key of a record never changes')",
                                    func="",
                                    hash="584e0cc959cd1c7105ee1a512e8bc91d02abd48c",
                                    operation='UPDATE OF "id"',
                                    pgid="locks_id_stays",
                                    table="locks",
                                    when="BEFORE",
                                ),
                            )
                        ],
                        "indexes": [],
                    },
                ),
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
                                blank=True, db_comment="P1 · address of the request", null=True
                            ),
                        ),
                        (
                            "user_agent",
                            models.TextField(
                                blank=True, db_comment="P1 · user agent of the request", null=True
                            ),
                        ),
                        (
                            "created_at",
                            models.DateTimeField(
                                db_comment="P0 · when, UTC; set by the database",
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
                        (
                            "origin_salt",
                            models.UUIDField(
                                blank=True,
                                db_comment="P0 · random; by it origin_hash can be checked",
                                editable=False,
                                null=True,
                            ),
                        ),
                        (
                            "origin_hash",
                            models.BinaryField(
                                blank=True,
                                db_comment="P0 · salted SHA-256 of address and user agent",
                                null=True,
                            ),
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
                                condition=models.Q(
                                    ("entity_key__regex", "^(?=.*[A-Za-z])[A-Za-z0-9_-]{1,64}$")
                                ),
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
                            models.CheckConstraint(
                                condition=models.Q(("action__length__lte", 60)),
                                name="audit_log_entries_action_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("entity_type__length__lte", 60)),
                                name="audit_log_entries_entity_type_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("entity_key__length__lte", 120)),
                                name="audit_log_entries_entity_key_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("old_value"),
                                        models.Value(200000),
                                        function="json_has_length",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="audit_log_entries_old_value_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("new_value"),
                                        models.Value(200000),
                                        function="json_has_length",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="audit_log_entries_new_value_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("user_agent__length__lte", 300)),
                                name="audit_log_entries_user_agent_has_length",
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
                                    execute="public.audit_log_entries_immutable()",
                                    func="CREATE OR REPLACE FUNCTION public.audit_log_entries_immutable() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $rule$ BEGIN\n    IF to_jsonb(OLD) - '{ip_address,user_agent,origin_salt}'::text[]\n          IS DISTINCT FROM to_jsonb(NEW) - '{ip_address,user_agent,origin_salt}'::text[]\n       OR num_nonnulls(OLD.ip_address, OLD.user_agent, OLD.origin_salt) = 0\n       OR num_nonnulls(NEW.ip_address, NEW.user_agent, NEW.origin_salt) > 0\n       OR NOT (CASE WHEN OLD.actor_user_id IS NOT NULL OR OLD.entity_type = 'users'\n    THEN coalesce(OLD.actor_user_id, OLD.entity_id) IS NOT NULL AND NOT EXISTS (\n        SELECT FROM public.users u\n        WHERE u.id = coalesce(OLD.actor_user_id, OLD.entity_id) AND u.status <> 'deleted')\n    ELSE EXISTS (\n        SELECT FROM public.audit_log_entries said\n        WHERE said.entity_type = OLD.entity_type AND said.entity_id = OLD.entity_id\n          AND said.seq > OLD.seq AND said.action = 'origin_forgotten') END) THEN\n        PERFORM public.raise_refusal('audit_log_entries_immutable', TG_TABLE_NAME, 'id', 'These records are only added, never changed or deleted');\n    END IF;\n    RETURN NEW;\nEND $rule$; ",
                                    hash="654f6da08cb3e176dde65a9c52b7c2f973c20b80",
                                    operation="UPDATE",
                                    pgid="audit_log_entries_immutable",
                                    table="audit_log_entries",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="audit_log_entries_no_delete",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    execute="public.audit_log_entries_no_delete()",
                                    func="CREATE OR REPLACE FUNCTION public.audit_log_entries_no_delete() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $rule$ BEGIN\n    IF OLD.created_at > public.fact_clock() - interval '3 years'\n       OR NOT EXISTS (SELECT FROM public.audit_checkpoints c WHERE c.seq >= OLD.seq) THEN\n        PERFORM public.raise_refusal('audit_log_entries_no_delete', TG_TABLE_NAME, 'id', 'These records are only added, never changed or deleted');\n    END IF;\n    RETURN OLD;\nEND $rule$; ",
                                    hash="ee601e6054c2f7285a0b6b651c8ffb609166bd6c",
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
                    name="AuditCheckpoint",
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
                                db_comment="P0 · number of the last entry to be removed"
                            ),
                        ),
                        ("row_hash", models.BinaryField(db_comment="P0 · row_hash of that entry")),
                        (
                            "entries",
                            models.BigIntegerField(db_comment="P0 · number of entries that go"),
                        ),
                        (
                            "key_id",
                            models.TextField(db_comment="P0 · id of the key of the signature"),
                        ),
                        (
                            "signature",
                            models.BinaryField(
                                db_comment="P0 · HMAC-SHA-256 of seq, row_hash, entries"
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
                        "verbose_name": "checkpoint of the audit log",
                        "verbose_name_plural": "checkpoints of the audit log",
                        "db_table": "audit_checkpoints",
                        "db_table_comment": "Where removed segments of the audit log ended; append-only",
                        "constraints": [
                            models.UniqueConstraint(
                                fields=("seq",), name="audit_checkpoints_seq_unique"
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("seq__gte", 1)),
                                name="audit_checkpoints_seq_in_range",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("entries__gte", 1)),
                                name="audit_checkpoints_entries_in_range",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("key_id__regex", "^[a-z0-9]{1,16}$")),
                                name="audit_checkpoints_key_id_is_key_id",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("created_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="audit_checkpoints_times_finite",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("key_id__length__lte", 60)),
                                name="audit_checkpoints_key_id_has_length",
                            ),
                        ],
                        "triggers": [
                            pgtrigger.compiler.Trigger(
                                name="audit_checkpoints_end_an_old_segment",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    execute="public.audit_checkpoints_end_an_old_segment()",
                                    func="CREATE OR REPLACE FUNCTION public.audit_checkpoints_end_an_old_segment() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $rule$ BEGIN\n    IF NOT EXISTS (SELECT FROM public.audit_log_entries\n                   WHERE seq = NEW.seq AND row_hash = NEW.row_hash)\n       OR EXISTS (SELECT FROM public.audit_log_entries\n                  WHERE seq <= NEW.seq\n                    AND created_at > public.fact_clock() - interval '3 years') THEN\n        PERFORM public.raise_refusal('audit_checkpoints_end_an_old_segment', TG_TABLE_NAME, 'seq', 'A checkpoint is the last entry of a segment that is old enough to go');\n    END IF;\n    RETURN NULL;\nEND $rule$; ",
                                    hash="5417d9f9d3b1df255218b0edd989007043482614",
                                    operation="INSERT",
                                    pgid="audit_checkpoints_end_an_old_segment",
                                    table="audit_checkpoints",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="audit_checkpoints_immutable",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    execute="public.refuse('audit_checkpoints_immutable', 'id', 'These records are only added, never changed or deleted')",
                                    func="",
                                    hash="6a1457170b569ec9c0812169c52db5031d920628",
                                    operation="UPDATE",
                                    pgid="audit_checkpoints_immutable",
                                    table="audit_checkpoints",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="audit_checkpoints_no_delete",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    execute="public.refuse('audit_checkpoints_no_delete', 'id', 'These records are only added, never changed or deleted')",
                                    func="",
                                    hash="a8c70e018c8e49399427e88dfcbd90cb49d20e73",
                                    operation="DELETE",
                                    pgid="audit_checkpoints_no_delete",
                                    table="audit_checkpoints",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="audit_checkpoints_no_truncate",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    execute="public.refuse('audit_checkpoints_no_truncate', 'id', 'This table cannot be emptied')",
                                    func="",
                                    hash="37a6f674baeed6b5517fb7cb9113c9a68dffaf7f",
                                    level="STATEMENT",
                                    operation="TRUNCATE",
                                    pgid="audit_checkpoints_no_truncate",
                                    table="audit_checkpoints",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="audit_checkpoints_created_at_not_ahead",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.created_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('audit_checkpoints_created_at_not_ahead', 'created_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="75fe893082a7042e38796391c442a6bccba6828d",
                                    operation='INSERT OR UPDATE OF "created_at"',
                                    pgid="audit_checkpoints_created_at_not_ahead",
                                    table="audit_checkpoints",
                                    when="AFTER",
                                ),
                            ),
                        ],
                        "indexes": [],
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
                            ebalance.db.rules.Index(
                                condition=models.Q(("published_at__isnull", True)),
                                fields=["aggregate_type", "aggregate_id", "id"],
                                name="outbox_events_heads",
                                serves="relay_outbox: the first unpublished event of a row, and those behind it",
                            ),
                            ebalance.db.rules.Index(
                                condition=models.Q(("published_at__isnull", False)),
                                fields=["published_at"],
                                name="outbox_events_published",
                                serves="relay_outbox --status: sent in the last minute; retention",
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
                            models.CheckConstraint(
                                condition=models.Q(("event_type__length__lte", 60)),
                                name="outbox_events_event_type_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("aggregate_type__length__lte", 60)),
                                name="outbox_events_aggregate_type_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("payload"),
                                        models.Value(20000),
                                        function="json_has_length",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="outbox_events_payload_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("last_error__length__lte", 60)),
                                name="outbox_events_last_error_has_length",
                            ),
                        ],
                        "triggers": [
                            pgtrigger.compiler.Trigger(
                                name="outbox_events_created_at_not_ahead",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.created_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('outbox_events_created_at_not_ahead', 'created_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="c66a9474e0ca8c1c6e22e3fd63c787cd692bf55b",
                                    operation='INSERT OR UPDATE OF "created_at"',
                                    pgid="outbox_events_created_at_not_ahead",
                                    table="outbox_events",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="outbox_events_published_at_not_ahead",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.published_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('outbox_events_published_at_not_ahead', 'published_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="5911ea3d7c90a9587e7b0c30be5bb6c3efbbef4e",
                                    operation='INSERT OR UPDATE OF "published_at"',
                                    pgid="outbox_events_published_at_not_ahead",
                                    table="outbox_events",
                                    when="AFTER",
                                ),
                            ),
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
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="KeyRotation",
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
                        ("table_name", models.TextField(db_comment="P0 · table")),
                        (
                            "to_key",
                            models.TextField(
                                db_comment="P0 · id of the key that values are sealed with"
                            ),
                        ),
                        (
                            "to_index_key",
                            models.TextField(
                                db_comment="P0 · id of the key that blind indexes are made with"
                            ),
                        ),
                        (
                            "cursor",
                            models.UUIDField(
                                blank=True,
                                db_comment="P0 · last row that this pass has done, if a pass is running",
                                null=True,
                            ),
                        ),
                        (
                            "rows_done",
                            models.BigIntegerField(
                                db_comment="P0 · rows moved so far", db_default=0, default=0
                            ),
                        ),
                        (
                            "batch_transaction",
                            models.BigIntegerField(
                                blank=True,
                                db_comment="P0 · transaction (xid8) of the batch at work",
                                null=True,
                            ),
                        ),
                        (
                            "started_at",
                            models.DateTimeField(
                                db_comment="P0 · when it began, UTC",
                                db_default=models.Func(
                                    function="now", output_field=models.DateTimeField()
                                ),
                                editable=False,
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
                            "finished_at",
                            models.DateTimeField(
                                blank=True,
                                db_comment="P0 · when all rows had moved or another took over, UTC",
                                null=True,
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "rotation of keys",
                        "verbose_name_plural": "rotations of keys",
                        "db_table": "key_rotations",
                        "db_table_comment": "Moves of tables to new keys",
                        "constraints": [
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("table_name"),
                                        function="is_code",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="key_rotations_table_name_is_code",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("to_key__regex", "^[a-z0-9]{1,16}$")),
                                name="key_rotations_to_key_is_key_id",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("to_index_key__regex", "^[a-z0-9]{1,16}$")),
                                name="key_rotations_to_index_key_is_key_id",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("rows_done__gte", 0)),
                                name="key_rotations_rows_done_in_range",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("started_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    ),
                                    models.Func(
                                        models.F("updated_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    ),
                                    models.Func(
                                        models.F("finished_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    ),
                                ),
                                name="key_rotations_times_finite",
                            ),
                            models.UniqueConstraint(
                                condition=models.Q(("finished_at__isnull", True)),
                                fields=("table_name",),
                                name="key_rotations_one_open_per_table",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("table_name__length__lte", 60)),
                                name="key_rotations_table_name_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("to_key__length__lte", 60)),
                                name="key_rotations_to_key_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("to_index_key__length__lte", 60)),
                                name="key_rotations_to_index_key_has_length",
                            ),
                        ],
                        "triggers": [
                            pgtrigger.compiler.Trigger(
                                name="key_rotations_touch_updated_at",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    execute="public.touch_updated_at()",
                                    func="",
                                    hash="3604349ae076b45e76a46ff05cef7c7acb7bfae2",
                                    operation="UPDATE",
                                    pgid="key_rotations_touch_updated_at",
                                    table="key_rotations",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="key_rotations_started_at_not_ahead",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.started_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('key_rotations_started_at_not_ahead', 'started_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="ecb2ebc9c9308561627bc209ca4b2ec013e0fc5f",
                                    operation='INSERT OR UPDATE OF "started_at"',
                                    pgid="key_rotations_started_at_not_ahead",
                                    table="key_rotations",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="key_rotations_updated_at_not_ahead",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.updated_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('key_rotations_updated_at_not_ahead', 'updated_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="2e61d03e719678ca2ad62a06d614fd6f091959ef",
                                    operation='INSERT OR UPDATE OF "updated_at"',
                                    pgid="key_rotations_updated_at_not_ahead",
                                    table="key_rotations",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="key_rotations_finished_at_not_ahead",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.finished_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('key_rotations_finished_at_not_ahead', 'finished_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="84193d0b8e7359873168f89ad02188e47d8e6cdf",
                                    operation='INSERT OR UPDATE OF "finished_at"',
                                    pgid="key_rotations_finished_at_not_ahead",
                                    table="key_rotations",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="key_rotations_id_stays",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (OLD.id IS DISTINCT FROM NEW.id)",
                                    execute="public.refuse('key_rotations_id_stays', 'id', 'The key of a record never changes')",
                                    func="",
                                    hash="1c16dd5762f295a90aef68511ceef225bf811f3b",
                                    operation='UPDATE OF "id"',
                                    pgid="key_rotations_id_stays",
                                    table="key_rotations",
                                    when="BEFORE",
                                ),
                            ),
                        ],
                        "indexes": [],
                    },
                ),
                migrations.CreateModel(
                    name="BackfillJob",
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
                            "name",
                            models.TextField(
                                db_comment="P0 · name of the job: app and migration, unless the migration gives another"
                            ),
                        ),
                        ("table_name", models.TextField(db_comment="P0 · table")),
                        (
                            "cursor",
                            models.TextField(
                                blank=True,
                                db_comment="P0 · key of the last row that this pass has done, if a pass is running",
                                null=True,
                            ),
                        ),
                        (
                            "rows_done",
                            models.BigIntegerField(
                                db_comment="P0 · rows changed so far", db_default=0, default=0
                            ),
                        ),
                        (
                            "started_at",
                            models.DateTimeField(
                                db_comment="P0 · when it began, UTC",
                                db_default=models.Func(
                                    function="now", output_field=models.DateTimeField()
                                ),
                                editable=False,
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
                            "finished_at",
                            models.DateTimeField(
                                blank=True,
                                db_comment="P0 · when no row was left, UTC; empty if rows are left",
                                null=True,
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "backfill",
                        "verbose_name_plural": "backfills",
                        "db_table": "backfill_jobs",
                        "db_table_comment": "Backfills, which fill columns of stored rows",
                        "triggers": [
                            pgtrigger.compiler.Trigger(
                                name="backfill_jobs_touch_updated_at",
                                sql=ebalance.db.triggers.rule.RuleTriggerSql(
                                    execute="public.touch_updated_at()",
                                    func="",
                                    hash="6be148629a294f023161eaf9c82086a56c670f08",
                                    operation="UPDATE",
                                    pgid="backfill_jobs_touch_updated_at",
                                    table="backfill_jobs",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="backfill_jobs_started_at_not_ahead",
                                sql=ebalance.db.triggers.rule.RuleTriggerSql(
                                    condition="WHEN (NEW.started_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('backfill_jobs_started_at_not_ahead', 'started_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="125a37bd0d51dabd14339339294c779db98de257",
                                    operation='INSERT OR UPDATE OF "started_at"',
                                    pgid="backfill_jobs_started_at_not_ahead",
                                    table="backfill_jobs",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="backfill_jobs_updated_at_not_ahead",
                                sql=ebalance.db.triggers.rule.RuleTriggerSql(
                                    condition="WHEN (NEW.updated_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('backfill_jobs_updated_at_not_ahead', 'updated_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="6070b57678a67a6b212a689e348371d2a9f47cc3",
                                    operation='INSERT OR UPDATE OF "updated_at"',
                                    pgid="backfill_jobs_updated_at_not_ahead",
                                    table="backfill_jobs",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="backfill_jobs_finished_at_not_ahead",
                                sql=ebalance.db.triggers.rule.RuleTriggerSql(
                                    condition="WHEN (NEW.finished_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('backfill_jobs_finished_at_not_ahead', 'finished_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="ee9443855451a6e65e1895c961f761697c2a31f9",
                                    operation='INSERT OR UPDATE OF "finished_at"',
                                    pgid="backfill_jobs_finished_at_not_ahead",
                                    table="backfill_jobs",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="backfill_jobs_id_stays",
                                sql=ebalance.db.triggers.rule.RuleTriggerSql(
                                    condition="WHEN (OLD.id IS DISTINCT FROM NEW.id)",
                                    execute="public.refuse('backfill_jobs_id_stays', 'id', 'The key of a record never changes')",
                                    func="",
                                    hash="d74c4403db065218e6970dae8e5330da9030d41a",
                                    operation='UPDATE OF "id"',
                                    pgid="backfill_jobs_id_stays",
                                    table="backfill_jobs",
                                    when="BEFORE",
                                ),
                            ),
                        ],
                        "constraints": [
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("name__regex", "^[a-z][a-z0-9_]*(\\.[a-z0-9_]+)?$")
                                ),
                                name="backfill_jobs_name_names_a_job",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("table_name"),
                                        function="is_code",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="backfill_jobs_table_name_is_code",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    (
                                        "cursor__regex",
                                        "^([0-9]{1,10}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?=.*[A-Za-z])[A-Za-z0-9_.:~-]+)$",
                                    )
                                ),
                                name="backfill_jobs_cursor_is_key",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("rows_done__gte", 0)),
                                name="backfill_jobs_rows_done_in_range",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("started_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    ),
                                    models.Func(
                                        models.F("updated_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    ),
                                    models.Func(
                                        models.F("finished_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    ),
                                ),
                                name="backfill_jobs_times_finite",
                            ),
                            models.UniqueConstraint(
                                fields=("name",), name="backfill_jobs_name_unique"
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("name__length__lte", 200)),
                                name="backfill_jobs_name_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("table_name__length__lte", 60)),
                                name="backfill_jobs_table_name_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("cursor__length__lte", 64)),
                                name="backfill_jobs_cursor_has_length",
                            ),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="MigrationStep",
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
                        ("app_label", models.TextField(db_comment="P0 · app of the migration")),
                        ("name", models.TextField(db_comment="P0 · name of the migration")),
                        ("step", models.IntegerField(db_comment="P0 · number of the step, from 1")),
                        (
                            "statement_hash",
                            models.TextField(
                                db_comment="P0 · SHA-256 of the SQL of the step, hexadecimal"
                            ),
                        ),
                        (
                            "finished_at",
                            models.DateTimeField(
                                db_comment="P0 · when the step was finished, UTC",
                                db_default=models.Func(
                                    function="now", output_field=models.DateTimeField()
                                ),
                                editable=False,
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "step of a migration",
                        "verbose_name_plural": "steps of migrations",
                        "db_table": "migration_steps",
                        "db_table_comment": "Finished steps of migrations that are still running",
                        "triggers": [
                            pgtrigger.compiler.Trigger(
                                name="migration_steps_finished_at_not_ahead",
                                sql=ebalance.db.triggers.rule.RuleTriggerSql(
                                    condition="WHEN (NEW.finished_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('migration_steps_finished_at_not_ahead', 'finished_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="d36ed60ad9e3b6faf501e79f52763370a27f3f6a",
                                    operation='INSERT OR UPDATE OF "finished_at"',
                                    pgid="migration_steps_finished_at_not_ahead",
                                    table="migration_steps",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="migration_steps_id_stays",
                                sql=ebalance.db.triggers.rule.RuleTriggerSql(
                                    condition="WHEN (OLD.id IS DISTINCT FROM NEW.id)",
                                    execute="public.refuse('migration_steps_id_stays', 'id', 'The key of a record never changes')",
                                    func="",
                                    hash="aed0599cbc9c411934e190c9d5db3975a742053d",
                                    operation='UPDATE OF "id"',
                                    pgid="migration_steps_id_stays",
                                    table="migration_steps",
                                    when="BEFORE",
                                ),
                            ),
                        ],
                        "constraints": [
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("app_label"),
                                        function="is_code",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="migration_steps_app_label_is_code",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("name__regex", "^[0-9]{4}(_[a-z0-9]+)+$")),
                                name="migration_steps_name_names_a_migration",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("step__gte", 1)),
                                name="migration_steps_step_in_range",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("statement_hash__regex", "^[0-9a-f]{64}$")),
                                name="migration_steps_statement_hash_is_sha256",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("finished_at"),
                                        function="is_finite",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="migration_steps_times_finite",
                            ),
                            models.UniqueConstraint(
                                fields=("app_label", "name", "step"), name="migration_steps_once"
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("app_label__length__lte", 60)),
                                name="migration_steps_app_label_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("name__length__lte", 200)),
                                name="migration_steps_name_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("statement_hash__length__lte", 64)),
                                name="migration_steps_statement_hash_has_length",
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
                            models.CheckConstraint(
                                condition=models.Q(("key__length__lte", 60)),
                                name="system_settings_key_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Func(
                                        models.F("value"),
                                        models.Value(20000),
                                        function="json_has_length",
                                        output_field=models.BooleanField(),
                                    )
                                ),
                                name="system_settings_value_has_length",
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
                            ),
                            pgtrigger.compiler.Trigger(
                                name="system_settings_insert_audited",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    constraint="CONSTRAINT",
                                    execute="public.audit_change('setting_added', 'key', 'value')",
                                    func="",
                                    hash="38b7b1614b9c4adeabe302d8bbec164be065f7a4",
                                    operation="INSERT",
                                    pgid="system_settings_insert_audited",
                                    table="system_settings",
                                    timing="DEFERRABLE INITIALLY DEFERRED",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="system_settings_update_audited",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN ((OLD.value IS DISTINCT FROM NEW.value))",
                                    constraint="CONSTRAINT",
                                    execute="public.audit_change('setting_changed', 'key', 'value')",
                                    func="",
                                    hash="be5bdbebc319bff28b0cbb51fd41f4c734c857be",
                                    operation="UPDATE",
                                    pgid="system_settings_update_audited",
                                    table="system_settings",
                                    timing="DEFERRABLE INITIALLY DEFERRED",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="system_settings_delete_audited",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    constraint="CONSTRAINT",
                                    execute="public.audit_change('setting_removed', 'key', 'value', 'updated_by_user_id', 'updated_at')",
                                    func="",
                                    hash="43f4b58cfd9f0b243faf3f23000a46abfe28da41",
                                    operation="DELETE",
                                    pgid="system_settings_delete_audited",
                                    table="system_settings",
                                    timing="DEFERRABLE INITIALLY DEFERRED",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="system_settings_no_truncate",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    execute="public.refuse('system_settings_no_truncate', 'key', 'This table cannot be emptied')",
                                    func="",
                                    hash="cf8545d50213f89dc7bdd3e26a9a56a546479de0",
                                    level="STATEMENT",
                                    operation="TRUNCATE",
                                    pgid="system_settings_no_truncate",
                                    table="system_settings",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="system_settings_key_stays",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (OLD.key IS DISTINCT FROM NEW.key)",
                                    execute="public.refuse('system_settings_key_stays', 'key', 'The key of a record never changes')",
                                    func="",
                                    hash="6ffae98348b68a8b6e8fa1775e8c3802b1bae5ea",
                                    operation='UPDATE OF "key"',
                                    pgid="system_settings_key_stays",
                                    table="system_settings",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="system_settings_updated_at_not_ahead",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.updated_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('system_settings_updated_at_not_ahead', 'updated_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="0bbf6fffcfda71d3b3f25ede8567320a260f44d4",
                                    operation='INSERT OR UPDATE OF "updated_at"',
                                    pgid="system_settings_updated_at_not_ahead",
                                    table="system_settings",
                                    when="AFTER",
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
                                condition=models.Q(("name__length__lte", 200)),
                                name="message_templates_name_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("status__in", ["draft", "active", "archived"])),
                                name="message_templates_status_in_set",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("language__length__lte", 60)),
                                name="message_templates_language_has_length",
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
                                name="message_templates_insert_audited",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.status = 'active')",
                                    constraint="CONSTRAINT",
                                    execute="public.audit_change('template_activated', 'id', 'status', 'active_version')",
                                    func="",
                                    hash="2a6342ec89d5d03e1b45b1cb9635257cf49286f4",
                                    operation="INSERT",
                                    pgid="message_templates_insert_audited",
                                    table="message_templates",
                                    timing="DEFERRABLE INITIALLY DEFERRED",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="message_templates_update_audited",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN ((OLD.status IS DISTINCT FROM NEW.status OR OLD.active_version IS DISTINCT FROM NEW.active_version))",
                                    constraint="CONSTRAINT",
                                    execute="public.audit_change('template_changed', 'id', 'status', 'active_version')",
                                    func="",
                                    hash="94d6d00e60864515c2daf2f741daa870bef30279",
                                    operation="UPDATE",
                                    pgid="message_templates_update_audited",
                                    table="message_templates",
                                    timing="DEFERRABLE INITIALLY DEFERRED",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="message_templates_delete_audited",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (OLD.status = 'active')",
                                    constraint="CONSTRAINT",
                                    execute="public.audit_change('template_deleted', 'id', 'channel', 'category', 'name', 'status', 'language', 'active_version', 'created_at')",
                                    func="",
                                    hash="880f3bc0615302813d6eae97b6971b749b36abf2",
                                    operation="DELETE",
                                    pgid="message_templates_delete_audited",
                                    table="message_templates",
                                    timing="DEFERRABLE INITIALLY DEFERRED",
                                    when="AFTER",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="message_templates_no_truncate",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    execute="public.refuse('message_templates_no_truncate', 'id', 'This table cannot be emptied')",
                                    func="",
                                    hash="bfcee4781ba06e826d0a2ed433f4741a38f8618d",
                                    level="STATEMENT",
                                    operation="TRUNCATE",
                                    pgid="message_templates_no_truncate",
                                    table="message_templates",
                                    when="BEFORE",
                                ),
                            ),
                            pgtrigger.compiler.Trigger(
                                name="message_templates_created_at_not_ahead",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.created_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('message_templates_created_at_not_ahead', 'created_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="cd105fbbc21aa6cf74db9b2b963bee25e4458d54",
                                    operation='INSERT OR UPDATE OF "created_at"',
                                    pgid="message_templates_created_at_not_ahead",
                                    table="message_templates",
                                    when="AFTER",
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
                        "indexes": [],
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
                            models.CheckConstraint(
                                condition=models.Q(("subject__length__lte", 200)),
                                name="message_template_versions_subject_has_length",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("body_markdown__length__lte", 200000)),
                                name="message_template_versions_body_markdown_has_length",
                            ),
                        ],
                        "triggers": [
                            pgtrigger.compiler.Trigger(
                                name="message_template_versions_subject_for_email",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    execute="public.message_template_versions_subject_for_email()",
                                    func="CREATE OR REPLACE FUNCTION public.message_template_versions_subject_for_email() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $rule$ BEGIN\n    -- Without a template it is the foreign key's to refuse.\n    IF EXISTS (SELECT FROM public.message_templates\n               WHERE id = NEW.template_id\n                 AND (channel = 'email') <> (NEW.subject IS NOT NULL)) THEN\n        PERFORM public.raise_refusal('message_template_versions_subject_for_email', TG_TABLE_NAME, 'subject', 'A subject is given exactly for e-mail');\n    END IF;\n    RETURN NULL;\nEND $rule$; ",
                                    hash="8e6cc5159aa7c92b9bc8a7c4665e198b42ec097b",
                                    operation="INSERT",
                                    pgid="message_template_versions_subject_for_email",
                                    table="message_template_versions",
                                    when="AFTER",
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
                            pgtrigger.compiler.Trigger(
                                name="message_template_versions_created_at_not_ahead",
                                sql=ebalance.db.triggers.RuleTriggerSql(
                                    condition="WHEN (NEW.created_at > public.fact_clock() + interval '5 minutes')",
                                    execute="public.refuse_new_value('message_template_versions_created_at_not_ahead', 'created_at', 'This time lies ahead of the clock')",
                                    func="",
                                    hash="63ad151a20e89f84c53c3dc1679733506baed420",
                                    operation='INSERT OR UPDATE OF "created_at"',
                                    pgid="message_template_versions_created_at_not_ahead",
                                    table="message_template_versions",
                                    when="AFTER",
                                ),
                            ),
                        ],
                    },
                ),
            ],
        ),
        migrations.RunSQL([(IS_RESEALING, None)], migrations.RunSQL.noop),
        migrations.RunSQL([(COMMENTS_OF_DJANGO, None)], migrations.RunSQL.noop),
    ]
