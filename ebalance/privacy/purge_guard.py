"""The conditions of a purge: its rights, and no other purge at the same time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Event
from typing import Any

from audit.services import leases
from ebalance.db.schema.data_map import Table
from ebalance.db.schema.privileges import require_privileges
from ebalance.db.schema.retention import Purged

LEASE = "purge_expired"  # one purge at a time in a database
POLL = 0.2  # seconds


class AlreadyRunning(Exception):
    """Another run is purging this database. The message names it."""


def check_rights(chosen: Sequence[Table], *, dry_run: bool = False) -> None:
    """Raise RightsMissing unless the connected role may purge, or count, these tables."""
    # Locking a row needs the right to UPDATE as well.
    privileges = ("SELECT",) if dry_run else ("SELECT", "UPDATE", "DELETE")
    needed = [(table.name, privilege) for table in chosen for privilege in privileges]
    for table in () if dry_run else chosen:
        if isinstance(table.retention, Purged) and (totals := table.retention.totals):
            needed += [(totals.table, privilege) for privilege in ("INSERT", "UPDATE")]
    require_privileges(needed, "a purge")


@contextmanager
def purge_lock(stop: Event) -> Iterator[None]:
    """Allow no other purge of this database until the block ends. Raises AlreadyRunning.

    Waits for the end of an unrenewed lease: its run was killed. If this run loses its lease
    (the process was suspended), ``stop`` is set, and the end of the block raises AlreadyRunning.
    """
    seen = None
    while True:
        with leases.lease(LEASE, on_lost=stop.set) as own:
            if own is not None:
                try:
                    yield
                finally:
                    if own.is_lost:
                        raise AlreadyRunning(_describe(leases.holder_of(LEASE))) from None
                return
        other = leases.holder_of(LEASE)
        if other and (seen or other) != other:
            raise AlreadyRunning(_describe(other))  # it has renewed its lease
        seen = other or seen
        if stop.wait(POLL):
            raise AlreadyRunning(_describe(other))


def _describe(other: Any) -> str:
    if other is None:
        return "Another purge of this database has just ended; try again."
    process, until = other
    return (
        f"Another purge of this database is running: process {process}, lease until "
        f"{until:%H:%M:%S} UTC."
    )
