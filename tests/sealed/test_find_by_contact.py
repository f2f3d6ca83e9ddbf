"""Any spelling of a contact finds leads and requests, by index and during a rotation."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings
from django.test import override_settings

from booking.models import WaitlistRequest
from crm.models import Lead, LeadIdentity
from crm.services import find_leads_by_contact
from ebalance.db.contacts import ContactInvalid
from ebalance.db.encryption.fields import Plaintext
from tests.factories import LeadFactory, ServiceFactory, UserFactory, WaitlistRequestFactory
from tests.sealed.support import (
    EMAIL,
    PHONE,
    format_error,
    identity,
    record_sql,
    rotate_ring,
)
from tests.support import execute

pytestmark = pytest.mark.django_db

SPELLINGS = {
    "email": [EMAIL, " Anna@Example.COM.", "ａｎｎａ@example.com"],
    "phone": [PHONE, "8 (999) 123-45-67", "00 7 999 123 45 67"],
    "telegram": ["79991234567", " 79991234567\n"],
}
BOTH = pytest.mark.parametrize(
    "find",
    [find_leads_by_contact, WaitlistRequest.objects.find_by_contact],
    ids=["leads", "waitlist"],
)


def request(channel: str, text: str) -> WaitlistRequest:
    return WaitlistRequestFactory(
        preferred_contact=channel, contact_value_encrypted=Plaintext(text)
    )


def test_lead_with_several_matches_is_returned_once() -> None:
    row = identity()
    LeadIdentity.objects.create(lead=row.lead, telegram_user_id="79991234567")
    identity(email_encrypted="petr@example.com", phone_encrypted="+79990000000")  # another person
    other = LeadIdentity.objects.create(
        lead=LeadFactory(),
        telegram_user_id="79991234567",
        email_encrypted=Plaintext(EMAIL),
        phone_encrypted=Plaintext(PHONE),
    )
    for channel, spellings in SPELLINGS.items():
        for text in spellings:
            leads = find_leads_by_contact(**{channel: text})
            assert sorted(lead.pk for lead in leads) == sorted([row.lead_id, other.lead_id]), text
            # The result is an ordinary queryset.
            assert leads.filter(pk=row.lead.pk).update(status="engaged") == 1


def test_contact_finds_its_request() -> None:
    rows = {name: request(name, spellings[0]) for name, spellings in SPELLINGS.items()}
    for channel, spellings in SPELLINGS.items():
        row = rows[channel]
        for text in spellings:
            assert list(WaitlistRequest.objects.find_by_contact(**{channel: text})) == [row], text
            of_service = row.service.waitlist_requests
            assert list(of_service.find_by_contact(**{channel: text})) == [row], text


def test_telegram_name_finds_requests_but_no_lead() -> None:
    row = request("telegram", "@Anna_P")
    LeadIdentity.objects.create(lead=LeadFactory(), telegram_user_id="79991234567")
    assert WaitlistRequest.objects.find_by_contact(telegram="t.me/anna_p").get() == row
    assert not find_leads_by_contact(telegram="@anna_p")


@BOTH
def test_search_requires_exactly_one_contact(find: Any) -> None:
    for given in (
        {},
        {"email": None},
        {"email": EMAIL, "phone": PHONE},
        dict.fromkeys(SPELLINGS, "1"),
    ):
        with record_sql() as log, pytest.raises(TypeError, match="only one") as caught:
            find(**given)
        assert not log.statements
        assert EMAIL not in format_error(caught.value, ours=True)
    with pytest.raises(TypeError):
        find(EMAIL)
    with pytest.raises(TypeError):
        find(pigeon="1")


@BOTH
def test_text_that_is_no_contact_is_refused(find: Any) -> None:
    for channel in SPELLINGS:
        for text in ("", " ", "это не контакт", "1; DROP TABLE leads", "x" * 5000, 5):
            with record_sql() as log, pytest.raises(ContactInvalid) as caught:
                find(**{channel: text})
            assert not log.statements, (channel, text)
            assert len(str(text)) < 3 or str(text) not in format_error(caught.value, ours=True)


def test_search_finds_old_and_new_rows_during_a_rotation() -> None:
    old, waiting = identity(), request("phone", PHONE)
    ring = rotate_ring(settings.BLIND_INDEX_KEYS)
    with override_settings(BLIND_INDEX_KEYS=ring):
        new, waits_too = identity(), request("phone", PHONE)
        for given in ({"email": EMAIL}, {"phone": PHONE}):
            assert set(find_leads_by_contact(**given)) == {old.lead, new.lead}
        requests = WaitlistRequest.objects.find_by_contact(phone=PHONE)
        assert set(requests) == {waiting, waits_too}
    # Rows under a key that is no longer in the ring do not match.
    with override_settings(BLIND_INDEX_KEYS=type(ring)([ring.primary])):
        assert list(find_leads_by_contact(email=EMAIL)) == [new.lead]
        assert list(WaitlistRequest.objects.find_by_contact(phone=PHONE)) == [waits_too]


INDEXES = [
    (find_leads_by_contact, "email", "lead_identities_by_email"),
    (find_leads_by_contact, "phone", "lead_identities_by_phone"),
    (find_leads_by_contact, "telegram", "lead_identities_by_telegram"),
    (WaitlistRequest.objects.find_by_contact, "email", "waitlist_requests_by_contact"),
    (WaitlistRequest.objects.find_by_contact, "phone", "waitlist_requests_by_contact"),
    (WaitlistRequest.objects.find_by_contact, "telegram", "waitlist_requests_by_contact"),
]


@pytest.fixture
def crowd() -> None:
    """Enough other rows to make an index the cheapest plan, and current statistics.

    Without statistics the plan depends on whether autovacuum has seen the tables empty.
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


@pytest.mark.slow
@pytest.mark.usefixtures("crowd")
def test_search_uses_its_index() -> None:
    for ring in (settings.BLIND_INDEX_KEYS, rotate_ring(settings.BLIND_INDEX_KEYS)):
        for find, channel, index in INDEXES:
            with override_settings(BLIND_INDEX_KEYS=ring):
                plan = find(**{channel: SPELLINGS[channel][0]}).explain()
            assert f"Index Scan using {index}" in plan or f"on {index}" in plan, plan
            table = "lead_identities" if find is find_leads_by_contact else "waitlist_requests"
            assert f"Seq Scan on {table}" not in plan, plan
