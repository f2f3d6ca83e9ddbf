"""Holds: appointments that keep their time for a while, until they are paid."""

from __future__ import annotations

import logging
from datetime import datetime
from uuid import UUID

from django.db.models import QuerySet
from django.utils import timezone

from audit.services import publish_event
from ebalance.failures import Skipped, reason_of
from ebalance.services import Clock, transactional

from ..models import Appointment
from .refunds import give_back_for_lost_holds
from .slots import release_and_reserve_slots

logger = logging.getLogger(__name__)

BATCH_SIZE = 100  # holds per transaction of expire_holds


def expire_holds(*, clock: Clock = timezone.now, skipped: Skipped | None = None) -> int:
    """Cancel every expired hold and release its slot. Returns the number of holds.

    Works in transactions of BATCH_SIZE holds. Passes over a hold that another transaction has
    locked, for example a payment. If a batch cannot be written, each of its holds gets its own
    transaction; a hold that cannot be canceled is logged and added to ``skipped``.
    """
    skipped = {} if skipped is None else skipped
    total = 0
    while True:
        before = len(skipped)
        try:
            expired = _expire_batch(leave=[*skipped], clock=clock)
        except Exception as error:
            reason_of(error)  # raises the error of a lost connection
            expired = _expire_one_by_one(skipped, clock=clock)
        if not expired and len(skipped) == before:
            return total
        total += expired


def _expire_one_by_one(skipped: Skipped, *, clock: Clock) -> int:
    expired = 0
    holds = Appointment.objects.filter(status="pending_payment", hold_expires_at__lte=clock())
    oldest = holds.exclude(pk__in=[*skipped]).order_by("hold_expires_at")
    for key in oldest.values_list("pk", flat=True)[:BATCH_SIZE]:
        try:
            expired += _expire_batch(only=[key], clock=clock)
        except Exception as error:
            skipped[key] = reason_of(error)
            logger.error("hold %s was not canceled: %s", key, skipped[key])
    return expired


@transactional
def _expire_batch(
    *, only: list[UUID] | None = None, leave: list[UUID] | None = None, clock: Clock
) -> int:
    now = clock()
    rows = Appointment.objects.all() if only is None else Appointment.objects.filter(pk__in=only)
    holds = lock_expired_holds(rows.exclude(pk__in=leave or []), now, limit=BATCH_SIZE)
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
