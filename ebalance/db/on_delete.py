"""Delete actions that the database carries out, so that they hold for every writer."""

from django.db.models import DB_CASCADE, DB_SET_NULL
from django.db.models.deletion import DatabaseOnDelete

__all__ = ["DB_CASCADE", "DB_RESTRICT", "DB_SET_NULL"]


class _Restrict(DatabaseOnDelete):
    def on_delete_sql(self, schema_editor):
        return " ON DELETE RESTRICT"


# Django 6.1 has no RESTRICT among its database-level actions.
DB_RESTRICT = _Restrict("RESTRICT", "DB_RESTRICT")
