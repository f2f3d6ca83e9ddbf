"""Executes the steps of a migration: short locks, retries, comparison, record."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection
from typing import Any

from django.core.management.base import CommandError
from django.db import DatabaseError, transaction

from ebalance.failures import database_error

from . import advice
from .comparison import Comparison
from .indexes import build_index, execute
from .new_objects import grant_new
from .recording import Part, Step
from .statements import dropped_index, ends_transaction, locked_tables, split

# Milliseconds that an attempt waits for its first lock. Clients queue behind it for so long.
LOCK_TIMEOUTS = (*[150] * 8, 300, 600, 1000, 1500, 1500, 1500)
# Milliseconds for each further lock, during which clients wait for the first one.
NEXT_LOCK_TIMEOUT = 30
STATEMENT_TIMEOUT = "5s"  # under locks that block clients
VALIDATION_TIMEOUT = "2h"  # reads a table; its lock blocks no client
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0  # seconds between attempts
BUSY_STATES = {"55P03", "40P01"}  # SQLSTATE: a lock timeout, a deadlock
BLOCKERS = """
    SELECT c.relname, a.pid, coalesce(nullif(a.application_name, ''), 'unnamed'), a.state,
           round(extract(epoch FROM now() - a.xact_start))
    FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_stat_activity a USING (pid)
    WHERE l.granted AND c.relname = ANY (%s) AND l.pid <> pg_backend_pid()
      AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    ORDER BY a.xact_start LIMIT 1
"""


class StepRunner:
    """Executes steps on one connection.

    ``compares``: compare the schema before and after each step; not for a first installation.
    ``is_strict``: roll a step back for what should not be done; else ``write`` a warning.
    ``new_tables``: made by the same migration, so that no client uses them.
    """

    def __init__(
        self,
        connection: Any,
        *,
        compares: bool,
        is_strict: bool,
        write: Callable[[str], object],
        new_tables: Collection[str] = (),
    ):
        self.connection = connection
        self.compares = compares
        self.is_strict = is_strict
        self.write = write
        self.new_tables = new_tables

    def run(
        self, name: str, step: Step, declared: Collection[str], record: Callable[[], object]
    ) -> None:
        """Execute a step and ``record`` it. ``declared``: the losses that its migration declares.

        Raises CommandError with ``name`` and the reason. Nothing of the step is done then, except
        that a step outside of a transaction may have been finished and not recorded.
        """
        try:
            if step.is_concurrent:
                self._run_concurrently(step, declared)
                with transaction.atomic(using=self.connection.alias):
                    record()
            else:
                self._run_in_transaction(step, declared, record)
        except CommandError as error:
            raise CommandError(f"{name} {error}") from None
        except DatabaseError as error:
            raise CommandError(f"{name} failed and was rolled back: {_reason(error)}") from error

    # -- outside of a transaction -----------------------------------------------------------------

    def _run_concurrently(self, step: Step, declared: Collection[str]) -> None:
        index = dropped_index(step.sql)
        if index is not None and self.compares and f"index {index}" not in declared:
            self._refuse([f"drops index {index}. {advice.CONTRACT}"])
        _, bare = next(split(step.sql))
        if bare.lstrip()[:6].upper() == "CREATE":
            build_index(self.connection, step.sql)
        else:
            with self.connection.cursor() as cursor:
                execute(cursor, step.sql)

    # -- in a transaction -------------------------------------------------------------------------

    def _run_in_transaction(
        self, step: Step, declared: Collection[str], record: Callable[[], object]
    ) -> None:
        limited = self.compares and not step.is_validation
        tables = locked_tables(step.sql) if limited else []
        for attempt, timeout in enumerate(LOCK_TIMEOUTS, 1):
            try:
                # Clients may lock the tables in the other order.
                order = tables if attempt % 2 else tables[::-1]
                self._attempt(step, declared, record, order, timeout)
                return
            except DatabaseError as error:
                cause = database_error(error)
                if cause is None or cause.sqlstate not in BUSY_STATES:
                    raise
                if attempt == len(LOCK_TIMEOUTS):
                    raise CommandError(
                        f"could not lock its tables in {attempt} attempts{self._blocker(tables)}. "
                        "Nothing of this step was done; run the command again."
                    ) from None
            pause = min(FIRST_PAUSE * 1.5**attempt, LONGEST_PAUSE)
            time.sleep(random.uniform(0.5, 1.0) * pause)

    def _attempt(
        self,
        step: Step,
        declared: Collection[str],
        record: Callable[[], object],
        tables: list[str],
        timeout: int,
    ) -> None:
        with transaction.atomic(using=self.connection.alias), self.connection.cursor() as cursor:
            comparison = Comparison(cursor, self.new_tables) if self.compares else None
            parts: list[Part] = [*step.messages]
            if comparison:
                stored = {each.name for each in comparison.before.values() if each.kind == "table"}
                known = [table for table in tables if table in stored]
                limits = _limits(known, timeout, is_validation=step.is_validation)
                # One message with the first SQL, so that no lock waits for this program.
                parts[:1] = [limits + parts[0]] if isinstance(parts[0], str) else [limits, parts[0]]
            for part in parts:
                if isinstance(part, str):
                    cursor.execute(part)
                else:
                    with self.connection.execute_wrapper(_refuse_end):
                        part()
            if comparison:
                self._refuse([each.sentence for each in comparison.findings(declared)])
                grant_new(cursor, comparison)
            record()

    def _refuse(self, sentences: list[str]) -> None:
        if sentences and self.is_strict:
            raise CommandError("is refused and was rolled back: it " + " It ".join(sentences))
        for sentence in sentences:
            self.write(f"Production refuses this migration: it {sentence}")

    def _blocker(self, tables: list[str]) -> str:
        with self.connection.cursor() as cursor:
            cursor.execute(BLOCKERS, [tables])
            row = cursor.fetchone()
        if row is None:
            return ""
        table, process, application, state, seconds = row
        return (
            f": {table} is locked by process {process} of the server ({application}, {state}, "
            f"transaction of {seconds or 0} s)"
        )


def _refuse_end(execute: Callable[..., Any], sql: Any, *args: Any) -> Any:
    """Keep a function of RunPython from making its losses permanent before the comparison."""
    if ends_transaction(str(sql)):
        raise CommandError(f"begins or ends a transaction. {advice.ENDS_TRANSACTION}")
    return execute(sql, *args)


def _limits(tables: list[str], timeout: int, *, is_validation: bool) -> str:
    """SQL before a step: its timeouts, and the locks of its tables."""
    if is_validation:
        return (
            f"SET LOCAL lock_timeout = {timeout}; "
            f"SET LOCAL statement_timeout = '{VALIDATION_TIMEOUT}'; "
        )
    sql = (
        f"SET LOCAL lock_timeout = {timeout}; SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT}'; "
    )
    for number, table in enumerate(tables):
        if number == 1:
            sql += f"SET LOCAL lock_timeout = {NEXT_LOCK_TIMEOUT}; "
        sql += f'LOCK TABLE public."{table}" IN ACCESS EXCLUSIVE MODE; '
    if tables:
        sql += f"SET LOCAL lock_timeout = {NEXT_LOCK_TIMEOUT}; "
    return sql


def _reason(error: DatabaseError) -> str:
    cause = database_error(error)
    if cause is None:
        return str(error)
    if cause.sqlstate == "57014":
        return f"a statement took longer than {STATEMENT_TIMEOUT} under its locks"
    reason = " ".join((cause.diag.message_primary or str(error)).split())
    if (cause.sqlstate or "").startswith("23"):
        reason += ". Change the rows that violate it, and run the command again"
    return reason
