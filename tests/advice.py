"""The advice that an introspection test fails with: the file and the declaration to edit.

A test that compares models, catalog and documents yields one line of advice for each fault::

    @advises
    def test_tables_have_a_retention() -> Iterator[str]:
        yield of_class(Lead)("declare `retention` in", "the table has none")

    crm/models/leads.py:24: declare `retention` in `Lead`: the table has none

``test.__wrapped__()`` yields the lines without failing; tests of the advice read them.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings
from django.db import models
from django.db.migrations.recorder import MigrationRecorder

from ebalance.db.apps import PROJECT_APPS
from ebalance.db.schema import data_map
from ebalance.db.schema.third_party import TABLES as THIRD_PARTY

ROOT = Path(settings.BASE_DIR)
DATA_MODEL = "tests/db/data_model.txt"


@dataclass(frozen=True)
class Location:
    """A declaration and its file. Call it with an instruction to make a line of advice."""

    file: str
    declaration: str

    def __call__(self, do: str, why: str = "") -> str:
        return f"{self.file}: {do} `{self.declaration}`{why and f': {why}'}"


@functools.cache
def file_of(thing: Any) -> str:
    """``path:line`` of a class, a function or a module, relative to the root of the project."""
    path = Path(inspect.getsourcefile(thing) or "")
    file = str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)
    return file if inspect.ismodule(thing) else f"{file}:{inspect.getsourcelines(thing)[1]}"


@functools.cache
def model_of(table: str) -> type[models.Model] | None:
    all_models = [*apps.get_models(include_auto_created=True), MigrationRecorder.Migration]
    return next((model for model in all_models if model._meta.db_table == table), None)


def of_class(cls: type) -> Location:
    return Location(file_of(cls), cls.__qualname__)


def of_field(field: models.Field) -> Location:
    return Location(file_of(field.model), f"{field.model.__qualname__}.{field.name}")


def of_table(table: str) -> Location:
    """The table's model, or the location for a table without one."""
    model = model_of(table)
    if table in THIRD_PARTY or (model and model._meta.app_label not in PROJECT_APPS):
        return Location("ebalance/db/schema/third_party.py", f'TABLES["{table}"]')
    if model is None:
        return Location("<app>/models/", f'a model with db_table = "{table}"')
    return of_class(model)


def of_column(table: str, column: str) -> Location:
    """The column's field, or the location for a column without one."""
    location, model = of_table(table), model_of(table)
    if table in THIRD_PARTY or model is None:
        return Location(location.file, f"{location.declaration}.{column}")
    fields = {field.column: field.name for field in model._meta.concrete_fields}
    return Location(location.file, f"{location.declaration}.{fields.get(column, column)}")


def of_rule(table: str, rule: str) -> Location:
    """The constraint, index or trigger of that name in its model."""
    return Location(of_table(table).file, rule)


def of_function(name: str) -> Location:
    """The last file that creates the database function; for a trigger, its model."""
    for model in apps.get_models():
        for trigger in getattr(model._meta, "triggers", ()):
            if getattr(trigger, "body", None) and trigger.rule == name:
                return of_rule(model._meta.db_table, name)
    created = re.compile(rf"CREATE (OR REPLACE )?FUNCTION public\.{name}\(")
    files = [file for file, text in _migrations() if created.search(text)]
    return Location(files[-1] if files else "<app>/migrations/sql/", f"public.{name}()")


@functools.cache
def _migrations() -> list[tuple[str, str]]:
    """Every file of the migrations with its text, older ones of an app first."""
    return [
        (str(path.relative_to(ROOT)), path.read_text(encoding="utf-8"))
        for folder in sorted(ROOT.glob("*/migrations"))
        for path in sorted(folder.rglob("*"))
        if path.suffix in {".py", ".sql"}
    ]


def of_data_model(declaration: str) -> Location:
    """The transcription of the specification, where every table and column has a line."""
    return Location(DATA_MODEL, declaration)


def of_test(thing: Any, name: str) -> Location:
    """A list of exceptions, or a table of expected values, in the test module of ``thing``."""
    return Location(file_of(inspect.getmodule(thing)), name)


def undeclared() -> Iterator[str]:
    """Advice for each column without a privacy class and each table without a retention."""
    for table in data_map.tables():
        fields = table.model._meta.concrete_fields if table.model else ()
        for field in () if table.name in THIRD_PARTY else fields:
            try:
                data_map.declaration(field)
            except data_map.Undeclared:
                yield of_field(field)(
                    "declare p0()/p1()/p2() beside", "the column has no privacy class"
                )
        try:
            table.retention  # noqa: B018
        except data_map.Undeclared:
            yield of_table(table.name)("declare `retention = …` in", "the table has no retention")


def stop_if_undeclared() -> None:
    """End the run with advice, before each module that reads the list raises `Undeclared`."""
    if lines := [*undeclared()]:
        pytest.exit("To do:\n" + "\n".join(lines), returncode=1)


def declared_columns() -> Iterator[data_map.Column]:
    """The columns with a declaration; ``undeclared()`` lists the others."""
    for table in data_map.tables():
        if table.name in THIRD_PARTY or table.model is None:
            yield from table.columns
            continue
        for field in table.model._meta.concrete_fields:
            with contextlib.suppress(data_map.Undeclared):
                declared = data_map.declaration(field)
                yield data_map.Column(table, field.column or "", field, declared)


def advises(check: Callable[..., Iterator[str]]) -> Callable[..., None]:
    """Turn a generator of advice into a test that fails with all its lines."""

    @functools.wraps(check)
    def test(*args: Any, **kwargs: Any) -> None:
        report(check(*args, **kwargs))

    return test


def report(lines: Iterator[str] | list[str]) -> None:
    if unique := sorted({*lines}):
        pytest.fail("To do:\n" + "\n".join(unique), pytrace=False)
