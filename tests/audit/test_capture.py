"""The database records in the audit log the writes that access.md §3 lists, of any program."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pgtrigger
import pytest
from django.db import connection, models
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ebalance.db.auditing import Audited, audit_triggers
from ebalance.db.encryption.fields import Plaintext
from ebalance.db.schema.data_map import columns
from identity.models import User
from tests.adversarial_sql import shadow_equality_operator
from tests.advice import Location, advises, of_column, of_table, of_test
from tests.audit.audit_cases import (
    AUDITED_BY_CASES,
    CHANGE_PATHS,
    CHANGES,
    CREATED,
    DELETE_PATHS,
    DELETED,
    DELETED_USER,
    INSERT_PATHS,
    SECRETS,
    THINGS,
    LoggedChange,
    LoggedRow,
    as_json,
    capture_entries,
    entries_since,
    entry_of,
    last_seq,
    stored_json,
    triggers_of_the_log,
    write_entries,
)
from tests.case_loops import check_each
from tests.factories import (
    AnonymousQuestionFactory,
    AppointmentFactory,
    ContentItemFactory,
    EntityFactory,
    LeadFactory,
    MediaAssetFactory,
    RecoveryCodeFactory,
    ReviewFactory,
    ScheduleExceptionFactory,
    SecondFactorFactory,
    ServiceFactory,
    SystemSettingFactory,
    UserFactory,
)
from tests.support import breaks, execute, refuses, rolled_back, save_related, update_sql

pytestmark = pytest.mark.django_db

many = settings(
    max_examples=150,
    deadline=None,  # every example uses a database
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


# All triggers call one function, so one table is enough to test every write path: the settings,
# which have a JSON column, a text key, and an unrecorded column. Each other case is one SQL
# statement.
EVERY_PATH = {
    f"system_settings: {name}" for name in ("value beside its editor", "added", "removed")
}


def on_paths(cases: Iterable[LoggedChange | LoggedRow], paths: Iterable[str]) -> list[Any]:
    return [
        pytest.param(case, path, id=f"{case} [{path}]")
        for case in cases
        for path in (paths if str(case) in EVERY_PATH else ["sql"])
    ]


CHANGED = on_paths(CHANGES, CHANGE_PATHS)
MADE = on_paths(CREATED, INSERT_PATHS)
WENT = on_paths(DELETED, DELETE_PATHS)
# Table: a change of it.
CHANGE_OF = {case.table: case for case in CHANGES}


CASES = Location("tests/audit/audit_cases.py", "CHANGES, CREATED, DELETED")


# -- the table is complete --------------------------------------------------------------------


@advises
def test_every_item_of_the_specification_has_a_case() -> Iterator[str]:
    for thing in THINGS - {case.thing for case in (*CHANGES, *CREATED, *DELETED)}:
        yield CASES("add a case to", f"access.md section 3 lists {thing!r}")
    triggers = {trigger["name"] for trigger in triggers_of_the_log()}
    for name in triggers - AUDITED_BY_CASES:
        yield CASES("add a case to", f"the trigger {name} has none")
    for name in AUDITED_BY_CASES - triggers:
        yield CASES("edit", f"the database has no trigger {name}")


def arguments(trigger: dict[str, Any]) -> list[str]:
    """The arguments of the trigger's function: action, key, and the recorded columns."""
    return re.findall(r"'([a-z_]+)'", trigger["definition"].rpartition("(")[2])


@advises
def test_every_recorded_column_has_a_change() -> Iterator[str]:
    for trigger in triggers_of_the_log():
        if not trigger["name"].endswith("_update_audited"):
            continue
        _action, _key, *names = arguments(trigger)
        tried = {name for case in CHANGES if case.table == trigger["table"] for name in case.to}
        for name in {*names} - tried:
            yield CASES("add a case to", f"none changes {trigger['table']}.{name}")


