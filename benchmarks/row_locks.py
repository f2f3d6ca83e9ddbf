"""Measures two rules against a database without them: locks as rows, and times of facts.

    .venv/bin/python benchmarks/row_locks.py

There are two databases with the same schema. In one the audit log takes an advisory lock in place
of a row, and events have no rule about their times. Rounds alternate; the result is the median.
"""

from __future__ import annotations

import statistics
import sys
import time
import uuid

import psycopg
from common import empty_database, migrate
from event_guard import EVENTS, INSERT

ROUNDS, ROWS = 11, 1_000
BOUND = 1.5
ENTRY = "SELECT record_audit_entry('tried', 'test', NULL, 'a', NULL, '{\"n\": 1}')"
WITHOUT_ROWS = """
CREATE OR REPLACE FUNCTION public.take_lock(what text, part integer DEFAULT 0) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext(what));
END $$
"""
RULES_OF_TIMES = """
SELECT tgname FROM pg_trigger
WHERE tgrelid = 'analytics_events'::regclass AND tgname LIKE '%not_ahead'
"""


def entries(connection: psycopg.Connection) -> None:
    for _ in range(ROWS // 4):  # each in a transaction of its own
        connection.execute(ENTRY)


def events(connection: psycopg.Connection) -> None:
    event = next(iter(EVENTS.values()))
    with connection.transaction(), connection.cursor() as cursor:
        for _ in range(ROWS):
            cursor.execute(INSERT, {**event, "id": uuid.uuid4()})


def main() -> None:
    with empty_database("ruled") as ruled, empty_database("bare") as bare:
        print("migrating two databases …", file=sys.stderr)
        migrate(ruled)
        migrate(bare)
        with (
            psycopg.connect(**ruled, autocommit=True) as one,
            psycopg.connect(**bare, autocommit=True) as other,
        ):
            other.execute(WITHOUT_ROWS)
            for (name,) in other.execute(RULES_OF_TIMES).fetchall():
                other.execute(f'DROP TRIGGER "{name}" ON analytics_events')
            for label, work in (("audit entry", entries), ("event", events)):
                times: dict[str, list[float]] = {"ruled": [], "bare": []}
                for _ in range(ROUNDS):
                    for kind, connection in (("ruled", one), ("bare", other)):
                        start = time.perf_counter()
                        work(connection)
                        times[kind].append(time.perf_counter() - start)
                slow, fast = (statistics.median(times[kind]) for kind in ("ruled", "bare"))
                print(f"{label:12} ratio {slow / fast:5.2f} (bound {BOUND})")


if __name__ == "__main__":
    main()
