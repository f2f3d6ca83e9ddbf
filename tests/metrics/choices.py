"""Random choices for the rows of the metrics: a period, and times where figures change."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from ebalance.metrics import Period

from .rows import OCTOBER

PERIODS = (OCTOBER, (date(2026, 10, 7), date(2026, 10, 7)), (date(2026, 8, 1), date(2026, 10, 31)))
ZERO, TICK, MINUTE = timedelta(), timedelta(microseconds=1), timedelta(minutes=1)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


class Choices:
    """The choices of a seed. Rows have few times, so that these are often equal."""

    def __init__(self, seed: int, zone: str, days: tuple[date, date] | None) -> None:
        self.seed, self.random, self.zone = seed, random.Random(seed), ZoneInfo(zone)
        first, last = days or self.pick(*PERIODS)
        self.begins, self.ends = self.find_midnight(first), self.find_midnight(last + DAY)
        later = [self.ends + delay for delay in (12 * HOUR, 8 * DAY, 70 * DAY)]
        self.period = Period(first, last, zone, self.pick(self.find_inside(), *later), "dev")
        self.times = self.make_times()

    def pick(self, *values: Any) -> Any:
        return self.random.choice(values)

    def some(self, values: Sequence[Any]) -> list[Any]:
        """Some of the values or none, each once."""
        return self.random.sample(values, self.random.randint(0, len(values)))

    def repeat(self, least: int, most: int) -> range:
        return range(self.random.randint(least, most))

    def make_id(self) -> UUID:
        return UUID(int=self.random.getrandbits(128))

    def find_midnight(self, day: date) -> datetime:
        return datetime(day.year, day.month, day.day, tzinfo=self.zone).astimezone(UTC)

    def find_inside(self) -> datetime:
        return self.begins + (self.ends - self.begins) * self.random.random()

    def find_day(self, when: datetime) -> date:
        return when.astimezone(self.zone).date()

    def make_times(self) -> list[datetime]:
        """A few times, often equal or near each other, near edges of the period and of months."""
        months = [self.find_midnight(date(2026, month, 1)) for month in (8, 9, 10, 11, 12)]
        previous = self.begins - (self.ends - self.begins)
        edges = self.random.sample([self.begins, self.ends, previous, *months], 2)
        bases = [self.find_inside(), self.find_inside(), *edges]
        offsets = [ZERO, ZERO, -TICK, -MINUTE, MINUTE, HOUR, DAY, -DAY]
        return [base + offset for base in bases for offset in self.random.sample(offsets, 3)]

    def find_time(self) -> datetime:
        return self.pick(*self.times)

    def find_next(self, last: datetime, first: datetime, limit: timedelta) -> datetime:
        """The time of the next step: after the last, just before it, or at the limit of all."""
        later = [last, last, last + MINUTE, last + MINUTE, last + HOUR, last - TICK]
        return self.pick(*later, first + limit, first + limit + TICK)
