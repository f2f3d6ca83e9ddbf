"""Withdrawing a consent in admin, for the owner (access.md §1); a consent is never edited there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.messages import get_messages
from django.test import Client

from crm.models import AnalyticsEvent
from identity.models import Consent, User
from tests.admin.support import page, text
from tests.factories import ConsentFactory, LeadFactory, LeadIdentityFactory, UserFactory
from tests.services import events, nothing_written

SENT = {"_form_submitted": "True"}  # what tells a sent dialog from an opened one


def dialog(row: Consent) -> str:
    return f"/admin/identity/consent/{row.pk}/withdraw/"


def said(response: Any) -> str:
    return " ".join(str(message) for message in get_messages(response.wsgi_request))


def active() -> set[Consent]:
    return {*Consent.objects.active()}


def test_the_owner_withdraws_a_consent(owner: Client) -> None:
    row, other = ConsentFactory(), ConsentFactory()
    assert dialog(row) in text(owner.get(page(Consent, "change", row.pk)))
    with nothing_written():  # opening it withdraws nothing
        assert owner.get(dialog(row)).status_code == 200
    answer = owner.post(dialog(row), SENT)
    assert (answer.status_code, answer.url) == (302, page(Consent, "change", row.pk))
    assert said(answer)
    assert active() == {other}
    assert events(row) == ["consent_withdrawn"]
    assert not AnalyticsEvent.objects.exists()  # the tracking plan knows of the site only


def test_it_is_withdrawn_whatever_the_person_is_known_as(owner: Client) -> None:
    user, lead = UserFactory(), LeadFactory()
    LeadIdentityFactory(registered=True, user=user, lead=lead)
    rows = [ConsentFactory(user=user), ConsentFactory(user=None, lead=lead)]
    other = ConsentFactory(user=user, consent_type="telegram")
    owner.post(dialog(rows[1]), SENT)
    assert active() == {other}


@pytest.mark.parametrize("whose", [{}, {"of_lead": True}], ids=["person", "lead"])
def test_a_dialog_in_a_page_reloads_the_page(owner: Client, whose: dict[str, Any]) -> None:
    row = ConsentFactory(**whose)
    answer = owner.post(dialog(row), SENT, headers={"HX-Request": "true"})
    assert answer.status_code == 200
    assert answer.headers["HX-Redirect"] == page(Consent, "change", row.pk)
    assert active() == set()


def test_a_consent_of_who_is_blocked_is_withdrawn(owner: Client) -> None:
    row = ConsentFactory(user=UserFactory(blocked=True))
    owner.post(dialog(row), SENT)
    assert active() == set()


@pytest.mark.parametrize("state", [{"refused": True}, {"revoked": True}], ids=str)
def test_there_is_no_button_where_nothing_is_active(owner: Client, state: dict[str, Any]) -> None:
    row = ConsentFactory(**state)
    shown = owner.get(page(Consent, "change", row.pk))
    assert shown.status_code == 200
    assert dialog(row) not in text(shown)
    with nothing_written():
        assert owner.post(dialog(row), SENT).status_code == 302


def test_withdrawn_twice_is_withdrawn_once(owner: Client) -> None:
    row = ConsentFactory()
    owner.post(dialog(row), SENT)
    with nothing_written():
        assert owner.post(dialog(row), SENT).status_code == 302
    assert events(row) == ["consent_withdrawn"]


def test_others_have_no_dialog(as_role: Callable[..., Client]) -> None:
    row = ConsentFactory()
    for role in ("assistant", "editor", "client"):
        client = as_role(role)
        assert client.get(page(Consent, "change", row.pk)).status_code in (302, 404), role
        assert client.get(dialog(row)).status_code == 404, role
        assert client.post(dialog(row), SENT).status_code == 404, role
    assert active() == {row}


def test_who_is_not_signed_in_is_asked_to(db: None) -> None:
    row = ConsentFactory()
    assert Client().post(dialog(row), SENT).status_code == 302
    assert active() == {row}


def test_without_the_token_of_the_page_nothing_is_withdrawn(owner: Client) -> None:
    strict, row = Client(enforce_csrf_checks=True), ConsentFactory()
    strict.force_login(User.objects.get(pk=owner.session["_auth_user_id"]))
    assert strict.post(dialog(row), SENT).status_code == 403
    assert active() == {row}


def test_dialog_of_a_missing_consent_does_not_exist(owner: Client) -> None:
    for key in (uuid4(), "nothing", "../../x"):
        address = f"/admin/identity/consent/{key}/withdraw/"
        assert owner.post(address, SENT).status_code == 404, key


def test_nothing_of_a_consent_is_typed_in(owner: Client) -> None:
    row = ConsentFactory()
    shown = owner.get(page(Consent, "change", row.pk))
    assert list(shown.context_data["adminform"].form.fields) == []
    typed = {"version": "2030-01-01", "granted": "", "revoked_at_0": "2030-01-01"}
    for address in (page(Consent, "change", row.pk), page(Consent, "delete", row.pk)):
        assert owner.post(address, {**typed, "post": "yes"}).status_code in (302, 403, 404)
    assert owner.post(page(Consent, "add"), typed).status_code in (302, 403, 404)
    before = row.version, row.granted, None
    row.refresh_from_db()
    assert (row.version, row.granted, row.revoked_at) == before
    assert Consent.objects.count() == 1
