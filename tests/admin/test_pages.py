"""Every table can be found, filtered, searched and opened, at a cost that does not grow."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group
from django.db import models
from django.test import Client
from django.urls import reverse

from crm.models import AnalyticsEvent
from ebalance.admin.forms import Autocomplete
from ebalance.admin.navigation import GROUPS
from ebalance.admin.paginator import BoundedPaginator
from ebalance.db.ids import uuid7
from tests.admin.support import (
    ADD_ONLY,
    MODELS,
    NEEDS_SEALING,
    PROJECT_MODELS,
    READ_ONLY,
    WITHOUT_A_PAGE,
    children,
    label,
    page,
    queries,
    row_pages,
    rows,
    text,
    warm,
)

every_model = pytest.mark.parametrize("model", MODELS, ids=label)
FEW_ROWS, MANY_ROWS = 2, 25
# Session, person, roles; count and rows; the choices of each filter.
LIST_CEILING = 12
# Session, person, roles; the row and what it refers to; two for each inline.
PAGE_CEILING = 24
# Also one for each relation that leads to the row.
DELETE_CEILING = 40


def test_every_model_has_a_page_except_diaries() -> None:
    registered = {label(model) for model in admin.site._registry}
    assert registered == {label(model) for model in PROJECT_MODELS} - WITHOUT_A_PAGE
    assert not admin.site.is_registered(Group)


def test_every_page_is_in_the_sidebar_once() -> None:
    entries = [entry for _title, _folded, group in GROUPS for entry, _icon in group]
    assert sorted(entries) == sorted(label(model) for model in MODELS)


@every_model
def test_lists_are_found_searched_filtered_and_leafed(
    owner: Client, model: type[models.Model]
) -> None:
    made = rows(model, 3)
    listed = owner.get(page(model, "changelist"))
    assert listed.status_code == 200
    changelist = listed.context_data["cl"]
    assert changelist.result_count >= len(made)
    found = owner.get(page(model, "changelist", q=made[0].pk)).context_data["cl"]
    assert made[0].pk in {row.pk for row in found.result_list}
    assert owner.get(page(model, "changelist", q=str(uuid7()))).context_data["cl"].result_count == 0
    searches = [{"q": "а б"}, {"q": "%\\'"}, {"p": 1}]
    addresses = [page(model, "changelist", **query) for query in searches]
    for spec in changelist.filter_specs:
        choices = spec.choices(changelist)
        addresses += [page(model, "changelist") + choice["query_string"] for choice in choices]
    for column in range(1, len(changelist.list_display)):
        addresses.append(page(model, "changelist", o=column))
    for address in addresses:
        assert owner.get(address).status_code == 200, address


def grows_by(few: list[str], many: list[str]) -> str:
    return f"{len(few)} queries became {len(many)}:\n" + "\n".join(many)


@every_model
def test_a_list_asks_as_much_for_many_rows_as_for_few(
    owner: Client, model: type[models.Model]
) -> None:
    addresses = page(model, "changelist"), page(model, "changelist", q="а")
    rows(model, FEW_ROWS)
    warm(owner, addresses[0])
    few = [queries(owner, address) for address in addresses]
    rows(model, MANY_ROWS)
    for address, before in zip(addresses, few, strict=True):
        many = queries(owner, address)
        assert len(before) == len(many), grows_by(before, many)
        assert len(many) <= LIST_CEILING, "\n".join(many)


@every_model
def test_a_page_asks_as_much_for_many_inline_rows_as_for_few(
    owner: Client, model: type[models.Model]
) -> None:
    row = rows(model, 1)[0]
    ceilings = dict(zip(row_pages(row), (PAGE_CEILING, DELETE_CEILING, PAGE_CEILING), strict=True))
    if label(model) in READ_ONLY | ADD_ONLY:
        del ceilings[page(model, "delete", row.pk)]
    children(row, FEW_ROWS)
    warm(owner, page(model, "history", row.pk))
    few = {address: queries(owner, address) for address in ceilings}
    children(row, MANY_ROWS)
    rows(model, FEW_ROWS)
    for address, ceiling in ceilings.items():
        many = queries(owner, address)
        assert len(few[address]) == len(many), grows_by(few[address], many)
        assert len(many) <= ceiling, "\n".join(many)


@every_model
def test_an_empty_form_and_its_choices_ask_as_much_for_many_rows(
    owner: Client, model: type[models.Model]
) -> None:
    targets = {
        field.name: field.related_model
        for field in model._meta.concrete_fields
        if field.many_to_one and label(field.related_model) != "identity.Role"
    }
    meta = {"app_label": model._meta.app_label, "model_name": model._meta.model_name}
    addresses = [
        f"{reverse('admin:autocomplete')}?{urlencode({**meta, 'field_name': name})}"
        for name in targets
    ]
    if label(model) not in READ_ONLY | NEEDS_SEALING:
        addresses.append(page(model, "add"))
    for target in targets.values():
        rows(target, FEW_ROWS)
    few = {address: queries(owner, address) for address in addresses}
    for target in targets.values():
        rows(target, MANY_ROWS)
    for address, before in few.items():
        many = queries(owner, address)
        assert len(before) == len(many), grows_by(before, many)
        assert len(many) <= LIST_CEILING, "\n".join(many)


@every_model
def test_no_page_loads_a_list_of_choices(owner: Client, model: type[models.Model]) -> None:
    """A reference is chosen by searching: a form never holds all rows of another table."""
    row = rows(model, 1)[0]
    form = owner.get(page(model, "change", row.pk)).context_data["adminform"].form
    if label(model) in READ_ONLY | ADD_ONLY:
        assert form.fields == {}
    for field in form.fields.values():
        if hasattr(field, "queryset"):
            assert isinstance(field.widget.widget, Autocomplete)


def test_a_list_counts_no_further_than_its_bound(owner: Client, monkeypatch) -> None:
    monkeypatch.setattr(BoundedPaginator, "limit", 3)
    rows(AnalyticsEvent, 5)
    statements = queries(owner, page(AnalyticsEvent, "changelist"))
    counts = [sql for sql in statements if "COUNT(" in sql]
    assert len(counts) == 1
    assert "LIMIT 3" in counts[0]


@pytest.mark.parametrize("app", ["audit", "booking", "content", "crm", "identity", "ugc"])
def test_start_page_and_app_pages_open(owner: Client, app: str) -> None:
    assert owner.get(reverse("admin:index")).status_code == 200
    assert owner.get(reverse("admin:app_list", args=[app])).status_code == 200
    assert "Django" not in text(owner.get(reverse("admin:index")))


def test_search_in_the_sidebar_opens(owner: Client) -> None:
    assert owner.get(reverse("admin:search"), {"s": "e"}).status_code == 200
