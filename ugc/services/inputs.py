"""What is asked of the values that a verb is given, before anything is locked or written.

No error here holds a text or a contact, nor does a frame that raises one.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from django.db import IntegrityError, models, transaction

from ebalance.db import contacts
from ebalance.db.encryption import payloads
from ebalance.db.encryption.fields import Plaintext, Sealed, UnsealedValue
from ebalance.db.ids import uuid7
from ebalance.services import (
    IdempotencyConflict,
    InvalidInput,
    NotPermitted,
    RowOrKey,
    constraint_of,
    lock_or_refuse,
)

from ..errors import AuthorUnavailable, ContactUnusable, TextBlank, TextTooLong

LONGEST_TEXT = 10_000  # characters of a question, an answer or a review


# -- texts ------------------------------------------------------------------------------------


def check_text(text: Plaintext, field: str = "text") -> None:
    """Something to see, storable, at most LONGEST_TEXT characters.

    Raises TextBlank, TextTooLong, InvalidInput; UnsealedValue for anything but Plaintext of a str.
    """
    if not isinstance(text, Plaintext) or not isinstance(text.reveal(), str):
        del text
        raise UnsealedValue(f"{field} takes Plaintext of a str.")
    if length_of(text) > LONGEST_TEXT:
        raise TextTooLong(field=field, limit=LONGEST_TEXT)
    if payloads.UNSTORABLE.search(text.reveal()):
        raise InvalidInput(field=field)
    if not _shows_something(text):
        raise TextBlank(field=field)


def length_of(text: Plaintext) -> int:
    """In characters."""
    return len(text.reveal())


def is_same_text(stored: Sealed | None, text: Plaintext | None) -> bool:
    """Whether ``text`` is what was stored: opened and compared in memory only."""
    if stored is None or text is None:
        return stored is text
    return stored.open() == text.reveal()


def _shows_something(text: Plaintext) -> bool:
    return any(
        unicodedata.category(letter)[0] not in "CZ"
        for letter in contacts.INVISIBLE.sub("", text.reveal())
    )


def contact_of(contact: Mapping[str, Plaintext] | None) -> Plaintext | None:
    """The one contact of ``{"email": Plaintext(…)}``. Raises ContactUnusable, UnsealedValue."""
    if contact is None:
        return None
    if not isinstance(contact, Mapping) or len(contact) != 1:
        raise ContactUnusable(field="contact")
    ((channel, text),) = contact.items()
    if not isinstance(text, Plaintext):
        del contact, text
        raise UnsealedValue("contact takes Plaintext.")
    if channel not in contacts.READERS or not _is_contact(channel, text):
        raise ContactUnusable(field="contact")
    return text


def _is_contact(channel: str, text: Plaintext) -> bool:
    try:
        contacts.normalise(channel, text.reveal())
    except contacts.ContactInvalid:
        return False
    return True


# -- other values -----------------------------------------------------------------------------


def one_of(value: object, members: Any, field: str) -> str:
    """``value``, one of a closed set. Raises InvalidInput."""
    if not isinstance(value, str) or value not in members.values:
        raise InvalidInput(field=field)
    return str(value)


def some_of(values: Collection[str], members: Any, field: str) -> list[str]:
    """Members of a closed set, each once, in the order of the set. Raises InvalidInput."""
    if isinstance(values, str) or not isinstance(values, Collection):
        raise InvalidInput(field=field)
    given = {one_of(value, members, field) for value in values}
    return [str(value) for value in members.values if value in given]


def yes_or_no(value: object, field: str) -> bool:
    if not isinstance(value, bool):
        raise InvalidInput(field=field)
    return value


# -- people -----------------------------------------------------------------------------------


def permitted(actor: Any, *roles: str) -> str:
    """The first of ``roles`` that the actor has. Raises NotPermitted (access.md §1)."""
    if getattr(actor, "is_staff", False):
        for role in roles:
            if role in actor.role_codes:
                return role
    raise NotPermitted(roles=" ".join(roles))


def author(users: models.QuerySet, user: RowOrKey | None) -> Any:
    """The active person who writes, locked: nobody is blocked or erased meanwhile. None for nobody.

    Raises NotFound, AuthorUnavailable.
    """
    if user is None:
        return None
    person = lock_or_refuse(users, user)
    if not person.is_active:
        raise AuthorUnavailable(user=person.pk, status=person.status)
    return person


# -- keys given by the caller -----------------------------------------------------------------


def key(given: UUID | str | None) -> UUID:
    """The key of a new row. Raises InvalidInput."""
    if given is None:
        return uuid7()
    try:
        return given if isinstance(given, UUID) else UUID(given)
    except (ValueError, TypeError, AttributeError):
        raise InvalidInput(field="id") from None


def insert_once[Row: models.Model](row: Row) -> tuple[Row, bool]:
    """Insert the row; if its key is taken, the row which has it, locked. Second: whether new."""
    try:
        with transaction.atomic():
            row.save(force_insert=True)
    except IntegrityError as error:
        if constraint_of(error) != f"{row._meta.db_table}_pkey":
            raise
        return lock_or_refuse(type(row)._default_manager.all(), row.pk), False
    return row, True


def conflict(row: models.Model) -> IdempotencyConflict:
    return IdempotencyConflict(entity=row._meta.db_table, id=row.pk)
