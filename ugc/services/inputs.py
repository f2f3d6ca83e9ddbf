"""Checks of the values that a caller passes. They run before any lock and any write.

No error holds a text or a contact, and neither does the stack frame that raises it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Mapping
from typing import cast

from django.db import models

from ebalance.db import contacts
from ebalance.db.encryption.fields import Plaintext, Sealed, UnsealedValue
from ebalance.services import InvalidInput, parse_choice

from ..errors import ContactUnusable, TextBlank, TextTooLong

LONGEST_TEXT = 10_000  # characters of a question, an answer or a review


def check_text(text: Plaintext, field: str = "text") -> None:
    """The text is visible, and at most LONGEST_TEXT characters long.

    Raises TextBlank, TextTooLong; UnsealedValue for anything but Plaintext of a str.
    """
    if not isinstance(text, Plaintext) or not isinstance(text.reveal(), str):
        del text
        raise UnsealedValue(f"{field} takes Plaintext of a str.")
    if length_of(text) > LONGEST_TEXT:
        raise TextTooLong(field=field, limit=LONGEST_TEXT)
    if not _is_visible(text):
        raise TextBlank(field=field)


def length_of(text: Plaintext) -> int:
    """In characters."""
    return len(text.reveal())


def is_same_text(stored: object, text: Plaintext | None) -> bool:
    """Whether ``stored``, the value of a sealed column, holds ``text``."""
    if stored is None or text is None:
        return stored is text
    return cast("Sealed", stored).open() == text.reveal()


def _is_visible(text: Plaintext) -> bool:
    return any(
        unicodedata.category(letter)[0] not in "CZ"
        for letter in contacts.INVISIBLE.sub("", text.reveal())
    )


def parse_contact(contact: Mapping[str, Plaintext] | None) -> Plaintext | None:
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


def parse_choices(
    values: Collection[str], choices: type[models.TextChoices], field: str
) -> list[str]:
    """Members of a closed set, each once, in the order of the set. Raises InvalidInput."""
    if isinstance(values, str) or not isinstance(values, Collection):
        raise InvalidInput(field=field)
    given = {parse_choice(value, choices, field) for value in values}
    return [str(value) for value in choices.values if value in given]
