"""A row changes its kind while its sealed value or its old kind is not loaded."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from booking.models import IntakeForm, WaitlistRequest
from ebalance.db.contacts import ContactInvalid
from ebalance.db.encryption.fields import BlindToken, Plaintext, UnsealedValue
from ebalance.db.encryption.payloads import PayloadInvalid
from tests.factories import DiaryEntryFactory, IntakeFormFactory, WaitlistRequestFactory
from tests.factories.payloads import PAYLOADS
from tests.support import execute
from ugc.models import DiaryEntry

pytestmark = pytest.mark.django_db

PARTS = [("payload_encrypted",), ("status",), ("created_at",), ("created_at", "payload_encrypted")]


def draft(payload: dict[str, Any]) -> IntakeForm:
    return IntakeFormFactory(payload_encrypted=Plaintext(payload))


def status_of(form: IntakeForm) -> str:
    return execute("SELECT status FROM intake_forms WHERE id = %s", [form.pk])[0]["status"]


@pytest.mark.parametrize("loaded", PARTS, ids=" ".join)
def test_incomplete_form_is_not_submitted(loaded: tuple[str, ...]) -> None:
    form = IntakeForm.objects.only(*loaded).get(pk=draft({"version": 1}).pk)
    form.status, form.submitted_at = "submitted", timezone.now()
    with pytest.raises(PayloadInvalid):
        form.save()
    assert status_of(form) == "draft"


@pytest.mark.parametrize("loaded", PARTS, ids=" ".join)
def test_complete_form_is_submitted(loaded: tuple[str, ...]) -> None:
    form = IntakeForm.objects.only(*loaded).get(pk=draft(PAYLOADS["intake"]).pk)
    form.status, form.submitted_at = "submitted", timezone.now()
    form.save()
    assert status_of(form) == "submitted"
    assert IntakeForm.objects.get(pk=form.pk).payload_encrypted.open() == PAYLOADS["intake"]


def test_update_submits_complete_forms_only() -> None:
    whole, half = draft(PAYLOADS["intake"]), draft({"version": 1})
    change = {"status": "submitted", "submitted_at": timezone.now()}
    with pytest.raises(PayloadInvalid):
        IntakeForm.objects.update(**change)
    assert (status_of(whole), status_of(half)) == ("draft", "draft")
    assert IntakeForm.objects.filter(pk=whole.pk).update(**change) == 1
    assert status_of(whole) == "submitted"


def test_update_does_not_change_the_type_of_a_diary() -> None:
    entry = DiaryEntryFactory(diary_type="gratitude")
    with pytest.raises(PayloadInvalid):
        DiaryEntry.objects.filter(pk=entry.pk).update(diary_type="abc")
    assert DiaryEntry.objects.get(pk=entry.pk).diary_type == "gratitude"


@pytest.mark.parametrize(
    "loaded",
    [("status",), ("contact_value_encrypted", "contact_value_bidx"), ("preferred_contact",)],
    ids=" ".join,
)
def test_channel_that_does_not_fit_the_contact_is_refused(loaded: tuple[str, ...]) -> None:
    written = WaitlistRequestFactory(
        preferred_contact="telegram", contact_value_encrypted=Plaintext("@Anna_Petrova")
    )
    request = WaitlistRequest.objects.only(*loaded).get(pk=written.pk)
    request.preferred_contact = "phone"
    with pytest.raises(ContactInvalid) as caught:  # a name is no phone number
        request.save()
    assert "anna" not in str(caught.value).lower()
    stored = WaitlistRequest.objects.get(pk=written.pk)
    assert stored.preferred_contact == "telegram"
    assert stored.contact_value_bidx == BlindToken.of("telegram", "anna_petrova")


@pytest.mark.parametrize(
    "loaded",
    [("status",), ("contact_value_encrypted", "contact_value_bidx"), ("preferred_contact",)],
    ids=" ".join,
)
def test_blind_index_follows_the_channel(loaded: tuple[str, ...]) -> None:
    digits = "79991234567"  # a phone, and a Telegram id
    written = WaitlistRequestFactory(
        preferred_contact="phone", contact_value_encrypted=Plaintext(digits)
    )
    request = WaitlistRequest.objects.only(*loaded).get(pk=written.pk)
    request.preferred_contact = "telegram"
    request.save()
    stored = WaitlistRequest.objects.get(pk=written.pk)
    assert stored.contact_value_bidx == BlindToken.of("telegram", digits)
    assert stored.contact_value_encrypted.open() == digits


def test_update_of_the_channel_alone_is_refused() -> None:
    written = WaitlistRequestFactory()
    with pytest.raises(UnsealedValue):
        WaitlistRequest.objects.filter(pk=written.pk).update(preferred_contact="telegram")
