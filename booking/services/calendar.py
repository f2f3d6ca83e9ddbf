"""Who has which time: holds that are in the way, the one INSERT that decides, and slots."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from django.contrib.postgres.fields import DateTimeRangeField
from django.db.models import F, Func, Q, QuerySet, Value

from audit.services import publish_event
from content.markdown import is_visible
from ebalance.db.encryption.payloads import UNSTORABLE
from ebalance.services import InvalidInput, get_or_refuse, lock_rows, to_utc

from ..errors import SlotTaken, SlotUnsuitable
from ..models.schedule import AvailabilitySlot
from ..models.services import Service
from ..models.times import BLOCKING

if TYPE_CHECKING:
    from ..models import Appointment

LATEST = datetime(9999, 1, 1, tzinfo=UTC)  # near the end of times the database takes none


@dataclass(frozen=True)
class Time:
    """A time to be taken: of a slot, or free-standing. ``end`` is without the break."""

    start: datetime
    end: datetime
    buffer_minutes: int
    slot_id: UUID | None = None

    @classmethod
    def of(cls, appointment: Appointment) -> Time:
        return cls(
            appointment.start_at_utc,
            appointment.end_at_utc,
            appointment.buffer_minutes,
            appointment.slot_id,
        )


class BusyRange(Func):
    function = "busy_range"
    output_field = DateTimeRangeField()


def choose_time(
    service: Service, *, slot: AvailabilitySlot | UUID | str | None, start: datetime | None
) -> Time:
    """The time that a caller asks for by slot or by start, as long as the service takes.

    A start takes the free slot that begins then, if there is one. Raises SlotTaken for what is
    blocked, SlotUnsuitable, InvalidInput unless exactly one of both is given.
    """
    if (slot is None) == (start is None):
        raise InvalidInput(field="slot")
    length = timedelta(minutes=service.duration_minutes)
    if start is not None:
        start = to_utc(start, "start")
        if start > LATEST:
            raise InvalidInput(field="start")
        chosen = free_slots(service, start, start + length).first()
        if chosen is None:
            return Time(start, start + length, 0)
    else:
        chosen = get_or_refuse(AvailabilitySlot.objects.all(), slot)
    end = chosen.start_at_utc + length
    if chosen.service_id not in (None, service.pk) or end > chosen.end_at_utc:
        raise SlotUnsuitable(slot=chosen.pk)
    if chosen.status == AvailabilitySlot.Status.BLOCKED:
        raise SlotTaken(slot=chosen.pk)
    return Time(chosen.start_at_utc, end, chosen.buffer_minutes, chosen.pk)


def free_slots(service: Service, start: datetime, end: datetime) -> QuerySet[AvailabilitySlot]:
    """Free slots that begin at ``start`` and are long enough, the service's own first."""
    return AvailabilitySlot.objects.filter(
        Q(service=service) | Q(service=None),
        status=AvailabilitySlot.Status.AVAILABLE,
        start_at_utc=start,
        end_at_utc__gte=end,
    ).order_by(F("service").asc(nulls_last=True), "pk")


def is_blocked(time: Time) -> bool:
    """Whether staff or their calendar have blocked some of this time."""
    return AvailabilitySlot.objects.filter(
        status=AvailabilitySlot.Status.BLOCKED,
        start_at_utc__lt=time.end,
        # The index goes by the start; a slot lasts at most 12 hours.
        start_at_utc__gt=time.start - timedelta(hours=12),
        end_at_utc__gt=time.start,
    ).exists()


def without_lost_slot(time: Time) -> Time:
    """The same time; without its slot, if staff have moved that elsewhere meanwhile."""
    there = AvailabilitySlot.objects.filter(
        pk=time.slot_id, start_at_utc=time.start, end_at_utc__gte=time.end
    )
    return time if time.slot_id is None or there.exists() else replace(time, slot_id=None)


