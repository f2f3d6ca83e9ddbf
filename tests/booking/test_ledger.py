"""Random histories of money, compared with a ledger that knows no rows, only sums.

The ledger keeps four numbers for each payment: what arrived, what was given back, what is due, and
what the provider was asked to give back. Staff take parts and give money back beside the provider.
After every step the table refunds, the balance of each payment and the published amounts agree with
it to the rouble. tests/booking/test_machine.py covers the calendar beside the money.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID, uuid4

import pytest
from django.db import connection, transaction

from audit.models import OutboxEvent
from booking.models import Appointment, Payment, Refund
from booking.services import (
    attach_provider_id,
    book_appointment,
    cancel_appointment,
    expire_holds,
    fail_payment,
    receive_webhook,
    record_manual_payment,
    record_refund,
    reschedule_appointment,
    send_refund,
    start_payment,
)
from ebalance.services import Refused
from tests.databases import Database
from tests.factories import PaymentFactory, ServiceFactory, UserFactory
from tests.scale import scaled
from tests.services import committing

pytestmark = pytest.mark.slow

STEPS = int(os.environ.get("LEDGER_STEPS") or scaled(20_000))
SEED = 2026
STEPS_OF_A_HISTORY = 25
NOW = datetime(2032, 3, 1, 7, tzinfo=UTC)
TERMS = [
    {"price_amount": 3001, "deposit_amount": 1001},
    {"price_amount": 2500, "deposit_amount": None},
    {"price_amount": 1000, "deposit_amount": 1000},
    {"price_amount": 1, "deposit_amount": None},
]
REACHED = {
    *["canceled", "overpaid", "time_gone", "already_over", "by_hand"],
    *["due", "succeeded", "failed", "mismatch", "moved", "again"],
    *["taken", "taken late", "not taken", "sent", "not sent", "handed back", "not handed back"],
}


@dataclass
class Account:
    """The sums of one payment."""

    payment: Payment
    arrived: int = 0
    returned: int = 0
    due: int = 0
    sent: list[int] = field(default_factory=list)  # the refunds that the provider was asked for

    @property
    def kept(self) -> int:
        return self.arrived - self.given - self.due if self.arrived else 0

    @property
    def given(self) -> int:
        return self.returned + sum(self.sent)

    @property
    def is_manual(self) -> bool:
        return self.payment.provider == "manual"

    def owe(self, amount: int) -> None:
        self.due += amount

    def return_money(self, amount: int) -> None:
        """A refund takes from what is due, first of all."""
        self.returned += amount
        self.due = max(0, self.due - amount)


class History:
    """One session, its payments, and what the provider delivers about them."""

    seen: ClassVar[Counter[str]] = Counter()

    def __init__(self, draw: random.Random) -> None:
        self.draw, self.now = draw, NOW
        terms = draw.choice(TERMS)
        self.service = ServiceFactory(
            published=True, cancel_free_hours=24, cancel_partial_hours=6, **terms
        )
        self.price = terms["price_amount"]
        self.agreed = terms["deposit_amount"] or self.price
        self.owner = UserFactory(role="owner")
        self.by_staff = {"override": True, "actor": self.owner}  # at any time
        self.row = book_appointment(
            service=self.service,
            start=NOW + timedelta(hours=72),
            client=UserFactory(),
            client_request_id=f"request-{draw.random()}",
            timezone="Europe/Moscow",
            format="online",
            clock=self.clock,
            **self.by_staff,
        )
        self.accounts: dict[UUID, Account] = {}
        self.refund_ids: dict[str, UUID] = {}  # applied, with their payment
        self.promised: int | None = None  # by the cancellation
        self.published_due = 0

    def clock(self) -> datetime:
        return self.now

    def step(self) -> None:
        self.now += timedelta(minutes=self.draw.choice([0, 1, 4, 20]))
        moves = [self.pay, self.pay, self.deliver_late, self.fail, self.move, self.sweep]
        moves += [self.refund] * 4 + [self.cancel] * (self.draw.random() < 0.3)
        moves += [self.take] * 3 + [self.hand_back, self.hand_back, self.send]
        self.draw.choice(moves)()
        connection.check_constraints()
        self.row = self.last()
        self.compare()

    def last(self) -> Appointment:
        row = Appointment.objects.get(pk=self.row.pk)
        while (successor := Appointment.objects.filter(rescheduled_from=row).first()) is not None:
            row = successor
        return row

    @property
    def kept(self) -> int:
        return sum(account.kept for account in self.accounts.values())

    def try_call(self, call: Callable[[], Any]) -> Any:
        try:
            with transaction.atomic():
                return call()
        except Refused:
            return None

    # -- moves ----------------------------------------------------------------------------------

    def pay(self) -> None:
        """Start a payment; the provider mostly delivers its success at once."""
        name = f"pay-{self.draw.random()}"
        purpose = self.draw.choice(["deposit", "full"])
        payment = self.try_call(
            lambda: start_payment(self.row, purpose=purpose, idempotency_key=name, clock=self.clock)
        )
        if payment is None:
            return
        attach_provider_id(payment, provider_payment_id=f"yk-{name}", clock=self.clock)
        payment.refresh_from_db()
        self.accounts[payment.pk] = Account(payment)
        if purpose == "deposit" and self.draw.random() < 0.3:
            self.insert_full_payment(payment.appointment)
        if self.draw.random() < 0.7:
            self.succeed(self.accounts[payment.pk])

    def insert_full_payment(self, appointment: Appointment) -> None:
        """Insert a payment of the whole price beside a deposit. SQL can do it, no service does."""
        others = Payment.objects.filter(appointment=appointment, purpose="full")
        if not others.filter(status__in=["pending", "succeeded"]).exists():
            payment = PaymentFactory(
                appointment=appointment, purpose="full", amount=self.price, answered=True
            )
            self.accounts[payment.pk] = Account(payment)
            if self.draw.random() < 0.7:
                self.succeed(self.accounts[payment.pk])

    def deliver_late(self) -> None:
        """Deliver the success of any payment, also one that was delivered before."""
        if accounts := self.with_provider():
            self.succeed(self.draw.choice(accounts))

    def with_provider(self) -> list[Account]:
        return [account for account in self.accounts.values() if not account.is_manual]

    def take(self) -> None:
        """Staff take a part, the rest, or too much; sometimes they click twice."""
        row, left = self.last(), self.price - self.kept
        amount = max(1, self.draw.choice([left, left, left // 2, left + 1, self.agreed, 1]))
        has_run_out = row.outcome is None and (
            row.status == "canceled"
            or (row.status == "pending_payment" and row.hold_expires_at <= self.now)
        )
        is_open = row.status in ("pending_payment", "confirmed") or has_run_out
        is_enough = not has_run_out or self.kept + amount >= self.agreed
        key = f"manual-{self.draw.random()}"
        payments = [
            self.try_call(
                lambda: record_manual_payment(
                    self.row,
                    method="cash",
                    amount=amount,
                    idempotency_key=key,
                    actor=self.owner,
                    clock=self.clock,
                )
            )
            for _ in range(self.draw.choice([1, 1, 2]))
        ]
        is_taken = is_open and is_enough and 0 < amount <= left
        assert [payment is not None for payment in payments] == [is_taken] * len(payments)
        if not is_taken:
            self.seen["not taken"] += 1
            return
        assert {payment.pk for payment in payments} == {payments[0].pk}
        self.accounts[payments[0].pk] = Account(payments[0], arrived=amount)
        assert self.kept <= self.price
        self.seen["taken late" if has_run_out else "taken"] += 1
        expected = "confirmed" if self.kept >= self.agreed else row.status
        assert row.status == "confirmed" or self.last().status == expected

    def hand_back(self) -> None:
        """Staff give back money of any payment: for a refund that is known, or by a new one."""
        if not self.accounts:
            return
        account = self.draw.choice([*self.accounts.values()])
        known = list(Refund.objects.filter(payment=account.payment.pk).order_by("pk"))
        refund = self.draw.choice([None, *known])
        left = account.payment.amount - account.given
        if refund is None:
            amount = max(1, self.draw.choice([left, left + 1, left // 3, account.due, 1]))
            is_given = amount <= left and bool(account.arrived)
        else:
            amount = refund.amount + (self.draw.random() < 0.1)
            is_given = amount == refund.amount and refund.status != "sent"
            if refund.status == "failed":
                is_given = is_given and amount <= left
        stored = self.try_call(
            lambda: record_refund(
                account.payment.pk,
                amount=amount,
                id=uuid4() if refund is None else refund.pk,
                actor=self.owner,
                clock=self.clock,
            )
        )
        assert (stored is not None) == is_given
        self.seen["handed back" if is_given else "not handed back"] += 1
        if not is_given or (refund is not None and refund.status == "succeeded"):
            return
        # The late success of a failed refund leaves the others due, if there is enough.
        is_beside = refund is not None and refund.status == "failed"
        due = account.due
        account.return_money(amount)
        if is_beside and account.given + due <= account.payment.amount:
            account.due = due

    def send(self) -> None:
        """Staff ask the provider for any refund."""
        refunds = list(Refund.objects.select_related("payment").order_by("pk"))
        if not refunds:
            return
        refund = self.draw.choice(refunds)
        account = self.accounts[refund.payment_id]
        left = account.payment.amount - account.given - account.due
        is_sent = not account.is_manual and refund.status != "succeeded"
        if refund.status == "failed":
            is_sent = is_sent and refund.amount <= left
        stored = self.try_call(lambda: send_refund(refund.pk, actor=self.owner, clock=self.clock))
        assert (stored is not None) == is_sent
        self.seen["not sent"] += not is_sent
        if is_sent and refund.status != "sent":
            account.sent.append(refund.amount)
            account.due -= refund.amount if refund.status == "due" else 0

    def succeed(self, account: Account) -> None:
        payment = Payment.objects.get(pk=account.payment.pk)
        row, is_new = self.last(), account.arrived == 0
        is_canceled, has_expired = row.status == "canceled", row.outcome is None
        for _ in range(self.draw.choice([1, 1, 2])):
            receive_webhook(
                event_type="payment.succeeded",
                provider_payment_id=payment.provider_payment_id,
                amount=f"{payment.amount}.00",
                currency="RUB",
                clock=self.clock,
            )
        if not is_new:
            self.seen["again"] += 1
            return
        account.arrived = payment.amount
        is_lost = is_canceled and (not has_expired or self.kept < self.agreed)
        if payment.status != "pending" or is_lost:
            account.owe(account.kept)
        elif (overpaid := self.kept - self.price) > 0:
            account.owe(min(overpaid, account.kept))

    def fail(self) -> None:
        for account in self.accounts.values():
            self.try_call(
                lambda account=account: fail_payment(
                    account.payment, category="timeout", clock=self.clock
                )
            )

    def refund(self) -> None:
        """The provider gives money back: all, a part, what is due, too much, or not in roubles."""
        if not (accounts := self.with_provider()):
            return
        account = self.draw.choice(accounts)
        amount = account.payment.amount
        left = amount - account.given
        given = self.draw.choice(
            [
                amount,
                amount // 2,
                left,
                account.due,
                account.due // 3,
                amount + 1,
                1,
                0,
                *account.sent,
            ]
        )
        currency = "USD" if self.draw.random() < 0.05 else "RUB"
        refund_id = f"refund-{self.draw.random()}"
        if self.refund_ids and self.draw.random() < 0.2:
            refund_id = self.draw.choice([*self.refund_ids])
        is_new = refund_id not in self.refund_ids
        event = receive_webhook(
            event_type="refund.succeeded",
            provider_payment_id=account.payment.provider_payment_id,
            amount=given,
            currency=currency,
            object_id=refund_id,
            clock=self.clock,
        )
        if not is_new:
            self.seen["again"] += 1
        elif currency == "RUB" and given in account.sent:
            assert event.last_error is None
            self.refund_ids[refund_id] = account.payment.pk
            account.sent.remove(given)
            account.returned += given
        elif currency != "RUB" or not 0 < given <= left:
            assert event.last_error == "amount_mismatch"
            self.seen["mismatch"] += 1
        else:
            assert event.last_error is None
            self.refund_ids[refund_id] = account.payment.pk
            account.return_money(given)

    def cancel(self) -> None:
        row = self.last()
        hours_left = self.draw.choice([48, 24, 23, 6, 5, 1])
        if row.status == "confirmed":
            self.now = max(self.now, row.start_at_utc - timedelta(hours=hours_left))
        left = row.start_at_utc - self.now
        status, outcome = row.status, row.outcome
        by, kept = self.draw.choice(["client", "client", "provider"]), self.kept
        answer = self.try_call(lambda: cancel_appointment(row, by=by, clock=self.clock))
        if answer is None:
            return
        if status == "canceled":
            assert outcome is None or answer.refund_amount == self.promised
            return
        expected = kept
        if by == "client" and left < timedelta(hours=24):
            expected = -(-kept // 2) if left >= timedelta(hours=6) else 0
        assert answer.refund_amount == expected
        self.promised = expected
        by_success = sorted(
            (Payment.objects.get(pk=key) for key, account in self.accounts.items() if account.kept),
            key=lambda payment: (payment.confirmed_at, payment.pk),
        )
        for payment in reversed(by_success):
            share = min(expected, self.accounts[payment.pk].kept)
            self.accounts[payment.pk].owe(share)
            expected -= share

    def move(self) -> None:
        start = self.row.start_at_utc + timedelta(minutes=self.draw.choice([60, 120]))
        moved = self.try_call(
            lambda: reschedule_appointment(
                self.row, start=start, by="provider", clock=self.clock, **self.by_staff
            )
        )
        self.seen["moved"] += moved is not None

    def sweep(self) -> None:
        """A hold that runs out gives back what it kept."""
        row = self.last()
        if expire_holds(clock=self.clock):
            assert row.status == "pending_payment"
            for account in self.accounts.values():
                if account.kept > 0:
                    account.owe(account.kept)

    # -- comparison -----------------------------------------------------------------------------

    def compare(self) -> None:
        refunds = list(Refund.objects.all())
        for row in refunds:
            self.seen[row.reason] += 1
            self.seen[row.status] += 1
        for key, account in self.accounts.items():
            of_payment = [row for row in refunds if row.payment_id == key]
            due = sum(row.amount for row in of_payment if row.status == "due")
            returned = sum(row.amount for row in of_payment if row.status == "succeeded")
            assert (due, returned) == (account.due, account.returned), account
            sent = sorted(row.amount for row in of_payment if row.status == "sent")
            assert sent == sorted(account.sent), account
            if account.arrived:
                stored = Payment.objects.with_balance().get(pk=key)
                assert stored.balance == account.kept >= 0, account
        failed = {str(row.pk) for row in refunds if row.status == "failed"}
        self.check_published("payment_refunded", refunds, {"succeeded"})
        due_events = self.check_published("refund_due", refunds, {*Refund.Status})
        still = sum(amount for key, amount in due_events.items() if key not in failed)
        by_request = sum(
            row.amount for row in refunds if row.status == "succeeded" and row.reason != "by_hand"
        )
        owed = sum(account.due + sum(account.sent) for account in self.accounts.values())
        assert still == owed + by_request

    def check_published(
        self, event_type: str, refunds: list[Refund], statuses: set[str]
    ) -> dict[str, int]:
        """Each refund with one of these statuses is published once, with its amount."""
        payloads = [e.payload for e in OutboxEvent.objects.filter(event_type=event_type)]
        published = {payload["refund_id"]: payload["amount"] for payload in payloads}
        assert len(published) == len(payloads)
        assert published == {
            str(row.pk): row.amount
            for row in refunds
            if row.status in statuses
            and (event_type == "payment_refunded" or row.reason != "by_hand")
        }
        return published


@pytest.fixture
def database(fresh_database: Database, django_db_blocker: Any) -> Iterator[None]:
    with committing(fresh_database, django_db_blocker):
        yield


def test_money_agrees_with_an_independent_ledger(
    database: None, capsys: pytest.CaptureFixture[str]
) -> None:
    History.seen.clear()
    begin, steps, number = time.monotonic(), 0, SEED
    reach = REACHED if STEPS >= 2_000 else set()
    # A short run continues, up to five times as long, until it has reached everything.
    while steps < STEPS or (not reach <= History.seen.keys() and steps < 5 * STEPS):
        with transaction.atomic():
            history = History(random.Random(number))
            for step in range(STEPS_OF_A_HISTORY):
                try:
                    history.step()
                except AssertionError as error:
                    raise AssertionError(f"seed {number}, step {step}: {error}") from error
                steps += 1
            transaction.set_rollback(True)
        number += 1
    with capsys.disabled():
        print(f"\nledger: {steps:,} steps in {time.monotonic() - begin:.0f} s")
    assert reach - History.seen.keys() == set()
