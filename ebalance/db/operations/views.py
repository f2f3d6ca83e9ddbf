"""Creates views."""

from typing import Any

from django.db.migrations.operations.base import Operation, OperationCategory


class CreateView(Operation):
    """Creates the view of an unmanaged model, with the model's comments.

    ``name``: the model, whose CreateModel is an earlier operation. ``query``: the SELECT. The view
    reads with the privileges of the role that asks. With ``security_invoker=False`` it reads with
    those of its owner: the analyst reads tables through it that the analyst may not read. No
    function of a caller's query then runs on rows that the view leaves out (security_barrier).
    """

    category = OperationCategory.ADDITION
    reduces_to_sql = True

    def __init__(self, name: str, query: str, *, security_invoker: bool = True) -> None:
        self.name = name
        self.query = query
        self.security_invoker = security_invoker

    def deconstruct(self):
        options = {} if self.security_invoker else {"security_invoker": False}
        return self.__class__.__name__, [self.name, self.query], options

    def state_forwards(self, app_label, state):
        pass

    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        meta = to_state.apps.get_model(app_label, self.name)._meta
        quote, value = schema_editor.quote_name, schema_editor.quote_value
        view = quote(meta.db_table)
        query = self.query.strip().rstrip(";")
        option = "security_invoker" if self.security_invoker else "security_barrier"
        _execute(schema_editor, f"CREATE VIEW {view} WITH ({option} = true) AS\n{query}")
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
