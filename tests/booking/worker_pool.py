"""Many processes at work on one database, and what each of them does.

They are forked from a server that has loaded Django once; each has its own connection and dice.
A process that is killed has told nobody what it did: then only the database is asked.

No time of day decides what happens. Virtual time moves with the work, and a process is killed while
its transaction is open.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import random
import signal
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import django
import psutil
import psycopg
from django.apps import apps

if not apps.ready:
    django.setup()

from django.db import connection, connections

from booking.models import Appointment, Payment, PaymentWebhookEvent
from booking.services import (
    Cancellation,
    attach_provider_id,
    book_appointment,
    cancel_appointment,
    expire_holds,
    process_webhook,
    receive_webhook,
    record_outcome,
    reschedule_appointment,
    start_payment,
)
from ebalance.services import IdempotencyConflict, Refused
from ebalance.settings import database
from tests.processes import HANG_TIMEOUT, eventually
from tests.scale import SCALE

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload([__name__])
# The session of a process is within a transaction that has written something.
WRITING = """
SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name = %s
AND state = 'idle in transaction' AND backend_xid IS NOT NULL
"""


# -- processes ----------------------------------------------------------------------------------


class Worker:
    """A process that runs ``work``; ``result()`` is what it returned."""

    def __init__(self, url: str, work: Callable, *arguments: object) -> None:
        self.again = (url, work, *arguments)
        self.answer: tuple[Any, str | None] | None = None
        self.pipe, theirs = CONTEXT.Pipe()
        self.process = CONTEXT.Process(target=_run, args=(theirs, *self.again), daemon=True)
        self.process.start()
        theirs.close()

    def has_ended(self, seconds: float = 0) -> bool:
        """Whether ``work`` has returned, within so many seconds. Raises AssertionError with the
        traceback of a process that failed.
        """
        if self.answer is None:
            if not self.pipe.poll(seconds):
                return False
            self.answer = self.pipe.recv()
        _outcome, trace = self.answer
        assert trace is None, trace
        return True

    def result(self) -> Any:
        """Wait for it. Raises AssertionError with the traceback of a process that failed."""
        assert self.has_ended(HANG_TIMEOUT * max(1, SCALE)), "a process hangs"
        assert self.answer is not None
        return self.answer[0]

    def stops_while_writing(self, connection: psycopg.Connection) -> bool:
        """Whether the process is within a transaction that has written. If so it stays stopped."""
        assert self.process.pid is not None
        process = psutil.Process(self.process.pid)
        process.suspend()
        assert eventually(lambda: process.status() == psutil.STATUS_STOPPED)
        if connection.execute(WRITING, [session_name(process.pid)]).fetchone() is not None:
            return True
        process.send_signal(signal.SIGCONT)
        return False

    def kill(self) -> Worker:
        """End it as a power cut would, and start another in its place."""
        self.process.kill()
        self.leave()
        return Worker(*self.again)

    def leave(self) -> None:
        self.pipe.close()
        self.process.join()


def kill_one(workers: list[Worker], dice: random.Random, connection: psycopg.Connection) -> None:
    """Kill one of the workers in the middle of a transaction, and start another in its place.

    Some of them must have work until this returns.
    """

    def is_killed() -> bool:
        for n in dice.sample(range(len(workers)), len(workers)):
            if not workers[n].has_ended() and workers[n].stops_while_writing(connection):
                workers[n] = workers[n].kill()
                return True
        return False

    assert eventually(is_killed)


@contextmanager
def at_work(workers: Sequence[Worker]) -> Iterator[list[Worker]]:
    """The workers of a list that may change meanwhile; all have ended afterwards."""
    present = list(workers)
    try:
        yield present
    finally:
        for worker in present:
            worker.process.kill()
            worker.leave()


def _run(pipe: Any, url: str, work: Callable, *arguments: object) -> None:
    os.environ["DATABASE_URL"], os.environ["PGAPPNAME"] = url, session_name(os.getpid())
    connections.settings = connections.configure_settings({"default": database()})
    connections["default"] = connections.create_connection("default")
    try:
        pipe.send((work(*arguments), None))
    except BaseException:
        pipe.send((None, traceback.format_exc()))
    try:
        pipe.recv()  # until everybody is done: the connection stays as the last verb left it
    except EOFError:
        connection.close()


def session_name(pid: int) -> str:
    """The application_name of a worker's session."""
    return f"worker-{pid}"


