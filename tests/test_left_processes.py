"""A failed test ends the processes that it has started."""

from __future__ import annotations

import pytest
from django.conf import settings

pytest_plugins = ["pytester"]

CONFTEST = """
from tests.left_processes import LeftProcesses

def pytest_configure(config):
    config.pluginmanager.register(LeftProcesses())
"""
TESTS = """
import gc, subprocess, sys

WAIT = [sys.executable, "-c", "input()"]  # until its standard input is closed
PIPES = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}

def start(): return subprocess.Popen(WAIT, **PIPES)

def test_one():
    process = start()
    assert False, f"pid {process.pid}"

def test_several():
    running = [start(), start()]
    assert False

def test_in_a_helper():
    def helper():
        process = start()
        raise SystemError
    helper()

def test_ended():
    process = start()
    process.kill()
    process.communicate()
    assert False

def test_later(): gc.collect()
"""


@pytest.mark.slow
def test_processes_of_a_failed_test_disturb_no_later_test(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python warns of a process that still runs, and the warning fails a later test."""
    monkeypatch.setenv("PYTHONPATH", str(settings.BASE_DIR))
    arguments = ["-W", "error", "-p", "no:django", "-p", "no:cacheprovider"]
    pytester.makepyfile(TESTS)
    without = pytester.runpytest_subprocess(*arguments)
    assert "ResourceWarning: subprocess" in without.stdout.str()
    pytester.makeconftest(CONFTEST)
    result = pytester.runpytest_subprocess(*arguments)
    result.assert_outcomes(failed=4, passed=1)
    assert "ResourceWarning" not in result.stdout.str()
