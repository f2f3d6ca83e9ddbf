"""The length and the kind of every text (data-model.md §0), over the live catalog.

A text column has a length, and it is one of three: editorial, technical with a form of its own, or
personal. A new column that is none of these fails here, with the file and the declaration to edit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.postgres.fields import ArrayField
from django.db import models

from ebalance.db.fields import ClosedSet
from ebalance.db.lengths import HasLength
from tests.adversarial_sql import refuses_by_any_rule
from tests.advice import advises, of_column, of_rule
from tests.db import catalog
from tests.db.test_patterns import app_of, good_row, row_with
from tests.support import case_loop, check_full_clean, execute, insert_sql

pytestmark = pytest.mark.django_db
FILE = "tests/db/test_texts.py"

# data-model.md §0, "Lengths": name of the column to the most characters that it may have.
LIMITS = {
    r"slug|entity_ref|source_page|entity_key": 120,
    r"title|seo_title|subject|name|display_name|synonym": 200,
    r"email": 254,
    r"phone": 16,
    r"telegram_user_id": 20,
    r"telegram_username": 32,
    r"password|code_hash": 128,
    r"user_agent": 300,
    r"provider_(payment|refund)_id|idempotency_key|anonymous_id|deep_link_id|holder": 64,
    r"key_hash|statement_hash|cursor": 64,
    r"provider_event_id|provider_message_id|dedupe_key|client_request_id|external\w*_event_id": 200,
    r"object_key|file_url": 500,
    r"public_url|canonical_url|meeting_url": 2_000,
    r"excerpt|short_definition|note|alt_text|(seo_|meta_)?(description|keywords)": 2_000,
    r"offline_address|location_text": 2_000,
    r"\w+_markdown": 200_000,
    r"\w+_encrypted": 400_000,
    r"\w+_bidx": 64,
    # Codes, and what is as short: names of zones, MIME types, versions, ids of keys.
    r"key_id|to_key|to_index_key|version|language|currency|app_label": 60,
    r"code|key|action|\w*_type|(event|table)_name|last_error|timezone|schema_version": 60,
    r"sources|allowed|trigger_flags": 60,
    # JSON, counted as text.
    r"config|old_value|new_value": 200_000,
    r"meta|counts|payload|value": 20_000,
}
# JSON that the tracking plan bounds: few keys, each value of a kind that has a length.
BOUNDED_BY_PLAN = {
    ("leads", "utm"),
    ("lead_timeline_events", "properties"),
    ("analytics_events", "page"),
    ("analytics_events", "acquisition"),
    ("analytics_events", "properties"),
}
# P0 texts that staff write for readers: titles, texts, search engines.
EDITORIAL = {
    ("content_items", "title"),
    ("content_items", "excerpt"),
    ("content_items", "body_markdown"),
    ("content_items", "seo_title"),
    ("content_items", "seo_description"),
    ("content_items", "seo_keywords"),
    ("content_revisions", "title"),
    ("content_revisions", "excerpt"),
    ("content_revisions", "body_markdown"),
    ("curated_collections", "title"),
    ("curated_items", "note"),
    ("glossary_term_synonyms", "synonym"),
    ("glossary_terms", "title"),
    ("glossary_terms", "short_definition"),
    ("glossary_terms", "body_markdown"),
    ("glossary_terms", "meta_description"),
    ("glossary_terms", "keywords"),
    ("interactive_definitions", "title"),
    ("media_assets", "title"),
    ("media_assets", "alt_text"),
    ("message_template_versions", "subject"),
    ("message_template_versions", "body_markdown"),
    ("message_templates", "name"),
    ("services", "title"),
    ("services", "description_markdown"),
    ("services", "offline_address"),
    ("tags", "title"),
    ("topics", "title"),
}
PERSONAL = ["Иван Петров", "Ivan Petrov", "ivan@example.com", "+79991234567", "8 999 123-45-67"]
BARE_PHONE = "79991234567"
# Slugs and names of files are addresses, the ids of keys are ours; data-model.md gives their forms.
MAY_BE_DIGITS = re.compile(r"slug|object_key|key_id|to_key|to_index_key")
# A B-tree refuses a longer row of an index, with SQLSTATE 54000.
INDEX_LIMIT = 2_704
FIXED_SIZES = {"uuid": 16, "date": 4, "integer": 4, "smallint": 2, "boolean": 1, "inet": 19}
BYTES_OF_A_CHARACTER = 4


def text_columns() -> list[dict[str, Any]]:
    """Columns with texts, except references: they are as long as the key that they refer to."""
    references = {
        (row["table"], re.match(r"FOREIGN KEY \((\w+)\)", row["definition"])[1])
        for row in catalog.constraints()
        if row["kind"] == "f"
    }
    return [
        column
        for column in catalog.columns()
        if column["type"] in {"text", "text[]", "jsonb"}
        and (column["table"], column["name"]) not in references
    ]


def checks_of(table: str, column: str) -> dict[str, str]:
    """The CHECKs about this column alone: name to expression."""
    rows = execute(
        """
        SELECT con.conname AS name, pg_get_expr(con.conbin, con.conrelid) AS sql
        FROM pg_constraint con
        JOIN pg_attribute a ON a.attrelid = con.conrelid AND con.conkey = ARRAY[a.attnum]
        WHERE con.contype = 'c' AND con.conrelid = %s::regclass AND a.attname = %s
        """,
        [table, column],
    )
    return {row["name"]: row["sql"] for row in rows}


def length_in(checks: dict[str, str], table: str, column: str) -> int | None:
    sql = checks.get(f"{table}_{column}_has_length", "")
    limit = re.search(r"(?:<= |, )(\d+)\)+$", sql)
    return int(limit[1]) if limit else None


def is_closed_set(table: str, column: str) -> bool:
    return f"{table}_{column}_in_set" in checks_of(table, column)


@advises
def test_texts_have_a_length() -> Iterator[str]:
    seen = set()
    for column in text_columns():
        where = (column["table"], column["name"])
        if where in BOUNDED_BY_PLAN:
            seen.add(where)
            continue
        if column["type"] == "text" and is_closed_set(*where):
            continue
        length = length_in(checks_of(*where), *where)
        patterns = [pattern for pattern in LIMITS if re.fullmatch(pattern, where[1])]
        if length is None:
            yield of_column(*where)(
                "declare max_length= (ebalance/db/lengths.py; SingleLineTextField, Text, SizedJSON "
                "or TextList) and make a migration for",
                f"the CHECK {where[0]}_{where[1]}_has_length is missing",
            )
        elif len(patterns) != 1:
            yield f"{FILE}: list the length of `{'.'.join(where)}` once in LIMITS"
        elif length != LIMITS[patterns[0]]:
            yield of_column(*where)(
                f"declare max_length={LIMITS[patterns[0]]} (or correct LIMITS in {FILE}) for",
                f"it is {length}",
            )
    for table, column in BOUNDED_BY_PLAN - seen:
        yield f"{FILE}: remove `{table}.{column}` from BOUNDED_BY_PLAN: there is no such column"


@advises
def test_safe_texts_are_editorial_or_have_a_form() -> Iterator[str]:
    """By the column's own CHECKs, which refuse a name, an e-mail and a phone number."""
    seen = set()
    for column in text_columns():
        where = (column["table"], column["name"])
        if (column["comment"] or "")[:2] != "P0" or column["type"] == "jsonb":
            continue
        seen.add(where)
        if where in EDITORIAL:
            continue
        values = [*PERSONAL] if MAY_BE_DIGITS.fullmatch(where[1]) else [*PERSONAL, BARE_PHONE]
        for value in values:
            if not refused_by_form(*where, value, is_list=column["type"] == "text[]"):
                yield of_column(*where)(
                    "give a form (rules.code, slug, opaque_id, matches; an ExternalId), declare "
                    f"p1()/p2(), or list the column in EDITORIAL in {FILE}, for",
                    f"its CHECKs take {value!r}",
                )
                break
    for table, column in EDITORIAL - seen:
        yield f"{FILE}: remove `{table}.{column}` from EDITORIAL: there is no such P0 text"


