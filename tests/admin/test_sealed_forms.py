"""No form writes a sealed column: neither a hand-written form nor a page of admin."""

from __future__ import annotations

from typing import Any

import pytest
from django import forms
from django.contrib import admin
from django.core.exceptions import FieldError
from django.db import models
from django.test import Client
from django.urls import NoReverseMatch

import ebalance.urls  # noqa: F401  (the pages are registered with the addresses)
from ebalance.db.encryption.fields import ProtectedField, protected_fields
from tests.admin.support import form_at, form_data, page, reference, unrendered
from tests.sealed.support import MODELS, each_column, filled_row, name_of, reload, texts

pytestmark = pytest.mark.django_db

MARKER = "мне страшно 48151623"


@each_column
def test_form_writes_no_protected_field(field: ProtectedField) -> None:
    with pytest.raises(FieldError, match="non-editable"):
        forms.modelform_factory(field.model, fields=[field.name])
    assert field.name not in forms.modelform_factory(field.model, fields="__all__").base_fields

    class EmptyForm(forms.ModelForm):
        class Meta:
            model = field.model
            fields: list[str] = []

    # A hand-written field of the same name.
    made = type("Made", (EmptyForm,), {field.name: forms.CharField()})
    row = filled_row(field.model)
    before = texts(row)
    form = made({field.name: MARKER}, instance=row)
    assert form.is_valid(), form.errors
    form.save()
    assert texts(row) == before
    initial = made(instance=reload(row))
    assert "48151623" not in initial.as_p()
    assert (before[field.column] or MARKER) not in initial.as_p()


def protected_values(row: models.Model) -> dict[str, Any]:
    """A value for every name by which a request could address a protected column."""
    data: dict[str, Any] = {}
    for field in protected_fields(type(row)):
        data |= dict.fromkeys(
            [field.name, f"{field.name}_0", f"initial-{field.name}", f"{field.name}_key"], MARKER
        )
    return data


REGISTERED = [model for model in MODELS if admin.site.is_registered(model)]


@pytest.mark.parametrize("model", REGISTERED, ids=name_of)
def test_page_of_a_row_writes_no_sealed_value(owner: Client, model: type[models.Model]) -> None:
    row, other = filled_row(model), filled_row(model)
    before = texts(row)
    sealed = {name: text for name, text in texts(other).items() if text}
    address = page(model, "change", row.pk)
    form = form_at(owner, address)
    with unrendered():
        for data in (protected_values(row), protected_values(row) | sealed):
            answer = owner.post(address, form | data)
            assert answer.status_code in {302, 403, 404}, answer.context_data["errors"]
            assert texts(row) == before
    # The page of a new row.
    count = model._base_manager.count()
    address = page(model, "add")
    with unrendered():
        shown = owner.get(address)
        data = (
            protected_values(model())
            if shown.status_code != 200
            else form_data(shown) | protected_values(model())
        )
        owner.post(address, data)
    rows = model._base_manager.order_by("-pk")
    if rows.count() > count:  # a contact of a lead may be added without its sealed values
        assert not any(texts(rows[0]).values())


INLINES = [
    (parent, inline.model)
    for parent, options in admin.site._registry.items()
    for inline in options.inlines
    if inline.model in MODELS
]


@pytest.mark.parametrize(("parent", "model"), INLINES, ids=name_of)
def test_inline_writes_no_sealed_value(
    owner: Client, parent: type[models.Model], model: type[models.Model]
) -> None:
    row = filled_row(model)
    before = texts(row)
    address = page(parent, "change", getattr(row, f"{reference(model, parent())}_id"))
    data = form_at(owner, address)
    for prefix in {key.rsplit("-", 1)[0] for key in data if "-" in key}:
        data |= {f"{prefix}-{name}": text for name, text in protected_values(row).items()}
    assert owner.post(address, data).status_code == 302
    assert texts(row) == before


def test_page_of_diaries_and_of_second_factors_does_not_exist(owner: Client) -> None:
    hidden = [m for m in MODELS if m not in REGISTERED]
    assert {m._meta.label for m in hidden} == {"ugc.DiaryEntry", "identity.SecondFactor"}
    for model in hidden:
        with pytest.raises(NoReverseMatch):
            page(model, "changelist")
