"""Money that staff take at the same moment as somebody else acts on the session."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from booking.errors import NothingToPay
from booking.models import Appointment, Payment, Refund
from booking.services import cancel_appointment, expire_holds, record_refund
from ebalance.services import TransitionRefused
from tests.booking.outbox_assertions import at, book, confirmed, deliver, known_payment
from tests.booking.test_staff_payments import owner, take
from tests.databases import Database
from tests.factories import UserFactory
from tests.factories.booking import DEPOSIT, PRICE
from tests.services import committing, run_concurrently

pytestmark = pytest.mark.slow

ROUNDS = 5


@pytest.fixture(autouse=True)
def committed(fresh_database: Database, django_db_blocker: Any) -> Iterator[None]:
    with committing(fresh_database, django_db_blocker):
        yield


def kept() -> int:
    payments = Payment.objects.filter(status="succeeded").with_balance()
    return sum(payments.values_list("balance", flat=True))


def clear() -> None:
    """End the session of a round: its money does not count in the next one."""
    for payment in Payment.objects.filter(status="succeeded").with_balance():
        if payment.balance:
            record_refund(payment, amount=payment.balance, id=uuid4(), actor=owner())


def test_two_colleagues_record_the_last_part() -> None:
    staff = [owner(), UserFactory(role="assistant")]
    for _ in range(ROUNDS):
        row = confirmed()
        results = run_concurrently(
            *(
                lambda row=row, a=actor: take(row.pk, PRICE - DEPOSIT, actor=a)
                for actor in staff * 2
            )
        )
        assert sorted(type(result).__name__ for result in results) == [
            *["NothingToPay"] * 3,
            "Payment",
        ]
        assert any(isinstance(result, NothingToPay) for result in results)
        assert kept() == PRICE
        clear()


def test_double_click_records_once_under_load() -> None:
    actor = owner()
    for number in range(ROUNDS):
        row = book()
        call = lambda row=row, n=number: take(  # noqa: E731
            row.pk, idempotency_key=f"click-{n}", actor=actor
        )
        payments = run_concurrently(*[call] * 4)
        assert len({payment.pk for payment in payments}) == 1
        assert kept() == DEPOSIT
        clear()


def test_manual_payment_beside_a_delivery_keeps_the_price() -> None:
    actor = owner()
    for _ in range(ROUNDS):
        row = book()
        payment = known_payment(row, "full")
        results = run_concurrently(
            lambda row=row: take(row.pk, PRICE, actor=actor),
            lambda payment=payment: deliver(payment),
        )
        assert isinstance(results[0], Payment | NothingToPay), results[0]
        row.refresh_from_db()
        payment.refresh_from_db()
        assert (row.status, payment.status) == ("confirmed", "succeeded")
        assert kept() == PRICE
        clear()


def test_manual_payment_beside_the_sweep_keeps_the_session() -> None:
    actor = owner()
    for _ in range(ROUNDS):
        row = book()
        then = at(row.hold_expires_at)
        results = run_concurrently(
            lambda row=row, then=then: take(row.pk, actor=actor, clock=then),
            lambda then=then: expire_holds(clock=then),
        )
        assert isinstance(results[0], Payment), results
        rows = Appointment.objects.filter(status="confirmed", start_at_utc=row.start_at_utc)
        assert rows.get().pk == row.pk or rows.get().rescheduled_from_id == row.pk
        assert kept() == DEPOSIT
        assert not Refund.objects.filter(status="due").exists()
        clear()


def test_manual_payment_beside_a_cancellation_is_due_back_or_refused() -> None:
    actor = owner()
    for _ in range(ROUNDS):
        row = book()
        results = run_concurrently(
            lambda row=row: take(row.pk, actor=actor),
            lambda row=row: cancel_appointment(row.pk, by="provider"),
        )
        row.refresh_from_db()
        assert row.status == "canceled"
        if isinstance(results[0], Payment):
            assert results[1].refund_amount == DEPOSIT
        else:
            assert isinstance(results[0], TransitionRefused), results
        assert kept() == 0
