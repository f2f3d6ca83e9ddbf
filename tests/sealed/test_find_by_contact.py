"""Leads and requests are found by a contact in any spelling, through an index, during rotation."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings
from django.test import override_settings

from booking.models import WaitlistRequest
from crm.models import Lead, LeadIdentity
from ebalance.db.contacts import ContactInvalid
from ebalance.db.sealed import Plaintext
from tests.factories import LeadFactory, ServiceFactory, UserFactory, WaitlistRequestFactory
from tests.sealed.support import EMAIL, PHONE, identity, rotated, sent, shown
from tests.support import execute

pytestmark = pytest.mark.django_db

SPELLINGS = {
    "email": [EMAIL, " Anna@Example.COM.", "ａｎｎａ@example.com"],
    "phone": [PHONE, "8 (999) 123-45-67", "00 7 999 123 45 67"],
    "telegram": ["79991234567", " 79991234567\n"],
}
each_spelling = pytest.mark.parametrize(
    ("channel", "text"), [(name, text) for name, found in SPELLINGS.items() for text in found]
)
BOTH = pytest.mark.parametrize("model", [Lead, WaitlistRequest])


def request(channel: str, text: str) -> WaitlistRequest:
    return WaitlistRequestFactory(
        preferred_contact=channel, contact_value_encrypted=Plaintext(text)
    )


@each_spelling
def test_a_lead_is_found_once_however_often_it_is_known(channel: str, text: str) -> None:
    row = identity()
    LeadIdentity.objects.create(lead=row.lead, telegram_user_id="79991234567")
    stranger = identity(email_encrypted="petr@example.com", phone_encrypted="+79990000000")
    other = LeadIdentity.objects.create(
        lead=LeadFactory(),
        telegram_user_id="79991234567",
        email_encrypted=Plaintext(EMAIL),
        phone_encrypted=Plaintext(PHONE),
    )
    found = Lead.objects.find_by_contact(**{channel: text})
    assert set(found) == {row.lead, other.lead}
    assert len(found) == 2
    assert stranger.lead not in found
    # It is a queryset like any other.
    assert found.filter(pk=row.lead.pk).update(status="engaged") == 1


@each_spelling
def test_a_request_is_found_by_its_contact(channel: str, text: str) -> None:
    rows = {name: request(name, found[0]) for name, found in SPELLINGS.items()}
    assert list(WaitlistRequest.objects.find_by_contact(**{channel: text})) == [rows[channel]]
    service = rows[channel].service
    assert list(service.waitlist_requests.find_by_contact(**{channel: text})) == [rows[channel]]


def test_by_a_telegram_name_requests_are_found_and_no_lead() -> None:
    row = request("telegram", "@Anna_P")
    LeadIdentity.objects.create(lead=LeadFactory(), telegram_user_id="79991234567")
    assert WaitlistRequest.objects.find_by_contact(telegram="t.me/anna_p").get() == row
    assert not Lead.objects.find_by_contact(telegram="@anna_p")


@BOTH
@pytest.mark.parametrize(
    "given", [{}, {"email": None}, {"email": EMAIL, "phone": PHONE}, dict.fromkeys(SPELLINGS, "1")]
)
def test_exactly_one_contact_is_given(model: Any, given: dict[str, Any]) -> None:
    with sent() as found, pytest.raises(TypeError, match="only one") as caught:
        model.objects.find_by_contact(**given)
    assert not found.statements
    assert EMAIL not in shown(caught.value, ours=True)
    with pytest.raises(TypeError):
        model.objects.find_by_contact(EMAIL)
    with pytest.raises(TypeError):
        model.objects.find_by_contact(pigeon="1")


@BOTH
@pytest.mark.parametrize("channel", SPELLINGS)
@pytest.mark.parametrize("text", ["", " ", "это не контакт", "1; DROP TABLE leads", "x" * 5000, 5])
def test_rubbish_is_no_contact(model: Any, channel: str, text: Any) -> None:
    with sent() as found, pytest.raises(ContactInvalid) as caught:
        model.objects.find_by_contact(**{channel: text})
    assert not found.statements
    assert len(str(text)) < 3 or str(text) not in shown(caught.value, ours=True)


def test_both_are_found_half_way_through_a_rotation() -> None:
    old, waiting = identity(), request("phone", PHONE)
    ring = rotated(settings.BLIND_INDEX_KEYS)
    with override_settings(BLIND_INDEX_KEYS=ring):
        new, waits_too = identity(), request("phone", PHONE)
        for given in ({"email": EMAIL}, {"phone": PHONE}):
            assert set(Lead.objects.find_by_contact(**given)) == {old.lead, new.lead}
        found = WaitlistRequest.objects.find_by_contact(phone=PHONE)
        assert set(found) == {waiting, waits_too}
    # Once the old key is gone from the ring, what is under it is not found.
    with override_settings(BLIND_INDEX_KEYS=type(ring)([ring.primary])):
        assert list(Lead.objects.find_by_contact(email=EMAIL)) == [new.lead]
        assert list(WaitlistRequest.objects.find_by_contact(phone=PHONE)) == [waits_too]


INDEXES = [
    (Lead, "email", "lead_identities_by_email"),
    (Lead, "phone", "lead_identities_by_phone"),
    (Lead, "telegram", "lead_identities_by_telegram"),
    (WaitlistRequest, "email", "waitlist_requests_by_contact"),
    (WaitlistRequest, "phone", "waitlist_requests_by_contact"),
    (WaitlistRequest, "telegram", "waitlist_requests_by_contact"),
]


@pytest.fixture
def crowd() -> None:
    """Others, so many that an index is the cheapest way, and statistics which know of them.

    Without these the plan depends on whether autovacuum has seen the tables empty.
    """
    numbers = [f"7999{number:07}" for number in range(600)]
    leads = Lead.objects.bulk_create(LeadFactory.build_batch(len(numbers)))
    LeadIdentity.objects.bulk_create(
        LeadIdentity(
            lead=lead,
            telegram_user_id=number,
            email_encrypted=Plaintext(f"{number}@example.com"),
            phone_encrypted=Plaintext(f"+{number}"),
        )
        for lead, number in zip(leads, numbers, strict=True)
    )
    shared = {"user": UserFactory(), "service": ServiceFactory()}
    WaitlistRequest.objects.bulk_create(
        WaitlistRequestFactory.build(
            **shared, contact_value_encrypted=Plaintext(f"{n}@example.com")
        )
        for n in numbers
    )
    execute("ANALYZE leads, lead_identities, waitlist_requests")


@pytest.mark.usefixtures("crowd")
@pytest.mark.parametrize(("model", "channel", "index"), INDEXES)
def test_the_search_goes_through_the_index_that_serves_it(
    model: Any, channel: str, index: str
) -> None:
    for ring in (settings.BLIND_INDEX_KEYS, rotated(settings.BLIND_INDEX_KEYS)):
        with override_settings(BLIND_INDEX_KEYS=ring):
            plan = model.objects.find_by_contact(**{channel: SPELLINGS[channel][0]}).explain()
        assert f"Index Scan using {index}" in plan or f"on {index}" in plan, plan
        assert "Seq Scan" not in plan
