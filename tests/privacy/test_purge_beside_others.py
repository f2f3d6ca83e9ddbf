"""Purges beside writers, beside another purge, stopped and killed: each run is counted once."""

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
from tests.privacy.purging import OnWait, command, exists, named, purge, refused, touches
from tests.processes import HANG_TIMEOUT, ROOT, environment, eventually, manage
from tests.support import advisory_locks, execute

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


A_MINUTE = "60000"  # a pause after a batch that keeps the process alive while the test needs it


@pytest.fixture
def committed(fresh_database: Database, django_db_blocker: Any) -> Iterator[Database]:
    """A separate database, to which the test commits."""
    with django_db_blocker.unblock(), default_connection_on(fresh_database):
        yield fresh_database


def expired_runs(number: int) -> Any:
    quiz = InteractiveDefinitionFactory().pk
    execute(RUNS, {"quiz": quiz, "runs": number})
    return quiz


def counted() -> dict[str, int]:
    """The numbers of purged runs, by their totals."""
    (row,) = execute(
        "SELECT coalesce(sum(runs), 0)::int AS runs, "
        "coalesce(sum(runs) FILTER (WHERE status = 'completed'), 0)::int AS completed, "
        "coalesce(sum(timed_runs), 0)::int AS timed, "
        "coalesce(sum(duration_ms), 0)::int AS ms FROM interactive_run_totals"
    )
    return row


def left() -> int:
    return execute(f"SELECT count(*) AS n FROM interactive_runs WHERE NOT {LIVE}")[0]["n"]


def end_lease() -> None:
    """Let the time of the lease of a killed purge pass."""
    execute("UPDATE leases SET expires_at = clock_timestamp()")


def is_lease_asked() -> bool:
    """True while another session asks for the lease."""
    asking = "SELECT FROM pg_stat_activity WHERE query ~ 'leases' AND pid <> pg_backend_pid()"
    return execute(f"{asking} AND datname = current_database()") != []


