"""A model of booking and payment in memory, written from states.md and the data model.

Each method of ``World`` predicts one service. It raises ``Refusal`` with the names of the refusals
that are allowed, or it changes the world and returns the expected result. ``announced`` collects
the expected outbox events, ``tracked`` the expected tracking events.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

HOLD = timedelta(minutes=15)
MAX_HOLDS = 3
TRIED_FOR = timedelta(days=7)  # a delivery without an effect
BLOCKING = ("pending_payment", "paid", "confirmed")


class Refusal(Exception):
    """The service must raise one of these refusals."""

    def __init__(self, *refusals: str) -> None:
        super().__init__(*refusals)
        self.refusals = frozenset(refusals)


@dataclass(eq=False)
class Unknown:
    """A row that does not exist."""

    key: Any


@dataclass(eq=False)
class Person:
    key: UUID
    status: str = "active"


@dataclass(eq=False)
class Lead:
    key: UUID


@dataclass(eq=False)
class Service:
    key: UUID
    minutes: int
    price: int
    deposit: int | None
    free_hours: int | None = None
    partial_hours: int | None = None
    move_hours: int | None = None
    moves: int | None = None
    formats: tuple[str, ...] = ("online",)
    status: str = "published"

    @property
    def length(self) -> timedelta:
        return timedelta(minutes=self.minutes)

    def refund(self, paid: int, left: timedelta) -> int:
        if self.free_hours is not None and left >= timedelta(hours=self.free_hours):
            return paid
        if self.partial_hours is not None and left >= timedelta(hours=self.partial_hours):
            return -(-paid // 2)
        return 0


@dataclass(eq=False)
class Slot:
    key: UUID
    service: Service | None
    start: datetime
    end: datetime
    buffer: int
    by_rule: bool = False  # such a slot can be withdrawn
    status: str = "available"


@dataclass(frozen=True)
class Time:
    start: datetime
    end: datetime
    buffer: int
    slot: Slot | None

    @property
    def busy_until(self) -> datetime:
        return self.end + timedelta(minutes=self.buffer)


@dataclass(eq=False)
class Appointment:
    service: Service
    person: Person | None
    lead: Lead | None
    time: Time
    price: int
    deposit: int | None
    status: str
    request: str | None = None
    hold: datetime | None = None
    replaces: Appointment | None = None
    outcome: str | None = None
    canceled_at: datetime | None = None
    refund: int = 0  # as the cancellation returned it
    key: UUID | None = None  # None until the database has assigned it

    @property
    def is_blocking(self) -> bool:
        return self.status in BLOCKING

    def has_expired_hold(self, now: datetime) -> bool:
        return self.status == "pending_payment" and self.hold <= now


@dataclass(eq=False)
class Payment:
    appointment: Appointment
    idempotency_key: str
    purpose: str
    amount: int
    status: str = "pending"
    provider_id: str | None = None
    category: str | None = None
    key: UUID | None = None


@dataclass(eq=False)
class Refund:
    payment: Payment
    amount: int
    reason: str
    status: str = "due"
    provider_id: str | None = None


@dataclass(eq=False)
class Delivery:
    kind: str
    object_id: str
    provider_id: str
    amount: Any
    currency: str
    received: datetime
    done: bool = False
    error: str | None = None
    key: UUID | None = None


@dataclass(frozen=True)
class Announcement:
    """An outbox event: its type, its row and its amount in roubles."""

    event: str
    about: Any
    amount: int | None = None
    reason: str | None = None


@dataclass
class World:
    now: datetime
    services: list[Service] = field(default_factory=list)
    slots: list[Slot] = field(default_factory=list)
    appointments: list[Appointment] = field(default_factory=list)
    payments: list[Payment] = field(default_factory=list)
    refunds: list[Refund] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    announced: list[Announcement] = field(default_factory=list)
    tracked: list[tuple[str, Any]] = field(default_factory=list)

    # -- reading --------------------------------------------------------------------------------

    def chain(self, row: Appointment) -> list[Appointment]:
        while row.replaces is not None:
            row = row.replaces
        rows = [row]
        while (row := self.successor(row)) is not None:
            rows.append(row)
        return rows

    def successor(self, row: Appointment) -> Appointment | None:
        return next((other for other in self.appointments if other.replaces is row), None)

    def payments_of(self, row: Appointment) -> list[Payment]:
        chain = self.chain(row)
        return [p for p in self.payments if p.appointment in chain]

    def balance(self, payment: Payment) -> int:
        """The part of a payment that the practice keeps."""
        return payment.amount - sum(
            r.amount for r in self.refunds if r.payment is payment and r.status != "failed"
        )

    def paid(self, row: Appointment) -> int:
        return sum(self.balance(p) for p in self.payments_of(row) if p.status == "succeeded")

    def agreed(self, row: Appointment) -> int:
        return row.price if row.deposit is None else row.deposit

    def promised(self, row: Appointment, reason: str) -> int:
        """The first refund of each payment for this reason."""
        first: dict[Payment, int] = {}
        for refund in self.refunds:
            if refund.reason == reason and refund.payment in self.payments_of(row):
                first.setdefault(refund.payment, refund.amount)
        return sum(first.values())

    def overlapping(self, time: Time) -> Iterator[Appointment]:
        for other in self.appointments:
            overlaps = (
                other.time.start < time.busy_until and time.start < other.time.busy_until
            ) or (time.slot is not None and other.time.slot is time.slot)
            if other.is_blocking and overlaps:
                yield other

    def keeps_slot(self, row: Appointment, slot: Any) -> bool:
        return (
            slot is not None
            and row.time.slot is slot
            and row.is_blocking
            and not row.has_expired_hold(self.now)
        )

    def is_blocked(self, time: Time) -> bool:
        return any(
            slot.status == "blocked" and slot.start < time.end and time.start < slot.end
            for slot in self.slots
        )

    def is_offered(self, slot: Slot) -> bool:
        return slot.status == "available" or (
            slot.status == "reserved"
            and any(
                row.time.slot is slot and row.has_expired_hold(self.now)
                for row in self.appointments
            )
        )

    def is_taken(self, time: Time, ignoring: Appointment | None = None) -> bool:
        others = [row for row in self.overlapping(time) if row is not ignoring]
        freed = {row.time.slot for row in (*others, *([ignoring] if ignoring else []))}
        return (
            any(not row.has_expired_hold(self.now) for row in others)
            or self.is_blocked(time)
            or (time.slot is not None and time.slot.status == "reserved" and time.slot not in freed)
        )

    def requested_time(
        self,
        service: Service,
        slot: Any,
        start: datetime | None,
        *,
        override: bool,
        moved: Appointment | None = None,
    ) -> tuple[Time | None, set[str]]:
        """The requested time, and the refusals that depend on it alone."""
        own, buffer = (moved.time.slot, moved.time.buffer) if moved else (None, 0)
        if (slot is None) == (start is None):
            return None, {"InvalidInput"}
        if start is not None:
            offered = [
                slot
                for slot in self.slots
                if (slot is own or self.is_offered(slot))
                and slot.start <= start
                and slot.end >= start + service.length
                and slot.service in (None, service)
            ]
            if not offered:
                refusals = set() if override else {"TimeNotOffered"}
                return Time(start, start + service.length, buffer, None), refusals
            slot = min(
                offered,
                key=lambda slot: (slot is not own, slot.service is None, slot.start, slot.key),
            )
        if isinstance(slot, Unknown):
            return None, {"NotFound"}
        refusals = set()
        start = start or slot.start
        end = start + service.length
        if slot.service not in (None, service) or end > slot.end:
            refusals.add("SlotUnsuitable")
        if slot.status == "blocked":
            refusals.add("SlotTaken")
        if slot.status == "withdrawn":
            refusals.add("TimeNotOffered")
        return Time(start, end, max(buffer, slot.buffer), slot), refusals

    # -- writing --------------------------------------------------------------------------------

    def announce(self, event: str, about: Any, **details: Any) -> None:
        self.announced.append(Announcement(event, about, **details))

    def track(self, event: str, about: Any) -> None:
        self.tracked.append((event, about))

    def free_slot(self, row: Appointment) -> None:
        if row.time.slot is not None:
            row.time.slot.status = "available"

    def owe(self, payment: Payment, reason: str, at_most: int | None = None) -> None:
        amount = self.balance(payment)
        amount = amount if at_most is None else min(amount, at_most)
        if amount > 0:
            self.refunds.append(Refund(payment, amount, reason))
            self.announce("refund_due", payment, amount=amount, reason=reason)

    def expire(self, row: Appointment) -> None:
        row.status, row.canceled_at = "canceled", self.now
        self.free_slot(row)
        for payment in self.payments:
            if payment.appointment is row and payment.status == "succeeded":
                self.owe(payment, "time_gone")
        self.announce("hold_expired", row)

    def add_appointment(self, row: Appointment) -> None:
        for other in list(self.overlapping(row.time)):
            self.expire(other)
        if row.time.slot is not None:
            row.time.slot.status = "reserved"
        self.appointments.append(row)

    def mark_confirmed(self, row: Appointment) -> None:
        row.status = "confirmed"
        self.announce("appointment_confirmed", row)
        self.track("booking_confirmed", row.time.start)

    # -- booking --------------------------------------------------------------------------------

    def book(
        self,
        *,
        request: str,
        service: Any,
        slot: Any,
        start: datetime | None,
        person: Any,
        lead: Any,
        zone: str,
        format: str,
        override: bool = False,
    ) -> Appointment:
        if start is not None and start.tzinfo is None:
            raise Refusal("InvalidInput")
        for earlier in self.appointments:
            if earlier.request == request:
                same = (
                    (earlier.service, earlier.person, earlier.lead) == (service, person, lead)
                    and slot in (None, earlier.time.slot)
                    and start in (None, earlier.time.start)
                )
                if not same:
                    raise Refusal("IdempotencyConflict")
                return earlier
        # The service checks the slot for a blocking appointment first.
        refusals = {"SlotTaken" for row in self.appointments if self.keeps_slot(row, slot)}
        if person is None and lead is None:
            refusals.add("InvalidInput")
        if isinstance(person, Unknown) or isinstance(lead, Unknown):
            refusals.add("NotFound")
        if isinstance(person, Person) and person.status != "active":
            refusals.add("ClientUnavailable")
        if zone == "Mars/Olympus":
            refusals.add("ZoneUnknown")
        if isinstance(service, Unknown):
            raise Refusal("NotFound", *refusals)
        if service.status != "published":
            refusals.add("ServiceUnavailable")
        if format not in service.formats:
            refusals.add("FormatUnsuitable")
        time, about_time = self.requested_time(service, slot, start, override=override)
        refusals |= about_time
        if time is not None:
            if time.start <= self.now:
                refusals.add("StartInPast")
            if self.is_taken(time):
                refusals.add("SlotTaken")
        holds = [
            row
            for row in self.appointments
            if row.status == "pending_payment"
            and not row.has_expired_hold(self.now)
            and (row.lead is lead if person is None else row.person is person)
        ]
        if service.price and not override and len(holds) >= MAX_HOLDS:
            refusals.add("TooManyHolds")
        if refusals:
            raise Refusal(*refusals)
        is_free = service.price == 0
        row = Appointment(
            service=service,
            person=person,
            lead=lead,
            time=time,
            price=service.price,
            deposit=service.deposit,
            status="confirmed" if is_free else "pending_payment",
            request=request,
            hold=None if is_free else self.now + HOLD,
        )
        self.add_appointment(row)
        self.announce("appointment_booked", row)
        self.track("booking_slot_selected", time.start)
        if is_free:
            self.mark_confirmed(row)
        return row

    def expire_holds(self) -> int:
        stale = [row for row in self.appointments if row.has_expired_hold(self.now)]
        for row in stale:
            self.expire(row)
        return len(stale)

    def confirm(self, row: Appointment) -> None:
        """A payment confirms its appointment, so no appointment stays paid and unconfirmed."""
        if row.status != "confirmed":
            raise Refusal("TransitionRefused")

    def cancel(self, row: Appointment, *, by: str, reason: str | None) -> int:
        if by not in ("client", "provider") or reason == "nonsense":
            raise Refusal("InvalidInput")
        outcome = f"canceled_by_{by}"
        if row.status == "canceled" and row.outcome == outcome:
            return row.refund
        if row.status == "canceled" and row.outcome is None:
            # The hold expired: late payments are due back unless a new row took the time.
            return 0 if self.successor(row) else self.promised(row, "time_gone")
        if not row.is_blocking:
            raise Refusal("TransitionRefused")
        left = row.time.start - self.now
        if by == "client" and row.status == "confirmed" and left <= timedelta(0):
            raise Refusal("TooLateToCancel")
        paid = self.paid(row)
        row.refund = row.service.refund(paid, left) if by == "client" else paid
        row.status, row.outcome, row.canceled_at = "canceled", outcome, self.now
        self.free_slot(row)
        self.announce("appointment_canceled", row, amount=row.refund)
        self.refund_payments(row)
        self.track("appointment_outcome_recorded", outcome)
        return row.refund

    def refund_payments(self, row: Appointment) -> None:
        """Refund the latest payments first."""
        left = row.refund
        for payment in reversed(
            [p for p in self.payments_by_success if p in self.payments_of(row)]
        ):
            share = min(left, self.balance(payment))
            self.owe(payment, "canceled", at_most=share)
            left -= share

    def reschedule(
        self,
        row: Appointment,
        *,
        slot: Any,
        start: datetime | None,
        by: str,
        override: bool = False,
    ) -> Appointment:
        if by not in ("client", "provider") or (slot is None) == (start is None):
            raise Refusal("InvalidInput")
        if row.status == "rescheduled":
            moved = self.successor(row).time
            if moved.start == start or (slot is not None and moved.slot is slot):
                return self.successor(row)
            raise Refusal("TransitionRefused", "NotFound")
        service = row.service
        time, refusals = self.requested_time(service, slot, start, override=override, moved=row)
        if row.status != "confirmed":
            refusals.add("TransitionRefused")
        elif start == row.time.start or (
            time is not None
            and time.start == row.time.start
            and time.start > self.now
            and not refusals
        ):
            return row
        left = row.time.start - self.now
        if by == "client":
            hours = timedelta(hours=service.move_hours or 0)
            if left < hours or left <= timedelta(0):
                refusals.add("TooLateToReschedule")
            moves = sum(other.status == "rescheduled" for other in self.chain(row))
            if service.moves is not None and moves >= service.moves:
                refusals.add("RescheduledTooOften")
        if time is not None:
            if time.start <= self.now:
                refusals.add("StartInPast")
            if self.is_taken(time, ignoring=row):
                refusals.add("SlotTaken")
        if refusals:
            raise Refusal(*refusals)
        row.status = row.outcome = "rescheduled"
        moved = self.next_row(row, time)
        self.free_slot(row)
        self.add_appointment(moved)
        self.announce("appointment_rescheduled", row)
        self.track("appointment_outcome_recorded", "rescheduled")
        self.mark_confirmed(moved)
        return moved

    def next_row(self, row: Appointment, time: Time) -> Appointment:
        return Appointment(
            service=row.service,
            person=row.person,
            lead=row.lead,
            time=time,
            price=row.price,
            deposit=row.deposit,
            status="pending_payment",
            replaces=row,
        )

    def record_outcome(self, row: Appointment, *, outcome: str, reason: str | None) -> None:
        if outcome not in ("attended", "no_show") or reason == "nonsense":
            raise Refusal("InvalidInput")
        if (row.status, row.outcome) == ("completed", outcome):
            return
        if row.status != "confirmed":
            raise Refusal("TransitionRefused")
        if self.now < row.time.start:
            raise Refusal("OutcomeTooEarly")
        row.status, row.outcome = "completed", outcome
        self.announce("appointment_completed", row)
        self.track("appointment_outcome_recorded", outcome)

    # -- payment --------------------------------------------------------------------------------

    payments_by_success: list[Payment] = field(default_factory=list)

    def start(self, row: Appointment, *, purpose: str, key: str) -> Payment:
        if purpose not in ("deposit", "full"):
            raise Refusal("InvalidInput")
        for earlier in self.payments:
            if earlier.idempotency_key == key:
                if earlier.purpose != purpose or earlier not in self.payments_of(row):
                    raise Refusal("IdempotencyConflict")
                return earlier
        refusals = set()
        if row.has_expired_hold(self.now):
            refusals.add("HoldExpired")
        if not row.is_blocking:
            refusals.add("TransitionRefused")
        others, paid = self.payments_of(row), self.paid(row)
        if any(p.status == "pending" for p in others):
            refusals.add("PaymentInProgress")
        amount = (row.deposit or 0) if purpose == "deposit" else row.price - paid
        again = any(p.status == "succeeded" and p.purpose == purpose for p in others)
        if amount <= 0 or again or (purpose == "deposit" and paid):
            refusals.add("NothingToPay")
        if refusals:
            raise Refusal(*refusals)
        payment = Payment(self.chain(row)[0], key, purpose, amount)
        self.payments.append(payment)
        self.announce("payment_started", payment, amount=amount)
        self.track("payment_started", amount)
        return payment

    def attach(self, payment: Payment, provider_id: str) -> None:
        if payment.provider_id == provider_id:
            return
        if payment.provider_id or any(p.provider_id == provider_id for p in self.payments):
            raise Refusal("ProviderIdTaken")
        payment.provider_id = provider_id
        waiting = [
            d
            for d in self.deliveries
            if d.provider_id == provider_id and (not d.done or d.error == "unknown_payment")
        ]
        for delivery in sorted(waiting, key=lambda d: d.kind != "refund.succeeded"):
            self.apply(delivery, "canceled")

    def fail(self, payment: Payment, category: str) -> None:
        if category == "nonsense":
            raise Refusal("InvalidInput")
        if payment.status == "pending":
            self.close(payment, "failed", category)
        elif (payment.status, payment.category) != ("failed", category):
            raise Refusal("TransitionRefused")

    def close(self, payment: Payment, status: str, category: str) -> None:
        payment.status, payment.category = status, category
        self.announce("payment_failed", payment)
        self.track("payment_failed", category)

    def receive(
        self,
        *,
        kind: str,
        object_id: str | None,
        provider_id: str,
        amount: Any,
        currency: str,
        category: str,
    ) -> Delivery:
        if category == "nonsense":
            raise Refusal("InvalidInput")
        if kind == "Not A Kind" or currency == "roubles":
            raise Refusal("InvalidInput", "RuleBroken")
        delivery = Delivery(kind, object_id or provider_id, provider_id, amount, currency, self.now)
        for earlier in self.deliveries:
            if (earlier.kind, earlier.object_id) == (kind, delivery.object_id):
                if earlier.done or earlier.provider_id != provider_id:
                    return earlier
                earlier.amount, earlier.currency = amount, currency
                delivery = earlier
                break
        else:
            self.deliveries.append(delivery)
        self.apply(delivery, category)
        return delivery

    def process(self) -> None:
        """Process all waiting deliveries again."""
        for delivery in self.deliveries:
            if not delivery.done:
                self.apply(delivery, "canceled")

    def apply(self, delivery: Delivery, category: str) -> None:
        payment = next((p for p in self.payments if p.provider_id == delivery.provider_id), None)
        if payment is None:
            delivery.error = "unknown_payment"
            delivery.done = self.now >= delivery.received + TRIED_FOR
            return
        has_amount = delivery.kind in ("payment.succeeded", "payment.waiting_for_capture")
        fits = (delivery.amount, delivery.currency) == (payment.amount, "RUB")
        if delivery.kind == "refund.succeeded":
            has_amount, fits = True, self.can_be_returned(payment, delivery)
        if has_amount and not fits:
            if delivery.error != "amount_mismatch":
                self.announce("payment_amount_mismatch", delivery)
            delivery.error = "amount_mismatch"
            delivery.done = self.now >= delivery.received + TRIED_FOR
            return
        delivery.done, delivery.error = True, None
        match delivery.kind:
            case "payment.succeeded":
                self.succeed(payment)
            case "payment.canceled" if payment.status == "pending":
                self.close(payment, "canceled", category)
            case "payment.waiting_for_capture" if payment.status == "pending":
                self.announce("payment_to_capture", payment, amount=payment.amount)
            case "refund.succeeded":
                self.record_refund(payment, delivery)

    def can_be_returned(self, payment: Payment, delivery: Delivery) -> bool:
        returned = sum(
            r.amount for r in self.refunds if r.payment is payment and r.status == "succeeded"
        )
        return delivery.currency == "RUB" and 0 < delivery.amount <= payment.amount - returned

    def record_refund(self, payment: Payment, delivery: Delivery) -> None:
        amount = delivery.amount
        due = [r for r in self.refunds if r.payment is payment and r.status == "due"]
        refund = next((r for r in due if r.amount == amount), None)
        if refund is None:
            for other in due:
                other.status = "failed"
            refund = Refund(payment, amount, "by_hand")
            self.refunds.append(refund)
            rest = sum(other.amount for other in due) - amount
            if rest > 0:
                self.owe(payment, due[-1].reason, at_most=rest)
        refund.status, refund.provider_id = "succeeded", delivery.object_id
        self.announce("payment_refunded", payment, amount=amount)

    def succeed(self, payment: Payment) -> None:
        if payment.status == "succeeded":
            return
        if payment.status != "pending":
            self.owe(payment, "already_over")
            return
        payment.status = "succeeded"
        self.payments_by_success.append(payment)
        self.announce("payment_succeeded", payment, amount=payment.amount)
        last = self.chain(payment.appointment)[-1]
        if self.waits_for_money(last):
            return
        row = self.session_for_payment(last)
        if row is None:
            self.owe(payment, "time_gone")
            return
        self.track("booking_paid", payment.amount)
        if row.status == "paid":
            self.mark_confirmed(row)
        if self.paid(row) > row.price:
            self.owe(payment, "overpaid", at_most=self.paid(row) - row.price)

    def waits_for_money(self, row: Appointment) -> bool:
        if row.status != "pending_payment" or self.paid(row) >= self.agreed(row):
            return False
        if row.has_expired_hold(self.now):
            return row.time.start > self.now and not self.is_blocked(row.time)
        return True

    def session_for_payment(self, row: Appointment) -> Appointment | None:
        """Return the session that the payment pays for, if there is one."""
        if row.status in ("confirmed", "completed"):
            return row
        if row.has_expired_hold(self.now):
            # The client gets the same result whether or not the hold was swept.
            if row.time.start <= self.now or self.is_blocked(row.time):
                return self.expire_unpayable(row)
        elif row.status != "pending_payment":
            if row.outcome is not None or not self.can_reclaim(row):
                return None
            if self.paid(row) < self.agreed(row):
                return None
            again = self.next_row(row, self.agreed_time(row))
            self.add_appointment(again)
            row = again
        row.status = "paid"
        self.announce("appointment_paid", row)
        return row

    def expire_unpayable(self, row: Appointment) -> None:
        self.expire(row)

    def can_reclaim(self, row: Appointment) -> bool:
        time = self.agreed_time(row)
        return time.start > self.now and not self.is_taken(time)

    def agreed_time(self, row: Appointment) -> Time:
        """Return the agreed time, without its slot if that was moved or withdrawn since."""
        time, slot = row.time, row.time.slot
        if slot is None:
            return time
        if slot.start <= time.start and slot.end >= time.end and slot.status != "withdrawn":
            return time
        return Time(time.start, time.end, time.buffer, None)
