"""Senders of the tests, named by their dotted path in processes of their own."""

from __future__ import annotations

import os
import time
from pathlib import Path

from audit.models import OutboxEvent
from audit.senders import SendFailed


class Recorder:
    """Appends a line to RECORD_DIR/<pid> for each event: nanoseconds, row, event, number.

    One write with O_APPEND: what has been written stays when the process is killed.
    """

    timeout = 0.2

    def __init__(self) -> None:
        path = Path(os.environ["RECORD_DIR"], str(os.getpid()))
        self.file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self.pause = float(os.environ.get("RECORD_PAUSE", "0"))

    def send(self, event: OutboxEvent) -> None:
        if self.pause:
            time.sleep(self.pause)
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC)  # one clock for all processes
        number = event.payload.get("n", 0)
        os.write(self.file, f"{now} {event.aggregate_id} {event.pk} {number}\n".encode())

    def close(self) -> None:
        os.close(self.file)


class Hanging(Recorder):
    """Returns long after it promised to."""

    def send(self, event: OutboxEvent) -> None:
        time.sleep(60)
        super().send(event)


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
