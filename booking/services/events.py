"""Outbox events and tracking events of the services."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from uuid import UUID

from audit.services import publish_event
from crm.models import Lead
from crm.services import record_event
from ebalance.db import zones
from ebalance.db.encryption.fields import Plaintext
from ebalance.services import Clock, NotFound
from identity.models import User

from ..models import Appointment, Payment, WaitlistRequest
from .messages import schedule_session_messages

# They happen to a session that exists: money arrives, and staff end the session.
FACTS = {"payment_started", "booking_paid", "payment_failed", "appointment_outcome_recorded"}


@dataclass(frozen=True)
class Visit:
    """The browser and the visit in which a person acts, as in the events of the site."""

    anonymous_id: str | None = None
    session_id: UUID | None = None


def get_acting_role(actor: User | None) -> str:
    """The role that an outcome is recorded under: owner, assistant, or system for all others."""
    roles = actor.role_codes if actor is not None else frozenset()
    return next((role for role in ("owner", "assistant") if role in roles), "system")


def publish_appointment_event(event_type: str, appointment: Appointment, **payload: object) -> None:
    publish_event(
        event_type,
        appointment,
        service_id=appointment.service_id,
        start_at_utc=appointment.start_at_utc,
        timezone=zones.renew_name(appointment.timezone),
        **payload,
    )


def publish_confirmation(appointment: Appointment, *, clock: Clock, visit: Visit = Visit()) -> None:
    """Announce a confirmed appointment, to its person too."""
    schedule_session_messages(appointment, clock=clock)
    publish_appointment_event("appointment_confirmed", appointment, format=appointment.format)
    track_appointment(
        "booking_confirmed",
        appointment,
        appointment_start_at=appointment.start_at_utc,
        timezone=appointment.timezone,
        format=appointment.format,
        visit=visit,
        clock=clock,
    )


def announce_start(payment: Payment, appointment: Appointment, *, clock: Clock) -> None:
    """Publish and track that ``payment`` was started for ``appointment``."""
    publish_event(
        "payment_started",
        payment,
        amount=payment.amount,
        currency=payment.currency,
        purpose=payment.purpose,
        appointment_id=appointment.pk,
    )
    _track_payment("payment_started", payment, appointment, clock=clock)


def track_paid(payment: Payment, appointment: Appointment, *, clock: Clock) -> None:
    _track_payment("booking_paid", payment, appointment, clock=clock)


def _track_payment(
    event_name: str, payment: Payment, appointment: Appointment, *, clock: Clock
) -> None:
    track_appointment(
        event_name,
        appointment,
        payment_provider=payment.provider,
        amount=payment.amount,
        currency=payment.currency,
        clock=clock,
    )


def track_appointment(
    event_name: str,
    appointment: Appointment,
    *,
    clock: Clock,
    actor: User | None = None,
    visit: Visit = Visit(),
    **properties: object,
) -> None:
    """Record an event of the tracking plan about the person of the appointment.

    An event of FACTS about an erased person names nobody. Raises NotFound for the others.
    """
    event = partial(
        record_event,
        event_name,
        source="backend" if actor is None else "admin",
        properties={"service_id": appointment.service_id, **properties},
        deep_link_id=appointment.deep_link_id,
        topic=appointment.topic_id,
        acquisition=({"entry_point": appointment.entry_point} if appointment.entry_point else {}),
        clock=clock,
    )
    try:
        event(
            lead=appointment.lead_id,
            user=appointment.client_id,
            anonymous_id=visit.anonymous_id,
            session_id=visit.session_id,
        )
    except NotFound as error:
        if event_name not in FACTS or error.details["what"] != "lead":
            raise
        event()


def track_outcome(appointment: Appointment, *, actor: User | None, clock: Clock) -> None:
    track_appointment(
        "appointment_outcome_recorded",
        appointment,
        actor=actor,
        appointment_id=appointment.pk,
        scheduled_start_at=appointment.start_at_utc,
        outcome=appointment.outcome,
        recorded_by_role=appointment.outcome_recorded_by_role,
        reason_category=appointment.outcome_reason_category,
        clock=clock,
    )


def track_waitlist_request(
    request: WaitlistRequest,
    contact: Plaintext,
    *,
    topic: str | None,
    anonymous_id: str | None,
    deep_link_id: str | None,
    entry_point: str | None,
    clock: Clock,
) -> Lead | None:
    """Record the request for the tracking plan. Returns the lead that the person is or becomes."""
    return record_event(
        "waitlist_submitted",
        lead=request.lead_id,
        user=request.user_id,
        anonymous_id=anonymous_id,
        contact={request.preferred_contact: contact},
        properties={**request.event_facts(), "service_id": request.service_id},
        acquisition={"entry_point": entry_point} if entry_point else {},
        deep_link_id=deep_link_id,
        topic=topic,
        clock=clock,
    )
