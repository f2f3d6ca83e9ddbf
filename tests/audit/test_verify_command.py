"""`manage.py verify_audit_log`: one line, an exit code, checkpoint files."""

from __future__ import annotations

import io
import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from audit.services.chain import Verification
from audit.services.checkpoints import CheckpointFile
from audit.services.retention import remove_old_segments
from tests.databases import Database, default_connection_on
from tests.factories import AuditLogEntryFactory
from tests.processes import HANG_TIMEOUT, ROOT, environment, eventually, manage
from tests.support import execute

from .tampering import assign, grow_log, hash_at, rehash_from, remove, superuser, write_sample_log

VERIFY = [sys.executable, "manage.py", "verify_audit_log"]

database = pytest.mark.django_db


@pytest.fixture
def log(db: None) -> None:
    write_sample_log()


def command(*arguments: str | Path) -> list[str]:
    output = io.StringIO()
    call_command("verify_audit_log", *map(str, arguments), stdout=output)
    return output.getvalue().splitlines()


def refused(*arguments: str | Path) -> tuple[int, str]:
    with pytest.raises(CommandError) as caught:
        command(*arguments)
    return caught.value.returncode, str(caught.value)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "log.json"


# -- output -------------------------------------------------------------------------------------


@database
def test_empty_log_is_reported() -> None:
    assert command() == ["The audit log is empty."]


@pytest.mark.usefixtures("log")
def test_whole_log_is_reported_with_count_speed_and_last_hash() -> None:
    (line,) = command()
    assert line.startswith("The audit log is whole: 9 entries, seq 1 to 9, ")
    assert line.endswith(f" entries/s, the last hash is {hash_at(9).hex()}.")


@pytest.mark.usefixtures("log")
def test_damaged_log_is_reported_with_first_entry_and_kind() -> None:
    with superuser():
        assign(7, action="login")
    assert refused() == (
        1,
        "The audit log is damaged at seq 7 (edited): its content is not what was hashed.",
    )


@pytest.mark.usefixtures("log")
def test_unverifiable_parts_are_reported(file: Path) -> None:
    with superuser():
        execute("UPDATE audit_log_entries SET created_at = '2017-01-01 00:00Z' WHERE seq <= 3")
        rehash_from(1)
    command("--write-checkpoint", file)
    assert remove_old_segments(now=datetime(2021, 1, 1, tzinfo=UTC)) == 3
    _, removed = command()
    assert removed.startswith("Retention removed the entries up to seq 3, and signed a checkpoint.")
    old = json.loads(file.read_text())
    old |= {"seq": 2, "row_hash": old["marks"]["2"], "marks": {"1": old["marks"]["1"]}}
    file.write_text(json.dumps(old))
    *_, vouched = command("--checkpoint", file)
    assert vouched == (
        f"Retention has removed the entry of {file} (seq 2): only the signed checkpoint vouches "
        "for the entries before seq 4."
    )


# -- checkpoint files ---------------------------------------------------------------------------


@pytest.mark.usefixtures("log")
def test_checkpoint_is_written_and_compared_with_the_log(file: Path) -> None:
    assert command("--write-checkpoint", file)[-1] == f"{file} is written."
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    data = json.loads(file.read_text())
    assert (data["seq"], data["row_hash"], data["entries"]) == (9, hash_at(9).hex(), 9)
    assert [*data["marks"]] == [str(seq) for seq in range(1, 10)]
    age = datetime.now(UTC) - datetime.fromisoformat(data["written_at"])
    assert age.total_seconds() >= 0
    AuditLogEntryFactory()
    assert len(command("--checkpoint", file)) == 1
    with superuser():
        remove(7, 100)
    code, line = refused("--checkpoint", file)
    assert code == 1
    assert line == (
        "The audit log is damaged at seq 7 (cut): entries are missing from here on; the "
        f"checkpoint file of {data['written_at']} knows them up to 9."
    )


