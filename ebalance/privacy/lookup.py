"""A person by what an operator types: a key, or a contact of the account."""

from contextlib import suppress
from uuid import UUID

from django.db.models import Q

from ebalance.db import contacts
from ebalance.db.contacts import ContactInvalid
from ebalance.db.encryption.payloads import UNSTORABLE
from ebalance.privacy.subject import CONTACTS
from identity.models import User


class PersonNotFound(LookupError):
    """Nobody, or not one person alone. What was typed is not in here."""


def person_named(text: str) -> User:
    """The person with this id, e-mail, phone or Telegram id. Raises PersonNotFound."""
    try:
        # What no column can hold names nobody; asked for, it would be quoted.
        ways = Q(pk__in=[]) if UNSTORABLE.search(text) else _named(text.strip())
        found = list(User.objects.filter(ways)[:2])
    finally:
        del text
    if not found:
        raise PersonNotFound("There is no person with this id, e-mail, phone or Telegram id.")
    if len(found) > 1:
        raise PersonNotFound("This is a contact of two people: name the person by the id.")
    return found[0]


def _named(text: str) -> Q:
    ways = Q(email=text.lower())
    with suppress(ValueError):
        ways |= Q(pk=UUID(text))
    for channel, column in CONTACTS.items():
        with suppress(ContactInvalid):
            ways |= Q(**{column: contacts.normalise(channel, text)})
    return ways
