"""Whom an event is about: the ways in which a lead is recognised, strongest first."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from uuid import UUID

from django.db.models import Q

from ebalance.db import contacts, patterns
from ebalance.db.contacts import ContactInvalid
from ebalance.db.encryption.fields import UnsealedValue
from ebalance.db.encryption.values import BlindToken, Plaintext
from ebalance.services import InvalidInput, NotFound, RowOrKey, key_of

from ..models import LeadIdentity

USER, CONTACT, BROWSER = range(3)  # whose lead it is, when several are known (metrics.md)


@dataclass(frozen=True, repr=False)
class Identifier:
    """One way to recognise a lead. Shows itself by type only: it may hold a contact."""

    strength: int
    known: Q  # identities that are this one
    locks: frozenset[int]  # two that are the same share one, also while keys are rotated

    def is_in(self, identity: LeadIdentity) -> bool:
        raise NotImplementedError

    def identity(self) -> LeadIdentity:
        """A new row, of no lead yet."""
        raise NotImplementedError


@dataclass(frozen=True, repr=False)
class User(Identifier):
    key: UUID

    @classmethod
    def of(cls, user: RowOrKey) -> User:
        key = uuid_of(key_of(user))
        if key is None:
            raise NotFound(what="user")
        return cls(USER, Q(user=key), frozenset({lock_key(f"user|{key}")}), key)

    def is_in(self, identity: LeadIdentity) -> bool:
        return identity.user_id == self.key

    def identity(self) -> LeadIdentity:
        return LeadIdentity(user_id=self.key)


@dataclass(frozen=True, repr=False)
class Browser(Identifier):
    anonymous_id: str

    @classmethod
    def of(cls, anonymous_id: str) -> Browser:
        if not isinstance(anonymous_id, str) or not re.fullmatch(patterns.OPAQUE_ID, anonymous_id):
            raise InvalidInput(field="anonymous_id")
        locks = frozenset({lock_key(f"anonymous_id|{anonymous_id}")})
        return cls(BROWSER, Q(anonymous_id=anonymous_id), locks, anonymous_id)

    def is_in(self, identity: LeadIdentity) -> bool:
        return identity.anonymous_id == self.anonymous_id

    def identity(self) -> LeadIdentity:
        return LeadIdentity(anonymous_id=self.anonymous_id)


@dataclass(frozen=True, repr=False)
class Contact(Identifier):
    """An e-mail address, a phone or the numeric id of a Telegram account."""

    channel: str
    token: BlindToken
    contact: Plaintext

    @classmethod
    def of(cls, channel: str, given: Plaintext) -> Contact | None:
        """None for a Telegram name: it can change hands, so nobody is known by it."""
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
            known = Q(telegram_user_id=contact.reveal())
        else:
            known = Q(**{f"{channel}_bidx": token})
        # Of the keyed hash: a lock's number is in the server's log, and contacts can be guessed.
        locks = frozenset(lock_key(f"{channel}|{text}") for text in token.candidates)
        return cls(CONTACT, known, locks, channel, token, contact)

    def is_in(self, identity: LeadIdentity) -> bool:
        if self.channel == "telegram":
            return identity.telegram_user_id == self.contact.reveal()
        held = getattr(identity, f"{self.channel}_bidx")
        return held is not None and held.text in self.token.candidates

    def identity(self) -> LeadIdentity:
        row = LeadIdentity()
        if self.channel == "telegram":
            row.telegram_user_id = self.contact.reveal()
        else:
            setattr(row, f"{self.channel}_encrypted", self.contact)
        return row


def identifiers(
    *,
    user: RowOrKey | None,
    contact: Mapping[str, Plaintext] | None,
    anonymous_id: str | None,
) -> list[Identifier]:
    """What is given, strongest first.

    Raises InvalidInput for what cannot be one, NotFound for a user's key that is none.
    """
    found: list[Identifier | None] = [] if user is None else [User.of(user)]
    found += [Contact.of(channel, value) for channel, value in (contact or {}).items()]
    found += [] if anonymous_id is None else [Browser.of(anonymous_id)]
    return [one for one in found if one is not None]


def is_named(identity: LeadIdentity) -> bool:
    """Whether it says who it is: by more than a browser."""
    values = [identity.user_id, identity.email_bidx, identity.phone_bidx, identity.telegram_user_id]
    return any(value is not None for value in values)


def uuid_of(value: object) -> UUID | None:
    """The UUID that ``value`` is or spells; None when it is none."""
    try:
        return value if isinstance(value, UUID) else UUID(value)  # type: ignore[arg-type]
    except (ValueError, TypeError, AttributeError):
        return None


def lock_key(text: str) -> int:
    """A number for an advisory lock, of which nobody else makes one."""
    digest = blake2b(text.encode(), digest_size=8, person=b"leads").digest()
    return int.from_bytes(digest, signed=True)
