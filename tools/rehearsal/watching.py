"""Measures beside the clients: waits for locks by pg_locks.waitstart, and rewritten tables."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import psycopg

PAUSE = 0.002  # seconds between two samples
# A client is a session that the rehearsal started, except migrate and backfill. The blockers are
# asked for late, because the question locks the whole table of locks.
WAITS = """
    SELECT a.pid, l.waitstart, extract(epoch FROM l.waitstart)::float8,
           extract(epoch FROM clock_timestamp() - l.waitstart)::float8,
           concat_ws(' ', a.application_name, 'for', l.mode, 'of',
                     coalesce(c.relname, l.locktype)),
           CASE WHEN clock_timestamp() - l.waitstart > interval '30 ms' THEN
               (SELECT string_agg(DISTINCT split_part(b.application_name, ' ', 1), ', ')
                FROM pg_stat_activity b WHERE b.pid = ANY (pg_blocking_pids(a.pid)))
           END
    FROM pg_locks l JOIN pg_stat_activity a USING (pid) LEFT JOIN pg_class c ON c.oid = l.relation
    WHERE NOT l.granted AND a.datname = current_database()
      AND a.application_name LIKE 'client %'
"""
FILES = """
    SELECT oid::bigint, relname, pg_relation_filenode(oid)::bigint FROM pg_class
    WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
"""


@dataclass(frozen=True)
class Wait:
    """A wait of a client for a lock; seconds since 1970, and seconds."""

    began: float
    lasted: float
    of: str
    blockers: str

    def __str__(self) -> str:
        return f"{self.of}" + (f", held by {self.blockers}" if self.blockers else "")


class Watcher(threading.Thread):
    """Samples the waits of all clients until ``end()``."""

    def __init__(self, conninfo: str) -> None:
        super().__init__(daemon=True)
        self.connection = psycopg.connect(conninfo, autocommit=True, application_name="watcher")
        self.ended = threading.Event()
        self.waits: dict[tuple[object, object], Wait] = {}
        self.slowest_sample = 0.0

    def run(self) -> None:
        while not self.ended.wait(PAUSE):
            began = time.monotonic()
            for pid, start, since, lasted, of, blockers in self.connection.execute(WAITS):
                if start is None:  # the first instants of a wait
                    continue
                earlier = self.waits.get((pid, start))
                known = blockers or (earlier.blockers if earlier else "")
                self.waits[pid, start] = Wait(since, lasted, of, known)
            self.slowest_sample = max(self.slowest_sample, time.monotonic() - began)

    def end(self) -> None:
        self.ended.set()
        if self.is_alive():
            self.join()
        self.connection.close()


def files_of_tables(connection: psycopg.Connection) -> dict[int, tuple[str, int]]:
    """The name and the file of each table; a rewritten table has another file."""
    return {oid: (name, file) for oid, name, file in connection.execute(FILES)}


def rewritten(before: dict[int, tuple[str, int]], after: dict[int, tuple[str, int]]) -> list[str]:
    return sorted(
        name for oid, (name, file) in after.items() if oid in before and before[oid][1] != file
    )