# -- what all share -----------------------------------------------------------------------------


@dataclass(frozen=True)
class SharedClock:
    """The same virtual time in every process: each round of each process moves it by ``step``.

    ``rounds`` is a shared array with a number for each process. The clock stops after ``longest``.
    """

    begin: datetime
    step: timedelta = timedelta()
    longest: timedelta = timedelta()
    rounds: Sequence[int] = ()

    def __call__(self) -> datetime:
        return self.begin + min(sum(self.rounds) * self.step, self.longest)

    def count_round(self, process: int) -> None:
        self.rounds[process] += 1  # type: ignore[index]


@dataclass(frozen=True)
class Stage:
    """What there is to work on. Keys of rows; ``hours`` are starts of slots."""

    services: Sequence[UUID]
    clients: Sequence[UUID]
    slots: Sequence[UUID]
    hours: Sequence[datetime]
    clock: SharedClock
    by_slot: float = 1.0  # how often a request is for a slot, not for a start

    @property
    def stranger(self) -> UUID:
        """A client in whose name no request is made first."""
        return UUID(int=0)


@dataclass
class Told:
    """What the verbs answered to one process."""

    seen: Counter = field(default_factory=Counter)
    booked: dict[str, UUID] = field(default_factory=dict)
    canceled: set[UUID] = field(default_factory=set)
    moved: dict[UUID, UUID] = field(default_factory=dict)
    outcomes: set[UUID] = field(default_factory=set)
    expired: int = 0
    written: int = 0  # rows by SQL alone


class Visitor:
    """Works through verbs with dice. A Refused is an answer, anything else ends the process."""

    def __init__(self, seed: int, stage: Stage) -> None:
        self.dice, self.stage, self.told = random.Random(seed), stage, Told()

    def ask(self, call: Callable, /, *row: object, **wanted: object) -> Any:
        """What the call of a service returns, or the refusal."""
        try:
            answer = call(*row, **wanted, clock=self.stage.clock)
        except Refused as refusal:
            answer = refusal
        self.told.seen[type(answer).__name__ if isinstance(answer, Refused) else "done"] += 1
        return answer

    # -- booking --------------------------------------------------------------------------------

    def book(self, request: str, **wanted: object) -> Any:
        """One request. Once it has an appointment, that stays its answer."""
        first = self.told.booked.get(request)
        answer = self.ask(
            book_appointment,
            client_request_id=request,
            timezone="Europe/Moscow",
            format="online",
            **wanted,
        )
        if first is None:
            if isinstance(answer, Appointment):
                self.told.booked[request] = answer.pk
        else:
            assert isinstance(answer, Appointment), (request, first, answer)
            assert answer.pk == first, (request, first, answer.pk)
        return answer

    def book_for_another(self, request: str, **wanted: object) -> None:
        """The key of an answered request, with other content."""
        known, self.told.booked = self.told.booked, {}
        answer = self.book(request, **wanted)
        self.told.booked = known
        assert isinstance(answer, IdempotencyConflict), (request, answer)

    def cancel(self, row: Appointment) -> None:
        answer = self.ask(cancel_appointment, row, by="client")
        # A hold that ran out stays that, and the service says so.
        if isinstance(answer, Cancellation) and answer.appointment.outcome:
            self.told.canceled.add(row.pk)

    def move(self, row: Appointment, **wanted: object) -> None:
        answer = self.ask(reschedule_appointment, row, **wanted)
        if isinstance(answer, Appointment):
            assert self.told.moved.setdefault(row.pk, answer.pk) == answer.pk

    def one_of(self, **wanted: object) -> Appointment | None:
        return Appointment.objects.filter(**wanted).order_by("?").first()


