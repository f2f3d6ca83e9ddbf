"""Sequences that once broke a rule, detected by tests/booking/machine.py or while writing it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from django.db import connection

from booking.models import Appointment, AvailabilitySlot, Payment, PaymentWebhookEvent, Service
from booking.services import (
    Cancellation,
    attach_provider_id,
    book_appointment,
    cancel_appointment,
    expire_holds,
    fail_payment,
    receive_webhook,
    start_payment,
)
from ebalance.services import InvalidInput
from tests.factories import AvailabilitySlotFactory, ServiceFactory, UserFactory
from tests.support import execute

pytestmark = pytest.mark.django_db

START = datetime(2031, 3, 5, 9, tzinfo=UTC)
AFTER_HOLD = timedelta(minutes=16)
numbers = count()


class Sequence:
    """Calls services one after another, at controlled times."""

    def __init__(self, now: datetime = START - timedelta(days=2), **service: object) -> None:
        self.now = now
        terms = {"price_amount": 3000, "deposit_amount": 1000, **service}
        self.service: Service = ServiceFactory(published=True, **terms)
        self.client = UserFactory()
        self.staff = UserFactory(role="owner")

    def clock(self) -> datetime:
        self.now += timedelta(microseconds=1)
        return self.now

    def wait(self, duration: timedelta) -> None:
        self.now += duration

    def book(self, start: datetime = START, slot: AvailabilitySlot | None = None) -> Appointment:
        return book_appointment(
            service=self.service,
            slot=slot,
            start=None if slot else start,
            client=self.client,
            client_request_id=f"sequence-{next(numbers)}",
            timezone="Europe/Moscow",
            format="online",
            override=True,
            actor=self.staff,
            clock=self.clock,
        )

    def start(self, appointment: Appointment, purpose: str = "deposit") -> Payment:
        name = f"sequence-{next(numbers)}"
        payment = start_payment(
            appointment=appointment, purpose=purpose, idempotency_key=name, clock=self.clock
        )
        return attach_provider_id(payment, provider_payment_id=f"yk-{name}", clock=self.clock)

    def deliver_success(self, payment: Payment, **given: object) -> PaymentWebhookEvent:
        return receive_webhook(
            event_type="payment.succeeded",
            provider_payment_id=payment.provider_payment_id,
            amount=payment.amount,
            currency="RUB",
            clock=self.clock,
            **given,
        )

    def paid(self, purpose: str = "deposit") -> Appointment:
        appointment = self.book()
        self.deliver_success(self.start(appointment, purpose))
        return appointment

    def cancel(self, appointment: Appointment, by: str = "client") -> Cancellation:
        return cancel_appointment(appointment, by=by, clock=self.clock)


def refunds_due() -> list[tuple[int, str]]:
    """Return amount and reason of each refund, in the order of publication."""
    rows = execute(
        "SELECT (payload->>'amount')::int AS amount, payload->>'reason' AS reason "
        "FROM outbox_events WHERE event_type = 'refund_due' ORDER BY id"
    )
    return [(row["amount"], row["reason"]) for row in rows]


def status_of(appointment: Appointment) -> str:
    return Appointment.objects.get(pk=appointment.pk).status


def test_repeated_cancellation_ignores_a_changed_policy() -> None:
    sequence = Sequence(cancel_free_hours=24, cancel_partial_hours=None)
    appointment = sequence.paid()
    assert sequence.cancel(appointment).refund_amount == 1000
    Service.objects.update(cancel_free_hours=1000)
    assert sequence.cancel(appointment).refund_amount == 1000
    assert refunds_due() == [(1000, "canceled")]


def test_repeated_cancellation_ignores_a_later_payment() -> None:
    sequence = Sequence(cancel_free_hours=72, cancel_partial_hours=24)
    appointment = sequence.paid()
    rest = sequence.start(appointment, "full")
    assert sequence.cancel(appointment).refund_amount == 500
    sequence.deliver_success(rest)
    assert sequence.cancel(appointment).refund_amount == 500
    assert refunds_due() == [(500, "canceled"), (2000, "time_gone")]


def test_hold_is_paid_after_the_end_of_its_session() -> None:
    """A session of ten minutes ends before its hold of 15 minutes expires; staff hold longer."""
    sequence = Sequence(now=START - timedelta(minutes=1), duration_minutes=10)
    appointment = sequence.book()
    payment = sequence.start(appointment)
    sequence.wait(timedelta(minutes=12))
    sequence.deliver_success(payment)
    assert status_of(appointment) == "confirmed"
    assert refunds_due() == []


@pytest.mark.parametrize("swept", [True, False])
def test_late_payment_after_the_start_is_refunded(swept: bool) -> None:
    sequence = Sequence(now=START - timedelta(minutes=10))
    appointment = sequence.book()
    payment = sequence.start(appointment)
    sequence.wait(AFTER_HOLD)
    if swept:
        expire_holds(clock=sequence.clock)
    sequence.deliver_success(payment)
    assert status_of(appointment) == "canceled"
    assert refunds_due() == [(1000, "time_gone")]


@pytest.mark.parametrize("swept", [True, False])
def test_late_payment_for_a_blocked_time_is_refunded(swept: bool) -> None:
    sequence = Sequence()
    appointment = sequence.book()
    payment = sequence.start(appointment)
    sequence.wait(AFTER_HOLD)
    if swept:
        expire_holds(clock=sequence.clock)
    AvailabilitySlotFactory(
        blocked=True, start_at_utc=START, end_at_utc=START + timedelta(minutes=30)
    )
    sequence.deliver_success(payment)
    assert status_of(appointment) == "canceled"
    assert refunds_due() == [(1000, "time_gone")]


def test_payment_during_the_hold_counts_even_after_the_start() -> None:
    sequence = Sequence(now=START - timedelta(minutes=1))
    appointment = sequence.book()
    payment = sequence.start(appointment)
    sequence.wait(timedelta(minutes=12))
    sequence.deliver_success(payment)
    assert status_of(appointment) == "confirmed"
    assert refunds_due() == []


def test_late_payment_does_not_reserve_a_slot_that_was_moved() -> None:
    sequence = Sequence()
    slot = AvailabilitySlotFactory(start_at_utc=START, end_at_utc=START + timedelta(hours=1))
    appointment = sequence.book(slot=slot)
    payment = sequence.start(appointment)
    sequence.wait(AFTER_HOLD)
    expire_holds(clock=sequence.clock)
    day = timedelta(days=1)
    AvailabilitySlot.objects.update(
        start_at_utc=slot.start_at_utc + day, end_at_utc=slot.end_at_utc + day
    )
    sequence.deliver_success(payment)
    again = Appointment.objects.get(rescheduled_from=appointment.pk)
    assert (again.status, again.start_at_utc, again.slot_id) == ("confirmed", START, None)
    slot.refresh_from_db()
    assert slot.status == "available"
    sequence.book(slot=slot)


def test_late_payment_reserves_a_slot_that_was_not_moved() -> None:
    sequence = Sequence()
    slot = AvailabilitySlotFactory(start_at_utc=START, end_at_utc=START + timedelta(hours=1))
    appointment = sequence.book(slot=slot)
    payment = sequence.start(appointment)
    sequence.wait(AFTER_HOLD)
    expire_holds(clock=sequence.clock)
    sequence.deliver_success(payment)
    again = Appointment.objects.get(rescheduled_from=appointment.pk)
    assert (again.status, again.slot_id) == ("confirmed", slot.pk)
    slot.refresh_from_db()
    assert slot.status == "reserved"


def test_cancellation_of_a_hold_that_was_paid_late_refunds_nothing() -> None:
    sequence = Sequence()
    appointment = sequence.book()
    payment = sequence.start(appointment)
    sequence.wait(AFTER_HOLD)
    expire_holds(clock=sequence.clock)
    sequence.deliver_success(payment)
    assert sequence.cancel(appointment, by="provider").refund_amount == 0
    assert refunds_due() == []


def test_same_webhook_under_another_object_id_takes_no_effect() -> None:
    sequence = Sequence()
    payment = sequence.start(sequence.book())
    fail_payment(payment, category="timeout", clock=sequence.clock)
    sequence.deliver_success(payment)
    with pytest.raises(InvalidInput):
        sequence.deliver_success(payment, object_id="another")
    sequence.deliver_success(payment, object_id=payment.provider_payment_id)
    assert refunds_due() == [(1000, "already_over")]
    connection.check_constraints()
