"""A purge beside writers, beside another purge, stopped and killed: each run is counted once."""

from __future__ import annotations

import io
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import pytest
from django.core.management import call_command
from django.db import connection

from ebalance.db.schema import grants
from ebalance.privacy import retention
from tests.databases import Database, default_connection_on
from tests.factories import (
    AnonymousQuestionFactory,
    DeepLinkFactory,
    InteractiveDefinitionFactory,
    InteractiveRunFactory,
    UserFactory,
)
from tests.factories.base import ago
from tests.privacy.purge_writers import Visitor
from tests.privacy.purging import OnWait, command, named, purge, refused, there, touches
from tests.processes import HANG_TIMEOUT, ROOT, environment, eventually, manage
from tests.support import execute

pytestmark = pytest.mark.slow

RUNS = """
INSERT INTO interactive_runs (interactive_definition_id, anonymous_id, status, started_at,
                              completed_at, result_level, duration_ms)
SELECT %(quiz)s, 'visitor-old', CASE WHEN done THEN 'completed' ELSE 'in_progress' END, at,
       CASE WHEN done THEN at END, CASE WHEN done THEN 'low' END, CASE WHEN done THEN 7 END
FROM (SELECT n %% 3 = 0 AS done, now() - interval '91 days' - n * interval '20 seconds' AS at
      FROM generate_series(1, %(runs)s) AS n) AS old
"""
LIVE = "started_at >= now() - interval '90 days'"


A_MINUTE = "60000"  # a run that pauses so long after a batch is there when the test needs it


@pytest.fixture
def committed(fresh_database: Database, django_db_blocker: Any) -> Iterator[Database]:
    """A database of its own, where what the test writes is committed."""
    with django_db_blocker.unblock(), default_connection_on(fresh_database):
        yield fresh_database


def expired_runs(number: int) -> Any:
    quiz = InteractiveDefinitionFactory().pk
    execute(RUNS, {"quiz": quiz, "runs": number})
    return quiz


def counted() -> dict[str, int]:
    """Runs that are gone, by their totals."""
    (row,) = execute(
        "SELECT coalesce(sum(runs), 0)::int AS runs, "
        "coalesce(sum(runs) FILTER (WHERE status = 'completed'), 0)::int AS completed, "
        "coalesce(sum(timed_runs), 0)::int AS timed, "
        "coalesce(sum(duration_ms), 0)::int AS ms FROM interactive_run_totals"
    )
    return row


def left() -> int:
    return execute(f"SELECT count(*) AS n FROM interactive_runs WHERE NOT {LIVE}")[0]["n"]


def nobody_purges() -> bool:
    """True if no session holds the lock of a purge."""
    lock = retention.LOCK
    held = execute(
        "SELECT FROM pg_locks JOIN pg_database d ON d.oid = database "
        "WHERE locktype = 'advisory' AND datname = current_database() "
        "AND (classid, objid) = (%s::bigint::oid, %s::bigint::oid)",
        [lock >> 32, lock & 0xFFFF_FFFF],
    )
    return held == []


