"""The chain under concurrency: no fork and no gap, even with killed writers."""

from __future__ import annotations

import multiprocessing
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from audit.models import AuditLogEntry
from audit.services import record_entry
from tests.databases import Database, default_connection_on
from tests.factories import ServiceFactory
from tests.processes import HANG_TIMEOUT, ROOT, eventually
from tests.scale import scaled
from tests.services import committing
from tests.sessions import Session, race

from . import writers
from .tampering import verify
from .writers import CAPTURED, DIRECT, RECORDED

WRITERS = 16
OTHERS = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND query ~ 'record_audit_entry' AND pid <> pg_backend_pid()
"""
LEVELS = ["read committed", "repeatable read", "serializable"]


@pytest.fixture(scope="module")
def committed(module_database: Database, django_db_blocker: Any) -> Iterator[Database]:
    """One log for all tests, which commit: each test checks the entries that it adds."""
    with committing(module_database, django_db_blocker):
        yield module_database


@pytest.fixture(scope="module")
def services(committed: Database) -> list[str]:
    return [str(ServiceFactory().pk) for _ in range(WRITERS)]


def entries() -> int:
    """Verify the log and return the number of its entries."""
    verified = verify()
    assert (verified.first, verified.entries) == (1, verified.last)
    assert AuditLogEntry.objects.count() == verified.entries
    return verified.entries


def run_in_processes(work: Callable, rounds: int, conninfo: str, *arguments: object) -> Counter:
    with multiprocessing.get_context("spawn").Pool(WRITERS) as pool:
        jobs = [(conninfo, n, rounds, *arguments) for n in range(WRITERS)]
        return sum(pool.starmap(work, jobs), Counter())


# -- many writers -------------------------------------------------------------------------------


@pytest.mark.slow
def test_sixteen_writers_make_one_chain(committed: Database, services: list[str]) -> None:
    before = entries()
    seen = run_in_processes(writers.mix, scaled(40), committed.conninfo, services, "read committed")
    assert set(seen) == {"kept"}  # no writer was refused
    assert entries() == before + seen["kept"]


@pytest.mark.slow
@pytest.mark.parametrize("level", LEVELS[1:])
def test_writers_with_older_snapshots_are_refused(
    committed: Database, services: list[str], level: str
) -> None:
    """With a retryable conflict; a plain INSERT may also meet the unique number."""
    before = entries()
    seen = run_in_processes(writers.mix, scaled(15), committed.conninfo, services, level)
    assert seen["kept"] > 0
    assert set(seen) <= {"kept", "40001", "23505"}
    assert entries() == before + seen["kept"]


@pytest.mark.slow
def test_a_log_is_verified_beside_its_writers(
    committed: Database, services: list[str], tmp_path: Path
) -> None:
    before, enough = entries(), tmp_path / "enough"
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        job = pool.starmap_async(
            writers.mix,
            [
                (committed.conninfo, n, 20, services, "read committed", str(enough))
                for n in range(4)
            ],
        )
        lengths: list[int] = []

        def has_grown_while_verified() -> bool:
            assert not job.ready()
            lengths.append(verify(batch=7).last)
            return len(set(lengths)) > 3

        try:
            assert eventually(has_grown_while_verified)
        finally:
            enough.touch()
        kept = sum(seen["kept"] for seen in job.get(HANG_TIMEOUT))
    assert sorted(lengths) == lengths
    assert entries() == kept + before


# -- writers that fail --------------------------------------------------------------------------


@pytest.mark.slow
def test_killed_writers_leave_no_gap(committed: Database) -> None:
    """Each is killed in the middle of a later transaction."""
    before, lines = entries(), 20
    call = f"write_for_ever({committed.conninfo!r}, {lines})"
    program = f"from tests.audit.writers import write_for_ever; {call}"
    dice = random.Random(7)
    running: list[subprocess.Popen] = []
    try:
        for _ in range(scaled(12)):
            running.append(
                subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE)
            )
            if len(running) == 4:
                victim = running.pop(dice.randrange(4))
                assert victim.stdout
                for _ in range(dice.randint(1, lines)):
                    assert victim.stdout.readline() == b"committed\n"
                victim.kill()
                victim.communicate()
    finally:
        for process in running:
            process.kill()
            process.communicate()
    # The server may still process the last statements.
    with committed.connect(autocommit=True) as connection:
        assert eventually(lambda: connection.execute(OTHERS).fetchone() == (0,))
    added = entries() - before
    assert added > 0
    assert added % 3 == 0
    record_entry("tried", entity_type="test")
    assert entries() == before + added + 1


def test_rollback_leaves_no_gap(committed: Database, services: list[str]) -> None:
    before = entries()
    with committed.connect() as connection:
        for _ in range(3):
            connection.execute(RECORDED)
            connection.execute(CAPTURED, [services[0]])
            connection.rollback()
            connection.execute(RECORDED)
            connection.execute("SAVEPOINT one")
            connection.execute(RECORDED)
            connection.execute(DIRECT)
            connection.execute("ROLLBACK TO one")
            connection.execute(RECORDED)
            connection.commit()
    assert entries() == before + 6


def test_a_broken_connection_leaves_no_gap(committed: Database) -> None:
    before = entries()
    session = Session(committed, "read committed")
    session.start(RECORDED)
    session.wait()
    with committed.connect(autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(%s, 5000)", [session.connection.info.backend_pid]
        )
        other.execute(RECORDED)
    session.close()
    assert entries() == before + 1


# -- two sessions, step by step -----------------------------------------------------------------


NAMES = {CAPTURED: "captured", RECORDED: "recorded", DIRECT: "direct"}
PAIRS = [(CAPTURED, CAPTURED), *product([RECORDED, DIRECT], [RECORDED, DIRECT, CAPTURED])]


@pytest.mark.parametrize(
    ("level", "first", "then"),
    [
        pytest.param(level, first, then, id=f"{NAMES[first]}, {NAMES[then]}, {level}")
        for level, pairs in [*((level, PAIRS) for level in LEVELS[:2]), (LEVELS[2], PAIRS[-1:])]
        for first, then in pairs
    ],
)
def test_two_writers_are_serialized(
    committed: Database, services: list[str], level: str, first: str, then: str
) -> None:
    before = entries()
    pairs = [
        (statement, services[n]) if statement == CAPTURED else (statement,)
        for n, statement in enumerate([first, then])
    ]
    errors = race(committed, level, *pairs, repeated=False)
    if level == "read committed":
        assert errors == []
    else:
        (error,) = errors
        # A program that writes the entry itself may meet the unique number.
        assert error.sqlstate in ({"40001", "23505"} if then == DIRECT else {"40001"})
    assert entries() == before + 2 - len(errors)


@pytest.mark.parametrize("level", LEVELS)
def test_writer_blocks_others_only_at_its_end(
    committed: Database, services: list[str], level: str
) -> None:
    """A transaction with an audited change blocks no other until it ends."""
    before = entries()
    one = Session(committed, level)
    try:
        one.start(CAPTURED, services[0])
        one.wait()
        with committed.connect(autocommit=True) as third:
            third.execute(f"SET lock_timeout = '{HANG_TIMEOUT}s'")
            third.execute(RECORDED)
            third.execute(CAPTURED, [services[1]])
    finally:
        one.connection.rollback()
        one.close()
    assert entries() == before + 2


def test_canonical_text_is_the_same_for_every_value(
    fresh_database: Database, django_db_blocker: Any
) -> None:
    """jsonb_build_array() writes it and concatenation verifies it: compared on random values."""
    dice = random.Random(11)
    letters = [*map(chr, range(1, 160)), *"Ёё«»☂\u2028\u2029\ufeff\U0001f600\\\"'/%{}", "\ud7ff"]

    def text() -> str:
        return "".join(dice.choices(letters, k=dice.randrange(12)))

    def value(depth: int = 0) -> Any:
        kinds = [text, lambda: dice.choice([None, True, False, 0, -1, 1.5e-7, 1e9, 12.10])]
        if depth < 3:
            kinds.append(lambda: [value(depth + 1) for _ in range(dice.randrange(3))])
            kinds.append(lambda: {f"k{n}": value(depth + 1) for n in range(dice.randrange(3))})
        return dice.choice(kinds)()

    with fresh_database.connect(autocommit=True) as connection:
        connection.execute(
            "ALTER TABLE audit_log_entries DROP CONSTRAINT audit_log_entries_old_value_is_p0"
        )
        for _ in range(500):
            connection.execute(
                "INSERT INTO audit_log_entries (actor_role, action, entity_type, old_value, "
                "user_agent, ip_address, created_at) VALUES ('system', 'a', 'b', %s, %s, %s, "
                "timestamptz '0001-02-01' + %s * interval '1 microsecond')",
                [
                    Jsonb({"value": value()}),
                    text(),
                    dice.choice(["10.0.0.0/8", "192.0.2.1", "::ffff:1.2.3.4", "fe80::/10", None]),
                    dice.randrange(10**16),
                ],
            )
    with django_db_blocker.unblock(), default_connection_on(fresh_database):
        assert entries() == 500
