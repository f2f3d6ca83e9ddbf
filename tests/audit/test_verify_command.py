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

from .tampering import assign, grow, hash_anew, hash_at, remove, superuser, write

VERIFY = [sys.executable, "manage.py", "verify_audit_log"]

database = pytest.mark.django_db


@pytest.fixture
def log(db: None) -> None:
    write()


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


# -- what it says -------------------------------------------------------------------------------


@database
def test_of_an_empty_log_it_says_so() -> None:
    assert command() == ["The audit log is empty."]


@pytest.mark.usefixtures("log")
def test_of_a_whole_log_it_says_how_many_how_fast_and_the_last_hash() -> None:
    (line,) = command()
    assert line.startswith("The audit log is whole: 9 entries, seq 1 to 9, ")
    assert line.endswith(f" entries/s, the last hash is {hash_at(9).hex()}.")


@pytest.mark.usefixtures("log")
def test_of_a_damaged_log_it_names_the_first_entry_and_how() -> None:
    with superuser():
        assign(7, action="login")
    assert refused() == (
        1,
        "The audit log is damaged at seq 7 (edited): its content is not what was hashed.",
    )


@pytest.mark.usefixtures("log")
def test_it_says_what_it_takes_on_the_word_of_others(file: Path) -> None:
    with superuser():
        execute("UPDATE audit_log_entries SET created_at = '2017-01-01 00:00Z' WHERE seq <= 3")
        hash_anew(1)
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
def test_a_checkpoint_is_written_and_held_against_the_log(file: Path) -> None:
    assert command("--write-checkpoint", file)[-1] == f"{file} is written."
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    said = json.loads(file.read_text())
    assert (said["seq"], said["row_hash"], said["entries"]) == (9, hash_at(9).hex(), 9)
    assert [*said["marks"]] == [str(seq) for seq in range(1, 10)]
    age = datetime.now(UTC) - datetime.fromisoformat(said["written_at"])
    assert age.total_seconds() >= 0
    AuditLogEntryFactory()
    assert len(command("--checkpoint", file)) == 1
    with superuser():
        remove(7, 100)
    code, line = refused("--checkpoint", file)
    assert code == 1
    assert line == (
        "The audit log is damaged at seq 7 (cut): entries are missing from here on; the "
        f"checkpoint file of {said['written_at']} knows them up to 9."
    )


@database
def test_a_checkpoint_of_an_empty_log_finds_nothing_missing(file: Path) -> None:
    command("--write-checkpoint", file)
    assert command("--checkpoint", file) == ["The audit log is empty."]
    write()
    assert len(command("--checkpoint", file)) == 1


@pytest.mark.usefixtures("log")
def test_of_a_damaged_log_no_checkpoint_is_written(file: Path) -> None:
    with superuser():
        assign(7, action="login")
    assert refused("--write-checkpoint", file)[0] == 1
    assert not file.exists()


@pytest.mark.usefixtures("log")
def test_an_older_checkpoint_in_its_place_is_asked_first(file: Path) -> None:
    """It may be the only one that knows of the tail which is gone."""
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
def test_what_is_something_else_is_neither_read_nor_overwritten(file: Path, option: str) -> None:
    file.write_text('{"name": "package"}')
    assert refused(option, file) == (2, f"{file} is not a checkpoint of the audit log.")
    assert file.read_text() == '{"name": "package"}'


@pytest.mark.usefixtures("log")
def test_a_file_that_cannot_be_used_is_named_before_the_work(file: Path, monkeypatch: Any) -> None:
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
def test_the_file_of_another_log_does_not_fit(file: Path) -> None:
    command("--write-checkpoint", file)
    said = json.loads(file.read_text())
    said["row_hash"] = "00" * 32
    said["marks"] = {}
    file.write_text(json.dumps(said))
    code, line = refused("--checkpoint", file)
    assert code == 1
    assert "damaged at seq 9 (rewritten)" in line
    assert "this entry or one of the 8 before it" in line


@pytest.mark.parametrize("batch", ["0", "-1", "x", "", "1.5", "100001", "²"])
def test_a_wrong_batch_is_said_to_be_one(batch: str) -> None:
    code, line = refused("--batch", batch)
    assert code == 2
    assert f"{batch!r} is no batch" in line


@pytest.mark.parametrize("name", ["", "\0", "a\0b"])
def test_a_file_needs_a_name(name: str) -> None:
    for option in ("--checkpoint", "--write-checkpoint"):
        assert refused(option, name) == (2, "A checkpoint needs the name of a file.")


# -- as a process -------------------------------------------------------------------------------


@pytest.fixture
def committed(fresh_database: Database, django_db_blocker: Any) -> Iterator[Database]:
    """A database of its own, where what the test writes is committed."""
    with django_db_blocker.unblock(), default_connection_on(fresh_database):
        yield fresh_database


@pytest.mark.slow
def test_its_exit_codes_and_its_one_line(committed: Database, file: Path) -> None:
    def run(*arguments: str) -> tuple[int, list[str], list[str]]:
        done = manage("verify_audit_log", *arguments, DATABASE_URL=committed.url)
        return done.returncode, done.stdout.splitlines(), done.stderr.splitlines()

    grow(500)
    code, said, errors = run("--write-checkpoint", str(file))
    assert (code, len(said), errors) == (0, 2, [])
    with superuser():
        remove(400, 500)
    code, said, errors = run("--checkpoint", str(file), "--batch", "100")
    assert (code, said, len(errors)) == (1, [], 1)
    assert "damaged at seq 400 (cut)" in errors[0]
    code, said, errors = run("--checkpoint", str(file.parent))
    assert (code, said, len(errors)) == (2, [], 1)
    assert "is not a checkpoint" in errors[0]


@pytest.mark.usefixtures("log")
def test_it_stops_after_the_batch_at_hand(file: Path, monkeypatch: Any) -> None:
    go_on, ends = Verification.verify_range, []

    def go_on_and_signal(self: Verification, place: Any, end: int) -> Any:
        ends.append(end)
        if len(ends) == 3:
            signal.raise_signal(signal.SIGTERM)
        return go_on(self, place, end)

    monkeypatch.setattr(Verification, "verify_range", go_on_and_signal)
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
def test_process_that_gets_a_signal_stops(committed: Database, file: Path) -> None:
    """It gets the signal while it waits for the table."""
    grow(10)
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
    """What the server needs for a range: test_verify.py."""
    peaks = []
    for entries in (1_000, 60_000):
        grow(entries)
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
def test_a_role_that_reads_may_verify(file: Path) -> None:
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
