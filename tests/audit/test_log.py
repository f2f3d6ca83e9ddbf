"""The audit log: append-only, each row chained to the previous one."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from ipaddress import ip_interface
from typing import Any

import pytest
from django.db import connection

from audit.models import AuditLogEntry
from audit.models.log import FORGOTTEN
from ebalance.db.ids import uuid7
from identity.models import User
from tests.adversarial_sql import (
    each_stealthy_delete,
    refuses_by_any_rule,
    update_through_a_view,
)
from tests.case_loops import breaks_rules_of, check_changes, check_each, check_inserts
from tests.factories import AuditCheckpointFactory, AuditLogEntryFactory, UserFactory
from tests.factories.base import ago
from tests.rule_cases import (
    ALL_WRITE_PATHS,
    MAIN_WRITE_PATHS,
    Change,
    change_params,
    check_change,
    check_delete,
    check_refusal_is_discreet,
    each_delete,
)
from tests.support import (
    ROUTES,
    Case,
    breaks,
    delete_sql,
    execute,
    insert_sql,
    refuses,
    save_related,
    update_sql,
)

pytestmark = pytest.mark.django_db

IMMUTABLE, NO_DELETE = "audit_log_entries_immutable", "audit_log_entries_no_delete"
NO_TRUNCATE = "audit_log_entries_no_truncate"


def origin_hash_of(entry: AuditLogEntry) -> bytes | None:
    """SHA-256 over the origin of the request, salted against guessing."""
    if entry.ip_address is None and entry.user_agent is None:
        return None
    address = entry.ip_address and ip_interface(entry.ip_address).with_prefixlen
    origin = json.dumps([address, entry.user_agent], ensure_ascii=False)
    return hashlib.sha256(entry.origin_salt.bytes + origin.encode()).digest()


def hash_of(entry: AuditLogEntry) -> bytes:
    """SHA-256 over the previous hash and the canonical row (access.md §3)."""
    written = entry.created_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    row = [
        str(entry.pk),
        entry.seq,
        entry.actor_id and str(entry.actor_id),
        entry.actor_role,
        entry.action,
        entry.entity_type,
        entry.entity_id and str(entry.entity_id),
        entry.entity_key,
        entry.old_value,
        entry.new_value,
        written,
        entry.origin_hash and bytes(entry.origin_hash).hex(),
    ]
    return hashlib.sha256(
        bytes(entry.prev_hash) + json.dumps(row, ensure_ascii=False).encode()
    ).digest()


def check_chain(length: int, *, emptied: bool = False) -> None:
    before = b""
    entries = list(AuditLogEntry.objects.order_by("seq"))
    assert [entry.seq for entry in entries] == list(range(1, length + 1))
    for entry in entries:
        assert bytes(entry.prev_hash) == before
        assert bytes(entry.row_hash) == hash_of(entry)
        before = bytes(entry.row_hash)
        if emptied and entry.origin_hash is not None:
            assert (entry.ip_address, entry.user_agent, entry.origin_salt) == (None, None, None)
            continue
        assert (entry.origin_hash and bytes(entry.origin_hash)) == origin_hash_of(entry)
        assert (entry.origin_salt is None) == (entry.origin_hash is None)


def test_rows_are_chained_in_the_order_of_writing() -> None:
    AuditLogEntryFactory()
    AuditLogEntryFactory(by_system=True, entity_id=None, entity_key="hold_minutes", old_value=None)
    AuditLogEntryFactory(new_value={"title": "Тревога «вечером»", "is_active": True, "n": None})
    AuditLogEntryFactory(created_at=datetime(2026, 1, 7, 3, 4, 5, tzinfo=UTC))
    AuditLogEntryFactory(ip_address=None, user_agent='Agent "7" \\ Тревога\t☂')
    AuditLogEntryFactory(ip_address="2001:db8::10", user_agent=None)
    check_chain(6)


def test_the_hash_is_the_same_in_every_session() -> None:
    execute(
        "SET LOCAL TimeZone = 'Asia/Kamchatka'; SET LOCAL DateStyle = 'SQL, DMY';"
        "SET LOCAL bytea_output = 'escape'; SET LOCAL lc_time = 'C'"
    )
    execute(
        "INSERT INTO audit_log_entries (actor_role, action, entity_type, new_value) "
        "VALUES ('system', 'login', 'user', '{\"price_amount\": 5000}')"
    )
    execute("SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO, MDY'")
    check_chain(1)


def test_rows_of_one_statement_are_chained() -> None:
    execute(
        "INSERT INTO audit_log_entries (actor_role, action, entity_type) "
        "SELECT 'system', 'login', 'user' FROM generate_series(1, 5)"
    )
    check_chain(5)


def test_rows_of_several_statements_in_one_are_chained() -> None:
    execute(
        "WITH a AS (INSERT INTO audit_log_entries (actor_role, action, entity_type) "
        "VALUES ('system', 'a', 'user'), ('system', 'b', 'user') RETURNING 1) "
        "INSERT INTO audit_log_entries (actor_role, action, entity_type) "
        "VALUES ('system', 'c', 'user')"
    )
    check_chain(3)


def test_copied_rows_are_chained() -> None:
    statement = "COPY audit_log_entries (actor_role, action, entity_type) FROM STDIN"
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for action in ["a", "b", "c"]:
            copy.write_row(("system", action, "user"))
    check_chain(3)


def test_bulk_created_rows_are_chained() -> None:
    actor = UserFactory()
    AuditLogEntry.objects.bulk_create([AuditLogEntryFactory.build(actor=actor) for _ in range(3)])
    check_chain(3)


def test_refused_row_leaves_no_gap() -> None:
    first = AuditLogEntryFactory()
    with refuses_by_any_rule():
        AuditLogEntryFactory(action="Not a code")
    execute(
        "INSERT INTO audit_log_entries (id, actor_role, action, entity_type) "
        "VALUES (%s, 'system', 'a', 'user') ON CONFLICT DO NOTHING",
        [first.pk],
    )
    AuditLogEntryFactory()
    check_chain(2)


@pytest.mark.parametrize("write", [insert_sql, lambda entry: entry.save()], ids=["sql", "orm"])
def test_database_sets_number_and_hashes(write: Any) -> None:
    AuditLogEntryFactory()
    entry = AuditLogEntryFactory.build(
        seq=99, prev_hash=b"forged", row_hash=b"forged", origin_salt=uuid7(), origin_hash=b"forged"
    )
    save_related(entry)
    write(entry)
    check_chain(2)


def test_temporary_table_does_not_replace_the_log() -> None:
    AuditLogEntryFactory()
    execute("CREATE TEMPORARY TABLE audit_log_entries (seq bigint, row_hash bytea)")
    execute(
        "INSERT INTO public.audit_log_entries (actor_role, action, entity_type) "
        "VALUES ('system', 'a', 'user')"
    )
    execute("DROP TABLE pg_temp.audit_log_entries")
    check_chain(2)


def test_shadowing_function_does_not_make_the_hash() -> None:
    execute(
        "CREATE SCHEMA strange;"
        "CREATE FUNCTION strange.sha256(bytea) RETURNS bytea LANGUAGE sql RETURN '\\x00'::bytea;"
        "SET LOCAL search_path = strange, pg_catalog, public"
    )
    AuditLogEntryFactory()
    check_chain(1)


@breaks("audit_log_entries_seq_unique")
def test_number_is_unique_even_without_the_trigger() -> None:
    """The constraint stops two sessions that both read the same last row."""
    entry = AuditLogEntryFactory()
    execute("ALTER TABLE audit_log_entries DISABLE TRIGGER audit_log_entries_chain")
    with refuses("audit_log_entries_seq_unique", "audit_log_entries"):
        execute(
            "INSERT INTO audit_log_entries (id, seq, actor_role, action, entity_type, prev_hash, "
            "row_hash) VALUES (uuid7(), %s, 'system', 'a', 'user', '', '')",
            [entry.seq],
        )


def immutable(name: str, **to: Any) -> Change:
    return Change(name, AuditLogEntryFactory, {}, to, IMMUTABLE)


@change_params(immutable("address", ip_address=None), write_paths=ALL_WRITE_PATHS)
def test_no_write_path_changes_the_log(change: Change, write_path: str) -> None:
    check_change(change, write_path)


COLUMNS = [
    immutable("action", action="login"),
    immutable("nothing", actor_role="owner"),
    immutable("actor", actor_user_id=None),
    immutable("place", seq=99),
    immutable("hash", row_hash=b"forged"),
    immutable("values", new_value={"price_amount": 1}),
    immutable("time", created_at=datetime(2026, 1, 7, tzinfo=UTC)),
    immutable("key", entity_id=uuid7()),
]


@breaks_rules_of(*COLUMNS)
def test_no_column_of_the_log_changes() -> None:
    check_changes(COLUMNS)


EMPTIED = {"ip_address": None, "user_agent": None, "origin_salt": None}
ANONYMOUS = {"actor": None, "actor_role": "system", "ip_address": "192.0.2.10"}


def erased() -> User:
    return UserFactory(deleted=True)


FORGOTTEN_ORIGINS = [
    Change("the address alone was known", AuditLogEntryFactory, {"actor": erased}, EMPTIED),
    Change(
        "of whom it was about, when nobody acted",
        AuditLogEntryFactory,
        {**ANONYMOUS, "entity_type": "users", "entity_id": lambda: erased().pk},
        EMPTIED,
    ),
    Change(
        "of whom it was about, who is not there any more",
        AuditLogEntryFactory,
        {**ANONYMOUS, "entity_type": "users", "entity_id": uuid7()},
        EMPTIED,
    ),
]


@change_params(
    Change("of whom it was", AuditLogEntryFactory, {"actor": erased, "user_agent": "A"}, EMPTIED),
    write_paths=("sql", "merge", "queryset", "bulk_update"),
)
def test_origin_of_an_erased_person_is_emptied(change: Change, write_path: str) -> None:
    check_change(change, write_path)
    check_chain(1, emptied=True)


def test_origin_of_an_entry_about_an_erased_person_is_emptied() -> None:
    def check(change: Change) -> None:
        check_change(change, "sql")
        check_chain(1, emptied=True)

    check_each([(change.name, change) for change in FORGOTTEN_ORIGINS], check)


KEPT_ORIGINS = [
    Change("nobody is erased", AuditLogEntryFactory, {}, EMPTIED, IMMUTABLE),
    Change(
        "the person is only blocked",
        AuditLogEntryFactory,
        {"actor": lambda: UserFactory(blocked=True)},
        EMPTIED,
        IMMUTABLE,
    ),
    Change(
        "a known actor, about an erased person",
        AuditLogEntryFactory,
        {"entity_type": "users", "entity_id": lambda: erased().pk},
        EMPTIED,
        IMMUTABLE,
    ),
    Change(
        "a row of another table has the key of an erased person",
        AuditLogEntryFactory,
        {**ANONYMOUS, "entity_type": "services", "entity_id": lambda: erased().pk},
        EMPTIED,
        IMMUTABLE,
    ),
    Change(
        "nobody acted, about a person who is only blocked",
        AuditLogEntryFactory,
        {**ANONYMOUS, "entity_type": "users", "entity_id": lambda: UserFactory(blocked=True).pk},
        EMPTIED,
        IMMUTABLE,
    ),
    Change("nobody acted, about nobody", AuditLogEntryFactory, ANONYMOUS, EMPTIED, IMMUTABLE),
    *(
        Change(
            f"all but {kept}",
            AuditLogEntryFactory,
            {"actor": erased, "user_agent": "A"},
            to,
            IMMUTABLE,
        )
        for kept in EMPTIED
        for to in [{name: None for name in EMPTIED if name != kept}]
    ),
    Change(
        "another address",
        AuditLogEntryFactory,
        {"actor": erased},
        {"ip_address": "192.0.2.11"},
        IMMUTABLE,
    ),
    *(
        Change(
            f"and {name}",
            AuditLogEntryFactory,
            {"actor": erased},
            {**EMPTIED, name: value},
            IMMUTABLE,
        )
        for name, value in [
            ("action", "login"),
            ("actor_user_id", None),
            ("origin_hash", None),
            ("row_hash", b"forged"),
        ]
    ),
    Change(
        "there was nothing",
        AuditLogEntryFactory,
        {"actor": erased, "ip_address": None},
        EMPTIED,
        IMMUTABLE,
    ),
]


@pytest.mark.parametrize("write_path", MAIN_WRITE_PATHS)
@breaks_rules_of(*KEPT_ORIGINS)
def test_origin_of_other_entries_stays(write_path: str) -> None:
    check_changes(KEPT_ORIGINS, [write_path])


LEAD = uuid7()
ABOUT_LEAD = {"entity_type": "leads", "entity_id": LEAD}


def empty(entry: AuditLogEntry) -> None:
    execute(
        "UPDATE audit_log_entries SET ip_address = NULL, user_agent = NULL, origin_salt = NULL "
        "WHERE id = %s",
        [entry.pk],
    )


def test_unknown_origin_is_emptied_once_its_erasure_is_logged() -> None:
    entry = AuditLogEntryFactory(**ANONYMOUS, **ABOUT_LEAD)
    with refuses(IMMUTABLE, "audit_log_entries"):
        empty(entry)
    AuditLogEntryFactory(action=FORGOTTEN, ip_address=None, **ABOUT_LEAD)
    empty(entry)
    later = AuditLogEntryFactory(**ANONYMOUS, **ABOUT_LEAD)
    with refuses(IMMUTABLE, "audit_log_entries"):
        empty(later)
    assert [row.ip_address for row in AuditLogEntry.objects.order_by("seq")] == [
        None,
        None,
        "192.0.2.10",
    ]


@pytest.mark.parametrize(
    ("entry", "forgotten"),
    [
        ({}, {"entity_id": uuid7()}),
        ({}, {"entity_type": "appointments"}),
        ({}, {"action": "lead_deleted"}),
        ({"actor": UserFactory, "actor_role": "client"}, {}),
    ],
    ids=["another row", "another table", "something else", "somebody known acted"],
)
def test_unrelated_erasure_entry_keeps_the_origin(
    entry: dict[str, Any], forgotten: dict[str, Any]
) -> None:
    made = {**ANONYMOUS, **ABOUT_LEAD} | {k: v() if callable(v) else v for k, v in entry.items()}
    row = AuditLogEntryFactory(**made)
    AuditLogEntryFactory(**{"action": FORGOTTEN, **ABOUT_LEAD, **forgotten})
    with refuses(IMMUTABLE, "audit_log_entries"):
        empty(row)


def test_origin_is_emptied_once() -> None:
    entry = AuditLogEntryFactory(actor=erased())
    update_sql(entry, **EMPTIED)
    for to in (EMPTIED, {"ip_address": "192.0.2.10"}, {"origin_salt": uuid7()}):
        with refuses(IMMUTABLE, "audit_log_entries"):
            update_sql(entry, **to)


def old(**values: Any) -> AuditLogEntry:
    return AuditLogEntryFactory(created_at=ago(days=1100), **values)


@each_delete
def test_entries_signed_off_by_retention_may_be_removed(delete: Any) -> None:
    entries = [old(), old()]
    after = AuditCheckpointFactory()
    for entry in entries:
        delete(entry)
    assert [*AuditLogEntry.objects.values_list("seq", flat=True)] == [after.seq]


def test_chain_continues_from_the_checkpoint() -> None:
    checkpoint = AuditCheckpointFactory()
    AuditLogEntry.objects.all().delete()
    next_one = AuditLogEntryFactory()
    assert next_one.seq == checkpoint.seq + 1
    assert next_one.prev_hash == bytes(checkpoint.row_hash)


def behind_the_checkpoint() -> AuditLogEntry:
    AuditCheckpointFactory()
    return old()


def young_before_the_checkpoint() -> AuditLogEntry:
    entry = AuditLogEntryFactory(created_at=ago(days=1090))
    AuditCheckpointFactory()
    return entry


@pytest.mark.parametrize("make", [old, behind_the_checkpoint, young_before_the_checkpoint])
def test_young_or_unsigned_entry_stays(make: Any) -> None:
    check_delete(make(), delete_sql, NO_DELETE)


@breaks(NO_DELETE)
@each_delete
def test_log_entry_cannot_be_deleted(delete: Any) -> None:
    check_delete(AuditLogEntryFactory(), delete, NO_DELETE)


@each_stealthy_delete
def test_log_entry_cannot_be_deleted_indirectly(delete: Any) -> None:
    entry = AuditLogEntryFactory()
    with refuses(NO_DELETE, "audit_log_entries"):
        delete(entry)
    with refuses(IMMUTABLE, "audit_log_entries"):
        update_through_a_view(entry, "action", "login")


@breaks(NO_TRUNCATE)
def test_log_refuses_truncate() -> None:
    AuditLogEntryFactory()
    with refuses(NO_TRUNCATE, "audit_log_entries"):
        execute("TRUNCATE audit_log_entries")
    with refuses_by_any_rule():
        execute("TRUNCATE users CASCADE")
    check_chain(1)


def entry(name: str, rule: str | None = None, **values: Any) -> Case:
    return Case(name, AuditLogEntryFactory, values, rule)


OLD, NEW = "audit_log_entries_old_value_is_p0", "audit_log_entries_new_value_is_p0"
KEY = "audit_log_entries_entity_key_is_key"


ENTRIES = [
    entry("an e-mail", OLD, old_value={"contact": "anna@example.com"}),
    entry("a phone in a sentence", NEW, new_value={"note": "Звонить 8 (999) 123-45-67"}),
    entry("a phone as a number", NEW, new_value={"contact": 79991234567}),
    entry("a phone as a key", NEW, new_value={"phone_79991234567": True}),
    entry("an e-mail deep inside", NEW, new_value={"value": [{"to": ["a@b.ru"]}]}),
    entry("a long text", NEW, new_value={"value": "x" * 121}),
    entry("a list", OLD, old_value=["active"]),
    entry("no object", NEW, new_value="active"),
    entry("an e-mail as the key of a row", KEY, entity_key="anna@example.com"),
    entry("a sentence as the key of a row", KEY, entity_key="мне плохо"),
    entry("a change of price", old_value={"price_amount": 5000}, new_value={"price_amount": 5500}),
    entry("nothing before", old_value=None, new_value={"status": "published", "topic": None}),
    entry("a setting of any shape", new_value={"value": {"hours": [9, 18], "open": True}}),
    entry("a text of 120", new_value={"value": "x" * 120}),
    entry("a moment", new_value={"published_at": "2026-03-02T09:00:00.123456Z"}),
    entry("an id", new_value={"topic": "0199f0a0-0000-7000-8000-000000000000"}),
    entry("the key of a setting", entity_key="hold_minutes"),
    entry("the key of a link", entity_key="Ab-1_" + "x" * 59),
]


@pytest.mark.parametrize("route", ROUTES)
@breaks_rules_of(*ENTRIES)
def test_log_holds_nothing_personal(route: str) -> None:
    """Changed P0 columns only: the log outlives the person and cannot be corrected."""
    check_inserts(ENTRIES, [route])


def test_refusal_shows_no_value_of_the_entry() -> None:
    entry = AuditLogEntryFactory(new_value={"title": "Marker"}, entity_key="marker")
    for write, rule in [
        (lambda: update_sql(entry, action="login"), IMMUTABLE),
        (lambda: delete_sql(entry), NO_DELETE),
        (lambda: execute("TRUNCATE audit_log_entries"), NO_TRUNCATE),
    ]:
        check_refusal_is_discreet(
            write, rule, "audit_log_entries", "id", "Marker", "marker", str(entry.entity_id)
        )
