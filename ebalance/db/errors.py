"""Sentences for people about errors of the database."""

from functools import cache
from typing import Any

import psycopg
from django.apps import apps
from django.db import IntegrityError, models
from django.utils.translation import gettext as _

from .apps import PROJECT_APPS

NOT_NULL, FOREIGN_KEY, RESTRICT = "23502", "23503", "23001"


def explain(error: IntegrityError) -> str:
    """One sentence in the reader's language for a refusal (SQLSTATE class 23).

    It is the message of the model's constraint or trigger, and never holds a value of the row.
    """
    cause = error.__cause__
    if not isinstance(cause, psycopg.Error):
        return _("The database refused this.")
    diagnosis = cause.diag
    if diagnosis.sqlstate == NOT_NULL:
        return _("“%(field)s” must be filled in.") % {
            "field": _label(diagnosis.table_name, diagnosis.column_name)
        }
    if diagnosis.sqlstate in (FOREIGN_KEY, RESTRICT):
        if "still referenced" in (diagnosis.message_detail or ""):
            return _("This is still in use: %(table)s.") % {"table": _label(diagnosis.table_name)}
        return _("What this refers to does not exist.")
    sentence = _sentences().get(diagnosis.constraint_name or "")
    return sentence() if sentence else _("The database refused this.")


@cache
def _models() -> dict[str, type[models.Model]]:
    return {
        model._meta.db_table: model
        for label in PROJECT_APPS
        for model in apps.get_app_config(label).get_models()
    }


def _label(table: str | None, column: str | None = None) -> str:
    model = _models().get(table or "")
    if model is None:
        return table or ""
    if column is None:
        return str(model._meta.verbose_name_plural)
    return next(
        (str(f.verbose_name) for f in model._meta.concrete_fields if f.column == column), column
    )


@cache
def _sentences() -> dict[str, Any]:
    """Rule name to a callable that returns its sentence in the current language."""
    sentences: dict[str, Any] = {}
    for model in _models().values():
        for constraint in model._meta.constraints:
            sentences[constraint.name] = lambda c=constraint, m=model: _constraint_sentence(c, m)
        for trigger in getattr(model._meta, "triggers", ()):
            for rule, message in trigger.messages.items():
                sentences[rule] = lambda text=message: _(text) + "."
    return sentences


def _constraint_sentence(constraint: models.BaseConstraint, model: type[models.Model]) -> str:
    if (
        isinstance(constraint, models.UniqueConstraint)
        and constraint.violation_error_message == constraint.default_violation_error_message
    ):
        return " ".join(model().unique_error_message(model, constraint.fields).messages)
    return str(constraint.get_violation_error_message())
