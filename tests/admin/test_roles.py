"""The pages that each role reaches: the table of access.md §1, by database table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext

import pytest
from django.contrib import admin
from django.db import models
from django.test import Client
from django.urls import reverse

from content.models import ContentItem
from identity.models import User
from tests.admin.support import (
    ADD_ONLY,
    LINKED,
    MODELS,
    NEEDS_SEALING,
    READ_ONLY,
    children,
    form_at,
    label,
    page,
    rows,
    text,
    unrendered,
)
from tests.advice import advises, file_of, of_test
from tests.factories import FACTORIES, AuditLogEntryFactory, ContentItemFactory, UserFactory

# (assistant, editor); the owner has full access. F full, R read, A all but delete, - nothing.
ACCESS = {
    "audit.AuditCheckpoint": "--",
    "audit.AuditLogEntry": "R-",
    "audit.MessageTemplate": "R-",
    "audit.MessageTemplateVersion": "R-",
    "audit.OutboxEvent": "--",
    "audit.KeyRotation": "--",
    "audit.Lease": "--",
    "audit.Lock": "--",
    "audit.SystemSetting": "--",
    "booking.Appointment": "F-",
    "booking.AvailabilitySlot": "F-",
    "booking.IntakeForm": "--",
    "booking.Payment": "R-",
    "booking.PaymentWebhookEvent": "--",
    "booking.Refund": "R-",
    "booking.ScheduleException": "F-",
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
    "identity.ErasureRequest": "--",
    "identity.Role": "--",
    "identity.User": "--",
    "identity.UserRole": "--",
    "interactive.InteractiveDefinition": "RF",
    "interactive.InteractiveRun": "RF",
    "interactive.InteractiveRunTotal": "RF",
    "interactive.InteractiveVersion": "RF",
    "ugc.AnonymousQuestion": "A-",
    "ugc.ModerationAction": "A-",
    "ugc.ModerationTotal": "A-",
    "ugc.QuestionAnswer": "R-",
    "ugc.Review": "A-",
    "ugc.ReviewPublicationConsent": "R-",
}
STAFF = ["owner", "assistant", "editor"]
every_model = pytest.mark.parametrize("model", MODELS, ids=label)


def granted(model: type[models.Model], role: str) -> str:
    """F, R, A or -, as the role and the table allow."""
    if role == "client":
        return "-"
    return "F" if role == "owner" else ACCESS[label(model)][STAFF.index(role) - 1]


def may(model: type[models.Model], role: str, action: str) -> bool:
    access = granted(model, role)
    if action == "view":
        return access != "-"
    if label(model) in READ_ONLY or (label(model) in ADD_ONLY and action != "add"):
        return False
    if action == "add" and label(model) in NEEDS_SEALING:
        return False
    if action == "delete" and model is User:
        return False  # people are erased
    return access == "F" or (access == "A" and action != "delete")


@advises
def test_every_model_is_in_the_table_of_access() -> Iterator[str]:
    advise = of_test(may, "ACCESS")
    for model in MODELS:
        if label(model) not in ACCESS:
            yield advise(f'give "{label(model)}" a line in', f"a model of {file_of(model)}")
    for name in ACCESS.keys() - {label(model) for model in MODELS}:
        yield advise(f'remove "{name}" from', "there is no such page")


def row_for(client: Client, model: type[models.Model]) -> models.Model:
    """A row that the person at this browser may see if the role sees rows of the table."""
    if label(model) == "audit.AuditLogEntry":
        return AuditLogEntryFactory(actor_id=client.session["_auth_user_id"])
    return rows(model, 1)[0]


@every_model
def test_page_opens_for_the_roles_of_the_table_only(
    as_role: Callable[[str], Client], model: type[models.Model]
) -> None:
    wrong: dict[str, int] = {}
    row = None
    for role in [*STAFF, "client"]:
        client = as_role(role)
        if row is None or label(model) == "audit.AuditLogEntry":
            row = row_for(client, model)
            children(row, 1)
        for name, action in (
            ("changelist", "view"),
            ("change", "view"),
            ("add", "add"),
            ("delete", "delete"),
        ):
            address = page(model, name, *([row.pk] if name in ("change", "delete") else []))
            opens = may(model, role, action)
            if not (opens and role == "owner"):  # those are opened in test_pages.py
                # A test below renders the editor's pages.
                with nullcontext() if (role, action) == ("assistant", "view") else unrendered():
                    status = client.get(address).status_code
                if status != (200 if opens else 404):
                    wrong[f"{role}: {name}"] = status
            write = "change" if name == "change" else action
            # A form without its fields is never saved: only the permission to post is tested.
            if write == "view" or may(model, role, write):
                continue
            if (status := client.post(address, {"post": "yes"}).status_code) != 404:
                wrong[f"{role}: POST {name}"] = status
        assert type(row)._base_manager.filter(pk=row.pk).exists()
    file = f"{file_of(type(admin.site.get_model_admin(model)))} or {of_test(may, 'ACCESS').file}"
    assert wrong == {}, f"{file}: the pages and the table of access differ for {label(model)}"


def test_blocked_person_is_sent_to_the_login(as_role: Callable[[str], Client]) -> None:
    as_role("owner")  # so that ``person`` is not the last owner
    person = UserFactory(role="owner")
    blocked = Client()
    blocked.force_login(person)
    row = ContentItemFactory()
    addresses = [
        reverse("admin:index"),
        page(ContentItem, "add"),
        page(ContentItem, "change", row.pk),
        *(page(model, "changelist") for model in MODELS),
    ]
    assert blocked.get(addresses[0]).status_code == 200
    person.status = "blocked"
    person.save()
    login = reverse("admin:login")
    answers = {address: blocked.get(address) for address in addresses}
    assert {
        address
        for address, answer in answers.items()
        if answer.status_code != 302 or not answer.url.startswith(login)
    } == set()


@pytest.mark.django_db
def test_anonymous_visitor_does_not_learn_which_pages_exist() -> None:
    for address in ("/admin/identity/user/", "/admin/ugc/diaryentry/", "/admin/nothing/at/all/"):
        assert Client().get(address).url == f"/admin/login/?next={address}"


@pytest.mark.django_db
def test_login_redirects_to_the_start_page() -> None:
    person = UserFactory(role="owner")
    person.set_password("длинный пароль 1")
    person.save()
    form = {"username": person.email.upper(), "password": "длинный пароль 1"}
    answer = Client().post(reverse("admin:login"), form)
    assert (answer.status_code, answer.url) == (302, reverse("admin:index"))


@pytest.mark.parametrize("role", STAFF)
def test_start_page_links_what_the_role_may_open(
    as_role: Callable[[str], Client], role: str
) -> None:
    client = as_role(role)
    shown = text(client.get(reverse("admin:index")))
    links = {model: f'href="{page(model, "changelist")}"' for model in MODELS}
    assert [m for m, link in links.items() if (link in shown) != may(m, role, "view")] == []
    assert "diary" not in shown.lower()
    for address in ("/admin/ugc/diaryentry/", "/admin/ugc/diaryentry/add/"):
        assert client.get(address).status_code == 404


def test_assistant_reads_their_own_entries_of_the_audit_log(
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
def test_editor_sees_no_names(as_role: Callable[[str], Client], model: type[models.Model]) -> None:
    person = UserFactory(display_name="Маргарита Невидимова", email="margarita@example.org")
    people = [f.name for f in model._meta.concrete_fields if f.related_model is User]
    row = FACTORIES[model](**{**LINKED.get(label(model), {}), **dict.fromkeys(people, person)})
    owner, editor = as_role("owner"), as_role("editor")
    pages = [page(model, "changelist"), page(model, "change", row.pk)]
    for address in [*pages, page(model, "changelist", q=person.email)]:
        shown = text(editor.get(address))
        assert person.display_name not in shown, address
        assert person.email not in shown.replace(f'value="{person.email}"', ""), address
    seen = "".join(text(owner.get(address)) for address in pages)
    assert (person.display_name in seen) == bool(people), "the owner does see it"
    assert editor.get(page(model, "history", row.pk)).status_code == 404


def test_editor_is_the_author_of_a_new_item(as_role: Callable[[str], Client]) -> None:
    editor = as_role("editor")
    form = form_at(editor, page(ContentItem, "add"))
    form |= {"content_type": "article", "slug": "novoe", "title": "Новое", "body_markdown": "Текст"}
    assert editor.post(page(ContentItem, "add"), form).status_code == 302
    assert str(ContentItem.objects.get().author_id) == editor.session["_auth_user_id"]
