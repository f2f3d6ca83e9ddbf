"""Notes about sessions are the owner's; notes about leads belong to owner and assistant."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from django.db import models

from booking.services import change_session_note, write_session_note
from crm.errors import TextBlank, TextTooLong
from crm.services import change_lead_note, write_lead_note
from ebalance.db.encryption.fields import Plaintext, UnsealedValue
from ebalance.db.ids import uuid7
from ebalance.services import IdempotencyConflict, InvalidInput, NotFound, NotPermitted
from tests.booking.outbox_assertions import INVALID_KEYS, check_refusals, refused, writes_nothing
from tests.factories import AppointmentFactory, LeadFactory, UserFactory

pytestmark = pytest.mark.django_db

TEXT = "Говорили о тревоге."


class Notes(NamedTuple):
    """The services of one kind of note."""

    write: Callable[..., Any]
    change: Callable[..., Any]
    make_parent: Callable[[], models.Model]
    writers: set[str]


SESSION = Notes(write_session_note, change_session_note, AppointmentFactory, {"owner"})
LEAD = Notes(write_lead_note, change_lead_note, LeadFactory, {"owner", "assistant"})
each_kind = pytest.mark.parametrize("notes", [SESSION, LEAD], ids=["session", "lead"])


@each_kind
def test_note_is_sealed_and_can_be_changed(notes: Notes) -> None:
    owner = UserFactory(role="owner")
    note = notes.write(notes.make_parent(), text=Plaintext(TEXT), actor=owner)
    note.refresh_from_db()
    assert (note.note_encrypted.open(), note.author) == (TEXT, owner)
    assert notes.change(note, text=Plaintext("Иначе."), actor=owner) is note
    assert type(note).objects.get(pk=note.pk).note_encrypted.open() == "Иначе."
    assert note.updated_at >= note.created_at


@each_kind
def test_note_with_an_id_is_written_once(notes: Notes) -> None:
    owner, parent, other = UserFactory(role="owner"), notes.make_parent(), notes.make_parent()
    given = {"text": Plaintext(TEXT), "actor": owner, "id": uuid7()}
    note = notes.write(parent, **given)
    with writes_nothing():
        assert notes.write(parent.pk, **given) == note
    with refused(IdempotencyConflict):
        notes.write(other, **given)
    with refused(IdempotencyConflict):
        notes.write(parent, **{**given, "text": Plaintext("Другое.")})


@each_kind
@pytest.mark.parametrize("role", ["owner", "assistant", "editor", "client"])
def test_notes_are_written_by_those_who_read_them(notes: Notes, role: str) -> None:
    actor, parent = UserFactory(role=role), notes.make_parent()
    note = notes.write(parent, text=Plaintext(TEXT), actor=UserFactory(role="owner"))
    if role in notes.writers:
        notes.write(parent, text=Plaintext(TEXT), actor=actor)
        notes.change(note, text=Plaintext("Иначе."), actor=actor)
        return
    with refused(NotPermitted):
        notes.write(parent, text=Plaintext(TEXT), actor=actor)
    with refused(NotPermitted):
        notes.change(note, text=Plaintext("Иначе."), actor=actor)


@each_kind
def test_note_refuses_what_it_cannot_hold(notes: Notes) -> None:
    owner, parent = UserFactory(role="owner"), notes.make_parent()
    note = notes.write(parent, text=Plaintext(TEXT), actor=owner)

    def write(value: Any) -> None:
        notes.write(parent, text=Plaintext(value), actor=owner)

    def change(value: Any) -> None:
        notes.change(note, text=Plaintext(value), actor=owner)

    for call in (write, change):
        check_refusals(call, ["", " \n", "\u200b"], TextBlank)
        check_refusals(call, ["я" * 10_001], TextTooLong)
        check_refusals(call, ["a\0"], InvalidInput)
    for text in (TEXT, None, 7):
        with writes_nothing(), pytest.raises(UnsealedValue):
            notes.write(parent, text=text, actor=owner)
    ok = {"text": Plaintext(TEXT), "actor": owner}
    check_refusals(lambda key: notes.write(key, **ok), INVALID_KEYS, NotFound)
    check_refusals(lambda key: notes.change(key, **ok), INVALID_KEYS, NotFound)
    check_refusals(lambda key: notes.write(parent, id=key, **ok), ["x", 7], InvalidInput)
