"""The listing of the schema: complete, equal on every server, and equal after dump and restore."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.core.management import CommandError
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from ebalance.db.schema import drift
from ebalance.db.schema.expressions import flatten
from ebalance.db.schema.listing import SETTINGS, schema_lines
from ebalance.dev import schema_files
from ebalance.dev.bundled import bundled_bin_dir, ensure_running
from tests.clocks import restore_fact_clock
from tests.databases import Database, Databases, default_connection_on
from tests.processes import manage
from tests.support import execute

FILE = Path(settings.BASE_DIR) / "schema.catalog"
IS_BUNDLED = "BUNDLED" in settings.DATABASES["default"]


def keys() -> set[str]:
    return {line.partition(": ")[0] for line in schema_lines()}


# -- completeness ---------------------------------------------------------------------------------

NO_EXTENSION = "NOT EXISTS (SELECT FROM pg_depend e WHERE e.objid = {}.oid AND e.deptype = 'e')"
RELATION = f"c.relnamespace = 'public'::regnamespace AND {NO_EXTENSION.format('c')}"
TEMPORARY_OBJECTS = """
    CREATE VIEW shown AS SELECT id FROM tags;
    CREATE MATERIALIZED VIEW stored AS SELECT id FROM tags;
    CREATE TYPE mood AS ENUM ('good', 'bad');
    CREATE TYPE pair AS (one integer, two integer);
    CREATE DOMAIN short AS text CHECK (length(VALUE) < 9);
    CREATE TYPE span AS RANGE (subtype = date);
    CREATE SEQUENCE numbers;
    CREATE PROCEDURE work() LANGUAGE sql AS 'SELECT 1';
    CREATE AGGREGATE total(integer) (sfunc = int4pl, stype = integer);
    CREATE OPERATOR === (leftarg = integer, rightarg = integer, function = int4eq);
    CREATE STATISTICS together ON title, slug FROM tags;
    CREATE POLICY own_rows ON tags USING (true);
    CREATE RULE nothing AS ON DELETE TO tags DO INSTEAD NOTHING;
    CREATE COLLATION words (provider = libc, locale = 'C');
    CREATE TEXT SEARCH CONFIGURATION search (COPY = simple);
    CREATE TABLE parts (id integer NOT NULL) PARTITION BY RANGE (id);
    CREATE TABLE part PARTITION OF parts FOR VALUES FROM (1) TO (9);
    COMMENT ON VIEW shown IS 'a view';
    COMMENT ON CONSTRAINT tags_pkey ON tags IS 'a key';
    COMMENT ON TYPE mood IS 'a type';
