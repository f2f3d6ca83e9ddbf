"""Refunds of canceled sessions."""

from __future__ import annotations

from datetime import datetime, timedelta

from audit.models import OutboxEvent
from audit.services import publish_event

from ..models import Appointment, Payment, Service
from .chains import Chain


def calculate_refund(row: Appointment, chain: Chain, canceled_at: datetime) -> int:
    """Whole roubles due back for a canceled session.

    Money above the price is not part of it: it was due back as soon as it arrived. An expired
    hold that was paid late gets nothing back if another appointment has replaced it.
    """
    if row.pk != chain.last.pk:
        return 0
    paid = min(chain.paid_amount(), row.price_amount)
    if row.outcome == "canceled_by_client":
        service = Service.objects.get(pk=row.service_id)
        return apply_refund_policy(
            service, paid=paid, start=row.start_at_utc, canceled_at=canceled_at
        )
    return paid


def apply_refund_policy(
    service: Service, *, paid: int, start: datetime, canceled_at: datetime
) -> int:
    """Whole roubles due back when the client cancels (states.md).

    All of ``paid`` at cancel_free_hours or more before the start, half (rounded up) at
    cancel_partial_hours or more, else nothing. A limit that is not set grants nothing.
    """
    left = start - canceled_at
    if service.cancel_free_hours is not None and left >= hours(service.cancel_free_hours):
        return paid
    if service.cancel_partial_hours is not None and left >= hours(service.cancel_partial_hours):
        return (paid + 1) // 2
    return 0


def hours(number: int) -> timedelta:
    """A duration that a timedelta can hold, whatever the number."""
    return timedelta(hours=min(number, 1_000_000))


def publish_refunds(chain: Chain, amount: int) -> None:
    """Spread a refund over the payments of a session, the latest first."""
    for payment in chain.payments.filter(status="succeeded").order_by("-confirmed_at", "-pk"):
        share = min(amount, payment.amount)
        if share > 0:
            publish_refund_due(payment, share, "canceled")
        amount -= share


def publish_refund_due(payment: Payment, amount: int, reason: str) -> None:
    """Publish that money of ``payment`` must be given back, whole roubles.

    ``reason``: canceled, time_gone (the time was lost before the money arrived), overpaid,
    duplicate, or already_over (the payment had been closed before).
    """
    publish_event(
        "refund_due",
        payment,
        amount=amount,
        currency=payment.currency,
        reason=reason,
        appointment_id=payment.appointment_id,
    )


def find_published_refund(appointment: Appointment) -> int | None:
    """The refund that a cancellation has published, whole roubles, while the event is stored."""
    events = OutboxEvent.objects.filter(
        aggregate_type=appointment._meta.db_table,
        aggregate_id=appointment.pk,
        event_type="appointment_canceled",
    )
    return events.values_list("payload__refund_amount", flat=True).first()
