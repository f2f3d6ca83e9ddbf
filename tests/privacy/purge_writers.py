"""Threads that write while tests/privacy/test_purge_beside_others.py purges. No Django.

``Visitor`` starts runs, as the site does, and completes unfinished runs, also old runs that a purge
is about to remove. The totals must add up to the work of the visitors.
"""

from __future__ import annotations

import random
import threading
from collections import Counter

import psycopg

START = """
INSERT INTO interactive_runs (interactive_definition_id, anonymous_id, started_at)
VALUES (%s, 'visitor-live', now() - %s * interval '1 day')
"""
COMPLETE = """
UPDATE interactive_runs SET status = 'completed', completed_at = greatest(now(), started_at),
                            result_level = 'high', duration_ms = 5
WHERE id = (SELECT id FROM interactive_runs WHERE status = 'in_progress'
            ORDER BY started_at OFFSET %s LIMIT 1)
  AND status = 'in_progress'
"""


class Visitor(threading.Thread):
    """Writes on a separate connection until it is stopped."""

    def __init__(self, conninfo: str, quiz: object, seed: int) -> None:
        super().__init__()
        self.conninfo, self.quiz, self.dice = conninfo, quiz, random.Random(seed)
        self.stopped = threading.Event()
        self.done: Counter[str] = Counter()
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            with psycopg.connect(self.conninfo, autocommit=True) as connection:
                while not self.stopped.is_set():
                    self._write(connection)
        except Exception as error:
            self.error = error

    def _write(self, connection: psycopg.Connection) -> None:
        if self.dice.random() < 0.5:
            # Some runs arrive late: their start has already expired.
            days = self.dice.choice([0, 0, 0, 95])
            connection.execute(START, [self.quiz, days])
            self.done["started"] += 1
        else:
            changed = connection.execute(COMPLETE, [self.dice.randrange(50)])
            self.done["completed"] += changed.rowcount

    def stop(self) -> Counter[str]:
        self.stopped.set()
        self.join()
        if self.error is not None:
            raise self.error
        return self.done
