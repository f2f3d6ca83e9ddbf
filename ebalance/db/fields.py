"""Field types of the data model. Migrations see plain Django fields."""

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models.functions import Cast
from django.utils.translation import gettext_lazy as _

from . import lengths, rules, triggers, zones
from .encryption.fields import SealedField
from .encryption.protected import protected_fields, reading
from .encryption.rows import ready_to_save, together
from .ids import uuid7
from .lengths import HasLength
from .on_delete import DB_RESTRICT
from .querysets import EntityQuerySet
from .schema.classification import Classified, p0
from .times import FactTime, PlainInMigrations, WithRules, now_default


class OneLine(models.TextField):
    """A ``text`` column that people edit in one line."""

    def formfield(self, **kwargs):
        if self.null and not self.choices:
            kwargs.setdefault("empty_value", None)  # absent is NULL, never ""
        return super().formfield(**{"widget": forms.TextInput, **kwargs})

    def deconstruct(self):
        name, _path, args, kwargs = super().deconstruct()
        # Choices are only for display; the database has a CHECK (rules.closed_set).
        kwargs.pop("choices", None)
        return name, "django.db.models.TextField", args, kwargs


class SingleLineTextField(HasLength, OneLine):
    """A text of one line. ``max_length`` is declared, and becomes a CHECK."""


class Text(HasLength, models.TextField):
    """A text of several lines. ``max_length`` is declared, and becomes a CHECK."""

    def deconstruct(self):
        name, _path, args, kwargs = super().deconstruct()
        return name, "django.db.models.TextField", args, kwargs


class Markdown(Text):
    """A text in Markdown."""

    default_length = lengths.MARKDOWN


class ExternalId(SingleLineTextField):
    """An id that another program made."""

    def rules_of(self, table):
        return [*super().rules_of(table), rules.external_id(table, self.name)]


class SecureURL(SingleLineTextField):
    """An address that starts with ``https://``."""

    default_length = lengths.URL

    def rules_of(self, table):
        return [*super().rules_of(table), rules.secure_url(table, self.name)]


class Address(SingleLineTextField):
    """A path of the site, or an address that starts with ``https://``."""

    default_length = lengths.URL

    def rules_of(self, table):
        return [*super().rules_of(table), rules.address(table, self.name)]


class ClosedSet(OneLine):
    """A ``text`` column over a TextChoices. Adds its CHECK to the model (``rules.closed_set``)."""

    def __init__(self, members=None, *args, **kwargs):
        self.members = members
        if members is not None:
            kwargs.setdefault("choices", members.choices)
        if "default" in kwargs:
            kwargs.setdefault("db_default", str(kwargs["default"]))
        super().__init__(*args, **kwargs)

    def contribute_to_class(self, cls, name, private_only=False):
        super().contribute_to_class(cls, name, private_only)
        if self.members is not None and not cls._meta.abstract:
            check = rules.closed_set(cls._meta.db_table, name, self.members)
            cls._meta.constraints = [*cls._meta.constraints, check]
            cls._meta.original_attrs["constraints"] = cls._meta.constraints


class RestrictForeignKey(models.ForeignKey):
    """A foreign key with a delete action of the database, and without an unnamed index."""

    def __init__(self, to, on_delete=DB_RESTRICT, **kwargs):
        kwargs.setdefault("db_index", False)
        super().__init__(to, on_delete, **kwargs)

    def contribute_to_class(self, cls, name, private_only=False, **kwargs):
        """Add the rule ``not_erased`` if the column links the row to a person."""
        super().contribute_to_class(cls, name, private_only, **kwargs)
        declared = getattr(cls._meta, "triggers", [])
        if (
            isinstance(self.db_comment, Classified)
            and self.db_comment.links_person
            and self._parent_label() == settings.AUTH_USER_MODEL
            and not triggers.is_immutable(declared)
        ):
            made = [*declared, triggers.not_erased(cls._meta.db_table, self.column)]
            cls._meta.triggers = cls._meta.original_attrs["triggers"] = made

    def _parent_label(self) -> str:
        parent = self.remote_field.model
        return parent if isinstance(parent, str) else parent._meta.label

    def deconstruct(self):
        name, _path, args, kwargs = super().deconstruct()
        kwargs["db_index"] = False
        return name, "django.db.models.ForeignKey", args, kwargs


class FilledByDatabase(PlainInMigrations):
    """A column whose value a trigger sets; an INSERT returns it."""

    db_returning = True


class NumberFromDatabase(FilledByDatabase, models.BigIntegerField):
    pass


