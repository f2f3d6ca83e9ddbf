"""Errors of one row, and how commands and sweeps report them: docs/adr/0033-bad-rows-and-leases.md.

A sweep skips a row that cannot be written, reports its id and a reason without content, and leaves
it to the next run. An error that concerns the database and not a row (a lost connection, a full
disk) ends the sweep. Imports no other part of the project.
"""

from __future__ import annotations

import traceback
from uuid import UUID

import psycopg
from django.db import InterfaceError, OperationalError

type Skipped = dict[UUID, str]
"""The rows that a sweep could not write: the reason by id."""

# SQLSTATE of errors that concern the server, not a row: class 08 (connection), 25006 (it is
# read-only, as a standby is), 28 (authorization), 3D (no such database), 3F (no schema to work in),
# 42501 (no right), 53 (disk, memory or connections used up), 57P (server stops or starts), 58 (it
# cannot read or write its files).
SERVER_STATES = ("08", "25006", "28", "3D", "3F", "42501", "53", "57P", "58")


def is_outside(error: BaseException) -> bool:
    """Whether the error concerns the server or the connection, so that every row would fail."""
    cause = database_error(error)
    if cause is None:
        return isinstance(error, MemoryError | OperationalError | InterfaceError)
    if cause.sqlstate is None:  # libpq's or psycopg's own
        return isinstance(cause, psycopg.OperationalError | psycopg.InterfaceError)
    return cause.sqlstate.startswith(SERVER_STATES)


def reason_of(error: Exception) -> str:
    """The rule, code or type of an error of one row, without content.

    Raises the error again if it is no error of one row.
    """
    if is_outside(error):
        raise error
    cause = database_error(error)
    if cause is not None:
        return f"refused by {cause.diag.constraint_name or cause.sqlstate}"
    code = getattr(error, "code", None)  # of a Refused, which this module cannot import
    if isinstance(code, str) and code.isascii() and code.isidentifier():
        return f"refused: {code}"
    frames = traceback.extract_tb(error.__traceback__)
    where = f" in {frames[-1].name}, line {frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{where}"


def database_error(error: BaseException | None) -> psycopg.Error | None:
    """The driver's error that caused this one, if any."""
    while error is not None and not isinstance(error, psycopg.Error):
        error = error.__cause__
    return error
