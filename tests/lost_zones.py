"""Rows with a time zone that the server does not know, as earlier zone files left them."""

from __future__ import annotations

from django.db import models

from tests.support import execute

# Well-formed names that no server knows: one that was renamed and removed, one that never was.
RENAMED, LOST = "US/Pacific-New", "Europe/Atlantis"


def plant_zone(row: models.Model, zone: str, column: str = "timezone") -> None:
    """Store ``zone`` past the triggers, and read the row again."""
    table = row._meta.db_table
    execute("SET session_replication_role = replica")
    try:
        execute(f'UPDATE "{table}" SET "{column}" = %s WHERE id = %s', [zone, row.pk])
    finally:
        execute("RESET session_replication_role")
    row.refresh_from_db()
