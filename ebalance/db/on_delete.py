"""Delete actions of the database, which apply to every writer."""

from django.db.models import DB_CASCADE, DB_SET_NULL
from django.db.models.deletion import DatabaseOnDelete

__all__ = ["DB_CASCADE", "DB_RESTRICT", "DB_SET_NULL"]


class _Restrict(DatabaseOnDelete):
    # The ORM loads no related rows; the database checks at the DELETE.
    lazy_sub_objs = True

    def __call__(self, collector, field, sub_objs, using):  # type: ignore[override]
        pass

    def on_delete_sql(self, schema_editor):
        return " ON DELETE RESTRICT"


# Django 6.1 has no RESTRICT among its database-level actions.
DB_RESTRICT = _Restrict("RESTRICT", "DB_RESTRICT")
