"""The declarations of columns match the live database, including Django's own tables.

A column without a declaration fails, and so does a column that only the database has.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connection, models
from django.db.migrations.serializer import serializer_factory

from ebalance.db.schema import data_map
from ebalance.db.schema.classification import (
    DELETE,
    IDENTIFIES_NO_PERSON,
    NULL,
    Classified,
    keep,
    p0,
    p1,
    p2,
    replace,
)
from ebalance.db.schema.data_map import Table, Undeclared, columns, tables, views
from identity.models import User
from tests.advice import (
    Location,
    advises,
    declared_columns,
    of_class,
    of_column,
    of_table,
    stop_if_undeclared,
    undeclared,
)
from tests.support import execute

pytestmark = pytest.mark.django_db

REPLACED = {
    ("users", "password"),
    ("interactive_runs", "anonymous_id"),
    ("reviews", "review_text_encrypted"),
    ("lead_timeline_events", "properties"),
    ("analytics_events", "page"),
    ("analytics_events", "acquisition"),
    ("analytics_events", "properties"),
}
# Personal, but not in a person's export: account secrets and keyed hashes.
NOT_EXPORTED = {
    ("users", "password"),
    ("second_factors", "secret_encrypted"),
    ("recovery_codes", "code_hash"),
    ("django_session", "session_key"),
    ("django_session", "session_data"),
    ("lead_identities", "email_bidx"),
    ("lead_identities", "phone_bidx"),
    ("waitlist_requests", "contact_value_bidx"),
}


def live_columns() -> dict[tuple[str, str], dict]:
    rows = execute(
        """
        SELECT c.relname AS "table", a.attname AS name, a.attnotnull AS not_null,
               col_description(c.oid, a.attnum) AS comment, obj_description(c.oid) AS meaning
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
          AND a.attnum > 0 AND NOT a.attisdropped
        """
    )
    return {(row["table"], row["name"]): row for row in rows}


@advises
def test_declarations_and_database_have_the_same_columns() -> Iterator[str]:
    yield from undeclared()
    live = live_columns()
    in_views = [column for view in views() for column in view.columns]
    declared = {(c.table.name, c.name): c for c in [*declared_columns(), *in_views]}
    for key in live.keys() - declared.keys():
        yield of_column(*key)("declare p0()/p1()/p2() beside", "the column has no privacy class")
    for key in declared.keys() - live.keys():
        yield of_column(*key)("make a migration for", "the column is not in the database")
    for key in live.keys() & declared.keys():
        row, column = live[key], declared[key]
        if row["comment"] != str(column.declared):
            yield of_column(*key)(
                "make a migration for the comment of",
                f"{row['comment']!r} in the database, {str(column.declared)!r} declared",
            )
        if row["meaning"] != column.table.meaning:
            yield of_table(key[0])(
                "make a migration for db_table_comment of",
                f"{row['meaning']!r} in the database, {column.table.meaning!r} declared",
            )
    assert {"auth_group_permissions", "django_migrations"} < {table.name for table in tables()}


NO_CLASS = "declare p0()/p1()/p2() beside"
THIRD_PARTY = "ebalance/db/schema/third_party.py"
PEOPLE = "identity/models/people.py:{line}"


@pytest.mark.parametrize(
    ("statement", "advice"),
    [
        ("CREATE TABLE notes (text text)", [("<app>/models/", NO_CLASS, "notes")]),
        ("CREATE VIEW faces AS SELECT email FROM users", [("<app>/models/", NO_CLASS, "faces")]),
        ("ALTER TABLE users ADD passport text", [(PEOPLE, NO_CLASS, "`User.passport`")]),
        (
            "ALTER TABLE django_session ADD ip inet",
            [(THIRD_PARTY, NO_CLASS, '`TABLES["django_session"].ip`')],
        ),
        (
            "ALTER TABLE users DROP timezone CASCADE",
            [
                (
                    PEOPLE,
                    "make a migration for",
                    "`User.timezone`: the column is not in the database",
                )
            ],
        ),
        (
            "DROP TABLE django_session",
            [
                (THIRD_PARTY, "make a migration for", f'`TABLES["django_session"].{column}`')
                for column in ("expire_date", "session_data", "session_key")
            ],
        ),
        (
            "COMMENT ON COLUMN users.email IS 'P0 · e-mail'",
            [(PEOPLE, "make a migration for the comment of", "`User.email`: 'P0 · e-mail'")],
        ),
        (
            "COMMENT ON COLUMN users.email IS NULL",
            [(PEOPLE, "make a migration for the comment of", "`User.email`: None")],
        ),
        (
            "COMMENT ON TABLE users IS 'Roles'",
            [(PEOPLE, "make a migration for db_table_comment of", "`User`: 'Roles'")],
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_difference_is_named_with_file_and_declaration(
    statement: str, advice: list[tuple[str, str, str]]
) -> None:
    before = {*test_declarations_and_database_have_the_same_columns.__wrapped__()}
    execute(statement)
    lines = sorted({*test_declarations_and_database_have_the_same_columns.__wrapped__()} - before)
    assert len(lines) == len(advice), lines
    number = of_class(User).file.rpartition(":")[2]
    for line, (file, do, declaration) in zip(lines, advice, strict=True):
        assert line.startswith(f"{file.replace('{line}', number)}: {do} ")
        assert declaration in line


@pytest.mark.parametrize("comment", [None, "", "P1 · a text is no declaration"])
def test_field_without_a_declaration_is_refused(comment: str | None, monkeypatch) -> None:
    field = User._meta.get_field("email")
    monkeypatch.setattr(field, "db_comment", comment)
    with pytest.raises(Undeclared, match=r"users\.email has no privacy class"):
        data_map.declaration(field)


def test_column_without_a_declaration_is_named_with_its_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = {*undeclared()}
    monkeypatch.setattr(User._meta.get_field("email"), "db_comment", "")
    (line,) = {*undeclared()} - before
    assert line.startswith(f"{of_class(User).file}: declare p0()/p1()/p2() beside `User.email`")
    with pytest.raises(pytest.exit.Exception, match=r"beside `User\.email`"):
        stop_if_undeclared()


def test_automatic_join_table_is_in_the_list() -> None:
    """The join table of a many-to-many field has no class that could hold a declaration."""
    join = Group._meta.get_field("permissions").remote_field.through
    assert {c.name for t in tables() if t.model is join for c in t.columns} == {
        "id",
        "group_id",
        "permission_id",
    }


def of(column: data_map.Column) -> Location:
    return of_column(column.table.name, column.name)


@advises
def test_emptied_columns_may_be_null() -> Iterator[str]:
    live = live_columns()
    for column in columns():
        if column.erasure.action == "null" and live[column.table.name, column.name]["not_null"]:
            yield of(column)(
                "declare erasure=DELETE or replace(…), or null=True,",
                "erasure empties it, and it is NOT NULL",
            )


@advises
def test_personal_columns_do_not_stay() -> Iterator[str]:
    """They are deleted, emptied or replaced by a neutral value; kept only with a reason."""
    replaced = set()
    for column in columns():
        key, action = (column.table.name, column.name), column.erasure.action
        if action == "replace":
            replaced.add(key)
        if action == "replace" and key not in REPLACED:
            yield of(column)(
                "add to REPLACED in tests/db/test_classification.py, or erase otherwise,",
                "erasure replaces the value",
            )
        if column.privacy != "P0" and action == "keep" and column.erasure == IDENTIFIES_NO_PERSON:
            yield of(column)("declare erasure=keep(reason) or another erasure= for", "it stays")
        if action in {"keep", "replace"} and not column.erasure.note.strip():
            yield of(column)("give the reason in erasure= of")
    for table, name in REPLACED - replaced:
        yield of_column(table, name)(
            "remove from REPLACED in tests/db/test_classification.py", "erasure does not replace it"
        )


@advises
def test_columns_of_deleted_rows_are_not_declared_to_stay() -> Iterator[str]:
    for column in columns():
        if column.table.rows_go and column.erasure != DELETE:
            yield of(column)("remove erasure= from", "erasure deletes the rows of its table")


@advises
def test_references_to_people_have_a_decision() -> Iterator[str]:
    """A declaration states whether the row belongs to the person or records a colleague's act."""
    for column in columns():
        if isinstance(column.field, models.ForeignKey):
            parent = column.field.related_model._meta.db_table
            declared = column.declared
            if parent in {"users", "leads"} and not (
                declared.links_person != declared.names_colleague
                and declared.links_person == bool(declared.erasure)
                and column.in_export == declared.links_person
            ):
                yield of(column)(
                    "declare of_person(meaning, erasure) or by_staff(meaning) beside",
                    f"it refers to {parent}",
                )


