"""Walks a table in small transactions beside live writers: rotation, purge and backfill use it.

A batch is one transaction. It skips rows that other transactions lock, and its size is adapted so
that it takes about TARGET seconds: a writer of one of its rows waits no longer. A batch that waits
for a lock or takes too long is made smaller. A row that cannot be written alone is passed over,
with its reason, and all others are written. A killed walk loses one batch.

See docs/adr/0043-backfills-and-walks.md.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from threading import Event
from typing import Any

from django.db import DatabaseError, connection, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.connection import ConnectionProxy

from ebalance.failures import database_error, is_outside

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
COUNT_LIMITS = {"lock_timeout": "5s", "statement_timeout": "10min"}  # of what locks no row
# Several runs share the row of their progress. A batch locks it before any row of the table.
PROGRESS_LIMITS = BATCH_LIMITS | {"lock_timeout": "5s", "statement_timeout": "5s"}
# The indexes return the rows in the wanted order. With statistics from before the rows changed, the
# planner would read the table.
BY_INDEX = dict.fromkeys(
    ("enable_seqscan", "enable_bitmapscan", "enable_hashjoin", "enable_mergejoin", "jit"), "off"
)
PATIENCE = 30.0  # seconds without progress, while other transactions lock the remaining rows
PAUSE = 0.2  # seconds before rows that were locked are tried again
BUSY_STATES = ("55P03", "57014", "40P01", "40001")  # lock, timeout, deadlock, conflict

type Tick = Callable[[int], object]


class Ended(Exception):
    """Another run has finished this walk, or has replaced it."""


class RowUnchanged(Exception):
    """A batch has a row that still has to be changed after its change."""


class Walk:
    """A walk of one table, in batches of ``batch`` rows at most, ``pause`` seconds apart.

    After ``run()``, ``done`` is the number of changed rows, ``left`` the number of rows that still
    have to be changed, and ``refused`` has the reason for each row that cannot be changed, by key.
    """

    def __init__(
        self,
        *,
        batch: int,
        stop: Event | None = None,
        pause: float = 0.0,
        patience: float = PATIENCE,
    ):
        self.batch, self.rows = batch, min(FIRST_BATCH, batch)
        self.stop = stop or Event()
        self.pause, self.patience = pause, patience
        self.done = self.left = 0
        self.refused: dict[Any, str] = {}

    # -- a subclass implements ------------------------------------------------------------------

    def remaining(self) -> int:
        """The number of rows that have to be changed. Writes nothing."""
        raise NotImplementedError

    def passes(self) -> Iterable[Any]:
        """The parts of a pass. ``run_batch()`` reads one after another, each from its start."""
        return (None,)

    def begin_pass(self, part: Any) -> None:
        """Start to read a part."""

    def find(self, rows: int) -> Any:
        """The next rows; empty at the end. Locks no row."""
        raise NotImplementedError

    def change(self, chosen: Any) -> int | None:
        """Change them in one transaction, and move on; returns how many, or None at the end."""
        raise NotImplementedError

    def skip(self, chosen: Any) -> Any:
        """Pass over one row, which could not be changed. Returns its key, or None at the end."""
        raise NotImplementedError

    # -- the walk -------------------------------------------------------------------------------

    def run(self, tick: Tick = lambda rows: None) -> bool:
        """Change what can be changed; ``tick`` gets the number of rows of each batch.

        Returns False if ``stop`` was set, or if another run has ended this one. Locked rows are
        retried until none has become free for ``patience`` seconds.
        """
        fewest, deadline = None, 0.0
        while not self.stop.is_set():
            self.refused.clear()
            try:
                for part in self.passes():
                    self.begin_pass(part)
                    self._pass(tick)
            except Ended:
                return False
            if self.stop.is_set():
                return False
            self.left = self.remaining()
            busy = self.left - len(self.refused)
            if busy > 0 and (fewest is None or busy < fewest):
                fewest, deadline = busy, time.monotonic() + self.patience
            elif busy <= 0 or time.monotonic() > deadline:
                return True
            self.stop.wait(PAUSE)
        return False

    def _pass(self, tick: Tick) -> None:
        while not self.stop.is_set() and (changed := self.run_batch()) is not None:
            if changed:
                tick(changed)
                if self.pause:
                    self.stop.wait(self.pause)

    def run_batch(self) -> int | None:
        """Change the next rows; returns how many, or None at the end of the pass."""
        if not (chosen := self.find(self.rows)):
            return None
        started = time.monotonic()
        try:
            changed = self.change(chosen)
        except (DatabaseError, RowUnchanged) as error:
            reason = refusal(error)
            if self.rows > 1:
                self.rows = max(1, self.rows // 4)
                return 0
            if (key := self.skip(chosen)) is None:
                return None
            if reason:
                self.refused[key] = reason
            return 0
        share = TARGET / max(time.monotonic() - started, 0.001)
        self.rows = min(max(1, int(self.rows * min(max(share, 0.25), 2))), self.batch)
        self.done += changed or 0
        return changed

    def limits(self) -> dict[str, str]:
        """The settings of the transaction of a batch."""
        return (BATCH_LIMITS if self.rows > 1 else ONE_ROW_LIMITS) | BY_INDEX


class KeyWalk(Walk):
    """A walk in the order of the primary key ``key``, over the rows for which ``where`` is true.

    ``where`` is SQL with the parameters ``params``; ``cursor`` is the last key that was read.
    """

    table: str
    key: str
    where: str
    params: Sequence[Any] = ()
    cursor: Any = None

    def remaining(self) -> int:
        with limited(COUNT_LIMITS) as db:
            db.execute(f"SELECT count(*) FROM {self.table} WHERE {self.where}", self.params)
            (rows,) = db.fetchone()
        return rows

    def find(self, rows: int) -> list[Any]:
        after = "" if self.cursor is None else f"AND {self.key} > %s"
        with limited(COUNT_LIMITS | BY_INDEX) as db:
            db.execute(
                f"SELECT {self.key} FROM {self.table} WHERE ({self.where}) {after} "
                f"ORDER BY {self.key} LIMIT %s",
                [*self.params, *([] if self.cursor is None else [self.cursor]), rows],
            )
            chosen = [key for (key,) in db.fetchall()]
        if not chosen:
            self.cursor = None  # the next pass reads from the start
        return chosen

    def skip(self, chosen: list[Any]) -> Any:
        self.cursor = chosen[-1]
        return self.cursor


def refusal(error: DatabaseError | RowUnchanged) -> str:
    """Why a batch was refused; empty for a lock or a time limit.

    Raises an error that concerns no row.
    """
    cause = database_error(error)
    if isinstance(error, RowUnchanged):
        return str(error)
    if cause is None or is_outside(error):
        raise error
    if (cause.sqlstate or "").startswith(BUSY_STATES):
        return ""
    return f"refused by {cause.diag.constraint_name or cause.sqlstate or 'a rule'}"


@contextmanager
def limited(
    settings: dict[str, str], on: BaseDatabaseWrapper | ConnectionProxy = connection
) -> Iterator[Any]:
    """A cursor in a transaction with these settings."""
    with transaction.atomic(using=on.alias), on.cursor() as db:
        set_local(db, settings)
        yield db


def set_local(db: Any, settings: dict[str, str]) -> None:
    """Settings for the rest of the transaction."""
    calls = ", ".join("set_config(%s, %s, true)" for _ in settings)
    db.execute(f"SELECT {calls}", [part for pair in settings.items() for part in pair])


def quote(name: str) -> str:
    return connection.ops.quote_name(name)
