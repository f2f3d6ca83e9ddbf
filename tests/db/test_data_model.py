"""The catalog of the migrated database is the data model, no more and no less.

data_model.txt is the model as its specification has it; nothing here is read from the models.
"""

from __future__ import annotations

import re

import pytest

from tests.db import catalog
from tests.db.data_model import CLOSED_SETS, COLUMNS, KEYS, REFERENCES, TABLES, Column, Key
from tests.support import execute

pytestmark = pytest.mark.django_db

DJANGOS_OWN = {
    "auth_group",
    "auth_group_permissions",
    "auth_permission",
    "django_admin_log",
    "django_content_type",
    "django_migrations",
    "django_session",
}
# Columns that an index leads with, or the expression, for the queries the specification names.
QUERIES = [
    ("content_items", "content_type slug status", None),
    ("content_items", "content_type published_at", "published"),
    ("content_items", "updated_at", "review"),
    ("content_item_topics", "topic_code content_item_id", None),
    ("availability_slots", "start_at_utc status", None),
    ("availability_slots", "source", None),
    ("anonymous_questions", "status submitted_at", "pending flagged"),
    ("lead_timeline_events", "lead_id occurred_at", None),
    ("outbox_events", "available_at", "published_at"),
]
# Column name to the unit that its comment gives.
UNITS = {
    "_at(_utc)?$": "UTC",
    "_minutes$": "minute",
    "_hours$": "hour",
    "amount$": "rouble",
    "_bytes$": "byte",
    "_ms$": "ms|millisecond",
    "_encrypted$": "sealed",
}
# What no closed set has as a member.
STRANGERS = ["", " ", "none", "null", "unknown ", "DRAFT", "черновик", "usd", "stripe"]

each_table = pytest.mark.parametrize("table", TABLES)


def in_catalog(table: str) -> dict[str, dict]:
    return {c["name"]: c for c in catalog.columns() if c["table"] == table}


def checks(column: Column) -> list[str]:
    """The expression of the CHECK that closes the column's set."""
    found = execute(
        "SELECT pg_get_expr(conbin, conrelid) AS sql FROM pg_constraint "
        "WHERE conname = %s AND conrelid = %s::regclass",
        [f"{column.table}_{column.name}_in_set", column.table],
    )
    return [row["sql"].replace("%", "%%") for row in found]


def accepted(column: Column, values: list) -> list:
    """Those of ``values`` that the CHECK, asked by itself, lets through."""
    (expression,) = checks(column)
    row = f'(SELECT %s::{column.type} AS "{column.name}") AS row'
    ask = f"SELECT ({expression}) IS NOT FALSE AS holds FROM {row}"
    return [value for value in values if execute(ask, [value])[0]["holds"]]


def test_there_are_these_tables_and_djangos_own() -> None:
    relations = execute(
        "SELECT relname AS name FROM pg_class WHERE relkind IN ('r', 'p', 'v', 'm', 'f') "
        "AND relnamespace = 'public'::regnamespace"
    )
    assert {row["name"] for row in relations} == {*TABLES, *DJANGOS_OWN}
    assert len(TABLES) == 52


@each_table
def test_a_table_has_these_columns(table: str) -> None:
    """Name, type, NOT NULL and default of every column."""
    found = {
        name: (c["type"], not c["not_null"], c["default"]) for name, c in in_catalog(table).items()
    }
    assert found == {
        c.name: (c.type, c.is_null, c.default_sql) for c in COLUMNS if c.table == table
    }


@each_table
def test_a_column_says_its_class_and_what_it_is(table: str) -> None:
    comments = {name: c["comment"] or "" for name, c in in_catalog(table).items()}
    assert {name: comment[:2] for name, comment in comments.items()} == {
        c.name: c.privacy for c in COLUMNS if c.table == table
    }
    for name, comment in comments.items():
        assert re.match(r"P[012] · \S.{2,}", comment), name
        assert not re.fullmatch(r"P[012] · \w+\.md", comment), f"{name}: a document is no meaning"
        for ending, unit in UNITS.items():
            assert not re.search(ending, name) or re.search(unit, comment), (name, comment)


