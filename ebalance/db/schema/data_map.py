"""All expected tables and columns, with their declarations.

The database's comments, the data dictionary, grants, masking in admin and logs, erasure and export
all use this list. tests/db/test_classification.py compares it with the live catalog.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from typing import cast

from django.apps import apps
from django.db import models
from django.db.migrations.recorder import MigrationRecorder

from ..apps import PROJECT_APPS
from ..views import View
from .classification import (
    COLLEAGUE,
    DELETE,
    IDENTIFIES_NO_PERSON,
    NULL,
    Classified,
    Erasure,
    Privacy,
)
from .retention import Retention
from .third_party import TABLES as THIRD_PARTY

BY_CLASS = {"P0": IDENTIFIES_NO_PERSON, "P1": NULL, "P2": DELETE}


class Undeclared(LookupError):
    """A field without a privacy class, or a table without a retention. The message names it."""


@dataclass(frozen=True)
class Column:
    table: "Table"
    name: str
    field: models.Field | None
    declared: Classified

    def __str__(self) -> str:
        return f"{self.table.name}.{self.name}"

    @property
    def privacy(self) -> Privacy:
        return self.declared.privacy

    @property
    def erasure(self) -> Erasure:
        """The effect of erasure: as declared, else that of the row, else that of the class."""
        if self.declared.erasure:
            return self.declared.erasure
        if self.table.rows_go:
            return DELETE
        return COLLEAGUE if self.declared.names_colleague else BY_CLASS[self.privacy]

    @property
    def in_export(self) -> bool:
        """Whether a person's export has the column.

        As declared; else if the column is personal or its table is about people.
        """
        if self.declared.export is not None:
            return self.declared.export
        return self.privacy != "P0" or self.table.is_about_people


@dataclass(frozen=True, eq=False)
class Table:
    name: str
    meaning: str
    domain: str
    model: type[models.Model] | None

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        concrete = self.model._meta.concrete_fields if self.model else ()
        fields = {cast(str, field.column): field for field in concrete}
        if third_party := THIRD_PARTY.get(self.name):
            declared = third_party.columns
        else:
            declared = {name: declaration(field) for name, field in fields.items()}
        return tuple(Column(self, name, fields.get(name), made) for name, made in declared.items())

    @property
    def retention(self) -> Retention:
        """How long its rows are kept. Raises Undeclared."""
        third_party = THIRD_PARTY.get(self.name)
        # A child model does not inherit the declaration of its parent.
        own = vars(self.model).get("retention") if self.model else None
        declared = third_party.retention if third_party else own
        if not isinstance(declared, Retention):
            raise Undeclared(f"{self.name} has no retention")
        return declared

    @property
    def rows_go(self) -> bool:
        """Whether erasure deletes the rows of a person."""
        return any(
            (c.declared.erasure or BY_CLASS[c.privacy]).action == "delete" for c in self.columns
        )

    @property
    def is_about_people(self) -> bool:
        """Whether its rows refer to people, or are referred to as people."""
        return self.name in _tables_about_people()


def declaration(field: models.Field) -> Classified:
    """The declaration of a field. Raises Undeclared."""
    table = field.model._meta.db_table
    third_party = THIRD_PARTY.get(table)
    declared = third_party.columns.get(field.column or "") if third_party else field.db_comment
    if not isinstance(declared, Classified):
        raise Undeclared(f"{table}.{field.column} has no privacy class")
    return declared


def is_personal(field: models.Field) -> bool:
    """Whether the column is P1 or P2."""
    return declaration(field).privacy != "P0"


@cache
def tables() -> tuple[Table, ...]:
    """All tables, those of the project first, by domain and in the order of its models."""
    everyone: list[type[models.Model]] = [*apps.get_models(include_auto_created=True)]
    everyone.append(MigrationRecorder.Migration)  # a table without an app
    by_name = {model._meta.db_table: model for model in everyone if model._meta.managed}
    ours = [
        Table(name, model._meta.db_table_comment, model._meta.app_label, model)
        for name, model in by_name.items()
        if name not in THIRD_PARTY
    ]
    theirs = [
        Table(name, declared.meaning, "django", by_name.get(name))
        for name, declared in sorted(THIRD_PARTY.items())
    ]
    domains = [*PROJECT_APPS, *sorted({table.domain for table in ours} - {*PROJECT_APPS})]
    return (*sorted(ours, key=lambda table: domains.index(table.domain)), *theirs)


@cache
def views() -> tuple[Table, ...]:
    """All views, by domain. They store nothing: no retention, no erasure."""
    return tuple(
        Table(model._meta.db_table, model._meta.db_table_comment, label, model)
        for label in PROJECT_APPS
        for model in apps.get_app_config(label).get_models()
        if issubclass(model, View)
    )


def columns() -> Iterator[Column]:
    for table in tables():
        yield from table.columns


@cache
def personal_names() -> frozenset[str]:
    """Names of columns that are P1 or P2 in any table; values with these names are not logged.

    Ids of people may be logged: outside of their row they state nothing about the person.
    """
    return frozenset(c.name for c in columns() if c.privacy != "P0" and not c.declared.links_person)


@cache
def _tables_about_people() -> frozenset[str]:
    links = [column for column in columns() if column.declared.links_person]
    parents = [c.field.related_model for c in links if c.field and c.field.related_model]
    return frozenset({c.table.name for c in links} | {p._meta.db_table for p in parents})
