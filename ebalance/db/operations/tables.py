"""Creates tables in one batch."""

from collections.abc import Sequence

from django.db.migrations.operations import CreateModel
from django.db.migrations.operations.base import Operation, OperationCategory
from django.db.migrations.state import ModelState


class CreateTables(Operation):
    """Several CreateModel operations as one step.

    Creates the same tables. The migration state is rendered once, not once per model and its
    relations, and the SQL is sent to the server in one batch. A plain ``migrate`` on an empty
    database spends most of its time on rendering, not on SQL (benchmarks/fresh_database.py).
    """

    category = OperationCategory.ADDITION

    def __init__(self, models: Sequence[CreateModel]):
        self.models = models

    def deconstruct(self):
        return self.__class__.__name__, [self.models], {}

    def state_forwards(self, app_label, state):
        states = [
            ModelState(
                app_label,
                model.name,
                list(model.fields),
                dict(model.options),
                tuple(model.bases or ()),
                list(model.managers or ()),
            )
            for model in self.models
        ]
        for model in states:
            state.models[app_label, model.name_lower] = model
            if state._relations is not None:
                state.resolve_model_relations((app_label, model.name_lower))
        if "apps" in state.__dict__:
            # No existing model refers to a new table, so none needs to be rendered again.
            state.apps.render_multiple(states)
            state.apps.clear_cache()

    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        with _batched(schema_editor):
            for model in self.models:
                model.database_forwards(app_label, schema_editor, from_state, to_state)
            deferred, schema_editor.deferred_sql = schema_editor.deferred_sql, []
            for sql in deferred:
                schema_editor.execute(sql, None)

    def database_backwards(self, app_label, schema_editor, from_state, to_state):
        for model in reversed(self.models):
            model.database_backwards(app_label, schema_editor, from_state, to_state)

    def describe(self):
        return f"Create {len(self.models)} tables"

    @property
    def migration_name_fragment(self):
        return "_".join(model.name_lower for model in self.models[:3])


class _batched:
    """Collects a schema editor's statements and sends them as one at the end."""

    def __init__(self, schema_editor):
        self.editor = schema_editor
        self.holds = not schema_editor.collect_sql and getattr(schema_editor, "batches", True)
        self.statements: list[str] = []

    def __enter__(self):
        # sqlmigrate and the runner collect statements themselves and must see them one by one.
        if self.holds:
            self.editor.execute = self._hold
        return self

    def _hold(self, sql, params=()):
        if params:
            sql = self.editor.connection.ops.compose_sql(str(sql), params)
        self.statements.append(str(sql).rstrip().rstrip(";"))

    def __exit__(self, kind, *_):
        if not self.holds:
            return
        del self.editor.execute
        if kind is None and self.statements:
            self.editor.execute(";\n".join(self.statements), None)
