"""Refunds that staff make: record_refund() and send_refund()."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from booking.errors import ProviderIdTaken, RefundTooLarge
from booking.models import Payment, Refund
from booking.services import cancel_appointment, record_refund, send_refund
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
    refused,
    writes_nothing,
)
from tests.booking.test_refund_services import due_back, give_back, refunds, session
from tests.booking.test_staff_payments import owner, take
from tests.factories import RefundFactory, UserFactory
from tests.factories.booking import PRICE
from tests.rule_groups import loop_over

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _owner(db: None) -> None:
    """Written before the calls that must write nothing."""
    owner()


def hand_back(payment: Any, amount: Any, **values: Any) -> Refund:
    return record_refund(payment, amount=amount, **{"id": uuid4(), "actor": owner(), **values})


def manual_session() -> Payment:
    return take(book(), PRICE)


def test_due_refund_of_a_manual_payment_is_recorded_with_one_click() -> None:
    payment, actor = manual_session(), UserFactory(role="assistant")
    cancel_appointment(payment.appointment, by="provider")
    due = Refund.objects.get()
    refund = hand_back(payment, PRICE, id=due.pk, actor=actor)
    assert (refund.pk, refund.status, refund.recorded_by) == (due.pk, "succeeded", actor)
    assert refund.succeeded_at is not None
    assert event_types(payment)[-1] == "payment_refunded"
    with writes_nothing():
        hand_back(payment, PRICE, id=due.pk, actor=actor)


@loop_over("is_manual", [False, True])
def test_money_given_back_by_hand_counts_against_what_is_due(is_manual: bool) -> None:
    payment = manual_session() if is_manual else session()[1]
    cancel_appointment(payment.appointment, by="provider")
    key = uuid4()
    hand_back(payment, 2000, id=key)
    assert sorted(refunds(payment)) == [
        ("by_hand", 2000, "succeeded"),
        ("canceled", PRICE - 2000, "due"),
        ("canceled", PRICE, "failed"),
    ]
    with writes_nothing():
        hand_back(payment, 2000, id=key)
    with refused(IdempotencyConflict):
        hand_back(payment, 2001, id=key)
    _row, elsewhere = session()
    with refused(IdempotencyConflict):
        hand_back(elsewhere, 2000, id=key)


def test_at_most_the_payment_is_given_back() -> None:
    _row, payment = session()
    hand_back(payment, 1)
    with refused(RefundTooLarge):
        hand_back(payment, PRICE)
    hand_back(payment, PRICE - 1)


@loop_over("trait", ["pending", "canceled", "failed"])
def test_payment_without_money_gives_nothing_back(trait: str) -> None:
    payment = known_payment(confirmed(), "full")
    if trait != "pending":
        changes = {"status": trait, "failure_category": "unknown"}
        Payment.objects.filter(pk=payment.pk).update(**changes)
    with refused(TransitionRefused):
        hand_back(payment, 1)


def test_late_money_of_a_closed_payment_is_given_back() -> None:
    payment = known_payment(confirmed(), "full")
    changes = {"status": "failed", "failure_category": "timeout"}
    Payment.objects.filter(pk=payment.pk).update(**changes)
    deliver(payment)
    hand_back(payment, payment.amount, id=Refund.objects.get().pk)
    assert refunds(payment) == [("already_over", payment.amount, "succeeded")]


def test_failed_refund_is_given_back_by_hand() -> None:
    _row, payment = session()
    failed = RefundFactory(payment=payment, amount=400, failed=True)
    hand_back(payment, 400, id=failed.pk)
    assert refunds(payment) == [("canceled", 400, "succeeded")]


def test_arguments_and_rights_of_a_refund() -> None:
    _row, payment = session()
    for role in ["editor", "client"]:
        actor = UserFactory(role=role)
        with refused(NotPermitted):
            hand_back(payment, 1, actor=actor)
    with refused(NotPermitted):
        hand_back(payment, 1, actor=None)
    actor = owner()
    check_refusals(
        lambda amount: hand_back(payment, amount, actor=actor),
        [0, -1, True, "1", None, 2**40],
        InvalidInput,
        field="amount",
    )
    check_refusals(
        lambda key: hand_back(payment, 1, id=key, actor=actor),
        ["", "x", None, 1],
        InvalidInput,
        field="id",
    )
    check_refusals(lambda key: hand_back(key, 1, actor=actor), ["x", None, uuid4()], NotFound)


# -- at the provider ------------------------------------------------------------------------------


def sent() -> tuple[Payment, Refund]:
    _row, payment = due_back()
    return payment, send_refund(Refund.objects.get(), actor=owner())


def test_refund_is_sent_once_and_succeeds_by_its_delivery() -> None:
    payment, refund = sent()
    assert (refund.status, refund.recorded_by) == ("sent", owner())
    assert refund.sent_at is not None
    assert event_types(payment)[-1] == "refund_sent"
    with writes_nothing():
        send_refund(refund, actor=owner())
    send_refund(refund, provider_refund_id="refund-1", actor=owner())
    give_back(payment, PRICE)
    assert refunds() == [("canceled", PRICE, "succeeded")]
    with refused(TransitionRefused):
        send_refund(refund, actor=owner())


def test_delivery_of_a_refund_that_was_sent_needs_no_known_id() -> None:
    payment, refund = sent()
    give_back(payment, PRICE)
    refund.refresh_from_db()
    assert (refund.status, refund.provider_refund_id) == ("succeeded", "refund-1")
    with refused(TransitionRefused):
        send_refund(refund, actor=owner())


def test_refund_that_the_provider_was_asked_for_is_not_given_by_hand() -> None:
    payment, refund = sent()
    with refused(TransitionRefused):
        hand_back(payment, PRICE, id=refund.pk)


def test_failed_refund_is_sent_again_while_the_payment_has_its_money() -> None:
    _row, payment = session()
    other = RefundFactory(payment=payment, amount=PRICE, failed=True)
    failed = RefundFactory(payment=payment, amount=400, failed=True)
    assert send_refund(failed, actor=owner()).status == "sent"
    with refused(RefundTooLarge):
        send_refund(other, actor=owner())


def test_refund_of_a_manual_payment_is_not_sent() -> None:
    payment = manual_session()
    cancel_appointment(payment.appointment, by="provider")
    with refused(TransitionRefused):
        send_refund(Refund.objects.get(), actor=owner())


def test_arguments_and_rights_of_sending() -> None:
    _row, payment = due_back()
    refund = Refund.objects.get()
    for role in ["assistant", "editor"]:
        actor = UserFactory(role=role)
        with refused(NotPermitted):
            send_refund(refund, actor=actor)
    taken = RefundFactory(payment=session()[1], amount=1, provider_refund_id="refund-9")
    with refused(ProviderIdTaken):
        send_refund(refund, provider_refund_id=taken.provider_refund_id, actor=owner())
    with refused(InvalidInput, field="provider_refund_id"):
        send_refund(refund, provider_refund_id="a b", actor=owner())
    with refused(NotFound):
        send_refund(uuid4(), actor=owner())
    send_refund(refund, provider_refund_id="refund-1", actor=owner(), clock=at(payment.created_at))
    with refused(ProviderIdTaken):
        send_refund(refund, provider_refund_id="refund-2", actor=owner())
    assert User.objects.filter(pk=refund.recorded_by_id).exists()
