"""Reads the objects of the schema, before a step and after it.

The second reading runs while the step holds its locks. So it returns only changes:
the rows of the catalog that its transaction wrote, and the known objects that no longer exist.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple


class Key(NamedTuple):
    """The identity of an object: its catalog, its oid, and the number of a column or 0."""

    catalog: str
    oid: int
    number: int


class Object(NamedTuple):
    """An object of the schema ``public``. ``facts`` depend on its kind, see QUERY."""

    # table, column, index, constraint, trigger, function, sequence, view, policy, type, schema,
    # database
    kind: str
    name: str
    table: int  # oid of its table, or 0
    facts: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


type Objects = dict[Key, Object]

# {written} restricts the rows to those of the current transaction. An xmin of a subtransaction is
# younger than the transaction.
QUERY = """
SELECT 'pg_class', c.oid::bigint, 0,
       CASE c.relkind WHEN 'S' THEN 'sequence' WHEN 'v' THEN 'view' WHEN 'm' THEN 'view'
                      ELSE 'table' END,
       c.relname::text, c.oid::bigint,  -- the type name would cut all names to 63 bytes
       jsonb_build_object(
           'file', c.relfilenode::bigint, 'is_partition', c.relispartition,
           'row_security', c.relrowsecurity::int + c.relforcerowsecurity::int,
           'acl', coalesce(c.relacl, acldefault(
               CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relowner))::text[])
FROM pg_class c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
  AND {written[c]}
UNION ALL
SELECT 'pg_attribute', a.attrelid::bigint, a.attnum, 'column', c.relname || '.' || a.attname,
       c.oid::bigint,
       jsonb_build_object('is_dropped', a.attisdropped, 'type', a.atttypid::bigint,
                          'typmod', a.atttypmod, 'is_required', a.attnotnull,
                          'is_filled', a.atthasdef OR a.attidentity <> '', 'acl', a.attacl::text[],
                          'is_computed', a.attgenerated <> '',
                          'shown_type', format_type(a.atttypid, a.atttypmod))
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND a.attnum > 0
  AND {written[a]}
UNION ALL
SELECT 'pg_index', i.indexrelid::bigint, 0, 'index', c.relname, i.indrelid::bigint,
       jsonb_build_object('is_valid', i.indisvalid, 'columns', i.indkey::int[])
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE c.relnamespace = 'public'::regnamespace AND ({written[i]} OR {written[c]})
UNION ALL
SELECT 'pg_constraint', k.oid::bigint, 0, 'constraint', c.relname || '.' || k.conname,
       c.oid::bigint,
       jsonb_build_object('type', k.contype, 'is_valid', k.convalidated,
                          'columns', coalesce(k.conkey::int[], '{{}}'), 'index', k.conindid::bigint,
                          'text', CASE WHEN k.contype = 'c' AND array_length(k.conkey, 1) = 1
                                       THEN pg_get_constraintdef(k.oid) END)
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
WHERE c.relnamespace = 'public'::regnamespace AND k.contype NOT IN ('n', 't') AND {written[k]}
UNION ALL
SELECT 'pg_trigger', t.oid::bigint, 0, 'trigger', c.relname || '.' || t.tgname, c.oid::bigint,
       jsonb_build_object('is_enabled', t.tgenabled IN ('O', 'A'),
                          'is_internal', t.tgisinternal)
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
WHERE c.relnamespace = 'public'::regnamespace AND {written[t]}
UNION ALL
SELECT 'pg_namespace', n.oid::bigint, 0, 'schema', n.nspname, 0,
       jsonb_build_object('acl', coalesce(n.nspacl, acldefault('n', n.nspowner))::text[])
FROM pg_namespace n WHERE n.nspname = 'public' AND {written[n]}
UNION ALL
SELECT 'pg_database', d.oid::bigint, 0, 'database', d.datname, 0,
       jsonb_build_object('acl', coalesce(d.datacl, acldefault('d', d.datdba))::text[])
