"""Domain events waiting to be sent."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from ebalance.db import lengths, rules
from ebalance.db.fields import Entity, SingleLineTextField, created_at
from ebalance.db.schema.classification import p0
from ebalance.db.schema.retention import After, purged
from ebalance.db.times import FactTime, PlannedTime, now_default

from ..querysets import OutboxQuerySet


class OutboxEvent(Entity):
    """A domain event to be sent, written in the transaction that it describes.

    relay_outbox sends it (audit.services.relay).
    """

    event_type = SingleLineTextField(
        max_length=lengths.CODE, db_comment=p0("what happened, a code")
    )
    aggregate_type = SingleLineTextField(
        max_length=lengths.CODE, db_comment=p0("what it happened to, a code")
    )
    aggregate_id = models.UUIDField(db_comment=p0("id of that row"))
    payload = lengths.SizedJSON(
        max_length=lengths.JSON_OBJECT,
        default=dict,
        db_default=models.Value({}, output_field=models.JSONField()),
        blank=True,
        db_comment=p0("flat object of P0 values"),
    )
    created_at = created_at()
    available_at = PlannedTime(
        db_default=now_default(), db_comment=p0("not to be sent before, UTC")
    )
    attempts = models.IntegerField(default=0, db_default=0, db_comment=p0("tries so far"))
    published_at = FactTime(null=True, blank=True, db_comment=p0("when sent, UTC"))
    last_error = SingleLineTextField(
        max_length=lengths.CODE, null=True, blank=True, db_comment=p0("last failure, a code")
    )

    objects: ClassVar = OutboxQuerySet.as_manager()

    # Erasure reads these two later: the erased leads, and the leads that two accounts shared.
    retention = purged(
        "90 days",
        After("published_at", where="event_type NOT IN ('lead_erased', 'lead_shared')"),
        note="events about erased leads stay",
    )

    class Meta:
        db_table = "outbox_events"
        db_table_comment = "Domain events waiting to be sent"
        verbose_name = _("outbox event")
        verbose_name_plural = _("outbox")
        constraints = [
            rules.code("outbox_events", "event_type"),
            rules.code("outbox_events", "aggregate_type"),
            rules.code("outbox_events", "last_error"),
            rules.Check(
                "outbox_events_payload_is_p0",
                Q(rules.holds("is_outbox_payload", "payload")),
                _("A flat object of codes, numbers, dates and identifiers."),
                field="payload",
            ),
            rules.in_range("outbox_events", "attempts", 0),
            rules.finite("outbox_events", "created_at", "available_at", "published_at"),
        ]
        indexes = [
            rules.Index(
                "outbox_events_next",
                "available_at",
                "id",
                condition=Q(published_at__isnull=True),
                serves="relay_outbox: the next unpublished, oldest first, skipping locked",
            ),
            rules.Index(
                "outbox_events_of_aggregate",
                "aggregate_type",
                "aggregate_id",
                "created_at",
                serves="events of a row, in order",
            ),
            rules.Index(
                "outbox_events_heads",
                "aggregate_type",
                "aggregate_id",
                "id",
                condition=Q(published_at__isnull=True),
                serves="relay_outbox: the first unpublished event of a row, and those behind it",
            ),
            rules.Index(
                "outbox_events_published",
                "published_at",
                condition=Q(published_at__isnull=False),
                serves="relay_outbox --status: sent in the last minute; retention",
            ),
        ]

    def __str__(self) -> str:
        return self.event_type
