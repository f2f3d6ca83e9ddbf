"""The ledger of erasures as a file outside of the database, one line of JSON for each erasure.

A database restored from an older copy does not know the last erasures; ``replay_erasures`` repeats
them from this file. It holds times, the method, and ids that identify nobody.

Lines are only appended, under a lock, and synced to the disk before the lock is released. A killed
process may leave an incomplete line. Readers skip such a line, but no later line is lost. The next
writer adds the erasures that were committed but not yet written.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Self
from uuid import UUID

from django.conf import settings
from django.db import models

from audit.models import OutboxEvent
from crm.services.history import LEAD_ERASED
from identity.models import ErasureLedgerEntry

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LedgerLine:
    """One erasure. ``leads`` are the leads of the person, as far as the outbox keeps them."""

    subject_id: UUID
    requested_at: datetime
    completed_at: datetime
    method: str
    leads: frozenset[UUID] = frozenset()

    @property
    def key(self) -> tuple[UUID, datetime]:
        return self.subject_id, self.requested_at

    def text(self) -> str:
        values = {
            "subject_id": str(self.subject_id),
            "requested_at": _format_time(self.requested_at),
            "completed_at": _format_time(self.completed_at),
            "method": self.method,
            "leads": sorted(map(str, self.leads)),
        }
        return json.dumps(values)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises ValueError, without a quotation, for a text that is not a line of the ledger."""
        with suppress(
            ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError
        ):
            values: Any = json.loads(text)
            line = cls(
                UUID(values["subject_id"]),
                _parse_time(values["requested_at"]),
                _parse_time(values["completed_at"]),
                values["method"],
                frozenset(map(UUID, values.get("leads", []))),
            )
            if line.method in ErasureLedgerEntry.Method.values:
                return line
        raise ValueError("This is no line of the ledger of erasures.")


# -- reading --------------------------------------------------------------------------------------


def default_file() -> Path:
    return Path(settings.ERASURE_LEDGER_FILE)


def read_file(path: Path | None = None) -> list[LedgerLine]:
    """The lines of the file, which need not exist. Invalid lines are logged and left out.

    Raises OSError.
    """
    return read_with_broken(path or default_file())[0]


def read_with_broken(path: Path) -> tuple[list[LedgerLine], list[int]]:
    """As ``read_file``, with the numbers of broken lines whose person may be missed.

    A broken line is harmless if it names the person and is the beginning of a later line.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return [], []
    lines: list[LedgerLine] = []
    broken: dict[int, tuple[bytes, int]] = {}  # number to its bytes and the count of lines before
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            lines.append(LedgerLine.parse(line.decode()))
        except ValueError:  # UnicodeDecodeError is one
            logger.warning("line %s of the ledger of erasures cannot be read", number)
            broken[number] = (line, len(lines))
    missed = [
        number
        for number, (line, before) in broken.items()
        if not any(_is_beginning(later.text().encode(), line) for later in lines[before:])
    ]
    return lines, missed


def _is_beginning(whole: bytes, line: bytes) -> bool:
    """Whether ``line`` is the beginning of the whole line, and names its person."""
    return whole.startswith(line) and len(line) > whole.index(b",")


def lines_of_table() -> list[LedgerLine]:
    """The rows of the table, the oldest first, with the leads that the outbox keeps."""
    rows = list(ErasureLedgerEntry.objects.order_by("completed_at", "pk"))
    leads = _leads_by_subject() if rows else {}
    return [
        LedgerLine(
            row.subject_id,
            row.requested_at,
            row.completed_at,
            row.method,
            leads.get(row.subject_id, frozenset()),
        )
        for row in rows
    ]


def leads_of(subject: UUID) -> frozenset[UUID]:
    """The leads that were erased with this person."""
    events = _events_of_erased_leads().filter(payload__user_id=str(subject))
    return frozenset(events.values_list("aggregate_id", flat=True))


def _leads_by_subject() -> dict[UUID, frozenset[UUID]]:
    leads: dict[UUID, frozenset[UUID]] = {}
    events = _events_of_erased_leads()
    for lead, subject in events.values_list("aggregate_id", "payload__user_id"):
        with suppress(ValueError, TypeError, AttributeError):
            key = UUID(subject)
            leads[key] = leads.get(key, frozenset()) | {lead}
    return leads


def _events_of_erased_leads() -> models.QuerySet[OutboxEvent]:
    return OutboxEvent.objects.filter(aggregate_type="leads", event_type=LEAD_ERASED)


# -- writing --------------------------------------------------------------------------------------


def sync_file(also: Iterable[LedgerLine] = ()) -> int:
    """Append the lines of ``also`` and of the table that the file does not have; returns how many.

    Raises OSError.
    """
    path = default_file()
    with _lock_file(path) as stream:
        known = {line.key for line in read_file(path)}
        missing = [
            line for line in unique_lines([*also, *lines_of_table()]) if line.key not in known
        ]
        if not missing:
            return 0
        # An incomplete line at the end must not swallow the first new one.
        before = "" if _ends_with_newline(path) else "\n"
        text = before + "".join(f"{line.text()}\n" for line in missing)
        stream.write(text.encode())
        stream.flush()
        os.fsync(stream.fileno())
    return len(missing)


def unique_lines(lines: Iterable[LedgerLine]) -> list[LedgerLine]:
    """The first line of each erasure."""
    unique: dict[tuple[UUID, datetime], LedgerLine] = {}
    for line in lines:
        unique.setdefault(line.key, line)
    return [*unique.values()]


@contextmanager
def _lock_file(path: Path) -> Iterator[BinaryIO]:
    """The file, open for appending and locked for this process until the block ends."""
    is_new = not path.exists()
    if is_new:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "ab") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield stream
    if is_new:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as stream:
        if stream.seek(0, os.SEEK_END) == 0:
            return True
        stream.seek(-1, os.SEEK_END)
        return stream.read(1) == b"\n"


def _format_time(time: datetime) -> str:
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _parse_time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    if time.utcoffset() is None:
        raise ValueError
    return time.astimezone(UTC)
