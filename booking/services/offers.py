"""The times that working hours offer: days, local times and intervals, without a database.

- Rules are in local wall time, so local hours stay the same across clock changes. Sessions last
  in absolute time: 50 minutes are 50 minutes whatever clocks do meanwhile.
- The grid begins at start_local; its step is a session and the break after it.
- A start that clocks jump over makes no slot; of a repeated hour the first is used.
- Sessions end by the end of the working hours. An end that is repeated, or jumped over,
  is read as the earlier of its two readings.
- "biweekly" counts from the first such weekday on or after valid_from.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ebalance.db.zones import get_zone_info

from ..errors import PeriodInvalid, RuleZoneUnknown
from ..models import ScheduleException, ScheduleRule
from ..models.exceptions import LONGEST_PERIOD

YEARS = range(2, 9999)  # local times of other years may have no time in UTC

type Hours = ScheduleRule | ScheduleException
"""Working hours have a break after each session, extra hours have none."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A time that ``rule`` offers, working hours or extra ones; times in UTC."""

    start: datetime
    end: datetime
    rule: Hours

    @property
    def busy_until(self) -> datetime:
        """The end of the break after the session."""
        return self.end + timedelta(minutes=self.rule.buffer_minutes)

    @property
    def service_id(self) -> UUID | None:
        """None: for any service. Offers of one service never overlap."""
        return self.rule.service_id


def check_period(first: object, last: object) -> None:
    """Raises PeriodInvalid unless these are two days, in order, at most 366 with both."""
    first, last = _parse_day(first, "first"), _parse_day(last, "last")
    if not 0 <= (last - first).days < LONGEST_PERIOD:
        raise PeriodInvalid(field="last", first=first, last=last)


def _parse_day(value: object, field: str) -> date:
    if not isinstance(value, date) or isinstance(value, datetime) or value.year not in YEARS:
        raise PeriodInvalid(field=field)
    return value


def get_zone(rule: Hours) -> ZoneInfo:
    """Raises RuleZoneUnknown: the server and Python have different lists of zones."""
    try:
        return get_zone_info(rule.timezone)
    except ZoneInfoNotFoundError:
        raise RuleZoneUnknown(rule=rule.pk, zone=rule.timezone) from None


def list_offers(rule: Hours, first: date, last: date, minutes: int) -> Iterator[Offer]:
    """The offers of the rule from ``first`` to ``last``, local days and both included, in order.

    ``minutes``: the length of a session. Raises RuleZoneUnknown.
    """
    zone = get_zone(rule)
    for day in list_working_days(rule, first, last):
        yield from list_offers_of_day(day, rule, zone, timedelta(minutes=minutes))


def list_working_days(rule: Hours, first: date, last: date) -> Iterator[date]:
    if isinstance(rule, ScheduleException):
        first, last = max(first, rule.starts_on), min(last, rule.ends_on)
        yield from (first + timedelta(n) for n in range((last - first).days + 1))
        return
    first = max(first, rule.valid_from)
    last = min(last, rule.valid_until or last)
    if first > last:
        return
    earliest = rule.valid_from + timedelta((rule.weekday - rule.valid_from.isoweekday()) % 7)
    every = timedelta(weeks=2 if rule.recurrence == "biweekly" else 1)
    steps = max(0, -((earliest - first) // every))  # rounded up
    day = earliest + steps * every
    while day <= last:
        yield day
        day += every


def list_offers_of_day(
    day: date, rule: Hours, zone: ZoneInfo, length: timedelta
) -> Iterator[Offer]:
    assert rule.start_local is not None
    assert rule.end_local is not None
    local = datetime.combine(day, rule.start_local)
    local_end = datetime.combine(day, rule.end_local)
    end_of_day = min(list_readings(local_end, zone))
    free_from = None
    while local + length <= local_end:
        start = find_first_reading(local, zone)
        # Across a clock change, the grid of local times drifts away from absolute time.
        if start and start + length <= end_of_day and (free_from is None or start >= free_from):
            offer = Offer(start, start + length, rule)
            free_from = offer.busy_until
            yield offer
        local += length + timedelta(minutes=rule.buffer_minutes)


def find_first_reading(local: datetime, zone: ZoneInfo) -> datetime | None:
    """When clocks in ``zone`` first show ``local``, in UTC; None if they jump over it."""
    shown = (
        time
        for time in list_readings(local, zone)
        if time.astimezone(zone).replace(tzinfo=None) == local
    )
    return min(shown, default=None)


def list_readings(local: datetime, zone: ZoneInfo) -> set[datetime]:
    """``local`` by the offsets before and after a clock change, in UTC. One without a change."""
    return {local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)}


class Intervals:
    """Half-open intervals of time, which may overlap."""

    def __init__(self, intervals: Iterable[tuple[datetime, datetime]] = ()) -> None:
        self._starts: list[datetime] = []
        self._ends: list[datetime] = []
        for start, end in sorted(intervals):
            if self._ends and start <= self._ends[-1]:
                self._ends[-1] = max(self._ends[-1], end)
            else:
                self._starts.append(start)
                self._ends.append(end)

    def overlap(self, start: datetime, end: datetime) -> bool:
        """Whether one of them overlaps the time from ``start`` to ``end``."""
        before = bisect_left(self._starts, end)
        return before > 0 and self._ends[before - 1] > start


NO_INTERVALS = Intervals()


@dataclass(frozen=True, slots=True)
class BusyTimes:
    """Times that new offers must not overlap."""

    blocked: Intervals = NO_INTERVALS  # blocked slots, without breaks
    booked: Intervals = NO_INTERVALS  # appointments, with their breaks
    offered: Mapping[UUID | None, Intervals] = field(default_factory=dict)
    """Slots with their breaks, by service."""

    def find_obstacle(self, offer: Offer) -> str | None:
        """Why the offer cannot be made: blocked, booked or offered."""
        if self.blocked.overlap(offer.start, offer.end):
            return "blocked"
        if self.booked.overlap(offer.start, offer.busy_until):
            return "booked"
        offered = self.offered.get(offer.service_id, NO_INTERVALS)
        if offered.overlap(offer.start, offer.busy_until):
            return "offered"
        return None


def choose_offers(
    offers: Iterable[Offer], busy_times: BusyTimes, *, now: datetime
) -> tuple[list[Offer], Counter[str]]:
    """The offers that can be made, and the numbers of the others: past, blocked, booked, offered.

    If new offers for one service overlap, the earlier one is made.
    """
    chosen: list[Offer] = []
    left_out: Counter[str] = Counter()
    free_from: dict[UUID | None, datetime] = {}
    for offer in sorted(offers, key=lambda offer: (offer.start, offer.rule.pk)):
        reason = "past" if offer.start <= now else busy_times.find_obstacle(offer)
        if reason is None and offer.start < free_from.get(offer.service_id, offer.start):
            reason = "offered"
        if reason is None:
            free_from[offer.service_id] = offer.busy_until
            chosen.append(offer)
        else:
            left_out[reason] += 1
    return chosen, left_out
