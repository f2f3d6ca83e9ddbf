"""Log records without personal data, for all handlers."""

from __future__ import annotations

import logging
import logging.config
import re
from collections.abc import Mapping
from copy import copy
from typing import Any

from django.utils.log import AdminEmailHandler, ServerFormatter

from .exceptions import stand_in
from .texts import text
from .values import named_value, value

QUERY = re.compile(r"\?[^ \"]*")
STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def configure(config: dict[str, Any]) -> None:
    """Django's LOGGING_CONFIG: redaction first, then `config` for `logging.config.dictConfig`."""
    install()
    logging.captureWarnings(True)
    logging.config.dictConfig(config)


def install() -> None:
    """Redact records when they are created, before any handler, such as Sentry's, sees them."""
    factory = logging.getLogRecordFactory()
    if not hasattr(factory, "redacts"):

        def born(*args: Any, **kwargs: Any) -> logging.LogRecord:
            return redact(factory(*args, **kwargs))

        born.redacts = True  # type: ignore[attr-defined]
        logging.setLogRecordFactory(born)

    # `extra` is added after the factory, by a method without a hook.
    make = logging.Logger.makeRecord
    if not hasattr(make, "redacts"):

        def make_record(self: logging.Logger, *args: Any, **kwargs: Any) -> logging.LogRecord:
            record = make(self, *args, **kwargs)
            _redact_extra(record)
            return record

        make_record.redacts = True  # type: ignore[attr-defined]
        logging.Logger.makeRecord = make_record  # type: ignore[method-assign]


class Redaction(logging.Filter):
    """For handlers: records made without the factory, and attributes added later."""

    def filter(self, record: logging.LogRecord) -> logging.LogRecord:
        return redact(record)


class AccessFormatter(ServerFormatter):
    """A line of the access log without the query of the address, which may name a person."""

    def format(self, record: logging.LogRecord) -> str:
        line = copy(record)
        line.msg, line.args = QUERY.sub("", record.getMessage()), ()
        return super().format(line)


class AdminMail(AdminEmailHandler):
    """Django's handler, without an error in the logging code if the mail server is unavailable."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            super().emit(record)
        except Exception:
            self.handleError(record)


def redact(record: logging.LogRecord) -> logging.LogRecord:
    """Redact `record` in place. Idempotent."""
    try:
        _redact_message(record)
        _redact_exception(record)
    except Exception:
        record.msg, record.args = "(a message that could not be redacted)", ()
        record.exc_info = record.exc_text = None
    _redact_extra(record)
    return record


def _redact_message(record: logging.LogRecord) -> None:
    message = record.msg if isinstance(record.msg, str) else value(record.msg)
    if not record.args:
        record.msg = text(message) if isinstance(message, str) else message
        return
    if isinstance(record.args, Mapping):
        args: Any = value(record.args)
    else:
        args = tuple(map(value, record.args))
    record.args = args
    try:
        whole = str(message) % args
    except Exception:  # logging reports the mismatch, and quotes both
        record.msg = text(str(message))
        return
    shown = text(whole)
    # Kept separate if possible: tools group records by their message template.
    record.msg, record.args = (message, args) if shown == whole else (shown, ())


def _redact_exception(record: logging.LogRecord) -> None:
    kind, error, frames = record.exc_info or (None, None, None)
    if error is not None:
        record.exc_info = (kind, stand_in(error), frames)  # type: ignore[assignment]
        record.exc_text = None  # formatted from the original
    elif record.exc_text:
        record.exc_text = text(record.exc_text)


def _redact_extra(record: logging.LogRecord) -> None:
    for name in record.__dict__.keys() - STANDARD:
        record.__dict__[name] = named_value(name, record.__dict__[name])
