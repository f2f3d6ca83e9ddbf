"""First rows and final checks of the load tests, by SQL alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg

from tests.databases import OTHER_CLIENTS, Database
from tests.processes import eventually

type Params = Sequence[object] | Mapping[str, object]

KEEPS = "status IN ('pending_payment', 'paid', 'confirmed')"
OVERLAPPING = f"""
SELECT a.id, b.id FROM appointments a JOIN appointments b ON a.id < b.id
WHERE a.{KEEPS} AND b.{KEEPS}
  AND tstzrange(a.start_at_utc, a.end_at_utc + a.buffer_minutes * interval '1 minute')
   && tstzrange(b.start_at_utc, b.end_at_utc + b.buffer_minutes * interval '1 minute')
"""
# A slot is reserved exactly while one appointment blocks it; a completed one blocks it for ever.
INCONSISTENT_SLOTS = f"""
SELECT s.id, s.status, kept.number FROM availability_slots s CROSS JOIN LATERAL (
    SELECT count(*) AS number FROM appointments
    WHERE slot_id = s.id AND ({KEEPS} OR status = 'completed')) AS kept
WHERE kept.number > 1 OR (s.status = 'reserved') <> (kept.number = 1)
"""
CONFIRMED_UNPAID = """
WITH RECURSIVE chain AS (
    SELECT id AS last, id, rescheduled_from_id FROM appointments
    WHERE confirmed_at IS NOT NULL AND price_amount > 0
    UNION ALL
    SELECT chain.last, a.id, a.rescheduled_from_id
    FROM appointments a JOIN chain ON a.id = chain.rescheduled_from_id)
SELECT last FROM chain LEFT JOIN payments ON appointment_id = chain.id AND status = 'succeeded'
GROUP BY last HAVING count(payments.id) = 0
"""
# The money kept for a session is between zero and its price.
INCONSISTENT_MONEY = """
WITH RECURSIVE chain AS (
    SELECT id AS first, id, price_amount FROM appointments WHERE rescheduled_from_id IS NULL
    UNION ALL
    SELECT chain.first, a.id, a.price_amount
    FROM appointments a JOIN chain ON a.rescheduled_from_id = chain.id),
returned AS (
    SELECT payment_id, sum(amount) AS amount FROM refunds WHERE status <> 'failed' GROUP BY 1)
SELECT first, price_amount, sum(p.amount), sum(returned.amount) FROM chain
JOIN payments p ON p.appointment_id = chain.id AND p.status = 'succeeded'
LEFT JOIN returned ON payment_id = p.id
GROUP BY first, price_amount
HAVING sum(p.amount - coalesce(returned.amount, 0)) NOT BETWEEN 0 AND price_amount
"""
OPEN_TRANSACTIONS = """
SELECT state, query FROM pg_stat_activity
WHERE datname = current_database() AND starts_with(state, 'idle in transaction')
"""
DEADLOCKS = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"


def rows(connection: psycopg.Connection, query: str, params: Params = ()) -> list[tuple]:
    return connection.execute(query, params).fetchall()


def keys(connection: psycopg.Connection, query: str, params: Params = ()) -> list[Any]:
    return [row[0] for row in rows(connection, query, params)]


def insert_services(connection: psycopg.Connection, *kinds: tuple[int, int]) -> list[UUID]:
    """Insert published services; each kind is a duration in minutes and a price in roubles."""
    return keys(
        connection,
        "INSERT INTO services (slug, title, description_markdown, format, duration_minutes, "
        "price_amount, deposit_amount, cancel_free_hours, reschedule_min_hours, "
        "reschedule_max_count, status) "
        "SELECT 'service-' || n, 'Встреча', '', 'online', minutes, price, nullif(price / 5, 0), "
        "2, 1, 4, 'published' FROM unnest(%s::int[], %s::int[]) WITH ORDINALITY "
        "AS kinds (minutes, price, n) RETURNING id",
        ([minutes for minutes, _ in kinds], [price for _, price in kinds]),
    )


def insert_clients(connection: psycopg.Connection, number: int) -> list[UUID]:
    return keys(
        connection,
        "INSERT INTO users (email) SELECT 'client-' || n || '@example.com' "
        "FROM generate_series(1, %s) AS n RETURNING id",
        [number],
    )


def insert_staff(connection: psycopg.Connection) -> UUID:
    """Insert an owner, who may override."""
    (owner,) = keys(
        connection,
        "WITH owner AS (INSERT INTO users (email) VALUES ('owner@example.com') RETURNING id) "
        "INSERT INTO user_roles (user_id, role_code) SELECT id, 'owner' FROM owner "
        "RETURNING user_id",
    )
    return owner


def insert_slots(
    connection: psycopg.Connection, hours: Sequence[datetime], minutes: int = 60, pause: int = 0
) -> list[UUID]:
    return keys(
        connection,
        "INSERT INTO availability_slots (start_at_utc, end_at_utc, buffer_minutes) "
        "SELECT hour, hour + %s * interval '1 minute', %s FROM unnest(%s::timestamptz[]) AS hour "
        "RETURNING id",
        [minutes, pause, list(hours)],
    )


def count_deadlocks(database: Database) -> int:
    """Count the deadlocks, retried or not. PostgreSQL counts those of a session when it ends."""
    with database.connect(autocommit=True) as connection:
        assert eventually(lambda: keys(connection, OTHER_CLIENTS) == [])
        return keys(connection, DEADLOCKS)[0]
