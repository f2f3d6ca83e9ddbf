"""Values of sealed columns and blind indexes, as attributes of a row.

They are shown as ``[sealed]``; only ``Sealed.open()`` returns the plaintext.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn, Protocol
from uuid import UUID

from .. import contacts
from . import envelope
from .envelope import SealingError

type Terms = tuple[Any, ...]  # the basis of a value's check: its schema, the kind of contact

# The origin of an attribute's value: read with the row, assigned, or sealed by the attribute.
STORED, GIVEN, MADE = "stored", "given", "made"


class SealedColumn(Protocol):
    """The column of a sealed value: fields.SealedField."""

    @property
    def qualified_name(self) -> str: ...

    def opened(self, text: str, row_id: UUID) -> Any: ...


class Redacted:
    """Shown as ``[sealed]`` in every format. Copying returns the object itself."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "[sealed]"

    def __format__(self, spec: str) -> str:
        return "[sealed]"

    def __copy__(self):
        return self

    def __deepcopy__(self, memo: object):
        return self


class Plaintext(Redacted):
    """A value to be sealed: text, or for a JSON column any JSON value."""

    __slots__ = ("_value",)

    def __init__(self, value: Any):
        self._value = value

    def __reduce__(self) -> NoReturn:
        raise TypeError("Plaintext is not pickled.")

    def reveal(self) -> Any:
        """The value itself. For sealing only."""
        return self._value

    reveal.alters_data = True  # type: ignore[attr-defined]  # no template opens it by its name


def only_contact(**given: str | None) -> tuple[str, Plaintext]:
    """The only argument of ``email=…, phone=None, …`` that is not None. Raises TypeError."""
    pairs = [(channel, Plaintext(text)) for channel, text in given.items() if text is not None]
    channels = ", ".join(given)
    del given  # error reporters show local variables
    if len(pairs) != 1:
        raise TypeError(f"Give one of {channels}, and only one.")
    return pairs[0]


class Stored(Redacted):
    """Text of a protected column as the database has it."""

    __slots__ = ("origin", "text")

    def __init__(self, text: str, origin: str = GIVEN):
        self.text = text
        self.origin = origin

    @property
    def key_id(self) -> str:
        return self.text.split(".", 2)[1]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stored) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)


class Sealed(Stored):
    """A sealed value: ciphertext, and the column and row that it belongs to.

    A value of ``values()`` does not know its row: use ``open(row_id=…)``.
    """

    __slots__ = ("field", "row_id", "terms")

    def __init__(self, text: str, field: SealedColumn, origin: str = GIVEN):
        super().__init__(text, origin)
        self.field = field
        self.row_id: UUID | None = None
        self.terms: Terms | None = None  # set when sealed, or read with its row

    def __reduce__(self):
        # Pickled as ciphertext.
        return _unpickled, (self.text, self.field, self.origin, self.row_id, self.terms)

    def open(self, *, row_id: UUID | None = None) -> Any:
        """The plaintext. Raises a SealingError with the reason."""
        row = row_id or self.row_id
        if row is None:
            raise SealingError(f"{self.field.qualified_name}: open() needs the id of the row.")
        return self.field.opened(self.text, row if isinstance(row, UUID) else UUID(str(row)))

    open.alters_data = True  # type: ignore[attr-defined]  # no template opens it by its name


def _unpickled(
    text: str, field: SealedColumn, origin: str, row_id: UUID | None, terms: Terms | None
) -> Sealed:
    value = Sealed(text, field, origin)
    value.row_id, value.terms = row_id, terms
    return value


class BlindToken(Stored):
    """A blind index. ``candidates`` are the indexes of the contact under every key."""

    __slots__ = ("candidates",)

    def __init__(self, text: str, origin: str = GIVEN, candidates: Sequence[str] = ()):
        super().__init__(text, origin)
        self.candidates = candidates or [text]

    def __reduce__(self):
        return type(self), (self.text, self.origin, self.candidates)

    @classmethod
    def of(cls, channel: str, contact: str) -> BlindToken:
        """The blind index of a contact (``email``, ``phone``, ``telegram``).

        Raises ContactInvalid for an invalid contact.
        """
        try:
            candidates = envelope.blind_indexes(contacts.normalise(channel, contact))
        finally:
            del contact  # error reporters show local variables
        return cls(candidates[0], MADE, candidates)
