"""Triggers that write the audit log in the database, for every writer (access.md §3).

``audited()`` makes the triggers of a table. They log the P0 columns; of an update, those that
changed. A value that the log must not hold, such as a long text or an address, is replaced by its
column's name under "withheld"; the write is not refused.

An entry is written at the end of the transaction: the chain has one lock, and a longer lock would
delay all other writers (docs/adr/0013-audit-log.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import pgtrigger
from django.apps import apps
from django.db import models

from .apps import PROJECT_APPS
from .schema.classification import Classified
from .triggers import Rule, literal, no_truncate


class Audited(Rule):
    """Writes an entry about a row that was inserted, changed or deleted."""

    def __init__(
        self,
        table: str,
        action: str,
        operation,
        columns: Sequence[str] = (),
        *,
        condition: str | None = None,
    ):
        self.action = action
        self.columns = tuple(columns)
        changed = " OR ".join(f"OLD.{c} IS DISTINCT FROM NEW.{c}" for c in columns)
        if operation is pgtrigger.Update:
            condition = f"({changed})" + (f" AND {condition}" if condition else "")
        super().__init__(
            f"{table}_{str(operation).lower()}_audited",
            operation=operation,
            when=pgtrigger.After,
            timing=pgtrigger.Deferred,
            condition=condition,
            execute="public.audit_change()",
        )

    def call(self, model: type[models.Model]) -> str:
        arguments = (self.action, model._meta.pk.column, *self.logged_columns(model))
        return f"public.audit_change({', '.join(map(literal, arguments))})"

    def logged_columns(self, model: type[models.Model]) -> tuple[str, ...]:
        """The columns whose values are logged.

        Raises ValueError for a column that is not P0, or that erasure empties.
        """
        safe = [
            str(f.column)
            for f in model._meta.concrete_fields
            if isinstance(f.db_comment, Classified) and is_kept(f.db_comment)
        ]
        for column in self.columns:
            if column not in safe:
                raise ValueError(
                    f"{model._meta.db_table}.{column} is not P0, or not kept at erasure: "
                    "it is not audited"
                )
        return self.columns or tuple(c for c in safe if c != model._meta.pk.column)


class AuditedSecret(Audited):
    """Writes an entry when this column of a member of staff changes, without its value."""

    def __init__(self, table: str, column: str):
        super().__init__(table, f"{column}_changed", pgtrigger.Update, [column])
        self.rule = self.name = f"{table}_{column}_audited"

    def call(self, model: type[models.Model]) -> str:
        return f"public.audit_staff_secret({literal(self.action)})"


@cache
def audit_triggers() -> tuple[str, ...]:
    """The names of all triggers that write into the audit log."""
    return tuple(
        trigger.rule
        for label in PROJECT_APPS
        for model in apps.get_app_config(label).get_models()
        for trigger in getattr(model._meta, "triggers", ())
        if isinstance(trigger, Audited)
    )


def is_kept(declared: Classified) -> bool:
    """Whether the log, whose entries are never removed, may hold values of the column."""
    is_removed = declared.erasure is not None and declared.erasure.action in ("null", "replace")
    return declared.privacy == "P0" and not is_removed


def audited(
    table: str,
    *,
    inserted: tuple[str, Sequence[str]] | None = None,
    changed: tuple[str, Sequence[str]] | None = None,
    deleted: str | None = None,
    inserted_when: str | None = None,
    deleted_when: str | None = None,
) -> list[Rule]:
    """Triggers of ``table``. Each kind of write has an action code of the log, and columns.

    A deleted row is logged with all P0 columns that erasure keeps. Its table refuses TRUNCATE,
    which fires no row trigger.
    """
    made: list[Rule] = []
    if inserted:
        action, columns = inserted
        made.append(Audited(table, action, pgtrigger.Insert, columns, condition=inserted_when))
    if changed:
        action, columns = changed
        made.append(Audited(table, action, pgtrigger.Update, columns))
    if deleted:
        made.append(Audited(table, deleted, pgtrigger.Delete, condition=deleted_when))
        made.append(no_truncate(table))
    return made