@database
def test_a_checkpoint_of_an_empty_log_finds_nothing_missing(file: Path) -> None:
    command("--write-checkpoint", file)
    assert command("--checkpoint", file) == ["The audit log is empty."]
    write_sample_log()
    assert len(command("--checkpoint", file)) == 1


@pytest.mark.usefixtures("log")
def test_damaged_log_gets_no_checkpoint(file: Path) -> None:
    with superuser():
        assign(7, action="login")
    assert refused("--write-checkpoint", file)[0] == 1
    assert not file.exists()


@pytest.mark.usefixtures("log")
def test_older_checkpoint_is_checked_before_it_is_replaced(file: Path) -> None:
    """The older checkpoint may be the only evidence of a removed tail."""
    command("--write-checkpoint", file)
    before = file.read_bytes()
    with superuser():
        remove(9)
    code, line = refused("--write-checkpoint", file)
    assert code == 1
    assert "damaged at seq 9 (cut)" in line
    assert file.read_bytes() == before


@pytest.mark.usefixtures("log")
def test_one_file_may_be_read_and_written(file: Path) -> None:
    command("--write-checkpoint", file)
    AuditLogEntryFactory()
    command("--checkpoint", file, "--write-checkpoint", file)
    assert CheckpointFile.read(file).seq == 10
    other = file.with_name("other.json")
    command("--checkpoint", file, "--write-checkpoint", other)
    assert CheckpointFile.read(other).seq == 10


@pytest.mark.usefixtures("log")
@pytest.mark.parametrize("option", ["--checkpoint", "--write-checkpoint"])
def test_other_file_is_neither_read_nor_overwritten(file: Path, option: str) -> None:
    file.write_text('{"name": "package"}')
    assert refused(option, file) == (2, f"{file} is not a checkpoint of the audit log.")
    assert file.read_text() == '{"name": "package"}'


