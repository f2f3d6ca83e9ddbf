"""Takes events out of the outbox: each is delivered at least once, those of one row in their order.

A relay claims events in one short transaction, sends them outside of any, and reports what came of
it. Any number of relays may run. What keeps them apart:

* The events of one row are claimed as a run, beginning with its first unpublished one, the head:
  whoever has the head has the row. A head that is not due (lease, back-off, dead letter,
  `available_at` set later by hand) holds back those behind it.
* A claim moves `available_at` to the end of a lease and counts an attempt. When a relay dies, its
  claims are taken over at the end of their lease, by the database's clock alone.
* A relay measures its lease by its own monotonic clock, from before the claim. It begins no send
  that might outlast the lease, and a watchdog ends the process if a send does so all the same:
  nothing is sent late, after another relay has taken over.
* A report counts only where attempts and lease are still those of the claim.

A failed event is due again after `back_off`, the rest of its run is released. A relay that dies
counts as an attempt (`lease_expired`) for all that it held.
"""

from __future__ import annotations

import faulthandler
import logging
import random
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection, transaction

from ..models import OutboxEvent
from .senders import Sender, SendFailed

logger = logging.getLogger(__name__)

DEFAULT_BATCH = 100  # events per claim
FIRST_BACK_OFF, LONGEST_BACK_OFF = 2.0, 3600.0  # seconds
REPORT_EVERY = 1.0  # seconds; what a dying relay may have sent without having said so
LONGEST_PAUSE = 1.0  # seconds between looks into an empty outbox
LONGEST_RECONNECT = 30.0  # seconds between tries of a database that is away
LAG_EVERY = 60.0  # seconds between lines of the log
AWAY = (OperationalError, InterfaceError)
STDERR = 2


def back_off(attempts: int) -> float:
    """Seconds to wait after so many attempts: 2, 4, 8, … up to an hour, less up to half of it.

    With 20 attempts the last one is five to nine hours after the first.
    """
    longest = min(LONGEST_BACK_OFF, FIRST_BACK_OFF * 2 ** min(attempts - 1, 20))
    return longest * random.uniform(0.5, 1)


@dataclass(frozen=True)
class Claim:
    """An event that is ours until its ``available_at``; ``due`` is when it was due before."""

    event: OutboxEvent
    due: datetime


type Run = list[Claim]
"""Claims of one row, in the order of their events."""


@dataclass(frozen=True)
class Outcome:
    claim: Claim
    kind: Literal["sent", "failed", "released"]
    error: str | None = None


# -- claiming -------------------------------------------------------------------------------------

