"""How long rows are kept (privacy.md §4), declared once on each model: ``retention = …``.

purge_expired goes by it (``purging``), and the data dictionary says it. A table without a
declaration fails the tests.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


class Retention:
    """How long the rows of a table are kept; as a text, in words, after "Kept"."""


@dataclass(frozen=True)
class Kept(Retention):
    """By age nothing goes; ``until`` says when else, or why never."""

    until: str

    def __str__(self) -> str:
        return self.until


@dataclass(frozen=True)
class GoesWith(Retention):
    """A row goes with the one that its field ``parent`` refers to: the database cascades."""

    parent: str

    def __str__(self) -> str:
        return f"as long as its {self.parent.replace('_', ' ')}"


@dataclass(frozen=True)
class After:
    """The start of a row's time: ``column``. While the column is NULL, the row is kept.

    ``where`` selects rows, in SQL; it may use ``%(now)s``. ``rows`` is its text for readers.
    ``time`` replaces the time of the table.
    """

    column: str
    where: str = ""
    rows: str = ""
    time: str = ""


@dataclass(frozen=True)
class Totals:
    """Where rows are added up as they go, in the same statement: killed or not, each once.

    ``by`` and ``sums`` give a column of ``table`` its SQL over the rows; ``key`` is the unique
    constraint over what is in ``by``.
    """

    table: str
    key: str
    by: Mapping[str, str]
    sums: Mapping[str, str]


@dataclass(frozen=True)
class Purged(Retention):
    """purge_expired removes a row when ``time`` (an interval of PostgreSQL) has passed."""

    time: str
    ends: tuple[After, ...]
    note: str = ""
    totals: Totals | None = None

    def __str__(self) -> str:
        ends = [
            f"{f'{end.time} after ' if end.time else ''}`{end.column}`{end.rows and f' {end.rows}'}"
            for end in self.ends
        ]
        time = f"{self.time} after" if self.time else "until"
        return f"{time} {' or '.join(ends)}{self.note and f'; {self.note}'}"


@dataclass(frozen=True)
class RemovedBy(Retention):
    """purge_expired calls ``remover``, a function by its dotted name, which knows better how."""

    time: str
    remover: str
    note: str = ""

    def __str__(self) -> str:
        return f"{self.time}{self.note and f'; {self.note}'}"


def kept(until: str) -> Kept:
    return Kept(until)


def goes_with(parent: str) -> GoesWith:
    return GoesWith(parent)


def purged(
    time: str,
    *ends: After,
    after: str = "",
    note: str = "",
    totals: Totals | None = None,
) -> Purged:
    """Rows go when ``time`` has passed since the moment in the column ``after``, or ``ends``."""
    ends = (After(after), *ends) if after else ends
    return Purged(time, ends, note=note, totals=totals)


def until(column: str) -> Purged:
    """Rows go at the moment in ``column``."""
    return Purged("", (After(column),))


def removed_by(remover: str, *, time: str, note: str = "") -> RemovedBy:
    return RemovedBy(time, remover, note)


BY_EDITORS = kept("until editors delete it")