@advises
def test_models_and_catalog_name_the_same_triggers() -> Iterator[str]:
    triggers = {trigger["name"]: trigger for trigger in triggers_of_the_log()}
    declared = audit_triggers()
    assert len(declared) == len({*declared})
    for name in {*declared} - triggers.keys():
        yield f"run makemigrations: the models declare {name}, the database has no such trigger"
    for name, trigger in triggers.items():
        location = of_table(trigger["table"])
        if name not in declared:
            yield location("add auditing.audited() to the triggers of", f"the database has {name}")
        if (trigger["enabled"], trigger["is_deferred"]) != ("O", True):
            yield location("edit auditing.audited() of", f"{name} is disabled or not deferred")
        if "AFTER" not in trigger["definition"] or "FOR EACH ROW" not in trigger["definition"]:
            yield location("edit auditing.audited() of", f"{name} is no AFTER trigger of rows")


@advises
def test_recorded_columns_are_p0_and_stay_at_erasure() -> Iterator[str]:
    declared = {(c.table.name, c.name): c for c in columns()}
    for trigger in triggers_of_the_log():
        table, name = trigger["table"], trigger["name"]
        if name in SECRETS:
            continue
        _action, key, *names = arguments(trigger)
        if not names or (table, key) not in declared:
            yield of_table(table)("edit auditing.audited() of", f"{name} records no column")
        for column in names:
            declaration = declared[table, column]
            if declaration.privacy != "P0" or declaration.erasure.action in {"null", "replace"}:
                yield of_column(table, column)(
                    "remove from auditing.audited()", f"{name} records it; only kept P0 is allowed"
                )


@pytest.mark.parametrize("column", ["email", "password", "no_such_column", "timezone"])
def test_unsafe_or_erased_column_cannot_be_declared(column: str) -> None:
    rule = Audited("users", "user_changed", pgtrigger.Update, ["status", column])
    with pytest.raises(ValueError, match=rf"users\.{column} is not P0"):
        rule.compile(User)


# -- changes ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("case", "write_path"), CHANGED)
def test_change_is_recorded_by_every_write_path(case: LoggedChange, write_path: str) -> None:
    row, to, names = case.make()
    old = stored_json(row, *names)
    entries = capture_entries(lambda: CHANGE_PATHS[write_path](row, **to))
    new = {name: as_json(to[name]) for name in names}
    assert entries == [entry_of(row, case.action, old, new)]
    assert old != new
    assert stored_json(row, *to) == {name: as_json(value) for name, value in to.items()}


@pytest.mark.parametrize("table", CHANGE_OF)
def test_unchanged_values_are_not_recorded(table: str) -> None:
    row, _to, _names = CHANGE_OF[table].make()
    key = row._meta.pk.column
    names = {name for case in CHANGES if case.table == table for name in case.to}
    same = ", ".join(f'"{name}" = "{name}"' for name in sorted(names))
    assert (
        capture_entries(
            lambda: execute(f'UPDATE "{table}" SET {same} WHERE "{key}" = %s', [row.pk])
        )
        == []
    )
    assert capture_entries(row.save) == []


def test_other_columns_are_not_recorded() -> None:
    service, person, lead = ServiceFactory(), UserFactory(), LeadFactory()
    assert capture_entries(lambda: update_sql(service, title="Другая", position=7)) == []
    assert capture_entries(lambda: update_sql(person, display_name="Другая", timezone="UTC")) == []
    assert capture_entries(lambda: update_sql(lead, topic_code=None, utm=None)) == []


def test_each_row_of_a_statement_is_recorded() -> None:
    made = ServiceFactory.create_batch(3)
    entries = capture_entries(
        lambda: execute("UPDATE services SET price_amount = price_amount + 500")
    )
    assert [entry["entity_id"] for entry in entries] == [row.pk for row in made]
    assert {entry["new_value"]["price_amount"] for entry in entries} == {5500}


