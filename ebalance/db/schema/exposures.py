"""Ways around the grants of tables: they reach data, or stop writers, without such a grant.

``findings()`` names them. ``mend()`` removes those that the session may remove. The rest belongs to
other roles, and a person decides about it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from psycopg import sql

from . import catalog
from .grants import ANALYST, APP, OWNER, ROLES

CLIENTS = [APP, ANALYST]
# Defaults of new sessions. Commands of the owner are long, requests of the application short.
TIMEOUTS = {
    OWNER: {
        "lock_timeout": "30s",
        "statement_timeout": "1h",
        "idle_in_transaction_session_timeout": "10min",
    },
    APP: {
        "lock_timeout": "10s",
        "statement_timeout": "1min",
        "idle_in_transaction_session_timeout": "5min",
    },
    ANALYST: {
        "lock_timeout": "4s",
        "statement_timeout": "5min",
        "idle_in_transaction_session_timeout": "1min",
    },
}


class Finding(NamedTuple):
    text: str
    needs_superuser: bool = False


# An advisory lock needs no privilege, and a large object has no column that erasure could empty.
FUNCTIONS = """
    SELECT p.oid::regprocedure::text, p.proname
    FROM pg_proc p
    WHERE p.pronamespace = 'pg_catalog'::regnamespace
      AND p.proname ~ '^(pg_(try_)?advisory_|lo_|loread$|lowrite$)'
      AND EXISTS (SELECT FROM unnest(%(clients)s::text[]) AS client (name)
                  WHERE has_function_privilege(client.name, p.oid, 'EXECUTE'))
    ORDER BY p.proname, 1
"""
# Of one run of migrate at a time; the owner need not be a superuser.
LOCK_OF_MIGRATE = (
    "pg_catalog.pg_try_advisory_lock(bigint)",
    "pg_catalog.pg_advisory_unlock(bigint)",
)
# PUBLIC may execute new functions and use new types by PostgreSQL's own default.
DEFAULT_PRIVILEGES = """
    SELECT pg_get_userbyid(d.defaclrole) AS creator, n.nspname,
           CASE d.defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES'
                WHEN 'f' THEN 'FUNCTIONS' WHEN 'T' THEN 'TYPES' WHEN 'n' THEN 'SCHEMAS'
                ELSE 'LARGE OBJECTS' END,
           coalesce(r.rolname, 'PUBLIC'), a.privilege_type,
           pg_has_role(d.defaclrole, 'MEMBER')
    FROM pg_default_acl d
    LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace
    CROSS JOIN LATERAL aclexplode(d.defaclacl) a
    LEFT JOIN pg_roles r ON r.oid = a.grantee
    WHERE r.rolname = ANY (%(clients)s)
       OR a.grantee = 0 AND d.defaclobjtype NOT IN ('f', 'T')
    ORDER BY 1, 2, 3, 4, 5
"""
OF_OTHERS = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
SECURITY_DEFINER = f"""
    SELECT client.name, p.oid::regprocedure::text, pg_get_userbyid(p.proowner)
    FROM pg_proc p
    JOIN pg_namespace n ON n.oid = p.pronamespace
    CROSS JOIN unnest(%(clients)s::text[]) AS client (name)
    WHERE p.prosecdef AND {OF_OTHERS} AND pg_get_userbyid(p.proowner) <> client.name
      AND {catalog.NOT_OF_EXTENSION.format(catalog="pg_proc", alias="p")}
      AND has_schema_privilege(client.name, n.oid, 'USAGE')
      AND has_function_privilege(client.name, p.oid, 'EXECUTE')
    ORDER BY 1, 2
