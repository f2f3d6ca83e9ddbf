"""Payments: each is started once, gets its provider id once and is closed once."""

from __future__ import annotations

from datetime import timedelta

import pytest

from booking.errors import HoldExpired, NothingToPay, PaymentInProgress, ProviderIdTaken
from booking.models import Appointment, Payment
from booking.services import attach_provider_id, fail_payment
from crm.models import Lead
from ebalance.db.ids import uuid7
from ebalance.services import IdempotencyConflict, InvalidInput, NotFound, TransitionRefused
from tests.booking.outbox_assertions import (
    INVALID_KEYS,
    INVALID_TEXTS,
    at,
    book,
    check_refusals,
    confirmed,
    deliver,
    event_types,
    known_payment,
    paid,
    payload,
    refused,
    reschedule,
    start,
    stored,
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
    *INVALID_TEXTS,
]


# -- start ----------------------------------------------------------------------------------------


def test_payment_starts_pending() -> None:
    row = book()
    payment = start(row, idempotency_key="payment-1")
    after = stored(payment)
    assert after["appointment_id"] == row.pk
    assert (after["status"], after["purpose"]) == ("pending", "deposit")
    assert (after["amount"], after["currency"], after["provider"]) == (DEPOSIT, "RUB", "yookassa")
    assert (after["idempotency_key"], after["provider_payment_id"]) == ("payment-1", None)
    assert event_types(payment) == ["payment_started"]
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
def test_repeated_request_returns_the_first_payment(purpose: str) -> None:
    row = book()
    first = start(row, purpose, idempotency_key="payment-1")
    with writes_nothing():
        for given in (row, row.pk, str(row.pk).upper()):
            assert start(given, purpose, idempotency_key="payment-1").pk == first.pk
        late = at(row.hold_expires_at, days=1)
        assert start(row, purpose, idempotency_key="payment-1", clock=late).pk == first.pk


@loop_over("over", ["succeeded", "canceled", "failed"])
def test_repeated_request_returns_the_payment_in_its_new_state(over: str) -> None:
    row = book()
    payment = known_payment(row, idempotency_key="payment-1")
    if over == "failed":
        fail_payment(payment, category="timeout")
    else:
        deliver(payment, f"payment.{over}")
    with writes_nothing():
        again = start(row, idempotency_key="payment-1")
    assert (again.pk, again.status) == (payment.pk, over)


def test_repeated_request_after_a_move_returns_the_first_payment() -> None:
    row = confirmed()
    first = start(row, "full", idempotency_key="payment-2")
    moved = reschedule(row, start=NEXT_WEEK + timedelta(days=90))
    with writes_nothing():
        assert start(moved, "full", idempotency_key="payment-2").pk == first.pk


def test_same_key_with_other_content_is_refused() -> None:
    row, other = book(), book()
    first = start(row, idempotency_key="payment-1")
    with refused(IdempotencyConflict, payment=first.pk):
        start(row, "full", idempotency_key="payment-1")
    with refused(IdempotencyConflict, payment=first.pk):
        start(other, idempotency_key="payment-1")


