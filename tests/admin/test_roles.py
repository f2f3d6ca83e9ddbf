"""Which role reaches which page: the table of access.md §1, written out by table."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import models
from django.test import Client
from django.urls import reverse

from content.models import ContentItem
from ebalance.admin.navigation import GROUPS
from identity.models import User
from tests.admin.support import (
    ADD_ONLY,
    LINKED,
    MODELS,
    NEEDS_SEALING,
    PROJECT_MODELS,
    READ_ONLY,
    children,
    form_data,
    label,
    page,
    rows,
    text,
)
from tests.factories import FACTORIES, AuditLogEntryFactory, UserFactory

# (assistant, editor); the owner has all of it. F full, R read, A all but delete, - nothing.
ACCESS = {
    "audit.AuditCheckpoint": "--",
    "audit.AuditLogEntry": "R-",
    "audit.MessageTemplate": "F-",
    "audit.MessageTemplateVersion": "F-",
    "audit.OutboxEvent": "--",
    "audit.KeyRotation": "--",
    "audit.SystemSetting": "--",
    "booking.Appointment": "F-",
    "booking.AvailabilitySlot": "F-",
    "booking.IntakeForm": "--",
    "booking.Payment": "--",
    "booking.PaymentWebhookEvent": "--",
    "booking.ScheduleRule": "F-",
    "booking.Service": "R-",
    "booking.WaitlistRequest": "F-",
    "content.ContentItem": "RF",
    "content.ContentItemTag": "RF",
    "content.ContentItemTopic": "RF",
    "content.ContentMedia": "RF",
    "content.ContentRevision": "RF",
    "content.CuratedCollection": "RF",
    "content.CuratedItem": "RF",
    "content.GlossaryTerm": "RF",
    "content.GlossaryTermLink": "RF",
    "content.GlossaryTermSynonym": "RF",
    "content.MediaAsset": "RF",
    "content.Tag": "RF",
    "content.Topic": "RF",
    "crm.AnalyticsEvent": "--",
    "crm.DeepLink": "--",
    "crm.Lead": "F-",
    "crm.LeadIdentity": "F-",
    "crm.LeadNote": "F-",
    "crm.LeadTimelineEvent": "F-",
    "crm.TrackingEvent": "--",
    "crm.TrackingEventParam": "--",
    "identity.Consent": "--",
    "identity.DataExportRequest": "--",
    "identity.ErasureLedgerEntry": "--",
    "identity.Role": "--",
    "identity.User": "--",
    "identity.UserRole": "--",
    "interactive.InteractiveDefinition": "RF",
    "interactive.InteractiveRun": "RF",
    "interactive.InteractiveRunTotal": "RF",
    "interactive.InteractiveVersion": "RF",
    "ugc.AnonymousQuestion": "A-",
    "ugc.ModerationAction": "A-",
    "ugc.QuestionAnswer": "R-",
    "ugc.Review": "A-",
    "ugc.ReviewPublicationConsent": "R-",
}
STAFF = ["owner", "assistant", "editor"]
every_model = pytest.mark.parametrize("model", MODELS, ids=label)


def granted(model: type[models.Model], role: str) -> str:
    """F, R, A or -, as the role and the table allow."""
    return "F" if role == "owner" else ACCESS[label(model)][STAFF.index(role) - 1]


def may(model: type[models.Model], role: str, action: str) -> bool:
    access = granted(model, role)
    if action == "view":
        return access != "-"
    if label(model) in READ_ONLY or (label(model) in ADD_ONLY and action != "add"):
        return False
    if action == "add" and label(model) in NEEDS_SEALING:
        return False
    return access == "F" or (access == "A" and action != "delete")


def test_the_table_names_every_model() -> None:
    assert set(ACCESS) == {label(model) for model in MODELS}


@pytest.mark.parametrize("role", STAFF)
@every_model
def test_a_page_is_there_or_does_not_exist(
    as_role: Callable[[str], Client], model: type[models.Model], role: str
) -> None:
    client = as_role(role)
    if label(model) == "audit.AuditLogEntry":
        row = AuditLogEntryFactory(actor_id=client.session["_auth_user_id"])
    else:
        row = rows(model, 1)[0]
    children(row, 2)
    pages = {
        page(model, "changelist"): "view",
        page(model, "change", row.pk): "view",
        page(model, "add"): "add",
        page(model, "delete", row.pk): "delete",
    }
    for address, action in pages.items():
        expected = 200 if may(model, role, action) else 404
        assert client.get(address).status_code == expected, address
    for address, action in {
        page(model, "add"): "add",
        page(model, "change", row.pk): "change",
        page(model, "delete", row.pk): "delete",
    }.items():
        # A form without its fields is never saved; here only whether it is taken at all.
        refused = not may(model, role, action)
        if refused:
            assert client.post(address, {"post": "yes"}).status_code == 404, address
    assert type(row)._base_manager.filter(pk=row.pk).exists()


@every_model
def test_a_client_and_the_blocked_reach_nothing(
    as_role: Callable[[str], Client], model: type[models.Model]
) -> None:
    row = rows(model, 1)[0]
    addresses = [
        reverse("admin:index"),
        page(model, "changelist"),
        page(model, "add"),
        page(model, "change", row.pk),
    ]
    client = as_role("client")
    assert {client.get(address).status_code for address in addresses} == {404}
    as_role("owner")  # so that the one below is not the last
    blocked = Client()
    person = UserFactory(role="owner")
    blocked.force_login(person)
    assert blocked.get(addresses[0]).status_code == 200
    person.status = "blocked"
    person.save()
    for address in addresses:
        answer = blocked.get(address)
        assert answer.status_code == 302, address
        assert answer.url.startswith(reverse("admin:login"))


@pytest.mark.django_db
def test_a_stranger_does_not_learn_which_pages_exist() -> None:
    for address in ("/admin/identity/user/", "/admin/ugc/diaryentry/", "/admin/nothing/at/all/"):
        assert Client().get(address).url == f"/admin/login/?next={address}"


@pytest.mark.django_db
def test_signing_in_leads_to_the_start_page() -> None:
    person = UserFactory(role="owner")
    person.set_password("длинный пароль 1")
    person.save()
    form = {"username": person.email.upper(), "password": "длинный пароль 1"}
    answer = Client().post(reverse("admin:login"), form)
    assert (answer.status_code, answer.url) == (302, reverse("admin:index"))


@pytest.mark.parametrize("role", STAFF)
def test_diaries_have_no_address(as_role: Callable[[str], Client], role: str) -> None:
    client = as_role(role)
    for address in ("/admin/ugc/diaryentry/", "/admin/ugc/diaryentry/add/"):
        assert client.get(address).status_code == 404
    assert "diary" not in text(client.get(reverse("admin:index"))).lower()


@pytest.mark.parametrize("role", STAFF)
def test_the_sidebar_shows_what_the_role_may_open(
    as_role: Callable[[str], Client], role: str
) -> None:
    shown = text(as_role(role).get(reverse("admin:index")))
    for _title, _folded, entries in GROUPS:
        for name, _icon in entries:
            model = next(m for m in PROJECT_MODELS if label(m) == name)
            link = f'href="{page(model, "changelist")}"'
            assert (link in shown) == may(model, role, "view"), name


def test_an_assistant_reads_the_own_entries_of_the_audit_log(
    as_role: Callable[[str], Client],
) -> None:
    client = as_role("assistant")
    own = AuditLogEntryFactory(actor_id=client.session["_auth_user_id"])
    other = AuditLogEntryFactory()
    listed = client.get(page(type(own), "changelist")).context_data["cl"].result_list
    assert own.pk in {row.pk for row in listed}
    assert {str(row.actor_id) for row in listed} == {own.actor_id}  # the login too
    assert client.get(page(type(own), "change", own.pk)).status_code == 200
    assert client.get(page(type(own), "change", other.pk)).status_code != 200


@pytest.mark.parametrize("model", [m for m in MODELS if ACCESS[label(m)][1] != "-"], ids=label)
def test_an_editor_sees_nobodys_name(
    as_role: Callable[[str], Client], model: type[models.Model]
) -> None:
    person = UserFactory(display_name="Маргарита Невидимова", email="margarita@example.org")
    people = [f.name for f in model._meta.concrete_fields if f.related_model is User]
    row = FACTORIES[model](**{**LINKED.get(label(model), {}), **dict.fromkeys(people, person)})
    owner, editor = as_role("owner"), as_role("editor")
    seen = ""
    for address in (
        page(model, "changelist"),
        page(model, "change", row.pk),
        page(model, "changelist", q=person.email),
    ):
        shown = text(editor.get(address))
        assert person.display_name not in shown, address
        assert person.email not in shown.replace(f'value="{person.email}"', ""), address
        seen += text(owner.get(address))
    assert (person.display_name in seen) == bool(people), "the owner does see it"
    assert editor.get(page(model, "history", row.pk)).status_code == 404


def test_an_editor_writes_under_the_own_name(as_role: Callable[[str], Client]) -> None:
    editor = as_role("editor")
    form = form_data(editor.get(page(ContentItem, "add")))
    form |= {"content_type": "article", "slug": "novoe", "title": "Новое", "body_markdown": "Текст"}
    assert editor.post(page(ContentItem, "add"), form).status_code == 302
    assert str(ContentItem.objects.get().author_id) == editor.session["_auth_user_id"]
