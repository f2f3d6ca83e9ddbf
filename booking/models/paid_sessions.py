"""Rules of a paid session: its money, service, time and person stay."""

from typing import Any

import pgtrigger
from django.utils.translation import gettext_noop

from ebalance.db import triggers

LEAD_IS_MERGED_INTO_NEW = """EXISTS (
        WITH RECURSIVE merged AS (
            SELECT l.merged_into_id FROM public.leads l WHERE l.id = OLD.lead_id
            UNION
            SELECT l.merged_into_id FROM public.leads l JOIN merged ON l.id = merged.merged_into_id)
        SELECT FROM merged WHERE merged.merged_into_id = NEW.lead_id)"""


def paid_session_rules() -> list[triggers.Rule]:
    """Triggers of ``appointments`` for sessions past the hold."""
    return [
        # At the end of the transaction: money and status are written in either order. The payments
        # are locked, so that no refund is added meanwhile.
        triggers.Rule(
            "appointments_paid_has_money",
            operation=pgtrigger.UpdateOf("status"),
            when=pgtrigger.After,
            timing=pgtrigger.Deferred,
            condition="OLD.status <> NEW.status AND NEW.status IN ('paid', 'confirmed') "
            "AND NEW.price_amount <> 0",
            message=gettext_noop(
                "A session is paid or confirmed once its deposit, or its price, has arrived"
            ),
            column="status",
            body=f"""
DECLARE
    chain uuid[];
    balance bigint;
BEGIN
    IF EXISTS (SELECT FROM public.appointments a
               WHERE a.id = NEW.rescheduled_from_id AND a.status = 'rescheduled') THEN
        RETURN NULL;
    END IF;
    WITH RECURSIVE earlier AS (
        SELECT a.id, a.rescheduled_from_id FROM public.appointments a WHERE a.id = NEW.id
        UNION
        SELECT a.id, a.rescheduled_from_id
        FROM public.appointments a JOIN earlier ON a.id = earlier.rescheduled_from_id),
    whole AS (
        SELECT earlier.id FROM earlier
        UNION
        SELECT a.id FROM public.appointments a JOIN whole ON a.rescheduled_from_id = whole.id)
    SELECT array_agg(whole.id) INTO chain FROM whole;
    -- Canceled in the same transaction: money may have been given back, and no session is left.
    IF EXISTS (SELECT FROM public.appointments a
               WHERE a.id = ANY (chain) AND a.status = 'canceled' AND NOT EXISTS (
                   SELECT FROM public.appointments b WHERE b.rescheduled_from_id = a.id)) THEN
        RETURN NULL;
    END IF;
    PERFORM FROM public.payments p WHERE p.appointment_id = ANY (chain) AND p.status = 'succeeded'
    ORDER BY p.id FOR NO KEY UPDATE;
    SELECT coalesce(sum(p.amount), 0) - coalesce(sum(
        (SELECT sum(r.amount) FROM public.refunds r
         WHERE r.payment_id = p.id AND r.status <> 'failed')), 0)
    INTO balance
    FROM public.payments p WHERE p.appointment_id = ANY (chain) AND p.status = 'succeeded';
    IF balance < coalesce(NEW.deposit_amount, NEW.price_amount) THEN
        {triggers.REFUSE}
    END IF;
    RETURN NULL;
END""",
        ),
        triggers.frozen(
            "appointments",
            "paid_session_stays_put",
            ["service_id", "start_at_utc", "end_at_utc", "buffer_minutes"],
            unless_status="pending_payment",
            message=gettext_noop(
                "Service and time of a paid session do not change; moving makes a new record"
            ),
        ),
        triggers.Rule(
            "appointments_person_stays",
            operation=pgtrigger.UpdateOf("client_user_id", "lead_id"),
            condition="OLD.status <> 'pending_payment' AND ("
            "OLD.client_user_id <> NEW.client_user_id OR OLD.lead_id <> NEW.lead_id "
            "OR (OLD.client_user_id IS NOT NULL AND NEW.client_user_id IS NULL) "
            "OR (OLD.lead_id IS NOT NULL AND NEW.lead_id IS NULL))",
            message=gettext_noop("A paid session stays with its person"),
            column="client_user_id",
            broken=lambda row: changes_person(row),
            body=f"""
BEGIN
    IF OLD.client_user_id <> NEW.client_user_id
       -- Erasure empties it.
       OR (NEW.client_user_id IS NULL AND EXISTS (
           SELECT FROM public.users u WHERE u.id = OLD.client_user_id AND u.status <> 'deleted'))
       OR (OLD.lead_id IS NOT NULL AND NEW.lead_id IS NULL) THEN
        {triggers.REFUSE}
    END IF;
    IF OLD.lead_id <> NEW.lead_id AND NOT {LEAD_IS_MERGED_INTO_NEW} THEN
        {triggers.REFUSE}
    END IF;
    RETURN NEW;
END""",
        ),
    ]


def changes_person(row: Any) -> bool:
    """Whether a paid session would go to another person (appointments_person_stays)."""
    old = type(row)._base_manager.filter(pk=row.pk).exclude(status="pending_payment").first()
    if row._state.adding or old is None:
        return False
    is_emptied = row.client_id is None and old.client is not None and old.client.status == "deleted"
    if old.client_id not in (None, row.client_id) and not is_emptied:
        return True
    return old.lead_id is not None and not is_merged_into(old.lead, row.lead_id)


def is_merged_into(lead: Any, key: Any) -> bool:
    """Whether ``lead`` is the lead ``key``, or was merged into it."""
    seen = set()
    while lead is not None and lead.pk != key and lead.pk not in seen:
        seen.add(lead.pk)
        lead = lead.merged_into
    return lead is not None and lead.pk == key
