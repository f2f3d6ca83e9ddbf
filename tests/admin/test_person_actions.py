"""Owners block and erase people on their pages, each behind a dialog."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.messages import get_messages
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone, translation
from django.utils.formats import date_format

from audit.models import AuditLogEntry
from crm.models import Lead, LeadIdentity
from ebalance.db.encryption.fields import Plaintext
from ebalance.privacy.admin import Erasure
from identity.errors import LastOwner
from identity.models import ErasureLedgerEntry, User
from tests.admin.support import page, text
from tests.booking.outbox_assertions import stored, writes_nothing
from tests.factories import (
    AppointmentFactory,
    DiaryEntryFactory,
    LeadFactory,
    LeadIdentityFactory,
    UserFactory,
)

pytestmark = pytest.mark.django_db

SENT = {"_form_submitted": "True"}  # distinguishes a sent dialog from an opened one
SURE = {**SENT, "_understood": "on"}


@pytest.fixture
def anna() -> User:
    return UserFactory()


def dialog(person: Any, service: str) -> str:
    return f"/admin/identity/user/{person.pk}/{service}/"


def messages_of(response: Any) -> str:
    return " ".join(str(message) for message in get_messages(response.wsgi_request))


def offered(client: Client, person: User) -> set[str]:
    shown = text(client.get(page(User, "change", person.pk)))
    return {
        service for service in ("block", "unblock", "erase") if dialog(person, service) in shown
    }


@pytest.mark.parametrize(
    ("state", "buttons"),
    [
        ("active", {"block", "erase"}),
        ("blocked", {"unblock", "erase"}),
        ("deleted", set()),
    ],
)
def test_page_offers_the_permitted_services(owner: Client, state: str, buttons: set[str]) -> None:
    person = UserFactory(**{} if state == "active" else {state: True})
    assert offered(owner, person) == buttons


def test_person_is_blocked_and_unblocked(owner: Client, anna: User) -> None:
    for service, after in (("block", "blocked"), ("unblock", "active")):
        answer = owner.post(dialog(anna, service), SENT)
        assert (answer.status_code, answer.url) == (302, page(User, "change", anna.pk))
        assert stored(anna)["status"] == after


def test_a_person_is_erased(owner: Client, anna: User) -> None:
    DiaryEntryFactory(user=anna)
    with writes_nothing():
        assert owner.get(dialog(anna, "erase")).status_code == 200
    answer = owner.post(dialog(anna, "erase"), SURE)
    assert (answer.status_code, answer.url) == (302, page(User, "change", anna.pk))
    assert stored(anna)["status"] == "deleted"
    assert ErasureLedgerEntry.objects.get().method == "admin"
    entry = AuditLogEntry.objects.get(action="user_erased")
    assert str(entry.actor_id) == owner.session["_auth_user_id"]
    assert entry.ip_address == "127.0.0.1"
    # The pages of an erased person and of the erasure remain visible.
    assert owner.get(page(User, "change", anna.pk)).status_code == 200
    assert str(anna.pk) in text(owner.get(page(ErasureLedgerEntry, "changelist")))


def test_message_links_the_leads_left_to_review(owner: Client, anna: User) -> None:
    lead, other = LeadFactory(), LeadFactory()
    for known in (lead, other):
        LeadIdentity.objects.create(lead=known, email_encrypted=Plaintext(anna.email))
    LeadIdentityFactory(lead=lead, by_phone=True)
    shown = text(owner.post(dialog(anna, "erase"), SURE, follow=True))
    assert f'<a class="text-link" href="{page(Lead, "change", lead.pk)}">{lead.pk}</a>' in shown
    assert str(other.pk) not in shown
    assert owner.get(page(Lead, "change", lead.pk)).status_code == 200


def test_erasure_needs_the_confirmation_box(owner: Client, anna: User) -> None:
    with writes_nothing():
        answer = owner.post(dialog(anna, "erase"), SENT)
    assert answer.status_code == 200
    assert stored(anna)["status"] == "active"


def test_upcoming_sessions_are_listed_and_canceled_only_on_request(
    owner: Client, anna: User
) -> None:
    row = AppointmentFactory(client=anna, confirmed=True)
    with translation.override("ru"):
        start = date_format(timezone.localtime(row.start_at_utc), "j E Y, H:i")
    assert start in text(owner.get(dialog(anna, "erase")))
    with writes_nothing():
        answer = owner.post(dialog(anna, "erase"), SURE)
    assert answer.status_code == 200
    assert start in text(answer)
    assert stored(anna)["status"] == "active"
    answer = owner.post(dialog(anna, "erase"), {**SURE, "force": "on"})
    assert answer.status_code == 302
    assert [stored(anna)["status"], stored(row)["status"]] == ["deleted", "canceled"]


def test_dialog_states_that_there_are_no_upcoming_sessions(owner: Client, anna: User) -> None:
    AppointmentFactory(client=anna, completed=True)
    with translation.override("ru"):
        nothing = str(Erasure.NOTHING_AHEAD)
    assert nothing in text(owner.get(dialog(anna, "erase")))


def test_last_owner_is_neither_blocked_nor_erased(owner: Client) -> None:
    person = User.objects.get(pk=owner.session["_auth_user_id"])
    with translation.override("ru"):
        sentence = LastOwner().sentence
    answer = owner.post(dialog(person, "block"), SENT)
    assert messages_of(answer) == sentence
    answer = owner.post(dialog(person, "erase"), SURE)
    assert sentence in text(answer)
    assert stored(person)["status"] == "active"
    assert not ErasureLedgerEntry.objects.exists()


def test_owner_who_erases_their_own_account_is_signed_out(
    owner: Client, as_role: Callable[[str], Client]
) -> None:
    as_role("owner")
    person = User.objects.get(pk=owner.session["_auth_user_id"])
    answer = owner.post(dialog(person, "erase"), SURE)
    assert answer.status_code == 302
    assert stored(person)["status"] == "deleted"
    assert ErasureLedgerEntry.objects.get().method == "self_service"
    log = AuditLogEntry.objects.filter(actor=person).exclude(ip_address=None, user_agent=None)
    assert not log.exists()
    assert owner.get("/admin/").url.startswith("/admin/login/")
    assert not [s for s in Session.objects.all() if str(person.pk) in str(s.get_decoded())]


def test_others_have_no_dialog(as_role: Callable[[str], Client], anna: User) -> None:
    clients = [as_role(role) for role in ("assistant", "editor", "client")]
    anonymous = Client()
    with writes_nothing():
        for service in ("block", "unblock", "erase"):
            for client in clients:
                assert client.get(dialog(anna, service)).status_code == 404, service
                answer = client.post(dialog(anna, service), {**SURE, "force": "on"})
                assert answer.status_code == 404, service
            assert anonymous.post(dialog(anna, service), SURE).status_code == 302, service
    assert stored(anna)["status"] == "active"


def test_dialog_of_a_missing_person_does_not_exist(owner: Client) -> None:
    with writes_nothing():
        for service in ("block", "unblock", "erase"):
            for key in (str(uuid4()), "nobody", "0"):
                address = f"/admin/identity/user/{key}/{service}/"
                assert owner.post(address, SURE).status_code == 404, address
                assert owner.get(address).status_code in (200, 404), address


def test_form_has_no_field_for_the_deletion(owner: Client, anna: User) -> None:
    form = owner.get(page(User, "change", anna.pk)).context_data["adminform"].form
    assert not {"status", "deleted_at"} & form.fields.keys()
