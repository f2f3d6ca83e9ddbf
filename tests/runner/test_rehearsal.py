"""tools/rehearse.py in small: a filled copy is migrated while clients run (migrations.md)."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from tests.databases import Database
from tests.processes import HANG_TIMEOUT, ROOT, environment, eventually, processes_with_argument
from tools.rehearsal import samples
from tools.rehearsal.journal import CACHED_PLAN
from tools.rehearsal.report import Operation, Report, Window
from tools.rehearsal.watching import Wait

SMALL = ["--rows", "2000", "--duration", "1"]
# The machines of CI are busy, so a client may wait for longer than migrations.md allows.
PATIENT = ["--longest-wait", "5000"]
# The main program with other samples, among them one that fails clients and blocks them.
FAULTY = """
import dataclasses
import sys
from tools import rehearse
from tools.rehearsal import samples
samples.PHASES = ({("crm", "9001_faulty"): '''
    postgres.AddConstraintNotValid("lead", models.CheckConstraint(
        condition=~models.Q(source="quiz"), name="leads_sample")),
    migrations.RunSQL("ALTER TABLE leads SET (fillfactor = 90); SELECT pg_sleep(0.7)", ""),
'''},)
samples.FILE = samples.FILE.replace("from django.db import", "from django.contrib.postgres "
    "import operations as postgres\\nfrom django.db import")
# Samples are rehearsed only if no migration is unreleased.
last_release = rehearse.last_release
rehearse.last_release = lambda: dataclasses.replace(last_release(), unreleased=[])
sys.exit(rehearse.main())
"""


def start(database: Database, *command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT,
        env=environment(DATABASE_URL=database.url, PYTHONPATH=str(ROOT)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def assert_nothing_is_left(database: Database, output: str) -> None:
    name = re.search(r"in the database (rehearsal_\d+)", output)
    assert name
    with database.connect() as connection:
        query = "SELECT 1 FROM pg_database WHERE datname = %s"
        assert connection.execute(query, [name[1]]).fetchone() is None
    # Clients have the path of their journal as an argument.
    assert processes_with_argument(f"{name[1]}-") == []
    assert not [*Path(tempfile.gettempdir()).glob(f"*{name[1]}-*")]


@pytest.mark.slow
def test_rehearsal_of_every_safe_operation_meets_its_bars(empty_database: Database) -> None:
    run = start(empty_database, "tools/rehearse.py", *SMALL, *PATIENT)
    output, _ = run.communicate(timeout=HANG_TIMEOUT)
    assert run.returncode == 0, output
    print(output)
    assert_nothing_is_left(empty_database, output)
    assert "Failed queries: 0" in output
    if "samples of each safe operation" in output:
        names = [f"{app}.{name}" for phase in samples.PHASES for app, name in phase]
        assert all(f"\n{name} " in output for name in names)
        assert "prepared SELECT * of appointments" in output.partition("Cached plans")[2]


@pytest.mark.slow
def test_rehearsal_counts_failed_queries_and_waits(empty_database: Database) -> None:
    run = start(empty_database, "-c", FAULTY, *SMALL)
    output, _ = run.communicate(timeout=HANG_TIMEOUT)
    assert run.returncode == 1, output
    assert "lead, then event: CheckViolation" in output
    assert "queries of clients failed; the bar is 0." in output
    assert "for a lock; the bar is 200 ms." in output
    assert "held by migrate" in output


@pytest.mark.slow
def test_interrupted_rehearsal_leaves_nothing_behind(empty_database: Database) -> None:
    lines: list[str] = []
    with start(empty_database, "tools/rehearse.py", *SMALL) as run:
        reader = threading.Thread(target=lambda: lines.extend(run.stdout or ()))
        reader.start()
        assert eventually(lambda: "migrate\n" in lines or run.poll() is not None)
        run.send_signal(signal.SIGINT)
        assert run.wait(HANG_TIMEOUT) == 130, lines
        reader.join()
    assert_nothing_is_left(empty_database, "".join(lines))
    assert lines[-1] == "Stopped; the database and the clients are gone.\n"


# -- the report ------------------------------------------------------------------------------------


def report(*operations: Operation, waits: tuple[Wait, ...] = (), rewrites: tuple[str, ...] = ()):
    window = Window("booking.0400_sample", 100.0, 101.0, [*rewrites])
    return Report([window], [*operations], [*waits], 200)


def test_report_without_faults_misses_no_bar() -> None:
    wait = Wait(100.5, 0.199, "client services-0 for AccessShareLock of leads", "migrate")
    done = report(Operation(100.1, 100.2, "read", ""), waits=(wait,))
    assert done.missed() == []
    assert done.windows[0].line().split() == [
        "booking.0400_sample", "1.00", "199", "100", "0", "0", "0",
    ]  # fmt: skip


def test_report_names_each_missed_bar() -> None:
    wait = Wait(100.5, 0.201, "client services-0 for AccessShareLock of leads", "migrate")
    failed = Operation(100.1, 100.2, "read", "UndefinedColumn: no title")
    faults = report(failed, waits=(wait,), rewrites=("leads",)).missed()
    assert faults == [
        "1 queries of clients failed; the bar is 0.",
        "Tables were rewritten: leads.",
        "A client waited 201 ms for a lock; the bar is 200 ms.",
    ]


def test_cached_plans_are_counted_apart() -> None:
    ended = Operation(100.1, 100.2, "prepared SELECT * of leads", f"{CACHED_PLAN}must not change")
    counted = report(ended)
    assert counted.missed() == []
    assert counted.windows[0].line().split()[-2:] == ["0", "1"]
    assert "        1 prepared SELECT * of leads" in counted.lines()


def test_operations_count_for_every_migration_that_they_overlap() -> None:
    windows = [Window("a", 0.0, 1.0), Window("b", 1.0, 2.0), Window("c", 2.0, 3.0)]
    Report(windows, [Operation(0.5, 1.5, "read", "")], [], 200)
    assert [len(window.operations) for window in windows] == [1, 1, 0]
