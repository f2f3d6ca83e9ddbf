"""Every table can be listed, filtered, searched and opened at a constant number of queries."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import parse_qsl, urlencode

import pytest
from django.contrib import admin
from django.contrib.admin.filters import ListFilter
from django.contrib.admin.views.main import ChangeList
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import Group
from django.db import models
from django.forms import BaseForm
from django.test import Client, RequestFactory
from django.urls import reverse

from content.models import CuratedCollection
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
    load_page,
    page,
    queries,
    rows,
    signed_in,
    text,
    unrendered,
)
from tests.advice import advises, file_of, of_test

every_model = pytest.mark.parametrize("model", MODELS, ids=label)
FEW_ROWS, MORE_ROWS = 2, 3
# More than one page of an inline and of autocomplete.
MANY_ROWS = {CuratedCollection: 25}
# Session, person, roles; count and rows; the choices of each filter.
LIST_CEILING = 12
# Session, person, roles; the row and what it refers to; two for each inline.
PAGE_CEILING = 24
# Also one for each relation that leads to the row.
DELETE_CEILING = 40


def admin_file(model: type[models.Model]) -> str:
    return f"{model._meta.app_label}/admin.py"


@advises
def test_every_model_except_diaries_has_a_page() -> Iterator[str]:
    registered = {*admin.site._registry}
    for model in PROJECT_MODELS:
        if model not in registered and label(model) not in WITHOUT_A_PAGE:
            yield (
                f"{admin_file(model)}: register `{model.__name__}Admin` for the model "
                f"`{model.__name__}` ({file_of(model)})"
            )
    for model in registered - {m for m in PROJECT_MODELS if label(m) not in WITHOUT_A_PAGE}:
        yield (
            f"{file_of(type(admin.site.get_model_admin(model)))}: do not register "
            f"`{label(model)}`: the table has no page in admin"
        )
    assert not admin.site.is_registered(Group)


@advises
def test_sidebar_links_every_page_once() -> Iterator[str]:
    entries = [entry for _title, _folded, group in GROUPS for entry, _icon in group]
    file = "ebalance/admin/navigation.py"
    for model in MODELS:
        if entries.count(label(model)) != 1:
            yield f'{file}: list "{label(model)}" once in `GROUPS` ({file_of(model)})'
    for entry in {*entries} - {label(model) for model in MODELS}:
        yield f'{file}: remove "{entry}" from `GROUPS`: there is no such page'


@advises
def test_kinds_of_pages_name_tables_with_pages() -> Iterator[str]:
    names = {label(model) for model in PROJECT_MODELS}
    for kind in ("READ_ONLY", "ADD_ONLY", "NEEDS_SEALING", "WITHOUT_A_PAGE"):
        for name in globals()[kind] - names:
            yield of_test(children, kind)(f'remove "{name}" from', "there is no such table")


def grows_by(few: list[str], many: list[str]) -> str:
    return f"{len(few)} queries became {len(many)}:\n" + "\n".join(many)


def changelist(user: AbstractBaseUser, model: type[models.Model], **query: str) -> ChangeList:
    """The list for this query with its rows, without its HTML."""
    request = RequestFactory().get(page(model, "changelist"), query)
    request.user = user
    listed = admin.site.get_model_admin(model).get_changelist_instance(request)
    listed.result_list = list(listed.result_list)
    return listed


def choices_of(spec: ListFilter, listed: ChangeList) -> list[dict[str, str]]:
    """The queries of a filter: all of the project's own, else one for each set of lookups."""
    choices = [dict(parse_qsl(c["query_string"].removeprefix("?"))) for c in spec.choices(listed)]
    if isinstance(spec, admin.SimpleListFilter):
        return choices
    return [*{tuple(query): query for query in choices}.values()]


@every_model
def test_list_is_searched_filtered_and_costs_the_same_for_more_rows(
    owner: Client, model: type[models.Model]
) -> None:
    made, user = rows(model, FEW_ROWS), signed_in(owner)
    listed = changelist(user, model)
    assert listed.result_count >= len(made)
    matches = changelist(user, model, q=str(made[0].pk))
    assert made[0].pk in {row.pk for row in matches.result_list}
    assert changelist(user, model, q=str(uuid7())).result_count == 0
    for query in ({"q": "%\\'"}, {"p": "1"}):
        changelist(user, model, **query)
    last_of_each = {"q": "а б", "o": ".".join(map(str, range(1, len(listed.list_display))))}
    for spec in listed.filter_specs:
        for filtered in choices_of(spec, listed):
            changelist(user, model, **filtered)
        last_of_each |= filtered
    queries(owner, page(model, "changelist", **last_of_each))
    few = queries(owner, page(model, "changelist"))
    rows(model, MORE_ROWS)
    many = queries(owner, page(model, "changelist"))
    assert len(few) == len(many), grows_by(few, many)
    assert len(many) <= LIST_CEILING, "\n".join(many)