@contextmanager
def running(database: Database, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The command as a process, which ends with the block at the latest."""
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "manage.py"), "purge_expired", *arguments],
        env=environment(DATABASE_URL=database.url),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    said, complaints = process.communicate(timeout=HANG_TIMEOUT)
    assert "Traceback" not in complaints, complaints
    return process.returncode, said, complaints


@contextmanager
def holding(database: Database, statement: str, *params: Any) -> Iterator[Any]:
    """Another session that has just done this, and has not committed."""
    with database.connect() as other:
        other.execute(statement, params)
        yield other
        other.rollback()


# -- rows that others hold ------------------------------------------------------------------------

HOLD = "SELECT FROM interactive_runs WHERE id = %s FOR UPDATE"


def test_a_row_that_others_hold_is_passed_over_and_reported(
    committed: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "PATIENCE", 0.0)
    rows = [InteractiveRunFactory(started_at=ago(days=100 - n)) for n in range(5)]
    with holding(committed, HOLD, rows[1].pk):
        held = purge("interactive_runs", batch=2)
        assert (held.removed, held.left, held.rules) == (4, 1, set())
        said, error = refused()
    assert "interactive_runs: 0 rows purged." in said
    assert error.splitlines() == [
        "Not all is gone; run it again:",
        "interactive_runs: 1 row, in use",
    ]
    assert [there(row) for row in rows] == [False, True, False, False, False]
    assert counted()["runs"] == 4
    assert "interactive_runs: 1 row purged." in command()
    assert counted()["runs"] == 5


def test_a_row_that_comes_free_in_time_goes_in_the_same_run(committed: Database) -> None:
    rows = [InteractiveRunFactory(started_at=ago(days=100)) for _ in range(3)]
    with holding(committed, HOLD, rows[0].pk) as other:
        stop = OnWait(lambda _pause: other.rollback())
        assert purge("interactive_runs", patience=30.0, stop=stop).removed == 3


def test_a_question_whose_answer_others_hold_is_left_to_them(committed: Database) -> None:
    """The answer would go by cascade, which cannot pass over it."""
    rows = [
        AnonymousQuestionFactory(
            answered=True, moderated_at=ago(days=200), answered_at=ago(days=199 - n)
        )
        for n in range(5)
    ]
    answer = rows[2].answers.get().pk
    # As rotate_keys does, and whoever edits an answer.
    with holding(committed, "SELECT FROM question_answers WHERE id = %s FOR UPDATE", answer):
        assert purge("anonymous_questions").removed == 4
        assert [there(row) for row in rows] == [False, False, True, False, False]
    assert purge("anonymous_questions").removed == 1
    assert execute("SELECT FROM question_answers") == []


def test_a_batch_that_takes_too_long_is_broken_off_and_made_smaller(
    committed: Database,
) -> None:
    """Who wants a row of it does not wait for the whole of a slow one."""
    at = ago(days=31)
    for n in range(7):
        DeepLinkFactory(deep_link_id=f"slow-{n:04}", created_at=at, expires_at=ago(days=2))
    execute(
        """
        CREATE FUNCTION public.dawdle() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN PERFORM pg_sleep(0.06); RETURN OLD; END $$;
        CREATE TRIGGER dawdle BEFORE DELETE ON deep_links
        FOR EACH ROW EXECUTE FUNCTION public.dawdle()
        """
    )
    ticks: list[int] = []
    made = retention.purge_of(
        named("deep_links"), now=retention.database_time(), batch=100, stop=threading.Event()
    )
    made.run(ticks.append)
    assert (made.removed, made.left, sum(ticks)) == (7, 0, 7)
    assert max(ticks) <= 2
    # A single row has the time that it needs.
    DeepLinkFactory(created_at=at, expires_at=ago(days=2))
    execute(
        "CREATE OR REPLACE FUNCTION public.dawdle() RETURNS trigger LANGUAGE plpgsql AS "
        "$$BEGIN PERFORM pg_sleep(0.4); RETURN OLD; END $$"
    )
    assert purge("deep_links").removed == 1


def test_who_holds_an_answer_gets_its_question_too(committed: Database) -> None:
    """They wait for each other: the purge gives way, long before a deadlock is called one."""
    rows = [
        AnonymousQuestionFactory(
            answered=True, moderated_at=ago(days=200), answered_at=ago(days=199 - n)
        )
        for n in range(3)
    ]
    answer = rows[0].answers.get().pk
    outcome: list[Any] = []
    with holding(committed, "SELECT FROM question_answers WHERE id = %s FOR UPDATE", answer) as it:
        it.execute("SET deadlock_timeout = '20s'")

        def writes() -> None:
            try:
                for _ in range(50):
                    it.execute(
                        "SELECT FROM anonymous_questions WHERE id = %s FOR SHARE", [rows[0].pk]
                    )
                    it.execute("SAVEPOINT here")
                    time.sleep(0.01)
                outcome.append("done")
            except Exception as error:
                outcome.append(error)

        writer = threading.Thread(target=writes)
        writer.start()
        assert purge("anonymous_questions").removed == 2
        writer.join(HANG_TIMEOUT)
    assert outcome == ["done"]
    assert purge("anonymous_questions").removed == 1


def test_a_table_that_is_locked_as_a_whole_is_given_up(
    committed: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A migration goes first; nobody queues behind a purge that waits for it."""
    DeepLinkFactory(created_at=ago(days=31), expires_at=ago(days=2))
    monkeypatch.setitem(retention.COUNT_LIMITS, "lock_timeout", "200ms")
    with holding(committed, "LOCK TABLE deep_links IN ACCESS EXCLUSIVE MODE"):
        for arguments in ([], ["--dry-run"]):
            assert refused("--table", "deep_links", *arguments)[1] == (
                "Somebody has locked a whole table; try again later."
            )
    # Readers may come along: locked against writers only, it is counted, and left.
    with holding(committed, "LOCK TABLE deep_links IN SHARE MODE"):
        made = purge("deep_links")
        assert (made.removed, made.left) == (0, 1)
    assert purge("deep_links").removed == 1


def test_an_old_snapshot_changes_nothing(committed: Database) -> None:
    """A dump that takes hours still sees the rows, and the purge walks on past them."""
    expired_runs(3_000)
    with committed.connect() as dump:
        dump.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        dump.execute("SELECT count(*) FROM interactive_runs")
        made = purge("interactive_runs", batch=100)
        assert (made.removed, made.left) == (3_000, 0)
        seen = dump.execute(
            "SELECT (SELECT count(*) FROM interactive_runs), (SELECT count(*) FROM "
            "interactive_run_totals)"
        ).fetchone()
        assert seen == (3_000, 0)
    assert counted()["runs"] == 3_000


# -- killed, stopped, two at once -----------------------------------------------------------------


def test_killed_again_and_again_beside_writers_it_counts_every_run_once(
    committed: Database,
) -> None:
    # Many rows in small batches: on a busy machine a run goes far before the test sees it move.
    runs, dice = 40_000, random.Random()
    quiz = expired_runs(runs)
    visitors = [Visitor(committed.conninfo, quiz, seed) for seed in range(2)]
    for visitor in visitors:
        visitor.start()
    kills = 0
    while kills < 3:
        assert eventually(nobody_purges)  # the server has noticed the kill
        enough = counted()["runs"] + dice.randrange(1, 1_000)
        with running(committed, "--batch", "100", "--pause", "20") as process:
            assert eventually(lambda enough=enough: counted()["runs"] >= enough)
        kills += process.returncode == -signal.SIGKILL
        total = execute("SELECT count(*) AS n FROM interactive_runs")[0]["n"] + counted()["runs"]
        assert total >= runs
    assert 0 < counted()["runs"] < runs
    assert eventually(nobody_purges)
    assert eventually(lambda: sum(visitor.done["completed"] for visitor in visitors) > 20)
    came: dict[str, int] = {}
    for visitor in visitors:
        for what, number in visitor.stop().items():
            came[what] = came.get(what, 0) + number
    finished = manage("purge_expired", DATABASE_URL=committed.url)
    assert finished.returncode == 0, finished.stderr
    assert left() == 0
    (live,) = execute(
        "SELECT count(*) AS runs, count(*) FILTER (WHERE status = 'completed') AS completed "
        "FROM interactive_runs"
    )
    gone = counted()
    # To the last run, in the state in which it went.
    assert gone["runs"] + live["runs"] == runs + came["started"]
    assert gone["completed"] + live["completed"] == runs // 3 + came["completed"]
    assert gone["timed"] + live["completed"] == gone["completed"] + live["completed"]
    assert came["completed"] > 20


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda n: n.name)
def test_told_to_stop_it_ends_after_the_batch_at_hand(
    committed: Database, number: signal.Signals
) -> None:
    expired_runs(2_000)
    with running(committed, "--batch", "10", "--pause", A_MINUTE) as process:
        assert eventually(lambda: counted()["runs"] > 0)
        process.send_signal(number)
        code, said, complaints = ended(process)
    assert code == 128 + number
    assert complaints.splitlines()[-1].endswith(
        "Stopped after a batch; the same command goes on from here."
    )
    gone = counted()["runs"]
    assert f"interactive_runs: {gone:,} rows purged." in said
    assert 0 < gone < 2_000
    finished = manage("purge_expired", DATABASE_URL=committed.url)
    assert f"interactive_runs: {2_000 - gone:,} rows purged." in finished.stdout
    assert counted()["runs"] == 2_000


