"""Texts that services seal. No error holds a text, and neither does the frame that raises it."""

from __future__ import annotations

import unicodedata
from typing import cast

from ebalance.db import contacts
from ebalance.db.encryption.fields import Plaintext, Sealed, UnsealedValue

from ..errors import TextBlank, TextTooLong

LONGEST_TEXT = 10_000  # characters of a question, an answer, a review or a note


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
