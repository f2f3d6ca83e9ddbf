"""The sessions of a person who is erased: those that stop an erasure, and how to cancel them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import models
from django.utils import timezone

from booking.models import Appointment, AvailabilitySlot, MessageDelivery, Payment
from booking.models.times import BLOCKING
from booking.services import cancel_appointment
from ebalance.services import Clock, lock_rows
from identity.errors import UpcomingAppointments
from identity.models import User

from ..rows import PersonalRows


@dataclass(frozen=True)
class CanceledSession:
    """A session that was canceled because its client is erased. ``refund_amount``: roubles."""

    appointment: UUID
    start: datetime
    refund_amount: int | None  # None: canceled without a refund and without notifications


def sessions_ahead(user_id: UUID, *, clock: Clock = timezone.now) -> list[Appointment]:
    """The sessions that would stop an erasure now, the next one first."""
    rows = PersonalRows(user_id, is_erasure=True).of("appointments")
    sessions, _holds = sort_out(rows, clock())
    return sorted(sessions, key=lambda row: row.start_at_utc)


def sort_out(
    appointments: Iterable[Appointment], now: datetime
) -> tuple[list[Appointment], list[Appointment]]:
    """The booked or being paid sessions ahead, and the holds without a pending payment.

    An expired hold with a pending payment counts as a session: a late payment would book the time
    again.
    """
    rows = list(appointments)
    being_paid = _being_paid(rows)
    sessions: list[Appointment] = []
    holds: list[Appointment] = []
    for row in rows:
        is_ahead, is_being_paid = row.start_at_utc > now, row.pk in being_paid
        match row.status:
            case "paid" | "confirmed" if is_ahead:
                sessions.append(row)
            case "pending_payment" if is_being_paid and row.end_at_utc > now:
                sessions.append(row)
            case "pending_payment":
                holds.append(row)
            case "canceled" if row.outcome is None and is_being_paid and is_ahead:
                sessions.append(row)
    return sessions, holds


def _being_paid(rows: list[Appointment]) -> set[UUID]:
    """The appointments with a pending payment; a payment belongs to the first row of a chain."""
    by_key = {row.pk: row for row in rows}
    first = {}
    for row in rows:
        at = row
        while at.rescheduled_from_id in by_key:
            at = by_key[at.rescheduled_from_id]
        first[row.pk] = at.pk
    pending = Payment.objects.filter(status="pending", appointment__in=by_key)
    paying = set(pending.values_list("appointment", flat=True))
    return {key for key, first_key in first.items() if first_key in paying}


def cancel_sessions(
    locked: list[Appointment],
    *,
    is_forced: bool,
    is_repeated: bool,
    staff: User | None,
    clock: Clock,
) -> list[CanceledSession]:
    """Cancel the sessions ahead, as the client would, and the holds.

    ``staff`` is the actor, if it is not the person. ``is_repeated``: after a restore no
    notification is sent and no refund is promised, since the first erasure did both. Raises
    UpcomingAppointments if there are sessions, unless ``is_forced``.
    """
    now = clock()
    sessions, holds = sort_out(locked, now)
    if sessions and not is_forced:
        raise UpcomingAppointments(
            appointments=[row.pk for row in sessions],
            starts=[row.start_at_utc for row in sessions],
        )
    # Otherwise the cancellation would end them, and hide the reason.
    suppress_messages(MessageDelivery.objects.filter(appointment__in=[row.pk for row in locked]))
    if is_repeated:
        return _cancel_silently([*sessions, *holds], now)
    canceled = []
    for row in sorted([*sessions, *holds], key=lambda row: row.pk):
        if row.status == "canceled":
            _give_up([row], now)
            refund = 0
        else:
            refund = cancel_appointment(
                row, by="client", actor=staff, clock=lambda: now
            ).refund_amount
        canceled.append(CanceledSession(row.pk, row.start_at_utc, refund))
    return canceled


def suppress_messages(rows: models.QuerySet[MessageDelivery]) -> None:
    """A message that is being sent may still arrive; its row loses its links like all others."""
    keys = list(rows.filter(status="scheduled").values_list("pk", flat=True))
    waiting = MessageDelivery.objects.filter(pk__in=keys, status="scheduled")
    waiting.update(status="suppressed", suppressed_reason="erased")


def _cancel_silently(rows: list[Appointment], now: datetime) -> list[CanceledSession]:
    blocking = [row for row in rows if row.status in BLOCKING]
    Appointment.objects.filter(pk__in=[row.pk for row in blocking]).update(
        status="canceled", canceled_at=now, **_outcome(now)
    )
    _give_up([row for row in rows if row.status == "canceled"], now)
    slots = AvailabilitySlot.objects.filter(
        pk__in={row.slot_id for row in blocking if row.slot_id is not None}
    )
    lock_rows(slots)
    slots.filter(status="reserved").update(status="available")
    return [CanceledSession(row.pk, row.start_at_utc, None) for row in rows]


def _give_up(rows: list[Appointment], now: datetime) -> None:
    """Set the outcome of expired holds, so that a late payment does not book the time again."""
    Appointment.objects.filter(pk__in=[row.pk for row in rows]).update(**_outcome(now))


def _outcome(now: datetime) -> dict[str, Any]:
    return {
        "outcome": "canceled_by_client",
        "outcome_recorded_at": now,
        "outcome_recorded_by_role": "system",
    }
