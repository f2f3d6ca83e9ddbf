"""No form writes a sealed column: neither one made by hand, nor a page of admin that is told to."""

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
from ebalance.db.sealed import ProtectedField, protected_fields
from tests.admin.support import form_data, page, reference
from tests.sealed.support import MODELS, again, each_column, filled, place, texts

pytestmark = pytest.mark.django_db

MARKER = "мне страшно 48151623"


@each_column
def test_a_form_with_a_protected_field_is_not_made(field: ProtectedField) -> None:
    with pytest.raises(FieldError, match="non-editable"):
        forms.modelform_factory(field.model, fields=[field.name])
    assert field.name not in forms.modelform_factory(field.model, fields="__all__").base_fields


@each_column
def test_a_field_of_the_same_name_writes_nothing(field: ProtectedField) -> None:
    class Told(forms.ModelForm):
        class Meta:
            model = field.model
            fields: list[str] = []

    made = type("Made", (Told,), {field.name: forms.CharField()})
    row = filled(field.model)
    before = texts(row)
    form = made({field.name: MARKER}, instance=row)
    assert form.is_valid(), form.errors
    form.save()
    assert texts(row) == before
    initial = made(instance=again(row))
    assert "48151623" not in initial.as_p()
    assert (before[field.column] or MARKER) not in initial.as_p()


def told(row: models.Model) -> dict[str, Any]:
    """Every way to name a protected column in what a browser sends."""
    data: dict[str, Any] = {}
    for field in protected_fields(type(row)):
        data |= dict.fromkeys(
            [field.name, f"{field.name}_0", f"initial-{field.name}", f"{field.name}_key"], MARKER
        )
    return data


REGISTERED = [model for model in MODELS if admin.site.is_registered(model)]


@pytest.mark.parametrize("model", REGISTERED, ids=place)
@pytest.mark.parametrize("value", [MARKER, "sealed"])
def test_a_change_page_told_to_write_one_does_not(
    owner: Client, model: type[models.Model], value: str
) -> None:
    row, other = filled(model), filled(model)
    before = texts(row)
    data = told(row)
    if value == "sealed":
        data |= {name: text for name, text in texts(other).items() if text}
    address = page(model, "change", row.pk)
    shown = owner.get(address)
    assert shown.status_code == 200
    answer = owner.post(address, form_data(shown) | data)
    assert answer.status_code in {302, 403, 404}, answer.context_data["errors"]
    assert texts(row) == before


@pytest.mark.parametrize("model", REGISTERED, ids=place)
def test_an_add_page_told_to_write_one_does_not(owner: Client, model: type[models.Model]) -> None:
    filled(model)
    count = model._base_manager.count()
    address = page(model, "add")
    shown = owner.get(address)
    data = told(model()) if shown.status_code != 200 else form_data(shown) | told(model())
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


@pytest.mark.parametrize(("parent", "model"), INLINES, ids=place)
def test_an_inline_told_to_write_one_does_not(
    owner: Client, parent: type[models.Model], model: type[models.Model]
) -> None:
    row = filled(model)
    before = texts(row)
    address = page(parent, "change", getattr(row, f"{reference(model, parent())}_id"))
    data = form_data(owner.get(address))
    for prefix in {key.rsplit("-", 1)[0] for key in data if "-" in key}:
        data |= {f"{prefix}-{name}": text for name, text in told(row).items()}
    assert owner.post(address, data).status_code == 302
    assert texts(row) == before


def test_a_page_of_diaries_does_not_exist(owner: Client) -> None:
    for model in (m for m in MODELS if m not in REGISTERED):
        assert model._meta.label == "ugc.DiaryEntry"
        with pytest.raises(NoReverseMatch):
            page(model, "changelist")
