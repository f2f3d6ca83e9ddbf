"""The command line: runs a Django command and says in one line what the database refused."""

from __future__ import annotations

import re
import sys

import psycopg
from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line
from django.db import IntegrityError, NotSupportedError, OperationalError

from ebalance.bundled import BundledServerError

# SQLSTATE of errors that concern the connection, not a statement: class 08 (connection), 28
# (authorization), 3D (no such database), 53300 (too many connections), 57P (server stops or
# starts).
CONNECTION_STATES = ("08", "28", "3D", "53300", "57P")


def run(argv: list[str]) -> int:
    """Run one command and return the process's exit code. `--traceback` shows everything."""
    try:
        execute_from_command_line(argv)
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        line = None if "--traceback" in argv else explain(error)
        if line is None:
            raise
        print(line, file=sys.stderr)
        return 1
    return 0


def explain(error: Exception) -> str | None:
    """One sentence for an error that a person can do something about, None for any other."""
    if isinstance(error, BundledServerError):
        return str(error)
    if isinstance(error, ImproperlyConfigured):
        return f"Wrong settings: {_one_line(error)}"
    if isinstance(error, IntegrityError) and isinstance(error.__cause__, psycopg.Error):
        # Not str(error): its detail quotes the row.
        row = re.match(r"Could not load [\w.]+\(pk=[^)]*\): ", str(error))
        reason = _one_line(error.__cause__.diag.message_primary)
        return f"The database refused this. {row[0] if row else ''}{reason}"
    if isinstance(error, NotSupportedError) and "PostgreSQL" in str(error):
        return f"{_where()}: the server is too old. {_one_line(error)}"
    if isinstance(error, OperationalError) and _concerns_connection(error):
        return f"{_where()}: {_one_line(error)}"
    return None


def _concerns_connection(error: OperationalError) -> bool:
    cause = error.__cause__
    state = cause.sqlstate if isinstance(cause, psycopg.Error) else None
    return state is None or state.startswith(CONNECTION_STATES)


def _where() -> str:
    from django.db import connection

    settings = connection.settings_dict
    host = settings["HOST"] or settings.get("OPTIONS", {}).get("host") or "the local socket"
    port = f":{settings['PORT']}" if settings["PORT"] else ""
    return f"Cannot use the database {settings['NAME']} on {host}{port}"


def _one_line(error: object) -> str:
    """The message on one line, without the password should a library ever quote it."""
    text = " ".join(str(error).split())
    try:
        from django.conf import settings

        password = settings.DATABASES["default"].get("PASSWORD")
    except Exception:
        password = None  # the settings themselves are what is wrong
    return text.replace(password, "***") if password and len(password) > 2 else text