def wanted_by(request: str, stage: Stage) -> dict[str, Any]:
    """What a request asks for: the same in every process that makes it."""
    dice = random.Random(request)
    return {
        "service": dice.choice(stage.services),
        "client": dice.choice(stage.clients),
        **(
            {"slot": dice.choice(stage.slots)}
            if dice.random() < stage.by_slot
            else {"start": dice.choice(stage.hours) + timedelta(minutes=dice.choice([0, 20, 30]))}
        ),
    }


def compete(seed: int, rounds: int, stage: Stage, cancels: float) -> Told:
    """Book, four processes each request; ask again for what was won; cancel some of it."""
    visitor = Visitor(seed, stage)
    told, dice = visitor.told, visitor.dice
    for n in range(rounds):
        request = f"visitor-{seed // 4}-{n}"
        answer = visitor.book(request, **wanted_by(request, stage))
        if told.booked and dice.random() < 0.3:
            earlier = dice.choice(list(told.booked))
            visitor.book(earlier, **wanted_by(earlier, stage))
            other = wanted_by(earlier, stage) | {"client": stage.stranger}
            visitor.book_for_another(earlier, **other)
        if isinstance(answer, Appointment) and dice.random() < cancels:
            visitor.cancel(answer)
    return told


def meet_itself(request: str, stage: Stage, gone: bool) -> tuple[UUID, UUID]:
    """A request whose twin is answered while it looks at the time; ``gone``: and given up again,
    and the time taken by somebody else. Returns the two answers.
    """
    twins: list[Appointment] = []

    def book(key: str, clock: Callable[[], datetime]) -> Appointment:
        return book_appointment(
            client_request_id=key,
            timezone="Europe/Moscow",
            format="online",
            clock=clock,
            **wanted_by(request, stage),
        )

    def elsewhere() -> None:
        twins.append(book(request, stage.clock))
        if gone:
            cancel_appointment(twins[0], by="client")
            book("somebody else", stage.clock)
        connection.close()

    def clock() -> datetime:
        if not twins:
            with ThreadPoolExecutor(1) as thread:
                thread.submit(elsewhere).result()
        return stage.clock()

    return book(request, clock).pk, twins[0].pk


def live(seed: int, rounds: int, stage: Stage, stop: Any = None) -> Told:
    """Whatever may happen to appointments, at random: so many rounds, and on until ``stop``."""
    visitor = Visitor(seed, stage)
    for n in itertools.count():
        if n >= rounds and (stop is None or stop.value):
            break
        visitor.dice.choices(
            [book_some, move_some, cancel_some, pay_some, sweep, record_some, write_some],
            [30, 22, 9, 20, 5, 6, 8],
        )[0](visitor, n)
        stage.clock.count_round(seed)
    return visitor.told


def book_some(visitor: Visitor, n: int) -> None:
    request = f"visitor-{visitor.dice.randrange(4)}-{n}"
    visitor.book(request, **wanted_by(request, visitor.stage))


def move_some(visitor: Visitor, n: int) -> None:
    """To a slot, into its own time, or to where another session is."""
    row, other = visitor.one_of(status="confirmed"), visitor.one_of(status="confirmed")
    if row is None or other is None:
        return
    match visitor.dice.randrange(4):
        case 0:
            visitor.move(row, slot=visitor.dice.choice(visitor.stage.slots))
        case 1:
            minutes = visitor.dice.choice([-20, -10, 10, 20, 30])
            visitor.move(row, start=row.start_at_utc + timedelta(minutes=minutes))
        case 2:
            visitor.move(row, start=visitor.dice.choice(visitor.stage.hours))
        case 3:  # crosswise: the other one is moved here by somebody else, or by us
            visitor.move(row, start=other.start_at_utc)
            visitor.move(other, start=row.start_at_utc)


def cancel_some(visitor: Visitor, n: int) -> None:
    status = visitor.dice.choice(["pending_payment", "confirmed"])
    if (row := visitor.one_of(status=status)) is not None:
        visitor.cancel(row)