# Indexes give what is asked in its order. Statistics from before a burst of events, when nearly all
# were published, would make the planner read and sort them all. (What it is denied it may still do
# at a price, for which it would compile.)
BY_INDEX = """
SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off;
SET LOCAL jit = off
"""
SORTED = "SET LOCAL enable_sort = on"
# Heads of the rows that the oldest due events belong to; whether there may be more behind these.
FRONT = """
WITH due AS MATERIALIZED (
    SELECT aggregate_type, aggregate_id FROM outbox_events
    WHERE published_at IS NULL AND available_at <= now() AND attempts < %(most)s
    ORDER BY available_at, id LIMIT %(window)s
)
SELECT array_agg(head.id) FILTER (WHERE head.available_at <= now() AND head.attempts < %(most)s),
       (SELECT count(*) FROM due) = %(window)s
FROM (SELECT DISTINCT aggregate_type, aggregate_id FROM due) AS a
CROSS JOIN LATERAL (
    SELECT e.id, e.available_at, e.attempts FROM outbox_events e
    WHERE e.published_at IS NULL
      AND e.aggregate_type = a.aggregate_type AND e.aggregate_id = a.aggregate_id
    ORDER BY e.id LIMIT 1
) AS head
"""
# Heads from row to row, each found by a step into the index, not by reading what is between them.
WALK = """
WITH RECURSIVE head AS (
    (SELECT e.aggregate_type, e.aggregate_id, e.id, e.available_at, e.attempts
     FROM outbox_events e
     WHERE e.published_at IS NULL
       AND (e.aggregate_type, e.aggregate_id) > (%(type)s::text, %(id)s::uuid)
     ORDER BY e.aggregate_type, e.aggregate_id, e.id LIMIT 1)
    UNION ALL
    SELECT next.* FROM head CROSS JOIN LATERAL (
        SELECT e.aggregate_type, e.aggregate_id, e.id, e.available_at, e.attempts
        FROM outbox_events e
        WHERE e.published_at IS NULL
          AND (e.aggregate_type, e.aggregate_id) > (head.aggregate_type, head.aggregate_id)
        ORDER BY e.aggregate_type, e.aggregate_id, e.id LIMIT 1
    ) AS next
)
SELECT aggregate_type, aggregate_id, id, available_at <= now() AND attempts < %(most)s
FROM head LIMIT %(steps)s
"""
LOCK_HEADS = """
SELECT e.id, e.aggregate_type, e.aggregate_id, e.available_at FROM outbox_events e
WHERE e.id = ANY (%(ids)s::uuid[])
  AND e.published_at IS NULL AND e.available_at <= now() AND e.attempts < %(most)s
ORDER BY e.available_at, e.id LIMIT %(batch)s
FOR UPDATE SKIP LOCKED
"""
LOCK_FOLLOWERS = """
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
START = ("", UUID(int=0))
MOST_STEPS = 5_000  # of one walk


class Claims:
    """Claims of one relay: the oldest due events first, as long as they are not held back.

    Where more than a window of the oldest events is held back (behind a dead letter, say), heads
    are looked for row by row instead, going on where the last look ended, so that every row has
    its turn.
    """

    def __init__(self, *, batch: int, lease: float) -> None:
        self.batch = batch
        self.lease = lease
        self.window = 4 * batch
        self.after = START

    @transaction.atomic
    def claim(self) -> list[Run]:
        """Runs of ``batch`` events at most in all; empty when nothing is due."""
        for heads in self._heads():
            if heads and (runs := self._take(heads)):
                return runs
        return []

    def _heads(self) -> Iterator[list[UUID]]:
        ((heads, is_full),) = _rows(BY_INDEX, FRONT, window=self.window)
        yield heads or []
        rounds = 0 if not is_full else 1 if self.after == START else 2
        steps = self.window
        while rounds:
            kind, row = self.after
            found = _rows(BY_INDEX, WALK, type=kind, id=row, steps=steps)
            is_end = len(found) < steps
            self.after = START if is_end else found[-1][:2]
            rounds -= is_end
            steps = min(2 * steps, MOST_STEPS)
            yield [head for _type, _row, head, is_due in found if is_due]

    def _take(self, heads: list[UUID]) -> list[Run]:
        locked = _rows(SORTED, LOCK_HEADS, ids=heads, batch=self.batch)
        if not locked:
            return []
        due: dict[UUID, datetime] = {}
        runs: dict[UUID, list[UUID]] = {}
        for event, _type, _row, was_due in locked:
            runs[event], due[event] = [event], was_due
        held_back = set()
        for event, head, was_due, is_due in sorted(self._followers(locked)):
            if is_due and head not in held_back:
                runs[head].append(event)
                due[event] = was_due
            else:
                held_back.add(head)
        params = {"ids": [*due], "lease": self.lease}
        taken = {event.pk: event for event in OutboxEvent.objects.raw(TAKE, params)}
        return [[Claim(taken[event], due[event]) for event in run] for run in runs.values()]

    def _followers(self, locked: list[Any]) -> list[Any]:
        if (each := self.batch // len(locked) - 1) < 1:
            return []
        ids, types, rows, _due = map(list, zip(*locked, strict=True))
        params = {"ids": ids, "types": types, "rows": rows, "each": each}
        return _rows(BY_INDEX, LOCK_FOLLOWERS, **params)


def _rows(planner: str, statement: str, **params: Any) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(planner)
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


def report(outcomes: list[Outcome]) -> int:
    """Write down what came of the claims, in one statement; how many were still ours."""
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
                # After the last attempt nothing is waited for: it is a dead letter at once.
                "waits": [0.0 if is_last(e) else back_off(e.attempts) for e in events],
                "due": [outcome.claim.due for outcome in outcomes],
            },
        )
        return cursor.rowcount


def is_last(event: OutboxEvent) -> bool:
    return event.attempts >= settings.OUTBOX_MAX_ATTEMPTS


# -- the relay ------------------------------------------------------------------------------------


class Relay:
    """One consumer of the outbox. ``lease`` in seconds, longer than the sender's timeout.

    ``stop`` is asked before every send; then the event at work is finished and the others are
    released. Raises ValueError for a lease within which nothing could be sent.
    """

    def __init__(
        self,
        sender: Sender,
        *,
        batch: int = DEFAULT_BATCH,
        lease: float | None = None,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self.sender = sender
        self.lease = lease or settings.OUTBOX_LEASE_SECONDS
        if self.lease <= sender.timeout:
            raise ValueError(
                f"A lease of {self.lease:g} s is too short: one delivery may take "
                f"{sender.timeout:g} s."
            )
        self.claims = Claims(batch=batch, lease=self.lease)
        self.stop = stop
        self.outcomes: list[Outcome] = []
        self.reported = time.monotonic()
        self.is_watched = False

    def run(self) -> None:
        """Send until told to stop. A database that goes away is waited for; one that is not there
        from the beginning is an error.
        """
        self.step()
        next_line = time.monotonic()
        failures = 0
        while not self.stop():
            try:
                if time.monotonic() >= next_line:
                    next_line = time.monotonic() + LAG_EVERY
                    logger.info("outbox: %s", str(OutboxEvent.objects.lag()))
                if not self.step():
                    self.pause(LONGEST_PAUSE)
                failures = 0
            except AWAY as error:
                failures += 1
                self.reconnect(error, failures)

    def drain(self) -> None:
        """Send what is due now, and end. Raises what the database raises."""
        while not self.stop() and self.step():
            pass

    def step(self) -> int:
        """Claim, send, report; how many events were claimed."""
        deadline = time.monotonic() + self.lease
        runs = self.claims.claim()
        if runs:
            self.deliver(runs, deadline)
        return sum(map(len, runs))

    def deliver(self, runs: list[Run], deadline: float) -> None:
        left = {claim.event.pk: claim for run in runs for claim in run}
        try:
            for run in runs:
                for claim in run:
                    if self.stop() or deadline - time.monotonic() < self.sender.timeout:
                        return
                    self.watch(deadline)
                    del left[claim.event.pk]
                    if not self.attempt(claim):
                        break
                    if time.monotonic() - self.reported >= REPORT_EVERY:
                        self.report()
        finally:
            self.outcomes += [Outcome(claim, "released") for claim in left.values()]
            self.report()

    def attempt(self, claim: Claim) -> bool:
        """Send one event; whether it was accepted."""
        try:
            self.sender.send(claim.event)
        except SendFailed as failure:
            self.failed(claim, failure.code if is_code(failure.code) else "internal")
            return False
        except BaseException as error:
            self.failed(claim, "internal")
            if not isinstance(error, Exception):
                raise  # the process is to end; what was claimed is given back on the way
            logger.exception("outbox: the sender failed")  # redacted: types and lines
            return False
        self.outcomes.append(Outcome(claim, "sent"))
        return True

    def failed(self, claim: Claim, code: str) -> None:
        self.outcomes.append(Outcome(claim, "failed", code))
        event = claim.event
        logger.log(
            logging.ERROR if is_last(event) else logging.WARNING,
            "outbox: %s %s was not delivered (%s, attempt %s)%s",
            event.event_type,
            event.pk,
            code,
            event.attempts,
            "; it is a dead letter now" if is_last(event) else "",
        )

    def report(self) -> None:
        """Report all outcomes, also to a database that goes away meanwhile. Once told to stop, one
        failure is enough: the leases will end.
        """
        self.unwatch()
        failures = 0
        while self.outcomes:
            try:
                report(self.outcomes)
            except AWAY as error:
                failures += 1
                self.reconnect(error, failures)
                if not self.stop():
                    continue
                logger.warning("outbox: %s outcomes were not reported", len(self.outcomes))
            self.outcomes = []
        self.reported = time.monotonic()

    def reconnect(self, error: Exception, failures: int) -> None:
        connection.close()
        logger.warning("outbox: the database is away (%s), try %s", type(error).__name__, failures)
        self.pause(min(LONGEST_RECONNECT, 0.25 * 2 ** min(failures, 10)))

    def pause(self, longest: float) -> None:
        """Sleep for half to all of so many seconds, and no longer when told to stop.

        In slices: a signal's handler does not end time.sleep(), and may not wake threading.Event
        out of its own thread.
        """
        end = time.monotonic() + longest * random.uniform(0.5, 1)
        while not self.stop() and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, 0.1))

    def watch(self, deadline: float) -> None:
        """From now on a send that has not returned by the end of the lease ends the process, with
        a traceback and without a word about data. It needs no answer of the thread that hangs.
        """
        if not self.is_watched:
            left = max(0.01, deadline - time.monotonic())
            faulthandler.dump_traceback_later(left, exit=True, file=STDERR)
            self.is_watched = True

    def unwatch(self) -> None:
        faulthandler.cancel_dump_traceback_later()
        self.is_watched = False


def is_code(text: str) -> bool:
    return re.fullmatch(r"[a-z][a-z0-9_]{0,59}", text) is not None
