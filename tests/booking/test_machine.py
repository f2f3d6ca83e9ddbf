"""Many steps of tests/booking/machine.py, from the same seeds each time; more by ``make soak``."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator, Set
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.booking.machine import Booking, Machine
from tests.booking.raw_sql_machine import Meddling
from tests.databases import Database
from tests.scale import scaled
from tests.services import committing

pytestmark = pytest.mark.slow

# Of 18 faults that were planted into booking/verbs, 10 were found within so many steps, one more
# within 4,500.
USUAL_STEPS = 2_000
STEPS = int(os.environ.get("MACHINE_STEPS") or scaled(USUAL_STEPS))
SEED = os.environ.get("MACHINE_SEED") or "2026"
FIRST_SEED = random.randrange(10**9) if SEED == "random" else int(SEED)

# One seed is about 800 steps; Hypothesis remembers them.
BATCH = settings(
    max_examples=15,
    stateful_step_count=40,
    deadline=None,
    database=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)

# The usual number of steps proves little unless it meets all of these. Row keys are random, and so
# are some steps: a run continues, up to five times as long, until it has met them all.
REACHED = {
    *["appointment_booked", "appointment_confirmed", "appointment_canceled", "hold_expired"],
    *["appointment_rescheduled", "appointment_completed", "payment_succeeded", "payment_failed"],
    *["refund_due canceled", "refund_due time_gone", "refund_due already_over"],
    *["payment_refunded", "payment_amount_mismatch"],
    *["SlotTaken", "SlotUnsuitable", "StartInPast", "IdempotencyConflict", "NotFound"],
    *["ServiceUnavailable", "ClientUnavailable", "HoldExpired", "NothingToPay"],
    *["PaymentInProgress", "TransitionRefused", "TooLateToCancel", "TooLateToReschedule"],
    *["OutcomeTooEarly", "InvalidInput"],
}


@pytest.fixture
def database(fresh_database: Database, django_db_blocker: Any) -> Iterator[None]:
    """Outside any transaction: thousands of rolled back ones are to be vacuumed."""
    with committing(fresh_database, django_db_blocker):
        yield


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Any:
    def write(line: str) -> None:
        with capsys.disabled():
            print(f"\n{line}", end="", flush=True)

    return write


def run(machine: type[Machine], steps: int, say: Any, reach: Set[str] = frozenset()) -> None:
    """Run at least ``steps`` steps, in batches; print seed and progress before each batch.

    A run that has not met all of ``reach`` by then takes up to five times as many steps.
    """
    machine.steps, machine.seen = 0, type(Machine.seen)()
    begin, number = time.monotonic(), FIRST_SEED
    while machine.steps < steps or (not reach <= machine.seen.keys() and machine.steps < 5 * steps):
        say(
            f"{machine.__name__}: {machine.steps:,} of {steps:,} steps, "
            f"{time.monotonic() - begin:.0f} s; next: SEED={number}"
        )
        batch = type(machine.__name__, (machine,), {})
        run_state_machine_as_test(seed(number)(batch), settings=BATCH)
        number += 1
    say(f"{machine.__name__}: {machine.steps:,} steps in {time.monotonic() - begin:.0f} s\n")


def test_no_sequence_of_verbs_breaks_a_rule(database: None, say: Any) -> None:
    reach = REACHED if STEPS >= USUAL_STEPS else set()
    run(Booking, STEPS, say, reach)
    assert Booking.steps >= STEPS
    assert reach - Booking.seen.keys() == set()


def test_verbs_refuse_what_strangers_have_left(database: None, say: Any) -> None:
    run(Meddling, STEPS // 5, say)
    assert Meddling.steps >= STEPS // 5
