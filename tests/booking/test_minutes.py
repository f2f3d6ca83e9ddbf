"""Random schedules beside an oracle that reads clocks minute by minute (minutes.py).

After each step the view lists exactly the slots of the oracle. Each generation makes exactly its
slots. The days lie around changes of clocks, days that clocks leave out and changes of law.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from django.db import transaction

from booking.models import AvailabilitySlot, ScheduleException, ScheduleRule, Service
from booking.services import (
    book_appointment,
    close_period,
    generate_slots,
    open_period,
    remove_exception,
)
from ebalance.services import Refused
from tests.booking.minutes import DAY, Oracle, day_number, slot_key
from tests.clocks import fact_clock_at
from tests.factories import (
    AppointmentFactory,
    AvailabilitySlotFactory,
    ScheduleExceptionFactory,
    ScheduleRuleFactory,
    ServiceFactory,
    UserFactory,
)
from tests.services import execute

pytestmark = [pytest.mark.django_db, pytest.mark.slow, pytest.mark.usefixtures("_late_clock")]

WORLDS, STEPS = 8, 6
MINUTE, ONE_DAY = timedelta(minutes=1), timedelta(days=1)
# A zone, and a day on which something happens to its clocks.
TIMES = [
    ("Europe/Berlin", date(2027, 3, 28)),
    ("Europe/Berlin", date(2027, 10, 31)),
    ("America/New_York", date(2027, 11, 7)),
    ("Asia/Beirut", date(2021, 3, 28)),  # at midnight
    ("America/Sao_Paulo", date(2018, 11, 4)),  # at midnight
    ("America/Sao_Paulo", date(2019, 2, 17)),  # back over midnight; the last summer time
    ("Australia/Lord_Howe", date(2027, 4, 4)),  # half an hour
    ("Antarctica/Troll", date(2027, 3, 28)),  # two hours
    ("Europe/Moscow", date(2011, 3, 27)),  # summer time for ever
    ("Europe/Moscow", date(2014, 10, 26)),  # and its end
    ("Asia/Pyongyang", date(2018, 5, 5)),
    ("America/Caracas", date(2016, 5, 1)),
    ("Pacific/Apia", date(2011, 12, 30)),  # a day that is left out, over the date line
    ("Pacific/Kwajalein", date(1993, 8, 21)),
]
OTHERS = ["UTC", "Pacific/Kiritimati", "Etc/GMT+12", "Asia/Kathmandu"]
VIEW = Path("booking/migrations/sql/0303_bookable_slots.sql").read_text(encoding="utf-8")
HOURS = Path("booking/migrations/sql/0303_is_in_hours.sql").read_text(encoding="utf-8")


class World:
    """A schedule of some days, and random changes of it."""

    def __init__(self, seed: str, zone: str, day: date) -> None:
        self.random, self.day = random.Random(seed), day
        self.zones = [zone, zone, zone, *OTHERS]
        midnight = datetime.combine(self.day, time(), UTC)
        self.middle = day_number(self.day) * DAY + DAY // 2
        self.change_of_clocks = find_change(zone, midnight - ONE_DAY)
        self.services = [
            ServiceFactory(published=published, duration_minutes=self.pick(30, 45, 50, 60, 90))
            for published in (True, True, False)
        ]
        self.client = UserFactory()
        for _ in range(self.random.randint(2, 6)):
            self.add_rule()
        self.busy: list[tuple[datetime, datetime]] = []
        for _ in range(self.random.randint(8, 24)):
            self.add_slot(midnight)
        for _ in range(self.random.randint(0, 4)):
            self.add_appointment(self.near(midnight), None)
        for _ in range(self.random.randint(0, 8)):
            self.add_exception()
        starts = AvailabilitySlot.objects.values_list("start_at_utc", flat=True)
        early = [*sorted(starts)[:4], midnight - 3 * ONE_DAY]
        self.now = self.pick(*early, *early, self.near(midnight))

    def pick(self, *values: Any) -> Any:
        return self.random.choice(values)

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def near(self, midnight: datetime) -> datetime:
        if self.chance(0.4):
            return self.change_of_clocks + self.random.randrange(-5, 5) * 30 * MINUTE
        if self.chance(0.3):
            # A midnight by the clocks of the zone.
            days = self.random.randrange(-1, 2) * ONE_DAY
            local = datetime.combine(self.day + days, time(), ZoneInfo(self.zones[0]))
            return local.astimezone(UTC)
        return midnight + self.random.randrange(-3 * 96, 3 * 96) * 15 * MINUTE

    def clock(self) -> datetime:
        return self.now

    def service(self) -> Service | None:
        return self.pick(*self.services, None)

    def hours(self) -> dict[str, Any]:
        """Some hours of a day, often at night, when clocks change."""
        first = self.random.randrange(0, 10 if self.chance(0.6) else 40) * 30
        last = first + self.random.randrange(1, 9) * 30 + self.pick(-5, 0, 0, 5)
        return {"start_local": clock_time(first), "end_local": clock_time(min(last, DAY - 1))}

    # -- rows ---------------------------------------------------------------------------------

    def add_rule(self) -> None:
        first = self.day + self.random.randrange(-20, 3) * ONE_DAY
        weekday = (self.day + self.random.randrange(-1, 2) * ONE_DAY).isoweekday()
        ScheduleRuleFactory(
            service=self.service(),
            weekday=weekday,
            timezone=self.pick(*self.zones),
            recurrence=self.pick("weekly", "weekly", "biweekly"),
            valid_from=first,
            valid_until=self.pick(None, None, max(first, self.day)),
            buffer_minutes=self.pick(0, 10, 15),
            is_active=self.chance(0.85),
            **self.hours(),
        )

    def period(self) -> dict[str, Any]:
        first = self.day + self.random.randrange(-2, 3) * ONE_DAY
        return {"first": first, "last": first + self.random.randrange(0, 2) * ONE_DAY}

    def add_exception(self) -> None:
        period, kind = self.period(), self.pick("closed", "closed", "open")
        values = self.hours() if kind == "open" or self.chance(0.6) else {}
        zone = self.pick(*self.zones)
        slot = self.any_of(AvailabilitySlot.objects.filter(status="available"))
        if slot and self.chance(0.6):
            kind, (first, values) = "closed", self.beside(slot, zone)
            period = {"first": first, "last": first}
        ScheduleExceptionFactory(
            service=self.service(),
            starts_on=period["first"],
            ends_on=period["last"],
            timezone=zone,
            kind=kind,
            **values,
        )

    def beside(self, slot: AvailabilitySlot, zone: str) -> tuple[date, dict[str, time]]:
        """Hours that touch a slot or overlap it a little, or the day before it or after it."""
        start, end = (
            at.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
            for at in (slot.start_at_utc, slot.end_at_utc)
        )
        first, last = self.pick(
            (start - 30 * MINUTE, start + self.pick(0, 5) * MINUTE),
            (end - self.pick(0, 5) * MINUTE, end + 30 * MINUTE),
        )
        if first.date() == last.date() and first < last and self.chance(0.7):
            return first.date(), {"start_local": first.time(), "end_local": last.time()}
        return self.pick(first, last).date(), {}

    def add_slot(self, midnight: datetime) -> None:
        start, service = self.near(midnight), self.service()
        status = self.pick("available", "available", "blocked", "reserved")
        if status == "blocked":
            self.block(start, self.pick(30, 60, 90, 700))
            return
        length = self.pick(30, 45, 50, 60, 90, 120)
        times = {"start_at_utc": start, "end_at_utc": start + length * MINUTE}
        if AvailabilitySlot.objects.filter(service=service, **times).exists():
            return
        slot = AvailabilitySlotFactory(
            from_calendar=True,
            service=service,
            buffer_minutes=self.pick(0, 10, 30),
            status=status,
            **times,
        )
        if status == "reserved":
            self.add_appointment(start, slot)
        elif self.chance(0.3):
            self.add_appointment(start + self.pick(-60, -50, -30, length) * MINUTE, None)
        elif self.chance(0.5):
            self.block(start + self.pick(-61, -60, -59, length - 1, length) * MINUTE, 60)

    def block(self, start: datetime, length: int) -> None:
        times = {"start_at_utc": start, "end_at_utc": start + length * MINUTE}
        if not AvailabilitySlot.objects.filter(service=None, **times).exists():
            AvailabilitySlotFactory(from_calendar=True, blocked=True, **times)

    def add_appointment(self, start: datetime, slot: AvailabilitySlot | None) -> None:
        end = start + self.pick(30, 50) * MINUTE
        if slot:
            end = slot.end_at_utc
        buffer = self.pick(0, 10, 30)
        until = end + buffer * MINUTE
        if any(start < last and until > first for first, last in self.busy):
            return
        self.busy.append((start, until))
        state: dict[str, Any] = {"confirmed": True, "price_amount": 0, "deposit_amount": None}
        if self.chance(0.6):
            expires = self.pick(*AvailabilitySlot.objects.values_list("start_at_utc", flat=True))
            expires += self.pick(-1, 0, 1, -9999, 9999) * MINUTE
            state = {"status": "pending_payment", "hold_expires_at": expires}
        AppointmentFactory(
            service=self.pick(*self.services),
            client=self.client,
            start_at_utc=start,
            end_at_utc=end,
            buffer_minutes=buffer,
            slot=slot,
            **state,
        )

    # -- steps --------------------------------------------------------------------------------

    def change(self) -> None:
        """Change something, by a service or as another writer."""
        step = self.pick(
            self.switch_a_rule,
            self.end_a_rule,
            self.publish_or_archive,
            self.add_exception,
            self.drop_an_exception,
            self.close,
            self.open,
            self.remove,
            self.book,
            self.book,
            self.wait,
        )
        step()

    def any_of(self, rows: Any) -> Any:
        stored = [*rows.order_by("pk")]
        return self.random.choice(stored) if stored else None

    def switch_a_rule(self) -> None:
        rule = self.any_of(ScheduleRule.objects)
        ScheduleRule.objects.filter(pk=rule.pk).update(is_active=not rule.is_active)

    def end_a_rule(self) -> None:
        rule = self.any_of(ScheduleRule.objects)
        ScheduleRule.objects.filter(pk=rule.pk).update(valid_until=max(rule.valid_from, self.day))

    def publish_or_archive(self) -> None:
        service = self.any_of(Service.objects)
        status = "archived" if service.status == "published" else "draft"
        status = "published" if service.status == "draft" else status
        Service.objects.filter(pk=service.pk).update(status=status)

    def drop_an_exception(self) -> None:
        if row := self.any_of(ScheduleException.objects):
            ScheduleException.objects.filter(pk=row.pk).delete()

    def values(self) -> dict[str, Any]:
        common = {"timezone": self.pick(*self.zones), "service": self.service()}
        return self.period() | common | {"clock": self.clock}

    def close(self) -> None:
        period = close_period(**self.values(), **(self.hours() if self.chance(0.6) else {}))
        oracle = Oracle(self.now, self.middle)
        (row,) = (row for row in oracle.exceptions if row["id"] == period.exception.pk)
        listed = {each.pk for each in period.booked}
        for session in oracle.appointments:
            minutes = range(session["start"], session["end"])
            assert (session["id"] in listed) == (
                session["service_id"] == (row["service_id"] or session["service_id"])
                and session["end"] > oracle.now
                and not oracle.is_expired(session)
                and any(oracle.closes(row, m) for m in minutes)
            )

    def open(self) -> None:
        open_period(**self.values(), **self.hours())

    def remove(self) -> None:
        if row := self.any_of(ScheduleException.objects):
            remove_exception(row, clock=self.clock)

    def book(self) -> None:
        if not (rows := self.read_view()):
            return
        slot = self.random.choice(rows)
        try:
            book_appointment(
                slot["service_id"] or self.pick(*self.services).pk,
                slot=slot["slot_id"],
                client=UserFactory(),
                client_request_id=str(uuid4()),
                timezone="UTC",
                format="online",
                clock=self.clock,
            )
        except Refused:
            # Another service fits a slot for any. A slot for one is offered to it.
            assert slot["service_id"] is None

    def wait(self) -> None:
        self.now += self.pick(1, 15, 60, 1440) * MINUTE

    # -- comparisons --------------------------------------------------------------------------

    def read_view(self) -> list[dict[str, Any]]:
        with fact_clock_at(self.now):
            return execute("SELECT * FROM bookable_slots ORDER BY start_at_utc, slot_id")

    def check_view(self) -> int:
        listed = {row["slot_id"] for row in self.read_view()}
        oracle = Oracle(self.now, self.middle)
        expected = oracle.list_bookable()
        by_key = {slot["id"]: slot_key(slot) for slot in oracle.slots}
        if listed != expected:
            more, less = (
                [by_key[key] for key in keys] for keys in (listed - expected, expected - listed)
            )
            raise AssertionError(
                f"now {self.now}, only in the view: {more}, only of the oracle: {less}"
            )
        return len(listed)

    def check_generation(self) -> None:
        first = self.day + self.random.randrange(-3, 1) * ONE_DAY
        last = first + self.random.randrange(1, 5) * ONE_DAY
        expected = Oracle(self.now, self.middle).generate(first, last)
        generate_slots(first, last, clock=self.clock)
        made = sorted(map(slot_key, Oracle(self.now, self.middle).slots))
        if made != expected:
            more, less = [*{*made} - {*expected}], [*{*expected} - {*made}]
            raise AssertionError(
                f"{first} to {last}, now {self.now}, "
                f"only generated: {more}, only of the oracle: {less}"
            )

    def check_generated(self) -> int:
        """The view before and after a generation."""
        self.check_view()
        generate_slots(self.day - ONE_DAY, self.day + ONE_DAY, clock=self.clock)
        return self.check_view()

    def run(self) -> int:
        """All steps with their comparisons. Returns the number of slots that were listed."""
        listed = self.check_view()
        self.check_generation()
        for _ in range(STEPS):
            listed += self.check_view()
            self.change()
            listed += self.check_view()
            if self.chance(0.4):
                self.check_generation()
        return listed + self.check_view()


def clock_time(minutes: int) -> time:
    return time(minutes // 60, minutes % 60)


def find_change(zone: str, start: datetime) -> datetime:
    """When the clocks of the zone change first after ``start``."""
    offset = start.astimezone(ZoneInfo(zone)).utcoffset()
    while start.astimezone(ZoneInfo(zone)).utcoffset() == offset:
        start += 5 * MINUTE
    return start


def run_worlds(times: Iterable[tuple[str, date]], run: Callable[[World], int]) -> int:
    listed = 0
    for n, (zone, day) in enumerate(times):
        seed = f"{zone} {day} {n}"
        with transaction.atomic():
            try:
                listed += run(World(seed, zone, day))
            except AssertionError as error:
                raise AssertionError(f"seed {seed}: {error}") from error
            transaction.set_rollback(True)
    return listed


@pytest.mark.parametrize(("zone", "day"), TIMES, ids=str)
def test_slots_equal_those_of_the_oracle(zone: str, day: date) -> None:
    assert run_worlds([(zone, day)] * WORLDS, World.run) > WORLDS * STEPS


# -- planted faults -------------------------------------------------------------------------------

# Name -> the correct SQL and a wrong one.
VIEW_FAULTS = {
    "a slot that begins now": ("slot.start_at_utc > clock", "slot.start_at_utc >= clock"),
    "no slot of an expired hold": ("slot.status = 'reserved' AND EXISTS", "false AND EXISTS"),
    "a draft service": ("AND service.status = 'published'", ""),
    "a session longer than the slot": (">= service.duration_minutes", "> 0 * duration_minutes"),
    "no closed period": ("closed.kind = 'closed'", "false"),
    "extra hours close": ("closed.kind = 'closed'", "true"),
    "a period closes another service": (
        "(closed.service_id = service.id OR closed.service_id IS NULL)",
        "true",
    ),
    "no break of sessions": ("other.end_at_utc, other.buffer_minutes", "other.end_at_utc, 0"),
    "no break of slots": ("slot.end_at_utc, slot.buffer_minutes)\n", "slot.end_at_utc, 0)\n"),
    "an expired hold keeps the time": (
        "AND NOT (other.status = 'pending_payment' AND other.hold_expires_at <= clock.time)",
        "",
    ),
    "no blocked time": ("blocked.status = 'blocked'", "false"),
    "blocked time that touches": (
        "blocked.start_at_utc < slot.end_at_utc",
        "blocked.start_at_utc <= slot.end_at_utc",
    ),
    "long blocked time": ("interval '12 hours'", "interval '2 hours'"),
}
HOURS_FAULTS = {
    "hours that touch": ("+ day + end_local > first", "+ day + end_local >= first"),
}


def plant(correct: str, wrong: str, sql: str) -> str:
    assert sql.count(correct) == 1, correct
    return sql.replace(correct, wrong)


@pytest.mark.parametrize("name", [*VIEW_FAULTS, *HOURS_FAULTS])
def test_oracle_finds_a_fault_in_the_view(name: str) -> None:
    if name in VIEW_FAULTS:
        view = plant(*VIEW_FAULTS[name], VIEW)
        execute(f"CREATE OR REPLACE VIEW bookable_slots AS {view}")
    else:
        hours = plant(*HOURS_FAULTS[name], HOURS).replace("CREATE F", "CREATE OR REPLACE F")
        execute(hours[: hours.index("COMMENT ON")])
    with pytest.raises(AssertionError, match="seed"):
        run_worlds(TIMES * 4, World.check_generated)