def refused_by_form(table: str, column: str, value: str, *, is_list: bool) -> bool:
    kind = "text[]" if is_list else "text"
    given = [value] if is_list else value
    return any(
        row["refuses"]
        for sql in checks_of(table, column).values()
        for row in execute(
            f'SELECT ({sql}) IS FALSE AS refuses FROM (SELECT %s::{kind} AS "{column}") AS one',
            [given],
        )
    )


@advises
def test_rows_of_an_index_are_short_enough() -> Iterator[str]:
    """Nothing that a column may hold is too long for an index on it."""
    columns = {(c["table"], c["name"]): c for c in catalog.columns()}
    keys = {
        (row["table"], re.match(r"FOREIGN KEY \((\w+)\)", row["definition"])[1])
        for row in catalog.constraints()
        if row["kind"] == "f"
    }
    for row in execute(
        """
        SELECT t.relname AS "table", i.relname AS name, array_agg(a.attname::text) AS columns
        FROM pg_index x
        JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid
        JOIN pg_depend d ON d.objid = i.oid AND d.refobjid = t.oid AND d.refobjsubid > 0
        JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid
        WHERE t.relname = ANY (%s) GROUP BY 1, 2
        """,
        [catalog.project_tables()],
    ):
        size = 0
        for name in row["columns"]:
            where = (row["table"], name)
            kind = columns[where]["type"]
            if kind != "text" or where in keys or is_closed_set(*where):
                size += FIXED_SIZES.get(kind, 64 * BYTES_OF_A_CHARACTER)
                continue
            checks = checks_of(*where)
            limit = length_in(checks, *where) or INDEX_LIMIT
            is_ascii = refused_by_form(*where, "я" * 8, is_list=False)
            size += limit * (1 if is_ascii else BYTES_OF_A_CHARACTER)
        if size > INDEX_LIMIT - 8:
            yield of_rule(row["table"], row["name"])(
                "shorten the columns of", f"its rows may have {size} bytes"
            )


