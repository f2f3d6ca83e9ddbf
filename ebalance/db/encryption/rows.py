"""Checks rows with protected columns before they are written."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import models

from .blind_index import BlindIndex
from .protected import protected_fields


def together(model: type[models.Model], names: Iterable[str]) -> list[str]:
    """The columns ``names`` and those that must be written with them.

    A sealed column is written with its blind indexes and with the channel of these.
    """
    written = dict.fromkeys(names)
    for index in protected_fields(model):
        if isinstance(index, BlindIndex):
            group = [n for n in (index.channel_field, index.source, index.name) if n]
            if not written.keys().isdisjoint(group):
                written |= dict.fromkeys(group)
    return [*written]


def ready_to_save(instance: models.Model) -> list[str]:
    """Check the row's protected values; returns the names of those that were sealed again.

    Raises a SealingError. Raises PayloadInvalid or ContactInvalid for a value that does not fit the
    changed row.
    """
    fields = protected_fields(type(instance))
    before = {field: instance.__dict__.get(field.attname) for field in fields}
    for field in fields:
        field.check_row(instance)
    return [f.name for f in fields if instance.__dict__.get(f.attname) is not before[f]]
