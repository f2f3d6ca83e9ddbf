"""Requests for an erasure: created in admin, processed by process_erasure_requests.

The application's role may only append to events and to the log, so it cannot erase a person. It
writes a request, and a command with the rights of the database's owner carries it out
(docs/adr/0016-erasure.md).
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.utils import timezone

from audit.services import record_entry
from ebalance.db.schema import catalog
from ebalance.services import (
    Clock,
    NotPermitted,
    RowOrKey,
    lock_or_refuse,
    parse_bool,
    require_permission,
    to_utc,
    transactional,
)
from identity.errors import AccountErased, LastOwner, UpcomingAppointments
from identity.models import ErasureRequest, User

DELETE = "identity.delete_user"
OWNER_ONLY = "analytics_events"  # an erasure updates rows of it
REASONS = {
    LastOwner: ErasureRequest.RefusedReason.LAST_OWNER,
    UpcomingAppointments: ErasureRequest.RefusedReason.UPCOMING_APPOINTMENTS,
    NotPermitted: ErasureRequest.RefusedReason.NOT_PERMITTED,
}


def may_erase() -> bool:
    """Whether the connected role has the rights of the database's owner."""
    return catalog.read_column("SELECT has_table_privilege(%s, 'UPDATE')", [OWNER_ONLY]) == [True]


@transactional
def request_erasure(
    user: RowOrKey[User], *, actor: User, force: bool = False, clock: Clock = timezone.now
) -> ErasureRequest:
    """Ask for the erasure of this person. Returns the open request, if there is one.

    ``actor`` is the person or may delete people. With ``force`` sessions ahead are canceled as by
    the client; otherwise they make the command refuse the request. ``force`` is added to an open
    request, and never removed. Locks the person.

    Raises NotFound, NotPermitted, AccountErased, InvalidInput.
    """
    force = parse_bool(force, "force")
    person = lock_or_refuse(User.objects.all(), user)
    if actor is None or actor.pk != person.pk:
        require_actor(actor)
    if person.status == "deleted":
        raise AccountErased()
    earlier = ErasureRequest.objects.filter(user=person, status="requested").first()
    if earlier is not None and (earlier.cancels_appointments or not force):
        return earlier
    if earlier is not None:
        earlier.cancels_appointments = True
        earlier.save(update_fields=["cancels_appointments"])
    request = earlier or ErasureRequest.objects.create(
        user=person, requested_by=actor, cancels_appointments=force, created_at=clock()
    )
    record_entry("erasure_requested", person, values={"cancels_appointments": force})
    return request


def require_actor(actor: User | None) -> None:
    """Raises NotPermitted unless somebody asks who may delete people."""
    if actor is None:
        raise NotPermitted(permission=DELETE)
    require_permission(actor, DELETE)


def open_requests() -> list[UUID]:
    """The requests to carry out, the oldest first."""
    rows = ErasureRequest.objects.filter(status="requested").order_by("created_at", "pk")
    return list(rows.values_list("pk", flat=True))


def close_requests(subject: UUID, now: datetime) -> None:
    """Mark the open request of a person as done, in the transaction that erases the person."""
    rows = ErasureRequest.objects.filter(user=subject, status="requested")
    rows.update(status="done", completed_at=now)


@transactional
def refuse_request(
    key: UUID, *, reason: ErasureRequest.RefusedReason, clock: Clock = timezone.now
) -> bool:
    """Close the request without an erasure. False if another worker has closed it."""
    rows = ErasureRequest.objects.filter(pk=key, status="requested")
    now = to_utc(clock(), "clock")
    if not rows.update(status="refused", refused_reason=reason, completed_at=now):
        return False
    request = ErasureRequest.objects.get(pk=key)
    record_entry("erasure_refused", User(pk=request.user_id), values={"reason": str(reason)})
    return True
