"""Writers of two tables, and the time for which they wait for locks."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg

TABLES = """
    CREATE TABLE first_hot (id int PRIMARY KEY, n int NOT NULL DEFAULT 0);
    CREATE TABLE second_hot (id int PRIMARY KEY, n int NOT NULL DEFAULT 0);
    INSERT INTO first_hot SELECT n FROM generate_series(1, 1000) n;
    INSERT INTO second_hot SELECT n FROM generate_series(1, 1000) n;
"""
WAITS = """
    SELECT max(extract(epoch FROM clock_timestamp() - l.waitstart))
    FROM pg_locks l JOIN pg_stat_activity a USING (pid)
    WHERE NOT l.granted AND a.application_name = 'writer'
      AND a.datname = current_database()
"""


@dataclass
class Clients:
    """The work of the writers so far."""

    failures: list[str] = field(default_factory=list)
    transactions: int = 0
    longest_wait: float = 0.0  # seconds, of a client for a lock
    stop: threading.Event = field(default_factory=threading.Event)


@contextmanager
def writing(conninfo: str, writers: int = 4) -> Iterator[Clients]:
    """Writers of both tables in one transaction, every second one in the other order."""
    clients = Clients()
    threads = [
        threading.Thread(target=_write, args=(conninfo, clients, number))
        for number in range(1, writers + 1)
    ]
    threads.append(threading.Thread(target=_observe, args=(conninfo, clients)))
    for thread in threads:
        thread.start()
    try:
        while clients.transactions < 10 * writers and not clients.failures:
            time.sleep(0.01)
        yield clients
    finally:
        clients.stop.set()
        for thread in threads:
            thread.join()


def _write(conninfo: str, clients: Clients, number: int) -> None:
    tables = ["first_hot", "second_hot"]
    if number % 2:
        tables.reverse()
    with psycopg.connect(conninfo, autocommit=True, application_name="writer") as connection:
        while not clients.stop.is_set():
            try:
                with connection.transaction():
                    for table in tables:
                        connection.execute(f"UPDATE {table} SET n = n + 1 WHERE id = %s", [number])
            except psycopg.Error as error:
                clients.failures.append(str(error))
            clients.transactions += 1


def _observe(conninfo: str, clients: Clients) -> None:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        while not clients.stop.is_set():
            row = connection.execute(WAITS).fetchone()
            if row and row[0] is not None:
                clients.longest_wait = max(clients.longest_wait, float(row[0]))
            time.sleep(0.002)
