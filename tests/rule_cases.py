"""Checks of the apps' rules: the ends of ranges, and changes of a row by every write path."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.db import IntegrityError, connection, models, transaction
from psycopg.types.json import Jsonb

from ebalance.db.encryption.fields import ProtectedField, SealedField, UnsealedValue
from tests.support import (
    TESTED_RULES,
    Case,
    check_full_clean,
    columns_of,
    delete_sql,
    execute,
    refuses,
    update_sql,
)


def range_cases(
    factory: Any, name: str, low: int, high: int | None = None, **values: Any
) -> list[Case]:
    """Both ends of ``<table>_<name>_in_range``, and the first number beyond each."""
    rule = f"{factory._meta.model._meta.db_table}_{name}_in_range"
    ends = [(low - 1, rule), (low, None)]
    if high is not None:
        ends += [(high, None), (high + 1, rule)]
    return [Case(f"{name} {n}", factory, {**values, name: n}, broken) for n, broken in ends]


def to_attributes(row: models.Model, changes: dict[str, Any]) -> dict[str, Any]:
    """Rename the keys of ``changes`` from columns to attributes of the model."""
    names = {f.column: f.attname for f in row._meta.concrete_fields}
    return {names[column]: value for column, value in changes.items()}


def assign_changes(row: models.Model, changes: dict[str, Any]) -> models.Model:
    for name, value in to_attributes(row, changes).items():
        f = row._meta.get_field(name)
        setattr(row, name, f.to_python(value) if isinstance(f, ProtectedField) else value)
    return row


def sealed_fields(row: models.Model) -> list[SealedField]:
    return [f for f in row._meta.concrete_fields if isinstance(f, SealedField)]


def adapt_value(value: Any) -> Any:
    return Jsonb(value) if isinstance(value, dict) else value


def by_merge(row: models.Model, **changes: Any) -> None:
    sets = ", ".join(f'"{name}" = %s' for name in changes)
    execute(
        f'MERGE INTO "{row._meta.db_table}" t USING (SELECT %s AS key) given '
        f'ON t."{row._meta.pk.column}" = given.key WHEN MATCHED THEN UPDATE SET {sets}',
        [row.pk, *map(adapt_value, changes.values())],
    )


def by_conflict(row: models.Model, **changes: Any) -> None:
    """INSERT the stored row again; ON CONFLICT updates it."""
    stored = columns_of(type(row)._base_manager.get(pk=row.pk))
    sets = ", ".join(f'"{name}" = %s' for name in changes)
    execute(
        f'INSERT INTO "{row._meta.db_table}" ({", ".join(stored)}) '
        f"VALUES ({', '.join(['%s'] * len(stored))}) "
        f'ON CONFLICT ("{row._meta.pk.column}") DO UPDATE SET {sets}',
        [*stored.values(), *map(adapt_value, changes.values())],
    )


def by_save(row: models.Model, **changes: Any) -> None:
    assign_changes(row, changes).save()


def by_queryset(row: models.Model, **changes: Any) -> None:
    type(row)._base_manager.filter(pk=row.pk).update(**to_attributes(row, changes))


def by_bulk_update(row: models.Model, **changes: Any) -> None:
    names = [f.name for f in row._meta.concrete_fields if f.column in changes]
    type(row)._base_manager.bulk_update([assign_changes(row, changes)], names)


def by_bulk_create(row: models.Model, **changes: Any) -> None:
    names = [f.name for f in row._meta.concrete_fields if f.column in changes]
    type(row)._base_manager.bulk_create(
        [assign_changes(row, changes)],
        update_conflicts=True,
        unique_fields=["pk"],
        update_fields=names,
    )


def copy_rows(table: str, names: list[str], rows: Iterable[Iterable[Any]]) -> None:
    with (
        connection.wrap_database_errors,
        connection.cursor() as cursor,
        cursor.copy(f"COPY {table} ({', '.join(names)}) FROM STDIN") as stream,
    ):
        for row in rows:
            stream.write_row(row)


UPDATES: dict[str, Callable[..., None]] = {
    "sql": update_sql,
    "merge": by_merge,
    "save": by_save,
    "queryset": by_queryset,
    "bulk_update": by_bulk_update,
}
# An upsert tries to insert the row first: only for rows that may also be inserted in this state.
UPSERTS: dict[str, Callable[..., None]] = {
    "on conflict": by_conflict,
    "bulk_create": by_bulk_create,
}
DELETES: dict[str, Callable[[models.Model], Any]] = {
    "sql": delete_sql,
    "delete": lambda row: row.delete(),
    "queryset": lambda row: type(row)._base_manager.filter(pk=row.pk).delete(),
}
MAIN_WRITE_PATHS = ("sql", "save")

each_delete = pytest.mark.parametrize("delete", DELETES.values(), ids=DELETES)


@dataclass(frozen=True)
class Change:
    """A change of a stored row that ``rule`` refuses, or, with rule None, that is accepted.

    ``row`` holds the factory's arguments, ``to`` the new values by column. A callable value is
    called in the test; in ``to`` it takes the row.
    """

    name: str
    factory: Any
    row: dict[str, Any] = field(default_factory=dict)
    to: dict[str, Any] = field(default_factory=dict)
    rule: str | None = None


def change_params(*items: Change, write_paths: Iterable[str] = MAIN_WRITE_PATHS) -> Any:
    """Parametrise a test with each change on each write path."""
    TESTED_RULES.update(item.rule for item in items if item.rule)
    return pytest.mark.parametrize(
        ("change", "write_path"),
        [
            pytest.param(
                item, write_path, id=f"{item.rule or 'allowed'}: {item.name} [{write_path}]"
            )
            for item in items
            for write_path in write_paths
        ],
    )


ALL_WRITE_PATHS = (*UPDATES, *UPSERTS)


def check_change(change: Change, write_path: str) -> None:
    """Create the row and change it by ``write_path``: refused by its rule, or accepted and stored.

    With ``save``, ``full_clean()`` must give the same verdict first.
    """
    given = {k: v() if callable(v) else v for k, v in change.row.items()}
    row = change.factory(**given)
    row.refresh_from_db()
    to = {k: v(row) if callable(v) else v for k, v in change.to.items()}
    before = stored(row)
    if write_path == "save":
        check_full_clean(assign_changes(row, to), change.rule)
        row.refresh_from_db()
    if write_path == "queryset" and any(
        isinstance(to.get(f.column), str) for f in sealed_fields(row)
    ):
        # A value is sealed for one row, so a queryset cannot write it (EntityQuerySet.update).
        with pytest.raises(UnsealedValue):
            by_queryset(row, **to)
        assert stored(row) == before
        return
    with refuses(change.rule, row._meta.db_table) if change.rule else nullcontext():
        {**UPDATES, **UPSERTS}[write_path](row, **to)
        connection.check_constraints()
    after = stored(row)
    if change.rule:
        assert after == before
    else:
        assert {name: after[name] for name in to} == to


def stored(row: models.Model) -> dict[str, Any]:
    """The columns of the row in the database."""
    pk = row._meta.pk.column
    (values,) = execute(f'SELECT * FROM "{row._meta.db_table}" WHERE "{pk}" = %s', [row.pk])
    return values


def check_delete(row: models.Model, delete: Callable[[models.Model], Any], rule: str) -> None:
    before = stored(row)
    with refuses(rule, row._meta.db_table):
        delete(type(row)._base_manager.get(pk=row.pk))
    assert stored(row) == before


def diagnosis(action: Callable[[], Any]) -> Any:
    """Return the database's diagnosis of its refusal of ``action``."""
    with pytest.raises(IntegrityError) as caught, transaction.atomic():  # noqa: PT012
        action()
        connection.check_constraints()
    return caught.value.__cause__.diag


def check_refusal_is_discreet(
    action: Callable[[], Any], rule: str, table: str, column: str, *markers: str
) -> None:
    """The refusal names rule, table and column in a sentence and contains no value of the row."""
    refusal = diagnosis(action)
    assert refusal.sqlstate == "23514"
    assert (refusal.constraint_name, refusal.table_name) == (rule, table)
    assert (refusal.column_name, refusal.schema_name) == (column, "public")
    assert refusal.message_primary[0].isupper()
    assert refusal.message_primary.endswith(f"({rule}).")
    parts = ("message_primary", "message_detail", "message_hint", "context")
    text = " ".join(str(getattr(refusal, part)) for part in parts)
    for marker in markers:
        assert marker not in text
