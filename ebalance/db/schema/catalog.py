"""Reads roles, rights and owners from PostgreSQL's catalog."""

from typing import Any

from django.db import connection


def read_rows(query: str, params: Any = None) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(query, params)
        return cursor.fetchall()


def read_column(query: str, params: Any = None) -> list[Any]:
    return [row[0] for row in read_rows(query, params)]


# Objects of an extension belong to it.
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
# As Grant. The default rights of PUBLIC to connect and to look names up are accepted.
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
# Powers beyond grants: attributes of a role, membership in another, a setting that disables
# triggers, and sessions that begin with an actor preset (ebalance/actor.py).
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
