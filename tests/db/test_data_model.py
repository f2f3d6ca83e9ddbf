"""The catalog of the migrated database equals the data model.

data_model.txt transcribes the specification; these tests read nothing from the Django models.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator

import pytest

from tests.advice import DATA_MODEL, advises, of_column, of_data_model, of_rule, of_table
from tests.db import catalog
from tests.db.data_model import CLOSED_SETS, COLUMNS, KEYS, REFERENCES, TABLES, Column, Key
from tests.support import execute

pytestmark = pytest.mark.django_db

PERIOD = ["period text", "first_day date", "last_day date"]
# Name to columns, in order.
VIEWS = {
    "bookable_slots": [
        "slot_id uuid",
        "service_id uuid",
        "start_at_utc timestamp with time zone",
        "end_at_utc timestamp with time zone",
        "buffer_minutes smallint",
    ],
    "metric_periods": [*PERIOD, "zone text", "environment text"],
    "metric_booking_funnel": [
        *PERIOD,
        "dimension text",
        "value text",
        "started bigint",
        "slot_selected bigint",
        "paid bigint",
        "confirmed bigint",
    ],
    "metric_no_slots": [*PERIOD, "starts bigint", "no_slots bigint", "waitlist bigint"],
    "metric_payments": [*PERIOD, "category text", "payments bigint"],
    "metric_no_show": [*PERIOD, "attended bigint", "no_show bigint", "unrecorded bigint"],
    "metric_revenue": [
        *PERIOD,
        "gross bigint",
        "refunded bigint",
        "net bigint",
        "payments bigint",
        "average bigint",
        "previous_net bigint",
    ],
    "metric_retention": [*PERIOD, "month text", "size bigint", "active bigint[]"],
    "metric_interactives": [
        *PERIOD,
        "type text",
        "slug text",
        "topic text",
        "started bigint",
        "completed bigint",
        "low bigint",
        "moderate bigint",
        "high bigint",
        "cta bigint",
    ],
    "metric_telegram": [
        *PERIOD,
        "clicks bigint",
        "subscribed bigint",
        "onboarded bigint",
        "stopped bigint",
        "returned_1 bigint",
        "returned_7 bigint",
        "returned_30 bigint",
    ],
    "metric_moderation": [
        *PERIOD,
        "queue bigint",
        "overdue bigint",
        "oldest_hours numeric",
        "decided bigint",
        "mean_hours numeric",
        "p90_hours numeric",
        "within_due bigint",
        "rejected bigint",
        "crisis bigint",
        "answer_mean_hours numeric",
    ],
}
# These read with the privileges of their owner, all others with those of the role that asks.
OWNERS_VIEWS = {name for name in VIEWS if name.startswith("metric_")}
DJANGOS_OWN = {
    "auth_group",
    "auth_group_permissions",
    "auth_permission",
    "django_admin_log",
    "django_content_type",
    "django_migrations",
    "django_session",
}
# Leading columns or expression of an index for each query that the specification names.
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
# Column name to the unit in its comment.
UNITS = {
    "_at(_utc)?$": "UTC",
    "_minutes$": "minute",
    "_hours$": "hour",
    "amount$": "rouble",
    "_bytes$": "byte",
    "_ms$": "ms|millisecond",
    "_encrypted$": "sealed",
}
# Values that are members of no closed set.
NO_MEMBERS = ["", " ", "none", "null", "unknown ", "DRAFT", "черновик", "usd", "stripe"]

ANYONES = {member for column in CLOSED_SETS for member in column.members}
NEAR_A_MEMBER = [
    str.swapcase,
    str.capitalize,
    *(f"{before}{{}}{after}".format for before, after in [(" ", ""), ("", " "), ("", "\n")]),
    "{}\u200b".format,
]


def checks(column: Column) -> list[str]:
    """The expression of the CHECK that closes the column's set."""
    rows = execute(
        "SELECT pg_get_expr(conbin, conrelid) AS sql FROM pg_constraint "
        "WHERE conname = %s AND conrelid = %s::regclass",
        [f"{column.table}_{column.name}_in_set", column.table],
    )
    return [row["sql"].replace("%", "%%") for row in rows]


def accepted(column: Column, members: Iterable[str]) -> set[str]:
    """The ``members`` that the CHECK alone accepts."""
    (expression,) = checks(column)
    value = "ARRAY[member]" if column.is_array else "member"
    row = f'(SELECT member, {value} AS "{column.name}" FROM unnest(%s::text[]) AS member) AS row'
    rows = execute(f"SELECT member FROM {row} WHERE ({expression}) IS NOT FALSE", [[*members]])
    return {row["member"] for row in rows}