"""
# Kind of object, and the keys that an own query of the catalog expects.
EXPECTED = {
    "pg_class": f"""
        SELECT CASE relkind WHEN 'S' THEN 'sequence ' WHEN 'v' THEN 'view '
                    WHEN 'm' THEN 'materialized view ' WHEN 'c' THEN 'type ' ELSE 'table ' END
               || relname AS key
        FROM pg_class c WHERE {RELATION} AND relkind NOT IN ('i', 'I')""",
    "pg_index": f"""
        SELECT CASE WHEN k.oid IS NULL THEN 'index ' ELSE 'constraint ' END
               || format('%I.%I', c.relname, x.relname) AS key
        FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
        JOIN pg_class x ON x.oid = i.indexrelid
        LEFT JOIN pg_constraint k ON k.conindid = x.oid AND k.conrelid = c.oid
        WHERE {RELATION}""",
    "pg_attribute": f"""
        SELECT 'column ' || format('%I.%I', c.relname, a.attname) AS key
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
        WHERE {RELATION} AND a.attnum > 0 AND NOT a.attisdropped
          AND c.relkind NOT IN ('i', 'I', 'S')""",
    "pg_constraint": f"""
        SELECT 'constraint ' || format('%I.%I', c.relname, k.conname) AS key
        FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
        WHERE {RELATION} AND k.contype NOT IN ('n', 't')""",
    "pg_trigger": f"""
        SELECT 'trigger ' || format('%I.%I', c.relname, t.tgname) AS key
        FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
        WHERE {RELATION} AND NOT t.tgisinternal""",
    "pg_proc": f"""
        SELECT CASE prokind WHEN 'p' THEN 'procedure ' WHEN 'a' THEN 'aggregate '
                    ELSE 'function ' END || oid::regprocedure AS key
        FROM pg_proc p
        WHERE pronamespace = 'public'::regnamespace AND {NO_EXTENSION.format("p")}""",
    "pg_type": f"""
        SELECT CASE typtype WHEN 'e' THEN 'enum ' WHEN 'd' THEN 'domain ' ELSE 'type ' END
               || typname AS key
        FROM pg_type t LEFT JOIN pg_class c ON c.oid = typrelid
        WHERE typnamespace = 'public'::regnamespace AND typcategory <> 'A' AND typtype <> 'm'
          AND (typtype <> 'c' OR c.relkind = 'c') AND {NO_EXTENSION.format("t")}""",
    "pg_policy": """
        SELECT 'policy ' || polrelid::regclass || '.' || polname AS key FROM pg_policy""",
    "pg_rewrite": f"""
        SELECT 'rule ' || format('%I.%I', c.relname, r.rulename) AS key
        FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class
        WHERE {RELATION} AND r.rulename <> '_RETURN'""",
    "others": """
        SELECT unnest(ARRAY['operator public.===(integer,integer)',
                            'statistics object public.together', 'collation public.words',
                            'text search configuration public.search']) AS key""",
}


@pytest.mark.django_db
@pytest.mark.parametrize("catalog", EXPECTED)
def test_every_object_has_a_line(catalog: str) -> None:
    execute(TEMPORARY_OBJECTS)
    wanted = {row["key"] for row in execute(EXPECTED[catalog])}
    assert wanted
    assert wanted - keys() == set()


@pytest.mark.django_db
def test_every_comment_has_a_line() -> None:
    execute(TEMPORARY_OBJECTS)
    (row,) = execute(
        "SELECT count(*) AS n FROM pg_description d WHERE d.objoid >= 16384 AND NOT EXISTS "
        "(SELECT FROM pg_depend e WHERE e.objid = d.objoid AND e.deptype = 'e')"
    )
    comments = {key for key in keys() if key.startswith("comment on ")}
    assert len(comments) == row["n"]
    described = {key.removeprefix("comment on ") for key in comments}
    assert described - keys() == {"type mood"}  # listed as an enum
    assert "constraint tags.tags_pkey" in described


@pytest.mark.django_db
def test_lines_are_sorted_and_name_each_object_once() -> None:
    lines = schema_lines()
    assert lines == sorted(lines)
    assert len(keys()) == len(lines)
    assert not any("\n" in line for line in lines)


# -- the session ----------------------------------------------------------------------------------


@pytest.mark.django_db
def test_settings_of_the_session_change_no_line() -> None:
    lines = schema_lines()
    own = {
        "search_path": "pg_catalog",
        "TimeZone": "Asia/Yekaterinburg",
        "DateStyle": "SQL, DMY",
        "IntervalStyle": "sql_standard",
        "quote_all_identifiers": "on",
    }
    for name, value in own.items():
        execute("SELECT set_config(%s, %s, true)", [name, value])
    assert schema_lines() == lines
    for name, value in own.items():
        assert execute("SELECT current_setting(%s) AS value", [name])[0]["value"] == value


@pytest.mark.django_db
def test_role_without_privileges_reads_the_same_lines() -> None:
    lines = schema_lines()
    execute("CREATE ROLE plain; SET LOCAL ROLE plain")
    assert schema_lines() == lines


def test_listing_leaves_the_session_as_it_was(
    fresh_database: Database, django_db_blocker: Any
) -> None:
    query = "SELECT array_agg(current_setting(n)) AS settings FROM unnest(%s::text[]) n"
    with django_db_blocker.unblock(), default_connection_on(fresh_database):
        before = execute(query, [[*SETTINGS]])
        schema_lines()
        assert execute(query, [[*SETTINGS]]) == before


# -- the committed files --------------------------------------------------------------------------


@pytest.mark.django_db
def test_every_server_gives_the_committed_listing() -> None:
    restore_fact_clock()
    assert schema_lines() == FILE.read_text().splitlines(), "run `manage.py schema --write`"


@pytest.mark.slow
@pytest.mark.skipif(not IS_BUNDLED, reason="schema.sql is the dump of the bundled server")
def test_writing_gives_the_committed_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, module in {"FILE": drift, "SQL_FILE": schema_files}.items():
        monkeypatch.setattr(module, name, tmp_path / getattr(module, name).name)
    server = ensure_running()
    with psycopg.connect(**server.params, dbname="postgres", autocommit=True) as session:
        session.execute("CREATE DATABASE schema_scratch")
    with (
        psycopg.connect(**server.params, dbname="schema_scratch"),
        pytest.raises(CommandError, match="is running"),
    ):
        schema_files.write_schema_files()
    written = schema_files.write_schema_files()  # drops the database of a run that was killed
    assert [path.name for path in written] == ["schema.catalog", "schema.sql"]
    assert sorted(tmp_path.iterdir()) == written
    for path in written:
        committed = FILE.with_name(path.name).read_text()
        assert path.read_text() == committed, "run `manage.py schema --write`"


@pytest.mark.slow
def test_migrated_database_passes_the_check(empty_database: Database) -> None:
    early = manage("schema", "--check", DATABASE_URL=empty_database.url)
    assert early.returncode == 1
    assert re.fullmatch(
        r"CommandError: This database is not fully migrated: it lacks \d+ migrations, the first is "
        r"[a-z]+\.0001_initial\. Run `manage\.py migrate`, then check again\.\n",
        early.stderr,
    )
    assert manage("migrate", DATABASE_URL=empty_database.url).returncode == 0
    check = manage("schema", "--check", DATABASE_URL=empty_database.url)
    assert (check.returncode, check.stdout, check.stderr) == (0, f"{drift.AS_EXPECTED}\n", "")
    assert manage("schema", DATABASE_URL=empty_database.url).stdout == FILE.read_text()


# -- dump and restore -----------------------------------------------------------------------------


def programs() -> Path | None:
    """The folder with pg_dump and psql of the server's version."""
    if IS_BUNDLED:
        return bundled_bin_dir()
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version_num")
        major = int(cursor.fetchone()[0]) // 10000
    folder = Path(f"/usr/lib/postgresql/{major}/bin")
    return folder if (folder / "pg_dump").exists() else None


