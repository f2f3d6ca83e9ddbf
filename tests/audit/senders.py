"""Senders of the tests, named by their dotted path in processes of their own."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

from audit.models import OutboxEvent
from audit.services.senders import SendFailed


class Recorder:
    """Appends a line to RECORD_DIR/<pid> for each event: nanoseconds, row, event, number.

    One write with O_APPEND: what has been written stays when the process is killed. After
    RECORD_HALT lines a send returns only when the file RECORD_GATE is there.
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
    """Never returns, whatever it promised."""

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
