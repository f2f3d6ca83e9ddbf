"""Appointments: the columns of each status, and the columns that never change."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from booking.models import Appointment
from tests.adversarial_sql import refuses_by_any_rule
from tests.factories import (
    AppointmentFactory,
    LeadFactory,
    ServiceFactory,
    UserFactory,
)
from tests.factories.booking import NEXT_WEEK
from tests.rule_cases import (
    ALL_WRITE_PATHS,
    MAIN_WRITE_PATHS,
    Change,
    check_refusal_is_discreet,
    range_cases,
)
from tests.rule_groups import (
    CaseGroup,
    ChangeGroup,
    case_groups,
    change_groups,
    check_case_group,
    check_change_group,
)
from tests.support import (
    Case,
    breaks,
    execute,
    insert_sql,
    refuses,
    update_sql,
)

pytestmark = pytest.mark.django_db

START, MICRO = NEXT_WEEK, timedelta(microseconds=1)

SESSION = "appointments_ends_after_start"
PRESENT = "appointments_client_or_lead_present"
HOLD = "appointments_hold_has_expiry"
DEPOSIT = "appointments_deposit_within_price"
CONFIRMED_AT = "appointments_confirmed_at_with_status"
CANCELED_AT = "appointments_canceled_at_with_status"
ALL_OR_NONE = "appointments_outcome_all_or_none"
REASON = "appointments_reason_with_outcome"
AGREES = "appointments_outcome_agrees_with_status"
NOT_BEFORE = "appointments_outcome_not_before_start"


def appointment(name: str, rule: str | None = None, /, **values: Any) -> Case:
    return Case(name, AppointmentFactory, values, rule)


@case_groups(
    *range_cases(AppointmentFactory, "buffer_minutes", 0, 120),
    *range_cases(AppointmentFactory, "price_amount", 0, deposit_amount=None),
    appointment("no time at all", SESSION, start_at_utc=START, end_at_utc=START),
    appointment("backwards", SESSION, start_at_utc=START, end_at_utc=START - MICRO),
    appointment("a microsecond", start_at_utc=START, end_at_utc=START + MICRO),
    appointment("12 hours", start_at_utc=START, end_at_utc=START + timedelta(hours=12)),
    appointment(
        "longer than 12 hours",
        SESSION,
        start_at_utc=START,
        end_at_utc=START + timedelta(hours=12) + MICRO,
    ),
    appointment("without client and lead", PRESENT, client=None, lead=None),
    appointment("of a client", lead=None),
    appointment("of a lead", of_lead=True),
    appointment("of a client who is a lead", lead=LeadFactory.build),
    appointment("a hold without end", HOLD, hold_expires_at=None),
    appointment("a deposit of nothing", DEPOSIT, deposit_amount=0),
    appointment("a negative deposit", DEPOSIT, deposit_amount=-1),
    appointment("a deposit of a rouble", deposit_amount=1),
    appointment("the price as deposit", price_amount=3000, deposit_amount=3000),
    appointment("a deposit above the price", DEPOSIT, price_amount=3000, deposit_amount=3001),
    appointment("a deposit for nothing", DEPOSIT, price_amount=0, deposit_amount=1),
    appointment("no deposit", deposit_amount=None),
    appointment("a hold that is confirmed", CONFIRMED_AT, confirmed_at=START),
    appointment("a hold that is canceled", CANCELED_AT, canceled_at=START),
    appointment("a hold with a reason", REASON, outcome_reason_category="other"),
    appointment("a hold with an outcome's time", ALL_OR_NONE, outcome_recorded_at=START),
    appointment("a hold with an outcome's author", ALL_OR_NONE, outcome_recorded_by_role="owner"),
    appointment(
        "a hold with an outcome",
        AGREES,
        outcome="attended",
        outcome_recorded_at=START + timedelta(days=1),
        outcome_recorded_by_role="owner",
    ),
    appointment(
        "a request sent twice",
        "appointments_client_request_unique",
        client_request_id=lambda: AppointmentFactory(client_request_id="r-1").client_request_id,
    ),
    appointment(
        "another request",
        client_request_id=lambda: AppointmentFactory(client_request_id="r-1") and "r-2",
    ),
    appointment(
        "without a request, as others",
        client_request_id=lambda: AppointmentFactory(client_request_id=None) and None,
    ),
)
def test_new_appointment_is_complete_and_within_its_limits(group: CaseGroup) -> None:
    check_case_group(group)


ITSELF = "appointments_not_rescheduled_from_itself"


@pytest.mark.parametrize("write", [insert_sql, Appointment.save], ids=["sql", "orm"])
@breaks(ITSELF)
def test_appointment_does_not_replace_itself(write: Callable[[Appointment], None]) -> None:
    row = AppointmentFactory.build(service=ServiceFactory(), client=UserFactory())
    row.rescheduled_from_id = row.pk
    with refuses(ITSELF, "appointments"):
        write(row)


INITIAL = "appointments_status_initial"


@case_groups(
    *(
        appointment(f"{status}{' and free' if free else ''}", INITIAL, free=free, **{status: True})
        for status in ["paid", "canceled", "rescheduled", "completed"]
        for free in [False, True]
    ),
    appointment("confirmed for a price", INITIAL, confirmed=True),
    appointment(
        "confirmed for a rouble", INITIAL, confirmed=True, price_amount=1, deposit_amount=1
    ),
    appointment("confirmed without a deposit", INITIAL, confirmed=True, deposit_amount=None),
    appointment("confirmed and free", confirmed=True, free=True),
    appointment("held and free", free=True),
    appointment(
        "confirmed, but not when", CONFIRMED_AT, free=True, confirmed=True, confirmed_at=None
    ),
)
def test_new_appointment_is_a_hold_or_free_of_charge(group: CaseGroup) -> None:
    check_case_group(group)


RECORDED = {
    "outcome_recorded_at": lambda row: row.end_at_utc,
    "outcome_recorded_by_role": "owner",
}
NOTHING_RECORDED = {
    "outcome": None,
    "outcome_recorded_at": None,
    "outcome_recorded_by_role": None,
    "outcome_reason_category": None,
}


def row(trait: str, name: str, rule: str | None = None, /, **to: Any) -> Change:
    return Change(f"{trait}: {name}", AppointmentFactory, {trait: True}, to, rule)


@change_groups(
    # A hold has an expiry, a paid appointment needs none.
    row("held", "no expiry", HOLD, hold_expires_at=None),
    row("paid", "expiry kept", hold_expires_at=START),
    # confirmed_at is set from the confirmation on; a canceled row may keep it.
    row("paid", "confirmed early", CONFIRMED_AT, confirmed_at=START),
    row("paid", "confirmed without a time", CONFIRMED_AT, status="confirmed"),
    row("paid", "confirmed", status="confirmed", confirmed_at=START),
    row("confirmed", "confirmation forgotten", CONFIRMED_AT, confirmed_at=None),
    row("rescheduled", "confirmation forgotten", CONFIRMED_AT, confirmed_at=None),
    row("completed", "confirmation forgotten", CONFIRMED_AT, confirmed_at=None),
    row("canceled", "confirmed before", confirmed_at=START),
    row("confirmed", "canceled", status="canceled", canceled_at=START),
    row(
        "confirmed",
        "canceled, confirmation forgotten",
        status="canceled",
        canceled_at=START,
        confirmed_at=None,
    ),
    # canceled_at is set exactly for canceled rows.
    row("confirmed", "canceled without a time", CANCELED_AT, status="canceled"),
    row("canceled", "time forgotten", CANCELED_AT, canceled_at=None),
    *(
        row(status, "a time of cancellation", CANCELED_AT, canceled_at=START)
        for status in ["held", "paid", "confirmed", "rescheduled", "completed"]
    ),
    # The outcome, its time and its author.
    *(
        row("canceled", f"without {column}", ALL_OR_NONE, **{column: None})
        for column in ["outcome", "outcome_recorded_at", "outcome_recorded_by_role"]
    ),
    row("completed", "nothing recorded", AGREES, **NOTHING_RECORDED),
    row("confirmed", "completed without an outcome", AGREES, status="completed"),
    # A reason needs an outcome; any outcome may have one.
    row(
        "canceled",
        "a reason left alone",
        REASON,
        **NOTHING_RECORDED | {"outcome_reason_category": "illness"},
    ),
    *(
        row(status, "a reason", outcome_reason_category="illness")
        for status in ["canceled", "rescheduled"]
    ),
)
def test_times_and_outcome_agree_with_the_status(group: ChangeGroup) -> None:
    check_change_group(group)


OUTCOMES = list(Appointment.Outcome.values)
# states.md: the outcomes each status may carry. The factory stores the first one, which stays.
CARRIES = {
    "held": [],
    "paid": [],
    "confirmed": [],
    "canceled": ["canceled_by_client", "canceled_by_provider"],
    "rescheduled": ["rescheduled"],
    "completed": ["attended", "no_show"],
}


@change_groups(
    *(
        row(
            status,
            str(outcome),
            None if outcome in may_carry else AGREES,
            **RECORDED | {"outcome": str(outcome)},
        )
        for status, may_carry in CARRIES.items()
        for outcome in OUTCOMES
        if outcome not in may_carry[1:]  # a correction: test_corrected_outcomes.py
    ),
    others=["sql"],
)
def test_each_status_has_its_own_outcomes(group: ChangeGroup) -> None:
    check_change_group(group)


@change_groups(
    *(
        row(
            "confirmed",
            f"{outcome} {when}",
            rule,
            status="completed",
            outcome=outcome,
            outcome_recorded_at=at,
            outcome_recorded_by_role="owner",
        )
        for outcome in ["attended", "no_show"]
        for when, at, rule in [
            ("at the start", lambda row: row.start_at_utc, None),
            ("before the start", lambda row: row.start_at_utc - MICRO, NOT_BEFORE),
        ]
    ),
    row(
        "canceled",
        "long before the start",
        outcome_recorded_at=lambda row: row.start_at_utc - timedelta(days=30),
    ),
    row(
        "rescheduled",
        "long before the start",
        outcome_recorded_at=lambda row: row.start_at_utc - timedelta(days=30),
    ),
)
def test_attendance_is_not_recorded_before_the_start(group: ChangeGroup) -> None:
    check_change_group(group)


PRICE = "appointments_agreed_price_stays"
ORIGIN = "appointments_origin_stays"


def frozen_changes(**traits: Any) -> list[Change]:
    def change(name: str, rule: str, given: dict[str, Any], **to: Any) -> Change:
        return Change(name, AppointmentFactory, {**given, **traits}, to, rule)

    free = {"price_amount": 0, "deposit_amount": None}
    return [
        change("a higher price", PRICE, {}, price_amount=5001),
        change("a lower price", PRICE, {}, price_amount=4999),
        change("nothing to pay", PRICE, {}, **free),
        change("another deposit", PRICE, {}, deposit_amount=999),
        change("no deposit", PRICE, {}, deposit_amount=None),
        change(
            "a deposit where none was agreed", PRICE, {"deposit_amount": None}, deposit_amount=1
        ),
        change("a price for what was free", PRICE, {"free": True}, price_amount=1),
        change("another request", ORIGIN, {"client_request_id": "r-1"}, client_request_id="r-2"),
        change("no request", ORIGIN, {"client_request_id": "r-1"}, client_request_id=None),
        change("a request afterwards", ORIGIN, {}, client_request_id="r-1"),
        change(
            "in place of another",
            ORIGIN,
            {},
            rescheduled_from_id=lambda row: AppointmentFactory(rescheduled=True).pk,
        ),
    ]


@change_groups(*frozen_changes(held=True), write_paths=ALL_WRITE_PATHS)
def test_agreed_terms_of_a_hold_do_not_change(group: ChangeGroup) -> None:
    check_change_group(group)


@change_groups(
    *(
        Change(
            f"{status}: {one.name}",
            one.factory,
            {**one.row, "held": False, status: True},
            one.to,
            one.rule,
        )
        for status in ["paid", "confirmed", "canceled", "rescheduled", "completed"]
        for one in frozen_changes()
    ),
    write_paths=["sql"],
)
def test_agreed_terms_of_later_statuses_do_not_change(group: ChangeGroup) -> None:
    check_change_group(group)


@change_groups(
    # One statement: the new status is allowed, the new price is not.
    Change(
        "paid, and cheaper", AppointmentFactory, {}, {"status": "paid", "price_amount": 1}, PRICE
    ),
    Change("the same price", AppointmentFactory, {}, {"price_amount": 5000}),
    Change(
        "another service",
        AppointmentFactory,
        {},
        {"service_id": lambda row: ServiceFactory(price_amount=1, deposit_amount=1).pk},
    ),
    Change(
        "another client", AppointmentFactory, {}, {"client_user_id": lambda row: UserFactory().pk}
    ),
    Change("client forgotten", AppointmentFactory, {}, {"client_user_id": None}, PRESENT),
    Change(
        "client replaced by the lead",
        AppointmentFactory,
        {},
        {"client_user_id": None, "lead_id": lambda row: LeadFactory().pk},
    ),
    Change("a later price of the service", AppointmentFactory, {}, {"buffer_minutes": 10}),
    write_paths=MAIN_WRITE_PATHS,
)
def test_other_columns_change_within_their_rules(group: ChangeGroup) -> None:
    check_change_group(group)


def test_later_price_of_the_service_keeps_the_agreed_price() -> None:
    row = AppointmentFactory()
    update_sql(row.service, price_amount=9000, deposit_amount=2000)
    row.refresh_from_db()
    assert (row.price_amount, row.deposit_amount) == (5000, 1000)


@pytest.mark.parametrize("day", ["10000-01-01", "0044-03-15 BC"])
def test_appointment_is_in_a_year_that_python_can_read(day: str) -> None:
    """Python cannot represent the year 10000: one such row would break every list with it."""
    row = AppointmentFactory()
    with refuses_by_any_rule():
        execute(
            "UPDATE appointments SET start_at_utc = %s, end_at_utc = %s WHERE id = %s",
            [f"{day} 10:00+00", f"{day} 10:50+00", row.pk],
        )


SECRET = "https://meet.example.com/maria-ivanova"


@pytest.mark.parametrize(
    ("rule", "column", "to"),
    [
        (PRICE, "price_amount", {"price_amount": 4321}),
        (ORIGIN, "rescheduled_from_id", {"client_request_id": "request-4321"}),
    ],
    ids=[PRICE, ORIGIN],
)
def test_refused_change_reveals_nothing_about_the_row(
    rule: str, column: str, to: dict[str, Any]
) -> None:
    row = AppointmentFactory(meeting_url=SECRET, location_text=SECRET)
    check_refusal_is_discreet(
        lambda: update_sql(row, **to), rule, "appointments", column, SECRET, "4321", str(row.pk)
    )


def test_refused_insert_reveals_nothing_about_the_row() -> None:
    row = AppointmentFactory.build(
        paid=True, service=ServiceFactory(), client=UserFactory(), meeting_url=SECRET
    )
    check_refusal_is_discreet(
        lambda: insert_sql(row), INITIAL, "appointments", "status", SECRET, str(row.pk)
    )
