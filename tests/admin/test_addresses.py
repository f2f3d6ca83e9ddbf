"""Pages answer only the addresses that they offer, and no address ends in 500 (access.md §1)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from http.cookies import SimpleCookie
from typing import Any
from unittest import mock
from urllib.parse import quote, urlencode
from uuid import uuid4

import pytest
from django.conf import settings
from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db import OperationalError, connection, models, transaction
from django.test import Client, RequestFactory
from django.urls import reverse

from audit.models import SystemSetting
from booking.models import Appointment
from ebalance.admin.lists import MAX_SEARCH_LENGTH, MAX_SEARCH_WORDS, is_offered, may_follow
from identity.models import User
from tests.admin.support import MODELS, form_at, label, page, rows, signed_in, unrendered
from tests.factories import AppointmentFactory, DiaryEntryFactory, SystemSettingFactory

every_model = pytest.mark.parametrize("model", MODELS, ids=label)
ROLES = ["owner", "assistant", "editor"]
HOSTILE = [
    "\0",
    "9" * 30,
    "-1",
    "(",
    "NaN",
    "[" * 3_000,
    "\udce4",
    "слово " * 2_000,
    "2026-13-45",
    "' OR 1=1 --",
    str(uuid4()),
]
# Parameters of every list that are no lookups.
COMMON = ["q", "p", "o", "all", "_to_field", "_popup", "_facets", "_changelist_filters", "e"]
REFUSED = {400, 404}


def address(model: type[models.Model], **query: str) -> str:
    """The list with this query; a lone surrogate is sent as a byte that is no UTF-8."""
    return f"{page(model, 'changelist')}?{urlencode(query, errors='surrogateescape')}"


def sendable(value: str) -> str:
    """The value in a form: a browser sends a lone surrogate as a replacement character."""
    return value.encode("utf-8", "replace").decode()


def offered(client: Client, model: type[models.Model]) -> set[str]:
    """The parameters that the filters and the date hierarchy of the list declare."""
    request = RequestFactory().get(page(model, "changelist"))
    request.user = signed_in(client)
    shown: ChangeList = admin.site.get_model_admin(model).get_changelist_instance(request)
    names = {name for spec in shown.filter_specs for name in spec.expected_parameters()}
    if shown.date_hierarchy:
        names |= {f"{shown.date_hierarchy}__{part}" for part in ("year", "month", "day")}
    return {name for name in names if name}


def lookups(model: type[models.Model]) -> Iterator[tuple[str, str]]:
    """A lookup of each kind for each column and each relation to and from the table."""
    for field in model._meta.get_fields():
        yield f"{field.name}__isnull", "False"
        if field.is_relation:
            yield f"{field.name}__pk__gte", str(uuid4())
        else:
            yield field.name, "1"
            yield f"{field.name}__gte", "1"
            yield f"{field.name}__regex", "(a+)+$"
    yield "pk__lt", str(uuid4())
    yield "nothing__like_this", "1"


@pytest.mark.slow
@every_model
def test_list_refuses_undeclared_lookups(
    as_role: Callable[[str], Client], model: type[models.Model]
) -> None:
    rows(model, 1)
    for role in ROLES:
        client = as_role(role)
        client.raise_request_exception = False
        with unrendered():
            if client.get(page(model, "changelist")).status_code == 404:
                expected = {404}
                declared = set()
            else:
                expected = {400}
                declared = offered(client, model)
            answers = {
                name: client.get(address(model, **{name: value})).status_code
                for name, value in lookups(model)
                if name not in declared
            }
        assert {*answers.values()} <= expected, (role, answers)


@pytest.mark.slow
@every_model
def test_hostile_value_of_a_parameter_is_no_server_error(
    owner: Client, model: type[models.Model]
) -> None:
    rows(model, 1)
    owner.raise_request_exception = False
    with unrendered():
        for name in [*COMMON, *sorted(offered(owner, model))]:
            for value in HOSTILE:
                answer = owner.get(address(model, **{name: value}))
                assert answer.status_code in {200, 302, *REFUSED}, (name, value[:20])
                if (name == "q" and len(value) > MAX_SEARCH_LENGTH) or "\0" in value:
                    assert answer.status_code == 400, (name, value[:20])


@pytest.mark.slow
@every_model
def test_hostile_key_is_no_server_error(owner: Client, model: type[models.Model]) -> None:
    owner.raise_request_exception = False
    meta = {"app_label": model._meta.app_label, "model_name": model._meta.model_name}
    references = [f.name for f in model._meta.concrete_fields if f.many_to_one]
    with unrendered():
        for value in HOSTILE:
            key = quote(value, safe="", errors="surrogateescape")
            addresses = [
                page(model, name, "0").replace("/0/", f"/{key}/") for name in ("change", "history")
            ]
            for name in references[:1]:
                asked = {**meta, "field_name": name, "term": value, "page": value}
                query = urlencode(asked, errors="surrogateescape")
                addresses.append(f"{reverse('admin:autocomplete')}?{query}")
            for shown in addresses:
                assert owner.get(shown).status_code in {200, 302, *REFUSED}, shown[:100]
            chosen = {
                "action": "delete_selected",
                "_selected_action": sendable(value),
                "index": "0",
            }
            answer = owner.post(page(model, "changelist"), chosen)
            assert answer.status_code in {200, 302, *REFUSED}, value[:20]


@pytest.mark.parametrize(
    "shown",
    ["r/%s/1/", "r/1/%s/", "%s/", "identity/%s/", "search/?s=%s", "jsi18n/?x=%s", "?next=%s"],
)
def test_other_pages_answer_hostile_values(owner: Client, shown: str) -> None:
    owner.raise_request_exception = False
    with unrendered():
        for value in HOSTILE:
            sent = shown % quote(value, safe="", errors="surrogateescape")
            answer = owner.get(f"{reverse('admin:index')}{sent}")
            assert answer.status_code in {200, 301, 302, *REFUSED}, value[:20]


def test_list_of_people_does_not_show_who_keeps_a_diary(owner: Client) -> None:
    DiaryEntryFactory()
    for lookup in ("diary_entries__isnull", "diary_entries", "diary_entries__created_at__gte"):
        assert owner.get(address(User, **{lookup: "False"})).status_code == 400


def test_declared_filters_searches_and_dates_are_answered(owner: Client) -> None:
    appointment = AppointmentFactory()
    client = appointment.client
    for query, count in [
        ({"status__exact": appointment.status}, 1),
        ({"status__exact": "canceled"}, 0),
        ({"start_at_utc__year": str(appointment.start_at_utc.year)}, 1),
        ({"start_at_utc__year": "1999"}, 0),
        ({"q": client.display_name}, 1),
        ({"q": str(appointment.pk)}, 1),
        ({"q": str(uuid4())}, 0),
    ]:
        answer = owner.get(address(Appointment, **query))
        assert answer.status_code == 200, query
        assert answer.context_data["cl"].result_count == count, query


@pytest.mark.parametrize(
    ("role", "path", "followed"),
    [
        ("owner", "client__email", True),
        ("assistant", "client__email", True),
        ("assistant", "service__title", True),
        ("assistant", "intake_forms__status", False),
        ("assistant", "payments__status", True),
        ("editor", "service__title", False),
        ("editor", "client__email", False),
        ("editor", "status", True),
        ("owner", "client__diary_entries__diary_type", False),
    ],
)
def test_relation_is_followed_to_visible_tables_only(
    as_role: Callable[[str], Client], role: str, path: str, followed: bool
) -> None:
    assert may_follow(signed_in(as_role(role)), Appointment, path) is followed


@pytest.mark.parametrize(
    ("role", "path", "offered"),
    [
        ("assistant", "location_text", True),
        ("assistant", "=location_text", True),
        ("assistant", "^payments__status", True),
        ("editor", "location_text", False),
        ("editor", "=location_text", False),
        ("editor", "location_text__exact", False),
        ("editor", "@client__email", False),
        ("editor", "status__exact", True),
    ],
)
def test_search_of_every_kind_reads_visible_columns_only(
    as_role: Callable[[str], Client], role: str, path: str, offered: bool
) -> None:
    request = RequestFactory().get("/")
    request.user = signed_in(as_role(role))
    shown = admin.site.get_model_admin(Appointment)
    assert is_offered(shown, request, path) is offered


def test_long_search_is_refused(owner: Client) -> None:
    words = " ".join(["а"] * MAX_SEARCH_WORDS)
    assert owner.get(address(User, q=words)).status_code == 200
    assert owner.get(address(User, q=f"{words} а")).status_code == 400
    assert owner.get(address(User, q="а" * MAX_SEARCH_LENGTH)).status_code == 200
    assert owner.get(address(User, q="а" * (MAX_SEARCH_LENGTH + 1))).status_code == 400


@pytest.mark.parametrize("value", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_login_and_cookies_are_no_server_error(db: None, value: str) -> None:
    client = Client(raise_request_exception=False)
    text = sendable(value)
    answer = client.post(reverse("admin:login"), {"username": text, "password": text})
    assert answer.status_code in {200, *REFUSED}
    session = SimpleCookie()
    session[settings.SESSION_COOKIE_NAME] = f"{text:0>10}"[:500]
    sent = session.output(header="").strip().encode("latin-1", "replace").decode("latin-1")
    answer = client.get(reverse("admin:index"), headers={"cookie": sent})
    assert answer.status_code in {302, *REFUSED}


def test_query_over_the_time_limit_is_a_bad_request(owner: Client) -> None:
    """The limit of the database role ends a query; the page answers 400, not 500."""
    owner.raise_request_exception = False

    def sleeping(*_args: Any, **_options: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = '10ms'")
            cursor.execute("SELECT pg_sleep(60)")

    with mock.patch.object(ChangeList, "get_queryset", sleeping), transaction.atomic():
        answer = owner.get(page(User, "changelist"))
        transaction.set_rollback(True)
    assert answer.status_code == 400


@pytest.mark.parametrize("error", [ZeroDivisionError(), OperationalError("gone")], ids=str)
def test_fault_of_the_program_stays_a_server_error(owner: Client, error: Exception) -> None:
    owner.raise_request_exception = False
    with mock.patch.object(ChangeList, "get_queryset", side_effect=error):
        assert owner.get(page(User, "changelist")).status_code == 500


def test_json_that_cannot_be_stored_is_refused(owner: Client) -> None:
    setting = SystemSettingFactory()
    change = page(SystemSetting, "change", setting.pk)
    data = form_at(owner, change)
    with unrendered():
        for value in ('"\\ud800"', '"\\u0000"', "NaN", "1e999", "["):
            answer = owner.post(change, data | {"value": value})
            assert answer.status_code == 200, value
            assert answer.context_data["adminform"].form.errors, value
        for value in ("[" * 100_000, "[" * 100_000 + "]" * 100_000):
            assert owner.post(change, data | {"value": value}).status_code == 400
    setting.refresh_from_db()
    assert setting.value == SystemSetting.objects.get(pk=setting.pk).value