def test_changes_of_a_transaction_are_recorded_in_order() -> None:
    service, lead = ServiceFactory(), LeadFactory()

    def write() -> None:
        update_sql(service, price_amount=6000)
        update_sql(lead, status="engaged")
        update_sql(service, price_amount=5000)

    assert [(e["entity_type"], e["old_value"], e["new_value"]) for e in capture_entries(write)] == [
        ("services", {"price_amount": 5000}, {"price_amount": 6000}),
        ("leads", {"status": "new"}, {"status": "engaged"}),
        ("services", {"price_amount": 6000}, {"price_amount": 5000}),
    ]


def test_short_lived_row_is_recorded_completely() -> None:
    def write() -> None:
        service = ServiceFactory()
        update_sql(service, price_amount=1000)
        execute("DELETE FROM services")

    assert [entry["action"] for entry in capture_entries(write)] == [
        "service_created",
        "service_changed",
        "service_deleted",
    ]


def test_times_are_recorded_in_utc_for_every_session_time_zone() -> None:
    appointment = AppointmentFactory()
    execute("SET LOCAL TimeZone = 'Asia/Kamchatka'; SET LOCAL DateStyle = 'SQL, DMY'")
    (entry,) = capture_entries(lambda: execute("DELETE FROM appointments"))
    assert entry["old_value"]["start_at_utc"] == as_json(appointment.start_at_utc)


SHADOWING_OBJECTS = """
    CREATE FUNCTION strange.same(jsonb, jsonb) RETURNS boolean LANGUAGE sql RETURN true;
    CREATE OPERATOR strange.= (LEFTARG = jsonb, RIGHTARG = jsonb, FUNCTION = strange.same);
    CREATE FUNCTION strange.to_jsonb(anyelement) RETURNS jsonb LANGUAGE sql AS
        'SELECT NULL::pg_catalog.jsonb';
    CREATE FUNCTION strange.is_audit_value(jsonb) RETURNS boolean LANGUAGE sql RETURN false;
    CREATE FUNCTION strange.audit_change() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN RETURN NULL; END';
    CREATE TABLE strange.audit_log_entries (LIKE public.audit_log_entries);
    CREATE TEMPORARY TABLE audit_log_entries (LIKE public.audit_log_entries);
    CREATE TEMPORARY TABLE user_roles (LIKE public.user_roles);
    CREATE DOMAIN pg_temp.jsonb AS pg_catalog.jsonb CHECK (VALUE IS NULL);
    CREATE DOMAIN pg_temp.text AS pg_catalog.text CHECK (VALUE = '')
"""


def test_shadowed_server_objects_change_nothing() -> None:
    service = ServiceFactory()
    write_entries()
    before = last_seq()
    shadow_equality_operator("integer", answer=True)
    execute(SHADOWING_OBJECTS)
    execute("UPDATE public.services SET price_amount = 9000; SET CONSTRAINTS ALL IMMEDIATE")
    execute(
        "DROP TABLE pg_temp.audit_log_entries; DROP DOMAIN pg_temp.jsonb, pg_temp.text; "
        "SET LOCAL search_path = public"
    )
    assert entries_since(before) == [
        entry_of(service, "service_changed", {"price_amount": 5000}, {"price_amount": 9000})
    ]


# -- inserts and deletes ----------------------------------------------------------------------


@pytest.mark.parametrize(("case", "write_path"), MADE)
def test_insert_is_recorded_by_every_write_path(case: LoggedRow, write_path: str) -> None:
    execute("SET CONSTRAINTS ALL DEFERRED")
    row = case.factory.build(**case.row)
    save_related(row)

    def write() -> None:
        INSERT_PATHS[write_path](row)
        case.with_it(row)

    entries = [entry for entry in capture_entries(write) if entry["entity_type"] == case.table]
    if case.action is None:
        assert entries == []
    else:
        assert entries == [entry_of(row, case.action, None, stored_json(row, *case.columns))]


