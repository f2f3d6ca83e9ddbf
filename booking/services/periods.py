"""Closed periods and extra hours (states.md, "Staff (1.1)").

Each service takes effect at once: it makes and withdraws the slots of its period in the same
transaction. Generations and these services run one at a time, and no appointment changes while a
period is closed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfoNotFoundError

from django.db import connection
from django.db.models import F, Q, Value
from django.utils import timezone as django_timezone

from ebalance.db import lengths, zones
from ebalance.services import (
    Clock,
    InvalidInput,
    RowOrKey,
    get_or_refuse,
    lock_or_refuse,
    require_change,
    transactional,
)
from identity.models import User

from ..errors import HoursInvalid, ZoneUnknown
from ..models import Appointment, ScheduleException, Service
from ..models.times import BLOCKING
from .closures import IsInHours, midnight
from .holds import is_expired_hold
from .offers import YEARS, check_period
from .schedule import MARGIN, GeneratedSlots, lock_generation, make_slots

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Period:
    """A closed or an open period, and the slots that were changed for it.

    ``booked``: the sessions that were booked before in a closed period, by start. They stay as they
    are: staff move or cancel them.
    """

    exception: ScheduleException
    slots: GeneratedSlots
    booked: tuple[Appointment, ...] = ()


@transactional
def close_period(
    first: date,
    last: date,
    *,
    timezone: str,
    start_local: time | None = None,
    end_local: time | None = None,
    service: RowOrKey[Service] | None = None,
    note: str | None = None,
    actor: User | None = None,
    clock: Clock = django_timezone.now,
) -> Period:
    """Offer nothing from ``first`` to ``last``: whole days, or the hours of each day.

    Days and hours are those of ``timezone``, both days included, at most 366. ``service``: only
    this one; None: all. Free slots that were generated are withdrawn. Other free slots stay, and
    nobody can book them. ``actor`` None is the system. The same period again returns the first
    exception, with its first note.

    Raises PeriodInvalid, HoursInvalid, ZoneUnknown, InvalidInput, NotPermitted, NotFound.
    """
    values = parse_period(first, last, timezone, start_local, end_local, service, note)
    require_change(actor, ScheduleException)
    lock_generation()
    lock_appointments()
    exception = get_or_create_exception("closed", values, actor)
    slots = make_slots_within(exception, clock=clock)
    return Period(exception, slots, find_booked(exception, clock()))


@transactional
def open_period(
    first: date,
    last: date,
    *,
    timezone: str,
    start_local: time,
    end_local: time,
    service: RowOrKey[Service] | None = None,
    note: str | None = None,
    actor: User | None = None,
    clock: Clock = django_timezone.now,
) -> Period:
    """Offer extra hours on each day from ``first`` to ``last``.

    Arguments and repetition as for ``close_period``. Without ``service``, the sessions are for any
    service and as long as the longest published one. No break follows a session. A
    closed period has precedence; ``slots.closed`` is the number of offers that it takes away.

    Raises PeriodInvalid, HoursInvalid, ZoneUnknown, InvalidInput, NotPermitted, NotFound.
    """
    values = parse_period(first, last, timezone, start_local, end_local, service, note)
    if values["start_local"] is None:
        raise HoursInvalid(field="start_local")
    require_change(actor, ScheduleException)
    lock_generation()
    exception = get_or_create_exception("open", values, actor)
    return Period(exception, make_slots_within(exception, clock=clock))


@transactional
def remove_exception(
    exception: RowOrKey[ScheduleException],
    *,
    actor: User | None = None,
    clock: Clock = django_timezone.now,
) -> GeneratedSlots:
    """Delete an exception: a closed period is offered again, the free extra hours are withdrawn.

    Schedule rules make no slot after the last one that they have made before: those days are not
    opened yet. ``actor`` None is the system. Raises NotPermitted; NotFound, also for an exception
    that was removed already.
    """
    require_change(actor, ScheduleException)
    lock_generation()
    row = lock_or_refuse(ScheduleException.objects.all(), exception)
    ScheduleException.objects.filter(pk=row.pk).delete()
    return make_slots_within(row, clock=clock)


# -- steps ----------------------------------------------------------------------------------------


def parse_period(
    first: date,
    last: date,
    timezone: str,
    start_local: time | None,
    end_local: time | None,
    service: RowOrKey[Service] | None,
    note: str | None,
) -> dict[str, object]:
    """The columns of an exception. Raises as ``close_period``."""
    check_period(first, last)
    hours = (start_local, end_local)
    if hours != (None, None):
        for name, value in zip(("start_local", "end_local"), hours, strict=True):
            if not isinstance(value, time) or value.tzinfo is not None:
                raise HoursInvalid(field=name)
        if start_local >= end_local:  # type: ignore[operator]
            raise HoursInvalid(field="end_local")
    zone = zones.find_zone(timezone)
    try:
        zones.get_zone_info(zone or "")
    except ZoneInfoNotFoundError:
        raise ZoneUnknown(field="timezone") from None
    if note is not None and (not isinstance(note, str) or len(note) > lengths.NOTE):
        raise InvalidInput(field="note")
    return {
        "starts_on": first,
        "ends_on": last,
        "timezone": zone,
        "start_local": start_local,
        "end_local": end_local,
        "service_id": None if service is None else get_or_refuse(Service.objects.all(), service).pk,
        "note": note,
    }


def get_or_create_exception(
    kind: str, values: dict[str, object], actor: User | None
) -> ScheduleException:
    """The first exception with these values but the note, or a new one. Under the lock."""
    same = {name: value for name, value in values.items() if name != "note"}
    stored = ScheduleException.objects.filter(kind=kind, **same).order_by("pk").first()
    if stored is not None:
        return stored
    return ScheduleException.objects.create(kind=kind, created_by=actor, **values)


def make_slots_within(exception: ScheduleException, *, clock: Clock) -> GeneratedSlots:
    # Years in which local times have a time in UTC, with room for MARGIN.
    earliest, latest = date(YEARS.start + 1, 1, 1), date(YEARS.stop - 2, 12, 31)
    first = max(earliest, min(exception.starts_on, latest)) - MARGIN
    last = min(latest, max(exception.ends_on, earliest)) + MARGIN
    return make_slots(first, last, within=[exception], clock=clock)


def lock_appointments() -> None:
    """Wait for the services that change appointments, and let none start until the end.

    A service locks its appointments or inserts one, and then asks whether the time is closed. So it
    either sees the new exception, or is committed before the sessions of the period are listed.
    """
    with connection.cursor() as cursor:
        cursor.execute("LOCK TABLE appointments IN EXCLUSIVE MODE")


def find_booked(exception: ScheduleException, now: datetime) -> tuple[Appointment, ...]:
    """The sessions in the hours of the exception that are not over, by start.

    An expired hold keeps no time.
    """
    hours = ("starts_on", "ends_on", "timezone", "start_local", "end_local")
    get_field: Callable[[str], Any] = exception._meta.get_field
    in_hours = IsInHours(
        *(Value(getattr(exception, name), get_field(name)) for name in hours),
        F("start_at_utc"),
        F("end_at_utc"),
    )
    of_service = Q() if exception.service_id is None else Q(service=exception.service_id)
    rows = Appointment.objects.filter(
        of_service, in_hours, status__in=BLOCKING, end_at_utc__gt=now, **starts_near(exception)
    )
    return tuple(row for row in rows.order_by("start_at_utc") if not is_expired_hold(row, now))


def starts_near(exception: ScheduleException) -> dict[str, datetime]:
    """Lookups of the starts, for the index, that sessions in the period may have."""
    return {
        "start_at_utc__gt": midnight(exception.starts_on).replace(tzinfo=UTC) - MARGIN,
        "start_at_utc__lt": midnight(exception.ends_on).replace(tzinfo=UTC) + DAY + MARGIN,
    }
