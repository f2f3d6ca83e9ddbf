from __future__ import annotations

import contextlib
import signal
import sys
import time
from collections.abc import Callable, Iterator
from threading import Event
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import models
from tqdm import tqdm

from ebalance.db.rotation import Rotation, sealed_models, shares

from .keys import describe

LARGEST_BATCH = 10_000
SHOWN = 50  # rows named for each table; the others are counted
LINE_EVERY = 5.0  # seconds, where nobody watches a bar


class Command(BaseCommand):
    help = (
        "Move all sealed values and blind indexes to the first key of their ring. Safe beside "
        "the running application, and to stop and start again; fails while one row remains "
        "under an old key."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--dry-run", action="store_true", help="open what would be moved, and write nothing"
        )
        parser.add_argument(
            "--batch", default="500", metavar="ROWS", help="rows per transaction (%(default)s)"
        )
        parser.add_argument(
            "--table", action="append", metavar="NAME", help="this table only; may be repeated"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        batch, chosen = _batch(options["batch"]), _models(options["table"])
        with StopSignals() as stop:
            rotations = [Rotation(model, batch=batch, stop=stop.asked) for model in chosen]
            for rotation in rotations:
                self.rehearse(rotation) if options["dry_run"] else self.rotate(rotation)
                if stop.asked.is_set():
                    raise CommandError(
                        "Stopped after a batch; the same command goes on from here.",
                        returncode=128 + stop.number,
                    )
        self.conclude(rotations, dry_run=options["dry_run"])

    def rotate(self, rotation: Rotation) -> None:
        remaining = rotation.remaining()
        if not remaining:
            rotation.end()  # a run that was killed may have left it open
            return
        with progress(rotation.table, remaining, rotation.begin()) as tick:
            rotation.run(tick)
        self.stdout.write(f"{rotation.table}: {_rows(rotation.done)} moved.")
        self.name(rotation)

    def rehearse(self, rotation: Rotation) -> None:
        if remaining := rotation.remaining():
            with progress(rotation.table, remaining) as tick:
                rotation.rehearse(tick)
            self.stdout.write(f"{rotation.table}: {_rows(rotation.done)} would be moved.")
            self.name(rotation)

    def name(self, rotation: Rotation) -> None:
        """Name the rows that cannot be moved. Ids and reasons, nothing of a value."""
        for row_id, reason in [*rotation.left.items()][:SHOWN]:
            self.stderr.write(f"  {rotation.table} {row_id}: {reason}")
        if (more := len(rotation.left) - SHOWN) > 0:
            self.stderr.write(f"  … and {_rows(more)} more.")

    def conclude(self, rotations: list[Rotation], *, dry_run: bool) -> None:
        if dry_run:
            if left := sum(len(rotation.left) for rotation in rotations):
                raise CommandError(f"{_rows(left)} would be left as they are.")
            return
        # Of all tables, chosen or not: exit code 0 means that an old key may go.
        known = [share for model in sealed_models() for share in shares(model)]
        old = [share for share in known if not share.is_current]
        if old:
            raise CommandError("\n".join(["Under an old key remain:", *map(describe, old)]))
        self.stdout.write("Everything is under the first key of its ring.")


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
            print(f"{table}: {done:,} of {_rows(total)}", file=sys.stderr, flush=True)

    return tick


def _rows(number: int) -> str:
    return f"{number:,} row{'' if number == 1 else 's'}"


def _batch(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= LARGEST_BATCH:
        raise CommandError(f"{text!r} is no batch: a number of rows from 1 to {LARGEST_BATCH:,}.")
    return int(text)


def _models(names: list[str] | None) -> list[type[models.Model]]:
    known = {model._meta.db_table: model for model in sealed_models()}
    for name in names or ():
        if name not in known:
            raise CommandError(
                f"{name!r} is no table with sealed columns; those are {', '.join(known)}."
            )
    return [model for name, model in known.items() if not names or name in names]
