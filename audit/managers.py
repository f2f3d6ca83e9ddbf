"""The outbox: domain events, written in the transaction they tell about."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db import models, transaction

from ebalance.db.querysets import EntityQuerySet


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


def flat(payload: Mapping[str, object]) -> dict[str, Any]:
    """JSON of P0 values: times in UTC, ids as text, without what is absent."""
    return {name: plain(value) for name, value in payload.items() if value is not None}


def plain(value: object) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return str(value) if isinstance(value, UUID) else value
