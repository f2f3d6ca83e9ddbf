"""Sealed columns in admin: which key holds them, never the ciphertext (privacy.md §2)."""

from django.db import models
from django.db.models import F, Func, Value
from django.utils.translation import gettext as _

from ebalance.db.sealed import ProtectedField, SealedField


class Seal:
    """A read-only column of a page that stands for a sealed one."""

    def __init__(self, field: models.Field):
        self.key = f"{field.name}_key"
        self.__name__ = field.name
        self._field = field

    @property
    def short_description(self):
        # Asked late: ebalance.db gives fields their labels after admin is loaded.
        return self._field.verbose_name

    def __call__(self, row: models.Model) -> str | None:
        key = getattr(row, self.key, None)
        return _("sealed, key %(key)s") % {"key": key} if key else None


def seals_of(model: type[models.Model]) -> dict[str, Seal]:
    return {
        field.name: Seal(field)
        for field in model._meta.concrete_fields
        if isinstance(field, SealedField)
    }


def needs_sealing(model: type[models.Model]) -> bool:
    """Whether a new row holds a sealed value, which nobody can type in."""
    return any(
        isinstance(field, SealedField) and not field.null for field in model._meta.concrete_fields
    )


def without_ciphertext(rows: models.QuerySet) -> models.QuerySet:
    """The same rows, knowing of each sealed value only the id of its key.

    A row that they refer to comes along if it has sealed values: fetched by itself later, it
    would be fetched with them.
    """
    deferred = _sealed(rows.model)
    references = []
    for field in rows.model._meta.concrete_fields:
        if field.many_to_one and (names := _sealed(field.related_model)):
            references.append(field.name)
            deferred += [f"{field.name}__{name}" for name in names]
    if references:
        rows = rows.select_related(*references)
    if not deferred:
        return rows
    keys = {
        seal.key: Func(
            F(name),
            Value("."),
            Value(2),
            function="split_part",
            output_field=models.TextField(),
        )
        for name, seal in seals_of(rows.model).items()
    }
    return rows.defer(*deferred).annotate(**keys)


def _sealed(model: type[models.Model]) -> list[str]:
    return [f.name for f in model._meta.concrete_fields if isinstance(f, ProtectedField)]
