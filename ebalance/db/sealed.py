"""Sealed columns: fields whose values are ciphertext everywhere but in ``open()`` (privacy.md §2).

    question.question_text_encrypted = Plaintext("…")   # sealed at once
    question.question_text_encrypted                    # a Sealed value; shows itself to nobody
    question.question_text_encrypted.open()             # "…"

Nothing else is taken: a bare string, an expression or another row's value is refused before any
SQL, on every way of writing. Migrations see plain text columns.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NoReturn
from uuid import UUID

from django.db import models
from django.db.models.expressions import Case, Col, Value
from django.db.models.functions import Cast
from django.db.models.lookups import In
from django.db.models.query_utils import DeferredAttribute

from . import contacts, envelope, patterns, payloads
from .envelope import SealingError, UnsealedValue, WrongContent

__all__ = [
    "BlindIndex",
    "BlindToken",
    "Plaintext",
    "Sealed",
    "SealedJSON",
    "SealedText",
    "SealingError",
    "UnsealedValue",
]

type Schema = tuple[str, bool]  # a name of payloads.py; whether answers may be missing yet

# Where an attribute's value is from: the row as it was read, a fixture, plaintext sealed here.
STORED, GIVEN, MADE = "stored", "given", "made"


class Redacted:
    """Shows itself as ``[sealed]``, however it is asked; no copy of it is made."""

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
    """A value on its way into a sealed column: text, or for a JSON column anything JSON holds."""

    __slots__ = ("_value",)

    def __init__(self, value: Any):
        self._value = value

    def __reduce__(self) -> NoReturn:
        raise TypeError("Plaintext is not pickled.")

    def reveal(self) -> Any:
        """The value in the open. For sealing it."""
        return self._value


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

    A value of ``values()`` does not know its row: ``open(row_id=…)`` is told.
    """

    __slots__ = ("field", "row_id", "schema")

    def __init__(self, text: str, field: SealedField, origin: str = GIVEN):
        super().__init__(text, origin)
        self.field = field
        self.row_id: UUID | None = None
        self.schema: Schema | None = None  # of a payload that was sealed here

    def __reduce__(self):
        # Pickled, it stays what it is: ciphertext.
        return _unpickled, (self.text, self.field, self.origin, self.row_id)

    def open(self, *, row_id: UUID | None = None) -> Any:
        """The plaintext. Raises a SealingError that says why it does not open."""
        row = row_id or self.row_id
        if row is None:
            raise SealingError(f"{self.field.place}: open() needs the id of the row.")
        return self.field.opened(self.text, row)

    open.alters_data = True  # type: ignore[attr-defined]  # no template opens it by its name


def _unpickled(text: str, field: SealedField, origin: str, row_id: UUID | None) -> Sealed:
    value = Sealed(text, field, origin)
    value.row_id = row_id
    return value


class BlindToken(Stored):
    """A blind index. Made from a contact, it knows what it may be stored as under every key."""

    __slots__ = ("candidates",)

    def __init__(self, text: str, origin: str = GIVEN, candidates: Sequence[str] = ()):
        super().__init__(text, origin)
        self.candidates = candidates or [text]

    def __reduce__(self):
        return type(self), (self.text, self.origin, self.candidates)

    @classmethod
    def of(cls, channel: str, contact: str) -> BlindToken:
        """The blind index of a contact (``email``, ``phone``, ``telegram``).

        Raises ContactInvalid for what is no such contact.
        """
        found = envelope.blind_indexes(contacts.normalise(channel, contact))
        return cls(found[0], MADE, found)


class StoredAttribute(DeferredAttribute):
    """The attribute of a protected column: what is assigned goes through its field."""

    field: ProtectedField

    def __set__(self, instance, value):
        attribute, held = self.field.attname, instance.__dict__
        before = held.get(attribute)
        if value is None or isinstance(value, Redacted):
            taken = self.field.taken(instance, value)
        else:
            del value
            raise UnsealedValue(f"{self.field.place} takes sealed values only.")
        if taken is not None and before is not None and taken is not before:
            # Put back by hand, also what was read from the row is written again.
            taken.origin = GIVEN if taken.origin == STORED else taken.origin
        held[attribute] = taken


