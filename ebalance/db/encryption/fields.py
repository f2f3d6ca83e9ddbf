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
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache, cached_property
from types import SimpleNamespace
from typing import Any, ClassVar, NoReturn
from uuid import UUID

from django.db import models
from django.db.models.expressions import Case, Col, Value, When
from django.db.models.functions import Cast
from django.db.models.lookups import In, Regex
from django.db.models.query_utils import DeferredAttribute

from .. import contacts, patterns
from . import envelope, payloads
from .envelope import SealingError, UnsealedValue, WrongContent
from .values import GIVEN, MADE, STORED, BlindToken, Plaintext, Redacted, Sealed, Stored, Terms

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


class StoredAttribute(DeferredAttribute):
    """The attribute of a protected column: what is assigned goes through its field."""

    field: ProtectedField

    def __set__(self, instance, value):
        attribute, held, state = self.field.attname, instance.__dict__, instance._state
        if value is None or isinstance(value, Redacted):
            taken = self.field.taken(instance, value)
        else:
            del value
            raise UnsealedValue(f"{self.field.place} takes sealed values only.")
        read_now = state.adding or getattr(state, "reading", False)
        if taken is not None and not read_now:
            if taken == held.get(attribute):
                return
            if taken.origin == STORED:
                # Put back by hand, also what was read from the row is written again.
                taken.origin = GIVEN
        held[attribute] = taken

    def fetch_many(self, instances):
        with reading(*instances):
            super().fetch_many(instances)


@contextmanager
def reading(*instances: models.Model) -> Iterator[None]:
    """What is assigned meanwhile is the row's own value, as the database has it."""
    for instance in instances:
        instance._state.reading = True  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for instance in instances:
            instance._state.__dict__.pop("reading", None)


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
        held = instance.__dict__.get(self.attname)
        if held is not None and type(held) is not self.stored:
            del held
            raise UnsealedValue(f"{self.place} holds something that is not sealed.")

    def fits(self, value: Any) -> bool:
        """Whether ``value`` may be written into the column."""
        return value is None or type(value) is self.stored

    # -- from the database and from fixtures ----------------------------------------------------

    def from_db_value(self, value, expression, connection):
        return None if value is None else self.wrapped(value, STORED)

    def to_python(self, value):
        if type(value) is str and re.fullmatch(self.pattern, value):
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
        stored = value is not None and value.origin == STORED
        if not add and stored and not model_instance._state.adding:
            # Unchanged: the column keeps what it has, which a rotation may have renewed meanwhile.
            return models.F(self.attname)
        return value

    def get_prep_value(self, value):
        if self.fits(value):
            return None if value is None else value.text
        del value
        raise UnsealedValue(f"{self.place} takes sealed values only.")

    def get_db_prep_save(self, value, connection):
        if isinstance(value, Col) and value.target is self:
            return value
        if (cases := self._bulk_update(value)) is not None:
            for case in cases:
                if case.result.value is not None and case.result.value.origin == STORED:
                    case.result = Col(self.model._meta.db_table, self)  # unchanged, as in save()
            return value
        return self.get_db_prep_value(value, connection)

    def is_bulk_update(self, value: Any) -> bool:
        """Whether an expression gives every row a value of its own, as bulk_update() writes it."""
        cases = self._bulk_update(value)
        return cases is not None and all(map(_gives_its_own, cases))

    def _bulk_update(self, value: Any) -> list[When] | None:
        """The cases of CASE WHEN pk = … THEN <a value of ours> …, as bulk_update() writes it."""
        if isinstance(value, Cast):
            (value,) = value.get_source_expressions()
        if (
            isinstance(value, Case)
            and isinstance(value.default, Value)
            and value.default.value is None  # whoever is not named gets nobody's value
            and all(isinstance(c.result, Value) and self.fits(c.result.value) for c in value.cases)
        ):
            return value.cases
        return None

    def get_lookup(self, lookup_name):
        return super().get_lookup(lookup_name) if lookup_name in self.lookups else None

    def get_transform(self, lookup_name):
        return None

    def deconstruct(self):
        name, _path, args, kwargs = super().deconstruct()
        return name, "django.db.models.TextField", args, kwargs


