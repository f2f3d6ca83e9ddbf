"""Payments: asked for once, known to the provider once, and closed once."""

from __future__ import annotations

from datetime import timedelta

import pytest

from booking.errors import HoldExpired, NothingToPay, PaymentInProgress, ProviderIdTaken
from booking.models import Appointment, Payment
from booking.services import attach_provider_id, fail_payment, reschedule_appointment
from crm.models import Lead
from ebalance.db.ids import uuid7
from ebalance.services import IdempotencyConflict, InvalidInput, NotFound, TransitionRefused
from tests.booking.outbox_assertions import (
    NO_KEYS,
    NO_TEXTS,
    at,
    book,
    check_refusals,
    confirmed,
    deliver,
    known_payment,
    paid,
    payload,
    refused,
    start,
    stored,
    told,
    tracked,
    tracked_names,
    writes_nothing,
)
from tests.factories import AppointmentFactory, PaymentFactory, ServiceFactory
from tests.factories.booking import DEPOSIT, NEXT_WEEK, PRICE
from tests.rule_groups import loop_over

pytestmark = pytest.mark.django_db

TICK = timedelta(microseconds=1)
TOO_LONG = "a" * 201
WRONG_TEXTS = [
    None,
    "",
    " ",
    "\n\t",
    "\u200b",
    TOO_LONG,
    "a" * 100_000,
    7,
    True,
    [],
    {},
    b"a",
    *NO_TEXTS,
]


# -- start ----------------------------------------------------------------------------------------


def test_a_payment_is_asked_for() -> None:
    row = book()
    payment = start(row, idempotency_key="payment-1")
    after = stored(payment)
    assert after["appointment_id"] == row.pk
    assert (after["status"], after["purpose"]) == ("pending", "deposit")
    assert (after["amount"], after["currency"], after["provider"]) == (DEPOSIT, "RUB", "yookassa")
    assert (after["idempotency_key"], after["provider_payment_id"]) == ("payment-1", None)
    assert told(payment) == ["payment_started"]
    assert payload("payment_started") == {
        "amount": DEPOSIT,
        "currency": "RUB",
        "purpose": "deposit",
        "appointment_id": str(row.pk),
    }
    assert tracked("payment_started") == [
        {
            "payment_provider": "yookassa",
            "amount": DEPOSIT,
            "currency": "RUB",
            "service_id": str(row.service_id),
        }
    ]
    assert Lead.objects.get().status == "booking_started"


@loop_over("purpose", ["deposit", "full"])
def test_the_same_request_is_answered_with_the_first_payment(purpose: str) -> None:
    row = book()
    first = start(row, purpose, idempotency_key="payment-1")
    with writes_nothing():
        for given in (row, row.pk, str(row.pk).upper()):
            assert start(given, purpose, idempotency_key="payment-1").pk == first.pk
        late = at(row.hold_expires_at, days=1)
        assert start(row, purpose, idempotency_key="payment-1", clock=late).pk == first.pk


@loop_over("over", ["succeeded", "canceled", "failed"])
def test_the_answer_stays_whatever_has_become_of_it(over: str) -> None:
    row = book()
    payment = known_payment(row, idempotency_key="payment-1")
    if over == "failed":
        fail_payment(payment, category="timeout")
    else:
        deliver(payment, f"payment.{over}")
    with writes_nothing():
        again = start(row, idempotency_key="payment-1")
    assert (again.pk, again.status) == (payment.pk, over)


def test_of_a_moved_session_it_is_the_same_request_too() -> None:
    row = confirmed()
    first = start(row, "full", idempotency_key="payment-2")
    moved = reschedule_appointment(row, start=NEXT_WEEK + timedelta(days=90))
    with writes_nothing():
        assert start(moved, "full", idempotency_key="payment-2").pk == first.pk


def test_the_same_key_for_something_else_is_refused() -> None:
    row, other = book(), book()
    first = start(row, idempotency_key="payment-1")
    with refused(IdempotencyConflict, payment=first.pk):
        start(row, "full", idempotency_key="payment-1")
    with refused(IdempotencyConflict, payment=first.pk):
        start(other, idempotency_key="payment-1")


