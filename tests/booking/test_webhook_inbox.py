"""Each webhook takes effect once, in any order, completely or not at all."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import OperationalError
from django.utils.timezone import now as wall_clock

from audit.services import publish_event
from booking.models import Appointment, AvailabilitySlot, Payment, PaymentWebhookEvent, Refund
from booking.services import (
    cancel_appointment,
    events,
    expire_holds,
    process_webhook,
    receive_webhook,
    record_outcome,
    settlement,
)
from ebalance.services import InvalidInput
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
    payload,
    reschedule,
    tracked,
    tracked_names,
    writes_nothing,
)
from tests.factories import (
    AppointmentFactory,
    AvailabilitySlotFactory,
    PaymentFactory,
    ScheduleExceptionFactory,
)
from tests.factories.booking import DEPOSIT, NEXT_WEEK, PRICE
from tests.rule_groups import loop_over
from tests.services import table_checksums

pytestmark = pytest.mark.django_db

SUCCEEDED, CANCELED = "payment.succeeded", "payment.canceled"
CAPTURE, REFUNDED = "payment.waiting_for_capture", "refund.succeeded"
KINDS = [SUCCEEDED, CANCELED, CAPTURE, REFUNDED]
Inbox = PaymentWebhookEvent.objects


def reload_statuses(*rows: Any) -> list[str]:
    for row in rows:
        row.refresh_from_db()
    return [row.status for row in rows]


@pytest.fixture
def pending(db: None) -> tuple[Appointment, Payment]:
    row = book()
    return row, known_payment(row)


# -- success --------------------------------------------------------------------------------------


def test_success_confirms_the_appointment() -> None:
    row = book()
    payment = known_payment(row)
    now = wall_clock()
    event = deliver(payment, clock=at(now))
    assert (event.processed_at, event.attempts, event.last_error) == (now, 1, None)
    assert event.provider_event_id == f"payment.succeeded:{payment.provider_payment_id}"
    assert (event.amount, event.currency) == (Decimal("1000.00"), "RUB")
    assert reload_statuses(payment, row) == ["succeeded", "confirmed"]
    assert payment.confirmed_at == row.confirmed_at == now
    assert event_types(payment) == ["payment_started", "payment_succeeded"]
    assert event_types(row) == ["appointment_booked", "appointment_paid", "appointment_confirmed"]
    assert payload("payment_succeeded") == {
        "amount": DEPOSIT,
        "currency": "RUB",
        "purpose": "deposit",
        "appointment_id": str(row.pk),
    }
    assert tracked("booking_paid") == [
        {
            "payment_provider": "yookassa",
            "amount": DEPOSIT,
            "currency": "RUB",
            "service_id": str(row.service_id),
        }
    ]


@loop_over("amount", ["1000.00", "1000", "1000.0", 1000, Decimal("1000.00"), "1E+3"])
def test_amount_is_the_same_in_every_notation(
    pending: tuple[Appointment, Payment], amount: Any
) -> None:
    _row, payment = pending
    assert deliver(payment, amount=amount).last_error is None
    assert reload_statuses(payment) == ["succeeded"]


@loop_over("kind", [*KINDS, "payment.unheard_of", "ping"])
def test_repeated_webhook_has_no_effect(pending: tuple[Appointment, Payment], kind: str) -> None:
    _row, payment = pending
    first = deliver(payment, kind)
    assert first.processed_at is not None
    with writes_nothing():
        for _ in range(3):
            again = deliver(payment, kind, clock=at(wall_clock(), days=1))
            assert again.pk == first.pk
            # A later delivery with other content takes no effect.
            deliver(payment, kind, amount="1.00", currency="USD")


def test_refunds_of_one_payment_differ_by_their_object_id() -> None:
    payment = known_payment(book())
    deliver(payment)
    given = {"amount": f"{DEPOSIT // 2}.00"}
    events = {deliver(payment, REFUNDED, object_id=f"refund-{n}", **given).pk for n in (1, 2, 1)}
    assert len(events) == 2
    assert event_types(payment).count("payment_refunded") == 2
    assert reload_statuses(payment) == ["succeeded"]


def test_refund_id_of_another_payment_takes_no_effect() -> None:
    first, second = known_payment(book()), known_payment(book())
    deliver(second)
    waiting = deliver(first, REFUNDED, object_id="refund-1", amount="0.50")
    again = deliver(second, REFUNDED, object_id="refund-1", amount="300.00")
    assert again == waiting
    assert (again.provider_payment_id, again.amount) == (first.provider_payment_id, Decimal("0.50"))
    assert not Refund.objects.exists()


def test_unknown_event_type_is_stored_and_ignored() -> None:
    payment = known_payment(book())
    before = table_checksums()
    event = deliver(payment, "payment.unheard_of")
    assert event.processed_at is not None
    changed = {name for name, was in table_checksums().items() if was != before[name]}
    assert changed == {"payment_webhook_events"}


# -- wrong amounts --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [SUCCEEDED, CAPTURE])
@loop_over(
    ("amount", "currency"),
    [
        ("999.99", "RUB"),
        ("1000.01", "RUB"),
        ("0", "RUB"),
        ("0.00", "RUB"),
        ("-0", "RUB"),
        ("100000.00", "RUB"),
        ("9999999999.99", "RUB"),
        ("1000.00", "USD"),
        ("1000.00", "RUR"),
        ("1000.00", None),
    ],
)
def test_wrong_amount_never_confirms(
    pending: tuple[Appointment, Payment], kind: str, amount: str, currency: str | None
) -> None:
    row, payment = pending
    event = deliver(payment, kind, amount=amount, currency=currency)
    assert (event.last_error, event.processed_at) == ("amount_mismatch", None)
    assert reload_statuses(payment, row) == ["pending", "pending_payment"]
    assert payload("payment_amount_mismatch") == {"event_type_code": kind.replace(".", "_")}
    # The mismatch is published once, however often the webhook is delivered.
    assert deliver(payment, kind, amount=amount, currency=currency).attempts == 2
    assert process_webhook(event.pk).attempts == 3
    assert event_types(event) == ["payment_amount_mismatch"]
    assert not {"payment_succeeded", "payment_to_capture"} & {*event_types()}


def test_right_amount_after_a_wrong_one_confirms() -> None:
    row = book()
    payment = known_payment(row)
    deliver(payment, amount="1.00")
    event = deliver(payment)
    assert (event.last_error, event.attempts) == (None, 2)
    assert reload_statuses(payment, row) == ["succeeded", "confirmed"]


INVALID_AMOUNTS = [
    None,
    "",
    "abc",
    "3500.005",
    "0.001",
    "-1",
    "-0.01",
    "10000000000",
    "1e10",
    "1e999999",
    "1e-999999",
    "NaN",
    "sNaN",
    "Infinity",
    "-Infinity",
    "9" * 10_000,
    "1000,00",
    "1000.00 RUB",
    1000.0,
    float("nan"),
    float("inf"),
    float("-inf"),
    True,
    False,
    -1,
    10**10,
    10**4000,
    Decimal("NaN"),
    Decimal("sNaN"),
    Decimal("Infinity"),
    Decimal("0.001"),
    Decimal("-1"),
    [1000],
    {},
    b"1000",
    (0, (1, 0), 0),
    *INVALID_TEXTS,
]


def test_bad_amount_is_refused() -> None:
    payment = PaymentFactory(answered=True)
    check_refusals(
        lambda amount: deliver(payment, amount=amount),
        INVALID_AMOUNTS,
        InvalidInput,
        field="amount",
    )


NOISE = "".join(chr(97 + (n * n * 31 + n // 7) % 26) for n in range(50_000))
WRONG: dict[str, list[Any]] = {
    "currency": ["", "rub", "RU", "RUBL", "РУБ", " RUB", 643, "A" * 100_000, [], *INVALID_TEXTS],
    "event_type": [
        None,
        "",
        " ",
        "Payment.succeeded",
        "payment.",
        "оплата",
        NOISE,
        7,
        [],
        *INVALID_TEXTS,
    ],
    "provider_payment_id": [None, "", " ", NOISE, 7, [], {}, b"a", *INVALID_TEXTS],
    "object_id": ["", " ", NOISE, 7, [], {}, b"a", *INVALID_TEXTS],
    "provider": [None, "", "paypal", "YooKassa", NOISE, 7, [], *INVALID_TEXTS],
    "failure_category": [None, "", "unlucky", NOISE, 7, [], *INVALID_TEXTS],
}


@pytest.mark.parametrize("name", WRONG)
def test_bad_input_is_refused_and_nothing_is_stored(name: str) -> None:
    payment = PaymentFactory(answered=True)
    values = {
        "event_type": SUCCEEDED,
        "provider_payment_id": payment.provider_payment_id,
        "amount": "1000.00",
        "currency": "RUB",
    }
    check_refusals(
        lambda value: receive_webhook(**values | {name: value}), WRONG[name], InvalidInput
    )


# -- unknown payments -----------------------------------------------------------------------------


@loop_over("kind", KINDS)
def test_webhook_of_an_unknown_payment_is_stored(kind: str) -> None:
    before = table_checksums()
    event = deliver("provider-unknown", kind)
    changed = {name for name, was in table_checksums().items() if was != before[name]}
    assert changed == {"payment_webhook_events"}
    assert (event.last_error, event.processed_at, event.attempts) == ("unknown_payment", None, 1)
    assert deliver("provider-unknown", kind).attempts == 2
    assert Inbox.count() == 1
    assert list(Inbox.waiting()) == [event.pk]


def test_payment_of_another_appointment_does_not_change() -> None:
    row, other = book(), book()
    payment, bystander = known_payment(row), known_payment(other)
    deliver(payment)
    assert reload_statuses(bystander, other) == ["pending", "pending_payment"]


# -- any order ------------------------------------------------------------------------------------


def test_cancellation_closes_the_payment_and_leaves_the_hold() -> None:
    row = book()
    payment = known_payment(row)
    event = deliver(payment, CANCELED, failure_category="insufficient_funds")
    assert event.processed_at is not None
    assert reload_statuses(payment, row) == ["canceled", "pending_payment"]
    assert payment.failure_category == "insufficient_funds"
    assert payload("payment_failed")["failure_category"] == "insufficient_funds"
    assert tracked("payment_failed")[0]["failure_category"] == "insufficient_funds"


def test_success_after_a_cancellation_is_due_back() -> None:
    row = book()
    payment = known_payment(row)
    deliver(payment, CANCELED)
    event = deliver(payment)
    assert (event.last_error, event.processed_at is None) == ("out_of_order", False)
    assert reload_statuses(payment, row) == ["canceled", "pending_payment"]
    assert payload("refund_due") | {"appointment_id": None} == {
        "amount": DEPOSIT,
        "currency": "RUB",
        "reason": "already_over",
        "refund_id": str(Refund.objects.get().pk),
        "appointment_id": None,
    }
    deliver(payment)
    assert event_types(payment).count("refund_due") == 1


def test_cancellation_after_a_success_changes_nothing() -> None:
    row = book()
    payment = known_payment(row)
    deliver(payment)
    events, names = event_types(), tracked_names()
    event = deliver(payment, CANCELED)
    assert event.processed_at is not None
    assert reload_statuses(payment, row) == ["succeeded", "confirmed"]
    assert (event_types(), tracked_names()) == (events, names)


def test_waiting_payment_is_published_for_capture() -> None:
    row = book()
    payment = known_payment(row)
    deliver(payment, CAPTURE)
    assert payload("payment_to_capture") == {"amount": DEPOSIT}
    assert reload_statuses(payment, row) == ["pending", "pending_payment"]


@loop_over("before", [SUCCEEDED, CANCELED])
def test_final_payment_is_not_published_for_capture(before: str) -> None:
    payment = known_payment(book())
    deliver(payment, before)
    event = deliver(payment, CAPTURE)
    assert event.processed_at is not None
    assert "payment_to_capture" not in event_types()


def test_refund_may_be_delivered_before_its_payment() -> None:
    row = book()
    payment = known_payment(row)
    deliver(payment, REFUNDED, object_id="refund-1")
    deliver(payment)
    assert reload_statuses(payment, row) == ["succeeded", "pending_payment"]
    assert event_types(payment) == ["payment_started", "payment_refunded", "payment_succeeded"]


ORDERS = [
    [SUCCEEDED, CAPTURE, REFUNDED],
    [CAPTURE, SUCCEEDED, REFUNDED],
    [SUCCEEDED, CANCELED, CAPTURE],
]


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: " ".join(order))
def test_appointment_is_confirmed_once_in_any_order_of_webhooks(order: list[str]) -> None:
    row = book()
    payment = known_payment(row)
    for kind in order * 2:
        deliver(payment, kind)
    assert reload_statuses(payment, row) == ["succeeded", "confirmed"]
    assert event_types(row).count("appointment_confirmed") == 1
    assert event_types(payment).count("payment_succeeded") == 1
    assert len(tracked("booking_paid")) == len(tracked("booking_confirmed")) == 1


def test_second_payment_of_one_purpose_is_due_back() -> None:
    """start_payment() creates no second one, but SQL may have."""
    row = book()
    deliver(known_payment(row))
    again = PaymentFactory(appointment=row, answered=True)
    event = deliver(again)
    assert event.processed_at is not None
    assert reload_statuses(again) == ["canceled"]
    assert payload("refund_due")["reason"] == "duplicate"
    assert row.payments.filter(status="succeeded").count() == 1


def test_payment_beyond_the_price_is_due_back() -> None:
    row = confirmed()
    full = PaymentFactory(appointment=row, answered=True, purpose="full", amount=PRICE)
    deliver(full)
    assert reload_statuses(full) == ["succeeded"]
    assert payload("refund_due") == {
        "refund_id": str(Refund.objects.get().pk),
        "amount": DEPOSIT,
        "currency": "RUB",
        "reason": "overpaid",
        "appointment_id": str(row.pk),
    }
    assert cancel_appointment(row, by="provider").refund_amount == PRICE


def test_rest_of_the_price_may_be_paid_after_the_session() -> None:
    row = confirmed()
    payment = known_payment(row, "full")
    record_outcome(row, outcome="attended", clock=at(row.start_at_utc))
    deliver(payment)
    assert reload_statuses(payment, row) == ["succeeded", "completed"]
    assert "refund_due" not in event_types()


def test_rest_of_the_price_of_a_moved_session_is_accepted() -> None:
    row = confirmed()
    payment = known_payment(row, "full")
    moved = reschedule(row, start=row.start_at_utc + timedelta(days=60))
    deliver(payment)
    assert reload_statuses(payment, row, moved) == ["succeeded", "rescheduled", "confirmed"]
    assert "refund_due" not in event_types()


# -- late payments (states.md) --------------------------------------------------------------------


SLOTLESS = NEXT_WEEK + timedelta(days=7000)


def late_payment(**values: Any) -> tuple[Appointment, Payment]:
    """Create a hold that expired and was canceled while its payment was pending."""
    row = book(**values)
    payment = known_payment(row)
    assert expire_holds(clock=at(row.hold_expires_at)) == 1
    row.refresh_from_db()
    return row, payment


def test_expired_hold_that_is_not_canceled_is_confirmed() -> None:
    row = book()
    payment = known_payment(row)
    deliver(payment, clock=at(row.hold_expires_at, days=1))
    assert reload_statuses(payment, row) == ["succeeded", "confirmed"]


def test_late_payment_takes_the_time_again_while_it_is_free() -> None:
    row, payment = late_payment()
    event = deliver(payment)
    assert (event.last_error, event.processed_at is None) == (None, False)
    again = Appointment.objects.get(rescheduled_from=row)
    assert reload_statuses(row, payment) == ["canceled", "succeeded"]
    assert (again.status, again.start_at_utc, again.slot_id) == (
        "confirmed",
        row.start_at_utc,
        row.slot_id,
    )
    assert (again.client_id, again.price_amount, again.deposit_amount) == (
        row.client_id,
        row.price_amount,
        row.deposit_amount,
    )
    assert again.slot.status == "reserved"
    assert payment.appointment_id == row.pk
    assert event_types(row) == ["appointment_booked", "hold_expired"]
    assert event_types(again) == ["appointment_paid", "appointment_confirmed"]
    assert "refund_due" not in event_types()
    with writes_nothing():
        deliver(payment)


def test_session_that_was_paid_late_may_be_moved_and_canceled() -> None:
    row, payment = late_payment()
    deliver(payment)
    again = Appointment.objects.get(rescheduled_from=row)
    moved = reschedule(again, start=row.start_at_utc + timedelta(days=60))
    assert cancel_appointment(moved, by="provider").refund_amount == DEPOSIT


def check_due_back(payment: Payment, row: Appointment) -> None:
    event = deliver(payment)
    assert (event.last_error, event.processed_at is None) == (None, False)
    assert reload_statuses(payment, row) == ["succeeded", "canceled"]
    assert not Appointment.objects.filter(rescheduled_from=row).exists()
    assert payload("refund_due") == {
        "refund_id": str(Refund.objects.get().pk),
        "amount": DEPOSIT,
        "currency": "RUB",
        "reason": "time_gone",
        "appointment_id": str(row.pk),
    }
    assert "booking_paid" not in tracked_names()
    assert "appointment_confirmed" not in event_types(row)
    with writes_nothing():
        deliver(payment)
        assert cancel_appointment(row, by="client").refund_amount in (0, DEPOSIT)


@loop_over("status", ["held", "confirmed"])
def test_late_payment_is_due_back_if_the_time_is_taken(status: str) -> None:
    row, payment = late_payment()
    other = AppointmentFactory(**{status: True}, start_at_utc=row.start_at_utc)
    check_due_back(payment, row)
    assert reload_statuses(other, row.slot) == [other.status, "available"]


def test_late_payment_is_due_back_if_the_slot_is_taken() -> None:
    row, payment = late_payment()
    other = book(slot=row.slot)
    check_due_back(payment, row)
    assert reload_statuses(other, row.slot) == ["pending_payment", "reserved"]


def test_late_payment_takes_the_time_of_another_expired_hold() -> None:
    row, payment = late_payment()
    other = book(slot=row.slot)
    deliver(payment, clock=at(other.hold_expires_at))
    assert reload_statuses(other, row.slot) == ["canceled", "reserved"]
    assert Appointment.objects.get(rescheduled_from=row).status == "confirmed"


def close_day_of(row: Appointment, *, minutes: int) -> None:
    """Close the day of a session, as if that many minutes after it was booked."""
    day, created_at = row.start_at_utc.date(), row.created_at + timedelta(minutes=minutes)
    ScheduleExceptionFactory(starts_on=day, ends_on=day, timezone="UTC", created_at=created_at)


@loop_over("values", [{}, {"start": SLOTLESS}])
def test_late_payment_is_due_back_if_the_time_was_closed(values: dict[str, Any]) -> None:
    row, payment = late_payment(**values)
    close_day_of(row, minutes=1)
    check_due_back(payment, row)


def test_late_payment_takes_a_closed_time_that_staff_chose() -> None:
    row, payment = late_payment(start=SLOTLESS)
    close_day_of(row, minutes=-1)
    deliver(payment)
    assert Appointment.objects.get(rescheduled_from=row).status == "confirmed"


@loop_over("source", ["the slot itself", "the calendar"])
def test_late_payment_is_due_back_if_the_time_is_blocked(source: str) -> None:
    row, payment = late_payment()
    if source == "the calendar":
        AvailabilitySlotFactory(blocked=True, from_calendar=True, start_at_utc=row.start_at_utc)
    else:
        AvailabilitySlot.objects.update(status="blocked", block_type="exception")
    check_due_back(payment, row)


def test_late_payment_is_due_back_after_the_start() -> None:
    row, payment = late_payment()
    event = deliver(payment, clock=at(row.start_at_utc))
    assert event.processed_at == row.start_at_utc
    assert reload_statuses(payment, row) == ["succeeded", "canceled"]
    assert payload("refund_due")["reason"] == "time_gone"


@loop_over("obstacle", ["begun", "over", "blocked"])
def test_expired_hold_that_is_not_canceled_may_lose_its_time(obstacle: str) -> None:
    row = book()
    payment = known_payment(row)
    instant = {"begun": row.start_at_utc, "over": row.end_at_utc}.get(obstacle, row.hold_expires_at)
    if obstacle == "blocked":
        AvailabilitySlotFactory(blocked=True, from_calendar=True, start_at_utc=row.start_at_utc)
    deliver(payment, clock=at(instant))
    assert reload_statuses(payment, row, row.slot) == ["succeeded", "canceled", "available"]
    assert payload("refund_due")["reason"] == "time_gone"
    assert event_types(row) == ["appointment_booked", "hold_expired"]


@loop_over("by", ["client", "provider"])
def test_payment_of_a_canceled_appointment_is_due_back(by: str) -> None:
    row = book()
    payment = known_payment(row)
    cancel_appointment(row, by=by)
    deliver(payment)
    assert reload_statuses(payment, row) == ["succeeded", "canceled"]
    assert payload("refund_due")["reason"] == "time_gone"
    assert row.slot.status == "available"


# -- all or nothing -------------------------------------------------------------------------------


class Bug(Exception):
    """An unexpected exception in a service."""


def raise_bug(*_: Any, **__: Any) -> None:
    raise Bug("с подробностями: anna@example.com")


def fails_to_publish(monkeypatch: pytest.MonkeyPatch) -> None:
    def publish_or_fail(event_type: str, about: Any, **values: Any) -> None:
        if event_type == "appointment_confirmed":
            raise Bug
        publish_event(event_type, about, **values)

    monkeypatch.setattr(events, "publish_event", publish_or_fail)


def breaks_a_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    def break_it(row: Appointment, *_: Any, **__: Any) -> None:
        Appointment.objects.filter(pk=row.pk).update(status="completed")

    monkeypatch.setattr(settlement, "confirm_locked_appointment", break_it)


@pytest.mark.parametrize(
    "sabotage",
    [
        lambda patch: patch.setattr(settlement, "confirm_locked_appointment", raise_bug),
        lambda patch: patch.setattr(settlement, "track_paid", raise_bug),
        lambda patch: patch.setattr(settlement, "get_paid_appointment", raise_bug),
        fails_to_publish,
        breaks_a_rule,
    ],
    ids=["at confirming", "at tracking", "at the appointment", "at publishing", "by a rule"],
)
def test_failure_rolls_back_and_is_retried(
    sabotage: Callable[[pytest.MonkeyPatch], None],
) -> None:
    row = book()
    payment = known_payment(row)
    before = table_checksums()
    with pytest.MonkeyPatch.context() as patch:
        sabotage(patch)
        event = deliver(payment)
    assert (event.last_error, event.processed_at, event.attempts) == ("internal", None, 1)
    changed = {name for name, was in table_checksums().items() if was != before[name]}
    assert changed == {"payment_webhook_events"}
    assert "anna" not in str(outbox())
    done = process_webhook(event.pk)
    assert (done.last_error, done.attempts, done.processed_at is None) == (None, 2, False)
    assert reload_statuses(payment, row) == ["succeeded", "confirmed"]
    with writes_nothing():
        assert process_webhook(event.pk) is None
        deliver(payment)


def test_failure_is_retried_by_the_next_delivery() -> None:
    row = book()
    payment = known_payment(row)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settlement, "get_paid_appointment", raise_bug)
        deliver(payment)
    assert deliver(payment).last_error is None
    assert reload_statuses(payment, row) == ["succeeded", "confirmed"]


def test_failure_of_the_database_stores_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The provider gets an error and repeats the delivery."""
    payment = known_payment(book())

    def lose_connection(*_: Any, **__: Any) -> None:
        raise OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(settlement, "get_paid_appointment", lose_connection)
    with writes_nothing(), pytest.raises(OperationalError):
        deliver(payment)


def test_waiting_webhooks_are_listed_oldest_first() -> None:
    events = [deliver(f"provider-{n}") for n in range(4)]
    payment = PaymentFactory(provider_payment_id="provider-2")
    assert process_webhook(events[2].pk).processed_at is not None
    assert reload_statuses(payment) == ["succeeded"]
    assert list(Inbox.waiting()) == [events[n].pk for n in (0, 1, 3)]
