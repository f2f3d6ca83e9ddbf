"""Notes about sessions are the owner's. Their text is sealed."""

from __future__ import annotations

from typing import Any

import pytest

from booking.errors import PersonErased
from booking.models import SessionNote
from booking.services import change_session_note, write_session_note
from crm.errors import TextBlank, TextTooLong
from ebalance.db.encryption.fields import Plaintext, UnsealedValue
from ebalance.db.ids import uuid7
from ebalance.privacy.erasure import erase_user
from ebalance.services import IdempotencyConflict, InvalidInput, NotFound, NotPermitted
from tests.booking.outbox_assertions import INVALID_KEYS, check_refusals, refused, writes_nothing
from tests.factories import AppointmentFactory, LeadFactory, UserFactory

pytestmark = pytest.mark.django_db

TEXT = "Говорили о тревоге."


def test_note_is_sealed_and_can_be_changed() -> None:
    owner = UserFactory(role="owner")
    note = write_session_note(AppointmentFactory(), text=Plaintext(TEXT), actor=owner)
    note.refresh_from_db()
    assert (note.note_encrypted.open(), note.author) == (TEXT, owner)
    assert change_session_note(note, text=Plaintext("Иначе."), actor=owner) is note
    assert SessionNote.objects.get(pk=note.pk).note_encrypted.open() == "Иначе."
    assert note.updated_at >= note.created_at


def test_note_with_an_id_is_written_once() -> None:
    owner, session = UserFactory(role="owner"), AppointmentFactory()
    given = {"text": Plaintext(TEXT), "actor": owner, "id": uuid7()}
    note = write_session_note(session, **given)
    with writes_nothing():
        assert write_session_note(session.pk, **given) == note
    other = AppointmentFactory()
    with refused(IdempotencyConflict):
        write_session_note(other, **given)
    with refused(IdempotencyConflict):
        write_session_note(session, **{**given, "text": Plaintext("Другое.")})


@pytest.mark.parametrize("role", ["assistant", "editor", "client"])
def test_notes_are_written_by_the_owner_only(role: str) -> None:
    actor, session = UserFactory(role=role), AppointmentFactory()
    note = write_session_note(session, text=Plaintext(TEXT), actor=UserFactory(role="owner"))
    with refused(NotPermitted):
        write_session_note(session, text=Plaintext(TEXT), actor=actor)
    with refused(NotPermitted):
        change_session_note(note, text=Plaintext("Иначе."), actor=actor)


def test_note_about_a_session_of_an_erased_person_is_refused() -> None:
    """No erasure would find it any more."""
    owner = UserFactory(role="owner")
    session, of_lead = AppointmentFactory(), AppointmentFactory(client=None, lead=LeadFactory())
    given = {"text": Plaintext(TEXT), "actor": owner}
    note = write_session_note(session, **given)
    erase_user(session.client, method="admin", force=True)
    assert not SessionNote.objects.exists()
    with refused(PersonErased):
        write_session_note(session, **given)
    with refused(NotFound):
        change_session_note(note, **given)
    write_session_note(of_lead, **given)


def test_note_refuses_what_it_cannot_hold() -> None:
    owner, session = UserFactory(role="owner"), AppointmentFactory()
    note = write_session_note(session, text=Plaintext(TEXT), actor=owner)

    def write(value: Any) -> None:
        write_session_note(session, text=Plaintext(value), actor=owner)

    def change(value: Any) -> None:
        change_session_note(note, text=Plaintext(value), actor=owner)

    for call in (write, change):
        check_refusals(call, ["", " \n", "\u200b"], TextBlank)
        check_refusals(call, ["я" * 10_001], TextTooLong)
        check_refusals(call, ["a\0"], InvalidInput)
    for text in (TEXT, None, 7):
        with writes_nothing(), pytest.raises(UnsealedValue):
            write_session_note(session, text=text, actor=owner)  # type: ignore[arg-type]
    ok: dict[str, Any] = {"text": Plaintext(TEXT), "actor": owner}
    check_refusals(lambda key: write_session_note(key, **ok), INVALID_KEYS, NotFound)
    check_refusals(lambda key: change_session_note(key, **ok), INVALID_KEYS, NotFound)
    check_refusals(lambda key: write_session_note(session, id=key, **ok), ["x", 7], InvalidInput)