AMOUNTS: list[tuple[int | None, list[tuple[str, int]], str, int | None]] = [
    # agreed deposit, succeeded payments, purpose, expected amount (price 5000)
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


@loop_over(("deposit", "succeeded", "purpose", "amount"), AMOUNTS)
def test_payment_amount_is_the_unpaid_rest(
    deposit: int | None, succeeded: list[tuple[str, int]], purpose: str, amount: int | None
) -> None:
    row = AppointmentFactory(deposit_amount=deposit)
    for earlier, money in succeeded:
        PaymentFactory(appointment=row, succeeded=True, purpose=earlier, amount=money)
    if amount is None:
        with refused(NothingToPay, appointment=row.pk):
            start(row, purpose)
    else:
        assert start(row, purpose).amount == amount


@loop_over("purpose", ["deposit", "full"])
def test_free_appointment_is_not_paid(purpose: str) -> None:
    row = book(service=ServiceFactory(published=True, free=True))
    with refused(NothingToPay):
        start(row, purpose)


def test_second_pending_payment_is_refused() -> None:
    row = book()
    pending = start(row)
    for purpose in ("deposit", "full"):
        with refused(PaymentInProgress, payment=pending.pk):
            start(row, purpose)
    fail_payment(pending, category="timeout")
    assert start(row).status == "pending"


def test_payment_for_an_expired_hold_is_refused() -> None:
    row = book()
    with refused(HoldExpired, appointment=row.pk):
        start(row, clock=at(row.hold_expires_at))
    assert start(row, clock=at(row.hold_expires_at - TICK)).status == "pending"


@loop_over("status", ["canceled", "rescheduled", "completed"])
def test_appointment_in_a_final_status_is_not_paid(status: str) -> None:
    row = AppointmentFactory(**{status: True})
    with refused(TransitionRefused, entity="appointments", wanted="paid"):
        start(row)


def test_rest_of_the_price_may_be_paid_until_the_session_is_completed() -> None:
    row = confirmed()
    payment = start(row, "full", clock=at(row.end_at_utc))
    assert payment.amount == PRICE - DEPOSIT


def test_bad_idempotency_key_is_refused() -> None:
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


def test_payment_for_an_unknown_appointment_is_refused() -> None:
    check_refusals(start, [None, uuid7(), *INVALID_KEYS], NotFound)


def test_price_too_large_for_an_event_is_refused() -> None:
    row = AppointmentFactory(held=True, price_amount=2**31 - 1)
    with refused(InvalidInput, field="amount"):
        start(row, "full")


# -- attach_provider_id ---------------------------------------------------------------------------


def test_provider_id_is_attached_once() -> None:
    payment = start(book())
    assert attach_provider_id(payment, provider_payment_id="provider-1") is payment
    assert payment.provider_payment_id == stored(payment)["provider_payment_id"] == "provider-1"
    with writes_nothing():
        attach_provider_id(payment, provider_payment_id="provider-1")
        attach_provider_id(Payment.objects.get(pk=payment.pk), provider_payment_id="provider-1")
    with refused(ProviderIdTaken, payment=payment.pk):
        attach_provider_id(payment, provider_payment_id="provider-2")


def test_provider_id_belongs_to_one_payment() -> None:
    PaymentFactory(provider_payment_id="provider-1")
    payment = PaymentFactory()
    with refused(ProviderIdTaken, payment=payment.pk):
        attach_provider_id(payment, provider_payment_id="provider-1")


@loop_over("over", ["canceled", "failed", "succeeded"])
def test_provider_id_may_be_attached_to_a_failed_payment(over: str) -> None:
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


def test_earlier_webhook_takes_effect_when_its_id_is_attached() -> None:
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


def test_all_earlier_webhooks_take_effect_when_their_id_is_attached() -> None:
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


def test_pending_payment_fails() -> None:
    row = book()
    payment = start(row)
    assert fail_payment(payment, category="provider_error") is payment
    assert (payment.status, payment.failure_category) == ("failed", "provider_error")
    assert event_types(payment) == ["payment_started", "payment_failed"]
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
def test_final_payment_does_not_fail(over: str) -> None:
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


def test_success_of_a_failed_payment_is_due_back() -> None:
    row = book()
    payment = known_payment(row)
    fail_payment(payment, category="timeout")
    event = deliver(payment)
    assert (event.last_error, event.processed_at is None) == ("out_of_order", False)
    assert payload("refund_due")["reason"] == "already_over"
    row.refresh_from_db()
    payment.refresh_from_db()
    assert (row.status, payment.status) == ("pending_payment", "failed")


def test_unknown_payment_is_refused() -> None:
    payment = PaymentFactory.build()
    with refused(NotFound):
        fail_payment(payment, category="timeout")
    with refused(NotFound):
        attach_provider_id(payment, provider_payment_id="provider-1")


# -- all services ---------------------------------------------------------------------------------


def test_deposit_and_rest_publish_each_event_once() -> None:
    row = book()
    deposit = paid(row, "deposit")
    rest = paid(row, "full")
    assert (deposit.amount, rest.amount) == (DEPOSIT, PRICE - DEPOSIT)
    assert sorted(event_types()) == sorted(
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
