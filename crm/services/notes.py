"""Notes about leads. Their text is sealed."""

from __future__ import annotations

from uuid import UUID

from ebalance.db.encryption.fields import Plaintext
from ebalance.db.ids import uuid7
from ebalance.services import (
    IdempotencyConflict,
    RowOrKey,
    get_or_refuse,
    lock_or_refuse,
    parse_uuid,
    refresh,
    require_permission,
    transactional,
)
from identity.models import User

from ..models import Lead, LeadNote
from .texts import check_text, is_same_text


@transactional
def write_lead_note(
    lead: RowOrKey[Lead], *, text: Plaintext, actor: User, id: UUID | str | None = None
) -> LeadNote:
    """Add a note about the lead, by ``actor``, owner or assistant. With ``id`` repeatable.

    Raises TextBlank, TextTooLong, IdempotencyConflict for the id of another note, NotPermitted,
    InvalidInput, NotFound; UnsealedValue for a text that is not Plaintext.
    """
    require_permission(actor, "crm.add_leadnote")
    check_text(text)
    note = LeadNote(
        pk=uuid7() if id is None else parse_uuid(id, "id"),
        lead=get_or_refuse(Lead.objects.all(), lead),
        author=actor,
    )
    note.note_encrypted = text  # sealed for the key of its row
    LeadNote.objects.bulk_create([note], ignore_conflicts=True)
    stored = LeadNote.objects.get(pk=note.pk)
    same = (stored.lead_id, stored.author_id) == (note.lead_id, note.author_id)
    if not same or not is_same_text(stored.note_encrypted, text):
        raise IdempotencyConflict(entity="lead_notes", id=note.pk)
    return stored


@transactional
def change_lead_note(note: RowOrKey[LeadNote], *, text: Plaintext, actor: User) -> LeadNote:
    """Replace the text of a note. ``actor`` is the owner or an assistant.

    Raises TextBlank, TextTooLong, NotPermitted, NotFound; UnsealedValue.
    """
    require_permission(actor, "crm.change_leadnote")
    check_text(text)
    row = lock_or_refuse(LeadNote.objects.defer("note_encrypted"), note)
    row.note_encrypted = text
    row.save(update_fields=["note_encrypted"])
    return refresh(note, row)
