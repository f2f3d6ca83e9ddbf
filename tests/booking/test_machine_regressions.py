"""Sequences that broke something once, found by tests/booking/machine.py or while writing it."""

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
    """Verbs one after another, at times of our own."""

    def __init__(self, now: datetime = START - timedelta(days=2), **service: object) -> None:
        self.now = now
        terms = {"price_amount": 3000, "deposit_amount": 1000, **service}
        self.service: Service = ServiceFactory(published=True, **terms)
        self.client = UserFactory()

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
            clock=self.clock,
        )

    def start(self, appointment: Appointment, purpose: str = "deposit") -> Payment:
        name = f"sequence-{next(numbers)}"
        payment = start_payment(
            appointment=appointment, purpose=purpose, idempotency_key=name, clock=self.clock
        )
        return attach_provider_id(payment, provider_payment_id=f"yk-{name}", clock=self.clock)

    def money_comes(self, payment: Payment, **given: object) -> PaymentWebhookEvent:
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
        self.money_comes(self.start(appointment, purpose))
        return appointment

    def cancel(self, appointment: Appointment, by: str = "client") -> Cancellation:
        return cancel_appointment(appointment, by=by, clock=self.clock)


def refunds_due() -> list[tuple[int, str]]:
    """Roubles and reason of each, in the order in which they were told."""
    rows = execute(
        "SELECT (payload->>'amount')::int AS amount, payload->>'reason' AS reason "
        "FROM outbox_events WHERE event_type = 'refund_due' ORDER BY id"
    )
    return [(row["amount"], row["reason"]) for row in rows]


def status_of(appointment: Appointment) -> str:
    return Appointment.objects.get(pk=appointment.pk).status


def test_a_cancellation_answers_the_same_after_the_policy_has_changed() -> None:
    sequence = Sequence(cancel_free_hours=24, cancel_partial_hours=None)
    appointment = sequence.paid()
    assert sequence.cancel(appointment).refund_amount == 1000
    Service.objects.update(cancel_free_hours=1000)
    assert sequence.cancel(appointment).refund_amount == 1000
    assert refunds_due() == [(1000, "canceled")]


def test_a_cancellation_answers_the_same_after_more_money_has_come() -> None:
    sequence = Sequence(cancel_free_hours=72, cancel_partial_hours=24)
    appointment = sequence.paid()
    rest = sequence.start(appointment, "full")
    assert sequence.cancel(appointment).refund_amount == 500
    sequence.money_comes(rest)
    assert sequence.cancel(appointment).refund_amount == 500
    assert refunds_due() == [(500, "canceled"), (2000, "time_gone")]


def test_money_for_a_session_that_is_over_is_given_back_once() -> None:
    """Ten minutes fit into the quarter of an hour of a hold."""
    sequence = Sequence(now=START - timedelta(minutes=1), duration_minutes=10)
    appointment = sequence.book()
    payment = sequence.start(appointment)
    sequence.wait(timedelta(minutes=12))
    sequence.money_comes(payment)
    assert status_of(appointment) == "canceled"
    sequence.cancel(appointment, by="provider")
    assert refunds_due() == [(1000, "time_gone")]


@pytest.mark.parametrize("swept", [True, False])
def test_late_money_after_the_start_is_given_back_swept_or_not(swept: bool) -> None:
    sequence = Sequence(now=START - timedelta(minutes=10))
    appointment = sequence.book()
    payment = sequence.start(appointment)
    sequence.wait(AFTER_HOLD)
    if swept:
        expire_holds(clock=sequence.clock)
    sequence.money_comes(payment)
    assert status_of(appointment) == "canceled"
    assert refunds_due() == [(1000, "time_gone")]


@pytest.mark.parametrize("swept", [True, False])
def test_late_money_for_a_blocked_time_is_given_back_swept_or_not(swept: bool) -> None:
    sequence = Sequence()
    appointment = sequence.book()
    payment = sequence.start(appointment)
    sequence.wait(AFTER_HOLD)
    if swept:
        expire_holds(clock=sequence.clock)
    AvailabilitySlotFactory(
        blocked=True, start_at_utc=START, end_at_utc=START + timedelta(minutes=30)
    )
    sequence.money_comes(payment)
    assert status_of(appointment) == "canceled"
    assert refunds_due() == [(1000, "time_gone")]


def test_money_that_comes_while_the_hold_lasts_is_good_after_the_start() -> None:
    sequence = Sequence(now=START - timedelta(minutes=1))
    appointment = sequence.book()
    payment = sequence.start(appointment)
    sequence.wait(timedelta(minutes=12))
    sequence.money_comes(payment)
    assert status_of(appointment) == "confirmed"
    assert refunds_due() == []


def test_late_money_does_not_reserve_a_slot_that_was_moved_elsewhere() -> None:
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
    sequence.money_comes(payment)
    again = Appointment.objects.get(rescheduled_from=appointment.pk)
    assert (again.status, again.start_at_utc, again.slot_id) == ("confirmed", START, None)
    slot.refresh_from_db()
    assert slot.status == "available"
    sequence.book(slot=slot)


def test_late_money_reserves_a_slot_that_is_where_it_was() -> None:
    sequence = Sequence()
    slot = AvailabilitySlotFactory(start_at_utc=START, end_at_utc=START + timedelta(hours=1))
    appointment = sequence.book(slot=slot)
    payment = sequence.start(appointment)
    sequence.wait(AFTER_HOLD)
    expire_holds(clock=sequence.clock)
    sequence.money_comes(payment)
    again = Appointment.objects.get(rescheduled_from=appointment.pk)
    assert (again.status, again.slot_id) == ("confirmed", slot.pk)
    slot.refresh_from_db()
    assert slot.status == "reserved"


def test_a_hold_that_was_paid_late_is_not_canceled_with_a_refund() -> None:
    sequence = Sequence()
    appointment = sequence.book()
    payment = sequence.start(appointment)
    sequence.wait(AFTER_HOLD)
    expire_holds(clock=sequence.clock)
    sequence.money_comes(payment)
    assert sequence.cancel(appointment, by="provider").refund_amount == 0
    assert refunds_due() == []


def test_the_same_event_under_another_name_takes_no_effect() -> None:
    sequence = Sequence()
    payment = sequence.start(sequence.book())
    fail_payment(payment, category="timeout", clock=sequence.clock)
    sequence.money_comes(payment)
    with pytest.raises(InvalidInput):
        sequence.money_comes(payment, object_id="another")
    sequence.money_comes(payment, object_id=payment.provider_payment_id)
    assert refunds_due() == [(1000, "already_over")]
    connection.check_constraints()
