import re
import traceback
from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.core.management.base import CommandError
from django.core.management.commands import loaddata
from django.core.serializers.base import DeserializationError

from ebalance.db.encryption.envelope import SealingError
from ebalance.redaction.exceptions import message
from ebalance.redaction.texts import text


class Command(loaddata.Command):
    """loaddata whose errors name fixture, row and column, and never quote a value."""

    def load_label(self, fixture_label: str) -> None:
        try:
            super().load_label(fixture_label)
        except (DeserializationError, SealingError) as error:
            raise CommandError(_sentence(error)) from None


def _sentence(error: DeserializationError | SealingError) -> str:
    match = re.match(r"Problem installing fixture '(.*?)': ", str(error))
    where = [f"Problem installing fixture '{match[1] if match else 'stdin'}'"]
    cause = error.__cause__ or error.__context__
    why = message(cause) if cause else ""
    if isinstance(error, SealingError):  # its message names the column
        why = str(error).removeprefix(match[0] if match else "")
    if unknown := re.search(r"Invalid model identifier: [\w.]+", str(error)):
        where.append(unknown[0])
    elif location := _location(error):
        where.append(location)
    return ": ".join(filter(None, [*where, why])).rstrip(".") + "."


def _location(error: DeserializationError | SealingError) -> str:
    """The row and column of the error.

    Django's message quotes the value and does not name the column, so both are read from the frame
    that processed the row.
    """
    for frame, _line in traceback.walk_tb(error.__traceback__):
        local: dict[str, Any] = frame.f_locals
        if "Model" not in local or "data" not in local:
            continue
        meta = local["Model"]._meta
        key = text(str(local["data"].get(meta.pk.attname, "?")))
        if isinstance(error, SealingError):
            return f"{meta.label}(pk={key})"
        try:
            column = meta.get_field(local.get("field_name", meta.pk.name)).column
        except (FieldDoesNotExist, AttributeError):
            return f"{meta.label}(pk={key})"
        return f"{meta.label}(pk={key}), {meta.db_table}.{column}"
    return ""