class UUIDFromDatabase(FilledByDatabase, models.UUIDField):
    pass


class BytesFromDatabase(FilledByDatabase, models.BinaryField):
    pass


def created_at(
    meaning: str = "when the row was written, UTC",
    kind: type[models.DateTimeField] = FactTime,
    **kwargs,
) -> models.DateTimeField:
    """``created_at =now()``: filled by the database for every writer."""
    options = {
        "verbose_name": _("created at"),
        "editable": False,
        "db_comment": p0(meaning),
        **kwargs,
    }
    return kind(db_default=now_default(), **options)


def updated_at() -> models.DateTimeField:
    """``updated_at =now()``. Needs ``triggers.touch_updated_at``, which keeps it current."""
    return created_at(
        "when the row was last written, UTC; kept by the database", verbose_name=_("updated at")
    )


class TimeZoneField(WithRules, SingleLineTextField):
    """The name of an IANA zone: its form is a CHECK, and the server knows a new value.

    Forms store the current name of a zone (see ``zones.find_zone``). ``copied_from`` is the column
    that names an earlier row, from which a new row may copy its zone.
    """

    default_length = lengths.CODE

    def __init__(self, *args, copied_from=None, **kwargs):
        self.copied_from = copied_from
        super().__init__(*args, **kwargs)

    def make_rules(self, table, column):
        known = triggers.known_zone(table, column, copied_from=self.copied_from)
        return {"constraints": [rules.time_zone(table, column)], "triggers": [known]}

    def clean(self, value, model_instance):
        value = super().clean(value, model_instance)
        return (zones.find_zone(value) or value) if value else value


class UUIDv7Field(models.UUIDField):
    """A UUIDv7 primary key that never changes. Adds its trigger to the model (``key_stays``)."""

    def contribute_to_class(self, cls, name, private_only=False):
        super().contribute_to_class(cls, name, private_only)
        declared = getattr(cls._meta, "triggers", [])
        if cls._meta.abstract or triggers.is_immutable(declared):
            return
        made = [*declared, triggers.key_stays(cls._meta.db_table, name)]
        cls._meta.triggers = cls._meta.original_attrs["triggers"] = made

    def deconstruct(self):
        name, _path, args, kwargs = super().deconstruct()
        return name, "django.db.models.UUIDField", args, kwargs


class Entity(models.Model):
    """A row with a UUIDv7 key. ``full_clean()`` also checks the rules of the table's triggers."""

    id = UUIDv7Field(
        primary_key=True,
        default=uuid7,
        db_default=models.Func(function="uuid7", output_field=models.UUIDField()),
        editable=False,
        db_comment=p0("UUIDv7, sortable by time"),
    )

    objects = EntityQuerySet.as_manager()

    class Meta:
        abstract = True
        base_manager_name = "objects"  # the same write checks for related rows

    def save_base(self, *, update_fields=None, **kwargs):  # type: ignore[override]
        renewed = ready_to_save(self)
        if update_fields:
            update_fields = {*together(type(self), [*update_fields, *renewed])}
        super().save_base(update_fields=update_fields, **kwargs)

    @classmethod
    def from_db(cls, *args, **kwargs):
        row = super().from_db(*args, **kwargs)
        for field in protected_fields(cls):
            value = row.__dict__.get(field.attname)
            if value is not None and isinstance(field, SealedField):
                field.bind(row, value)
        return row

    def refresh_from_db(self, *args, **kwargs):
        with reading(self):
            super().refresh_from_db(*args, **kwargs)

    def _assign_returned_values(self, *args):
        with reading(self):
            super()._assign_returned_values(*args)  # type: ignore[misc]

    def clean(self):
        super().clean()
        validate_triggers(self)

    def _get_field_expression_map(self, meta, exclude=None):
        # Django would validate constraints with JSON null in place of an absent value.
        expressions = super()._get_field_expression_map(meta, exclude)  # type: ignore[misc]
        for field in self._meta.concrete_fields:
            if isinstance(field, models.JSONField) and getattr(self, field.attname) is None:
                for name in {field.name, field.attname} & expressions.keys():
                    expressions[name] = Cast(models.Value(None), field)
        return expressions


def validate_triggers(instance: models.Model) -> None:
    """Raise the ValidationError that the database's triggers would raise as an IntegrityError."""
    errors: dict = {}
    for trigger in getattr(instance._meta, "triggers", ()):
        validate = getattr(trigger, "validate", None)
        if validate:
            try:
                validate(instance)
            except ValidationError as error:
                errors = error.update_error_dict(errors)
    if errors:
        raise ValidationError(errors)
