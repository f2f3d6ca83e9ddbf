"""Old months of the audit log are removed as a whole, and the rest still verifies."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection, transaction

from audit.errors import LogDamaged, OwnerNeeded, SigningKeyMissing
from audit.models import AuditCheckpoint, AuditLogEntry
from audit.services.chain import UnknownKey
from audit.services.checkpoints import CheckpointFile, is_signed, sign, signature
from audit.services.retention import remove_old_segments
from ebalance.db.encryption.keys import Key, Keyring
from tests.databases import Database, default_connection_on
from tests.factories import AuditLogEntryFactory
from tests.processes import ROOT, environment
from tests.support import execute

from .tampering import (
    answer,
    assign,
    find_damage,
    grow_log,
    hash_at,
    rehash_from,
    remove,
    superuser,
    swap,
    verify,
)

database = pytest.mark.django_db

NOW = datetime(2020, 5, 15, 12, tzinfo=UTC)  # three years after the end of April 2017
OLD, YOUNG = "2017-04-30 23:59:59.999999Z", "2017-05-01 00:00Z"


def entries(*times: str) -> None:
    for at in times:
        AuditLogEntryFactory(by_system=True, created_at=datetime.fromisoformat(at))


def seqs() -> list[int]:
    return [*AuditLogEntry.objects.order_by("seq").values_list("seq", flat=True)]


def remove_old(**options: Any) -> int:
    return remove_old_segments(**{"now": NOW, "batch": 2, **options})


def stopping_after(batches: int) -> dict[str, Any]:
    """Options that stop a run after this number of batches."""
    stop, ticks = Event(), []

    def tick(removed: int) -> None:
        ticks.append(removed)
        if len(ticks) == batches:
            stop.set()

    if not batches:
        stop.set()
    return {"stop": stop, "tick": tick}


# -- removal ---------------------------------------------------------------------------------------


@database
def test_months_older_than_three_years_are_removed() -> None:
    entries("2017-03-31 12:00Z", "2017-04-01 00:00Z", OLD, YOUNG, "2019-12-01 00:00Z")
    last = hash_at(3)
    assert remove_old() == 3
    assert seqs() == [4, 5, 6]
    assert find_damage() is None
    checkpoint = AuditCheckpoint.objects.get()
    assert (checkpoint.seq, bytes(checkpoint.row_hash), checkpoint.entries) == (3, last, 3)
    assert checkpoint.key_id == django_settings.BLIND_INDEX_KEYS.primary.id
    assert is_signed(3, last, 3, key_id=checkpoint.key_id, signed=bytes(checkpoint.signature))
    entry = AuditLogEntry.objects.get(seq=6)
    assert (entry.action, entry.entity_type) == ("audit_segment_removed", "audit_log_entries")
    assert entry.new_value == {"first_seq": 1, "last_seq": 3, "entries": 3}


@database
@pytest.mark.parametrize("zone", ["UTC", "Asia/Kamchatka", "America/Los_Angeles"])
def test_months_are_utc_months_in_every_session(zone: str) -> None:
    entries(OLD, YOUNG)
    execute(f"SET LOCAL TimeZone = '{zone}'")
    assert remove_old() == 1
    assert seqs() == [2, 3]


@database
@pytest.mark.parametrize(
    ("now", "removed"),
    [
        (datetime(2020, 4, 30, 23, 59, 59, tzinfo=UTC), 0),
        (datetime(2020, 5, 1, tzinfo=UTC), 2),
        (datetime(2020, 5, 31, 23, 59, 59, tzinfo=UTC), 2),
        (datetime(2020, 6, 1, tzinfo=UTC), 3),
    ],
)
def test_month_is_removed_when_all_of_it_is_old(now: datetime, removed: int) -> None:
    entries("2017-04-01 00:00Z", OLD, YOUNG)
    assert remove_old(now=now) == removed
    assert find_damage() is None


@database
def test_cutoff_is_valid_on_a_leap_day() -> None:
    entries("2017-01-31 00:00Z", "2017-02-01 00:00Z")
    assert remove_old(now=datetime(2020, 2, 29, 12, tzinfo=UTC)) == 1


@database
def test_old_entry_behind_a_younger_one_is_kept() -> None:
    """An entry is numbered at the end of its transaction but dated at its beginning."""
    entries(OLD, YOUNG, OLD)
    assert remove_old() == 1
    assert seqs() == [2, 3, 4]


@database
def test_cutoff_defaults_to_the_current_time() -> None:
    AuditLogEntryFactory(by_system=True, created_at=datetime.now(UTC) - timedelta(days=1130))
    AuditLogEntryFactory(by_system=True, created_at=datetime.now(UTC) - timedelta(days=1000))
    assert remove_old_segments() == 1


@database
def test_entry_about_the_removal_remains() -> None:
    entries(OLD, OLD, OLD)
    assert remove_old() == 3
    assert seqs() == [4]
    assert find_damage() is None
    assert AuditLogEntryFactory().seq == 5
    assert find_damage() is None


@database
def test_run_without_old_entries_writes_nothing() -> None:
    assert remove_old() == 0
    entries(YOUNG)
    assert remove_old() == 0
    assert (seqs(), AuditCheckpoint.objects.count()) == ([1], 0)


@database
def test_second_run_removes_nothing() -> None:
    entries(OLD, YOUNG)
    assert (remove_old(), remove_old()) == (1, 0)
    assert AuditCheckpoint.objects.count() == 1


@database
def test_months_are_removed_one_after_another() -> None:
    entries("2017-03-01 00:00Z", OLD, OLD, YOUNG, "2017-06-01 00:00Z")
    for month, removed in [(4, 1), (5, 2), (6, 1), (7, 1)]:
        assert remove_old(now=datetime(2020, month, 7, tzinfo=UTC)) == removed
        assert find_damage() is None
    segments = AuditCheckpoint.objects.order_by("seq").values_list("seq", "entries")
    assert [*segments] == [(1, 1), (3, 2), (4, 1), (5, 1)]
    assert verify().removed_to == 5


@database
def test_a_dry_run_counts_and_writes_nothing() -> None:
    entries(OLD, OLD, YOUNG)
    assert remove_old(dry_run=True) == 2
    assert (seqs(), AuditCheckpoint.objects.count()) == ([1, 2, 3], 0)
    remove_old(**stopping_after(1), batch=1)
    assert remove_old(dry_run=True) == 1


@database
def test_progress_is_reported_in_batches() -> None:
    entries(*[OLD] * 5, YOUNG)
    progress: list[int] = []
    assert remove_old(tick=progress.append) == 5
    assert progress == [2, 2, 1]


# -- refusals --------------------------------------------------------------------------------------


@database
@pytest.mark.parametrize("seq", [1, 2, 3])
def test_damaged_segment_is_kept(seq: int) -> None:
    entries(OLD, OLD, OLD, YOUNG)
    with superuser():
        assign(seq, action="login")
    with pytest.raises(LogDamaged) as caught:
        remove_old()
    assert caught.value.details == {"seq": seq, "kind": "edited"}
    assert str(seq) in caught.value.sentence
    assert (seqs(), AuditCheckpoint.objects.count()) == ([1, 2, 3, 4], 0)


@database
def test_damage_behind_the_segment_does_not_stop_its_removal() -> None:
    entries(OLD, OLD, YOUNG, YOUNG)
    with superuser():
        assign(4, action="login")
    assert remove_old() == 2
    assert find_damage() == ("edited", 4)


@database
def test_edited_times_remove_nothing_early() -> None:
    entries(OLD, YOUNG, YOUNG)
    with superuser():
        assign(2, created_at=OLD)
    with pytest.raises(LogDamaged):
        remove_old()


@database
def test_role_without_the_right_to_remove_is_refused() -> None:
    entries(OLD, YOUNG)
    execute("CREATE ROLE test_reader; GRANT SELECT ON ALL TABLES IN SCHEMA public TO test_reader")
    execute("GRANT INSERT ON audit_log_entries TO test_reader; SET LOCAL ROLE test_reader")
    with pytest.raises(OwnerNeeded):
        remove_old()
    assert remove_old(dry_run=True) == 1
    assert find_damage() is None  # verification only reads
    execute("RESET ROLE")
    assert seqs() == [1, 2]


@pytest.fixture
def new_key(settings: Any) -> Key:
    """A keyring with one key, which signs."""
    key = Key("new", os.urandom(32))
    settings.BLIND_INDEX_KEYS = Keyring([key])
    return key


@database
def test_missing_key_of_the_last_checkpoint_is_reported(settings: Any, new_key: Key) -> None:
    entries("2017-03-01 00:00Z", OLD, YOUNG)
    remove_old(now=datetime(2020, 4, 7, tzinfo=UTC))
    settings.BLIND_INDEX_KEYS = Keyring([Key("newer", os.urandom(32))])
    with pytest.raises(UnknownKey, match=r"at seq 1 is signed with the key new, which is not in"):
        verify()
    with pytest.raises(SigningKeyMissing) as caught:
        remove_old()
    assert caught.value.details == {"key": "new"}
    assert seqs() == [2, 3, 4]


@database
def test_the_key_of_an_earlier_checkpoint_is_not_needed(settings: Any, new_key: Key) -> None:
    entries("2017-03-01 00:00Z", OLD, YOUNG)
    remove_old(now=datetime(2020, 4, 7, tzinfo=UTC))
    newer = Key("newer", os.urandom(32))
    settings.BLIND_INDEX_KEYS = Keyring([newer, new_key])
    assert remove_old() == 1
    settings.BLIND_INDEX_KEYS = Keyring([newer])
    assert find_damage() is None
    assert AuditCheckpoint.objects.order_by("seq").last().key_id == "newer"


# -- stopped, killed, at once ----------------------------------------------------------------------


@database
@pytest.mark.parametrize("batches", [1, 2, 3])
def test_rest_of_a_stopped_run_verifies_and_is_removed_next(batches: int) -> None:
    entries(*[OLD] * 7, YOUNG)
    assert remove_old(**stopping_after(batches)) == 2 * batches
    assert seqs()[0] == 2 * batches + 1
    assert find_damage() is None
    AuditLogEntryFactory()
    assert find_damage() is None
    assert remove_old() == 7 - 2 * batches
    assert AuditCheckpoint.objects.count() == 1
    assert seqs() == [8, 9, 10]


@database
def test_run_stopped_before_its_first_batch_does_nothing() -> None:
    entries(OLD, YOUNG)
    assert remove_old(**stopping_after(0)) == 0
    assert (seqs(), AuditCheckpoint.objects.count()) == ([1, 2], 0)


@database
def test_next_month_includes_the_rest_of_a_stopped_run() -> None:
    entries("2017-03-01 00:00Z", "2017-03-02 00:00Z", OLD, OLD, YOUNG)
    remove_old(now=datetime(2020, 4, 7, tzinfo=UTC), batch=1, **stopping_after(1))
    assert find_damage() is None
    assert remove_old() == 3
    segments = AuditCheckpoint.objects.order_by("seq").values_list("seq", "entries")
    assert [*segments] == [(2, 2), (4, 2)]
    assert find_damage() is None


@pytest.fixture
def committed(module_database: Database, django_db_blocker: Any) -> Iterator[Database]:
    """A database with an empty log, in which the test commits."""
    with django_db_blocker.unblock(), default_connection_on(module_database):
        yield module_database
        with superuser("replica"):
            execute("DELETE FROM audit_log_entries; DELETE FROM audit_checkpoints")


REMOVE = """
import django; django.setup()
from audit.services.retention import remove_old_segments
print(remove_old_segments(batch=2, tick=lambda n: print("batch", flush=True)), flush=True)
"""


def remover(database: Database) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", REMOVE],
        cwd=ROOT,
        env=environment(DATABASE_URL=database.url, DJANGO_SETTINGS_MODULE="ebalance.settings"),
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_killed_run_is_resumed(committed: Database) -> None:
    grow_log(3000, at=OLD)
    entries("2025-01-01 00:00Z")
    for batches in (0, 3, 20):
        with remover(committed) as process:
            assert process.stdout
            for _ in range(batches):
                assert process.stdout.readline() == "batch\n"
            process.kill()
        assert verify().last == 3001 + (batches > 0)
    left = [seq for seq in seqs() if seq <= 3000]
    assert 0 < len(left) < 3000
    assert left == [*range(left[0], 3001)]
    assert remove_old(now=None, batch=1000) == len(left)
    assert AuditCheckpoint.objects.get().entries == 3000
    assert find_damage() is None
    assert seqs() == [3001, 3002]


@pytest.mark.slow
def test_concurrent_runs_sign_once(committed: Database) -> None:
    grow_log(2000, at=OLD)
    runs = [remover(committed) for _ in range(3)]
    outputs = [run.communicate(timeout=600)[0].split() for run in runs]
    assert [run.returncode for run in runs] == [0, 0, 0]
    assert sum(int(lines[-1]) for lines in outputs) == 2000
    assert AuditCheckpoint.objects.get().entries == 2000
    assert seqs() == [2001]
    assert find_damage() is None


@pytest.mark.parametrize(("batch", "after"), [(3, 1), (3, 4), (10, 1), (11, 1), (7, 2)])
def test_entries_may_be_removed_while_they_are_verified(
    committed: Database, batch: int, after: int
) -> None:
    """Verification accepts the entries at its start, or a segment signed off by retention."""
    grow_log(20, at=OLD)
    entries(YOUNG, YOUNG)
    ticks = []

    def tick(verified: int) -> None:
        ticks.append(verified)
        if len(ticks) == after:
            remove_old_segments(now=NOW, batch=7)

    verified = verify(batch=batch, tick=tick)
    assert (verified.last, verified.row_hash) == (22, hash_at(22))
    assert verified.entries == sum(ticks) < 22
    assert seqs() == [21, 22, 23]


def test_damage_is_not_taken_for_retention(committed: Database) -> None:
    grow_log(20, at=OLD)
    entries(YOUNG)
    with superuser():
        remove(15)

    def tick(_: int) -> None:
        with superuser():
            execute("DELETE FROM audit_log_entries WHERE seq <= 16")

    assert answer(lambda: verify(tick=tick, batch=5)) == ("removed", 1)


# -- tampering -------------------------------------------------------------------------------------


@pytest.fixture
def partly(db: None) -> None:
    """Ten signed-off entries, six of them still stored, then two more and the removal's entry."""
    entries(*[OLD] * 10, YOUNG, YOUNG)
    remove_old(**stopping_after(2))
    assert seqs() == [*range(5, 14)]
    assert find_damage() is None


