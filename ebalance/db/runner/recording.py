"""Computes the SQL of operations without executing it.

Django renders models and composes SQL while it holds the locks of earlier statements. Here all of
that is done first, so that a lock lasts as long as the SQL alone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import groupby
from typing import Any

from django.core.management.base import CommandError
from django.db import DatabaseError
from django.db.migrations import RunPython
from django.db.migrations.loader import MigrationLoader
from psycopg.errors import ReadOnlySqlTransaction

from ebalance.db.apps import PROJECT_APPS
from ebalance.failures import database_error

from .statements import ends_transaction, is_concurrent, is_validation, locked_tables


class NeedsDatabase(Exception):
    """An operation depends on statements that have not been executed yet, or executes its own."""


type Part = str | Callable[[], None]


@dataclass
class Step:
    """A unit of execution: SQL, and functions of RunPython, in their order."""

    parts: list[Part] = field(default_factory=list)

    @property
    def sql(self) -> str:
        return ";\n".join(part for part in self.parts if isinstance(part, str))

    @property
    def messages(self) -> Iterator[Part]:
        """The parts; SQL between two functions is one message for the server."""
        for is_sql, parts in groupby(self.parts, key=lambda part: isinstance(part, str)):
            if is_sql:
                # A comment may be the last line of a part.
                yield "\n;\n".join(part for part in parts if isinstance(part, str))
            else:
                yield from parts

    def by_table(self, stored: Collection[str]) -> list[Step]:
        """The step as one step for each change of a table of ``stored``.

        Clients lock tables in orders of their own. A transaction that holds one lock and waits for
        the next one would meet them until one of the two gives up. A step with a function stays
        as it is.
        """
        steps = [Step()]
        locked: list[str] = []
        for part in self.parts:
            if not isinstance(part, str):
                return [self]
            tables = [table for table in locked_tables(part) if table in stored]
            if tables and locked and tables != locked:
                steps.append(Step())
            locked = tables or locked
            steps[-1].parts.append(part)
        return steps

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
    batches = False  # statements are sent together later

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
        if ends_transaction(text):
            raise CommandError(f"An operation begins or ends a transaction: {text[:100]}")
        if is_concurrent(text) and not self.is_stepwise:
            text = text.replace("CONCURRENTLY ", "", 1)
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


@contextmanager
def reading_only(connection: Any) -> Iterator[None]:
    """Raise NeedsDatabase for an operation that writes while it is recorded.

    No comparison would see what it wrote. A transaction would forbid operations CONCURRENTLY.
    """
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = on")
    try:
        yield
    except DatabaseError as error:
        if isinstance(database_error(error), ReadOnlySqlTransaction):
            raise NeedsDatabase from None
        raise
    finally:
        with connection.cursor() as cursor:
            cursor.execute("RESET default_transaction_read_only")


def record_steps(
    migration: Any, state: Any, connection: Any, stored: Collection[str] | None
) -> tuple[list[Step], Any]:
    """The steps of ``migration`` and the state after it. Raises NeedsDatabase.

    ``stored`` are the tables that clients use; None in a first installation, which has no clients,
    and where each migration is one transaction. ``state`` stays as it is.
    """
    # pgtrigger replaces the schema editor of the connection by a subclass that makes triggers.
    editor = type("RecordingSchemaEditor", (Recorder, connection.SchemaEditorClass), {})
    recorder: Any = editor(connection, is_stepwise=stored is not None and is_stepwise(migration))
    first, state = state, state.clone()
    for operation in migration.operations:
        before = state.clone()
        operation.state_forwards(migration.app_label, state)
        recorder.record(operation, migration.app_label, before, state)
    recorder.record_deferred()
    if stored is None:
        return recorder.steps, state
    # A continued run finds tables that it made itself.
    used = {*stored} - new_tables(first, state)
    return [each for step in recorder.steps for each in step.by_table(used)], state


def new_tables(before: Any, after: Any) -> set[str]:
    """The tables of models that exist in the second state only: no client uses them yet."""
    return tables_of(after) - tables_of(before)


def tables_of(state: Any) -> set[str]:
    return {
        model.options.get("db_table") or f"{app_label}_{name}"
        for (app_label, name), model in state.models.items()
    }


def sql_of_migrations(connection: Any) -> dict[str, str]:
    """The SQL of each migration of the project in a first installation, by "app.name"."""
    loader = MigrationLoader(None)
    state = loader.project_state([])
    result = {}
    for app_label, name in loader.graph._generate_plan(loader.graph.leaf_nodes(), True):
        migration = loader.graph.nodes[app_label, name]
        steps, state = record_steps(migration, state, connection, None)
        if app_label in PROJECT_APPS:
            result[f"{app_label}.{name}"] = "\n".join(step.sql for step in steps)
    return result


def is_stepwise(migration: Any) -> bool:
    """Whether operations of the migration need several transactions."""
    return not migration.atomic or _has_stepwise(migration.operations)


def _has_stepwise(operations: Iterable[Any]) -> bool:
    return any(
        getattr(each, "is_stepwise", False)
        or _has_stepwise(getattr(each, "database_operations", ()))
        for each in operations
    )
