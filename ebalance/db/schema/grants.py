"""The three roles of the database (access.md §2) and what each may do, derived from the models.

``wanted()`` lists every single right; ``set_up()`` revokes what the roles have and grants exactly
that; ``differences()`` holds it against the live catalog. Rights are derived so:

* the analyst selects the columns that are P0, table by table;
* the app writes every table, but neither updates nor deletes where rows stay as they were written
  (append-only tables and versions, which go with their parent by the owner's cascade), nor deletes
  where a rule refuses every DELETE; what is READ_ONLY it reads;
* the owner owns, and so needs no grant but the right to make more.
"""

import time
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, NamedTuple

import psycopg
from django.db import DatabaseError, connection, transaction
from psycopg import sql

from ebalance.dev.bundled import QUIET_LOG

from .. import triggers
from .data_map import Table, columns, tables

OWNER, APP, ANALYST = ROLES = ("ebalance_owner", "ebalance_app", "ebalance_analyst")
PUBLIC = "PUBLIC"
# Written by commands of the owner only.
READ_ONLY = frozenset(
    {"audit_checkpoints", "django_migrations", "interactive_run_totals", "key_rotations"}
)

LOCK = 0x6562_616C_0003  # advisory: two runs on one database work one after the other
LOCK_TIMEOUT = "4s"  # a table that changes hands is locked; the site must not queue behind us
ATTEMPTS = 5


class Grant(NamedTuple):
    role: str
    privilege: str
    kind: str  # TABLE, SEQUENCE, SCHEMA, DATABASE
    name: str
    column: str = ""

    def __str__(self) -> str:
        column = f".{self.column}" if self.column else ""
        return f"{self.role}: {self.privilege} on {self.kind.lower()} {self.name}{column}"


class NotSetUp(Exception):
    """The database lacks what grants are for, or does not take them. Says it in one line."""


def app_privileges(table: Table) -> list[str]:
    if table.name in READ_ONLY:
        return ["SELECT"]
    declared = getattr(table.model._meta, "triggers", ()) if table.model else ()
    if triggers.stays_as_written(declared):
        return ["SELECT", "INSERT"]
    if triggers.is_never_deleted(declared):
        return ["SELECT", "INSERT", "UPDATE"]
    return ["SELECT", "INSERT", "UPDATE", "DELETE"]


def wanted() -> set[Grant]:
    """Every right that the roles are to have in this database, and no more."""
    (database,) = _column("SELECT current_database()")
    grants = {Grant(role, "CONNECT", "DATABASE", database) for role in ROLES}
    grants |= {Grant(role, "USAGE", "SCHEMA", "public") for role in ROLES}
    grants.add(Grant(OWNER, "CREATE", "SCHEMA", "public"))
    written = set()
    for table in tables():
        privileges = app_privileges(table)
        grants |= {Grant(APP, privilege, "TABLE", table.name) for privilege in privileges}
        grants |= {
            Grant(ANALYST, "SELECT", "TABLE", table.name, column.name)
            for column in table.columns
            if column.privacy == "P0"
        }
        if "INSERT" in privileges:
            written.add(table.name)
    for sequence, table_name in _rows(SEQUENCES):
        if table_name in written:
            grants.add(Grant(APP, "USAGE", "SEQUENCE", sequence))
    return grants


def live() -> set[Grant]:
    """Every right that they have, and what PUBLIC has beyond its defaults."""
    return {Grant(*row) for row in _rows(LIVE, {"roles": [APP, ANALYST], "owner": OWNER})}


def differences() -> list[str]:
    """What the live database has otherwise than ``wanted()``, a line each; empty when nothing."""
    missing_roles = {*ROLES} - {*_column("SELECT rolname FROM pg_roles")}
    if missing_roles:
        return [f"missing: the role {role}" for role in sorted(missing_roles)]
    expected, found = wanted(), live()
    return [
        *(f"missing: {grant}" for grant in sorted(expected - found)),
        *(f"too much: {grant}" for grant in sorted(found - expected)),
        *(f"not {OWNER}'s: {kind.lower()} {name}" for kind, name in _not_owned()),
        *(f"too much: {role} is {what}" for role, what in _powers()),
    ]


