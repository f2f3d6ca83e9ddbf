"""``manage.py backfill``: beside writers and another run, stopped, killed, behind replicas."""

from __future__ import annotations

import io
import random
import re
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from ebalance.db import backfills, walks
from ebalance.db.schema import grants
from tests.audit.audit_cases import capture_entries
from tests.backfilling import (
    APPLIED,
    FILL,
    NAME,
    NO_OTHER_BACKFILLS,
    PACKAGE,
    ended,
    make_things,
    number,
    run,
    running,
    start,
    write_migration,
)
from tests.databases import Database, default_connection_on
from tests.factories import AppointmentFactory, ServiceFactory
from tests.processes import HANG_TIMEOUT, eventually
from tests.support import execute

A_MINUTE = "60000"  # a pause after a batch that keeps the process alive while the test needs it
# Other tests write much, so the slot of the test of replicas is soon far behind.
ANY_LAG = ("--max-lag", "1000000")
CHANGED = "SELECT count(*) FROM changes"


@pytest.fixture
def folder(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a migration that fills ``things``, for processes and for call_command()."""
    monkeypatch.syspath_prepend(str(tmp_path))
    settings.MIGRATION_MODULES = {"booking": PACKAGE, **NO_OTHER_BACKFILLS}
    return write_migration(tmp_path, FILL.format(""))


@pytest.fixture(autouse=True)
def forgotten_modules() -> Iterator[None]:
    yield
    for name in [name for name in sys.modules if name.split(".")[0] == PACKAGE]:
        del sys.modules[name]


@pytest.fixture
def committed(fresh_database: Database, django_db_blocker: Any) -> Iterator[Database]:
    """A separate database, to which the test commits."""
    with django_db_blocker.unblock(), default_connection_on(fresh_database):
        yield fresh_database


def command(*arguments: str) -> str:
    output = io.StringIO()
    call_command("backfill", *arguments, *ANY_LAG, stdout=output, stderr=output)
    return output.getvalue()


def refused(*arguments: str) -> tuple[str, str]:
    """Run the command; return its output and its error."""
    output = io.StringIO()
    with pytest.raises(CommandError) as caught:
        call_command("backfill", *arguments, *ANY_LAG, stdout=output, stderr=output)
    return output.getvalue(), str(caught.value)


# -- one run --------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_run_fills_every_row_and_status_follows(folder: Path) -> None:
    make_things(connection.cursor(), rows=250)
    assert command("--status") == f"{NAME}: 250 rows left\n"
    assert command("--batch", "100") == f"{NAME}: 250 rows changed.\n"
    assert execute("SELECT FROM things WHERE new IS DISTINCT FROM old") == []
    assert command("--status") == f"{NAME}: done\n"
    (first,) = execute("SELECT * FROM backfill_jobs")
    assert (first["name"], first["table_name"], first["rows_done"]) == (NAME, "things", 250)
    assert first["finished_at"] is not None
    assert command(NAME) == f"{NAME}: 0 rows changed.\n"
    # Rows that an old program writes later are found by another run.
    execute("INSERT INTO things (old) VALUES (7)")
    assert command("--status") == f"{NAME}: 1 row left\n"
    assert command(NAME) == f"{NAME}: 1 row changed.\n"


@pytest.mark.django_db
def test_unapplied_backfill_is_not_run(folder: Path) -> None:
    make_things(connection.cursor(), rows=1)
    execute("DELETE FROM django_migrations WHERE name = '0399_things'")
    assert command("--status") == f"{NAME}: not applied\n"
    assert command() == ""
    assert refused(NAME) == ("", f"{NAME} is not applied: run `manage.py migrate` first.")
    assert execute("SELECT FROM backfill_jobs") == []


@pytest.mark.django_db
def test_backfill_of_a_dropped_column_is_over(folder: Path) -> None:
    make_things(connection.cursor(), rows=1)
    execute("ALTER TABLE things DROP COLUMN old")
    assert command("--status") == f"{NAME}: over: a later migration dropped what it fills\n"
    assert command() == ""
    assert refused(NAME) == ("", f"{NAME} is over: a later migration dropped what it fills.")


@pytest.mark.django_db
def test_unknown_backfill_is_refused_with_the_known_ones(
    folder: Path, tmp_path: Path, settings: Any
) -> None:
    assert refused("things") == ("", f"'things' is no backfill; those are {NAME}.")
    settings.MIGRATION_MODULES = NO_OTHER_BACKFILLS
    assert refused("things") == ("", "'things' is no backfill; no migration declares one.")
    assert command("--status") == command() == ""


@pytest.mark.django_db
def test_wrong_sql_is_refused_in_one_line(folder: Path) -> None:
    make_things(connection.cursor(), rows=1)
    wrong = 'Backfill("things", set="new = old +", where="new IS NULL")'
    write_migration(folder, wrong)
    assert refused() == ("", f'The SQL of {NAME} is wrong: syntax error at or near "WHERE"')
    assert execute("SELECT FROM changes") == []


@pytest.mark.django_db
def test_refused_rows_are_listed_and_the_others_filled(folder: Path) -> None:
    make_things(connection.cursor(), rows=50)
    execute("UPDATE things SET old = 1000000 WHERE old IN (7, 31)")
    keys = [str(r["id"]) for r in execute("SELECT id FROM things WHERE old = 1000000 ORDER BY id")]
    output, error = refused()
    assert output.splitlines() == [
        f"{NAME}: 48 rows changed.",
        *(f"  things {key}: refused by things_new_below_limit" for key in keys),
    ]
    assert error.splitlines() == [
        "Rows are left; run it again:",
        f"{NAME}: 2 rows, 2 of them refused",
    ]
    assert execute("SELECT FROM things WHERE new IS NULL") == [{}, {}]


@pytest.mark.django_db
def test_backfill_is_audited_and_keeps_frozen_columns(folder: Path) -> None:
    service = ServiceFactory(price_amount=4500)
    appointment = AppointmentFactory(confirmed=True, price_amount=3000, deposit_amount=None)
    write_migration(
        folder,
        'Backfill("services", set="price_amount = 4600", where="price_amount = 4500", name="one")',
        'Backfill("appointments", set="price_amount = 1", where="price_amount = 3000", name="two")',
    )
    execute(APPLIED)
    seen: list[str] = []
    (entry,) = capture_entries(lambda: seen.extend(refused()))
    output, error = seen
    assert output.splitlines() == [
        "one: 1 row changed.",
        "two: 0 rows changed.",
        f"  appointments {appointment.pk}: refused by appointments_agreed_price_stays",
    ]
    assert error.endswith("two: 1 row, 1 of them refused")
    assert (entry["entity_id"], entry["actor_role"]) == (service.pk, "system")
    assert (entry["old_value"], entry["new_value"]) == (
        {"price_amount": 4500},
        {"price_amount": 4600},
    )


# -- others ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_locked_row_is_waited_for(committed: Database, folder: Path) -> None:
    make_things(connection.cursor(), rows=30)
    with committed.connect() as other, committed.connect(autocommit=True) as watch:
        other.execute("SELECT FROM things WHERE old = 3 FOR UPDATE")
        with running(committed, folder, *ANY_LAG) as process:
            assert eventually(lambda: number(watch, CHANGED) == 29)
            other.rollback()
            assert ended(process) == (0, f"{NAME}: 30 rows changed.\n", "")


@pytest.mark.slow
def test_locked_table_is_named(
    committed: Database, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(walks.PROGRESS_LIMITS, "lock_timeout", "200ms")
    monkeypatch.setitem(walks.COUNT_LIMITS, "lock_timeout", "200ms")
    monkeypatch.setitem(backfills.CHECK_LIMITS, "lock_timeout", "200ms")
    make_things(connection.cursor(), rows=1)
    with committed.connect() as other:
        other.execute("LOCK TABLE things IN ACCESS EXCLUSIVE MODE")
        for arguments in ([], ["--status"]):
            assert refused(*arguments) == (
                "",
                "Another session has locked a whole table; try again later.",
            )
        other.rollback()
    assert command() == f"{NAME}: 1 row changed.\n"


class Writer(threading.Thread):
    """An old program: it writes rows without the new column, and changes stored ones."""

    def __init__(self, database: Database):
        super().__init__()
        self.database, self.ending = database, threading.Event()
        self.written = 0
        self.errors: list[Exception] = []

    def run(self) -> None:
        dice = random.Random(1)
        with self.database.connect(autocommit=True, options="-c lock_timeout=1s") as session:
            while not self.ending.is_set():
                try:
                    if self.written < 20:  # more of them would keep the run busy
                        session.execute("INSERT INTO things (old) VALUES (0)")
                    session.execute(
                        "UPDATE things SET old = old WHERE old = %s", [dice.randrange(1, 151)]
                    )
                    self.written += 1
                except psycopg.Error as error:
                    self.errors.append(error)
                time.sleep(0.02)


@pytest.mark.slow
def test_slow_rows_delay_no_writer(committed: Database, folder: Path) -> None:
    """Each row takes 20 ms. In one batch, all of them would be locked for seconds."""
    make_things(connection.cursor(), rows=150)
    execute(
        "CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM pg_sleep(0.02); RETURN NEW; END $$; "
        "CREATE TRIGGER dawdle BEFORE UPDATE OF new ON things "
        "FOR EACH ROW EXECUTE FUNCTION dawdle()"
    )
    writer = Writer(committed)
    writer.start()
    try:
        assert eventually(lambda: writer.written > 0)
        code, _output, errors = run(committed, folder, "--batch", "1000", *ANY_LAG)
        assert code == 0, errors
    finally:
        writer.ending.set()
        writer.join(HANG_TIMEOUT)
    assert writer.errors == []
    (row,) = execute(
        "SELECT max(n)::int AS most FROM (SELECT count(*) AS n FROM changes GROUP BY xmin::text) b"
    )
    assert row["most"] <= 8  # within the 150 ms of a statement
    assert run(committed, folder, *ANY_LAG)[0] == 0  # a row that was written after the run
    assert_changed_once()


def assert_changed_once() -> None:
    """Each row is filled, and was changed once; the progress counts each."""
    assert execute("SELECT FROM things WHERE new IS DISTINCT FROM old") == []
    (counted,) = execute(
        "SELECT (SELECT count(*) FROM things) AS things, count(*) AS changes, "
        "count(DISTINCT id) AS rows FROM changes"
    )
    assert counted["things"] == counted["changes"] == counted["rows"]
    (job,) = execute("SELECT rows_done, finished_at IS NULL AS is_open FROM backfill_jobs")
    assert job == {"rows_done": counted["things"], "is_open": False}


@pytest.mark.slow
def test_killed_runs_change_every_row_once(committed: Database, folder: Path) -> None:
    rows, dice = 4_000, random.Random()
    make_things(connection.cursor(), rows=rows)
    with committed.connect(autocommit=True) as watch:
        for _ in range(6):
            enough = number(watch, CHANGED) + dice.randrange(1, 60)
            process = start(committed, folder, "--batch", "5", *ANY_LAG)
            assert eventually(lambda enough=enough: number(watch, CHANGED) >= enough)
            process.kill()
            process.communicate()
            assert process.returncode == -signal.SIGKILL
        assert 0 < number(watch, CHANGED) < rows
    assert run(committed, folder, *ANY_LAG)[0] == 0
    assert_changed_once()


@pytest.mark.slow
def test_two_runs_share_the_work(committed: Database, folder: Path) -> None:
    make_things(connection.cursor(), rows=2_000)
    runs = [start(committed, folder, "--batch", "10", *ANY_LAG) for _ in range(2)]
    results = [ended(process) for process in runs]
    assert [code for code, _output, _errors in results] == [0, 0], results
    changed = re.findall(r": ([0-9,]+) rows? changed", "".join(output for _, output, _ in results))
    assert sum(int(text.replace(",", "")) for text in changed) == 2_000
    assert_changed_once()


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM], ids=lambda n: n.name)
def test_stopped_run_reports_how_to_resume(
    committed: Database, folder: Path, sent: signal.Signals
) -> None:
    make_things(connection.cursor(), rows=5)
    options = ("--batch", "2", "--pause", A_MINUTE, *ANY_LAG)
    with (
        committed.connect(autocommit=True) as watch,
        running(committed, folder, *options) as process,
    ):
        assert eventually(lambda: number(watch, CHANGED) == 2)
        process.send_signal(sent)
        code, output, errors = ended(process)
    assert (code, output) == (128 + sent, f"{NAME}: 2 rows changed.\n")
    assert errors.splitlines()[-1].endswith("run the same command again to continue.")
    assert run(committed, folder, *ANY_LAG) == (0, f"{NAME}: 3 rows changed.\n", "")
    assert_changed_once()


# -- roles and replicas ---------------------------------------------------------------------------


def as_role(database: Database, role: str) -> Database:
    url = f"{database.url}&options={quote(f'-c role={role}')}"
    return Database(database.name, database.params, url)


@pytest.fixture
def owned(committed: Database) -> Database:
    """The roles exist, and ebalance_owner owns everything."""
    make_things(connection.cursor(), rows=10)
    call_command("grant_db_roles", stdout=io.StringIO())
    execute(f"GRANT ALL ON things, changes TO {grants.APP}")
    connection.close()
    return committed


@pytest.mark.slow
def test_backfills_need_the_rights_of_the_owner(owned: Database, folder: Path) -> None:
    app = as_role(owned, grants.APP)
    for arguments in ([], ["--status"]):
        code, output, errors = run(app, folder, *arguments)
        assert (code, output) == (1, "")
        assert errors == (
            f"CommandError: {grants.APP} may not INSERT backfill_jobs (2 such rights are "
            "missing): a backfill is for the owner of the tables.\n"
        )
    assert execute("SELECT FROM changes") == []
    assert run(as_role(owned, grants.OWNER), folder, *ANY_LAG)[0] == 0
    assert_changed_once()


@pytest.fixture
def slot(owned: Database) -> Iterator[str]:
    """The slot of a replica that is not connected, more than a megabyte behind."""
    name = f"replica_{owned.name[-40:]}"
    with owned.connect(autocommit=True) as session:
        session.execute("SELECT pg_create_physical_replication_slot(%s, true)", [name])
        session.execute("SELECT pg_logical_emit_message(false, 'x', repeat('x', 3000000))")
        yield name
        session.execute(
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots "
            "WHERE slot_name = %s",
            [name],
        )


@pytest.mark.slow
def test_run_waits_for_a_replica(owned: Database, folder: Path, slot: str) -> None:
    """A role without more rights than the owner's sees the slot."""
    owner = as_role(owned, grants.OWNER)
    waiting = re.compile(
        rf"{NAME}: waiting for the replica {slot} \(inactive\), which is [0-9,]+ MB behind "
        r"\(--max-lag 1\)\n"
    )

    def line(process: Any) -> str:
        return process.stderr.readline()

    with running(owner, folder, "--max-lag", "1") as process:
        assert waiting.fullmatch(line(process))
        process.send_signal(signal.SIGTERM)
        assert ended(process)[0] == 128 + signal.SIGTERM
    with running(owner, folder, "--max-lag", "1") as process:
        assert waiting.fullmatch(line(process))
        assert execute("SELECT FROM changes") == []
        execute("SELECT pg_drop_replication_slot(%s)", [slot])
        assert ended(process) == (0, f"{NAME}: 10 rows changed.\n", "")
    assert_changed_once()


@pytest.mark.slow
def test_run_does_not_wait_within_the_limit(owned: Database, folder: Path, slot: str) -> None:
    owner = as_role(owned, grants.OWNER)
    assert run(owner, folder, *ANY_LAG) == (0, f"{NAME}: 10 rows changed.\n", "")
