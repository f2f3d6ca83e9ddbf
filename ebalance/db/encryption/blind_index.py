"""Blind indexes: keyed hashes of contacts, searched for equality only (privacy.md §2)."""

from __future__ import annotations

from django.db import models
from django.db.models.lookups import In, Regex

from .. import contacts, lengths, patterns
from .envelope import UnsealedValue
from .protected import ProtectedField
from .values import MADE, BlindToken, Plaintext, Sealed


class BlindIndex(ProtectedField):
    """Keyed hash of a contact, for equality search. The column ``source`` writes it.

    ``source`` is the sealed column that the index is computed from. ``channel`` is the kind of
    contact (contacts.py); with ``channel_field``, that column of the row has the kind.
    """

    stored = BlindToken
    pattern = patterns.BLIND_INDEX
    default_length = lengths.BLIND_INDEX
    # full_clean() uses regex for the column's own CHECK.
    lookups = frozenset({"isnull", "exact", "in", "regex"})

    def __init__(
        self, *args, source: str = "", channel: str = "", channel_field: str = "", **kwargs
    ):
        self.source = source
        self.channel = channel
        self.channel_field = channel_field
        super().__init__(*args, **kwargs)

    def made(self, instance: models.Model, plaintext: Plaintext) -> BlindToken:
        """The blind index of ``plaintext``. Raises ContactInvalid."""
        if not isinstance(plaintext.reveal(), str):
            raise UnsealedValue(f"{self.qualified_name} is computed from Plaintext of a str.")
        channel = self.channel or getattr(instance, self.channel_field)
        if channel not in contacts.READERS:
            raise UnsealedValue(f"{self.qualified_name}: set {self.channel_field} first.")
        return BlindToken.of(channel, plaintext.reveal())

    def wrapped(self, text, origin):
        return BlindToken(text, origin)

    def accept(self, instance, value):
        if value is None:
            # Model(…) assigns None to every absent argument. Keep a token that was just made.
            source = instance.__dict__.get(self.source)
            made = isinstance(source, Sealed) and source.origin == MADE
            return instance.__dict__.get(self.attname) if made else None
        if type(value) is not BlindToken:
            raise UnsealedValue(f"{self.qualified_name} takes blind indexes only.")
        return value

    def check_row(self, instance):
        super().check_row(instance)
        token, source = (instance.__dict__.get(name) for name in (self.attname, self.source))
        if token is not None and source is not None and token.origin != source.origin:
            raise UnsealedValue(
                f"{self.qualified_name} is written by {self.source}: assign a Plaintext to that."
            )


@BlindIndex.register_lookup
class OwnPattern(Regex):
    def __init__(self, lhs, rhs):
        if rhs != patterns.BLIND_INDEX:
            del rhs
            raise UnsealedValue("A blind index is not searched by pattern.")
        super().__init__(lhs, rhs)


@BlindIndex.register_lookup
class SameContacts(In):
    """``email_bidx__in=[BlindToken.of("email", …)]``: contacts under any key of the ring."""

    def __init__(self, lhs, rhs):
        if not hasattr(rhs, "resolve_expression"):  # the values of a query are blind indexes
            rhs = [*rhs]
            if not all(type(token) is BlindToken for token in rhs):
                del rhs
                raise UnsealedValue("A blind index is only compared with blind indexes.")
            rhs = [BlindToken(text) for token in rhs for text in token.candidates]
        super().__init__(lhs, rhs)


@BlindIndex.register_lookup
class SameContact(SameContacts):
    lookup_name = "exact"

    def __init__(self, lhs, rhs):
        super().__init__(lhs, [rhs])