def set_up() -> None:
    """Make the roles, hand everything to the owner, and grant ``wanted()``. May be repeated.

    Raises NotSetUp, and django.db.DatabaseError for what the connected role may not do or cannot
    do now. One transaction: after an error nothing has changed but that the roles exist.
    """
    missing = {str(column) for column in columns()} - {*_column(COLUMNS)}
    if missing:
        raise NotSetUp(f"{min(missing)} does not exist yet: run `manage.py migrate` first.")
    for role in ROLES:
        _repeat(lambda role=role: _make_role(role))
    _repeat(_grant_all)


def keep_values_out_of_the_log() -> None:
    """Set QUIET_LOG for new sessions of this database; superusers may.

    Raises django.db.DatabaseError.
    """
    _repeat(_set_log_settings)


def _make_role(role: str) -> None:
    if role not in _column("SELECT rolname FROM pg_roles"):
        _execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(role)))


def _grant_all() -> None:
    _execute(sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(LOCK_TIMEOUT)))
    _execute(sql.SQL("SELECT pg_advisory_xact_lock({})").format(sql.Literal(LOCK)))
    _join_owner()
    granted = wanted()
    statements = [*_revoke_on_tables()]
    if _on_database(granted) == _on_database(live()):
        # Only the database's owner could do it again; the owner of the tables need not be.
        granted -= _on_database(granted)
    else:
        statements += _revoke_on_database()
    # Before tables change hands: PostgreSQL asks for the new owner's right to create.
    statements += [*_grants(granted), *_changes_of_owner()]
    _execute(sql.SQL("; ").join(statements))
    if left := differences():
        raise NotSetUp(f"Granted, but not so: {left[0]} ({len(left)} in all). Nothing was changed.")


def _on_database(grants: set[Grant]) -> set[Grant]:
    return {grant for grant in grants if grant.kind in {"SCHEMA", "DATABASE"}}


def _join_owner() -> None:
    """Only members of the owner may give it what they own; a superuser need not be one."""
    is_member = "pg_has_role(current_user, %s, 'USAGE') AND pg_has_role(current_user, %s, %s)"
    kind = "SET" if connection.pg_version >= 160000 else "MEMBER"  # type: ignore[attr-defined]
    if _column(f"SELECT {is_member}", [OWNER, OWNER, kind]) == [False]:
        _execute(sql.SQL("GRANT {} TO CURRENT_USER").format(sql.Identifier(OWNER)))


def _revoke_on_tables() -> Iterator[sql.Composable]:
    clients = sql.SQL(", ").join([sql.Identifier(APP), sql.Identifier(ANALYST)])
    for kind, name in _rows(RELATIONS):
        # Rights on columns go with those on their table.
        yield sql.SQL("REVOKE ALL ON {} {} FROM {}, PUBLIC").format(
            sql.SQL(kind), sql.Identifier("public", name), clients
        )


