"""Money that staff take: record_manual_payment()."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from booking.errors import HoldExpired, NothingToPay, OutcomeTooEarly, Overpayment, SlotTaken
from booking.models import Appointment, Payment, Refund
from booking.services import (
    attach_provider_id,
    cancel_appointment,
    expire_holds,
    record_manual_payment,
    record_outcome,
)
from ebalance.admin.refusals import ask_deferred_rules
from ebalance.services import (
    IdempotencyConflict,
    InvalidInput,
    NotFound,
    NotPermitted,
    TransitionRefused,
)
from identity.models import User
from tests.booking.outbox_assertions import (
    at,
    book,
    check_refusals,
    confirmed,
    deliver,
    event_types,
    known_payment,
    paid,
    refused,
    reschedule,
    start,
    tracked,
    tracked_names,
    writes_nothing,
)
from tests.factories import PaymentFactory, ServiceFactory, UserFactory
from tests.factories.booking import DEPOSIT, PRICE
from tests.rule_groups import loop_over

pytestmark = pytest.mark.django_db

AFTER_HOLD = timedelta(minutes=15)


def owner() -> User:
    return User.objects.filter(user_roles__role="owner").first() or UserFactory(role="owner")


@pytest.fixture(autouse=True)
def _owner(db: None) -> None:
    """Written before the calls that must write nothing."""
    owner()


def take(appointment: Any, amount: Any = DEPOSIT, **values: Any) -> Payment:
    values = {
        "method": "cash",
        "idempotency_key": f"manual-{uuid4()}",
        "actor": values.get("actor") or owner(),
        **values,
    }
    payment = record_manual_payment(appointment, amount=amount, **values)
    ask_deferred_rules()
    return payment


def status(row: Appointment) -> str:
    row.refresh_from_db()
    return row.status


def test_manual_payment_pays_and_confirms_a_hold() -> None:
    row, actor = book(), owner()
    payment = take(row, method="transfer", actor=actor)
    assert (payment.provider, payment.method, payment.recorded_by) == ("manual", "transfer", actor)
    assert (payment.status, payment.amount, payment.purpose) == ("succeeded", DEPOSIT, "full")
    assert payment.confirmed_at is not None
    assert status(row) == "confirmed"
    assert event_types(payment) == ["payment_started", "payment_succeeded"]
    assert event_types(row)[-2:] == ["appointment_paid", "appointment_confirmed"]
    assert tracked_names() == [
        "booking_confirmed",
        "booking_paid",
        "booking_slot_selected",
        "payment_started",
    ]
    (event,) = tracked("booking_paid")
    assert (event["payment_provider"], event["amount"]) == ("manual", DEPOSIT)


def test_session_is_paid_in_parts() -> None:
    row = book()
    take(row, DEPOSIT - 1)
    assert status(row) == "pending_payment"
    assert "booking_paid" not in tracked_names()
    take(row, 1)
    assert status(row) == "confirmed"
    take(row, PRICE - DEPOSIT, method="card")
    assert [p.amount for p in row.payments.order_by("pk")] == [DEPOSIT - 1, 1, PRICE - DEPOSIT]
    with refused(NothingToPay):
        take(row, 1)


def test_double_click_records_once() -> None:
    row, actor = book(), owner()
    values = {"idempotency_key": "click-1", "actor": actor}
    payment = take(row, **values)
    with writes_nothing():
        assert take(row, **values).pk == payment.pk
    for other in [{"amount": DEPOSIT + 1}, {"method": "card"}]:
        with refused(IdempotencyConflict):
            take(row, **values | other)
    elsewhere = book()
    with refused(IdempotencyConflict):
        take(elsewhere, **values)
    asked = known_payment(book())
    with refused(IdempotencyConflict):
        take(row, idempotency_key=asked.idempotency_key, actor=actor)
    with refused(IdempotencyConflict):
        start(row, "full", idempotency_key="click-1")


def test_at_most_the_rest_is_taken() -> None:
    row = confirmed()
    with refused(Overpayment, left=PRICE - DEPOSIT):
        take(row, PRICE - DEPOSIT + 1)
    take(row, PRICE - DEPOSIT)


def test_free_session_takes_no_money() -> None:
    row = book(service=ServiceFactory(published=True, free=True))
    with refused(NothingToPay):
        take(row, 1)


@loop_over("role", ["editor", "client", None])
def test_only_owner_and_assistant_take_money(role: str | None) -> None:
    row = book()
    actor = UserFactory(**({"role": role} if role else {}))
    with refused(NotPermitted):
        take(row, actor=actor)
    blocked = UserFactory(role="assistant")
    User.objects.filter(pk=blocked.pk).update(status="blocked")
    with refused(NotPermitted):
        take(row, actor=User.objects.get(pk=blocked.pk))
    with refused(NotPermitted):
        record_manual_payment(
            row,
            method="cash",
            amount=DEPOSIT,
            idempotency_key="manual-1",
            actor=None,  # type: ignore[arg-type]
        )
    take(row, actor=UserFactory(role="assistant"))


def test_invalid_arguments_are_refused() -> None:
    row, actor = book(), owner()
    check_refusals(
        lambda amount: take(row, amount, actor=actor),
        [0, -1, True, 1.5, "100", None, 10**9 + 1, float("inf"), 2**63],
        InvalidInput,
        field="amount",
    )
    check_refusals(
        lambda method: take(row, method=method, actor=actor),
        ["", "yookassa", "CASH", None, 1, []],
        InvalidInput,
        field="method",
    )
    check_refusals(
        lambda key: take(row, idempotency_key=key, actor=actor),
        ["", "a b", "x" * 65, None, 7],
        InvalidInput,
        field="idempotency_key",
    )
    check_refusals(lambda key: take(key, actor=actor), ["nobody", None, uuid4()], NotFound)


# -- the state of the session ---------------------------------------------------------------------


def test_past_session_is_paid_and_completed() -> None:
    row = book()
    later = row.end_at_utc + timedelta(hours=1)
    Appointment.objects.filter(pk=row.pk).update(hold_expires_at=later)
    with refused(OutcomeTooEarly):
        take(row, PRICE, outcome="attended")
    values = {"outcome": "attended", "idempotency_key": "manual-1", "clock": at(row.end_at_utc)}
    payment = take(row, PRICE, **values)
    assert (status(row), row.outcome) == ("completed", "attended")
    with writes_nothing():
        take(row, PRICE, **values)
    assert payment.amount == PRICE


def test_outcome_needs_a_session_that_is_paid() -> None:
    row = book()
    with refused(TransitionRefused):
        take(row, 1, outcome="attended")


def test_rest_is_taken_after_the_session() -> None:
    row = confirmed()
    record_outcome(row, outcome="no_show", clock=at(row.end_at_utc))
    take(row, PRICE - DEPOSIT)
    assert status(row) == "completed"


@loop_over("swept", [False, True])
@loop_over("hours", [1, 24 * 365 * 20])
def test_hold_that_ran_out_is_paid_while_its_time_is_free(swept: bool, hours: int) -> None:
    """Also a past one: the client attended, and paid days later."""
    row = book()
    then = at(row.hold_expires_at, hours=hours)
    if swept:
        expire_holds(clock=then)
    with refused(HoldExpired):
        take(row, DEPOSIT - 1, clock=then)
    payment = take(row, DEPOSIT, clock=then)
    last = Appointment.objects.get(rescheduled_from=row) if swept else row
    assert status(last) == "confirmed"
    assert (payment.appointment_id, last.start_at_utc) == (row.pk, row.start_at_utc)
    assert not Refund.objects.exists()


@loop_over("swept", [False, True])
def test_hold_that_ran_out_is_not_paid_once_its_time_is_lost(swept: bool) -> None:
    row = book()
    then = at(row.hold_expires_at)
    if swept:
        expire_holds(clock=then)
        book(slot=row.slot, clock=then)
    else:
        row.slot.__class__.objects.create(
            start_at_utc=row.start_at_utc,
            end_at_utc=row.end_at_utc + timedelta(minutes=1),
            status="blocked",
            block_type="exception",
        )
    with refused(SlotTaken):
        take(row, PRICE, clock=then)


@loop_over("by", ["client", "provider"])
def test_canceled_session_takes_no_money(by: str) -> None:
    row = confirmed()
    cancel_appointment(row, by=by)
    with refused(TransitionRefused):
        take(row, 1)


def test_money_of_a_moved_session_belongs_to_its_first_row() -> None:
    row = confirmed()
    moved = reschedule(row, start=row.start_at_utc + timedelta(days=1))
    for appointment, amount in [(row, 100), (moved, PRICE - DEPOSIT - 100)]:
        assert take(appointment, amount).appointment_id == row.pk
    with refused(NothingToPay):
        take(row, 1)


# -- beside the provider --------------------------------------------------------------------------


def test_rest_of_manual_parts_is_paid_with_the_provider() -> None:
    row = book()
    take(row, 400)
    payment = known_payment(row, "full")
    assert payment.amount == PRICE - 400
    deliver(payment)
    assert status(row) == "confirmed"
    assert not Refund.objects.exists()


def test_late_success_beside_manual_money_is_due_back() -> None:
    row = book()
    payment = known_payment(row, "full")
    take(row, PRICE)
    deliver(payment)
    assert [(r.amount, r.reason, r.payment_id) for r in Refund.objects.all()] == [
        (PRICE, "overpaid", payment.pk)
    ]


def test_manual_payment_has_no_deliveries() -> None:
    payment = take(book())
    with refused(NotFound):
        attach_provider_id(payment, provider_payment_id="p-1")
    reference = PaymentFactory(manual=True, provider_payment_id="bank-1")
    event = deliver("bank-1", amount=f"{reference.amount}.00")
    assert event.last_error == "unknown_payment"


def test_cancellation_owes_manual_parts_too() -> None:
    row = book()
    first, second = take(row, DEPOSIT), take(row, 500)
    assert cancel_appointment(row, by="provider").refund_amount == DEPOSIT + 500
    due = {refund.payment_id: refund.amount for refund in Refund.objects.all()}
    assert due == {first.pk: DEPOSIT, second.pk: 500}


def test_part_of_a_hold_that_ran_out_is_due_back() -> None:
    row = book()
    payment = take(row, 1)
    expire_holds(clock=at(row.hold_expires_at))
    assert [(r.payment_id, r.reason) for r in Refund.objects.all()] == [(payment.pk, "time_gone")]


# -- receipts -------------------------------------------------------------------------------------


def receipt(payment: Payment) -> str | None:
    payment.refresh_from_db()
    return payment.receipt_status


def test_receipt_moves_as_the_provider_reports_it() -> None:
    payment = known_payment(book())
    deliver(payment, receipt_status="pending")
    assert receipt(payment) == "pending"
    deliver(payment, receipt_status="succeeded")
    assert receipt(payment) == "succeeded"
    for earlier in ["pending", "canceled", None]:
        with writes_nothing():
            deliver(payment, receipt_status=earlier)


def test_receipt_of_a_delivery_before_its_payment_is_kept() -> None:
    payment = start(book())
    deliver("provider-1", receipt_status="succeeded")
    assert receipt(payment) is None
    attach_provider_id(payment, provider_payment_id="provider-1")
    assert (receipt(payment), payment.status) == ("succeeded", "succeeded")


def test_receipt_of_a_refund_or_a_wrong_amount_is_ignored() -> None:
    payment = paid(book())
    deliver(payment, "refund.succeeded", object_id="r-1", receipt_status="pending")
    assert receipt(payment) is None
    other = known_payment(book())
    deliver(other, amount="1.00", receipt_status="pending")
    assert receipt(other) is None
    check_refusals(
        lambda value: deliver(payment, receipt_status=value),
        ["", "due", 1],
        InvalidInput,
        field="receipt_status",
    )
