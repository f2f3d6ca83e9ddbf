"""How long rows are kept (privacy.md §4), declared once on each model: ``retention = …``.

purge_expired uses the declaration (ebalance/privacy/retention.py), and the data dictionary shows
it. A table without a declaration fails the tests.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


class Retention:
    """How long the rows of a table are kept. ``str()`` continues a sentence after "Kept"."""


@dataclass(frozen=True)
class Kept(Retention):
    """Rows do not expire. ``until`` describes when they are removed, or why never."""

    until: str

    def __str__(self) -> str:
        return self.until


@dataclass(frozen=True)
class GoesWith(Retention):
    """A row is deleted with the row that ``parent`` refers to: the database cascades."""

    parent: str

    def __str__(self) -> str:
        return f"as long as its {self.parent.replace('_', ' ')}"


@dataclass(frozen=True)
class After:
    """The start of a row's retention: the time in ``column``. While it is NULL, the row is kept.

    ``where`` selects the rows in SQL and may use ``%(now)s``; ``rows`` describes them in words.
    ``time`` replaces the time of the table.
    """

    column: str
    where: str = ""
    rows: str = ""
    time: str = ""


@dataclass(frozen=True)
class Totals:
    """A table to which the statement that removes rows adds their totals, so that each counts once.

    ``by``, ``sums`` and ``lists`` map a column of ``table`` to SQL over the removed rows, which are
    named ``gone``. Numbers of ``sums`` are added, arrays of ``lists`` are appended. ``key`` is the
    unique constraint over the columns of ``by``. ``where`` selects the rows that count.
    """

    table: str
    key: str
    by: Mapping[str, str]
    sums: Mapping[str, str]
    lists: Mapping[str, str] = field(default_factory=dict)
    where: str = "true"


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
    """purge_expired calls ``remover``, a function by its dotted name."""

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
    """Rows are removed when ``time`` has passed since the column ``after``, or since ``ends``."""
    ends = (After(after), *ends) if after else ends
    return Purged(time, ends, note=note, totals=totals)


def until(column: str) -> Purged:
    """Rows are removed at the time in ``column``."""
    return Purged("", (After(column),))


def removed_by(remover: str, *, time: str, note: str = "") -> RemovedBy:
    return RemovedBy(time, remover, note)


BY_EDITORS = kept("until editors delete it")