@pytest.mark.slow
def test_restored_dump_gives_the_same_listing(
    fresh_database: Database, databases: Databases, django_db_blocker: Any
) -> None:
    with django_db_blocker.unblock():
        if (folder := programs()) is None:
            pytest.skip("no pg_dump of the server's version on this system")
        restored = databases.empty()
        command = [folder / "pg_dump", "--no-owner", "--dbname", fresh_database.conninfo]
        dump = subprocess.run(command, check=True, capture_output=True)
        command = [folder / "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", restored.conninfo]
        subprocess.run(command, check=True, input=dump.stdout, capture_output=True)
        with default_connection_on(fresh_database):
            before = schema_lines()
        with default_connection_on(restored):
            assert schema_lines() == before
            assert parentheses_differ(fresh_database, restored)
        databases.drop(restored.name)


def parentheses_differ(one: Database, other: Database) -> bool:
    """Whether the server itself prints other conditions of triggers after the restore."""
    query = "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1"
    with one.connect() as first, other.connect() as second:
        return first.execute(query).fetchall() != second.execute(query).fetchall()


# -- parentheses ----------------------------------------------------------------------------------

NAMES = ["a", "b", "c", "d"]
TREES = st.recursive(
    st.sampled_from(NAMES),
    lambda inner: st.one_of(
        st.tuples(st.just("NOT"), inner),
        st.tuples(st.sampled_from(["AND", "OR"]), st.lists(inner, min_size=2, max_size=4)),
    ),
    max_leaves=12,
)


def written(tree: Any, draw: Any) -> str:
    """``tree`` as PostgreSQL writes it, with parentheses that are doubled at random."""
    match tree:
        case str():
            return tree
        case ("NOT", inner):
            text = f"NOT {written(inner, draw)}"
        case (connector, parts):
            text = f" {connector} ".join(written(part, draw) for part in parts)
    depth = draw(st.integers(1, 3))
    return "(" * depth + text + ")" * depth


def merged(tree: Any) -> Any:
    """``tree`` with each list in a list of the same connector merged into it."""
    if isinstance(tree, str):
        return tree
    connector, parts = tree
    if connector == "NOT":
        return connector, merged(parts)
    result = []
    for part in map(merged, parts):
        result += part[1] if part[0] == connector else [part]
    return connector, result


def truth_table(expression: str) -> list[bool]:
    python = expression.replace("AND", "and").replace("OR", "or").replace("NOT", "not")
    code = compile(python, "expression", "eval")
    rows = range(2 ** len(NAMES))
    return [eval(code, {name: bool(row >> i & 1) for i, name in enumerate(NAMES)}) for row in rows]


@given(TREES, st.data())
def test_flattening_keeps_the_meaning_and_gives_one_form(tree: Any, data: st.DataObject) -> None:
    expression = written(tree, data.draw)
    flat = flatten(expression)
    assert truth_table(flat) == truth_table(expression)
    assert flatten(flat) == flat
    assert flat == flatten(written(tree, data.draw))
    assert flat == flatten(written(merged(tree), data.draw))


@pytest.mark.parametrize(
    ("expression", "flat"),
    [
        ("((a OR b) OR c)", "(a OR b OR c)"),
        ("(a AND (b AND (c AND d)))", "(a AND b AND c AND d)"),
        ("CHECK (((a > 0) AND ((b) AND (c))))", "CHECK ((a > 0) AND (b) AND (c))"),
        ("a  =\n 1", "a = 1"),
        # Unchanged: another meaning, or not known to be the same.
        ("(a AND (b OR c))", None),
        ("((a AND b) OR c)", None),
        ("(NOT (a AND b) AND c)", None),
        ("((a AND b) IS TRUE AND c)", None),
        ("f((a, b))", None),
        ("(a = ANY ((SELECT b)))", None),
        ("(a BETWEEN b AND (c AND d))", None),
        ("(CASE WHEN a AND (b AND c) THEN d END)", None),
        ("(a = '((x)) AND  (y)' AND \"b  ((\" = E'it\\'s ((')", None),
    ],
)
def test_flattening_changes_only_redundant_parentheses(expression: str, flat: str | None) -> None:
    assert flatten(expression) == (flat or expression)


@pytest.mark.parametrize("expression", ["(a", "a)", "((a) AND b"])
def test_unbalanced_parentheses_are_refused(expression: str) -> None:
    with pytest.raises(ValueError, match="unbalanced"):
        flatten(expression)
