"""Changes of the schema made by hand: each is reported, by the object that differs."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.core.management.base import OutputWrapper
from django.db import connection, transaction

from ebalance.db.schema import drift
from ebalance.db.schema.listing import differences
from tests.clocks import restore_fact_clock
from tests.databases import Database, Databases, default_connection_on
from tests.support import execute

WHEN = "(OLD.id IS DISTINCT FROM NEW.id AND (NEW.status = 'active' OR NEW.status = 'blocked'))"
# Name, statements, and the start of each line of drift().
DRIFTS = {
    "column added": (
        "ALTER TABLE services ADD COLUMN languages text",
        ["column services.languages: unknown (text)"],
    ),
    "column changed": (
        "ALTER TABLE tags ALTER COLUMN title DROP NOT NULL",
        ["column tags.title: differs: expected «text NOT NULL», has «text»"],
    ),
    "index dropped": (
        "DROP INDEX appointments_by_client",
        ["index appointments.appointments_by_client: missing"],
    ),
    "CHECK changed": (
        "ALTER TABLE appointments DROP CONSTRAINT appointments_buffer_minutes_in_range, "
        "ADD CONSTRAINT appointments_buffer_minutes_in_range "
        "CHECK (buffer_minutes >= 0 AND buffer_minutes <= 130)",
        [
            "constraint appointments.appointments_buffer_minutes_in_range: differs: expected "
            "«… 0) AND (buffer_minutes <= 120))», has «… 0) AND (buffer_minutes <= 130))»"
        ],
    ),
    "trigger's WHEN changed": (
        f"CREATE OR REPLACE TRIGGER users_id_stays BEFORE UPDATE OF id ON users FOR EACH ROW "
        f"WHEN {WHEN} EXECUTE FUNCTION refuse('users_id_stays', 'id', "
        "'The key of a record never changes')",
        ["trigger users.users_id_stays: differs: "],
    ),
    "trigger disabled": (
        "ALTER TABLE users DISABLE TRIGGER users_id_stays",
        ["trigger users.users_id_stays: differs: "],
    ),
    "function's body changed": (
        "CREATE OR REPLACE FUNCTION touch_updated_at() RETURNS trigger LANGUAGE plpgsql "
        "AS 'BEGIN RETURN NEW; END'",
        ["function touch_updated_at(): differs: "],
    ),
    "grant": (
        "CREATE ROLE drift_reader; GRANT SELECT ON users TO drift_reader",
        ["grant SELECT on table users to drift_reader: unknown"],
    ),
    "default changed": (
        "ALTER TABLE reviews ALTER COLUMN status SET DEFAULT 'published'",
        [
            "column reviews.status: differs: expected «text NOT NULL DEFAULT 'draft'::text», "
            "has «text NOT NULL DEFAULT 'published'::text»"
        ],
    ),
    "comment changed": (
        "COMMENT ON COLUMN users.email IS 'P0 · not personal'",
        ["comment on column users.email: differs: "],
    ),
    "no_overlap dropped": (
        "ALTER TABLE appointments DROP CONSTRAINT appointments_no_overlap",
        ["constraint appointments.appointments_no_overlap: missing"],
    ),
}
OTHER_DRIFTS = {
    "table dropped": ("DROP TABLE leases CASCADE", ["table leases: missing"]),
    "table added": (
        "CREATE TABLE notes (id integer PRIMARY KEY, note text); COMMENT ON TABLE notes IS 'mine'",
        ["table notes: unknown"],
    ),
    "column dropped": (
        "ALTER TABLE tags DROP COLUMN title",
        ["column tags.title: missing", "constraint tags.", "constraint tags."],
    ),
    "row security": (
        "ALTER TABLE tags ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
        ["table tags: differs: expected «», has «ROW SECURITY FORCED ROW SECURITY»"],
    ),
    "policy": (
        "CREATE POLICY own ON tags FOR SELECT TO PUBLIC USING (title <> '')",
        ["policy tags.own: unknown (PERMISSIVE FOR SELECT TO PUBLIC USING (title <> ''::text))"],
    ),
    "replica identity": (
        "ALTER TABLE tags REPLICA IDENTITY FULL",
        ["table tags: differs: expected «», has «REPLICA IDENTITY FULL»"],
    ),
    "table not logged": ("ALTER TABLE leases SET UNLOGGED", ["table leases: differs: "]),
    "table's options": (
        "ALTER TABLE tags SET (fillfactor = 70)",
        ["table tags: differs: expected «», has «WITH (fillfactor=70)»"],
    ),
    "column's storage": (
        "ALTER TABLE tags ALTER COLUMN title SET STORAGE EXTERNAL",
        ["column tags.title: differs: expected «text NOT NULL», has «text NOT NULL STORAGE e»"],
    ),
    "column's statistics": (
        "ALTER TABLE tags ALTER COLUMN title SET STATISTICS 500",
        ["column tags.title: differs: "],
    ),
    "column's statistics at the default": (
        "ALTER TABLE tags ALTER COLUMN title SET STATISTICS -1",
        [],
    ),
    "triggers of foreign keys disabled": (
        "UPDATE pg_trigger SET tgenabled = 'D' FROM pg_constraint k "
        "WHERE tgconstraint = k.oid AND k.conname = 'waitlist_requests_user_id_fk'",
        ["constraint waitlist_requests.waitlist_requests_user_id_fk: differs: "],
    ),
    "constraint not valid": (
        "ALTER TABLE tags ADD CONSTRAINT short CHECK (length(title) < 20) NOT VALID",
        ["constraint tags.short: unknown (CHECK (length(title) < 20) NOT VALID)"],
    ),
    "index invalid": (
        "UPDATE pg_index SET indisvalid = false "
        "WHERE indexrelid = 'appointments_by_client'::regclass",
        ["index appointments.appointments_by_client: differs: "],
    ),
    "function's attributes": (
        "ALTER FUNCTION touch_updated_at() STABLE SECURITY DEFINER SET search_path = public",
        ["function touch_updated_at(): differs: "],
    ),
    "function revoked from PUBLIC": (
        "REVOKE EXECUTE ON FUNCTION uuid7() FROM PUBLIC",
        ["function uuid7(): differs: "],
    ),
    "function added": (
        "CREATE FUNCTION answer() RETURNS integer LANGUAGE sql IMMUTABLE RETURN 42",
        ["function answer(): unknown (RETURNS integer LANGUAGE sql IMMUTABLE RETURN 42)"],
    ),
    "view": ("CREATE VIEW shown AS SELECT id FROM tags", ["view shown: unknown "]),
    "view dropped": ("DROP VIEW bookable_slots", ["view bookable_slots: missing"]),
    "view reads with the privileges of its owner": (
        "ALTER VIEW bookable_slots RESET (security_invoker)",
        ["view bookable_slots: differs: "],
    ),
    "comment of a view's column": (
        "COMMENT ON COLUMN bookable_slots.slot_id IS NULL",
        ["comment on column bookable_slots.slot_id: missing"],
    ),
    "enum": (
        "CREATE TYPE mood AS ENUM ('good', 'bad')",
        ["enum mood: unknown (('good', 'bad'))"],
    ),
    "sequence": (
        "ALTER SEQUENCE django_admin_log_id_seq INCREMENT 2",
        ["sequence django_admin_log_id_seq: differs: "],
    ),
    "grant of a column": (
        "CREATE ROLE drift_reader; GRANT SELECT (email) ON users TO drift_reader WITH GRANT OPTION",
        ["grant SELECT on column users.email to drift_reader: unknown (WITH GRANT OPTION)"],
    ),
    "event trigger": (
        "CREATE FUNCTION watch() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'; "
        "CREATE EVENT TRIGGER watching ON ddl_command_end EXECUTE FUNCTION watch()",
        ["event trigger watching: unknown", "function watch(): unknown"],
    ),
}


@pytest.fixture
def as_migrated(db: None) -> None:
    restore_fact_clock()


of_migrated_database = pytest.mark.usefixtures("as_migrated")


def check_command() -> tuple[str, str]:
    """The output of `manage.py schema --check`, and the error that it ends with."""
    output = io.StringIO()
    try:
        call_command("schema", "--check", stdout=output)
    except CommandError as error:
        return output.getvalue(), str(error)
    return output.getvalue(), ""


@of_migrated_database
@pytest.mark.parametrize("name", [*DRIFTS, *OTHER_DRIFTS])
def test_drift_is_reported_by_object(name: str) -> None:
    statements, starts = {**DRIFTS, **OTHER_DRIFTS}[name]
    assert drift.drift() == []
    execute(statements)
    lines = drift.drift()
    assert len(lines) == len(starts), lines
    for line, start in zip(lines, starts, strict=True):
        assert line.startswith(start), line
    assert lines == sorted(lines)


@of_migrated_database
def test_check_names_each_object_and_fails() -> None:
    assert check_command() == (f"{drift.AS_EXPECTED}\n", "")
    for statements, _ in DRIFTS.values():
        if "CREATE ROLE" not in statements and "DISABLE" not in statements:
            execute(statements)
    output, error = check_command()
    assert [line.partition(": ")[0] for line in output.splitlines()] == [
        "column reviews.status",
        "column services.languages",
        "column tags.title",
        "comment on column users.email",
        "constraint appointments.appointments_buffer_minutes_in_range",
        "constraint appointments.appointments_no_overlap",
        "function touch_updated_at()",
        "index appointments.appointments_by_client",
        "trigger users.users_id_stays",
    ]
    assert error == "The schema differs from schema.catalog: 9 objects."


def report() -> str:
    output = io.StringIO()
    drift.report_drift(OutputWrapper(output))
    return output.getvalue()


@of_migrated_database
def test_report_after_migrate_names_objects_and_ends_well() -> None:
    assert report() == f"{drift.AS_EXPECTED}\n"
    execute("DROP INDEX appointments_by_client")
    line = "Drift: index appointments.appointments_by_client: missing"
    assert report() == f"{line}\n{drift.HINT}\n"


@of_migrated_database
def test_missing_file_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(drift, "FILE", tmp_path / "schema.catalog")
    assert check_command() == ("", f"The file {tmp_path}/schema.catalog is missing.")


@of_migrated_database
def test_database_without_all_migrations_is_named() -> None:
    execute("DELETE FROM django_migrations WHERE app = 'crm'")
    assert drift.unapplied_migrations()[0] == "crm.0501_crm"
    output, error = check_command()
    assert output == ""
    assert error.startswith("This database is not fully migrated: it lacks ")
    assert "the first is crm.0501_crm." in error


def test_writing_is_refused_when_deployed(settings: Any) -> None:
    settings.DEPLOYED = True
    with pytest.raises(CommandError, match="--write is for development"):
        call_command("schema", "--write")


def test_check_and_write_exclude_each_other() -> None:
    with pytest.raises(CommandError, match="not allowed with argument"):
        call_command("schema", "--check", "--write")


# -- grants ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def granted(
    django_db_setup: None, databases: Databases, django_db_blocker: Any
) -> Iterator[Database]:
    """A database in which the roles have their grants."""
    with django_db_blocker.unblock():
        database = databases.clone()
        with default_connection_on(database):
            restore_fact_clock()
            call_command("grant_db_roles", stdout=io.StringIO())
            connection.close()
    yield database
    databases.drop(database.name)


GRANTS = {
    "GRANT DELETE ON payments TO ebalance_app": "too much: ebalance_app: DELETE on table payments",
    "REVOKE SELECT ON users FROM ebalance_app": "missing: ebalance_app: SELECT on table users",
    "GRANT SELECT ON users TO PUBLIC": "too much: PUBLIC: SELECT on table users",
}


@pytest.mark.parametrize("statement", GRANTS)
def test_grants_of_the_roles_are_compared(
    statement: str, granted: Database, django_db_blocker: Any
) -> None:
    with default_connection_on(granted), django_db_blocker.unblock(), transaction.atomic():
        assert drift.drift() == []
        execute(statement)
        assert drift.drift() == [f"grants: {GRANTS[statement]}"]
        transaction.set_rollback(True)


# -- the comparison -----------------------------------------------------------------------------


def test_long_definitions_are_shown_around_the_difference() -> None:
    old = "trigger t.x: " + " ".join(f"word{n}" for n in range(60))
    new = old.replace("word30", "other")
    (line,) = differences([old], [new])
    assert line.startswith("trigger t.x: differs: expected «… word26 word27 word28 word29 word30 ")
    assert "has «… word26 word27 word28 word29 other " in line
    assert len(line) < 250


def test_objects_of_a_missing_table_and_comments_have_no_lines() -> None:
    expected = [
        "column t.id: uuid",
        "comment on column t.id: IS 'key'",
        "comment on function f(): IS 'text'",
        "comment on index t.by_id: IS 'query'",
        "function f(): RETURNS void",
        "index t.by_id: USING btree (id)",
        "table t",
    ]
    assert differences(expected, []) == ["function f(): missing", "table t: missing"]
    assert differences([], expected) == ["function f(): unknown (RETURNS void)", "table t: unknown"]
    assert differences(expected, expected) == []