def differ(actual: object, expected: object) -> str:
    return f"the database has {actual}, {DATA_MODEL} has {expected}"


@advises
def test_tables_are_those_of_the_model_and_of_django() -> Iterator[str]:
    relations = execute(
        "SELECT relname AS name FROM pg_class WHERE relkind IN ('r', 'p', 'v', 'm', 'f') "
        "AND relnamespace = 'public'::regnamespace"
    )
    actual = {row["name"] for row in relations}
    for table in actual - {*TABLES, *DJANGOS_OWN, *VIEWS}:
        yield of_data_model(f"[{table}]")(
            "write the table as the specification has it under",
            f"it is a relation of the database, from {of_table(table).file}",
        )
    for table in {*TABLES, *DJANGOS_OWN} - actual:
        yield of_table(table)("declare", f"{DATA_MODEL} has [{table}], the database has not")
    assert len(TABLES) == 63


def test_views_have_the_columns_of_the_model() -> None:
    rows = execute(
        "SELECT c.relname AS name, array_agg(a.attname::text || ' ' || "
        "    format_type(a.atttypid, a.atttypmod) ORDER BY a.attnum) AS columns, "
        "    c.reloptions::text[] AS options "
        "FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 "
        "WHERE c.relkind IN ('v', 'm') AND c.relnamespace = 'public'::regnamespace "
        "GROUP BY c.oid"
    )
    assert {row["name"]: row["columns"] for row in rows} == VIEWS
    assert {row["name"]: row["options"] for row in rows} == {
        name: ["security_barrier=true" if name in OWNERS_VIEWS else "security_invoker=true"]
        for name in VIEWS
    }


@advises
def test_columns_are_those_of_the_model() -> Iterator[str]:
    """Name, type, NOT NULL and default of every column."""
    actual = {
        (c["table"], c["name"]): (c["type"], not c["not_null"], c["default"])
        for c in catalog.columns()
    }
    expected = {(c.table, c.name): (c.type, c.is_null, c.default_sql) for c in COLUMNS}
    for table, name in actual.keys() - expected.keys():
        location = of_column(table, name)
        yield of_data_model(f"[{table}] {name}")(
            "write a line for the column as the specification has it, under",
            f"it is declared in {location.file} as `{location.declaration}`",
        )
    for table, name in expected.keys() - actual.keys():
        yield of_column(table, name)("declare", f"{DATA_MODEL} has it, the database has not")
    for key in actual.keys() & expected.keys():
        if actual[key] != expected[key]:
            yield of_column(*key)(
                "correct type, null or db_default of",
                differ(actual[key], expected[key]) + " (type, may be NULL, default)",
            )


@advises
def test_comments_give_class_and_meaning() -> Iterator[str]:
    classes = {(c.table, c.name): c.privacy for c in COLUMNS}
    for column in catalog.columns():
        where, comment = (column["table"], column["name"]), column["comment"] or ""
        location = of_column(*where)
        if comment[:2] != classes.get(where):
            actual, expected = comment[:2] or None, classes.get(where, "no line")
            yield location("declare p0()/p1()/p2() beside", differ(actual, expected))
        elif not re.match(r"P[012] · \S.{2,}", comment) or re.fullmatch(
            r"P[012] · \w+\.md", comment
        ):
            yield location("describe the column in the db_comment of", f"it is {comment!r}")
        for ending, unit in UNITS.items():
            if re.search(ending, where[1]) and not re.search(unit, comment):
                yield location(f"give the unit ({unit}) in the db_comment of", f"it is {comment!r}")


@advises
def test_comments_of_tables_describe_a_row() -> Iterator[str]:
    for row in execute(
        "SELECT name, obj_description(name::regclass) AS text FROM unnest(%s::text[]) AS name",
        [TABLES],
    ):
        if len(row["text"] or "") <= 10:
            yield of_table(row["name"])(
                "describe a row in Meta.db_table_comment of", f"it is {row['text']!r}"
            )


@advises
def test_primary_keys_are_those_of_the_model() -> Iterator[str]:
    actual = {t: [] for t in TABLES}
    for row in catalog.constraints():
        if row["kind"] == "p":
            actual[row["table"]].append(row["definition"])
    for table in TABLES:
        (column,) = [c.name for c in COLUMNS if c.table == table and c.is_key]
        if actual[table] != [expected := f"PRIMARY KEY ({column})"]:
            yield of_column(table, column)(
                "set primary_key=True on", differ(actual[table], expected)
            )


