"""Tests of a rule on two routes: raw SQL, which any program could send, and the ORM."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, models, transaction
from psycopg.types.json import Jsonb

from ebalance.db.encryption.fields import ProtectedField, Stored, UnsealedValue

ROUTES = ["sql", "orm"]


@contextmanager
def refuses(rule: str, table: str | None = None) -> Iterator[None]:
    """Assert that the block breaks ``rule``: class 23, with rule and table in the diagnosis.

    Deferred rules are checked before the block ends.
    """
    with pytest.raises(IntegrityError) as caught, transaction.atomic():  # noqa: PT012
        yield
        connection.check_constraints()
    diagnosis = caught.value.__cause__.diag
    assert diagnosis.sqlstate.startswith("23")
    assert diagnosis.constraint_name == rule, diagnosis.message_primary
    if table:
        assert diagnosis.table_name == table


def columns_of(instance: models.Model) -> dict[str, Any]:
    """The row's columns for a plain INSERT, without conversion by the field classes.

    Columns that the database fills by default are left out.
    """
    row = {}
    for f in instance._meta.concrete_fields:
        value = getattr(instance, f.attname)
        if isinstance(value, models.expressions.DatabaseDefault):
            continue
        if isinstance(f, models.JSONField) and value is not None:
            value = Jsonb(value)
        row[f.column] = value.text if isinstance(value, Stored) else value
    return row


def execute(sql: str, params: Any = None) -> list[dict[str, Any]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        if cursor.description is None:
            return []
        names = [column.name for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def advisory_locks() -> list[dict[str, Any]]:
    """The advisory locks that sessions of this database have."""
    return execute(
        "SELECT pid, objid FROM pg_locks WHERE locktype = 'advisory' "
        "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )


def from_written_rows(table: str) -> str:
    """Return the FROM clause that selects the rows of a table for a comparison.

    Entries of refused pages are left out: a refusal writes its entry and nothing else.
    """
    but = " WHERE action <> 'access_refused'" if table == "audit_log_entries" else ""
    return f'FROM (SELECT * FROM "{table}"{but}) t'


def insert_sql(instance: models.Model) -> None:
    insert_row(instance._meta.db_table, columns_of(instance))


def insert_row(table: str, row: dict[str, Any]) -> None:
    """INSERT by column name."""
    names = ", ".join(f'"{name}"' for name in row)
    marks = ", ".join(["%s"] * len(row))
    execute(f'INSERT INTO "{table}" ({names}) VALUES ({marks})', list(row.values()))


def update_sql(instance: models.Model, **changes: Any) -> None:
    """UPDATE by column name."""
    json_columns = {
        f.column for f in instance._meta.concrete_fields if isinstance(f, models.JSONField)
    }
    values = [
        Jsonb(v) if name in json_columns and v is not None else v for name, v in changes.items()
    ]
    assignments = ", ".join(f'"{name}" = %s' for name in changes)
    pk = instance._meta.pk.column
    execute(
        f'UPDATE "{instance._meta.db_table}" SET {assignments} WHERE "{pk}" = %s',
        [*values, instance.pk],
    )


def delete_sql(instance: models.Model) -> None:
    pk = instance._meta.pk.column
    execute(f'DELETE FROM "{instance._meta.db_table}" WHERE "{pk}" = %s', [instance.pk])


def save_related(instance: models.Model) -> None:
    """Save the unsaved parents of an instance (factories build them unsaved)."""
    for f in instance._meta.concrete_fields:
        if f.is_relation and f.is_cached(instance):
            parent = f.get_cached_value(instance)
            if parent is not None and parent._state.adding:
                save_related(parent)
                parent.save()
                setattr(instance, f.name, parent)
    # Parents without a foreign key (ModerationActionFactory).
    for relative in getattr(instance, "unsaved_relatives", ()):
        save_related(relative)
        relative.save()


@contextmanager
def rolled_back() -> Iterator[None]:
    """Roll back to a savepoint after the block."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


