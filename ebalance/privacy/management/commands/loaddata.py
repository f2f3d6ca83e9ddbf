import re
import traceback
from pathlib import Path
from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.core.management.base import CommandError
from django.core.management.commands import loaddata
from django.core.serializers.base import DeserializationError, DeserializedObject

from ebalance.db.encryption.envelope import SealingError
from ebalance.redaction.exceptions import message
from ebalance.redaction.texts import text


class Command(loaddata.Command):
    """loaddata whose errors name fixture, row and column, and never quote a value.

    The fixture ``seeds`` adds the rows that are missing. A row that exists stays as staff left it.
    """

    adds_only = False

    def load_label(self, fixture_label: str) -> None:
        self.adds_only = Path(fixture_label).name.partition(".")[0] == "seeds"
        try:
            super().load_label(fixture_label)
        except (DeserializationError, SealingError) as error:
            raise CommandError(_sentence(error)) from None

    def save_obj(self, obj: DeserializedObject) -> bool:
        if not self.adds_only:
            return super().save_obj(obj)
        model, row = type(obj.object), obj.object
        rows = model._base_manager.using(self.using)
        if rows.filter(pk=row.pk).exists():
            return False
        # A concurrent run may have added the row since; save() would then change it.
        rows.bulk_create([row], ignore_conflicts=True)
        if not rows.filter(pk=row.pk).exists():
            row.save_base(raw=True, using=self.using, force_insert=True)  # raises the other rule
        self.models.add(model)
        return True


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
