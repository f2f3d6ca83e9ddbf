"""Deliveries of many payments, in any order and repeated, by processes that are killed.

The test derives the expected outcome of each payment from its deliveries.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from django.db import connection, transaction

from booking.models import PaymentWebhookEvent
from booking.services import attach_provider_id
from tests.booking import worker_pool
from tests.booking.load_checks import (
    CONFIRMED_UNPAID,
    INCONSISTENT_MONEY,
    INCONSISTENT_SLOTS,
    OPEN_TRANSACTIONS,
    OVERLAPPING,
    insert_clients,
    insert_services,
    insert_slots,
    keys,
    rows,
)
from tests.booking.outbox_assertions import book, deliver, start
from tests.booking.worker_pool import ScheduledCall, Worker, kill_one, running
from tests.databases import Database
from tests.processes import HANG_TIMEOUT, eventually
from tests.scale import scaled
from tests.services import committing

PROCESSES = 8
PAYMENTS, DELIVERIES = scaled(200), scaled(2_000)
KILLS = scaled(20)  # spread over the deliveries
PRICE, DEPOSIT = 3000, 1000
SESSION = timedelta(minutes=50)

# The state of a hold before its deliveries, or its change during them.
FATES = {
    "held": 35,
    "expires": 15,
    "expired": 12,
    "swept": 12,
    "swept, taken": 8,
    "expired, then taken": 8,
    "then canceled": 10,
}
# The deliveries about a payment; "good" is a success of the right amount.
STORIES = {
    ("good",): 10,
    ("capture", "good"): 25,
    ("capture", "good", "refund"): 10,
    ("capture", "good", "refund", "refund too"): 10,
    ("capture", "good", "canceled"): 15,
    ("capture", "good", "canceled", "refund"): 5,
    ("canceled",): 3,
    ("capture", "canceled"): 5,
    ("wrong amount",): 3,
    ("capture", "wrong currency"): 4,
    ("capture", "wrong amount", "wrong currency", "good"): 10,
}
KIND = {
    "capture": "payment.waiting_for_capture",
    "canceled": "payment.canceled",
    "refund": "refund.succeeded",
    "refund too": "refund.succeeded",
}


@dataclass
class Case:
    """A payment and the deliveries about it."""

    payment: UUID
    appointment: UUID
    purpose: str
    fate: str
    story: tuple[str, ...]
    key: str
    is_late: bool  # its provider id becomes known after the first deliveries

    @property
    def amount(self) -> int:
        return PRICE if self.purpose == "full" else DEPOSIT

    @property
    def has_wrong_delivery(self) -> bool:
        return any(step.startswith("wrong") for step in self.story)

    @property
    def has_refund(self) -> bool:
        return "refund" in self.story

    def delivery(self, step: str) -> dict[str, str]:
        """A refund gives back half of the payment."""
        amount = self.amount // 2 if "refund" in step else self.amount + (step == "wrong amount")
        made = {
            "event_type": KIND.get(step, "payment.succeeded"),
            "provider_payment_id": self.key,
            "amount": f"{amount}.00",
            "currency": "USD" if step == "wrong currency" else "RUB",
        }
        return made | ({"object_id": self.refund_id(step)} if "refund" in step else {})

    def refund_id(self, step: str) -> str:
        return f"{step.replace(' ', '-')}-of-{self.key}"


def pick(dice: random.Random, weighted: dict[Any, int]) -> Any:
    return dice.choices(list(weighted), list(weighted.values()))[0]


# -- before ---------------------------------------------------------------------------------------


HOLD = """
INSERT INTO appointments (service_id, client_user_id, start_at_utc, end_at_utc, slot_id, timezone,
    format, price_amount, deposit_amount, hold_expires_at)
SELECT %(service)s, %(client)s, start_at_utc, end_at_utc, id, 'Europe/Moscow', 'online',
    %(price)s, %(deposit)s, %(expires)s
FROM availability_slots WHERE id = %(slot)s RETURNING id
"""
TAKEN = """
INSERT INTO appointments (service_id, client_user_id, start_at_utc, end_at_utc, slot_id, timezone,
    format, price_amount, status, confirmed_at)
SELECT %(service)s, %(client)s, start_at_utc, end_at_utc, id, 'Europe/Moscow', 'online',
    0, 'confirmed', now()
