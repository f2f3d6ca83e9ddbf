"""The ledger of erasures outside of the database: a file with a line of JSON for each.

A database that was restored from an older copy has forgotten the last erasures; by the file they
are repeated (replay_erasures). It holds ids that name nobody, times, and how it came about.

Lines are only ever added, under a lock, and are on the disk before it is given back. A process that
is killed may leave the beginning of a line: it is passed over, and nothing after it is lost. What
was committed and not yet added is added by whoever comes next.
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
from typing import Any, Self
from uuid import UUID

from django.apps import apps
from django.conf import settings

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Line:
    """One erasure. ``leads`` are those that were the person's, as far as they are remembered."""

    subject_id: UUID
    requested_at: datetime
    completed_at: datetime
    method: str
    leads: frozenset[UUID] = frozenset()

    @property
    def key(self) -> tuple[UUID, datetime]:
        return self.subject_id, self.requested_at

    def text(self) -> str:
        said = {
            "subject_id": str(self.subject_id),
            "requested_at": _told(self.requested_at),
            "completed_at": _told(self.completed_at),
            "method": self.method,
            "leads": sorted(map(str, self.leads)),
        }
        return json.dumps(said)

    @classmethod
    def read(cls, text: str) -> Self:
        """Raises ValueError, which quotes nothing, for what is no such line."""
        with suppress(
            ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError
        ):
            said: Any = json.loads(text)
            made = cls(
                UUID(said["subject_id"]),
                _moment(said["requested_at"]),
                _moment(said["completed_at"]),
                said["method"],
                frozenset(map(UUID, said.get("leads", []))),
            )
            if made.method in _model().Method.values:
                return made
        raise ValueError("This is no line of the ledger of erasures.")


def default_file() -> Path:
    return Path(settings.ERASURE_LEDGER_FILE)


def read_file(path: Path | None = None) -> list[Line]:
    """The lines of the file, which need not exist. What is none is named in the log, and left out.

    Raises OSError.
    """
    return read_and_missed(path or default_file())[0]


def read_and_missed(path: Path) -> tuple[list[Line], list[int]]:
    """As ``read_file``, and the numbers of lines by which somebody may be forgotten.

    The beginning of a line that was written again behind it forgets nobody, if it is long enough
    to say whom it is about.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return [], []
    found: list[Line] = []
    broken: dict[int, tuple[bytes, int]] = {}  # number to what it says, and to the lines before it
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            found.append(Line.read(line.decode()))
        except ValueError:  # UnicodeDecodeError is one
            logger.warning("line %s of the ledger of erasures cannot be read", number)
            broken[number] = (line, len(found))
    missed = [
        number
        for number, (line, before) in broken.items()
        if not any(_is_begun(said.text().encode(), line) for said in found[before:])
    ]
    return found, missed


def _is_begun(whole: bytes, line: bytes) -> bool:
    """Whether the line is the beginning of the whole one, and names its person."""
    return whole.startswith(line) and len(line) > whole.index(b",")


def sync_file(also: Iterable[Line] = ()) -> int:
    """Add to the file what ``also`` and the table have and the file has not; returns how many.

    Raises OSError.
    """
    path = default_file()
    with _ours(path) as stream:
        known = {line.key for line in read_file(path)}
        missing = [
            line for line in first_of_each([*also, *lines_of_table()]) if line.key not in known
        ]
        if not missing:
            return 0
        # Behind the beginning of a line that somebody was killed at, ours is a line all the same.
        before = "" if _ends_with_newline(path) else "\n"
        text = before + "".join(f"{line.text()}\n" for line in missing)
        stream.write(text.encode())
        stream.flush()
        os.fsync(stream.fileno())
    return len(missing)


def first_of_each(lines: Iterable[Line]) -> list[Line]:
    found: dict[tuple[UUID, datetime], Line] = {}
    for line in lines:
        found.setdefault(line.key, line)
    return [*found.values()]


@contextmanager
def _ours(path: Path) -> Iterator[Any]:
    """The file, open to be added to, ours alone until the block ends."""
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


def lines_of_table() -> list[Line]:
    """The rows of the table, the oldest first, with what the outbox remembers of their leads."""
    rows = list(_model().objects.order_by("completed_at", "pk"))
    leads = _leads_by_subject() if rows else {}
    return [
        Line(
            row.subject_id,
            row.requested_at,
            row.completed_at,
            row.method,
            leads.get(row.subject_id, frozenset()),
        )
        for row in rows
    ]


def leads_of(subject: UUID) -> frozenset[UUID]:
    """The leads that were erased with this person, while the outbox remembers (privacy.md §4)."""
    told = _erased_leads().filter(payload__user_id=str(subject))
    return frozenset(told.values_list("aggregate_id", flat=True))


def _leads_by_subject() -> dict[UUID, frozenset[UUID]]:
    found: dict[UUID, frozenset[UUID]] = {}
    for lead, subject in _erased_leads().values_list("aggregate_id", "payload__user_id"):
        with suppress(ValueError, TypeError, AttributeError):
            key = UUID(subject)
            found[key] = found.get(key, frozenset()) | {lead}
    return found


def _erased_leads() -> Any:
    events = apps.get_model("audit.OutboxEvent")._base_manager
    return events.filter(aggregate_type="leads", event_type="lead_erased")


def _model() -> Any:
    return apps.get_model("identity.ErasureLedgerEntry")


def _told(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.utcoffset() is None:
        raise ValueError
    return moment.astimezone(UTC)