def test_of_two_at_once_the_second_says_who_is_at_work(
    committed: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    expired_runs(1_000)
    monkeypatch.setattr(retention, "HANDOVER", 0.0)
    with running(committed, "--batch", "10", "--pause", A_MINUTE) as first:
        assert eventually(lambda: counted()["runs"] > 0)
        said, error = refused("--table", "django_session")
        assert said == ""
        assert re.fullmatch(
            rf"Another purge of this database is at work: purge_expired, process {first.pid} on "
            r"\S+, as \S+, server process \d+\.",
            error,
        )
        assert "interactive_runs: " in command("--dry-run")
        first.send_signal(signal.SIGTERM)
        code, said, _complaints = ended(first)
    assert code == 128 + signal.SIGTERM
    assert "interactive_runs: 10 rows purged." in said
    assert eventually(nobody_purges)
    assert "django_session: 0 rows purged." in command("--table", "django_session")


def test_the_place_of_a_killed_run_is_free_at_once(committed: Database) -> None:
    expired_runs(1_000)
    with running(committed, "--batch", "10", "--pause", A_MINUTE):
        assert eventually(lambda: counted()["runs"] > 0)
    second = manage("purge_expired", DATABASE_URL=committed.url)
    assert second.returncode == 0, second.stderr
    assert counted()["runs"] == 1_000


def test_afterwards_the_session_is_as_it_was(committed: Database) -> None:
    names = ("application_name", "lock_timeout", "statement_timeout", "enable_seqscan", "jit")

    def settings() -> list[str]:
        return [execute(f"SHOW {name}")[0][name] for name in names]

    before = settings()
    expired_runs(10)
    command()
    assert settings() == before
    assert nobody_purges()


# -- who may --------------------------------------------------------------------------------------


def as_role(database: Database, role: str) -> dict[str, str]:
    return {"DATABASE_URL": f"{database.url}&options={quote(f'-c role={role}')}"}


def test_the_app_and_the_analyst_are_refused_before_anything_is_done(committed: Database) -> None:
    call_command("grant_db_roles", stdout=io.StringIO())
    connection.close()
    DeepLinkFactory(created_at=ago(days=31), expires_at=ago(days=2))
    expired_runs(10)
    with touches():
        for role in (grants.APP, grants.ANALYST):
            run = manage("purge_expired", **as_role(committed, role))
            assert (run.returncode, run.stdout) == (1, "")
            assert re.fullmatch(
                rf"CommandError: {role} may not [A-Z]+ \w+ \(\d+ such rights are missing\): "
                r"a purge is for the owner of the tables\.\n",
                run.stderr,
            )
        counting = manage("purge_expired", "--dry-run", **as_role(committed, grants.APP))
    assert counting.returncode == 0, counting.stderr
    assert "deep_links: 1 row would be purged." in counting.stdout
    owner = manage("purge_expired", **as_role(committed, grants.OWNER))
    assert owner.returncode == 0, owner.stderr
    assert counted()["runs"] == 10
    UserFactory()  # the app's connection still writes
