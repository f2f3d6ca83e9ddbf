"""Waitlist requests. Their contacts are sealed."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.utils import timezone

from audit.services import publish_event
from crm.models import Lead
from ebalance.db import contacts
from ebalance.db.encryption.fields import Plaintext, UnsealedValue
from ebalance.db.ids import uuid7
from ebalance.services import (
    Clock,
    IdempotencyConflict,
    InvalidInput,
    RowOrKey,
    TransitionRefused,
    get_or_refuse,
    lock_or_refuse,
    parse_choice,
    parse_uuid,
    pk_of,
    refresh,
    require_change,
    same_key,
    transactional,
)
from identity.models import User

from ..errors import ServiceUnavailable
from ..models import Service, WaitlistRequest
from ..models.requests import ContactChannel
from .events import track_waitlist_request
from .inputs import check_origin, get_active_client


@transactional
def submit_waitlist_request(
    service: RowOrKey[Service],
    *,
    preferred_contact: str,
    contact: Plaintext,
    preferred_time_window: str | None = None,
    user: RowOrKey[User] | None = None,
    lead: RowOrKey[Lead] | None = None,
    anonymous_id: str | None = None,
    deep_link_id: str | None = None,
    entry_point: str | None = None,
    id: UUID | str | None = None,
    clock: Clock = timezone.now,
) -> WaitlistRequest:
    """Add a person to the waitlist of a published service. The person becomes a lead.

    ``contact`` is of the kind ``preferred_contact``, in any spelling. The same ``id`` again
    returns the first request.

    Raises ServiceUnavailable, ClientUnavailable, IdempotencyConflict, InvalidInput, NotFound;
    UnsealedValue for a contact that is not Plaintext.
    """
    row = WaitlistRequest(
        pk=uuid7() if id is None else parse_uuid(id, "id"),
        service_id=pk_of(service),
        user_id=pk_of(user),
        lead_id=pk_of(lead),
        preferred_contact=parse_choice(preferred_contact, ContactChannel, "preferred_contact"),
        preferred_time_window=None
        if preferred_time_window is None
        else parse_choice(
            preferred_time_window, WaitlistRequest.TimeWindow, "preferred_time_window"
        ),
    )
    check_contact(row.preferred_contact, contact)
    earlier = WaitlistRequest.objects.filter(pk=row.pk).first()
    if earlier is not None:
        return check_same_request(earlier, row, contact)
    check_origin(deep_link_id, entry_point)
    offered = get_or_refuse(Service.objects.all(), service)
    if offered.status != "published":
        raise ServiceUnavailable(service=offered.pk)
    row.service = offered
    row.user = None if user is None else get_active_client(user)
    row.lead = None if lead is None else get_or_refuse(Lead.objects.all(), lead)
    row.contact_value_encrypted = contact
    WaitlistRequest.objects.bulk_create([row], ignore_conflicts=True)
    stored = WaitlistRequest.objects.get(pk=row.pk)
    if stored.contact_value_encrypted != row.contact_value_encrypted:
        return check_same_request(stored, row, contact)
    if stored.user_id is not None:
        # Check again: the INSERT waits for a transaction that deletes this person.
        get_active_client(stored.user_id)
    publish_event(
        "waitlist_submitted", stored, **stored.event_facts(), service_id=stored.service_id
    )
    tracked_lead = track_waitlist_request(
        stored,
        contact,
        topic=offered.topic_id,
        anonymous_id=anonymous_id,
        deep_link_id=deep_link_id,
        entry_point=entry_point,
        clock=clock,
    )
    if stored.lead_id is None and tracked_lead is not None:
        stored.lead = tracked_lead
        stored.save(update_fields=["lead"])
    return stored


@transactional
def mark_waitlist_request_contacted(
    request: RowOrKey[WaitlistRequest], *, actor: User | None = None
) -> WaitlistRequest:
    """From new to contacted. Repeatable. ``actor`` None is the system.

    Raises TransitionRefused, NotPermitted, NotFound.
    """
    return _move_request(request, ("new",), "contacted", actor)


@transactional
def close_waitlist_request(
    request: RowOrKey[WaitlistRequest],
    *,
    actor: User | None = None,
    clock: Clock = timezone.now,
) -> WaitlistRequest:
    """From any status to closed. Repeatable. ``actor`` None is the system.

    Raises NotPermitted, NotFound.
    """
    return _move_request(request, ("new", "contacted"), "closed", actor, closed_at=clock())


def _move_request(
    request: RowOrKey[WaitlistRequest],
    before: tuple[str, ...],
    after: str,
    actor: User | None,
    closed_at: datetime | None = None,
) -> WaitlistRequest:
    require_change(actor, WaitlistRequest)
    row = lock_or_refuse(WaitlistRequest.objects.defer("contact_value_encrypted"), request)
    if row.status in before:
        row.status, row.closed_at = after, closed_at
        row.save(update_fields=["status", "closed_at"])
        publish_event(f"waitlist_{after}", row, service_id=row.service_id)
    elif row.status != after:
        raise TransitionRefused(
            entity="waitlist_requests", id=row.pk, status=row.status, wanted=after
        )
    return refresh(request, row)


def check_contact(channel: str, contact: Plaintext) -> None:
    """Raises InvalidInput for a value that is no contact of this kind. The error holds no part of
    the value.
    """
    if not isinstance(contact, Plaintext):
        del contact
        raise UnsealedValue("contact takes Plaintext.")
    if normalise_contact(channel, contact) is None:
        raise InvalidInput(field="contact")


def normalise_contact(channel: str, contact: Plaintext) -> Plaintext | None:
    """None for a value that is no contact of this kind."""
    try:
        return Plaintext(contacts.normalise(channel, contact.reveal()))
    except contacts.ContactInvalid:
        return None


def check_same_request(
    earlier: WaitlistRequest, again: WaitlistRequest, contact: Plaintext
) -> WaitlistRequest:
    """Returns the first of two requests with one id. Raises IdempotencyConflict.

    Compares the lead only if the second request has one: the first may have got its lead later.
    """
    channel = earlier.preferred_contact
    if not (
        same_key(again.service_id, earlier.service_id)
        and same_key(again.user_id, earlier.user_id)
        and (again.lead_id is None or same_key(again.lead_id, earlier.lead_id))
        and earlier.event_facts() == again.event_facts()
        and is_same_text(
            normalise_contact(channel, contact),
            normalise_contact(channel, Plaintext(earlier.contact_value_encrypted.open())),
        )
    ):
        raise IdempotencyConflict(entity="waitlist_requests", id=earlier.pk)
    return earlier


def is_same_text(one: Plaintext | None, other: Plaintext | None) -> bool:
    return one is not None and other is not None and one.reveal() == other.reveal()
