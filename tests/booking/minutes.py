"""An oracle of generated and free slots, which reads the clocks of each zone minute by minute.

It shares no code with the product. Rows are dicts as SQL returns them. Times are minutes of UTC
since 1970, and wall times minutes of the wall clock since 1970. So all times are whole minutes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from tests.services import execute

DAY = 24 * 60
EPOCH = date(1970, 1, 1)
AROUND = 9 * DAY  # minutes of clocks that are read before and after the middle of the days
KEEPS = ("pending_payment", "paid", "confirmed")
Row = dict[str, Any]


def minute(when: datetime) -> int:
    assert when.second == when.microsecond == 0, when
    return int(when.timestamp()) // 60


def day_number(day: date) -> int:
    return (day - EPOCH).days


def of_day(clock: time) -> int:
    assert clock.second == clock.microsecond == 0, clock
    return clock.hour * 60 + clock.minute


class Clocks:
    """The clocks of a zone around a minute."""

    def __init__(self, zone: str, middle: int) -> None:
        self.wall: dict[int, int] = {}
        self.minutes_of: defaultdict[int, list[int]] = defaultdict(list)  # by day of the wall clock
        self.showing: dict[int, int] = {}  # the first minute that shows a wall time
        info = ZoneInfo(zone)
        for m in range(middle - AROUND, middle + AROUND):
            shown = datetime.fromtimestamp(m * 60, info)
            wall = day_number(shown.date()) * DAY + shown.hour * 60 + shown.minute
            self.wall[m] = wall
            self.minutes_of[wall // DAY].append(m)
            self.showing.setdefault(wall, m)

    def read_end(self, wall: int) -> int:
        """The first minute that shows ``wall``. If clocks jump over it: by the clock after them."""
        if wall in self.showing:
            return self.showing[wall]
        jump = next(
            m for m in self.wall if self.wall[m] > wall and self.wall.get(m - 1, wall) < wall
        )
        return wall - (self.wall[jump] - jump)


@lru_cache(32)
def clocks(zone: str, middle: int) -> Clocks:
    return Clocks(zone, middle)


@dataclass(frozen=True)
class Offer:
    start: int
    end: int
    buffer: int
    service: Any
    maker: Row

    @property
    def time(self) -> tuple[int, int, Any, int]:
        return self.start, self.end, self.service, self.buffer


class Oracle:
    """The slots that are offered now, by the stored rows. ``middle``: a minute amid the days."""

    def __init__(self, now: datetime, middle: int) -> None:
        self.now, self.middle = minute(now), middle
        self.services = {row["id"]: row for row in execute("SELECT * FROM services")}
        self.rules = execute("SELECT * FROM schedule_rules")
        self.exceptions = execute("SELECT * FROM schedule_exceptions")
        self.slots = execute("SELECT * FROM availability_slots")
        self.appointments = [
            row for row in execute("SELECT * FROM appointments") if row["status"] in KEEPS
        ]
        for row in [*self.slots, *self.appointments]:
            row["start"], row["end"] = minute(row["start_at_utc"]), minute(row["end_at_utc"])
        self.published = [row for row in self.services.values() if row["status"] == "published"]

    def clocks(self, row: Row) -> Clocks:
        return clocks(row["timezone"], self.middle)

    # -- closed -------------------------------------------------------------------------------

    def is_closed(self, service: Any, start: int, end: int) -> bool:
        return any(
            any(self.closes(row, m) for m in range(start, end))
            for row in self.exceptions
            if row["kind"] == "closed" and row["service_id"] in (None, service)
        )

    def closes(self, row: Row, m: int) -> bool:
        day, clock = divmod(self.clocks(row).wall[m], DAY)
        if not day_number(row["starts_on"]) <= day <= day_number(row["ends_on"]):
            return False
        return row["start_local"] is None or (
            of_day(row["start_local"]) <= clock < of_day(row["end_local"])
        )

    # -- the view -----------------------------------------------------------------------------

    def list_bookable(self) -> set[Any]:
        return {slot["id"] for slot in self.slots if self.is_bookable(slot)}

    def is_bookable(self, slot: Row) -> bool:
        start, end = slot["start"], slot["end"]
        of_slot = [row for row in self.appointments if row["slot_id"] == slot["id"]]
        if slot["status"] == "reserved":
            if not any(map(self.is_expired, of_slot)):
                return False
        elif slot["status"] != "available":
            return False
        busy, session = range(start, end + slot["buffer_minutes"]), range(start, end)
        return (
            start > self.now
            and all(map(self.is_expired, of_slot))
            and any(
                service["duration_minutes"] <= end - start
                and slot["service_id"] in (None, service["id"])
                and not self.is_closed(service["id"], start, end)
                for service in self.published
            )
            and not any(
                m in busy
                for row in self.appointments
                if not self.is_expired(row)
                for m in range(row["start"], row["end"] + row["buffer_minutes"])
            )
            and not any(
                m in session
                for row in self.slots
                if row["status"] == "blocked"
                for m in range(row["start"], row["end"])
            )
        )

    def is_expired(self, row: Row) -> bool:
        return row["status"] == "pending_payment" and minute(row["hold_expires_at"]) <= self.now

    # -- generation ---------------------------------------------------------------------------

    def list_offers(self, maker: Row) -> Iterator[Offer]:
        """The offers of a rule or of extra hours on all days of the clocks."""
        own = self.services.get(maker["service_id"])
        durations = [row["duration_minutes"] for row in ([own] if own else self.published)]
        if not durations or (own and own["status"] != "published"):
            return
        length, buffer = max(durations), maker.get("buffer_minutes", 0)
        opens, shuts = of_day(maker["start_local"]), of_day(maker["end_local"])
        zone = self.clocks(maker)
        for day, minutes in zone.minutes_of.items():
            if not self.is_working_day(maker, day):
                continue
            shown: set[int] = set()
            free_from = 0
            for m in minutes:
                clock = zone.wall[m] % DAY
                is_first = clock not in shown
                shown.add(clock)
                if (
                    is_first
                    and clock >= opens
                    and (clock - opens) % (length + buffer) == 0
                    and clock + length <= shuts
                    and m >= free_from
                    and m + length <= zone.read_end(day * DAY + shuts)
                ):
                    free_from = m + length + buffer
                    yield Offer(m, m + length, buffer, maker["service_id"], maker)

    def is_working_day(self, maker: Row, day: int) -> bool:
        if "starts_on" in maker:
            return day_number(maker["starts_on"]) <= day <= day_number(maker["ends_on"])
        first, until = day_number(maker["valid_from"]), maker["valid_until"]
        if day < first or (until and day > day_number(until)) or not maker["is_active"]:
            return False
        weeks = sum(is_weekday(n, maker["weekday"]) for n in range(first, day))
        is_off = maker["recurrence"] == "biweekly" and weeks % 2 == 1
        return is_weekday(day, maker["weekday"]) and not is_off

    def generate(self, first: date, last: date) -> list[tuple[Any, ...]]:
        """The slots after a generation from ``first`` to ``last``, as ``list_slots``."""
        makers = {row["id"]: row for row in self.rules} | {
            row["id"]: row for row in self.exceptions if row["kind"] == "open"
        }
        offers = [
            offer
            for maker in makers.values()
            for offer in self.list_offers(maker)
            if not self.is_closed(offer.service, offer.start, offer.end)
        ]
        days = range(day_number(first), day_number(last) + 1)
        times = {offer.time for offer in offers}
        for slot in self.slots:
            made_by = slot["schedule_rule_id"] or slot["schedule_exception_id"]
            zone = self.clocks(makers.get(made_by, {"timezone": "UTC"}))
            if (
                made_by
                and slot["status"] == "available"
                and slot["start"] > self.now
                and zone.wall[slot["start"]] // DAY in days
                and not any(row["slot_id"] == slot["id"] for row in self.appointments)
                and time_of(slot) not in times
            ):
                slot["status"] = "withdrawn"
        for offer in sorted(offers, key=lambda offer: (offer.start, offer.maker["id"])):
            if self.clocks(offer.maker).wall[offer.start] // DAY in days:
                self.make(offer)
        return sorted(map(slot_key, self.slots))

    def make(self, offer: Offer) -> None:
        busy, session = range(offer.start, offer.end + offer.buffer), range(offer.start, offer.end)
        if offer.start <= self.now or any(
            m in (session if row.get("status") == "blocked" else busy)
            for row in self.obstacles(offer)
            for m in range(
                row["start"],
                row["end"] + (0 if row.get("status") == "blocked" else row["buffer_minutes"]),
            )
        ):
            return
        values = {
            "status": "available",
            "buffer_minutes": offer.buffer,
            "schedule_rule_id": None if "starts_on" in offer.maker else offer.maker["id"],
            "schedule_exception_id": offer.maker["id"] if "starts_on" in offer.maker else None,
        }
        for slot in self.slots:
            same = (slot["start"], slot["end"], slot["service_id"], slot["source"])
            if same == (offer.start, offer.end, offer.service, "product"):
                slot |= values
                return
        new = {"start": offer.start, "end": offer.end, "service_id": offer.service}
        self.slots.append({"id": None, "source": "product", **new, **values})

    def obstacles(self, offer: Offer) -> list[Row]:
        return self.appointments + [
            slot
            for slot in self.slots
            if slot["status"] == "blocked"
            or (slot["status"] != "withdrawn" and slot["service_id"] == offer.service)
        ]


def is_weekday(day: int, weekday: int) -> bool:
    return (day + 3) % 7 + 1 == weekday  # 1970 began on a Thursday


def time_of(slot: Row) -> tuple[int, int, Any, int]:
    return slot["start"], slot["end"], slot["service_id"], slot["buffer_minutes"]


def slot_key(slot: Row) -> tuple[Any, ...]:
    names = ("service_id", "source", "status", "schedule_rule_id", "schedule_exception_id")
    start = datetime.fromtimestamp(slot["start"] * 60, UTC)
    return (
        f"{start:%m-%d %H:%M}",
        slot["end"] - slot["start"],
        slot["buffer_minutes"],
        *(str(slot[name]) for name in names),
    )