@pytest.mark.parametrize(("case", "write_path"), WENT)
def test_delete_is_recorded_by_every_write_path(case: LoggedRow, write_path: str) -> None:
    """The entry has all safe columns except the texts that the log withholds."""
    row = case.factory(**case.row)
    stored = stored_json(row, *(f.column for f in row._meta.concrete_fields))
    entries = capture_entries(
        lambda: DELETE_PATHS[write_path](type(row)._base_manager.get(pk=row.pk))
    )
    if case.action is None:
        assert entries == []
        return
    (entry,) = entries
    old = entry["old_value"]
    withheld = old.pop("withheld", [])
    assert {**entry, "old_value": None} == entry_of(row, case.action, None, None)
    assert old == {name: stored[name] for name in old}
    assert set(case.columns) <= {*old, *withheld}
    recorded_or_not = {c.name for c in columns() if c.table.name == case.table and is_recorded(c)}
    assert {*old, *withheld} == recorded_or_not - {row._meta.pk.column}


def is_recorded(column: Any) -> bool:
    action = column.declared.erasure and column.declared.erasure.action
    return column.privacy == "P0" and action not in {"null", "replace"}


def test_cascaded_deletes_are_recorded() -> None:
    person = UserFactory(role="client")
    (role,) = person.user_roles.all()
    by_action = {
        entry["action"]: entry for entry in capture_entries(lambda: execute("DELETE FROM users"))
    }
    assert set(by_action) == {"user_deleted", "role_taken"}
    assert by_action["role_taken"]["entity_id"] == role.pk
    assert by_action["role_taken"]["old_value"]["user_id"] == str(person.pk)


def test_write_of_a_trigger_is_recorded() -> None:
    """A withdrawn consent unpublishes the review."""
    review = ReviewFactory(published=True)
    (entry,) = capture_entries(
        lambda: execute("UPDATE review_publication_consents SET revoked_at = now() RETURNING 1")
    )
    assert entry == entry_of(
        review, "review_status_changed", {"status": "published"}, {"status": "unpublished"}
    )


TRUNCATED = sorted({case.table for case in DELETED if case.action})


@breaks(*(f"{table}_no_truncate" for table in TRUNCATED))
@pytest.mark.parametrize("table", TRUNCATED)
def test_audited_table_refuses_truncate(table: str) -> None:
    for case in DELETED:
        if case.table == table:
            case.factory(**case.row)
    connection.check_constraints()  # TRUNCATE always fails with pending entries
    before = execute(f'SELECT count(*) FROM "{table}"')
    with refuses(f"{table}_no_truncate", table):
        execute(f'TRUNCATE "{table}" CASCADE')
    assert execute(f'SELECT count(*) FROM "{table}"') == before


# -- rollbacks --------------------------------------------------------------------------------


def test_rolled_back_change_is_not_recorded() -> None:
    service = ServiceFactory()

    def write() -> None:
        with rolled_back():
            update_sql(service, price_amount=6000)
        update_sql(service, deposit_amount=1500)

    (entry,) = capture_entries(write)
    assert entry["new_value"] == {"deposit_amount": 1500}


def test_rolled_back_entry_is_written_again_at_the_end() -> None:
    """The entry is written inside a savepoint, and only the savepoint is rolled back."""
    service = ServiceFactory()
    write_entries()
    before = last_seq()
    update_sql(service, price_amount=6000)
    execute("SAVEPOINT a; SET CONSTRAINTS ALL IMMEDIATE")
    assert len(entries_since(before)) == 1
    execute("ROLLBACK TO a")
    assert entries_since(before) == []
    write_entries()
    assert [entry["new_value"] for entry in entries_since(before)] == [{"price_amount": 6000}]


def test_immediate_entry_is_not_written_twice() -> None:
    service = ServiceFactory()

    def write() -> None:
        execute("SET CONSTRAINTS ALL IMMEDIATE")
        update_sql(service, price_amount=6000)
        execute("SET CONSTRAINTS ALL DEFERRED; SET CONSTRAINTS ALL IMMEDIATE")

    assert len(capture_entries(write)) == 1


# -- withheld values --------------------------------------------------------------------------

