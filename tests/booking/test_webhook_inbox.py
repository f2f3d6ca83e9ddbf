"""What the provider tells takes effect once, in any order, all of it or nothing."""

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
    reschedule_appointment,
    settlement,
)
from ebalance.services import InvalidInput
from tests.booking.outbox_assertions import (
    NO_TEXTS,
    at,
    book,
    check_refusals,
    confirmed,
    deliver,
    known_payment,
    outbox,
    payload,
    told,
    tracked,
    tracked_names,
    writes_nothing,
)
from tests.factories import AppointmentFactory, AvailabilitySlotFactory, PaymentFactory
from tests.factories.booking import DEPOSIT, PRICE
from tests.rule_groups import loop_over
from tests.services import table_checksums

pytestmark = pytest.mark.django_db

SUCCEEDED, CANCELED = "payment.succeeded", "payment.canceled"
CAPTURE, REFUNDED = "payment.waiting_for_capture", "refund.succeeded"
KINDS = [SUCCEEDED, CANCELED, CAPTURE, REFUNDED]
Inbox = PaymentWebhookEvent.objects


def fresh(*rows: Any) -> list[str]:
    for row in rows:
        row.refresh_from_db()
    return [row.status for row in rows]


@pytest.fixture
def pending(db: None) -> tuple[Appointment, Payment]:
    row = book()
    return row, known_payment(row)


# -- success --------------------------------------------------------------------------------------


def test_a_success_confirms_the_session() -> None:
    row = book()
    payment = known_payment(row)
    now = wall_clock()
    event = deliver(payment, clock=at(now))
    assert (event.processed_at, event.attempts, event.last_error) == (now, 1, None)
    assert event.provider_event_id == f"payment.succeeded:{payment.provider_payment_id}"
    assert (event.amount, event.currency) == (Decimal("1000.00"), "RUB")
    assert fresh(payment, row) == ["succeeded", "confirmed"]
    assert payment.confirmed_at == row.confirmed_at == now
    assert told(payment) == ["payment_started", "payment_succeeded"]
    assert told(row) == ["appointment_booked", "appointment_paid", "appointment_confirmed"]
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
    assert fresh(payment) == ["succeeded"]


@loop_over("kind", [*KINDS, "payment.unheard_of", "ping"])
def test_same_event_again_has_no_effect(pending: tuple[Appointment, Payment], kind: str) -> None:
    _row, payment = pending
    first = deliver(payment, kind)
    assert first.processed_at is not None
    with writes_nothing():
        for _ in range(3):
            again = deliver(payment, kind, clock=at(wall_clock(), days=1))
            assert again.pk == first.pk
            # A later delivery with other contents: only the first one takes effect.
            deliver(payment, kind, amount="1.00", currency="USD")


def test_refunds_of_one_payment_are_told_apart_by_their_own_id() -> None:
    payment = known_payment(book())
    deliver(payment)
    given = {"amount": f"{DEPOSIT // 2}.00"}
    events = {deliver(payment, REFUNDED, object_id=f"refund-{n}", **given).pk for n in (1, 2, 1)}
    assert len(events) == 2
    assert told(payment).count("payment_refunded") == 2
    assert fresh(payment) == ["succeeded"]


def test_an_event_that_nobody_waits_for_is_done_with() -> None:
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
    assert fresh(payment, row) == ["pending", "pending_payment"]
    assert payload("payment_amount_mismatch") == {"event_type_code": kind.replace(".", "_")}
    # It is noted once, however often it comes.
    assert deliver(payment, kind, amount=amount, currency=currency).attempts == 2
    assert process_webhook(event.pk).attempts == 3
    assert told(event) == ["payment_amount_mismatch"]
    assert not {"payment_succeeded", "payment_to_capture"} & {*told()}


def test_the_right_amount_may_come_after_a_wrong_one() -> None:
    row = book()
    payment = known_payment(row)
    deliver(payment, amount="1.00")
    event = deliver(payment)
    assert (event.last_error, event.attempts) == (None, 2)
    assert fresh(payment, row) == ["succeeded", "confirmed"]


NO_AMOUNTS = [
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
    *NO_TEXTS,
]


def test_bad_amount_is_refused() -> None:
    payment = PaymentFactory(answered=True)
    check_refusals(
        lambda amount: deliver(payment, amount=amount), NO_AMOUNTS, InvalidInput, field="amount"
    )


