"""CHECK and UNIQUE constraints with a rule's name and a sentence for people."""

import copy
from collections.abc import Iterable, Sequence

from django.contrib.postgres.constraints import ExclusionConstraint
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import models
from django.db.models import F, Func, Q
from django.utils.translation import gettext_lazy as _

from . import patterns


class _Spoken:
    """A constraint with a message and a field for people. Migrations see Django's own class.

    A clone, which Django makes for a model, keeps both. Two constraints are equal if they are equal
    in the database.
    """

    plain: str

    def deconstruct(self):
        _path, args, kwargs = super().deconstruct()  # type: ignore[misc]
        kwargs.pop("violation_error_code", None)
        kwargs.pop("violation_error_message", None)
        return self.plain, args, kwargs

    def clone(self):
        return copy.copy(self)

    def __eq__(self, other):
        if not isinstance(other, models.BaseConstraint):
            return NotImplemented
        return _what_the_database_sees(self) == _what_the_database_sees(other)

    __hash__ = None  # type: ignore[assignment]  # as Django's constraints


def _what_the_database_sees(constraint) -> tuple:
    path, args, kwargs = constraint.deconstruct()
    kwargs.pop("violation_error_code", None)
    kwargs.pop("violation_error_message", None)
    return path, args, kwargs


class Check(_Spoken, models.CheckConstraint):
    """A CHECK whose violation is reported at ``field`` by ``full_clean()``."""

    plain = "django.db.models.CheckConstraint"

    def __init__(self, name: str, condition, message=None, *, field: str | None = None):
        self.field = field
        super().__init__(
            name=name,
            condition=condition,
            violation_error_code=name,
            violation_error_message=message,
        )

    def validate(self, model, instance, exclude=None, using="default"):
        try:
            super().validate(model, instance, exclude=exclude, using=using)
        except ValidationError as error:
            shown = (
                self.field if self.field and self.field not in (exclude or ()) else NON_FIELD_ERRORS
            )
            raise ValidationError({shown: error.error_list}) from None


class Unique(_Spoken, models.UniqueConstraint):
    """A UNIQUE with a rule's name."""

    plain = "django.db.models.UniqueConstraint"

    def __init__(self, name: str, *expressions, message=None, **kwargs):
        super().__init__(
            *expressions,
            name=name,
            violation_error_code=name if message else None,
            violation_error_message=message,
            **kwargs,
        )


class Exclusion(_Spoken, ExclusionConstraint):
    """An EXCLUDE with a rule's name."""

    plain = "django.contrib.postgres.constraints.ExclusionConstraint"

    def __init__(self, name: str, *, message, **kwargs):
        super().__init__(
            name=name, violation_error_code=name, violation_error_message=message, **kwargs
        )


class Index(models.Index):
    """An index with the query that it serves, which is also its comment in the database."""

    # Django allows 30 characters because of Oracle; PostgreSQL allows 63.
    max_name_length = 63

    def __init__(self, name: str, *fields: str, serves: str, **kwargs):
        self.serves = serves
        super().__init__(name=name, fields=fields or kwargs.pop("fields"), **kwargs)

    def deconstruct(self):
        _path, args, kwargs = super().deconstruct()
        return "ebalance.db.rules.Index", args, {**kwargs, "serves": self.serves}

    def create_sql(self, model, schema_editor, using="", **kwargs):
        statement = super().create_sql(model, schema_editor, using=using, **kwargs)
        if "CONCURRENTLY" not in statement.template:
            statement.template += "; COMMENT ON INDEX %(name)s IS %(serves)s"
            statement.parts["serves"] = schema_editor.quote_value(self.serves)
        return statement


def holds(function: str, *fields: str) -> Func:
    """The condition ``function(fields…)`` of the kit's SQL functions (identity/migrations/sql)."""
    return Func(*(F(f) for f in fields), function=function, output_field=models.BooleanField())


def closed_set(table: str, field: str, members: type[models.TextChoices]) -> Check:
    """The CHECK of a column over a TextChoices."""
    return Check(
        f"{table}_{field}_in_set",
        Q(**{f"{field}__in": [str(value) for value in members.values]}),
        _("This value is not one of the allowed ones."),
        field=field,
    )


def matches(name: str, field: str, pattern: str, message) -> Check:
    return Check(name, Q(**{f"{field}__regex": pattern}), message, field=field)