AMOUNTS: list[tuple[int | None, list[tuple[str, int]], str, int | None]] = [
    # deposit agreed, what has come in, what is asked for, how much that is (price 5000)
    (1000, [], "deposit", 1000),
    (1000, [], "full", 5000),
    (1000, [("deposit", 1000)], "full", 4000),
    (5000, [], "deposit", 5000),
    (None, [], "full", 5000),
    (None, [], "deposit", None),
    (1000, [("deposit", 1000)], "deposit", None),
    (1000, [("full", 5000)], "deposit", None),
    (1000, [("full", 5000)], "full", None),
    (5000, [("deposit", 5000)], "full", None),
    (1000, [("deposit", 1000), ("full", 4000)], "full", None),
]


@loop_over(("deposit", "came_in", "purpose", "amount"), AMOUNTS)
def test_what_is_not_paid_yet_is_asked_for(
    deposit: int | None, came_in: list[tuple[str, int]], purpose: str, amount: int | None
) -> None:
    row = AppointmentFactory(deposit_amount=deposit)
    for earlier, money in came_in:
        PaymentFactory(appointment=row, succeeded=True, purpose=earlier, amount=money)
    if amount is None:
        with refused(NothingToPay, appointment=row.pk):
            start(row, purpose)
    else:
        assert start(row, purpose).amount == amount


@loop_over("purpose", ["deposit", "full"])
def test_what_is_free_of_charge_is_not_paid(purpose: str) -> None:
    row = book(service=ServiceFactory(published=True, free=True))
    with refused(NothingToPay):
        start(row, purpose)


def test_nobody_is_charged_twice() -> None:
    row = book()
    pending = start(row)
    for purpose in ("deposit", "full"):
        with refused(PaymentInProgress, payment=pending.pk):
            start(row, purpose)
    fail_payment(pending, category="timeout")
    assert start(row).status == "pending"


def test_after_the_hold_nothing_is_asked_for() -> None:
    row = book()
    with refused(HoldExpired, appointment=row.pk):
        start(row, clock=at(row.hold_expires_at))
    assert start(row, clock=at(row.hold_expires_at - TICK)).status == "pending"


@loop_over("status", ["canceled", "rescheduled", "completed"])
def test_what_is_over_is_not_paid(status: str) -> None:
    row = AppointmentFactory(**{status: True})
    with refused(TransitionRefused, entity="appointments", wanted="paid"):
        start(row)


def test_the_rest_may_be_paid_until_the_session_is_over() -> None:
    row = confirmed()
    payment = start(row, "full", clock=at(row.end_at_utc))
    assert payment.amount == PRICE - DEPOSIT


def test_payment_request_has_a_key() -> None:
    row = AppointmentFactory(held=True)
    check_refusals(lambda value: start(row, idempotency_key=value), WRONG_TEXTS, InvalidInput)


def test_purpose_is_one_of_the_set() -> None:
    row = AppointmentFactory(held=True)
    check_refusals(
        lambda value: start(row, value),
        [*WRONG_TEXTS, "tip", "Deposit"],
        InvalidInput,
        field="purpose",
    )


def test_payment_is_for_an_appointment() -> None:
    check_refusals(start, [None, uuid7(), *NO_KEYS], NotFound)


def test_a_price_that_no_event_can_hold_is_not_asked_for() -> None:
    row = AppointmentFactory(held=True, price_amount=2**31 - 1)
    with refused(InvalidInput, field="amount"):
        start(row, "full")


# -- attach_provider_id ---------------------------------------------------------------------------


def test_the_providers_id_is_noted_once() -> None:
    payment = start(book())
    assert attach_provider_id(payment, provider_payment_id="provider-1") is payment
    assert payment.provider_payment_id == stored(payment)["provider_payment_id"] == "provider-1"
    with writes_nothing():
        attach_provider_id(payment, provider_payment_id="provider-1")
        attach_provider_id(Payment.objects.get(pk=payment.pk), provider_payment_id="provider-1")
    with refused(ProviderIdTaken, payment=payment.pk):
        attach_provider_id(payment, provider_payment_id="provider-2")


def test_an_id_belongs_to_one_payment() -> None:
    PaymentFactory(provider_payment_id="provider-1")
    payment = PaymentFactory()
    with refused(ProviderIdTaken, payment=payment.pk):
        attach_provider_id(payment, provider_payment_id="provider-1")


