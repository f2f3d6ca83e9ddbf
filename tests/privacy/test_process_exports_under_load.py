"""Concurrent, stopped and killed runs of process_exports: each file is made once."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils.timezone import now

from ebalance import commands
from ebalance.privacy.exports import collecting, process_export, request_export, storage
from ebalance.privacy.exports import requests as requests_module
from identity.models import DataExportRequest
from tests.databases import Database, default_connection_on
from tests.factories import DataExportRequestFactory, LeaseFactory
from tests.privacy.exports import audited, command, diarist, document_of, files, requests
from tests.processes import HANG_TIMEOUT, ROOT, environment, eventually, manage
from tests.services import events, nothing_written, run_concurrently
from tests.support import advisory_locks, execute

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, settings: Any) -> Path:
    settings.EXPORTS_DIR = tmp_path / "exports"
    return settings.EXPORTS_DIR


@pytest.fixture
def committed(fresh_database: Database, django_db_blocker: Any) -> Iterator[Database]:
    """A separate database, to which the test commits."""
    with django_db_blocker.unblock(), default_connection_on(fresh_database):
        yield fresh_database


# -- concurrent workers ---------------------------------------------------------------------------


def take_lease(request: DataExportRequest) -> None:
    """Another process takes the lease on this request, as if it had ended."""
    execute("DELETE FROM leases")
    LeaseFactory(name=f"data_export:{request.pk}")


def end_leases() -> None:
    """Let the time of the leases of killed workers pass."""
    execute("UPDATE leases SET expires_at = clock_timestamp()")


def test_request_with_a_lease_of_another_worker_is_skipped(
    committed: Database, folder: Path
) -> None:
    request = DataExportRequestFactory(user=diarist(), processing=True)
    take_lease(request)
    with nothing_written():
        assert "1 are processed by another worker" in command()
    assert files(folder) == []
    end_leases()
    assert "1 are ready" in command()


def test_request_that_is_being_erased_is_skipped(committed: Database) -> None:
    request = request_export(diarist(), export_type="user_data")
    with committed.connect() as eraser:
        eraser.execute("DELETE FROM data_export_requests WHERE id = %s", [request.pk])
        assert process_export(request.pk) == "elsewhere"
        eraser.rollback()
    assert process_export(request.pk) == "ready"


def test_worker_that_lost_its_lease_does_not_finish(
    committed: Database, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    """The worker was suspended, and another worker has taken the lease over."""
    request = request_export(diarist(), export_type="user_data")
    collected = collecting.export_user_data

    def cut_off(*args: Any, **options: Any) -> Any:
        take_lease(request)
        return collected(*args, **options)

    with monkeypatch.context() as patched:
        patched.setattr(requests_module, "export_user_data", cut_off)
        assert process_export(request.pk) == "gone"
        assert files(folder) == []
        request.refresh_from_db()
        assert request.status == "processing"
    end_leases()
    assert process_export(request.pk) == "ready"
    assert len(files(folder)) == 1


def test_lease_is_released_after_processing(committed: Database) -> None:
    for _ in range(3):
        process_export(request_export(diarist(), export_type="user_data").pk)
    assert execute("SELECT FROM leases") == []
    assert advisory_locks() == []


def test_concurrent_workers_process_each_request_once(committed: Database, folder: Path) -> None:
    made = [request_export(diarist(), export_type="user_data") for _ in range(12)]
    run_concurrently(*[lambda: [process_export(request.pk) for request in made]] * 4)
    assert requests.filter(status="ready").count() == 12
    assert sorted(request.file_url.removeprefix("exports/") for request in requests.all()) == files(
        folder
    )
    assert all(events(request) == ["data_export_ready"] for request in made)
    assert len(audited()) == 12


# -- processes: concurrent, stopped, killed -------------------------------------------------------


def started(database: Database, folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(ROOT / "manage.py"), "process_exports", *arguments],
        env=environment(DATABASE_URL=database.url, EXPORTS_DIR=str(folder)),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    output, complaints = process.communicate(timeout=HANG_TIMEOUT)
    assert "Traceback" not in complaints, complaints
    return process.returncode, output


@contextmanager
def lock_diaries(database: Database) -> Iterator[Callable[[], bool]]:
    """Lock the diaries, so that collecting has to wait; yields whether a session waits."""
    with database.connect() as other, database.connect(autocommit=True) as watcher:
        other.execute("LOCK TABLE diary_entries IN ACCESS EXCLUSIVE MODE")

        def is_any_session_blocked() -> bool:
            row = watcher.execute(
                "SELECT count(*) FROM pg_stat_activity "
                "WHERE datname = current_database() AND wait_event_type = 'Lock'"
            ).fetchone()
            return row != (0,)

        yield is_any_session_blocked
        other.rollback()


def test_concurrent_commands_share_the_requests(committed: Database, folder: Path) -> None:
    made = [request_export(diarist(), export_type="user_data") for _ in range(10)]
    running = [started(committed, folder) for _ in range(2)]
    results = [ended(process) for process in running]
    assert [code for code, _output in results] == [0, 0]
    ready = [int(re.search(r"(\d+) are ready", output)[1]) for _code, output in results]
    assert sum(ready) == 10
    assert all(events(request) == ["data_export_ready"] for request in made)
    assert len(files(folder)) == requests.filter(status="ready").count() == 10
    assert len(audited()) == 10


def test_killed_command_leaves_no_partial_export(committed: Database, folder: Path) -> None:
    first, second = (request_export(diarist(), export_type="user_data") for _ in range(2))
    with lock_diaries(committed) as is_any_session_blocked:
        process = started(committed, folder)
        assert eventually(is_any_session_blocked)
        first.refresh_from_db()
        assert first.status == "processing"  # committed, and visible to others
        process.kill()
        process.communicate()
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.status, second.status) == ("processing", "requested")
    assert files(folder) == []
    assert audited() == []
    end_leases()
    assert "2 are ready" in command()
    for request in (first, second):
        request.refresh_from_db()
        assert request.status == "ready"
        assert document_of(request)["subject"] == str(request.user_id)
        assert events(request) == ["data_export_ready"]
    assert len(files(folder)) == 2


def test_command_killed_before_its_commit_leaves_an_unused_file(
    committed: Database, folder: Path
) -> None:
    """The file exists, but its request is not ready: the next run makes another file, and a sweep
    removes the first.
    """
    request = request_export(diarist(), export_type="user_data")
    with committed.connect() as other, committed.connect(autocommit=True) as watcher:
        # The update to "ready" has to wait for its event.
        other.execute("LOCK TABLE outbox_events IN SHARE MODE")
        process = started(committed, folder)
        waiting = "SELECT FROM pg_locks WHERE NOT granted AND relation = 'outbox_events'::regclass"
        assert eventually(lambda: watcher.execute(waiting).fetchone() is not None)
        process.kill()
        process.communicate()
        other.rollback()
    end_leases()
    (left,) = files(folder)
    request.refresh_from_db()
    assert request.status == "processing"
    assert "1 are ready" in command()
    request.refresh_from_db()
    assert request.file_url != f"exports/{left}"
    assert events(request) == ["data_export_ready"]
    assert storage.sweep(now() + timedelta(hours=2)) == 1
    assert files(folder) == [request.file_url.removeprefix("exports/")]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopped_command_finishes_the_current_request(
    committed: Database, folder: Path, number: signal.Signals
) -> None:
    first, second = (request_export(diarist(), export_type="user_data") for _ in range(2))
    with lock_diaries(committed) as is_any_session_blocked:
        process = started(committed, folder)
        assert eventually(is_any_session_blocked)
        process.send_signal(number)
    code, output = ended(process)
    assert code == 0
    assert "Stopped; run the same command again to continue." in output
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.status, second.status) == ("ready", "requested")
    assert "1 are ready" in command()


def test_failed_export_sets_the_exit_code(committed: Database, folder: Path) -> None:
    person = diarist()
    execute(
        "UPDATE diary_entries SET payload_encrypted = "
        "replace(payload_encrypted, 'v1.k1.', 'v1.lost.')"
    )
    request_export(person, export_type="diary_pdf")
    result = manage("process_exports", DATABASE_URL=committed.url, EXPORTS_DIR=str(folder))
    assert result.returncode == 1
    assert result.stderr.strip().endswith("1 exports could not be made, or not completely.")
    assert "Traceback" not in result.stderr


def test_progress_is_logged_without_a_terminal(
    committed: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(commands, "LINE_EVERY", 0)
    request_export(diarist(), export_type="user_data")
    command()
    assert "data_export_requests: 1 of 1 row" in capsys.readouterr().err
