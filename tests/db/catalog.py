"""Queries of the live database's catalog, independent of the application."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.db import models

from ebalance.db.apps import PROJECT_APPS
from tests.support import execute


def project_models() -> list[type[models.Model]]:
    models = [m for label in PROJECT_APPS for m in apps.get_app_config(label).get_models()]
    return [model for model in models if model._meta.managed]


def project_views() -> list[type[models.Model]]:
    models = [m for label in PROJECT_APPS for m in apps.get_app_config(label).get_models()]
    return [model for model in models if not model._meta.managed]


def project_tables() -> list[str]:
    return sorted(model._meta.db_table for model in project_models())


def model_of(table: str) -> type[models.Model]:
    return next(m for m in project_models() if m._meta.db_table == table)


def columns() -> list[dict[str, Any]]:
    """Columns of the project's tables: table, name, type, not_null, default, comment."""
    return execute(
        """
        SELECT c.relname AS "table", a.attname AS name,
               format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull AS not_null,
               pg_get_expr(d.adbin, d.adrelid) AS "default",
               col_description(c.oid, a.attnum) AS comment
        FROM pg_class c
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
        WHERE c.relnamespace = 'public'::regnamespace AND c.relname = ANY (%s)
        ORDER BY c.relname, a.attnum
        """,
        [project_tables()],
    )


def constraints() -> list[dict[str, Any]]:
    """Constraints of the project's tables but NOT NULL: table, name, kind (c, f, p, u, x), …"""
    return execute(
        """
        SELECT c.relname AS "table", con.conname AS name, con.contype::text AS kind,
               pg_get_constraintdef(con.oid) AS definition, con.condeferrable AS is_deferrable,
               con.convalidated AS is_validated, con.confdeltype::text AS on_delete
        FROM pg_constraint con JOIN pg_class c ON c.oid = con.conrelid
        WHERE c.relnamespace = 'public'::regnamespace AND c.relname = ANY (%s)
          AND con.contype IN ('c', 'f', 'p', 'u', 'x')
        ORDER BY c.relname, con.conname
        """,
        [project_tables()],
    )


def indexes() -> list[dict[str, Any]]:
    """Indexes of the project's tables: table, name, is_unique, of_constraint, is_valid, comment."""
    return execute(
        """
        SELECT t.relname AS "table", i.relname AS name, x.indisunique AS is_unique,
               x.indisvalid AS is_valid, obj_description(i.oid) AS comment,
               EXISTS (SELECT FROM pg_constraint con WHERE con.conindid = i.oid
                       AND con.conrelid = t.oid) AS of_constraint
        FROM pg_index x
        JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid
        WHERE t.relnamespace = 'public'::regnamespace AND t.relname = ANY (%s)
        ORDER BY t.relname, i.relname
        """,
        [project_tables()],
    )


def triggers() -> list[dict[str, Any]]:
    """The project's triggers: table, name, function, definition, enabled."""
    return execute(
        """
        SELECT c.relname AS "table", t.tgname AS name, p.proname AS function,
               pg_get_triggerdef(t.oid) AS definition, t.tgenabled::text AS enabled
        FROM pg_trigger t
        JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_proc p ON p.oid = t.tgfoid
        WHERE NOT t.tgisinternal AND c.relnamespace = 'public'::regnamespace
          AND c.relname = ANY (%s)
        ORDER BY c.relname, t.tgname
        """,
        [project_tables()],
    )


def functions() -> list[dict[str, Any]]:
    """The project's functions, without extensions: name, source, settings, is_parsed_late."""
    return execute(
        """
        SELECT p.proname AS name, p.prosrc AS source, coalesce(p.proconfig, '{}') AS settings,
               p.prosqlbody IS NULL AS is_parsed_late
        FROM pg_proc p
        WHERE p.pronamespace = 'public'::regnamespace
          AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
        ORDER BY p.proname
        """
    )