UNSAFE: dict[str, Any] = {
    "an address": {"to": "anna@example.com"},
    "an address in a list": [["anna@example.com"]],
    "a telephone number": "Звонить 8 (999) 123-45-67",
    "a month that does not exist": "2026-13-01",
    "a day that does not exist": "2026-02-32",
    "two days": "2026-02-20 2026-02-21",
    "a telephone number as a number": 79991234567,
    "a long text": "x" * 121,
    "a key that is none": {"Имя": True},
    "a key that is a telephone number": {"phone_79991234567": True},
    "much": list(range(2000)),
}


def test_unsafe_value_is_withheld_and_does_not_stop_the_write() -> None:
    check_each(UNSAFE.items(), check_withheld)


def check_withheld(value: Any) -> None:
    setting = SystemSettingFactory(value=1)
    withheld = {"withheld": ["value"]}
    assert capture_entries(lambda: update_sql(setting, value=value)) == [
        entry_of(setting, "setting_changed", withheld, withheld)
    ]
    setting.refresh_from_db()
    assert setting.value == value
    (back,) = capture_entries(lambda: update_sql(setting, value=2))  # nor the old value
    assert (back["old_value"], back["new_value"]) == (withheld, withheld)
    (gone,) = capture_entries(setting.delete)
    assert gone["old_value"]["value"] == 2


@pytest.mark.parametrize("depth", [100, 5000])
def test_deeply_nested_value_does_not_stop_the_write(depth: int) -> None:
    setting = SystemSettingFactory()
    (entry,) = capture_entries(
        lambda: execute(
            "UPDATE system_settings SET value = (repeat('[', %s) || repeat(']', %s))::jsonb",
            [depth, depth],
        )
    )
    assert entry["entity_key"] == setting.key
    assert ("withheld" in entry["new_value"]) is (depth == 5000)


def test_safe_columns_of_an_unsafe_row_are_recorded() -> None:
    file = MediaAssetFactory()
    key, address = "2026/01/20260107-anna.webp", "/media/20260107-anna.webp"
    (entry,) = capture_entries(
        lambda: update_sql(file, object_key=key, public_url=address, size_bytes=7)
    )
    assert entry["new_value"] == {"size_bytes": 7, "withheld": ["object_key", "public_url"]}
    assert entry["old_value"] == {"size_bytes": 48_000, "withheld": ["object_key", "public_url"]}


def test_long_text_is_withheld() -> None:
    item = ContentItemFactory(excerpt="Пишите на anna@example.com", body_markdown="х" * 10_000)
    (entry,) = capture_entries(item.delete)
    assert {"excerpt", "body_markdown"} <= set(entry["old_value"]["withheld"])
    assert entry["old_value"]["slug"] == item.slug


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**15), 10**15)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=200)
    | st.emails()
    | st.from_regex(r"\+?[0-9 ()-]{5,20}", fullmatch=True),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.from_regex(r"[a-z_]{1,9}[0-9]{0,9}", fullmatch=True), inner)
    ),
    max_leaves=8,
)


@pytest.mark.slow
@many
@given(value=JSON)
def test_no_value_of_a_setting_stops_its_write(value: Any) -> None:
    with rolled_back():
        setting = SystemSettingFactory(value=0)
        (entry,) = capture_entries(lambda: update_sql(setting, value=[value]))
        assert entry["entity_key"] == setting.key
        if "withheld" in entry["new_value"]:
            assert entry["new_value"] == {"withheld": ["value"]}
        else:
            assert entry["new_value"] == {"value": [value]}
            assert "@" not in json.dumps(value)


# -- nothing personal -------------------------------------------------------------------------

