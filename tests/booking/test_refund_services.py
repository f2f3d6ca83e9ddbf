"""Money that the provider has given back: by itself, by hand, in parts, twice, too much."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.utils.timezone import now as wall_clock

from booking.models import Appointment, Payment, Refund
from booking.services import (
    attach_provider_id,
    cancel_appointment,
    expire_holds,
    process_webhook,
    start_payment,
)
from tests.booking.outbox_assertions import (
    at,
    book,
    confirmed,
    deliver,
    event_types,
    known_payment,
    outbox,
    paid,
    start,
    writes_nothing,
)
from tests.factories import ServiceFactory
from tests.factories.booking import DEPOSIT, PRICE
from tests.rule_groups import loop_over

pytestmark = pytest.mark.django_db


def give_back(payment: Payment, amount: Any, refund: str = "refund-1", **values: Any) -> Any:
    return deliver(payment, "refund.succeeded", object_id=refund, amount=amount, **values)


def refunds(payment: Payment | None = None) -> list[tuple[str, int, str]]:
    rows = Refund.objects.order_by("pk")
    rows = rows if payment is None else rows.filter(payment=payment)
    return [(row.reason, row.amount, row.status) for row in rows]


def session(purpose: str = "full") -> tuple[Appointment, Payment]:
    row = confirmed(purpose)
    return row, row.payments.get()


def due_back(purpose: str = "full") -> tuple[Appointment, Payment]:
    """A canceled session, all of whose money is due back."""
    row, payment = session(purpose)
    cancel_appointment(row, by="provider")
    return row, payment


def balance(payment: Payment) -> int:
    return Payment.objects.with_balance().get(pk=payment.pk).balance


def notices(event_type: str) -> list[int]:
    return [event.payload["amount"] for event in outbox() if event.event_type == event_type]


# -- what is due ----------------------------------------------------------------------------------


def test_money_that_is_due_is_a_row_and_a_notice() -> None:
    row, payment = due_back()
    refund = Refund.objects.get()
    assert refunds() == [("canceled", PRICE, "due")]
    assert (refund.payment, refund.requested_at) == (payment, row.canceled_at)
    (notice,) = (event for event in outbox(payment) if event.event_type == "refund_due")
    assert notice.payload == {
        "refund_id": str(refund.pk),
        "amount": PRICE,
        "currency": "RUB",
        "reason": "canceled",
        "appointment_id": str(row.pk),
    }


def test_refund_that_is_due_succeeds() -> None:
    _row, payment = due_back()
    now = wall_clock()
    event = give_back(payment, f"{PRICE}.00", clock=at(now))
    assert (event.last_error, event.processed_at) == (None, now)
    refund = Refund.objects.get()
    assert (refund.status, refund.succeeded_at) == ("succeeded", now)
    assert refund.provider_refund_id == "refund-1"
    (notice,) = (event for event in outbox(payment) if event.event_type == "payment_refunded")
    assert notice.payload == {
        "refund_id": str(refund.pk),
        "amount": PRICE,
        "currency": "RUB",
        "appointment_id": str(payment.appointment_id),
    }
    with writes_nothing():
        give_back(payment, PRICE)


def test_oldest_refund_of_the_amount_succeeds() -> None:
    _row, payment = session("deposit")
    first = Refund.objects.create(payment=payment, amount=400, reason="overpaid")
    second = Refund.objects.create(payment=payment, amount=400, reason="overpaid")
    give_back(payment, 400)
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.status, second.status) == ("succeeded", "due")
    give_back(payment, 400, "refund-2")
    assert [status for _, _, status in refunds()] == ["succeeded"] * 2


def test_refund_with_a_known_id_is_that_one() -> None:
    _row, payment = session("deposit")
    Refund.objects.create(payment=payment, amount=400, reason="overpaid")
    sent = Refund.objects.create(
        payment=payment, amount=400, reason="overpaid", provider_refund_id="refund-1"
    )
    sent.status, sent.sent_at = "sent", wall_clock()
    sent.save()
    give_back(payment, 400)
    sent.refresh_from_db()
    assert sent.status == "succeeded"
    assert refunds() == [("overpaid", 400, "due"), ("overpaid", 400, "succeeded")]


@loop_over("status", ["due", "sent", "failed"])
def test_known_refund_of_another_amount_is_a_mismatch(status: str) -> None:
    _row, payment = session("deposit")
    refund = Refund.objects.create(
        payment=payment, amount=400, reason="overpaid", provider_refund_id="refund-1"
    )
    if status != "due":
        refund.sent_at, refund.status = wall_clock(), status
        refund.save()
    assert give_back(payment, 300).last_error == "amount_mismatch"
    assert refunds() == [("overpaid", 400, status)]


def test_late_success_of_a_failed_refund_leaves_the_others_due() -> None:
    _row, payment = session("deposit")
    failed = Refund.objects.create(
        payment=payment, amount=400, reason="overpaid", provider_refund_id="refund-1"
    )
    failed.status = "failed"
    failed.save()
    Refund.objects.create(payment=payment, amount=600, reason="canceled")
    give_back(payment, 400)
    assert refunds() == [("overpaid", 400, "succeeded"), ("canceled", 600, "due")]


def test_late_success_of_a_failed_refund_takes_from_what_is_due() -> None:
    _row, payment = session("deposit")
    failed = Refund.objects.create(
        payment=payment, amount=400, reason="overpaid", provider_refund_id="refund-1"
    )
    failed.status = "failed"
    failed.save()
    Refund.objects.create(payment=payment, amount=700, reason="canceled")
    give_back(payment, 400)
    assert refunds() == [
        ("overpaid", 400, "succeeded"),
        ("canceled", 700, "failed"),
        ("canceled", 300, "due"),
    ]


# -- by hand --------------------------------------------------------------------------------------


def test_refund_by_hand_counts_against_what_is_due_later() -> None:
    row, payment = session()
    give_back(payment, 2000)
    assert refunds() == [("by_hand", 2000, "succeeded")]
    row.refresh_from_db()
    assert (row.status, balance(payment)) == ("confirmed", PRICE - 2000)
    assert cancel_appointment(row, by="provider").refund_amount == PRICE - 2000
    assert refunds() == [("by_hand", 2000, "succeeded"), ("canceled", PRICE - 2000, "due")]
    assert balance(payment) == 0


def test_half_refund_is_half_of_the_balance() -> None:
    row = confirmed(
        "full",
        service=ServiceFactory(published=True, cancel_free_hours=48, cancel_partial_hours=1),
    )
    give_back(row.payments.get(), 1999)
    clock = at(row.start_at_utc, hours=-2)
    assert cancel_appointment(row, by="client", clock=clock).refund_amount == 1501


def test_full_refund_by_hand_leaves_nothing_due() -> None:
    row, payment = session()
    give_back(payment, PRICE)
    assert cancel_appointment(row, by="provider").refund_amount == 0
    assert refunds() == [("by_hand", PRICE, "succeeded")]
    assert "refund_due" not in event_types()
    with writes_nothing():
        assert cancel_appointment(row, by="provider").refund_amount == 0


@loop_over(("amount", "rest"), [(1, PRICE - 1), (PRICE - 1, 1), (PRICE // 2, PRICE // 2)])
def test_part_by_hand_leaves_the_rest_due(amount: int, rest: int) -> None:
    row, payment = due_back()
    give_back(payment, amount)
    assert refunds() == [
        ("canceled", PRICE, "failed"),
        ("by_hand", amount, "succeeded"),
        ("canceled", rest, "due"),
    ]
    assert balance(payment) == 0
    assert notices("refund_due") == [PRICE, rest]
    with writes_nothing():  # the first answer stays
        assert cancel_appointment(row, by="provider").refund_amount == PRICE
    give_back(payment, rest, "refund-2")
    assert balance(payment) == 0
    assert notices("payment_refunded") == [amount, rest]
    assert cancel_appointment(row, by="provider").refund_amount == PRICE


def test_more_by_hand_than_is_due_leaves_nothing_due() -> None:
    row = confirmed(
        "full",
        service=ServiceFactory(published=True, cancel_free_hours=48, cancel_partial_hours=1),
    )
    payment = row.payments.get()
    cancel_appointment(row, by="client", clock=at(row.start_at_utc, hours=-2))
    give_back(payment, 4000)
    assert refunds() == [("canceled", 2500, "failed"), ("by_hand", 4000, "succeeded")]
    assert balance(payment) == 1000
    assert notices("refund_due") == [2500]


def test_refund_of_one_payment_leaves_that_of_another_due() -> None:
    row = confirmed()
    full = paid(row, "full")
    deposit = row.payments.get(purpose="deposit")
    cancel_appointment(row, by="provider")
    give_back(deposit, 300)
    assert refunds(full) == [("canceled", PRICE - DEPOSIT, "due")]
    assert refunds(deposit) == [
        ("canceled", DEPOSIT, "failed"),
        ("by_hand", 300, "succeeded"),
        ("canceled", DEPOSIT - 300, "due"),
    ]


# -- what cannot be -------------------------------------------------------------------------------

MISMATCHES: list[tuple[Any, str | None]] = [
    (PRICE + 1, "RUB"),
    (PRICE, "USD"),
    (PRICE, None),
    (0, "RUB"),
    (Decimal("0.50"), "RUB"),
    (Decimal("100.50"), "RUB"),
]


@pytest.mark.slow
@loop_over(("amount", "currency"), MISMATCHES)
@loop_over("is_due", [True, False])
def test_impossible_refund_is_a_mismatch(amount: Any, currency: str | None, is_due: bool) -> None:
    _row, payment = due_back() if is_due else session()
    before = refunds()
    event = give_back(payment, amount, currency=currency)
    assert (event.last_error, event.processed_at) == ("amount_mismatch", None)
    assert refunds() == before
    assert event_types().count("payment_amount_mismatch") == 1
    process_webhook(event)
    assert event_types().count("payment_amount_mismatch") == 1
    assert "payment_refunded" not in event_types()


def test_refunds_together_are_at_most_the_payment() -> None:
    _row, payment = session()
    give_back(payment, 3000)
    event = give_back(payment, PRICE - 2999, "refund-2")
    assert event.last_error == "amount_mismatch"
    give_back(payment, PRICE - 3000, "refund-3")
    assert balance(payment) == 0


# -- before its payment ---------------------------------------------------------------------------


def test_money_that_was_given_back_before_confirms_nothing() -> None:
    row = book()
    payment = known_payment(row)
    give_back(payment, 400)
    deliver(payment)
    row.refresh_from_db()
    assert (row.status, balance(payment)) == ("pending_payment", DEPOSIT - 400)
    # The client may still pay the price.
    full = known_payment(row, "full")
    assert full.amount == PRICE - DEPOSIT + 400
    deliver(full)
    row.refresh_from_db()
    assert row.status == "confirmed"


def test_hold_that_ends_gives_back_what_it_holds() -> None:
    row = book()
    payment = known_payment(row)
    give_back(payment, 400)
    deliver(payment)
    assert expire_holds(clock=at(row.hold_expires_at)) == 1
    assert refunds() == [
        ("by_hand", 400, "succeeded"),
        ("time_gone", DEPOSIT - 400, "due"),
    ]
    with writes_nothing():
        assert cancel_appointment(row, by="client").refund_amount == DEPOSIT - 400


def test_deliveries_that_waited_take_effect_together() -> None:
    """The refund counts first, whatever their order."""
    row = book()
    payment = start(row)
    deliver("provider-7", amount=DEPOSIT)
    deliver("provider-7", "refund.succeeded", amount=DEPOSIT, object_id="refund-1")
    attach_provider_id(payment, provider_payment_id="provider-7")
    connection.check_constraints()
    row.refresh_from_db()
    assert (row.status, balance(payment)) == ("pending_payment", 0)
    assert refunds() == [("by_hand", DEPOSIT, "succeeded")]


@loop_over("amount", [400, DEPOSIT])
def test_closed_payment_owes_what_was_not_given_back(amount: int) -> None:
    payment = known_payment(book())
    deliver(payment, "payment.canceled")
    give_back(payment, amount)
    deliver(payment)
    rest = [("already_over", DEPOSIT - amount, "due")] if amount < DEPOSIT else []
    assert refunds() == [("by_hand", amount, "succeeded"), *rest]


def test_price_is_asked_for_again_after_a_refund_by_hand() -> None:
    row, payment = session("deposit")
    give_back(payment, DEPOSIT)
    full = start_payment(row, purpose="full", idempotency_key="again")
    assert full.amount == PRICE
