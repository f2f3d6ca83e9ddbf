"""Random histories of money, compared with a ledger that knows no rows, only sums.

The ledger keeps four numbers for each payment: what arrived, what was given back, what is due, and
what the provider was asked to give back. Staff take parts and give money back beside the provider;
deliveries arrive late, twice, and before the id of their payment. After every step the table
refunds, the balance of each payment, the audit log and the published amounts agree with it to the
rouble. tests/booking/test_machine.py covers the calendar beside the money.
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
from django.db import IntegrityError, connection, transaction

from audit.models import AuditLogEntry, OutboxEvent
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
from ebalance.services import Refused, constraint_of
from tests.databases import Database
from tests.factories import PaymentFactory, ServiceFactory, UserFactory
from tests.scale import scaled
from tests.services import committing

pytestmark = pytest.mark.slow

STEPS = int(os.environ.get("LEDGER_STEPS") or scaled(20_000))
SEEDS = (2026, 12026)  # the first seed of each part, for the workers of pytest-xdist
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
    *["early", "attached", "canceled at the provider"],
}
# Statements of another program, which the services know nothing of.
INSERT_MANUAL = """
INSERT INTO payments (appointment_id, provider, method, recorded_by_user_id, idempotency_key,
                      purpose, amount, status, confirmed_at)
