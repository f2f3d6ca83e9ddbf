"""What is declared about columns is what the live database holds, Django's own tables included.

A column without a decision fails here, and so does one that only the database has.
"""

from __future__ import annotations

import copy

import pytest
from django.contrib.auth.models import Group
from django.db import connection, models
from django.db.migrations.serializer import serializer_factory

from ebalance.db import inventory
from ebalance.db.classification import DELETE, NAMES_NOBODY, keep, p0, p1, p2
from ebalance.db.inventory import Undeclared, columns, tables
from identity.models import User
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
# Personal, and yet not in a person's export: secrets of an account, keyed hashes.
NOT_EXPORTED = {
    ("users", "password"),
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


def disagreements() -> list[str]:
    """What declarations and catalog do not agree on, a line each."""
    live, declared = live_columns(), {(c.table.name, c.name): c for c in columns()}
    lines = [f"{t}.{c}: no decision" for t, c in sorted(live.keys() - declared.keys())]
    lines += [f"{t}.{c}: not in the database" for t, c in sorted(declared.keys() - live.keys())]
    for key in sorted(live.keys() & declared.keys()):
        row, column = live[key], declared[key]
        if row["comment"] != str(column.declared):
            lines.append(f"{column}: another comment")
        if row["meaning"] != column.table.meaning:
            lines.append(f"{column.table.name}: another meaning")
    return lines


def test_every_column_of_the_database_has_a_decision_and_the_other_way_round() -> None:
    assert disagreements() == []
    assert {"auth_group_permissions", "django_migrations"} < {table.name for table in tables()}


@pytest.mark.parametrize(
    ("statement", "lines"),
    [
        ("CREATE TABLE notes (text text)", ["notes.text: no decision"]),
        ("CREATE VIEW faces AS SELECT email FROM users", ["faces.email: no decision"]),
        ("ALTER TABLE users ADD passport text", ["users.passport: no decision"]),
        ("ALTER TABLE django_session ADD ip inet", ["django_session.ip: no decision"]),
        ("ALTER TABLE tags DROP title", ["tags.title: not in the database"]),
        (
            "DROP TABLE django_session",
            [
                f"django_session.{c}: not in the database"
                for c in ("expire_date", "session_data", "session_key")
            ],
        ),
        ("COMMENT ON COLUMN users.email IS 'P0 · e-mail'", ["users.email: another comment"]),
        ("COMMENT ON COLUMN users.email IS NULL", ["users.email: another comment"]),
        ("COMMENT ON TABLE roles IS 'Roles'", ["roles: another meaning"] * 2),
    ],
)
def test_what_the_database_has_otherwise_is_found(statement: str, lines: list[str]) -> None:
    execute(statement)
    assert disagreements() == lines


@pytest.mark.parametrize("comment", [None, "", "P1 · a text is no declaration"])
def test_a_field_without_a_declaration_is_found(comment: str | None, monkeypatch) -> None:
    field = User._meta.get_field("email")
    monkeypatch.setattr(field, "db_comment", comment)
    with pytest.raises(Undeclared, match=r"users\.email has no privacy class"):
        inventory.declaration(field)


def test_a_table_that_django_makes_by_itself_is_in_the_list() -> None:
    """Those of many-to-many fields have no class to write a declaration in."""
    join = Group._meta.get_field("permissions").remote_field.through
    assert {c.name for t in tables() if t.model is join for c in t.columns} == {
        "id",
        "group_id",
        "permission_id",
    }


def test_an_emptied_column_may_be_empty() -> None:
    live = live_columns()
    for column in columns():
        if column.erasure.action == "null":
            assert not live[column.table.name, column.name]["not_null"], str(column)


def test_what_is_personal_does_not_stay() -> None:
    """Deleted, emptied, or replaced by what says nothing; kept only with a reason of its own."""
    replaced = set()
    for column in columns():
        if column.erasure.action == "replace":
            replaced.add((column.table.name, column.name))
        if column.privacy != "P0" and column.erasure.action == "keep":
            assert column.erasure != NAMES_NOBODY, str(column)
        if column.erasure.action in {"keep", "replace"}:
            assert column.erasure.note.strip(), str(column)
    assert replaced == REPLACED


def test_where_a_row_goes_nothing_of_it_is_said_to_stay() -> None:
    for column in columns():
        if column.table.rows_go:
            assert column.erasure == DELETE, str(column)


def test_no_reference_to_a_person_is_left_to_the_default() -> None:
    """Of whom the row is, or who of the staff did it: somebody has decided."""
    for column in columns():
        if isinstance(column.field, models.ForeignKey):
            parent = column.field.related_model._meta.db_table
            if parent in {"users", "leads"}:
                declared = column.declared
                assert declared.links_person != declared.names_colleague, str(column)
                assert declared.links_person == bool(declared.erasure), str(column)
                assert column.in_export == declared.links_person, str(column)


def test_an_export_has_everything_personal_but_secrets_and_hashes() -> None:
    left_out = {
        (column.table.name, column.name)
        for column in columns()
        if column.privacy != "P0" and not column.in_export
    }
    assert left_out == NOT_EXPORTED
    for column in columns():
        assert not (column.name.endswith("_bidx") and column.in_export), str(column)


def test_an_export_has_no_tables_that_are_about_nobody() -> None:
    exported = {c.table.name for c in columns() if c.in_export}
    assert exported >= {"users", "leads", "consents", "payments", "analytics_events"}
    assert not exported & {"topics", "services", "content_items", "auth_group", "outbox_events"}


def test_names_for_redaction_are_those_of_personal_columns() -> None:
    names = inventory.personal_names()
    assert {"email", "phone", "note_encrypted", "session_key", "password"} <= names
    assert not names & {"id", "status", "created_at", "topic_code"}


def test_a_declaration_is_a_text_to_django_and_its_migrations() -> None:
    declared = p1("e-mail", erasure=DELETE, export=False)
    assert (declared, declared.meaning) == ("P1 · e-mail", "e-mail")
    assert serializer_factory(declared).serialize() == ("'P1 · e-mail'", set())
    for twin in (copy.copy(declared), copy.deepcopy(declared)):
        assert (twin.privacy, twin.erasure, twin.export) == ("P1", DELETE, False)
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s::text", [declared])
        assert cursor.fetchone() == ("P1 · e-mail",)


def test_what_is_not_said_follows_from_the_class() -> None:
    for made, privacy in ((p0("a"), "P0"), (p1("a"), "P1"), (p2("a"), "P2")):
        assert (made.privacy, made.erasure, made.export) == (privacy, None, None)
    assert str(keep("a reason")) == "kept: a reason"
