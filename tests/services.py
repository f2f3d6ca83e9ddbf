"""Helpers for tests of services: detection of writes, and concurrent calls."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from django.apps import apps
from django.db import connection

from ebalance.db.apps import PROJECT_APPS
from ebalance.services import Refused
from tests.audit.audit_cases import write_entries
from tests.databases import Database, default_connection_on
from tests.processes import HANG_TIMEOUT, eventually
from tests.support import execute, from_written_rows

TABLES = sorted(
    model._meta.db_table
    for label in PROJECT_APPS
    for model in apps.get_app_config(label).get_models()
    if model._meta.managed
)


# One checksum for each table, over all its rows. A sum needs no sort: with sorts the plan is
# expensive enough for parallel workers, which take longer to start than all the rest.
CHECKSUMS = " UNION ALL ".join(
    f"SELECT '{table}' AS name, count(*) AS n, sum(hashtextextended(t::text, 0)) AS sum"
    f" {from_written_rows(table)}"
    for table in TABLES
)


def table_checksums() -> dict[str, Any]:
    """Number of rows and checksum of every table of the project."""
    write_entries()
    return {row["name"]: (row["n"], row["sum"]) for row in execute(CHECKSUMS)}


@contextmanager
def nothing_written() -> Iterator[None]:
    before = table_checksums()
    yield
    after = table_checksums()
    assert [table for table in TABLES if before[table] != after[table]] == []


def events(row: Any) -> list[str]:
    """Event types of the row's outbox events, in order."""
    return [
        event["event_type"]
        for event in execute(
            "SELECT event_type FROM outbox_events WHERE aggregate_id = %s ORDER BY id", [row.pk]
        )
    ]


@contextmanager
def committing(database: Database, django_db_blocker: Any) -> Iterator[None]:
    """Connect every thread to ``database`` and commit what the test writes."""
    with django_db_blocker.unblock(), default_connection_on(database):
        yield


WAITING = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


@contextmanager
def waiting(
    database: Database, statement: str, params: list[Any], call: Callable[[], Any], end: str
) -> Iterator[Any]:
    """Run ``call`` in a thread until it waits for ``statement``; then the block, then ``end``.

    Yields a list, which has the result of the call at the end: a row or a refusal.
    """
    results: list[Any] = []

    def run() -> Any:
        try:
            return call()
        except Refused as refusal:
            return refusal
        finally:
            connection.close()

    with (
        database.connect() as other,
        database.connect(autocommit=True) as watcher,
        ThreadPoolExecutor(1) as thread,
    ):
        other.execute(statement, params)
        answer = thread.submit(run)
        assert eventually(lambda: answer.done() or watcher.execute(WAITING).fetchone() != (0,))
        assert not answer.done(), answer.result()
        yield results
        other.execute(end)
        results.append(answer.result(HANG_TIMEOUT))


def run_concurrently(*calls: Callable[[], Any]) -> list[Any]:
    """Start the calls at the same time, each in a thread with its own connection.

    Returns the result of each call, or the exception that it raised.
    """
    gate = threading.Barrier(len(calls))
    results: list[Any] = [None] * len(calls)

    def run(number: int, call: Callable[[], Any]) -> None:
        try:
            connection.ensure_connection()
            gate.wait()
            results[number] = call()
        except Exception as error:
            results[number] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=entry) for entry in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(HANG_TIMEOUT)
    assert not any(thread.is_alive() for thread in threads), "a service waits for ever"
    return results
