"""Sessions and money of an erased person are ended as those of any other (privacy.md §5)."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import pytest

from booking.models import Appointment, Payment
from booking.services import book_appointment, correct_outcome, record_outcome, record_refund
from crm.models import AnalyticsEvent
from ebalance.db.ids import uuid7
from ebalance.privacy.erasure import erase_user
from ebalance.services import Refused
from tests.clocks import fact_clock_at
from tests.factories import AppointmentFactory, PaymentFactory
from tests.factories.base import ago
from tests.rule_groups import loop_over

from .outbox_assertions import book, deliver, known_payment
from .test_staff_payments import owner, take

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _usual_clock(_late_clock: None) -> Iterator[None]:
    with fact_clock_at(""):
        yield


def erase(row: Appointment, *, force: bool = False) -> set[UUID]:
    """Erase the client. Returns the keys of the events so far."""
    erase_user(row.client, method="admin", force=force)
    return {*AnalyticsEvent.objects.values_list("pk", flat=True)}


def events_since(earlier: set[UUID]) -> list[str]:
    """The names of the later events. None of them names a person."""
    later = AnalyticsEvent.objects.exclude(pk__in=earlier)
    people = later.values_list("user_id", "lead_id", "anonymous_id")
    assert {*people} <= {(None, None, None)}
    return sorted(later.values_list("tracking_event_id", flat=True))


@loop_over("outcome", ["attended", "no_show"])
def test_outcome_is_recorded_and_corrected(outcome: str) -> None:
    terms = {"price_amount": 0, "deposit_amount": None}
    row = AppointmentFactory(confirmed=True, start_at_utc=ago(hours=3), **terms)
    earlier = erase(row)
    record_outcome(row, outcome=outcome, actor=owner())
    other = {"attended": "no_show", "no_show": "attended"}[outcome]
    assert correct_outcome(row, outcome=other, actor=owner()).outcome == other
    assert events_since(earlier) == ["appointment_outcome_recorded"] * 2


def test_rest_of_the_price_is_taken_and_given_back() -> None:
    row = AppointmentFactory(completed=True)
    earlier = erase(row)
    payment = take(row, 100)
    assert record_refund(payment, amount=100, id=uuid7(), actor=owner()).status == "succeeded"
    assert events_since(earlier) == ["booking_paid", "payment_started"]


@loop_over(
    ("event_type", "status", "event"),
    [
        ("payment.succeeded", "succeeded", "booking_paid"),
        ("payment.canceled", "canceled", "payment_failed"),
    ],
)
def test_delivery_about_a_past_session_takes_effect(
    event_type: str, status: str, event: str
) -> None:
    row = AppointmentFactory(completed=True)
    payment = PaymentFactory(answered=True, full=True, appointment=row)
    earlier = erase(row)
    delivery = deliver(payment, event_type=event_type)
    assert (delivery.last_error, Payment.objects.get(pk=payment.pk).status) == (None, status)
    assert event in events_since(earlier)


@loop_over(
    ("event_type", "status"), [("payment.succeeded", "succeeded"), ("payment.canceled", "canceled")]
)
def test_delivery_after_a_forced_erasure_takes_effect(event_type: str, status: str) -> None:
    """The session ahead was canceled, so money that arrives is due back."""
    row = book()
    payment = known_payment(row)
    erase(row, force=True)
    delivery = deliver(payment, event_type=event_type)
    assert (delivery.last_error, Payment.objects.get(pk=payment.pk).status) == (None, status)
    due = [refund.amount for refund in payment.refunds.filter(status="due")]
    assert due == ([payment.amount] if status == "succeeded" else [])


def test_erased_person_is_not_booked() -> None:
    row = book()
    erase(row, force=True)
    with pytest.raises(Refused):
        book_appointment(
            row.service_id,
            client_request_id="again",
            timezone="Europe/Moscow",
            format="online",
            start=row.start_at_utc,
            client=row.client_id,
            override=True,
            actor=owner(),
        )
