"""Examines planned migrations before the first statement (migrations.md, "In production").

It refuses losses and hazards that operations show. Losses in SQL and Python are detected by the
comparison (comparison.py), which rolls the migration back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from django.contrib.postgres import operations as postgres
from django.contrib.postgres.constraints import ExclusionConstraint
from django.db import models
from django.db.migrations import operations as django
from pgtrigger.migrations import AddTrigger, RemoveTrigger

from ebalance.db import operations as steps
from ebalance.db.operations import Backfill, Contract, CreateTables, CreateView
from ebalance.db.operations.steps import Stepwise

from . import advice, questions
from .recording import is_stepwise
from .statements import ends_transaction, is_wider


def contracts_of(migration: Any) -> list[Contract]:
    return [each for each in migration.operations if isinstance(each, Contract)]


class PlanExaminer:
    """Walks through planned migrations. ``state`` is the state before them."""

    def __init__(self, connection: Any, state: Any) -> None:
        self.connection = connection
        self.state = state.clone()
        self.new_tables: set[tuple[str, str]] = set()  # app and model, made by this plan

    def examine(self, migration: Any) -> tuple[list[str], set[str]]:
        """The sentences against a migration, and the losses that it declares.

        Moves the state behind the migration.
        """
        self.migration = migration
        self.has_contract = bool(contracts_of(migration))
        self.declared: set[str] = {
            loss for contract in contracts_of(migration) for loss in contract.drops
        }
        sentences = []
        for operation in self._database_operations(migration.operations):
            sentences += self._examine(operation, migration.app_label)
        return sentences, self.declared

    def _database_operations(self, operations: Sequence[Any]) -> Iterator[Any]:
        """Each operation on the database; the state moves on after the caller has examined it."""
        for operation in operations:
            if isinstance(operation, django.SeparateDatabaseAndState):
                state, self.state = self.state, self.state.clone()
                yield from self._database_operations(operation.database_operations)
                self.state = state
                for each in operation.state_operations:
                    each.state_forwards(self.migration.app_label, self.state)
                continue
            yield operation
            operation.state_forwards(self.migration.app_label, self.state)

    def _examine(self, operation: Any, app_label: str) -> list[str]:
        kinds = [type(operation)] if isinstance(operation, Stepwise) else type(operation).__mro__
        for kind in kinds:
            if examine := RULES.get(kind):
                return [*examine(self, operation, app_label)]
        return []

    # -- helpers of the rules ---------------------------------------------------------------------

    def model(self, app_label: str, name: str) -> Any:
        return self.state.apps.get_model(app_label, name)

    def table(self, app_label: str, name: str) -> str:
        return self.model(app_label, name)._meta.db_table

    def is_new(self, app_label: str, name: str) -> bool:
        return (app_label, name.lower()) in self.new_tables

    def drops(self, *losses: str) -> Iterator[str]:
        """Declare the losses if the migration has a Contract, else refuse them."""
        if self.has_contract:
            self.declared.update(losses)
        else:
            yield f"drops {losses[0]}. {advice.CONTRACT}"

    def is_empty(self, table: str) -> bool:
        return questions.is_empty(self.connection, table)

    def field_after(self, operation: Any, app_label: str) -> models.Field:
        """The field that the operation adds or alters, in its model."""
        after = self.state.clone()
        operation.state_forwards(app_label, after)
        model = after.apps.get_model(app_label, operation.model_name)
        return model._meta.get_field(operation.name)

    def volatile_function(self, field: models.Field) -> str | None:
        """A volatile function in the database default of a field."""
        return questions.volatile_function(self.connection, field)

    def faults_of_not_null(self, old: models.Field, new: models.Field) -> list[str]:
        return [*questions.faults_of_not_null(self.connection, old, new)]


type Rule = Callable[[PlanExaminer, Any, str], Iterator[str]]
RULES: dict[type, Rule] = {}


def rule(*kinds: type) -> Callable[[Rule], Rule]:
    def register(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(kinds, function))
        return function

    return register


@rule(django.CreateModel)
def create_model(plan: PlanExaminer, operation: Any, app_label: str) -> Iterator[str]:
    plan.new_tables.add((app_label, operation.name.lower()))
    yield from ()


@rule(CreateTables)
def create_tables(plan: PlanExaminer, operation: Any, app_label: str) -> Iterator[str]:
    plan.new_tables |= {(app_label, model.name.lower()) for model in operation.models}
    yield from ()


@rule(django.DeleteModel)
def delete_model(plan: PlanExaminer, operation: Any, app_label: str) -> Iterator[str]:
    model = plan.model(app_label, operation.name)
    if model._meta.managed and not model._meta.proxy and not plan.is_new(app_label, operation.name):
        yield from plan.drops(f"table {model._meta.db_table}")


@rule(django.RenameModel)
def rename_model(plan: PlanExaminer, operation: Any, app_label: str) -> Iterator[str]:
    options = plan.state.models[app_label, operation.old_name_lower].options
    if not options.get("db_table"):
        table = plan.table(app_label, operation.old_name)
        yield f"renames table {table}. {advice.RENAME}"


@rule(django.AlterModelTable)
def alter_model_table(plan: PlanExaminer, operation: Any, app_label: str) -> Iterator[str]:
    table = plan.table(app_label, operation.name)
    if operation.table != table and not plan.is_new(app_label, operation.name):
        yield f"renames table {table}. {advice.RENAME}"


@rule(django.RenameField)
def rename_field(plan: PlanExaminer, operation: Any, app_label: str) -> Iterator[str]:
    model = plan.model(app_label, operation.model_name)
    field = model._meta.get_field(operation.old_name)
    if not field.db_column and not plan.is_new(app_label, operation.model_name):
        yield f"renames column {model._meta.db_table}.{field.column}. {advice.RENAME}"


@rule(django.RenameIndex)
def rename_index(plan: PlanExaminer, operation: Any, app_label: str) -> Iterator[str]:
    if not plan.is_new(app_label, operation.model_name):
        yield f"renames index {operation.old_name or operation.old_fields}. {advice.RENAME}"


@rule(django.RemoveField)
def remove_field(plan: PlanExaminer, operation: Any, app_label: str) -> Iterator[str]:
    model = plan.model(app_label, operation.model_name)
    field = model._meta.get_field(operation.name)
    if plan.is_new(app_label, operation.model_name):
        return
    if field.many_to_many and field.remote_field.through._meta.auto_created:
        yield from plan.drops(f"table {field.m2m_db_table()}")
    elif field.concrete and field.column:
        yield from plan.drops(f"column {model._meta.db_table}.{field.column}")


@rule(django.RemoveIndex, postgres.RemoveIndexConcurrently, steps.RemoveIndexConcurrently)
def remove_index(plan: PlanExaminer, operation: Any, app_label: str) -> Iterator[str]:
    if not plan.is_new(app_label, operation.model_name):
        yield from plan.drops(f"index {operation.name}")


@rule(django.RemoveConstraint)
def remove_constraint(plan: PlanExaminer, operation: Any, app_label: str) -> Iterator[str]:
    if plan.is_new(app_label, operation.model_name):
        return
    table = plan.table(app_label, operation.model_name)
    if added := next(
        (
            other
            for other in plan.migration.operations
            if isinstance(other, django.AddConstraint) and other.constraint.name == operation.name
        ),
        None,
    ):
        is_check = isinstance(added.constraint, models.CheckConstraint)
        remedy = advice.CHANGED_CHECK if is_check else advice.CHANGED_RULE
        yield f"changes constraint {table}.{operation.name} in place. {remedy}"
        return
    # A unique rule with a condition is an index alone.
    yield from plan.drops(f"constraint {table}.{operation.name}", f"index {operation.name}")


@rule(RemoveTrigger)
def remove_trigger(plan: PlanExaminer, operation: Any, app_label: str) -> Iterator[str]:
    is_replaced = any(
        isinstance(other, AddTrigger) and other.trigger.name == operation.name
        for other in plan.migration.operations
    )
    if not is_replaced and not plan.is_new(app_label, operation.model_name):
        table = plan.table(app_label, operation.model_name)
        yield from plan.drops(f"trigger {table}.{operation.name}")


@rule(django.AddField)
def add_field(plan: PlanExaminer, operation: Any, app_label: str) -> Iterator[str]:
    if plan.is_new(app_label, operation.model_name):
        return
    field: Any = operation.field
    if field.many_to_many:
        return
    column = f"column {plan.table(app_label, operation.model_name)}.{operation.name}"
    is_filled = field.db_default is not models.NOT_PROVIDED
    if field.generated or field.get_internal_type() in AUTO:
        yield f"adds {column}, which is computed for each row: the table is rewritten. " + (
            advice.REWRITE
        )
    elif not field.null and not is_filled:
        yield f"adds {column} NOT NULL without a default of the database. {advice.REQUIRED_COLUMN}"
    elif is_filled and (function := plan.volatile_function(plan.field_after(operation, app_label))):
        yield f"adds {column} with the volatile default {function}(). {advice.VOLATILE}"
    if field.remote_field and field.db_constraint:
        yield f"adds {column} and checks its foreign key under a lock. {advice.CONSTRAINT}"
    if field.unique:
        yield f"adds {column} and builds its unique index under a lock. {advice.UNIQUE}"
    elif field.db_index and not field.remote_field:
        yield f"adds {column} and builds its index under a lock. {advice.INDEX}"


AUTO = {"AutoField", "BigAutoField", "SmallAutoField"}


@rule(django.AlterField)
def alter_field(plan: PlanExaminer, operation: Any, app_label: str) -> Iterator[str]:
    if plan.is_new(app_label, operation.model_name):
        return
    model = plan.model(app_label, operation.model_name)
    old: Any = model._meta.get_field(operation.name)
    new: Any = plan.field_after(operation, app_label)
    table, column = model._meta.db_table, f"column {model._meta.db_table}.{old.column}"
    was, now = old.db_type(plan.connection), new.db_type(plan.connection)
    if old.column != new.column:
        yield f"renames {column}. {advice.RENAME}"
    if was != now and not is_wider(was or "", now or ""):
        yield f"changes {column} from {was} to {now}. {advice.REWRITE}"
    if old.null and not new.null:
        yield f"makes {column} NOT NULL, which checks all rows under a lock. {advice.NOT_NULL}"
    if new.null and not old.null:
        plan.declared.add(f"not null {table}.{old.column}")
    no_default = models.NOT_PROVIDED
    if not new.null and old.db_default is not no_default and new.db_default is no_default:
        yield from plan.drops(f"default {table}.{old.column}")
    if new.unique and not old.unique:
        yield f"builds a unique index of {column} under a lock. {advice.UNIQUE}"
    elif new.db_index and not old.db_index:
        yield f"builds an index of {column} under a lock. {advice.INDEX}"
    if new.remote_field and new.db_constraint and not (old.remote_field and old.db_constraint):
        yield f"checks a foreign key of {column} under a lock. {advice.CONSTRAINT}"


@rule(django.AddIndex)
def add_index(plan: PlanExaminer, operation: Any, app_label: str) -> Iterator[str]:
    if not plan.is_new(app_label, operation.model_name):
        table = plan.table(app_label, operation.model_name)
        yield f"builds index {operation.index.name} of {table} under a lock. {advice.INDEX}"


@rule(django.AddConstraint)
def add_constraint(plan: PlanExaminer, operation: Any, app_label: str) -> Iterator[str]:
    if plan.is_new(app_label, operation.model_name):
        return
    table = plan.table(app_label, operation.model_name)
    constraint = operation.constraint
    name = f"{table}.{constraint.name}"
    if isinstance(constraint, ExclusionConstraint):
        if not plan.is_empty(table):
            yield f"adds {name}, an EXCLUDE, to a table that has rows. {advice.EXCLUSION}"
    elif isinstance(constraint, models.UniqueConstraint):
        yield f"builds the index of {name} under a lock. {advice.UNIQUE}"
    elif not any(  # RemoveConstraint has reported it
        isinstance(other, django.RemoveConstraint) and other.name == constraint.name
        for other in plan.migration.operations
    ):
        yield f"checks all rows for {name} under a lock. {advice.CONSTRAINT}"


@rule(postgres.ValidateConstraint)
def validate_constraint(plan: PlanExaminer, operation: Any, app_label: str) -> Iterator[str]:
    if not is_stepwise(plan.migration) and any(
        isinstance(other, postgres.AddConstraintNotValid) for other in plan.migration.operations
    ):
        yield f"adds and validates {operation.name} in one transaction. {advice.CONSTRAINT}"


@rule(
    # The declaration of a model changes, not the table.
    django.AlterConstraint,
    django.AlterModelManagers,
    django.AlterModelOptions,
    Backfill,
    Contract,
    # No row is read or rewritten, and the lock is short.
    django.AlterModelTableComment,
    postgres.AddConstraintNotValid,
    postgres.AddIndexConcurrently,
    postgres.CreateCollation,
    postgres.CreateExtension,
    AddTrigger,
    CreateView,
)
def harmless(plan: PlanExaminer, operation: Any, app_label: str) -> Iterator[str]:
    yield from ()


@rule(postgres.RemoveCollation)
def remove_collation(plan: PlanExaminer, operation: Any, app_label: str) -> Iterator[str]:
    yield from plan.drops(f"collation {operation.name}")


@rule(django.AlterOrderWithRespectTo)
def order_rows(plan: PlanExaminer, operation: Any, app_label: str) -> Iterator[str]:
    model = plan.model(app_label, operation.name)
    if plan.is_new(app_label, operation.name):
        return
    column = f"column {model._meta.db_table}._order"
    if operation.order_with_respect_to is None:
        yield from plan.drops(column)
    elif model._meta.order_with_respect_to is None:
        yield f"adds {column} NOT NULL without a default of the database. {advice.REQUIRED_COLUMN}"


@rule(steps.AddForeignKey)
def add_foreign_key(plan: PlanExaminer, operation: Any, app_label: str) -> Iterator[str]:
    if plan.is_new(app_label, operation.model_name):
        return
    column = f"column {plan.table(app_label, operation.model_name)}.{operation.name}"
    if not operation.field.null and operation.field.db_default is models.NOT_PROVIDED:
        yield f"adds {column} NOT NULL without a default of the database. {advice.REQUIRED_COLUMN}"
    if operation.field.unique:
        yield f"adds {column} and builds its unique index under a lock. {advice.UNIQUE}"


@rule(django.AlterUniqueTogether, django.AlterIndexTogether)
def alter_together(plan: PlanExaminer, operation: Any, app_label: str) -> Iterator[str]:
    if not plan.is_new(app_label, operation.name):
        yield f"changes indexes of {operation.name} under a lock. {advice.UNIQUE}"


@rule(steps.SetNotNull)
def set_not_null(plan: PlanExaminer, operation: Any, app_label: str) -> Iterator[str]:
    old = plan.model(app_label, operation.model_name)._meta.get_field(operation.name)
    new = plan.field_after(operation, app_label)
    yield from plan.faults_of_not_null(old, new)


@rule(steps.ReplaceFunction)
def replace_function(plan: PlanExaminer, operation: Any, app_label: str) -> Iterator[str]:
    with plan.connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_get_function_identity_arguments(oid) FROM pg_proc "
            "WHERE pronamespace = 'public'::regnamespace AND proname = %s",
            [operation.name],
        )
        for (arguments,) in cursor.fetchall():
            plan.declared.add(f"body {operation.name}({arguments})")
    yield from questions.faults_of_function(plan.connection, operation.name)


@rule(django.RunSQL)
def run_sql(plan: PlanExaminer, operation: Any, app_label: str) -> Iterator[str]:
    statements = operation.sql if isinstance(operation.sql, list | tuple) else [operation.sql]
    texts = [each if isinstance(each, str) else each[0] for each in statements]
    if any(ends_transaction(text) for text in texts):
        yield f"begins or ends a transaction. {advice.ENDS_TRANSACTION}"


@rule(django.RunPython)
def run_python(plan: PlanExaminer, operation: Any, app_label: str) -> Iterator[str]:
    if operation.atomic is False:
        yield f"runs Python outside of a transaction. {advice.OUTSIDE_TRANSACTION}"
