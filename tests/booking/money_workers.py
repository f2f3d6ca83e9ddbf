"""Writers of money on a few sessions: services, deliveries and raw SQL, each in its own process."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from uuid import UUID, uuid4

from django.db import IntegrityError, connection

from booking.models import Appointment, Payment, Refund
from booking.services import (
    attach_provider_id,
    cancel_appointment,
    receive_webhook,
    record_manual_payment,
    record_refund,
    reschedule_appointment,
    send_refund,
    start_payment,
)
from identity.models import User
from tests.booking.worker_pool import Caller, SharedData

# Statements of another program, each a transaction of its own.
TAKE = """
INSERT INTO payments (appointment_id, provider, method, recorded_by_user_id, idempotency_key,
                      purpose, amount, status, confirmed_at)
VALUES (%(row)s, 'manual', 'cash', %(staff)s, %(key)s, 'full', %(amount)s, 'succeeded', now())
ON CONFLICT DO NOTHING
"""
START = """
INSERT INTO payments (appointment_id, idempotency_key, provider_payment_id, purpose, amount)
VALUES (%(row)s, %(key)s, 'provider-' || %(key)s, 'full', %(amount)s) ON CONFLICT DO NOTHING
"""
SUCCEED = """
UPDATE payments SET status = 'succeeded', confirmed_at = now()
WHERE id = (SELECT id FROM payments WHERE status = 'pending' AND provider_payment_id IS NOT NULL
            ORDER BY random() LIMIT 1) AND status = 'pending'
"""
GIVE_BACK = """
INSERT INTO refunds (payment_id, amount, reason)
SELECT p.id, p.amount, 'by_hand' FROM payments p WHERE p.status = 'succeeded'
AND NOT EXISTS (SELECT FROM refunds r WHERE r.payment_id = p.id) ORDER BY random() LIMIT 1
"""
RETURNED = """
UPDATE refunds SET status = 'succeeded', succeeded_at = now()
WHERE id = (SELECT id FROM refunds WHERE status = 'due' ORDER BY random() LIMIT 1)
AND status = 'due'
"""
PAY = "UPDATE appointments SET status = 'paid' WHERE id = %(row)s AND status = 'pending_payment'"


def write_raw_sql(seed: int, rounds: int, data: SharedData, sessions: Sequence[UUID]) -> Counter:
    """Write random statements. A rule may refuse one; any other error ends the process."""
    dice, seen = random.Random(seed), Counter()
    for _ in range(rounds):
        statement = dice.choices(
            [TAKE, START, SUCCEED, GIVE_BACK, RETURNED, PAY], [6, 3, 6, 4, 4, 1]
        )[0]
        row = dice.choice(sessions)
        values = {
            "row": row,
            "staff": data.staff,
            "key": f"{row}-{dice.randrange(rounds)}",
            "amount": dice.choice([1, 100, 300, 1000]),
        }
        name = statement.split()[0] + " " + statement.split()[2]
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement, values)
                seen[name] += cursor.rowcount
        except IntegrityError:
            seen["refused"] += 1
    return seen


def call_money_services(
    seed: int, rounds: int, data: SharedData, sessions: Sequence[UUID]
) -> Counter:
    caller = Caller(seed, data)
    moves = [take, start, deliver_some, give_back, send, move_some]
    for _ in range(rounds):
        caller.dice.choices(moves, [6, 2, 6, 4, 1, 1])[0](caller, rounds)
    caller.call(cancel_appointment, caller.random_appointment(status="confirmed"), by="provider")
    return caller.answers.seen


def start(caller: Caller, rounds: int) -> None:
    if (row := caller.random_appointment(status="confirmed")) is not None:
        key = f"{row.pk}-{caller.dice.randrange(rounds)}"
        caller.call(start_payment, row, purpose="full", idempotency_key=key)


def deliver_some(caller: Caller, rounds: int) -> None:
    """Deliver the success of a payment that is pending, and that another process may decide too."""
    payment = Payment.objects.filter(status="pending").order_by("?").first()
    if payment is None:
        return
    key = payment.provider_payment_id or f"provider-{payment.pk}"
    caller.call(attach_provider_id, payment, provider_payment_id=key)
    event = caller.call(
        receive_webhook,
        event_type="payment.succeeded",
        provider_payment_id=key,
        amount=payment.amount,
        currency="RUB",
    )
    caller.answers.seen["delivered"] += event.processed_at is not None


def take(caller: Caller, rounds: int) -> None:
    if (row := caller.random_appointment()) is not None:
        answer = caller.call(
            record_manual_payment,
            row,
            method="transfer",
            amount=caller.dice.choice([1, 100, 300, 1000]),
            idempotency_key=f"{row.pk}-{caller.dice.randrange(rounds)}",
            actor=staff(caller),
        )
        caller.answers.seen["taken"] += isinstance(answer, Payment)


def give_back(caller: Caller, rounds: int) -> None:
    if (row := Payment.objects.filter(status="succeeded").order_by("?").first()) is not None:
        answer = caller.call(
            record_refund,
            row,
            amount=row.amount,
            id=uuid4(),
            actor=staff(caller),
        )
        caller.answers.seen["given back"] += isinstance(answer, Refund)


def send(caller: Caller, rounds: int) -> None:
    if (
        row := Refund.objects.filter(status__in=["due", "failed"]).order_by("?").first()
    ) is not None:
        caller.call(send_refund, row, actor=staff(caller))


def move_some(caller: Caller, rounds: int) -> None:
    row = caller.random_appointment(status="confirmed")
    if row is not None:
        start = caller.dice.choice(caller.data.hours)
        answer = caller.call(
            reschedule_appointment,
            row,
            start=start,
            by="provider",
            override=True,
            actor=staff(caller),
        )
        caller.answers.seen["moved"] += isinstance(answer, Appointment)


def staff(caller: Caller) -> User:
    return User.objects.get(pk=caller.data.staff)
