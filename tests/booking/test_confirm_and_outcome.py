"""Confirmation of paid appointments, outcomes of sessions, and expiry of holds."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils.timezone import now as wall_clock

from booking.errors import NotPaid, OutcomeTooEarly
from booking.models import Appointment
from booking.services import confirm_appointment, expire_holds, holds, record_outcome
from crm.models import Lead
from ebalance.services import InvalidInput, NotFound, NotPermitted, TransitionRefused
from tests.booking.outbox_assertions import (
    INVALID_TEXTS,
    at,
    book,
    check_refusals,
    confirmed,
    event_types,
    payload,
    refused,
    stored,
    tracked,
    writes_nothing,
)
from tests.factories import (
    AppointmentFactory,
    AvailabilitySlotFactory,
    PaymentFactory,
    RefundFactory,
    UserFactory,
)
from tests.factories.booking import NEXT_WEEK
from tests.rule_groups import loop_over

pytestmark = pytest.mark.django_db

TICK = timedelta(microseconds=1)
WRONG = ["", "nobody", "Attended", "a" * 100_000, 7, True, [], {}, float("nan"), *INVALID_TEXTS]


# -- confirm --------------------------------------------------------------------------------------


def test_paid_appointment_is_confirmed() -> None:
    row = book()
    Appointment.objects.filter(pk=row.pk).update(status="paid")
    PaymentFactory(appointment=row, succeeded=True)
    now = wall_clock()
    assert confirm_appointment(row, clock=at(now)) is row
    assert (row.status, row.confirmed_at) == ("confirmed", now)
    assert event_types(row) == ["appointment_booked", "appointment_confirmed"]
    assert payload("appointment_confirmed")["format"] == "online"
    (properties,) = tracked("booking_confirmed")
    assert properties["service_id"] == str(row.service_id)
    assert Lead.objects.get().status == "booked_confirmed"
    with writes_nothing():
        confirm_appointment(row, clock=at(now, hours=1))
        confirm_appointment(Appointment.objects.get(pk=row.pk), actor=UserFactory.build())
    assert row.confirmed_at == now


# The deposit agreed, what was paid, what was given back, whether that confirms (price 5000).
MONEY: list[tuple[int | None, dict[str, int], int, bool]] = [
    (1000, {}, 0, False),
    (1000, {"deposit": 1000}, 0, True),
    (1000, {"deposit": 1000}, 1, False),
    (1000, {"full": 999}, 0, False),
    (1000, {"full": 1000}, 0, True),
    (1000, {"full": 5000}, 4000, True),
    (1000, {"full": 5000}, 4001, False),
    (1000, {"full": 999, "deposit": 1000}, 999, True),
    (None, {}, 0, False),
    (None, {"full": 4999}, 0, False),
    (None, {"full": 5000}, 0, True),
    (None, {"full": 5000}, 1, False),
]


def marked_as_paid(deposit: int | None, amounts: dict[str, int], given_back: int) -> Appointment:
    """As another program leaves it: the database asks at the end of the transaction."""
    row = AppointmentFactory(deposit_amount=deposit)
    for purpose, amount in amounts.items():
        payment = PaymentFactory(appointment=row, succeeded=True, purpose=purpose, amount=amount)
        if (given_back and amount == max(amounts.values())) or given_back == amount:
            RefundFactory(payment=payment, amount=given_back)
            given_back = 0
    Appointment.objects.filter(pk=row.pk).update(status="paid")
    return row


@loop_over(("deposit", "amounts", "given_back", "enough"), MONEY)
def test_confirmation_needs_the_agreed_amount(
    deposit: int | None, amounts: dict[str, int], given_back: int, enough: bool
) -> None:
    row = marked_as_paid(deposit, amounts, given_back)
    if enough:
        assert confirm_appointment(row).status == "confirmed"
    else:
        with refused(NotPaid, appointment=row.pk):
            confirm_appointment(row)


@loop_over("status", ["pending", "canceled", "failed"])
def test_payment_that_has_not_succeeded_confirms_nothing(status: str) -> None:
    row = marked_as_paid(1000, {}, 0)
    PaymentFactory(appointment=row, **({} if status == "pending" else {status: True}))
    with refused(NotPaid):
        confirm_appointment(row)


@loop_over("status", ["held", "canceled", "rescheduled", "completed"])
def test_only_a_paid_appointment_is_confirmed(status: str) -> None:
    row = AppointmentFactory(**{status: True})
    with refused(TransitionRefused, entity="appointments", wanted="confirmed"):
        confirm_appointment(row)


def test_confirmation_ignores_the_status_in_memory() -> None:
    row = AppointmentFactory(held=True)
    PaymentFactory(appointment=row, succeeded=True)
    row.status = "paid"
    with refused(TransitionRefused, status="pending_payment"):
        confirm_appointment(row)


# -- outcome --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "reason", "lead"),
    [
        ("attended", None, "completed_session"),
        ("no_show", None, "booked_confirmed"),
        ("no_show", "tech_issue", "booked_confirmed"),
    ],
)
def test_outcome_is_recorded(outcome: str, reason: str | None, lead: str) -> None:
    row = confirmed()
    now = row.start_at_utc
    done = record_outcome(row, outcome=outcome, reason_category=reason, clock=at(now))
    assert done is row
    after = stored(row)
    assert (after["status"], after["outcome"]) == ("completed", outcome)
    assert after["outcome_reason_category"] == reason
    assert (after["outcome_recorded_at"], after["outcome_recorded_by_role"]) == (now, "system")
    assert event_types(row)[-1] == "appointment_completed"
    assert payload("appointment_completed")["outcome"] == outcome
    (properties,) = tracked("appointment_outcome_recorded")
    assert (properties["outcome"], properties.get("reason_category")) == (outcome, reason)
    assert Lead.objects.get().status == lead
    with writes_nothing():
        record_outcome(row, outcome=outcome, clock=at(now, days=1))
        # The first reason stays.
        record_outcome(row, outcome=outcome, reason_category="other")


@loop_over("role", ["owner", "assistant", None])
def test_outcome_records_the_role_of_the_actor(role: str | None) -> None:
    row, actor = confirmed(), None if role is None else UserFactory(role=role)
    record_outcome(row, outcome="attended", actor=actor, clock=at(row.start_at_utc))
    assert row.outcome_recorded_by_role == (role or "system")
    assert tracked("appointment_outcome_recorded")[0]["recorded_by_role"] == (role or "system")


@loop_over("role", ["editor", "client"])
def test_only_staff_of_the_schedule_record_an_outcome(role: str) -> None:
    row, actor = confirmed(), UserFactory(role=role)
    with refused(NotPermitted):
        record_outcome(row, outcome="attended", actor=actor, clock=at(row.start_at_utc))


def test_attendance_is_not_recorded_before_the_start() -> None:
    row = AppointmentFactory(confirmed=True)
    for outcome in ("attended", "no_show"):
        with refused(OutcomeTooEarly, start=row.start_at_utc):
            record_outcome(row, outcome=outcome, clock=at(row.start_at_utc - TICK))


def test_second_outcome_is_refused() -> None:
    row = AppointmentFactory(completed=True, outcome="attended")
    with refused(TransitionRefused, status="completed", wanted="completed"):
        record_outcome(row, outcome="no_show")


@loop_over("status", ["held", "paid", "canceled", "rescheduled"])
def test_only_a_confirmed_session_has_an_outcome(status: str) -> None:
    row = AppointmentFactory(**{status: True})
    with refused(TransitionRefused, entity="appointments", wanted="completed"):
        record_outcome(row, outcome="attended", clock=at(row.end_at_utc))


def test_outcome_is_attendance_or_none() -> None:
    row = AppointmentFactory(confirmed=True)
    check_refusals(
        lambda value: record_outcome(row, outcome=value, clock=at(row.end_at_utc)),
        [None, "canceled_by_client", "rescheduled", *WRONG],
        InvalidInput,
        field="outcome",
    )


def test_reason_is_one_of_the_set() -> None:
    row = AppointmentFactory(confirmed=True)
    check_refusals(
        lambda value: record_outcome(
            row, outcome="no_show", reason_category=value, clock=at(row.end_at_utc)
        ),
        WRONG,
        InvalidInput,
        field="reason_category",
    )


def test_unknown_appointment_is_refused() -> None:
    for row in (AppointmentFactory.build(), AppointmentFactory.build(pk=None)):
        with refused(NotFound):
            confirm_appointment(row)
        with refused(NotFound):
            record_outcome(row, outcome="attended")


# -- holds ----------------------------------------------------------------------------------------


def test_expired_holds_are_canceled() -> None:
    rows = [book(), book(start=NEXT_WEEK)]
    now = max(row.hold_expires_at for row in rows)
    assert expire_holds(clock=at(now)) == 2
    for row in rows:
        row.refresh_from_db()
        assert (row.status, row.canceled_at, row.outcome) == ("canceled", now, None)
        assert event_types(row) == ["appointment_booked", "hold_expired"]
    rows[0].slot.refresh_from_db()
    assert rows[0].slot.status == "available"
    with writes_nothing():
        assert expire_holds(clock=at(now)) == 0


def test_unexpired_holds_are_not_canceled() -> None:
    row = book()
    for status in ("paid", "confirmed"):
        AppointmentFactory(**{status: True})
    with writes_nothing():
        assert expire_holds() == 0
        assert expire_holds(clock=at(row.hold_expires_at - TICK)) == 0


def test_many_holds_are_canceled_in_several_transactions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holds, "BATCH_SIZE", 3)
    rows = [AppointmentFactory(held=True, in_slot=True) for _ in range(7)]
    later = at(max(row.hold_expires_at for row in rows))
    assert expire_holds(clock=later) == 7
    assert set(Appointment.objects.values_list("status", flat=True)) == {"canceled"}
    assert {row.slot.status for row in Appointment.objects.select_related("slot")} == {"available"}
    assert event_types() == ["hold_expired"] * 7


def test_expired_hold_releases_only_its_own_slot() -> None:
    slot = AvailabilitySlotFactory(reserved=True)
    AvailabilitySlotFactory(blocked=True)
    row = AppointmentFactory(held=True, hold_expires_at=wall_clock() - TICK)
    assert expire_holds() == 1
    row.refresh_from_db()
    slot.refresh_from_db()
    assert (row.status, slot.status) == ("canceled", "reserved")
