"""The cost of book_appointment(): attempts per second beside other ways to take a time.

    .venv/bin/python benchmarks/booking.py

Sixteen processes with a connection each; 2, 8 and all of them at work. Ways and loads alternate
round by round, every round has hours of its own; the median of the rounds counts. An attempt ends
when the process knows whether it has the hour. All go through the ORM.

Loads: one hour that somebody has taken before the round; one hour that everybody races for and
whoever wins gives back at once; four hundred hours.

- book: the service, with everything it reads and writes.
- free: what Django costs at least, a row saved in its transaction, in a copy of the table that has
  no rule and no trigger.
- check: looks for an overlap, then inserts, in such a copy.
- serial: the same under SERIALIZABLE, again whenever the database breaks it off.
- plain: INSERT under the exclusion constraint, without ON CONFLICT.

Bounds: on a taken hour book_appointment() makes at least half as many attempts as "free", and more
than "check" and "serial".
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import statistics
import sys
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from common import empty_database, migrate, url
from django.db import IntegrityError, OperationalError, connection, models, transaction

from booking.errors import SlotTaken
from booking.models import Appointment
from booking.services import book_appointment, cancel_appointment
from booking.services.calendar import SessionTime, find_overlapping
from ebalance.services import sqlstate

PROCESSES = (2, 8, 16)
LOADS = {"taken": 1, "given back": 1, "spread": 400}  # hours of a round
BOUND = 0.5
LENGTH = timedelta(minutes=50)
FIRST = datetime(2040, 1, 1, tzinfo=UTC)

COPY = "CREATE TABLE {0} (LIKE appointments INCLUDING DEFAULTS)"
INDEX = (
    "CREATE INDEX ON {0} USING gist (busy_range(start_at_utc, end_at_utc, buffer_minutes)) "
    "WHERE status IN ('pending_payment', 'paid', 'confirmed')"
)
TWICE = """
SELECT coalesce(sum(n * (n - 1) / 2), 0)::int FROM (
    SELECT count(*) AS n FROM {0} WHERE status IN ('pending_payment', 'paid', 'confirmed')
    GROUP BY start_at_utc) AS hours
