"""Fails a test that takes over a second and does not carry the mark `slow`.

The second is one of the reference machine. After a test over the limit this plugin times a fixed
piece of work, the yardstick, and scales the limit by it, so that a slow or busy machine does not
fail a test that is fast elsewhere.

A test's time is its call and the setup of its own fixtures. Fixtures of a wider scope (the database
of a worker, the server of a module) do not count: which test pays for them depends on the order.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

LIMIT = 1.0  # seconds on the reference machine
YARDSTICK_SECONDS = 0.075  # the yardstick on the reference machine, idle
YARDSTICK_ROUNDS = 4_000_000


def yardstick() -> float:
    """Return the seconds that the fixed piece of work takes at present."""
    start = time.perf_counter()
    for _ in range(YARDSTICK_ROUNDS):
        pass
    return time.perf_counter() - start


def limit(yardstick_seconds: float) -> float:
    """Return the seconds that a test without the mark may take on a machine of this speed."""
    return LIMIT * max(1.0, yardstick_seconds / YARDSTICK_SECONDS)


class DurationLimit:
    """Measures each test and turns the report of one that is too long into a failure."""

    def __init__(self) -> None:
        self.shared = 0.0  # seconds of the current test in fixtures of a wider scope
        self.setup = 0.0
        self._depth = 0

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Iterator[None]:
        if fixturedef.scope == "function" or self._depth:
            return (yield)
        self._depth += 1
        start = time.perf_counter()
        try:
            return (yield)
        finally:
            self._depth -= 1
            self.shared += time.perf_counter() - start

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Iterator[pytest.TestReport]:
        report = yield
        if call.when == "setup":
            self.setup = call.duration
        elif call.when == "call":
            seconds = self.setup + call.duration - self.shared
            if report.passed and not item.get_closest_marker("slow") and seconds > LIMIT:
                self._check(report, seconds)
        else:
            self.shared = 0.0
        return report

    def _check(self, report: pytest.TestReport, seconds: float) -> None:
        allowed = limit(yardstick())
        if seconds > allowed:
            report.outcome = "failed"
            report.longrepr = (
                f"{report.nodeid} took {seconds:.1f} s, and a test without the mark `slow` may "
                f"take {allowed:.1f} s on this machine. Make it do less, or put "
                "@pytest.mark.slow above it."
            )
