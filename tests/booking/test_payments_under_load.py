"""Deliveries of many payments, in any order and repeated, by processes that are killed.

What each payment comes to is worked out from the deliveries and compared with the rows.
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
from tests.booking.afterwards import (
    CONFIRMED_UNPAID,
    LEFT_OPEN,
    MONEY_ASTRAY,
    OVERLAPPING,
    SLOTS_ASTRAY,
    clients,
    keys,
    rows,
    services,
    slots,
)
from tests.booking.outbox_assertions import book, deliver, start
from tests.booking.worker_pool import Act, Worker, at_work, kill_one
from tests.databases import Database
from tests.processes import HANG_TIMEOUT, eventually
from tests.scale import scaled
from tests.services import committing

PROCESSES = 8
PAYMENTS, DELIVERIES = scaled(200), scaled(2_000)
KILLS = scaled(20)  # spread over the deliveries
PRICE, DEPOSIT = 3000, 1000
SESSION = timedelta(minutes=50)

# What has become of a hold before its money comes, or becomes of it meanwhile.
FATES = {
    "held": 35,
    "runs out": 15,
    "ran out": 12,
    "swept": 12,
    "swept, taken": 8,
    "ran out, taken meanwhile": 8,
    "canceled meanwhile": 10,
}
# What is told of a payment; "good" is a success of the right amount.
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
    """A payment, and what the provider tells about it."""

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
    def takes_wrong(self) -> bool:
        return any(told.startswith("wrong") for told in self.story)

    def delivery(self, told: str) -> dict[str, str]:
        made = {
            "event_type": KIND.get(told, "payment.succeeded"),
            "provider_payment_id": self.key,
            "amount": f"{self.amount + (told == 'wrong amount')}.00",
            "currency": "USD" if told == "wrong currency" else "RUB",
        }
        return made | ({"object_id": f"{told} of {self.key}"} if "refund" in told else {})


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
    """The payments, and what people do meanwhile."""
    paid, free = services(connection, (50, PRICE), (50, 0))
    people = clients(connection, 200)
    now = datetime.now(UTC)
    first = now.replace(minute=0, second=0, microsecond=0) + timedelta(days=7)
    made, meanwhile = [], []
    hours = slots(connection, [first + n * timedelta(hours=1) for n in range(PAYMENTS)], 50)
    for n, slot in enumerate(hours):
        fate, story = pick(dice, FATES), pick(dice, STORIES)
        expires = {"runs out": dice.uniform(1, 60), "held": 86_400, "canceled meanwhile": 86_400}
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
            meanwhile.append(("attach", {"payment": payment, "key": key}))
        if fate == "canceled meanwhile":
            meanwhile.append(("cancel", {"appointment": appointment}))
        if fate == "ran out, taken meanwhile":
            wanted = {"service": free, "client": dice.choice(people), "slot": slot}
            meanwhile.append(("book", {**wanted, "client_request_id": f"meanwhile-{n}"}))
    meanwhile += [("sweep", {})] * 20
    return made, meanwhile


def deliveries_of(made: list[Case], dice: random.Random) -> list[dict[str, str]]:
    """Each one to five times, and some about payments that nobody has asked for."""
    unknown = [
        Case(uuid4(), uuid4(), "full", "", ("good",), f"unknown-{n}", False)
        for n in range(PAYMENTS // 25)
    ]
    told = [(case, what) for case in [*made, *unknown] for what in case.story]
    times = [dice.randint(1, 5) for _ in told]
    while sum(times) != DELIVERIES:
        n, step = dice.randrange(len(told)), 1 if sum(times) < DELIVERIES else -1
        times[n] = min(5, max(1, times[n] + step))
    sent = [
        case.delivery(what)
        for (case, what), number in zip(told, times, strict=True)
        for _ in range(number)
    ]
    dice.shuffle(sent)
    return sent


# -- afterwards -----------------------------------------------------------------------------------


@dataclass
class Outcome:
    """What the database holds of a payment."""

    status: str
    told: dict[str, datetime | None] = field(default_factory=dict)  # event id -> when it was done
    errors: dict[str, str | None] = field(default_factory=dict)
    seen: dict[str, tuple[str, str]] = field(default_factory=dict)  # amount and currency
    published: Counter = field(default_factory=Counter)
    refunds: list[tuple[str, int]] = field(default_factory=list)  # reason, roubles
    has_time: bool = False  # the last appointment of its chain stands


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


def outcomes(connection: psycopg.Connection) -> dict[str, Outcome]:
    """By the provider's key."""
    found = {
        key: Outcome(status)
        for key, status in rows(connection, "SELECT provider_payment_id, status FROM payments")
    }
    for key, event, done, error, amount, currency in rows(
        connection,
        "SELECT provider_payment_id, provider_event_id, processed_at, last_error, amount::text, "
        "currency FROM payment_webhook_events",
    ):
        of = found.setdefault(key, Outcome("unknown"))
        of.told[event], of.errors[event], of.seen[event] = done, error, (amount, currency)
    for key, event, payload in rows(
        connection,
        "SELECT provider_payment_id, event_type, payload FROM outbox_events o "
        "JOIN payments p ON o.aggregate_id = p.id",
    ):
        found[key].published[event] += 1
        if event == "refund_due":
            found[key].refunds.append((payload["reason"], payload["amount"]))
    for key, event in rows(
        connection,
        "SELECT provider_payment_id, o.event_type FROM outbox_events o "
        "JOIN payment_webhook_events e ON o.aggregate_id = e.id",
    ):
        found[key].published[event] += 1
    with_time = set(keys(connection, HAVE_TIME))
    for key, payment in rows(connection, "SELECT provider_payment_id, id FROM payments"):
        found[key].has_time = payment in with_time
    return found


