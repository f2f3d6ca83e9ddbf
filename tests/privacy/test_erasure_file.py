"""The ledger file of erasures outside of the database, to which lines are only appended."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings

from ebalance.privacy.erasure import ledger
from ebalance.privacy.erasure.ledger import LedgerLine
from tests.case_loops import check_each
from tests.factories import ErasureLedgerEntryFactory
from tests.factories.base import ago
from tests.privacy.test_erasure_commands import GOOD, lines

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: Any) -> Path:
    path = tmp_path / "folder" / "erasures.jsonl"
    path.parent.mkdir()
    monkeypatch.setattr(settings, "ERASURE_LEDGER_FILE", path)
    return path


def test_missing_entries_are_appended_oldest_first(file: Path) -> None:
    entries = [
        ErasureLedgerEntryFactory(requested_at=ago(days=n), completed_at=ago(days=n))
        for n in (3, 2, 1)
    ]
    assert ledger.sync_file() == 3
    assert [line["subject_id"] for line in lines(file)] == [str(e.subject_id) for e in entries]
    before = file.read_bytes()
    assert ledger.sync_file() == 0
    assert file.read_bytes() == before
    newest = ErasureLedgerEntryFactory()
    assert ledger.sync_file() == 1
    assert file.read_bytes().startswith(before)
    assert lines(file)[-1]["subject_id"] == str(newest.subject_id)


def test_file_and_folder_are_private_to_their_owner(file: Path) -> None:
    file.parent.rmdir()
    ErasureLedgerEntryFactory()
    ledger.sync_file()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    (line,) = lines(file)
    assert line.keys() == {"subject_id", "requested_at", "completed_at", "method", "leads"}


def test_written_line_is_parsed_back() -> None:
    instant = datetime(2026, 1, 7, 12, 30, 0, 123456, tzinfo=UTC)
    line = LedgerLine(
        uuid4(), instant, instant + timedelta(seconds=2), "retention", frozenset({uuid4()})
    )
    assert LedgerLine.parse(line.text()) == line
    # Other writers may omit the leads or add keys.
    data = json.loads(line.text())
    del data["leads"]
    assert LedgerLine.parse(json.dumps(data | {"note": "by hand"})).key == line.key


BROKEN = [
    "",
    "{",
    "[]",
    "null",
    "7",
    '"text"',
    "{}",
    '{"subject_id": "anna@example.com"}',
    '{"subject_id": 7}',
    "\x00",
    "[" * 100_000,
]
BROKEN += [
    json.dumps(GOOD | changed)
    for changed in (
        {"requested_at": "2026-01-07T12:30:00"},
        {"requested_at": 7},
        {"completed_at": None},
        {"completed_at": "0001-01-01T00:00:00+23:00"},
        {"method": "magic"},
        {"method": ["admin"]},
        {"leads": ["rubbish"]},
        {"leads": 7},
        {"subject_id": None},
    )
]


def test_broken_line_is_skipped_and_the_next_is_read(file: Path, caplog: Any) -> None:
    first, last = (json.dumps(GOOD | {"subject_id": str(uuid4())}) for _ in range(2))

    def is_skipped(broken: str) -> None:
        caplog.clear()
        file.write_text(f"{first}\n{broken}\n\n{last}\n")
        assert [line.text() for line in ledger.read_file()] == [first, last]
        messages = [record.getMessage() for record in caplog.records]
        assert messages == (["line 2 of the ledger of erasures cannot be read"] if broken else [])

    check_each([(repr(text[:60]), text) for text in BROKEN], is_skipped, undo=False)


@pytest.mark.parametrize("rubbish", [b"\xff\xfe\x00", b"\n" * 10, b"\x00" * 4096])
def test_lines_are_appended_to_a_damaged_file(file: Path, rubbish: bytes) -> None:
    file.write_bytes(rubbish)
    entry = ErasureLedgerEntryFactory()
    assert ledger.sync_file() == 1
    assert [line.subject_id for line in ledger.read_file()] == [entry.subject_id]
    assert file.read_bytes().startswith(rubbish)


@pytest.mark.parametrize("cut", [1, 20, 60, 100, 150])
def test_incomplete_line_of_a_killed_writer_is_repeated(file: Path, cut: int) -> None:
    """After an incomplete line, the next entry begins on a new line."""
    entries = ErasureLedgerEntryFactory.create_batch(3)
    ledger.sync_file()
    whole = file.read_bytes()
    file.write_bytes(whole[:-cut])
    lost = 3 - len(ledger.read_file())
    assert ledger.sync_file() == lost == (0 if cut == 1 else 1)
    assert {line.subject_id for line in ledger.read_file()} == {e.subject_id for e in entries}
    assert ledger.sync_file() == 0


def test_erasures_with_the_same_request_are_one_line(file: Path) -> None:
    """A repeated erasure belongs to the same request."""
    entry = ErasureLedgerEntryFactory()
    ErasureLedgerEntryFactory(subject_id=entry.subject_id, requested_at=entry.requested_at)
    ErasureLedgerEntryFactory(subject_id=entry.subject_id, requested_at=ago(minutes=2))
    assert ledger.sync_file() == 2
