"""Replaces operations that Django detects by those that production accepts.

An operation on a table of the same run stays as it is. So does one without a safe form:
``preview()`` has the refusal of it. migrations.md, "In production".
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from contextlib import suppress
from graphlib import TopologicalSorter
from typing import Any

from django.conf import settings
from django.db import OperationalError, models
from django.db.migrations import Migration
from django.db.migrations import operations as django
from pgtrigger.migrations import AddTrigger, RemoveTrigger

from ebalance.db import operations as steps

from .plan import PlanExaminer
from .releases import release_of

REMOVALS = (django.RemoveField, django.DeleteModel, RemoveTrigger)


def make_safe(migration: Any, before: Any, last: str | None) -> None:
    """Replace the operations of a detected migration.

    ``before``: the state before the run. ``last``: the name of the app's last migration in it.
    """
    forms = _Forms(migration, before)
    new = [each for each in migration.operations if forms.model(each) is None]
    old = [each for each in migration.operations if each not in new]
    # A table and its indexes are one step.
    migration.operations = [*new, *_ordered([each for op in old for each in forms.of(op)])]
    if last and any(forms.is_removal(operation) for operation in migration.operations):
        release = release_of(Migration(last, migration.app_label)) or _version()
        expand = f"{migration.app_label}.{last.partition('_')[0]}"
        migration.operations.insert(0, steps.Contract(expand=expand, released=release))


def _version() -> str:
    project = tomllib.loads((settings.BASE_DIR / "pyproject.toml").read_text(encoding="utf-8"))
    return project["project"]["version"]


class _Forms:
    def __init__(self, migration: Any, before: Any) -> None:
        self.app_label = migration.app_label
        self.before = before
        self.added = _named(migration, django.AddConstraint, lambda each: each.constraint.name)
        self.removed = _named(migration, django.RemoveConstraint, lambda each: each.name)
        self.triggers = _named(migration, AddTrigger, lambda each: each.trigger.name)

    def model(self, operation: Any) -> Any:
        """The stored model that an operation changes; None if it has no table yet."""
        name = getattr(operation, "model_name", getattr(operation, "name", ""))
        model = self.before.models.get((self.app_label, name.lower()))
        return model if model and model.options.get("managed", True) else None

    def of(self, operation: Any) -> Iterator[Any]:
        """The operations instead of one that Django has detected."""
        model = self.model(operation)
        name = getattr(operation, "model_name", "")
        match operation:
            case django.AddIndex():
                yield steps.AddIndexConcurrently(name, operation.index)
            case django.RemoveIndex():
                yield steps.RemoveIndexConcurrently(name, operation.name)
            case django.RemoveConstraint() if self._is_replaced_check(operation, model):
                return
            case django.AddConstraint():
                yield self._add_constraint(operation)
            case django.AlterField():
                yield from self._alter_field(operation, model)
            case django.AddField() if _is_nullable_foreign_key(operation.field):
                yield steps.AddForeignKey(name, operation.name, operation.field)
            case _:
                yield operation

    def _is_replaced_check(self, operation: Any, model: Any) -> bool:
        added = self.added.get((operation.model_name_lower, operation.name))
        stored = model.get_constraint_by_name(operation.name)
        return isinstance(stored, models.CheckConstraint) and isinstance(
            added and added.constraint, models.CheckConstraint
        )

    def _add_constraint(self, operation: Any) -> Any:
        name, constraint = operation.model_name, operation.constraint
        removed = self.removed.get((operation.model_name_lower, constraint.name))
        if removed:
            if self._is_replaced_check(removed, self.model(removed)):
                return steps.ReplaceCheck(name, constraint)
        elif isinstance(constraint, models.CheckConstraint):
            return steps.AddCheck(name, constraint)
        elif isinstance(constraint, models.UniqueConstraint):
            return steps.AddUnique(name, constraint)
        return operation

    def _alter_field(self, operation: Any, model: Any) -> Iterator[Any]:
        old, new = model.fields.get(operation.name), operation.field
        if old is None or not old.null or new.null:
            yield operation
            return
        nullable = new.clone()
        nullable.null = True
        if _stored(nullable) != _stored(old):
            yield django.AlterField(operation.model_name, operation.name, nullable)
        yield steps.SetNotNull(operation.model_name, operation.name, new)

    def is_removal(self, operation: Any) -> bool:
        """Whether production accepts an operation only with a Contract."""
        if (model := self.model(operation)) is None:
            return False
        if isinstance(operation, RemoveTrigger):
            return (operation.model_name_lower, operation.name) not in self.triggers
        if isinstance(operation, django.RemoveConstraint):
            return (operation.model_name_lower, operation.name) not in self.added
        if isinstance(operation, django.RemoveField):
            field = model.fields.get(operation.name)
            return not (field and field.many_to_many)
        if type(operation) is django.AlterField:
            old, new = model.fields.get(operation.name), operation.field
            is_lost = old and old.has_db_default() and not new.has_db_default()
            return bool(is_lost) and not new.null
        return isinstance(operation, django.DeleteModel | django.RemoveIndex)


def _named(migration: Any, kind: Any, name: Any) -> dict[tuple[str, str], Any]:
    return {
        (each.model_name_lower, name(each)): each
        for each in migration.operations
        if isinstance(each, kind)
    }


def _is_nullable_foreign_key(field: Any) -> bool:
    is_foreign_key = isinstance(field, models.ForeignKey)
    return is_foreign_key and field.null and field.db_constraint and not field.unique


def _stored(field: Any) -> Any:
    """The parts of a field that the database has."""
    _, path, args, kwargs = field.deconstruct()
    unseen = {*field.non_db_attrs} - {"db_column"}
    return path, args, {key: value for key, value in kwargs.items() if key not in unseen}


def _ordered(operations: list[Any]) -> list[Any]:
    """The operations, with removals last.

    Clients write between two steps: a trigger is replaced in one step, after the columns that it
    reads were added, and before those that it no longer reads are removed.
    """
    removed: dict[tuple[str, Any], Any] = {
        (each.model_name, each.name): each for each in operations if isinstance(each, RemoveTrigger)
    }
    added = {(each.model_name, each.name) for each in operations if type(each) is django.AddField}
    triggers: list[Any] = []
    first: list[Any] = []
    last: list[Any] = []
    for each in operations:
        if isinstance(each, AddTrigger):
            old = removed.pop((each.model_name, each.trigger.name), None)
            triggers += [old, each] if old else [each]
        elif isinstance(each, REMOVALS) and (
            isinstance(each, django.DeleteModel) or (each.model_name, each.name) not in added
        ):
            last.append(each)
        else:
            first.append(each)
    return [*first, *triggers, *(each for each in last if each not in triggers)]


# -- refusals -------------------------------------------------------------------------------------


class _Preview(PlanExaminer):
    """Examines migrations that were just written, for any database of the previous release."""

    def is_empty(self, table: str) -> bool:
        return False

    def volatile_function(self, field: models.Field) -> str | None:
        with suppress(OperationalError):  # makemigrations has warned about the connection
            return super().volatile_function(field)
        return None

    def faults_of_not_null(self, old: models.Field, new: models.Field) -> list[str]:
        with suppress(OperationalError):  # as above
            return super().faults_of_not_null(old, new)
        return []


def preview(changes: dict[str, list[Migration]], before: Any, connection: Any) -> Iterator[str]:
    """The refusals of production for detected ``changes`` by app, with the remedy of each."""
    examiner = _Preview(connection, before)
    detected = {(each.app_label, each.name): each for all in changes.values() for each in all}
    order = TopologicalSorter(
        {
            key: [other for other in each.dependencies if other in detected]
            for key, each in detected.items()
        }
    )
    for key in order.static_order():
        sentences, _ = examiner.examine(detected[key])
        for sentence in sentences:
            yield f"{detected[key]}: {sentence}"
