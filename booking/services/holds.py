"""Holds: appointments that keep their time for a while, until they are paid."""

from __future__ import annotations

from datetime import datetime

from django.db.models import QuerySet
from django.utils import timezone

from audit.services import publish_event
from ebalance.services import Clock, transactional

from ..models import Appointment
from .refunds import give_back_for_lost_holds
from .slots import release_and_reserve_slots

BATCH_SIZE = 100  # holds per transaction of expire_holds


def expire_holds(*, clock: Clock = timezone.now) -> int:
    """Cancel every expired hold and release its slot. Returns the number of holds.

    Works in transactions of BATCH_SIZE holds. Skips a hold that another transaction has locked,
    for example a payment.
    """
    total = 0
    while expired := _expire_batch(clock=clock):
        total += expired
    return total


@transactional
def _expire_batch(*, clock: Clock) -> int:
    now = clock()
    holds = lock_expired_holds(Appointment.objects.all(), now, limit=BATCH_SIZE)
    cancel_expired_holds(holds, now)
    release_and_reserve_slots(hold.slot_id for hold in holds)
    return len(holds)


def is_expired_hold(appointment: Appointment, now: datetime) -> bool:
    """Whether this is a hold whose time to pay is over. It may not be canceled yet."""
    return (
        appointment.status == "pending_payment"
        and appointment.hold_expires_at is not None
        and appointment.hold_expires_at <= now
    )


def lock_expired_holds(
    appointments: QuerySet[Appointment], now: datetime, limit: int | None = None
) -> list[Appointment]:
    """Lock expired holds, the oldest first. Skips those that another transaction has locked."""
    return list(
        appointments.filter(status="pending_payment", hold_expires_at__lte=now)
        .order_by("hold_expires_at")
        .select_for_update(skip_locked=True, no_key=True, of=("self",))[:limit]
    )


def cancel_expired_holds(holds: list[Appointment], now: datetime) -> None:
    """Cancel locked holds. The caller releases their slots later: slots are locked last."""
    if not holds:
        return
    Appointment.objects.filter(pk__in=[hold.pk for hold in holds]).update(
        status="canceled", canceled_at=now
    )
    give_back_for_lost_holds(holds, now)
    for hold in holds:
        publish_event("hold_expired", hold, service_id=hold.service_id)
