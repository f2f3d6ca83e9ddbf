"""Checkpoints: signed rows at the end of removed segments, and files with the state of the log."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from audit.services.checkpoints import (
    DOMAIN,
    LARGEST_FILE,
    BadFile,
    CheckpointFile,
    can_be_written,
    is_signed,
    sign,
)
from ebalance.db.encryption.envelope import blind_index
from ebalance.db.encryption.keys import Key, Keyring
from tests.case_loops import breaks_rules_of, check_changes, check_each, check_inserts
from tests.db.independent import from_base64url, hmac_sha256
from tests.factories import AuditCheckpointFactory, AuditLogEntryFactory
from tests.factories.base import ago
from tests.rule_cases import (
    ALL_WRITE_PATHS,
    Change,
    change_params,
    check_change,
    check_delete,
    each_delete,
    range_cases,
)
from tests.support import Case, breaks, execute, refuses

from .tampering import superuser

TABLE = "audit_checkpoints"
ENDS = "audit_checkpoints_end_an_old_segment"
IMMUTABLE, NO_DELETE = "audit_checkpoints_immutable", "audit_checkpoints_no_delete"
NO_TRUNCATE = "audit_checkpoints_no_truncate"

database = pytest.mark.django_db


# -- rules --------------------------------------------------------------------------------------


def checkpoint(name: str, rule: str | None = None, /, **values: Any) -> Case:
    return Case(name, AuditCheckpointFactory, values, rule)


def old(**values: Any) -> Any:
    return AuditLogEntryFactory(by_system=True, created_at=ago(days=1100), **values)


def numbered_0() -> int:
    """An entry that no trigger would write, with the hash that the factory signs."""
    with superuser():
        execute(
            "INSERT INTO audit_log_entries (seq, actor_role, action, entity_type, prev_hash, "
            "row_hash, created_at) VALUES (0, 'system', 'a', 'b', '', %s, %s)",
            [bytes(32), ago(days=1100)],
        )
    return 0


CHECKPOINTS = [
    checkpoint("0", "audit_checkpoints_seq_in_range", seq=numbered_0, row_hash=bytes(32)),
    checkpoint(
        "an entry twice", "audit_checkpoints_seq_unique", seq=lambda: twice(), row_hash=b"x"
    ),
    *range_cases(AuditCheckpointFactory, "entries", 1),
    *[
        checkpoint(repr(key), rule and "audit_checkpoints_key_id_is_key_id", key_id=key)
        for key, rule in [
            ("k", None),
            ("2", None),
            ("a" * 16, None),
            (" ", True),
            ("a" * 17, True),
            ("K2", True),
            ("k-2", True),
            ("к2", True),
            ("k2\n", True),
        ]
    ],
]


@database
@breaks_rules_of(*CHECKPOINTS)
def test_checkpoint_names_an_entry_and_a_key() -> None:
    check_inserts(CHECKPOINTS)


def twice() -> int:
    """An entry with the hash x that already has a checkpoint."""
    entry = old()
    with superuser():
        execute("UPDATE audit_log_entries SET row_hash = 'x' WHERE seq = %s", [entry.seq])
    AuditCheckpointFactory(seq=entry.seq, row_hash=b"x")
    return entry.seq


def young(days: float) -> Callable[[], None]:
    def make() -> None:
        entry = AuditLogEntryFactory(by_system=True, created_at=ago(days=days))
        insert(entry.seq, bytes(entry.row_hash))

    return make


def behind_a_young_one() -> None:
    AuditLogEntryFactory(by_system=True)
    entry = old()
    insert(entry.seq, bytes(entry.row_hash))


def of_no_entry() -> None:
    entry = old()
    insert(entry.seq + 1, bytes(entry.row_hash))


def of_another_hash() -> None:
    insert(old().seq, bytes(32))


def insert(seq: int, row_hash: bytes) -> None:
    execute(
        "INSERT INTO audit_checkpoints (seq, row_hash, entries, key_id, signature) "
        "VALUES (%s, %s, 1, 'k1', '')",
        [seq, row_hash],
    )


@database
@breaks(ENDS)
@pytest.mark.parametrize(
    "write",
    [young(0), young(1090), behind_a_young_one, of_no_entry, of_another_hash],
    ids=["today's", "not 3 years old", "behind a young one", "of no entry", "of another hash"],
)
def test_only_old_entries_are_signed_off(write: Callable[[], None]) -> None:
    with refuses(ENDS, TABLE):
        write()


@database
def test_old_entry_before_a_young_one_is_signed_off() -> None:
    entry = old()
    AuditLogEntryFactory(by_system=True)
    insert(entry.seq, bytes(entry.row_hash))


@database
@change_params(
    Change("signature", AuditCheckpointFactory, {}, {"signature": b"forged"}, IMMUTABLE),
    write_paths=ALL_WRITE_PATHS,
)
def test_no_write_path_changes_a_checkpoint(change: Change, write_path: str) -> None:
    check_change(change, write_path)


CHANGES = [
    Change("nothing", AuditCheckpointFactory, {}, {"entries": 1}, IMMUTABLE),
    Change("place", AuditCheckpointFactory, {}, {"seq": 99}, IMMUTABLE),
    Change("hash", AuditCheckpointFactory, {}, {"row_hash": b"forged"}, IMMUTABLE),
]


@database
@breaks_rules_of(*CHANGES)
def test_no_column_of_a_checkpoint_changes() -> None:
    check_changes(CHANGES)


@database
@breaks(NO_DELETE)
@each_delete
def test_checkpoint_cannot_be_deleted(delete: Any) -> None:
    check_delete(AuditCheckpointFactory(), delete, NO_DELETE)


@database
@breaks(NO_TRUNCATE)
def test_checkpoints_refuse_truncate() -> None:
    AuditCheckpointFactory()
    with refuses(NO_TRUNCATE, TABLE):
        execute("TRUNCATE audit_checkpoints")


# -- signatures ---------------------------------------------------------------------------------


def test_the_signature_is_an_hmac_under_the_blind_index_key() -> None:
    key_id, signed = sign(7, b"h" * 32, 3)
    assert key_id == settings.BLIND_INDEX_KEYS.primary.id
    message = b"ebalance audit checkpoint 1\0" + (7).to_bytes(8) + (3).to_bytes(8) + b"h" * 32
    assert signed == hmac_sha256(settings.BLIND_INDEX_KEYS.primary.material, message)


def test_blind_index_is_no_signature() -> None:
    """One key makes both, but a signature for one purpose is invalid for the other."""
    contact = DOMAIN.decode() + "+79991234567"
    assert from_base64url(blind_index(contact).split(".")[2]) != sign(7, b"h" * 32, 3)[1]
    assert "\0" in DOMAIN.decode()  # no contact contains it


def test_signature_is_valid_for_its_values_only() -> None:
    key_id, signed = sign(7, b"h" * 32, 3)
    good = {"seq": 7, "row_hash": b"h" * 32, "entries": 3, "key_id": key_id, "signed": signed}
    assert is_signed(**good) is True
    for name, other in [
        ("seq", 8),
        ("seq", -7),
        ("entries", 4),
        ("entries", -3),
        ("row_hash", b"g" * 32),
        ("row_hash", b""),
        ("signed", bytes(32)),
        ("signed", b""),
        ("signed", signed + b"x"),
    ]:
        assert is_signed(**{**good, name: other}) is False, (name, other)
    assert is_signed(**{**good, "key_id": "gone"}) is None


def test_signature_of_an_older_key_is_valid(settings: Any) -> None:
    key_id, signed = sign(7, b"h" * 32, 3)
    new = Key("new", os.urandom(32))
    settings.BLIND_INDEX_KEYS = Keyring([new, *settings.BLIND_INDEX_KEYS])
    assert is_signed(7, b"h" * 32, 3, key_id=key_id, signed=signed) is True
    assert sign(7, b"h" * 32, 3)[0] == "new"
    # Another key under the same id does not validate it.
    settings.BLIND_INDEX_KEYS = Keyring([Key(key_id, os.urandom(32))])
    assert is_signed(7, b"h" * 32, 3, key_id=key_id, signed=signed) is False


# -- files --------------------------------------------------------------------------------------

GOOD = CheckpointFile(
    seq=3,
    row_hash=b"c" * 32,
    entries=3,
    written_at="2026-01-07T09:00:00+00:00",
    marks={1: b"a" * 32, 2: b"b" * 32, 3: b"c" * 32},
)


def same(one: CheckpointFile, other: CheckpointFile) -> bool:
    return one.__dict__ | {"path": None} == other.__dict__ | {"path": None}


def test_written_file_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "log.json"
    GOOD.write(path)
    assert same(CheckpointFile.read(path), GOOD)
    assert CheckpointFile.read(path).path == path
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [*tmp_path.iterdir()] == [path]


def test_empty_log_has_a_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "log.json"
    empty = CheckpointFile(0, b"", 0, "2026-01-07T09:00:00+00:00")
    empty.write(path)
    assert same(CheckpointFile.read(path), empty)


def test_new_file_replaces_an_older_one_atomically(tmp_path: Path) -> None:
    path, link = tmp_path / "log.json", tmp_path / "latest.json"
    CheckpointFile(1, b"a" * 32, 1, "2025-01-07T09:00:00+00:00").write(path)
    link.symlink_to(path)
    GOOD.write(link)
    assert link.is_symlink()
    assert same(CheckpointFile.read(path), GOOD)


@pytest.mark.parametrize("failing", ["os.fsync", "os.replace", "json.dump"])
def test_older_file_survives_an_error(tmp_path: Path, monkeypatch: Any, failing: str) -> None:
    path = tmp_path / "log.json"
    GOOD.write(path)

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(f"audit.services.checkpoints.{failing}", fail)
    with pytest.raises(BadFile, match=r"log\.json cannot be written: No space left on device"):
        CheckpointFile(9, b"x" * 32, 9, GOOD.written_at).write(path)
    assert same(CheckpointFile.read(path), GOOD)
    assert [*tmp_path.iterdir()] == [path]


def changed(**changes: Any) -> str:
    good = {
        "format": "ebalance audit log 1",
        "seq": 3,
        "row_hash": "63" * 32,
        "entries": 3,
        "written_at": "2026-01-07T09:00:00+00:00",
        "marks": {"1": "61" * 32},
    }
    return json.dumps({**good, **changes})


def test_sample_file_is_a_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "log.json"
    path.write_text(changed())
    assert CheckpointFile.read(path).marks == {1: b"a" * 32}


NO_CHECKPOINTS = [
    "",
    "rubbish",
    "{",
    "null",
    "[]",
    "3",
    '"text"',
    "{}",
    '{"name": "package", "version": "1.0.0"}',
    "[" * 100_000,
    changed()[:-5],
    changed(format="ebalance audit log 2"),
    changed(format=None),
    changed(seq="3"),
    changed(seq=3.0),
    changed(seq=True),
    changed(seq=-1),
    changed(seq=2**63),
    changed(seq=0),
    changed(seq=None),
    changed(row_hash=""),
    changed(row_hash="63" * 31),
    changed(row_hash="zz" * 32),
    changed(row_hash=63),
    changed(entries=-1),
    changed(written_at="yesterday"),
    changed(written_at=None),
    changed(marks=None),
    changed(marks=[]),
    changed(marks={"x": "61" * 32}),
    changed(marks={"0": "61" * 32}),
    changed(marks={"4": "61" * 32}),
    changed(marks={"1": "61"}),
    changed(marks={"1": None}),
]


def test_file_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log.json"

    def check(text: str) -> None:
        path.write_text(text)
        with pytest.raises(BadFile) as caught:
            CheckpointFile.read(path)
        assert str(caught.value) == f"{path} is not a checkpoint of the audit log."

    check_each([(text[:200], text) for text in NO_CHECKPOINTS], check, undo=False)


def test_only_regular_files_of_limited_size_are_read(tmp_path: Path) -> None:
    binary, large, pipe = tmp_path / "binary", tmp_path / "large", tmp_path / "pipe"
    binary.write_bytes(b"\xff\xfe\x00")
    with large.open("wb") as file:
        file.truncate(LARGEST_FILE + 1)
    os.mkfifo(pipe)
    for path in (tmp_path, binary, large, pipe, Path("/dev/zero")):
        with pytest.raises(BadFile, match="is not a checkpoint of the audit log"):
            CheckpointFile.read(path)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match=r"nothing\.json cannot be read: No such file"):
        CheckpointFile.read(tmp_path / "nothing.json")
    with pytest.raises(BadFile, match="cannot be written: No such file"):
        can_be_written(tmp_path / "nowhere" / "log.json")
    can_be_written(tmp_path / "log.json")
    assert [*tmp_path.iterdir()] == []
