"""Owners withdraw consents in admin (access.md §1); no page edits a consent."""

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

SENT = {"_form_submitted": "True"}  # distinguishes a sent dialog from an opened one


def dialog(row: Consent) -> str:
    return f"/admin/identity/consent/{row.pk}/withdraw/"


def messages_of(response: Any) -> str:
    return " ".join(str(message) for message in get_messages(response.wsgi_request))


def active() -> set[Consent]:
    return {*Consent.objects.active()}


def test_owner_withdraws_a_consent(owner: Client) -> None:
    row, other = ConsentFactory(), ConsentFactory()
    assert dialog(row) in text(owner.get(page(Consent, "change", row.pk)))
    with nothing_written():  # opening it withdraws nothing
        assert owner.get(dialog(row)).status_code == 200
    answer = owner.post(dialog(row), SENT)
    assert (answer.status_code, answer.url) == (302, page(Consent, "change", row.pk))
    assert messages_of(answer)
    assert active() == {other}
    assert events(row) == ["consent_withdrawn"]
    assert not AnalyticsEvent.objects.exists()  # the tracking plan covers the site only


def test_withdrawal_covers_the_account_and_its_lead(owner: Client) -> None:
    user, lead = UserFactory(), LeadFactory()
    LeadIdentityFactory(registered=True, user=user, lead=lead)
    rows = [ConsentFactory(user=user), ConsentFactory(user=None, lead=lead)]
    other = ConsentFactory(user=user, consent_type="telegram")
    owner.post(dialog(rows[1]), SENT)
    assert active() == {other}


@pytest.mark.parametrize("subject", [{}, {"of_lead": True}], ids=["person", "lead"])
def test_dialog_in_a_page_reloads_the_page(owner: Client, subject: dict[str, Any]) -> None:
    row = ConsentFactory(**subject)
    answer = owner.post(dialog(row), SENT, headers={"HX-Request": "true"})
    assert answer.status_code == 200
    assert answer.headers["HX-Redirect"] == page(Consent, "change", row.pk)
    assert active() == set()


def test_consent_of_a_blocked_person_is_withdrawn(owner: Client) -> None:
    row = ConsentFactory(user=UserFactory(blocked=True))
    owner.post(dialog(row), SENT)
    assert active() == set()


@pytest.mark.parametrize("state", [{"refused": True}, {"revoked": True}], ids=str)
def test_inactive_consent_has_no_button(owner: Client, state: dict[str, Any]) -> None:
    row = ConsentFactory(**state)
    shown = owner.get(page(Consent, "change", row.pk))
    assert shown.status_code == 200
    assert dialog(row) not in text(shown)
    with nothing_written():
        assert owner.post(dialog(row), SENT).status_code == 302


def test_second_withdrawal_changes_nothing(owner: Client) -> None:
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


def test_anonymous_visitor_is_asked_to_sign_in(db: None) -> None:
    row = ConsentFactory()
    assert Client().post(dialog(row), SENT).status_code == 302
    assert active() == {row}


def test_post_without_the_csrf_token_withdraws_nothing(owner: Client) -> None:
    strict, row = Client(enforce_csrf_checks=True), ConsentFactory()
    strict.force_login(User.objects.get(pk=owner.session["_auth_user_id"]))
    assert strict.post(dialog(row), SENT).status_code == 403
    assert active() == {row}


def test_dialog_of_a_missing_consent_does_not_exist(owner: Client) -> None:
    for key in (uuid4(), "nothing", "../../x"):
        address = f"/admin/identity/consent/{key}/withdraw/"
        assert owner.post(address, SENT).status_code == 404, key


def test_form_has_no_field_of_a_consent(owner: Client) -> None:
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
