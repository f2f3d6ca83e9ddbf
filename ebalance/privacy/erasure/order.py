"""The order to erase a person, and its result."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from ..rows import PersonalRows
from . import ledger
from .sessions import CanceledSession


@dataclass
class Erased:
    """The result: rows deleted or changed by table, and the canceled sessions.

    ``doubtful`` are leads with a contact of the person and a contact that the account does not
    have. The person's contact was removed. Staff must find out to whom the rest of the lead
    belongs.
    """

    subject: UUID
    counts: dict[str, int] = field(default_factory=dict)
    canceled: list[CanceledSession] = field(default_factory=list)
    doubtful: list[UUID] = field(default_factory=list)

    @property
    def rows(self) -> int:
        return sum(self.counts.values())

    def count(self, table: str, rows: int) -> None:
        if rows:
            self.counts[table] = self.counts.get(table, 0) + rows


@dataclass(frozen=True)
class ErasureOrder:
    """The person to erase, and the reason.

    ``is_repeated``: the erasure is repeated after a restore. ``leads`` are those of the first
    erasure.
    """

    subject: UUID
    method: str
    requested_at: datetime | None
    is_forced: bool = False
    is_repeated: bool = False
    leads: frozenset[UUID] = frozenset()

    def rows(self) -> PersonalRows:
        """The person's rows as they are now.

        They include the leads of an earlier erasure: other services know the ids of these leads,
        and may have written about them since.
        """
        remembered = self.leads | ledger.leads_of(self.subject)
        return PersonalRows(self.subject, remembered=remembered, is_erasure=True)