@pytest.mark.usefixtures("partly")
@pytest.mark.parametrize("seq", [5, 7, 10, 11, 13])
def test_edit_of_a_remaining_entry_is_detected(seq: int) -> None:
    with superuser():
        assign(seq, action="login")
    assert find_damage() == ("edited", seq)
    if seq <= 10:
        with pytest.raises(LogDamaged):
            remove_old()
        assert seqs()[0] == 5


@pytest.mark.usefixtures("partly")
def test_other_damage_to_the_remaining_log_is_detected() -> None:
    def tried(expected: tuple[str, int], *changes: Any) -> None:
        with transaction.atomic():
            with superuser():
                for change in changes:
                    change()
            assert find_damage() == expected
            transaction.set_rollback(True)

    tried(("removed", 7), lambda: remove(7))
    tried(("removed", 10), lambda: remove(10))
    tried(("removed", 11), lambda: remove(11))
    tried(("removed", 11), lambda: remove(5, 11))
    tried(("reordered", 6), lambda: swap(6, 9))
    tried(("reordered", 10), lambda: swap(10, 11))
    tried(("cut", 11), lambda: remove(5, 100))
    tried(("cut", 11), lambda: remove(11, 100))
    tried(("cut", 9), lambda: remove(9, 100))
    tried(("edited", 6), lambda: remove(9, 100), lambda: assign(6, action="login"))
    # A rehashed entry leads to another hash than the signed one.
    tried(("rewritten", 10), lambda: assign(7, action="login"), lambda: rehash_from(7))
    tried(("rewritten", 10), lambda: assign(10, action="login"), lambda: rehash_from(10))
    tried(("inserted", -1), lambda: execute(INSERT, [-1]))
    tried(("edited", 2), lambda: execute(INSERT, [2]))


