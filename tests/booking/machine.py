"""Random sequences of service calls, checked by tests/booking/reference.py and invariants.py.

``Booking`` predicts every result; tests/booking/raw_sql_machine.py adds writes by raw SQL.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from typing import Any, ClassVar
from uuid import UUID, uuid4

import pytest
from django.db import connection, transaction
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from booking.models import Appointment, Payment, PaymentWebhookEvent
from booking.services import (
    attach_provider_id,
    book_appointment,
    cancel_appointment,
    confirm_appointment,
    expire_holds,
    fail_payment,
    process_webhook,
    receive_webhook,
    record_outcome,
    reschedule_appointment,
    start_payment,
)
from ebalance.services import Refused
from tests.booking import reference
from tests.booking.invariants import (
    Row,
    State,
    check_announcements,
    check_final_rows,
    check_leads,
    check_money,
    check_no_overlap,
    check_refund_events,
    check_slots,
    check_tracking,
    read_state,
)
from tests.booking.reference import Refusal, Unknown, World
from tests.factories import LeadFactory, ScheduleRuleFactory, ServiceFactory, UserFactory

MOSCOW = "Europe/Moscow"
MORNING = datetime(2031, 3, 3, 7, tzinfo=UTC)
TICK = timedelta(microseconds=1)  # no two steps have the same time


@dataclass(frozen=True)
class Move:
    """A method of a machine and its arguments."""

    name: str
    given: dict[str, Any]

    def __repr__(self) -> str:
        return (
            f"{self.name}({', '.join(f'{name}={value!r}' for name, value in self.given.items())})"
        )


def move[M: Callable[..., None]](
    *, weight: int = 1, needs: str | None = None, **arguments: st.SearchStrategy
) -> Callable[[M], M]:
    """Mark a method as a move, with its weight and the list of the world that must not be empty.

    One Hypothesis rule draws from all moves. With many rules Hypothesis would disable most of them
    in each sequence, and sequences of one or two services find few faults.
    """

    def mark(method: M) -> M:
        method.weight, method.needs = weight, needs
        method.moves = st.fixed_dictionaries(arguments).map(partial(Move, method.__name__))
        return method

    return mark


def possible_moves(machine: Machine) -> st.SearchStrategy[Move]:
    possible = [
        method.moves
        for method in machine.all_moves()
        if method.needs is None or getattr(machine.world, method.needs)
        for _ in range(method.weight)
    ]
    return st.sampled_from(possible).flatmap(lambda drawn: drawn)


ROW_NUMBER = st.integers(0, 11)  # picks a row, counted from the latest
MOSTLY = [True] * 29 + [False]


def mostly(good: Any, *others: Any) -> st.SearchStrategy:
    """Draw ``good`` 29 times in 30, else one of ``others``."""
    return st.sampled_from(MOSTLY).flatmap(
        lambda usual: st.just(good) if usual else st.sampled_from(others)
    )


# Minutes from the next half hour: close together, so that times collide; some far enough for a
# free cancellation, some in the past.
OFFSETS = st.sampled_from(
    [*range(0, 240, 30), *range(10, 130, 20), 360, 390, 24 * 60, 24 * 60 + 30, 72 * 60, -30, -90]
)
SLOT_CHANGES = ["blocked", "moved", "withdrawn"]
LIMITS = st.sampled_from(["hold", "start", "end", "free", "half", "move"])
KINDS = st.sampled_from(
    ["payment.succeeded"] * 8
    + ["payment.canceled", "payment.waiting_for_capture", "refund.succeeded", "payment.strange"] * 2
    + ["Not A Kind"]
)
CATEGORIES = mostly("timeout", "canceled", "insufficient_funds", "nonsense")
REASONS = mostly(None, "illness", "other", "nonsense")
FIRST_SERVICES = [
    {"price": 3000, "deposit": 1001, "free_hours": 24, "partial_hours": 6, "move_hours": 6},
    {"price": 2501, "deposit": None, "free_hours": 2, "move_hours": 1, "moves": 1},
    {"price": 0, "deposit": None, "moves": 2},
    {"price": 1000, "deposit": 1000, "free_hours": 0, "minutes": 10},
]


class Machine(RuleBasedStateMachine):
    """The calendar of one psychologist, in a transaction that is rolled back at the end."""

    kind: ClassVar[type[Machine]]  # the class that counts the steps
    steps: ClassVar[int] = 0
    seen: ClassVar[Counter[str]] = Counter()  # refusals and events, to check the coverage

    def __init__(self) -> None:
        super().__init__()
        self.outer = transaction.atomic()
        self.outer.__enter__()
        try:
            self.create_first_rows()
        except BaseException:
            self.teardown()
            raise

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.outer.__exit__(None, None, None)

    def create_first_rows(self) -> None:
        self.world = World(now=MORNING)
        self.number = itertools.count()
        self.handles: dict[UUID, Any] = {}  # as the caller got them; never refreshed
        for terms in FIRST_SERVICES:
            self.world.services.append(self.new_service(**terms))
        self.world.services[3].formats = ("online", "offline")
        self.save_service(self.world.services[3])
        self.persons = [reference.Person(UserFactory().pk) for _ in range(3)]
        self.persons[2].status = "blocked"
        self.save_person(self.persons[2])
        self.staff = UserFactory(role="owner")
        self.leads = [reference.Lead(LeadFactory().pk) for _ in range(2)]
        self.schedule_rule = ScheduleRuleFactory(service=None)
        for offset in (0, 60, 180, 24 * 60):
            self.add(None, offset, 60, 0 if offset else 10, by_rule=True)
        self.state = read_state()

    @classmethod
    @cache
    def all_moves(cls) -> list[Any]:
        methods = (getattr(cls, name) for name in sorted(dir(cls)))
        return [method for method in methods if hasattr(method, "moves")]

    @rule(move=st.runner().flatmap(possible_moves))
    def make_move(self, move: Move) -> None:
        getattr(self, move.name)(**move.given)

    def clock(self) -> datetime:
        return self.world.now

    # -- rows that staff write ------------------------------------------------------------------

    def new_service(self, *, minutes: int = 50, **terms: Any) -> reference.Service:
        service = reference.Service(uuid4(), minutes, **terms)
        service.key = ServiceFactory(published=True, **self.columns(service)).pk
        return service

    def columns(self, service: reference.Service) -> dict[str, Any]:
        return {
            "duration_minutes": service.minutes,
            "price_amount": service.price,
            "deposit_amount": service.deposit,
            "cancel_free_hours": service.free_hours,
            "cancel_partial_hours": service.partial_hours,
            "reschedule_min_hours": service.move_hours,
            "reschedule_max_count": service.moves,
            "format": "hybrid" if len(service.formats) == 2 else service.formats[0],
            "status": service.status,
        }

    def save_service(self, service: reference.Service) -> None:
        self.write("services", service.key, **self.columns(service))

    def save_person(self, person: reference.Person) -> None:
        self.write("users", person.key, status=person.status)

    def write(self, table: str, key: UUID, **values: Any) -> None:
        names = ", ".join(f"{name} = %s" for name in values)
        with connection.cursor() as cursor:
            cursor.execute(f"UPDATE {table} SET {names} WHERE id = %s", [*values.values(), key])

    def at(self, offset: int) -> datetime:
        """Return the time ``offset`` minutes after the next half hour."""
        hour = self.world.now.replace(minute=0, second=0, microsecond=0)
        base = hour + timedelta(minutes=30 if self.world.now.minute < 30 else 60)
        return base + timedelta(minutes=offset)

    def add(
        self,
        service: reference.Service | None,
        offset: int,
        minutes: int,
        buffer: int,
        *,
        by_rule: bool,
    ) -> None:
        start = self.at(offset)
        if any((s.service, s.start) == (service, start) for s in self.world.slots):
            return
        end = start + timedelta(minutes=minutes)
        slot = reference.Slot(uuid4(), service, start, end, buffer, by_rule)
        rule = self.schedule_rule.pk if by_rule else None
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO availability_slots (id, service_id, start_at_utc, end_at_utc, "
                "buffer_minutes, schedule_rule_id) VALUES (%s, %s, %s, %s, %s, %s)",
                [slot.key, service and service.key, slot.start, end, buffer, rule],
            )
        self.world.slots.append(slot)

    # -- one step -------------------------------------------------------------------------------

    @contextmanager
    def step(self) -> Iterator[None]:
        """Run one step, then check all invariants."""
        before = self.state
        self.world.now += TICK
        self.refused = False
        yield
        connection.check_constraints()  # the deferred constraints, as at commit
        self.state = read_state()
        if self.refused:
            assert self.state == before
        self.check(before)
        self.kind.steps += 1

    def refuse(self, refused: Refused) -> None:
        """Record a refusal. It has a sentence for people; step() checks that it wrote nothing."""
        assert refused.sentence
        self.refused = True
        self.kind.seen[type(refused).__name__] += 1

    def call_service(self, expected: Callable[[], Any], call: Callable[[], Any]) -> Any:
        raise NotImplementedError

    def check(self, before: State) -> None:
        raise NotImplementedError

    def pick(self, rows: list, n: int) -> Any:
        return rows[-1 - n % len(rows)]

    def handle(self, model: type, row: Any) -> Any:
        if row.key not in self.handles:
            self.handles[row.key] = model.objects.get(pk=row.key)
        return self.handles[row.key]

    def pick_appointment(self, n: int) -> Any:
        """Pick mostly a blocking appointment: few services accept the others."""
        return self.pick_mostly(self.world.appointments, lambda row: row.is_blocking, n)

    def pick_unpaid_appointment(self, n: int) -> Any:
        def can_pay(row: Any) -> bool:
            return row.status == "pending_payment" and not row.has_expired_hold(self.world.now)

        return self.pick_mostly(self.world.appointments, can_pay, n)

    def pick_mostly(self, rows: list, fits: Callable[[Any], bool], n: int) -> Any:
        """Pick mostly an appointment that fits; book a new one if there is none."""
        if n % 4 == 0:
            return self.pick(rows, n)
        if not any(map(fits, rows)):
            service = self.pick_paid_service(n)
            free = [s for s in self.world.slots if not self.world.is_taken(full_time(s))]
            if n % 2 and free:
                self.book_one(service, slot=self.pick(free, n))
            else:
                self.book_one(service, start=self.at(30 + 60 * n))
        return self.pick(list(filter(fits, rows)) or rows, n)

    def pick_payment(self, n: int) -> Any:
        """Pick mostly a pending payment."""
        pending = [p for p in self.world.payments if p.status == "pending"]
        return self.pick((n % 4 and pending) or self.world.payments, n)

    def pick_paid_service(self, n: int) -> Any:
        return self.pick(sorted(self.world.services, key=lambda s: s.price > 0), n % 3)

    def book(self, **given: Any) -> Any:
        return self.call_service(
            lambda: self.world.book(**given),
            lambda: book_appointment(
                client_request_id=given["request"],
                service=key(given["service"]),
                slot=key(given["slot"]),
                start=given["start"],
                client=key(given["person"]),
                lead=key(given["lead"]),
                timezone=given["zone"],
                format=given["format"],
                override=given["override"],
                actor=self.staff if given["override"] else None,
                clock=self.clock,
            ),
        )

    def pick_slot(self, n: int) -> Any:
        return self.pick([Unknown(uuid4()), *self.world.slots], n)

    @move(
        weight=4,
        n=ROW_NUMBER,
        how=st.sampled_from(["slot", "start"] * 20 + ["both", "neither", "naive", "unknown"]),
        slot=ROW_NUMBER,
        offset=OFFSETS,
        person=st.sampled_from([0] * 20 + [1] * 16 + [2, 2, "unknown", None]),
        lead=st.sampled_from([None] * 30 + [0, 0, 1, 1, 1, "unknown"]),
        zone=mostly(MOSCOW, "Asia/Tokyo", "Mars/Olympus"),
        format=mostly("online", "offline"),
        unknown_service=mostly(False, True),
        override=st.booleans(),
    )
    def books(
        self,
        n: int,
        how: str,
        slot: int,
        offset: int,
        person: Any,
        lead: Any,
        zone: str,
        format: str,
        unknown_service: bool,
        override: bool,
    ) -> None:
        start = self.at(offset)
        unknown = Unknown("0190a000-0000-7000-8000-000000000000")
        with self.step():
            self.book(
                request=f"request-{next(self.number)}",
                service=Unknown("nonsense")
                if unknown_service
                else self.pick(self.world.services, n),
                slot=unknown
                if how == "unknown"
                else self.pick_slot(slot)
                if how in ("slot", "both")
                else None,
                start={
                    "start": start,
                    "both": start,
                    "naive": start.replace(tzinfo=None),
                }.get(how),
                person=unknown if person == "unknown" else get_or_none(self.persons, person),
                lead=unknown if lead == "unknown" else get_or_none(self.leads, lead),
                zone=zone,
                format=format,
                override=override,
            )

    @move(
        weight=2,
        needs="appointments",
        n=ROW_NUMBER,
        change=st.sampled_from(["nothing"] * 4 + ["service", "start", "slot", "person", "lead"]),
        by=st.sampled_from(["start", "slot"]),
        m=ROW_NUMBER,
    )
    def books_again(self, n: int, change: str, by: str, m: int) -> None:
        requested = [row for row in self.world.appointments if row.request]
        row = self.pick(requested, n)
        by_slot = by == "slot" and row.time.slot is not None
        given = {
            "request": row.request,
            "service": row.service,
            "slot": row.time.slot if by_slot else None,
            "start": None if by_slot else row.time.start,
            "person": row.person,
            "lead": row.lead,
            "zone": MOSCOW,
            "format": "online",
            "override": True,
        }
        given |= {
            "nothing": {},
            "service": {"service": self.pick(self.world.services, m)},
            "start": {"start": self.at(15), "slot": None},
            "slot": {"slot": self.pick_slot(m), "start": None},
            "person": {"person": self.pick(self.persons, m)},
            "lead": {"lead": self.pick(self.leads, m)},
        }[change]
        with self.step():
            self.book(**given)

    @move()
    def holds_expire(self) -> None:
        with self.step():
            self.call_service(
                self.world.expire_holds,
                lambda: expire_holds(clock=self.clock),
            )

    @move(needs="appointments", n=ROW_NUMBER)
    def confirms(self, n: int) -> None:
        row = self.pick_appointment(n)
        handle = self.handle(Appointment, row)
        with self.step():
            self.call_service(
                lambda: self.world.confirm(row),
                lambda: confirm_appointment(handle, clock=self.clock),
            )

    @move(
        weight=2,
        needs="appointments",
        n=ROW_NUMBER,
        by=mostly("client", "provider", "cat"),
        reason=REASONS,
    )
    def cancels(self, n: int, by: str, reason: str | None) -> None:
        self.cancel(self.pick_appointment(n), by, reason)

    def cancel(self, row: Any, by: str, reason: str | None = None) -> None:
        handle = self.handle(Appointment, row)
        with self.step():
            self.call_service(
                lambda: self.world.cancel(row, by=by, reason=reason),
                lambda: (
                    cancel_appointment(
                        handle, by=by, reason_category=reason, clock=self.clock
                    ).refund_amount
                ),
            )

    @move(
        weight=3,
        needs="appointments",
        n=ROW_NUMBER,
        how=st.sampled_from(["slot", "start", "own"] * 6 + ["own slot", "both", "neither"]),
        slot=ROW_NUMBER,
        offset=OFFSETS,
        by=mostly("client", "provider", "provider", "cat"),
        override=st.booleans(),
    )
    def reschedules(
        self, n: int, how: str, slot: int, offset: int, by: str, override: bool
    ) -> None:
        row = self.pick_appointment(n)
        self.reschedule(
            row,
            slot=row.time.slot
            if how == "own slot"
            else self.pick_slot(slot)
            if how in ("slot", "both")
            else None,
            # "own" overlaps the old time.
            start=row.time.start + timedelta(minutes=10)
            if how == "own"
            else self.at(offset)
            if how in ("start", "both")
            else None,
            by=by,
            override=override,
        )

    def reschedule(
        self, row: Any, *, slot: Any, start: datetime | None, by: str, override: bool = True
    ) -> None:
        handle = self.handle(Appointment, row)
        with self.step():
            self.call_service(
                lambda: self.world.reschedule(
                    row, slot=slot, start=start, by=by, override=override
                ),
                lambda: reschedule_appointment(
                    handle,
                    slot=key(slot),
                    start=start,
                    by=by,
                    override=override,
                    actor=self.staff if override else None,
                    clock=self.clock,
                ),
            )

    @move(needs="appointments", n=ROW_NUMBER, by_slot=st.booleans())
    def reschedules_again(self, n: int, by_slot: bool) -> None:
        """Repeat a rescheduling, if there was one."""
        row = self.pick([r for r in self.world.appointments if r.replaces] or [None], n)
        if row is not None:
            slot = row.time.slot if by_slot else None
            start = row.time.start if slot is None else None
            self.reschedule(row.replaces, slot=slot, start=start, by="client")

    @move(
        needs="appointments",
        n=ROW_NUMBER,
        outcome=st.sampled_from(["attended", "no_show"] * 10 + ["asleep"]),
        reason=REASONS,
    )
    def records_outcome(self, n: int, outcome: str, reason: str | None) -> None:
        self.record_outcome(self.pick_appointment(n), outcome, reason)

    def record_outcome(self, row: Any, outcome: str, reason: str | None = None) -> None:
        handle = self.handle(Appointment, row)
        with self.step():
            self.call_service(
                lambda: self.world.record_outcome(row, outcome=outcome, reason=reason),
                lambda: record_outcome(
                    handle, outcome=outcome, reason_category=reason, clock=self.clock
                ),
            )

    # -- payment --------------------------------------------------------------------------------

    def start(self, row: Any, purpose: str, key: str) -> Any:
        return self.call_service(
            lambda: self.world.start(row, purpose=purpose, key=key),
            lambda: start_payment(
                appointment=row.key, purpose=purpose, idempotency_key=key, clock=self.clock
            ),
        )

    @move(
        weight=2,
        needs="appointments",
        n=st.integers(0, 3),
        purpose=st.sampled_from(["deposit", "full"] * 12 + ["tip"]),
        again=st.sampled_from([None] * 6 + [0, 1]),
    )
    def starts_payment(self, n: int, purpose: str, again: int | None) -> None:
        row = self.pick_appointment(n)
        if again is None or not self.world.payments:
            name = f"pay-{next(self.number)}"
        else:
            name = self.pick(self.world.payments, again).idempotency_key
        with self.step():
            self.start(row, purpose, name)

    def provider_id(self, payment: Any) -> str:
        return f"yk-{payment.idempotency_key}"

    @move(needs="payments", n=ROW_NUMBER, other=mostly(None, 0, 1, "strange"))
    def attaches(self, n: int, other: Any) -> None:
        payment = self.pick_payment(n)
        owner = payment if other in (None, "strange") else self.pick(self.world.payments, other)
        name = "strange" if other == "strange" else self.provider_id(owner)
        with self.step():
            self.attach(payment, name)

    def attach(self, payment: Any, name: str) -> None:
        handle = self.handle(Payment, payment)
        self.call_service(
            lambda: self.world.attach(payment, name),
            lambda: attach_provider_id(handle, provider_payment_id=name, clock=self.clock),
        )

    def receive(self, **given: Any) -> Any:
        return self.call_service(
            lambda: self.world.receive(**given),
            lambda: receive_webhook(
                event_type=given["kind"],
                provider_payment_id=given["provider_id"],
                amount=given["amount"],
                currency=given["currency"],
                object_id=given["object_id"],
                failure_category=given["category"],
                clock=self.clock,
            ),
        )

    @move(
        weight=2,
        needs="payments",
        n=ROW_NUMBER,
        kind=KINDS,
        amount=st.sampled_from(["right"] * 6 + ["half", "part", "more", "none"]),
        currency=mostly("RUB", "USD", "roubles"),
        category=CATEGORIES,
        refund=ROW_NUMBER,
        unknown=mostly(False, True),
    )
    def delivers(
        self,
        n: int,
        kind: str,
        amount: str,
        currency: str,
        category: str,
        refund: int,
        unknown: bool,
    ) -> None:
        self.deliver(self.pick_payment(n), kind, amount, currency, category, refund, unknown)

    def deliver(
        self,
        payment: Any,
        kind: str,
        amount: str,
        currency: str = "RUB",
        category: str = "timeout",
        refund: int = 0,
        unknown: bool = False,
    ) -> None:
        with self.step():
            self.receive(
                kind=kind,
                object_id=f"refund-{refund}" if kind == "refund.succeeded" else None,
                provider_id="never-heard-of" if unknown else self.provider_id(payment),
                amount={
                    "right": payment.amount,
                    "half": payment.amount // 2,
                    "part": 300,
                    "more": payment.amount + 1,
                    "none": 0,
                }[amount],
                currency=currency,
                category=category,
            )

    @move(
        needs="payments",
    )
    def processes_webhooks(self) -> None:
        with self.step():
            self.call_service(self.world.process, self.process)

    def process(self) -> None:
        for waiting in list(PaymentWebhookEvent.objects.waiting()):
            process_webhook(waiting, clock=self.clock)

    @move(needs="payments", n=ROW_NUMBER, category=CATEGORIES)
    def fails(self, n: int, category: str) -> None:
        self.fail(self.pick_payment(n), category)

    def fail(self, payment: Any, category: str) -> None:
        handle = self.handle(Payment, payment)
        with self.step():
            self.call_service(
                lambda: self.world.fail(payment, category),
                lambda: fail_payment(handle, category=category, clock=self.clock),
            )

    @move(
        weight=2, needs="appointments", n=ROW_NUMBER, purpose=st.sampled_from(["deposit", "full"])
    )
    def pays(self, n: int, purpose: str) -> None:
        """Start, attach and succeed in one move: few random sequences would do all three."""
        self.pay(self.pick_unpaid_appointment(n), purpose)

    @move(needs="appointments", n=ROW_NUMBER)
    def pays_the_rest(self, n: int) -> None:
        self.pay(self.pick_appointment(n), "full")

    @move(
        weight=4,
        needs="appointments",
        n=ROW_NUMBER,
        which=LIMITS,
        what=st.sampled_from(["cancel", "cancel", "move", "outcome", "start", "expire", "book"]),
        by=st.sampled_from(["client", "client", "provider"]),
    )
    def acts_at_limit(self, n: int, which: str, what: str, by: str) -> None:
        """Act at the exact time of a limit of an appointment."""
        row = self.pick_appointment(n)
        self.wait_for(row, which)
        match what:
            case "cancel":
                self.cancel(row, by)
            case "move":
                self.reschedule(row, slot=None, start=self.at(60 + 20 * n), by=by)
            case "outcome":
                self.record_outcome(row, "attended")
            case "start":
                self.start_and_attach(row, "full")
            case "expire":
                self.holds_expire()
            case "book":
                self.book_one(row.service, start=row.time.start)

    @move(
        weight=3,
        needs="appointments",
        n=ROW_NUMBER,
        purpose=st.sampled_from(["deposit", "full"]),
        minutes=st.sampled_from([1, 10, 16, 16, 16, 90]),
        swept=st.booleans(),
        other=st.sampled_from(
            ["nothing", "nothing", "booked", "canceled", "failed", *SLOT_CHANGES]
        ),
    )
    def pays_late(self, n: int, purpose: str, minutes: int, swept: bool, other: str) -> None:
        """Deliver the success of a payment late, after another change."""
        row = self.pick_unpaid_appointment(n)
        payment = self.start_and_attach(row, purpose)
        if payment is None:
            return
        self.time_passes(minutes)
        if swept:
            self.holds_expire()
        slot = row.time.slot
        match other:
            case "booked":
                self.book_one(row.service, start=row.time.start + timedelta(minutes=5))
            case "canceled":
                self.cancel(row, "client")
            case "failed":
                self.fail(payment, "timeout")
            case "blocked" if slot is not None:
                self.block_or_unblock(slot)
            case "moved" if slot is not None:
                self.move_slot(slot, 200)
            case "withdrawn" if slot is not None:
                self.withdraw_or_restore(slot)
        self.deliver_success(payment)

    @move(
        weight=2,
        needs="appointments",
        n=ROW_NUMBER,
        purpose=st.sampled_from(["deposit", "full"]),
        kind=KINDS,
        amount=st.sampled_from(["right", "half", "part", "more", "none"]),
        before=st.booleans(),
    )
    def provider_sends_another_webhook(
        self, n: int, purpose: str, kind: str, amount: str, before: bool
    ) -> None:
        """Deliver another webhook before or after the success of a payment."""
        payment = self.start_and_attach(self.pick_unpaid_appointment(n), purpose)
        if payment is None:
            return
        if not before:
            self.deliver_success(payment)
        self.deliver(payment, kind, amount)
        if before:
            self.deliver_success(payment)

    def pay(self, row: Any, purpose: str) -> None:
        if (payment := self.start_and_attach(row, purpose)) is not None:
            self.deliver_success(payment)

    def start_and_attach(self, row: Any, purpose: str) -> Any:
        known = len(self.world.payments)
        with self.step():
            self.start(row, purpose, f"pay-{next(self.number)}")
        if len(self.world.payments) == known:
            return None
        payment = self.world.payments[-1]
        with self.step():
            self.attach(payment, self.provider_id(payment))
        return payment

    def deliver_success(self, payment: Any) -> None:
        with self.step():
            self.receive(
                kind="payment.succeeded",
                object_id=None,
                provider_id=self.provider_id(payment),
                amount=payment.amount,
                currency="RUB",
                category="canceled",
            )

    def book_one(self, service: Any, *, slot: Any = None, start: datetime | None = None) -> None:
        with self.step():
            self.book(
                request=f"request-{next(self.number)}",
                service=service,
                slot=slot,
                start=start,
                person=self.persons[0],
                lead=None,
                zone=MOSCOW,
                format="online",
                override=True,
            )

    @initialize(
        services=st.lists(st.sampled_from([0, 1, 3, 0, 1, 2]), min_size=1, max_size=3),
        pays=st.sampled_from(["full", "deposit", None]),
        slot=st.integers(0, 3),
        offset=st.sampled_from([120, 48 * 60, 5]),
    )
    def first_bookings(self, services: list[int], pays: str | None, slot: int, offset: int) -> None:
        """Book one slot and some start times; pay for some of them."""
        for nth, n in enumerate(services):
            known = len(self.world.appointments)
            if nth:
                self.book_one(self.world.services[n], start=self.at(offset + 90 * nth))
            else:
                self.book_one(self.world.services[n], slot=self.world.slots[slot])
            if pays and len(self.world.appointments) > known:
                self.pay(self.world.appointments[-1], pays)

    # -- time, staff ----------------------------------------------------------------------------

    @move(minutes=st.sampled_from([1, 5, 5, 14, 15, 16, 30, 60, 180, 24 * 60]))
    def time_passes(self, minutes: int) -> None:
        with self.step():
            self.world.now += timedelta(minutes=minutes)

    @move(needs="appointments", n=ROW_NUMBER, which=LIMITS)
    def time_reaches_limit(self, n: int, which: str) -> None:
        self.wait_for(self.pick_appointment(n), which)

    def wait_for(self, row: Any, which: str) -> None:
        """Advance to the exact time of a limit, unless it has passed."""
        limits = {
            "hold": row.hold,
            "start": row.time.start,
            "end": row.time.end,
            "free": hours_before_start(row, row.service.free_hours),
            "half": hours_before_start(row, row.service.partial_hours),
            "move": hours_before_start(row, row.service.move_hours),
        }
        with self.step():
            if limits[which] is not None and limits[which] > self.world.now:
                self.world.now = limits[which] - TICK  # the next step is at the limit itself

    @move(
        n=st.sampled_from([None, None, 0, 1, 2, 3]),
        offset=OFFSETS,
        minutes=st.sampled_from([50, 60, 30, 90]),
        buffer=st.sampled_from([0, 10, 30]),
        by_rule=st.booleans(),
    )
    def slot_appears(
        self, n: int | None, offset: int, minutes: int, buffer: int, by_rule: bool
    ) -> None:
        """Staff or a generation adds a slot."""
        with self.step():
            service = get_or_none(self.world.services, n)
            self.add(service, offset, minutes, buffer, by_rule=by_rule)

    @move(needs="slots", n=ROW_NUMBER)
    def generation_withdraws_or_restores(self, n: int) -> None:
        self.withdraw_or_restore(self.pick(self.world.slots, n))

    def withdraw_or_restore(self, slot: Any) -> None:
        """Write as a generation does; tests/booking/test_withdrawn_slots.py runs generations."""
        other = {"available": "withdrawn", "withdrawn": "available"}.get(slot.status)
        with self.step():
            if other is not None and slot.by_rule:
                slot.status = other
                self.write("availability_slots", slot.key, status=other)
                self.kind.seen[f"slot {other}"] += 1

    @move(needs="slots", n=ROW_NUMBER)
    def staff_blocks_or_unblocks(self, n: int) -> None:
        self.block_or_unblock(self.pick(self.world.slots, n))

    def block_or_unblock(self, slot: Any) -> None:
        with self.step():
            if slot.status in ("reserved", "withdrawn"):
                return
            slot.status = "blocked" if slot.status == "available" else "available"
            self.write(
                "availability_slots",
                slot.key,
                status=slot.status,
                block_type="exception" if slot.status == "blocked" else None,
            )

    @move(needs="slots", n=ROW_NUMBER, minutes=st.sampled_from([7, 45]))
    def staff_moves_slot(self, n: int, minutes: int) -> None:
        self.move_slot(self.pick(self.world.slots, n), minutes)

    def move_slot(self, slot: Any, minutes: int) -> None:
        start = slot.start + timedelta(minutes=minutes)
        with self.step():
            if slot.status == "reserved" or any(
                (other.service, other.start) == (slot.service, start) for other in self.world.slots
            ):
                return
            slot.start, slot.end = start, slot.end + timedelta(minutes=minutes)
            self.write("availability_slots", slot.key, start_at_utc=slot.start, end_at_utc=slot.end)

    @move(
        weight=2,
        n=ROW_NUMBER,
        change=st.sampled_from(
            [
                {"price": 4000, "deposit": 500},
                {"price": 0, "deposit": None},
                {"price": 1999, "deposit": None},
                {"free_hours": None, "partial_hours": None},
                {"free_hours": 24, "partial_hours": 2},
                {"free_hours": 1, "partial_hours": 0},
                {"move_hours": None, "moves": None},
                {"move_hours": 2, "moves": 0},
                {"move_hours": 0, "moves": 3},
                {"minutes": 80},
                {"minutes": 50},
                {"status": "archived"},
                {"status": "published"},
            ]
        ),
    )
    def service_changes(self, n: int, change: Mapping[str, Any]) -> None:
        service = self.pick(self.world.services, n)
        new = self.columns(replace(service, **change))
        with self.step():
            is_sold = new["status"] == "published" and new["price_amount"]
            if is_sold and new["cancel_free_hours"] is None:
                return  # the database refuses it
            if (service.status, change.get("status")) == ("archived", "published"):
                self.write("services", service.key, status="draft")
            for name, value in change.items():
                setattr(service, name, value)
            self.save_service(service)

    @move(n=ROW_NUMBER)
    def staff_blocks_or_unblocks_client(self, n: int) -> None:
        person = self.pick(self.persons[1:], n)
        with self.step():
            person.status = "blocked" if person.status == "active" else "active"
            self.save_person(person)


def key(row: Any) -> Any:
    return None if row is None else row.key


def get_or_none(rows: list, n: int | None) -> Any:
    return None if n is None else rows[n]


def full_time(slot: reference.Slot) -> reference.Time:
    return reference.Time(slot.start, slot.end, slot.buffer, slot)


def hours_before_start(row: reference.Appointment, hours: int | None) -> datetime | None:
    return None if hours is None else row.time.start - timedelta(hours=hours)


class Booking(Machine):
    """Services, changes by staff, and time: the reference predicts every result."""

    def call_service(self, expected: Callable[[], Any], call: Callable[[], Any]) -> Any:
        try:
            answer = expected()
        except Refusal as refusal:
            self.check_refusal(refusal, call)
            return None
        given = call()
        if isinstance(answer, int):
            assert given == answer
        elif answer is not None:
            check_or_learn_key(answer, given)
        return answer

    def check_refusal(self, refusal: Refusal, call: Callable[[], Any]) -> None:
        with pytest.raises(Refused) as caught:
            call()
        classes = {cls.__name__ for cls in type(caught.value).__mro__}
        assert classes & refusal.refusals, (caught.value, refusal.refusals)
        self.refuse(caught.value)

    def check(self, before: State) -> None:
        state = self.state
        self.learn_keys()
        self.compare_rows()
        self.compare_events(before)
        check_no_overlap(state)
        check_slots(state)
        check_money(state)
        check_refund_events(state)
        check_final_rows(state, before)
        check_announcements(state)
        check_tracking(state)
        check_leads(state, before)

    def learn_keys(self) -> None:
        """Learn the keys of rows that no service has returned."""
        known = {row.key for row in self.world.appointments}
        for row in self.world.appointments:
            if row.key is None:
                (row.key,) = [
                    key
                    for key, stored in self.state["appointments"].items()
                    if key not in known and stored["rescheduled_from_id"] == row.replaces.key
                ]

    def compare_rows(self) -> None:
        """Compare the rows of the database with the reference."""
        state, world = self.state, self.world
        assert_rows_equal(
            state["appointments"],
            {
                row.key: {
                    "status": row.status,
                    "service_id": row.service.key,
                    "client_user_id": key(row.person),
                    "lead_id": key(row.lead),
                    "start_at_utc": row.time.start,
                    "end_at_utc": row.time.end,
                    "buffer_minutes": row.time.buffer,
                    "slot_id": key(row.time.slot),
                    "price_amount": row.price,
                    "deposit_amount": row.deposit,
                    "rescheduled_from_id": key(row.replaces),
                    "client_request_id": row.request,
                    "outcome": row.outcome,
                    "canceled_at": row.canceled_at,
                }
                for row in world.appointments
            },
        )
        for row in world.appointments:
            if row.status == "pending_payment":
                assert state["appointments"][row.key]["hold_expires_at"] == row.hold
        assert_rows_equal(
            state["payments"],
            {
                p.key: {
                    "appointment_id": p.appointment.key,
                    "idempotency_key": p.idempotency_key,
                    "purpose": p.purpose,
                    "amount": p.amount,
                    "status": p.status,
                    "provider_payment_id": p.provider_id,
                    "failure_category": p.category,
                }
                for p in world.payments
            },
        )
        assert sorted(
            (row["payment_id"], row["amount"], row["reason"], row["status"])
            for row in state["refunds"].values()
        ) == sorted((r.payment.key, r.amount, r.reason, r.status) for r in world.refunds)
        assert_rows_equal(
            state["availability_slots"],
            {
                slot.key: {
                    "status": slot.status,
                    "start_at_utc": slot.start,
                    "end_at_utc": slot.end,
                }
                for slot in world.slots
            },
        )
        assert_rows_equal(
            state["payment_webhook_events"],
            {
                d.key: {
                    "event_type": d.kind,
                    "provider_payment_id": d.provider_id,
                    "amount": d.amount,
                    "currency": d.currency,
                }
                for d in world.deliveries
            },
        )
        for d in world.deliveries:
            stored = state["payment_webhook_events"][d.key]
            assert (stored["processed_at"] is not None) == d.done, stored
            if not d.done:
                assert stored["last_error"] == d.error

    def compare_events(self, before: State) -> None:
        """Compare the outbox and tracking events of this step with the reference."""
        new = [
            row
            for key, row in self.state["outbox_events"].items()
            if key not in before["outbox_events"] and row["aggregate_type"] != "leads"
        ]
        published: dict[UUID, list] = defaultdict(list)
        expected: dict[UUID, list] = defaultdict(list)
        for row in new:
            payload = row["payload"]
            amount = payload.get("amount", payload.get("refund_amount"))
            reason = payload.get("reason")
            published[row["aggregate_id"]].append((row["event_type"], amount, reason))
            self.kind.seen[f"{row['event_type']} {reason}" if reason else row["event_type"]] += 1
        for event in self.world.announced:
            expected[event.about.key].append((event.event, event.amount, event.reason))
        assert published == expected
        tracked = Counter(
            (row["event_name"], distinguishing_property(row["properties"]))
            for key, row in self.state["analytics_events"].items()
            if key not in before["analytics_events"]
        )
        assert tracked == Counter((name, as_json(what)) for name, what in self.world.tracked)
        self.world.announced.clear()
        self.world.tracked.clear()


def check_or_learn_key(expected: Any, given: Any) -> None:
    """Check that the service returned the expected row; store the key of a new row."""
    if expected.key is None:
        expected.key = given.pk
    assert given.pk == expected.key


def assert_rows_equal(stored: Mapping[UUID, Row], expected: Mapping[UUID, Row]) -> None:
    assert stored.keys() == expected.keys()
    for row_key, columns in expected.items():
        row = stored[row_key]
        assert {name: row[name] for name in columns} == columns


def distinguishing_property(properties: Row) -> Any:
    """Return the property that distinguishes tracking events of one name."""
    for name in ("slot_start_at", "appointment_start_at", "failure_category", "amount", "outcome"):
        if name in properties:
            return properties[name]
    raise AssertionError(properties)


def as_json(value: Any) -> Any:
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else value


Booking.kind = Booking