@advises
def test_unique_keys_are_those_of_the_model() -> Iterator[str]:
    indexes = execute(
        """
        SELECT x.indrelid::regclass::text AS "table",
               ARRAY(SELECT pg_get_indexdef(x.indexrelid, k, true)
                     FROM generate_series(1, x.indnkeyatts) AS k) AS columns,
               x.indpred IS NOT NULL AS partial, x.indnullsnotdistinct AS nulls_equal,
               coalesce(con.condeferrable, false) AS deferrable
        FROM pg_index x LEFT JOIN pg_constraint con ON con.conindid = x.indexrelid
                                                    AND con.contype = 'u'
        WHERE x.indrelid = ANY (%s::regclass[]) AND x.indisunique AND NOT x.indisprimary
        """,
        [TABLES],
    )
    actual = Counter()
    for row in indexes:
        marks = {
            "where": row["partial"],
            "nulls equal": row["nulls_equal"],
            "deferrable": row["deferrable"],
        }
        columns = tuple(column.strip('"') for column in row["columns"])
        special = " ".join(mark for mark, is_on in marks.items() if is_on)
        actual[Key(row["table"], columns, special)] += 1
    for key in actual.keys() - {*KEYS}:
        yield of_data_model(f"[{key.table}] unique {' '.join(key.columns)} {key.special}".strip())(
            "write a line for the key as the specification has it,",
            f"the model is in {of_table(key.table).file}",
        )
    for key in {*KEYS} - actual.keys():
        yield of_table(key.table)(
            f"declare unique=True or a UniqueConstraint over {key.columns} {key.special} in",
            f"{DATA_MODEL} has this key",
        )
    for key, number in actual.items():
        if number > 1:
            yield of_table(key.table)(
                "keep one of the unique indexes in", f"{number} have {key.columns}"
            )


@advises
def test_references_are_those_of_the_model() -> Iterator[str]:
    actual = {}
    for row in catalog.constraints():
        if row["kind"] == "f":
            column, parent = re.match(
                r"FOREIGN KEY \((\w+)\) REFERENCES (\w+)\(", row["definition"]
            ).groups()
            actual[row["table"], column] = (parent, row["on_delete"], row["is_validated"])
    expected = {(c.table, c.name): (c.parent, c.on_delete, True) for c in REFERENCES}
    for key in actual.keys() | expected.keys():
        if actual.get(key) != expected.get(key):
            yield of_column(*key)(
                f"correct on_delete of the reference, or its FK in {DATA_MODEL}:",
                differ(actual.get(key), expected.get(key)) + " (parent, action, is validated)",
            )


@advises
def test_closed_sets_are_those_of_the_model() -> Iterator[str]:
    rows = catalog.constraints()
    actual = {c["name"]: c["table"] for c in rows if c["name"].endswith("_in_set")}
    expected = {f"{c.table}_{c.name}_in_set": c for c in CLOSED_SETS}
    for name in actual.keys() - expected.keys():
        location = of_rule(actual[name], name)
        yield of_data_model(name.removesuffix("_in_set"))(
            "write the members in braces in the line of the column",
            f"the set is declared in {location.file}",
        )
    for name in expected.keys() - actual.keys():
        yield of_column(expected[name].table, expected[name].name)(
            "declare a ClosedSet as", f"{DATA_MODEL} has the members {expected[name].members}"
        )
    for row in rows:
        if not row["is_validated"]:
            yield of_rule(row["table"], row["name"])(
                "validate in a migration", "the constraint is NOT VALID"
            )


@advises
def test_closed_sets_have_exactly_their_members() -> Iterator[str]:
    """Checks the CHECK itself with the members of all sets and with the values in its text."""
    for column in CLOSED_SETS:
        named = re.findall(r"'([^']*)'::text", *checks(column))
        near = {change(column.members[0]) for change in NEAR_A_MEMBER}
        actual = accepted(column, {*ANYONES, *NO_MEMBERS, *named, *near})
        if actual != {*column.members}:
            yield of_column(column.table, column.name)(
                f"correct the TextChoices of the set (or the braces in {DATA_MODEL}) of",
                f"the database accepts {sorted(actual - {*column.members})[:5]} more and refuses "
                f"{sorted({*column.members} - actual)} of {DATA_MODEL}",
            )


@advises
def test_queries_of_the_model_have_their_index() -> Iterator[str]:
    for table, columns, only in QUERIES:
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
        if not any(
            index["columns"][: len(wanted)] == wanted
            and (
                all(word in index["condition"] for word in only.split())
                if only
                else not index["condition"]
            )
            for index in indexes
        ):
            yield of_table(table)(
                f"declare an Index(fields={wanted}, serves=…) in",
                f"the specification names the query{f' (only {only})' if only else ''}",
            )