INSERT = (
    "INSERT INTO audit_log_entries (seq, actor_role, action, entity_type, prev_hash, row_hash) "
    "VALUES (%s, 'system', 'a', 'b', '', '')"
)


@pytest.mark.usefixtures("partly")
@pytest.mark.parametrize("first", [9, 11])
def test_rest_of_a_truncated_log_is_not_removed(first: int) -> None:
    with superuser():
        remove(first, 100)
    with pytest.raises(LogDamaged) as caught:
        remove_old()
    assert caught.value.details == {"seq": first, "kind": "cut"}
    assert seqs() == [*range(5, first)]


@pytest.mark.usefixtures("partly")
def test_missing_signed_off_front_is_no_damage() -> None:
    """A signed-off entry may be missing."""
    with superuser():
        remove(5, 8)
    assert find_damage() is None


@pytest.mark.usefixtures("partly")
@pytest.mark.parametrize(
    "change",
    [
        "seq = seq + 1",
        "entries = entries + 1",
        "row_hash = sha256(row_hash)",
        "signature = ''",
        "signature = sha256(signature)",
        "seq = 13, entries = 13, row_hash = (SELECT row_hash FROM audit_log_entries "
        "ORDER BY seq DESC LIMIT 1)",
    ],
)
def test_edited_checkpoint_is_detected(change: str) -> None:
    execute("ALTER TABLE audit_checkpoints DISABLE TRIGGER USER")
    execute(f"UPDATE audit_checkpoints SET {change}")
    (kind, _seq) = find_damage() or ("", 0)
    assert kind == "checkpoint"
    with pytest.raises(LogDamaged):
        remove_old()