class ProtectedField(models.TextField):
    """What sealed columns and blind indexes share: values of one class, and no expressions."""

    column: str
    descriptor_class = StoredAttribute
    empty_strings_allowed = False  # what was not given is NULL, not ""
    stored: ClassVar[type[Stored]]
    pattern: ClassVar[str]
    # Lookups that the column has; nothing in it can be searched in the open.
    lookups: ClassVar[frozenset[str]] = frozenset({"isnull"})

    def __init__(self, *args, **kwargs):
        kwargs.setdefault("editable", False)
        super().__init__(*args, **kwargs)

    @property
    def place(self) -> str:
        return f"{self.model._meta.db_table}.{self.column}"

    def taken(self, instance: models.Model, value: Any) -> Stored | None:
        """What the attribute holds once ``value`` is assigned. Raises UnsealedValue."""
        raise NotImplementedError

    def wrapped(self, text: str, origin: str) -> Stored:
        raise NotImplementedError

    def check_row(self, instance: models.Model) -> None:
        """Raise a SealingError for a value that does not belong to the row."""

    # -- from the database and from fixtures ----------------------------------------------------

    def from_db_value(self, value, expression, connection):
        return None if value is None else self.wrapped(value, STORED)

    def to_python(self, value):
        if isinstance(value, str) and re.fullmatch(self.pattern, value):
            return self.wrapped(value, GIVEN)
        # Left as it is for the attribute to refuse: an error here would be quoted with the value.
        return value

    def value_to_string(self, obj):
        value: Any = self.value_from_object(obj)
        return "" if value is None else value.text

    # -- to the database ------------------------------------------------------------------------

    def pre_save(self, model_instance, add):
        self.check_row(model_instance)
        value = getattr(model_instance, self.attname)
        if not add and value is not None and value.origin == STORED:
            # Unchanged: the column keeps what it has, which a rotation may have renewed meanwhile.
            return models.F(self.attname)
        return value

    def get_prep_value(self, value):
        if value is None or isinstance(value, self.stored):
            return None if value is None else value.text
        del value
        raise UnsealedValue(f"{self.place} takes sealed values only.")

    def get_db_prep_save(self, value, connection):
        if hasattr(value, "resolve_expression"):
            if self._is_own_column(value) or self._is_bulk_update(value):
                return value
            del value
            raise UnsealedValue(f"{self.place} takes sealed values only, no expressions.")
        return super().get_db_prep_save(value, connection)

    def _is_own_column(self, value) -> bool:
        return isinstance(value, Col) and value.target is self

    def _is_bulk_update(self, value) -> bool:
        """CASE WHEN pk = … THEN <a value of this field> …, as bulk_update() writes it."""
        if isinstance(value, Cast):
            (value,) = value.get_source_expressions()
        return isinstance(value, Case) and all(
            isinstance(result, Value) and isinstance(result.value, self.stored | None)
            for result in (value.default, *(case.result for case in value.cases))
        )

    def get_lookup(self, lookup_name):
        return super().get_lookup(lookup_name) if lookup_name in self.lookups else None

    def get_transform(self, lookup_name):
        return None

    def deconstruct(self):
        name, _path, args, kwargs = super().deconstruct()
        return name, "django.db.models.TextField", args, kwargs


class SealedField(ProtectedField):
    """A sealed column.

    ``token`` binds its values to it. It is declared, and never changes once values are stored:
    the column may be renamed, the token not.
    """

    stored = Sealed
    pattern = patterns.SEALED

    def __init__(self, *args, token: str = "", **kwargs):
        self.token = token.encode("ascii")
        super().__init__(*args, **kwargs)

    def indexes(self) -> list[BlindIndex]:
        """The blind indexes that are computed from this column."""
        return [
            field
            for field in self.model._meta.concrete_fields
            if isinstance(field, BlindIndex) and field.source == self.name
        ]

    # -- sealing and opening --------------------------------------------------------------------

    def encoded(self, instance: models.Model, plaintext: Plaintext) -> bytes:
        """The bytes to seal. Raises a typed error that holds nothing of them."""
        return _json(plaintext)

    def opened(self, text: str, row_id: UUID) -> Any:
        """What is sealed in ``text``. Raises a SealingError that holds nothing of it."""
        return _from_json(envelope.open_sealed(text, self.token, row_id), self.place)

    def wrapped(self, text, origin):
        return Sealed(text, self, origin)

    def taken(self, instance, value):
        if isinstance(value, Plaintext):
            return self._sealed(instance, value)
        if value is None:
            for index in self.indexes():
                instance.__dict__[index.attname] = None
            return None
        if type(value) is not Sealed:
            raise UnsealedValue(f"{self.place} takes sealed values only.")
        row_id = _row_id(instance)
        if value.row_id is None and value.field == self:
            value.row_id = row_id
        elif value.field != self or value.row_id != row_id:
            raise UnsealedValue(
                f"{self.place} takes no value of another row or column: it would not open here."
            )
        return value

    def _sealed(self, instance: models.Model, plaintext: Plaintext) -> Sealed:
        if instance.pk is None:  # the row's id is known before the row is written
            instance.pk = instance._meta.pk.get_pk_value_on_save(instance)
        row_id = _row_id(instance)
        assert row_id is not None
        tokens = {index.attname: index.made(instance, plaintext) for index in self.indexes()}
        text = envelope.seal(self.encoded(instance, plaintext), self.token, row_id)
        value = Sealed(text, self, MADE)
        value.row_id = row_id
        value.schema = self.schema_of(instance)
        instance.__dict__.update(tokens)
        return value

    def schema_of(self, instance: models.Model) -> Schema | None:
        """The JSON Schema that this row's payload must fit."""
        return None

    def check_row(self, instance):
        value = instance.__dict__.get(self.attname)
        if value is None:
            return
        if value.row_id != _row_id(instance):
            raise UnsealedValue(
                f"{self.place} holds a value of another row: it would not open in this one."
            )
        if value.schema is not None and value.schema != self.schema_of(instance):
            raise UnsealedValue(
                f"{self.place}: the row became something else after its payload was checked "
                f"as {value.schema[0]}; assign the payload last."
            )