def _gives_its_own(case: When) -> bool:
    """WHEN pk = <key> THEN <a value of that row>."""
    condition: Any = case.condition
    if not isinstance(condition, models.Q) or condition.negated or len(condition.children) != 1:
        return False
    (asked,) = condition.children
    value = case.result.value
    return (
        isinstance(asked, tuple)
        and asked[0] == "pk"
        and (not isinstance(value, Sealed) or str(value.row_id) == str(asked[1]))
    )


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
        """The bytes to seal. Raises a typed error that holds nothing of them."""
        return _json(plaintext)

    def opened(self, text: str, row_id: UUID) -> Any:
        """What is sealed in ``text``. Raises a SealingError that holds nothing of it."""
        return _from_json(envelope.open_sealed(text, self.token, row_id), self.place)

    def wrapped(self, text, origin):
        return Sealed(text, self, origin)

    def fits(self, value):
        return value is None or (type(value) is Sealed and value.field == self)

    def taken(self, instance, value):
        if isinstance(value, Plaintext):
            return self._sealed(instance, value)
        if value is None:
            for index in self.indexes:
                instance.__dict__[index.attname] = None
            return None
        if type(value) is not Sealed:
            raise UnsealedValue(f"{self.place} takes sealed values only.")
        row_id = _row_id(instance)
        if value.row_id is None and value.field == self:
            if value.origin == GIVEN:
                value.row_id = row_id
            elif getattr(instance._state, "reading", False):
                self.bind(instance, value)
            elif not instance._state.adding:
                self.prove(instance, value)
            # Else the row is being made: Entity.from_db() binds what it has read, and
            # check_row() lets prove itself what came from somewhere else.
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
        tokens = {index.attname: index.made(instance, plaintext) for index in self.indexes}
        text = envelope.seal(self.encoded(instance, plaintext), self.token, row_id)
        value = Sealed(text, self, MADE)
        value.row_id = row_id
        value.terms = self.terms_of(instance)
        instance.__dict__.update(tokens)
        return value

    def bind(self, instance: models.Model, value: Sealed) -> None:
        """``value`` was read with the row."""
        value.row_id, value.terms = _row_id(instance), self._terms_as_read(instance)

    def prove(self, instance: models.Model, value: Sealed) -> None:
        """``value`` is from ``values()``, of whichever row: it must open in this one.

        Raises UnsealedValue.
        """
        opens = True
        try:
            value.open(row_id=_row_id(instance))
        except SealingError:
            opens = False
        if not opens:
            raise UnsealedValue(f"{self.place}: this value does not open in this row.")
        value.row_id = _row_id(instance)

    @cached_property
    def checked_by(self) -> tuple[str, ...]:
        """Columns of the row that say how its value is checked and indexed."""
        return tuple(index.channel_field for index in self.indexes if index.channel_field)

    def terms_of(self, row: Any) -> Terms:
        """What these columns say."""
        return tuple(getattr(row, name) for name in self.checked_by)

    def knows(self, terms: Terms) -> bool:
        """Whether values can be checked by these; others are outside a closed set, and the
        database refuses the row.
        """
        return all(channel in contacts.READERS for channel in terms)

    def _terms_as_read(self, instance: models.Model) -> Terms | None:
        if not self.checked_by:
            return ()
        try:
            return self.terms_of(SimpleNamespace(**instance.__dict__))
        except AttributeError:  # deferred; asking for it would be a query for each row
            return None

    def _read_what_is_deferred(self, instance: models.Model) -> None:
        """A row may become something else while its value, or what it was, is not loaded."""
        held = instance.__dict__
        value = held.get(self.attname)
        is_known = self.attname in held and (
            value is None or value.origin != STORED or value.terms is not None
        )
        if instance._state.adding or is_known or held.keys().isdisjoint(self.checked_by):
            return
        rows = type(instance)._base_manager.filter(pk=instance.pk)
        before = rows.values(*self.checked_by).first()
        if before is None or all(held.get(name, old) == old for name, old in before.items()):
            return
        if self.attname not in held:
            instance.refresh_from_db(fields=[self.attname])
        if (value := held[self.attname]) is not None:
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
                f"{self.place} holds a value of another row: it would not open in this one."
            )
        terms = self.terms_of(instance)
        if value.terms not in (None, terms) and self.knows(terms):
            # The row became something else since: submitted, another diary, another channel.
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
            raise UnsealedValue(f"{self.place} takes Plaintext of a str.")
        return _json(plaintext)

    def opened(self, text, row_id):
        found = super().opened(text, row_id)
        if not isinstance(found, str):
            del found
            raise WrongContent(f"{self.place} holds something sealed that is not text.")
        return found


class SealedJSON(SealedField):
    """A sealed JSON value.

    ``schema`` tells from the row which JSON Schema its payload must fit, from the columns
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
        if channel not in contacts.READERS:
            raise UnsealedValue(f"{self.place}: set {self.channel_field} first.")
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

    def check_row(self, instance):
        super().check_row(instance)
        token, source = (instance.__dict__.get(name) for name in (self.attname, self.source))
        if token is not None and source is not None and token.origin != source.origin:
            raise UnsealedValue(
                f"{self.place} is written by {self.source}: assign a Plaintext to that."
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
        if not hasattr(rhs, "resolve_expression"):  # a query's own values are blind indexes
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


@cache
def protected_fields(model: type[models.Model]) -> list[ProtectedField]:
    return [field for field in model._meta.concrete_fields if isinstance(field, ProtectedField)]


def together(model: type[models.Model], names: Iterable[str]) -> list[str]:
    """``names`` of columns to be written, with what is written along with them: a sealed column,
    its blind indexes and the channel that these are made by.
    """
    found = dict.fromkeys(names)
    for index in protected_fields(model):
        if isinstance(index, BlindIndex):
            group = [n for n in (index.channel_field, index.source, index.name) if n]
            if not found.keys().isdisjoint(group):
                found |= dict.fromkeys(group)
    return [*found]


def ready_to_save(instance: models.Model) -> list[str]:
    """Check the row's protected values; returns those that were sealed anew for it.

    Raises a SealingError, and for a row that became something else since its value was checked
    PayloadInvalid or ContactInvalid.
    """
    fields = protected_fields(type(instance))
    before = {field: instance.__dict__.get(field.attname) for field in fields}
    for field in fields:
        field.check_row(instance)
    return [f.name for f in fields if instance.__dict__.get(f.attname) is not before[f]]


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
        # A tuple or a key that is no text would come back as something else, and no error.
        if type(plaintext.reveal()) is str or _DECODER.decode(text) == plaintext.reveal():
            return text.encode()
    except (TypeError, ValueError, RecursionError):  # they quote what they stumble over
        pass
    text = ""
    raise WrongContent("This cannot be sealed: it is neither text nor JSON in UTF-8.")


def _from_json(plain: bytes, place: str) -> Any:
    try:
        return _DECODER.decode(plain.decode())
    except (ValueError, RecursionError):
        pass
    del plain
    raise WrongContent(f"{place} holds something sealed that is not JSON in UTF-8.")
