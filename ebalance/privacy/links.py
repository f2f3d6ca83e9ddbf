"""The columns that lead from a person to rows, read from the declarations beside the fields."""

from __future__ import annotations

from typing import cast

from django.db import models

from ebalance.db.encryption.fields import SealedField
from ebalance.db.schema.data_map import Column, Table, tables

PEOPLE, LEADS = "users", "leads"
BROWSER, TELEGRAM = "anonymous_id", "telegram_user_id"


def parent_of(column: Column) -> str:
    """The table that the column refers to, by its foreign key or else by its name."""
    if column.field is not None and column.field.related_model is not None:
        return column.field.related_model._meta.db_table
    return {"user_id": PEOPLE, "lead_id": LEADS}[column.name]


def links(table: Table, parent: str) -> list[Column]:
    """The columns of ``table`` that lead from a row of ``parent`` to rows of the same person."""
    return [c for c in table.columns if c.declared.links_person and parent_of(c) == parent]


def foreign_keys(table: Table, parent: str) -> list[str]:
    """The names of those columns of ``links()`` that are foreign keys."""
    return [c.name for c in links(table, parent) if field_of(c).related_model is not None]


def carriers_of(table: str) -> list[Column]:
    """The columns by which rows of people occupy a row of ``table``, as a session its slot."""
    return [
        column
        for other in tables()
        for column in other.columns
        if column.declared.is_carried and parent_of(column) == table
    ]


def unindexed_contacts(table: Table) -> list[SealedField]:
    """Sealed P1 columns without a blind index."""
    return [
        column.field
        for column in table.columns
        if column.privacy == "P1" and isinstance(column.field, SealedField)
        if not column.field.indexes
    ]


def has_browser(table: Table) -> bool:
    return BROWSER in {column.name for column in table.columns}


def field_of(column: Column) -> models.Field:
    return cast("models.Field", column.field)


def attname(column: Column) -> str:
    return field_of(column).attname


def table_named(name: str) -> Table:
    return next(table for table in tables() if table.name == name)


def model_of(name: str) -> type[models.Model]:
    """The model of the table. Raises LookupError for a table without one."""
    model = table_named(name).model
    if model is None:
        raise LookupError(name)
    return model
