"""The kind of a row decides the schema of its payload, at sealing and at a change of the kind."""

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
from tests.sealed.support import format_error, record_sql, reload, texts
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
            assert reload(row).payload_encrypted.open() == PAYLOADS[f"diary_{given}"]
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


def test_refusal_contains_nothing_of_the_payload() -> None:
    row = reload(DiaryEntryFactory())
    before = dict(row.__dict__)

    def check(odd: Any) -> None:
        with record_sql() as log, pytest.raises(PayloadInvalid) as caught:
            row.payload_encrypted = Plaintext(odd)
        assert not log.statements
        assert row.__dict__ == before
        assert MARKER not in format_error(caught.value, ours=True)
        assert MARKER not in repr(caught.value)

    check_each([(str(n), odd) for n, odd in enumerate(ODD)], check, undo=False)


def test_payload_without_a_known_type_is_refused() -> None:
    for diary_type in (None, "", "dreams", "../booking/schemas/intake"):
        with pytest.raises(LookupError) as caught:
            entry(diary_type, Plaintext({"version": 1, "note": MARKER}))
        assert MARKER not in format_error(caught.value, ours=True), diary_type


def test_cyclic_payload_of_a_row_is_refused() -> None:
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
    return reload(row) if made == "read" else row


@each_origin
@each_write
def test_entry_with_its_payload_does_not_change_its_type(write: str, made: str) -> None:
    row = taken(DiaryEntryFactory(diary_type="gratitude"), made)
    row.diary_type = "abc"
    with record_sql() as log, pytest.raises(PayloadInvalid) as caught:
        WRITES[write](row)
    assert not log.writes
    assert "Маме" not in format_error(caught.value, ours=True)
    assert reload(row).diary_type == "gratitude"


def test_entry_with_a_new_payload_changes_its_type() -> None:
    row = reload(DiaryEntryFactory(diary_type="gratitude"))
    row.diary_type = "abc"
    row.payload_encrypted = payload("abc")
    row.save()
    assert reload(row).payload_encrypted.open() == PAYLOADS["diary_abc"]


def form(**given: Any) -> IntakeForm:
    return IntakeForm(appointment=AppointmentFactory(), **given)


def submitted(row: Any) -> Any:
    row.status, row.submitted_at = "submitted", timezone.now()
    return row


def test_draft_may_omit_answers_but_a_submitted_form_may_not() -> None:
    row = form(payload_encrypted=Plaintext(DRAFT))
    row.save()
    assert reload(row).payload_encrypted.open() == DRAFT
    with pytest.raises(PayloadInvalid) as caught:
        form(status="submitted", payload_encrypted=Plaintext(DRAFT))
    assert caught.value.rule == "required"


@each_origin
@each_write
def test_incomplete_draft_is_submitted_after_its_completion(write: str, made: str) -> None:
    row = form(payload_encrypted=Plaintext(DRAFT))
    row.save()
    row = submitted(taken(row, made))
    with record_sql() as log, pytest.raises(PayloadInvalid) as caught:
        WRITES[write](row)
    assert not log.writes
    assert MARKER not in format_error(caught.value, ours=True)
    row.payload_encrypted = Plaintext(PAYLOADS["intake"])
    row.save()
    assert reload(row).status == "submitted"


@each_origin
@each_write
def test_complete_draft_is_submitted_unchanged(write: str, made: str) -> None:
    row = submitted(taken(IntakeFormFactory(), made))
    WRITES[write](row)
    stored = reload(row)
    assert stored.status == "submitted"
    assert stored.payload_encrypted.open() == PAYLOADS["intake"]
    before = texts(row)
    stored.save()
    assert texts(row) == before


@each_write
def test_submitted_payload_is_the_checked_one(write: str) -> None:
    row = submitted(reload(IntakeFormFactory()))
    other = reload(row)
    other.payload_encrypted = Plaintext(DRAFT)
    other.save()
    WRITES[write](row)
    assert reload(row).payload_encrypted.open() == PAYLOADS["intake"]


def test_unsaved_row_may_change_its_status() -> None:
    row = submitted(form(payload_encrypted=Plaintext(PAYLOADS["intake"])))
    row.save()
    assert reload(row).payload_encrypted.open() == PAYLOADS["intake"]
    with pytest.raises(PayloadInvalid):
        IntakeForm.objects.bulk_create([submitted(form(payload_encrypted=Plaintext(DRAFT)))])
