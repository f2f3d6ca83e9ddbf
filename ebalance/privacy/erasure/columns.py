"""Erases a person's rows as their columns declare (privacy.md §5).

Erasure deletes the rows of some tables, and empties or replaces columns in the rows of the others.
Module ``erase`` handles rows with rules of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Any, cast

from django.db import models
from django.db.models import DB_CASCADE, Q

from ebalance.db.encryption.values import Plaintext
from ebalance.db.schema.data_map import Column, Table, tables

from ..links import PEOPLE, field_of
from ..rows import PersonalRows, any_of
from ..totals import delete_counted, totals_of

LOG = "audit_log_entries"
BATCH = 5_000  # keys per statement; the protocol counts parameters in 16 bits


@dataclass(frozen=True)
class Removal:
    """Rows of one table that still hold something about a person."""

    table: Table
    keys: list[Any]

    def apply(self, **settled: Any) -> int:
        """Delete the rows, or empty and replace their columns; returns the number of rows.

        ``settled`` are values that the rows' own rules require in the same statement.
        """
        totals = totals_of(self.table)
        for keys in self._batches():
            rows = cast("type[models.Model]", self.table.model)._base_manager.filter(pk__in=keys)
            if self.table.rows_go:
                if totals is None:
                    rows.delete()
                else:
                    delete_counted(self.table, totals, keys)
                continue
            values = settled | {field.name: None for field in _emptied(self.table)}
            values |= {field.name: value for field, value in _replaced(self.table).items()}
            individual = [c for c in _changed(self.table) if _is_individual(c)]
            if not individual:
                rows.update(**values)
                continue
            for row in rows.only("pk"):
                made = {field_of(c).name: _replacement(c) for c in individual}
                for name, value in (values | made).items():
                    setattr(row, name, value)
                row.save(update_fields=[*values, *made])
        return len(self.keys)

    def _batches(self) -> Iterator[list[Any]]:
        for start in range(0, len(self.keys), BATCH):
            yield self.keys[start : start + BATCH]


def removals(person: PersonalRows, *, unsettled: Mapping[str, Q]) -> list[Removal]:
    """The rows to remove or change now, in an order that foreign keys allow.

    A row that stays is left out if erasure would change nothing in it. ``unsettled`` selects, by
    table, rows that erasure changes for other reasons.
    """
    result = []
    for table in _tables_in_order():
        rows = person.rows(table)
        if rows is None:
            continue
        if not table.rows_go:
            rows = rows.filter(_would_change(table) | unsettled.get(table.name, Q(pk__in=[])))
        keys = list(rows.order_by("pk").values_list("pk", flat=True))
        if keys:
            result.append(Removal(table, keys))
    return result


def _tables_in_order() -> list[Table]:
    """The tables in the order of their removals.

    First the tables whose rows are deleted, children before parents; then ``users``; last the audit
    log. The log empties only entries of erased people, and other writers wait for its lock.
    """
    deleted = {table.name: table for table in tables() if table.rows_go}
    order: TopologicalSorter[str] = TopologicalSorter({name: [] for name in deleted})
    for table in deleted.values():
        for column in table.columns:
            field = column.field
            if field is None or field.related_model is None:
                continue
            parent = field.related_model._meta.db_table
            if parent not in deleted or parent == table.name:
                continue
            if cast("models.ForeignKey", field).remote_field.on_delete is DB_CASCADE:
                # The parent may protect the row itself, as a question protects its answer.
                order.add(table.name, parent)
            else:
                order.add(parent, table.name)
    changed = [table for table in tables() if not table.rows_go and _changed(table)]
    return [
        *(deleted[name] for name in order.static_order()),
        *sorted(changed, key=lambda table: (table.name != PEOPLE, table.name == LOG)),
    ]


def _changed(table: Table) -> tuple[Column, ...]:
    return tuple(c for c in table.columns if c.erasure.action in ("null", "replace"))


def _replacement(column: Column) -> Any:
    return cast("Any", column.erasure.value)()


def _is_individual(column: Column) -> bool:
    """Whether each row gets its own replacement: a random or a sealed value."""
    if column.erasure.value is None:
        return False
    value = _replacement(column)
    return isinstance(value, Plaintext) or value != _replacement(column)


def _emptied(table: Table) -> list[models.Field]:
    return [field_of(column) for column in _changed(table) if column.erasure.action == "null"]


def _replaced(table: Table) -> dict[models.Field, Any]:
    """The fields that get the same value in every row, with that value."""
    return {
        field_of(column): _replacement(column)
        for column in _changed(table)
        if column.erasure.action == "replace" and not _is_individual(column)
    }


def _would_change(table: Table) -> Q:
    """Rows in which erasure would change something.

    A column with individual replacements always counts: its value does not show whether it was
    replaced. Such rows stop belonging to the person when they are erased.
    """
    conditions = [Q(**{f"{field.attname}__isnull": False}) for field in _emptied(table)]
    conditions += [~Q(**{field.attname: value}) for field, value in _replaced(table).items()]
    if any(map(_is_individual, _changed(table))):
        conditions.append(Q(pk__isnull=False))
    return any_of(conditions)
