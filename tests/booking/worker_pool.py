"""Processes that call services on one database at once.

They are forked from a server that has loaded Django once; each has its own connection and random
generator. A killed process returns no answers, so then only the database is checked.

The tests do not depend on real time. Virtual time advances with the work, and a process is killed
while its transaction is open.
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
from identity.models import User
from tests.processes import HANG_TIMEOUT, eventually
from tests.scale import SCALE

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload([__name__])
# Finds the session of a process if its open transaction has written something.
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
        self.pipe, worker_end = CONTEXT.Pipe()
        self.process = CONTEXT.Process(target=_run, args=(worker_end, *self.again), daemon=True)
        self.process.start()
        worker_end.close()

    def has_ended(self, seconds: float = 0) -> bool:
        """Return whether ``work`` has returned within ``seconds``.

        Raises AssertionError with the traceback of a process that failed.
        """
        if self.answer is None:
            if not self.pipe.poll(seconds):
                return False
            self.answer = self.pipe.recv()
        _outcome, trace = self.answer
        assert trace is None, trace
        return True

    def result(self) -> Any:
        """Wait for the result. Raises AssertionError with the traceback of a failed process."""
        assert self.has_ended(HANG_TIMEOUT * max(1, SCALE)), "a process hangs"
        assert self.answer is not None
        return self.answer[0]

    def stop_while_writing(self, connection: psycopg.Connection) -> bool:
        """Stop the process if its open transaction has written; return whether it is stopped."""
        assert self.process.pid is not None
        process = psutil.Process(self.process.pid)
        process.suspend()
        assert eventually(lambda: process.status() == psutil.STATUS_STOPPED)
        if connection.execute(WRITING, [session_name(process.pid)]).fetchone() is not None:
            return True
        process.send_signal(signal.SIGCONT)
        return False

    def kill(self) -> Worker:
        """Kill the process without cleanup, and start another with the same work."""
        self.process.kill()
        self.leave()
        return Worker(*self.again)

    def leave(self) -> None:
        self.pipe.close()
        self.process.join()


def kill_one(workers: list[Worker], dice: random.Random, connection: psycopg.Connection) -> None:
    """Kill one of the workers in the middle of a transaction, and replace it.

    Some workers must be busy until this returns.
    """

    def is_killed() -> bool:
        for n in dice.sample(range(len(workers)), len(workers)):
            if not workers[n].has_ended() and workers[n].stop_while_writing(connection):
                workers[n] = workers[n].kill()
                return True
        return False

    assert eventually(is_killed)


@contextmanager
def running(workers: Sequence[Worker]) -> Iterator[list[Worker]]:
    """Yield the list of workers, which the block may change; kill them all at the end."""
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
        pipe.recv()  # wait for all workers; the connection stays as the last service left it
    except EOFError:
        connection.close()


def session_name(pid: int) -> str:
    """The application_name of a worker's session."""
    return f"worker-{pid}"


# -- shared state -------------------------------------------------------------------------------


