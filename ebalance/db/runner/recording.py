"""Computes the SQL of operations without executing it.

Django renders models and composes SQL while it holds the locks of earlier statements. Here all of
that is done first, so that a lock lasts as long as the SQL alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from django.db.migrations import RunPython

from .statements import is_concurrent, is_validation


class NeedsDatabase(Exception):
    """The SQL of an operation depends on statements that have not been executed yet."""


@dataclass
class Step:
    """What is executed together: SQL, and functions of RunPython, in their order."""

    parts: list[str | Callable[[], None]] = field(default_factory=list)

    @property
    def sql(self) -> str:
        """The SQL of the step. One message for the server, if no function is in between."""
        return ";\n".join(part for part in self.parts if isinstance(part, str))

    @property
    def hash(self) -> str:
        """Identifies the step when a killed run is continued."""
        return sha256(self.sql.encode()).hexdigest()

    @property
    def is_concurrent(self) -> bool:
        return is_concurrent(self.sql)

    @property
    def is_validation(self) -> bool:
        return is_validation(self.sql)


class Recorder:
    """The part of a schema editor that collects statements in ``steps``.

    ``is_stepwise``: begin a new step at each statement that must have one of its own.
    """

    connection: Any

    def __init__(self, connection: Any, *, is_stepwise: bool) -> None:
        super().__init__(connection, atomic=False)  # type: ignore[call-arg]
        self.deferred_sql: list[Any] = []
        self.is_stepwise = is_stepwise
        self.steps: list[Step] = []
        self._is_new = True

    def execute(self, sql: Any, params: Any = ()) -> None:
        if params is not None:
            sql = self.connection.ops.compose_sql(str(sql), params)
        text = str(sql).strip().rstrip(";")
        if not text:
            return
        if is_alone := self.is_stepwise and (is_concurrent(text) or is_validation(text)):
            self.begin_step()
        self._add(text)
        if is_alone:
            self.begin_step()

    def begin_step(self) -> None:
        if self.is_stepwise:
            self._is_new = True

    def record(self, operation: Any, app_label: str, before: Any, after: Any) -> None:
        """Collect what ``operation`` does. Raises NeedsDatabase."""
        if isinstance(operation, RunPython):
            self.begin_step()
            self._add(lambda: self._run_python(operation, app_label, before, after))
            self.begin_step()
            return
        operation.database_forwards(app_label, self, before, after)
        if self.is_stepwise:
            self.record_deferred()

    def record_deferred(self) -> None:
        """Collect the statements that Django defers to the end of a migration."""
        deferred, self.deferred_sql = self.deferred_sql, []
        for sql in deferred:
            self.execute(sql, None)

    def _run_python(self, operation: Any, app_label: str, before: Any, after: Any) -> None:
        with self.connection.schema_editor(atomic=False) as editor:
            operation.database_forwards(app_label, editor, before, after)

    def _add(self, part: str | Callable[[], None]) -> None:
        if self._is_new or not self.steps:
            self.steps.append(Step())
            self._is_new = False
        self.steps[-1].parts.append(part)

    def _constraint_names(self, *args: Any, **kwargs: Any) -> Any:
        # Reads the catalog, which lacks what has been collected so far.
        if self.steps:
            raise NeedsDatabase
        return super()._constraint_names(*args, **kwargs)  # type: ignore[misc]


def record_steps(migration: Any, state: Any, connection: Any) -> tuple[list[Step], Any]:
    """The steps of ``migration`` and the state after it. Raises NeedsDatabase.

    ``state`` stays as it is.
    """
    # pgtrigger replaces the schema editor of the connection by a subclass that makes triggers.
    editor = type("RecordingSchemaEditor", (Recorder, connection.SchemaEditorClass), {})
    recorder: Any = editor(connection, is_stepwise=is_stepwise(migration))
    state = state.clone()
    for operation in migration.operations:
        before = state.clone()
        operation.state_forwards(migration.app_label, state)
        recorder.record(operation, migration.app_label, before, state)
    recorder.record_deferred()
    return recorder.steps, state


def is_stepwise(migration: Any) -> bool:
    """Whether the migration is several transactions."""
    return not migration.atomic or any(
        getattr(operation, "is_stepwise", False) for operation in migration.operations
    )
