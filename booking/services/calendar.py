"""Free times, and the one INSERT that takes a time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.contrib.postgres.fields import DateTimeRangeField
from django.db.models import F, Func, Q, QuerySet, Value

from ebalance.services import InvalidInput, RowOrKey, get_or_refuse, to_utc

from ..errors import SlotTaken, SlotUnsuitable
from ..models import Appointment, AvailabilitySlot, Service
from ..models.times import BLOCKING
from .holds import cancel_expired_holds, is_expired_hold, lock_expired_holds
from .slots import release_and_reserve_slots

LATEST_START = datetime(9999, 1, 1, tzinfo=UTC)  # the database stores no end after year 9999
MAX_SLOT_LENGTH = timedelta(hours=12)


@dataclass(frozen=True)
class SessionTime:
    """The time of a session, of a slot or free-standing. ``end`` is without the break."""

    start: datetime
    end: datetime
    buffer_minutes: int
    slot_id: UUID | None = None

    @classmethod
    def of(cls, appointment: Appointment) -> SessionTime:
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
    service: Service, *, slot: RowOrKey[AvailabilitySlot] | None, start: datetime | None
) -> SessionTime:
    """The time that a caller asks for by slot or by start, as long as the service takes.

    A start takes the available slot that begins then, if there is one. Raises SlotTaken for a
    blocked slot, SlotUnsuitable, NotFound, and InvalidInput unless exactly one of both is given.
    """
    if (slot is None) == (start is None):
        raise InvalidInput(field="slot")
    length = timedelta(minutes=service.duration_minutes)
    chosen: AvailabilitySlot | None
    if start is not None:
        start = to_utc(start, "start")
        if start > LATEST_START:
            raise InvalidInput(field="start")
        chosen = find_available_slots(service, start, start + length).first()
        if chosen is None:
            return SessionTime(start, start + length, 0)
    else:
        assert slot is not None
        chosen = get_or_refuse(AvailabilitySlot.objects.all(), slot)
    end = chosen.start_at_utc + length
    if chosen.service_id not in (None, service.pk) or end > chosen.end_at_utc:
        raise SlotUnsuitable(slot=chosen.pk)
    if chosen.status == AvailabilitySlot.Status.BLOCKED:
        raise SlotTaken(slot=chosen.pk)
    return SessionTime(chosen.start_at_utc, end, chosen.buffer_minutes, chosen.pk)


def find_available_slots(
    service: Service, start: datetime, end: datetime
) -> QuerySet[AvailabilitySlot]:
    """Available slots from ``start`` until ``end`` or longer, the service's own first."""
    return AvailabilitySlot.objects.filter(
        Q(service=service) | Q(service=None),
        status=AvailabilitySlot.Status.AVAILABLE,
        start_at_utc=start,
        end_at_utc__gte=end,
    ).order_by(F("service").asc(nulls_last=True), "pk")


def is_blocked(time: SessionTime) -> bool:
    """Whether staff or their calendar have blocked some of this time."""
    return AvailabilitySlot.objects.filter(
        status=AvailabilitySlot.Status.BLOCKED,
        start_at_utc__lt=time.end,
        start_at_utc__gt=time.start - MAX_SLOT_LENGTH,  # the index is by start
        end_at_utc__gt=time.start,
    ).exists()


def is_taken(time: SessionTime, now: datetime, *, besides: Appointment | None = None) -> bool:
    """Whether the time is blocked, or an appointment other than ``besides`` keeps some of it.

    Expired holds do not count.
    """
    others = find_overlapping(Appointment.objects.all(), time)
    if besides is not None:
        others = others.exclude(pk=besides.pk)
    return any(not is_expired_hold(other, now) for other in others) or is_blocked(time)


def drop_moved_slot(time: SessionTime) -> SessionTime:
    """The same time, without its slot if staff have moved the slot meanwhile."""
    if time.slot_id is None:
        return time
    slots = AvailabilitySlot.objects.filter(
        pk=time.slot_id, start_at_utc=time.start, end_at_utc__gte=time.end
    )
    return time if slots.exists() else replace(time, slot_id=None)


def find_overlapping(
    appointments: QuerySet[Appointment], time: SessionTime
) -> QuerySet[Appointment]:
    """The appointments that keep some of ``time``, or its slot."""
    overlapping = Q(
        busy__overlap=BusyRange(Value(time.start), Value(time.end), Value(time.buffer_minutes))
    )
    if time.slot_id is not None:
        overlapping |= Q(slot=time.slot_id)
    return appointments.alias(
        busy=BusyRange("start_at_utc", "end_at_utc", "buffer_minutes")
    ).filter(overlapping, status__in=BLOCKING)


def insert_appointment(row: Appointment, now: datetime) -> Appointment:
    """INSERT ``row`` if its time is free, and reserve its slot. Cancels expired holds in the way.

    Returns the row, or the earlier one of the same client_request_id. Raises SlotTaken; the
    caller then rolls its transaction back.

    The constraint decides, not the query before it. INSERT … ON CONFLICT DO NOTHING waits for a
    transaction that is taking or leaving the time. It cannot deadlock as a plain INSERT under an
    exclusion constraint does (docs/adr/0005-no-overlap.md).
    """
    time = SessionTime.of(row)
    expired = lock_expired_holds(find_overlapping(Appointment.objects.all(), time), now)
    cancel_expired_holds(expired, now)
    Appointment.objects.bulk_create([row], ignore_conflicts=True)
    # ON CONFLICT DO NOTHING ignores a conflict of any unique rule: read what is stored now.
    same = Q(pk=row.pk)
    if row.client_request_id is not None:
        same |= Q(client_request_id=row.client_request_id)
    stored = Appointment.objects.filter(same).first()
    if stored is None:
        raise SlotTaken(start=time.start)
    release_and_reserve_slots(
        (hold.slot_id for hold in expired),
        reserved=time.slot_id if stored.pk == row.pk else None,
    )
    return stored
