"""CHECKs, indexes and generated columns depend on their row alone (data-model.md §0).

A function is followed into the functions that it calls. PostgreSQL believes a function that is
marked IMMUTABLE; these tests read its body.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import transaction

from tests.advice import Location, advises
from tests.support import execute

pytestmark = pytest.mark.django_db
LIST = "tests/db/test_immutable.py"

# The functions that CHECKs, indexes and generated columns call, each group with its reason.
ALLOWED = {
    "compare two values of the same kind": """
        date_ge(date,date) date_lt(date,date) int24ge(smallint,integer) int24le(smallint,integer)
        int48eq(integer,bigint) int4eq(integer,integer) int4ge(integer,integer)
        int4le(integer,integer) int8le(bigint,bigint) int84ge(bigint,integer)
        int84gt(bigint,integer) int84le(bigint,integer) numeric_ge(numeric,numeric)
        numeric_lt(numeric,numeric) texteq(text,text)
        time_gt(time_without_time_zone,time_without_time_zone)
        time_le(time_without_time_zone,time_without_time_zone)
        timestamptz_ge(timestamp_with_time_zone,timestamp_with_time_zone) uuid_eq(uuid,uuid)
    """,
    "convert a number without loss": "numeric(bigint) numeric(integer) int4(smallint)",
    "add days to a day": "date_pli(date,integer)",
    "count the characters of a text": "length(text)",
    "read an array": "array_length(anyarray,integer) arraycontained(anyarray,anyarray) "
    "array_position(anycompatiblearray,anycompatible)",
    "compare a text with a pattern of the rule": "textlike(text,text) textregexeq(text,text)",
    "fold letters by the locale with which the database was created": "lower(text)",
    "of this project, parsed when it was created: its calls are in the catalog": """
        are_p0_codes(text[]) has_no_duplicates(text[]) is_code(text)
        busy_range(timestamp_with_time_zone,timestamp_with_time_zone,integer)
        has_lengths(text[],integer,integer) json_has_length(jsonb,integer)
        is_email(text) is_finite(date) is_finite(timestamp_with_time_zone) is_json_object(jsonb)
        is_link_lifetime(timestamp_with_time_zone,timestamp_with_time_zone)
        is_lower_case(text) is_row_counts(jsonb) is_sealed(text)
        is_session_length(timestamp_with_time_zone,timestamp_with_time_zone)
        is_visible(text) is_zone_form(text)
    """,
    "of this project, over the keys and kinds of a JSON value": """
        is_audit_value(jsonb) is_outbox_payload(jsonb) is_utm(jsonb)
    """,
}
# In a body that is parsed when it runs a call has a name only. Each overload of the name is
# IMMUTABLE, except of these.
RIGHT_OVERLOAD = {
    "extract": "of a timestamp without a zone",
    "length": "of a text; only length(bytea, name) asks for an encoding",
}
KEYWORDS = {
    *("coalesce", "greatest", "least", "nullif"),
    *("all", "and", "any", "array", "as", "by", "case", "else", "elsif", "exists", "for", "from"),
    *("if", "in", "loop", "not", "or", "over", "return", "select", "then", "values", "when"),
    *("where", "with"),
}
SAFE_CASTS = {"text", "text[]", "int", "bigint", "numeric", "jsonb", "boolean", "uuid"}
SAFE_RESULTS = {"16", "20", "23", "25", "1009", "1700", "2950", "3802"}  # OIDs of SAFE_CASTS
# Words that ask for the clock or the session, write, or hide what they do.
SUSPECT = re.compile(
    r"\b(current_\w+|session_user|localtime\w*|execute|perform|insert|update|delete|table|query|"
    r"regclass|timestamptz|timestamp|date|time)\b",
    re.IGNORECASE,
)

ROOTS = """
WITH trees AS (
    SELECT c.conname::text AS owner, c.conbin::text AS tree
    FROM pg_constraint c
    WHERE c.contype = 'c' AND c.connamespace = 'public'::regnamespace
    UNION ALL
    SELECT k.relname, coalesce(i.indexprs::text, '') || coalesce(i.indpred::text, '')
    FROM pg_index i JOIN pg_class k ON k.oid = i.indexrelid
    WHERE k.relnamespace = 'public'::regnamespace
    UNION ALL
    SELECT c.relname || '.' || a.attname, d.adbin::text
    FROM pg_attrdef d
    JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
    JOIN pg_class c ON c.oid = d.adrelid
    WHERE a.attgenerated <> '' AND c.relnamespace = 'public'::regnamespace
)
SELECT p.oid::int, min(t.owner) AS owner
FROM trees t, regexp_matches(t.tree, ':(?:op)?funcid ([1-9]\\d*)', 'g') found
JOIN pg_proc p ON p.oid = found[1]::oid
GROUP BY p.oid
"""
# takes_time: the text of a value of these kinds depends on settings of the session.
FUNCTION = """
SELECT p.oid::int, p.oid::regprocedure::text AS name, p.provolatile::text AS volatility,
       EXISTS (SELECT FROM unnest(p.proargtypes) arg JOIN pg_type t ON t.oid = arg
               WHERE t.typcategory IN ('D', 'T') OR t.typname IN ('money', 'float4', 'float8'))
           AS takes_time,
       p.pronamespace::regnamespace::text AS schema, p.prosrc AS source,
       p.prosqlbody::text AS tree
