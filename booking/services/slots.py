"""Which times working hours offer: days, wall clocks and intervals, without a database.

- Rules are in local wall time, so local hours stay the same across clock changes. Sessions last
  in absolute time: 50 minutes are 50 minutes whatever clocks do meanwhile.
- The grid begins at start_local; its step is a session and the break after it.
- A start that clocks jump over makes no slot; of an hour that comes twice the first is used.
- Sessions end by the end of the working hours. An end that comes twice, or is jumped over, is
  read as the earlier of its two readings.
- "biweekly" counts from the first such weekday on or after valid_from.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID
from zoneinfo import ZoneInfo

from ..errors import PeriodInvalid, RuleZoneUnknown

if TYPE_CHECKING:
    from ..models import ScheduleRule

LONGEST_PERIOD = 366  # days
YEARS = range(2, 9999)  # local times of other years may have no time in UTC


@dataclass(frozen=True, slots=True)
class Offer:
    """A time that ``rule`` offers; times in UTC."""

    start: datetime
    end: datetime
    rule: ScheduleRule

    @property
    def busy_until(self) -> datetime:
        """The end of the break after the session."""
        return self.end + timedelta(minutes=self.rule.buffer_minutes)

    @property
    def scope(self) -> UUID | None:
        """The service that it is for; None: any. Offers of one scope never overlap."""
        return self.rule.service_id


def check_period(first: object, last: object) -> None:
    """Raises PeriodInvalid unless these are two days, in order, at most 366 with both."""
    for name, day in (("first", first), ("last", last)):
        if not isinstance(day, date) or isinstance(day, datetime) or day.year not in YEARS:
            raise PeriodInvalid(field=name)
    if not 0 <= (last - first).days < LONGEST_PERIOD:
        raise PeriodInvalid(field="last", first=first, last=last)


def zone_of(rule: ScheduleRule) -> ZoneInfo:
    """Raises RuleZoneUnknown: the server and Python have lists of their own."""
    try:
        return ZoneInfo(rule.timezone)
    except (LookupError, ValueError, OSError):
        raise RuleZoneUnknown(rule=rule.pk, zone=rule.timezone) from None


def offers_of(rule: ScheduleRule, first: date, last: date, minutes: int) -> Iterator[Offer]:
    """What the rule offers from ``first`` to ``last``, local days and both included, in order.

    ``minutes``: the length of a session. Raises RuleZoneUnknown.
    """
    zone = zone_of(rule)
    for day in working_days(rule, first, last):
        yield from offers_on(day, rule, zone, timedelta(minutes=minutes))


def working_days(rule: ScheduleRule, first: date, last: date) -> Iterator[date]:
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


def offers_on(day: date, rule: ScheduleRule, zone: ZoneInfo, length: timedelta) -> Iterator[Offer]:
    wall = datetime.combine(day, rule.start_local)
    closing = datetime.combine(day, rule.end_local)
    closed = min(readings(closing, zone))
    free_from = None
    while wall + length <= closing:
        start = first_moment(wall, zone)
        # Across a clock change, real time and the grid of the wall clock drift apart.
        if start and start + length <= closed and (free_from is None or start >= free_from):
            offer = Offer(start, start + length, rule)
            free_from = offer.busy_until
            yield offer
        wall += length + timedelta(minutes=rule.buffer_minutes)


def first_moment(wall: datetime, zone: ZoneInfo) -> datetime | None:
    """When clocks in ``zone`` first show ``wall``, in UTC; None if they jump over it."""
    shown = (at for at in readings(wall, zone) if at.astimezone(zone).replace(tzinfo=None) == wall)
    return min(shown, default=None)


def readings(wall: datetime, zone: ZoneInfo) -> set[datetime]:
    """``wall`` by the offsets before and after a clock change, in UTC; one where there is none."""
    return {wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)}


class Busy:
    """Times that are taken: half-open intervals, which may overlap."""

    def __init__(self, intervals: Iterable[tuple[datetime, datetime]] = ()) -> None:
        self._starts: list[datetime] = []
        self._ends: list[datetime] = []
        for start, end in sorted(intervals):
            if self._ends and start <= self._ends[-1]:
                self._ends[-1] = max(self._ends[-1], end)
            else:
                self._starts.append(start)
                self._ends.append(end)

    def meets(self, start: datetime, end: datetime) -> bool:
        before = bisect_left(self._starts, end)
        return before > 0 and self._ends[before - 1] > start


NOTHING = Busy()


@dataclass(frozen=True, slots=True)
class Taken:
    """What new offers have to keep clear of."""

    blocked: Busy = NOTHING  # of blocked slots; breaks do not count
    booked: Busy = NOTHING  # of appointments, with their breaks
    offered: Mapping[UUID | None, Busy] = field(default_factory=dict)  # by scope, with breaks

    def reason_against(self, offer: Offer) -> str | None:
        """Why the offer cannot be made: blocked, booked or offered."""
        if self.blocked.meets(offer.start, offer.end):
            return "blocked"
        if self.booked.meets(offer.start, offer.busy_until):
            return "booked"
        if self.offered.get(offer.scope, NOTHING).meets(offer.start, offer.busy_until):
            return "offered"
        return None


def choose(
    offers: Iterable[Offer], taken: Taken, *, now: datetime
) -> tuple[list[Offer], Counter[str]]:
    """The offers that can be made, and how many cannot: past, blocked, booked or offered.

    Where new offers of one scope are in each other's way, the earlier one is made.
    """
    chosen: list[Offer] = []
    left_out: Counter[str] = Counter()
    free_from: dict[UUID | None, datetime] = {}
    for offer in sorted(offers, key=lambda offer: (offer.start, offer.rule.pk)):
        reason = "past" if offer.start <= now else taken.reason_against(offer)
        if reason is None and offer.start < free_from.get(offer.scope, offer.start):
            reason = "offered"
        if reason is None:
            free_from[offer.scope] = offer.busy_until
            chosen.append(offer)
        else:
            left_out[reason] += 1
    return chosen, left_out