def keeping(appointments: QuerySet[Appointment], time: Time) -> QuerySet[Appointment]:
    """The appointments that keep some of ``time``, or its slot."""
    overlapping = Q(
        busy__overlap=BusyRange(Value(time.start), Value(time.end), Value(time.buffer_minutes))
    )
    if time.slot_id is not None:
        overlapping |= Q(slot=time.slot_id)
    return appointments.alias(
        busy=BusyRange("start_at_utc", "end_at_utc", "buffer_minutes")
    ).filter(overlapping, status__in=BLOCKING)


def is_stale(appointment: Appointment, now: datetime) -> bool:
    """Whether this is a hold that ran out, though nobody has swept it yet."""
    return appointment.status == "pending_payment" and appointment.hold_expires_at <= now


def stale_holds(
    appointments: QuerySet[Appointment], now: datetime, limit: int | None = None
) -> list[Appointment]:
    """Holds that ran out, locked. One that is being paid or swept at this moment is left alone."""
    return list(
        appointments.filter(status="pending_payment", hold_expires_at__lte=now)
        .order_by("hold_expires_at")
        .select_for_update(skip_locked=True, no_key=True, of=("self",))[:limit]
    )


def expire(appointments: QuerySet[Appointment], holds: list[Appointment], now: datetime) -> None:
    """Cancel locked holds. Their slots are the caller's to free, at the end."""
    if not holds:
        return
    appointments.filter(pk__in=[hold.pk for hold in holds]).update(
        status="canceled", canceled_at=now
    )
    for hold in holds:
        publish_event("hold_expired", hold, service_id=hold.service_id)


def place(appointments: QuerySet[Appointment], row: Appointment, now: datetime) -> Appointment:
    """INSERT ``row`` if its time is free, and reserve its slot; holds that ran out give way.

    Returns the row, or the earlier one of the same client_request_id. Raises SlotTaken; the
    caller's transaction is then to be rolled back.

    The constraint decides, not the looking before: an INSERT … ON CONFLICT DO NOTHING waits for
    whoever is taking or leaving the time, and cannot deadlock as a plain INSERT under an exclusion
    constraint does (docs/decisions/no-overlap.md).
    """
    time = Time.of(row)
    given_up = stale_holds(keeping(appointments, time), now)
    expire(appointments, given_up, now)
    appointments.bulk_create([row], ignore_conflicts=True)
    # Every unique rule is swallowed by that: read again what is there now.
    same = Q(pk=row.pk)
    if row.client_request_id is not None:
        same |= Q(client_request_id=row.client_request_id)
    placed = appointments.filter(same).first()
    if placed is None:
        raise SlotTaken(start=time.start)
    hand_over(
        freed=[hold.slot_id for hold in given_up],
        taken=time.slot_id if placed.pk == row.pk else None,
    )
    return placed


def hand_over(*, freed: Iterable[UUID | None], taken: UUID | None = None) -> None:
    """Free slots and reserve one, in the order of their keys. Raises SlotTaken.

    Verbs do this after they have waited for appointments, never before.
    """
    free = {key for key in freed if key is not None}
    wanted = free if taken is None else free | {taken}
    if not wanted:
        return
    slots = AvailabilitySlot.objects.filter(pk__in=wanted)
    status = {slot.pk: slot.status for slot in lock_rows(slots)}
    slots.filter(pk__in=free - {taken}, status="reserved").update(status="available")
    if taken is not None and not (taken in free and status.get(taken) == "reserved"):
        if status.get(taken) != "available":
            raise SlotTaken(slot=taken)
        slots.filter(pk=taken).update(status="reserved")


def request_key(value: object) -> str:
    """The caller's idempotency key. Raises InvalidInput for none, a blank or an endless one."""
    return given_text(value, "client_request_id")


def given_text(value: object, field: str) -> str:
    """``value``, if a text column can hold it: 1 to 200 characters, not blank.

    Raises InvalidInput.
    """
    if (
        not isinstance(value, str)
        or not is_visible(value)
        or len(value) > 200
        or UNSTORABLE.search(value)
    ):
        raise InvalidInput(field=field)
    return value
