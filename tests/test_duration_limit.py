"""The check that a test of more than a second carries the mark `slow`."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from django.conf import settings

from tests import duration_limit
from tests.duration_limit import Reading

pytest_plugins = ["pytester"]

TESTS = """
import pytest

@pytest.fixture(scope="module")
def shared():
    clock.advance(50)

@pytest.fixture
def own():
    clock.advance(0.6)

def test_quick(shared): pass
def test_long_call(): clock.advance(1.1)
def test_long_with_its_fixture(own): clock.advance(0.6)
def test_with_a_wider_fixture(shared, own): clock.advance(0.3)
@pytest.mark.slow
def test_marked(): clock.advance(60)
def test_broken(): clock.advance(60); assert False
def test_beside_another(): clock.advance(1.8, waiting=0.9)
def test_long_beside_another(): clock.advance(3, waiting=1)
def test_on_a_busy_machine(): clock.advance(60, waiting=31)
stalls = [5, 5, 0]
def test_beside_stalls(own): clock.advance(stalls.pop(0))
once = [5]
def test_that_cannot_be_repeated(): clock.advance(once.pop())
"""
CLOCK = """
import builtins, time
from tests import duration_limit
from tests.duration_limit import Reading

class Clock:
    ahead = waiting = 0.0
    def __init__(self): self.usual = time.perf_counter
    def advance(self, seconds, waiting=0):
        self.ahead += seconds
        self.waiting += waiting
        running = (self.ahead - self.waiting) * 1e9
        duration_limit.SCHEDSTAT.write_text(f"{running:.0f} {self.waiting * 1e9:.0f} 1")
    def __call__(self): return self.usual() / 1000 + self.ahead

clock = builtins.clock = Clock()
duration_limit.time.perf_counter = clock
duration_limit.SCHEDSTAT = duration_limit.Path("schedstat")
duration_limit.yardstick = lambda: duration_limit.YARDSTICK_SECONDS

def pytest_configure(config):
    config.pluginmanager.register(duration_limit.DurationLimit())
"""


@pytest.mark.slow
def test_unmarked_test_over_the_limit_fails(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(settings.BASE_DIR))
    pytester.makeconftest(CLOCK)
    pytester.makepyfile(TESTS)
    result = pytester.runpytest_subprocess("-p", "no:django", "-p", "no:cacheprovider")
    result.assert_outcomes(failed=5, passed=6)
    for name in ("long_call", "long_with_its_fixture", "long_beside_another"):
        result.stdout.fnmatch_lines([f"*test_{name} takes [12].? s*@pytest.mark.slow*"])


@pytest.mark.parametrize(
    ("taken", "slowness", "seconds"),
    [
        (Reading(3, 1, 0), 1, 3),
        (Reading(3, 1, 0), 0.5, 3),
        (Reading(3, 1, 0), 2, 1.5),
        (Reading(3, 1, 2), 1, 1),
        (Reading(3, 0.1, 0.2), 2, 0.5),
        (Reading(3, 0, 0), 1, 3),
    ],
    ids=["reference", "fast", "slow", "busy", "busy and slow", "no counters"],
)
def test_time_is_scaled_to_the_reference_machine(
    taken: Reading, slowness: float, seconds: float
) -> None:
    yardstick = slowness * duration_limit.YARDSTICK_SECONDS
    assert duration_limit.seconds_on_reference(taken, yardstick) == pytest.approx(seconds)


def test_busy_core_shows_as_contention() -> None:
    """With a child on the same core, each process waits while the other runs."""
    if not duration_limit.SCHEDSTAT.exists():
        assert Reading.take().waiting == 0
        return
    allowed = os.sched_getaffinity(0)
    child = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        os.sched_setaffinity(child.pid, {min(allowed)})
        os.sched_setaffinity(0, {min(allowed)})
        start = Reading.take()
        while (taken := Reading.take() - start).waiting < 0.01:
            pass
        assert taken.contention > 1
    finally:
        os.sched_setaffinity(0, allowed)
        child.kill()
        child.wait()


def test_yardstick_measures_time() -> None:
    assert duration_limit.yardstick() > 0
