"""The session of a run: one run at a time, on the server itself, in the schema ``public``."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from django.core.management.base import CommandError
from django.db import DatabaseError

LOCK = 0x6562_616C_0002  # advisory; `run` has 0x…0001
WAIT = 300.0  # seconds for another run
POLL = 0.2  # seconds
LINE_EVERY = 10.0  # seconds
HOLDER = """
    SELECT a.pid, coalesce(nullif(a.application_name, ''), 'unnamed'),
           to_char(a.backend_start AT TIME ZONE 'UTC', 'HH24:MI:SS')
    FROM pg_locks l JOIN pg_stat_activity a USING (pid)
    WHERE l.locktype = 'advisory' AND l.granted
      AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND (l.classid::bigint << 32 | l.objid::bigint) = %s
"""


@contextmanager
def exclusive_session(
    connection: Any, write: Callable[[str], object], wait: float = WAIT
) -> Iterator[None]:
    """Allow no other run on this database until the block ends.

    The lock is polled: a session that waits in pg_advisory_lock() has a snapshot, for which
    CREATE INDEX CONCURRENTLY waits. Raises CommandError if another run does not end within
    ``wait`` seconds, or if new objects would not be created in ``public``.
    """
    with connection.cursor() as cursor:
        _prepare(cursor)
        _require_public(cursor)
        _lock(cursor, write, wait)
    try:
        yield
    finally:
        if connection.connection is not None and not connection.connection.closed:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [LOCK])


def _prepare(cursor: Any) -> None:
    # Limits of the role or the database are for its services; each step here has its own.
    cursor.execute("SET statement_timeout = 0")
    cursor.execute(
        "SELECT set_config(name, '0', false) FROM pg_settings WHERE name = ANY (%s)",
        [["idle_in_transaction_session_timeout", "idle_session_timeout", "transaction_timeout"]],
    )
    name = f"migrate {socket.gethostname()[:30]} {os.getpid()}"
    cursor.execute("SELECT set_config('application_name', %s, false)", [name])
    # The server ends the statement of a killed run, which would stay in a queue for a lock. Not
    # every operating system reports a closed connection.
    with suppress(DatabaseError):
        cursor.execute("SET client_connection_check_interval = '1s'")


def _require_public(cursor: Any) -> None:
    cursor.execute("SELECT current_schema(), current_setting('search_path')")
    schema, path = cursor.fetchone()
    if schema != "public":
        raise CommandError(
            f"The search_path is {path}, so new objects would not be in the schema public "
            f"(but in {schema or 'none'}). Nothing was changed. Remove the setting from the role, "
            "the database or DATABASE_URL."
        )


def _lock(cursor: Any, write: Callable[[str], object], wait: float) -> None:
    started = time.monotonic()
    next_line = started + 1.0
    while True:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [LOCK])
        if cursor.fetchone() == (True,):
            return
        now = time.monotonic()
        if now - started > wait:
            raise CommandError(
                f"Another migrate runs on this database: {_holder(cursor)}. Nothing was changed; "
                "run the command again when it has ended."
            )
        if now > next_line:
            next_line = now + LINE_EVERY
            write(f"Waiting for another migrate: {_holder(cursor)} …")
        time.sleep(POLL)


def _holder(cursor: Any) -> str:
    cursor.execute(HOLDER, [LOCK])
    row = cursor.fetchone()
    return "{1} (process {0} of the server, since {2} UTC)".format(*row) if row else "it just ended"