FROM pg_database d WHERE d.datname = current_database() AND {written[d]}
UNION ALL
SELECT 'pg_policy', y.oid::bigint, 0, 'policy', c.relname || '.' || y.polname, c.oid::bigint, '{{}}'
FROM pg_policy y JOIN pg_class c ON c.oid = y.polrelid
WHERE c.relnamespace = 'public'::regnamespace AND {written[y]}
UNION ALL
SELECT 'pg_type', e.oid::bigint, 0, 'type', e.typname, 0, '{{}}'
FROM pg_type e
WHERE e.typnamespace = 'public'::regnamespace AND e.typtype IN ('d', 'e', 'r') AND {written[e]}
UNION ALL
SELECT 'pg_proc', p.oid::bigint, 0, 'function',
       p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')', 0,
       jsonb_build_object('body', md5(concat(p.prosrc, p.prosqlbody, p.proconfig::text,
                                             p.provolatile, p.proisstrict)),
                          'acl', coalesce(p.proacl, acldefault('f', p.proowner))::text[])
FROM pg_proc p
WHERE p.pronamespace = 'public'::regnamespace AND {written[p]}
"""
ALIASES = "caiktndyep"
ALL = QUERY.format(written=dict.fromkeys(ALIASES, "true"))
WRITTEN = QUERY.format(
    written={alias: f"age({alias}.xmin) <= 0" for alias in ALIASES},
)
REMOVED = """
SELECT 'pg_class', id, 0 FROM unnest(%(pg_class)s::bigint[]) AS known (id)
WHERE NOT EXISTS (SELECT FROM pg_class c
                  WHERE c.oid = id::oid AND c.relnamespace = 'public'::regnamespace)
UNION ALL
SELECT 'pg_index', id, 0 FROM unnest(%(pg_index)s::bigint[]) AS known (id)
WHERE NOT EXISTS (SELECT FROM pg_index i WHERE i.indexrelid = id::oid)
UNION ALL
SELECT 'pg_constraint', id, 0 FROM unnest(%(pg_constraint)s::bigint[]) AS known (id)
WHERE NOT EXISTS (SELECT FROM pg_constraint k WHERE k.oid = id::oid)
UNION ALL
SELECT 'pg_trigger', id, 0 FROM unnest(%(pg_trigger)s::bigint[]) AS known (id)
WHERE NOT EXISTS (SELECT FROM pg_trigger t WHERE t.oid = id::oid)
UNION ALL
SELECT 'pg_policy', id, 0 FROM unnest(%(pg_policy)s::bigint[]) AS known (id)
WHERE NOT EXISTS (SELECT FROM pg_policy y WHERE y.oid = id::oid)
UNION ALL
SELECT 'pg_type', id, 0 FROM unnest(%(pg_type)s::bigint[]) AS known (id)
WHERE NOT EXISTS (SELECT FROM pg_type e
                  WHERE e.oid = id::oid AND e.typnamespace = 'public'::regnamespace)
UNION ALL
SELECT 'pg_proc', id, 0 FROM unnest(%(pg_proc)s::bigint[]) AS known (id)
WHERE NOT EXISTS (SELECT FROM pg_proc p
                  WHERE p.oid = id::oid AND p.pronamespace = 'public'::regnamespace)
"""
CATALOGS = (
    "pg_class",
    "pg_index",
    "pg_constraint",
    "pg_trigger",
    "pg_policy",
    "pg_type",
    "pg_proc",
)
# Rows that the transaction deleted and updated, by table.
ROWS = "SELECT relid::bigint, n_tup_del, n_tup_upd FROM pg_stat_xact_user_tables"


def read_objects(cursor: Any) -> Objects:
    """All objects of the schema ``public``."""
    cursor.execute(ALL)
    return _objects(cursor)


def read_changes(cursor: Any, known: Objects) -> tuple[Objects, list[Object]]:
    """The objects that this transaction wrote, and those of ``known`` that no longer exist.

    A dropped column is among the first, with the fact ``is_dropped``.
    """
    cursor.execute("SELECT pg_current_xact_id()")  # without an id, age() has another reference
    cursor.execute(WRITTEN)
    written = _objects(cursor)
    oids: Mapping[str, list[int]] = {
        catalog: [key.oid for key in known if key.catalog == catalog] for catalog in CATALOGS
    }
    cursor.execute(REMOVED, oids)
    return written, [known[Key(*row)] for row in cursor.fetchall()]


def read_row_counts(cursor: Any) -> dict[int, tuple[int, int]]:
    """Rows deleted and updated by oid of the table. Includes counts not yet published."""
    cursor.execute(ROWS)
    return {oid: (deleted, updated) for oid, deleted, updated in cursor.fetchall()}


def _objects(cursor: Any) -> Objects:
    return {
        Key(catalog, oid, number): Object(kind, name, table, json.loads(facts))
        for catalog, oid, number, kind, name, table, facts in cursor.fetchall()
    }
