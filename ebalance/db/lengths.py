"""The length of a text, declared beside its column and kept by the database (data-model.md §0).

A field that inherits from ``HasLength`` takes ``max_length``, in characters, and brings the CHECK
``<table>_<column>_has_length``. Forms of the field refuse a longer text before the database does.
"""

from __future__ import annotations

import json
from typing import Any, ClassVar

from django.contrib.postgres.fields import ArrayField
from django.core import checks
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import models
from django.db.models import F, Func, Q, Value
from django.db.models.functions import Length
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from . import rules
from .storable import is_storable

models.TextField.register_lookup(Length)

CODE, SLUG = 60, 120
TITLE = 200  # titles, names and synonyms
EMAIL, PHONE, TELEGRAM_ID, TELEGRAM_NAME = 254, 16, 20, 32
PASSWORD, USER_AGENT = 128, 300
OPAQUE_ID = BLIND_INDEX = 64
# An Idempotence-Key of YooKassa has at most 64 characters, an id of a payment 36.
PROVIDER_ID, EXTERNAL_ID = 64, 200
PATH, URL = 500, 2_000
NOTE = 2_000  # excerpts, descriptions and notes
MARKDOWN, SEALED = 200_000, 400_000
JSON_OBJECT, JSON_DOCUMENT = 20_000, 200_000
LIST = 100  # members of a list


class LengthCheck(rules.Check):
    """A CHECK of a length, which ``full_clean()`` asks without a query."""

    def __init__(self, table: str, field: HasLength, condition: Q):
        self.measured = field
        super().__init__(
            f"{table}_{field.column}_has_length",
            condition,
            format_lazy(_("At most {limit} characters."), limit=field.max_length),
            field=field.name,
        )

    def validate(self, model, instance, exclude=None, using="default"):
        field = self.measured
        value = instance.__dict__.get(field.attname)
        if value is None or field.size_of(value) <= field.limit:
            return
        shown_at = NON_FIELD_ERRORS if field.name in (exclude or ()) else field.name
        message = self.get_violation_error_message()
        raise ValidationError({shown_at: ValidationError(message, code=self.name)})


class HasLength(models.Field):
    """A column whose ``max_length`` is declared. Migrations see it as a CHECK, not in the field."""

    max_length: int | None
    default_length: ClassVar[int | None] = None  # of a type that decides it

    def __init__(self, *args, max_length=None, **kwargs):
        super().__init__(*args, max_length=max_length or self.default_length, **kwargs)  # type: ignore[misc]

    @property
    def limit(self) -> int:
        """The longest value, in characters."""
        assert self.max_length is not None
        return self.max_length

    def size_of(self, value: Any) -> int:
        """The length of ``value`` as the database counts it; 0 for no text."""
        return len(value) if isinstance(value, str) else 0

    def length_condition(self) -> Q:
        return Q(**{f"{self.name}__length__lte": self.limit})

    def rules_of(self, table: str) -> list[models.BaseConstraint]:
        """The rules that the column brings along."""
        return [LengthCheck(table, self, self.length_condition())]

    def contribute_to_class(self, cls, name, private_only=False):
        super().contribute_to_class(cls, name, private_only)
        is_copy = cls._meta.abstract or cls.__module__ == "__fake__"  # of a migration
        if self.max_length is not None and not is_copy:
            added = [*cls._meta.constraints, *self.rules_of(cls._meta.db_table)]
            cls._meta.constraints = cls._meta.original_attrs["constraints"] = added

    def check(self, **kwargs):
        errors = super().check(**kwargs)
        if self.max_length is None:
            errors.append(
                checks.Error(
                    "A text column has no length.",
                    hint="Declare max_length= (data-model.md §0, Lengths).",
                    obj=self,
                    id="ebalance.E001",
                )
            )
        return errors

    def deconstruct(self):
        name, path, args, kwargs = super().deconstruct()
        kwargs.pop("max_length", None)
        return name, path, args, kwargs


class TextList(HasLength, ArrayField):
    """A list of at most ``max_items`` short texts, each of at most ``max_length`` characters."""

    def __init__(self, *args, max_items=None, max_length=None, **kwargs):
        self.max_items = max_items
        kwargs.setdefault("base_field", models.TextField())
        super().__init__(*args, max_length=max_length, **kwargs)

    def size_of(self, value):
        return max(map(super().size_of, value), default=0)

    def length_condition(self):
        return _holds("has_lengths", self.name, self.max_items, self.limit)

    def formfield(self, **kwargs):
        kwargs.setdefault("max_length", self.max_items)
        return super().formfield(**kwargs)

    def deconstruct(self):
        name, _path, args, kwargs = super().deconstruct()
        kwargs["base_field"] = models.TextField()
        return name, "django.contrib.postgres.fields.ArrayField", args, kwargs


class SizedJSON(HasLength, models.JSONField):
    """A JSON value of at most ``max_length`` characters of text."""

    def size_of(self, value):
        try:
            return len(json.dumps(value, ensure_ascii=False, default=str))
        except (TypeError, ValueError, RecursionError):
            return 0  # the column refuses it as no JSON

    def length_condition(self):
        return _holds("json_has_length", self.name, self.limit)

    def validate(self, value, model_instance):
        super().validate(value, model_instance)
        if not is_storable(value):
            raise ValidationError(_("Some characters of this cannot be stored."), "unstorable")

    def deconstruct(self):
        name, _path, args, kwargs = super().deconstruct()
        return name, "django.db.models.JSONField", args, kwargs


def _holds(function: str, field: str, *limits: int) -> Q:
    return Q(
        Func(F(field), *map(Value, limits), function=function, output_field=models.BooleanField())
    )