"""
SLOTS = """
INSERT INTO availability_slots (start_at_utc, end_at_utc)
SELECT start, start + interval '50 minutes' FROM unnest(%s::timestamptz[]) AS start RETURNING id
"""


@dataclass(frozen=True)
class Hour:
    """What a visitor asks for."""

    start: datetime
    slot: uuid.UUID
    service: uuid.UUID
    client: uuid.UUID


# -- ways to take it ------------------------------------------------------------------------------


def copy_of_appointments(table: str) -> type[models.Model]:
    """A model of a copy of the table, with the same fields."""
    fields: dict[str, Any] = {}
    for field in Appointment._meta.concrete_fields:
        _name, _path, args, kwargs = field.deconstruct()
        if field.is_relation:
            kwargs["related_name"] = "+"
        fields[field.name] = type(field)(*args, **kwargs)
    meta = type("Meta", (), {"app_label": "booking", "db_table": table, "managed": False})
    return type(table, (models.Model,), {"__module__": __name__, "Meta": meta, **fields})


COPIES = {name: copy_of_appointments(f"copy_{name}") for name in ("free", "check", "serial")}


def row_of(model: type[models.Model], hour: Hour) -> Any:
    return model(
        service_id=hour.service,
        client_id=hour.client,
        client_request_id=str(uuid.uuid4()),
        start_at_utc=hour.start,
        end_at_utc=hour.start + LENGTH,
        timezone="Europe/Moscow",
        format="online",
        price_amount=3000,
        deposit_amount=1000,
        hold_expires_at=datetime.now(UTC) + timedelta(minutes=15),
    )


def book(hour: Hour, seen: Counter) -> Any:
    try:
        return book_appointment(
            service=hour.service,
            slot=hour.slot,
            client=hour.client,
            client_request_id=str(uuid.uuid4()),
            timezone="Europe/Moscow",
            format="online",
        )
    except SlotTaken:
        return None


def free(hour: Hour, seen: Counter) -> Any:
    row = row_of(COPIES["free"], hour)
    with transaction.atomic():
        row.save(force_insert=True)
    return row


def looked_for(model: type[models.Model], hour: Hour) -> Any:
    row = row_of(model, hour)
    if find_overlapping(model._default_manager.all(), SessionTime.of(row)).exists():
        return None
    row.save(force_insert=True)
    return row


def check(hour: Hour, seen: Counter) -> Any:
    with transaction.atomic():
        return looked_for(COPIES["check"], hour)


def serial(hour: Hour, seen: Counter) -> Any:
    while True:
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
                return looked_for(COPIES["serial"], hour)
        except OperationalError as error:
            if sqlstate(error) not in ("40001", "40P01"):
                raise
            seen["broken off"] += 1


def plain(hour: Hour, seen: Counter) -> Any:
    row = row_of(Appointment, hour)
    try:
        with transaction.atomic():
            row.save(force_insert=True)
    except IntegrityError:
        return None
    except OperationalError as error:
        if sqlstate(error) != "40P01":
            raise
        seen["deadlocks"] += 1
        return None
    return row


WAYS: dict[str, Callable[[Hour, Counter], Any]] = {
    way.__name__: way for way in (book, free, check, serial, plain)
}


def give_back(way: str, row: Any) -> None:
    if way == "book":
        cancel_appointment(row, by="client")
    else:
        gone = {"status": "canceled", "canceled_at": datetime.now(UTC)}
        type(row)._default_manager.filter(pk=row.pk).update(**gone)


# -- processes ------------------------------------------------------------------------------------


def work(pipe: Any, seed: int) -> None:
    """Rounds, as they are ordered, until there is none."""
    dice = random.Random(seed)
    connection.ensure_connection()
    while (order := pipe.recv()) is not None:
        way, load, hours, begin, seconds = order
        attempt, seen = WAYS[way], Counter()
        time.sleep(max(0, begin - time.time()))
        start = time.perf_counter()
        while (taken := time.perf_counter() - start) < seconds:
            row = attempt(dice.choice(hours), seen)
            seen["attempts"] += 1
            if row is not None:
                seen["won"] += 1
                if load == "given back":
                    give_back(way, row)
        pipe.send((seen, taken))


class Crowd:
    """As many processes as are ever needed; a round is for the first of them."""

    def __init__(self, size: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipes = []
        for seed in range(size):
            ours, theirs = context.Pipe()
            context.Process(target=work, args=(theirs, seed), daemon=True).start()
            self.pipes.append(ours)

    def round(self, number: int, *order: Any, seconds: float) -> tuple[float, Counter]:
        """Attempts per second of ``number`` processes, and what they saw."""
        begin = time.time() + 0.05
        for pipe in self.pipes[:number]:
            pipe.send((*order, begin, seconds))
        answers = [pipe.recv() for pipe in self.pipes[:number]]
        rate = sum(seen["attempts"] / taken for seen, taken in answers)
        return rate, sum((seen for seen, _ in answers), Counter())

    def leave(self) -> None:
        for pipe in self.pipes:
            pipe.send(None)


# -- the run --------------------------------------------------------------------------------------


class Practice:
    """A service, clients, and as many new hours as a round needs."""

    def __init__(self, keeper: psycopg.Connection) -> None:
        self.keeper, self.used = keeper, 0
        (self.service,) = keeper.execute(
            "INSERT INTO services (slug, title, description_markdown, format, duration_minutes, "
            "price_amount, deposit_amount, cancel_free_hours, status) "
            "VALUES ('one', 'Session', '', 'online', 50, 3000, 1000, 24, 'published') RETURNING id"
        ).fetchone()
        self.clients = [
            row[0]
            for row in keeper.execute(
                "INSERT INTO users (email) SELECT n || '@example.com' "
                "FROM generate_series(1, 400) AS n RETURNING id"
            )
        ]

    def hours(self, number: int) -> list[Hour]:
        starts = [FIRST + (self.used + n) * timedelta(hours=1) for n in range(number)]
        self.used += number
        slots = [row[0] for row in self.keeper.execute(SLOTS, [starts])]
        return [
            Hour(start, slot, self.service, self.clients[n % len(self.clients)])
            for n, (start, slot) in enumerate(zip(starts, slots, strict=True))
        ]


def run(crowd: Crowd, practice: Practice, loads: list[str], rounds: int, seconds: float) -> None:
    for number in PROCESSES:
        for load in loads:
            print(f"{number} processes, {load} …", file=sys.stderr)
            rates: dict[str, list[float]] = defaultdict(list)
            seen: dict[str, Counter] = defaultdict(Counter)
            for _ in range(rounds):
                for way in WAYS:
                    order = (way, load, practice.hours(LOADS[load]))
                    if load == "taken":
                        crowd.round(1, *order, seconds=0.001)  # one attempt
                    rate, what = crowd.round(number, *order, seconds=seconds)
                    rates[way].append(rate)
                    seen[way] += what
            show(number, load, {way: statistics.median(of) for way, of in rates.items()}, seen)


def show(number: int, load: str, rate: dict[str, float], seen: dict[str, Counter]) -> None:
    print(f"\n{number} processes, {load}")
    for way in WAYS:
        what = seen[way]
        others = ", ".join(f"{what[k]} {k}" for k in ("broken off", "deadlocks") if what[k])
        print(
            f"  {way:7} {rate[way]:8.0f} attempts/s   {rate[way] / rate['free']:5.2f} of free"
            f"   {what['won']:6} of {what['attempts']:6} won   {others}"
        )
    if load == "taken":
        print(
            f"  book: {rate['book'] / rate['free']:.2f} of free (bound {BOUND}), "
            f"{rate['book'] / rate['check']:.2f} of check, "
            f"{rate['book'] / rate['serial']:.2f} of serial (bounds 1)"
        )


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--seconds", type=float, default=2.0, help="of a round")
    arguments.add_argument("--loads", nargs="+", choices=LOADS, default=list(LOADS))
    given = arguments.parse_args()
    with empty_database("booking") as params:
        print("migrating …", file=sys.stderr)
        migrate(params)
        os.environ["DATABASE_URL"] = url(params)
        with psycopg.connect(**params, autocommit=True) as keeper:
            for name, model in COPIES.items():
                keeper.execute(COPY.format(model._meta.db_table))
                if name != "free":
                    keeper.execute(INDEX.format(model._meta.db_table))
            crowd = Crowd(max(PROCESSES))
            run(crowd, Practice(keeper), given.loads, given.rounds, given.seconds)
            crowd.leave()
            print("\npairs of appointments at one time, after all rounds")
            for way, table in (
                ("book", "appointments"),
                ("check", "copy_check"),
                ("serial", "copy_serial"),
            ):
                print(f"  {way:7} {keeper.execute(TWICE.format(table)).fetchone()[0]}")


if __name__ == "__main__":
    main()
