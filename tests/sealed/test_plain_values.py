"""Plain values of every kind are refused before any SQL, on every write path of every protected
column (privacy.md §2).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from copy import copy
from functools import partial
from inspect import iscoroutine
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core import serializers
from django.core.exceptions import FieldError
from django.db import models, transaction
from django.db.models import (
    Case,
    ExpressionWrapper,
    F,
    Func,
    OuterRef,
    Subquery,
    TextField,
    Value,
    When,
)
from django.db.models.expressions import DatabaseDefault, RawSQL
from django.db.models.functions import Cast, Coalesce, Concat, Upper
from django.db.models.query import QuerySet
from django.utils.functional import SimpleLazyObject, lazystr
from django.utils.safestring import mark_safe

from ebalance.db.encryption.fields import Plaintext, ProtectedField, Sealed, SealedField
from tests.sealed.support import (
    COLUMNS,
    SEALED,
    each_column,
    filled_row,
    name_of,
    record_sql,
    texts,
)

pytestmark = pytest.mark.django_db

MARKER = "мне 48151623 страшно"


class Impostor:
    """Has every method that Django calls on a value before it is put into a statement."""

    conditional = contains_aggregate = contains_over_clause = False

    def __str__(self) -> str:
        return MARKER

    def as_sql(self, *args: Any) -> tuple[str, list[str]]:
        return "%s", [MARKER]


class Expression(Impostor):
    def resolve_expression(self, *args: Any, **kwargs: Any) -> Expression:
        return self


class Related(Impostor):
    def prepare_database_save(self, field: Any) -> str:
        return MARKER


class Words(str):
    text = MARKER
    origin = "stored"


def another(field: ProtectedField) -> SealedField:
    return next(f for f in SEALED if f is not field)


def beside(field: ProtectedField) -> str:
    """Another protected column of the same table, or any other column."""
    names = [f.name for f in COLUMNS if f.model is field.model and f is not field]
    return names[0] if names else "id"


def plain_values(row: models.Model, field: ProtectedField) -> dict[str, Any]:
    """Values that are not sealed, although some look like sealed ones."""
    this_row, text = type(row)._base_manager.filter(pk=row.pk), TextField()
    stored = getattr(row, field.attname).text
    foreign = Sealed(stored, another(field))
    return {
        "str": MARKER,
        "empty": "",
        "of the sealed form": stored,
        "bytes": MARKER.encode(),
        "bytearray": bytearray(MARKER.encode()),
        "memoryview": memoryview(MARKER.encode()),
        "dict": {"version": 1, "note": MARKER},
        "list": [MARKER],
        "sealed, in a list": [getattr(row, field.attname)],
        "int": 48151623,
        "zero": 0,
        "float": 48151623.5,
        "False": False,
        "True": True,
        "lazy": lazystr(MARKER),
        "lazy object": SimpleLazyObject(lambda: MARKER),
        "safe": mark_safe(MARKER),
        "of a class of its own": Words(MARKER),
        "F": F("id"),
        "F of another protected column": F(beside(field)),
        "Value": Value(MARKER),
        "Value of the column": Value(MARKER, output_field=field),
        "Value of a plaintext": Value(Plaintext(MARKER), output_field=field),
        "Value of another column": Value(foreign, output_field=another(field)),
        "Func": Func(Value(MARKER), function="quote_literal", output_field=text),
        "Upper": Upper(Value(MARKER)),
        "Concat": Concat(field.name, Value(MARKER), output_field=text),
        "Cast": Cast(Value(MARKER), text),
        "Coalesce": Coalesce(field.name, Value(MARKER), output_field=text),
        "ExpressionWrapper": ExpressionWrapper(Value(MARKER), output_field=text),
        "RawSQL": RawSQL("%s", [MARKER]),
        "Case": Case(When(pk=row.pk, then=Value(MARKER)), output_field=field),
        "Cast of a Case": Cast(Case(When(pk=row.pk, then=Value(MARKER))), field),
        "Case with a default": Case(
            When(pk=row.pk, then=Value(None)), default=Value(MARKER), output_field=field
        ),
        "Case of another column": Case(When(pk=row.pk, then=Value(foreign)), output_field=field),
        "Subquery": Subquery(this_row.values("id")[:1]),
        "Subquery of the column": Subquery(this_row.values(field.name)[:1]),
        "correlated Subquery": Subquery(this_row.filter(pk=OuterRef("pk")).values(field.name)[:1]),
        "queryset": this_row.values(field.name),
        "default of the database": DatabaseDefault(Value(MARKER)),
        "model": row,
        "object": object(),
        "object with a text": Impostor(),
        "object like an expression": Expression(),
        "object like a row": Related(),
        "value of another column": foreign,
    }


# UnsealedValue is a TypeError; Django itself refuses some values.
REFUSALS = (TypeError, FieldError)


def columns(row: models.Model, field: ProtectedField, value: Any) -> dict[str, Any]:
    """The values of a new row like this one, with ``value`` in the field."""
    given = {f.attname: row.__dict__[f.attname] for f in row._meta.concrete_fields}
    own = {f.attname for f in COLUMNS if f.model is type(row)} | {"id"}
    return {n: v for n, v in given.items() if n not in own} | {field.name: value}


def tampered(row: models.Model, field: ProtectedField, value: Any) -> Any:
    row.__dict__[field.attname] = value
    return row


def tampered_new(row: models.Model, field: ProtectedField, value: Any) -> Any:
    return tampered(type(row)(**columns(row, field, None)), field, value)


def positional(row: models.Model, field: ProtectedField, value: Any) -> list[Any]:
    return [value if f is field else row.__dict__[f.attname] for f in row._meta.concrete_fields]


def related_manager(row: models.Model) -> Any:
    """A related manager that holds the row: ``lead.notes`` of a note."""
    reference = next(
        f
        for f in row._meta.concrete_fields
        if f.many_to_one and getattr(row, f.attname) and not f.remote_field.hidden
    )
    return getattr(getattr(row, reference.name), reference.remote_field.get_accessor_name())


def by_attribute(row: Any, field: ProtectedField, value: Any) -> None:
    setattr(row, field.name, value)
    row.save()


def by_fixture(row: Any, field: ProtectedField, value: Any) -> None:
    data = {"model": row._meta.label_lower, "pk": str(row.pk), "fields": {field.name: value}}
    for loaded in serializers.deserialize("python", [data]):
        loaded.save()


def a_key() -> str:
    return f"{random.getrandbits(128):032x}"


# Each takes a loaded row, a column and a value. Awaitable results are awaited.
MANAGER_WRITES: dict[str, Callable[[Any, Any, Any, Any], Any]] = {
    "create": lambda m, r, f, v: m.create(**columns(r, f, v)),
    "get_or_create": lambda m, r, f, v: m.get_or_create(id=a_key(), defaults=columns(r, f, v)),
    "get_or_create by it": lambda m, r, f, v: m.get_or_create(**{f.name: v}),
    "update_or_create": lambda m, r, f, v: m.update_or_create(pk=r.pk, defaults={f.name: v}),
    "update_or_create, called": lambda m, r, f, v: m.update_or_create(
        pk=r.pk, defaults={f.name: lambda: v}
    ),
    "update_or_create, new": lambda m, r, f, v: m.update_or_create(
        id=a_key(), create_defaults=columns(r, f, v)
    ),
    "update": lambda m, r, f, v: m.filter(pk=r.pk).update(**{f.name: v}),
    "update of every row": lambda m, r, f, v: m.update(**{f.name: v}),
    "bulk_create": lambda m, r, f, v: m.bulk_create([tampered_new(r, f, v)]),
    "bulk_create, upsert": lambda m, r, f, v: m.bulk_create(
        [tampered(r, f, v)], update_conflicts=True, unique_fields=["pk"], update_fields=[f.name]
    ),
    "bulk_create, conflicts ignored": lambda m, r, f, v: m.bulk_create(
        [tampered(r, f, v)], ignore_conflicts=True
    ),
    "bulk_update": lambda m, r, f, v: m.bulk_update([tampered(r, f, v)], [f.name]),
    "acreate": lambda m, r, f, v: m.acreate(**columns(r, f, v)),
    "aget_or_create": lambda m, r, f, v: m.aget_or_create(id=a_key(), defaults=columns(r, f, v)),
    "aupdate_or_create": lambda m, r, f, v: m.aupdate_or_create(pk=r.pk, defaults={f.name: v}),
    "aupdate": lambda m, r, f, v: m.filter(pk=r.pk).aupdate(**{f.name: v}),
    "abulk_create": lambda m, r, f, v: m.abulk_create([tampered_new(r, f, v)]),
    "abulk_update": lambda m, r, f, v: m.abulk_update([tampered(r, f, v)], [f.name]),
}
MANAGERS: dict[str, Callable[[Any], Any]] = {
    "objects": lambda row: type(row).objects,
    "related": related_manager,
    "_base_manager": lambda row: type(row)._base_manager,
    # Built manually, without EntityQuerySet.
    "QuerySet": lambda row: QuerySet(type(row)),
}
ROW_WRITES: dict[str, Callable[[Any, Any, Any], Any]] = {
    "Model(…)": lambda r, f, v: type(r)(**columns(r, f, v)),
    "Model(…) by position": lambda r, f, v: type(r)(*positional(r, f, v)),
    "Model.from_db": lambda r, f, v: type(r).from_db(
        "default", [c.attname for c in r._meta.concrete_fields], positional(r, f, v)
    ),
    "attribute": by_attribute,
    "save": lambda r, f, v: tampered(r, f, v).save(),
    "save of it alone": lambda r, f, v: tampered(r, f, v).save(update_fields=[f.name]),
    "save of a new row": lambda r, f, v: tampered_new(r, f, v).save(),
    "save, force_update": lambda r, f, v: tampered(r, f, v).save(force_update=True),
    "asave": lambda r, f, v: tampered(r, f, v).asave(),
    "save_base": lambda r, f, v: tampered(r, f, v).save_base(),
    "raw save_base": lambda r, f, v: tampered(r, f, v).save_base(raw=True),
    "raw save_base of a new row": lambda r, f, v: tampered_new(r, f, v).save_base(
        raw=True, force_insert=True
    ),
    "fixture": by_fixture,
    "_update": lambda r, f, v: QuerySet(type(r)).filter(pk=r.pk)._update([(f, None, v)]),
}
WRITES: dict[str, Callable[[Any, Any, Any], Any]] = {
    **ROW_WRITES,
    **{
        f"{name}.{path}": lambda r, f, v, get=get, write=write: write(get(r), r, f, v)
        for name, get in MANAGERS.items()
        for path, write in MANAGER_WRITES.items()
    },
}
# These are tested with each kind; their many variants with a few kinds.
EVERY_KIND = {*ROW_WRITES, *(f"objects.{path}" for path in MANAGER_WRITES if path[0] != "a")}
EVERY_KIND |= {"QuerySet.update", "QuerySet.bulk_update", "QuerySet.bulk_create"}
A_FEW = {"str", "of the sealed form", "Value", "Case", "object like an expression"}
# The fast test uses one kind on all write paths, and all kinds on these.
SHORT_WRITES = {"attribute", "save", "objects.create", "objects.update", "objects.bulk_update"}
# A sealed text beside its blind index, the index, and a payload with a schema.
AWKWARD = {
    "lead_identities.email_encrypted",
    "lead_identities.email_bidx",
    "diary_entries.payload_encrypted",
}
# Accepted: fixtures consist of sealed values (tests/sealed/test_fixtures.py).
ALLOWED = {("fixture", "of the sealed form")}


def write(path: str, row: models.Model, field: ProtectedField, value: Any) -> None:
    result = WRITES[path](row, field, value)
    if iscoroutine(result):
        async_to_sync(partial(asyncio.wait_for, result, None))()


def check_refused(field: ProtectedField, takes: Callable[[str, str], bool]) -> None:
    """Write every kind of plain value by every path that ``takes`` it."""
    read = filled_row(field.model)
    before, values = texts(read), plain_values(read, field)
    attempts = [
        (path, kind, value)
        for path in WRITES
        for kind, value in values.items()
        if takes(path, kind) and (path, kind) not in ALLOWED
    ]
    assert attempts
    for path, kind, value in attempts:
        with record_sql() as log, pytest.raises(REFUSALS) as caught, transaction.atomic():  # noqa: PT012
            write(path, copy(read), field, value)
            pytest.fail(f"{path} took {kind}")
        assert not log.writes, (path, kind)
        assert not log.holds("48151623"), (path, kind, log.statements)
        assert "48151623" not in f"{caught.value!r} {caught.value}", (path, kind)
        assert "страшно" not in f"{caught.value!r} {caught.value}", (path, kind)
    assert texts(read) == before


@each_column
def test_plain_value_is_refused_before_any_sql(field: ProtectedField) -> None:
    check_refused(field, lambda path, kind: kind == "str" or path in SHORT_WRITES)


@pytest.mark.slow
@pytest.mark.parametrize("field", [f for f in COLUMNS if f.qualified_name in AWKWARD], ids=name_of)
def test_plain_value_of_every_kind_is_refused_by_every_write(field: ProtectedField) -> None:
    check_refused(field, lambda path, kind: path in EVERY_KIND or kind in A_FEW)
