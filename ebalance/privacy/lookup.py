"""Finds a person by the text that an operator types."""

from contextlib import suppress
from uuid import UUID

from django.db.models import Q

from ebalance.db import contacts
from ebalance.db.contacts import ContactInvalid
from ebalance.db.storable import is_storable
from identity.models import CONTACT_COLUMNS, User


class PersonNotFound(LookupError):
    """The text identifies no person, or two people. The message does not quote it."""


def find_person(text: str) -> User:
    """The person with this id, e-mail, phone or Telegram id. Raises PersonNotFound."""
    try:
        # No column can hold such a text, and the server's error would quote it.
        condition = _matches(text.strip()) if is_storable(text) else Q(pk__in=[])
        matches = list(User.objects.filter(condition)[:2])
    finally:
        del text
    if not matches:
        raise PersonNotFound("There is no person with this id, e-mail, phone or Telegram id.")
    if len(matches) > 1:
        raise PersonNotFound("This is a contact of two people: name the person by the id.")
    return matches[0]


def _matches(text: str) -> Q:
    condition = Q(email=text.lower())
    with suppress(ValueError):
        condition |= Q(pk=UUID(text))
    for channel, column in CONTACT_COLUMNS.items():
        with suppress(ContactInvalid):
            condition |= Q(**{column: contacts.normalise(channel, text)})
    return condition
