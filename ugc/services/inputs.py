"""Checks of the values that a caller passes. They run before any lock and any write.

No error holds a text or a contact, and neither does the stack frame that raises it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from django.db import models

from ebalance.db import contacts
from ebalance.db.encryption.fields import Plaintext, UnsealedValue
from ebalance.services import InvalidInput, parse_choice

from ..errors import ContactUnusable


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