VALUES (%s, 'manual', 'card', %s, 'raw', 'full', %s, 'succeeded', now())
"""
INSERT_REFUND = "INSERT INTO refunds (payment_id, amount, reason) VALUES (%s, %s, 'by_hand')"


@dataclass
class Account:
    """The sums of one payment."""

    payment: Payment
    arrived: int = 0
    returned: int = 0
    due: int = 0
    sent: list[int] = field(default_factory=list)  # the refunds that the provider was asked for
    key: str = ""  # the provider's id
    is_attached: bool = True  # the practice knows that id
    is_closed: bool = False  # it failed, or was canceled, before money arrived
    waiting: list[tuple[str, str, int]] = field(default_factory=list)  # deliveries before the id

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
        moves += [self.refund] * 4 + [self.cancel] * (self.draw.random() < 0.6)
        moves += [self.take] * 3 + [self.hand_back] * 3 + [self.send] * 2 + [self.sweep]
        moves += [self.attach, self.cancel_payment] + [self.write_raw_sql] * 2
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
        account = self.accounts[payment.pk] = Account(payment, key=f"yk-{name}", is_attached=False)
        if self.draw.random() < 0.7:
            self.attach_to(account)
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
            self.accounts[payment.pk] = Account(payment, key=payment.provider_payment_id)
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
        sent = [row for row in known if row.status == "sent"]
        refund = self.draw.choice([None, *known, *sent])
        left = account.payment.amount - account.given
        if refund is None:
            amount = max(1, self.draw.choice([left, left + 1, left // 3, account.due, 1]))
            # A refund of the provider shows that there was money, before its success is delivered.
            is_given = amount <= left and bool(account.arrived or known)
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
        refunds = list(Refund.objects.order_by("pk"))
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

    def attach(self) -> None:
        """The id of a payment is stored late, after the first deliveries about it."""
        if unknown := [account for account in self.with_provider() if not account.is_attached]:
            self.attach_to(self.draw.choice(unknown))

    def attach_to(self, account: Account) -> None:
        row = self.last()
        attach_provider_id(account.payment.pk, provider_payment_id=account.key, clock=self.clock)
        self.seen["attached"] += bool(account.waiting)
        account.is_attached = True
        early, account.waiting = account.waiting, []
        for kind, refund_id, amount in sorted(early, key=lambda delivery: delivery[0] != "refund"):
            match kind:
                case "refund" if 0 < amount <= account.payment.amount - account.given:
                    self.refund_arrived(account, refund_id, amount)
                case "succeeded":
                    self.success_arrived(account, row)
                case "canceled" if not account.arrived:
                    account.is_closed = True

    def deliver(self, account: Account, kind: str, refund_id: str = "", **about: Any) -> str | None:
        """Deliver once or twice; return the error. Without the id of the payment it has to wait."""
        amount = about.get("amount", account.payment.amount)
        for _ in range(self.draw.choice([1, 1, 2])):
            event = receive_webhook(
                event_type=f"refund.{kind}" if refund_id else f"payment.{kind}",
                provider_payment_id=account.key,
                object_id=refund_id or None,
                amount=amount,
                currency=about.get("currency", "RUB"),
                clock=self.clock,
            )
        if not account.is_attached:
            assert event.last_error == "unknown_payment"
            delivery = ("refund" if refund_id else kind, refund_id, amount)
            if delivery not in account.waiting and about.get("currency", "RUB") == "RUB":
                account.waiting.append(delivery)
            self.seen["early"] += 1
        return event.last_error

    def succeed(self, account: Account) -> None:
        row, is_new = self.last(), account.arrived == 0
        self.deliver(account, "succeeded")
        if not account.is_attached:
            return
        if is_new:
            self.success_arrived(account, row)
        else:
            self.seen["again"] += 1

    def success_arrived(self, account: Account, row: Appointment) -> None:
        """``row``: the last appointment of the chain before the money arrived."""
        if account.arrived:
            return
        account.arrived = account.payment.amount
        is_lost = row.status == "canceled" and (row.outcome is not None or self.kept < self.agreed)
        if account.is_closed or is_lost:
            account.owe(account.kept)
            return
        if (overpaid := self.kept - self.price) > 0:
            account.owe(min(overpaid, account.kept))
        expected = "confirmed" if self.kept >= self.agreed else row.status
        assert row.status == "confirmed" or self.last().status == expected

    def fail(self) -> None:
        for account in self.accounts.values():
            failed = self.try_call(
                lambda account=account: fail_payment(
                    account.payment.pk, category="timeout", clock=self.clock
                )
            )
            assert failed is None or not account.arrived or account.is_closed
            account.is_closed = account.is_closed or not account.arrived

    def cancel_payment(self) -> None:
        """The provider reports that a payment is canceled. After its success that is no news."""
        if accounts := self.with_provider():
            account = self.draw.choice(accounts)
            error = self.deliver(account, "canceled")
            assert error is None or not account.is_attached
            if account.is_attached and not account.arrived:
                account.is_closed = True
            self.seen["canceled at the provider"] += 1

    def refund(self) -> None:
        """The provider gives money back: all, a part, what is due, too much, or not in roubles."""
        if not (accounts := self.with_provider()):
            return
        account = self.draw.choice(accounts)
        amount = account.payment.amount
        left = amount - account.given
        choices = [amount, amount // 2, left, account.due, account.due // 3, amount + 1, 1, 0]
        given = self.draw.choice([*choices, *account.sent])
        currency = "USD" if self.draw.random() < 0.05 else "RUB"
        refund_id = f"refund-{self.draw.random()}"
        if self.refund_ids and account.is_attached and self.draw.random() < 0.2:
            refund_id = self.draw.choice([*self.refund_ids])
        is_new = refund_id not in self.refund_ids
        error = self.deliver(account, "succeeded", refund_id, amount=given, currency=currency)
        if not account.is_attached:
            return
        if not is_new:
            self.seen["again"] += 1
        elif currency != "RUB" or not (given in account.sent or 0 < given <= left):
            assert error == "amount_mismatch"
            self.seen["mismatch"] += 1
        else:
            assert error is None
            self.refund_arrived(account, refund_id, given)

    def refund_arrived(self, account: Account, refund_id: str, amount: int) -> None:
        self.refund_ids[refund_id] = account.payment.pk
        if amount in account.sent:
            account.sent.remove(amount)
            account.returned += amount
        else:
            account.return_money(amount)

    def write_raw_sql(self) -> None:
        """The database itself refuses a rouble too much, and takes the last rouble."""
        left = self.price - self.kept
        manual = (INSERT_MANUAL, self.last().pk, self.owner.pk)
        limits = [(manual, left, "payments_manual_within_price")]
        if self.accounts:
            account = self.draw.choice([*self.accounts.values()])
            rest = account.payment.amount - account.given - account.due
            limits.append(((INSERT_REFUND, account.payment.pk), rest, "refunds_within_payment"))
        for (statement, *row), limit, rule in limits:
            for amount in {max(1, limit), limit + 1}:
                assert self.is_accepted(statement, [*row, amount], rule) == (0 < amount <= limit)

    def is_accepted(self, statement: str, values: list[Any], rule: str) -> bool:
        """Whether the database takes the row, which is removed again; else ``rule`` refuses it."""
        with transaction.atomic():
            try:
                with transaction.atomic(), connection.cursor() as cursor:
                    cursor.execute(statement, values)
                    connection.check_constraints()
            except IntegrityError as error:
                if constraint_of(error) != rule:
                    raise
                return False
            finally:
                transaction.set_rollback(True)
        return True

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
        manual = [account for account in self.accounts.values() if account.is_manual]
        logged = AuditLogEntry.objects.filter(action="manual_payment_recorded")
        assert sorted(entry.new_value["amount"] for entry in logged) == sorted(
            account.arrived for account in manual
        )
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


@pytest.mark.parametrize("seed", SEEDS)
def test_money_agrees_with_an_independent_ledger(
    seed: int, database: None, capsys: pytest.CaptureFixture[str]
) -> None:
    History.seen.clear()
    begin, steps, number = time.monotonic(), 0, seed
    least = -(-STEPS // len(SEEDS))
    reach = REACHED if least >= 2_000 else set()
    # A short part continues, up to five times as long, until it has reached everything.
    while steps < least or (not reach <= History.seen.keys() and steps < 5 * least):
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
        print(f"\nledger from seed {seed}: {steps:,} steps in {time.monotonic() - begin:.0f} s")
    assert reach - History.seen.keys() == set()
