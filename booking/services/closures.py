"""The times that exceptions close (docs/adr/0047-schedule-exceptions.md).

A time is closed if clocks in the zone of an exception show one of its hours at any instant of the
session, without the break. The database decides what is booked, as it does for bookable_slots
(``is_in_hours`` in SQL). Generation reads the clocks of Python, as for working hours.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db.models import BooleanField, F, Func, Q, QuerySet, Value

from ..errors import RuleZoneUnknown
from ..models import ScheduleException
from .offers import get_zone

DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
# Local days begin at most 14 hours before those of UTC, and end at most 12 hours after them.
EARLIEST, LATEST = timedelta(hours=14), timedelta(hours=12)


class IsInHours(Func):
    function = "public.is_in_hours"
    output_field = BooleanField()


def find_closures(
    service_id: UUID | None, start: datetime, end: datetime
) -> QuerySet[ScheduleException]:
    """The exceptions that close some of the time from ``start`` to ``end`` for the service."""
    return ScheduleException.objects.filter(
        Q(service=service_id) | Q(service=None),
        IsInHours(
            *map(F, ("starts_on", "ends_on", "timezone", "start_local", "end_local")),
            Value(start),
            Value(end),
        ),
        kind=ScheduleException.Kind.CLOSED,
        starts_on__lte=to_utc_day(end) + DAY,
        ends_on__gte=to_utc_day(start) - DAY,
    )


def is_closed(service_id: UUID | None, start: datetime, end: datetime) -> bool:
    return find_closures(service_id, start, end).exists()


def find_exceptions(first: date, last: date) -> QuerySet[ScheduleException]:
    """The exceptions that have a day from ``first`` to ``last``."""
    return ScheduleException.objects.filter(starts_on__lte=last, ends_on__gte=first)


def is_closed_by(
    closed: list[ScheduleException], service_id: UUID | None, start: datetime, end: datetime
) -> bool:
    """Whether one of the exceptions ``closed`` closes some of the time for the service."""
    return any(
        each.service_id in (None, service_id) and is_in_hours(each, start, end) for each in closed
    )


def is_in_hours(exception: ScheduleException, start: datetime, end: datetime) -> bool:
    """Whether clocks show an hour of the exception at any instant from ``start`` to ``end``.

    In a zone that Python does not know, its days last from their earliest start in any zone to
    their latest end.
    """
    first, last = exception.starts_on, exception.ends_on
    if to_utc_day(end) + DAY < first or to_utc_day(start) - DAY > last:
        return False
    try:
        zone = get_zone(exception)
    except RuleZoneUnknown:
        return (
            end > midnight(first).replace(tzinfo=UTC) - EARLIEST
            and start < midnight(last + DAY).replace(tzinfo=UTC) + LATEST
        )
    return any(
        local_start < window_end and local_end > window_start
        for local_start, local_end in list_local_times(start, end, zone)
        for window_start, window_end in list_windows(exception, local_start, local_end)
    )


def list_local_times(
    start: datetime, end: datetime, zone: ZoneInfo
) -> Iterator[tuple[datetime, datetime]]:
    """The wall times from ``start`` to ``end``: two parts if clocks change between them.

    Clocks change at whole minutes of UTC, and not twice during a session.
    """
    local = start.astimezone(zone)
    change = end
    if end.astimezone(zone).utcoffset() != local.utcoffset():
        change = start.replace(second=0, microsecond=0) + MINUTE
        while change < end and change.astimezone(zone).utcoffset() == local.utcoffset():
            change += MINUTE
        change = min(change, end)
    yield local.replace(tzinfo=None), local.replace(tzinfo=None) + (change - start)
    if change < end:
        local = change.astimezone(zone).replace(tzinfo=None)
        yield local, local + (end - change)


def list_windows(
    exception: ScheduleException, start: datetime, end: datetime
) -> Iterator[tuple[datetime, datetime]]:
    """The hours of the exception on the days from ``start`` to ``end``, in wall time."""
    if exception.start_local is None or exception.end_local is None:
        yield midnight(exception.starts_on), midnight(exception.ends_on + DAY)
        return
    day, last = max(exception.starts_on, start.date()), min(exception.ends_on, end.date())
    while day <= last:
        yield (
            datetime.combine(day, exception.start_local),
            datetime.combine(day, exception.end_local),
        )
        day += DAY


def midnight(day: date) -> datetime:
    return datetime.combine(day, time())


def to_utc_day(time: datetime) -> date:
    return time.astimezone(UTC).date()
