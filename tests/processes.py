"""Helpers for tests that start programs."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
from django.conf import settings

ROOT = Path(settings.BASE_DIR)


def environment(**changes: str | None) -> dict[str, str]:
    """This process's environment with `changes`; None removes a variable."""
    result = {
        **os.environ,
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
        timeout=180,
    )


def processes_naming(text: str | Path) -> list[psutil.Process]:
    """Living processes with `text` in their command line."""
    found = []
    for process in psutil.process_iter():
        try:
            if (
                str(text) in " ".join(process.cmdline())
                and process.status() != psutil.STATUS_ZOMBIE
            ):
                found.append(process)
        except psutil.Error:
            continue
    return found


def eventually(condition: Callable[[], object], seconds: float = 30) -> bool:
    """True as soon as `condition` holds, False when it does not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
