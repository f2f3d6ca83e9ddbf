"""An appointment with those before and after it in a chain of moves.

The payments of a chain belong to its first appointment. A change of a payment of a chain, or of a
refund of it, locks the chain first.
"""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

from django.db import connection

from ebalance.services import NotFound, RowOrKey, lock_rows, pk_of, uuid_or_none

from ..models import Appointment, Payment
from ..querysets import PaymentQuerySet

CHAIN_KEYS = """
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
    """The rows of a chain, first to last, locked until the transaction ends."""

    def __init__(self, rows: list[Appointment]) -> None:
        self.rows = rows

    @classmethod
    def lock(cls, appointment: RowOrKey[Appointment]) -> Chain:
        """Raises NotFound."""
        key = uuid_or_none(pk_of(appointment))
        if key is None:
            raise NotFound(what="appointment")
        keys = read_chain_keys(key)
        while True:
            rows = lock_rows(Appointment.objects.filter(pk__in=keys))
            # A transaction that moved the session held the last row; the chain may be longer now.
            current_keys = read_chain_keys(key)
            if current_keys == keys:
                break
            keys = current_keys
        if not rows:
            raise NotFound(what="appointment")
        return cls(sort_chain(rows))

    @classmethod
    def try_lock(cls, appointment: UUID) -> Chain | None:
        """None if another transaction has locked a row of the chain."""
        keys = read_chain_keys(appointment)
        rows = lock_rows(Appointment.objects.filter(pk__in=keys), skip_locked=True)
        if not rows or {row.pk for row in rows} != read_chain_keys(appointment):
            return None
        return cls(sort_chain(rows))

    def __iter__(self) -> Iterator[Appointment]:
        return iter(self.rows)

    def __getitem__(self, appointment: RowOrKey[Appointment]) -> Appointment:
        key = uuid_or_none(pk_of(appointment))
        return next(row for row in self.rows if row.pk == key)

    @property
    def first(self) -> Appointment:
        return self.rows[0]

    @property
    def last(self) -> Appointment:
        return self.rows[-1]

    @property
    def move_count(self) -> int:
        """How often the session was rescheduled. A hold that was booked again is no move."""
        return sum(row.status == "rescheduled" for row in self.rows)

    @property
    def payments(self) -> PaymentQuerySet:
        return Payment.objects.filter(appointment__in=[row.pk for row in self.rows])

    def lock_payments(self) -> list[Payment]:
        return lock_rows(self.payments)

    def balance(self) -> int:
        """Whole roubles that were paid for the session and are not given back or due back."""
        payments = self.payments.filter(status="succeeded").with_balance()
        return sum(payments.values_list("balance", flat=True))

    @property
    def is_paid(self) -> bool:
        """Whether the deposit, or the price without one, is held."""
        row = self.last
        agreed = row.price_amount if row.deposit_amount is None else row.deposit_amount
        return self.balance() >= agreed


def read_chain_keys(key: UUID) -> set[UUID]:
    with connection.cursor() as cursor:
        cursor.execute(CHAIN_KEYS, [key])
        return {row[0] for row in cursor.fetchall()}


def sort_chain(rows: list[Appointment]) -> list[Appointment]:
    """Each row after the one it replaces."""
    successors = {row.rescheduled_from_id: row for row in rows}
    keys = {row.pk for row in rows}
    ordered = [row for row in rows if row.rescheduled_from_id not in keys]
    while (successor := successors.get(ordered[-1].pk)) is not None:
        ordered.append(successor)
    return ordered
