"""Messages of database errors without values: the problem and the names of objects.

A server's message has a first line, and DETAIL ("Failing row contains (…)"), CONTEXT, HINT and an
excerpt of the statement, which all quote values. Some first lines quote values too
(`invalid input syntax for type uuid: "…"`), depending on the class of SQLSTATE.
"""

from __future__ import annotations

import re

import psycopg

# Classes whose first line names objects of the database and nothing else: 08 connection, 0A not
# supported, 23 rules, 25 transaction state, 28 authorization, 3D and 3F names, 40 rollback,
# 42 syntax and rights, 53 resources, 54 limits, 55 object state, 57 operator, 58 system.
# Not listed: 22 (quotes values), P0 and other errors that functions raise, XX (internal).
NAMING_CLASSES = frozenset(
    ("08", "0A", "23", "25", "28", "3D", "3F", "40", "42", "53", "54", "55", "57", "58")
)
QUOTES_THE_STATEMENT = "42601"
A_NAME = re.compile(r'"[A-Za-z_][A-Za-z0-9_.$]{0,62}"')


def safe_message(error: psycopg.Error) -> str:
    """One line for logs and tracebacks. `error.diag` keeps the complete message."""
    if error.sqlstate is None:
        return _from_the_client(error)
    message = error.diag.message_primary or ""
    if (
        error.sqlstate[:2] in NAMING_CLASSES
        and error.sqlstate != QUOTES_THE_STATEMENT
        # All quoted parts look like names; values inlined into a statement seldom do.
        and (error.sqlstate[:2] != "42" or '"' not in A_NAME.sub("", message))
    ):
        return message
    position = error.diag.statement_position
    where = f" at character {position} of the statement" if position else ""
    return f"{type(error).__name__}, SQLSTATE {error.sqlstate}{where}"


def _from_the_client(error: psycopg.Error) -> str:
    """psycopg's own and libpq's messages. Those about data quote it after the problem."""
    message = str(error)
    if isinstance(error, psycopg.DataError):
        return re.split("['\":]", message, maxsplit=1)[0].strip() or type(error).__name__
    return message
