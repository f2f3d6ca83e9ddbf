"""The base of sealed columns and blind indexes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, ClassVar

from django.db import models
from django.db.models.expressions import Case, Col, Value, When
from django.db.models.functions import Cast
from django.db.models.query_utils import DeferredAttribute

from ..lengths import HasLength
from .envelope import UnsealedValue
from .values import GIVEN, STORED, Redacted, Sealed, Stored


class StoredAttribute(DeferredAttribute):
    """The attribute of a protected column. Its field checks, and may replace, each new value."""

    field: ProtectedField

    def __set__(self, instance, value):
        attribute, attributes = self.field.attname, instance.__dict__
        if value is None or isinstance(value, Redacted):
            accepted = self.field.accept(instance, value)
        else:
            del value
            raise UnsealedValue(f"{self.field.qualified_name} takes sealed values only.")
        state = instance._state
        read_now = state.adding or getattr(state, "reading", False)
        if accepted is not None and not read_now:
            if accepted == attributes.get(attribute):
                return
            if accepted.origin == STORED:
                # An explicitly assigned value is written, even if it was read from the row.
                accepted.origin = GIVEN
        attributes[attribute] = accepted

    def fetch_many(self, instances):
        with reading(*instances):
            super().fetch_many(instances)


@contextmanager
def reading(*instances: models.Model) -> Iterator[None]:
    """Mark the values that are assigned inside the block as read from the rows."""
    for instance in instances:
        instance._state.reading = True  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for instance in instances:
            instance._state.__dict__.pop("reading", None)


class ProtectedField(HasLength, models.TextField):
    """A column that takes values of one class only, and no expressions."""

    column: str
    descriptor_class = StoredAttribute
    empty_strings_allowed = False  # an absent value is NULL, not ""
    stored: ClassVar[type[Stored]]
    pattern: ClassVar[str]
    # No lookup compares the column with plaintext.
    lookups: ClassVar[frozenset[str]] = frozenset({"isnull"})

    def __init__(self, *args, **kwargs):
        kwargs.setdefault("editable", False)
        super().__init__(*args, **kwargs)

    def size_of(self, value):
        return len(value.text) if isinstance(value, Stored) else 0

    @property
    def qualified_name(self) -> str:
        return f"{self.model._meta.db_table}.{self.column}"

    def accept(self, instance: models.Model, value: Any) -> Stored | None:
        """The value that the attribute gets when ``value`` is assigned. Raises UnsealedValue."""
        raise NotImplementedError

    def wrapped(self, text: str, origin: str) -> Stored:
        raise NotImplementedError

    def check_row(self, instance: models.Model) -> None:
        """Raise a SealingError for a value that does not belong to the row."""
        value = instance.__dict__.get(self.attname)
        if value is not None and type(value) is not self.stored:
            del value
            raise UnsealedValue(f"{self.qualified_name} holds something that is not sealed.")

    def fits(self, value: Any) -> bool:
        """Whether ``value`` may be written into the column."""
        return value is None or type(value) is self.stored

    # -- from the database and from fixtures ----------------------------------------------------

    def from_db_value(self, value, expression, connection):
        return None if value is None else self.wrapped(value, STORED)

    def to_python(self, value):
        if type(value) is str and re.fullmatch(self.pattern, value):
            return self.wrapped(value, GIVEN)
        # The attribute refuses any other value. Django would quote the value in an error from here.
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
            # Unchanged: keep the column's text, which a rotation may have renewed meanwhile.
            return models.F(self.attname)
        return value

    def get_prep_value(self, value):
        if self.fits(value):
            return None if value is None else value.text
        del value
        raise UnsealedValue(f"{self.qualified_name} takes sealed values only.")

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
        """Whether an expression sets a separate value for each row, as bulk_update() does."""
        cases = self._bulk_update(value)
        return cases is not None and all(map(_gives_its_own, cases))

    def _bulk_update(self, value: Any) -> list[When] | None:
        """The cases of CASE WHEN pk = … THEN <a value of this column> …, from bulk_update()."""
        if isinstance(value, Cast):
            (value,) = value.get_source_expressions()
        if (
            isinstance(value, Case)
            and isinstance(value.default, Value)
            and value.default.value is None  # a row without a case gets NULL
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


@cache
def protected_fields(model: type[models.Model]) -> list[ProtectedField]:
    return [field for field in model._meta.concrete_fields if isinstance(field, ProtectedField)]
