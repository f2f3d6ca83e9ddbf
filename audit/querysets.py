"""Reads the outbox. The columns and the database's clock give the state of an unsent event:

* waiting: no failure so far; a relay may be sending it now;
* retrying: `last_error` is the reason of the last failure, `available_at` the next attempt;
* dead: all attempts are used up and none is running. The relay never sends it again, and holds back
  the later events of the same row, which would be out of order. `requeue_event` frees it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Self

from django.conf import settings
from django.db.models import Count, F, Max, Q
from django.db.models.functions import Now

from ebalance.db.querysets import EntityQuerySet


@dataclass(frozen=True)
class Lag:
    """The unsent events of the outbox, by the database's clock."""

    waiting: int
    retrying: int
    dead: int
    oldest_seconds: float
    """Age of the oldest event that is neither sent nor dead; 0 when there is none."""
    published_last_minute: int

    def __str__(self) -> str:
        return (
            f"{self.waiting} waiting, {self.retrying} retrying, {self.dead} dead, oldest "
            f"{self.oldest_seconds:.1f} s, {self.published_last_minute} sent in the last minute"
        )


class OutboxQuerySet(EntityQuerySet):
    def published(self) -> Self:
        return self.filter(published_at__isnull=False)

    def dead(self) -> Self:
        return self.filter(is_dead())

    def retrying(self) -> Self:
        return self.filter(is_retrying())

    def waiting(self) -> Self:
        return self.filter(is_waiting())

    def lag(self) -> Lag:
        """Counts and the oldest age, in two statements that each read an index."""
        left = self.filter(published_at__isnull=True).aggregate(
            waiting=Count("pk", filter=is_waiting()),
            retrying=Count("pk", filter=is_retrying()),
            dead=Count("pk", filter=is_dead()),
            oldest=Max(Now() - F("created_at"), filter=~is_dead()),
        )
        oldest = left.pop("oldest") or timedelta(0)
        recent = self.published().filter(published_at__gt=Now() - timedelta(minutes=1))
        return Lag(
            **left,
            oldest_seconds=max(0.0, oldest.total_seconds()),
            published_last_minute=recent.count(),
        )


def is_dead() -> Q:
    """During the last attempt `available_at` is the end of its lease, so the event is not dead."""
    return Q(
        published_at__isnull=True,
        attempts__gte=settings.OUTBOX_MAX_ATTEMPTS,
        available_at__lte=Now(),
    )


def is_retrying() -> Q:
    return Q(published_at__isnull=True, last_error__isnull=False) & ~is_dead()


def is_waiting() -> Q:
    return Q(published_at__isnull=True, last_error__isnull=True) & ~is_dead()
