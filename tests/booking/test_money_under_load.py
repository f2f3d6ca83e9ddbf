"""Services, deliveries and raw SQL write money of the same sessions at once, in processes."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from tests.booking import money_workers
from tests.booking.load_checks import (
    CONFIRMED_UNPAID,
    OPEN_TRANSACTIONS,
    OVERLAPPING,
    count_deadlocks,
    insert_clients,
    insert_services,
    insert_staff,
    keys,
    rows,
)
from tests.booking.worker_pool import SharedClock, SharedData, Worker, running
from tests.databases import Database
from tests.scale import scaled

pytestmark = pytest.mark.slow

PROCESSES, ROUNDS, SESSIONS, PRICE = 8, scaled(300), 3, 3000

# Money that staff took and that is not given back is at most the price, in every chain.
TAKEN_ABOVE_PRICE = """
WITH RECURSIVE chain AS (
    SELECT id AS first, id, price_amount FROM appointments WHERE rescheduled_from_id IS NULL
    UNION ALL
    SELECT chain.first, a.id, a.price_amount
    FROM appointments a JOIN chain ON a.rescheduled_from_id = chain.id)
SELECT first, sum(p.amount - coalesce((SELECT sum(r.amount) FROM refunds r
                                       WHERE r.payment_id = p.id AND r.status <> 'failed'), 0))
FROM chain JOIN payments p ON p.appointment_id = chain.id AND p.provider = 'manual'
GROUP BY first, price_amount
HAVING sum(p.amount - coalesce((SELECT sum(r.amount) FROM refunds r
                                WHERE r.payment_id = p.id AND r.status <> 'failed'), 0))
    > price_amount
"""
RETURNED_ABOVE_PAYMENT = """
SELECT p.id FROM payments p JOIN refunds r ON r.payment_id = p.id AND r.status <> 'failed'
GROUP BY p.id HAVING sum(r.amount) > p.amount
"""


def insert_holds(connection: psycopg.Connection, data: SharedData) -> list:
    return keys(
        connection,
        "INSERT INTO appointments (service_id, client_user_id, start_at_utc, end_at_utc, timezone, "
        "format, price_amount, deposit_amount, hold_expires_at) "
        "SELECT %s, %s, hour, hour + interval '50 minutes', 'Europe/Moscow', 'online', %s, %s, "
        "now() + interval '1 day' FROM unnest(%s::timestamptz[]) AS hour RETURNING id",
        [data.services[0], data.clients[0], PRICE, PRICE // 5, list(data.hours[:SESSIONS])],
    )


def test_writers_of_money_never_deadlock_nor_exceed_the_price(fresh_database: Database) -> None:
    now = datetime.now(UTC)
    hours = [now + timedelta(days=3, hours=n) for n in range(4 * SESSIONS)]
    with fresh_database.connect(autocommit=True) as connection:
        data = SharedData(
            services=insert_services(connection, (50, PRICE)),
            clients=insert_clients(connection, 1),
            slots=[],
            hours=hours,
            clock=SharedClock(now),
            staff=insert_staff(connection),
        )
        sessions = insert_holds(connection, data)
        works = [money_workers.call_money_services, money_workers.write_raw_sql]
        workers = [
            Worker(fresh_database.url, works[n % 2], n, ROUNDS, data, sessions)
            for n in range(PROCESSES)
        ]
        with running(workers):
            seen = sum((Counter(worker.result()) for worker in workers), Counter())
        assert rows(connection, TAKEN_ABOVE_PRICE) == []
        assert rows(connection, RETURNED_ABOVE_PAYMENT) == []
        assert rows(connection, CONFIRMED_UNPAID) == []
        assert rows(connection, OVERLAPPING) == []
        assert rows(connection, OPEN_TRANSACTIONS) == []
    assert count_deadlocks(fresh_database) == 0
    # All of this must have happened.
    happened = {
        "taken",
        "delivered",
        "given back",
        "moved",
        "INSERT payments",
        "UPDATE SET",
        "INSERT refunds",
    }
    assert {name for name in happened if not seen[name]} == set(), seen
