"""Domain events: written in the transaction that they describe, sent later by the relay."""

from __future__ import annotations

from typing import Any

from django.db import models, transaction
from django.db.models.functions import Now

from ebalance.services import (
    RowOrKey,
    TransitionRefused,
    lock_or_refuse,
    refresh,
    storable_arguments,
    transactional,
)

from ..models import OutboxEvent
from .payloads import flat


@storable_arguments
def publish_event(event_type: str, about: models.Model, **payload: object) -> None:
    """Write an event about the row ``about``. The relay sends it after the commit.

    ``payload`` is flat and P0: ids, codes, whole numbers, booleans, times, zones; None is left out.
    Events about one row keep their order, because the caller holds the lock of the row and the
    database gives the number. Raises TransactionManagementError outside a transaction, and
    IntegrityError (outbox_events_payload_is_p0) for any other payload.
    """
    if not transaction.get_connection().in_atomic_block:
        raise transaction.TransactionManagementError(
            "An outbox event is published in the transaction that it describes."
        )
    database_id: Any = OutboxEvent._meta.pk.db_default
    OutboxEvent(
        id=database_id,
        event_type=event_type,
        aggregate_type=about._meta.db_table,
        aggregate_id=about.pk,
        payload=flat(payload),
    ).save(force_insert=True)


@transactional
def requeue_event(
    event: RowOrKey[OutboxEvent], *, actor: models.Model | None = None
) -> OutboxEvent:
    """Let the relay try a dead letter again, from the first attempt.

    An event that is still in the queue does not change. Raises NotFound, and TransitionRefused for
    an event that was delivered.
    """
    row = lock_or_refuse(OutboxEvent.objects.all(), event)
    if row.published_at is not None:
        raise TransitionRefused(
            entity=row._meta.db_table, id=row.pk, status="published", wanted="waiting"
        )
    dead = OutboxEvent.objects.dead().filter(pk=row.pk)
    dead.update(attempts=0, available_at=Now(), last_error=None)
    row.refresh_from_db()
    return refresh(event, row)
