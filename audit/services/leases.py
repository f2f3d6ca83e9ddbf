"""Leases: locks that outlive a transaction, as rows: docs/adr/0033-bad-rows-and-leases.md.

A lease is taken, renewed and released in short transactions, so it needs no session of its own and
works through a transaction pooler. The database's clock decides when it ends. A thread renews it
every third of its time; a process that was killed renews nothing, and another one takes it over.

A process that was only suspended does not know that it lost its lease: a transaction whose result
must count once calls ``is_still_ours()``.
"""

from __future__ import annotations

import logging
import os
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from threading import Event, Thread
from typing import Any
from uuid import UUID, uuid4

from django.db import InterfaceError, OperationalError, connection

from ..models import Lease

logger = logging.getLogger(__name__)

SECONDS = 30.0  # until an unrenewed lease ends
CONNECTION_ERRORS = (OperationalError, InterfaceError)

TAKE = """
INSERT INTO leases AS lease (name, token, holder, expires_at)
VALUES (%(name)s, %(token)s, %(holder)s, clock_timestamp() + make_interval(secs => %(seconds)s))
ON CONFLICT ON CONSTRAINT leases_name_unique DO UPDATE
SET token = excluded.token, holder = excluded.holder, expires_at = excluded.expires_at
WHERE lease.expires_at <= clock_timestamp()
"""
RENEW = """
UPDATE leases SET expires_at = clock_timestamp() + make_interval(secs => %(seconds)s)
WHERE name = %(name)s AND token = %(token)s
"""
RELEASE = "DELETE FROM leases WHERE name = %(name)s AND token = %(token)s"
LOCK = "SELECT FROM leases WHERE name = %(name)s AND token = %(token)s FOR UPDATE"


class OwnLease:
    """A lease that this process has taken; ``is_lost`` after another process took it over."""

    def __init__(self, name: str, on_lost: Callable[[], object]) -> None:
        self.name = name
        self.token: UUID = uuid4()
        self.is_lost = False
        self._on_lost = on_lost
        self._ended = Event()
        self._thread = Thread(target=self._renew_until_ended, name=f"lease {name}", daemon=True)

    def take(self) -> bool:
        """Take the lease unless another process has it."""
        if not self._execute(TAKE):
            return False
        self._thread.start()
        return True

    def release(self) -> None:
        """End the lease. Logs a warning if it was lost."""
        self._ended.set()
        self._thread.join()
        try:
            is_released = self._execute(RELEASE) == 1
        except CONNECTION_ERRORS as error:
            logger.warning("lease %s ends by its time: %s", self.name, type(error).__name__)
            return
        if not is_released:
            logger.warning("lease %s was lost before its release", self.name)

    def is_still_ours(self) -> bool:
        """Whether nobody has taken the lease over; nobody can until the transaction ends."""
        return self._execute(LOCK) == 1

    def _renew_until_ended(self) -> None:
        try:
            while not self._ended.wait(SECONDS / 3):
                try:
                    is_ours = self._execute(RENEW) == 1
                except CONNECTION_ERRORS:
                    connection.close()  # of this thread; the next round connects again
                    continue
                if not is_ours:
                    self.is_lost = True
                    self._on_lost()
                    return
        finally:
            connection.close()

    def _execute(self, statement: str) -> int:
        with connection.cursor() as cursor:
            cursor.execute(
                statement,
                {
                    "name": self.name,
                    "token": self.token,
                    "holder": holder(),
                    "seconds": SECONDS,
                },
            )
            return cursor.rowcount


@contextmanager
def lease(name: str, *, on_lost: Callable[[], object] = lambda: None) -> Iterator[OwnLease | None]:
    """Keep the lease for the block; yields None if another process has it.

    ``on_lost`` is called in a thread if another process takes the lease over.
    """
    own = OwnLease(name, on_lost)
    if not own.take():
        yield None
        return
    try:
        yield own
    finally:
        own.release()


def holder() -> str:
    """This process, as the column ``holder`` stores it."""
    host = re.sub(r"[^a-z0-9.-]", "-", socket.gethostname().lower())[:53]
    return f"{host or 'host'}:{os.getpid()}"


def holder_of(name: str) -> tuple[str, datetime] | None:
    """The process that has this lease, and its end; None if the lease is free or has ended."""
    rows: Any = Lease.objects.filter(name=name)
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        (now,) = cursor.fetchone()
    return rows.filter(expires_at__gt=now).values_list("holder", "expires_at").first()