MARKER = "zqmarker"
PHONE, TELEGRAM = "+79167770001", "9167770002"
# Every column that is P1 or P2, or that erasure empties, of the audited tables.
MARKED: dict[type[EntityFactory], dict[str, Any]] = {
    UserFactory: {
        "email": f"{MARKER}@example.com",
        "phone": PHONE,
        "telegram_user_id": TELEGRAM,
        "telegram_username": MARKER,
        "display_name": MARKER,
        "password": f"argon2${MARKER}",
        "timezone": "Asia/Kamchatka",
        "last_login": datetime(2026, 1, 7, 3, 4, 5, 678901, tzinfo=UTC),
    },
    ScheduleExceptionFactory: {"note": MARKER},
    AppointmentFactory: {
        "client_request_id": MARKER,
        "meeting_url": f"https://meet.example.com/{MARKER}",
        "location_text": MARKER,
        "external_calendar_event_id": MARKER,
        "deep_link_id": MARKER,
    },
    AnonymousQuestionFactory: {
        "question_text_encrypted": Plaintext(MARKER),
        "contact_value_encrypted": Plaintext(MARKER),
    },
    ReviewFactory: {"review_text_encrypted": Plaintext(MARKER)},
    LeadFactory: {"utm": {"utm_campaign": MARKER}},
    SecondFactorFactory: {"secret_encrypted": Plaintext(MARKER)},
    RecoveryCodeFactory: {"code_hash": f"argon2$argon2id${MARKER}{MARKER}"},
}


@advises
def test_every_unrecorded_column_has_a_marker() -> Iterator[str]:
    audited = {case.table: case.factory for case in (*CHANGES, *CREATED, *DELETED)}
    for column in columns():
        factory = audited.get(column.table.name)
        if not factory or is_recorded(column) or column.declared.links_person:
            continue
        if column.name not in MARKED.get(factory, {}):
            yield of_test(markers, "MARKED")(
                f"add {column.name} of {factory.__name__} to", "the column is not P0, or not kept"
            )


def markers(row: models.Model) -> list[str]:
    sealed = [f for f in row._meta.concrete_fields if f.column.endswith("_encrypted")]
    texts = [stored_json(row, f.column)[f.column] for f in sealed]
    return [MARKER, PHONE[2:], TELEGRAM, "Kamchatka", "678901", *(t[-20:] for t in texts if t)]


@pytest.mark.parametrize("case", [c for c in CHANGE_OF.values() if c.factory in MARKED], ids=str)
def test_entry_of_a_change_holds_nothing_personal(case: LoggedChange) -> None:
    marked = replace(case, row={**case.row, **MARKED[case.factory]})
    row, to, _names = marked.make()
    values = markers(row)
    assert capture_entries(lambda: CHANGE_PATHS["sql"](row, **to)) != []
    assert [marker for marker in values if marker in whole_log()] == []


@pytest.mark.parametrize("case", [c for c in DELETED if c.action and c.factory in MARKED], ids=str)
def test_entry_of_a_delete_holds_nothing_personal(case: LoggedRow) -> None:
    row = case.factory(**case.row, **MARKED[case.factory])
    values = markers(row)
    assert capture_entries(row.delete) != []
    assert [marker for marker in values if marker in whole_log()] == []


def whole_log() -> str:
    (row,) = execute("SELECT string_agg(a::text, ' ') AS text FROM audit_log_entries a")
    return row["text"]


# Begin with a marker, because the log itself holds words such as "service_changed".
WORDS = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=8, max_size=20).map(
    MARKER.__add__
)


@pytest.mark.slow
@many
@given(name=WORDS, location=WORDS, status=st.sampled_from(["blocked", "deleted"]))
def test_arbitrary_names_and_locations_are_not_recorded(
    name: str, location: str, status: str
) -> None:
    with rolled_back():
        person = UserFactory(display_name=name, telegram_username=name[:32])
        appointment = AppointmentFactory(client=person, location_text=location)
        update_sql(person, **(DELETED_USER if status == "deleted" else {"status": status}))
        update_sql(appointment, location_text=name)
        appointment.delete()
        execute("DELETE FROM users WHERE id = %s", [person.pk])
        write_entries()
        log = whole_log()
        assert name not in log
        assert location not in log
