"""Processes book while others close, open and remove periods of the same days."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from booking.errors import SlotTaken, TimeNotOffered
from booking.services import (
    book_appointment,
    close_period,
    open_period,
    remove_exception,
)
from ebalance.services import NotFound
from tests.booking.load_checks import (
    INCONSISTENT_SLOTS,
    OPEN_TRANSACTIONS,
    insert_clients,
    keys,
    rows,
)
from tests.booking.worker_pool import Worker, running
from tests.databases import Database
from tests.scale import scaled

pytestmark = pytest.mark.slow

FIRST = date(2099, 1, 1)
DAYS = [FIRST + timedelta(n) for n in range(scaled(6))]
HOURS = (time(10), time(18))  # eight slots of an hour
BOOKERS, CLOSERS = 12, 2
SERVICE = """
INSERT INTO services (slug, title, description_markdown, format, duration_minutes, price_amount,
                      status)
VALUES ('one', 'Встреча', '', 'online', 60, 0, 'published') RETURNING id
"""
SLOTS = """
INSERT INTO availability_slots (start_at_utc, end_at_utc)
SELECT start, start + interval '1 hour'
FROM generate_series(0, %s) day, generate_series(10, 17) hour,
     LATERAL (SELECT timestamptz '2099-01-01Z' + day * interval '1 day' + hour * interval '1 hour')
         AS slot (start)
"""
BOOKED = "SELECT id FROM appointments WHERE (start_at_utc AT TIME ZONE 'UTC')::date = %s ORDER BY 1"


# -- work of a process ----------------------------------------------------------------------------


def book_each_hour(number: int, service: UUID, client: UUID) -> dict[str, int]:
    """Book all hours, each process in another order. Returns the numbers of answers."""
    seen = {"booked": 0, "SlotTaken": 0, "TimeNotOffered": 0}
    for day in DAYS:
        for n in range(8):
            start = datetime.fromisoformat(f"{day}T{10 + (n * 5 + number) % 8}:00+00:00")
            try:
                book_appointment(
                    service,
                    start=start,
                    client=client,
                    client_request_id=f"request-{number}-{start:%Y%m%d%H}",
                    timezone="UTC",
                    format="online",
                )
            except (SlotTaken, TimeNotOffered) as refusal:
                seen[type(refusal).__name__] += 1
            else:
                seen["booked"] += 1
    return seen


def close_each_day() -> list[tuple[UUID, list[UUID]]]:
    """Close all days. Returns the exceptions and the sessions that each answer lists."""
    periods = [close_period(day, day, timezone="UTC") for day in DAYS]
    return [(period.exception.pk, sorted(row.pk for row in period.booked)) for period in periods]


def open_each_day() -> list[tuple[UUID, int]]:
    """Open extra hours on all days. Returns the exceptions and the numbers of new slots."""
    start, end = HOURS
    periods = [
        open_period(day, day, timezone="UTC", start_local=start, end_local=end) for day in DAYS
    ]
    return [(period.exception.pk, period.slots.created) for period in periods]


def remove_each(exceptions: Sequence[UUID]) -> list[int | None]:
    """Remove the exceptions. Returns the numbers of slots withdrawn; None: removed already."""
    answers: list[int | None] = []
    for exception in exceptions:
        try:
            answers.append(remove_exception(exception).withdrawn)
        except NotFound:
            answers.append(None)
    return answers


# -- tests ----------------------------------------------------------------------------------------


@pytest.fixture
def admin(fresh_database: Database) -> Iterator[psycopg.Connection[Any]]:
    with fresh_database.connect(autocommit=True) as connection:
        yield connection


def book_beside(
    database: Database, admin: psycopg.Connection[Any], work: Callable[..., Any], *arguments: object
) -> tuple[Counter[str], list[Any]]:
    """Book while CLOSERS processes do the work. Returns the bookings' answers, and the others'."""
    (service,) = keys(admin, SERVICE)
    clients = insert_clients(admin, BOOKERS)
    bookers = [
        Worker(database.url, book_each_hour, number, service, client)
        for number, client in enumerate(clients)
    ]
    closers = [Worker(database.url, work, *arguments) for _ in range(CLOSERS)]
    with running([*bookers, *closers]) as workers:
        answers = [worker.result() for worker in workers]
        assert rows(admin, OPEN_TRANSACTIONS) == []
    assert rows(admin, INCONSISTENT_SLOTS) == []
    seen: Counter[str] = sum((Counter(answer) for answer in answers[:BOOKERS]), Counter())
    assert seen["booked"] == len(rows(admin, "SELECT id FROM appointments"))
    return seen, answers[BOOKERS:]


def test_period_is_closed_before_a_booking_or_lists_it(
    fresh_database: Database, admin: psycopg.Connection[Any]
) -> None:
    """Each closer lists exactly the sessions of the end. There is one exception a day."""
    admin.execute(SLOTS, [len(DAYS) - 1])
    seen, closers = book_beside(fresh_database, admin, close_each_day)
    assert seen["booked"] > 0, seen
    assert seen["TimeNotOffered"] > 0, seen
    for answers in closers:
        for day, (_, booked) in zip(DAYS, answers, strict=True):
            assert booked == keys(admin, BOOKED, [day]), day
    made = keys(admin, "SELECT id FROM schedule_exceptions ORDER BY starts_on")
    assert {tuple(key for key, _ in answers) for answers in closers} == {tuple(made)}


def test_extra_hours_opened_twice_at_once_are_made_once(
    fresh_database: Database, admin: psycopg.Connection[Any]
) -> None:
    seen, openers = book_beside(fresh_database, admin, open_each_day)
    made = keys(admin, "SELECT id FROM schedule_exceptions ORDER BY starts_on")
    assert {tuple(key for key, _ in answers) for answers in openers} == {tuple(made)}
    assert len(made) == len(DAYS)
    slots = keys(admin, "SELECT id FROM availability_slots")
    assert sum(number for answers in openers for _, number in answers) == len(slots)
    assert len(slots) == 8 * len(DAYS)
    assert seen["TimeNotOffered"] > 0, seen


def test_extra_hours_are_removed_beside_bookings(
    fresh_database: Database, admin: psycopg.Connection[Any]
) -> None:
    """A slot of removed hours is either withdrawn or keeps its session."""
    (service,) = keys(admin, SERVICE.replace("'one'", "'other'"))
    with running([Worker(fresh_database.url, open_each_day)]) as workers:
        exceptions = [key for key, _ in workers[0].result()]
    admin.execute("UPDATE services SET status = 'archived' WHERE id = %s", [service])
    seen, removers = book_beside(fresh_database, admin, remove_each, exceptions)
    assert rows(admin, "SELECT id FROM schedule_exceptions") == []
    numbers = [[answer for answer in answers if answer is not None] for answers in removers]
    # Each exception is removed by one of them.
    assert sum(map(len, numbers)) == len(DAYS)
    statuses = dict(rows(admin, "SELECT status, count(*) FROM availability_slots GROUP BY 1"))
    assert statuses == {"withdrawn": sum(map(sum, numbers)), "reserved": seen["booked"]}