def pay_some(visitor: Visitor, n: int) -> None:
    """Start a payment, sometimes leaving it to others to go on with; or go on with any."""
    status = visitor.dice.choice(["pending_payment", "pending_payment", "confirmed"])
    if (row := visitor.one_of(status=status)) is not None:
        visitor.ask(
            start_payment,
            appointment=row,
            purpose=visitor.dice.choice(["deposit", "full"]),
            idempotency_key=f"{row.pk}-{visitor.dice.randrange(2)}",
        )
    payment = Payment.objects.filter(status="pending").order_by("?").first()
    if payment is None or visitor.dice.random() < 0.2:
        return
    key = f"provider-{payment.pk}"
    visitor.ask(attach_provider_id, payment, provider_payment_id=key)
    event = visitor.dice.choice(["payment.succeeded"] * 4 + ["payment.canceled"])
    for _ in range(visitor.dice.choice([1, 2])):
        visitor.ask(
            receive_webhook,
            event_type=event,
            provider_payment_id=key,
            amount=payment.amount,
            currency="RUB",
        )


def sweep(visitor: Visitor, n: int) -> None:
    visitor.told.expired += visitor.ask(expire_holds)


def record_some(visitor: Visitor, n: int) -> None:
    row = Appointment.objects.filter(status="confirmed").order_by("start_at_utc").first()
    if row is not None and not isinstance(
        visitor.ask(record_outcome, row, outcome="attended"), Refused
    ):
        visitor.told.outcomes.add(row.pk)


def write_some(visitor: Visitor, n: int) -> None:
    """As a stranger would: by SQL alone, a hold without slot or request."""
    start = visitor.dice.choice(visitor.stage.hours)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO appointments (service_id, client_user_id, start_at_utc, end_at_utc, "
            "timezone, format, price_amount, hold_expires_at) "
            "VALUES (%s, %s, %s, %s, 'Europe/Moscow', 'online', 3000, %s) ON CONFLICT DO NOTHING",
            [
                visitor.dice.choice(visitor.stage.services),
                visitor.dice.choice(visitor.stage.clients),
                start,
                start + timedelta(minutes=visitor.dice.choice([25, 50])),
                visitor.stage.clock() + timedelta(minutes=15),
            ],
        )
        visitor.told.written += cursor.rowcount


# -- payment ------------------------------------------------------------------------------------


def deliver(deliveries: Sequence[dict[str, str]], done: Any, enough: Any) -> None:
    """Deliver what the provider sends. A delivery missing in ``done`` is repeated; after
    the last one all of them come again until it is ``enough``.
    """
    while done.value < len(deliveries) or not enough.value:
        receive_webhook(**deliveries[done.value % len(deliveries)])
        done.value += 1


def replay(progress: Sequence[Any], stop: Any) -> None:
    """As process_webhooks does: some of what waits, again and again; in the end all of it."""
    dice, events = random.Random(0), PaymentWebhookEvent.objects
    while not stop.value:
        waiting = list(events.waiting())
        for key in dice.sample(waiting, min(20, len(waiting))):
            process_webhook(key)
        enough = sum(value.value for value in progress) + 50
        while sum(value.value for value in progress) < enough and not stop.value:
            time.sleep(0.01)
    for key in events.waiting():
        process_webhook(key)


@dataclass(frozen=True)
class Act:
    """What somebody does once so many deliveries are done."""

    after: int
    kind: str  # attach, cancel, book, sweep
    wanted: dict[str, Any]


def act(acts: Sequence[Act], done: Any, progress: Sequence[Any]) -> None:
    while done.value < len(acts):
        what = acts[done.value]
        while sum(value.value for value in progress) < what.after:
            time.sleep(0.01)
        with suppress(Refused):
            ACTS[what.kind](**what.wanted)
        done.value += 1


def attach(payment: UUID, key: str) -> None:
    attach_provider_id(Payment.objects.get(pk=payment), provider_payment_id=key)


def cancel(appointment: UUID) -> None:
    cancel_appointment(Appointment.objects.get(pk=appointment), by="client")


ACTS: dict[str, Callable] = {
    "attach": attach,
    "cancel": cancel,
    "book": lambda **wanted: book_appointment(timezone="Europe/Moscow", format="online", **wanted),
    "sweep": lambda: expire_holds(),
}
