"""Verification names the first bad entry after any edit that bypasses the triggers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from django.db import connection

from audit.models import AuditLogEntry
from audit.models.log import FORGOTTEN
from audit.services.chain import SCAN, Damaged, Stopped, Verification, reading
from audit.services.checkpoints import CheckpointFile
from ebalance.db.ids import uuid7
from tests.adversarial_sql import shadow_equality_operator
from tests.advice import advises, of_test
from tests.case_loops import check_each
from tests.factories import AuditLogEntryFactory, UserFactory
from tests.support import execute

from .tampering import (
    TABLE,
    assign,
    find_damage,
    grow_log,
    hash_at,
    insert,
    move,
    rehash,
    rehash_from,
    remove,
    shift,
    superuser,
    swap,
    verify,
    write_sample_log,
)

pytestmark = pytest.mark.django_db

LAST = 9
each_bypass = pytest.mark.parametrize("bypass", ["disabled", "replica"])


@pytest.fixture
def log() -> None:
    write_sample_log()
    assert find_damage() is None


def checkpoint_file(*, marks: bool = True) -> CheckpointFile:
    """A checkpoint file of the current log."""
    return verify(marking=marks).as_file()


# -- a whole log --------------------------------------------------------------------------------


def test_an_empty_log_is_whole() -> None:
    verified = verify()
    assert (verified.entries, verified.first, verified.last, verified.row_hash) == (0, 1, 0, b"")


@pytest.mark.usefixtures("log")
def test_whole_log_is_reported_with_its_last_hash() -> None:
    verified = verify()
    assert (verified.entries, verified.first, verified.last) == (LAST, 1, LAST)
    assert verified.row_hash == hash_at(LAST)
    assert verified.removed_to == 0


@pytest.mark.usefixtures("log")
def test_verification_changes_no_data_and_no_setting() -> None:
    before = execute("SELECT * FROM audit_log_entries ORDER BY seq")
    settings = execute("SELECT name, setting FROM pg_settings ORDER BY name")
    verify(batch=2, marking=True)
    assert execute("SELECT * FROM audit_log_entries ORDER BY seq") == before
    assert execute("SELECT name, setting FROM pg_settings ORDER BY name") == settings


@pytest.mark.usefixtures("log")
def test_session_settings_do_not_affect_verification() -> None:
    execute(
        "SET LOCAL TimeZone = 'Asia/Kamchatka'; SET LOCAL DateStyle = 'SQL, DMY';"
        "SET LOCAL bytea_output = 'escape'; SET LOCAL extra_float_digits = -15;"
        "SET LOCAL quote_all_identifiers = on; SET LOCAL IntervalStyle = 'iso_8601'"
    )
    assert find_damage() is None


@pytest.mark.usefixtures("log")
def test_concurrent_entries_do_not_disturb_verification() -> None:
    progress = []

    def tick(entries: int) -> None:
        progress.append(entries)
        AuditLogEntryFactory()

    assert verify(batch=4, tick=tick).last == LAST
    assert progress == [4, 4, 1]
    assert verify().last == LAST + 3


# -- edits --------------------------------------------------------------------------------------

OTHER: dict[str, Any] = {
    "id": UUID("0199f0a0-0000-7000-8000-000000000001"),
    "actor_user_id": lambda: UserFactory().pk,
    "actor_role": "client",
    "action": "login",
    "entity_type": "leads",
    "entity_id": UUID("0199f0a0-0000-7000-8000-000000000002"),
    "entity_key": "other",
    "old_value": '{"price_amount": 4501}',
    "new_value": '{"price_amount": 5001}',
    "created_at": "2026-01-07 09:00Z",
    "prev_hash": bytes(32),
    "row_hash": bytes(32),
    "origin_hash": bytes(32),
}
ORIGIN: dict[str, Any] = {
    "ip_address": "192.0.2.11",
    "user_agent": "Mozilla/5.1",
    "origin_salt": UUID("0199f0a0-0000-7000-8000-000000000003"),
}
NULLABLE = [f.column for f in AuditLogEntry._meta.concrete_fields if f.null]
EDITS = {
    "hashed": list(OTHER.items()),
    "origin": list(ORIGIN.items()),
    "emptied": [(name, None) for name in NULLABLE],
}


@advises
def test_every_column_has_an_edit() -> Iterator[str]:
    columns = {f.column for f in AuditLogEntry._meta.concrete_fields}
    edited = OTHER.keys() | ORIGIN.keys() | {"seq"}
    for column in columns - edited:
        yield of_test(check_edit, "OTHER")(f"add {column} to", "audit_log_entries has the column")
    for column in edited - columns:
        yield of_test(check_edit, "OTHER")(f"remove {column} from", "there is no such column")


def check_edit(name: str, value: Any, seq: int, bypass: str = "disabled") -> None:
    value = value() if callable(value) else value
    (before,) = execute(f"SELECT {name} FROM {TABLE} WHERE seq = %s", [seq])
    with superuser(bypass):
        assign(seq, **{name: value})
    (after,) = execute(f"SELECT {name} FROM {TABLE} WHERE seq = %s", [seq])
    if before == after:
        assert (value, seq) == (None, LAST)  # already empty
        assert find_damage() is None
    else:
        # An entry without an origin has no salt, so there is nothing to edit.
        assert find_damage() == ("edited", seq)


@pytest.mark.parametrize("seq", [5, LAST])
@pytest.mark.parametrize("edits", EDITS)
@pytest.mark.usefixtures("log")
def test_edit_of_every_column_is_detected(edits: str, seq: int) -> None:
    """Entry 5 has a value in every column; the last one has no actor and no origin."""
    check_each(
        [(f"{edit[0]} = {edit[1]}", edit) for edit in EDITS[edits]],
        lambda edit: check_edit(*edit, seq),
    )


@each_bypass
@pytest.mark.parametrize("seq", [1, 5, LAST])
@pytest.mark.usefixtures("log")
def test_edit_of_every_entry_is_detected(seq: int, bypass: str) -> None:
    check_edit("action", "login", seq, bypass)


SMALLEST = [
    "created_at = created_at + interval '1 microsecond'",
    "user_agent = user_agent || ' '",
    "ip_address = set_masklen(ip_address, 31)",
    "old_value = new_value, new_value = old_value",
    "action = entity_type, entity_type = action",
    "new_value = new_value || '{\"n\": null}'",
    "new_value = '{}'",
    "entity_id = actor_user_id, actor_user_id = NULL",
    "ip_address = NULL, user_agent = NULL",
    "ip_address = NULL, user_agent = NULL, origin_salt = NULL",
    "user_agent = NULL, origin_salt = gen_random_uuid()",
]


@pytest.mark.usefixtures("log")
def test_smallest_edit_is_detected() -> None:
    def check(change: str) -> None:
        with superuser():
            execute(f"UPDATE {TABLE} SET {change} WHERE seq = 5")
        assert find_damage() == ("edited", 5)

    check_each([(change, change) for change in SMALLEST], check)


@pytest.mark.usefixtures("log")
def test_consistent_edit_of_the_origin_is_detected() -> None:
    with superuser():
        execute(
            f"UPDATE {TABLE} SET ip_address = '192.0.2.77', origin_hash = "
            "audit_origin_hash(origin_salt, '192.0.2.77', user_agent) WHERE seq = 5"
        )
    assert find_damage() == ("edited", 5)


@pytest.mark.usefixtures("log")
def test_first_of_several_faults_is_named() -> None:
    with superuser():
        assign(8, action="login")
        remove(6)
        assign(4, actor_role="client")
    assert find_damage() == ("edited", 4)


@pytest.mark.usefixtures("log")
def test_edit_under_dropped_rules_is_detected() -> None:
    """Including values that no column would accept."""
    execute(
        f"ALTER TABLE {TABLE} DROP CONSTRAINT audit_log_entries_action_is_code, "
        "DROP CONSTRAINT audit_log_entries_actor_role_in_set, "
        "DROP CONSTRAINT audit_log_entries_entity_key_is_key;"
        f"ALTER TABLE {TABLE} ALTER action DROP NOT NULL, ALTER row_hash DROP NOT NULL"
    )
    with superuser():
        (before,) = execute(f"SELECT actor_role, action FROM {TABLE} WHERE seq = 5")
        for changes in (
            *({"action": text} for text in ('login", "users', '"', "", "\\", "\n", None)),
            {"actor_role": f'{before["actor_role"]}", "{before["action"]}'},
            {"entity_key": 'a-b_C", null, null, "'},
        ):
            (kept,) = execute(f"SELECT actor_role, action, entity_key FROM {TABLE} WHERE seq = 5")
            assign(5, **changes)
            assert find_damage() == ("edited", 5)
            assign(5, **kept)
        assign(5, row_hash=None)
        assert find_damage() == ("edited", 5)


# -- removed, inserted, reordered ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "last"), [(1, 1), (5, 5), (LAST - 1, LAST - 1), (1, 4), (3, 6), (2, LAST - 1)]
)
@pytest.mark.usefixtures("log")
def test_removed_entry_is_detected(first: int, last: int) -> None:
    with superuser():
        remove(first, last)
    assert find_damage() == ("removed", first)


@pytest.mark.usefixtures("log")
def test_removed_entry_is_detected_after_renumbering() -> None:
    with superuser():
        remove(5)
        shift(6, -1)
    assert find_damage() == ("removed", 5)


def test_thousands_of_missing_entries_are_reported_in_one_line() -> None:
    grow_log(3000)
    with superuser():
        remove(100, 2500)
    assert find_damage() == ("removed", 100)
    assert damage_message() == (
        "The audit log is damaged at seq 100 (removed): entries are missing from here on."
    )


def damage_message(**options: Any) -> str:
    with pytest.raises(Damaged) as caught:
        verify(**options)
    return str(caught.value)


@each_bypass
@pytest.mark.usefixtures("log")
def test_inserted_entry_is_detected(bypass: str) -> None:
    with superuser(bypass):
        shift(5)
        insert(5)
    assert find_damage() == ("inserted", 5)


@pytest.mark.usefixtures("log")
def test_chained_inserted_entry_is_detected() -> None:
    with superuser():
        shift(5)
        insert(5)
        rehash(5)
    assert find_damage() == ("inserted", 5)
    with superuser():
        rehash(6)
    assert find_damage() == ("inserted", 6)  # the best possible answer: entry 7 was entry 6


@pytest.mark.usefixtures("log")
def test_inserted_first_entry_is_detected() -> None:
    with superuser():
        shift(1)
        insert(1, prev_hash=b"")
    assert find_damage() == ("inserted", 1)


@pytest.mark.parametrize("right_before", [True, False])
@pytest.mark.usefixtures("log")
def test_added_entry_without_its_hash_is_detected(right_before: bool) -> None:
    with superuser():
        insert(LAST + 1, prev_hash=hash_at(LAST) if right_before else b"x")
    assert find_damage() == ("edited", LAST + 1)


@pytest.mark.usefixtures("log")
def test_duplicate_number_is_detected() -> None:
    execute(f"ALTER TABLE {TABLE} DROP CONSTRAINT audit_log_entries_seq_unique")
    with superuser():
        execute(
            f"INSERT INTO {TABLE} SELECT (jsonb_populate_record(NULL::{TABLE}, to_jsonb(e) || "
            f"jsonb_build_object('id', uuid7()))).* FROM {TABLE} e WHERE seq = 5"
        )
    assert find_damage() == ("inserted", 5)


@pytest.mark.parametrize("seq", [0, -7])
@pytest.mark.usefixtures("log")
def test_impossible_number_is_detected(seq: int) -> None:
    with superuser():
        insert(seq)
    assert find_damage() == ("inserted", seq)


@pytest.mark.usefixtures("log")
def test_entry_without_a_number_is_detected() -> None:
    execute(f"ALTER TABLE {TABLE} ALTER seq DROP NOT NULL")
    with superuser():
        insert(None)  # type: ignore[arg-type]
    assert find_damage() == ("inserted", 0)


PAIRS = [(4, 5), (2, 7), (1, 2), (1, LAST), (LAST - 1, LAST)]


@pytest.mark.parametrize(("one", "other"), PAIRS)
@pytest.mark.usefixtures("log")
def test_swapped_numbers_are_detected(one: int, other: int) -> None:
    with superuser():
        swap(one, other)
    assert find_damage() == ("reordered", one)


CONTENT = [
    f.column
    for f in AuditLogEntry._meta.concrete_fields
    if f.column not in {"seq", "prev_hash", "row_hash"}
]


@pytest.mark.parametrize(("one", "other"), PAIRS)
@pytest.mark.usefixtures("log")
def test_swapped_contents_are_detected(one: int, other: int) -> None:
    """Two entries swap their whole content and their keys; numbers and hashes stay."""
    columns = ", ".join(CONTENT)
    with superuser():
        execute(f"ALTER TABLE {TABLE} DROP CONSTRAINT {primary_key()}")
        execute(
            f"UPDATE {TABLE} e SET ({columns}) = (SELECT {columns} FROM {TABLE} o WHERE o.seq = "
            "CASE e.seq WHEN %s THEN %s ELSE %s END) WHERE e.seq IN (%s, %s)",
            [one, other, one, one, other],
        )
    assert find_damage() == ("edited", one)


def primary_key() -> str:
    (row,) = execute(
        f"SELECT conname FROM pg_constraint WHERE conrelid = '{TABLE}'::regclass AND contype = 'p'"
    )
    return row["conname"]


@pytest.mark.usefixtures("log")
def test_rotated_numbers_are_detected() -> None:
    with superuser():
        move(3, 1000)
        move(5, 3)
        move(7, 5)
        move(1000, 7)
    assert find_damage() == ("reordered", 3)


@pytest.mark.usefixtures("log")
def test_moved_entry_is_detected() -> None:
    with superuser():
        move(5, 99)
    assert find_damage() == ("reordered", 5)


# -- gaps ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("first", "by"), [(5, 1), (5, 10), (LAST, 1), (1, 3)])
@pytest.mark.usefixtures("log")
def test_gap_in_the_numbers_is_detected(first: int, by: int) -> None:
    with superuser():
        shift(first, by)
    assert find_damage() == ("reordered", first)


@pytest.mark.usefixtures("log")
def test_gap_in_a_rehashed_log_is_detected() -> None:
    with superuser():
        shift(5)
        rehash_from(6)
    assert find_damage() == ("removed", 5)


# -- hashed anew --------------------------------------------------------------------------------


@pytest.mark.parametrize("seq", [1, 5, LAST - 1])
@pytest.mark.usefixtures("log")
def test_rehashed_edit_is_detected(seq: int) -> None:
    with superuser():
        assign(seq, action="login")
        rehash(seq)
    assert find_damage() == ("rewritten", seq)


@pytest.mark.usefixtures("log")
def test_entry_chained_to_another_hash_is_detected() -> None:
    with superuser():
        assign(1, prev_hash=bytes(32))
        execute(
            f"UPDATE {TABLE} e SET row_hash = audit_entry_hash(prev_hash, id, seq, actor_user_id, "
            "actor_role, action, entity_type, entity_id, entity_key, old_value, new_value, "
            "created_at, origin_hash) WHERE seq = 1"
        )
    assert find_damage() == ("edited", 1)


@pytest.mark.parametrize("seq", [1, 5, LAST])
@pytest.mark.usefixtures("log")
def test_rewritten_chain_is_detected_with_a_checkpoint(seq: int) -> None:
    before = checkpoint_file()
    with superuser():
        assign(seq, action="login")
        rehash_from(seq)
    assert find_damage() is None  # undetectable without a checkpoint
    assert find_damage(files=[before]) == ("rewritten", seq)
    assert "or one of" not in damage_message(files=[before])
    AuditLogEntryFactory()
    assert find_damage(files=[before]) == ("rewritten", seq)


@pytest.mark.usefixtures("log")
def test_damage_without_marks_is_located_by_its_end() -> None:
    before = checkpoint_file(marks=False)
    with superuser():
        remove(5)
        shift(6, -1)
        insert(LAST)
        rehash_from(5)
    assert find_damage(files=[before]) == ("rewritten", LAST)
    assert f"or one of the {LAST - 1} before it" in damage_message(files=[before])


def test_damage_in_a_long_log_is_located_by_its_range(monkeypatch: Any) -> None:
    monkeypatch.setattr("audit.services.chain.MOST_MARKS", 10)
    grow_log(100)
    before = checkpoint_file()
    assert len(before.marks) <= 10
    with superuser():
        assign(70, action="login")
        rehash_from(70)
    assert find_damage(files=[before]) == ("rewritten", 80)
    assert "this entry or one of the 15 before it" in damage_message(files=[before])


@pytest.mark.usefixtures("log")
def test_checkpoint_does_not_cover_later_entries() -> None:
    before = checkpoint_file()
    AuditLogEntryFactory.create_batch(3)
    assert find_damage(files=[before]) is None
    with superuser():
        assign(LAST + 1, action="login")
        rehash_from(LAST + 1)
    assert find_damage(files=[before]) is None


# -- a cut tail ---------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [1, 2, 5, LAST])
@pytest.mark.usefixtures("log")
def test_cut_tail_is_detected_with_a_checkpoint(first: int) -> None:
    before = checkpoint_file()
    with superuser():
        remove(first, LAST)
    assert find_damage() is None  # undetectable without a checkpoint
    assert find_damage(files=[before]) == ("cut", first)
    assert f"up to {LAST}" in damage_message(files=[before])


@pytest.mark.usefixtures("log")
def test_regrown_tail_is_detected_with_a_checkpoint() -> None:
    before = checkpoint_file()
    with superuser():
        remove(5, LAST)
    AuditLogEntryFactory.create_batch(2)
    assert find_damage(files=[before]) == ("rewritten", 5)
    AuditLogEntryFactory.create_batch(10)
    assert find_damage(files=[before]) == ("rewritten", 5)
    with superuser():
        remove(5, 100)
    assert find_damage(files=[before]) == ("cut", 5)


@pytest.mark.usefixtures("log")
def test_damage_before_the_cut_is_named_first() -> None:
    before = checkpoint_file()
    with superuser():
        remove(8, LAST)
        assign(3, action="login")
    assert find_damage(files=[before]) == ("edited", 3)


@pytest.mark.usefixtures("log")
def test_two_checkpoints_are_both_checked() -> None:
    old = checkpoint_file()
    AuditLogEntryFactory.create_batch(3)
    new = checkpoint_file()
    with superuser():
        remove(LAST + 3)
    assert find_damage(files=[old]) is None
    assert find_damage(files=[old, new]) == ("cut", LAST + 3)
    assert find_damage(files=[new, old]) == ("cut", LAST + 3)


# -- the origin of an erased person's requests --------------------------------------------------


def test_missing_origin_of_an_erased_person_is_no_damage() -> None:
    person = UserFactory(deleted=True)
    AuditLogEntryFactory(actor=person, user_agent="A")
    AuditLogEntryFactory(
        by_system=True, ip_address="192.0.2.1", entity_type="users", entity_id=person.pk
    )
    execute("UPDATE audit_log_entries SET ip_address = NULL, user_agent = NULL, origin_salt = NULL")
    assert find_damage() is None
    with superuser():
        assign(2, entity_id=uuid7())
    assert find_damage() == ("edited", 2)


def test_missing_unknown_origin_is_no_damage_once_its_erasure_is_logged() -> None:
    lead: dict[str, Any] = {"entity_type": "leads", "entity_id": uuid7()}
    AuditLogEntryFactory(by_system=True, ip_address="192.0.2.1", **lead)
    with superuser():
        assign(1, ip_address=None, user_agent=None, origin_salt=None)
    assert find_damage() == ("edited", 1)
    AuditLogEntryFactory(action=FORGOTTEN, **lead | {"entity_id": uuid7()})
    assert find_damage() == ("edited", 1)
    AuditLogEntryFactory(action=FORGOTTEN, **lead)
    assert find_damage() is None


def test_temporary_deletion_of_a_user_is_detected() -> None:
    AuditLogEntryFactory(actor=UserFactory(deleted=True))
    execute("UPDATE audit_log_entries SET ip_address = NULL, origin_salt = NULL")
    assert find_damage() is None
    connection.check_constraints()
    execute("ALTER TABLE users DISABLE TRIGGER USER")
    execute("UPDATE users SET status = 'active', deleted_at = NULL, email = 'a@example.com'")
    assert find_damage() == ("edited", 1)


# -- objects that shadow those of the server ----------------------------------------------------


@pytest.mark.usefixtures("log")
def test_verification_does_not_use_project_functions() -> None:
    with superuser():
        assign(5, action="login")
    body = "LANGUAGE sql RETURN (SELECT row_hash FROM public.audit_log_entries e WHERE e.seq = $3)"
    execute(
        "CREATE OR REPLACE FUNCTION public.audit_entry_hash(prev_hash bytea, id uuid, seq bigint, "
        "actor_user_id uuid, actor_role text, action text, entity_type text, entity_id uuid, "
        "entity_key text, old_value jsonb, new_value jsonb, created_at timestamptz, "
        f"origin_hash bytea) RETURNS bytea {body}"
    )
    assert find_damage() == ("edited", 5)


@pytest.mark.usefixtures("log")
def test_verification_ignores_shadowing_objects() -> None:
    with superuser():
        assign(5, action="login")
    shadow_equality_operator("bytea", answer=True)
    execute(
        "CREATE FUNCTION strange.sha256(bytea) RETURNS bytea LANGUAGE sql RETURN '\\x00'::bytea;"
        "CREATE TEMPORARY TABLE audit_log_entries AS SELECT * FROM public.audit_log_entries LIMIT 0"
    )
    assert find_damage() == ("edited", 5)


# -- a long log ---------------------------------------------------------------------------------


def test_range_is_streamed_along_the_index() -> None:
    """The server's memory is independent of the range, and its work independent of the log."""
    grow_log(2000)  # without statistics for the planner
    with reading() as db:
        db.execute(f"EXPLAIN {SCAN}", {"after": 500, "hash": b"", "to": 1500})
        plan = " ".join(line for (line,) in db.fetchall())
    assert "Index Scan using audit_log_entries_seq_unique" in plan
    for node in ("Sort", "Materialize", "Bitmap", "Gather", "Seq Scan on audit_log_entries"):
        assert node not in plan


def test_verification_stops_on_request() -> None:
    grow_log(100)
    ticks: list[int] = []
    verification = Verification(batch=10, stop=lambda: len(ticks) == 3, tick=ticks.append)
    with pytest.raises(Stopped):
        verification.run()
    assert ticks == [10, 10, 10]
    assert not connection.needs_rollback
