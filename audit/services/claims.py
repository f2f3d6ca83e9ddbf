"""Claims events of the outbox for one relay, and reports the outcomes.

The events of one row are claimed as a run that begins with its first unpublished event, the head.
The relay that claims the head owns the row. A head that is not due (lease, back-off, dead letter,
`available_at` set later by hand) holds back the events behind it.

A claim moves `available_at` to the end of a lease and counts an attempt. When a relay dies, its
claims are taken over at the end of their lease, by the database's clock alone. A report counts only
if the event still has the attempts and the lease of the claim.
"""

from __future__ import annotations

import logging
import random
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction

from ebalance.failures import Skipped, reason_of

from ..models import OutboxEvent

logger = logging.getLogger(__name__)

FIRST_BACK_OFF, LONGEST_BACK_OFF = 2.0, 3600.0  # seconds


@dataclass(frozen=True)
class Claim:
    """An event claimed until its ``available_at``; ``due`` is the earlier value."""

    event: OutboxEvent
    due: datetime


type Run = list[Claim]
"""Claims of one row, in the order of their events."""


@dataclass(frozen=True)
class Outcome:
    claim: Claim
    kind: Literal["sent", "failed", "released"]
    error: str | None = None


def back_off(attempts: int) -> float:
    """Seconds to wait after the attempt: 2, 4, 8, … up to an hour, less a random part up to half.

    With 20 attempts the last one is five to nine hours after the first.
    """
    longest = min(LONGEST_BACK_OFF, FIRST_BACK_OFF * 2 ** min(attempts - 1, 20))
    return longest * random.uniform(0.5, 1)


def is_last(event: OutboxEvent) -> bool:
    return event.attempts >= settings.OUTBOX_MAX_ATTEMPTS


# -- claiming -------------------------------------------------------------------------------------

# The indexes return the rows in the wanted order. With statistics from before a burst of events,
# when nearly all were published, the planner would read and sort all of them.
BY_INDEX = "; ".join(
    f"SET LOCAL {name} = off"
    for name in (
        *("enable_seqscan", "enable_bitmapscan", "enable_sort"),
        *("enable_hashjoin", "enable_mergejoin", "jit"),
    )
)
# Due events that are the first unpublished ones of their rows, the oldest first.
HEADS = """
SELECT e.id, e.aggregate_type, e.aggregate_id, e.available_at FROM outbox_events e
WHERE e.published_at IS NULL AND e.available_at <= now() AND e.attempts < %(most)s
  AND e.id <> ALL (%(leave)s::uuid[])
  AND NOT EXISTS (SELECT FROM outbox_events p WHERE p.published_at IS NULL
                  AND p.aggregate_type = e.aggregate_type AND p.aggregate_id = e.aggregate_id
                  AND p.id < e.id)
ORDER BY e.available_at, e.id LIMIT %(batch)s
FOR UPDATE OF e SKIP LOCKED
"""
FOLLOWERS = """
SELECT e.id, head.id, e.available_at, e.available_at <= now() AND e.attempts < %(most)s
FROM unnest(%(ids)s::uuid[], %(types)s::text[], %(rows)s::uuid[]) AS head (id, type, row)
CROSS JOIN LATERAL (
    SELECT f.id FROM outbox_events f
    WHERE f.published_at IS NULL AND f.aggregate_type = head.type AND f.aggregate_id = head.row
      AND f.id > head.id
    ORDER BY f.id LIMIT %(each)s
) AS follower
JOIN outbox_events e ON e.id = follower.id
WHERE e.published_at IS NULL
FOR UPDATE OF e
"""
TAKE = """
UPDATE outbox_events AS e
SET attempts = e.attempts + 1, available_at = now() + make_interval(secs => %(lease)s),
    -- Claimed before, and neither released nor reported.
    last_error = CASE WHEN e.attempts > 0 THEN coalesce(e.last_error, 'lease_expired') END
WHERE e.id = ANY (%(ids)s::uuid[])
RETURNING e.*
"""


def claim_events(*, batch: int, lease: float, skipped: Skipped | None = None) -> list[Run]:
    """Claim runs of ``batch`` events at most in all for ``lease`` seconds, the oldest first.

    Empty when nothing is due. Rows that another relay is claiming are passed over, as are the
    events in ``skipped``. If a claim cannot be written, each head is claimed alone, and a head
    that cannot be claimed is added to ``skipped``.
    """
    skipped = {} if skipped is None else skipped
    while True:
        try:
            return _claim(batch, lease, leave=[*skipped])
        except Exception as error:
            reason_of(error)  # raises the error of a lost connection
        before = len(skipped)
        runs = _claim_one_by_one(batch, lease, skipped)
        if runs or len(skipped) == before:
            return runs


