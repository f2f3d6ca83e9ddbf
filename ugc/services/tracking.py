"""Events of the tracking plan."""

from __future__ import annotations

from typing import Any

from crm.models import Lead


def track(event_name: str, **arguments: Any) -> None:
    """Record an event of the tracking plan. The only call of this app into crm."""
    Lead.objects.record_event(event_name, **arguments)
