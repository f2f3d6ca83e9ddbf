"""Removes rows that have been kept as long as their models declare: purge_expired (privacy.md §4).

A batch is one transaction of one statement: it selects the oldest expired rows, skips locked ones,
deletes them, and adds them to their totals if they have some. A killed run loses one batch, and
nothing is counted twice. A writer of such a row waits for the batch, whose size is adapted so that
it takes about TARGET seconds. No content of a row is read.

"Now" is the database's time at the start, so a run ends although rows keep expiring.
See docs/adr/0015-retention.md.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from datetime import date, datetime
from threading import Event
from typing import Any

from django.db import DatabaseError, connection, transaction
from django.utils.module_loading import import_string

from ebalance.db.schema.data_map import Table, tables
from ebalance.db.schema.retention import After, Purged, RemovedBy, Totals
from ebalance.failures import database_error, is_outside

from .exports import storage

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
BUSY_STATES = ("55P03", "57014", "40P01", "40001")  # lock, timeout, deadlock
DAY_ZONE = "Europe/Moscow"  # of columns that hold days (metrics.md)

# Called with the current time before the rows of the table are removed.
PREPARATIONS: dict[str, Callable[[datetime], object]] = {
    "data_export_requests": lambda now: storage.sweep(now),
}

type Tick = Callable[[int], object]


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
    that remain, ``rules`` has the rules that refused some of these, and ``refused`` the reason for
    each refused row.
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
        self.refused: dict[Any, str] = {}

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
        try:
            if prepare := PREPARATIONS.get(self.table.name):
                prepare(self.now)
        finally:
            self._remove_rows(tick)  # a file that stays is tried again, without its row too

    def _remove_rows(self, tick: Tick) -> None:
        fewest, deadline = None, 0.0
        while not self.stop.is_set():
            self.rules.clear()
            self.refused.clear()
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
        snapshot exists, the index keeps the entries of removed rows. A row that cannot be removed
        is passed over by its key, so that rows with the same time are removed.
        """
        begin, rows = "", min(FIRST_BATCH, self.batch)
        at: date | None = None
        stuck: list[Any] = [*self.refused]
        while not self.stop.is_set():
            started = time.monotonic()
            try:
                removed, last = self._batch(end, begin, at, rows, stuck)
            except DatabaseError as error:
                rule = self._rule_of(error)
                if rows > 1:
                    rows = max(1, rows // 4)
                elif (row := self._first(end, begin, at, stuck)) is None:
                    return
                else:
                    key, at = row
                    begin = ">="
                    stuck.append(key)
                    if rule:
                        self.refused[key] = f"refused by {rule}"
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

    def _rule_of(self, error: DatabaseError) -> str:
        """The rule that refused a batch; empty for a lock or a time limit.

        Raises an error that concerns no row.
        """
        cause = database_error(error)
        if cause is None or is_outside(error):
            raise error
        if (cause.sqlstate or "").startswith(BUSY_STATES):
            return ""
        rule = cause.diag.constraint_name or cause.sqlstate or "a rule"
        self.rules.add(rule)
        return rule

    # -- a batch --------------------------------------------------------------------------------

    def _batch(
        self, end: After, begin: str, at: date | None, rows: int, stuck: list[Any]
    ) -> tuple[int, datetime | date | None]:
        """Remove the oldest rows; returns how many, and the time of the last of them."""
        name = _quote(self.table.name)
        totals = self.retention.totals
        steps = [
            # By ctid, which cannot change while the row is locked.
            f"batch AS MATERIALIZED ({self._oldest('ctid AS location', end, begin, stuck)})",
            f"gone AS (DELETE FROM {name} AS row USING batch WHERE row.ctid = batch.location "
            f"RETURNING {'row.*' if totals else f'row.{_quote(end.column)}'})",
            *([f"added AS ({added(totals)})"] if totals else []),
        ]
        with transaction.atomic(), connection.cursor() as db:
            _set(db, (BATCH_LIMITS if rows > 1 else ONE_ROW_LIMITS) | BY_INDEX)
            db.execute(
                f"WITH {', '.join(steps)} SELECT count(*), max({_quote(end.column)}) FROM gone",
                {"now": self.now, "at": at, "rows": rows, "stuck": stuck},
            )
            removed, last = db.fetchone()
        return removed, last

    def _first(
        self, end: After, begin: str, at: date | None, stuck: list[Any]
    ) -> tuple[Any, date] | None:
        """Key and time of the one row that could not be removed; None if all rows are locked."""
        what = f"{self._key()}, {_quote(end.column)}"
        with suppress(DatabaseError), transaction.atomic(), connection.cursor() as db:
            _set(db, ONE_ROW_LIMITS | BY_INDEX)
            db.execute(
                self._oldest(what, end, begin, stuck),
                {"now": self.now, "at": at, "rows": 1, "stuck": stuck},
            )
            return db.fetchone()
        return None

    def _key(self) -> str:
        return _quote(str(self.model._meta.pk.column))

    def _oldest(self, what: str, end: After, begin: str, stuck: list[Any]) -> str:
        column = _quote(end.column)
        begun = f" AND {column} {begin} %(at)s::{self._type(end)}" if begin else ""
        left_alone = f" AND {self._key()} <> ALL (%(stuck)s)" if stuck else ""
        return (
            f"SELECT {what} FROM {_quote(self.table.name)} "
            f"WHERE {self._expired(end)}{begun}{left_alone} "
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
