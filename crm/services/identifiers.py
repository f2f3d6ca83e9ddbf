"""Identifiers that recognise a person as a lead: account, contact, browser."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from hashlib import blake2b
from uuid import UUID

from django.db.models import Q

from ebalance.db import contacts
from ebalance.db.contacts import ContactInvalid
from ebalance.db.encryption.fields import UnsealedValue
from ebalance.db.encryption.values import BlindToken, Plaintext
from ebalance.services import (
    InvalidInput,
    NotFound,
    RowOrKey,
    parse_opaque_id,
    pk_of,
    uuid_or_none,
)

from ..models import LeadIdentity

# Few enough to be rows, and enough that two people seldom wait for each other.
LOCK_PARTS = 1024


class Strength(IntEnum):
    """How reliably an identifier names a person; the strongest first (metrics.md)."""

    ACCOUNT = 0
    CONTACT = 1
    BROWSER = 2


@dataclass(frozen=True, repr=False)
class Identifier:
    """An identifier of a lead. Its repr shows only the type, because it may hold a contact."""

    strength: Strength
    matching: Q  # identities with this identifier
    lock_keys: frozenset[int]  # equal identifiers share a key, also while keys are rotated

    def matches(self, identity: LeadIdentity) -> bool:
        raise NotImplementedError

    def new_identity(self) -> LeadIdentity:
        """An unsaved row, without a lead."""
        raise NotImplementedError


@dataclass(frozen=True, repr=False)
class Account(Identifier):
    key: UUID

    @classmethod
    def of(cls, user: RowOrKey) -> Account:
        key = uuid_or_none(pk_of(user))
        if key is None:
            raise NotFound(what="user")
        return cls(Strength.ACCOUNT, Q(user=key), frozenset({lock_key(f"user|{key}")}), key)

    def matches(self, identity: LeadIdentity) -> bool:
        return identity.user_id == self.key

    def new_identity(self) -> LeadIdentity:
        return LeadIdentity(user_id=self.key)


@dataclass(frozen=True, repr=False)
class Browser(Identifier):
    anonymous_id: str

    @classmethod
    def of(cls, anonymous_id: str) -> Browser:
        parse_opaque_id(anonymous_id, "anonymous_id")
        keys = frozenset({lock_key(f"anonymous_id|{anonymous_id}")})
        return cls(Strength.BROWSER, Q(anonymous_id=anonymous_id), keys, anonymous_id)

    def matches(self, identity: LeadIdentity) -> bool:
        return identity.anonymous_id == self.anonymous_id

    def new_identity(self) -> LeadIdentity:
        return LeadIdentity(anonymous_id=self.anonymous_id)


@dataclass(frozen=True, repr=False)
class Contact(Identifier):
    """An e-mail address, a phone number or the numeric id of a Telegram account."""

    channel: str
    token: BlindToken
    contact: Plaintext

    @classmethod
    def of(cls, channel: str, given: Plaintext) -> Contact | None:
        """None for a Telegram name: it can change hands, so it identifies nobody."""
        if channel not in contacts.READERS:
            raise InvalidInput(field="contact")
        if not isinstance(given, Plaintext):
            del given
            raise UnsealedValue("A contact is given as Plaintext.")
        try:
            contact = Plaintext(contacts.normalise(channel, given.reveal()))
        except ContactInvalid:
            contact = None
        if contact is None:
            raise InvalidInput(field=channel)
        if channel == "telegram" and not contact.reveal().isdigit():
            return None
        token = BlindToken.of(channel, contact.reveal())
        if channel == "telegram":
            matching = Q(telegram_user_id=contact.reveal())
        else:
            matching = Q(**{f"{channel}_bidx": token})
        # From the keyed hash: contacts can be guessed, and the server's log may show the numbers.
        keys = frozenset(lock_key(f"{channel}|{text}") for text in token.candidates)
        return cls(Strength.CONTACT, matching, keys, channel, token, contact)

    def matches(self, identity: LeadIdentity) -> bool:
        if self.channel == "telegram":
            return identity.telegram_user_id == self.contact.reveal()
        stored = getattr(identity, f"{self.channel}_bidx")
        return stored is not None and stored.text in self.token.candidates

    def new_identity(self) -> LeadIdentity:
        row = LeadIdentity()
        if self.channel == "telegram":
            row.telegram_user_id = self.contact.reveal()
        else:
            setattr(row, f"{self.channel}_encrypted", self.contact)
        return row


def parse_identifiers(
    *,
    user: RowOrKey | None,
    contact: Mapping[str, Plaintext] | None,
    anonymous_id: str | None,
) -> list[Identifier]:
    """The identifiers of an event, the strongest first.

    Raises InvalidInput for a value that cannot be an identifier, NotFound for an unknown user.
    """
    if contact is not None and not isinstance(contact, Mapping):
        raise InvalidInput(field="contact")
    identifiers: list[Identifier | None] = [] if user is None else [Account.of(user)]
    identifiers += [Contact.of(channel, value) for channel, value in (contact or {}).items()]
    identifiers += [] if anonymous_id is None else [Browser.of(anonymous_id)]
    return [identifier for identifier in identifiers if identifier is not None]


def has_name(identity: LeadIdentity) -> bool:
    """Whether the identity holds more than a browser: an account or a contact."""
    values = [identity.user_id, identity.email_bidx, identity.phone_bidx, identity.telegram_user_id]
    return any(value is not None for value in values)


def lock_key(text: str) -> int:
    """The part of the lock that the identifier has in common with a few others."""
    digest = blake2b(text.encode(), digest_size=8, person=b"leads").digest()
    return int.from_bytes(digest) % LOCK_PARTS
