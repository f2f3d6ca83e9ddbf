"""Slot generation by several processes at once, and by a process that is killed."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import psycopg
import pytest

from tests.databases import OTHER_CLIENTS, Database
from tests.processes import HANG_TIMEOUT, ROOT, environment, eventually, manage

pytestmark = pytest.mark.slow

ARGUMENTS = ["generate_slots", "--from", "2099-01-01", "--days", "90"]
PROCESSES = 4
# Mondays to Fridays, the same hours for one service and for any.
RULES = """
INSERT INTO schedule_rules (service_id, weekday, start_local, end_local, timezone, recurrence,
                            valid_from, buffer_minutes)
SELECT CASE scope WHEN 'one' THEN (SELECT id FROM services WHERE slug = 'one') END, weekday,
       '09:00', '18:30', 'Europe/Berlin', 'weekly', '2099-01-01', 10
FROM generate_series(1, 5) AS weekday, (VALUES ('one'), ('any')) AS scopes (scope)
"""
OVERLAPPING = """
SELECT count(*) FROM availability_slots a JOIN availability_slots b
  ON a.id < b.id AND a.service_id IS NOT DISTINCT FROM b.service_id
 AND busy_range(a.start_at_utc, a.end_at_utc, a.buffer_minutes)
  && busy_range(b.start_at_utc, b.end_at_utc, b.buffer_minutes)
"""
WAITING = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock' AND query ~ %s
"""


@pytest.fixture
def admin(fresh_database: Database) -> Iterator[psycopg.Connection[Any]]:
    """Insert ten rules; return a connection to check the result."""
    with fresh_database.connect(autocommit=True) as connection:
        connection.execute(
            "INSERT INTO services (slug, title, description_markdown, format, duration_minutes, "
            "price_amount, status) VALUES ('one', 'Встреча', '', 'online', 50, 0, 'published')"
        )
        connection.execute(RULES)
        yield connection


@contextmanager
def started(database: Database) -> Iterator[subprocess.Popen[str]]:
    """Start a generation; kill it at the end if it still runs."""
    with subprocess.Popen(
        [sys.executable, str(ROOT / "manage.py"), *ARGUMENTS],
        env=environment(DATABASE_URL=database.url),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def number_made(output: str) -> int:
    match = re.search(r"(\d+) slots made", output)
    assert match, output
    return int(match[1])


def count(connection: psycopg.Connection[Any], sql: str, *params: Any) -> int:
    row = connection.execute(sql, params).fetchone()
    assert row
    return int(row[0])


def count_slots(connection: psycopg.Connection[Any]) -> int:
    return count(connection, "SELECT count(*) FROM availability_slots")


def count_events(connection: psycopg.Connection[Any]) -> int:
    return count(
        connection, "SELECT count(*) FROM outbox_events WHERE event_type = 'slots_generated'"
    )


def test_concurrent_generations_make_each_slot_once(
    fresh_database: Database, admin: psycopg.Connection[Any]
) -> None:
    with ExitStack() as stack:
        processes = [stack.enter_context(started(fresh_database)) for _ in range(PROCESSES)]
        answers = [process.communicate(timeout=HANG_TIMEOUT) for process in processes]
    assert [process.returncode for process in processes] == [0] * PROCESSES, answers
    # One process made all slots; the others waited for it and made none.
    assert sorted(number_made(out) for out, _ in answers) == [0] * (PROCESSES - 1) + [
        count_slots(admin)
    ]
    assert count_slots(admin) > 1000
    assert count_events(admin) == 10
    assert count(admin, OVERLAPPING) == 0


def test_rule_changed_while_two_processes_wait_makes_no_overlap(
    fresh_database: Database, admin: psycopg.Connection[Any]
) -> None:
    """Both processes wait for the locked rules and must use the committed change."""
    with fresh_database.connect() as editor, ExitStack() as stack:
        editor.execute("UPDATE schedule_rules SET start_local = '09:25', buffer_minutes = 25")
        processes = [stack.enter_context(started(fresh_database)) for _ in range(2)]
        waiting = [WAITING, "schedule_rules"]
        assert eventually(lambda: count(admin, *waiting) == 2)
        assert count_slots(admin) == 0
        editor.commit()
        answers = [process.communicate(timeout=HANG_TIMEOUT) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], answers
    assert count(admin, OVERLAPPING) == 0
    breaks = "SELECT count(*) FROM availability_slots WHERE buffer_minutes <> 25"
    assert count_slots(admin) > 0
    assert count(admin, breaks) == 0


def test_killed_generation_writes_nothing(
    fresh_database: Database, admin: psycopg.Connection[Any]
) -> None:
    with fresh_database.connect() as holder:
        holder.execute("LOCK TABLE outbox_events IN EXCLUSIVE MODE")
        with started(fresh_database) as process:
            # The process has written all slots and waits to write their events.
            assert eventually(lambda: count(admin, WAITING, "outbox_events") == 1)
            process.kill()
            process.communicate(timeout=HANG_TIMEOUT)
        holder.rollback()
    assert eventually(lambda: admin.execute(OTHER_CLIENTS).fetchall() == [])
    assert (count_slots(admin), count_events(admin)) == (0, 0)

    again = manage(*ARGUMENTS, DATABASE_URL=fresh_database.url)
    assert again.returncode == 0, again.stderr
    assert number_made(again.stdout) == count_slots(admin) > 1000
    assert count_events(admin) == 10


def test_generation_works_without_time_zones_of_the_system(
    fresh_database: Database, admin: psycopg.Connection[Any]
) -> None:
    bare = manage(*ARGUMENTS, DATABASE_URL=fresh_database.url, PYTHONTZPATH="")
    assert bare.returncode == 0, bare.stderr
    assert number_made(bare.stdout) == count_slots(admin) > 1000


def test_bad_input_is_refused_in_one_line(
    fresh_database: Database, admin: psycopg.Connection[Any]
) -> None:
    for arguments in (["--days", "0"], ["--from", "31.12.2099"]):
        refused = manage("generate_slots", *arguments, DATABASE_URL=fresh_database.url)
        assert refused.returncode == 1, arguments
        assert len(refused.stderr.strip().splitlines()) == 1, arguments
        assert arguments[1] in refused.stderr
    assert count_slots(admin) == 0
