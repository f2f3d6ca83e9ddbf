"""Verifies the hash chain of the audit log (access.md §3).

The server hashes a range of numbers with one statement, so that the memory of neither side grows
with the log. The canonical form is repeated in ``canonical``: the verification calls no
function that the administrator of the database could have replaced, except the server's own.

Each range is read in a transaction of its own. Entries do not change, new ones follow those that
are verified, and a snapshot of hours would delay VACUUM. Entries that retention removes meanwhile
are covered by its signed checkpoint, as are those that it removed before.

See docs/adr/0013-audit-log.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db import connection, transaction

from .canonical import LOG, ORIGIN, hash_of
from .checkpoints import MOST_MARKS, CheckpointFile, is_signed
from .damage import BEGINNING, SENTENCES, Damaged, Position, diagnose

BATCH = 10_000

# These override the session and the database. No plan may read the whole table for each range.
SETTINGS = """
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL row_security = off;
SET LOCAL max_parallel_workers_per_gather = 0;
SET LOCAL jit = off;
SET LOCAL enable_seqscan = off;
SET LOCAL enable_bitmapscan = off
"""

# The number up to which all entries of a range are whole and chained. The window gets no more
# columns than it needs: it copies each row.
SCAN = f"""
SELECT coalesce(min(least(before, seq - 1)) FILTER (WHERE is_bad), %(after)s + count(*))
FROM (SELECT e.seq, lag(e.seq, 1, %(after)s) OVER w AS before,
             (e.is_whole
              AND e.seq = lag(e.seq, 1, %(after)s) OVER w + 1
              AND e.prev_hash = lag(e.row_hash, 1, %(hash)s) OVER w) IS NOT TRUE AS is_bad
      FROM (SELECT e.seq, e.prev_hash, e.row_hash,
                   e.row_hash = {hash_of()} AND {ORIGIN} AS is_whole
            FROM {LOG} e WHERE e.seq > %(after)s AND e.seq <= %(to)s
            ORDER BY e.seq OFFSET 0) e
      WINDOW w AS (ORDER BY e.seq)) scanned