NOISE = "".join(chr(97 + (n * n * 31 + n // 7) % 26) for n in range(50_000))
WRONG: dict[str, list[Any]] = {
    "currency": ["", "rub", "RU", "RUBL", "РУБ", " RUB", 643, "A" * 100_000, [], *NO_TEXTS],
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
        *NO_TEXTS,
    ],
    "provider_payment_id": [None, "", " ", NOISE, 7, [], {}, b"a", *NO_TEXTS],
    "object_id": ["", " ", NOISE, 7, [], {}, b"a", *NO_TEXTS],
    "provider": [None, "", "paypal", "YooKassa", NOISE, 7, [], *NO_TEXTS],
    "failure_category": [None, "", "unlucky", NOISE, 7, [], *NO_TEXTS],
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
def test_an_unknown_payment_is_kept_and_accepted(kind: str) -> None:
    before = table_checksums()
    event = deliver("provider-unknown", kind)
    changed = {name for name, was in table_checksums().items() if was != before[name]}
    assert changed == {"payment_webhook_events"}
    assert (event.last_error, event.processed_at, event.attempts) == ("unknown_payment", None, 1)
    assert deliver("provider-unknown", kind).attempts == 2
    assert Inbox.count() == 1
    assert list(Inbox.waiting()) == [event.pk]


def test_a_payment_of_another_session_is_not_touched() -> None:
    row, other = book(), book()
    payment, bystander = known_payment(row), known_payment(other)
    deliver(payment)
    assert fresh(bystander, other) == ["pending", "pending_payment"]


# -- any order ------------------------------------------------------------------------------------


def test_a_cancellation_closes_a_payment_and_leaves_the_hold() -> None:
    row = book()
    payment = known_payment(row)
    event = deliver(payment, CANCELED, failure_category="insufficient_funds")
    assert event.processed_at is not None
    assert fresh(payment, row) == ["canceled", "pending_payment"]
    assert payment.failure_category == "insufficient_funds"
    assert payload("payment_failed")["failure_category"] == "insufficient_funds"
    assert tracked("payment_failed")[0]["failure_category"] == "insufficient_funds"


def test_a_success_after_a_cancellation_changes_nothing_and_is_due_back() -> None:
    row = book()
    payment = known_payment(row)
    deliver(payment, CANCELED)
    event = deliver(payment)
    assert (event.last_error, event.processed_at is None) == ("out_of_order", False)
    assert fresh(payment, row) == ["canceled", "pending_payment"]
    assert payload("refund_due") | {"appointment_id": None} == {
        "amount": DEPOSIT,
        "currency": "RUB",
        "reason": "already_over",
        "refund_id": str(Refund.objects.get().pk),
        "appointment_id": None,
    }
    deliver(payment)
    assert told(payment).count("refund_due") == 1


def test_a_cancellation_after_a_success_changes_nothing() -> None:
    row = book()
    payment = known_payment(row)
    deliver(payment)
    events, names = told(), tracked_names()
    event = deliver(payment, CANCELED)
    assert event.processed_at is not None
    assert fresh(payment, row) == ["succeeded", "confirmed"]
    assert (told(), tracked_names()) == (events, names)


def test_money_that_is_reserved_is_to_be_captured() -> None:
    row = book()
    payment = known_payment(row)
    deliver(payment, CAPTURE)
    assert payload("payment_to_capture") == {"amount": DEPOSIT}
    assert fresh(payment, row) == ["pending", "pending_payment"]


@loop_over("before", [SUCCEEDED, CANCELED])
def test_what_is_to_be_captured_too_late_is_not(before: str) -> None:
    payment = known_payment(book())
    deliver(payment, before)
    event = deliver(payment, CAPTURE)
    assert event.processed_at is not None
    assert "payment_to_capture" not in told()


def test_a_refund_may_be_told_before_its_payment() -> None:
    row = book()
    payment = known_payment(row)
    deliver(payment, REFUNDED, object_id="refund-1")
    deliver(payment)
    assert fresh(payment, row) == ["succeeded", "pending_payment"]
    assert told(payment) == ["payment_started", "payment_refunded", "payment_succeeded"]


ORDERS = [
    [SUCCEEDED, CAPTURE, REFUNDED],
    [CAPTURE, SUCCEEDED, REFUNDED],
    [SUCCEEDED, CANCELED, CAPTURE],
]


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: " ".join(order))
def test_whatever_the_order_the_session_is_confirmed_once(order: list[str]) -> None:
    row = book()
    payment = known_payment(row)
    for kind in order * 2:
        deliver(payment, kind)
    assert fresh(payment, row) == ["succeeded", "confirmed"]
    assert told(row).count("appointment_confirmed") == 1
    assert told(payment).count("payment_succeeded") == 1
    assert len(tracked("booking_paid")) == len(tracked("booking_confirmed")) == 1


def test_a_second_payment_for_the_same_thing_is_due_back() -> None:
    """start_payment() opens none; whoever else did, nobody pays a deposit twice."""
    row = book()
    deliver(known_payment(row))
    again = PaymentFactory(appointment=row, answered=True)
    event = deliver(again)
    assert event.processed_at is not None
    assert fresh(again) == ["canceled"]
    assert payload("refund_due")["reason"] == "duplicate"
    assert row.payments.filter(status="succeeded").count() == 1


def test_what_is_paid_beyond_the_price_is_due_back() -> None:
    row = confirmed()
    full = PaymentFactory(appointment=row, answered=True, purpose="full", amount=PRICE)
    deliver(full)
    assert fresh(full) == ["succeeded"]
    assert payload("refund_due") == {
        "refund_id": str(Refund.objects.get().pk),
        "amount": DEPOSIT,
        "currency": "RUB",
        "reason": "overpaid",
        "appointment_id": str(row.pk),
    }
    assert cancel_appointment(row, by="provider").refund_amount == PRICE


def test_the_rest_of_the_price_is_paid_after_the_session_too() -> None:
    row = confirmed()
    payment = known_payment(row, "full")
    record_outcome(row, outcome="attended", clock=at(row.start_at_utc))
    deliver(payment)
    assert fresh(payment, row) == ["succeeded", "completed"]
    assert "refund_due" not in told()


def test_the_rest_of_a_moved_session_is_paid_for_the_last_row() -> None:
    row = confirmed()
    payment = known_payment(row, "full")
    moved = reschedule_appointment(row, start=row.start_at_utc + timedelta(days=60))
    deliver(payment)
    assert fresh(payment, row, moved) == ["succeeded", "rescheduled", "confirmed"]
    assert "refund_due" not in told()


# -- late payments (states.md) --------------------------------------------------------------------


def late_payment() -> tuple[Appointment, Payment]:
    """A hold that ran out and was swept while its payment was under way."""
    row = book()
    payment = known_payment(row)
    assert expire_holds(clock=at(row.hold_expires_at)) == 1
    row.refresh_from_db()
    return row, payment


def test_a_hold_that_nobody_has_swept_is_paid_as_any_other() -> None:
    row = book()
    payment = known_payment(row)
    deliver(payment, clock=at(row.hold_expires_at, days=1))
    assert fresh(payment, row) == ["succeeded", "confirmed"]


def test_a_late_payment_takes_the_time_again_while_it_is_free() -> None:
    row, payment = late_payment()
    event = deliver(payment)
    assert (event.last_error, event.processed_at is None) == (None, False)
    again = Appointment.objects.get(rescheduled_from=row)
    assert fresh(row, payment) == ["canceled", "succeeded"]
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
    assert told(row) == ["appointment_booked", "hold_expired"]
    assert told(again) == ["appointment_paid", "appointment_confirmed"]
    assert "refund_due" not in told()
    with writes_nothing():
        deliver(payment)


def test_a_session_that_was_paid_late_is_canceled_and_moved_as_any_other() -> None:
    row, payment = late_payment()
    deliver(payment)
    again = Appointment.objects.get(rescheduled_from=row)
    moved = reschedule_appointment(again, start=row.start_at_utc + timedelta(days=60))
    assert cancel_appointment(moved, by="provider").refund_amount == DEPOSIT


def due_back(payment: Payment, row: Appointment) -> None:
    event = deliver(payment)
    assert (event.last_error, event.processed_at is None) == (None, False)
    assert fresh(payment, row) == ["succeeded", "canceled"]
    assert not Appointment.objects.filter(rescheduled_from=row).exists()
    assert payload("refund_due") == {
        "refund_id": str(Refund.objects.get().pk),
        "amount": DEPOSIT,
        "currency": "RUB",
        "reason": "time_gone",
        "appointment_id": str(row.pk),
    }
    assert "booking_paid" not in tracked_names()
    assert "appointment_confirmed" not in told(row)
    with writes_nothing():
        deliver(payment)
        assert cancel_appointment(row, by="client").refund_amount in (0, DEPOSIT)


@loop_over("status", ["held", "confirmed"])
def test_the_money_is_due_back_when_another_has_the_time(status: str) -> None:
    row, payment = late_payment()
    other = AppointmentFactory(**{status: True}, start_at_utc=row.start_at_utc)
    due_back(payment, row)
    assert fresh(other, row.slot) == [other.status, "available"]


def test_the_money_is_due_back_when_another_has_the_slot() -> None:
    row, payment = late_payment()
    other = book(slot=row.slot)
    due_back(payment, row)
    assert fresh(other, row.slot) == ["pending_payment", "reserved"]


def test_another_ones_hold_that_ran_out_too_gives_way() -> None:
    row, payment = late_payment()
    other = book(slot=row.slot)
    deliver(payment, clock=at(other.hold_expires_at))
    assert fresh(other, row.slot) == ["canceled", "reserved"]
    assert Appointment.objects.get(rescheduled_from=row).status == "confirmed"


@loop_over("source", ["the slot itself", "the calendar"])
def test_the_money_is_due_back_when_the_time_is_blocked(source: str) -> None:
    row, payment = late_payment()
    if source == "the calendar":
        AvailabilitySlotFactory(blocked=True, from_calendar=True, start_at_utc=row.start_at_utc)
    else:
        AvailabilitySlot.objects.update(status="blocked", block_type="exception")
    due_back(payment, row)


def test_the_money_is_due_back_when_the_session_would_have_begun() -> None:
    row, payment = late_payment()
    event = deliver(payment, clock=at(row.start_at_utc))
    assert event.processed_at == row.start_at_utc
    assert fresh(payment, row) == ["succeeded", "canceled"]
    assert payload("refund_due")["reason"] == "time_gone"


@loop_over("trouble", ["begun", "over", "blocked"])
def test_a_hold_that_nobody_has_swept_is_judged_as_if_it_had_been(trouble: str) -> None:
    row = book()
    payment = known_payment(row)
    moment = {"begun": row.start_at_utc, "over": row.end_at_utc}.get(trouble, row.hold_expires_at)
    if trouble == "blocked":
        AvailabilitySlotFactory(blocked=True, from_calendar=True, start_at_utc=row.start_at_utc)
    deliver(payment, clock=at(moment))
    assert fresh(payment, row, row.slot) == ["succeeded", "canceled", "available"]
    assert payload("refund_due")["reason"] == "time_gone"
    assert told(row) == ["appointment_booked", "hold_expired"]


@loop_over("by", ["client", "provider"])
def test_the_money_is_due_back_when_the_session_was_canceled(by: str) -> None:
    row = book()
    payment = known_payment(row)
    cancel_appointment(row, by=by)
    deliver(payment)
    assert fresh(payment, row) == ["succeeded", "canceled"]
    assert payload("refund_due")["reason"] == "time_gone"
    assert row.slot.status == "available"


# -- all or nothing -------------------------------------------------------------------------------


class Trouble(Exception):
    """Some bug."""


def trouble(*_: Any, **__: Any) -> None:
    raise Trouble("с подробностями: anna@example.com")


def fails_to_publish(monkeypatch: pytest.MonkeyPatch) -> None:
    def picky(event_type: str, about: Any, **values: Any) -> None:
        if event_type == "appointment_confirmed":
            raise Trouble
        publish_event(event_type, about, **values)

    monkeypatch.setattr(events, "publish_event", picky)


def breaks_a_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    def break_it(row: Appointment, *_: Any, **__: Any) -> None:
        Appointment.objects.filter(pk=row.pk).update(status="completed")

    monkeypatch.setattr(settlement, "confirm_locked_appointment", break_it)


@pytest.mark.parametrize(
    "sabotage",
    [
        lambda patch: patch.setattr(settlement, "confirm_locked_appointment", trouble),
        lambda patch: patch.setattr(settlement, "track_appointment", trouble),
        lambda patch: patch.setattr(settlement, "get_paid_appointment", trouble),
        fails_to_publish,
        breaks_a_rule,
    ],
    ids=["at confirming", "at tracking", "at the appointment", "at publishing", "by a rule"],
)
def test_a_failure_in_the_middle_leaves_nothing_and_is_tried_again(
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
    assert fresh(payment, row) == ["succeeded", "confirmed"]
    with writes_nothing():
        assert process_webhook(event.pk) is None
        deliver(payment)


def test_a_failure_is_tried_again_by_the_next_delivery_too() -> None:
    row = book()
    payment = known_payment(row)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settlement, "get_paid_appointment", trouble)
        deliver(payment)
    assert deliver(payment).last_error is None
    assert fresh(payment, row) == ["succeeded", "confirmed"]


def test_a_failure_of_the_database_keeps_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The provider gets no success and sends it again."""
    payment = known_payment(book())

    def gone(*_: Any, **__: Any) -> None:
        raise OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(settlement, "get_paid_appointment", gone)
    with writes_nothing(), pytest.raises(OperationalError):
        deliver(payment)


def test_waiting_events_come_oldest_first_and_done_ones_do_not() -> None:
    events = [deliver(f"provider-{n}") for n in range(4)]
    payment = PaymentFactory(provider_payment_id="provider-2")
    assert process_webhook(events[2].pk).processed_at is not None
    assert fresh(payment) == ["succeeded"]
    assert list(Inbox.waiting()) == [events[n].pk for n in (0, 1, 3)]
