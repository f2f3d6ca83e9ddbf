"""The history of a lead, from events that the outbox keeps (docs/adr/0018-outbox-memory.md)."""

from __future__ import annotations

from audit.models import OutboxEvent

from ..models import Lead

LEAD_ERASED = "lead_erased"
LEAD_SHARED = "lead_shared"


def has_event(event_type: str, lead: Lead) -> bool:
    events = OutboxEvent.objects.filter(aggregate_type="leads", aggregate_id=lead.pk)
    return events.filter(event_type=event_type).exists()
