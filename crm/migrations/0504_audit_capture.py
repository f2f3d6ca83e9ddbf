"""The database writes the status of leads into the audit log itself; an erased person's events may
be emptied but for what happened and when.

Rollback note: `migrate crm 0503`; nothing is lost, changes are no longer recorded.
"""

import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations

import ebalance.db.triggers


class Migration(migrations.Migration):
    dependencies = [
        ("identity", "0003_audit_capture"),
        ("crm", "0503_notes_are_resealed"),
    ]

    operations = [
        pgtrigger.migrations.RemoveTrigger(
            model_name="analyticsevent",
            name="analytics_events_append_only",
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="analyticsevent",
            trigger=pgtrigger.compiler.Trigger(
                name="analytics_events_append_only",
                sql=ebalance.db.triggers.RuleTriggerSql(
                    condition="WHEN ((to_jsonb(OLD) - '{user_id,lead_id,anonymous_id,session_id,page,acquisition,properties}'::text[]) IS DISTINCT FROM (to_jsonb(NEW) - '{user_id,lead_id,anonymous_id,session_id,page,acquisition,properties}'::text[])\n    OR to_jsonb(OLD) = to_jsonb(NEW)\n    OR (NEW.user_id IS DISTINCT FROM OLD.user_id AND NEW.user_id IS NOT NULL) OR (NEW.lead_id IS DISTINCT FROM OLD.lead_id AND NEW.lead_id IS NOT NULL) OR (NEW.anonymous_id IS DISTINCT FROM OLD.anonymous_id AND NEW.anonymous_id IS NOT NULL) OR (NEW.session_id IS DISTINCT FROM OLD.session_id AND NEW.session_id IS NOT NULL) OR (NEW.page IS DISTINCT FROM OLD.page AND (NEW.page <> '{}' OR num_nonnulls(NEW.user_id, NEW.lead_id, NEW.anonymous_id, NEW.session_id) > 0)) OR (NEW.acquisition IS DISTINCT FROM OLD.acquisition AND (NEW.acquisition <> '{}' OR num_nonnulls(NEW.user_id, NEW.lead_id, NEW.anonymous_id, NEW.session_id) > 0)) OR (NEW.properties IS DISTINCT FROM OLD.properties AND (NEW.properties <> '{}' OR num_nonnulls(NEW.user_id, NEW.lead_id, NEW.anonymous_id, NEW.session_id) > 0)))",
                    execute="public.refuse('analytics_events_append_only', 'id', 'These records are only added, never changed or deleted')",
                    func="",
                    hash="10dd85489007d2d6f99315705f84d2ad8354c7db",
                    operation="UPDATE",
                    pgid="analytics_events_append_only",
                    table="analytics_events",
                    when="BEFORE",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="lead",
            trigger=pgtrigger.compiler.Trigger(
                name="leads_update_audited",
                sql=ebalance.db.triggers.RuleTriggerSql(
                    condition="WHEN ((OLD.status IS DISTINCT FROM NEW.status))",
                    constraint="CONSTRAINT",
                    execute="public.audit_change('lead_status_changed', 'id', 'status')",
                    func="",
                    hash="f31d778b744d421f3d645679bd735d198ee84c6d",
                    operation="UPDATE",
                    pgid="leads_update_audited",
                    table="leads",
                    timing="DEFERRABLE INITIALLY DEFERRED",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="lead",
            trigger=pgtrigger.compiler.Trigger(
                name="leads_delete_audited",
                sql=ebalance.db.triggers.RuleTriggerSql(
                    constraint="CONSTRAINT",
                    execute="public.audit_change('lead_deleted', 'id', 'status', 'source', 'topic_code', 'created_at', 'updated_at')",
                    func="",
                    hash="c52b853586990ebeae3e7c746098afe50ce94bd4",
                    operation="DELETE",
                    pgid="leads_delete_audited",
                    table="leads",
                    timing="DEFERRABLE INITIALLY DEFERRED",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="lead",
            trigger=pgtrigger.compiler.Trigger(
                name="leads_no_truncate",
                sql=ebalance.db.triggers.RuleTriggerSql(
                    execute="public.refuse('leads_no_truncate', 'id', 'This table cannot be emptied')",
                    func="",
                    hash="13b33eb21731f1f01278f0c9951be79ee4109381",
                    level="STATEMENT",
                    operation="TRUNCATE",
                    pgid="leads_no_truncate",
                    table="leads",
                    when="BEFORE",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="leadidentity",
            trigger=pgtrigger.compiler.Trigger(
                name="lead_identities_user_id_not_erased",
                sql=ebalance.db.triggers.RuleTriggerSql(
                    condition="WHEN (NEW.user_id IS NOT NULL)",
                    execute="public.refuse_for_erased_person('lead_identities_user_id_not_erased', 'user_id', 'This person was erased; nothing more is written of them')",
                    func="",
                    hash="c1c2c0c915b47284baf3ecc89c6b365b512018f8",
                    operation='INSERT OR UPDATE OF "user_id"',
                    pgid="lead_identities_user_id_not_erased",
                    table="lead_identities",
                    when="BEFORE",
                ),
            ),
        ),
    ]
