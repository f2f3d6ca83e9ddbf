"""Checkpoints of removed segments of the audit log, origins of requests, capture of settings and
templates.

Rollback note: `migrate audit 0604` drops checkpoints, salts and hashes of origins. Entries do not
verify any more, and none can be written: export the log before.
"""

import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models

import ebalance.db.ids
import ebalance.db.triggers


class Migration(migrations.Migration):
    dependencies = [
        ("identity", "0003_audit_capture"),
        ("audit", "0604_outbox_heads"),
    ]

    operations = [
        migrations.CreateModel(
            name="AuditCheckpoint",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        db_comment="P0 · UUIDv7, sortable by time",
                        db_default=models.Func(function="uuid7", output_field=models.UUIDField()),
                        default=ebalance.db.ids.uuid7,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "seq",
                    models.BigIntegerField(db_comment="P0 · place of the last entry that goes"),
                ),
                ("row_hash", models.BinaryField(db_comment="P0 · row_hash of that entry")),
                ("entries", models.BigIntegerField(db_comment="P0 · number of entries that go")),
                ("key_id", models.TextField(db_comment="P0 · id of the key of the signature")),
                (
                    "signature",
                    models.BinaryField(db_comment="P0 · HMAC-SHA-256 of seq, row_hash, entries"),
                ),
                (
                    "created_at",
                    models.DateTimeField(
                        db_comment="P0 · when the row was written, UTC",
                        db_default=models.Func(function="now", output_field=models.DateTimeField()),
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
                    models.UniqueConstraint(fields=("seq",), name="audit_checkpoints_seq_unique"),
                    models.CheckConstraint(
                        condition=models.Q(("seq__gte", 1)), name="audit_checkpoints_seq_in_range"
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
                ],
                "triggers": [
                    pgtrigger.compiler.Trigger(
                        name="audit_checkpoints_end_an_old_segment",
                        sql=ebalance.db.triggers.RuleTriggerSql(
                            execute="public.audit_checkpoints_end_an_old_segment()",
                            func="CREATE OR REPLACE FUNCTION public.audit_checkpoints_end_an_old_segment() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $rule$ BEGIN\n    IF NOT EXISTS (SELECT FROM public.audit_log_entries\n                   WHERE seq = NEW.seq AND row_hash = NEW.row_hash)\n       OR EXISTS (SELECT FROM public.audit_log_entries\n                  WHERE seq <= NEW.seq\n                    AND created_at > pg_catalog.now() - interval '3 years') THEN\n        PERFORM public.raise_refusal('audit_checkpoints_end_an_old_segment', TG_TABLE_NAME, 'seq', 'A checkpoint is the last entry of a segment that is old enough to go');\n    END IF;\n    RETURN NEW;\nEND $rule$; ",
                            hash="e0bdfd59896fab59d48f80a2abea01b72c8689c0",
                            operation="INSERT",
                            pgid="audit_checkpoints_end_an_old_segment",
                            table="audit_checkpoints",
                            when="BEFORE",
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
                ],
            },
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name="auditlogentry",
            name="audit_log_entries_immutable",
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name="auditlogentry",
            name="audit_log_entries_no_delete",
        ),
        migrations.AddField(
            model_name="auditlogentry",
            name="origin_hash",
            field=models.BinaryField(
                blank=True, db_comment="P0 · salted SHA-256 of address and user agent", null=True
            ),
        ),
        migrations.AddField(
            model_name="auditlogentry",
            name="origin_salt",
            field=models.UUIDField(
                blank=True,
                db_comment="P0 · random; by it origin_hash can be checked",
                editable=False,
                null=True,
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="auditlogentry",
            trigger=pgtrigger.compiler.Trigger(
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
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="auditlogentry",
            trigger=pgtrigger.compiler.Trigger(
                name="audit_log_entries_no_delete",
                sql=ebalance.db.triggers.RuleTriggerSql(
                    execute="public.audit_log_entries_no_delete()",
                    func="CREATE OR REPLACE FUNCTION public.audit_log_entries_no_delete() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $rule$ BEGIN\n    IF OLD.created_at > pg_catalog.now() - interval '3 years'\n       OR NOT EXISTS (SELECT FROM public.audit_checkpoints c WHERE c.seq >= OLD.seq) THEN\n        PERFORM public.raise_refusal('audit_log_entries_no_delete', TG_TABLE_NAME, 'id', 'These records are only added, never changed or deleted');\n    END IF;\n    RETURN OLD;\nEND $rule$; ",
                    hash="41b4095e3e27ff9e60309c2a567b18462e7972ef",
                    operation="DELETE",
                    pgid="audit_log_entries_no_delete",
                    table="audit_log_entries",
                    when="BEFORE",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="messagetemplate",
            trigger=pgtrigger.compiler.Trigger(
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
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="messagetemplate",
            trigger=pgtrigger.compiler.Trigger(
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
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="systemsetting",
            trigger=pgtrigger.compiler.Trigger(
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
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="systemsetting",
            trigger=pgtrigger.compiler.Trigger(
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
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="systemsetting",
            trigger=pgtrigger.compiler.Trigger(
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
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="systemsetting",
            trigger=pgtrigger.compiler.Trigger(
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
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="systemsetting",
            trigger=pgtrigger.compiler.Trigger(
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
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="messagetemplate",
            trigger=pgtrigger.compiler.Trigger(
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
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="messagetemplate",
            trigger=pgtrigger.compiler.Trigger(
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
        ),
    ]
