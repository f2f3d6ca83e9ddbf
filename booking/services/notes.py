"""The psychologist's notes about sessions. Their text is sealed."""

from __future__ import annotations

from uuid import UUID

from crm.services.history import LEAD_ERASED, has_event
from crm.services.texts import check_text, is_same_text
from ebalance.db.encryption.fields import Plaintext
from ebalance.db.ids import uuid7
from ebalance.services import (
    IdempotencyConflict,
    RowOrKey,
    lock_or_refuse,
    parse_uuid,
    refresh,
    require_permission,
    transactional,
)
from identity.models import User

from ..errors import PersonErased
from ..models import Appointment, SessionNote


@transactional
def write_session_note(
    appointment: RowOrKey[Appointment],
    *,
    text: Plaintext,
    actor: User,
    id: UUID | str | None = None,
) -> SessionNote:
    """Add a note about the session, by ``actor``, the owner. With ``id`` repeatable.

    Raises PersonErased for the session of an erased person, TextBlank, TextTooLong,
    IdempotencyConflict for the id of another note, NotPermitted, InvalidInput, NotFound;
    UnsealedValue for a text that is not Plaintext.
    """
    require_permission(actor, "booking.add_sessionnote")
    check_text(text)
    # Locked: an erasure waits, or the session has lost its person by now.
    row = lock_or_refuse(Appointment.objects.all(), appointment)
    if row.client_id is None and row.lead is not None and has_event(LEAD_ERASED, row.lead):
        raise PersonErased(appointment=row.pk)
    note = SessionNote(
        pk=uuid7() if id is None else parse_uuid(id, "id"), appointment=row, author=actor
    )
    note.note_encrypted = text  # sealed for the key of its row
    SessionNote.objects.bulk_create([note], ignore_conflicts=True)
    stored = SessionNote.objects.get(pk=note.pk)
    same = (stored.appointment_id, stored.author_id) == (note.appointment_id, note.author_id)
    if not same or not is_same_text(stored.note_encrypted, text):
        raise IdempotencyConflict(entity="session_notes", id=note.pk)
    return stored


@transactional
def change_session_note(
    note: RowOrKey[SessionNote], *, text: Plaintext, actor: User
) -> SessionNote:
    """Replace the text of a note. ``actor`` is the owner.

    Raises TextBlank, TextTooLong, NotPermitted, NotFound; UnsealedValue.
    """
    require_permission(actor, "booking.change_sessionnote")
    check_text(text)
    row = lock_or_refuse(SessionNote.objects.defer("note_encrypted"), note)
    row.note_encrypted = text
    row.save(update_fields=["note_encrypted"])
    return refresh(note, row)
