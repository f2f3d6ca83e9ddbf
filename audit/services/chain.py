"""Verifies the hash chain of the audit log (access.md §3).

The server does the hashing, a range of numbers with one statement, so that neither side's memory
grows with the log. The canonical forms are written out here once more: nothing is called that
whoever administers the database could have replaced, but for the server's own functions.

Each range is read in a transaction of its own. Entries do not change, new ones come behind those
that are verified, and a snapshot of hours would hold up VACUUM. What retention removes meanwhile
is vouched for by its signed checkpoint, as what it removed before.

See docs/decisions/audit-log.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from django.db import connection, transaction

from ..models.log import may_be_emptied
from .checkpoints import MOST_MARKS, CheckpointFile, is_signed

BATCH = 10_000
NUMBERED_ANEW = 1_000  # by how much later numbers are tried when an entry is looked for

# Whatever the session and the database are set to; and never a plan that reads the whole table for
# each range.
SETTINGS = """
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL row_security = off;
SET LOCAL max_parallel_workers_per_gather = 0;
SET LOCAL jit = off;
SET LOCAL enable_seqscan = off;
SET LOCAL enable_bitmapscan = off
"""

FORMS = (1, 2)
LOG = "public.audit_log_entries"


# The text of jsonb_build_array() in half of its time; a million entries have 13 million columns.
def array(*parts: str) -> str:
    return "'[' || " + " || ', ' || ".join(parts) + " || ']'"


def quoted(column: str) -> str:
    """For what has nothing to be escaped: ids, times, codes."""
    return f"""'"' || {column} || '"'"""


def string(column: str) -> str:
    return f"to_json({column})::text"


def or_null(part: str) -> str:
    return f"coalesce({part}, 'null')"


WHAT = (
    or_null(quoted("e.actor_user_id")),
    quoted("e.actor_role"),
    quoted("e.action"),
    quoted("e.entity_type"),
    or_null(quoted("e.entity_id")),
    or_null(quoted("e.entity_key")),
    or_null("e.old_value::text"),
    or_null("e.new_value::text"),
    quoted("""to_char(e.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""),
)
# Codes and keys by their rules; and where those were dropped, no text that ends before its end.
ARE_CODES = """strpos(
    e.actor_role || e.action || e.entity_type || coalesce(e.entity_key, ''), '"') = 0"""


def hash_of(form: int, *, seq: str = "e.seq", before: str = "e.prev_hash") -> str:
    """SQL: the hash that the entry ``e`` has under the number ``seq`` after the hash ``before``."""
    parts = {
        1: (seq, *WHAT),
        2: ("'2'", quoted("e.id"), seq, *WHAT, or_null(quoted("encode(e.origin_hash, 'hex')"))),
    }
    hashed = f"sha256({before} || convert_to({array(*parts[form])}, 'UTF8'))"
    return f"CASE WHEN {ARE_CODES} THEN {hashed} END"


def either_of(*, seq: str = "e.seq", before: str = "e.prev_hash") -> str:
    """SQL: the hash in both forms, for ``IN``."""
    return ", ".join(hash_of(form, seq=seq, before=before) for form in FORMS)


# The address and the agent of a request; only those of who was erased may be gone.
CAME_FROM = array(or_null(quoted("e.ip_address::text")), or_null(string("e.user_agent")))
ORIGIN = {
    1: "num_nonnulls(e.origin_salt, e.origin_hash) = 0",
    2: f"""CASE WHEN e.origin_salt IS NOT NULL
    THEN e.origin_hash = sha256(uuid_send(e.origin_salt) || convert_to({CAME_FROM}, 'UTF8'))
    ELSE num_nonnulls(e.ip_address, e.user_agent) = 0
        AND (e.origin_hash IS NULL OR {may_be_emptied("e")})
    END""",
}
# The window is given no more than it needs: it copies each row.
SCAN = {
    form: f"""
SELECT count(*), min(seq) FILTER (WHERE is_bad)
FROM (SELECT e.seq, (e.is_whole
                     AND e.seq = lag(e.seq, 1, %(after)s) OVER w + 1
                     AND e.prev_hash = lag(e.row_hash, 1, %(hash)s) OVER w) IS NOT TRUE AS is_bad
      FROM (SELECT e.seq, e.prev_hash, e.row_hash,
                   e.row_hash = {hash_of(form)} AND {ORIGIN[form]} AS is_whole
            FROM {LOG} e WHERE e.seq > %(after)s AND e.seq <= %(to)s
            ORDER BY e.seq OFFSET 0) e
      WINDOW w AS (ORDER BY e.seq)) scanned
"""
    for form in FORMS
}