@transaction.atomic
def _claim(batch: int, lease: float, *, leave: list[UUID]) -> list[Run]:
    heads = _heads(batch, leave)
    if not heads:
        return []
    due: dict[UUID, datetime] = {event: at for event, _type, _row, at in heads}
    runs: dict[UUID, list[UUID]] = {event: [event] for event in due}
    blocked = set()
    for event, head, at, is_due in sorted(_fetch_followers(heads, batch)):
        if is_due and event not in leave and head not in blocked:
            runs[head].append(event)
            due[event] = at
        else:
            blocked.add(head)
    taken = OutboxEvent.objects.raw(TAKE, {"ids": [*due], "lease": lease})
    events = {event.pk: event for event in taken}
    return [[Claim(events[key], due[key]) for key in run] for run in runs.values()]


@transaction.atomic
def _claim_one_by_one(batch: int, lease: float, skipped: Skipped) -> list[Run]:
    runs = []
    for key, _type, _row, due in _heads(batch, [*skipped]):
        try:
            with transaction.atomic():
                (event,) = OutboxEvent.objects.raw(TAKE, {"ids": [key], "lease": lease})
        except Exception as error:
            skipped[key] = reason_of(error)
            logger.error("outbox: %s was not claimed: %s", key, skipped[key])
        else:
            runs.append([Claim(event, due)])
    return runs


def _heads(batch: int, leave: list[UUID]) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(BY_INDEX)
    return _fetch(HEADS, batch=batch, leave=leave)


def _fetch_followers(heads: list[Any], batch: int) -> list[Any]:
    """The events behind the heads, the same number for each."""
    if (each := batch // len(heads) - 1) < 1:
        return []
    ids, types, rows, _due = map(list, zip(*heads, strict=True))
    return _fetch(FOLLOWERS, ids=ids, types=types, rows=rows, each=each)


def _fetch(statement: str, **params: Any) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement, {"most": settings.OUTBOX_MAX_ATTEMPTS, **params})
        return cursor.fetchall()


# -- reporting ------------------------------------------------------------------------------------

# Rows are locked in the order of their events, heads first, as a claim does.
REPORT = """
WITH outcome AS (
    SELECT * FROM unnest(%(ids)s::uuid[], %(attempts)s::int[], %(leases)s::timestamptz[],
                         %(kinds)s::text[], %(errors)s::text[], %(waits)s::float8[],
                         %(due)s::timestamptz[])
        AS o (id, attempts, lease, kind, error, wait, due)
), claimed AS MATERIALIZED (
    SELECT e.id FROM outbox_events e JOIN outcome o ON o.id = e.id
    WHERE e.published_at IS NULL AND e.attempts = o.attempts AND e.available_at = o.lease
    ORDER BY e.id FOR UPDATE OF e
)
UPDATE outbox_events AS e
SET published_at = CASE WHEN o.kind = 'sent' THEN now() END,
    attempts = e.attempts - (o.kind = 'released')::int,
    available_at = CASE o.kind WHEN 'failed' THEN now() + make_interval(secs => o.wait)
                               WHEN 'released' THEN o.due ELSE e.available_at END,
    last_error = CASE WHEN o.kind = 'failed' THEN o.error ELSE e.last_error END
FROM outcome o JOIN claimed c ON c.id = o.id
WHERE e.id = o.id
"""


def report_outcomes(outcomes: list[Outcome], skipped: Skipped | None = None) -> int:
    """Store the outcomes in one statement; returns how many claims were still valid.

    A failed event is due again after ``back_off``, a released event when it was due before. If an
    outcome cannot be stored, each gets a statement of its own; one that is refused is added to
    ``skipped``, and its lease ends.
    """
    try:
        return _report(outcomes)
    except Exception as error:
        reason = reason_of(error)  # raises the error of a lost connection
    if len(outcomes) > 1:
        return sum(report_outcomes([outcome], skipped) for outcome in outcomes)
    key = outcomes[0].claim.event.pk
    logger.error("outbox: the outcome of %s was not stored: %s", key, reason)
    if skipped is not None:
        skipped[key] = reason
    return 0


@transaction.atomic
def _report(outcomes: list[Outcome]) -> int:
    events = [outcome.claim.event for outcome in outcomes]
    with connection.cursor() as cursor:
        cursor.execute(
            REPORT,
            {
                "ids": [event.pk for event in events],
                "attempts": [event.attempts for event in events],
                "leases": [event.available_at for event in events],
                "kinds": [outcome.kind for outcome in outcomes],
                "errors": [outcome.error for outcome in outcomes],
                # After the last attempt the event is a dead letter at once.
                "waits": [0.0 if is_last(e) else back_off(e.attempts) for e in events],
                "due": [outcome.claim.due for outcome in outcomes],
            },
        )
        return cursor.rowcount
