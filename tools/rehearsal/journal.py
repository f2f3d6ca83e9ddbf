"""The journal of a client process: a line of JSON for each operation.

A line is ``[began, ended, operation, outcome]``: seconds since 1970, and an outcome that is empty
for success. An outcome that begins with ``CACHED_PLAN`` is no failed query. The client of an
earlier release writes the same lines.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

CACHED_PLAN = "cached plan: "  # a prepared SELECT * after a change of its columns
PAUSE = 0.02  # seconds between two operations of a client
FLUSH_EVERY = 0.2  # seconds


class Journal:
    """Writes operations to ``path``. Use it in the main thread of a process, until SIGTERM."""

    def __init__(self, path: Path) -> None:
        self.file = path.open("w", encoding="utf-8")
        self.lock = threading.Lock()
        self.flushed = 0.0
        self.ended = threading.Event()
        self.parent = os.getppid()
        signal.signal(signal.SIGTERM, lambda *_: self.ended.set())
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its clients

    def is_open(self) -> bool:
        """Whether the client continues: it got no signal, and its parent lives."""
        return not self.ended.is_set() and os.getppid() == self.parent

    def run(self, operation: str, call: Callable[[], object], pause: float = PAUSE) -> bool:
        """Call ``call``, write its outcome, and pause. Returns whether it succeeded."""
        began, outcome = time.time(), ""
        try:
            call()
        except Exception as error:
            outcome = outcome_of(error)
        with self.lock:
            self.file.write(json.dumps([began, time.time(), operation, outcome]) + "\n")
            if time.time() > self.flushed + FLUSH_EVERY:
                self.file.flush()
                self.flushed = time.time()
        self.ended.wait(pause)
        return not outcome

    def close(self) -> None:
        self.file.close()


def outcome_of(error: Exception) -> str:
    text = str(error).strip().partition("\n")[0]
    if "cached plan must not change result type" in text:
        return f"{CACHED_PLAN}{text}"
    return f"{type(error).__name__}: {text}"