class Place(NamedTuple):
    """An entry up to which all is well; 0 and no hash before the first."""

    seq: int
    row_hash: bytes


BEGINNING = Place(0, b"")


class Damaged(Exception):
    """The log is not as it was written. One line, without anything that stands in the log.

    ``seq`` is the first bad number, or, where only that much can be told, the number at or before
    which it is.
    """

    def __init__(self, kind: str, seq: int, sentence: str) -> None:
        super().__init__(f"The audit log is damaged at seq {seq} ({kind}): {sentence}.")
        self.kind = kind
        self.seq = seq


class UnknownKey(Exception):
    """The signature of the last checkpoint cannot be checked: its key is not in the ring."""

    def __init__(self, seq: int, key_id: str) -> None:
        super().__init__(
            f"The checkpoint at seq {seq} is signed with the key {key_id}, which is not in "
            "EBALANCE_BLIND_INDEX_KEYS; the audit log cannot be verified without it."
        )
        self.key_id = key_id


class Stopped(Exception):
    """Was told to stop; nothing bad was found so far."""


@dataclass(frozen=True)
class Verified:
    """What was found to be whole."""

    first: int
    last: int
    row_hash: bytes
    entries: int
    first_form_to: int
    """Up to here entries are of the first form, which leaves out id, address and agent; 0: none."""
    marks: dict[int, bytes]
    removed_to: int
    """Up to here retention removed entries; 0: none."""

    def as_file(self) -> CheckpointFile:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return CheckpointFile(self.last, self.row_hash, self.entries, now, self.marks)


@dataclass(frozen=True)
class Witness:
    """Who knows the hash of an entry."""

    seq: int
    row_hash: bytes
    name: str


