"""The check that a test of over a second carries the mark `slow`."""

from __future__ import annotations

import pytest
from django.conf import settings

from tests import duration_limit

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
"""
CLOCK = """
import builtins, time
import _pytest.timing
from tests import duration_limit

class Clock:
    ahead = 0.0
    def __init__(self): self.usual = time.perf_counter
    def advance(self, seconds): self.ahead += seconds
    def __call__(self): return self.usual() / 1000 + self.ahead

clock = builtins.clock = Clock()
duration_limit.time.perf_counter = _pytest.timing.perf_counter = clock
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
    result.assert_outcomes(failed=3, passed=3)
    for name in ("long_call", "long_with_its_fixture"):
        result.stdout.fnmatch_lines([f"*test_{name} took 1.? s*@pytest.mark.slow*"])


@pytest.mark.parametrize(
    ("times", "seconds"),
    [(0.5, 1), (1, 1), (3, 3), (10, 10)],
    ids=["fast machine", "reference machine", "busy machine", "slow machine"],
)
def test_limit_grows_with_the_yardstick(times: float, seconds: float) -> None:
    assert duration_limit.limit(times * duration_limit.YARDSTICK_SECONDS) == pytest.approx(
        seconds * duration_limit.LIMIT
    )


def test_yardstick_measures_time() -> None:
    assert duration_limit.yardstick() > 0
