"""Fails a test that takes over a second and does not carry the mark `slow`.

The second is one of the reference machine, idle. The measured time is divided by two numbers, so
that a busy or slow machine does not fail a test that is fast elsewhere:

* contention: how much longer the worker took because other processes had its core. The kernel
  counts the time that a thread waits for a core, so this is known for exactly the time of the test;
* slowness: the processor time of a fixed piece of work, the yardstick, against the reference.

Under heavy contention the division is too rough, and the test is not judged. The counters miss the
contention of the server's processes and a stalled disk. So a test over the limit is repeated at
once, and it fails only if each repetition is over the limit too.

A test's time is its call and the setup of its own fixtures. Fixtures of a wider scope (the database
of a worker, the server of a module) do not count: which test pays for them depends on the order.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from _pytest.runner import runtestprotocol  # pytest has no public function that repeats a test

LIMIT = 1.0  # seconds
MOST_CONTENTION = 2.0  # beyond it a test is not judged
REPETITIONS = 2  # of a test over the limit, before it fails
YARDSTICK_SECONDS = 0.075  # on the reference machine
YARDSTICK_ROUNDS = 4_000_000
SCHEDSTAT = Path("/proc/self/schedstat")  # Linux: nanoseconds on a core, and waiting for one


def yardstick() -> float:
    """Return the seconds of processor time that the fixed piece of work takes."""
    start = time.process_time()
    for _ in range(YARDSTICK_ROUNDS):
        pass
    return time.process_time() - start


@dataclass(frozen=True)
class Reading:
    """Seconds by the clock, on a core, and waiting for a core."""

    passed: float
    running: float
    waiting: float

    @classmethod
    def take(cls) -> Reading:
        try:
            running, waiting = map(int, SCHEDSTAT.read_text().split()[:2])
        except (OSError, ValueError):  # not Linux, or without these counters
            running, waiting = 0, 0
        return cls(time.perf_counter(), running / 1e9, waiting / 1e9)

    def __sub__(self, other: Reading) -> Reading:
        return Reading(
            self.passed - other.passed, self.running - other.running, self.waiting - other.waiting
        )

    def __add__(self, other: Reading) -> Reading:
        return Reading(
            self.passed + other.passed, self.running + other.running, self.waiting + other.waiting
        )

    @property
    def contention(self) -> float:
        return 1 + self.waiting / self.running if self.running > 0 else 1.0


NOTHING = Reading(0, 0, 0)


def seconds_on_reference(taken: Reading, yardstick_seconds: float) -> float:
    """Return the seconds that a test would take on the reference machine, idle."""
    slowness = max(1.0, yardstick_seconds / YARDSTICK_SECONDS)
    return taken.passed / taken.contention / slowness


class DurationLimit:
    """Measures each test, repeats one that is too long, and fails it if it stays too long."""

    def __init__(self) -> None:
        self.taken = NOTHING
        self._depth = 0

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool:
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        for _ in range(1 + REPETITIONS):
            reports = runtestprotocol(item, log=False, nextitem=nextitem)
            if not (sentence := self._sentence(item, reports)):
                break
        for report in reports:
            if sentence and report.when == "call":
                report.outcome, report.longrepr = "failed", sentence
            item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    def _sentence(self, item: pytest.Item, reports: list[pytest.TestReport]) -> str:
        """Return the failure of the test just run if it passed and was too long, else ''."""
        if (
            item.get_closest_marker("slow")
            or not all(report.passed for report in reports)
            or self.taken.passed <= LIMIT
            or self.taken.contention > MOST_CONTENTION
        ):
            return ""
        seconds = seconds_on_reference(self.taken, yardstick())
        if seconds <= LIMIT:
            return ""
        return (
            f"{item.nodeid} takes {seconds:.1f} s (on the reference machine, idle; "
            f"{self.taken.passed:.1f} s in this run), and a test without the mark `slow` "
            f"may take {LIMIT:.0f} s. Make it do less, or put @pytest.mark.slow above it."
        )

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self) -> Iterator[None]:
        self.taken = NOTHING
        return (yield from self._measured())

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Iterator[None]:
        return (yield from self._measured())

    def _measured(self, sign: int = 1) -> Iterator[None]:
        start = Reading.take()
        try:
            return (yield)
        finally:
            taken = Reading.take() - start
            self.taken = self.taken + taken if sign > 0 else self.taken - taken

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Iterator[None]:
        if fixturedef.scope == "function" or self._depth:
            return (yield)
        self._depth += 1
        try:
            return (yield from self._measured(sign=-1))
        finally:
            self._depth -= 1