# -- the lengths themselves ------------------------------------------------------------------------


def measured() -> list[tuple[str, HasLength]]:
    """``table.column`` and the field of every column with a length."""
    return [
        (f"{model._meta.db_table}.{field.column}", field)
        for model in catalog.project_models()
        for field in model._meta.concrete_fields
        if isinstance(field, HasLength)
    ]


def text_of(field: HasLength, size: int) -> Any:
    if isinstance(field, ArrayField):
        return ["я" * size]
    # With its quotes, a JSON text has as many characters.
    return '"' + "я" * (size - 2) + '"' if isinstance(field, models.JSONField) else "я" * size


def test_length_is_counted_in_characters_up_to_its_end() -> None:
    """By the CHECK alone: Russian letters, of which each has two bytes."""
    with case_loop() as case:
        for target, field in measured():
            with case(target):
                table, column = target.split(".")
                sql = checks_of(table, column)[f"{table}_{column}_has_length"]
                kind = "text[]" if isinstance(field, ArrayField) else "text"
                kind = "jsonb" if isinstance(field, models.JSONField) else kind
                for size, fits in [(field.limit, True), (field.limit + 1, False)]:
                    (row,) = execute(
                        f'SELECT ({sql}) AS fits FROM (SELECT %s::{kind} AS "{column}") AS one',
                        [text_of(field, size)],
                    )
                    assert row["fits"] is fits, size


def test_list_has_a_greatest_number_of_members() -> None:
    (row,) = execute(
        "SELECT public.has_lengths(array_fill('a'::text, ARRAY[100]), 100, 60) AS most, "
        "public.has_lengths(array_fill('a'::text, ARRAY[101]), 100, 60) AS more"
    )
    assert (row["most"], row["more"]) == (True, False)


PLAIN = [
    (target, field)
    for target, field in measured()
    if field.editable and type(field).__mro__[1] is not ArrayField
    if isinstance(field, models.TextField) and not target.endswith(("_encrypted", "_bidx"))
]