def check_choices_are_searched(form: BaseForm) -> None:
    """A reference is chosen by search: a form never loads all rows of another table."""
    for field in form.fields.values():
        if hasattr(field, "queryset") and not field.widget.is_hidden:
            assert isinstance(field.widget.widget, Autocomplete)


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(m, marks=pytest.mark.slow) if label(m) == "content.ContentItem" else m
        for m in MODELS
    ],
    ids=label,
)
def test_pages_of_a_row_cost_the_same_for_more_rows(
    owner: Client, model: type[models.Model]
) -> None:
    targets = {
        field.name: field.related_model
        for field in model._meta.concrete_fields
        if field.many_to_one and label(field.related_model) != "identity.Role"
    }
    meta = {"app_label": model._meta.app_label, "model_name": model._meta.model_name}
    row = rows(model, 1)[0]
    ceilings = {page(model, "change", row.pk): PAGE_CEILING}
    if label(model) not in READ_ONLY | ADD_ONLY | {"identity.User"}:  # people are erased
        ceilings[page(model, "delete", row.pk)] = DELETE_CEILING
    for name in targets:
        query = urlencode({**meta, "field_name": name})
        ceilings[f"{reverse('admin:autocomplete')}?{query}"] = LIST_CEILING

    for target in {*targets.values()}:
        rows(target, FEW_ROWS)
    children(row, FEW_ROWS)
    # The first page fills the caches of the process, which are not measured.
    assert len(queries(owner, page(model, "history", row.pk))) <= PAGE_CEILING
    few = {address: queries(owner, address) for address in ceilings}
    number = MANY_ROWS.get(model, MORE_ROWS)
    for target in {*targets.values()}:
        rows(target, number)
    children(row, number)
    rows(model, FEW_ROWS)
    for address, ceiling in ceilings.items():
        many = queries(owner, address)
        assert len(few[address]) == len(many), grows_by(few[address], many)
        assert len(many) <= ceiling, "\n".join(many)


@every_model
def test_form_of_a_row_loads_no_list_of_choices(owner: Client, model: type[models.Model]) -> None:
    row = rows(model, 1)[0]
    children(row, 1)
    with unrendered():
        opened = [owner.get(page(model, "change", row.pk))]
    if label(model) in READ_ONLY | ADD_ONLY:
        assert opened[0].context_data["adminform"].form.fields == {}
    if label(model) not in READ_ONLY | NEEDS_SEALING:
        added, statements = load_page(owner, page(model, "add"))
        assert len(statements) <= PAGE_CEILING, "\n".join(statements)
        opened.append(added)
    for response in opened:
        assert response.status_code == 200
        forms = [response.context_data["adminform"].form]
        for inline in response.context_data["inline_admin_formsets"]:
            forms += [*inline.formset.forms, inline.formset.empty_form]
        for form in forms:
            check_choices_are_searched(form)


def test_list_counts_no_further_than_its_bound(owner: Client, monkeypatch) -> None:
    monkeypatch.setattr(BoundedPaginator, "limit", 3)
    rows(AnalyticsEvent, 5)
    statements = queries(owner, page(AnalyticsEvent, "changelist"))
    counts = [sql for sql in statements if "COUNT(" in sql]
    assert len(counts) == 1
    assert "LIMIT 3" in counts[0]


def test_start_page_and_app_pages_open(owner: Client) -> None:
    addresses = {
        app: reverse("admin:app_list", args=[app])
        for app in ("audit", "booking", "content", "crm", "identity", "interactive", "ugc")
    }
    closed = {app for app, address in addresses.items() if owner.get(address).status_code != 200}
    assert closed == set()
    start = owner.get(reverse("admin:index"))
    assert start.status_code == 200
    assert "Django" not in text(start)


def test_search_in_the_sidebar_opens(owner: Client) -> None:
    assert owner.get(reverse("admin:search"), {"s": "e"}).status_code == 200
