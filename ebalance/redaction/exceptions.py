"""Messages of exceptions without personal data.

A message is shown if its class is known to quote no data. Any other message may quote user input,
as those of `int(text)` and KeyError do, and is withheld.
"""

from __future__ import annotations

import errno
import os
import traceback

import psycopg
from django import db
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError

from ebalance.db.backend.messages import safe_message

from .texts import text

WITHHELD = "(message withheld)"
DEEPEST = 50  # exceptions of a chain, levels of groups
# Listed by name to avoid imports. Their messages name code, settings and rules only.
SPEAKING = frozenset(
    {
        "builtins.ImportError",
        "builtins.MemoryError",
        "builtins.NameError",
        "builtins.RecursionError",
        "builtins.SyntaxError",
        "builtins.Warning",
        "django.core.exceptions.AppRegistryNotReady",
        "django.core.exceptions.FieldDoesNotExist",
        "django.core.exceptions.ImproperlyConfigured",
        "django.core.exceptions.ObjectDoesNotExist",
        "django.core.management.base.CommandError",
        "django.db.migrations.exceptions.InconsistentMigrationHistory",
        "django.db.transaction.TransactionManagementError",
        "django.template.exceptions.TemplateDoesNotExist",
        "django.template.exceptions.TemplateSyntaxError",
        "ebalance.db.contacts.ContactInvalid",
        "ebalance.db.encryption.envelope.SealingError",
        "ebalance.db.schema.data_map.Undeclared",
        "ebalance.db.server.ServerUnavailable",
        "ebalance.services.Refused",
        "json.decoder.JSONDecodeError",
    }
)


class StandIn(Exception):
    """Replaces an exception: the same name, traceback and causes, and a safe message."""


class StandInGroup(StandIn, ExceptionGroup):
    pass


def message(error: BaseException) -> str:
    """The message of `error`, withheld if it may quote data. Never raises."""
    try:
        return _message(error)
    except Exception:
        return WITHHELD


def _message(error: BaseException) -> str:
    if isinstance(error, StandIn):
        return str(error)
    if isinstance(error, psycopg.Error):
        return text(safe_message(error))
    if isinstance(error, db.Error) and isinstance(error.__cause__, psycopg.Error):
        return text(safe_message(error.__cause__))
    if isinstance(error, ValidationError):
        return _codes(error)
    if isinstance(error, OSError):
        number = error.errno
        if number is None or number not in errno.errorcode:
            return WITHHELD
        return f"[Errno {number}] {os.strerror(number)}"
    if isinstance(error, BaseExceptionGroup):
        return WITHHELD
    if any(f"{c.__module__}.{c.__qualname__}" in SPEAKING for c in type(error).__mro__):
        return text(str(error))
    return WITHHELD if error.args else ""


def _codes(error: ValidationError) -> str:
    """Fields and codes; the sentences may quote values."""
    if not hasattr(error, "error_dict"):
        return ", ".join(str(e.code) for e in error.error_list)
    return "; ".join(
        f"{'row' if field == NON_FIELD_ERRORS else field}: {', '.join(str(e.code) for e in errors)}"
        for field, errors in error.error_dict.items()
    )


def described(error: BaseException) -> str:
    """Type and message on one line."""
    return ": ".join(filter(None, (type(error).__name__, message(error))))


def stand_in(error: BaseException) -> StandIn:
    """The stand-in of an exception and of its causes."""
    return _stand_in(error, {}, 0)


def _stand_in(error: BaseException, made: dict[int, StandIn], depth: int) -> StandIn:
    if isinstance(error, StandIn):
        return error
    if id(error) in made:  # a chain may be a circle
        return made[id(error)]
    kind = type(error)
    names = {"__module__": kind.__module__, "__qualname__": kind.__qualname__}
    if isinstance(error, BaseExceptionGroup) and depth < DEEPEST:
        members = [_stand_in(member, made, depth + 1) for member in error.exceptions]
        new = type(kind.__name__, (StandInGroup,), names)(WITHHELD, members)
    else:
        new = type(kind.__name__, (StandIn,), names)(message(error))
    made[id(error)] = new
    new.__traceback__ = error.__traceback__
    if depth < DEEPEST:
        for link in ("__cause__", "__context__"):
            before = getattr(error, link)
            if before is not None:
                setattr(new, link, _stand_in(before, made, depth + 1))
    new.__suppress_context__ = error.__suppress_context__
    return new


def formatted(error: BaseException) -> str:
    """The traceback that Python would print, without messages that may hold data."""
    return "".join(traceback.format_exception(stand_in(error)))
