"""Creates views."""

from typing import Any

from django.db.migrations.operations.base import Operation, OperationCategory


class CreateView(Operation):
    """Creates the view of an unmanaged model, with the model's comments.

    ``name``: the model, whose CreateModel is an earlier operation. ``query``: the SELECT. The view
    reads with the privileges of the role that asks (security_invoker).
    """

    category = OperationCategory.ADDITION
    reduces_to_sql = True

    def __init__(self, name: str, query: str) -> None:
        self.name = name
        self.query = query

    def deconstruct(self):
        return self.__class__.__name__, [self.name, self.query], {}

    def state_forwards(self, app_label, state):
        pass

    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        meta = to_state.apps.get_model(app_label, self.name)._meta
        quote, value = schema_editor.quote_name, schema_editor.quote_value
        view = quote(meta.db_table)
        query = self.query.strip().rstrip(";")
        _execute(schema_editor, f"CREATE VIEW {view} WITH (security_invoker = true) AS\n{query}")
        _execute(schema_editor, f"COMMENT ON VIEW {view} IS {value(meta.db_table_comment)}")
        for field in meta.concrete_fields:
            column = f"{view}.{quote(field.column)}"
            _execute(schema_editor, f"COMMENT ON COLUMN {column} IS {value(field.db_comment)}")

    def database_backwards(self, app_label, schema_editor, from_state, to_state):
        meta = from_state.apps.get_model(app_label, self.name)._meta
        _execute(schema_editor, f"DROP VIEW {schema_editor.quote_name(meta.db_table)}")

    def describe(self):
        return f"Create view {self.name}"

    @property
    def migration_name_fragment(self):
        return self.name.lower()


def _execute(schema_editor: Any, sql: str) -> None:
    schema_editor.execute(sql, None)