class Verification:
    """One run over the log as it is now.

    ``batch`` is how many entries a statement takes, ``files`` what the log is held against,
    ``up_to`` a number behind which it is left alone. ``stop`` is asked before each statement,
    ``tick`` told how many entries were verified. With ``marking``, hashes on the way are kept for
    a checkpoint file.
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
        self.form = 1
        self.first_form_to = 0
        self.entries = 0
        self.marks: dict[int, bytes] = {}
        self.spacing = 1
        self.witnesses: list[Witness] = []
        self.checkpoint = BEGINNING
        self.agreed = 0  # up to here a witness, or the beginning, says the same

    def run(self) -> Verified:
        """Raises Damaged, UnknownKey or Stopped."""
        with reading() as db:
            start = place = self.start(db)
            last = self.last(db)
        # Before retention removes anything it writes an entry, which is behind the checkpoint.
        is_cut = 0 < self.checkpoint.seq >= last
        end = last if self.up_to is None else min(last, self.up_to)
        self.agreed = start.seq
        while (end - start.seq) / self.spacing > MOST_MARKS:
            self.spacing *= 2
        batch = 1  # the first entry says with which form to go on
        while place.seq < end:
            if self.stop():
                raise Stopped
            place = self.go_on(place, min(place.seq + batch, end))
            batch = self.batch
        for file in self.files if self.up_to is None else ():
            if file.seq > place.seq:
                said = f"{_name(file)} knows them up to {file.seq}"
                raise Damaged("cut", place.seq + 1, f"entries are missing from here on; {said}")
        if is_cut:
            raise Damaged("cut", place.seq + 1, "entries are missing from here on, up to the last")
        return Verified(
            first=start.seq + 1,
            last=place.seq,
            row_hash=place.row_hash,
            entries=self.entries,
            first_form_to=self.first_form_to,
            marks=self.marks,
            removed_to=self.checkpoint.seq,
        )

    # -- where to begin and where to end ----------------------------------------------------------

    def start(self, db: Any) -> Place:
        """The place behind which what is left of the log begins."""
        signed = signed_checkpoints(db)
        self.checkpoint = checkpoint = signed[-1] if signed else BEGINNING
        vouched = {place.seq: place for place in (BEGINNING, *signed)}
        db.execute(f"SELECT count(*) FROM {LOG} WHERE seq IS NULL")
        if db.fetchone() != (0,):
            raise Damaged("inserted", 0, "there is an entry without a number")
        db.execute(f"SELECT seq, prev_hash FROM {LOG} ORDER BY seq LIMIT 1")
        first = db.fetchone()
        self.call_witnesses(signed)
        if first is None:
            return checkpoint
        seq, prev_hash = first
        if seq < 1:
            raise Damaged("inserted", seq, "no entry has a number below 1")
        if seq > checkpoint.seq + 1:
            raise diagnosis(db, checkpoint, self.form)
        # What stands before a checkpoint is being removed: it may begin anywhere.
        return vouched.get(seq - 1) or Place(seq - 1, bytes(prev_hash))

    def call_witnesses(self, signed: list[Place]) -> None:
        """Who can say what; two that speak of one entry say the same."""
        known = {place.seq: place.row_hash for place in signed}
        self.witnesses = [
            Witness(place.seq, place.row_hash, "the signed checkpoint") for place in signed
        ]
        for file in self.files:
            said = {**file.marks, file.seq: file.row_hash} if file.seq else {}
            self.witnesses += [Witness(*one, _name(file)) for one in said.items()]
        self.witnesses.sort(key=lambda witness: witness.seq)
        for witness in self.witnesses:
            if known.get(witness.seq, witness.row_hash) != witness.row_hash:
                raise Damaged(
                    "rewritten",
                    witness.seq,
                    f"{witness.name} knows another hash than the signed checkpoint",
                )

    def last(self, db: Any) -> int:
        db.execute(f"SELECT coalesce(max(seq), 0) FROM {LOG}")
        (last,) = db.fetchone()
        return last

    # -- a range ----------------------------------------------------------------------------------

    def go_on(self, place: Place, to: int) -> Place:
        """Verify the entries after ``place`` up to ``to``, or fewer; where it has come to."""
        try:
            with reading() as db:
                reached = self.step(db, place, to)
        except Damaged:
            with reading() as db:
                begins = self.start(db)
            if begins.seq <= place.seq:
                raise
            # All up to here is gone since: retention removed it, and has signed for it.
            self.agreed = begins.seq
            return begins
        self.entries += reached.seq - place.seq
        self.tick(reached.seq - place.seq)
        return reached

    def step(self, db: Any, place: Place, to: int) -> Place:
        whole = self.scan(db, place, to)
        if self.form == 1 and whole == place.seq:
            # Where the first form ends, the second begins; there is no way back.
            self.form = 2
            whole = self.scan(db, place, to)
            if whole == place.seq:
                self.form = 1
        reached = self.compare(db, place, whole)
        # In the first form, the next step says whether it is damage with which that ends.
        if whole < to and (self.form == 2 or whole == place.seq):
            raise diagnosis(db, reached, self.form)
        if self.form == 1:
            self.first_form_to = whole
        return reached

    def scan(self, db: Any, place: Place, to: int) -> int:
        """Up to which number of the range all is well, as far as the entries themselves say."""
        db.execute(SCAN[self.form], {"after": place.seq, "hash": place.row_hash, "to": to})
        found, bad = db.fetchone()
        if bad is None:
            return place.seq + found
        db.execute(
            f"SELECT coalesce(max(seq), %s) FROM {LOG} WHERE seq > %s AND seq < %s",
            [place.seq, place.seq, bad],
        )
        (whole,) = db.fetchone()
        return whole

    def compare(self, db: Any, place: Place, to: int) -> Place:
        """Hold what is whole against the witnesses; the place that it ends with."""
        if to == place.seq:
            return place
        heard = [w for w in self.witnesses if place.seq < w.seq <= to]
        step = self.spacing
        marks = range(place.seq // step * step + step, to + 1, step) if self.marking else ()
        db.execute(
            f"SELECT seq, row_hash FROM {LOG} WHERE seq = ANY (%s::bigint[])",
            [[to, *marks, *(witness.seq for witness in heard)]],
        )
        hashes = {seq: bytes(row_hash) for seq, row_hash in db.fetchall()}
        for witness in heard:
            if hashes[witness.seq] != witness.row_hash:
                raise self.rewritten(witness)
            self.agreed = witness.seq
        self.marks |= {seq: hashes[seq] for seq in marks}
        return Place(to, hashes[to])

    def rewritten(self, witness: Witness) -> Damaged:
        where = "this entry"
        if others := witness.seq - self.agreed - 1:
            where = f"this entry or one of the {others:,} before it"
        return Damaged(
            "rewritten",
            witness.seq,
            f"{witness.name} knows another hash; {where} was changed, and hashed anew with all "
            "that follow",
        )


@contextmanager
def reading() -> Iterator[Any]:
    """A cursor in a transaction of one snapshot that writes nothing and leaves nothing behind."""
    is_outermost = not connection.in_atomic_block
    with transaction.atomic():
        with connection.cursor() as db:
            if is_outermost:
                db.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            db.execute(SETTINGS)
            yield db
        transaction.set_rollback(True)


def signed_checkpoints(db: Any) -> list[Place]:
    """Where removed segments ended. Raises Damaged, and UnknownKey for that of the last.

    An older one, whose key has left the ring since, is not needed to verify what is left.
    """
    db.execute(
        "SELECT seq, row_hash, entries, key_id, signature FROM public.audit_checkpoints "
        "ORDER BY seq"
    )
    places, removed = [], 0
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
            places.append(Place(seq, bytes(row_hash)))
    return places


# -- what happened ---------------------------------------------------------------------------------

ENTRY = f"""
SELECT e.row_hash, e.prev_hash = %(hash)s AS links,
       e.row_hash IN ({either_of()}) AS is_whole, e.row_hash = {hash_of(2)} AS is_second,
       e.row_hash IN ({either_of(before="%(hash)s")}) AS goes_on
