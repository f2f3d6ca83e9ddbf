"""Helpers for tests that start programs."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
from django.conf import settings

ROOT = Path(settings.BASE_DIR)
# Seconds, to end a hang only: every wait takes a small part of it, on a busy machine too.
HANG_TIMEOUT = 300

# A shell that starts pytest in the background makes it ignore SIGINT, and the programs that tests
# start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def environment(**changes: str | None) -> dict[str, str]:
    """This process's environment with `changes`; None removes a variable.

    Without pytest's variables, so that a program does not take itself for a part of the test run.
    """
    result = {
        **{k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")},
        "PYTHONUNBUFFERED": "1",
        **{k: v for k, v in changes.items() if v is not None},
    }
    for name in (k for k, v in changes.items() if v is None):
        result.pop(name, None)
    return result


def manage(*arguments: str, **changes: str | None) -> subprocess.CompletedProcess[str]:
    """Run `manage.py` to its end."""
    return subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), *arguments],
        env=environment(**changes),
        cwd=ROOT,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=HANG_TIMEOUT,
    )


def processes_with_argument(text: str | Path) -> list[psutil.Process]:
    """Running processes with `text` in their command line."""
    processes = []
    for process in psutil.process_iter():
        try:
            if (
                str(text) in " ".join(process.cmdline())
                and process.status() != psutil.STATUS_ZOMBIE
            ):
                processes.append(process)
        except psutil.Error:
            continue
    return processes


def eventually(condition: Callable[[], object], seconds: float = HANG_TIMEOUT) -> bool:
    """Wait until `condition` is true; return False if it is not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


@contextlib.contextmanager
def closed_port() -> Iterator[int]:
    """A port that refuses connections: it is bound, and no process listens on it."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield int(taken.getsockname()[1])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
