"""A failed test ends the processes that it has started.

Otherwise they would keep locks, and Python would warn of them in a later test, which then fails.
"""

from __future__ import annotations

import subprocess
import traceback
from collections.abc import Iterator

import pytest


class LeftProcesses:
    """Ends the processes in the variables of a test that fails."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Iterator[None]:
        try:
            return (yield)
        except BaseException as failure:
            for process in find_processes(failure):
                end(process)
            raise


def find_processes(failure: BaseException) -> Iterator[subprocess.Popen]:
    """Yield the processes in the variables of the failed calls, alone or in a list."""
    for frame, _line in traceback.walk_tb(failure.__traceback__):
        for value in frame.f_locals.values():
            for each in value if isinstance(value, list | tuple) else [value]:
                if isinstance(each, subprocess.Popen):
                    yield each


def end(process: subprocess.Popen) -> None:
    """Kill the process, wait for its end and close its pipes."""
    if process.returncode is None:
        process.kill()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
    process.wait()
