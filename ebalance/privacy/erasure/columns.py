"""What erasure makes of a person's rows, as their columns declare it (privacy.md §5).

Rows that go are deleted; of the others, columns are emptied or replaced. What has to happen
besides, because rows have a life of their own, is for ebalance.privacy.erasure.service.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from graphlib import TopologicalSorter
from operator import or_
from typing import Any, cast

from django.db import models
from django.db.models import DB_CASCADE, Q

from ebalance.db.encryption.values import Plaintext
from ebalance.db.schema.data_map import Column, Table, tables

from ..subject import PEOPLE, Person

LOG = "audit_log_entries"
BATCH = 5_000  # keys per statement; the protocol counts parameters in 16 bits


@dataclass(frozen=True)
class Removal:
    """Rows of one table that still say something of a person."""

    table: Table
    keys: list[Any]

    def apply(self, **settled: Any) -> int:
        """Delete the rows, or have their columns emptied and replaced; how many they were.

        ``settled`` is written along with that: what the rows' own rules then ask for.
        """
        for rows in self._batches():
            if self.table.rows_go:
                rows.delete()
                continue
            values = settled | {field.name: None for field in _emptied(self.table)}
            values |= {field.name: value for field, value in _replaced(self.table).items()}
            own = [column for column in _changed(self.table) if _is_each_its_own(column)]
            if not own:
                rows.update(**values)
                continue
            for row in rows.only("pk"):
                made = {_field(c).name: cast(Any, c.erasure.value)() for c in own}
                for name, value in (values | made).items():
                    setattr(row, name, value)
                row.save(update_fields=[*values, *made])
        return len(self.keys)

    def _batches(self) -> Iterator[models.QuerySet]:
        every = cast(type[models.Model], self.table.model)._base_manager
        for start in range(0, len(self.keys), BATCH):
            yield every.filter(pk__in=self.keys[start : start + BATCH])


def removals(person: Person, *, unsettled: Mapping[str, Q]) -> list[Removal]:
    """What there is to be removed now, in an order in which it can be.

    Of rows that stay, those are left out of which nothing would change; ``unsettled`` are those, by
    table, of which something would for other reasons.
    """
    found = []
    for table in _in_order():
        rows = person.rows(table)
        if rows is None:
            continue
        if not table.rows_go:
            rows = rows.filter(_differs(table) | unsettled.get(table.name, Q(pk__in=[])))
        keys = list(rows.order_by("pk").values_list("pk", flat=True))
        if keys:
            found.append(Removal(table, keys))
    return found


def _in_order() -> list[Table]:
    """What is deleted first, children before their parents; people before the log, which lets go
    of them only then, and this last: whoever else writes into it waits.
    """
    going = {table.name: table for table in tables() if table.rows_go}
    order: TopologicalSorter[str] = TopologicalSorter({name: [] for name in going})
    for table in going.values():
        for column in table.columns:
            field = column.field
            if field is None or field.related_model is None:
                continue
            parent = field.related_model._meta.db_table
            if parent not in going or parent == table.name:
                continue
            if cast(models.ForeignKey, field).remote_field.on_delete is DB_CASCADE:
                # The row itself may be held by its parent: an answer by its question.
                order.add(table.name, parent)
            else:
                order.add(parent, table.name)
    changing = [table for table in tables() if not table.rows_go and _changed(table)]
    return [
        *(going[name] for name in order.static_order()),
        *sorted(changing, key=lambda table: (table.name != PEOPLE, table.name == LOG)),
    ]


def _changed(table: Table) -> tuple[Column, ...]:
    return tuple(c for c in table.columns if c.erasure.action in ("null", "replace"))


def _is_each_its_own(column: Column) -> bool:
    """Whether every row gets a value of its own: a random or a sealed one."""
    make = column.erasure.value
    if make is None:
        return False
    value = make()
    return isinstance(value, Plaintext) or value != make()


def _emptied(table: Table) -> list[models.Field]:
    return [_field(column) for column in _changed(table) if column.erasure.action == "null"]


def _replaced(table: Table) -> dict[models.Field, Any]:
    """Field to the value that takes the place of every other one."""
    return {
        _field(column): cast(Any, column.erasure.value)()
        for column in _changed(table)
        if column.erasure.action == "replace" and not _is_each_its_own(column)
    }


def _differs(table: Table) -> Q:
    """Rows of which erasure would change something.

    What is to be replaced by something of its own is there until the row is nobody's any more.
    """
    ways = [Q(**{f"{field.attname}__isnull": False}) for field in _emptied(table)]
    ways += [~Q(**{field.attname: value}) for field, value in _replaced(table).items()]
    if any(map(_is_each_its_own, _changed(table))):
        ways.append(Q(pk__isnull=False))
    return reduce(or_, ways, Q(pk__in=[]))


def _field(column: Column) -> models.Field:
    return cast(models.Field, column.field)