class SealedText(SealedField):
    """Sealed text."""

    def encoded(self, instance, plaintext):
        if not isinstance(plaintext.reveal(), str):
            raise UnsealedValue(f"{self.place} takes Plaintext of a str.")
        return _json(plaintext)

    def opened(self, text, row_id):
        found = super().opened(text, row_id)
        if not isinstance(found, str):
            del found
            raise WrongContent(f"{self.place} holds something sealed that is not text.")
        return found


class SealedJSON(SealedField):
    """A sealed JSON value. ``schema`` tells from the row which JSON Schema its payload must fit."""

    def __init__(self, *args, schema: Callable[[Any], Schema] | None = None, **kwargs):
        self.schema = schema
        super().__init__(*args, **kwargs)

    def schema_of(self, instance):
        return self.schema(instance) if self.schema else None

    def encoded(self, instance, plaintext):
        if schema := self.schema_of(instance):
            name, draft = schema
            payloads.validate(name, plaintext.reveal(), draft=draft)
        return _json(plaintext)


class BlindIndex(ProtectedField):
    """Keyed hash of a contact, for equality search. Written by the column it is computed from.

    ``source`` is the sealed column, ``channel`` what kind of contact it holds: one of
    contacts.py, or with ``channel_field`` the column of the row that says which.
    """

    stored = BlindToken
    pattern = patterns.BLIND_INDEX
    # regex is what the column's own CHECK asks in full_clean().
    lookups = frozenset({"isnull", "exact", "in", "regex"})

    def __init__(
        self, *args, source: str = "", channel: str = "", channel_field: str = "", **kwargs
    ):
        self.source = source
        self.channel = channel
        self.channel_field = channel_field
        super().__init__(*args, **kwargs)

    @property
    def source_field(self) -> SealedField:
        field = self.model._meta.get_field(self.source)
        assert isinstance(field, SealedField)
        return field

    def made(self, instance: models.Model, plaintext: Plaintext) -> BlindToken:
        """The blind index of ``plaintext``. Raises ContactInvalid."""
        if not isinstance(plaintext.reveal(), str):
            raise UnsealedValue(f"{self.place} is computed from Plaintext of a str.")
        channel = self.channel or getattr(instance, self.channel_field)
        return BlindToken.of(channel, plaintext.reveal())

    def wrapped(self, text, origin):
        return BlindToken(text, origin)

    def taken(self, instance, value):
        if value is None:
            # Model(…) sets every column that it was not given; the one made a moment ago stays.
            source = instance.__dict__.get(self.source)
            made = isinstance(source, Sealed) and source.origin == MADE
            return instance.__dict__.get(self.attname) if made else None
        if type(value) is not BlindToken:
            raise UnsealedValue(f"{self.place} takes blind indexes only.")
        return value


@BlindIndex.register_lookup
class SameContact(In):
    """``email_bidx=BlindToken.of("email", …)``: the contact under any key of the ring."""

    lookup_name = "exact"

    def __init__(self, lhs, rhs):
        if not isinstance(rhs, BlindToken):
            del rhs
            raise UnsealedValue("A blind index is only compared with a blind index.")
        super().__init__(lhs, [BlindToken(text) for text in rhs.candidates])


def protected_fields(model: type[models.Model]) -> list[ProtectedField]:
    return [field for field in model._meta.concrete_fields if isinstance(field, ProtectedField)]


def with_indexes(model: type[models.Model], names: Sequence[str]) -> list[str]:
    """``names`` of columns to be written, with the blind indexes of the sealed ones among them."""
    fields = {name: model._meta.get_field(name) for name in names}
    more = [
        index.name
        for field in fields.values()
        if isinstance(field, SealedField)
        for index in field.indexes()
        if index.name not in fields
    ]
    return [*names, *more]


def _no_constant(name: str) -> NoReturn:
    raise ValueError  # NaN and Infinity are not JSON


_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_DECODER = json.JSONDecoder(parse_constant=_no_constant)


def _row_id(instance: models.Model) -> UUID | None:
    pk = instance.pk
    return pk if pk is None or isinstance(pk, UUID) else UUID(str(pk))


def _json(plaintext: Plaintext) -> bytes:
    try:
        return _ENCODER.encode(plaintext.reveal()).encode()
    except (TypeError, ValueError, RecursionError):  # they quote what they stumble over
        pass
    raise WrongContent("This cannot be sealed: it is neither text nor JSON in UTF-8.")


def _from_json(plain: bytes, place: str) -> Any:
    try:
        return _DECODER.decode(plain.decode())
    except (ValueError, RecursionError):
        pass
    del plain
    raise WrongContent(f"{place} holds something sealed that is not JSON in UTF-8.")