def slug(table: str, field: str = "slug") -> Check:
    return Check(
        f"{table}_{field}_is_slug",
        Q(**{f"{field}__regex": patterns.SLUG}),
        _("Lower-case Latin letters, digits and single hyphens."),
        field=field,
    )


def code(table: str, field: str) -> Check:
    return Check(
        f"{table}_{field}_is_code",
        Q(holds("is_code", field)),
        _("Lower-case Latin letters, digits and underscores, at most 60 characters."),
        field=field,
    )


def opaque_id(table: str, field: str) -> Check:
    return matches(
        f"{table}_{field}_is_opaque",
        field,
        patterns.OPAQUE_ID,
        _("8 to 64 Latin letters, digits, hyphens or underscores, at least one of them a letter."),
    )


def external_id(table: str, field: str) -> Check:
    return matches(
        f"{table}_{field}_is_external_id",
        field,
        patterns.EXTERNAL_ID,
        _("Latin letters, digits and “_.:~-”, at least one of them a letter."),
    )


def object_key(table: str, field: str) -> Check:
    return matches(
        f"{table}_{field}_is_object_key",
        field,
        patterns.OBJECT_KEY,
        _("Lower-case Latin letters and digits, joined by single “/”, “_”, “.” or “-”."),
    )


def secure_url(table: str, field: str) -> Check:
    return matches(
        f"{table}_{field}_is_https",
        field,
        patterns.SECURE_URL,
        _("An address that starts with https://, without a user name and without blanks."),
    )


def address(table: str, field: str) -> Check:
    return matches(
        f"{table}_{field}_is_address",
        field,
        patterns.ADDRESS,
        _("An address that starts with https://, or a path that starts with one slash."),
    )


def not_blank(table: str, field: str) -> Check:
    return Check(
        f"{table}_{field}_not_blank",
        Q(holds("is_visible", field)),
        _("This must not be blank."),
        field=field,
    )


def time_zone(table: str, field: str = "timezone") -> Check:
    return Check(
        f"{table}_{field}_is_iana_zone",
        Q(holds("is_zone_form", field)),
        _("Not the name of an IANA time zone, for example Europe/Moscow."),
        field=field,
    )


def sealed(table: str, field: str) -> Check:
    return Check(
        f"{table}_{field}_is_sealed",
        Q(holds("is_sealed", field)),
        _("Only sealed values are stored here."),
        field=field,
    )


def blind_index(table: str, field: str) -> Check:
    return matches(
        f"{table}_{field}_is_blind_index",
        field,
        patterns.BLIND_INDEX,
        _("Only blind index values are stored here."),
    )


def finite(table: str, *fields: str) -> Check:
    """These times are not ``infinity``, which would pass every comparison."""
    condition = Q()
    for field in fields:
        condition &= Q(holds("is_finite", field))
    return Check(f"{table}_times_finite", condition, _("A time must be a real moment."))


def in_range(table: str, field: str, low: int | None, high: int | None = None) -> Check:
    """``low <= field <= high`` (either end may be open)."""
    limits = {}
    if low is not None:
        limits[f"{field}__gte"] = low
    if high is not None:
        limits[f"{field}__lte"] = high
    return Check(
        f"{table}_{field}_in_range", Q(**limits), _("This number is out of range."), field=field
    )


def all_set(fields: Iterable[str]) -> Q:
    return Q(**{f"{field}__isnull": False for field in fields})


def none_set(fields: Iterable[str]) -> Q:
    return Q(**{f"{field}__isnull": True for field in fields})


def all_or_none(name: str, fields: Sequence[str], message) -> Check:
    return Check(name, all_set(fields) | none_set(fields), message, field=fields[0])


def set_exactly_when(name: str, fields: str | Sequence[str], when: Q, message) -> Check:
    """``fields`` are all set where ``when`` holds and all empty where it does not.

    ``when`` must not be null for any row: build it over NOT NULL columns.
    """
    fields = [fields] if isinstance(fields, str) else fields
    return Check(
        name, (when & all_set(fields)) | (~when & none_set(fields)), message, field=fields[0]
    )


def required_when(name: str, field: str, when: Q, message) -> Check:
    """``field`` is set where ``when`` (over NOT NULL columns) holds."""
    return Check(name, ~when | all_set([field]), message, field=field)
