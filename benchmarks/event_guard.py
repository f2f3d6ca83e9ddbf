"""Measures the cost of the P0 guard: INSERTs of events with the trigger and without it.

    .venv/bin/python benchmarks/event_guard.py

There are two databases with the same schema; one lacks the trigger. Rounds alternate. A round is
one transaction of single-row INSERTs. The result is the median of the rounds. The bound is 2.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
import uuid

import psycopg
from common import empty_database, migrate

ROUNDS = 15
ROWS = 2_000
BOUND = 2.0
INSERT = """
INSERT INTO analytics_events (schema_version, event_name, event_version, event_id, occurred_at,
    source, environment, anonymous_id, page, acquisition, properties)
VALUES ('1.0', %(event)s, 1, %(id)s, now(), %(source)s, 'prod', 'visitor-0001',
    %(page)s, %(acquisition)s, %(properties)s)
"""
EVENTS = {
    "complete_quiz (3 properties)": {
        "event": "complete_quiz",
        "source": "web",
        "page": json.dumps({"page_path": "/quiz/burnout"}),
        "acquisition": json.dumps({"entry_point": "seo", "utm_source": "yandex"}),
        "properties": json.dumps(
            {"quiz_slug": "burnout", "result_level": "moderate", "duration_ms": 61000}
        ),
    },
    "lk_opened (1 property)": {
        "event": "lk_opened",
        "source": "web",
        "page": "{}",
        "acquisition": "{}",
        "properties": json.dumps({"page_path": "/lk"}),
    },
    "booking_confirmed (6 properties)": {
        "event": "booking_confirmed",
        "source": "backend",
        "page": "{}",
        "acquisition": "{}",
        "properties": json.dumps(
            {
                "appointment_start_at": "2026-03-02T09:00:00Z",
                "timezone": "Europe/Moscow",
                "service_slug": "first-meeting",
                "service_id": str(uuid.uuid4()),
                "format": "online",
                "deep_link_id": "abcd1234",
            }
        ),
    },
}


def round_seconds(connection: psycopg.Connection, event: dict[str, str]) -> float:
    rows = [{**event, "id": uuid.uuid4()} for _ in range(ROWS)]
    start = time.perf_counter()
    with connection.transaction(), connection.cursor() as cursor:
        for row in rows:
            cursor.execute(INSERT, row)
    return time.perf_counter() - start


def main() -> None:
    with empty_database("guarded") as guarded, empty_database("bare") as bare:
        print("migrating two databases …", file=sys.stderr)
        migrate(guarded)
        migrate(bare)
        with (
            psycopg.connect(**guarded, autocommit=True) as with_guard,
            psycopg.connect(**bare, autocommit=True) as without,
        ):
            without.execute("DROP TRIGGER analytics_events_p0_only ON analytics_events")
            for label, event in EVENTS.items():
                print(f"{label} …", file=sys.stderr)
                times: dict[str, list[float]] = {"guarded": [], "bare": []}
                for _ in range(ROUNDS):
                    times["guarded"].append(round_seconds(with_guard, event))
                    times["bare"].append(round_seconds(without, event))
                slow, fast = (statistics.median(times[k]) / ROWS * 1e6 for k in ("guarded", "bare"))
                print(
                    f"{label:34} guarded {slow:6.1f} µs   bare {fast:6.1f} µs   "
                    f"ratio {slow / fast:5.2f} (bound {BOUND})"
                )


if __name__ == "__main__":
    main()
