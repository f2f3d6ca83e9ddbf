"""Removes rows that have been kept as long as their models declare: purge_expired (privacy.md §4).

A batch is one transaction of one statement: it selects the oldest expired rows, skips locked ones,
deletes them, and adds them to their totals if they have some. A killed run loses one batch, and
nothing is counted twice. A writer of such a row waits for the batch, whose size is adapted so that
it takes about TARGET seconds. No content of a row is read.

"Now" is the database's time at the start, so a run ends although rows keep expiring.
See docs/adr/0015-retention.md.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import date, datetime
from threading import Event
from typing import Any

import psycopg
from django.db import DatabaseError, InterfaceError, connection, transaction
from django.utils.module_loading import import_string

from ebalance.db.schema.data_map import Table, tables
from ebalance.db.schema.retention import After, Purged, RemovedBy, Totals

from .exports import storage

LOCK = 0x6562_616C_0005  # advisory: one purge at a time in a database
TARGET = 0.05  # seconds that a batch is to take
FIRST_BATCH = 100  # rows, before it is known how long they take
BATCH_LIMITS = {
    # A batch that waits, or takes long, delays the writers of its rows.
    "lock_timeout": "50ms",
    "statement_timeout": "150ms",
    "idle_in_transaction_session_timeout": "10s",  # a stopped run releases its locks
}
# A batch of one row cannot be made smaller.
ONE_ROW_LIMITS = {**BATCH_LIMITS, "statement_timeout": "5s"}
COUNT_LIMITS = {"lock_timeout": "5s", "statement_timeout": "10min"}
# The indexes return the rows in the wanted order. With statistics from before the rows expired, the
# planner would read the table.
BY_INDEX = dict.fromkeys(
    ("enable_seqscan", "enable_bitmapscan", "enable_hashjoin", "enable_mergejoin", "jit"), "off"
)
PATIENCE = 10.0  # seconds without progress, while other transactions lock the remaining rows
PAUSE = 0.2  # seconds before rows that were locked are tried again
HANDOVER = 6.0  # seconds until the server ends the session of a killed run
TOLERATED_STATES = ("23", "55P03", "57014", "40P01", "40001")  # rule, lock, timeout, deadlock
DAY_ZONE = "Europe/Moscow"  # of columns that hold days (metrics.md)

# Called with the current time before the rows of the table are removed.
PREPARATIONS: dict[str, Callable[[datetime], object]] = {
    "data_export_requests": lambda now: storage.sweep(now),
}

type Tick = Callable[[int], object]


class AlreadyRunning(Exception):
    """Another run is purging this database. The message names it."""


class RightsMissing(Exception):
    """The connected role may not purge, or a table does not exist yet."""


def purged_tables() -> list[Table]:
    """The tables with expiring rows, in the order in which they are purged."""
    return [table for table in tables() if isinstance(table.retention, Purged | RemovedBy)]


def database_time() -> datetime:
    (now,) = _row("SELECT now()")
    return now


def purge_of(table: Table, **options: Any) -> Purge:
    return (TablePurge if isinstance(table.retention, Purged) else RemoverPurge)(table, **options)


class Purge:
    """The purge of one table, in batches of ``batch`` rows at most, ``pause`` seconds apart.

    After ``run()``, ``removed`` is the number of removed rows, ``left`` the number of expired rows
    that remain, and ``rules`` has the rules that refused some of these.
    """

    def __init__(
        self,
        table: Table,
        *,
        now: datetime,
        batch: int,
        stop: Event,
        pause: float = 0.0,
        patience: float | None = None,
    ):
        self.table, self.now, self.batch, self.stop = table, now, batch, stop
        self.pause, self.patience = pause, PATIENCE if patience is None else patience
        self.removed = self.left = 0
        self.rules: set[str] = set()

    def count_expired(self) -> int:
        """The number of expired rows. Writes nothing."""
        raise NotImplementedError

    def run(self, tick: Tick = lambda rows: None) -> None:
        """Remove what can be removed; ``tick`` gets the number of rows of each batch.

        Ends early when ``stop`` is set. Locked rows are retried until none has become free for
        ``patience`` seconds.
        """
        raise NotImplementedError


class RemoverPurge(Purge):
    """The purge of a table that has a function of its own for it."""

    def count_expired(self) -> int:
        return self._remove(lambda rows: None, dry_run=True)

    def run(self, tick: Tick = lambda rows: None) -> None:
        self.removed = self._remove(tick, dry_run=False)

    def _remove(self, tick: Tick, *, dry_run: bool) -> int:
        assert isinstance(self.table.retention, RemovedBy)
        remover = import_string(self.table.retention.remover)
        return remover(now=self.now, batch=self.batch, stop=self.stop, tick=tick, dry_run=dry_run)


class TablePurge(Purge):
    """The purge of a table by the columns that its retention names."""

    def __init__(self, table: Table, **options: Any):
        super().__init__(table, **options)
        assert isinstance(table.retention, Purged)
        assert table.model is not None
        self.retention, self.model = table.retention, table.model

    def count_expired(self) -> int:
        # Counts each row once, also if it has two end columns.
        any_end = " OR ".join(f"({self._expired(end)})" for end in self.retention.ends)
        with transaction.atomic(), connection.cursor() as db:
            _set(db, COUNT_LIMITS)
            db.execute("SET TRANSACTION READ ONLY")
            db.execute(
                f"SELECT count(*) FROM {_quote(self.table.name)} WHERE {any_end}",
                {"now": self.now},
            )
            (rows,) = db.fetchone()
        return rows

    def run(self, tick: Tick = lambda rows: None) -> None:
        if prepare := PREPARATIONS.get(self.table.name):
            prepare(self.now)
        fewest, deadline = None, 0.0
        while not self.stop.is_set():
            self.rules.clear()
            for end in self.retention.ends:
                self._walk(end, tick)
            self.left = self.count_expired()
            if not self.left:
                return
            if fewest is None or self.left < fewest:
                fewest, deadline = self.left, time.monotonic() + self.patience
            elif time.monotonic() > deadline:
                return
            self.stop.wait(PAUSE)

    def _walk(self, end: After, tick: Tick) -> None:
        """Remove the rows once, the oldest first, batch by batch.

        A batch begins where the previous one ended, not at the start of the index: while an older
        snapshot exists, the index keeps the entries of removed rows.
        """
        begin, rows = "", min(FIRST_BATCH, self.batch)
        at: date | None = None
        while not self.stop.is_set():
            started = time.monotonic()
            try:
                removed, last = self._batch(end, begin, at, rows)
            except DatabaseError as error:
                self._note(error)
                if rows > 1:
                    rows = max(1, rows // 4)
                elif (stuck := self._first(end, begin, at)) is None:
                    return
                else:
                    begin, at = ">", stuck
                continue
            if not removed:
                return
            self.removed += removed
            tick(removed)
            begin, at = ">=", last
            share = TARGET / max(time.monotonic() - started, 0.001)
            rows = min(max(1, int(rows * min(max(share, 0.25), 2))), self.batch)
            if self.pause:
                self.stop.wait(self.pause)

    def _note(self, error: DatabaseError) -> None:
        """Store the rule that refused a batch. Raises an error that is no rule, lock or timeout."""
        cause = error.__cause__
        state = (isinstance(cause, psycopg.Error) and cause.sqlstate) or ""
        if not state.startswith(TOLERATED_STATES):
            raise error
        assert isinstance(cause, psycopg.Error)
        if state.startswith("23") and cause.diag.constraint_name:
            self.rules.add(cause.diag.constraint_name)

    # -- a batch --------------------------------------------------------------------------------

    def _batch(
        self, end: After, begin: str, at: date | None, rows: int
    ) -> tuple[int, datetime | date | None]:
        """Remove the oldest rows; returns how many, and the time of the last of them."""
        name = _quote(self.table.name)
        totals = self.retention.totals
        steps = [
            # By ctid, which cannot change while the row is locked.
            f"batch AS MATERIALIZED ({self._oldest('ctid AS location', end, begin)})",
            f"gone AS (DELETE FROM {name} AS row USING batch WHERE row.ctid = batch.location "
            f"RETURNING {'row.*' if totals else f'row.{_quote(end.column)}'})",
            *([f"added AS ({added(totals)})"] if totals else []),
        ]
        with transaction.atomic(), connection.cursor() as db:
            _set(db, (BATCH_LIMITS if rows > 1 else ONE_ROW_LIMITS) | BY_INDEX)
            db.execute(
                f"WITH {', '.join(steps)} SELECT count(*), max({_quote(end.column)}) FROM gone",
                {"now": self.now, "at": at, "rows": rows},
            )
            removed, last = db.fetchone()
        return removed, last

    def _first(self, end: After, begin: str, at: date | None) -> date | None:
        """The time of the one row that could not be removed; None if all rows are locked."""
        with suppress(DatabaseError), transaction.atomic(), connection.cursor() as db:
            _set(db, ONE_ROW_LIMITS | BY_INDEX)
            db.execute(
                self._oldest(_quote(end.column), end, begin),
                {"now": self.now, "at": at, "rows": 1},
            )
            if row := db.fetchone():
                return row[0]
        return None

    def _oldest(self, what: str, end: After, begin: str) -> str:
        column = _quote(end.column)
        begun = f" AND {column} {begin} %(at)s::{self._type(end)}" if begin else ""
        return (
            f"SELECT {what} FROM {_quote(self.table.name)} WHERE {self._expired(end)}{begun} "
            f"ORDER BY {column} LIMIT %(rows)s FOR UPDATE SKIP LOCKED"
        )

    def _expired(self, end: After) -> str:
        now = "%(now)s::timestamptz"
        if self._type(end) == "date":
            now = f"({now} AT TIME ZONE '{DAY_ZONE}')"
        time = end.time or self.retention.time
        since = f"{now} - interval '{time}'" if time else now
        where = f" AND ({end.where})" if end.where else ""
        return f"{_quote(end.column)} < ({since})::{self._type(end)}{where}"

    def _type(self, end: After) -> str:
        field = next(f for f in self.model._meta.concrete_fields if f.column == end.column)
        return "date" if field.get_internal_type() == "DateField" else "timestamptz"


def added(totals: Totals) -> str:
    """SQL: add the rows of ``gone`` to their totals."""
    by, sums = [*map(_quote, totals.by)], [*map(_quote, totals.sums)]
    values = ", ".join([*totals.by.values(), *totals.sums.values()])
    groups = ", ".join(str(n + 1) for n in range(len(by)))
    more = ", ".join(f"{column} = total.{column} + excluded.{column}" for column in sums)
    return (
        f"INSERT INTO {_quote(totals.table)} AS total ({', '.join([*by, *sums])}) "
        f"SELECT {values} FROM gone GROUP BY {groups} "
        f"ON CONFLICT ON CONSTRAINT {_quote(totals.key)} DO UPDATE SET {more}"
    )


# -- rights, and other runs ------------------------------------------------------------------------

HOLDER = """
SELECT a.pid, a.application_name, a.usename
FROM pg_locks l LEFT JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND (l.classid::bigint << 32) | l.objid::bigint = %s
"""


def check_rights(chosen: Sequence[Table], *, dry_run: bool = False) -> None:
    """Raise RightsMissing unless the connected role may purge, or count, these tables."""
    # Locking a row needs the right to UPDATE as well.
    privileges = ("SELECT",) if dry_run else ("SELECT", "UPDATE", "DELETE")
    needed = {(table.name, privilege): None for table in chosen for privilege in privileges}
    for table in () if dry_run else chosen:
        if isinstance(table.retention, Purged) and (totals := table.retention.totals):
            needed |= {(totals.table, privilege): None for privilege in ("INSERT", "UPDATE")}
    for name, _privilege in needed:
        if _row("SELECT to_regclass(%s)", name) == (None,):
            raise RightsMissing(f"{name} does not exist yet: run `manage.py migrate` first.")
    may = "SELECT has_table_privilege(%s, %s)"
    if denied := [right for right in needed if _row(may, *right) == (False,)]:
        name, privilege = denied[0]
        (role,) = _row("SELECT current_user")
        more = f" ({len(denied)} such rights are missing)" if len(denied) > 1 else ""
        raise RightsMissing(
            f"{role} may not {privilege} {name}{more}: a purge is for the owner of the tables."
        )


@contextmanager
def purge_lock() -> Iterator[None]:
    """Allow no other purge of this database until the block ends. Raises AlreadyRunning.

    The lock is released when the session ends.
    """
    deadline = time.monotonic() + HANDOVER
    while not _row("SELECT pg_try_advisory_lock(%s)", LOCK)[0]:
        if time.monotonic() > deadline:
            raise AlreadyRunning(_holder())
        time.sleep(0.1)
    before = _row("SELECT current_setting('application_name')")[0]
    # Shown in pg_stat_activity; PostgreSQL keeps 63 bytes.
    application_name = f"purge_expired, process {os.getpid()} on {socket.gethostname()}"
    _row("SELECT set_config('application_name', %s, false)", application_name)
    try:
        yield
    finally:
        with suppress(DatabaseError, InterfaceError):  # the session ended, and its lock too
            _row("SELECT set_config('application_name', %s, false)", before)
            _row("SELECT pg_advisory_unlock(%s)", LOCK)


def _holder() -> str:
    row = _row(HOLDER, LOCK)
    if row is None:
        return "Another purge of this database has just ended; try again."
    pid, application, user = row
    return (
        f"Another purge of this database is running: {application or 'a program'}, "
        f"as {user or 'somebody'}, server process {pid}."
    )


def _set(db: Any, settings: dict[str, str]) -> None:
    """Settings for the rest of the transaction."""
    calls = ", ".join("set_config(%s, %s, true)" for _ in settings)
    db.execute(f"SELECT {calls}", [part for pair in settings.items() for part in pair])


def _row(query: str, *params: Any) -> Any:
    with connection.cursor() as db:
        db.execute(query, params)
        return db.fetchone()


def _quote(name: str) -> str:
    return connection.ops.quote_name(name)
