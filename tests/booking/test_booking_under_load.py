"""Sixteen processes book, move, cancel and pay at once; afterwards the whole database agrees."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg
import pytest

from tests.booking import worker_pool
from tests.booking.afterwards import (
    CONFIRMED_UNPAID,
    LEFT_OPEN,
    MONEY_ASTRAY,
    OVERLAPPING,
    SLOTS_ASTRAY,
    clients,
    deadlocks,
    keys,
    rows,
    services,
    slots,
)
from tests.booking.worker_pool import SharedClock, Stage, Told, Worker, at_work, kill_one
from tests.databases import Database
from tests.processes import eventually
from tests.scale import scaled

pytestmark = pytest.mark.slow

PROCESSES = 16
ROUNDS = scaled(30)  # of each process
KILLS = scaled(10)
LONG_AGO = timedelta(days=2)  # virtual time begins there and never overtakes the real one

# Event -> the rows that it is told of, each exactly once.
PUBLISHED = {
    "appointment_booked": "appointments WHERE client_request_id IS NOT NULL",
    "appointment_canceled": "appointments WHERE status = 'canceled' AND outcome IS NOT NULL",
    "hold_expired": "appointments WHERE status = 'canceled' AND outcome IS NULL",
    "appointment_rescheduled": "appointments WHERE status = 'rescheduled'",
    "appointment_completed": "appointments WHERE status = 'completed'",
    "appointment_confirmed": "appointments WHERE confirmed_at IS NOT NULL",
    "payment_started": "payments",
    "payment_succeeded": "payments WHERE status = 'succeeded'",
    "payment_failed": "payments WHERE status = 'canceled'",
}
TRACKED = {
    "booking_slot_selected": ["appointment_booked"],
    "booking_confirmed": ["appointment_confirmed"],
    "appointment_outcome_recorded": [
        "appointment_canceled",
        "appointment_rescheduled",
        "appointment_completed",
    ],
    "payment_started": ["payment_started"],
    "payment_failed": ["payment_failed"],
}


def check(connection: psycopg.Connection) -> None:
    """What holds in every database that only verbs, and INSERTs of holds, have written."""
    assert rows(connection, OVERLAPPING) == []
    assert rows(connection, SLOTS_ASTRAY) == []
    assert rows(connection, CONFIRMED_UNPAID) == []
    assert rows(connection, MONEY_ASTRAY) == []
    expected = Counter()
    for event, what in PUBLISHED.items():
        about = sorted(keys(connection, f"SELECT id FROM {what}"))
        told = keys(
            connection,
            "SELECT aggregate_id FROM outbox_events WHERE event_type = %s ORDER BY 1",
            [event],
        )
        assert told == about, event
        expected[event] = len(about)
    tracked = dict(rows(connection, "SELECT event_name, count(*) FROM analytics_events GROUP BY 1"))
    for event, causes in TRACKED.items():
        assert tracked.get(event, 0) == sum(expected[cause] for cause in causes), event
    assert set(tracked) <= {*TRACKED, "booking_paid"}
    # Who has only been written by SQL is nobody's lead yet.
    of_leads = (
        "SELECT event_id, event_name, lead_id FROM {} WHERE lead_id IS NOT NULL ORDER BY event_id"
    )
    assert rows(connection, of_leads.format("analytics_events")) == rows(
        connection, of_leads.format("lead_timeline_events")
    )


def told_by(workers: Sequence[Worker], connection: psycopg.Connection) -> list[Told]:
    """What they were answered, once all are done. No verb has left a transaction open."""
    answers = [worker.result() for worker in workers]
    assert rows(connection, LEFT_OPEN) == []
    return answers


def agree(connection: psycopg.Connection, answers: Sequence[Told]) -> Counter:
    """The processes were told what the database holds, and nobody was told two things."""
    booked: dict[str, set[UUID]] = {}
    for told in answers:
        for request, key in told.booked.items():
            booked.setdefault(request, set()).add(key)
    assert {
        request: {key}
        for request, key in rows(
            connection,
            "SELECT client_request_id, id FROM appointments WHERE client_request_id IS NOT NULL",
        )
    } == booked
    assert set().union(*(told.canceled for told in answers)) == set(
        keys(connection, "SELECT id FROM appointments WHERE outcome = 'canceled_by_client'")
    )
    assert set().union(*(told.moved.items() for told in answers)) == set(
        rows(
            connection,
            "SELECT a.id, b.id FROM appointments a JOIN appointments b "
            "ON b.rescheduled_from_id = a.id WHERE a.status = 'rescheduled'",
        )
    )
    assert set().union(*(told.outcomes for told in answers)) == set(
        keys(connection, "SELECT id FROM appointments WHERE status = 'completed'")
    )
    seen = sum((told.seen for told in answers), Counter())
    # The database never had to say no to a verb, and no verb made a bad request of a good one.
    assert not seen.keys() & {"RuleBroken", "InvalidInput", "NotFound", "EventRefused"}, seen
    return seen


@pytest.mark.parametrize(
    ("hours", "rounds", "cancels"),
    [(1, 25, 0.0), (1, 25, 0.5), (200, 30, 0.2)],
    ids=["one hour", "one hour, given back now and then", "two hundred hours"],
)
def test_everybody_books(fresh_database: Database, hours: int, rounds: int, cancels: float) -> None:
    begin = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(days=7)
    starts = [begin + n * timedelta(hours=1) for n in range(hours)]
    with fresh_database.connect(autocommit=True) as connection:
        stage = Stage(
            services=services(connection, (50, 3000), (50, 0)),
            clients=clients(connection, 40),
            slots=slots(connection, starts),
            hours=starts,
            clock=SharedClock(datetime.now(UTC)),
        )
        work = [
            Worker(fresh_database.url, worker_pool.compete, n, scaled(rounds), stage, cancels)
            for n in range(PROCESSES)
        ]
        with at_work(work):
            answers = told_by(work, connection)
        # Whoever was last may have given it back: somebody comes who does not.
        late = [Worker(fresh_database.url, worker_pool.compete, 2 * PROCESSES, 1, stage, 0.0)]
        with at_work(late):
            answers += told_by(late, connection)
        seen = agree(connection, answers)
        check(connection)
        assert set(seen) <= {"done", "SlotTaken", "IdempotencyConflict"}
        (booked,) = keys(connection, "SELECT count(*) FROM appointments")
        (given_back,) = keys(
            connection, "SELECT count(*) FROM appointments WHERE status = 'canceled'"
        )
        # What nobody gives back is booked once; everything is asked for, and so it is taken.
        assert 0 < booked - given_back <= hours
        assert booked == 1 if (hours, cancels) == (1, 0.0) else booked > hours // 2
    assert deadlocks(fresh_database) == 0


@pytest.mark.parametrize("gone", [False, True], ids=["held", "given up and taken by another"])
@pytest.mark.parametrize("by_slot", [1.0, 0.0], ids=["slot", "start"])
def test_a_request_that_is_answered_meanwhile_has_the_same_answer(
    fresh_database: Database, by_slot: float, gone: bool
) -> None:
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(days=7)
    with fresh_database.connect(autocommit=True) as connection:
        stage = Stage(
            services=services(connection, (50, 3000)),
            clients=clients(connection, 1),
            slots=slots(connection, [hour]),
            hours=[hour],
            clock=SharedClock(datetime.now(UTC)),
            by_slot=by_slot,
        )
        with at_work(
            [Worker(fresh_database.url, worker_pool.meet_itself, "one", stage, gone)]
        ) as work:
            answer, first = work[0].result()
        assert answer == first
        check(connection)


def busy_days(connection: psycopg.Connection) -> Stage:
    """A day of hours, shorter and longer sessions, on a clock that lets holds run out."""
    begin = (datetime.now(UTC) - LONG_AGO).replace(minute=0, second=0, microsecond=0)
    starts = [begin + n * timedelta(hours=1) for n in range(1, 25)]
    return Stage(
        services=services(connection, (50, 3000), (50, 0), (25, 2000), (110, 5000)),
        clients=clients(connection, 40),
        slots=[
            *slots(connection, starts, 60, 10),
            *slots(connection, starts[::2], 120),
        ],
        hours=starts,
        # A hold of 15 minutes lasts for about twelve rounds of all processes together.
        clock=SharedClock(
            begin,
            step=timedelta(hours=10) / (PROCESSES * ROUNDS),
            longest=LONG_AGO,
            rounds=worker_pool.CONTEXT.RawArray("i", PROCESSES),
        ),
        by_slot=0.6,
    )


def test_everything_happens_at_once(fresh_database: Database) -> None:
    with fresh_database.connect(autocommit=True) as connection:
        stage = busy_days(connection)
        work = [
            Worker(fresh_database.url, worker_pool.live, n, ROUNDS, stage) for n in range(PROCESSES)
        ]
        with at_work(work):
            answers = told_by(work, connection)
        seen = agree(connection, answers)
        check(connection)
    # It was busy: all of this has happened.
    assert {"done", "SlotTaken", "TransitionRefused"} <= set(seen)
    for happened in ("booked", "canceled", "moved", "expired", "written"):
        assert any(getattr(told, happened) for told in answers), happened


def test_processes_are_killed_in_the_middle(fresh_database: Database) -> None:
    """Each of a number of kills meets an open transaction; the others work until the last one."""
    dice = random.Random(1)
    with fresh_database.connect(autocommit=True) as connection:
        stage, stop = busy_days(connection), worker_pool.CONTEXT.RawValue("i", 0)
        work = [
            Worker(fresh_database.url, worker_pool.live, n, 10, stage, stop)
            for n in range(PROCESSES)
        ]
        with at_work(work) as present:
            for _ in range(KILLS):
                kill_one(present, dice, connection)
            stop.value = 1
            for worker in present:
                worker.result()
            assert eventually(lambda: rows(connection, LEFT_OPEN) == [])
        check(connection)
        assert rows(connection, "SELECT FROM appointments WHERE status <> 'pending_payment'")
