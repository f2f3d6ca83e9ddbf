"""The two ways a rule is tried: as raw SQL, which any program could send, and through the ORM."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, models, transaction
from psycopg.types.json import Jsonb

from ebalance.db.fields import UnsealedValue

ROUTES = ["sql", "orm"]


@contextmanager
def refuses(rule: str, table: str | None = None) -> Iterator[None]:
    """The block breaks ``rule``: class 23, with the rule's name and the table in the diagnosis.

    Deferred rules are asked before the block ends.
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
    """The row as a stranger's INSERT would give it: no field class stands in between.

    Columns whose value is the database's default are left out.
    """
    row = {}
    for f in instance._meta.concrete_fields:
        value = getattr(instance, f.attname)
        if isinstance(value, models.expressions.DatabaseDefault):
            continue
        if isinstance(f, models.JSONField) and value is not None:
            value = Jsonb(value)
        row[f.column] = value
    return row


def execute(sql: str, params: Any = None) -> list[dict[str, Any]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        if cursor.description is None:
            return []
        names = [column.name for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def insert_sql(instance: models.Model) -> None:
    row = columns_of(instance)
    names = ", ".join(f'"{name}"' for name in row)
    marks = ", ".join(["%s"] * len(row))
    execute(
        f'INSERT INTO "{instance._meta.db_table}" ({names}) VALUES ({marks})', list(row.values())
    )


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
    """Write what an unsaved instance points at (factories build parents unsaved)."""
    for f in instance._meta.concrete_fields:
        if f.is_relation and f.is_cached(instance):
            parent = f.get_cached_value(instance)
            if parent is not None and parent._state.adding:
                save_related(parent)
                parent.save()
                setattr(instance, f.name, parent)


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

    def build(self) -> models.Model:
        values = {k: v() if callable(v) else v for k, v in self.values.items()}
        instance = self.factory.build(**values)
        save_related(instance)
        return instance


def cases(*items: Case) -> Any:
    """Parametrise a test with each case on both routes."""
    return pytest.mark.parametrize(
        ("case", "route"),
        [
            pytest.param(case, route, id=f"{case.rule or 'allowed'}: {case.name} [{route}]")
            for case in items
            for route in ROUTES
        ],
    )


def check_insert(case: Case, route: str) -> None:
    """Insert the row of ``case`` on ``route``: refused by its rule, or accepted."""
    instance = case.build()
    table = instance._meta.db_table
    write = instance.save if route == "orm" else lambda: insert_sql(instance)
    if case.rule is None:
        write()
        connection.check_constraints()
        assert type(instance)._base_manager.filter(pk=instance.pk).exists()
        return
    if route == "orm" and case.rule.endswith(("_is_sealed", "_is_blind_index")):
        # The application refuses before any SQL (privacy.md §2).
        with pytest.raises(UnsealedValue):
            write()
        return
    with refuses(case.rule, table):
        write()


def check_full_clean(case: Case) -> None:
    """``full_clean()`` says in Russian what the database would refuse."""
    instance = case.build()
    with pytest.raises(ValidationError):
        instance.full_clean()
