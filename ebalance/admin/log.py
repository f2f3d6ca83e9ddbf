"""Django's own log of admin: row, fields and user.

It never holds the text or a value of a row, which may be a person's name or address.
"""

import json
from collections.abc import Iterable
from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import models


def write(request, rows: Iterable[models.Model], flag: int, message: Any = "") -> list[LogEntry]:
    text = json.dumps(message) if isinstance(message, list) else message
    return LogEntry.objects.bulk_create(
        LogEntry(
            user_id=request.user.pk,
            content_type=ContentType.objects.get_for_model(row),
            object_id=str(row.pk),
            object_repr=str(row.pk),
            action_flag=flag,
            change_message=text,
        )
        for row in rows
    )


def changes(form, formsets, *, added: bool) -> list[dict[str, Any]]:
    """The change message: names of fields, and for inline rows their kind and key."""
    message: list[dict[str, Any]] = []
    if added:
        message.append({"added": {}})
    elif form.changed_data:
        message.append({"changed": {"fields": _labels(form.changed_data)}})
    for formset in formsets or ():
        message += [{"added": _named(row)} for row in formset.new_objects]
        message += [
            {"changed": {**_named(row), "fields": _labels(fields)}}
            for row, fields in formset.changed_objects
        ]
        message += [{"deleted": _named(row)} for row in formset.deleted_objects]
    return message


def _named(row: models.Model) -> dict[str, str]:
    # The English name, which LogEntry translates for the reader.
    return {"name": row._meta.verbose_name_raw, "object": str(row.pk)}


def _labels(names: Iterable[str]) -> list[str]:
    """English labels, which LogEntry translates as well (see ebalance.db.apps)."""
    return [name.replace("_", " ") for name in names]
