"""The command line: runs a Django command and reports refusals of the database in one line."""

from __future__ import annotations

import contextlib
import os
import re
import sys

import psycopg
from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line
from django.db import IntegrityError, NotSupportedError

from ebalance.db.server import ServerUnavailable
from ebalance.failures import SERVER_STATES


def run(argv: list[str]) -> int:
    """Run one command and return the process's exit code. `--traceback` shows everything.

    Without it, the traceback of an unexpected error has no messages that may quote data, because in
    production the output of commands is logged.
    """
    try:
        if argv[1:2] == ["run"] and _is_deployed():
            # Its app is not installed: production imports nothing of ebalance.dev.
            print("`run` is for development; elsewhere serve ebalance.wsgi.", file=sys.stderr)
            return 1
        execute_from_command_line(argv)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        forget_reader()
        return 1
    except Exception as error:
        if "--traceback" in argv:
            raise
        print(explain(error) or _withheld(error), file=sys.stderr)
        return 1
    return 0


def _is_deployed() -> bool:
    from django.conf import settings

    return bool(settings.DEPLOYED)


def _withheld(error: Exception) -> str:
    from ebalance.redaction.exceptions import formatted

    return f"{formatted(error)}--traceback shows messages that may hold personal data."


def forget_reader() -> None:
    """Discard the remaining output after the reader has closed the pipe (`… | head`)."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def explain(error: Exception) -> str | None:
    """One sentence for an error that an operator can fix, None for any other."""
    if isinstance(error, ServerUnavailable):
        return str(error)
    if isinstance(error, ImproperlyConfigured):
        return f"Wrong settings: {_one_line(error)}"
    if isinstance(error, IntegrityError) and isinstance(error.__cause__, psycopg.Error):
        # Not str(error): its detail quotes the row.
        row = re.search(r"Could not load [\w.]+\(pk=[^)]*\): ", str(error))
        reason = _one_line(error.__cause__.diag.message_primary)
        return f"The database refused this. {row[0] if row else ''}{reason}"
    if isinstance(error, NotSupportedError) and isinstance(error.__cause__, psycopg.Error):
        return f"{_where()}. {_one_line(error.__cause__.diag.message_primary)}"
    if isinstance(error, NotSupportedError) and "PostgreSQL" in str(error):
        return f"{_where()}: the server is too old. {_one_line(error)}"
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, psycopg.Error):
        cause = cause.__cause__ or cause.__context__
    if cause is not None and _concerns_server(cause):
        return f"{_where()}: {_one_line(cause.diag.message_primary or cause)}"
    return None


def _concerns_server(error: psycopg.Error) -> bool:
    from django.db import connection

    if error.sqlstate is not None:
        return error.sqlstate.startswith(SERVER_STATES)
    if isinstance(error, psycopg.ProgrammingError):  # a parameter of DATABASE_URL, or a bug
        return connection.connection is None
    return isinstance(error, psycopg.OperationalError)


def _where() -> str:
    from django.db import connection

    settings = connection.settings_dict
    host = settings["HOST"] or settings.get("OPTIONS", {}).get("host") or "the local socket"
    port = f":{settings['PORT']}" if settings["PORT"] else ""
    return f"Cannot use the database {settings['NAME']} on {host}{port}"


def _one_line(error: object) -> str:
    """The message on one line, without the password in case a library quotes it."""
    text = " ".join(str(error).split())
    try:
        from django.conf import settings

        password = settings.DATABASES["default"].get("PASSWORD")
    except Exception:
        password = None  # the settings are the cause of the error
    return text.replace(password, "***") if password and len(password) > 2 else text
