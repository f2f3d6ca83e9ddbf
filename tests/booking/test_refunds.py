"""The rules of refunds, as the database has them."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from booking.models import Payment, Refund
from tests.factories import PaymentFactory, RefundFactory, UserFactory
from tests.factories.booking import DEPOSIT
from tests.rule_cases import ALL_WRITE_PATHS, Change, range_cases
from tests.rule_groups import (
    CaseGroup,
    ChangeGroup,
    case_groups,
    change_groups,
    check_case_group,
    check_change_group,
)
from tests.support import Case, breaks, execute, refuses, update_sql

pytestmark = pytest.mark.django_db

SUCCEEDED_AT = "refunds_succeeded_at_with_status"
TERMS = "refunds_terms_stay"
WITHIN = "refunds_within_payment"
ID_STAYS = "refunds_provider_id_stays"


def refund(name: str, rule: str | None = None, /, **values: Any) -> Case:
    return Case(name, RefundFactory, values, rule)


@case_groups(
    *range_cases(RefundFactory, "amount", 1),
    refund("the whole payment", amount=DEPOSIT),
    refund("more than the payment", WITHIN, amount=DEPOSIT + 1),
    refund("due, with a time of success", SUCCEEDED_AT, succeeded_at=timezone.now),
    refund(
        "succeeded without a time", SUCCEEDED_AT, status="succeeded", provider_refund_id="refund-1"
    ),
    refund("succeeded by hand", succeeded=True, reason="by_hand", recorded_by=UserFactory),
    refund(
        "known to the provider already",
        "refunds_provider_refund_unique",
        provider_refund_id=lambda: RefundFactory(succeeded=True).provider_refund_id,
    ),
)
def test_refund_is_due_or_succeeded_within_its_payment(group: CaseGroup) -> None:
    check_case_group(group)


def change(trait: str, name: str, rule: str | None = None, /, **to: Any) -> Change:
    traits = {} if trait == "due" else {trait: True}
    return Change(f"{trait}: {name}", RefundFactory, traits, to, rule)


@change_groups(
    change("due", "more", TERMS, amount=401),
    change("due", "less", TERMS, amount=399),
    change("due", "another reason", TERMS, reason="overpaid"),
    change("due", "another payment", TERMS, payment_id=lambda row: PaymentFactory().pk),
    change("due", "a later request", TERMS, requested_at=lambda row: timezone.now()),
    write_paths=ALL_WRITE_PATHS,
)
def test_terms_of_a_refund_never_change(group: ChangeGroup) -> None:
    check_change_group(group)


@change_groups(
    change("due", "sent without a time", "refunds_sent_has_time", status="sent"),
    change("due", "sent", status="sent", sent_at=lambda row: timezone.now()),
    change("due", "closed", status="failed"),
    change("due", "the provider's id", provider_refund_id="refund-1"),
    change("due", "who records it", recorded_by_user_id=lambda row: UserFactory().pk),
    change("succeeded", "another id", ID_STAYS, provider_refund_id="refund-1"),
    change("succeeded", "no id", ID_STAYS, provider_refund_id=None),
    change(
        "succeeded",
        "another time",
        "refunds_time_of_success_stays",
        succeeded_at=lambda row: timezone.now(),
    ),
)
def test_refund_agrees_with_its_status(group: ChangeGroup) -> None:
    check_change_group(group)


@breaks("refunds_recorder_stays")
def test_recorder_of_a_refund_stays() -> None:
    row = RefundFactory(recorded_by=UserFactory())
    with refuses("refunds_recorder_stays"):
        update_sql(row, recorded_by_user_id=UserFactory().pk)


def test_refunds_of_a_payment_are_together_at_most_its_amount() -> None:
    payment = PaymentFactory(succeeded=True)
    failed = RefundFactory(payment=payment, amount=600, failed=True)
    RefundFactory(payment=payment, amount=600)
    RefundFactory(payment=payment, amount=400, succeeded=True)
    RefundFactory(amount=DEPOSIT)  # another payment's
    with refuses(WITHIN):
        RefundFactory(payment=payment, amount=1)
    with refuses(WITHIN):  # it would count again
        update_sql(failed, status="sent", sent_at=timezone.now())
    execute(
        "INSERT INTO refunds (payment_id, amount, reason, status) "
        "SELECT id, 1, 'canceled', 'due' FROM payments WHERE false"
    )
    assert Payment.objects.with_balance().get(pk=payment.pk).balance == 0


def test_rows_of_one_statement_are_counted_together() -> None:
    payment = PaymentFactory(succeeded=True)
    several = (
        "INSERT INTO refunds (payment_id, amount, reason) "
        "SELECT %s, 500, 'canceled' FROM generate_series(1, %s)"
    )
    with refuses(WITHIN):
        execute(several, [payment.pk, 3])
    execute(several, [payment.pk, 2])
    assert Refund.objects.filter(payment=payment).count() == 2


def test_due_refund_is_replaced_within_one_transaction() -> None:
    """Both writes are allowed in either order when the rule is asked at the end."""
    due = RefundFactory(amount=DEPOSIT)
    execute("SET CONSTRAINTS refunds_within_payment DEFERRED")
    RefundFactory(payment=due.payment, amount=DEPOSIT, succeeded=True)
    update_sql(due, status="failed")
    connection.check_constraints()
    assert Payment.objects.with_balance().get(pk=due.payment_id).balance == 0
