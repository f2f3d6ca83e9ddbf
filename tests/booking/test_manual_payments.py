"""Payments that staff take: their columns, their parts, and their sum, for every writer."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from booking.models import Appointment, Payment, Refund
from tests.booking.outbox_assertions import confirmed, reschedule
from tests.booking.test_payments import succeed, succeed_and_save
from tests.factories import AppointmentFactory, PaymentFactory, RefundFactory, UserFactory
from tests.factories.base import walk
from tests.factories.booking import CONFIRMED, DEPOSIT, PAID, PRICE
from tests.rule_cases import UPDATES, Change
from tests.rule_groups import (
    CaseGroup,
    ChangeGroup,
    case_groups,
    change_groups,
    check_case_group,
    check_change_group,
    loop_over,
)
from tests.support import Case, breaks, execute, insert_sql, refuses, save_related, update_sql

pytestmark = pytest.mark.django_db

INITIAL = "payments_status_initial"
METHOD = "payments_manual_has_method"
RECORDER = "payments_recorder_with_manual"
WITHIN = "payments_manual_within_price"
FITS = "payments_fit_price"
DAY = timedelta(days=1)


def taken(name: str, rule: str | None = None, /, **values: Any) -> Case:
    return Case(name, PaymentFactory, {"manual": True, **values}, rule)


def asked(name: str, rule: str | None = None, /, **values: Any) -> Case:
    return Case(name, PaymentFactory, values, rule)


def partly_paid(amount: int = 3000, **values: Any) -> Appointment:
    return PaymentFactory(manual=True, amount=amount, **values).appointment


@case_groups(
    *(taken(f"by {method}", method=method) for method in Payment.Method.values),
    taken("without a method", METHOD, method=None),
    taken("by nobody", RECORDER, recorded_by=None),
    taken("still pending", INITIAL, status="pending", confirmed_at=None),
    taken("failed", INITIAL, status="failed", confirmed_at=None, failure_category="provider_error"),
    taken("with a reference of the bank", provider_payment_id="bank-1"),
    taken("with a receipt", receipt_status="pending"),
    taken("as the deposit", purpose="deposit", amount=DEPOSIT),
    taken("as another deposit", FITS, purpose="deposit", amount=DEPOSIT - 1),
    taken("the whole price", amount=PRICE),
    taken("above the price", WITHIN, amount=PRICE + 1),
    taken("for what is free", WITHIN, appointment__free=True),
    asked("with the provider, by a card", method="card"),
    asked("with the provider, by a colleague", RECORDER, recorded_by=lambda: UserFactory()),
    asked(
        "with the provider, succeeded at once",
        INITIAL,
        status="succeeded",
        provider_payment_id="p-1",
        confirmed_at=timezone.now,
    ),
)
def test_manual_payment_succeeds_at_once(group: CaseGroup) -> None:
    check_case_group(group)


@case_groups(
    taken("the rest", amount=2000, appointment=lambda: partly_paid()),
    taken("more than the rest", WITHIN, amount=2001, appointment=lambda: partly_paid()),
    taken("a rouble above the price", WITHIN, amount=1, appointment=lambda: partly_paid(PRICE)),
    taken(
        "the rest beside a deposit",
        amount=PRICE - DEPOSIT,
        appointment=lambda: PaymentFactory(succeeded=True).appointment,
    ),
    taken(
        "more than the rest beside a deposit",
        WITHIN,
        amount=PRICE - DEPOSIT + 1,
        appointment=lambda: PaymentFactory(succeeded=True).appointment,
    ),
    taken(
        "the price beside a pending payment",
        amount=PRICE,
        appointment=lambda: PaymentFactory(answered=True, full=True).appointment,
    ),
    taken(
        "what was given back",
        amount=400,
        appointment=lambda: refunded_part("due"),
    ),
    taken(
        "more than was given back",
        WITHIN,
        amount=401,
        appointment=lambda: refunded_part("succeeded"),
    ),
    taken(
        "what was not given back",
        WITHIN,
        amount=1,
        appointment=lambda: refunded_part("failed"),
    ),
)
def test_parts_are_together_at_most_the_price(group: CaseGroup) -> None:
    check_case_group(group)


def refunded_part(status: str) -> Appointment:
    payment = PaymentFactory(manual=True, amount=PRICE)
    RefundFactory(payment=payment, amount=400, **({} if status == "due" else {status: True}))
    return payment.appointment


def moved_session() -> list[Appointment]:
    """A session that was moved twice. The deposit belongs to its first row."""
    rows = [confirmed()]
    for number in (1, 2):
        rows.append(reschedule(rows[-1], start=rows[-1].start_at_utc + number * DAY))
    return rows


@breaks(WITHIN)
@loop_over("number", [0, 1, 2])
def test_money_of_the_whole_chain_counts(number: int) -> None:
    row = moved_session()[number]
    with refuses(WITHIN, "payments"):
        PaymentFactory(manual=True, appointment=row, amount=PRICE - DEPOSIT + 1)
    PaymentFactory(manual=True, appointment=row, amount=PRICE - DEPOSIT)


@pytest.mark.parametrize("succeed", [succeed, succeed_and_save], ids=["sql", "orm"])
def test_success_of_the_provider_is_a_fact_beside_manual_money(succeed: Any) -> None:
    row = partly_paid(PRICE)
    payment = PaymentFactory(appointment=row, answered=True)
    succeed(payment)
    with refuses(WITHIN, "payments"):
        PaymentFactory(manual=True, appointment=row, amount=1)


def test_manual_money_pays_a_session() -> None:
    row = AppointmentFactory()
    PaymentFactory(manual=True, appointment=row, amount=DEPOSIT - 1)
    with refuses("appointments_paid_has_money"):
        walk(row, PAID)
        connection.check_constraints()
    PaymentFactory(manual=True, appointment=row, amount=1)
    row.refresh_from_db()
    walk(row, PAID, CONFIRMED)


# -- what stays -----------------------------------------------------------------------------------


def change(trait: str, name: str, rule: str | None = None, /, **to: Any) -> Change:
    return Change(f"{trait}: {name}", PaymentFactory, {trait: True}, to, rule)


RECORDER_STAYS, METHOD_STAYS = "payments_recorder_stays", "payments_method_stays"
FORWARD = "payments_receipt_moves_forward"


@change_groups(
    change("manual", "another colleague", RECORDER_STAYS, recorded_by_user_id=lambda row: other()),
    change("manual", "with the provider", RECORDER_STAYS, provider="yookassa"),
    Change(
        "pending: taken by staff",
        PaymentFactory,
        {},
        {"provider": "manual", "method": "cash", "recorded_by_user_id": lambda row: other()},
        RECORDER_STAYS,
    ),
    change("manual", "another method", METHOD_STAYS, method="cash"),
    change("manual", "no method", METHOD_STAYS, method=None),
    change("answered", "a method once it is known", method="sbp"),
    change("manual", "failed", "payments_status_transition", status="failed", confirmed_at=None),
    change("manual", "another amount", "payments_terms_stay", amount=1),
    write_paths=UPDATES,
)
def test_terms_of_a_manual_payment_stay(group: ChangeGroup) -> None:
    check_change_group(group)


def other() -> Any:
    return UserFactory().pk


ORDER = [None, "pending", "canceled", "succeeded"]


@change_groups(
    *(
        Change(
            f"from {old} to {new}",
            PaymentFactory,
            {"receipt_status": old},
            {"receipt_status": new},
            FORWARD if ORDER.index(new) < ORDER.index(old) else None,
        )
        for old in ORDER
        for new in ORDER
    ),
    write_paths=UPDATES,
)
def test_receipt_only_moves_forward(group: ChangeGroup) -> None:
    check_change_group(group)


def test_status_of_a_receipt_changes_in_every_status() -> None:
    for traits in ({}, {"succeeded": True}, {"canceled": True}, {"failed": True}, {"manual": True}):
        row = PaymentFactory(**traits)
        update_sql(row, receipt_status="succeeded")
        row.refresh_from_db()
        assert row.receipt_status == "succeeded"


@breaks(WITHIN)
def test_parts_of_one_statement_count_together() -> None:
    row = AppointmentFactory()

    def parts(*amounts: int) -> list[Payment]:
        return [PaymentFactory.build(manual=True, appointment=row, amount=a) for a in amounts]

    for part in (payments := parts(PRICE - 1, 2)):
        save_related(part)
    with refuses(WITHIN, "payments"):
        Payment.objects.bulk_create(payments)
    payments[1].amount = 1
    Payment.objects.bulk_create(payments)


def test_repeated_insert_of_a_full_payment_is_left_out() -> None:
    payment = PaymentFactory(manual=True, amount=PRICE)
    again = PaymentFactory.build(
        manual=True,
        appointment=payment.appointment,
        amount=PRICE,
        recorded_by=payment.recorded_by,
        idempotency_key=payment.idempotency_key,
    )
    Payment.objects.bulk_create([again], ignore_conflicts=True)
    assert Payment.objects.count() == 1
    with refuses("payments_idempotency_key_unique", "payments"):
        insert_sql(again)


# The statements of record_success() of release 1.0, which runs beside this one during a deploy. To
# it, manual money is the first success of its purpose.
CLOSE_SECOND = "UPDATE payments SET status = 'canceled', failure_category = 'unknown' WHERE id = %s"
OWE_SECOND = "INSERT INTO refunds (payment_id, amount, reason) VALUES (%s, %s, 'duplicate')"


def test_second_success_of_release_1_0_is_due_back() -> None:
    second = PaymentFactory(appointment=partly_paid(1), answered=True, full=True)
    execute(CLOSE_SECOND, [second.pk])
    execute(OWE_SECOND, [second.pk, second.amount])
    connection.check_constraints()
    (refund,) = Refund.objects.all()
    assert (refund.payment_id, refund.amount, refund.status) == (second.pk, PRICE, "due")
    # The session keeps only the first part.
    with refuses(WITHIN, "payments"):
        PaymentFactory(manual=True, appointment=second.appointment, amount=PRICE)
    PaymentFactory(manual=True, appointment=second.appointment, amount=PRICE - 1)


def test_session_that_was_given_back_is_paid_again() -> None:
    first = PaymentFactory(manual=True, amount=PRICE)
    RefundFactory(payment=first, amount=PRICE, succeeded=True)
    PaymentFactory(manual=True, appointment=first.appointment, amount=PRICE)
    with refuses(WITHIN, "payments"):
        PaymentFactory(manual=True, appointment=first.appointment, amount=1)