FROM {LOG} e WHERE e.seq = %(seq)s
"""
# The entry that was written with this number, after this hash.
BELONGS = f"""
SELECT e.seq, e.prev_hash FROM {LOG} e WHERE e.seq <> %(seq)s AND e.prev_hash = %(hash)s
  AND e.row_hash IN ({either_of(seq="%(seq)s")}) ORDER BY e.seq LIMIT 1
"""
# The entry which has what this one had.
SWAPPED = f"""
SELECT e.seq FROM {LOG} e WHERE e.seq <> %(seq)s
  AND (SELECT row_hash FROM {LOG} WHERE seq = %(seq)s)
      IN ({either_of(seq="%(seq)s", before="%(hash)s")}) ORDER BY e.seq LIMIT 1
"""
# Whether the entry was written with another number.
NUMBERED = f"""
SELECT n FROM {LOG} e, unnest(%(numbers)s::bigint[]) n
WHERE e.seq = %(seq)s AND e.row_hash IN ({either_of(seq="n")}) ORDER BY n LIMIT 1
"""
FOLLOWED = f"""
SELECT EXISTS (SELECT FROM {LOG} e WHERE e.seq <> %(seq)s AND e.prev_hash = %(row_hash)s)
"""
PREVIOUS = f"SELECT EXISTS (SELECT FROM {LOG} WHERE seq = %(before)s)"


def diagnosis(db: Any, before: Place, form: int) -> Damaged:
    """What is wrong behind ``before``, up to where all is well."""
    seq = before.seq + 1
    about = {"seq": seq, "hash": before.row_hash}

    def ask(query: str, **more: Any) -> Any:
        db.execute(query, {**about, **more})
        return db.fetchone()

    def number(kind: str, sentence: str, *, at: int = seq) -> Damaged:
        return Damaged(kind, at, sentence)

    db.execute(ENTRY, about)
    rows = db.fetchall()
    if len(rows) > 1:
        return number("inserted", "the number is there more than once")
    belongs = ask(BELONGS)
    if not rows:
        (after,) = ask(f"SELECT min(seq) FROM {LOG} WHERE seq > %(seq)s")
        if after is None:
            return number("cut", "entries are missing from here on, up to the last")
        if belongs and belongs[0] == after:
            return number("gap", f"what follows was numbered anew, from {after} on")
        if belongs:
            return number("reordered", f"its entry has the number {belongs[0]} now")
        gone = "it is" if after == seq + 1 else f"the entries up to {after - 1} are"
        return number("removed", f"{gone} missing")

    row_hash, links, is_whole, is_second, goes_on = rows[0]
    if links and is_whole:
        if is_second or form == 1:
            return number("origin", "address or user agent were changed or removed")
        return number("edited", "it is hashed in the form of those before")
    if links:
        if belongs:
            return number("inserted", f"the entry of this number has {belongs[0]} now")
        if swapped := ask(SWAPPED):
            return number("reordered", f"what it had, {swapped[0]} has now")
        return number("edited", "its content is not what was hashed")
    if goes_on:
        return number("edited", "its hash before is not the one that was hashed")
    if belongs:
        numbered = ask(NUMBERED, numbers=[belongs[0]])
        (followed,) = ask(FOLLOWED, row_hash=row_hash)
        if numbered or followed:
            return number("reordered", f"its entry has the number {belongs[0]} now")
        return number("inserted", f"the entry of this number has {belongs[0]} now")
    (has_previous,) = ask(PREVIOUS, before=before.seq)
    if has_previous and ask(NUMBERED, numbers=[before.seq]):
        return number("inserted", "the next entry had this number", at=before.seq)
    if has_previous and is_whole:
        return number(
            "rewritten",
            "it was changed and hashed anew; the next is chained to what it was",
            at=before.seq,
        )
    if numbered := ask(NUMBERED, numbers=[*range(seq + 1, seq + NUMBERED_ANEW)]):
        return number("removed", f"what was {numbered[0]} has this number now")
    if is_whole:
        return number("edited", "it is not chained to what was before it")
    return number("edited", "its content is not what was hashed")


def _name(file: CheckpointFile) -> str:
    return f"the checkpoint file of {file.written_at}"