FROM availability_slots WHERE id = %(slot)s
"""
PAYMENT = """
INSERT INTO payments (appointment_id, idempotency_key, purpose, amount, provider_payment_id)
VALUES (%s, %s, %s, %s, %s) RETURNING id
"""


def cases(
    connection: psycopg.Connection, dice: random.Random
) -> tuple[list[Case], list[tuple[str, dict[str, Any]]]]:
    """Insert the payments; return them and the service calls to make during the deliveries."""
    paid, free = insert_services(connection, (50, PRICE), (50, 0))
    people = insert_clients(connection, 200)
    now = datetime.now(UTC)
    first = now.replace(minute=0, second=0, microsecond=0) + timedelta(days=7)
    made, service_calls = [], []
    hours = insert_slots(connection, [first + n * timedelta(hours=1) for n in range(PAYMENTS)], 50)
    for n, slot in enumerate(hours):
        fate, story = pick(dice, FATES), pick(dice, STORIES)
        expires = {"expires": dice.uniform(1, 60), "held": 86_400, "then canceled": 86_400}
        hold = {
            "service": paid,
            "client": dice.choice(people),
            "slot": slot,
            "price": PRICE,
            "deposit": DEPOSIT,
            "expires": now + timedelta(seconds=expires.get(fate, -60)),
        }
        (appointment,) = keys(connection, HOLD, hold)
        if "swept" in fate:
            connection.execute(
                "UPDATE appointments SET status = 'canceled', canceled_at = now() WHERE id = %s",
                [appointment],
            )
        if fate == "swept, taken":
            connection.execute(TAKEN, {**hold, "service": free})
        if fate != "swept":
            connection.execute(
                "UPDATE availability_slots SET status = 'reserved' WHERE id = %s", [slot]
            )
        key, is_late = f"provider-{n:04}", dice.random() < 0.3
        purpose = dice.choice(["deposit", "full"])
        terms = [appointment, f"payment-{n}", purpose, PRICE if purpose == "full" else DEPOSIT]
        (payment,) = keys(connection, PAYMENT, [*terms, None if is_late else key])
        made.append(Case(payment, appointment, purpose, fate, story, key, is_late))
        if is_late:
            service_calls.append(("attach", {"payment": payment, "key": key}))
        if fate == "then canceled":
            service_calls.append(("cancel", {"appointment": appointment}))
        if fate == "expired, then taken":
            wanted = {"service": free, "client": dice.choice(people), "slot": slot}
            service_calls.append(("book", {**wanted, "client_request_id": f"meanwhile-{n}"}))
    service_calls += [("sweep", {})] * 20
    return made, service_calls


def deliveries_of(made: list[Case], dice: random.Random) -> list[dict[str, str]]:
    """Return each delivery one to five times, and some about unknown payments, shuffled."""
    unknown = [
        Case(uuid4(), uuid4(), "full", "", ("good",), f"unknown-{n}", False)
        for n in range(PAYMENTS // 25)
    ]
    steps = [(case, step) for case in [*made, *unknown] for step in case.story]
    times = [dice.randint(1, 5) for _ in steps]
    while sum(times) != DELIVERIES:
        n, change = dice.randrange(len(steps)), 1 if sum(times) < DELIVERIES else -1
        times[n] = min(5, max(1, times[n] + change))
    sent = [
        case.delivery(step)
        for (case, step), number in zip(steps, times, strict=True)
        for _ in range(number)
    ]
    dice.shuffle(sent)
    return sent


# -- afterwards -----------------------------------------------------------------------------------


@dataclass
class Outcome:
    """The rows of the database about one payment."""

    status: str
    received: dict[str, datetime | None] = field(default_factory=dict)  # event id -> processed at
    errors: dict[str, str | None] = field(default_factory=dict)
    seen: dict[str, tuple[str, str]] = field(default_factory=dict)  # amount and currency
    published: Counter = field(default_factory=Counter)
    refunds: list[tuple[str, int]] = field(default_factory=list)  # due: reason, roubles
    balance: int = 0  # the amount without refunds that are not failed
    has_time: bool = False  # the last appointment of its chain is in force


HAVE_TIME = """
WITH RECURSIVE chain AS (
    SELECT id AS first, id, status FROM appointments WHERE rescheduled_from_id IS NULL
    UNION ALL
    SELECT chain.first, a.id, a.status
    FROM appointments a JOIN chain ON a.rescheduled_from_id = chain.id)
SELECT p.id FROM payments p WHERE EXISTS (
    SELECT FROM chain WHERE first = p.appointment_id
    AND status IN ('paid', 'confirmed', 'completed'))
