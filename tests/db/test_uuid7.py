"""Keys: UUIDv7 from Python and from the database, each strictly growing at any speed."""

from __future__ import annotations

import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from uuid import RFC_4122, UUID

import pytest
from django.db import connection

from ebalance.db.ids import uuid7
from tests.databases import Database
from tests.processes import ROOT, environment
from tests.support import execute

MANY = 20_000


def time_of(key: UUID) -> datetime:
    return datetime.fromtimestamp((key.int >> 80) / 1000, UTC)


def check(keys: list[UUID]) -> None:
    assert all(key.version == 7 and key.variant == RFC_4122 for key in keys)
    assert len(set(keys)) == len(keys)
    now = datetime.now(UTC)
    assert all(abs(now - time_of(key)) < timedelta(minutes=1) for key in (keys[0], keys[-1]))


def test_python_makes_growing_keys() -> None:
    keys = [uuid7() for _ in range(MANY)]
    check(keys)
    assert keys == sorted(keys)


def test_threads_make_growing_unique_keys() -> None:
    made: list[list[UUID]] = [[] for _ in range(8)]

    def work(keys: list[UUID]) -> None:
        keys.extend(uuid7() for _ in range(MANY // 8))

    threads = [threading.Thread(target=work, args=[keys]) for keys in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(keys == sorted(keys) for keys in made)
    check([key for keys in made for key in keys])


def test_a_forked_worker_makes_other_keys_than_its_parent() -> None:
    code = (
        "import os, sys; from ebalance.db.ids import uuid7; uuid7(); pid = os.fork(); "
        "sys.stdout.write('\\n'.join(str(uuid7()) for _ in range(500)) + '\\n'); "
        "sys.stdout.flush(); pid and os.waitpid(pid, 0); os._exit(0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    keys = [UUID(line) for line in done.stdout.split()]
    assert len(keys) == 1000
    check(keys)
    # The random tails differ even with equal clocks.
    assert len({key.int & (2**62 - 1) for key in keys}) == 1000


@pytest.mark.django_db
def test_database_makes_growing_keys_across_statements() -> None:
    rows = execute("SELECT uuid7() AS key FROM generate_series(1, %s)", [MANY])
    rows += [row for _ in range(200) for row in execute("SELECT uuid7() AS key")]
    keys = [row["key"] for row in rows]
    check(keys)
    assert keys == sorted(keys)


@pytest.mark.django_db
def test_rows_without_a_key_get_one_from_the_database() -> None:
    rows = execute(
        "INSERT INTO tags (slug, title) SELECT 'tag-' || n, 'Метка' FROM generate_series(1, 500) n "
        "RETURNING id AS key"
    )
    keys = [row["key"] for row in rows]
    check(keys)
    assert keys == sorted(keys)


def test_sessions_never_make_the_same_key(fresh_database: Database) -> None:
    with fresh_database.connect() as one, fresh_database.connect() as other:
        keys = []
        for _ in range(20):
            for session in (one, other):
                query = "SELECT uuid7() FROM generate_series(1, 100)"
                keys += [key for (key,) in session.execute(query).fetchall()]
    check(keys)


@pytest.mark.django_db
def test_keys_stay_distinct_over_rollbacks() -> None:
    """The last value is a session setting, which a rollback restores."""
    with connection.cursor() as cursor:
        seen = []
        for _ in range(50):
            cursor.execute("SAVEPOINT s")
            cursor.execute("SELECT uuid7() FROM generate_series(1, 20)")
            seen += [key for (key,) in cursor.fetchall()]
            cursor.execute("ROLLBACK TO SAVEPOINT s")
    assert len(set(seen)) == len(seen)