@contextmanager
def running(database: Database, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run the command as a process; the end of the block kills the process."""
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
    output, complaints = process.communicate(timeout=HANG_TIMEOUT)
    assert "Traceback" not in complaints, complaints
    return process.returncode, output, complaints


@contextmanager
def holding(database: Database, statement: str, *params: Any) -> Iterator[Any]:
    """Another session that has executed the statement and has not committed."""
    with database.connect() as other:
        other.execute(statement, params)
        yield other
        other.rollback()


# -- rows locked by others ------------------------------------------------------------------------

HOLD = "SELECT FROM interactive_runs WHERE id = %s FOR UPDATE"


def test_locked_row_is_skipped_and_reported(
    committed: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "PATIENCE", 0.0)
    rows = [InteractiveRunFactory(started_at=ago(days=100 - n)) for n in range(5)]
    with holding(committed, HOLD, rows[1].pk):
        made = purge("interactive_runs", batch=2)
        assert (made.done, made.left, made.rules) == (4, 1, set())
        output, error = refused()
    assert "interactive_runs: 0 rows purged." in output
    assert error.splitlines() == [
        "Expired rows remain; run it again:",
        "interactive_runs: 1 row, in use",
    ]
    assert [exists(row) for row in rows] == [False, True, False, False, False]
    assert counted()["runs"] == 4
    assert "interactive_runs: 1 row purged." in command()
    assert counted()["runs"] == 5


def test_row_unlocked_in_time_is_purged_in_the_same_run(committed: Database) -> None:
    rows = [InteractiveRunFactory(started_at=ago(days=100)) for _ in range(3)]
    with holding(committed, HOLD, rows[0].pk) as other:
        stop = OnWait(lambda _pause: other.rollback())
        assert purge("interactive_runs", patience=30.0, stop=stop).done == 3


def test_question_with_a_locked_answer_is_skipped(committed: Database) -> None:
    """The cascade would delete the answer, and cannot skip a locked row."""
    rows = [
        AnonymousQuestionFactory(
            answered=True, moderated_at=ago(days=200), answered_at=ago(days=199 - n)
        )
        for n in range(5)
    ]
    answer = rows[2].answers.get().pk
    # rotate_keys and the form of an answer take the same lock.
    with holding(committed, "SELECT FROM question_answers WHERE id = %s FOR UPDATE", answer):
        assert purge("anonymous_questions").done == 4
        assert [exists(row) for row in rows] == [False, False, True, False, False]
    assert purge("anonymous_questions").done == 1
    assert execute("SELECT FROM question_answers") == []


def test_slow_batch_is_cancelled_and_made_smaller(committed: Database, timed_batches: None) -> None:
    """A session that needs one of the rows does not wait for the whole slow batch."""
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
    assert (made.done, made.left, sum(ticks)) == (7, 0, 7)
    assert max(ticks) <= 2
    # A single row may take as long as it needs.
    DeepLinkFactory(created_at=at, expires_at=ago(days=2))
    execute(
        "CREATE OR REPLACE FUNCTION public.dawdle() RETURNS trigger LANGUAGE plpgsql AS "
        "$$BEGIN PERFORM pg_sleep(0.4); RETURN OLD; END $$"
    )
    assert purge("deep_links").done == 1


def test_session_that_locks_an_answer_gets_its_question(committed: Database) -> None:
    """The sessions wait for each other: the purge gives way before a deadlock is detected."""
    rows = [
        AnonymousQuestionFactory(
            answered=True, moderated_at=ago(days=200), answered_at=ago(days=199 - n)
        )
        for n in range(3)
    ]
    answer = rows[0].answers.get().pk
    outcome: list[Any] = []
    hold = "SELECT FROM question_answers WHERE id = %s FOR UPDATE"
    with holding(committed, hold, answer) as session:
        session.execute("SET deadlock_timeout = '20s'")

        def write() -> None:
            try:
                for _ in range(50):
                    session.execute(
                        "SELECT FROM anonymous_questions WHERE id = %s FOR SHARE", [rows[0].pk]
                    )
                    session.execute("SAVEPOINT here")
                    time.sleep(0.01)
                outcome.append("done")
            except Exception as error:
                outcome.append(error)

        writer = threading.Thread(target=write)
        writer.start()
        assert purge("anonymous_questions").done == 2
        writer.join(HANG_TIMEOUT)
    assert outcome == ["done"]
    assert purge("anonymous_questions").done == 1


def test_locked_table_is_given_up(committed: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A migration has priority: no session queues behind a purge that waits for the migration."""
    DeepLinkFactory(created_at=ago(days=31), expires_at=ago(days=2))
    monkeypatch.setitem(retention.COUNT_LIMITS, "lock_timeout", "200ms")
    with holding(committed, "LOCK TABLE deep_links IN ACCESS EXCLUSIVE MODE"):
        assert refused("--table", "deep_links", "--dry-run")[1] == (
            "Another session has locked a whole table; try again later."
        )
        output, error = refused("--table", "deep_links", "--table", "django_session")
        assert error.splitlines()[1:] == ["deep_links: another session has locked the whole table"]
        assert "django_session: 0 rows purged." in output
    # Under a lock that admits readers the rows are counted, and kept.
    with holding(committed, "LOCK TABLE deep_links IN SHARE MODE"):
        made = purge("deep_links")
        assert (made.done, made.left) == (0, 1)
    assert purge("deep_links").done == 1


def test_old_snapshot_does_not_stop_a_purge(committed: Database) -> None:
    """A long dump still sees the rows, and the purge continues past them."""
    expired_runs(3_000)
    with committed.connect() as dump:
        dump.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        dump.execute("SELECT count(*) FROM interactive_runs")
        made = purge("interactive_runs", batch=100)
        assert (made.done, made.left) == (3_000, 0)
        seen = dump.execute(
            "SELECT (SELECT count(*) FROM interactive_runs), (SELECT count(*) FROM "
            "interactive_run_totals)"
        ).fetchone()
        assert seen == (3_000, 0)
    assert counted()["runs"] == 3_000


# -- killed, stopped, two at once -----------------------------------------------------------------


def test_repeatedly_killed_purge_counts_every_run_once(
    committed: Database,
) -> None:
    # Many rows in small batches: on a busy machine the purge gets far before the test notices.
    runs, dice = 40_000, random.Random()
    quiz = expired_runs(runs)
    visitors = [Visitor(committed.conninfo, quiz, seed) for seed in range(2)]
    for visitor in visitors:
        visitor.start()
    kills = 0
    while kills < 3:
        end_lease()
        enough = counted()["runs"] + dice.randrange(1, 1_000)
        with running(committed, "--batch", "100", "--pause", "20") as process:
            assert eventually(lambda enough=enough: counted()["runs"] >= enough)
        kills += process.returncode == -signal.SIGKILL
        total = execute("SELECT count(*) AS n FROM interactive_runs")[0]["n"] + counted()["runs"]
        assert total >= runs
    assert 0 < counted()["runs"] < runs
    end_lease()
    assert eventually(lambda: sum(visitor.done["completed"] for visitor in visitors) > 20)
    done: dict[str, int] = {}
    for visitor in visitors:
        for what, number in visitor.stop().items():
            done[what] = done.get(what, 0) + number
    finished = manage("purge_expired", DATABASE_URL=committed.url)
    assert finished.returncode == 0, finished.stderr
    assert left() == 0
    (live,) = execute(
        "SELECT count(*) AS runs, count(*) FILTER (WHERE status = 'completed') AS completed "
        "FROM interactive_runs"
    )
    purged = counted()
    # Every run is counted, in its last status.
    assert purged["runs"] + live["runs"] == runs + done["started"]
    assert purged["completed"] + live["completed"] == runs // 3 + done["completed"]
    assert purged["timed"] + live["completed"] == purged["completed"] + live["completed"]
    assert done["completed"] > 20


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda n: n.name)
def test_stopped_purge_ends_after_the_current_batch(
    committed: Database, number: signal.Signals
) -> None:
    expired_runs(2_000)
    with running(committed, "--batch", "10", "--pause", A_MINUTE) as process:
        assert eventually(lambda: counted()["runs"] > 0)
        process.send_signal(number)
        code, output, complaints = ended(process)
    assert code == 128 + number
    assert complaints.splitlines()[-1].endswith(
        "Stopped after a batch; run the same command again to continue."
    )
    purged = counted()["runs"]
    assert f"interactive_runs: {purged:,} rows purged." in output
    assert 0 < purged < 2_000
    finished = manage("purge_expired", DATABASE_URL=committed.url)
    assert f"interactive_runs: {2_000 - purged:,} rows purged." in finished.stdout
    assert counted()["runs"] == 2_000


