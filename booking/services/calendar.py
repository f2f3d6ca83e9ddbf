"""Free times, and the one INSERT that takes a time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.contrib.postgres.fields import DateTimeRangeField
from django.db.models import Case, Exists, F, Func, OuterRef, Q, QuerySet, Value, When

from ebalance.services import InvalidInput, RowOrKey, get_or_refuse, to_utc

from ..errors import SlotTaken, SlotUnsuitable, StartInPast, TimeNotOffered
from ..models import Appointment, AvailabilitySlot, Service
from ..models.times import BLOCKING
from .closures import find_closures, is_closed
from .holds import cancel_expired_holds, is_expired_hold, lock_expired_holds
from .slots import is_in_slot, release_and_reserve_slots

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
    service: Service,
    *,
    slot: RowOrKey[AvailabilitySlot] | None,
    start: datetime | None,
    now: datetime,
    override: bool = False,
    moved: Appointment | None = None,
) -> SessionTime:
    """The time that a caller asks for by slot or by start, as long as the service takes.

    A start lies in an offered slot; with ``override`` it may be any other time too. For ``moved``,
    the appointment to move, its own slot is offered too, and it keeps its break.

    Raises StartInPast; SlotTaken for a time that is blocked or kept by another appointment;
    TimeNotOffered; SlotUnsuitable, NotFound, and InvalidInput unless exactly one of both is given.
    """
    if (slot is None) == (start is None):
        raise InvalidInput(field="slot")
    length = timedelta(minutes=service.duration_minutes)
    own = None if moved is None else moved.slot_id
    chosen: AvailabilitySlot | None
    if start is not None:
        start = to_utc(start, "start")
        if start > LATEST_START:
            raise InvalidInput(field="start")
        if start <= now:
            raise StartInPast(start=start)
        chosen = find_offered_slots(service, start, start + length, now, own=own).first()
    else:
        assert slot is not None
        chosen = get_or_refuse(AvailabilitySlot.objects.all(), slot)
        start = chosen.start_at_utc
        if chosen.service_id not in (None, service.pk) or start + length > chosen.end_at_utc:
            raise SlotUnsuitable(slot=chosen.pk)
        if start <= now:
            raise StartInPast(start=start)
        if chosen.status == AvailabilitySlot.Status.BLOCKED:
            raise SlotTaken(slot=chosen.pk)
        if chosen.status == AvailabilitySlot.Status.WITHDRAWN or is_closed(
            service.pk, start, start + length
        ):
            raise TimeNotOffered(start=start)
    buffer = 0 if moved is None else moved.buffer_minutes
    if chosen is not None:
        return SessionTime(start, start + length, max(buffer, chosen.buffer_minutes), chosen.pk)
    time = SessionTime(start, start + length, buffer)
    if not override:
        if is_taken(time, now, besides=moved):
            raise SlotTaken(start=start)
        raise TimeNotOffered(start=start)
    return time


def find_offered_slots(
    service: Service, start: datetime, end: datetime, now: datetime, *, own: UUID | None = None
) -> QuerySet[AvailabilitySlot]:
    """Slots that are offered from ``start`` to ``end``: first ``own``, then the service's own.

    An expired hold does not keep its slot. None in a closed period.
    """
    expired = Appointment.objects.filter(
        slot=OuterRef("pk"), status="pending_payment", hold_expires_at__lte=now
    )
    return AvailabilitySlot.objects.filter(
        Q(status="available") | Q(Exists(expired), status="reserved") | Q(pk=own),
        Q(service=service) | Q(service=None),
        ~Exists(find_closures(service.pk, start, end)),
        start_at_utc__lte=start,
        start_at_utc__gt=start - MAX_SLOT_LENGTH,  # the index is by start
        end_at_utc__gte=end,
    ).order_by(
        Case(When(pk=own, then=0), default=1),
        F("service").asc(nulls_last=True),
        "start_at_utc",
        "pk",
    )


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


def get_agreed_time(row: Appointment) -> SessionTime:
    """The time of ``row``, without its slot if the slot was moved or withdrawn meanwhile."""
    time = SessionTime.of(row)
    if time.slot_id is None:
        return time
    slot = AvailabilitySlot.objects.exclude(status="withdrawn").filter(pk=time.slot_id).first()
    return time if slot and is_in_slot(row, slot) else replace(time, slot_id=None)


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


def insert_appointment(
    row: Appointment, now: datetime, *, released: UUID | None = None
) -> Appointment:
    """INSERT ``row`` if its time is free, and reserve its slot. Cancels expired holds in the way.

    Makes the slot ``released`` available, unless ``row`` takes it. Returns the row, or the earlier
    one of the same client_request_id. Raises SlotTaken, and TimeNotOffered if a slot is closed; the
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
    is_new = stored.pk == row.pk
    release_and_reserve_slots(
        [released, *(hold.slot_id for hold in expired)], reserved_by=stored if is_new else None
    )
    # Read again: staff or the calendar may have blocked the time while the INSERT waited.
    if is_new and is_blocked(time):
        raise SlotTaken(start=time.start)
    # After the INSERT, for which a concurrent close_period() waits, or is committed.
    if is_new and time.slot_id is not None and is_closed(row.service_id, time.start, time.end):
        raise TimeNotOffered(start=time.start)
    return stored
