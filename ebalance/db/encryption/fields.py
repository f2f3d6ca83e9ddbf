"""Sealed columns: fields whose values are ciphertext everywhere but in ``open()`` (privacy.md §2).

    question.question_text_encrypted = Plaintext("…")   # sealed at once
    question.question_text_encrypted                    # a Sealed value, shown as [sealed]
    question.question_text_encrypted.open()             # "…"

Every write path refuses anything else (a bare string, an expression, another row's value) before
any SQL runs. Migrations see plain text columns.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cached_property
from types import SimpleNamespace
from typing import Any, NoReturn
from uuid import UUID

from django.db import models

from .. import contacts, lengths, patterns
from . import envelope, payloads
from .blind_index import BlindIndex
from .envelope import SealingError, UnsealedValue, WrongContent
from .protected import ProtectedField, protected_fields
from .values import GIVEN, MADE, STORED, BlindToken, Plaintext, Sealed, Stored, Terms

__all__ = [
    "BlindIndex",
    "BlindToken",
    "Plaintext",
    "ProtectedField",
    "Sealed",
    "SealedField",
    "SealedJSON",
    "SealedText",
    "SealingError",
    "Stored",
    "UnsealedValue",
    "protected_fields",
]

type Schema = tuple[str, bool]  # a name of payloads.py; whether answers may be missing yet


class SealedField(ProtectedField):
    """A sealed column.

    ``token`` binds values to the column. It never changes once values are stored, even if the
    column is renamed.
    """

    stored = Sealed
    pattern = patterns.SEALED
    default_length = lengths.SEALED

    def __init__(self, *args, token: str = "", **kwargs):
        self.token = token.encode("ascii")
        super().__init__(*args, **kwargs)

    @cached_property
    def indexes(self) -> list[BlindIndex]:
        """The blind indexes that are computed from this column."""
        return [
            field
            for field in self.model._meta.concrete_fields
            if isinstance(field, BlindIndex) and field.source == self.name
        ]

    # -- sealing and opening --------------------------------------------------------------------

    def encoded(self, instance: Any, plaintext: Plaintext) -> bytes:
        """The bytes to seal. Raises a typed error that contains no part of them."""
        return _json(plaintext)

    def opened(self, text: str, row_id: UUID) -> Any:
        """The plaintext of ``text``. Raises a SealingError that contains no part of it."""
        return _from_json(envelope.open_sealed(text, self.token, row_id), self.qualified_name)

    def wrapped(self, text, origin):
        return Sealed(text, self, origin)

    def fits(self, value):
        return value is None or (type(value) is Sealed and value.field == self)

    def accept(self, instance, value):
        if isinstance(value, Plaintext):
            return self._sealed(instance, value)
        if value is None:
            for index in self.indexes:
                instance.__dict__[index.attname] = None
            return None
        if type(value) is not Sealed:
            raise UnsealedValue(f"{self.qualified_name} takes sealed values only.")
        row_id = _row_id(instance)
        if value.row_id is None and value.field == self:
            if value.origin == GIVEN:
                value.row_id = row_id
            elif getattr(instance._state, "reading", False):
                self.bind(instance, value)
            elif not instance._state.adding:
                self.prove(instance, value)
            # Otherwise the row is being constructed: Entity.from_db() binds the values that it
            # read, and check_row() proves all others.
        elif value.field != self or value.row_id != row_id:
            raise UnsealedValue(
                f"{self.qualified_name} takes no value of another row or column: "
                "it would not open here."
            )
        return value

    def _sealed(self, instance: models.Model, plaintext: Plaintext) -> Sealed:
        if instance.pk is None:  # the row's id is known before the row is written
            instance.pk = instance._meta.pk.get_pk_value_on_save(instance)
        row_id = _row_id(instance)
        assert row_id is not None
        tokens = {index.attname: index.made(instance, plaintext) for index in self.indexes}
        text = envelope.seal(self.encoded(instance, plaintext), self.token, row_id)
        value = Sealed(text, self, MADE)
        value.row_id = row_id
        value.terms = self.terms_of(instance)
        instance.__dict__.update(tokens)
        return value

    def bind(self, instance: models.Model, value: Sealed) -> None:
        """Mark ``value`` as read with the row."""
        value.row_id, value.terms = _row_id(instance), self._terms_as_read(instance)

    def prove(self, instance: models.Model, value: Sealed) -> None:
        """Raise UnsealedValue unless ``value`` opens in this row.

        A value that was read by ``values()`` does not know its row.
        """
        opens = True
        try:
            value.open(row_id=_row_id(instance))
        except SealingError:
            opens = False
        if not opens:
            raise UnsealedValue(f"{self.qualified_name}: this value does not open in this row.")
        value.row_id = _row_id(instance)

    @cached_property
    def checked_by(self) -> tuple[str, ...]:
        """Columns of the row that decide how its value is checked and indexed."""
        return tuple(index.channel_field for index in self.indexes if index.channel_field)

    def terms_of(self, row: Any) -> Terms:
        """The values of the columns ``checked_by``, as the terms of the check."""
        return tuple(getattr(row, name) for name in self.checked_by)

    def knows(self, terms: Terms) -> bool:
        """Whether values can be checked by these terms.

        Unknown terms are outside a closed set: the database refuses the row.
        """
        return all(channel in contacts.READERS for channel in terms)

    def _terms_as_read(self, instance: models.Model) -> Terms | None:
        if not self.checked_by:
            return ()
        try:
            return self.terms_of(SimpleNamespace(**instance.__dict__))
        except AttributeError:  # deferred: loading it would cost a query for each row
            return None

    def _read_what_is_deferred(self, instance: models.Model) -> None:
        """Load the value, or its terms, if the row changes kind while they are deferred."""
        attributes = instance.__dict__
        value = attributes.get(self.attname)
        is_known = self.attname in attributes and (
            value is None or value.origin != STORED or value.terms is not None
        )
        if instance._state.adding or is_known or attributes.keys().isdisjoint(self.checked_by):
            return
        rows = type(instance)._base_manager.filter(pk=instance.pk)
        before = rows.values(*self.checked_by).first()
        if before is None or all(attributes.get(name, old) == old for name, old in before.items()):
            return
        if self.attname not in attributes:
            instance.refresh_from_db(fields=[self.attname])
        if (value := attributes[self.attname]) is not None:
            value.terms = self.terms_of(SimpleNamespace(**before))

    def check_row(self, instance):
        super().check_row(instance)
        self._read_what_is_deferred(instance)
        value = instance.__dict__.get(self.attname)
        if value is None:
            return
        if value.row_id is None:
            self.prove(instance, value)
        if value.row_id != _row_id(instance):
            raise UnsealedValue(
                f"{self.qualified_name} holds a value of another row: "
                "it would not open in this one."
            )
        terms = self.terms_of(instance)
        if value.terms not in (None, terms) and self.knows(terms):
            # The row changed kind: a form was submitted, or the diary type or channel changed.
            setattr(instance, self.attname, Plaintext(value.open()))

    def check_payload(self, instance: Any, changed: dict[str, Any]) -> None:
        """Raise PayloadInvalid when the value does not fit the row with ``changed`` columns."""
        value = getattr(instance, self.attname)
        row = SimpleNamespace(**instance.__dict__ | changed)
        if value is not None and self.knows(self.terms_of(row)):
            self.encoded(row, Plaintext(value.open()))


class SealedText(SealedField):
    """Sealed text."""

    def encoded(self, instance, plaintext):
        if not isinstance(plaintext.reveal(), str):
            raise UnsealedValue(f"{self.qualified_name} takes Plaintext of a str.")
        return _json(plaintext)

    def opened(self, text, row_id):
        value = super().opened(text, row_id)
        if not isinstance(value, str):
            del value
            raise WrongContent(f"{self.qualified_name} holds something sealed that is not text.")
        return value


class SealedJSON(SealedField):
    """A sealed JSON value.

    ``schema`` returns the JSON Schema that the payload of a row must fit. It reads the columns
    ``checked_by``.
    """

    def __init__(
        self,
        *args,
        schema: Callable[[Any], Schema] | None = None,
        checked_by: tuple[str, ...] = (),
        **kwargs,
    ):
        self.schema = schema
        self.checked_by = checked_by
        super().__init__(*args, **kwargs)

    def terms_of(self, row):
        return self.schema(row) if self.schema else ()

    def knows(self, terms):
        return not terms or payloads.is_known(terms[0])

    def encoded(self, instance, plaintext):
        if self.schema:
            name, draft = self.schema(instance)
            payloads.validate(name, plaintext.reveal(), draft=draft)
        return _json(plaintext)


def _no_constant(name: str) -> NoReturn:
    raise ValueError  # NaN and Infinity are not JSON


_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_DECODER = json.JSONDecoder(parse_constant=_no_constant)


def _row_id(instance: models.Model) -> UUID | None:
    pk = instance.pk
    return pk if pk is None or isinstance(pk, UUID) else UUID(str(pk))


def _json(plaintext: Plaintext) -> bytes:
    try:
        text = _ENCODER.encode(plaintext.reveal())
        # A tuple, or a key that is not text, would be read back as a different value.
        if type(plaintext.reveal()) is str or _DECODER.decode(text) == plaintext.reveal():
            return text.encode()
    except (TypeError, ValueError, RecursionError):  # these errors quote the value
        pass
    text = ""
    raise WrongContent("This cannot be sealed: it is neither text nor JSON in UTF-8.")


def _from_json(plain: bytes, qualified_name: str) -> Any:
    try:
        return _DECODER.decode(plain.decode())
    except (ValueError, RecursionError):
        pass
    del plain
    raise WrongContent(f"{qualified_name} holds something sealed that is not JSON in UTF-8.")