def test_second_purge_reports_the_first(committed: Database) -> None:
    """The second one waits until the first has renewed its lease."""
    expired_runs(1_000)
    with running(committed, "--batch", "10", "--pause", A_MINUTE) as first:
        assert eventually(lambda: counted()["runs"] > 0)
        output, error = refused("--table", "django_session")
        assert output == ""
        assert re.fullmatch(
            rf"Another purge of this database is running: process \S+:{first.pid}, "
            r"lease until \d\d:\d\d:\d\d UTC\.",
            error,
        )
        assert "interactive_runs: " in command("--dry-run")
        first.send_signal(signal.SIGTERM)
        code, output, _complaints = ended(first)
    assert code == 128 + signal.SIGTERM
    assert "interactive_runs: 10 rows purged." in output
    assert "django_session: 0 rows purged." in command("--table", "django_session")


def test_purge_takes_over_the_lease_of_a_killed_one(committed: Database) -> None:
    expired_runs(1_000)
    with running(committed, "--batch", "10", "--pause", A_MINUTE):
        assert eventually(lambda: counted()["runs"] > 0)
    assert len(execute("SELECT FROM leases")) == 1
    with running(committed) as second:
        # It waits: the lease has not ended, and nobody renews it.
        assert eventually(is_lease_asked)
        assert second.poll() is None
        end_lease()
        code, output, _complaints = ended(second)
    assert code == 0
    assert "interactive_runs: 990 rows purged." in output
    assert counted()["runs"] == 1_000
    assert execute("SELECT FROM leases") == []


def test_purge_that_lost_its_lease_stops(committed: Database) -> None:
    """It was suspended for longer than the lease, and another process took the lease over."""
    expired_runs(1_000)
    with running(committed, "--batch", "10", "--pause", A_MINUTE) as first:
        assert eventually(lambda: counted()["runs"] > 0)
        execute("UPDATE leases SET token = uuid7(), holder = 'other:1'")
        code, output, complaints = ended(first)
    assert code == 1
    assert "interactive_runs: 10 rows purged." in output
    assert "Another purge of this database is running: process other:1" in complaints
    assert len(execute("SELECT FROM leases")) == 1


def test_purge_restores_the_settings_of_the_session(committed: Database) -> None:
    names = ("application_name", "lock_timeout", "statement_timeout", "enable_seqscan", "jit")

    def settings() -> list[str]:
        return [execute(f"SHOW {name}")[0][name] for name in names]

    before = settings()
    expired_runs(10)
    command()
    assert settings() == before
    assert execute("SELECT FROM leases") == []
    assert advisory_locks() == []


# -- permissions ----------------------------------------------------------------------------------


def as_role(database: Database, role: str) -> dict[str, str]:
    return {"DATABASE_URL": f"{database.url}&options={quote(f'-c role={role}')}"}


def test_app_and_analyst_are_refused_before_any_purge(committed: Database) -> None:
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
