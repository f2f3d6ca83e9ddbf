"""The table of a rehearsal, and whether its bars were met."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from .journal import CACHED_PLAN
from .watching import Wait

COLUMNS = "{:<44} {:>8} {:>13} {:>11} {:>8} {:>7} {:>12}"
SHOWN = 10  # failures


@dataclass(frozen=True)
class Operation:
    """A line of a journal; see journal.py."""

    began: float
    ended: float
    name: str
    outcome: str

    @property
    def is_cached_plan(self) -> bool:
        return self.outcome.startswith(CACHED_PLAN)

    @property
    def is_failed(self) -> bool:
        return bool(self.outcome) and not self.is_cached_plan


@dataclass
class Window:
    """The time of one migration, and what clients experienced in it. Seconds since 1970."""

    name: str
    began: float
    ended: float = 0.0
    rewrites: list[str] = field(default_factory=list)
    operations: list[Operation] = field(default_factory=list)
    waits: list[Wait] = field(default_factory=list)

    def overlaps(self, began: float, ended: float) -> bool:
        return began < self.ended and ended > self.began

    @property
    def longest_wait(self) -> Wait | None:
        return max(self.waits, key=lambda wait: wait.lasted, default=None)

    @property
    def slowest(self) -> Operation | None:
        return max(self.operations, key=lambda each: each.ended - each.began, default=None)

    def line(self) -> str:
        wait, slowest = self.longest_wait, self.slowest
        return COLUMNS.format(
            self.name[:44],
            f"{self.ended - self.began:.2f}",
            f"{wait.lasted * 1000:.0f}" if wait else "0",
            f"{(slowest.ended - slowest.began) * 1000:.0f}" if slowest else "-",
            len(self.rewrites),
            sum(each.is_failed for each in self.operations),
            sum(each.is_cached_plan for each in self.operations),
        )


def read_journals(paths: Iterable[Path]) -> list[Operation]:
    """The operations of all clients. A killed client leaves half a line, which is left out."""
    operations = []
    for path in paths:
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.endswith("]"):
                operations.append(Operation(*json.loads(line)))
    return operations


class Report:
    """Everything that was measured. ``longest_wait`` is the bar, in milliseconds."""

    def __init__(
        self, windows: list[Window], operations: list[Operation], waits: list[Wait], bar: int
    ) -> None:
        self.windows, self.operations, self.waits, self.bar = windows, operations, waits, bar
        for window in windows:
            window.operations = [o for o in operations if window.overlaps(o.began, o.ended)]
            window.waits = [w for w in waits if window.overlaps(w.began, w.began + w.lasted)]

    def lines(self) -> list[str]:
        return [
            COLUMNS.format(
                "", "seconds", "lock wait, ms", "latency, ms", "rewrites", "failed", "cached plans"
            ),
            *(window.line() for window in self.windows),
            "",
            *self._longest(),
            *self._counts(),
        ]

    def _longest(self) -> list[str]:
        lines = []
        for window in self.windows:
            wait = window.longest_wait
            if wait and wait.lasted * 1000 > self.bar / 4:
                lines.append(f"Longest wait of {window.name}: {wait.lasted * 1000:.0f} ms, {wait}")
        return lines

    def _counts(self) -> list[str]:
        names = Counter(each.name for each in self.operations)
        failed = Counter(
            f"{each.name}: {each.outcome}" for each in self.operations if each.is_failed
        )
        cached = Counter(each.name for each in self.operations if each.is_cached_plan)
        lines = [f"Queries of clients: {len(self.operations):,}"]
        lines += [f"  {number:>7,} {name}" for name, number in sorted(names.items())]
        if cached:
            lines.append(
                f"Cached plans that a new column ended: {cached.total()}. These clients prepare "
                "SELECT *; they name their columns, or repeat the query."
            )
            lines += [f"  {number:>7,} {name}" for name, number in sorted(cached.items())]
        lines.append(f"Failed queries: {failed.total()}")
        lines += [f"  {number:>7,} {text}" for text, number in failed.most_common(SHOWN)]
        return lines

    def missed(self) -> list[str]:
        """A line for each bar that was missed."""
        lines = []
        if failed := sum(each.is_failed for each in self.operations):
            lines.append(f"{failed} queries of clients failed; the bar is 0.")
        if rewrites := [name for window in self.windows for name in window.rewrites]:
            lines.append(f"Tables were rewritten: {', '.join(rewrites)}.")
        longest = max((wait.lasted * 1000 for wait in self.waits), default=0.0)
        if longest > self.bar:
            lines.append(f"A client waited {longest:.0f} ms for a lock; the bar is {self.bar} ms.")
        return lines
