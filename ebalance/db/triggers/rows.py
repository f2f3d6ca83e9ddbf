"""Rules about single rows: frozen columns, no deletion, columns kept by the database."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pgtrigger
from django.db import models
from django.utils.translation import gettext_noop

from .. import zones
from .rule import REFUSE, Rule, literal, stored

IMMUTABLE = gettext_noop("This record cannot be changed any more")
APPEND_ONLY = gettext_noop("These records are only added, never changed or deleted")
NOT_TRUNCATED = gettext_noop("This table cannot be emptied")
ERASED = gettext_noop("This person was erased; nothing more is written of them")
ZONE_UNKNOWN = gettext_noop("The server does not know this time zone")
EVIDENCE = gettext_noop("These records are kept as evidence and are not deleted")


def not_resealed(table: str, column: str) -> str:
    """SQL: the change is not a batch of rotate_keys that moves the value to another key."""
    return f"public.is_resealing({literal(table)}, OLD.{column}, NEW.{column}) IS NOT TRUE"


def touch_updated_at(table: str, *, resealed: Sequence[str] = ()) -> Rule:
    """Keep ``updated_at`` current for every writer.

    Moving ``resealed`` columns to another key does not count as a write.
    """
    return Rule(
        f"{table}_touch_updated_at",
        operation=pgtrigger.Update,
        condition=" AND ".join(not_resealed(table, column) for column in resealed) or None,
        execute="public.touch_updated_at()",
    )


def frozen(
    table: str,
    rule: str,
    columns: Sequence[str],
    *,
    message: str,
    once: str | None = None,
    status: str | None = None,
    unless_status: str | None = None,
    resealed: Sequence[str] = (),
    emptied: Mapping[str, str] | None = None,
) -> Rule:
    """These columns keep their inserted values.

    With ``once``, from when that column has a value. With ``status``, while the row has that
    status; with ``unless_status``, while it has another one. Columns in ``resealed`` may still be
    sealed again with another key. A column in ``emptied`` may become NULL if the column to which it
    is mapped is NULL too.
    """
    changes = {c: f"OLD.{c} IS DISTINCT FROM NEW.{c}" for c in columns}
    changes |= {c: f"({changes[c]} AND {not_resealed(table, c)})" for c in resealed}
    emptied = emptied or {}
    changes |= {
        c: f"({changes[c]} AND (NEW.{c} IS NOT NULL OR NEW.{other} IS NOT NULL))"
        for c, other in emptied.items()
    }
    condition = f"({' OR '.join(changes.values())})"
    if once:
        condition += f" AND OLD.{once} IS NOT NULL"
    if status:
        condition += f" AND OLD.status = {literal(status)}"
    if unless_status:
        condition += f" AND OLD.status <> {literal(unless_status)}"

    def is_changed(instance: models.Model) -> bool:
        by_status = status or unless_status
        guards = [c for c, used in ((once, once), ("status", by_status)) if used and c]
        row = stored(instance, *columns, *guards)
        if not row or (once and row[once] is None) or (status and row["status"] != status):
            return False
        if unless_status and row["status"] == unless_status:
            return False
        attributes = {f.column: f.attname for f in instance._meta.concrete_fields}
        now = {c: getattr(instance, attributes[c]) for c in (*columns, *emptied.values())}
        return any(
            row[c] != now[c] and not (c in emptied and now[c] is None and now[emptied[c]] is None)
            for c in columns
        )

    made = Rule(
        f"{table}_{rule}",
        operation=pgtrigger.Update,
        condition=condition,
        message=message,
        column=columns[0],
        broken=is_changed,
    )
    if not (once or status or unless_status):
        made.frozen_columns = tuple(columns)
    return made


def key_stays(table: str, column: str) -> Rule:
    """A row's key never changes: other rows, versions and sealed values depend on it."""
    return Rule(
        f"{table}_{column}_stays",
        operation=pgtrigger.UpdateOf(column),
        condition=f"OLD.{column} IS DISTINCT FROM NEW.{column}",
        message=gettext_noop("The key of a record never changes"),
        column=column,
    )


def no_update(table: str, *, message: str = IMMUTABLE) -> Rule:
    """A written row is never changed."""
    return Rule(
        f"{table}_immutable",
        operation=pgtrigger.Update,
        message=message,
        broken=lambda row: not row._state.adding,
        withholds=("UPDATE", "DELETE"),
    )


def no_truncate(table: str) -> Rule:
    """TRUNCATE would bypass all row triggers."""
    return Rule(
        f"{table}_no_truncate",
        operation=pgtrigger.Truncate,
        level=pgtrigger.Statement,
        message=NOT_TRUNCATED,
    )


def no_delete(
    table: str,
    *,
    message: str = EVIDENCE,
    condition: str | None = None,
    withholds: Collection[str] = ("DELETE",),
) -> Rule:
    """Rows are not deleted, or not those that meet ``condition``."""
    return Rule(
        f"{table}_no_delete",
        operation=pgtrigger.Delete,
        condition=condition,
        message=message,
        withholds=withholds,
    )


def append_only(table: str) -> list[Rule]:
    """Rows are written once: no update, no delete, no truncate, for anyone."""
    return [
        no_update(table, message=APPEND_ONLY),
        no_delete(table, message=APPEND_ONLY),
        no_truncate(table),
    ]


def not_erased(table: str, column: str) -> Rule:
    """No new row refers to an erased person. ``RestrictForeignKey`` adds the rule to its table."""
    return Rule(
        f"{table}_{column}_not_erased",
        operation=pgtrigger.Insert | pgtrigger.UpdateOf(column),
        condition=f"NEW.{column} IS NOT NULL",
        refuse="refuse_for_erased_person",
        message=ERASED,
        column=column,
        broken=lambda row: is_newly_of_erased(row, column),
    )


def known_zone(table: str, column: str, *, copied_from: str | None = None) -> Rule:
    """The server knows the zone when it is written. ``TimeZoneField`` adds the rule to its table.

    It is no CHECK: zone files change, and a stored name must not stop later writes of its row.
    The row that the key ``copied_from`` names hands down its zone, whatever the server knows.
    """
    same = f"TG_OP = 'UPDATE' AND NEW.{column} = OLD.{column}"
    if copied_from:
        same += (
            f" OR EXISTS (SELECT FROM public.{table} f "
            f"WHERE f.id = NEW.{copied_from} AND f.{column} = NEW.{column})"
        )
    return Rule(
        f"{table}_{column}_is_known",
        operation=pgtrigger.Insert | pgtrigger.UpdateOf(column),
        when=pgtrigger.After,
        condition=f"NOT public.is_time_zone(NEW.{column})",
        body=f"""
BEGIN
    IF {same} THEN
        RETURN NULL;
    END IF;
    {REFUSE}
    RETURN NULL;
END""",
        message=ZONE_UNKNOWN,
        column=column,
        broken=lambda row: is_new_zone_unknown(row, column),
    )


def is_new_zone_unknown(row: models.Model, column: str) -> bool:
    field = next(f for f in row._meta.concrete_fields if f.column == column)
    name = getattr(row, field.attname)
    if not name or (stored(row, column) or {}).get(column) == name:
        return False
    return zones.is_unknown(name)


def is_newly_of_erased(row: models.Model, column: str) -> bool:
    field = next(f for f in row._meta.concrete_fields if f.column == column)
    person = getattr(row, field.attname)
    if person is None or (stored(row, column) or {}).get(column) == person:
        return False
    people: Any = field.related_model
    return people._base_manager.filter(pk=person, status="deleted").exists()
