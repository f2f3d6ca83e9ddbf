"""Plaintext is never searched: a protected column can be read, listed and compared with NULL."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.core.exceptions import FieldError
from django.db import models
from django.db.models import Case, Count, Exists, F, Max, OuterRef, Q, Value, When

from ebalance.db import patterns
from ebalance.db.encryption.fields import (
    BlindIndex,
    BlindToken,
    ProtectedField,
    Sealed,
    UnsealedValue,
)
from tests.sealed.support import (
    EMAIL,
    each_column,
    each_model,
    filled_row,
    identity,
    record_sql,
    texts,
)

pytestmark = pytest.mark.django_db

LOOKUPS = [
    *models.TextField.get_lookups(),
    *("lower", "upper", "length", "trim", "unaccent", "year", "0", "version"),
    *("lower__contains", "length__gt", "date__exact", "isnull__isnull"),
]
MARKER = "мне страшно"

ASK: dict[str, Callable[[models.QuerySet, Q], Any]] = {
    "filter": lambda rows, q: rows.filter(q),
    "exclude": lambda rows, q: rows.exclude(q),
    "get": lambda rows, q: rows.get(q),
    "either": lambda rows, q: rows.filter(Q(pk__isnull=True) | ~q),
    "annotate": lambda rows, q: rows.annotate(hit=Case(When(q, then=1), default=0)),
    "aggregate": lambda rows, q: rows.aggregate(hits=Count("pk", filter=q)),
    "order_by": lambda rows, q: rows.order_by(Case(When(q, then=1), default=0)),
    "exists": lambda rows, q: rows.filter(Exists(rows.filter(q, pk=OuterRef("pk")))),
    "update": lambda rows, q: rows.filter(q).update(id=F("id")),
    "delete": lambda rows, q: rows.filter(q).delete(),
}


def refused_values(field: ProtectedField, row: models.Model) -> list[Any]:
    value = getattr(row, field.attname)
    plain = [MARKER, EMAIL, value.text, "", 0, False, [MARKER], F("id"), Value(MARKER)]
    return plain if isinstance(field, BlindIndex) else [*plain, value, None]


@each_column
def test_lookups_refuse_plain_values(field: ProtectedField) -> None:
    row = filled_row(field.model)
    rows = field.model._base_manager.all()
    for lookup in ["", *LOOKUPS]:
        name = f"{field.name}__{lookup}".removesuffix("__")
        values = [True] if lookup == "isnull" else refused_values(field, row)
        for value in values:
            if lookup == "isnull":
                assert not rows.filter(**{name: value}).exists()
                continue
            given = [value] if lookup == "in" else value
            with record_sql() as log, pytest.raises((UnsealedValue, FieldError)) as caught:  # noqa: PT012
                list(rows.filter(**{name: given}))
                pytest.fail(f"{name}={value!r} was asked")
            assert not log.statements
            assert MARKER not in str(caught.value)


@each_column
def test_queryset_methods_refuse_plain_values(field: ProtectedField) -> None:
    rows = field.model._base_manager.all()
    for ask, method in ASK.items():
        for lookup in ("exact", "contains", "regex", "gt", "lower"):
            with record_sql() as log, pytest.raises((UnsealedValue, FieldError)):  # noqa: PT012
                list(method(rows, Q(**{f"{field.name}__{lookup}": MARKER})))
                pytest.fail(f"{ask} took {lookup}")
            assert not log.statements, (ask, lookup)


@each_model
def test_protected_columns_are_read_by_every_method(model: type[models.Model]) -> None:
    row = filled_row(model)
    stored = texts(row)
    rows = model._base_manager.filter(pk=row.pk)
    for name, text in stored.items():
        values = [
            getattr(rows.get(), name),
            getattr(rows.only(name).get(), name),
            getattr(rows.defer(name).get(), name),
            rows.values(name).get()[name],
            rows.values_list(name, flat=True).get(),
            rows.values_list(name, named=True).get()[0],
            rows.annotate(other=F(name)).get().other,
            rows.annotate(n=Count("pk")).values_list(name, flat=True).get(),
            rows.aggregate(most=Max(name))["most"],
            rows.values_list(name, flat=True).union(rows.values_list(name, flat=True))[0],
            rows.order_by(name).distinct().values_list(name, flat=True)[0],
            getattr(model._base_manager.in_bulk([row.pk])[row.pk], name),
            getattr(model.objects.raw(f'SELECT * FROM "{model._meta.db_table}"')[0], name),
            getattr(next(rows.iterator()), name),
        ]
        for value in values:
            assert value.text == text
            assert f"{value} {value!r}" == "[sealed] [sealed]"
        if isinstance(values[0], Sealed):
            opened = values[0].open()
            assert all(value.open(row_id=row.pk) == opened for value in values)


def test_related_row_is_read() -> None:
    row = identity()
    note = row.lead.notes.model.objects  # read through the parent and back
    assert not note.exists()
    related = type(row).objects.select_related("lead").prefetch_related("lead__identities").get()
    (same,) = related.lead.identities.all()
    assert same.email_encrypted.open() == EMAIL


def test_blind_index_is_compared_with_blind_indexes() -> None:
    row, other = identity(), identity(email_encrypted="petr@example.com")
    ours, theirs = row.email_bidx, BlindToken.of("email", "Petr@Example.com ")
    rows = type(row).objects.order_by("pk")
    assert list(rows.filter(email_bidx=ours)) == [row]
    assert list(rows.exclude(email_bidx=ours)) == [other]
    assert list(rows.filter(email_bidx__in=[ours, theirs])) == [row, other]
    assert rows.get(email_bidx=theirs) == other
    assert list(rows.filter(email_bidx__regex=patterns.BLIND_INDEX)) == [row, other]
    indexes = rows.filter(pk=other.pk).values("email_bidx")
    assert list(rows.filter(email_bidx__in=indexes)) == [other]
    with pytest.raises(UnsealedValue):
        rows.filter(email_bidx=row.email_encrypted)