@each_table
def test_a_table_says_what_a_row_is(table: str) -> None:
    comment = execute("SELECT obj_description(%s::regclass) AS text", [table])[0]["text"]
    assert len(comment or "") > 10


@each_table
def test_a_table_has_this_primary_key(table: str) -> None:
    keys = [c for c in catalog.constraints() if c["table"] == table and c["kind"] == "p"]
    (column,) = [c.name for c in COLUMNS if c.table == table and c.is_key]
    assert [key["definition"] for key in keys] == [f"PRIMARY KEY ({column})"]


@each_table
def test_a_table_has_these_unique_keys(table: str) -> None:
    indexes = execute(
        """
        SELECT ARRAY(SELECT pg_get_indexdef(x.indexrelid, k, true)
                     FROM generate_series(1, x.indnkeyatts) AS k) AS columns,
               x.indpred IS NOT NULL AS partial, x.indnullsnotdistinct AS nulls_equal,
               coalesce(con.condeferrable, false) AS deferrable
        FROM pg_index x LEFT JOIN pg_constraint con ON con.conindid = x.indexrelid
                                                    AND con.contype = 'u'
        WHERE x.indrelid = %s::regclass AND x.indisunique AND NOT x.indisprimary
        """,
        [table],
    )
    found = set()
    for row in indexes:
        marks = {
            "where": row["partial"],
            "nulls equal": row["nulls_equal"],
            "deferrable": row["deferrable"],
        }
        columns = tuple(column.strip('"') for column in row["columns"])
        found.add(Key(table, columns, " ".join(mark for mark, is_on in marks.items() if is_on)))
    assert found == {key for key in KEYS if key.table == table}
    assert len(found) == len(indexes)


def test_these_references_exist_with_their_delete_action() -> None:
    found = {}
    for row in catalog.constraints():
        if row["kind"] == "f":
            column, parent = re.match(
                r"FOREIGN KEY \((\w+)\) REFERENCES (\w+)\(", row["definition"]
            ).groups()
            found[row["table"], column] = (parent, row["on_delete"], row["is_validated"])
    assert found == {(c.table, c.name): (c.parent, c.on_delete, True) for c in REFERENCES}


def test_these_columns_are_closed_sets() -> None:
    found = {c["name"] for c in catalog.constraints() if c["name"].endswith("_in_set")}
    assert found == {f"{c.table}_{c.name}_in_set" for c in CLOSED_SETS}
    assert all(c["is_validated"] for c in catalog.constraints())


@pytest.mark.parametrize("column", CLOSED_SETS, ids=str)
def test_a_closed_set_has_exactly_these_members(column: Column) -> None:
    """Asked of the CHECK itself, with every member that any set has, and those it names."""
    everyone = {member for other in CLOSED_SETS for member in other.members}
    candidates = everyone | set(STRANGERS) | set(re.findall(r"'([^']*)'::text", *checks(column)))
    values = [[c] for c in candidates] if column.is_array else candidates
    found = accepted(column, sorted(values))
    assert sorted(v[0] if column.is_array else v for v in found) == sorted(column.members)


@each_table
def test_an_index_says_which_query_it_serves(table: str) -> None:
    """Unless it is there for a key or a rule."""
    indexes = [i for i in catalog.indexes() if i["table"] == table]
    assert indexes
    for index in indexes:
        by_itself = not (index["of_constraint"] or index["is_unique"])
        assert not by_itself or len(index["comment"] or "") > 5, index["name"]


@pytest.mark.parametrize(("table", "columns", "only"), QUERIES)
def test_a_query_that_the_model_names_has_its_index(
    table: str, columns: str, only: str | None
) -> None:
    indexes = execute(
        """
        SELECT ARRAY(SELECT pg_get_indexdef(indexrelid, k, true)
                     FROM generate_series(1, indnkeyatts) AS k) AS columns,
               coalesce(pg_get_expr(indpred, indrelid), '') AS condition
        FROM pg_index WHERE indrelid = %s::regclass AND indisvalid
        """,
        [table],
    )
    wanted = columns.split()
    assert [
        i
        for i in indexes
        if i["columns"][: len(wanted)] == wanted
        and (all(word in i["condition"] for word in only.split()) if only else not i["condition"])
    ]
