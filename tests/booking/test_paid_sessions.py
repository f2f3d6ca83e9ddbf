"""The rules of a session that was paid for, for every writer."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from booking.models import Appointment
from tests.factories import (
    AppointmentFactory,
    LeadFactory,
    PaymentFactory,
    RefundFactory,
    ServiceFactory,
    UserFactory,
)
from tests.factories.base import walk
from tests.factories.booking import CONFIRMED, DEPOSIT, PAID, PRICE
from tests.rule_cases import UPDATES, Change
from tests.rule_groups import ChangeGroup, change_groups, check_change_group, loop_over
from tests.support import breaks, execute, refuses, update_sql

pytestmark = pytest.mark.django_db

MONEY = "appointments_paid_has_money"
STAYS_PUT = "appointments_paid_session_stays_put"
PERSON = "appointments_person_stays"
DAY = timedelta(days=40)


# -- money ----------------------------------------------------------------------------------------


def mark(row: Appointment, status: str, *, ask: bool = True) -> None:
    """As raw SQL; ``ask`` what would be asked at commit."""
    confirmed = ", confirmed_at = now()" if status == "confirmed" else ""
    execute(f"UPDATE appointments SET status = %s{confirmed} WHERE id = %s", [status, row.pk])
    if ask:
        connection.check_constraints()


# The deposit agreed, the payments (purpose, amount, state), what is given back of the last one.
TOO_LITTLE: list[tuple[int | None, list[tuple[str, int, str]], int]] = [
    (DEPOSIT, [], 0),
    (DEPOSIT, [("deposit", DEPOSIT, "answered")], 0),
    (DEPOSIT, [("deposit", DEPOSIT, "canceled")], 0),
    (DEPOSIT, [("deposit", DEPOSIT, "succeeded")], 1),
    (DEPOSIT, [("full", DEPOSIT - 1, "succeeded")], 0),
    (None, [("full", PRICE - 1, "succeeded")], 0),
    (None, [("full", PRICE, "succeeded")], 1),
]
ENOUGH: list[tuple[int | None, list[tuple[str, int, str]], int]] = [
    (DEPOSIT, [("deposit", DEPOSIT, "succeeded")], 0),
    (DEPOSIT, [("full", DEPOSIT, "succeeded")], 0),
    (DEPOSIT, [("full", PRICE, "succeeded")], PRICE - DEPOSIT),
    (DEPOSIT, [("deposit", DEPOSIT, "succeeded"), ("full", 999, "succeeded")], 999),
    (None, [("full", PRICE, "succeeded")], 0),
]


def hold(deposit: int | None, payments: list[tuple[str, int, str]], given_back: int) -> Appointment:
    row = AppointmentFactory(deposit_amount=deposit)
    for purpose, amount, state in payments:
        last = PaymentFactory(appointment=row, purpose=purpose, amount=amount, **{state: True})
    if given_back:
        RefundFactory(payment=last, amount=given_back)
    return row


@breaks(MONEY)
@loop_over(("deposit", "payments", "given_back"), TOO_LITTLE)
def test_session_without_its_money_is_not_paid(
    deposit: int | None, payments: list[tuple[str, int, str]], given_back: int
) -> None:
    row = hold(deposit, payments, given_back)
    with refuses(MONEY):
        mark(row, "paid")


@loop_over(("deposit", "payments", "given_back"), ENOUGH)
def test_session_with_its_money_is_paid_and_confirmed(
    deposit: int | None, payments: list[tuple[str, int, str]], given_back: int
) -> None:
    row = hold(deposit, payments, given_back)
    mark(row, "paid")
    mark(row, "confirmed")
    row.refresh_from_db()
    assert row.status == "confirmed"


def test_failed_refund_leaves_the_money_with_the_practice() -> None:
    row = AppointmentFactory()
    payment = PaymentFactory(appointment=row, succeeded=True)
    RefundFactory(payment=payment, amount=DEPOSIT, failed=True)
    mark(row, "paid")


def test_payment_may_follow_the_status_in_one_transaction() -> None:
    row = AppointmentFactory()
    mark(row, "paid", ask=False)
    mark(row, "confirmed", ask=False)
    PaymentFactory(appointment=row, succeeded=True)
    connection.check_constraints()


def test_paid_session_is_asked_again_when_it_is_confirmed() -> None:
    row = AppointmentFactory()
    payment = PaymentFactory(appointment=row, succeeded=True)
    mark(row, "paid")
    RefundFactory(payment=payment, amount=1)
    with refuses(MONEY):
        mark(row, "confirmed")


def test_later_refund_changes_no_status() -> None:
    row = AppointmentFactory(confirmed=True)
    connection.check_constraints()
    RefundFactory(payment=row.payments.get(), amount=DEPOSIT, succeeded=True)
    row.refresh_from_db()
    assert row.status == "confirmed"
    update_sql(row, location_text="Кабинет 2")
    connection.check_constraints()


def test_unpaid_session_is_not_moved_in_one_transaction() -> None:
    row = AppointmentFactory()
    with refuses(MONEY):
        mark(row, "paid", ask=False)
        mark(row, "confirmed", ask=False)
        execute("UPDATE appointments SET status = 'rescheduled' WHERE id = %s", [row.pk])
        connection.check_constraints()


def test_row_that_replaces_a_moved_session_needs_no_money_of_its_own() -> None:
    moved = AppointmentFactory(rescheduled=True)
    connection.check_constraints()
    row = AppointmentFactory(rescheduled_from=moved, start_at_utc=moved.start_at_utc + DAY)
    mark(row, "paid")
    mark(row, "confirmed")


def test_money_of_the_row_before_counts() -> None:
    before = AppointmentFactory()
    payment = PaymentFactory(appointment=before, answered=True)
    walk(before, {"status": "canceled", "canceled_at": timezone.now()})
    row = AppointmentFactory(rescheduled_from=before, start_at_utc=before.start_at_utc)
    with refuses(MONEY):
        mark(row, "paid")
    update_sql(payment, status="succeeded", confirmed_at=timezone.now())
    mark(row, "paid")


def test_free_session_needs_no_money() -> None:
    row = AppointmentFactory(free=True)
    mark(row, "paid")
    mark(row, "confirmed")


def test_session_canceled_in_the_same_transaction_is_not_asked() -> None:
    row = AppointmentFactory()
    payment = PaymentFactory(appointment=row, succeeded=True)
    walk(row, PAID, CONFIRMED)
    RefundFactory(payment=payment, amount=DEPOSIT)
    walk(row, {"status": "canceled", "canceled_at": timezone.now()})
    connection.check_constraints()


# -- service and time -----------------------------------------------------------------------------

PAID_STATES = ["paid", "confirmed", "canceled", "rescheduled", "completed"]
MOVES: dict[str, dict[str, Any]] = {
    "another service": {"service_id": lambda row: ServiceFactory().pk},
    "another time": {
        "start_at_utc": lambda row: row.start_at_utc + DAY,
        "end_at_utc": lambda row: row.end_at_utc + DAY,
    },
    "another end": {"end_at_utc": lambda row: row.end_at_utc + timedelta(minutes=1)},
    "another break": {"buffer_minutes": 10},
}


def change(state: str, name: str, rule: str | None, **to: Any) -> Change:
    traits = {"held": {}}.get(state, {state: True})
    return Change(f"{state}: {name}", AppointmentFactory, traits, to, rule)


@change_groups(
    *(change("confirmed", name, STAYS_PUT, **to) for name, to in MOVES.items()),
    *(change(state, "another break", STAYS_PUT, buffer_minutes=10) for state in PAID_STATES),
    *(change("held", name, None, **to) for name, to in MOVES.items()),
    write_paths=UPDATES,
)
def test_service_and_time_of_a_paid_session_do_not_change(group: ChangeGroup) -> None:
    check_change_group(group)


# -- person ---------------------------------------------------------------------------------------


@change_groups(
    change("confirmed", "another client", PERSON, client_user_id=lambda row: UserFactory().pk),
    change("completed", "another client", PERSON, client_user_id=lambda row: UserFactory().pk),
    change("confirmed", "a lead beside the client", None, lead_id=lambda row: LeadFactory().pk),
    change("held", "another client", None, client_user_id=lambda row: UserFactory().pk),
    write_paths=UPDATES,
)
def test_client_of_a_paid_session_stays(group: ChangeGroup) -> None:
    check_change_group(group)


def test_lead_of_a_paid_session_follows_only_its_merge() -> None:
    other, into = LeadFactory(), LeadFactory()
    row = AppointmentFactory(of_lead=True, confirmed=True)
    with refuses(PERSON):
        update_sql(row, lead_id=other.pk)
    middle = LeadFactory()
    update_sql(row.lead, merged_into_id=middle.pk, status="inactive")
    update_sql(middle, merged_into_id=into.pk, status="inactive")
    with refuses(PERSON):
        update_sql(row, lead_id=other.pk)
    update_sql(row, lead_id=into.pk)
    with refuses(PERSON):
        update_sql(row, lead_id=None, client_user_id=UserFactory().pk)
    update_sql(row, client_user_id=UserFactory().pk)


def test_client_of_a_paid_session_is_emptied_only_by_erasure() -> None:
    row = AppointmentFactory(confirmed=True, lead=LeadFactory())
    with refuses(PERSON):
        update_sql(row, client_user_id=None)
    execute(
        "UPDATE users SET status = 'deleted', deleted_at = now(), email = NULL, phone = NULL, "
        "telegram_user_id = NULL, telegram_username = NULL, display_name = NULL, password = '' "
        "WHERE id = %s",
        [row.client_id],
    )
    update_sql(row, client_user_id=None)
