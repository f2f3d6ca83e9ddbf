"""Rules of payments for the money of a whole chain, and of tax receipts."""

from typing import Any

import pgtrigger
from django.utils.translation import gettext_noop

from ebalance.db import triggers

from .appointments import Appointment


def manual_payment_rules() -> list[triggers.Rule]:
    """Triggers of ``payments``."""
    return [
        # Before the row and its keys are stored: as in the services, the appointment is locked
        # first, then the payments. Concurrent manual payments of a chain wait for each other; the
        # UPDATE makes the second one fail if it cannot see the first (REPEATABLE READ). A success
        # of the provider locks its payment alone: it is a fact, and is not refused.
        triggers.Rule(
            "payments_manual_within_price",
            operation=pgtrigger.Insert,
            when=pgtrigger.Before,
            condition="NEW.provider = 'manual'",
            message=gettext_noop(
                "Money taken by staff is, with all that is held for the session, at most its price"
            ),
            column="amount",
            broken=lambda row: exceeds_price(row),
            body=f"""
DECLARE
    first uuid;
    chain uuid[];
    price bigint;
    held bigint;
BEGIN
    WITH RECURSIVE earlier AS (
        SELECT a.id, a.rescheduled_from_id FROM public.appointments a
        WHERE a.id = NEW.appointment_id
        UNION
        SELECT a.id, a.rescheduled_from_id
        FROM public.appointments a JOIN earlier ON a.id = earlier.rescheduled_from_id)
    SELECT earlier.id INTO first FROM earlier
    ORDER BY earlier.rescheduled_from_id IS NOT NULL, earlier.id LIMIT 1;
    UPDATE public.appointments SET status = status WHERE id = first;
    -- The request again, which ON CONFLICT leaves out or the key refuses.
    IF EXISTS (SELECT FROM public.payments p WHERE p.idempotency_key = NEW.idempotency_key) THEN
        RETURN NEW;
    END IF;
    WITH RECURSIVE later AS (
        SELECT a.id FROM public.appointments a WHERE a.id = first
        UNION
        SELECT a.id FROM public.appointments a JOIN later ON a.rescheduled_from_id = later.id)
    SELECT array_agg(later.id) INTO chain FROM later;
    PERFORM FROM public.payments p WHERE p.appointment_id = ANY (chain)
    ORDER BY p.id FOR NO KEY UPDATE;
    SELECT min(a.price_amount) INTO price FROM public.appointments a WHERE a.id = ANY (chain);
    SELECT coalesce(sum(p.amount), 0) - coalesce(sum(
        (SELECT sum(r.amount) FROM public.refunds r
         WHERE r.payment_id = p.id AND r.status <> 'failed')), 0)
    INTO held
    FROM public.payments p WHERE p.appointment_id = ANY (chain) AND p.status = 'succeeded';
    IF held + NEW.amount > price THEN
        {triggers.REFUSE}
    END IF;
    RETURN NEW;
END""",
        ),
        triggers.Rule(
            "payments_receipt_moves_forward",
            operation=pgtrigger.UpdateOf("receipt_status"),
            condition=f"coalesce({rank('NEW')}, 0) < {rank('OLD')}",
            message=gettext_noop("The status of a tax receipt only moves forward"),
            column="receipt_status",
            broken=lambda row: moves_receipt_back(row),
        ),
    ]


RECEIPT_ORDER = ["pending", "canceled", "succeeded"]


def rank(row: str) -> str:
    """SQL: the place of the receipt status of ``row`` in the order of the rule, from 1."""
    members = ", ".join(map(triggers.literal, RECEIPT_ORDER))
    return f"array_position(ARRAY[{members}], {row}.receipt_status)"


def exceeds_price(row: Any) -> bool:
    """Whether a new manual payment makes the money of its chain exceed the price."""
    appointments = Appointment._base_manager
    agreed = appointments.filter(pk=row.appointment_id).first()
    if not row._state.adding or row.provider != "manual" or agreed is None or row.amount is None:
        return False
    chain: set[Any] = {agreed.pk}
    before = agreed.rescheduled_from
    while before is not None and before.pk not in chain:
        chain.add(before.pk)
        before = before.rescheduled_from
    while more := set(
        appointments.filter(rescheduled_from__in=chain)
        .exclude(pk__in=chain)
        .values_list("pk", flat=True)
    ):
        chain |= more
    held = sum(
        type(row)
        ._default_manager.filter(appointment__in=chain, status="succeeded")
        .with_balance()
        .values_list("balance", flat=True)
    )
    prices = appointments.filter(pk__in=chain).values_list("price_amount", flat=True)
    return held + row.amount > min(prices)


def moves_receipt_back(row: Any) -> bool:
    old = (triggers.stored(row, "receipt_status") or {}).get("receipt_status")
    ranks = {status: number for number, status in enumerate([None, *RECEIPT_ORDER])}
    return ranks.get(row.receipt_status, 0) < ranks[old]
