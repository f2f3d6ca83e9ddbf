"""Removes rows that have been kept as long as their models declare: purge_expired (privacy.md §4).

A batch is one transaction of one statement (ebalance/db/walks.py): it selects the oldest expired
rows, skips locked ones, deletes them, and adds them to their totals if they have some. Nothing is
counted twice, and no content of a row is read.

"Now" is the database's time at the start, so a run ends although rows keep expiring.
See docs/adr/0015-retention.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime
from typing import Any

from django.db import DatabaseError, connection
from django.utils.module_loading import import_string

from ebalance.db.schema.data_map import Table, tables
from ebalance.db.schema.retention import After, Purged, RemovedBy
from ebalance.db.walks import COUNT_LIMITS, Tick, Walk, limited, quote

from .exports import storage
from .totals import added, total_params, totals_of

PATIENCE = 10.0  # seconds without progress, while other transactions lock the remaining rows
DAY_ZONE = "Europe/Moscow"  # of columns that hold days (metrics.md)

# Called with the current time before the rows of the table are removed.
PREPARATIONS: dict[str, Callable[[datetime], object]] = {
    "data_export_requests": lambda now: storage.sweep(now),
}


def purged_tables() -> list[Table]:
    """The tables with expiring rows, in the order in which they are purged."""
    return [table for table in tables() if isinstance(table.retention, Purged | RemovedBy)]


def database_time() -> datetime:
    (now,) = _row("SELECT now()")
    return now


def purge_of(table: Table, **options: Any) -> Purge:
    return (TablePurge if isinstance(table.retention, Purged) else RemoverPurge)(table, **options)


class Purge(Walk):
    """The purge of one table. ``done`` counts the removed rows."""

    def __init__(self, table: Table, *, now: datetime, patience: float | None = None, **rest: Any):
        super().__init__(patience=PATIENCE if patience is None else patience, **rest)
        self.table, self.now = table, now

    @property
    def rules(self) -> set[str]:
        """The rules that refused rows."""
        return {reason.removeprefix("refused by ") for reason in self.refused.values()}


class RemoverPurge(Purge):
    """The purge of a table that has a function of its own for it."""

    def remaining(self) -> int:
        return self._remove(lambda rows: None, dry_run=True)

    def run(self, tick: Tick = lambda rows: None) -> bool:
        self.done = self._remove(tick, dry_run=False)
        return not self.stop.is_set()

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

    def remaining(self) -> int:
        # Counts each row once, also if it has two end columns.
        any_end = " OR ".join(f"({self._expired(end)})" for end in self.retention.ends)
        with limited(COUNT_LIMITS) as db:
            db.execute("SET TRANSACTION READ ONLY")
            db.execute(
                f"SELECT count(*) FROM {quote(self.table.name)} WHERE {any_end}",
                {"now": self.now},
            )
            (rows,) = db.fetchone()
        return rows

    def run(self, tick: Tick = lambda rows: None) -> bool:
        try:
            if prepare := PREPARATIONS.get(self.table.name):
                prepare(self.now)
        finally:
            # A file that stays is tried again, without its row too.
            is_complete = super().run(tick)
        return is_complete

    # -- a pass: the oldest rows first -----------------------------------------------------------

    def passes(self) -> Iterable[After]:
        return self.retention.ends

    def begin_pass(self, part: After) -> None:
        """Begin at the start of the index. A later batch begins where the previous one ended.

        While an older snapshot exists, the index keeps the entries of removed rows. A row that
        cannot be removed is passed over by its key, so that rows with the same time are removed.
        """
        self.end, self.begin, self.at = part, "", None
        self.stuck = [*self.refused]

    def find(self, rows: int) -> dict[str, Any]:
        chosen = {"now": self.now, "at": self.at, "rows": rows, "stuck": self.stuck}
        return chosen | total_params()

    def change(self, chosen: dict[str, Any]) -> int | None:
        name = quote(self.table.name)
        totals = totals_of(self.table)
        column = quote(self.end.column)
        steps = [
            # By ctid, which cannot change while the row is locked.
            f"batch AS MATERIALIZED ({self._oldest('ctid AS location')})",
            f"gone AS (DELETE FROM {name} AS row USING batch WHERE row.ctid = batch.location "
            f"RETURNING {'row.*' if totals else f'row.{column}'})",
            *([f"added AS ({added(totals)})"] if totals else []),
        ]
        with limited(self.limits()) as db:
            db.execute(f"WITH {', '.join(steps)} SELECT count(*), max({column}) FROM gone", chosen)
            removed, last = db.fetchone()
        if not removed:
            return None
        self.begin, self.at = ">=", last
        return removed

    def skip(self, chosen: dict[str, Any]) -> Any:
        row = None
        with suppress(DatabaseError), limited(self.limits()) as db:
            db.execute(self._oldest(f"{self._key()}, {quote(self.end.column)}"), chosen)
            row = db.fetchone()
        if row is None:  # all rows are locked
            return None
        key, self.at = row
        self.begin = ">="
        self.stuck.append(key)
        return key

    def _key(self) -> str:
        return quote(str(self.model._meta.pk.column))

    def _oldest(self, what: str) -> str:
        end, column = self.end, quote(self.end.column)
        begun = f" AND {column} {self.begin} %(at)s::{self._type(end)}" if self.begin else ""
        left_alone = f" AND {self._key()} <> ALL (%(stuck)s)" if self.stuck else ""
        return (
            f"SELECT {what} FROM {quote(self.table.name)} "
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
        return f"{quote(end.column)} < ({since})::{self._type(end)}{where}"

    def _type(self, end: After) -> str:
        field = next(f for f in self.model._meta.concrete_fields if f.column == end.column)
        return "date" if field.get_internal_type() == "DateField" else "timestamptz"


def _row(query: str, *params: Any) -> Any:
    with connection.cursor() as db:
        db.execute(query, params)
        return db.fetchone()
