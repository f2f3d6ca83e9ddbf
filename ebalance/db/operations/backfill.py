"""Declares a backfill, which ``manage.py backfill`` runs."""

from django.db.migrations.operations.base import Operation, OperationCategory

LARGEST_BATCH = 10_000  # rows


class Backfill(Operation):
    """Fill columns of the rows of ``table`` that need it, after the migration (migrations.md).

    ``where`` is SQL for the rows that still need it, and ``set`` the SQL of the assignment. Both
    use columns of the table only. The job lists a row for which ``where`` stays true as refused.
    ``batch`` is the largest number of rows in a transaction. ``name`` defaults to
    ``<app>.<migration>``; a second backfill in one migration needs a name.

    The migration itself changes nothing. Raises ValueError for wrong arguments.
    """

    category = OperationCategory.SQL

    def __init__(
        self, table: str, *, set: str, where: str, batch: int = 1000, name: str | None = None
    ):
        for argument, text in {"table": table, "set": set, "where": where, "name": name}.items():
            if argument == "name" and text is None:
                continue
            if not isinstance(text, str) or not text.strip():
                raise ValueError(f"Backfill: {argument} is empty.")
            if ";" in text:
                raise ValueError(f"Backfill: {argument} has a semicolon: it is one expression.")
        if not isinstance(batch, int) or not 1 <= batch <= LARGEST_BATCH:
            raise ValueError(f"Backfill: batch is a number of rows from 1 to {LARGEST_BATCH:,}.")
        self.table, self.set, self.where = table, set, where
        self.batch, self.name = batch, name

    def state_forwards(self, app_label, state):
        pass

    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        pass

    def database_backwards(self, app_label, schema_editor, from_state, to_state):
        pass

    def describe(self):
        return f"Declare a backfill of {self.table}: {self.set}"

    @property
    def migration_name_fragment(self):
        return f"backfill_{self.table}"
