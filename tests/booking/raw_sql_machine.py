"""Service calls between writes by raw SQL.

The reference cannot predict the results then. But services still refuse with their own errors,
appointments do not overlap, and no refund exceeds its payment.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.db import Error, connection, transaction
from hypothesis import strategies as st

from ebalance.db.ids import uuid7
from ebalance.services import Refused
from tests.booking import reference
from tests.booking.invariants import State, check_final_rows, check_no_overlap, refunds
from tests.booking.machine import MOSCOW, OFFSETS, ROW_NUMBER, Machine, key, move


class RawSqlMachine(Machine):
    """Raw SQL writes between the service calls; no result is predicted."""

    def call_service(self, expected: Callable[[], Any], call: Callable[[], Any]) -> Any:
        try:
            return call()
        except Refused as refused:
            self.refuse(refused)
            return None

    def check(self, before: State) -> None:
        self.load_world()
        check_no_overlap(self.state)
        check_final_rows(self.state, before)
        for payment, amount in refunds(self.state).items():
            assert amount <= self.state["payments"][payment]["amount"]

    def load_world(self) -> None:
        """Load the rows of the database into the world, from which the moves pick."""
        world, state = self.world, self.state
        persons = {row.key: row for row in [*self.persons, *self.leads, *world.services]}
        slots = {slot.key: slot for slot in world.slots}
        for slot_key, row in state["availability_slots"].items():
            slots[slot_key].status = row["status"]
        rows = {row.key: row for row in world.appointments}
        for row_key, row in state["appointments"].items():
            stored = rows.get(row_key)
            if stored is None:
                stored = rows[row_key] = reference.Appointment(
                    service=persons[row["service_id"]],
                    person=persons.get(row["client_user_id"]),
                    lead=persons.get(row["lead_id"]),
                    time=reference.Time(
                        row["start_at_utc"],
                        row["end_at_utc"],
                        row["buffer_minutes"],
                        slots.get(row["slot_id"]),
                    ),
                    price=row["price_amount"],
                    deposit=row["deposit_amount"],
                    status=row["status"],
                    request=row["client_request_id"],
                    replaces=rows.get(row["rescheduled_from_id"]),
                    key=row_key,
                )
                world.appointments.append(stored)
            stored.status, stored.hold = row["status"], row["hold_expires_at"]
        payments = {payment.key: payment for payment in world.payments}
        for payment_key, row in state["payments"].items():
            stored = payments.get(payment_key)
            if stored is None:
                stored = reference.Payment(
                    rows[row["appointment_id"]],
                    row["idempotency_key"],
                    row["purpose"],
                    row["amount"],
                    key=payment_key,
                )
                world.payments.append(stored)
            stored.status = row["status"]

    def execute_sql(self, statement: str, *values: Any) -> None:
        """Execute a statement; ignore a refusal by the database."""
        with self.step(), contextlib.suppress(Error), transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(statement, values)
            connection.check_constraints()

    @move(needs="slots", n=ROW_NUMBER, status=st.sampled_from(["available", "reserved"]))
    def sql_frees_or_reserves_slot(self, n: int, status: str) -> None:
        slot = self.pick(self.world.slots, n)
        self.execute_sql(
            "UPDATE availability_slots SET status = %s WHERE id = %s", status, slot.key
        )

    @move(
        needs="appointments",
        n=ROW_NUMBER,
        outcome=st.sampled_from([None, "canceled_by_client", "canceled_by_provider"]),
    )
    def sql_cancels(self, n: int, outcome: str | None) -> None:
        self.execute_sql(
            "UPDATE appointments SET status = 'canceled', canceled_at = %s, outcome = %s, "
            "outcome_recorded_at = %s, outcome_recorded_by_role = %s "
            "WHERE id = %s AND status <> 'canceled'",
            self.world.now,
            outcome,
            outcome and self.world.now,
            outcome and "owner",
            self.pick_appointment(n).key,
        )

    @move(
        needs="appointments",
        n=ROW_NUMBER,
        status=st.sampled_from(["paid", "confirmed", "rescheduled"]),
    )
    def sql_sets_status(self, n: int, status: str) -> None:
        self.execute_sql(
            "UPDATE appointments SET status = %s, confirmed_at = %s WHERE id = %s AND status <> %s",
            status,
            None if status == "paid" else self.world.now,
            self.pick_appointment(n).key,
            status,
        )

    @move(
        offset=OFFSETS,
        slot=st.sampled_from([None, None, 0, 1, 2]),
        status=st.sampled_from(["pending_payment", "pending_payment", "confirmed"]),
        price=st.sampled_from([0, 3000]),
        replaces=st.sampled_from([None, None, 0, 1]),
    )
    def sql_books(
        self, offset: int, slot: int | None, status: str, price: int, replaces: int | None
    ) -> None:
        chosen = None if slot is None else self.pick(self.world.slots, slot)
        start = self.at(offset) if chosen is None else chosen.start
        rows = self.world.appointments
        self.execute_sql(
            "INSERT INTO appointments (id, service_id, client_user_id, start_at_utc, end_at_utc, "
            "timezone, format, status, hold_expires_at, confirmed_at, price_amount, slot_id, "
            "rescheduled_from_id) "
            "VALUES (%s, %s, %s, %s, %s, %s, 'online', %s, %s, %s, %s, %s, %s)",
            uuid7(),
            self.world.services[0].key,
            self.persons[1].key,
            start,
            start + timedelta(minutes=50),
            MOSCOW,
            status,
            self.world.now + timedelta(minutes=10) if status == "pending_payment" else None,
            self.world.now if status == "confirmed" else None,
            price,
            key(chosen),
            self.pick(rows, replaces).key if rows and replaces is not None else None,
        )

    @move(
        needs="appointments",
        n=ROW_NUMBER,
        purpose=st.sampled_from(["deposit", "full"]),
        amount=st.sampled_from([1, 1000, 5000]),
        answered=st.booleans(),
    )
    def sql_inserts_payment(self, n: int, purpose: str, amount: int, answered: bool) -> None:
        """Insert a payment, possibly a second one of its purpose, for any row of a chain."""
        name = f"pay-{next(self.number)}"
        self.execute_sql(
            "INSERT INTO payments (id, appointment_id, idempotency_key, purpose, amount, "
            "currency, status, provider, provider_payment_id) "
            "VALUES (%s, %s, %s, %s, %s, 'RUB', 'pending', 'yookassa', %s)",
            uuid7(),
            self.pick_appointment(n).key,
            name,
            purpose,
            amount,
            f"yk-{name}" if answered else None,
        )

    @move(needs="payments", n=ROW_NUMBER)
    def sql_marks_payment_succeeded(self, n: int) -> None:
        payment = self.pick_payment(n)
        self.execute_sql(
            "UPDATE payments SET status = 'succeeded', confirmed_at = %s, "
            "provider_payment_id = coalesce(provider_payment_id, %s) WHERE id = %s",
            self.world.now,
            self.provider_id(payment),
            payment.key,
        )

    @move(needs="payments", n=ROW_NUMBER)
    def sql_inserts_delivery(self, n: int) -> None:
        """Insert a delivery without an amount."""
        name = self.provider_id(self.pick_payment(n))
        self.execute_sql(
            "INSERT INTO payment_webhook_events (id, provider, provider_event_id, event_type, "
            "provider_payment_id) VALUES (%s, 'yookassa', %s, 'payment.succeeded', %s)",
            uuid7(),
            f"payment.succeeded:{name}",
            name,
        )


RawSqlMachine.kind = RawSqlMachine
