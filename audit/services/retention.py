"""Retention of the audit log: removes whole months that are old enough; the rest still verifies.

A segment is verified, then covered by a signed checkpoint, and only then removed, batch by batch
from its beginning. A run may end at any time: the rest of the segment leads up to its checkpoint
without a gap, and the next run removes it. See docs/adr/0013-audit-log.md.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from threading import Event
from typing import Any

from django.db import connection, transaction

from ..errors import LogDamaged, OwnerNeeded, SigningKeyMissing
from ..models import AuditCheckpoint, AuditLogEntry
from ..models.log import KEPT
from .chain import Damaged, Stopped, UnknownKey, Verification, Verified
from .checkpoints import sign
from .log import record_entry

BATCH = 1_000  # entries per transaction

# The last entry before the first one that is too young. Numbers are assigned at the end of a
# transaction and created_at is its beginning, so a later number may be a little older.
LAST_OLD = f"""
SELECT coalesce(
    (SELECT seq - 1 FROM public.audit_log_entries
     WHERE created_at >= date_trunc('month', (coalesce(%s, now()) AT TIME ZONE 'UTC')
                                             - interval '{KEPT}') AT TIME ZONE 'UTC'
     ORDER BY seq LIMIT 1),
    (SELECT max(seq) FROM public.audit_log_entries),
    0)
"""
FIRST = "SELECT min(seq), count(*) FROM public.audit_log_entries WHERE seq <= %s"
DELETE = "DELETE FROM public.audit_log_entries WHERE seq BETWEEN %s AND %s"
MAY_REMOVE = """
SELECT has_table_privilege('public.audit_log_entries', 'DELETE')
   AND has_table_privilege('public.audit_checkpoints', 'INSERT')
"""


def remove_old_segments(
    *,
    now: datetime | None = None,
    batch: int = BATCH,
    stop: Event | None = None,
    tick: Callable[[int], object] = lambda entries: None,
    dry_run: bool = False,
) -> int:
    """Remove the months that ended more than ``KEPT`` ago; returns the number of removed entries.

    ``stop`` is checked before each batch, ``tick`` gets the number of entries of each. A dry run
    only counts. Raises LogDamaged, SigningKeyMissing, and OwnerNeeded for a role of the database
    that may not remove entries; then nothing is removed.
    """
    stop = stop or Event()
    last = _last_to_remove(now)
    first, entries = _ask(FIRST, last)
    if dry_run or not entries:
        return entries
    if not _ask(MAY_REMOVE)[0]:
        raise OwnerNeeded()
    try:
        _sign_off(_verified(last, stop))
    except Stopped:
        return 0
    removed = 0
    for seq in range(first, last + 1, batch):
        if stop.is_set():
            break
        with connection.cursor() as db:
            db.execute(DELETE, [seq, min(seq + batch - 1, last)])
            removed += db.rowcount
            tick(db.rowcount)
    return removed


def _last_to_remove(now: datetime | None) -> int:
    (last,) = _ask(LAST_OLD, now)
    # An interrupted run may have left entries of a segment that is already signed.
    signed = AuditCheckpoint.objects.order_by("seq").values_list("seq", flat=True).last()
    return max(last, signed or 0)


def _verified(last: int, stop: Event) -> Verified:
    try:
        return Verification(up_to=last, stop=stop.is_set).run()
    except Damaged as damage:
        raise LogDamaged(seq=damage.seq, kind=damage.kind) from damage
    except UnknownKey as error:
        raise SigningKeyMissing(key=error.key_id) from error


@transaction.atomic
def _sign_off(verified: Verified) -> None:
    """Write the checkpoint and an entry about it, so that the newest entry is never removed."""
    with connection.cursor() as db:
        # The second of two concurrent runs sees the checkpoint of the first.
        db.execute("LOCK TABLE public.audit_checkpoints IN SHARE ROW EXCLUSIVE MODE")
    before = AuditCheckpoint.objects.order_by("seq").last()
    removed_to = before.seq if before else 0
    if removed_to >= verified.last:
        return
    entries = verified.last - removed_to
    key_id, signature = sign(verified.last, verified.row_hash, entries)
    AuditCheckpoint.objects.create(
        seq=verified.last,
        row_hash=verified.row_hash,
        entries=entries,
        key_id=key_id,
        signature=signature,
    )
    record_entry(
        "audit_segment_removed",
        entity_type=AuditLogEntry._meta.db_table,
        values={"first_seq": removed_to + 1, "last_seq": verified.last, "entries": entries},
    )


def _ask(query: str, *params: Any) -> Any:
    with connection.cursor() as db:
        db.execute(query, params)
        return db.fetchone()
