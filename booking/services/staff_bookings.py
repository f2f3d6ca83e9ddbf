"""Booking by staff, for a person who calls (states.md, "Staff (1.1)")."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone as django_timezone

from content.models import Topic
from crm.models import LeadIdentity
from crm.services import find_leads_by_contact
from ebalance.db import contacts, lengths
from ebalance.services import Clock, InvalidInput, RowOrKey, constraint_of, transactional
from identity.models import User

from ..errors import PersonAmbiguous, PersonUnknown
from ..models import Appointment, AvailabilitySlot, Service
from .bookings import book_appointment
from .inputs import get_active_client, require_named

USUAL_HOLD = timedelta(hours=24)


@transactional
def book_for_client(
    service: RowOrKey[Service],
    *,
    client_request_id: str,
    timezone: str,
    format: str,
    slot: RowOrKey[AvailabilitySlot] | None = None,
    start: datetime | None = None,
    client: RowOrKey[User] | None = None,
    name: str | None = None,
    phone: str | None = None,
    email: str | None = None,
    hold_until: datetime | None = None,
    topic: Topic | str | None = None,
    override: bool = False,
    actor: User,
    clock: Clock = django_timezone.now,
) -> Appointment:
    """Book a time for ``client``, or for the person with this phone number, e-mail or name.

    A person whom no contact finds is added with it, and with the name. A name alone finds one
    person. The time is kept until ``hold_until`` (aware), at most 24 hours after the session, or
    for 24 hours. The same client_request_id again returns the first appointment.

    Raises NotPermitted, PersonAmbiguous, PersonUnknown, and what book_appointment raises.
    """
    require_named(actor, "booking.add_appointment")
    if client is None:
        client = find_or_add_person(name=name, phone=phone, email=email)
    return book_appointment(
        service,
        client_request_id=client_request_id,
        timezone=timezone,
        format=format,
        slot=slot,
        start=start,
        client=client,
        topic=topic,
        override=override,
        hold_until=clock() + USUAL_HOLD if hold_until is None else hold_until,
        actor=actor,
        clock=clock,
    )


def find_or_add_person(*, name: str | None, phone: str | None, email: str | None) -> User:
    """Raises PersonAmbiguous, PersonUnknown, ClientUnavailable, InvalidInput."""
    given = {"phone": phone, "email": email}
    known = {channel: parse_contact(channel, text) for channel, text in given.items() if text}
    name = parse_name(name)
    if not known:
        return find_by_name(name)
    if (person := find_by_contacts(known)) is not None:
        return person
    try:
        with transaction.atomic():
            return User.objects.create_user(display_name=name, **known)
    except IntegrityError as error:
        if constraint_of(error) not in ("users_phone_unique", "users_email_unique"):
            raise
    # A concurrent call added the person.
    person = find_by_contacts(known)
    assert person is not None
    return person


def find_by_contacts(known: dict[str, str]) -> User | None:
    """The person with these contacts: of an account, else of a lead with an account.

    Raises PersonAmbiguous, ClientUnavailable.
    """
    people = {
        key
        for channel, text in known.items()
        for key in User.objects.filter(**{channel: text}).values_list("pk", flat=True)
    }
    if not people:
        for channel, text in known.items():
            leads = find_leads_by_contact(**{channel: text})
            identities = LeadIdentity.objects.filter(lead__in=leads, user__status="active")
            people.update(identities.values_list("user", flat=True))
    if len(people) > 1:
        raise PersonAmbiguous(count=len(people))
    return get_active_client(people.pop()) if people else None


def find_by_name(name: str | None) -> User:
    """Raises PersonAmbiguous, PersonUnknown."""
    if name is None:
        raise InvalidInput(field="client")
    people = list(User.objects.filter(display_name__iexact=name, status="active")[:10])
    if len(people) > 1:
        raise PersonAmbiguous(count=len(people))
    if not people:
        raise PersonUnknown()
    return people[0]


def parse_contact(channel: str, text: object) -> str:
    """The contact in its one spelling, as accounts store it. Raises InvalidInput."""
    try:
        return contacts.normalise(channel, text)  # type: ignore[arg-type]  # it checks the type
    except contacts.ContactInvalid:
        raise InvalidInput(field=channel) from None


def parse_name(name: object) -> str | None:
    """The name without blanks around it; None for none. Raises InvalidInput."""
    if name is None:
        return None
    if not isinstance(name, str) or len(name.splitlines()) > 1 or len(name) > lengths.TITLE:
        raise InvalidInput(field="name")
    try:
        return User._meta.get_field("display_name").clean(name.strip(), None) or None
    except ValidationError:
        raise InvalidInput(field="name") from None
