"""Measures the times that the view ``bookable_slots`` offers.

    .venv/bin/python benchmarks/bookable_slots.py

It reads 30 and 365 days of 100,000 slots, half of them past, beside 10,000 appointments and 40
exceptions, in a temporary database. The rows are inserted in random order. The baselines are the
query of the view without ``OFFSET 0``, which the planner may turn into joins, and the available
slots of the same period without any rule. All three are read in turn; a result is the median of
the rounds. The bound is 100 ms for 30 days.
"""

from __future__ import annotations

import statistics
import sys
import time

import psycopg
from common import empty_database, migrate

ROUNDS, BOUND = 15, 0.1  # seconds
SERVICE, CLIENT = "md5('service')::uuid", "md5('client')::uuid"
FILL = [
    f"""INSERT INTO services (id, slug, title, description_markdown, format, duration_minutes,
            price_amount, cancel_free_hours, status)
        VALUES ({SERVICE}, 'session', 'Session', 'Text', 'online', 50, 4500, 24, 'published')""",
    f"INSERT INTO users (id, email) VALUES ({CLIENT}, 'client@example.com')",
    f"""INSERT INTO availability_slots (service_id, start_at_utc, end_at_utc, status, block_type)
        SELECT {SERVICE}, start, start + interval '50 minutes',
               CASE n % 20 WHEN 0 THEN 'blocked' ELSE 'available' END,
               CASE n % 20 WHEN 0 THEN 'exception' END
        FROM generate_series(-50000, 50000) n,
             LATERAL (SELECT date_trunc('hour', now()) + n * interval '1 hour' AS start) s
        ORDER BY random()""",
    f"""INSERT INTO appointments (service_id, client_user_id, start_at_utc, end_at_utc, timezone,
            format, status, price_amount, confirmed_at)
        SELECT {SERVICE}, {CLIENT}, start, start + interval '50 minutes', 'UTC', 'online',
               'confirmed', 4500, now()
        FROM generate_series(-5000, 5000) n,
             LATERAL (SELECT date_trunc('hour', now()) + n * interval '3 hours' AS start) s
        ORDER BY random()""",
    """INSERT INTO schedule_exceptions (kind, starts_on, ends_on, timezone)
        SELECT 'closed', current_date + n * 9, current_date + n * 9, 'Europe/Moscow'
        FROM generate_series(1, 40) n""",
]


def main() -> None:
    with empty_database("slots") as params:
        migrate(params)
        with psycopg.connect(**params, autocommit=True) as db:
            # Without triggers: 100,000 guarded rows would take minutes.
            db.execute("SET session_replication_role = replica")
            for statement in FILL:
                db.execute(statement)
            db.execute("VACUUM ANALYZE")
            (view,) = db.execute("SELECT pg_get_viewdef('bookable_slots'::regclass)").fetchone()
            assert view.count("OFFSET 0") == 3
            queries = {
                "bookable_slots": "bookable_slots",
                "without OFFSET 0": f"({view.rstrip(';').replace('OFFSET 0', '')})",
                "available slots": "(SELECT * FROM availability_slots WHERE status = 'available')",
            }
            is_within = compare(db, queries, 30)
            compare(db, queries, 365)
    print(f"bound of bookable_slots, 30 days {BOUND * 1000:15.1f} ms")
    sys.exit(not is_within)


def compare(db: psycopg.Connection, queries: dict[str, str], days: int) -> bool:
    """Print the times of a period; return whether the view is within the bound."""
    times: dict[str, list[float]] = {name: [] for name in queries}
    counts = {}
    for _ in range(ROUNDS):
        for name, source in queries.items():
            start = time.perf_counter()
            counts[name] = len(
                db.execute(
                    f"SELECT start_at_utc FROM {source} slots WHERE start_at_utc BETWEEN "
                    f"now() AND now() + interval '{days} days'"
                ).fetchall()
            )
            times[name].append(time.perf_counter() - start)
    assert counts["bookable_slots"] == counts["without OFFSET 0"] > 0
    medians = {name: statistics.median(values) for name, values in times.items()}
    for name, seconds in medians.items():
        ratio = medians["bookable_slots"] / seconds
        print(
            f"{days:3} days, {name:16} {counts[name]:5,} rows {seconds * 1000:8.1f} ms"
            f"   bookable_slots / this {ratio:5.2f}"
        )
    return medians["bookable_slots"] <= BOUND


if __name__ == "__main__":
    main()
