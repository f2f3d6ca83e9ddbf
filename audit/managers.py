"""The outbox: domain events, written in the transaction they tell about, and what is known of them.

Where an unpublished event stands is told by its columns and the database's clock:

* waiting: no failure so far (it may be at a relay this moment);
* retrying: `last_error` says why an attempt failed, `available_at` when the next one is due;
* dead: all attempts are used up and none is under way. It is never sent again by itself, and holds
  back the later events of its row, whose order would be broken; `OutboxEvent.requeue` frees it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self
from uuid import UUID

from django.conf import settings
from django.db import connections, models, transaction
from django.db.models import Count, F, Max, Q
from django.db.models.functions import Now
from psycopg.types.json import Jsonb

from ebalance.db.querysets import EntityQuerySet


class AuditLog(models.Manager):
    def record(
        self,
        action: str,
        about: models.Model | None = None,
        *,
        entity_type: str | None = None,
        entity_key: str | None = None,
        values: Mapping[str, object] | None = None,
    ) -> UUID:
        """Write what the application alone knows: logins, refusals, exports, erasures, reveals.

        Who acts is told by ``acting_as()``. ``about`` is the row; where there is none,
        ``entity_type`` says it, a table's name or a code. ``values`` are P0: codes, numbers, ids.
        Returns the key of the entry. Raises IntegrityError for what the log may not hold.
        """
        entity = (None, entity_key)
        if about is not None:
            entity_type = about._meta.db_table
            entity = (about.pk, None) if isinstance(about.pk, UUID) else (None, about.pk)
        with connections[self.db].cursor() as cursor:
            cursor.execute(
                "SELECT public.record_audit_entry(%s, %s, %s, %s, NULL, %s)",
                [action, entity_type, *entity, None if values is None else Jsonb(flat(values))],
            )
            (key,) = cursor.fetchone()
        return key


@dataclass(frozen=True)
class Lag:
    """What the outbox still has to send, at one moment of the database's clock."""

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
    def publish(self, event_type: str, about: models.Model, **payload: object) -> None:
        """Write an event about the row ``about``, to be sent once this transaction is committed.

        ``payload`` is flat and P0: ids, codes, whole numbers, booleans, times, zones; None is left
        out. Events about one row keep their order: the caller holds the row's lock, and the
        database gives the number. Raises TransactionManagementError outside a transaction,
        IntegrityError (outbox_events_payload_is_p0) for anything else in the payload.
        """
        connection = transaction.get_connection(self.db)
        if not connection.in_atomic_block:
            raise transaction.TransactionManagementError(
                "An outbox event is published in the transaction it tells about."
            )
        self.model(
            id=self.model._meta.pk.db_default,
            event_type=event_type,
            aggregate_type=about._meta.db_table,
            aggregate_id=about.pk,
            payload=flat(payload),
        ).save(force_insert=True)

    def published(self) -> Self:
        return self.filter(published_at__isnull=False)

    def dead(self) -> Self:
        return self.filter(is_dead())

    def retrying(self) -> Self:
        return self.filter(is_retrying())

    def waiting(self) -> Self:
        return self.filter(is_waiting())

    def lag(self) -> Lag:
        """Counts and the oldest age, in two statements over the index of each."""
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
    """While the last attempt is under way, `available_at` is the end of its lease."""
    return Q(
        published_at__isnull=True,
        attempts__gte=settings.OUTBOX_MAX_ATTEMPTS,
        available_at__lte=Now(),
    )


def is_retrying() -> Q:
    return Q(published_at__isnull=True, last_error__isnull=False) & ~is_dead()


def is_waiting() -> Q:
    return Q(published_at__isnull=True, last_error__isnull=True) & ~is_dead()


def flat(payload: Mapping[str, object]) -> dict[str, Any]:
    """JSON of P0 values: times in UTC, ids as text, without what is absent."""
    return {name: plain(value) for name, value in payload.items() if value is not None}


def plain(value: object) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return str(value) if isinstance(value, UUID) else value
