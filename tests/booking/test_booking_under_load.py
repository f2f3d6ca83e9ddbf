"""Sixteen processes book, move, cancel and pay at once; then the whole database is checked."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg
import pytest

from tests.booking import worker_pool
from tests.booking.load_checks import (
    CONFIRMED_UNPAID,
    INCONSISTENT_MONEY,
    INCONSISTENT_SLOTS,
    OPEN_TRANSACTIONS,
    OVERLAPPING,
    count_deadlocks,
    insert_clients,
    insert_services,
    insert_slots,
    insert_staff,
    keys,
    rows,
)
from tests.booking.worker_pool import Answers, SharedClock, SharedData, Worker, kill_one, running
from tests.databases import Database
from tests.processes import eventually
from tests.scale import scaled

pytestmark = pytest.mark.slow

PROCESSES = 16
ROUNDS = scaled(30)  # of each process
KILLS = scaled(10)
VIRTUAL_AGE = timedelta(days=2)  # virtual time begins this long ago and never overtakes real time

# Event -> the rows that it is published for, each exactly once.
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


def check_database(connection: psycopg.Connection) -> None:
    """Check a database that only services, and INSERTs of holds, have written."""
    assert rows(connection, OVERLAPPING) == []
    assert rows(connection, INCONSISTENT_SLOTS) == []
    assert rows(connection, CONFIRMED_UNPAID) == []
    assert rows(connection, INCONSISTENT_MONEY) == []
    expected = Counter()
    for event, source in PUBLISHED.items():
        about = sorted(keys(connection, f"SELECT id FROM {source}"))
        published = keys(
            connection,
            "SELECT aggregate_id FROM outbox_events WHERE event_type = %s ORDER BY 1",
            [event],
        )
        assert published == about, event
        expected[event] = len(about)
    tracked = dict(rows(connection, "SELECT event_name, count(*) FROM analytics_events GROUP BY 1"))
    for event, causes in TRACKED.items():
        assert tracked.get(event, 0) == sum(expected[cause] for cause in causes), event
    assert set(tracked) <= {*TRACKED, "booking_paid"}
    # Clients of holds inserted by SQL are not leads yet.
    of_leads = (
        "SELECT event_id, event_name, lead_id FROM {} WHERE lead_id IS NOT NULL ORDER BY event_id"
    )
    assert rows(connection, of_leads.format("analytics_events")) == rows(
        connection, of_leads.format("lead_timeline_events")
    )


def collect_results(workers: Sequence[Worker], connection: psycopg.Connection) -> list[Answers]:
    """Wait for all workers and return their answers; no service may leave a transaction open."""
    answers = [worker.result() for worker in workers]
    assert rows(connection, OPEN_TRANSACTIONS) == []
    return answers


def check_answers(connection: psycopg.Connection, answers: Sequence[Answers]) -> Counter:
    """Check that the answers agree with each other and with the database."""
    booked: dict[str, set[UUID]] = {}
    for one in answers:
        for request, key in one.booked.items():
            booked.setdefault(request, set()).add(key)
    assert {
        request: {key}
        for request, key in rows(
            connection,
            "SELECT client_request_id, id FROM appointments WHERE client_request_id IS NOT NULL",
        )
    } == booked
    assert set().union(*(one.canceled for one in answers)) == set(
        keys(connection, "SELECT id FROM appointments WHERE outcome = 'canceled_by_client'")
    )
    assert set().union(*(one.moved.items() for one in answers)) == set(
        rows(
            connection,
            "SELECT a.id, b.id FROM appointments a JOIN appointments b "
            "ON b.rescheduled_from_id = a.id WHERE a.status = 'rescheduled'",
        )
    )
    assert set().union(*(one.outcomes for one in answers)) == set(
        keys(connection, "SELECT id FROM appointments WHERE status = 'completed'")
    )
    seen = sum((one.seen for one in answers), Counter())
    # No service broke a database rule, and no service refused a valid request as bad input.
    assert not seen.keys() & {"RuleBroken", "InvalidInput", "NotFound", "EventRefused"}, seen
    return seen


@pytest.mark.parametrize(
    ("hours", "rounds", "cancels"),
    [(1, 25, 0.0), (1, 25, 0.5), (200, 30, 0.2)],
    ids=["one hour", "one hour, some canceled", "two hundred hours"],
)
def test_concurrent_bookings_agree_with_the_database(
    fresh_database: Database, hours: int, rounds: int, cancels: float
) -> None:
    begin = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(days=7)
    starts = [begin + n * timedelta(hours=1) for n in range(hours)]
    with fresh_database.connect(autocommit=True) as connection:
        data = SharedData(
            services=insert_services(connection, (50, 3000), (50, 0)),
            clients=insert_clients(connection, 40),
            slots=insert_slots(connection, starts),
            hours=starts,
            clock=SharedClock(datetime.now(UTC)),
        )
        work = [
            Worker(
                fresh_database.url,
                worker_pool.book_competing_requests,
                n,
                scaled(rounds),
                data,
                cancels,
            )
            for n in range(PROCESSES)
        ]
        with running(work):
            answers = collect_results(work, connection)
        # The last process may have cancelled, so one more process books and cancels nothing.
        late = [
            Worker(
                fresh_database.url, worker_pool.book_competing_requests, 2 * PROCESSES, 1, data, 0.0
            )
        ]
        with running(late):
            answers += collect_results(late, connection)
        seen = check_answers(connection, answers)
        check_database(connection)
        assert set(seen) <= {"done", "SlotTaken", "TooManyHolds", "IdempotencyConflict"}
        (booked,) = keys(connection, "SELECT count(*) FROM appointments")
        (given_back,) = keys(
            connection, "SELECT count(*) FROM appointments WHERE status = 'canceled'"
        )
        # Each hour is kept at most once; all hours are requested, so most are taken.
        assert 0 < booked - given_back <= hours
        assert booked == 1 if (hours, cancels) == (1, 0.0) else booked > hours // 2
    assert count_deadlocks(fresh_database) == 0


@pytest.mark.parametrize("is_lost", [False, True], ids=["kept", "canceled and rebooked"])
@pytest.mark.parametrize("by_slot", [1.0, 0.0], ids=["slot", "start"])
def test_request_answered_concurrently_returns_the_same_appointment(
    fresh_database: Database, by_slot: float, is_lost: bool
) -> None:
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(days=7)
    with fresh_database.connect(autocommit=True) as connection:
        data = SharedData(
            services=insert_services(connection, (50, 3000)),
            clients=insert_clients(connection, 1),
            slots=insert_slots(connection, [hour], 120),
            hours=[hour],
            clock=SharedClock(datetime.now(UTC)),
            by_slot=by_slot,
        )
        with running(
            [Worker(fresh_database.url, worker_pool.book_beside_itself, "one", data, is_lost)]
        ) as work:
            answer, first = work[0].result()
        assert answer == first
        check_database(connection)


def create_busy_day(connection: psycopg.Connection) -> SharedData:
    """A day of slots and several session lengths, on a clock that lets holds expire."""
    begin = (datetime.now(UTC) - VIRTUAL_AGE).replace(minute=0, second=0, microsecond=0)
    starts = [begin + n * timedelta(hours=1) for n in range(1, 25)]
    return SharedData(
        services=insert_services(connection, (50, 3000), (50, 0), (25, 2000), (110, 5000)),
        clients=insert_clients(connection, 40),
        slots=[
            *insert_slots(connection, starts, 60, 10),
            *insert_slots(connection, starts[::2], 120),
        ],
        hours=starts,
        # A hold of 15 minutes lasts for about twelve rounds of all processes together.
        clock=SharedClock(
            begin,
            step=timedelta(hours=10) / (PROCESSES * ROUNDS),
            longest=VIRTUAL_AGE,
            rounds=worker_pool.CONTEXT.RawArray("i", PROCESSES),
        ),
        by_slot=0.6,
        staff=insert_staff(connection),
    )


def test_all_services_run_concurrently(fresh_database: Database) -> None:
    with fresh_database.connect(autocommit=True) as connection:
        data = create_busy_day(connection)
        work = [
            Worker(fresh_database.url, worker_pool.call_random_services, n, ROUNDS, data)
            for n in range(PROCESSES)
        ]
        with running(work):
            answers = collect_results(work, connection)
        seen = check_answers(connection, answers)
        check_database(connection)
    # All of this must have happened.
    assert {"done", "SlotTaken", "TransitionRefused"} <= set(seen)
    for happened in ("booked", "canceled", "moved", "expired", "written"):
        assert any(getattr(one, happened) for one in answers), happened


def test_killed_processes_leave_a_consistent_database(fresh_database: Database) -> None:
    """Each kill meets an open transaction; the other processes work until the last kill."""
    dice = random.Random(1)
    with fresh_database.connect(autocommit=True) as connection:
        data, stop = create_busy_day(connection), worker_pool.CONTEXT.RawValue("i", 0)
        work = [
            Worker(fresh_database.url, worker_pool.call_random_services, n, 10, data, stop)
            for n in range(PROCESSES)
        ]
        with running(work) as present:
            for _ in range(KILLS):
                kill_one(present, dice, connection)
            stop.value = 1
            for worker in present:
                worker.result()
            assert eventually(lambda: rows(connection, OPEN_TRANSACTIONS) == [])
        check_database(connection)
        assert rows(connection, "SELECT FROM appointments WHERE status <> 'pending_payment'")
