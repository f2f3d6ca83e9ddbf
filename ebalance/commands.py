"""What commands that take long have in common: they stop between two steps, show how far they have
come, and are told numbers.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import time
from collections.abc import Callable, Iterator
from threading import Event

from django.core.management.base import CommandError
from tqdm import tqdm

SHOWN = 50  # of what is named one by one; the others are counted
LINE_EVERY = 5.0  # seconds, where nobody watches a bar


class StopSignals:
    """Ctrl-C and SIGTERM are heard after the batch; a second one ends the process at once."""

    numbers = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.asked = Event()
        self.number = 0

    def __enter__(self) -> StopSignals:
        self.before = {number: signal.signal(number, self._hear) for number in self.numbers}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _hear(self, number: int, _frame: object) -> None:
        self.number = number
        self.asked.set()
        signal.signal(number, signal.SIG_DFL)


@contextlib.contextmanager
def progress(table: str, remaining: int, done: int = 0) -> Iterator[Callable[[int], object]]:
    """A bar for whoever watches; elsewhere a line now and then."""
    watched = sys.stderr.isatty()
    with tqdm(
        desc=table, total=done + remaining, initial=done, unit=" rows", disable=not watched
    ) as bar:
        yield bar.update if watched else _lines(table, done + remaining, done)


def _lines(table: str, total: int, done: int) -> Callable[[int], None]:
    said = time.monotonic()

    def tick(moved: int) -> None:
        nonlocal done, said
        done += moved
        if time.monotonic() - said >= LINE_EVERY:
            said = time.monotonic()
            print(f"{table}: {done:,} of {rows_said(total)}", file=sys.stderr, flush=True)

    return tick


def rows_said(number: int) -> str:
    return f"{number:,} row{'' if number == 1 else 's'}"


def whole_number(
    text: str, thing: str, *, of: str, least: int = 1, most: int | None = None, returncode: int = 1
) -> int:
    """The argument as a number. Raises CommandError, which says what it may be."""
    number = int(text[:10]) if text.isdecimal() else -1
    if number < least or (most is not None and number > most):
        bounds = f", {least} or more" if most is None else f" from {least} to {most:,}"
        raise CommandError(
            f"{text[:20]!r} is no {thing}: a number of {of}{bounds}.", returncode=returncode
        )
    return number
