"""Erasure leaves nothing outside of tables: statistics, large objects, comments, sequences.

Personal columns have no statistics from the birth of their table, so ANALYZE copies none of their
values (docs/adr/0036-no-statistics-of-personal-texts.md).
"""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
from django.core.management import call_command
from django.db import connection, models

from ebalance.db.schema import classification, data_map
from ebalance.db.schema.grants import ANALYST, APP
from ebalance.privacy.erasure import erase_user
from tests.advice import Location, advises
from tests.privacy.pii_markers import Marked, Shared, marked_person, search_catalog
from tests.support import execute

pytestmark = pytest.mark.django_db


@pytest.fixture
def people(db: None) -> tuple[Marked, Marked]:
    shared = Shared.made()
    return marked_person(shared), marked_person(shared)


def personal_marks(one: Marked) -> dict[str, str]:
    """The marks of P1 and P2 columns. Identifiers in P0 columns name nobody."""
    personal = {str(column) for column in data_map.columns() if column.privacy != "P0"}
    return {mark: column for mark, column in one.marks.all().items() if column in personal}


def test_statistics_copy_no_personal_value(people: tuple[Marked, ...]) -> None:
    execute("ANALYZE")
    (row,) = execute("SELECT count(*) AS n FROM pg_stats WHERE schemaname = 'public'")
    assert row["n"] > 100
    for one in people:
        marks = personal_marks(one)
        assert len(marks) > 20
        assert search_catalog(marks) == []
    erase_user(people[0].pk, method="admin")
    assert search_catalog(personal_marks(people[0])) == []
    execute("ANALYZE")
    assert search_catalog(personal_marks(people[0])) == []


@pytest.mark.parametrize("role", [APP, ANALYST])
def test_role_reads_no_personal_value_outside_of_tables(role: str) -> None:
    call_command("grant_db_roles", stdout=io.StringIO())
    marks = personal_marks(marked_person(Shared.made()))
    execute("ANALYZE")
    execute(f"SET LOCAL ROLE {role}")
    matches = search_catalog(marks, but=["pg_largeobject"])
    execute("RESET ROLE")
    assert matches == []


@pytest.mark.parametrize(
    "copies",
    [
        ["ALTER TABLE users ALTER COLUMN email SET STATISTICS 100", "ANALYZE users"],
        ["CREATE INDEX later ON users (upper(email))", "ANALYZE users"],
        ["SELECT lo_from_bytea(0, convert_to(email, 'UTF8')) FROM users WHERE email LIKE 'zqx%%'"],
        [
            "DO $$ BEGIN EXECUTE format('COMMENT ON TABLE topics IS %%L', "
            "(SELECT string_agg(email, ' ') FROM users)); END $$"
        ],
        [
            "DO $$ BEGIN EXECUTE format('CREATE SEQUENCE %%I', "
            "(SELECT min(email) FROM users WHERE email LIKE 'zqx%%')); END $$"
        ],
        [
            "ALTER TABLE users ALTER COLUMN email SET STATISTICS 100",
            "CREATE STATISTICS later (mcv) ON email, status FROM users",
            "ANALYZE users",
            "ALTER TABLE users ALTER COLUMN email SET STATISTICS 0",
        ],
    ],
    ids=["statistics", "index", "large object", "comment", "sequence", "extended statistics"],
)
def test_copy_outside_of_tables_is_detected(people: tuple[Marked, ...], copies: list[str]) -> None:
    with connection.cursor() as cursor:
        for statement in copies:
            cursor.execute(statement.replace("%%", "%"))
    marks = {mark.lower(): mark for one in people for mark in personal_marks(one)}
    marks |= {mark.upper(): mark for mark in marks}
    assert search_catalog(marks) != []


# -- the convention -------------------------------------------------------------------------------

TARGETS = """
SELECT c.relname AS "table", a.attname AS "column", a.attstattarget AS target,
       format_type(a.atttypid, NULL) AS type
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
"""
# Expressions of an index have statistics of their own; dependencies name their columns.
INDEXES = """
SELECT i.relname AS index, a.attname AS expression, t.relname AS "table", c.attname AS "column",
       a.attstattarget AS target
FROM pg_index x
JOIN pg_class i ON i.oid = x.indexrelid
JOIN pg_class t ON t.oid = x.indrelid
JOIN pg_attribute a ON a.attrelid = i.oid AND x.indkey[a.attnum - 1] = 0
JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = i.oid
    AND d.refclassid = 'pg_class'::regclass AND d.refobjid = t.oid AND d.refobjsubid > 0
JOIN pg_attribute c ON c.attrelid = t.oid AND c.attnum = d.refobjsubid
WHERE i.relnamespace = 'public'::regnamespace
"""
COPIED = {"text", "character varying", "inet", "jsonb"}


@advises
def test_personal_texts_have_no_statistics() -> Iterator[str]:
    personal = {str(column) for column in data_map.columns() if column.privacy != "P0"}
    unsampled = 0
    for row in execute(TARGETS):
        name = f"{row['table']}.{row['column']}"
        location = Location("<app>/migrations/", name)
        is_off = row["target"] == 0
        if is_off != (name in personal and row["type"] in COPIED):
            yield location(f"SET STATISTICS {-1 if is_off else 0} on")
        unsampled += is_off
    assert unsampled > 20
    for row in execute(INDEXES):
        if f"{row['table']}.{row['column']}" in personal and row["target"] != 0:
            location = Location("<app>/migrations/", f"{row['index']}.{row['expression']}")
            yield location("ALTER INDEX … ALTER COLUMN … SET STATISTICS 0 on")
    for row in execute("SELECT stxname FROM pg_statistic_ext"):
        yield Location("<app>/migrations/", row["stxname"])("drop the extended statistics")


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("ALTER TABLE users ALTER COLUMN phone SET STATISTICS -1", "users.phone"),
        ("ALTER TABLE users ALTER COLUMN status SET STATISTICS 0", "users.status"),
        ("CREATE INDEX later ON users (lower(email))", "later.lower"),
        ("CREATE STATISTICS later ON email, status FROM users", "later"),
    ],
)
def test_other_statistics_are_named(statement: str, named: str) -> None:
    execute(statement)
    lines = [*test_personal_texts_have_no_statistics.__wrapped__()]
    assert [named in line for line in lines] == [True]


def test_migration_of_a_column_sets_its_statistics() -> None:
    from identity.models import User

    def target() -> int | None:
        (row,) = execute(
            "SELECT attstattarget AS n FROM pg_attribute "
            "WHERE attrelid = 'users'::regclass AND attname = 'nickname'"
        )
        return row["n"]

    def column(comment: str) -> models.TextField:
        field = models.TextField(null=True, db_comment=comment)
        field.set_attributes_from_name("nickname")
        field.model = User
        return field

    personal = column(classification.p1("nickname"))
    other = column(classification.p0("nickname"))
    with connection.schema_editor(atomic=False) as editor:
        editor.add_field(User, personal)
        assert target() == 0
        editor.alter_field(User, personal, other)
        assert target() in (-1, None)
        editor.alter_field(User, other, personal)
        assert target() == 0
