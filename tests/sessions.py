"""Two sessions on one database, step by step: a deterministic race."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import psycopg

from tests.databases import Database

LEVELS = {
    "read committed": psycopg.IsolationLevel.READ_COMMITTED,
    "repeatable read": psycopg.IsolationLevel.REPEATABLE_READ,
    "serializable": psycopg.IsolationLevel.SERIALIZABLE,
}
CONFLICTS = {"40001", "40P01"}


class Session:
    """A connection whose statements run in a thread, so that one may wait for a lock."""

    def __init__(self, database: Database, level: str) -> None:
        self.connection = database.connect()
        self.connection.isolation_level = LEVELS[level]
        self.connection.execute("SET lock_timeout = '300s'; SET deadlock_timeout = '100ms'")
        self.connection.commit()
        self.connection.execute("SELECT 1 FROM roles LIMIT 1")  # takes the snapshot
        self.error: psycopg.Error | None = None
        self._thread: threading.Thread | None = None

    def start(self, statement: str, *params: Any) -> None:
        """Send a statement and do not wait for it."""
        self._run(lambda: self.connection.execute(statement, params))

    def commit(self) -> None:
        self.wait()
        if self.error is None:
            self._run(self.connection.commit)
            self.wait()
        else:
            self.connection.rollback()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for the running statement; return False if it still runs after ``seconds``."""
        if self._thread is not None:
            self._thread.join(seconds)
            if self._thread.is_alive():
                return False
            self._thread = None
        return True

    def wait_until_done_or_blocked(self, watcher: psycopg.Connection[Any]) -> None:
        """Wait until the running statement has ended or waits for a lock."""
        query = "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = %s"
        while self._thread is not None and self._thread.is_alive():
            if watcher.execute(query, [self.connection.info.backend_pid]).fetchone() == (True,):
                return
            self._thread.join(0.005)

    def _run(self, work: Callable[[], object]) -> None:
        self.wait()

        def guarded() -> None:
            try:
                work()
            except psycopg.Error as error:
                self.error = error

        self._thread = threading.Thread(target=guarded)
        self._thread.start()

    def close(self) -> None:
        self.wait()
        self.connection.close()


def race(
    database: Database, level: str, first: tuple, second: tuple, *, repeated: bool = True
) -> list[psycopg.Error]:
    """Take both snapshots; then run ``first``, ``second``, commit, commit.

    A session that PostgreSQL ends for a conflict (serialization failure, deadlock) is repeated, as
    its caller has to: whether there is a conflict depends on the plan and on neighbouring rows.
    Returns the refusals (class 23) of both sessions. With ``repeated=False`` nothing is repeated,
    and conflicts are returned too. Any other error fails the test.
    """
    one, other = Session(database, level), Session(database, level)
    watcher = database.connect(autocommit=True)
    try:
        one.start(*first)
        one.wait()
        other.start(*second)
        other.wait_until_done_or_blocked(watcher)
        one.commit()
        other.commit()
        for session, statement in ((one, first), (other, second)):
            if repeated and session.error and session.error.sqlstate in CONFLICTS:
                session.error = None
                session.start(*statement)
                session.commit()
    finally:
        one.close()
        other.close()
        watcher.close()
    errors = [session.error for session in (one, other) if session.error]
    for error in errors:
        assert error.sqlstate, error
        is_conflict = error.sqlstate in CONFLICTS and not repeated
        assert is_conflict or error.sqlstate.startswith("23"), error
    return errors