@pytest.mark.usefixtures("partly")
def test_forged_checkpoint_is_detected() -> None:
    """An attacker with the database but without the keys cannot forge a removal by retention."""
    other_key = Key(django_settings.BLIND_INDEX_KEYS.primary.id, os.urandom(32))
    with superuser():
        remove(5, 11)
    forged = signature(11, hash_at(12), 1, other_key)
    execute("ALTER TABLE audit_checkpoints DISABLE TRIGGER USER")
    AuditCheckpoint.objects.create(
        seq=11, row_hash=hash_at(12), entries=1, key_id=other_key.id, signature=forged
    )
    assert find_damage() == ("checkpoint", 11)


@pytest.mark.usefixtures("partly")
def test_removed_checkpoint_is_detected() -> None:
    execute("ALTER TABLE audit_checkpoints DISABLE TRIGGER USER; DELETE FROM audit_checkpoints")
    assert find_damage() == ("removed", 1)


@database
def test_removed_earlier_checkpoint_is_detected() -> None:
    entries("2017-03-01 00:00Z", OLD, YOUNG)
    remove_old(now=datetime(2020, 4, 7, tzinfo=UTC))
    remove_old()
    execute("ALTER TABLE audit_checkpoints DISABLE TRIGGER USER")
    execute("DELETE FROM audit_checkpoints WHERE seq = 1")
    assert find_damage() == ("checkpoint", 2)