"""
OTHER_SCHEMAS = f"""
    SELECT client.name, 'reads or writes ' || c.oid::regclass::text
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    CROSS JOIN unnest(%(clients)s::text[]) AS client (name)
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND {OF_OTHERS} AND n.nspname <> 'public'
      AND {catalog.NOT_OF_EXTENSION.format(catalog="pg_class", alias="c")}
      AND has_schema_privilege(client.name, n.oid, 'USAGE')
      AND (has_table_privilege(client.name, c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE')
           OR has_any_column_privilege(client.name, c.oid, 'SELECT, INSERT, UPDATE'))
    UNION ALL
    SELECT client.name, 'creates objects in the schema ' || quote_ident(n.nspname)
    FROM pg_namespace n
    CROSS JOIN unnest(%(clients)s::text[]) AS client (name)
    WHERE {OF_OTHERS} AND n.nspname <> 'public'
      AND has_schema_privilege(client.name, n.oid, 'CREATE')
    ORDER BY 1, 2
"""
# The roles, and the roles that log in as a member of one. A setting of a role is not inherited.
SESSIONS = """
    WITH RECURSIVE members (id, kind) AS (
        SELECT r.oid, r.rolname FROM pg_roles r WHERE r.rolname = ANY (%(roles)s)
        UNION
        SELECT m.member, members.kind
        FROM members JOIN pg_auth_members m ON m.roleid = members.id
    )
    SELECT r.rolname, members.kind, ARRAY(
        SELECT split_part(line, '=', 1)
        FROM pg_db_role_setting s, unnest(s.setconfig) AS line
        WHERE s.setrole = r.oid AND line !~ '=0[a-z]*$'
          AND s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
    )
    FROM members JOIN pg_roles r ON r.oid = members.id
    WHERE r.rolname = ANY (%(roles)s) AND members.kind = r.rolname
       OR r.rolname <> ALL (%(roles)s) AND r.rolcanlogin AND NOT r.rolsuper
    ORDER BY 1, 2
"""
PARAMETERS = {"clients": CLIENTS, "roles": [*ROLES]}


def findings() -> list[Finding]:
    return [
        *(Finding(f"missing: {name} of {role}") for role, name, _ in missing_timeouts()),
        *_executable(),
        *(
            Finding(f"too much: {grantee} gets {privilege} on new {kind.lower()} of {creator}")
            for creator, _, kind, grantee, privilege, _ in _read(DEFAULT_PRIVILEGES)
        ),
        *(
            Finding(f"too much: {client} executes {function} with the privileges of {owner}")
            for client, function, owner in _read(SECURITY_DEFINER)
        ),
        *(Finding(f"too much: {client} {what}") for client, what in _read(OTHER_SCHEMAS)),
    ]


def missing_timeouts() -> Iterator[tuple[str, str, str]]:
    """Role, setting and value, for each default that new sessions do not have."""
    seen = set()
    for role, kind, names in _read(SESSIONS):
        for name, value in TIMEOUTS[kind].items():
            if name not in names and (role, name) not in seen:
                seen.add((role, name))
                yield role, name, value


def is_superuser() -> bool:
    return catalog.read_column("SELECT rolsuper FROM pg_roles WHERE rolname = current_user") == [
        True
    ]


def mend() -> Iterator[sql.Composable]:
    """Statements that the session may run."""
    clients = sql.SQL(", ").join(map(sql.Identifier, CLIENTS))
    if is_superuser():
        for function, _ in _read(FUNCTIONS):
            # The catalog has quoted the name.
            yield sql.SQL("REVOKE EXECUTE ON FUNCTION {} FROM PUBLIC, {}").format(
                sql.SQL(function), clients
            )
        for function in LOCK_OF_MIGRATE:
            yield sql.SQL("GRANT EXECUTE ON FUNCTION {} TO {}").format(
                sql.SQL(function), sql.Identifier(OWNER)
            )
    for creator, schema, kind, grantee, _, may_revoke in _read(DEFAULT_PRIVILEGES):
        if may_revoke:
            yield sql.SQL("ALTER DEFAULT PRIVILEGES FOR ROLE {}{} REVOKE ALL ON {} FROM {}").format(
                sql.Identifier(creator),
                sql.SQL(" IN SCHEMA {}").format(sql.Identifier(schema)) if schema else sql.SQL(""),
                sql.SQL(kind),
                sql.SQL("PUBLIC") if grantee == "PUBLIC" else sql.Identifier(grantee),
            )


def set_timeouts() -> Iterator[sql.Composable]:
    for role, name, value in missing_timeouts():
        yield sql.SQL("ALTER ROLE {} SET {} = {}").format(
            sql.Identifier(role), sql.Identifier(name), sql.Literal(value)
        )


def _executable() -> Iterator[Finding]:
    rows = _read(FUNCTIONS)
    for kind, is_of_kind in (("advisory locks", True), ("large objects", False)):
        names = sorted({name for _, name in rows if ("advisory" in name) == is_of_kind})
        if names:
            yield Finding(
                f"too much: clients may use {kind}: {', '.join(names)}", needs_superuser=True
            )


def _read(query: str) -> list[tuple]:
    return catalog.read_rows(query, PARAMETERS)