"""


class UnknownKey(Exception):
    """The signature of the last checkpoint cannot be checked: its key is not in the ring."""

    def __init__(self, seq: int, key_id: str) -> None:
        super().__init__(
            f"The checkpoint at seq {seq} is signed with the key {key_id}, which is not in "
            "EBALANCE_BLIND_INDEX_KEYS; the audit log cannot be verified without it."
        )
        self.key_id = key_id


class Stopped(Exception):
    """The caller stopped the verification. No damage was detected so far."""


@dataclass(frozen=True)
class Verified:
    """The entries that were verified."""

    first: int
    last: int
    row_hash: bytes
    entries: int
    marks: dict[int, bytes]
    removed_to: int
    """Up to here retention removed entries; 0: none."""

    def as_file(self) -> CheckpointFile:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return CheckpointFile(self.last, self.row_hash, self.entries, now, self.marks)


@dataclass(frozen=True)
class Witness:
    """A checkpoint or a checkpoint file that knows the hash of an entry."""

    seq: int
    row_hash: bytes
    name: str


class Verification:
    """One run over the log as it is now.

    ``batch`` is the number of entries per statement. The log is compared with the checkpoint files
    ``files``. Entries after the number ``up_to`` are ignored. ``stop`` is called before each
    statement, ``tick`` gets the number of entries that were verified. With ``marking``, some hashes
    are kept for a checkpoint file.
    """

    def __init__(
        self,
        *,
        batch: int = BATCH,
        files: Sequence[CheckpointFile] = (),
        up_to: int | None = None,
        stop: Callable[[], bool] = lambda: False,
        tick: Callable[[int], object] = lambda entries: None,
        marking: bool = False,
    ) -> None:
        self.batch = batch
        self.files = files
        self.up_to = up_to
        self.stop = stop
        self.tick = tick
        self.marking = marking
        self.entries = 0
        self.marks: dict[int, bytes] = {}
        self.spacing = 1
        self.witnesses: list[Witness] = []
        self.checkpoint = BEGINNING
        self.agreed = 0  # the last number at which a witness, or the beginning, agreed

    def run(self) -> Verified:
        """Raises Damaged, UnknownKey or Stopped."""
        with reading() as db:
            start = position = self.find_start(db)
            db.execute(f"SELECT coalesce(max(seq), 0) FROM {LOG}")
            (last,) = db.fetchone()
        # Before retention removes entries it writes another one, which follows the checkpoint.
        is_cut = 0 < self.checkpoint.seq >= last
        end = last if self.up_to is None else min(last, self.up_to)
        self.agreed = start.seq
        while (end - start.seq) / self.spacing > MOST_MARKS:
            self.spacing *= 2
        while position.seq < end:
            if self.stop():
                raise Stopped
            position = self.verify_range(position, min(position.seq + self.batch, end))
        for file in self.files if self.up_to is None else ():
            if file.seq > position.seq:
                known = f"{_name(file)} knows them up to {file.seq}"
                raise Damaged("cut", position.seq + 1, f"entries are missing from here on; {known}")
        if is_cut:
            raise Damaged("cut", position.seq + 1, SENTENCES["cut"])
        return Verified(
            first=start.seq + 1,
            last=position.seq,
            row_hash=position.row_hash,
            entries=self.entries,
            marks=self.marks,
            removed_to=self.checkpoint.seq,
        )

    def find_start(self, db: Any) -> Position:
        """The position after which the rest of the log begins."""
        signed = read_signed_checkpoints(db)
        self.checkpoint = checkpoint = signed[-1] if signed else BEGINNING
        self.collect_witnesses(signed)
        db.execute(f"SELECT count(*) FROM {LOG} WHERE seq IS NULL")
        if db.fetchone() != (0,):
            raise Damaged("inserted", 0, "there is an entry without a number")
        db.execute(f"SELECT seq, prev_hash FROM {LOG} ORDER BY seq LIMIT 1")
        first = db.fetchone()
        if first is None:
            return checkpoint
        seq, prev_hash = first
        if seq < 1:
            raise Damaged("inserted", seq, "no entry has a number below 1")
        if seq > checkpoint.seq + 1:
            raise diagnose(db, checkpoint)
        # While retention removes the entries before a checkpoint, the log begins at any of them.
        known = {position.seq: position for position in (BEGINNING, *signed)}
        return known.get(seq - 1) or Position(seq - 1, bytes(prev_hash))

    def collect_witnesses(self, signed: list[Position]) -> None:
        """Raises Damaged if two witnesses of one entry disagree."""
        known = {position.seq: position.row_hash for position in signed}
        self.witnesses = [Witness(*position, "the signed checkpoint") for position in signed]
        for file in self.files:
            marks = {**file.marks, file.seq: file.row_hash} if file.seq else {}
            self.witnesses += [Witness(*mark, _name(file)) for mark in marks.items()]
        self.witnesses.sort(key=lambda witness: witness.seq)
        for witness in self.witnesses:
            if known.get(witness.seq, witness.row_hash) != witness.row_hash:
                raise Damaged(
                    "rewritten",
                    witness.seq,
                    f"{witness.name} knows another hash than the signed checkpoint",
                )

    def verify_range(self, position: Position, to: int) -> Position:
        """Verify the entries after ``position`` up to ``to``; returns the last verified entry."""
        try:
            with reading() as db:
                db.execute(SCAN, {"after": position.seq, "hash": position.row_hash, "to": to})
                (whole,) = db.fetchone()
                reached = self.compare(db, position, whole)
                if whole < to:
                    raise diagnose(db, reached)
        except Damaged:
            with reading() as db:
                start = self.find_start(db)
            if start.seq <= position.seq:
                raise
            # Meanwhile retention removed all entries up to this one, and signed a checkpoint.
            self.agreed = start.seq
            return start
        self.entries += reached.seq - position.seq
        self.tick(reached.seq - position.seq)
        return reached

    def compare(self, db: Any, position: Position, to: int) -> Position:
        """Compare the intact entries after ``position`` with the witnesses; returns the last."""
        if to == position.seq:
            return position
        witnesses = [w for w in self.witnesses if position.seq < w.seq <= to]
        step = self.spacing
        marks = range(position.seq // step * step + step, to + 1, step) if self.marking else ()
        db.execute(
            f"SELECT seq, row_hash FROM {LOG} WHERE seq = ANY (%s::bigint[])",
            [[to, *marks, *(witness.seq for witness in witnesses)]],
        )
        hashes = {seq: bytes(row_hash) for seq, row_hash in db.fetchall()}
        for witness in witnesses:
            if hashes[witness.seq] != witness.row_hash:
                raise self.rewritten(witness)
            self.agreed = witness.seq
        self.marks |= {seq: hashes[seq] for seq in marks}
        return Position(to, hashes[to])

    def rewritten(self, witness: Witness) -> Damaged:
        entries = "this entry"
        if others := witness.seq - self.agreed - 1:
            entries = f"this entry or one of the {others:,} before it"
        return Damaged(
            "rewritten",
            witness.seq,
            f"{witness.name} knows another hash; {entries} was changed, and hashed anew with all "
            "that follow",
        )


@contextmanager
def reading() -> Iterator[Any]:
    """A cursor in a read-only transaction with one snapshot, which is rolled back."""
    is_outermost = not connection.in_atomic_block
    with transaction.atomic():
        with connection.cursor() as db:
            if is_outermost:
                db.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            db.execute(SETTINGS)
            yield db
        transaction.set_rollback(True)


def read_signed_checkpoints(db: Any) -> list[Position]:
    """The ends of removed segments. Raises Damaged, and UnknownKey for the key of the last one.

    An earlier checkpoint whose key has left the ring is not needed to verify the rest of the log.
    """
    db.execute(
        "SELECT seq, row_hash, entries, key_id, signature FROM public.audit_checkpoints "
        "ORDER BY seq"
    )
    positions, removed = [], 0
    rows = db.fetchall()
    for seq, row_hash, entries, key_id, signed in rows:
        answer = is_signed(seq, bytes(row_hash), entries, key_id=key_id, signed=bytes(signed))
        if answer is False:
            raise Damaged("checkpoint", seq, "the signature of the checkpoint is not ours")
        if answer is None and seq == rows[-1][0]:
            raise UnknownKey(seq, key_id)
        removed += entries
        if removed != seq:
            raise Damaged("checkpoint", seq, "a checkpoint before this one is missing")
        if answer:
            positions.append(Position(seq, bytes(row_hash)))
    return positions


def _name(file: CheckpointFile) -> str:
    return f"the checkpoint file of {file.written_at}"
