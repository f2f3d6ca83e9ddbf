"""The simulated time of the demo data.

``World.at`` plans an action. ``World.run`` carries the actions out in the order of their times, and
sets the clock that they give to the services. Columns that the database fills with its own time get
the simulated one at the end.
"""

from __future__ import annotations

import heapq
import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import count
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db import connection, models

from booking.models import Appointment, Service
from ebalance.metrics import read_zone
from identity.models import User

SEED = 2026
OUTBOX_DELAY = timedelta(seconds=2)
UNSENT = timedelta(minutes=20)
"""Events of the last minutes still wait in the outbox: no relay runs in development."""


@dataclass
class Person:
    """A person of the cast. ``user`` is their account, once it exists."""

    name: str
    email: str | None
    phone: str | None
    zone: str
    browser: str
    entry_point: str
    topic: str
    telegram_id: str | None = None
    telegram_name: str | None = None
    user: User | None = None

    @property
    def account(self) -> User:
        """The account, which must exist by now. Raises LookupError."""
        if self.user is None:
            raise LookupError(f"{self.name} has no account yet.")
        return self.user


class World:
    """The day of the practice, its owner, its people, and the planned actions."""

    def __init__(self, owner: User, now: datetime) -> None:
        self.owner = owner
        self.moderator = owner  # an assistant, once there is one
        self.now = self.time = now
        self.zone = ZoneInfo(read_zone())
        self.today = now.astimezone(self.zone).date()
        self.midnight = self.on(self.today, 0)
        self._planned, self._recent = random.Random(SEED), random.Random(SEED + 1)
        self.random = self._planned
        self.people: dict[str, Person] = {}
        self.services: dict[str, Service] = {}
        self._actions: list[tuple[datetime, int, bool, Callable[[], object]]] = []
        self._numbers = count()
        self._stamps: dict[tuple[type[models.Model], str], dict[UUID | str, datetime]] = (
            defaultdict(dict)
        )
        self._marks: list[tuple[UUID, datetime]] = []  # the last event of the outbox at a time

    # -- times ------------------------------------------------------------------------------------

    def day(self, days: int, hour: int = 0, minute: int = 0) -> datetime:
        """The local time, ``days`` after today."""
        return self.on(self.today + timedelta(days=days), hour, minute)

    def on(self, day: date, hour: int, minute: int = 0) -> datetime:
        return datetime.combine(day, time(hour, minute), self.zone).astimezone(UTC)

    def ago(self, **units: float) -> datetime:
        """A time relative to now, for what is still open: a hold, a question in the queue."""
        return self.now - timedelta(**units)

    def workday(self, number: int) -> date:
        """A day from Monday to Friday: -1 is the last one before today, 1 the next. 0 is today.

        Five further is the same day of the week, except across a today at the weekend.
        """
        day, step = self.today, 1 if number > 0 else -1
        for _ in range(abs(number)):
            day += timedelta(days=step)
            while day.weekday() > 4:
                day += timedelta(days=step)
        return day

    def clock(self) -> datetime:
        """The simulated time, for the services."""
        return self.time

    def pass_time(self, **units: float) -> None:
        """Let some time pass within an action, never beyond now."""
        self.time = min(self.time + timedelta(**units), self.now)

    # -- actions ----------------------------------------------------------------------------------

    def at(self, when: datetime, action: Callable[[], object], *, recent: bool = False) -> None:
        """Plan an action before today. A later one is dropped.

        With ``recent`` the time is relative to now, and may be today. Such actions have random
        numbers of their own: the others must not depend on the time of the day.
        """
        if when <= (self.now if recent else self.midnight):
            heapq.heappush(self._actions, (when, next(self._numbers), recent, action))

    def run(self) -> None:
        """Carry out all planned actions, and those that they plan."""
        while self._actions:
            self.time, _number, recent, action = heapq.heappop(self._actions)
            self.random = self._recent if recent else self._planned
            action()
            self._mark()
        self._write_stamps()
        self._write_outbox()
        self._write_leads()

    # -- identifiers ------------------------------------------------------------------------------

    def uuid(self) -> UUID:
        return UUID(int=self.random.getrandbits(128), version=4)

    def browser(self, kind: str = "web") -> str:
        return f"{kind}-{self.random.getrandbits(64):016x}"

    # -- times that the database fills ------------------------------------------------------------

    def stamp[Row: models.Model](self, row: Row, column: str = "created_at") -> Row:
        """Set the column to the simulated time, at the end."""
        self._stamps[type(row), column][row.pk] = self.time
        return row

    def _mark(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT id FROM outbox_events ORDER BY id DESC LIMIT 1")
            last = cursor.fetchone()
        if last is not None and (not self._marks or self._marks[-1][0] != last[0]):
            self._marks.append((last[0], self.time))

    def _write_stamps(self) -> None:
        for (model, column), times in self._stamps.items():
            field = model._meta.pk
            with connection.cursor() as cursor:
                cursor.execute(
                    f'UPDATE "{model._meta.db_table}" t SET "{column}" = v.at '
                    f"FROM unnest(%s::{field.db_type(connection)}[], %s::timestamptz[]) v (id, at) "
                    f'WHERE t."{field.column}" = v.id',
                    [[*times], [*times.values()]],
                )

    def _write_outbox(self) -> None:
        """Each event was published after the mark before it and sent soon after, unless too new."""
        ids, times = [id for id, _ in self._marks], [at for _, at in self._marks]
        with connection.cursor() as cursor:
            cursor.execute(
                """
UPDATE outbox_events e
SET created_at = m.at, available_at = m.at,
    attempts = CASE WHEN m.at < %(unsent)s THEN 1 ELSE 0 END,
    published_at = CASE WHEN m.at < %(unsent)s THEN m.at + %(delay)s::interval END
FROM (SELECT id, at, lag(id) OVER (ORDER BY id) AS earlier
      FROM unnest(%(ids)s::uuid[], %(times)s::timestamptz[]) u (id, at)) m
WHERE e.id <= m.id AND e.id > coalesce(m.earlier, %(none)s)
""",
                {
                    "ids": ids,
                    "times": times,
                    "none": UUID(int=0),
                    "unsent": self.now - UNSENT,
                    "delay": f"{OUTBOX_DELAY.total_seconds()} seconds",
                },
            )

    def _write_leads(self) -> None:
        """A lead and its contacts are as old as the first event of the lead."""
        with connection.cursor() as cursor:
            cursor.execute(
                """
WITH first AS (SELECT lead_id, min(occurred_at) AS at FROM lead_timeline_events GROUP BY lead_id),
     dated AS (UPDATE leads l SET created_at = f.at FROM first f WHERE f.lead_id = l.id)
UPDATE lead_identities i SET created_at = f.at FROM first f WHERE f.lead_id = i.lead_id
"""
            )

    # -- the result -------------------------------------------------------------------------------

    def summary(self) -> str:
        ahead = Appointment.objects.filter(start_at_utc__gt=self.now, status="confirmed").count()
        return (
            f"a month of a practice: {len(self.people)} people, "
            f"{Appointment.objects.count()} appointments ({ahead} ahead), "
            "payments, questions, articles, interactives and events"
        )