@contextmanager
def case_loop(*, undo: bool = True) -> Iterator[Callable[[object], AbstractContextManager[None]]]:
    """Run many cases in one test and report every failure, each with the name of its case.

    ``with case(name):`` runs a case in a savepoint and rolls it back, so that cases are
    independent. ``undo=False`` is for cases that write nothing.
    """
    errors: list[Exception] = []
    names: list[str] = []

    @contextmanager
    def case(name: object) -> Iterator[None]:
        names.append(str(name))
        try:
            with rolled_back() if undo else nullcontext():
                yield
        except (Exception, pytest.fail.Exception) as error:
            kept = error if isinstance(error, Exception) else AssertionError(str(error))
            kept.add_note(f"in the case: {name}")
            errors.append(kept.with_traceback(error.__traceback__))

    yield case
    assert names, "the loop has no case"
    if errors:
        failed = [note.removeprefix("in the case: ") for e in errors for note in e.__notes__[-1:]]
        raise ExceptionGroup(f"{len(failed)} of {len(names)} cases: {'; '.join(failed)}", errors)


@dataclass(frozen=True)
class Case:
    """A row that ``rule`` refuses, or, with rule None, a row that must be accepted.

    ``values`` are keyword arguments of the factory's build(); a callable value is called
    inside the test (database access allowed).
    """

    name: str
    factory: Any
    values: dict[str, Any] = field(default_factory=dict)
    rule: str | None = None

    def build(self, **values: Any) -> models.Model:
        given = {k: v() if callable(v) else v for k, v in self.values.items()}
        instance = self.factory.build(**given | values)
        save_related(instance)
        return instance

    def unsealed(self) -> dict[str, Any]:
        """The bare values of sealed columns, which attributes refuse (privacy.md §2)."""
        bare = {}
        for f in self.factory._meta.model._meta.concrete_fields:
            given = self.values.get(f.name)
            if isinstance(f, ProtectedField) and isinstance(f.to_python(given), str):
                bare[f.name] = given
        return bare


# Every rule that a test breaks, filled while the test modules are imported;
# tests/test_every_rule.py compares it with the catalog of the database.
TESTED_RULES: set[str] = set()


def breaks[T](*rules: str) -> Callable[[T], T]:
    """Mark a test as one that breaks these rules."""
    TESTED_RULES.update(rules)
    return lambda test: test


def cases(*items: Case) -> Any:
    """Parametrise a test with each case on both routes."""
    TESTED_RULES.update(case.rule for case in items if case.rule)
    return pytest.mark.parametrize(
        ("case", "route"),
        [
            pytest.param(case, route, id=f"{case.rule or 'allowed'}: {case.name} [{route}]")
            for case in items
            for route in ROUTES
        ],
    )


def check_insert(case: Case, route: str) -> None:
    """Insert the row of ``case`` on ``route``: refused by its rule, or accepted.

    On the ORM's route, ``full_clean()`` must give the same verdict first.
    """
    if unsealed := case.unsealed():
        check_unsealed(case, unsealed, route)
        return
    instance = case.build()
    table = instance._meta.db_table
    if route == "orm":
        check_full_clean(instance, case.rule)
    write = instance.save if route == "orm" else lambda: insert_sql(instance)
    if case.rule is None:
        write()
        connection.check_constraints()
        assert type(instance)._base_manager.filter(pk=instance.pk).exists()
        return
    with refuses(case.rule, table):
        write()


def check_unsealed(case: Case, unsealed: dict[str, str], route: str) -> None:
    """The attribute refuses a bare value before any SQL, and so does the database."""
    instance = case.build(**dict.fromkeys(unsealed))
    if route == "orm":
        for name, value in unsealed.items():
            with pytest.raises(UnsealedValue):
                setattr(instance, name, value)
        return
    with refuses(case.rule, instance._meta.db_table):
        insert_row(instance._meta.db_table, columns_of(instance) | unsealed)


# Django's own codes for faults that its fields detect before the constraints are checked.
FIELD_CODES = {
    "_in_set": {"invalid_choice"},
}


def check_full_clean(instance: models.Model, rule: str | None) -> None:
    """``full_clean()`` accepts the row, or reports in Russian that it breaks ``rule``."""
    if rule is None:
        instance.full_clean()
        return
    with pytest.raises(ValidationError) as caught:
        instance.full_clean()
    errors = [error for group in caught.value.error_dict.values() for error in group]
    codes = {rule, "unique", "unique_together"}
    for suffix, more in FIELD_CODES.items():
        codes |= more if rule.endswith(suffix) else set()
    matching = [error for error in errors if error.code in codes]
    assert matching, [error.code for error in errors]
    for error in matching:
        assert re.search("[а-яё]", " ".join(error.messages)), error.messages
