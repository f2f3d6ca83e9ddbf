"""Concurrent processes, each with its own connection, on one busy morning and one log."""

from __future__ import annotations

import multiprocessing
from collections import Counter
from collections.abc import Callable
from uuid import uuid4

import pytest

from tests import load_worker
from tests.databases import Database

pytestmark = pytest.mark.slow

PROCESSES = 8

OVERLAPPING = """
SELECT count(*) FROM appointments a JOIN appointments b ON a.id < b.id
WHERE a.status IN ('pending_payment', 'paid', 'confirmed')
  AND b.status IN ('pending_payment', 'paid', 'confirmed')
  AND a.start_at_utc < b.end_at_utc + b.buffer_minutes * interval '1 minute'
  AND b.start_at_utc < a.end_at_utc + a.buffer_minutes * interval '1 minute'
"""


def run_in_processes(work: Callable, conninfo: str, rounds: int, *arguments: object) -> list:
    """Run ``work`` in new processes, each with its own seed."""
    with multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
        return pool.starmap(work, [(conninfo, n, rounds, *arguments) for n in range(PROCESSES)])


# PostgreSQL needs a second to detect a deadlock among plain INSERTs, so they have few rounds.
@pytest.mark.parametrize(
    ("suffix", "rounds"), [("ON CONFLICT DO NOTHING", 60), ("", 8)], ids=["on conflict", "plain"]
)
def test_nothing_is_booked_twice(fresh_database: Database, suffix: str, rounds: int) -> None:
    with fresh_database.connect(autocommit=True) as connection:
        (service,) = connection.execute(
            "INSERT INTO services (slug, title, description_markdown, format, duration_minutes, "
            "price_amount) VALUES ('one', 'Встреча', '', 'online', 50, 0) RETURNING id::text"
        ).fetchone()
        (client,) = connection.execute(
            "INSERT INTO users (email) VALUES (%s) RETURNING id::text", [f"{uuid4()}@example.com"]
        ).fetchone()
        seen = sum(
            run_in_processes(
                load_worker.book, fresh_database.conninfo, rounds, service, client, suffix
            ),
            Counter(),
        )
        (overlapping,) = connection.execute(OVERLAPPING).fetchone()
        (rows,) = connection.execute("SELECT count(*) FROM appointments").fetchone()
    assert overlapping == 0
    assert rows == seen["done"]
    assert sum(seen.values()) == PROCESSES * rounds
    # With ON CONFLICT a taken hour inserts nothing; plain INSERTs may deadlock.
    assert set(seen) == {"done", "nothing"} if suffix else set(seen) <= {"done", "23P01", "40P01"}


def test_audit_chain_has_no_fork_and_no_gap(fresh_database: Database) -> None:
    kept = sum(run_in_processes(load_worker.log, fresh_database.conninfo, 60))
    with fresh_database.connect() as connection:
        rows = connection.execute(
            "SELECT seq, prev_hash, row_hash, audit_entry_hash(prev_hash, id, seq, "
            "actor_user_id, actor_role, action, entity_type, entity_id, entity_key, old_value, "
            "new_value, created_at, origin_hash) FROM audit_log_entries ORDER BY seq"
        ).fetchall()
    assert 0 < kept < PROCESSES * 60
    assert [row[0] for row in rows] == [*range(1, kept + 1)]
    assert all(row[2] == row[3] for row in rows)
    assert [row[1] for row in rows[1:]] == [row[2] for row in rows[:-1]]