@advises
def test_export_has_everything_personal_but_secrets_and_hashes() -> Iterator[str]:
    left_out = {
        (column.table.name, column.name): column
        for column in columns()
        if column.privacy != "P0" and not column.in_export
    }
    for key in left_out.keys() - NOT_EXPORTED:
        yield of_column(*key)(
            "declare export=True (or list it in NOT_EXPORTED in tests/db/test_classification.py)",
            "a person's export has everything personal",
        )
    for key in NOT_EXPORTED - left_out.keys():
        yield of_column(*key)("declare export=False for", "it is a secret or a hash")
    for column in columns():
        if column.name.endswith("_bidx") and column.in_export:
            yield of(column)("declare export=False for", "a blind index is a keyed hash")


def declare(monkeypatch: pytest.MonkeyPatch, name: str, declared: Classified) -> None:
    """Replace the declaration of a column of users."""
    field = User._meta.get_field(name)
    monkeypatch.setattr(field, "db_comment", declared)
    made = [
        table if table.model is not User else Table(table.name, table.meaning, table.domain, User)
        for table in tables()
    ]
    monkeypatch.setattr(data_map, "tables", lambda: made)


@pytest.mark.parametrize(
    ("name", "declared", "test", "advice"),
    [
        (
            "status",
            p0("status", erasure=NULL),
            test_emptied_columns_may_be_null,
            "declare erasure=DELETE or replace(…), or null=True, `User.status`",
        ),
        (
            "display_name",
            p1("name", erasure=IDENTIFIES_NO_PERSON),
            test_personal_columns_do_not_stay,
            "declare erasure=keep(reason) or another erasure= for `User.display_name`",
        ),
        (
            "display_name",
            p1("name", erasure=replace("a dash", lambda: "-")),
            test_personal_columns_do_not_stay,
            "add to REPLACED in tests/db/test_classification.py, or erase otherwise, "
            "`User.display_name`",
        ),
        (
            "password",
            p1("password"),
            test_personal_columns_do_not_stay,
            "remove from REPLACED in tests/db/test_classification.py `User.password`",
        ),
        (
            "email",
            p1("e-mail", export=False),
            test_export_has_everything_personal_but_secrets_and_hashes,
            "declare export=True (or list it in NOT_EXPORTED in tests/db/test_classification.py) "
            "`User.email`",
        ),
    ],
)
def test_faulty_declaration_is_named_with_its_file(
    name: str, declared: Classified, test: Any, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {*test.__wrapped__()}
    declare(monkeypatch, name, declared)
    (line,) = {*test.__wrapped__()} - before
    assert line.startswith(f"{of_class(User).file}: {advice}")


def test_export_has_no_tables_without_personal_data() -> None:
    exported = {c.table.name for c in columns() if c.in_export}
    assert exported >= {"users", "leads", "consents", "payments", "analytics_events"}
    assert not exported & {"topics", "services", "content_items", "auth_group", "outbox_events"}


def test_redacted_names_are_those_of_personal_columns() -> None:
    names = data_map.personal_names()
    assert {"email", "phone", "note_encrypted", "session_key", "password"} <= names
    assert not names & {"id", "status", "created_at", "topic_code"}


def test_declaration_is_a_string_for_django_and_its_migrations() -> None:
    declared = p1("e-mail", erasure=DELETE, export=False)
    assert (declared, declared.meaning) == ("P1 · e-mail", "e-mail")
    assert serializer_factory(declared).serialize() == ("'P1 · e-mail'", set())
    for twin in (copy.copy(declared), copy.deepcopy(declared)):
        assert (twin.privacy, twin.erasure, twin.export) == ("P1", DELETE, False)
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s::text", [declared])
        assert cursor.fetchone() == ("P1 · e-mail",)


def test_declaration_has_defaults_by_its_class() -> None:
    for made, privacy in ((p0("a"), "P0"), (p1("a"), "P1"), (p2("a"), "P2")):
        assert (made.privacy, made.erasure, made.export) == (privacy, None, None)
    assert str(keep("a reason")) == "kept: a reason"
