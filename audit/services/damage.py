"""Diagnoses a damage to the audit log: its kind and the first bad number."""

from __future__ import annotations

from typing import Any, NamedTuple

from .canonical import LOG, hash_of

RENUMBERED = 1_000  # later numbers that an entry may have had before

SENTENCES = {
    "edited": "its content is not what was hashed",
    "removed": "entries are missing from here on",
    "inserted": "the log did not write an entry with this number here",
    "reordered": "its entry has another number now",
    "cut": "entries are missing from here on, up to the last",
    "rewritten": "it was changed and hashed anew; the next is chained to what it was",
}
ENTRY = f"""
SELECT e.prev_hash = %(hash)s AS links, e.row_hash = {hash_of()} AS is_whole,
       EXISTS (SELECT FROM {LOG} f WHERE f.seq <> e.seq AND f.prev_hash = e.row_hash),
       EXISTS (SELECT FROM {LOG} p WHERE p.seq = %(before)s)
FROM {LOG} e WHERE e.seq = %(seq)s
"""
# Another entry that was written with this number, after this hash.
MOVED = f"""
SELECT EXISTS (SELECT FROM {LOG} e WHERE e.seq <> %(seq)s AND e.prev_hash = %(hash)s
               AND e.row_hash = {hash_of(seq="%(seq)s")})
"""
# The number with which the entry was written.
NUMBER = f"""
SELECT n FROM {LOG} e, generate_series(%(before)s, %(seq)s + {RENUMBERED}) n
WHERE e.seq = %(seq)s AND n <> e.seq AND e.row_hash = {hash_of(seq="n")} LIMIT 1
"""


class Position(NamedTuple):
    """The last intact entry; number 0 and an empty hash before the first entry."""

    seq: int
    row_hash: bytes


BEGINNING = Position(0, b"")


class Damaged(Exception):
    """The log is not as it was written. One line that quotes nothing of the log.

    ``kind`` is edited, removed, inserted, reordered, cut, rewritten, or checkpoint (a checkpoint
    with a wrong signature). ``seq`` is the first bad number; of a rewritten chain, the number of
    the known entry at or before which the change is.
    """

    def __init__(self, kind: str, seq: int, sentence: str) -> None:
        super().__init__(f"The audit log is damaged at seq {seq} ({kind}): {sentence}.")
        self.kind = kind
        self.seq = seq


def diagnose(db: Any, before: Position) -> Damaged:
    """The damage of the entry after ``before``, the last intact entry."""
    kind, seq = find_damage(db, before)
    return Damaged(kind, seq, SENTENCES[kind])


def find_damage(db: Any, before: Position) -> tuple[str, int]:
    seq = before.seq + 1
    about = {"before": before.seq, "seq": seq, "hash": before.row_hash}

    def ask(query: str) -> Any:
        db.execute(query, about)
        row = db.fetchone()
        return row and row[0]

    db.execute(ENTRY, about)
    rows = db.fetchall()
    if len(rows) > 1:
        return "inserted", seq
    has_moved = ask(MOVED)
    if not rows:
        is_last = not ask(f"SELECT EXISTS (SELECT FROM {LOG} WHERE seq > %(seq)s)")
        return "reordered" if has_moved else "cut" if is_last else "removed", seq
    links, is_whole, is_followed, has_previous = rows[0]
    if links:
        return "inserted" if has_moved else "edited", seq
    number = ask(NUMBER)
    if has_moved:
        return "reordered" if number or is_followed else "inserted", seq
    if number == before.seq:
        return "inserted", before.seq
    if is_whole and has_previous:
        return "rewritten", before.seq
    return "removed" if number else "edited", seq
