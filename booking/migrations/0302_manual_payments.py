"""Payments that staff take, the tax receipt of a payment, and corrections of an outcome.

The unique rule of successes is replaced by one with a condition on the provider, because manual
payments are made in parts. No client of release 1.0 writes a row that the new rule allows and the old
one refused, so its removal needs no earlier release: the Contract names the release before.

Rollback note: run `DELETE FROM refunds WHERE payment_id IN (SELECT id FROM payments WHERE provider =
'manual')` and `DELETE FROM payments WHERE provider = 'manual'`, which loses the money that staff
recorded; drop the triggers and rules that this file adds, and add the CHECK, the unique index and the
trigger of 0301 again; then `ALTER TABLE payments DROP COLUMN method, DROP COLUMN recorded_by_user_id,
DROP COLUMN receipt_status` and `ALTER TABLE payment_webhook_events DROP COLUMN receipt_status`, which
loses the states of receipts.
"""

import pgtrigger.compiler
import pgtrigger.migrations
from django.conf import settings
from django.db import migrations, models

import ebalance.db.on_delete
import ebalance.db.operations
import ebalance.db.rules
import ebalance.db.triggers.rule


class Migration(migrations.Migration):
    dependencies = [
        ("booking", "0301_booking"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        ebalance.db.operations.Contract(
            expand="booking.0301",
            released="1.0.0",
            drops=["index payments_one_success_per_purpose"],
        ),
        migrations.AlterModelTableComment(
            name="payment",
            table_comment="Payments, with the provider or taken by staff",
        ),
        migrations.AddField(
            model_name="payment",
            name="method",
            field=models.TextField(blank=True, db_comment="P0 · how it was paid", null=True),
        ),
        migrations.AddField(
            model_name="payment",
            name="receipt_status",
            field=models.TextField(
                blank=True,
                db_comment="P0 · tax receipt (54-ФЗ), as the provider reports it",
                null=True,
            ),
        ),
        ebalance.db.operations.AddForeignKey(
            model_name="payment",
            name="recorded_by",
            field=models.ForeignKey(
                blank=True,
                db_column="recorded_by_user_id",
                db_comment="P0 · colleague who took the money",
                db_index=False,
                null=True,
                on_delete=ebalance.db.on_delete.DB_RESTRICT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="paymentwebhookevent",
            name="receipt_status",
            field=models.TextField(
                blank=True,
                db_comment="P0 · status of the tax receipt in the notification",
                null=True,
            ),
        ),
        ebalance.db.operations.AddIndexConcurrently(
            model_name="payment",
            index=ebalance.db.rules.Index(
                fields=["recorded_by"], name="payments_by_recorder", serves="the delete check"
            ),
        ),
        ebalance.db.operations.ReplaceCheck(
            model_name="payment",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("provider", "yookassa"), ("status", "succeeded"), _negated=True),
                    ("provider_payment_id__isnull", False),
                    _connector="OR",
                ),
                name="payments_succeeded_has_provider_id",
            ),
        ),
        ebalance.db.operations.AddCheck(
            model_name="payment",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("provider", "manual"), _negated=True),
                    ("method__isnull", False),
                    _connector="OR",
                ),
                name="payments_manual_has_method",
            ),
        ),
        ebalance.db.operations.AddCheck(
            model_name="payment",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("provider", "manual"), ("recorded_by__isnull", False)),
                    models.Q(
                        models.Q(("provider", "manual"), _negated=True),
                        ("recorded_by__isnull", True),
                    ),
                    _connector="OR",
                ),
                name="payments_recorder_with_manual",
            ),
        ),
        ebalance.db.operations.AddUnique(
            model_name="payment",
            constraint=models.UniqueConstraint(
                condition=models.Q(("provider", "yookassa"), ("status", "succeeded")),
                fields=("appointment", "purpose"),
                name="payments_one_yookassa_success_per_purpose",
            ),
        ),
        ebalance.db.operations.ReplaceCheck(
            model_name="payment",
            constraint=models.CheckConstraint(
                condition=models.Q(("provider__in", ["yookassa", "manual"])),
                name="payments_provider_in_set",
            ),
        ),
        ebalance.db.operations.AddCheck(
            model_name="payment",
            constraint=models.CheckConstraint(
                condition=models.Q(("method__in", ["card", "sbp", "wallet", "transfer", "cash"])),
                name="payments_method_in_set",
            ),
        ),
        ebalance.db.operations.AddCheck(
            model_name="payment",
            constraint=models.CheckConstraint(
                condition=models.Q(("receipt_status__in", ["pending", "canceled", "succeeded"])),
                name="payments_receipt_status_in_set",
            ),
        ),
        ebalance.db.operations.AddCheck(
            model_name="paymentwebhookevent",
            constraint=models.CheckConstraint(
                condition=models.Q(("receipt_status__in", ["pending", "canceled", "succeeded"])),
                name="payment_webhook_events_receipt_status_in_set",
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="appointment",
            trigger=pgtrigger.compiler.Trigger(
                name="appointments_outcome_corrected_only",
                sql=ebalance.db.triggers.rule.RuleTriggerSql(
                    condition="WHEN (OLD.outcome IS NOT NULL AND (OLD.outcome IS DISTINCT FROM NEW.outcome OR OLD.status = 'completed' AND (OLD.outcome IS DISTINCT FROM NEW.outcome OR OLD.outcome_reason_category IS DISTINCT FROM NEW.outcome_reason_category OR OLD.outcome_recorded_at IS DISTINCT FROM NEW.outcome_recorded_at OR OLD.outcome_recorded_by_role IS DISTINCT FROM NEW.outcome_recorded_by_role)))",
                    execute="public.appointments_outcome_corrected_only()",
                    func="CREATE OR REPLACE FUNCTION public.appointments_outcome_corrected_only() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $rule$ BEGIN\n    -- By a CHECK, a completed session is attended or not.\n    IF (OLD.status = 'completed' AND NEW.status = 'completed'\n        AND NEW.outcome_recorded_at = OLD.outcome_recorded_at\n        AND public.fact_clock() <= OLD.outcome_recorded_at + interval '30 days') IS NOT TRUE THEN\n        PERFORM public.raise_refusal('appointments_outcome_corrected_only', TG_TABLE_NAME, 'outcome', 'An outcome is corrected only between attended and no show, within 30 days');\n    END IF;\n    RETURN NULL;\nEND $rule$; ",
                    hash="dd6d407e22363f87376c461e851fe258f91d360c",
                    operation='UPDATE OF "outcome", "outcome_reason_category", "outcome_recorded_at", "outcome_recorded_by_role"',
                    pgid="appointments_outcome_corrected_only",
                    table="appointments",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name="payment",
            name="payments_status_initial",
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="payment",
            trigger=pgtrigger.compiler.Trigger(
                name="payments_status_initial",
                sql=ebalance.db.triggers.rule.RuleTriggerSql(
                    condition="WHEN (NEW.status <> CASE NEW.provider WHEN 'manual' THEN 'succeeded' ELSE 'pending' END)",
                    execute="public.refuse('payments_status_initial', 'status', 'A payment starts pending, one taken by staff starts succeeded')",
                    func="",
                    hash="0e898fc71792ecdb3aca6a9115583ceeb75420f5",
                    operation="INSERT",
                    pgid="payments_status_initial",
                    table="payments",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="payment",
            trigger=pgtrigger.compiler.Trigger(
                name="payments_recorder_stays",
                sql=ebalance.db.triggers.rule.RuleTriggerSql(
                    condition="WHEN ((OLD.provider IS DISTINCT FROM NEW.provider OR OLD.recorded_by_user_id IS DISTINCT FROM NEW.recorded_by_user_id))",
                    execute="public.refuse('payments_recorder_stays', 'provider', 'Provider and recorder of a payment never change')",
                    func="",
                    hash="3a517b226f520cff9ab9bb384bd9cc1f247d1e87",
                    operation="UPDATE",
                    pgid="payments_recorder_stays",
                    table="payments",
                    when="BEFORE",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="payment",
            trigger=pgtrigger.compiler.Trigger(
                name="payments_method_stays",
                sql=ebalance.db.triggers.rule.RuleTriggerSql(
                    condition="WHEN ((OLD.method IS DISTINCT FROM NEW.method) AND OLD.method IS NOT NULL)",
                    execute="public.refuse('payments_method_stays', 'method', 'How a payment was made, once known, does not change')",
                    func="",
                    hash="b4d5a7cfc2d228bde708f05911a15bdb9c4c5339",
                    operation="UPDATE",
                    pgid="payments_method_stays",
                    table="payments",
                    when="BEFORE",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="payment",
            trigger=pgtrigger.compiler.Trigger(
                name="payments_manual_within_price",
                sql=ebalance.db.triggers.rule.RuleTriggerSql(
                    condition="WHEN (NEW.provider = 'manual')",
                    execute="public.payments_manual_within_price()",
                    func="CREATE OR REPLACE FUNCTION public.payments_manual_within_price() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $rule$ DECLARE\n    first uuid;\n    chain uuid[];\n    price bigint;\n    held bigint;\nBEGIN\n    WITH RECURSIVE earlier AS (\n        SELECT a.id, a.rescheduled_from_id FROM public.appointments a\n        WHERE a.id = NEW.appointment_id\n        UNION\n        SELECT a.id, a.rescheduled_from_id\n        FROM public.appointments a JOIN earlier ON a.id = earlier.rescheduled_from_id)\n    SELECT earlier.id INTO first FROM earlier\n    ORDER BY earlier.rescheduled_from_id IS NOT NULL, earlier.id LIMIT 1;\n    UPDATE public.appointments SET status = status WHERE id = first;\n    -- The request again, which ON CONFLICT leaves out or the key refuses.\n    IF EXISTS (SELECT FROM public.payments p WHERE p.idempotency_key = NEW.idempotency_key) THEN\n        RETURN NEW;\n    END IF;\n    WITH RECURSIVE later AS (\n        SELECT a.id FROM public.appointments a WHERE a.id = first\n        UNION\n        SELECT a.id FROM public.appointments a JOIN later ON a.rescheduled_from_id = later.id)\n    SELECT array_agg(later.id) INTO chain FROM later;\n    PERFORM FROM public.payments p WHERE p.appointment_id = ANY (chain)\n    ORDER BY p.id FOR NO KEY UPDATE;\n    SELECT min(a.price_amount) INTO price FROM public.appointments a WHERE a.id = ANY (chain);\n    SELECT coalesce(sum(p.amount), 0) - coalesce(sum(\n        (SELECT sum(r.amount) FROM public.refunds r\n         WHERE r.payment_id = p.id AND r.status <> 'failed')), 0)\n    INTO held\n    FROM public.payments p WHERE p.appointment_id = ANY (chain) AND p.status = 'succeeded';\n    IF held + NEW.amount > price THEN\n        PERFORM public.raise_refusal('payments_manual_within_price', TG_TABLE_NAME, 'amount', 'Money taken by staff is, with all that is held for the session, at most its price');\n    END IF;\n    RETURN NEW;\nEND $rule$; ",
                    hash="f25ddc312255d7b89e43d7763284788a273ec18c",
                    operation="INSERT",
                    pgid="payments_manual_within_price",
                    table="payments",
                    when="BEFORE",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="payment",
            trigger=pgtrigger.compiler.Trigger(
                name="payments_receipt_moves_forward",
                sql=ebalance.db.triggers.rule.RuleTriggerSql(
                    condition="WHEN (coalesce(array_position(ARRAY['pending', 'canceled', 'succeeded'], NEW.receipt_status), 0) < array_position(ARRAY['pending', 'canceled', 'succeeded'], OLD.receipt_status))",
                    execute="public.refuse('payments_receipt_moves_forward', 'receipt_status', 'The status of a tax receipt only moves forward')",
                    func="",
                    hash="3a80c498b3964a568b0dcd32e0f0ddba7f9377ff",
                    operation='UPDATE OF "receipt_status"',
                    pgid="payments_receipt_moves_forward",
                    table="payments",
                    when="BEFORE",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="payment",
            trigger=pgtrigger.compiler.Trigger(
                name="payments_insert_audited",
                sql=ebalance.db.triggers.rule.RuleTriggerSql(
                    condition="WHEN (NEW.provider = 'manual')",
                    constraint="CONSTRAINT",
                    execute="public.audit_change('manual_payment_recorded', 'id', 'appointment_id', 'amount', 'method', 'recorded_by_user_id')",
                    func="",
                    hash="9c33b3b2aa103444bc377fa3c144ed01ceabf4ae",
                    operation="INSERT",
                    pgid="payments_insert_audited",
                    table="payments",
                    timing="DEFERRABLE INITIALLY DEFERRED",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="payment",
            trigger=pgtrigger.compiler.Trigger(
                name="payments_delete_audited",
                sql=ebalance.db.triggers.rule.RuleTriggerSql(
                    condition="WHEN (OLD.provider = 'manual')",
                    constraint="CONSTRAINT",
                    execute="public.audit_change('manual_payment_deleted', 'id', 'appointment_id', 'provider', 'method', 'recorded_by_user_id', 'receipt_status', 'provider_payment_id', 'idempotency_key', 'purpose', 'amount', 'currency', 'status', 'failure_category', 'created_at', 'confirmed_at')",
                    func="",
                    hash="38f6bdaadf5c98784f66bae7f0392aef08a59fe2",
                    operation="DELETE",
                    pgid="payments_delete_audited",
                    table="payments",
                    timing="DEFERRABLE INITIALLY DEFERRED",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="payment",
            trigger=pgtrigger.compiler.Trigger(
                name="payments_no_truncate",
                sql=ebalance.db.triggers.rule.RuleTriggerSql(
                    execute="public.refuse('payments_no_truncate', 'id', 'This table cannot be emptied')",
                    func="",
                    hash="ea0084d951aca8883173c6ddfba365086cc249af",
                    level="STATEMENT",
                    operation="TRUNCATE",
                    pgid="payments_no_truncate",
                    table="payments",
                    when="BEFORE",
                ),
            ),
        ),
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(
                    "DROP INDEX CONCURRENTLY IF EXISTS payments_one_success_per_purpose",
                    "CREATE UNIQUE INDEX CONCURRENTLY payments_one_success_per_purpose "
                    "ON payments (appointment_id, purpose) WHERE status = 'succeeded'",
                )
            ],
            state_operations=[
                migrations.RemoveConstraint("payment", "payments_one_success_per_purpose")
            ],
        ),
    ]
