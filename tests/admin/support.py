"""Shared by the tests of admin: its pages, tables with many rows, and ciphertext on pages."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock
from urllib.parse import urlencode

import factory
from django.apps import apps
from django.contrib import admin
from django.contrib.admin.utils import quote
from django.db import connection, models
from django.http import HttpResponse
from django.template.response import SimpleTemplateResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

import ebalance.urls  # noqa: F401  (the pages are registered with the addresses)
from ebalance.admin.sites import Site
from ebalance.db.apps import PROJECT_APPS
from ebalance.db.encryption.fields import ProtectedField
from identity.models import User
from tests import factories
from tests.factories import FACTORIES
from tests.support import execute

# Diaries belong to their authors alone (access.md §1).
# Second factors and limits of logins are nobody's to see. Commands show backfills and steps.
WITHOUT_A_PAGE = {
    "ugc.DiaryEntry",
    "identity.SecondFactor",
    "identity.RecoveryCode",
    "identity.LoginLimit",
    "audit.BackfillJob",
    "audit.MigrationStep",
}

PROJECT_MODELS = [
    model
    for label in PROJECT_APPS
    for model in apps.get_app_config(label).get_models()
    if model._meta.managed
]
MODELS = [model for model in PROJECT_MODELS if model._meta.label not in WITHOUT_A_PAGE]

READ_ONLY = {
    "audit.AuditCheckpoint",
    "audit.AuditLogEntry",
    "audit.KeyRotation",
    "audit.Lease",
    "audit.Lock",
    "audit.OutboxEvent",
    "booking.IntakeForm",
    "booking.MessageDelivery",
    "booking.Payment",
    "booking.Refund",
    "booking.SessionNote",
    "booking.PaymentWebhookEvent",
    "content.ContentRevision",
    "crm.AnalyticsEvent",
    "crm.TrackingEvent",
    "crm.TrackingEventParam",
    "identity.Consent",
    "identity.DataExportRequest",
    "identity.ErasureLedgerEntry",
    "identity.ErasureRequest",
    "interactive.InteractiveRun",
    "interactive.InteractiveRunTotal",
    "interactive.InteractiveVersion",
    "ugc.ModerationAction",
    "ugc.ModerationTotal",
    "ugc.ReviewPublicationConsent",
}
ADD_ONLY = {"audit.MessageTemplateVersion"}
# A new row needs a sealed value, which no form accepts.
NEEDS_SEALING = {
    "booking.IntakeForm",
    "booking.WaitlistRequest",
    "crm.LeadNote",
    "ugc.AnonymousQuestion",
    "ugc.QuestionAnswer",
    "ugc.Review",
}

# Rows with all references set, so that a page that runs a query for each row is detected.
LINKED: dict[str, dict[str, Any]] = {
    "booking.Appointment": {"lead": factory.SubFactory(factories.LeadFactory), "in_slot": True},
    "booking.AvailabilitySlot": {"service": factory.SubFactory(factories.ServiceFactory)},
    "booking.WaitlistRequest": {"lead": factory.SubFactory(factories.LeadFactory)},
    "crm.DeepLink": {"of_lead": True},
    "crm.LeadIdentity": {"registered": True},
    "identity.Consent": {"lead": factory.SubFactory(factories.LeadFactory)},
    "interactive.InteractiveRun": {"of_user": True},
    "ugc.AnonymousQuestion": {"user": factory.SubFactory(factories.UserFactory)},
}

# Values that allow several children of one parent.
SIBLINGS: dict[str, dict[str, Any]] = {
    "content.ContentItemTopic": {"topic": factory.SubFactory(factories.TopicFactory)},
    "content.ContentMedia": {"usage": "inline"},
    "crm.LeadIdentity": {"registered": True},
    "identity.Consent": {"refused": True},
    "ugc.ReviewPublicationConsent": {"refused": True},
}
# A unique rule, or the closed set of roles, allows no more of these in one parent.
FEW: dict[str, Callable[[models.Model], list[models.Model]]] = {
    "booking.IntakeForm": lambda parent: [factories.IntakeFormFactory(appointment=parent)],
    "identity.UserRole": lambda parent: [
        factories.UserRoleFactory(user=parent, role_id=role) for role in ("client", "editor")
    ],
    "ugc.QuestionAnswer": lambda parent: [factories.QuestionAnswerFactory(question=parent)],
}

# Table and column of every sealed value.
SEALED = [
    (model._meta.db_table, field.column)
    for model in FACTORIES
    for field in model._meta.concrete_fields
    if isinstance(field, ProtectedField)
]
# The only SQL that may read such a column: it extracts the key id.
ONLY_THE_KEY = re.compile(r"split_part\(\"?\w+\"?\.\"?\w+\"?, %s, %s\)", re.IGNORECASE)


def label(model: type[models.Model]) -> str:
    return model._meta.label


def signed_in(client: Client) -> User:
    return User.objects.get(pk=client.session["_auth_user_id"])


def rows(model: type[models.Model], number: int) -> list[models.Model]:
    """Create ``number`` rows of the model (of roles, there are always the same four)."""
    linked = LINKED.get(label(model), {})
    return FACTORIES[model].create_batch(number, **linked)


def page(model: type[models.Model], name: str, *args: Any, **query: Any) -> str:
    meta = model._meta
    keys = [quote(key) for key in args]
    address = reverse(f"admin:{meta.app_label}_{meta.model_name}_{name}", args=keys)
    return f"{address}?{urlencode(query)}" if query else address


def row_pages(row: models.Model) -> Iterator[str]:
    for name in ("change", "delete", "history"):
        yield page(type(row), name, row.pk)


def children(row: models.Model, number: int) -> int:
    """Add up to ``number`` rows to each inline of the row's page; return the number of inlines."""
    inlines = admin.site.get_model_admin(type(row)).inlines
    for inline in inlines:
        child = inline.model
        if label(child) in FEW:
            key = reference(child, row)
            if not child._base_manager.filter(**{key: row}).exists():
                FEW[label(child)](row)
            continue
        values = SIBLINGS.get(label(child), LINKED.get(label(child), {}))
        FACTORIES[child].create_batch(number, **{**values, reference(child, row): row})
    return len(inlines)


