"""The effects of a decided payment on its appointment."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from audit.services import publish_event
from ebalance.db import zones
from ebalance.services import Clock

from ..errors import SlotTaken, TimeNotOffered
from ..models import Appointment, Payment
from .appointments import build_successor, confirm_locked_appointment
from .calendar import SessionTime, get_agreed_time, insert_appointment, is_blocked
from .chains import Chain
from .closures import find_closures
from .events import publish_appointment_event, track_appointment, track_paid
from .holds import cancel_expired_holds, is_expired_hold
from .refunds import give_back
from .slots import release_and_reserve_slots


def record_success(payment: Payment, chain: Chain, *, clock: Clock) -> str | None:
    """Record that the amount of a locked payment has arrived, and confirm its appointment.

    If the time of the appointment is lost, the money is due back. Money that was given back before
    confirms nothing: the hold waits for the rest. Returns the last_error to store with the
    delivery, if any.
    """
    if payment.status == "succeeded":
        return None
    if payment.status != "pending":
        # A closed payment is final: no session belongs to this money.
        give_back(payment, "already_over", at=clock())
        return "out_of_order"
    if chain.payments.filter(
        appointment=payment.appointment_id,
        provider=payment.provider,
        purpose=payment.purpose,
        status="succeeded",
    ).exists():
        # A second payment for one purpose. start_payment() never opens one.
        close_payment(payment, "canceled", "unknown", clock=clock)
        give_back(payment, "duplicate", at=clock())
        return None
    payment.status, payment.confirmed_at = "succeeded", clock()
    payment.save(update_fields=["status", "confirmed_at"])
    publish_success(payment)
    if is_waiting_for_money(chain, clock()):
        return None
    row = get_paid_appointment(chain, clock=clock)
    if row is None:
        give_back(payment, "time_gone", at=clock())
        return None
    conclude_payment(payment, row, chain, clock=clock)
    if (overpaid := chain.balance() - row.price_amount) > 0:
        give_back(payment, "overpaid", at=clock(), at_most=overpaid)
    return None


def publish_success(payment: Payment) -> None:
    publish_event(
        "payment_succeeded",
        payment,
        amount=payment.amount,
        currency=payment.currency,
        purpose=payment.purpose,
        appointment_id=payment.appointment_id,
    )


def conclude_payment(payment: Payment, row: Appointment, chain: Chain, *, clock: Clock) -> None:
    """Track that ``row`` is paid, and confirm it unless it is confirmed already."""
    track_paid(payment, row, clock=clock)
    if row.status == "paid":
        confirm_locked_appointment(row, chain, clock=clock)


def is_waiting_for_money(chain: Chain, now: datetime) -> bool:
    """Whether the session is a hold that has its time, but not yet its money."""
    row = chain.last
    return row.status == "pending_payment" and can_be_paid(row, now) and not chain.is_paid


def get_paid_appointment(chain: Chain, *, clock: Clock) -> Appointment | None:
    """The appointment that the money of the chain pays for, or None if its time is lost.

    Marks a hold as paid. An expired hold keeps its time until someone else takes it. If the hold
    was canceled already, its time is booked again by a new row, provided that it is free.
    """
    row, now = chain.last, clock()
    if row.status == "pending_payment":
        if not can_be_paid(row, now):
            # Canceled at once: a later payment or cancellation must not give this money back again.
            cancel_expired_holds([row], now)
            release_and_reserve_slots([row.slot_id])
            return None
        mark_paid(row)
    elif row.status == "canceled" and row.outcome is None and row.start_at_utc > now:
        return book_expired_hold_again(row, now) if chain.is_paid else None
    return row if row.status in ("paid", "confirmed", "completed") else None


def can_be_paid(hold: Appointment, now: datetime) -> bool:
    """Whether a hold still has its time. An expired one is judged as if it were canceled.

    A hold of staff may last longer than its session.
    """
    if is_expired_hold(hold, now):
        return (
            hold.start_at_utc > now and not is_blocked(SessionTime.of(hold)) and not is_lost(hold)
        )
    return True


def is_lost(hold: Appointment) -> bool:
    """Whether the period is closed. Staff may choose a closed time: it has no slot."""
    closures = find_closures(hold.service_id, hold.start_at_utc, hold.end_at_utc)
    if hold.slot_id is None:
        closures = closures.filter(created_at__gt=hold.created_at)
    return closures.exists()


def mark_paid(row: Appointment) -> None:
    row.status = "paid"
    row.save(update_fields=["status"])
    publish_appointment_event("appointment_paid", row)


def book_expired_hold_again(row: Appointment, now: datetime) -> Appointment | None:
    """Replace a canceled hold by a paid row at the same time. None if the time is taken."""
    time = get_agreed_time(row)
    if is_blocked(time) or is_lost(row):
        return None
    successor = build_successor(row, time, timezone=zones.renew_name(row.timezone))
    successor.hold_expires_at = now
    try:
        with transaction.atomic():
            stored = insert_appointment(successor, now)
    except (SlotTaken, TimeNotOffered):
        return None
    mark_paid(stored)
    return stored


def close_payment(payment: Payment, status: str, category: str, *, clock: Clock) -> None:
    """End a locked payment without success. Its appointment stays a hold that can be paid."""
    payment.status, payment.failure_category = status, category
    payment.save(update_fields=["status", "failure_category"])
    publish_event(
        "payment_failed",
        payment,
        failure_category=category,
        appointment_id=payment.appointment_id,
    )
    track_appointment(
        "payment_failed",
        payment.appointment,
        payment_provider=payment.provider,
        failure_category=category,
        clock=clock,
    )