@pytest.mark.parametrize("app", sorted({app_of(target) for target, _field in PLAIN}))
def test_longer_texts_are_refused_by_name(app: str) -> None:
    """By an INSERT with raw SQL, and by full_clean() with a sentence."""
    with case_loop() as case:
        for target, field in PLAIN:
            if app_of(target) != app:
                continue
            table, column = target.split(".")
            with case(target):
                row = row_with(target, "a" * (field.limit + 1))
                check_full_clean(row, f"{table}_{column}_has_length")
                with refuses_by_any_rule():
                    insert_sql(row)


def test_longest_texts_are_stored() -> None:
    """Editorial texts, of letters of four bytes."""
    with case_loop() as case:
        for table, column in sorted(EDITORIAL):
            with case(f"{table}.{column}"):
                row = good_row(f"{table}.{column}")
                field = next(f for f in row._meta.concrete_fields if f.column == column)
                assert isinstance(field, HasLength)
                setattr(row, field.attname, "🌅" * field.limit)
                insert_sql(row)


# -- advice ----------------------------------------------------------------------------------------

A = "booking/models/appointments.py:"
FAULTS = {
    "a text without a length": (
        "ALTER TABLE appointments ADD COLUMN remark text",
        test_texts_have_a_length,
        "declare max_length= (ebalance/db/lengths.py; SingleLineTextField, Text, SizedJSON or "
        "TextList) and make a migration for `Appointment.remark`: the CHECK "
        "appointments_remark_has_length is missing",
    ),
    "a list without a length": (
        "ALTER TABLE appointments ADD COLUMN remarks text[]",
        test_texts_have_a_length,
        "declare max_length= (ebalance/db/lengths.py; SingleLineTextField, Text, SizedJSON or "
        "TextList) and make a migration for `Appointment.remarks`",
    ),
    "JSON without a length": (
        "ALTER TABLE appointments ADD COLUMN facts jsonb",
        test_texts_have_a_length,
        "declare max_length= (ebalance/db/lengths.py; SingleLineTextField, Text, SizedJSON or "
        "TextList) and make a migration for `Appointment.facts`",
    ),
    "another length": (
        "ALTER TABLE appointments DROP CONSTRAINT appointments_meeting_url_has_length, "
        "ADD CONSTRAINT appointments_meeting_url_has_length CHECK (length(meeting_url) <= 5000)",
        test_texts_have_a_length,
        f"declare max_length=2000 (or correct LIMITS in {FILE}) for `Appointment.meeting_url`: "
        "it is 5000",
    ),
    "a safe text without a form": (
        "ALTER TABLE appointments ADD COLUMN remark text; "
        "COMMENT ON COLUMN appointments.remark IS 'P0 · a remark'",
        test_safe_texts_are_editorial_or_have_a_form,
        "give a form (rules.code, slug, opaque_id, matches; an ExternalId), declare p1()/p2(), or "
        f"list the column in EDITORIAL in {FILE}, for `Appointment.remark`: its CHECKs take "
        "'Иван Петров'",
    ),
    "an index on a long text": (
        "CREATE INDEX appointments_by_place ON appointments (location_text)",
        test_rows_of_an_index_are_short_enough,
        "shorten the columns of `appointments_by_place`: its rows may have 8000 bytes",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_advice_names_the_file_and_the_declaration(fault: str) -> None:
    statement, test, advice = FAULTS[fault]
    execute(statement)
    lines = [*test.__wrapped__()]
    assert [line for line in lines if line.startswith(A) and advice in line], lines


def test_column_without_a_length_fails_the_check_of_the_models() -> None:
    field = ClosedSet(null=True)
    assert not isinstance(field, HasLength)

    class Planted(HasLength, models.TextField):
        pass

    planted = Planted()
    planted.set_attributes_from_name("remark")
    planted.model = catalog.model_of("appointments")
    (error,) = [fault for fault in planted.check() if fault.id == "ebalance.E001"]
    assert "max_length" in str(error.hint)