def reference(child: type[models.Model], row: models.Model) -> str:
    """The name of the child's reference to the table of ``row``."""
    names = [f.name for f in child._meta.concrete_fields if f.related_model is type(row)]
    return names[0]


def load_page(client: Client, address: str) -> tuple[HttpResponse, list[str]]:
    """The response and the statements that it took."""
    with CaptureQueriesContext(connection) as captured:
        response = client.get(address)
    return response, [query["sql"] for query in captured.captured_queries]


def ciphertexts() -> set[str]:
    """The sealed values of all tables."""
    columns = " UNION ".join(
        f'SELECT "{column}" AS v FROM "{table}" WHERE "{column}" IS NOT NULL'
        for table, column in SEALED
    )
    return {row["v"] for row in execute(columns)}


def check_no_ciphertext(response: HttpResponse, statements: list[str]) -> None:
    """The page contains no sealed value, and its statements read none."""
    shown = text(response)
    assert not [value for value in ciphertexts() if value.split(".")[2] in shown]
    columns = {column for _table, column in SEALED}
    for sql in statements:
        selected = ONLY_THE_KEY.sub("", sql).partition(" WHERE ")[0]
        assert not [column for column in columns if f'"{column}"' in selected], sql


def queries(client: Client, address: str) -> list[str]:
    """The statements of a page, which must open and show no raw object and no ciphertext."""
    response, statements = load_page(client, address)
    assert response.status_code == 200, address
    assert b" object at 0x" not in response.content, "a value that is not meant for people"
    check_no_ciphertext(response, statements)
    return statements


@contextmanager
def unrendered() -> Iterator[None]:
    """Pages answer without HTML and sidebar, for tests of access, forms and what a form writes."""
    with (
        mock.patch.object(SimpleTemplateResponse, "rendered_content", ""),
        mock.patch.object(Site, "each_context", return_value={}),
    ):
        yield


def form_at(client: Client, address: str) -> dict[str, Any]:
    """``form_data`` of the page at the address."""
    with unrendered():
        return form_data(client.get(address))


def text(response: HttpResponse) -> str:
    return response.content.decode()


def form_data(response: HttpResponse) -> dict[str, Any]:
    """The data that a browser would send back from a page of admin, formsets included."""
    context = response.context_data
    forms = [context["adminform"].form]
    data: dict[str, Any] = {}
    for formset in (item.formset for item in context["inline_admin_formsets"]):
        forms += [formset.management_form, *formset.forms]
    for form in forms:
        for name, field in form.fields.items():
            bound = form[name]
            value = bound.value()
            if hasattr(field.widget, "decompress"):
                parts = field.widget.decompress(value)
                data |= {f"{bound.html_name}_{n}": p for n, p in enumerate(parts) if p is not None}
            elif value is True:
                data[bound.html_name] = "on"
            elif value is not None and value is not False:
                data[bound.html_name] = value
    return data
