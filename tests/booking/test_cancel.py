"""Cancellation releases the time and refunds by the policy of the service."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils.timezone import now as wall_clock

from booking.errors import TooLateToCancel
from booking.models import Appointment
from booking.services import cancel_appointment, expire_holds
from ebalance.services import InvalidInput, NotFound, TransitionRefused
from tests.booking.outbox_assertions import (
    INVALID_TEXTS,
    at,
    book,
    check_refusals,
    confirmed,
    deliver,
    event_types,
    known_payment,
    outbox,
    paid,
    payload,
    refused,
    reschedule,
    start,
    tracked,
    writes_nothing,
)
from tests.factories import (
    AppointmentFactory,
    PaymentFactory,
    ServiceFactory,
    UserFactory,
)
from tests.factories.base import walk
from tests.factories.booking import CONFIRMED, DEPOSIT, PAID, PRICE
from tests.rule_groups import loop_over

pytestmark = pytest.mark.django_db

TICK = timedelta(microseconds=1)


def confirmed_session(amounts: dict[str, int], **policy: Any) -> Appointment:
    """A confirmed session, paid by these payments; ``policy`` are columns of its service."""
    row = AppointmentFactory(
        service=ServiceFactory(**policy),
        price_amount=sum(amounts.values()) if "full" in amounts else PRICE,
        deposit_amount=amounts.get("deposit"),
    )
    for minutes, (purpose, amount) in enumerate(amounts.items()):
        instant = wall_clock() + timedelta(minutes=minutes)
        PaymentFactory(
            appointment=row, succeeded=True, purpose=purpose, amount=amount, confirmed_at=instant
        )
    walk(row, PAID, CONFIRMED)
    return row


# -- effects --------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["client", "provider"])
def test_cancellation_releases_the_slot(by: str) -> None:
    row = confirmed()
    now = row.start_at_utc - timedelta(hours=24)
    answer = cancel_appointment(row, by=by, reason_category="illness", clock=at(now))
    assert answer.appointment is row
    row = Appointment.objects.select_related("slot").get(pk=row.pk)
    assert (row.status, row.canceled_at) == ("canceled", now)
    assert (row.outcome, row.outcome_reason_category) == (f"canceled_by_{by}", "illness")
    assert (row.outcome_recorded_at, row.outcome_recorded_by_role) == (now, "system")
    assert row.slot.status == "available"
    assert payload("appointment_canceled") | {"service_id": None} == {
        "by": by,
        "refund_amount": DEPOSIT,
        "service_id": None,
        "start_at_utc": row.start_at_utc.isoformat().replace("+00:00", "Z"),
        "timezone": "Europe/Moscow",
    }
    (properties,) = tracked("appointment_outcome_recorded")
    assert properties["outcome"] == f"canceled_by_{by}"
    assert properties["reason_category"] == "illness"
    assert properties["appointment_id"] == str(row.pk)
    assert properties["recorded_by_role"] == "system"
    again = book(slot=row.slot)
    assert again.slot_id == row.slot_id


@pytest.mark.parametrize("role", ["owner", "assistant"])
def test_cancellation_records_the_role_of_the_actor(role: str) -> None:
    row = confirmed()
    cancel_appointment(row, by="provider", actor=UserFactory(role=role))
    assert row.outcome_recorded_by_role == role
    assert tracked("appointment_outcome_recorded")[0]["recorded_by_role"] == role


@loop_over("by", ["client", "provider"])
@loop_over("status", ["held", "paid", "confirmed"])
def test_blocking_appointment_is_canceled(status: str, by: str) -> None:
    row = AppointmentFactory(**{status: True, "in_slot": True})
    cancel_appointment(row, by=by)
    row.slot.refresh_from_db()
    assert (row.status, row.slot.status) == ("canceled", "available")


@loop_over("status", ["rescheduled", "completed"])
def test_appointment_in_a_final_status_is_not_canceled(status: str) -> None:
    row = AppointmentFactory(**{status: True})
    with refused(TransitionRefused, entity="appointments", status=status, wanted="canceled"):
        cancel_appointment(row, by="provider")


def test_cancellation_ignores_the_status_in_memory() -> None:
    row = AppointmentFactory(confirmed=True)
    old = Appointment.objects.get(pk=row.pk)
    cancel_appointment(row, by="client")
    with refused(TransitionRefused):
        cancel_appointment(old, by="provider")
    row.status = "confirmed"  # only in memory
    with writes_nothing():
        assert cancel_appointment(row, by="client").appointment.status == "canceled"


def test_client_cancels_before_the_session_begins() -> None:
    row = confirmed()
    with refused(TooLateToCancel):
        cancel_appointment(row, by="client", clock=at(row.start_at_utc))
    with refused(TooLateToCancel):
        cancel_appointment(row, by="client", clock=at(row.end_at_utc, days=3))
    assert (
        cancel_appointment(row, by="client", clock=at(row.start_at_utc - TICK)).refund_amount == 0
    )


def test_provider_cancels_at_any_time() -> None:
    row = confirmed()
    answer = cancel_appointment(row, by="provider", clock=at(row.end_at_utc, hours=1))
    assert (answer.refund_amount, row.status) == (DEPOSIT, "canceled")


# -- repetition -----------------------------------------------------------------------------------


@loop_over("by", ["client", "provider"])
@loop_over("hours", [24, 6, 1])
def test_repeated_cancellation_answers_the_same(session: Appointment, by: str, hours: int) -> None:
    row = Appointment.objects.get(pk=session.pk)
    first = cancel_appointment(row, by=by, clock=at(row.start_at_utc, hours=-hours))
    with writes_nothing():
        # The refund depends on the time of the first cancellation, not of the repetition.
        again = cancel_appointment(
            Appointment.objects.get(pk=row.pk), by=by, clock=at(row.end_at_utc)
        )
    assert again.refund_amount == first.refund_amount
    assert again.appointment == first.appointment


@pytest.fixture
def session(db: None) -> Appointment:
    """A session that is booked and paid for."""
    return confirmed()


def test_repeated_cancellation_ignores_a_changed_policy() -> None:
    row = confirmed()
    first = cancel_appointment(row, by="client", clock=at(row.start_at_utc, hours=-10))
    type(row.service).objects.update(cancel_free_hours=1, cancel_partial_hours=None)
    with writes_nothing():
        assert (
            cancel_appointment(row, by="client").refund_amount
            == first.refund_amount
            == DEPOSIT // 2
        )


def test_cancellation_by_the_other_side_is_refused() -> None:
    row = confirmed()
    cancel_appointment(row, by="client")
    with refused(TransitionRefused, status="canceled"):
        cancel_appointment(row, by="provider")


@loop_over("by", ["client", "provider"])
def test_cancellation_of_an_expired_hold_changes_nothing(by: str) -> None:
    row = book()
    expire_holds(clock=at(row.hold_expires_at))
    with writes_nothing():
        assert cancel_appointment(row, by=by).refund_amount == 0
    assert (row.status, row.outcome) == ("canceled", None)


# -- refunds --------------------------------------------------------------------------------------

POLICIES: dict[str, dict[str, int | None]] = {
    "none": {"cancel_free_hours": None, "cancel_partial_hours": None},
    "24 only": {"cancel_free_hours": 24, "cancel_partial_hours": None},
    "0 only": {"cancel_free_hours": 0, "cancel_partial_hours": None},
    "0/0": {"cancel_free_hours": 0, "cancel_partial_hours": 0},
    "24/6": {"cancel_free_hours": 24, "cancel_partial_hours": 6},
    "24/0": {"cancel_free_hours": 24, "cancel_partial_hours": 0},
    "24/24": {"cancel_free_hours": 24, "cancel_partial_hours": 24},
    "endless": {"cancel_free_hours": 2**31 - 1, "cancel_partial_hours": 2**31 - 1},
}
H = timedelta(hours=1)
# Policy, time before the start at which the client cancels, refund of 5000.
REFUNDS: list[tuple[str, timedelta, int]] = [
    ("none", 1000 * H, 0),
    ("none", TICK, 0),
    ("24 only", 24 * H + TICK, 5000),
    ("24 only", 24 * H, 5000),
    ("24 only", 24 * H - TICK, 0),
    ("24 only", TICK, 0),
    ("0 only", 1000 * H, 5000),
    ("0 only", TICK, 5000),
    ("0/0", TICK, 5000),
    ("24/6", 24 * H + TICK, 5000),
    ("24/6", 24 * H, 5000),
    ("24/6", 24 * H - TICK, 2500),
    ("24/6", 6 * H + TICK, 2500),
    ("24/6", 6 * H, 2500),
    ("24/6", 6 * H - TICK, 0),
    ("24/6", TICK, 0),
    ("24/0", 24 * H, 5000),
    ("24/0", 24 * H - TICK, 2500),
    ("24/0", TICK, 2500),
    ("24/24", 24 * H, 5000),
    ("24/24", 24 * H - TICK, 0),
    ("endless", 1000 * H, 0),
]


@loop_over(
    ("policy", "left", "due"), REFUNDS, ids=[f"{name}: {left} left" for name, left, _ in REFUNDS]
)
def test_refund_follows_the_policy(policy: str, left: timedelta, due: int) -> None:
    row = confirmed_session({"full": 5000}, **POLICIES[policy])
    answer = cancel_appointment(row, by="client", clock=at(row.start_at_utc - left))
    assert answer.refund_amount == due
    assert payload("appointment_canceled")["refund_amount"] == due
    due_events = [event.payload["amount"] for event in outbox() if event.event_type == "refund_due"]
    assert due_events == ([due] if due else [])


@loop_over(("policy", "left"), [(name, left) for name, left, _ in REFUNDS[::3]])
def test_cancellation_by_the_provider_refunds_everything(policy: str, left: timedelta) -> None:
    row = confirmed_session({"full": 5000}, **POLICIES[policy])
    assert (
        cancel_appointment(row, by="provider", clock=at(row.start_at_utc - left)).refund_amount
        == 5000
    )


@loop_over(("amount", "half"), [(1, 1), (2, 1), (3, 2), (999, 500), (1001, 501)])
def test_half_of_an_odd_amount_is_rounded_up(amount: int, half: int) -> None:
    row = confirmed_session({"full": amount})
    answer = cancel_appointment(row, by="client", clock=at(row.start_at_utc - 6 * H))
    assert answer.refund_amount == half


# Payments, hours before the start, refund of each payment with the latest first.
SHARES: list[tuple[dict[str, int], int, list[tuple[str, int]]]] = [
    ({"deposit": 1000}, 24, [("deposit", 1000)]),
    ({"deposit": 1001}, 6, [("deposit", 501)]),
    ({"deposit": 1000}, 1, []),
    ({"deposit": 1000, "full": 4000}, 24, [("full", 4000), ("deposit", 1000)]),
    ({"deposit": 1000, "full": 4000}, 6, [("full", 2500)]),
    ({"deposit": 3000, "full": 2000}, 6, [("full", 2000), ("deposit", 500)]),
    ({"deposit": 3000, "full": 2001}, 6, [("full", 2001), ("deposit", 500)]),
    ({"deposit": 2500, "full": 2500}, 6, [("full", 2500)]),
    ({"deposit": 1000, "full": 4000}, 1, []),
]


@loop_over(("amounts", "hours", "shares"), SHARES)
def test_refund_is_split_over_the_payments(
    amounts: dict[str, int], hours: int, shares: list[tuple[str, int]]
) -> None:
    row = confirmed_session(amounts)
    purposes = {payment.pk: payment.purpose for payment in row.payments.all()}
    answer = cancel_appointment(row, by="client", clock=at(row.start_at_utc, hours=-hours))
    due = [event for event in outbox() if event.event_type == "refund_due"]
    assert [(purposes[e.aggregate_id], e.payload["amount"]) for e in due] == shares
    assert {event.payload["reason"] for event in due} <= {"canceled"}
    assert {event.payload["currency"] for event in due} <= {"RUB"}
    assert answer.refund_amount == sum(amount for _purpose, amount in shares)


@loop_over("status", ["pending", "canceled", "failed"])
def test_only_succeeded_payments_are_refunded(status: str) -> None:
    row = AppointmentFactory()
    PaymentFactory(appointment=row, **({status: True} if status != "pending" else {}))
    assert cancel_appointment(row, by="provider").refund_amount == 0
    assert "refund_due" not in event_types()


def test_refund_follows_the_policy_at_the_time_of_cancellation() -> None:
    row = confirmed_session({"full": 5000})
    row.service.cancel_free_hours = 48
    row.service.save()
    assert (
        cancel_appointment(row, by="client", clock=at(row.start_at_utc - 24 * H)).refund_amount
        == 2500
    )


def test_payments_of_a_moved_session_are_refunded() -> None:
    row = confirmed()
    moved = reschedule(row, start=row.start_at_utc + 30 * timedelta(days=1))
    paid(moved, "full")
    answer = cancel_appointment(moved, by="client", clock=at(moved.start_at_utc - 24 * H))
    assert answer.refund_amount == PRICE


def test_refund_of_a_moved_session_follows_its_new_start() -> None:
    row = confirmed()
    moved = reschedule(row, start=row.start_at_utc + timedelta(days=1))
    answer = cancel_appointment(moved, by="client", clock=at(row.start_at_utc))
    assert answer.refund_amount == DEPOSIT


def test_cancellation_of_a_hold_refunds_nothing() -> None:
    row = book()
    start(row)
    assert cancel_appointment(row, by="client").refund_amount == 0
    assert "refund_due" not in event_types()


def test_refund_after_a_late_payment_belongs_to_the_new_row() -> None:
    """The hold expired, its payment succeeded late, and a new row took the time and the payment."""
    row = book()
    payment = known_payment(row)
    expire_holds(clock=at(row.hold_expires_at))
    deliver(payment)
    again = Appointment.objects.get(rescheduled_from=row)
    with writes_nothing():
        assert cancel_appointment(row, by="client").refund_amount == 0
    assert cancel_appointment(again, by="client").refund_amount == DEPOSIT


# -- bad input ------------------------------------------------------------------------------------

WRONG = ["", "nobody", "Client", "a" * 100_000, 7, True, [], {}, float("nan"), *INVALID_TEXTS]


def test_unknown_side_does_not_cancel() -> None:
    row = AppointmentFactory(confirmed=True)
    check_refusals(
        lambda value: cancel_appointment(row, by=value), [None, *WRONG], InvalidInput, field="by"
    )


def test_reason_is_one_of_the_set() -> None:
    row = AppointmentFactory(confirmed=True)
    check_refusals(
        lambda value: cancel_appointment(row, by="client", reason_category=value),
        WRONG,
        InvalidInput,
        field="reason_category",
    )


@loop_over("make", [AppointmentFactory.build, AppointmentFactory])
def test_unknown_appointment_is_refused(make: Callable[..., Appointment]) -> None:
    row = make()
    Appointment.objects.filter(pk=row.pk).delete()
    with refused(NotFound):
        cancel_appointment(row, by="client")
