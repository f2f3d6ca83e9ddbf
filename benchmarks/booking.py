"""Measures attempts per second of book_appointment() and of other ways to reserve an hour.

    .venv/bin/python benchmarks/booking.py

There are sixteen processes with a connection each, of which 2, 8 or 16 work. Variants and loads
alternate by round, and every round has new hours. The result is the median of the rounds. An
attempt ends when the process knows whether it has the hour. All variants use the ORM.

Loads: one hour that is taken before the round; one hour for which all processes compete, and which
the winner releases at once; four hundred hours.

- book: the service, with all its reads and writes.
- free: the minimum cost of Django: a row saved in its transaction, in a copy of the table without
  rules and triggers.
- check: a query for an overlap, then an INSERT, in such a copy.
- serial: the same under SERIALIZABLE, retried when the database aborts it.
- plain: INSERT under the exclusion constraint, without ON CONFLICT.

Bounds: on a taken hour book_appointment() makes at least half as many attempts per second as
"free", and more than "check" and "serial".
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
LOADS = {"taken": 1, "released": 1, "spread": 400}  # hours of a round
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
    """An hour that a client wants to book."""

    start: datetime
    slot: uuid.UUID
    service: uuid.UUID
    client: uuid.UUID


# -- variants -------------------------------------------------------------------------------------


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


def insert_if_free(model: type[models.Model], hour: Hour) -> Any:
    row = row_of(model, hour)
    if find_overlapping(model._default_manager.all(), SessionTime.of(row)).exists():
        return None
    row.save(force_insert=True)
    return row


def check(hour: Hour, seen: Counter) -> Any:
    with transaction.atomic():
        return insert_if_free(COPIES["check"], hour)


def serial(hour: Hour, seen: Counter) -> Any:
    while True:
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
                return insert_if_free(COPIES["serial"], hour)
        except OperationalError as error:
            if sqlstate(error) not in ("40001", "40P01"):
                raise
            seen["aborted"] += 1


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


VARIANTS: dict[str, Callable[[Hour, Counter], Any]] = {
    variant.__name__: variant for variant in (book, free, check, serial, plain)
}


def release(variant: str, row: Any) -> None:
    if variant == "book":
        cancel_appointment(row, by="client")
    else:
        canceled = {"status": "canceled", "canceled_at": datetime.now(UTC)}
        type(row)._default_manager.filter(pk=row.pk).update(**canceled)


# -- processes ------------------------------------------------------------------------------------


def work(pipe: Any, seed: int) -> None:
    """Run the rounds that the pipe orders, until it sends None."""
    dice = random.Random(seed)
    connection.ensure_connection()
    while (order := pipe.recv()) is not None:
        variant, load, hours, begin, seconds = order
        attempt, seen = VARIANTS[variant], Counter()
        time.sleep(max(0, begin - time.time()))
        start = time.perf_counter()
        while (elapsed := time.perf_counter() - start) < seconds:
            row = attempt(dice.choice(hours), seen)
            seen["attempts"] += 1
            if row is not None:
                seen["won"] += 1
                if load == "released":
                    release(variant, row)
        pipe.send((seen, elapsed))


class Crowd:
    """The worker processes. A round uses the first ones."""

    def __init__(self, size: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipes = []
        for seed in range(size):
            ours, theirs = context.Pipe()
            context.Process(target=work, args=(theirs, seed), daemon=True).start()
            self.pipes.append(ours)

    def round(self, number: int, *order: Any, seconds: float) -> tuple[float, Counter]:
        """Attempts per second of ``number`` processes, and the counts of their results."""
        begin = time.time() + 0.05
        for pipe in self.pipes[:number]:
            pipe.send((*order, begin, seconds))
        answers = [pipe.recv() for pipe in self.pipes[:number]]
        rate = sum(seen["attempts"] / elapsed for seen, elapsed in answers)
        return rate, sum((seen for seen, _ in answers), Counter())

    def leave(self) -> None:
        for pipe in self.pipes:
            pipe.send(None)


# -- the run --------------------------------------------------------------------------------------


class Practice:
    """A service, clients, and new hours for each round."""

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
                for variant in VARIANTS:
                    order = (variant, load, practice.hours(LOADS[load]))
                    if load == "taken":
                        crowd.round(1, *order, seconds=0.001)  # one attempt
                    rate, counts = crowd.round(number, *order, seconds=seconds)
                    rates[variant].append(rate)
                    seen[variant] += counts
            medians = {variant: statistics.median(of) for variant, of in rates.items()}
            show(number, load, medians, seen)


def show(number: int, load: str, rate: dict[str, float], seen: dict[str, Counter]) -> None:
    print(f"\n{number} processes, {load}")
    for variant in VARIANTS:
        counts = seen[variant]
        others = ", ".join(f"{counts[k]} {k}" for k in ("aborted", "deadlocks") if counts[k])
        print(
            f"  {variant:7} {rate[variant]:8.0f} attempts/s"
            f"   {rate[variant] / rate['free']:5.2f} of free"
            f"   {counts['won']:6} of {counts['attempts']:6} won   {others}"
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
        os.environ["MAX_UNPAID_HOLDS"] = "1000"  # the clients of a round book in the next one too
        with psycopg.connect(**params, autocommit=True) as keeper:
            for name, model in COPIES.items():
                keeper.execute(COPY.format(model._meta.db_table))
                if name != "free":
                    keeper.execute(INDEX.format(model._meta.db_table))
            crowd = Crowd(max(PROCESSES))
            run(crowd, Practice(keeper), given.loads, given.rounds, given.seconds)
            crowd.leave()
            print("\npairs of appointments at one time, after all rounds")
            for variant, table in (
                ("book", "appointments"),
                ("check", "copy_check"),
                ("serial", "copy_serial"),
            ):
                print(f"  {variant:7} {keeper.execute(TWICE.format(table)).fetchone()[0]}")


if __name__ == "__main__":
    main()