def check_case(case: Case, is_: Outcome) -> None:
    """The one right effect of what was told."""
    success, cancellation = f"payment.succeeded:{case.key}", f"payment.canceled:{case.key}"
    told = {f"{KIND.get(what, 'payment.succeeded')}:{case.key}" for what in case.story}
    refunds = {f"refund.succeeded:{what} of {case.key}" for what in case.story if "refund" in what}
    told = {event for event in told if not event.startswith("refund")} | refunds
    assert set(is_.told) == told

    # Everything has taken effect but for a success of which only the wrong amount is known.
    assert {event for event, done in is_.told.items() if done is None} <= {success}
    paid, canceled = is_.told.get(success), is_.told.get(cancellation)
    if "good" not in case.story:
        assert paid is None
    elif not case.takes_wrong or not case.is_late:
        assert paid is not None
    if success in told and paid is None:
        # Told before the payment was known, the last word counts.
        assert is_.errors[success] == "amount_mismatch"
        assert is_.seen[success] != (f"{case.amount}.00", "RUB")
        assert is_.published["payment_amount_mismatch"] >= 1

    # The first effective delivery decides.
    effective = [(paid, "succeeded"), (canceled, "canceled")]
    first = min(((done, to) for done, to in effective if done), default=(None, "pending"))[1]
    assert is_.status == first
    assert is_.published["payment_succeeded"] == (first == "succeeded")
    assert is_.published["payment_failed"] == (first == "canceled")
    assert is_.published["payment_to_capture"] <= ("capture" in case.story)
    assert is_.published["payment_refunded"] == len(refunds)

    # Money that came in has a session or goes back, all of it and once.
    if first == "succeeded" and is_.has_time:
        assert is_.refunds == []
    elif first == "succeeded":
        ((reason, amount),) = is_.refunds
        assert amount == case.amount
        assert reason in ("time_gone", "canceled")
    elif paid is not None:
        assert is_.refunds == [("already_over", case.amount)]
        assert is_.errors[success] == "out_of_order"
    else:
        assert is_.refunds == []
    assert not is_.has_time or first == "succeeded"


def check_fate(case: Case, is_: Outcome) -> None:
    """Only what lost its time goes without."""
    if is_.status != "succeeded":
        return
    if case.fate in ("held", "runs out", "ran out", "swept"):
        assert is_.has_time
    elif case.fate in ("swept, taken", "canceled meanwhile"):
        assert not is_.has_time


@pytest.mark.slow
def test_every_payment_has_its_one_right_effect(fresh_database: Database) -> None:
    dice = random.Random(4)
    with fresh_database.connect(autocommit=True) as connection:
        made, meanwhile = cases(connection, dice)
        sent = deliveries_of(made, dice)
        dice.shuffle(meanwhile)
        acts = [
            Act(n * (DELIVERIES + 1) // len(meanwhile), kind, wanted)
            for n, (kind, wanted) in enumerate(meanwhile)
        ]
        done = [worker_pool.CONTEXT.RawValue("i", 0) for _ in range(PROCESSES)]
        acted, enough, stop = (worker_pool.CONTEXT.RawValue("i", 0) for _ in range(3))
        url = fresh_database.url
        work = [
            *(
                Worker(url, worker_pool.deliver, sent[n::PROCESSES], done[n], enough)
                for n in range(PROCESSES)
            ),
            Worker(url, worker_pool.act, acts, acted, done),
            Worker(url, worker_pool.replay, done, stop),
        ]

        def delivered(number: int) -> bool:
            assert not any(worker.has_ended() for worker in present[:PROCESSES])
            return sum(value.value for value in done) >= number

        with at_work(work) as present:
            for n in range(KILLS):
                assert eventually(lambda n=n: delivered(n * DELIVERIES // KILLS))
                kill_one(present, dice, connection)
            enough.value = 1
            for worker in present[:-1]:
                worker.result()
            stop.value = 1
            present[-1].result()
            assert eventually(lambda: rows(connection, LEFT_OPEN) == [])
        assert all(value.value >= len(sent[n::PROCESSES]) for n, value in enumerate(done))
        assert len(sent) == DELIVERIES
        assert acted.value == len(acts)

        assert rows(connection, OVERLAPPING) == []
        assert rows(connection, SLOTS_ASTRAY) == []
        assert rows(connection, CONFIRMED_UNPAID) == []
        assert rows(connection, MONEY_ASTRAY) == []
        of = outcomes(connection)
        for case in made:
            check_case(case, of[case.key])
            check_fate(case, of[case.key])
        unknown = {key for key in of if key.startswith("unknown")}
        assert {told["provider_payment_id"] for told in sent} - {c.key for c in made} == unknown
        for key in unknown:
            assert list(of[key].told.values()) == [None]
            assert list(of[key].errors.values()) == ["unknown_payment"]
            assert not of[key].published
        # Every kind of end has been met.
        assert {of[case.key].status for case in made} == {"succeeded", "canceled", "pending"}
        reasons = {reason for case in made for reason, _ in of[case.key].refunds}
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