FROM pg_proc p WHERE p.oid = %s
"""


def allowed() -> dict[str, str]:
    return {
        name.replace("_without_time_zone", " without time zone").replace(
            "_with_time_zone", " with time zone"
        ): reason
        for reason, names in ALLOWED.items()
        for name in names.split()
    }


def describe(oid: int) -> dict[str, Any]:
    (row,) = execute(FUNCTION, [oid])
    return row | {"name": row["name"].replace('"', "").removeprefix("public.")}


def list_calls(function: dict[str, Any]) -> Iterator[int]:
    """The functions of a body that was parsed when it was created."""
    for oid in set(re.findall(r":(?:opfuncid|funcid|aggfnoid) ([1-9]\d*)", function["tree"])):
        yield int(oid)


def find_faults_of_tree(function: dict[str, Any]) -> Iterator[str]:
    tree = function["tree"]
    if re.search(r":relid [1-9]", tree):
        yield "it reads a table"
    if re.search(r"\{(SQLVALUEFUNCTION|NEXTVALUEEXPR|CURRENTOFEXPR)", tree):
        yield "it asks for the clock, the session or a sequence"
    if "{COERCEVIAIO" in tree and function["takes_time"]:
        yield "it makes a text of a time"
    for kind in set(re.findall(r"\{COERCEVIAIO .*?:resulttype (\d+)", tree)) - SAFE_RESULTS:
        yield f"it converts to the type {kind}"


def find_faults_of_text(function: dict[str, Any]) -> Iterator[str]:
    """Faults of a body that is parsed when it runs: it asks more than its arguments."""
    source = function["source"]
    code = re.sub(r"--[^\n]*|/\*.*?\*/|E?'(?:[^']|'')*'", " ", source, flags=re.DOTALL)
    code = code.replace("DISTINCT FROM", "<>")
    code = re.sub(r"\b(extract\s*\(\s*\w+\s+)FROM\b", r"\1", code, flags=re.IGNORECASE)
    for word in SUSPECT.findall(code):
        yield f"it contains {word}"
    for table in re.findall(r"\b(?:FROM|JOIN)\s+([\w.\"]+)(?![\w.\"]|\s*\()", code, re.IGNORECASE):
        yield f"it reads {table}"
    for kind in re.findall(r"::\s*([\w.]+(?:\[\])?)", code):
        if kind.removeprefix("pg_catalog.") not in SAFE_CASTS:
            yield f"it converts to {kind}"
    if function["takes_time"] and re.search(r"::\s*text\b|\|\|", code):
        yield "it makes a text of a time"


def list_called_names(source: str) -> set[str]:
    code = re.sub(r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'", " ", source, flags=re.DOTALL)
    names = {name.lower() for name in re.findall(r"\b(?:\w+\.)?(\w+)\s*\(", code)}
    return names - KEYWORDS


def of_rule(owner: str, name: str) -> Location:
    return Location("<app>/models/", f"{owner} → {name}")


@advises
def test_checks_and_indexes_depend_on_their_row_alone() -> Iterator[str]:
    names, seen = allowed(), set()
    waiting = [(row["oid"], row["owner"], True) for row in execute(ROOTS)]
    assert len(waiting) > 30
    visited = set()
    while waiting:
        oid, owner, is_root = waiting.pop()
        function = describe(oid)
        name, location = function["name"], of_rule(owner, function["name"])
        if is_root:
            seen.add(name)
            if name not in names:
                yield location(
                    f"make a trigger of the rule, or list the function with its reason in {LIST}:"
                )
        if oid in visited:
            continue
        visited.add(oid)
        if function["volatility"] != "i":
            yield location("make a trigger of the rule: a function is not IMMUTABLE in")
        if function["schema"] != "public":
            continue
        if function["tree"]:
            faults = find_faults_of_tree(function)
            waiting += [(called, f"{owner} → {name}", False) for called in list_calls(function)]
        else:
            faults = find_faults_of_text(function)
            for called in sorted(list_called_names(function["source"])):
                overloads = execute(
                    "SELECT oid::int, provolatile::text AS volatility FROM pg_proc "
                    "WHERE proname = %s AND pronamespace = ANY (%s::regnamespace[])",
                    [called, ["pg_catalog", "public"]],
                )
                if not overloads:
                    yield location(f"call no unknown function {called}() in")
                if called in RIGHT_OVERLOAD:
                    continue
                waiting += [(row["oid"], f"{owner} → {name}", False) for row in overloads]
        for fault in faults:
            yield location("leave a trigger to decide what depends on surroundings in", fault)
    for name in names.keys() - seen:
        yield f"{LIST}: remove `{name}` from ALLOWED: nothing calls it"


@advises
def test_postgresql_takes_each_check_for_immutable() -> Iterator[str]:
    """Casts and keywords such as CURRENT_DATE are no calls; an index refuses those too."""
    checks = execute(
        'SELECT conname AS name, conrelid::regclass::text AS "table", '
        "pg_get_expr(conbin, conrelid) AS condition FROM pg_constraint "
        "WHERE contype = 'c' AND connamespace = 'public'::regnamespace AND conrelid <> 0 "
        "ORDER BY conrelid"
    )
    tables: dict[str, list[dict[str, Any]]] = {}
    for check in checks:
        tables.setdefault(check["table"], []).append(check)
    for rows in tables.values():
        for n in range(0, len(rows), 32):
            some = rows[n : n + 32]
            if not can_be_indexed(some):
                for check in some:
                    if not can_be_indexed([check]):
                        yield of_rule(check["table"], check["name"])("make a trigger of the rule")


def can_be_indexed(checks: list[dict[str, Any]]) -> bool:
    conditions = ", ".join(f"(({check['condition']}))" for check in checks)
    try:
        with transaction.atomic():
            execute(f"CREATE INDEX ON {checks[0]['table']} ({conditions})")
            transaction.set_rollback(True)
    except Exception as error:
        if "IMMUTABLE" not in str(error):
            raise
        return False
    return True


PLPGSQL = (
    "CREATE FUNCTION public.is_fine(value text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE "
    "SET search_path = pg_catalog, pg_temp AS $$ BEGIN RETURN {}; END $$"
)
SQL = "CREATE FUNCTION public.is_fine(value text) RETURNS boolean LANGUAGE sql IMMUTABLE RETURN {}"
CHECK = "ALTER TABLE public.tags ADD CONSTRAINT tags_fine CHECK (public.is_fine(title))"
NOT_LISTED = "a function outside the list"
PLANTED = {
    "a table": [PLPGSQL.format("EXISTS (SELECT FROM public.topics t WHERE t.code = value)"), CHECK],
    "a table, in SQL": [SQL.format("EXISTS (SELECT FROM public.topics WHERE code = value)"), CHECK],
    "a table by its name": [PLPGSQL.format("EXISTS (TABLE public.topics)"), CHECK],
    "the catalog": [PLPGSQL.format("EXISTS (SELECT FROM pg_timezone_names)"), CHECK],
    "a setting": [PLPGSQL.format("value = current_setting('TimeZone')"), CHECK],
    "a setting, in SQL": [SQL.format("value = current_setting('TimeZone')"), CHECK],
    "the zone files": [PLPGSQL.format("public.is_time_zone(value)"), CHECK],
    "the clock": [PLPGSQL.format("value <> clock_timestamp()::text"), CHECK],
    "the clock of a rule": [PLPGSQL.format("public.fact_clock() IS NOT NULL"), CHECK],
    "a keyword": [PLPGSQL.format("value <> CURRENT_USER"), CHECK],
    "a keyword, in SQL": [SQL.format("value <> CURRENT_USER"), CHECK],
    "a text of the clock": [PLPGSQL.format("value::timestamptz IS NULL"), CHECK],
    "a text of the clock, in SQL": [SQL.format("value::timestamptz IS NULL"), CHECK],
    "a time as text": [
        PLPGSQL.replace("value text", "value timestamptz").format("value::text <> ''"),
        "ALTER TABLE public.diary_entries ADD CHECK (public.is_fine(created_at))",
    ],
    "a time as text, in SQL": [
        SQL.replace("value text", "value timestamptz").format("value::text <> ''"),
        "ALTER TABLE public.diary_entries ADD CHECK (public.is_fine(created_at))",
    ],
    "a hidden query": [
        "CREATE FUNCTION public.is_fine(value text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE "
        "AS $$ DECLARE b boolean; BEGIN EXECUTE 'SELECT true' INTO b; RETURN b; END $$",
        CHECK,
    ],
    "a second function": [
        PLPGSQL.format("value = current_setting('TimeZone')").replace("is_fine", "is_finer"),
        PLPGSQL.format("public.is_finer(value)"),
        CHECK,
    ],
    "a stable function": ["ALTER FUNCTION public.is_zone_form(text) STABLE"],
    "the clock in a CHECK": [
        "ALTER TABLE public.tags ADD CONSTRAINT tags_new CHECK (now() > '2000-01-01')"
    ],
    "an index": [
        PLPGSQL.format("EXISTS (SELECT FROM public.topics)"),
        "CREATE INDEX ON public.tags (public.is_fine(title))",
    ],
    "the condition of an index": [
        PLPGSQL.format("EXISTS (SELECT FROM public.topics)"),
        "CREATE INDEX ON public.tags (title) WHERE public.is_fine(title)",
    ],
    "a generated column": [
        PLPGSQL.format("EXISTS (SELECT FROM public.topics)"),
        "ALTER TABLE public.tags ADD fine boolean GENERATED ALWAYS AS (public.is_fine(title)) "
        "STORED",
    ],
    NOT_LISTED: [SQL.format("value <> ''"), CHECK],
}


@pytest.mark.parametrize("planted", PLANTED)
def test_planted_dependency_is_reported(planted: str) -> None:
    for statement in PLANTED[planted]:
        execute(statement)
    lines = [*test_checks_and_indexes_depend_on_their_row_alone.__wrapped__()]
    wanted = "is_zone_form" if planted == "a stable function" else "is_fine"
    wanted = "tags_new" if planted == "the clock in a CHECK" else wanted
    named = [line for line in lines if wanted in line]
    if planted != NOT_LISTED:
        named = [line for line in named if "list the function" not in line]
    assert named, lines


def test_planted_cast_is_reported() -> None:
    execute(
        "ALTER TABLE public.diary_entries ADD CONSTRAINT diary_entries_cast "
        "CHECK (entry_date::timestamptz < created_at), ADD CONSTRAINT diary_entries_word "
        "CHECK (created_at::text <> '')"
    )
    lines = [*test_postgresql_takes_each_check_for_immutable.__wrapped__()]
    assert {line.rsplit("→ ")[-1].strip("`: ") for line in lines} == {
        "diary_entries_cast",
        "diary_entries_word",
    }


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kamchatka", "Pacific/Kiritimati"])
def test_finite_days_do_not_depend_on_the_sessions_zone(zone: str) -> None:
    with transaction.atomic():
        execute("SELECT set_config('TimeZone', %s, true)", [zone])
        rows = execute(
            "SELECT array_agg(public.is_finite(day) ORDER BY n) AS finite "
            "FROM unnest(%s::date[]) WITH ORDINALITY AS t(day, n)",
            [["0001-01-01", "0001-01-02", "9999-12-30", "9999-12-31", "infinity", "-infinity"]],
        )
    assert rows == [{"finite": [False, True, True, False, False, False]}]
