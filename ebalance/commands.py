"""Shared parts of the commands that an operator or cron runs.

They check their numbers, show their progress, stop between two steps, and report rows that could
not be written. Imports only ``ebalance.failures``.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import KW_ONLY, dataclass
from threading import Event
from typing import Any

import psycopg
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError
from tqdm import tqdm

from .failures import reason_of

LARGEST_BATCH = 10_000  # rows
LONGEST_PAUSE = 60_000  # milliseconds
SKIPPED = "skipped"  # the outcome of a row that could not be written
SHOWN = 50  # items that are listed one by one; the others are counted
LINE_EVERY = 5.0  # seconds, where no terminal shows a bar


@dataclass(frozen=True)
class Number:
    """An option that takes a whole number. Without a default, its value may be None."""

    name: str
    of: str  # what is counted
    default: int | None = None
    _: KW_ONLY
    help: str
    least: int = 1
    most: int | None = None
    metavar: str = ""


class OperatorCommand(BaseCommand):
    """A command whose options ``numbers`` reach ``handle()`` as integers within their bounds.

    ``dry_run`` is the help text of ``--dry-run``; without it there is no such option.
    ``wrong_number`` is the exit code for a number out of bounds.
    """

    requires_system_checks: list[str] = []
    numbers: tuple[Number, ...] = ()
    dry_run = ""
    wrong_number = 1

    def add_arguments(self, parser: CommandParser) -> None:
        if self.dry_run:
            parser.add_argument("--dry-run", action="store_true", help=self.dry_run)
        for number in self.numbers:
            default = None if number.default is None else str(number.default)
            metavar = number.metavar or number.of.upper()
            parser.add_argument(
                f"--{number.name}", default=default, metavar=metavar, help=number.help
            )

    def execute(self, *args: Any, **options: Any) -> str | None:
        for number in self.numbers:
            key = number.name.replace("-", "_")
            if (text := options[key]) is not None:
                options[key] = whole_number(
                    text,
                    number.name,
                    of=number.of,
                    least=number.least,
                    most=number.most,
                    returncode=self.wrong_number,
                )
        return super().execute(*args, **options)

    def work_off[Key](
        self,
        keys: Iterable[Key],
        work: Callable[[Key], str],
        *,
        table: str,
        total: int,
        failures: Mapping[str, str],
    ) -> Counter[str]:
        """Call ``work`` for each key until a signal stops it; counts the outcomes it returns.

        ``failures`` are sentences about the outcomes that are listed key by key. An error of
        ``work`` that concerns its row alone has the outcome SKIPPED, and the next key follows.
        """
        outcomes: Counter[str] = Counter()
        with StopSignals() as stop, progress(table, total) as tick:
            for key in keys:
                if stop.asked.is_set():
                    self.stdout.write("Stopped; run the same command again to continue.")
                    break
                try:
                    outcome = work(key)
                    sentence = failures.get(outcome)
                except Exception as error:
                    outcome, sentence = SKIPPED, reason_of(error)
                outcomes[outcome] += 1
                if sentence is not None and outcomes[outcome] <= SHOWN:
                    self.stderr.write(f"  {key}: {sentence}")
                tick(1)
        return outcomes

    def list_skipped(self, skipped: Mapping[Any, str], table: str = "") -> None:
        """Write the ids and reasons of rows that could not be written, up to SHOWN."""
        for key, reason in [*skipped.items()][:SHOWN]:
            self.stderr.write(f"  {f'{table} {key}'.strip()}: {reason}")
        if (more := len(skipped) - SHOWN) > 0:
            self.stderr.write(f"  … and {format_rows(more)} more.")

    @staticmethod
    def fail_if_skipped(rows: int) -> None:
        """Raise CommandError if rows were skipped."""
        if rows:
            raise CommandError(f"{format_rows(rows)} skipped; the next run tries again.")

    def write_counts(
        self,
        outcomes: Counter[str],
        sentences: Mapping[str, str],
        *,
        always: Collection[str],
    ) -> None:
        """One line for each outcome that occurred, and for those in ``always``."""
        for outcome, sentence in sentences.items():
            if outcomes[outcome] or outcome in always:
                self.stdout.write(f"{outcomes[outcome]:>8,} {sentence}")


class StopSignals:
    """Ctrl-C and SIGTERM set ``asked``; a second signal ends the process at once."""

    numbers = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.asked = Event()
        self.number = 0

    def __enter__(self) -> StopSignals:
        self.before = {number: signal.signal(number, self._receive) for number in self.numbers}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def check(self, step: str = "a batch") -> None:
        """Raise CommandError after a signal."""
        if self.asked.is_set():
            raise CommandError(
                f"Stopped after {step}; run the same command again to continue.",
                returncode=128 + self.number,
            )

    def _receive(self, number: int, _frame: object) -> None:
        self.number = number
        self.asked.set()
        signal.signal(number, signal.SIG_DFL)


@contextlib.contextmanager
def locked_table_is_named() -> Iterator[None]:
    """Raise CommandError in place of a lock timeout, which only a lock of a whole table causes."""
    try:
        yield
    except OperationalError as error:
        if not isinstance(error.__cause__, psycopg.errors.LockNotAvailable):
            raise
        raise CommandError("Another session has locked a whole table; try again later.") from None


@contextlib.contextmanager
def progress(table: str, remaining: int, done: int = 0) -> Iterator[Callable[[int], object]]:
    """A bar on a terminal; elsewhere a line every few seconds."""
    is_terminal = sys.stderr.isatty()
    with tqdm(
        desc=table, total=done + remaining, initial=done, unit=" rows", disable=not is_terminal
    ) as bar:
        yield bar.update if is_terminal else _lines(table, done + remaining, done)


def _lines(table: str, total: int, done: int) -> Callable[[int], None]:
    printed = time.monotonic()

    def tick(rows: int) -> None:
        nonlocal done, printed
        done += rows
        if time.monotonic() - printed >= LINE_EVERY:
            printed = time.monotonic()
            print(f"{table}: {done:,} of {format_rows(total)}", file=sys.stderr, flush=True)

    return tick


def format_rows(number: int) -> str:
    return f"{number:,} row{'' if number == 1 else 's'}"


def whole_number(
    text: str, thing: str, *, of: str, least: int = 1, most: int | None = None, returncode: int = 1
) -> int:
    """The argument as a number. Raises CommandError with the bounds."""
    number = int(text[:10]) if text.isdecimal() else -1
    if number < least or (most is not None and number > most):
        bounds = f", {least} or more" if most is None else f" from {least} to {most:,}"
        raise CommandError(
            f"{text[:20]!r} is no {thing}: a number of {of}{bounds}.", returncode=returncode
        )
    return number


def choose_tables[T](names: list[str] | None, known: Mapping[str, T], kind: str) -> list[T]:
    """The tables that ``--table`` names, in their own order; all if none is named.

    Raises CommandError for a name that is not in ``known``.
    """
    for name in names or ():
        if name not in known:
            raise CommandError(f"{name!r} is no {kind}; those are {', '.join(known)}.")
    return [table for name, table in known.items() if not names or name in names]
