"""An appointment with what it replaces and what replaces it; payments stay with the first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING
from uuid import UUID

from django.db import connection
from django.db.models import QuerySet, Sum

from ebalance.services import NotFound, lock_rows

if TYPE_CHECKING:
    from ..models import Appointment, Payment

MEMBERS = """
WITH RECURSIVE back AS (
    SELECT id, rescheduled_from_id FROM appointments WHERE id = %s
    UNION
    SELECT a.id, a.rescheduled_from_id
    FROM appointments a JOIN back ON a.id = back.rescheduled_from_id),
forth AS (
    SELECT id FROM back
    UNION
    SELECT a.id FROM appointments a JOIN forth ON a.rescheduled_from_id = forth.id)
SELECT id FROM forth
"""


class Chain:
    """The rows of a chain as they are now, first to last, locked until the transaction ends."""

    def __init__(self, rows: list[Appointment]) -> None:
        self.rows = rows

    @classmethod
    def locked(cls, appointments: QuerySet[Appointment], key: UUID) -> Chain:
        """Raises NotFound."""
        keys = members(key)
        while True:
            rows = lock_rows(appointments.filter(pk__in=keys))
            # Whoever moves a session holds its last row; by now the chain may be longer.
            now = members(key)
            if now == keys:
                break
            keys = now
        if not rows:
            raise NotFound(what="appointment")
        return cls(in_order(rows))

    def __iter__(self) -> Iterator[Appointment]:
        return iter(self.rows)

    def __getitem__(self, key: UUID) -> Appointment:
        return next(row for row in self.rows if row.pk == key)

    @property
    def first(self) -> Appointment:
        return self.rows[0]

    @property
    def last(self) -> Appointment:
        return self.rows[-1]

    @property
    def moves(self) -> int:
        """How often the session was rescheduled; a late payment that found its time is no move."""
        return sum(row.status == "rescheduled" for row in self.rows)

    @property
    def payments(self) -> QuerySet[Payment]:
        from ..models import Payment

        return Payment.objects.filter(appointment__in=[row.pk for row in self.rows])

    def paid(self) -> int:
        """Whole roubles that have come in for the session."""
        return self.payments.filter(status="succeeded").aggregate(sum=Sum("amount"))["sum"] or 0


def members(key: UUID) -> set[UUID]:
    with connection.cursor() as cursor:
        cursor.execute(MEMBERS, [key])
        return {row[0] for row in cursor.fetchall()}


def in_order(rows: list[Appointment]) -> list[Appointment]:
    """Each row after the one it replaces."""
    after = {row.rescheduled_from_id: row for row in rows}
    keys = {row.pk for row in rows}
    ordered = [row for row in rows if row.rescheduled_from_id not in keys]
    while (following := after.get(ordered[-1].pk)) is not None:
        ordered.append(following)
    return ordered
