"""Booking a time for a client or a lead."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db.models import Q
from django.utils import timezone as django_timezone

from content.models import Topic
from crm.models import Lead
from ebalance.db import lengths
from ebalance.services import (
    Clock,
    IdempotencyConflict,
    InvalidInput,
    Refused,
    RowOrKey,
    get_or_refuse,
    lock_rows,
    parse_external_id,
    parse_opaque_id,
    parse_uuid,
    pk_of,
    same_key,
    storable_arguments,
    to_utc,
    transactional,
    uuid_or_none,
)
from identity.models import User

from ..errors import ServiceUnavailable, SlotTaken, TooManyHolds
from ..models import Appointment, AvailabilitySlot, Service
from ..models.times import BLOCKING
from .calendar import choose_time, insert_appointment, is_taken
from .events import Visit, publish_appointment_event, publish_confirmation, track_appointment
from .holds import is_expired_hold
from .inputs import (
    check_origin,
    get_active_client,
    get_service,
    get_topic,
    require_override_right,
)

LONGEST_HOLD = timedelta(hours=24)  # of staff, after the end of the session


@dataclass(frozen=True)
class BookingRequest:
    """The arguments that must be equal in all requests with one client_request_id."""

    client_request_id: str
    service: object
    client: object
    lead: object
    slot: object
    start: datetime | None

    @property
    def same_request_or_slot(self) -> Q:
        """Matches an earlier appointment of this request, and the one that keeps its slot."""
        same = Q(client_request_id=self.client_request_id)
        slot = uuid_or_none(self.slot)
        return same if slot is None else same | Q(slot=slot, status__in=BLOCKING)

    def check_same(self, earlier: Appointment) -> Appointment:
        """Returns the first appointment of a repeated request. Raises IdempotencyConflict."""
        same = (
            same_key(self.service, earlier.service_id)
            and same_key(self.client, earlier.client_id)
            and self.is_of_lead(earlier.lead_id)
            and (self.slot is None or same_key(self.slot, earlier.slot_id))
            and (self.start is None or self.start == earlier.start_at_utc)
        )
        if not same:
            raise IdempotencyConflict(appointment=earlier.pk)
        return earlier

    def is_of_lead(self, stored: UUID | None) -> bool:
        """Whether the lead is ``stored``, or was merged into it since."""
        lead = uuid_or_none(self.lead)
        while lead is not None and lead != stored:
            lead = Lead.objects.filter(pk=lead).values_list("merged_into", flat=True).first()
        return stored is None if self.lead is None else lead is not None


@storable_arguments
def book_appointment(
    service: RowOrKey[Service],
    *,
    client_request_id: str,
    timezone: str,
    format: str,
    slot: RowOrKey[AvailabilitySlot] | None = None,
    start: datetime | None = None,
    client: RowOrKey[User] | None = None,
    lead: RowOrKey[Lead] | None = None,
    topic: Topic | str | None = None,
    deep_link_id: str | None = None,
    entry_point: str | None = None,
    anonymous_id: str | None = None,
    session_id: UUID | str | None = None,
    override: bool = False,
    hold_until: datetime | None = None,
    actor: User | None = None,
    clock: Clock = django_timezone.now,
) -> Appointment:
    """Hold a time for settings.HOLD_MINUTES until it is paid. A free session is confirmed at once.

    Takes ``slot`` or ``start`` (aware), and ``client`` or ``lead`` or both. A start lies in an
    offered slot. With ``override`` an ``actor`` who may change appointments books any free start,
    and any number of holds; a client has at most settings.MAX_UNPAID_HOLDS. The same
    client_request_id again returns the first appointment in its current state.

    ``anonymous_id`` is the browser and ``session_id`` the visit in which the person books. The
    event of the booking has both, so the person's lead gets the browser (metrics.md).
    ``hold_until`` (aware) needs an ``actor`` as ``override`` does, and is at most 24 hours after
    the end of the session.

    Raises SlotTaken, TimeNotOffered, TooManyHolds, NotPermitted; SlotUnsuitable, StartInPast,
    ZoneUnknown, FormatUnsuitable, InvalidInput; ServiceUnavailable, ClientUnavailable; NotFound;
    IdempotencyConflict.
    """
    request = BookingRequest(
        client_request_id=parse_external_id(
            client_request_id, lengths.EXTERNAL_ID, "client_request_id"
        ),
        service=pk_of(service),
        client=pk_of(client),
        lead=pk_of(lead),
        slot=pk_of(slot),
        start=None if start is None else to_utc(start, "start"),
    )
    visit = Visit(
        anonymous_id=parse_opaque_id(anonymous_id, "anonymous_id"),
        session_id=None if session_id is None else parse_uuid(session_id, "session_id"),
    )
    require_override_right(override, actor)
    if hold_until is not None:
        require_override_right(True, actor)
        hold_until = to_utc(hold_until, "hold_until")
    earlier = _find_earlier(request, clock=clock)
    if earlier is not None:
        return request.check_same(earlier)
    try:
        row = _build_appointment(
            request,
            service,
            slot=slot,
            client=client,
            lead=lead,
            timezone=timezone,
            format=format,
            topic=topic,
            deep_link_id=deep_link_id,
            entry_point=entry_point,
            override=override,
            hold_until=hold_until,
            clock=clock,
        )
        return _insert(row, request, visit, override=override, actor=actor, clock=clock)
    except Refused:
        # The same request may have been answered meanwhile, which is then why this one is refused.
        earlier = Appointment.objects.filter(client_request_id=request.client_request_id).first()
        if earlier is None:
            raise
    return request.check_same(earlier)


def _find_earlier(request: BookingRequest, *, clock: Clock) -> Appointment | None:
    """The appointment of an earlier request with this key. Raises SlotTaken for a taken slot.

    Most requests for a popular hour end here: one query, no lock, no transaction.
    """
    columns = ("client_request_id", "slot", "status", "hold_expires_at")
    rows = list(Appointment.objects.filter(request.same_request_or_slot).only(*columns))
    for row in rows:
        if row.client_request_id == request.client_request_id:
            return Appointment.objects.filter(pk=row.pk).first()
    if rows and not all(is_expired_hold(row, clock()) for row in rows):
        raise SlotTaken(slot=rows[0].slot_id)
    return None


def _build_appointment(
    request: BookingRequest,
    service: RowOrKey[Service],
    *,
    slot: RowOrKey[AvailabilitySlot] | None,
    client: RowOrKey[User] | None,
    lead: RowOrKey[Lead] | None,
    timezone: str,
    format: str,
    topic: Topic | str | None,
    deep_link_id: str | None,
    entry_point: str | None,
    override: bool,
    hold_until: datetime | None,
    clock: Clock,
) -> Appointment:
    """Check what can be checked without a lock. Returns an unsaved row."""
    if client is None and lead is None:
        raise InvalidInput(field="client")
    check_origin(deep_link_id, entry_point)
    offered, zone = get_service(service, timezone=timezone, format=format)
    now = clock()
    time = choose_time(offered, slot=slot, start=request.start, now=now, override=override)
    # Without this, each request for a taken time would begin a transaction.
    if is_taken(time, now):
        raise SlotTaken(start=time.start)
    if hold_until is not None and not now < hold_until <= time.end + LONGEST_HOLD:
        raise InvalidInput(field="hold_until")
    return Appointment(
        service=offered,
        client_id=None if client is None else get_active_client(client).pk,
        lead_id=None if lead is None else get_or_refuse(Lead.objects.all(), lead).pk,
        client_request_id=request.client_request_id,
        start_at_utc=time.start,
        end_at_utc=time.end,
        buffer_minutes=time.buffer_minutes,
        slot_id=time.slot_id,
        timezone=zone,
        format=format,
        hold_expires_at=hold_until,
        price_amount=offered.price_amount,
        deposit_amount=offered.deposit_amount,
        topic_id=None if topic is None else get_topic(topic).pk,
        deep_link_id=deep_link_id,
        entry_point=entry_point,
    )


@transactional
def _insert(
    row: Appointment,
    request: BookingRequest,
    visit: Visit,
    *,
    override: bool,
    actor: User | None,
    clock: Clock,
) -> Appointment:
    now = clock()
    if row.price_amount == 0:
        row.status, row.confirmed_at, row.hold_expires_at = "confirmed", now, None
    elif row.hold_expires_at is None:
        row.hold_expires_at = now + timedelta(minutes=settings.HOLD_MINUTES)
    stored = insert_appointment(row, now)
    if stored.pk != row.pk:
        return request.check_same(stored)
    # Read again: the INSERT waits, and staff may have archived the service meanwhile.
    if not Service.objects.filter(pk=stored.service_id, status="published").exists():
        raise ServiceUnavailable(service=stored.service_id)
    _lock_person(stored)
    if stored.status == "pending_payment" and not override:
        _check_hold_count(stored, now)
    publish_appointment_event("appointment_booked", stored, hold_expires_at=stored.hold_expires_at)
    track_appointment(
        "booking_slot_selected",
        stored,
        slot_start_at=stored.start_at_utc,
        timezone=stored.timezone,
        is_public_slots=stored.slot_id is not None,
        visit=visit,
        clock=clock,
    )
    if stored.status == "confirmed":
        publish_confirmation(stored, visit=visit, clock=clock)
    return stored


def _lock_person(row: Appointment) -> None:
    """Lock the client, or the lead without one. Raises ClientUnavailable.

    The status is read again: the INSERT waits for a transaction that deletes this person.
    """
    if row.client_id is not None:
        get_active_client(row.client_id, lock=True)
    elif row.lead_id is not None:
        lock_rows(Lead.objects.filter(pk=row.lead_id))


def _check_hold_count(row: Appointment, now: datetime) -> None:
    """Raises TooManyHolds. The person is locked: concurrent bookings count each other."""
    person = Q(client=row.client_id) if row.client_id is not None else Q(lead=row.lead_id)
    holds = Appointment.objects.filter(person, status="pending_payment", hold_expires_at__gt=now)
    count = holds.exclude(pk=row.pk).count()
    if count >= settings.MAX_UNPAID_HOLDS:
        raise TooManyHolds(count=count)
