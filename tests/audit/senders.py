"""Senders for tests that start processes, named by their dotted path."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

from audit.models import OutboxEvent
from audit.services.senders import SendFailed


class Recorder:
    """Appends a line to RECORD_DIR/<pid> for each event: nanoseconds, row, event, number.

    Each line is one write with O_APPEND, so it survives a kill of the process. After RECORD_HALT
    lines a send returns only once the file RECORD_GATE exists.
    """

    timeout = 0.2

    def __init__(self) -> None:
        path = Path(os.environ["RECORD_DIR"], str(os.getpid()))
        self.file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self.left = int(os.environ.get("RECORD_HALT", "-1"))
        self.gate = Path(os.environ.get("RECORD_GATE", "nowhere"))

    def send(self, event: OutboxEvent) -> None:
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC)  # one clock for all processes
        number = event.payload.get("n", 0)
        os.write(self.file, f"{now} {event.aggregate_id} {event.pk} {number}\n".encode())
        self.left -= 1
        while self.left == 0 and not self.gate.exists():
            time.sleep(0.01)

    def close(self) -> None:
        os.close(self.file)


class Hanging(Recorder):
    """A sender whose send never returns, despite its timeout."""

    def send(self, event: OutboxEvent) -> None:
        threading.Event().wait()


class Leaving(Recorder):
    def send(self, event: OutboxEvent) -> None:
        raise SystemExit(3)


class Refusing(Recorder):
    def send(self, event: OutboxEvent) -> None:
        raise SendFailed("http_500")


class WithoutClose:
    timeout = 1.0

    def send(self, event: OutboxEvent) -> None:
        raise AssertionError


class NeedsMore(Recorder):
    def __init__(self, more: str) -> None:
        super().__init__()