@pytest.mark.usefixtures("log")
def test_unusable_file_is_named_before_verification(file: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("audit.services.chain.Verification.run", None)
    nowhere = file.parent / "nowhere" / "log.json"
    assert refused("--checkpoint", file) == (
        2,
        f"The checkpoint {file} cannot be read: No such file or directory.",
    )
    assert refused("--write-checkpoint", nowhere) == (
        2,
        f"The checkpoint {nowhere} cannot be written: No such file or directory.",
    )


@pytest.mark.usefixtures("log")
def test_file_of_another_log_is_refused(file: Path) -> None:
    command("--write-checkpoint", file)
    data = json.loads(file.read_text())
    data["row_hash"] = "00" * 32
    data["marks"] = {}
    file.write_text(json.dumps(data))
    code, line = refused("--checkpoint", file)
    assert code == 1
    assert "damaged at seq 9 (rewritten)" in line
    assert "this entry or one of the 8 before it" in line


@pytest.mark.parametrize("batch", ["0", "-1", "x", "", "1.5", "100001", "²"])
def test_wrong_batch_is_refused(batch: str) -> None:
    code, line = refused("--batch", batch)
    assert code == 2
    assert f"{batch!r} is no batch" in line


@pytest.mark.parametrize("name", ["", "\0", "a\0b"])
def test_empty_file_name_is_refused(name: str) -> None:
    for option in ("--checkpoint", "--write-checkpoint"):
        assert refused(option, name) == (2, "A checkpoint needs the name of a file.")


# -- as a process -------------------------------------------------------------------------------


@pytest.fixture
def committed(fresh_database: Database, django_db_blocker: Any) -> Iterator[Database]:
    """A database in which the test commits."""
    with django_db_blocker.unblock(), default_connection_on(fresh_database):
        yield fresh_database


@pytest.mark.slow
def test_command_exits_with_a_code_and_one_line(committed: Database, file: Path) -> None:
    def run(*arguments: str) -> tuple[int, list[str], list[str]]:
        done = manage("verify_audit_log", *arguments, DATABASE_URL=committed.url)
        return done.returncode, done.stdout.splitlines(), done.stderr.splitlines()

    grow_log(500)
    code, output, errors = run("--write-checkpoint", str(file))
    assert (code, len(output), errors) == (0, 2, [])
    with superuser():
        remove(400, 500)
    code, output, errors = run("--checkpoint", str(file), "--batch", "100")
    assert (code, output, len(errors)) == (1, [], 1)
    assert "damaged at seq 400 (cut)" in errors[0]
    code, output, errors = run("--checkpoint", str(file.parent))
    assert (code, output, len(errors)) == (2, [], 1)
    assert "is not a checkpoint" in errors[0]


@pytest.mark.usefixtures("log")
def test_signal_stops_after_the_current_batch(file: Path, monkeypatch: Any) -> None:
    verify_range, ends = Verification.verify_range, []

    def verify_and_signal(self: Verification, position: Any, end: int) -> Any:
        ends.append(end)
        if len(ends) == 3:
            signal.raise_signal(signal.SIGTERM)
        return verify_range(self, position, end)

    monkeypatch.setattr(Verification, "verify_range", verify_and_signal)
    code, line = refused("--batch", "2", "--write-checkpoint", file)
    assert code == 128 + signal.SIGTERM
    assert line == "Stopped; the entries verified so far are whole."
    assert ends == [2, 4, 6]
    assert not file.exists()


WAITING = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


@pytest.mark.slow
def test_signal_stops_a_waiting_process(committed: Database, file: Path) -> None:
    """The signal arrives while the process waits for the table."""
    grow_log(10)
    with committed.connect() as other, committed.connect(autocommit=True) as watcher:
        other.execute("LOCK TABLE audit_log_entries")
        process = subprocess.Popen(
            [*VERIFY, "--batch", "1", "--write-checkpoint", str(file)],
            cwd=ROOT,
            env=environment(DATABASE_URL=committed.url),
            stderr=subprocess.PIPE,
            text=True,
        )
        assert eventually(lambda: watcher.execute(WAITING).fetchone() == (1,))
        process.send_signal(signal.SIGTERM)
        other.rollback()
        _, errors = process.communicate(timeout=HANG_TIMEOUT)
    assert process.returncode == 128 + signal.SIGTERM
    assert errors.splitlines()[-1].endswith("Stopped; the entries verified so far are whole.")
    assert not file.exists()


PEAK = """
import resource, sys
sys.argv = ["manage.py", "verify_audit_log", "--batch", "1000", "--write-checkpoint", "{file}"]
from ebalance.cli import run
code = run(sys.argv)
print(code, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_log(committed: Database, file: Path) -> None:
    """The server's own memory is tested in test_verify.py."""
    peaks = []
    for entries in (1_000, 60_000):
        grow_log(entries)
        done = subprocess.run(
            [sys.executable, "-c", PEAK.format(file=file)],
            cwd=ROOT,
            env=environment(DATABASE_URL=committed.url, DJANGO_SETTINGS_MODULE="ebalance.settings"),
            capture_output=True,
            text=True,
            timeout=HANG_TIMEOUT,
        )
        code, kilobytes = done.stdout.splitlines()[-1].split()
        assert code == "0"
        peaks.append(int(kilobytes))
    assert peaks[1] - peaks[0] < 8_000  # 60,000 hashes alone have 2,000, as objects 6,000
    assert CheckpointFile.read(file).seq == 60_000
    assert len(CheckpointFile.read(file).marks) <= 4096


@pytest.mark.usefixtures("log")
def test_read_only_role_may_verify(file: Path) -> None:
    execute(
        "CREATE ROLE test_auditor;"
        "GRANT SELECT ON audit_log_entries, audit_checkpoints TO test_auditor;"
        "GRANT SELECT (id, status) ON users TO test_auditor;"
        "SET LOCAL ROLE test_auditor"
    )
    assert len(command("--write-checkpoint", file)) == 2
    execute("RESET ROLE")
    assert not connection.needs_rollback
    assert os.access(file, os.R_OK)
