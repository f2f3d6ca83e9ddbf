"""What the verbs tell others: the outbox, and the tracking plan through its P0 guard."""

from __future__ import annotations

from typing import TYPE_CHECKING

from audit.models import OutboxEvent
from audit.services import publish_event
from crm.services import record_event
from ebalance.services import Clock
from identity.models import User

if TYPE_CHECKING:
    from ..models import Appointment, Payment


def acting_role(actor: User | None) -> str:
    """Who records it: owner or assistant; the system for everybody and everything else."""
    roles = actor.role_codes if actor is not None else frozenset()
    return next((role for role in ("owner", "assistant") if role in roles), "system")


def tell(event_type: str, appointment: Appointment, **payload: object) -> None:
    """Publish that something became of an appointment."""
    publish_event(
        event_type,
        appointment,
        service_id=appointment.service_id,
        start_at_utc=appointment.start_at_utc,
        timezone=appointment.timezone,
        **payload,
    )


def track(
    event_name: str,
    appointment: Appointment,
    *,
    clock: Clock,
    actor: User | None = None,
    **properties: object,
) -> None:
    """Record an event of the tracking plan about the person whose appointment this is."""
    record_event(
        event_name,
        source="backend" if actor is None else "admin",
        lead=appointment.lead_id,
        user=appointment.client_id,
        properties={"service_id": appointment.service_id, **properties},
        deep_link_id=appointment.deep_link_id,
        topic=appointment.topic_id,
        acquisition=({"entry_point": appointment.entry_point} if appointment.entry_point else {}),
        clock=clock,
    )


def refund_told(appointment: Appointment) -> int | None:
    """What a cancellation came to, whole roubles, while the outbox remembers (privacy.md §4)."""
    told = OutboxEvent.objects.filter(
        aggregate_type=appointment._meta.db_table,
        aggregate_id=appointment.pk,
        event_type="appointment_canceled",
    )
    return told.values_list("payload__refund_amount", flat=True).first()


def refund_is_due(payment: Payment, amount: int, reason: str) -> None:
    """Tell whoever talks to the provider that money of ``payment`` goes back, whole roubles.

    ``reason``: canceled, time_gone (it came after the time was lost), overpaid, duplicate, or
    already_over (the payment itself had been closed before).
    """
    publish_event(
        "refund_due",
        payment,
        amount=amount,
        currency=payment.currency,
        reason=reason,
        appointment_id=payment.appointment_id,
    )