# A fault, the check that detects it, and its advice.
FAULTS = {
    "a table": (
        "CREATE TABLE notes (id uuid)",
        test_tables_are_those_of_the_model_and_of_django,
        "tests/db/data_model.txt: write the table as the specification has it under `[notes]`",
    ),
    "a column": (
        "ALTER TABLE appointments ADD jotting text",
        test_columns_are_those_of_the_model,
        "tests/db/data_model.txt: write a line for the column as the specification has it, under "
        "`[appointments] jotting`: it is declared in booking/models/appointments.py:",
    ),
    "a column without a comment": (
        "ALTER TABLE appointments ADD jotting text",
        test_comments_give_class_and_meaning,
        "booking/models/appointments.py:{line}: declare p0()/p1()/p2() beside "
        "`Appointment.jotting`",
    ),
    "a default": (
        "ALTER TABLE appointments ALTER client_user_id SET DEFAULT uuid7()",
        test_columns_are_those_of_the_model,
        "booking/models/appointments.py:{line}: correct type, null or db_default of "
        "`Appointment.client`",
    ),
    "a unit": (
        "COMMENT ON COLUMN appointments.buffer_minutes IS 'P0 · break kept after it'",
        test_comments_give_class_and_meaning,
        "booking/models/appointments.py:{line}: give the unit (minute) in the db_comment of "
        "`Appointment.buffer_minutes`",
    ),
    "a table without a meaning": (
        "COMMENT ON TABLE appointments IS NULL",
        test_comments_of_tables_describe_a_row,
        "booking/models/appointments.py:{line}: describe a row in Meta.db_table_comment of "
        "`Appointment`",
    ),
    "no key": (
        "ALTER TABLE lead_notes DROP CONSTRAINT lead_notes_pkey",
        test_primary_keys_are_those_of_the_model,
        "`LeadNote.id`",
    ),
    "a unique key": (
        "CREATE UNIQUE INDEX appointments_one_zone ON appointments (timezone)",
        test_unique_keys_are_those_of_the_model,
        "tests/db/data_model.txt: write a line for the key as the specification has it, "
        "`[appointments] unique timezone`",
    ),
    "a key twice": (
        "CREATE UNIQUE INDEX users_email_again ON users (email)",
        test_unique_keys_are_those_of_the_model,
        "keep one of the unique indexes in `User`",
    ),
    "no key of the model": (
        "ALTER TABLE users DROP CONSTRAINT users_email_unique",
        test_unique_keys_are_those_of_the_model,
        "declare unique=True or a UniqueConstraint over ('email',)  in `User`",
    ),
    "a reference": (
        "ALTER TABLE appointments DROP CONSTRAINT appointments_client_user_id_fk",
        test_references_are_those_of_the_model,
        "booking/models/appointments.py:{line}: correct on_delete of the reference, or its FK in "
        "tests/db/data_model.txt: `Appointment.client`",
    ),
    "no closed set": (
        "ALTER TABLE appointments DROP CONSTRAINT appointments_status_in_set",
        test_closed_sets_are_those_of_the_model,
        "booking/models/appointments.py:{line}: declare a ClosedSet as `Appointment.status`",
    ),
    "a set not validated": (
        "ALTER TABLE appointments ADD CONSTRAINT appointments_zone_in_set CHECK (true) NOT VALID",
        test_closed_sets_are_those_of_the_model,
        "booking/models/appointments.py:{line}: validate in a migration `appointments_zone_in_set`",
    ),
    "another member": (
        "ALTER TABLE appointments DROP CONSTRAINT appointments_format_in_set, "
        "ADD CONSTRAINT appointments_format_in_set CHECK (format IN ('online', 'offline', 'tv'))",
        test_closed_sets_have_exactly_their_members,
        "correct the TextChoices of the set (or the braces in tests/db/data_model.txt) of "
        "`Appointment.format`",
    ),
    "a query without an index": (
        "DROP INDEX lead_timeline_events_of_lead",
        test_queries_of_the_model_have_their_index,
        "declare an Index(fields=['lead_id', 'occurred_at'], serves=…) in `LeadTimelineEvent`",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_advice_names_file_and_declaration(fault: str) -> None:
    statement, test, advice = FAULTS[fault]
    line = of_table("appointments").file.rpartition(":")[2]
    execute(statement)
    lines = [*test.__wrapped__()]
    assert [each for each in lines if advice.replace("{line}", line) in each], lines