@loop_over("over", ["canceled", "failed", "succeeded"])
def test_an_id_that_came_late_is_noted_too(over: str) -> None:
    payment = PaymentFactory(**{over: True})
    if over == "failed":
        attach_provider_id(payment, provider_payment_id="provider-1")
        assert (payment.status, payment.provider_payment_id) == ("failed", "provider-1")
    else:
        with refused(ProviderIdTaken):
            attach_provider_id(payment, provider_payment_id="provider-1")


def test_bad_provider_id_is_refused() -> None:
    payment = PaymentFactory()
    check_refusals(
        lambda value: attach_provider_id(payment, provider_payment_id=value),
        WRONG_TEXTS,
        InvalidInput,
        field="provider_payment_id",
    )


def test_what_was_told_before_the_id_was_known_takes_effect() -> None:
    row = book()
    payment = start(row)
    event = deliver("provider-1")
    assert (event.last_error, event.processed_at) == ("unknown_payment", None)
    attach_provider_id(payment, provider_payment_id="provider-1")
    event.refresh_from_db()
    row.refresh_from_db()
    assert (payment.status, row.status) == ("succeeded", "confirmed")
    assert (event.last_error, event.attempts) == (None, 2)
    assert event.processed_at is not None


def test_all_that_was_told_before_takes_effect() -> None:
    payment = start(book())
    events = [
        deliver("provider-1", kind) for kind in ("payment.waiting_for_capture", "payment.succeeded")
    ]
    attach_provider_id(payment, provider_payment_id="provider-1")
    for event in events:
        event.refresh_from_db()
        assert (event.processed_at is None, event.last_error) == (False, None)
    assert payment.status == "succeeded"


# -- fail -----------------------------------------------------------------------------------------


def test_a_payment_that_was_not_opened_is_closed() -> None:
    row = book()
    payment = start(row)
    assert fail_payment(payment, category="provider_error") is payment
    assert (payment.status, payment.failure_category) == ("failed", "provider_error")
    assert told(payment) == ["payment_started", "payment_failed"]
    assert payload("payment_failed") == {
        "failure_category": "provider_error",
        "appointment_id": str(row.pk),
    }
    assert tracked("payment_failed")[0]["failure_category"] == "provider_error"
    row.refresh_from_db()
    assert row.status == "pending_payment"
    with writes_nothing():
        fail_payment(payment, category="provider_error")


@loop_over("over", ["succeeded", "canceled", "failed"])
def test_what_is_closed_is_not_closed_again(over: str) -> None:
    payment = PaymentFactory(**{over: True})
    with refused(TransitionRefused, entity="payments", status=over, wanted="failed"):
        fail_payment(payment, category="provider_error")


def test_failure_category_is_one_of_the_set() -> None:
    payment = PaymentFactory()
    check_refusals(
        lambda value: fail_payment(payment, category=value),
        [*WRONG_TEXTS, "Timeout"],
        InvalidInput,
        field="category",
    )


def test_money_that_comes_after_all_is_due_back() -> None:
    row = book()
    payment = known_payment(row)
    fail_payment(payment, category="timeout")
    event = deliver(payment)
    assert (event.last_error, event.processed_at is None) == ("out_of_order", False)
    assert payload("refund_due")["reason"] == "already_over"
    row.refresh_from_db()
    payment.refresh_from_db()
    assert (row.status, payment.status) == ("pending_payment", "failed")


def test_what_is_not_there_is_not_found() -> None:
    payment = PaymentFactory.build()
    with refused(NotFound):
        fail_payment(payment, category="timeout")
    with refused(NotFound):
        attach_provider_id(payment, provider_payment_id="provider-1")


# -- together -------------------------------------------------------------------------------------


def test_the_whole_way_is_told_once_each() -> None:
    row = book()
    deposit = paid(row, "deposit")
    rest = paid(row, "full")
    assert (deposit.amount, rest.amount) == (DEPOSIT, PRICE - DEPOSIT)
    assert sorted(told()) == sorted(
        [
            "appointment_booked",
            "lead_created",
            *["payment_started", "payment_succeeded"] * 2,
            "appointment_paid",
            "appointment_confirmed",
        ]
    )
    assert tracked_names() == sorted(
        ["booking_slot_selected", *["payment_started", "booking_paid"] * 2, "booking_confirmed"]
    )
    assert Appointment.objects.get().status == "confirmed"
    assert Lead.objects.get().status == "booked_confirmed"
