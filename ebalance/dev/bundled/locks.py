"""File locks beside the data folder. The kernel releases them when their process ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

type Name = Literal["users", "start", "supervisor"]


class Locks:
    def __init__(self, data_dir: Path, report: Callable[[str], None]) -> None:
        self.data_dir = data_dir
        self.report = report

    def open(self, name: Name) -> int:
        """The descriptor of the lock file; the lock is not taken yet."""
        path = self.data_dir.with_name(f"{self.data_dir.name}.{name}.lock")
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)

    @contextlib.contextmanager
    def exclusive(self, name: Name) -> Iterator[None]:
        """Hold the exclusive lock. Reports a wait of over a second."""
        descriptor = self.open(name)
        try:
            deadline = time.monotonic() + 1
            while not _try(descriptor, fcntl.LOCK_EX):
                if time.monotonic() > deadline:
                    self.report(
                        "Another command is starting or stopping the bundled PostgreSQL, "
                        "waiting for it …"
                    )
                    fcntl.flock(descriptor, fcntl.LOCK_EX)
                    break
                time.sleep(0.02)
            yield
        finally:
            os.close(descriptor)

    def is_free(self, name: Name, kind: int = fcntl.LOCK_EX) -> bool:
        descriptor = self.open(name)
        try:
            return _try(descriptor, kind)
        finally:
            os.close(descriptor)


def _try(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