"""


BALANCES = """
SELECT provider_payment_id, amount - (
    SELECT coalesce(sum(r.amount), 0) FROM refunds r
    WHERE r.payment_id = p.id AND r.status <> 'failed')
FROM payments p
"""


def outcomes(connection: psycopg.Connection) -> dict[str, Outcome]:
    """Read the outcomes, by provider id."""
    results = {
        key: Outcome(status)
        for key, status in rows(connection, "SELECT provider_payment_id, status FROM payments")
    }
    for key, event, done, error, amount, currency in rows(
        connection,
        "SELECT provider_payment_id, provider_event_id, processed_at, last_error, amount::text, "
        "currency FROM payment_webhook_events",
    ):
        result = results.setdefault(key, Outcome("unknown"))
        result.received[event], result.errors[event], result.seen[event] = (
            done,
            error,
            (amount, currency),
        )
    for key, event, payload in rows(
        connection,
        "SELECT provider_payment_id, event_type, payload FROM outbox_events o "
        "JOIN payments p ON o.aggregate_id = p.id",
    ):
        results[key].published[event] += 1
        if event == "refund_due":
            results[key].refunds.append((payload["reason"], payload["amount"]))
    for key, event in rows(
        connection,
        "SELECT provider_payment_id, o.event_type FROM outbox_events o "
        "JOIN payment_webhook_events e ON o.aggregate_id = e.id",
    ):
        results[key].published[event] += 1
    for key, balance in rows(connection, BALANCES):
        results[key].balance = balance
    with_time = set(keys(connection, HAVE_TIME))
    for key, payment in rows(connection, "SELECT provider_payment_id, id FROM payments"):
        results[key].has_time = payment in with_time
    return results


def check_case(case: Case, result: Outcome) -> None:
    """Check the only correct effect of the deliveries of a payment."""
    success, cancellation = f"payment.succeeded:{case.key}", f"payment.canceled:{case.key}"
    events = {f"{KIND.get(step, 'payment.succeeded')}:{case.key}" for step in case.story}
    refunds = {
        f"refund.succeeded:{case.refund_id(step)}" for step in case.story if "refund" in step
    }
    events = {event for event in events if not event.startswith("refund")} | refunds
    assert set(result.received) == events

    # Every delivery is processed, except a success of which only a wrong amount was received.
    assert {event for event, done in result.received.items() if done is None} <= {success}
    paid, canceled = result.received.get(success), result.received.get(cancellation)
    if "good" not in case.story:
        assert paid is None
    elif not case.has_wrong_delivery or not case.is_late:
        assert paid is not None
    if success in events and paid is None:
        # Of deliveries received before the provider id was known, the last one counts.
        assert result.errors[success] == "amount_mismatch"
        assert result.seen[success] != (f"{case.amount}.00", "RUB")
        assert result.published["payment_amount_mismatch"] >= 1

    # The first effective delivery decides.
    effective = [(paid, "succeeded"), (canceled, "canceled")]
    first = min(((done, to) for done, to in effective if done), default=(None, "pending"))[1]
    assert result.status == first
    assert result.published["payment_succeeded"] == (first == "succeeded")
    assert result.published["payment_failed"] == (first == "canceled")
    assert result.published["payment_to_capture"] <= ("capture" in case.story)
    assert result.published["payment_refunded"] == len(refunds)

    # A succeeded payment has a session or is refunded, in full and once. An earlier refund
    # may leave too little for the session.
    if first == "succeeded" and result.has_time:
        assert result.refunds == []
        assert result.balance == case.amount - len(refunds) * (case.amount // 2)
    elif first == "succeeded" and case.has_refund:
        assert result.balance == 0 or case.fate in ("held", "expires", "expired")
        assert {reason for reason, _ in result.refunds} <= {"time_gone", "canceled"}
    elif first == "succeeded":
        ((reason, amount),) = result.refunds
        assert amount == case.amount
        assert reason in ("time_gone", "canceled")
    elif paid is not None:
        assert result.balance == 0
        if case.has_refund:
            assert {reason for reason, _ in result.refunds} <= {"already_over"}
        else:
            assert result.refunds == [("already_over", case.amount)]
        assert result.errors[success] == "out_of_order"
    else:
        assert result.refunds == []
    assert not result.has_time or first == "succeeded"


def check_fate(case: Case, result: Outcome) -> None:
    """Only a payment whose time was lost has no session."""
    if result.status != "succeeded" or case.has_refund:
        return
    if case.fate in ("held", "expires", "expired", "swept"):
        assert result.has_time
    elif case.fate in ("swept, taken", "then canceled"):
        assert not result.has_time


@pytest.mark.slow
def test_every_payment_has_exactly_its_expected_effect(fresh_database: Database) -> None:
    dice = random.Random(4)
    with fresh_database.connect(autocommit=True) as connection:
        made, service_calls = cases(connection, dice)
        sent = deliveries_of(made, dice)
        dice.shuffle(service_calls)
        calls = [
            ScheduledCall(n * (DELIVERIES + 1) // len(service_calls), kind, wanted)
            for n, (kind, wanted) in enumerate(service_calls)
        ]
        done = [worker_pool.CONTEXT.RawValue("i", 0) for _ in range(PROCESSES)]
        made_calls, enough, stop = (worker_pool.CONTEXT.RawValue("i", 0) for _ in range(3))
        url = fresh_database.url
        work = [
            *(
                Worker(url, worker_pool.deliver, sent[n::PROCESSES], done[n], enough)
                for n in range(PROCESSES)
            ),
            Worker(url, worker_pool.run_scheduled_calls, calls, made_calls, done),
            Worker(url, worker_pool.replay, done, stop),
        ]

        def delivered(number: int) -> bool:
            assert not any(worker.has_ended() for worker in present[:PROCESSES])
            return sum(value.value for value in done) >= number

        with running(work) as present:
            for n in range(KILLS):
                assert eventually(lambda n=n: delivered(n * DELIVERIES // KILLS))
                kill_one(present, dice, connection)
            enough.value = 1
            for worker in present[:-1]:
                worker.result()
            stop.value = 1
            present[-1].result()
            assert eventually(lambda: rows(connection, OPEN_TRANSACTIONS) == [])
        assert all(value.value >= len(sent[n::PROCESSES]) for n, value in enumerate(done))
        assert len(sent) == DELIVERIES
        assert made_calls.value == len(calls)

        assert rows(connection, OVERLAPPING) == []
        assert rows(connection, INCONSISTENT_SLOTS) == []
        assert rows(connection, CONFIRMED_UNPAID) == []
        assert rows(connection, INCONSISTENT_MONEY) == []
        results = outcomes(connection)
        for case in made:
            check_case(case, results[case.key])
            check_fate(case, results[case.key])
        unknown = {key for key in results if key.startswith("unknown")}
        assert {delivery["provider_payment_id"] for delivery in sent} - {
            c.key for c in made
        } == unknown
        for key in unknown:
            assert list(results[key].received.values()) == [None]
            assert list(results[key].errors.values()) == ["unknown_payment"]
            assert not results[key].published
        # The run has reached every status and every reason.
        assert {results[case.key].status for case in made} == {"succeeded", "canceled", "pending"}
        reasons = {reason for case in made for reason, _ in results[case.key].refunds}
        assert reasons == {"time_gone", "canceled", "already_over"}


def test_delivery_waits_for_the_id_of_its_payment(
    fresh_database: Database, django_db_blocker: Any
) -> None:
    """The id is attached and not yet committed, so there is no row that the delivery can lock."""
    with committing(fresh_database, django_db_blocker), fresh_database.connect() as watcher:
        watcher.autocommit = True
        appointment = book()
        payment = start(appointment)
        ended = threading.Event()

        def deliver_elsewhere() -> None:
            try:
                deliver("provider-1")
            finally:
                connection.close()
                ended.set()

        def waits_for_a_lock() -> bool:
            query = (
                "SELECT EXISTS (SELECT FROM pg_stat_activity"
                " WHERE datname = current_database() AND wait_event_type = 'Lock')"
            )
            return watcher.execute(query).fetchone() == (True,)

        delivery = threading.Thread(target=deliver_elsewhere)
        with transaction.atomic():
            attach_provider_id(payment, provider_payment_id="provider-1")
            delivery.start()
            assert eventually(lambda: ended.is_set() or waits_for_a_lock())
            assert not ended.is_set()
        delivery.join(HANG_TIMEOUT)
        payment.refresh_from_db()
        appointment.refresh_from_db()
        assert (payment.status, appointment.status) == ("succeeded", "confirmed")
        assert list(PaymentWebhookEvent.objects.waiting()) == []
