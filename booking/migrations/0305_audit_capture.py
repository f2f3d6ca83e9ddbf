"""The database writes prices, outcomes and deletions into the audit log itself; the request key of
an appointment may be emptied, when its client is erased.

Rollback note: `migrate booking 0304`; nothing is lost, changes are no longer recorded.
"""

import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations

import ebalance.db.triggers


class Migration(migrations.Migration):
    dependencies = [
        ("identity", "0003_audit_capture"),
        ("booking", "0304_amount_of_deliveries_validated"),
    ]

    operations = [
        pgtrigger.migrations.RemoveTrigger(
            model_name="appointment",
            name="appointments_origin_stays",
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="appointment",
            trigger=pgtrigger.compiler.Trigger(
                name="appointments_origin_stays",
                sql=ebalance.db.triggers.RuleTriggerSql(
                    condition="WHEN ((OLD.rescheduled_from_id IS DISTINCT FROM NEW.rescheduled_from_id OR (OLD.client_request_id IS DISTINCT FROM NEW.client_request_id AND (NEW.client_request_id IS NOT NULL OR NEW.client_user_id IS NOT NULL))))",
                    execute="public.refuse('appointments_origin_stays', 'rescheduled_from_id', 'What an appointment replaces, and the request it came by, do not change')",
                    func="",
                    hash="59b1e6036572a82f7c096a71287d6c2f5e5f8ca2",
                    operation="UPDATE",
                    pgid="appointments_origin_stays",
                    table="appointments",
                    when="BEFORE",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="appointment",
            trigger=pgtrigger.compiler.Trigger(
                name="appointments_update_audited",
                sql=ebalance.db.triggers.RuleTriggerSql(
                    condition="WHEN ((OLD.outcome IS DISTINCT FROM NEW.outcome OR OLD.outcome_reason_category IS DISTINCT FROM NEW.outcome_reason_category OR OLD.outcome_recorded_at IS DISTINCT FROM NEW.outcome_recorded_at OR OLD.outcome_recorded_by_role IS DISTINCT FROM NEW.outcome_recorded_by_role))",
                    constraint="CONSTRAINT",
                    execute="public.audit_change('outcome_recorded', 'id', 'outcome', 'outcome_reason_category', 'outcome_recorded_at', 'outcome_recorded_by_role')",
                    func="",
                    hash="5cb56611d39373663f2cff0afaa2de8c636cf717",
                    operation="UPDATE",
                    pgid="appointments_update_audited",
                    table="appointments",
                    timing="DEFERRABLE INITIALLY DEFERRED",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="appointment",
            trigger=pgtrigger.compiler.Trigger(
                name="appointments_delete_audited",
                sql=ebalance.db.triggers.RuleTriggerSql(
                    constraint="CONSTRAINT",
                    execute="public.audit_change('appointment_deleted', 'id', 'service_id', 'lead_id', 'start_at_utc', 'end_at_utc', 'buffer_minutes', 'timezone', 'format', 'status', 'hold_expires_at', 'price_amount', 'deposit_amount', 'slot_id', 'rescheduled_from_id', 'outcome', 'outcome_reason_category', 'outcome_recorded_at', 'outcome_recorded_by_role', 'confirmed_at', 'canceled_at', 'topic_code', 'entry_point', 'created_at', 'updated_at')",
                    func="",
                    hash="815d7ea1542dbdc132a88dff63e3ce72f20d6379",
                    operation="DELETE",
                    pgid="appointments_delete_audited",
                    table="appointments",
                    timing="DEFERRABLE INITIALLY DEFERRED",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="appointment",
            trigger=pgtrigger.compiler.Trigger(
                name="appointments_no_truncate",
                sql=ebalance.db.triggers.RuleTriggerSql(
                    execute="public.refuse('appointments_no_truncate', 'id', 'This table cannot be emptied')",
                    func="",
                    hash="f31fda5ccf77717a9e8dcb4bc3195a53f18e9661",
                    level="STATEMENT",
                    operation="TRUNCATE",
                    pgid="appointments_no_truncate",
                    table="appointments",
                    when="BEFORE",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="appointment",
            trigger=pgtrigger.compiler.Trigger(
                name="appointments_client_user_id_not_erased",
                sql=ebalance.db.triggers.RuleTriggerSql(
                    condition="WHEN (NEW.client_user_id IS NOT NULL)",
                    execute="public.refuse_for_erased_person('appointments_client_user_id_not_erased', 'client_user_id', 'This person was erased; nothing more is written of them')",
                    func="",
                    hash="bd585afbf9a9e4f177d3875aac9a339aa1226cc3",
                    operation='INSERT OR UPDATE OF "client_user_id"',
                    pgid="appointments_client_user_id_not_erased",
                    table="appointments",
                    when="BEFORE",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="service",
            trigger=pgtrigger.compiler.Trigger(
                name="services_insert_audited",
                sql=ebalance.db.triggers.RuleTriggerSql(
                    constraint="CONSTRAINT",
                    execute="public.audit_change('service_created', 'id', 'price_amount', 'deposit_amount', 'cancel_free_hours', 'cancel_partial_hours', 'reschedule_min_hours', 'reschedule_max_count', 'status')",
                    func="",
                    hash="9de2b3eea80df0d6dba35b0b834fd7e0dcc6c165",
                    operation="INSERT",
                    pgid="services_insert_audited",
                    table="services",
                    timing="DEFERRABLE INITIALLY DEFERRED",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="service",
            trigger=pgtrigger.compiler.Trigger(
                name="services_update_audited",
                sql=ebalance.db.triggers.RuleTriggerSql(
                    condition="WHEN ((OLD.price_amount IS DISTINCT FROM NEW.price_amount OR OLD.deposit_amount IS DISTINCT FROM NEW.deposit_amount OR OLD.cancel_free_hours IS DISTINCT FROM NEW.cancel_free_hours OR OLD.cancel_partial_hours IS DISTINCT FROM NEW.cancel_partial_hours OR OLD.reschedule_min_hours IS DISTINCT FROM NEW.reschedule_min_hours OR OLD.reschedule_max_count IS DISTINCT FROM NEW.reschedule_max_count OR OLD.status IS DISTINCT FROM NEW.status))",
                    constraint="CONSTRAINT",
                    execute="public.audit_change('service_changed', 'id', 'price_amount', 'deposit_amount', 'cancel_free_hours', 'cancel_partial_hours', 'reschedule_min_hours', 'reschedule_max_count', 'status')",
                    func="",
                    hash="a554e7df23cb89bb39fe9309585d54eaa4c7d6c8",
                    operation="UPDATE",
                    pgid="services_update_audited",
                    table="services",
                    timing="DEFERRABLE INITIALLY DEFERRED",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="service",
            trigger=pgtrigger.compiler.Trigger(
                name="services_delete_audited",
                sql=ebalance.db.triggers.RuleTriggerSql(
                    constraint="CONSTRAINT",
                    execute="public.audit_change('service_deleted', 'id', 'slug', 'title', 'description_markdown', 'format', 'offline_address', 'duration_minutes', 'price_amount', 'deposit_amount', 'cancel_free_hours', 'cancel_partial_hours', 'reschedule_min_hours', 'reschedule_max_count', 'status', 'topic_code', 'position', 'created_at', 'updated_at')",
                    func="",
                    hash="cf9f3f0123e206a5770bc12dea8d0b0ef8b6d54c",
                    operation="DELETE",
                    pgid="services_delete_audited",
                    table="services",
                    timing="DEFERRABLE INITIALLY DEFERRED",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="service",
            trigger=pgtrigger.compiler.Trigger(
                name="services_no_truncate",
                sql=ebalance.db.triggers.RuleTriggerSql(
                    execute="public.refuse('services_no_truncate', 'id', 'This table cannot be emptied')",
                    func="",
                    hash="c31c707b9a6e196b6cafedbd669793a5cb6a009f",
                    level="STATEMENT",
                    operation="TRUNCATE",
                    pgid="services_no_truncate",
                    table="services",
                    when="BEFORE",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="waitlistrequest",
            trigger=pgtrigger.compiler.Trigger(
                name="waitlist_requests_user_id_not_erased",
                sql=ebalance.db.triggers.RuleTriggerSql(
                    condition="WHEN (NEW.user_id IS NOT NULL)",
                    execute="public.refuse_for_erased_person('waitlist_requests_user_id_not_erased', 'user_id', 'This person was erased; nothing more is written of them')",
                    func="",
                    hash="644c31d6729709d0c58274721bbcc05529274cf2",
                    operation='INSERT OR UPDATE OF "user_id"',
                    pgid="waitlist_requests_user_id_not_erased",
                    table="waitlist_requests",
                    when="BEFORE",
                ),
            ),
        ),
    ]
