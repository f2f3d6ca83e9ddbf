"""What a row is says what its payload may hold: asked when it is sealed, and when the row becomes
something else.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from django.utils import timezone

from booking.models import IntakeForm
from ebalance.db.encryption.fields import Plaintext
from ebalance.db.encryption.payloads import PayloadInvalid
from tests.case_loops import check_each
from tests.factories import AppointmentFactory, DiaryEntryFactory, IntakeFormFactory, UserFactory
from tests.factories.payloads import PAYLOADS
from tests.sealed.support import again, sent, shown, texts
from ugc.models import DiaryEntry

pytestmark = pytest.mark.django_db

TYPES = DiaryEntry.Type.values
MARKER = "мне страшно"
DRAFT = {"version": 1, "request": MARKER}


def payload(diary_type: str) -> Plaintext:
    return Plaintext(PAYLOADS[f"diary_{diary_type}"])


def entry(diary_type: Any, sealed: Plaintext) -> DiaryEntry:
    return DiaryEntry(
        user=UserFactory(),
        diary_type=diary_type,
        entry_date=date(2027, 3, 1),
        payload_encrypted=sealed,
    )


@pytest.mark.parametrize("diary_type", TYPES)
def test_diary_accepts_the_payload_of_its_type_only(diary_type: str) -> None:
    for given in TYPES:
        if given == diary_type:
            row = entry(diary_type, payload(given))
            row.save()
            assert again(row).payload_encrypted.open() == PAYLOADS[f"diary_{given}"]
            continue
        with pytest.raises(PayloadInvalid) as caught:
            entry(diary_type, payload(given))
        assert caught.value.schema == f"diary_{diary_type}.1", given


ODD = [
    None,
    MARKER,
    [MARKER],
    {},
    {"version": 2, "note": MARKER},
    {"version": 1, MARKER: MARKER},
    {"version": 1, "items": [{"text": MARKER * 5000}]},
    {"version": 1, "items": [{"text": MARKER, "why": float("nan")}]},
    {"version": 1, "items": [{"text": MARKER, "why": MARKER.encode()}]},
    {"version": 1, "items": [{"text": MARKER, "why": {MARKER}}]},
]


def test_refused_payload_is_nowhere_in_its_refusal() -> None:
    row = again(DiaryEntryFactory())
    before = dict(row.__dict__)

    def check(odd: Any) -> None:
        with sent() as found, pytest.raises(PayloadInvalid) as caught:
            row.payload_encrypted = Plaintext(odd)
        assert not found.statements
        assert row.__dict__ == before
        assert MARKER not in shown(caught.value, ours=True)
        assert MARKER not in repr(caught.value)

    check_each([(str(n), odd) for n, odd in enumerate(ODD)], check, undo=False)


def test_without_a_known_type_no_payload_is_taken() -> None:
    for diary_type in (None, "", "dreams", "../booking/schemas/intake"):
        with pytest.raises(LookupError) as caught:
            entry(diary_type, Plaintext({"version": 1, "note": MARKER}))
        assert MARKER not in shown(caught.value, ours=True), diary_type


def test_nothing_that_is_in_itself_is_sealed() -> None:
    endless: dict[str, Any] = {"version": 1}
    endless["items"] = [endless]
    with pytest.raises(PayloadInvalid):
        entry("gratitude", Plaintext(endless))


WRITES: dict[str, Callable[[Any], Any]] = {
    "save": lambda row: row.save(),
    "save of it": lambda row: row.save(
        update_fields=[
            name for name in ("status", "submitted_at", "diary_type") if hasattr(row, name)
        ]
    ),
    "bulk_update": lambda row: type(row).objects.bulk_update(
        [row], ["status", "submitted_at"] if isinstance(row, IntakeForm) else ["diary_type"]
    ),
}
each_write = pytest.mark.parametrize("write", WRITES)
each_origin = pytest.mark.parametrize("made", ["read", "made"])


def taken(row: Any, made: str) -> Any:
    return again(row) if made == "read" else row


@each_origin
@each_write
def test_an_entry_does_not_become_another_with_its_payload(write: str, made: str) -> None:
    row = taken(DiaryEntryFactory(diary_type="gratitude"), made)
    row.diary_type = "abc"
    with sent() as found, pytest.raises(PayloadInvalid) as caught:
        WRITES[write](row)
    assert not found.writes
    assert "Маме" not in shown(caught.value, ours=True)
    assert again(row).diary_type == "gratitude"


def test_an_entry_becomes_another_with_another_payload() -> None:
    row = again(DiaryEntryFactory(diary_type="gratitude"))
    row.diary_type = "abc"
    row.payload_encrypted = payload("abc")
    row.save()
    assert again(row).payload_encrypted.open() == PAYLOADS["diary_abc"]


def form(**given: Any) -> IntakeForm:
    return IntakeForm(appointment=AppointmentFactory(), **given)


def submitted(row: Any) -> Any:
    row.status, row.submitted_at = "submitted", timezone.now()
    return row


def test_a_draft_may_leave_answers_out_and_a_submitted_form_may_not() -> None:
    row = form(payload_encrypted=Plaintext(DRAFT))
    row.save()
    assert again(row).payload_encrypted.open() == DRAFT
    with pytest.raises(PayloadInvalid) as caught:
        form(status="submitted", payload_encrypted=Plaintext(DRAFT))
    assert caught.value.rule == "required"


@each_origin
@each_write
def test_a_draft_is_submitted_once_it_is_complete(write: str, made: str) -> None:
    row = form(payload_encrypted=Plaintext(DRAFT))
    row.save()
    row = submitted(taken(row, made))
    with sent() as found, pytest.raises(PayloadInvalid) as caught:
        WRITES[write](row)
    assert not found.writes
    assert MARKER not in shown(caught.value, ours=True)
    row.payload_encrypted = Plaintext(PAYLOADS["intake"])
    row.save()
    assert again(row).status == "submitted"


@each_origin
@each_write
def test_a_complete_draft_is_submitted_as_it_is(write: str, made: str) -> None:
    row = submitted(taken(IntakeFormFactory(), made))
    WRITES[write](row)
    found = again(row)
    assert found.status == "submitted"
    assert found.payload_encrypted.open() == PAYLOADS["intake"]
    before = texts(row)
    found.save()
    assert texts(row) == before


@each_write
def test_what_is_submitted_is_what_was_checked(write: str) -> None:
    row = submitted(again(IntakeFormFactory()))
    other = again(row)
    other.payload_encrypted = Plaintext(DRAFT)
    other.save()
    WRITES[write](row)
    assert again(row).payload_encrypted.open() == PAYLOADS["intake"]


def test_a_new_row_may_become_something_else_before_it_is_written() -> None:
    row = submitted(form(payload_encrypted=Plaintext(PAYLOADS["intake"])))
    row.save()
    assert again(row).payload_encrypted.open() == PAYLOADS["intake"]
    with pytest.raises(PayloadInvalid):
        IntakeForm.objects.bulk_create([submitted(form(payload_encrypted=Plaintext(DRAFT)))])
