"""Sealed columns in admin: the id of their key, never the ciphertext (privacy.md §2)."""

from django.db import models
from django.db.models import F, Func, Value
from django.utils.html import format_html
from django.utils.translation import gettext as _

from ebalance.db.encryption.fields import ProtectedField, SealedField

# Submits reveal/form.html, which is outside of the page's own form.
BUTTON = '{} <button type="submit" form="reveal" formaction="{}" class="{}">{}</button>'
BUTTON_CLASSES = (
    "bg-white border border-base-200 cursor-pointer font-medium inline-flex items-center ml-2 "
    "px-2.5 py-1.5 rounded-default shadow-xs text-important hover:bg-base-100/80 "
    "dark:bg-transparent dark:border-base-700 dark:hover:bg-base-800/80"
)


class Seal:
    """A read-only column of a page that represents a sealed column."""

    def __init__(self, field: SealedField):
        self.key = f"{field.name}_key"
        self.__name__ = field.name
        self.field = field

    @property
    def short_description(self):
        # A property, because ebalance.db sets the labels after admin is loaded.
        return self.field.verbose_name

    def __call__(self, row: models.Model) -> str | None:
        """The id of the key; on the row's own page also the button that reveals the value."""
        key = getattr(row, self.key, None)
        if not key:
            return None
        text = _("sealed, key %(key)s") % {"key": key}
        address = getattr(row, "reveal_addresses", {}).get(self.field.name)
        return format_html(BUTTON, text, address, BUTTON_CLASSES, _("Reveal")) if address else text


def seals_of(model: type[models.Model]) -> dict[str, Seal]:
    return {
        field.name: Seal(field)
        for field in model._meta.concrete_fields
        if isinstance(field, SealedField)
    }


def needs_sealing(model: type[models.Model]) -> bool:
    """Whether a new row needs a sealed value, which cannot be typed in."""
    return any(
        isinstance(field, SealedField) and not field.null for field in model._meta.concrete_fields
    )


def without_ciphertext(rows: models.QuerySet) -> models.QuerySet:
    """The same rows with the id of the key in place of each sealed value.

    Related rows with sealed values are joined; a later query would load their ciphertext.
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