def _revoke_on_database() -> Iterator[sql.Composable]:
    (database,) = _column("SELECT current_database()")
    named = sql.Identifier(database)
    roles = sql.SQL(", ").join([sql.Identifier(role) for role in ROLES])
    yield sql.SQL("REVOKE ALL ON SCHEMA public FROM {}").format(roles)
    yield sql.SQL("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    yield sql.SQL("REVOKE ALL ON DATABASE {} FROM {}").format(named, roles)
    yield sql.SQL("REVOKE CREATE, TEMPORARY ON DATABASE {} FROM PUBLIC").format(named)


def _grants(grants: set[Grant]) -> Iterator[sql.Composable]:
    """One statement per role and object."""
    by_object: dict[tuple[str, str, str], list[sql.Composable]] = defaultdict(list)
    by_column: dict[tuple[str, str, str], list[sql.Composable]] = defaultdict(list)
    for grant in sorted(grants):
        target = (grant.role, grant.kind, grant.name)
        if grant.column:
            by_column[target].append(sql.Identifier(grant.column))
        else:
            by_object[target].append(sql.SQL(grant.privilege))
    for target, names in by_column.items():
        by_object[target].append(sql.SQL("SELECT ({})").format(sql.SQL(", ").join(names)))
    for (role, kind, name), privileges in by_object.items():
        parts = [name] if kind in {"SCHEMA", "DATABASE"} else ["public", name]
        yield sql.SQL("GRANT {} ON {} {} TO {}").format(
            sql.SQL(", ").join(privileges),
            sql.SQL(kind),
            sql.Identifier(*parts),
            sql.Identifier(role),
        )


def _changes_of_owner() -> Iterator[sql.Composable]:
    for kind, name in _not_owned():
        yield sql.SQL("ALTER {} {} OWNER TO {}").format(
            # The catalog has quoted the name.
            sql.SQL(kind),
            sql.SQL(name),
            sql.Identifier(OWNER),
        )


def _not_owned() -> list[tuple[str, str]]:
    return _rows(NOT_OWNED, {"owner": OWNER})


def _powers() -> list[tuple[str, str]]:
    return _rows(POWERS, {"roles": [*ROLES], "clients": [APP, ANALYST]})


def _set_log_settings() -> None:
    (database,) = _column("SELECT current_database()")
    for name, value in QUIET_LOG.items():
        _execute(
            sql.SQL("ALTER DATABASE {} SET {} = {}").format(
                sql.Identifier(database), sql.Identifier(name), sql.Literal(value)
            )
        )


def _repeat(work) -> None:
    """Do ``work`` in a transaction; again when somebody was at the same at that moment.

    Roles belong to the whole server: another of its databases may be making them right now.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with transaction.atomic():
                work()
            return
        except DatabaseError as error:
            if attempt == ATTEMPTS or not _passes(error):
                raise
            time.sleep(0.05 * attempt)


def _passes(error: DatabaseError) -> bool:
    cause = error.__cause__
    if not isinstance(cause, psycopg.Error):
        return False
    errors = psycopg.errors
    made_meanwhile = errors.DuplicateObject | errors.UniqueViolation
    in_use = errors.DeadlockDetected | errors.LockNotAvailable
    return isinstance(cause, made_meanwhile | in_use) or (
        "tuple concurrently" in str(cause)  # an internal error (XX000) without a code of its own
    )


def _execute(statement: sql.Composable) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def _rows(query: str, params: Any = None) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(query, params)
        return cursor.fetchall()


def _column(query: str, params: Any = None) -> list[Any]:
    return [row[0] for row in _rows(query, params)]


# What an extension brings along is its own.
NOT_OF_EXTENSION = """
    NOT EXISTS (SELECT FROM pg_depend e
                WHERE e.classid = '{catalog}'::regclass AND e.objid = {alias}.oid
                  AND e.deptype = 'e')
"""
RELATIONS = f"""
    SELECT CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind, c.relname AS name
    FROM pg_class c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
      AND {NOT_OF_EXTENSION.format(catalog="pg_class", alias="c")}
    ORDER BY c.relname
"""
# As str(Column).
COLUMNS = """
    SELECT c.relname || '.' || a.attname
    FROM pg_class c
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.relnamespace = 'public'::regnamespace
"""
# Sequences of identity columns, with their table.
SEQUENCES = """
    SELECT c.relname, t.relname
    FROM pg_class c
    JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid
                    AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
    JOIN pg_class t ON t.oid = d.refobjid
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'S'
"""
# As Grant. What PUBLIC has by default to connect and to look names up is left to it.
LIVE = f"""
    SELECT coalesce(r.rolname, 'PUBLIC'),
           a.privilege_type || CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END,
           o.kind, o.name, o.attribute
    FROM (
        SELECT CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind,
               c.relname AS name, '' AS attribute, c.relacl AS acl
        FROM pg_class c
        WHERE c.relnamespace = 'public'::regnamespace
          AND {NOT_OF_EXTENSION.format(catalog="pg_class", alias="c")}
        UNION ALL
        SELECT 'TABLE', c.relname, t.attname, t.attacl
        FROM pg_class c JOIN pg_attribute t ON t.attrelid = c.oid AND NOT t.attisdropped
        WHERE c.relnamespace = 'public'::regnamespace
          AND {NOT_OF_EXTENSION.format(catalog="pg_class", alias="c")}
        UNION ALL
        SELECT 'SCHEMA', n.nspname, '', coalesce(n.nspacl, acldefault('n', n.nspowner))
        FROM pg_namespace n WHERE n.nspname = 'public'
        UNION ALL
        SELECT 'DATABASE', d.datname, '', coalesce(d.datacl, acldefault('d', d.datdba))
        FROM pg_database d WHERE d.datname = current_database()
    ) o
    CROSS JOIN LATERAL aclexplode(o.acl) a
    LEFT JOIN pg_roles r ON r.oid = a.grantee
    WHERE r.rolname = ANY (%(roles)s)
       OR r.rolname = %(owner)s AND o.kind IN ('SCHEMA', 'DATABASE')
       OR a.grantee = 0 AND NOT (o.kind = 'SCHEMA' AND a.privilege_type = 'USAGE'
                                 OR o.kind = 'DATABASE' AND a.privilege_type = 'CONNECT')
"""
# The sequence of a column has its table's owner. Names as the catalog quotes them.
NOT_OWNED = f"""
    SELECT CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END,
           format('public.%%I', c.relname)
    FROM pg_class c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
      AND pg_get_userbyid(c.relowner) <> %(owner)s
      AND NOT EXISTS (SELECT FROM pg_depend d
                      WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
                        AND d.deptype IN ('a', 'i') AND c.relkind = 'S')
      AND {NOT_OF_EXTENSION.format(catalog="pg_class", alias="c")}
    UNION ALL
    SELECT 'ROUTINE',
           format('public.%%I(%%s)', p.proname, pg_get_function_identity_arguments(p.oid))
    FROM pg_proc p
    WHERE p.pronamespace = 'public'::regnamespace AND pg_get_userbyid(p.proowner) <> %(owner)s
      AND {NOT_OF_EXTENSION.format(catalog="pg_proc", alias="p")}
    ORDER BY 1, 2
"""
# What goes around grants: attributes of a role, membership in another, triggers switched off by a
# setting, and sessions that begin in somebody's name (ebalance/actor.py).
POWERS = """
    SELECT r.rolname, power.name
    FROM pg_roles r
    CROSS JOIN LATERAL (VALUES
        ('SUPERUSER', r.rolsuper), ('CREATEROLE', r.rolcreaterole), ('CREATEDB', r.rolcreatedb),
        ('REPLICATION', r.rolreplication), ('BYPASSRLS', r.rolbypassrls)) power (name, has)
    WHERE r.rolname = ANY (%(roles)s) AND power.has
    UNION ALL
    SELECT pg_get_userbyid(m.member), 'a member of ' || pg_get_userbyid(m.roleid)
    FROM pg_auth_members m WHERE pg_get_userbyid(m.member) = ANY (%(clients)s)
    UNION ALL
    SELECT coalesce(r.rolname, 'PUBLIC'), 'allowed to set session_replication_role'
    FROM pg_parameter_acl p CROSS JOIN LATERAL aclexplode(p.paracl) a
    LEFT JOIN pg_roles r ON r.oid = a.grantee
    WHERE p.parname = 'session_replication_role' AND NOT coalesce(r.rolsuper, false)
    UNION ALL
    SELECT coalesce(r.rolname, 'PUBLIC'), 'preset with ' || split_part(setting, '=', 1)
    FROM pg_db_role_setting s CROSS JOIN LATERAL unnest(s.setconfig) setting
    LEFT JOIN pg_roles r ON r.oid = s.setrole
    WHERE s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
      AND setting ~ '^(session_replication_role|ebalance[.].*)='
    ORDER BY 1, 2
"""
