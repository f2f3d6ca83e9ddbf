"""Whether a database is in production (migrations.md, "In production")."""

from __future__ import annotations

from typing import Any

from django.conf import settings

KEY = "environment"  # in system_settings


def is_production(cursor: Any) -> bool:
    """Whether EBALANCE_ENV is prod, or the database stores it, as a restored dump does."""
    return settings.ENVIRONMENT == "prod" or _stored(cursor) == "prod"


def mark_environment(cursor: Any) -> None:
    """Store in a deployed database whose it is: of prod or stage. That of prod stays marked so."""
    if settings.ENVIRONMENT == "dev" or not _has_settings(cursor):
        return
    if _stored(cursor) not in ("prod", settings.ENVIRONMENT):
        cursor.execute(
            "INSERT INTO public.system_settings (key, value) VALUES (%s, to_jsonb(%s::text)) "
            "ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            [KEY, settings.ENVIRONMENT],
        )


def _stored(cursor: Any) -> str | None:
    if not _has_settings(cursor):
        return None
    cursor.execute("SELECT value #>> '{}' FROM public.system_settings WHERE key = %s", [KEY])
    row = cursor.fetchone()
    return row[0] if row else None


def _has_settings(cursor: Any) -> bool:
    cursor.execute("SELECT to_regclass('public.system_settings') IS NOT NULL")
    return cursor.fetchone() == (True,)