@database
def test_entries_are_chained_to_the_checkpoint() -> None:
    entries(OLD, YOUNG, YOUNG)
    remove_old()
    with superuser():
        assign(2, prev_hash=bytes(32))
    assert find_damage() == ("edited", 2)
    with superuser():
        remove(2)
        rehash_from(3)
    assert find_damage() == ("removed", 2)


# -- with checkpoint files -------------------------------------------------------------------------


def file() -> CheckpointFile:
    return verify(marking=True).as_file()


@database
def test_checkpoint_confirms_an_older_file() -> None:
    entries(OLD, OLD, OLD)
    before = file()
    entries(OLD, YOUNG)
    assert remove_old() == 4
    assert find_damage(files=[before]) is None
    assert verify(files=[before]).first > before.seq


@database
def test_file_and_checkpoint_of_one_entry_must_agree() -> None:
    entries(OLD, OLD, OLD)
    honest = file()
    with superuser():
        assign(2, action="login")
        rehash_from(2)
    entries(YOUNG)
    remove_old()  # the rehashed log looks whole and is signed off
    assert find_damage() is None
    assert find_damage(files=[honest]) == ("rewritten", 3)


@database
def test_file_covers_the_remaining_entries() -> None:
    entries(OLD, OLD, YOUNG, YOUNG)
    before = file()
    remove_old()
    assert find_damage(files=[before]) is None
    with superuser():
        assign(4, action="login")
        rehash_from(4)
    assert find_damage(files=[before]) == ("rewritten", 4)
    with superuser():
        remove(3, 100)
    assert find_damage(files=[before]) == ("cut", 3)


@database
def test_signature_is_valid_for_one_log() -> None:
    """A checkpoint signed in another log with the same key does not fit this chain."""
    entries(OLD, OLD, YOUNG)
    key_id, signed = sign(2, bytes(32), 2)
    connection.check_constraints()
    execute("ALTER TABLE audit_checkpoints DISABLE TRIGGER USER")
    AuditCheckpoint.objects.create(
        seq=2, row_hash=bytes(32), entries=2, key_id=key_id, signature=signed
    )
    assert find_damage() == ("rewritten", 2)
    with superuser():
        remove(1, 2)
    assert find_damage() == ("edited", 3)
