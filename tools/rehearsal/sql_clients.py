"""Clients that know the schema by their SQL alone. Started by tools/rehearse.py:

    python tools/rehearsal/sql_clients.py JOURNAL

DATABASE_URL names the database. Each kind of client has a thread and a connection of its own.
"""

from __future__ import annotations

import os
import random
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
from fill import TABLES
from journal import Journal

HOT = (*TABLES,)
LEAD = "INSERT INTO leads (source) VALUES ('quiz') RETURNING id"
EVENT = """
    INSERT INTO lead_timeline_events (lead_id, event_id, event_name, source, properties)
    VALUES (%s, gen_random_uuid(), 'page_view', 'web', '{"page_path": "/articles"}')
"""


class Client:
    """A connection that is opened again after a failure, as a pool does."""

    def __init__(self) -> None:
        self.connection: psycopg.Connection[Any] | None = None
        self.others: dict[str, Client] = {}

    def of(self, name: str) -> Client:
        """Another client of the same thread."""
        return self.others.setdefault(name, Client())

    def execute(self, sql: str, params: Any = (), prepare: bool | None = None) -> Any:
        if self.connection is None or self.connection.closed:
            self.connection = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)
        return self.connection.execute(sql, params, prepare=prepare)

    def close(self) -> None:
        for other in self.others.values():
            other.close()
        if self.connection is not None:
            self.connection.close()


def keys(table: str) -> list[Any]:
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        return [key for (key,) in connection.execute(f"SELECT id FROM {table} LIMIT 200")]


def read_everything(journal: Journal, client: Client, known: dict[str, list[Any]]) -> None:
    """A prepared SELECT * of each hot table in turn, on a connection each."""
    for table in HOT:
        reader, key = client.of(table), random.choice(known[table])
        sql = f"SELECT * FROM {table} WHERE id = %s"
        read = partial(reader.execute, sql, [key], prepare=True)
        if not journal.run(f"prepared SELECT * of {table}", read):
            reader.close()  # forgets its plan


def read_price(journal: Journal, client: Client, known: dict[str, list[Any]]) -> None:
    """Keep the price of a service as it is, while a slot is chosen."""

    def read() -> None:
        client.execute("BEGIN")
        client.execute(
            "SELECT price_amount FROM services WHERE id = %s FOR SHARE",
            [random.choice(known["services"])],
        )
        client.execute(
            "SELECT id FROM availability_slots WHERE status = 'available' "
            "AND start_at_utc > now() ORDER BY start_at_utc LIMIT 5"
        )
        client.execute("COMMIT")

    if not journal.run("price reader, FOR SHARE", read):
        client.close()


def edit_price(journal: Journal, client: Client, known: dict[str, list[Any]]) -> None:
    edit = partial(
        client.execute,
        "UPDATE services SET price_amount = 4000 + (price_amount + 1) %% 1000 WHERE id = %s",
        [random.choice(known["services"])],
    )
    if not journal.run("price editor", edit, pause=0.05):
        client.close()


def write_lead(journal: Journal, client: Client, known: dict[str, list[Any]]) -> None:
    """A lead, then its event, in one transaction."""

    def write() -> None:
        client.execute("BEGIN")
        (lead,) = client.execute(LEAD).fetchone()
        client.execute(EVENT, [lead])
        client.execute("COMMIT")

    if not journal.run("lead, then event", write):
        client.close()


CLIENTS: tuple[Callable[[Journal, Client, dict[str, list[Any]]], None], ...] = (
    read_everything,
    read_price,
    read_price,
    edit_price,
    write_lead,
    write_lead,
)


def main(path: str) -> None:
    journal = Journal(Path(path))
    known = {table: keys(table) for table in (*HOT, "services")}

    def work(once: Callable[[Journal, Client, dict[str, list[Any]]], None]) -> None:
        client = Client()
        while journal.is_open():
            once(journal, client, known)
        client.close()

    threads = [threading.Thread(target=work, args=[once]) for once in CLIENTS]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():  # a signal interrupts a join with a timeout only
            thread.join(0.2)
    journal.close()


if __name__ == "__main__":
    main(sys.argv[1])
