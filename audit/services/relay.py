"""Sends the events of the outbox: each at least once, those of one row in their order.

A relay claims events in one short transaction (``claims``), sends them outside of any, and reports
the outcomes. Any number of relays may run.

A relay measures its lease by its own monotonic clock, from before the claim. It begins no send that
might outlast the lease, and a watchdog ends the process if a send outlasts it: nothing is sent
after another relay has taken over. After a failure the rest of the run is released. If a relay
dies, each event that it had claimed has used an attempt (`lease_expired`).
"""

from __future__ import annotations

import faulthandler
import logging
import random
import re
import time
from collections.abc import Callable

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection

from ebalance.failures import Skipped

from ..models import OutboxEvent
from .claims import Claim, Outcome, Run, claim_events, is_last, report_outcomes
from .senders import Sender, SendFailed

logger = logging.getLogger(__name__)

DEFAULT_BATCH = 100  # events per claim
REPORT_EVERY = 1.0  # seconds; a relay that dies may have sent events this long without a report
LONGEST_PAUSE = 1.0  # seconds between reads of an empty outbox
LONGEST_RECONNECT = 30.0  # seconds between attempts to reconnect to the database
LAG_EVERY = 60.0  # seconds between lines of the log
CONNECTION_ERRORS = (OperationalError, InterfaceError)
STDERR = 2


class Relay:
    """One consumer of the outbox. ``lease`` in seconds, longer than the sender's timeout.

    ``stop`` is called before each send. A stopped relay finishes the current event and releases the
    others. Raises ValueError for a lease within which nothing could be sent.
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
        self.batch = batch
        self.lease = lease or settings.OUTBOX_LEASE_SECONDS
        if self.lease <= sender.timeout:
            raise ValueError(
                f"A lease of {self.lease:g} s is too short: one delivery may take "
                f"{sender.timeout:g} s."
            )
        self.stop = stop
        self.outcomes: list[Outcome] = []
        self.skipped: Skipped = {}  # events that could not be written; logged by the claims
        self.reported = time.monotonic()
        self.is_watched = False

    def run(self) -> None:
        """Send until stopped. If the connection to the database is lost, the relay reconnects.

        Raises an error of the database only in the first step.
        """
        self.step()
        next_line = time.monotonic()
        failures = 0
        while not self.stop():
            try:
                if time.monotonic() >= next_line:
                    next_line = time.monotonic() + LAG_EVERY
                    logger.info("outbox: %s", str(OutboxEvent.objects.lag()))
                    self.skipped.clear()  # try them again
                if not self.step():
                    self.pause(LONGEST_PAUSE)
                failures = 0
            except CONNECTION_ERRORS as error:
                failures += 1
                self.reconnect(error, failures)

    def drain(self) -> None:
        """Send the events that are due now, and return. Raises errors of the connection.

        Each event that could not be written is in ``skipped`` afterwards.
        """
        while not self.stop() and self.step():
            pass

    def step(self) -> int:
        """Claim, send, report; returns how many events were claimed."""
        deadline = time.monotonic() + self.lease
        runs = claim_events(batch=self.batch, lease=self.lease, skipped=self.skipped)
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
                    if not self.send(claim):
                        break
                    if time.monotonic() - self.reported >= REPORT_EVERY:
                        self.report()
        finally:
            self.outcomes += [Outcome(claim, "released") for claim in left.values()]
            self.report()

    def send(self, claim: Claim) -> bool:
        """Send one event; returns whether it was accepted."""
        try:
            self.sender.send(claim.event)
        except SendFailed as failure:
            self.add_failure(claim, failure.code if is_code(failure.code) else "internal")
            return False
        except BaseException as error:
            self.add_failure(claim, "internal")
            if not isinstance(error, Exception):
                raise  # the process ends; deliver() releases the other claims
            logger.exception("outbox: the sender failed")  # redacted: types and lines
            return False
        self.outcomes.append(Outcome(claim, "sent"))
        return True

    def add_failure(self, claim: Claim, code: str) -> None:
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
        """Report all outcomes; reconnects if the connection to the database is lost.

        A stopped relay gives up after one failure: the leases will end.
        """
        self.unwatch()
        failures = 0
        while self.outcomes:
            try:
                report_outcomes(self.outcomes, self.skipped)
            except CONNECTION_ERRORS as error:
                failures += 1
                self.reconnect(error, failures)
                if not self.stop():
                    continue
                logger.warning("outbox: %s outcomes were not reported", len(self.outcomes))
            self.outcomes = []
        self.reported = time.monotonic()

    def reconnect(self, error: Exception, failures: int) -> None:
        connection.close()
        logger.warning(
            "outbox: no connection to the database (%s), attempt %s", type(error).__name__, failures
        )
        self.pause(min(LONGEST_RECONNECT, 0.25 * 2 ** min(failures, 10)))

    def pause(self, longest: float) -> None:
        """Sleep for a random half to all of ``longest`` seconds, or until stopped.

        Sleeps in slices: a signal handler does not end time.sleep(), and must not set a
        threading.Event that its own thread waits for.
        """
        end = time.monotonic() + longest * random.uniform(0.5, 1)
        while not self.stop() and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, 0.1))

    def watch(self, deadline: float) -> None:
        """From now on a send that outlasts the lease ends the process, with a traceback.

        The traceback holds no data. The watchdog needs no response from the thread that hangs.
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
