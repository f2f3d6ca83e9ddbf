"""Helpers for tests of the chain: a log with all kinds of entries, and a superuser's edits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection

from audit.models import AuditLogEntry
from audit.services.chain import Damaged, Verification, Verified
from tests.factories import AuditLogEntryFactory, UserFactory
from tests.support import execute

TABLE = "audit_log_entries"
BATCHES = (1, 2, 3, 1000)
HASH = (
    "public.audit_entry_hash(before, e.id, e.seq, e.actor_user_id, e.actor_role, e.action, "
    "e.entity_type, e.entity_id, e.entity_key, e.old_value, e.new_value, e.created_at, "
    "e.origin_hash)"
)
# Many entries at once, chained as by the trigger, but much faster.
GROW = """
INSERT INTO audit_log_entries (id, seq, actor_role, action, entity_type, entity_id, new_value,
                               created_at, prev_hash, row_hash)
WITH RECURSIVE chain AS (
    SELECT coalesce(max(seq), 0) AS seq, NULL::uuid AS id,
           coalesce((SELECT row_hash FROM audit_log_entries ORDER BY seq DESC LIMIT 1), '')
               AS row_hash,
           ''::bytea AS prev_hash, NULL::jsonb AS value
    FROM audit_log_entries
    UNION ALL
    SELECT c.seq + 1, n.id,
           audit_entry_hash(c.row_hash, n.id, c.seq + 1, NULL, 'system', 'tried', 'test', n.id,
                            NULL, NULL, n.value, %(at)s::timestamptz, NULL),
           c.row_hash, n.value
    FROM chain c, LATERAL (
        SELECT md5(c.seq::text)::uuid AS id, jsonb_build_object('n', c.seq) AS value) n
    WHERE c.seq < %(to)s)
SELECT id, seq, 'system', 'tried', 'test', id, value, %(at)s::timestamptz, prev_hash, row_hash
FROM chain WHERE id IS NOT NULL ORDER BY seq
"""


def write_sample_log() -> None:
    """Write nine entries with and without actor, origin and values; some texts need escaping."""
    actor = UserFactory()
    AuditLogEntryFactory(actor=actor, user_agent="Mozilla/5.0")
    AuditLogEntryFactory(actor=actor, ip_address=None)
    AuditLogEntryFactory(actor=actor, ip_address="2001:db8::1", user_agent='"7" \\ ☂\tЁ')
    AuditLogEntryFactory(by_system=True, entity_id=None, entity_key="hold_minutes", old_value=None)
    AuditLogEntryFactory(actor=actor, user_agent="Mozilla/5.0", entity_key="a-b_C")
    AuditLogEntryFactory(by_system=True, new_value={"a": [1.50, None, {"b": "«Ё» \"'\\ \n"}]})
    AuditLogEntryFactory(actor=actor, old_value=None, new_value=None, ip_address=None)
    AuditLogEntryFactory(actor=actor, user_agent="")
    AuditLogEntryFactory(by_system=True)


def grow_log(to: int, *, at: str = "2026-01-07 09:00Z") -> None:
    """Write many entries, up to this number."""
    with superuser():
        execute(GROW, {"to": to, "at": at})


@contextmanager
def superuser(bypass: str = "disabled") -> Iterator[None]:
    """Switch off the triggers of the log, by one of the two means of a superuser."""
    connection.check_constraints()  # a table with pending triggers cannot be altered
    if bypass == "replica":
        execute("SET session_replication_role = replica")
    else:
        execute(f"ALTER TABLE {TABLE} DISABLE TRIGGER USER")
    yield
    connection.check_constraints()
    if bypass == "replica":
        execute("RESET session_replication_role")
    else:
        execute(f"ALTER TABLE {TABLE} ENABLE TRIGGER USER")


def rehash_from(first: int) -> None:
    """Chain the entries from this one on as the trigger does. For ``superuser()``."""
    rows = execute(f"SELECT seq FROM {TABLE} WHERE seq >= %s ORDER BY seq", [first])
    for seq in (row["seq"] for row in rows):
        rehash(seq)


def rehash(seq: int) -> None:
    """Chain this entry to the one before it."""
    execute(
        f"UPDATE {TABLE} e SET prev_hash = before, row_hash = {HASH} "
        f"FROM (SELECT coalesce((SELECT row_hash FROM {TABLE} WHERE seq < %s "
        "ORDER BY seq DESC LIMIT 1), '') AS before) last WHERE e.seq = %s",
        [seq, seq],
    )


def assign(seq: int, /, **values: Any) -> None:
    sets = ", ".join(f"{name} = %s" for name in values)
    execute(f"UPDATE {TABLE} SET {sets} WHERE seq = %s", [*values.values(), seq])


def move(seq: int, to: int) -> None:
    assign(seq, seq=to)


def shift(first: int, by: int = 1) -> None:
    """Renumber the entries from this one on."""
    order = "DESC" if by > 0 else "ASC"
    rows = execute(f"SELECT seq FROM {TABLE} WHERE seq >= %s ORDER BY seq {order}", [first])
    for row in rows:
        move(row["seq"], row["seq"] + by)


def swap(one: int, other: int) -> None:
    """Swap the numbers of two entries."""
    move(one, 1000)
    move(other, one)
    move(1000, other)


def remove(first: int, last: int | None = None) -> None:
    execute(f"DELETE FROM {TABLE} WHERE seq BETWEEN %s AND %s", [first, last or first])


def insert(seq: int, prev_hash: bytes = b"x", row_hash: bytes = b"y") -> None:
    execute(
        f"INSERT INTO {TABLE} (seq, actor_role, action, entity_type, prev_hash, row_hash) "
        "VALUES (%s, 'owner', 'consent_granted', 'consents', %s, %s)",
        [seq, prev_hash, row_hash],
    )


def hash_at(seq: int) -> bytes:
    return bytes(AuditLogEntry.objects.get(seq=seq).row_hash)


def verify(**options: Any) -> Verified:
    return Verification(**options).run()


def find_damage(**options: Any) -> tuple[str, int] | None:
    """Kind and number of the detected damage; the same for every batch size."""
    answers = {answer(lambda b=batch: verify(batch=b, **options)) for batch in BATCHES}
    (one,) = answers
    return one


def answer(run: Callable[[], Verified]) -> tuple[str, int] | None:
    try:
        run()
    except Damaged as damage:
        return damage.kind, damage.seq
    return None