@dataclass(frozen=True)
class SharedClock:
    """The same virtual time in every process: each round of each process advances it by ``step``.

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
class SharedData:
    """Keys of the rows that the processes work on; ``hours`` are starts of slots."""

    services: Sequence[UUID]
    clients: Sequence[UUID]
    slots: Sequence[UUID]
    hours: Sequence[datetime]
    clock: SharedClock
    by_slot: float = 1.0  # the share of requests for a slot, not for a start
    staff: UUID | None = None  # books and moves to times that are not offered

    @property
    def other_client(self) -> UUID:
        """A client that no first request names."""
        return UUID(int=0)


@dataclass
class Answers:
    """The results of the services that one process called."""

    seen: Counter = field(default_factory=Counter)
    booked: dict[str, UUID] = field(default_factory=dict)
    canceled: set[UUID] = field(default_factory=set)
    moved: dict[UUID, UUID] = field(default_factory=dict)
    outcomes: set[UUID] = field(default_factory=set)
    expired: int = 0
    written: int = 0  # rows by SQL alone


class Caller:
    """Calls random services. A Refused is an answer; any other exception ends the process."""

    def __init__(self, seed: int, data: SharedData) -> None:
        self.dice, self.data, self.answers = random.Random(seed), data, Answers()

    def call(self, service: Callable, /, *row: object, **wanted: object) -> Any:
        """Call a service and return its result or its refusal."""
        try:
            answer = service(*row, **wanted, clock=self.data.clock)
        except Refused as refusal:
            answer = refusal
        self.answers.seen[type(answer).__name__ if isinstance(answer, Refused) else "done"] += 1
        return answer

    # -- booking --------------------------------------------------------------------------------

    def book(self, request: str, **wanted: object) -> Any:
        """Book; once a request has an appointment, every repetition must return it."""
        first = self.answers.booked.get(request)
        answer = self.call(
            book_appointment,
            client_request_id=request,
            timezone="Europe/Moscow",
            format="online",
            **wanted,
            **self.by_staff(),
        )
        if first is None:
            if isinstance(answer, Appointment):
                self.answers.booked[request] = answer.pk
        else:
            assert isinstance(answer, Appointment), (request, first, answer)
            assert answer.pk == first, (request, first, answer.pk)
        return answer

    def book_for_another(self, request: str, **wanted: object) -> None:
        """Repeat the key of an answered request with other content; it must be refused."""
        known, self.answers.booked = self.answers.booked, {}
        answer = self.book(request, **wanted)
        self.answers.booked = known
        assert isinstance(answer, IdempotencyConflict), (request, answer)

    def cancel(self, row: Appointment) -> None:
        answer = self.call(cancel_appointment, row, by="client")
        # An expired hold stays expired, and its cancellation has no outcome.
        if isinstance(answer, Cancellation) and answer.appointment.outcome:
            self.answers.canceled.add(row.pk)

    def move(self, row: Appointment, **wanted: object) -> None:
        answer = self.call(reschedule_appointment, row, **wanted, **self.by_staff())
        # A move to the same time changes nothing.
        if isinstance(answer, Appointment) and answer.pk != row.pk:
            assert self.answers.moved.setdefault(row.pk, answer.pk) == answer.pk

    def by_staff(self) -> dict[str, object]:
        """Most calls override, so that they may take a time that is not offered."""
        if self.data.staff is None or self.dice.random() < 0.3:
            return {}
        return {"override": True, "actor": User.objects.get(pk=self.data.staff)}

    def random_appointment(self, **wanted: object) -> Appointment | None:
        return Appointment.objects.filter(**wanted).order_by("?").first()


def request_arguments(request: str, data: SharedData) -> dict[str, Any]:
    """Return the arguments of a request, the same in every process that makes it."""
    dice = random.Random(request)
    return {
        "service": dice.choice(data.services),
        "client": dice.choice(data.clients),
        **(
            {"slot": dice.choice(data.slots)}
            if dice.random() < data.by_slot
            else {"start": dice.choice(data.hours) + timedelta(minutes=dice.choice([0, 20, 30]))}
        ),
    }


def book_competing_requests(seed: int, rounds: int, data: SharedData, cancels: float) -> Answers:
    """Book, four processes each request; repeat and cancel some of the bookings."""
    caller = Caller(seed, data)
    answers, dice = caller.answers, caller.dice
    for n in range(rounds):
        request = f"visitor-{seed // 4}-{n}"
        answer = caller.book(request, **request_arguments(request, data))
        if answers.booked and dice.random() < 0.3:
            earlier = dice.choice(list(answers.booked))
            caller.book(earlier, **request_arguments(earlier, data))
            other = request_arguments(earlier, data) | {"client": data.other_client}
            caller.book_for_another(earlier, **other)
        if isinstance(answer, Appointment) and dice.random() < cancels:
            caller.cancel(answer)
    return answers


def book_beside_itself(request: str, data: SharedData, is_lost: bool) -> tuple[UUID, UUID]:
    """Book while the same request is answered in another thread. Returns the two answers.

    ``is_lost``: the other thread also cancels it, and another request takes the time.
    """
    twins: list[Appointment] = []

    def book(key: str, clock: Callable[[], datetime]) -> Appointment:
        return book_appointment(
            client_request_id=key,
            timezone="Europe/Moscow",
            format="online",
            clock=clock,
            **request_arguments(request, data),
        )

    def book_twin() -> None:
        twins.append(book(request, data.clock))
        if is_lost:
            cancel_appointment(twins[0], by="client")
            book("another-request", data.clock)
        connection.close()

    def clock() -> datetime:
        if not twins:
            with ThreadPoolExecutor(1) as thread:
                thread.submit(book_twin).result()
        return data.clock()

    return book(request, clock).pk, twins[0].pk


def call_random_services(seed: int, rounds: int, data: SharedData, stop: Any = None) -> Answers:
    """Call random services for at least ``rounds`` rounds, and until ``stop`` is set."""
    caller = Caller(seed, data)
    for n in itertools.count():
        if n >= rounds and (stop is None or stop.value):
            break
        caller.dice.choices(
            [book_some, move_some, cancel_some, pay_some, sweep, record_some, insert_hold],
            [30, 22, 9, 20, 5, 6, 8],
        )[0](caller, n)
        data.clock.count_round(seed)
    return caller.answers


def book_some(caller: Caller, n: int) -> None:
    request = f"visitor-{caller.dice.randrange(4)}-{n}"
    caller.book(request, **request_arguments(request, caller.data))


def move_some(caller: Caller, n: int) -> None:
    """Move to a slot, by some minutes, or to the time of another session."""
    row, other = (
        caller.random_appointment(status="confirmed"),
        caller.random_appointment(status="confirmed"),
    )
    if row is None or other is None:
        return
    match caller.dice.randrange(4):
        case 0:
            caller.move(row, slot=caller.dice.choice(caller.data.slots))
        case 1:
            minutes = caller.dice.choice([-20, -10, 10, 20, 30])
            caller.move(row, start=row.start_at_utc + timedelta(minutes=minutes))
        case 2:
            caller.move(row, start=caller.dice.choice(caller.data.hours))
        case 3:  # swap: this or another process moves the other session to the old time
            caller.move(row, start=other.start_at_utc)
            caller.move(other, start=row.start_at_utc)


def cancel_some(caller: Caller, n: int) -> None:
    status = caller.dice.choice(["pending_payment", "confirmed"])
    if (row := caller.random_appointment(status=status)) is not None:
        caller.cancel(row)


def pay_some(caller: Caller, n: int) -> None:
    """Start a payment, and mostly continue a random pending one."""
    status = caller.dice.choice(["pending_payment", "pending_payment", "confirmed"])
    if (row := caller.random_appointment(status=status)) is not None:
        caller.call(
            start_payment,
            appointment=row,
            purpose=caller.dice.choice(["deposit", "full"]),
            idempotency_key=f"{row.pk}-{caller.dice.randrange(2)}",
        )
    payment = Payment.objects.filter(status="pending").order_by("?").first()
    if payment is None or caller.dice.random() < 0.2:
        return
    key = f"provider-{payment.pk}"
    caller.call(attach_provider_id, payment, provider_payment_id=key)
    event = caller.dice.choice(["payment.succeeded"] * 4 + ["payment.canceled"])
    for _ in range(caller.dice.choice([1, 2])):
        caller.call(
            receive_webhook,
            event_type=event,
            provider_payment_id=key,
            amount=payment.amount,
            currency="RUB",
        )


def sweep(caller: Caller, n: int) -> None:
    caller.answers.expired += caller.call(expire_holds)


def record_some(caller: Caller, n: int) -> None:
    row = Appointment.objects.filter(status="confirmed").order_by("start_at_utc").first()
    if row is not None and not isinstance(
        caller.call(record_outcome, row, outcome="attended"), Refused
    ):
        caller.answers.outcomes.add(row.pk)


def insert_hold(caller: Caller, n: int) -> None:
    """Insert a hold without slot or request, by SQL alone."""
    start = caller.dice.choice(caller.data.hours)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO appointments (service_id, client_user_id, start_at_utc, end_at_utc, "
            "timezone, format, price_amount, hold_expires_at) "
            "VALUES (%s, %s, %s, %s, 'Europe/Moscow', 'online', 3000, %s) ON CONFLICT DO NOTHING",
            [
                caller.dice.choice(caller.data.services),
                caller.dice.choice(caller.data.clients),
                start,
                start + timedelta(minutes=caller.dice.choice([25, 50])),
                caller.data.clock() + timedelta(minutes=15),
            ],
        )
        caller.answers.written += cursor.rowcount


# -- payment ------------------------------------------------------------------------------------


def deliver(deliveries: Sequence[dict[str, str]], done: Any, enough: Any) -> None:
    """Deliver the webhooks of the provider, from number ``done`` on.

    A delivery that ``done`` does not count is repeated. After the last one all of them are
    repeated until ``enough`` is set.
    """
    while done.value < len(deliveries) or not enough.value:
        receive_webhook(**deliveries[done.value % len(deliveries)])
        done.value += 1


def replay(progress: Sequence[Any], stop: Any) -> None:
    """Process random waiting events as process_webhooks does; at the end all of them."""
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
class ScheduledCall:
    """A service call that happens once ``after`` deliveries are done."""

    after: int
    kind: str  # attach, cancel, book, sweep
    wanted: dict[str, Any]


def run_scheduled_calls(calls: Sequence[ScheduledCall], done: Any, progress: Sequence[Any]) -> None:
    while done.value < len(calls):
        planned = calls[done.value]
        while sum(value.value for value in progress) < planned.after:
            time.sleep(0.01)
        with suppress(Refused):
            SERVICES[planned.kind](**planned.wanted)
        done.value += 1


def attach(payment: UUID, key: str) -> None:
    attach_provider_id(Payment.objects.get(pk=payment), provider_payment_id=key)


def cancel(appointment: UUID) -> None:
    cancel_appointment(Appointment.objects.get(pk=appointment), by="client")


SERVICES: dict[str, Callable] = {
    "attach": attach,
    "cancel": cancel,
    "book": lambda **wanted: book_appointment(timezone="Europe/Moscow", format="online", **wanted),
    "sweep": lambda: expire_holds(),
}
