"""Diary entries, which only their author reads.

No event identifies the author: staff see timelines and the outbox, and admin shows not even the
existence of a diary (access.md §1).
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from django.utils import timezone

from audit.services import publish_event
from crm.services import record_event
from crm.services.texts import is_same_text
from ebalance.db.encryption.fields import Plaintext, UnsealedValue
from ebalance.db.encryption.payloads import PayloadInvalid
from ebalance.db.times import FIRST_DAY
from ebalance.services import Clock, InvalidInput, RowOrKey, parse_choice, transactional
from identity.models import User

from ..errors import PayloadUnusable
from ..models import DiaryEntry
from .rows import idempotency_conflict, insert_once, lock_and_refresh, lock_author, new_key


@transactional
def write_diary_entry(
    *,
    user: RowOrKey[User],
    diary_type: str,
    entry_date: date,
    payload: Plaintext,
    id: UUID | str | None = None,
    clock: Clock = timezone.now,
) -> DiaryEntry:
    """Store a new entry.

    Raises PayloadUnusable, InvalidInput, NotFound, AuthorUnavailable, IdempotencyConflict.
    """
    parse_choice(diary_type, DiaryEntry.Type, "diary_type")
    if not isinstance(entry_date, date) or isinstance(entry_date, datetime):
        raise InvalidInput(field="entry_date")
    if not FIRST_DAY <= entry_date <= clock().date() + timedelta(days=365):
        raise InvalidInput(field="entry_date")
    if user is None:
        raise InvalidInput(field="user")
    entry = DiaryEntry(
        id=new_key(id), user=lock_author(user), diary_type=diary_type, entry_date=entry_date
    )
    seal_payload(entry, payload)
    row, is_new = insert_once(entry)
    if is_new:
        track_entry(row, "diary_entry_created", clock)
    elif not is_same_entry(row, entry, payload):
        raise idempotency_conflict(row)
    return row


@transactional
def erase_diary_entry(entry: RowOrKey[DiaryEntry], *, clock: Clock = timezone.now) -> None:
    """Delete the text of the entry. A repeated call changes nothing. Raises NotFound."""
    with lock_and_refresh(DiaryEntry, entry) as row:
        if row.deleted_at is None:
            row.deleted_at, row.payload_encrypted = clock(), None
            row.save(update_fields=["deleted_at", "payload_encrypted"])
            track_entry(row, "diary_entry_deleted", clock)


# -- steps -----------------------------------------------------------------------------------------


def track_entry(entry: DiaryEntry, event: str, clock: Clock) -> None:
    publish_event(event, entry, diary_type=entry.diary_type)
    record_event(
        event,
        source="web",  # the only source in the tracking plan
        properties={"diary_type": entry.diary_type},
        clock=clock,
    )


def seal_payload(entry: DiaryEntry, payload: Plaintext) -> None:
    if not isinstance(payload, Plaintext):
        del payload
        raise UnsealedValue("payload takes Plaintext.")
    value: Any = payload  # the type checker does not know sealed columns
    try:
        entry.payload_encrypted = value
    except PayloadInvalid as error:
        offence = {"rule": error.rule, "place": error.path}
    else:
        return
    raise PayloadUnusable(field="payload", **offence)


def is_same_entry(earlier: DiaryEntry, new: DiaryEntry, payload: Plaintext) -> bool:
    """An entry that was erased since has no payload to compare."""
    same = ("user_id", "diary_type", "entry_date")
    return all(getattr(earlier, name) == getattr(new, name) for name in same) and (
        earlier.deleted_at is not None or is_same_text(earlier.payload_encrypted, payload)
    )
