"""Runs the machines of tests/booking with fixed seeds; ``make soak`` runs more steps."""

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
from tests.booking.raw_sql_machine import RawSqlMachine
from tests.databases import Database
from tests.scale import scaled
from tests.services import committing

pytestmark = pytest.mark.slow

# Of 18 faults planted into booking/services, 10 were detected within this many steps, and one more
# within 4,500.
USUAL_STEPS = 2_000
STEPS = int(os.environ.get("MACHINE_STEPS") or scaled(USUAL_STEPS))
SEED = os.environ.get("MACHINE_SEED") or "2026"
FIRST_SEED = random.randrange(10**9) if SEED == "random" else int(SEED)

# One seed is about 800 steps; Hypothesis keeps them in memory.
BATCH = settings(
    max_examples=15,
    stateful_step_count=40,
    deadline=None,
    database=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)

# A run proves little unless it reaches all of these events and refusals. Row keys are random, and
# so are some steps: a run continues, up to five times as long, until it has reached them all.
REACHED = {
    *["appointment_booked", "appointment_confirmed", "appointment_canceled", "hold_expired"],
    *["appointment_rescheduled", "appointment_completed", "payment_succeeded", "payment_failed"],
    *["refund_due canceled", "refund_due time_gone", "refund_due already_over"],
    *["payment_refunded", "payment_amount_mismatch"],
    *["TimeNotOffered"],
    *["SlotTaken", "SlotUnsuitable", "StartInPast", "IdempotencyConflict", "NotFound"],
    *["ServiceUnavailable", "ClientUnavailable", "HoldExpired", "NothingToPay"],
    *["PaymentInProgress", "TransitionRefused", "TooLateToCancel", "TooLateToReschedule"],
    *["OutcomeTooEarly", "InvalidInput"],
}


@pytest.fixture
def database(fresh_database: Database, django_db_blocker: Any) -> Iterator[None]:
    """No transaction stays open, so that the rows of thousands of rollbacks can be vacuumed."""
    with committing(fresh_database, django_db_blocker):
        yield


@pytest.fixture
def print_line(capsys: pytest.CaptureFixture[str]) -> Any:
    def write(line: str) -> None:
        with capsys.disabled():
            print(f"\n{line}", end="", flush=True)

    return write


def run(machine: type[Machine], steps: int, print_line: Any, reach: Set[str] = frozenset()) -> None:
    """Run at least ``steps`` steps, in batches; print seed and progress before each batch.

    A run that has not reached all of ``reach`` by then takes up to five times as many steps.
    """
    machine.steps, machine.seen = 0, type(Machine.seen)()
    begin, number = time.monotonic(), FIRST_SEED
    while machine.steps < steps or (not reach <= machine.seen.keys() and machine.steps < 5 * steps):
        print_line(
            f"{machine.__name__}: {machine.steps:,} of {steps:,} steps, "
            f"{time.monotonic() - begin:.0f} s; next: SEED={number}"
        )
        batch = type(machine.__name__, (machine,), {})
        run_state_machine_as_test(seed(number)(batch), settings=BATCH)
        number += 1
    print_line(f"{machine.__name__}: {machine.steps:,} steps in {time.monotonic() - begin:.0f} s\n")


def test_sequence_of_service_calls_breaks_no_rule(database: None, print_line: Any) -> None:
    reach = REACHED if STEPS >= USUAL_STEPS else set()
    run(Booking, STEPS, print_line, reach)
    assert Booking.steps >= STEPS
    assert reach - Booking.seen.keys() == set()


def test_services_keep_the_rules_after_raw_sql_writes(database: None, print_line: Any) -> None:
    run(RawSqlMachine, STEPS // 5, print_line)
    assert RawSqlMachine.steps >= STEPS // 5
