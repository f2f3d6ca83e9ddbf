"""Immutable versions of a row, and the number of the version in use."""

import pgtrigger
from django.utils.translation import gettext_noop

from .rows import no_truncate, no_update
from .rule import REFUSE, Rule


def versions(table: str, parent: str, column: str) -> list[Rule]:
    """Immutable versions of a parent row, deleted only together with it."""
    return [
        no_update(table),
        Rule(
            f"{table}_no_delete",
            operation=pgtrigger.Delete,
            message=gettext_noop("A version is deleted only together with what it belongs to"),
            column=column,
            body=f"""
BEGIN
    IF EXISTS (SELECT FROM public.{parent} WHERE id = OLD.{column}) THEN
        {REFUSE}
    END IF;
    RETURN OLD;
END""",
        ),
        no_truncate(table),
    ]


def existing_version(table: str, column: str, versions: str, parent: str) -> Rule:
    """The number in ``column`` is one of the row's versions.

    Like a foreign key, the rule is checked after the statement. After ``SET CONSTRAINTS …
    DEFERRED`` it is checked at the end of the transaction, so that parent and version are inserted
    in any order.
    """
    return Rule(
        f"{table}_{column}_exists",
        operation=pgtrigger.Insert | pgtrigger.UpdateOf(column),
        when=pgtrigger.After,
        timing=pgtrigger.Immediate,
        condition=f"NEW.{column} IS NOT NULL",
        message=gettext_noop("There is no such version; it must exist before it is used"),
        column=column,
        body=f"""
BEGIN
    IF EXISTS (SELECT FROM public.{table} WHERE id = NEW.id AND {column} = NEW.{column})
       AND NOT EXISTS (SELECT FROM public.{versions}
                       WHERE {parent} = NEW.id AND version = NEW.{column}) THEN
        {REFUSE}
    END IF;
    RETURN NULL;
END""",
        broken=lambda row: (
            getattr(row, column) is not None
            and not row.versions.filter(version=getattr(row, column)).exists()
        ),
    )
