"""What the tests of verbs share: whether something was written, and verbs called at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.apps import apps
from django.db import connection

from ebalance.db.apps import PROJECT_APPS
from tests.audit.audit_cases import write_entries
from tests.databases import Database, default_connection_on
from tests.processes import PATIENCE
from tests.support import execute, written_in

TABLES = sorted(
    model._meta.db_table
    for label in PROJECT_APPS
    for model in apps.get_app_config(label).get_models()
)


# One checksum for each table, over all its rows. A sum needs no sort: with sorts the plan is
# expensive enough for parallel workers, which take longer to start than all the rest.
CHECKSUMS = " UNION ALL ".join(
    f"SELECT '{table}' AS name, count(*) AS n, sum(hashtextextended(t::text, 0)) AS sum"
    f" {written_in(table)}"
    for table in TABLES
)


def everything() -> dict[str, Any]:
    """Every row of every table of the project, as a checksum by table."""
    write_entries()
    return {row["name"]: (row["n"], row["sum"]) for row in execute(CHECKSUMS)}


@contextmanager
def nothing_written() -> Iterator[None]:
    before = everything()
    yield
    after = everything()
    assert [table for table in TABLES if before[table] != after[table]] == []


def events(row: Any) -> list[str]:
    """The kinds of outbox events about the row, in their order."""
    return [
        event["event_type"]
        for event in execute(
            "SELECT event_type FROM outbox_events WHERE aggregate_id = %s ORDER BY id", [row.pk]
        )
    ]


@contextmanager
def committing(database: Database, django_db_blocker: Any) -> Iterator[None]:
    """Django's connections are to ``database``, in every thread, and nothing is rolled back."""
    with django_db_blocker.unblock(), default_connection_on(database):
        yield


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """Each call in a thread with a connection of its own, all let go at one moment.

    Returns what each answered, an exception being an answer too.
    """
    gate = threading.Barrier(len(calls))
    answers: list[Any] = [None] * len(calls)

    def run(number: int, call: Callable[[], Any]) -> None:
        try:
            connection.ensure_connection()
            gate.wait()
            answers[number] = call()
        except Exception as error:
            answers[number] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=entry) for entry in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert not any(thread.is_alive() for thread in threads), "a verb waits for ever"
    return answers
