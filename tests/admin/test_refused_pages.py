"""The audit log records refused pages (access.md §3)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection, models
from django.test import Client
from django.urls import reverse

from audit.models import AuditLogEntry
from booking.models import Appointment, IntakeForm, Payment, Service
from booking.models import PaymentWebhookEvent as Delivery
from content.models import ContentItem
from identity.models import User
from tests.admin.support import page
from tests.databases import Database
from tests.factories import (
    AppointmentFactory,
    AuditLogEntryFactory,
    ContentItemFactory,
    ReviewFactory,
    ServiceFactory,
    UserFactory,
)
from tests.support import execute
from ugc.models import AnonymousQuestion, Review

ENTRIES = """
    SELECT actor_role, entity_type, entity_id, entity_key, old_value, new_value,
           host(ip_address) AS ip_address, user_agent
    FROM audit_log_entries WHERE action = 'access_refused' ORDER BY seq
"""
MISSING_KEY = uuid4()
AGENT = {"REMOTE_ADDR": "203.0.113.7", "headers": {"User-Agent": "Mozilla/5.0 (X11)"}}


def entries() -> list[dict[str, Any]]:
    return [{**row, "new_value": json.loads(row["new_value"])} for row in execute(ENTRIES)]


def entry(role: str, table: str, key: UUID | None, page: str, *, is_post: bool) -> dict[str, Any]:
    return {
        "actor_role": role,
        "entity_type": table,
        "entity_id": key,
        "entity_key": None,
        "old_value": None,
        "new_value": {"page": page, "is_post": is_post},
        "ip_address": "203.0.113.7",
        "user_agent": "Mozilla/5.0 (X11)",
    }


# role, address, is_post, table, whether the row is named, name of the page
DELIVERIES = "payment_webhook_events"
REFUSED: list[tuple[str, Callable[[], str], bool, str, bool, str]] = [
    ("editor", lambda: page(Appointment, "changelist"), False, "appointments", False, ""),
    ("editor", lambda: page(Appointment, "add"), False, "appointments", False, ""),
    ("editor", lambda: page(Appointment, "change", MISSING_KEY), False, "appointments", True, ""),
    ("editor", lambda: page(Appointment, "delete", MISSING_KEY), True, "appointments", True, ""),
    ("editor", lambda: page(Appointment, "history", MISSING_KEY), False, "appointments", True, ""),
    ("editor", lambda: page(ContentItem, "history", MISSING_KEY), False, "content_items", True,
     ""),
    ("editor", lambda: page(Appointment, "confirm", MISSING_KEY), True, "appointments", True, ""),
    ("editor", lambda: reverse("admin:ugc_review_reveal", args=[MISSING_KEY, "nothing"]), True,
     "reviews", True, ""),
    ("assistant", lambda: page(Delivery, "changelist"), False, DELIVERIES, False, ""),
    ("assistant", lambda: page(Delivery, "history", MISSING_KEY), False, DELIVERIES, True, ""),
    ("assistant", lambda: page(IntakeForm, "change", MISSING_KEY), False, "intake_forms", True,
     ""),
    ("assistant", lambda: page(Service, "add"), True, "services", False, ""),
    ("assistant", lambda: page(Review, "delete", MISSING_KEY), True, "reviews", True, ""),
    ("assistant", lambda: page(AnonymousQuestion, "answer", MISSING_KEY), True,
     "anonymous_questions", True, ""),
    ("assistant", lambda: reverse("admin:auth_user_password_change", args=[MISSING_KEY]), True,
     "users", True, ""),
    ("assistant", lambda: reverse("admin:identity_role_change", args=["owner"]), False,
     "roles", False, ""),
    ("owner", lambda: page(Payment, "add"), False, "payments", False, ""),
    ("owner", lambda: page(Payment, "delete", MISSING_KEY), True, "payments", True, ""),
    ("client", lambda: reverse("admin:index"), False, "admin_page", False, "index"),
    ("client", lambda: reverse("admin:jsi18n"), False, "admin_page", False, "jsi18n"),
    ("client", lambda: page(User, "changelist"), False, "users", False, ""),
    ("client", lambda: page(User, "change", MISSING_KEY), True, "users", True, ""),
    ("editor", lambda: reverse("admin:app_list", args=["booking"]), False, "admin_page", False,
     "app_list"),
    ("editor", lambda: reverse("admin:autocomplete") + "?app_label=booking&model_name=appointment"
     "&field_name=client&term=anna@example.org", False, "admin_page", False, "autocomplete"),
]  # fmt: skip


@pytest.mark.parametrize("role", ["editor", "assistant", "owner", "client"])
def test_refused_page_answers_404_and_is_in_the_audit_log(
    as_role: Callable[[str], Client], role: str
) -> None:
    client, expected = as_role(role), []
    for _role, address, is_post, table, is_named, name in REFUSED:
        if _role != role:
            continue
        answer = (client.post if is_post else client.get)(address(), **AGENT)
        assert answer.status_code == 404, address()
        key = MISSING_KEY if is_named else None
        name = name or answer.wsgi_request.resolver_match.url_name
        expected.append(entry(role, table, key, name, is_post=is_post))
    assert expected
    assert entries() == expected
    actors = AuditLogEntry.objects.filter(action="access_refused").values_list("actor", flat=True)
    assert {str(actor) for actor in actors} == {client.session["_auth_user_id"]}


def test_write_by_a_role_that_may_only_read_is_refused(as_role: Callable[[str], Client]) -> None:
    row, assistant = ServiceFactory(title="Прежнее"), as_role("assistant")
    assert assistant.get(page(Service, "change", row.pk), **AGENT).status_code == 200
    form = {"title": "Новое", "booking_service_publish": "1"}
    assert assistant.post(page(Service, "change", row.pk), form, **AGENT).status_code == 404
    assert entries() == [
        entry("assistant", "services", row.pk, "booking_service_change", is_post=True)
    ]
    row.refresh_from_db()
    assert (row.title, row.status) == ("Прежнее", "draft")


def test_entry_stores_only_the_page_and_the_row_of_the_address(
    as_role: Callable[[str], Client],
) -> None:
    editor = as_role("editor")
    for address in (
        page(Appointment, "changelist", q="zq@example.org", client__email="zq"),
        page(Appointment, "change", "zq@example.org"),
        page(Appointment, "change", "zq" * 100),
        page(User, "change", "+79165551234", next="zq"),
        "/admin/audit/systemsetting/zq/change/",
    ):
        assert editor.get(address).status_code == 404
    assert editor.post(page(User, "add"), {"email": "zq@example.org"}).status_code == 404
    rows = execute("SELECT to_jsonb(e)::text AS all FROM audit_log_entries e")
    assert len(entries()) == 6
    assert not [row for row in rows if "zq" in row["all"] or "79165551234" in row["all"]]


def test_key_is_recognised_in_every_spelling(as_role: Callable[[str], Client]) -> None:
    row = AppointmentFactory()
    for typed in (row.pk, str(row.pk).upper(), row.pk.hex, f"{{{row.pk}}}"):
        assert as_role("editor").get(page(Appointment, "change", typed)).status_code == 404
    assert {row_entry["entity_id"] for row_entry in entries()} == {row.pk}


# -- answers that are no refusals ---------------------------------------------------------------


@pytest.mark.parametrize("role", ["owner", "assistant", "editor", "client"])
def test_missing_page_is_no_refusal(as_role: Callable[[str], Client], role: str) -> None:
    client = as_role(role)
    addresses = ["/admin/nothing/at/all/", "/admin/ugc/diaryentry/", "/admin/booking/nothing/"]
    if role != "client":
        addresses += [
            page(ContentItem, "change", uuid4()),
            page(ContentItem, "change", "nothing"),
            reverse("admin:autocomplete") + "?app_label=x&model_name=y&field_name=z",
            reverse("admin:autocomplete"),
        ]
    for address in addresses:
        assert client.get(address).status_code in (302, 404), address
    assert entries() == []


@pytest.mark.django_db
def test_anonymous_visitor_is_asked_to_sign_in_without_an_entry() -> None:
    row = AppointmentFactory()
    for address in (reverse("admin:index"), page(Appointment, "change", row.pk)):
        assert Client().get(address).status_code == 302
        assert Client().post(address).status_code == 302
    blocked = Client()
    who = UserFactory(role="editor")
    blocked.force_login(who)
    User.objects.filter(pk=who.pk).update(status="blocked")
    assert blocked.get(page(Appointment, "change", row.pk)).status_code == 302
    assert entries() == []


def test_permitted_page_writes_no_entry(as_role: Callable[[str], Client]) -> None:
    row, item = AppointmentFactory(), ContentItemFactory()
    assistant, editor = as_role("assistant"), as_role("editor")
    for client, address in (
        (assistant, page(Appointment, "changelist")),
        (assistant, page(Appointment, "change", row.pk)),
        (assistant, page(Appointment, "history", row.pk)),
        (assistant, page(ContentItem, "change", item.pk)),
        (editor, page(ContentItem, "change", item.pk)),
        (editor, reverse("admin:app_list", args=["content"])),
    ):
        assert client.get(address).status_code == 200, address
    assert entries() == []


# -- rows that a role does not see ------------------------------------------------------------


@pytest.mark.parametrize("name", ["change", "history"])
def test_hidden_row_looks_missing_and_is_recorded(
    as_role: Callable[[str], Client], name: str
) -> None:
    """An assistant reads only their own entries of the log."""
    assistant, other = as_role("assistant"), AuditLogEntryFactory()
    hidden = assistant.get(page(AuditLogEntry, name, other.pk), **AGENT)
    missing = assistant.get(page(AuditLogEntry, name, MISSING_KEY), **AGENT)
    assert (
        (hidden.status_code, hidden.url) == (missing.status_code, missing.url) == (302, "/admin/")
    )
    assert entries() == [
        entry(
            "assistant",
            "audit_log_entries",
            other.pk,
            f"audit_auditlogentry_{name}",
            is_post=False,
        )
    ]


def test_forbidden_and_missing_rows_get_the_same_answer(
    as_role: Callable[[str], Client],
) -> None:
    assistant = as_role("assistant")
    for name in ("change", "delete", "history"):
        for key in (UserFactory().pk, uuid4()):
            assert assistant.get(page(User, name, key)).status_code == 404


# -- actions ------------------------------------------------------------------------------------


def select(client: Client, name: str, row: models.Model) -> int:
    form = {"action": name, "_selected_action": [row.pk], "index": 0}
    return client.post(page(type(row), "changelist"), form, **AGENT).status_code


def test_action_of_another_role_is_refused_and_recorded(
    as_role: Callable[[str], Client],
) -> None:
    assistant, review, service = as_role("assistant"), ReviewFactory(), ServiceFactory()
    assert select(assistant, "delete_selected", review) == 404
    assert select(assistant, "delete_selected", service) == 404
    assert entries() == [
        entry("assistant", table, None, name, is_post=True)
        for table, name in (
            ("reviews", "ugc_review_changelist"),
            ("services", "booking_service_changelist"),
        )
    ]
    assert Review.objects.filter(pk=review.pk).exists()


def test_unknown_action_is_no_refusal(as_role: Callable[[str], Client]) -> None:
    assistant, review = as_role("assistant"), ReviewFactory()
    for name in ("nothing", "", "delete_everything"):
        assert select(assistant, name, review) == 200, name
    assert select(as_role("owner"), "delete_selected", review) == 200
    assert entries() == []


# -- committed --------------------------------------------------------------------------------


def test_entry_is_committed_and_the_writes_of_the_page_are_not(
    committed: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refusal rolls back the transaction of a page of a row."""
    client, row = Client(), ServiceFactory(status="draft")
    client.force_login(UserFactory(role="assistant"))

    def deny_after_a_write(self: Any, request: Any, obj: Any = None) -> bool:
        if connection.in_atomic_block:
            Service.objects.filter(pk=row.pk).update(title="Чужое")
        return False

    monkeypatch.setattr("booking.admin.ServiceAdmin.has_change_permission", deny_after_a_write)
    assert client.post(page(Service, "change", row.pk), **AGENT).status_code == 404
    with committed.connect() as other:
        titles = other.execute("SELECT title FROM services").fetchall()
        stored = other.execute(
            "SELECT actor_user_id IS NOT NULL, entity_type, entity_id FROM audit_log_entries "
            "WHERE action = 'access_refused'"
        ).fetchall()
    assert titles == [(row.title,)]
    assert stored == [(True, "services", row.pk)]
