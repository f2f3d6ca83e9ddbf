"""Backfills: which ones the migrations declare, whether they are done, and their walk.

``manage.py backfill`` runs them (migrations.md, Backfills; docs/adr/0043-backfills-and-walks.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db import DatabaseError, ProgrammingError, connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.loader import MigrationLoader
from django.utils.connection import ConnectionProxy
from psycopg.errors import UndefinedColumn, UndefinedTable

from ebalance.failures import database_error, is_outside

from .operations import Backfill
from .walks import COUNT_LIMITS, PROGRESS_LIMITS, KeyWalk, RowUnchanged, limited, quote, set_local

KEY_TYPES = ("uuid", "smallint", "integer", "bigint", "text", "character varying")
CHECK_LIMITS = {"lock_timeout": "5s", "statement_timeout": "60s"}
LAG_POLL = 1.0  # seconds
MEGABYTE = 1024 * 1024
# Any role may read the slots. pg_stat_replication is empty without pg_read_all_stats: a replica
# without a slot is seen by its lag only with that role.
LAG = """
SELECT name, bytes FROM (
    SELECT slot_name || CASE WHEN active THEN '' ELSE ' (inactive)' END AS name,
           pg_wal_lsn_diff(pg_current_wal_lsn(), coalesce(confirmed_flush_lsn, restart_lsn))
               AS bytes
    FROM pg_replication_slots
    UNION ALL
    SELECT application_name, pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)
    FROM pg_stat_replication WHERE replay_lsn IS NOT NULL
) AS replicas WHERE bytes > %s ORDER BY bytes DESC LIMIT 1
"""


class BackfillError(Exception):
    """A backfill that cannot be run as it is declared. The message is one line."""


@dataclass(frozen=True)
class Job:
    """A backfill that a migration declares."""

    name: str
    app_label: str
    migration: str
    table: str
    set: str
    where: str
    batch: int

    def is_applied(self, loader: MigrationLoader) -> bool:
        return (self.app_label, self.migration) in (loader.applied_migrations or {})


def declared_backfills(loader: MigrationLoader) -> dict[str, Job]:
    """The jobs that the migration files declare, by name, in the order of the files.

    Raises BackfillError if two jobs have one name.
    """
    jobs: dict[str, Job] = {}
    for (app_label, migration), loaded in sorted(loader.disk_migrations.items()):
        for operation in loaded.operations:
            if not isinstance(operation, Backfill):
                continue
            name = operation.name or f"{app_label}.{migration}"
            if name in jobs:
                other = jobs[name]
                raise BackfillError(
                    f"Two backfills are named {name}, in {other.app_label}.{other.migration} and "
                    f"{app_label}.{migration}: give one of them another name=."
                )
            jobs[name] = Job(
                name,
                app_label,
                migration,
                table=operation.table,
                set=operation.set,
                where=operation.where,
                batch=operation.batch,
            )
    return jobs


def is_done(job: Job, on: BaseDatabaseWrapper | ConnectionProxy = connection) -> bool:
    """Whether no row is left. Changes and locks nothing; takes at most CHECK_LIMITS.

    Raises DatabaseError after a time limit, or if a table or column of the job does not exist.
    """
    with limited(CHECK_LIMITS, on) as db:
        db.execute(f"SELECT EXISTS (SELECT FROM {quote(job.table)} WHERE {job.where})")
        return not db.fetchone()[0]


def remaining(job: Job) -> int:
    """The number of rows that are left. Raises DatabaseError, as ``is_done()`` does."""
    with limited(COUNT_LIMITS) as db:
        db.execute(f"SELECT count(*) FROM {quote(job.table)} WHERE {job.where}")
        (rows,) = db.fetchone()
    return rows


def is_obsolete(job: Job) -> bool:
    """Whether a later migration has dropped the table, or a column that the job uses.

    Raises BackfillError for other faults of its SQL. Needs the privileges of a run.
    """
    try:
        with limited(CHECK_LIMITS) as db:
            db.execute(f"EXPLAIN UPDATE {quote(job.table)} SET {job.set} WHERE {job.where}")
    except DatabaseError as error:
        cause = database_error(error)
        if isinstance(cause, UndefinedColumn | UndefinedTable):
            return True
        if not isinstance(error, ProgrammingError) or cause is None or is_outside(error):
            raise
        message = cause.diag.message_primary
        raise BackfillError(f"The SQL of {job.name} is wrong: {message}") from None
    return False


def key_of(table: str) -> tuple[str, str]:
    """The column of the primary key, and its type. Raises BackfillError for another key."""
    with connection.cursor() as db:
        db.execute(
            "SELECT attname, format_type(atttypid, NULL) FROM pg_index "
            "JOIN pg_attribute ON attrelid = indrelid AND attnum = indkey[0] "
            "WHERE indrelid = to_regclass(%s) AND indisprimary AND indnkeyatts = 1",
            [quote(table)],
        )
        column, kind = db.fetchone() or ("", "")
    if kind not in KEY_TYPES:
        raise BackfillError(
            f"{table} has no primary key of one column of the types {', '.join(KEY_TYPES)}."
        )
    return column, kind


class BackfillWalk(KeyWalk):
    """The run of a job. ``begin()`` continues after the last key that was stored.

    A batch waits while a replica is more than ``max_lag`` bytes behind; ``report`` gets a line.
    Several runs share the work. Raises BackfillError for a table without a key that can be stored.
    """

    def __init__(self, job: Job, *, max_lag: int, report: Callable[[str], object], **options: Any):
        super().__init__(**options)
        self.job, self.max_lag, self.report = job, max_lag, report
        column, self.key_type = key_of(job.table)
        self.table = quote(job.table)
        self.key = f"{self.table}.{quote(column)}"
        # Each % is doubled, because the statements have parameters.
        assignment, condition = (sql.replace("%", "%%") for sql in (job.set, job.where))
        self.where = f"({condition})"
        self.update = (
            f"WITH batch AS MATERIALIZED (SELECT {self.key} AS batch_key FROM {self.table} "
            f"WHERE {self.key} = ANY (%s::{self.key_type}[]) AND {self.where} "
            "FOR NO KEY UPDATE SKIP LOCKED) "
            f"UPDATE {self.table} SET {assignment} FROM batch WHERE {self.key} = batch_key "
            f"RETURNING {self.where} IS TRUE"
        )

    def begin(self) -> int:
        """Start or continue the job; returns how many rows it has changed so far."""
        with limited(PROGRESS_LIMITS) as db:
            db.execute(
                "INSERT INTO backfill_jobs AS job (name, table_name) VALUES (%s, %s) "
                "ON CONFLICT (name) DO UPDATE "
                "SET finished_at = NULL, table_name = excluded.table_name "
                f"RETURNING job.cursor::{self.key_type}, job.rows_done",
                [self.job.name, self.job.table],
            )
            self.cursor, changed = db.fetchone()
        return changed

    def end(self) -> None:
        """Store whether the job is finished. Rows that are left stay for the next run."""
        with limited(PROGRESS_LIMITS) as db:
            db.execute(
                "UPDATE backfill_jobs SET cursor = NULL, "
                "finished_at = CASE WHEN %s THEN now() END WHERE name = %s",
                [self.left == 0, self.job.name],
            )

    def find(self, rows: int) -> list[Any]:
        self.wait_for_replicas()
        return [] if self.stop.is_set() else super().find(rows)

    def wait_for_replicas(self) -> None:
        """Wait until every replica is near enough, or ``stop`` is set."""
        reported = ""
        while not self.stop.is_set():
            with connection.cursor() as db:
                db.execute(LAG, [self.max_lag])
                slowest = db.fetchone()
            if slowest is None:
                return
            name, behind = slowest
            if name != reported:
                self.report(
                    f"{self.job.name}: waiting for the replica {name}, which is "
                    f"{behind // MEGABYTE:,} MB behind (--max-lag {self.max_lag // MEGABYTE:,})"
                )
                reported = name
            self.stop.wait(LAG_POLL)

    def change(self, chosen: list[Any]) -> int:
        with limited(PROGRESS_LIMITS) as db:
            # Runs of one job take turns, and wait here while they lock no row of the table.
            db.execute(
                "SELECT FROM backfill_jobs WHERE name = %s FOR NO KEY UPDATE", [self.job.name]
            )
            set_local(db, self.limits())
            db.execute(self.update, [chosen])
            changed = [still for (still,) in db.fetchall()]
            if any(changed):
                raise RowUnchanged("the row still needs the backfill after its assignment")
            db.execute(
                "UPDATE backfill_jobs SET rows_done = rows_done + %s, cursor = "
                f"CASE WHEN cursor::{self.key_type} > %s THEN cursor ELSE %s END WHERE name = %s",
                [len(changed), chosen[-1], str(chosen[-1]), self.job.name],
            )
        self.cursor = chosen[-1]
        return len(changed)
