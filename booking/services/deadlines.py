"""What a policy of a service comes to: refunds, and until when a session may move."""

from __future__ import annotations

from datetime import datetime, timedelta

from ..models.services import Service


def refund_due(service: Service, *, paid: int, start: datetime, moment: datetime) -> int:
    """Whole roubles due back when the client cancels at ``moment`` (states.md).

    All of ``paid`` at cancel_free_hours or more before the start, half (rounded up) at
    cancel_partial_hours or more, else nothing. A limit that is not set grants nothing.
    """
    left = start - moment
    if service.cancel_free_hours is not None and left >= hours(service.cancel_free_hours):
        return paid
    if service.cancel_partial_hours is not None and left >= hours(service.cancel_partial_hours):
        return (paid + 1) // 2
    return 0


def hours(number: int) -> timedelta:
    """A duration; whatever the number, one that a datetime can be compared with."""
    return timedelta(hours=min(number, 1_000_000))
