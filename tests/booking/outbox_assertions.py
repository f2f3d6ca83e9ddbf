"""Helpers of the booking and payment tests: service calls with valid arguments, and assertions
about refusals, outbox events and tracking events.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import models

from audit.models import OutboxEvent
from booking.models import Appointment, Payment, PaymentWebhookEvent
from booking.services import (
    attach_provider_id,
    book_appointment,
    receive_webhook,
    reschedule_appointment,
    start_payment,
)
from crm.models import AnalyticsEvent, LeadTimelineEvent
from ebalance.admin.refusals import ask_deferred_rules
from ebalance.db.storable import is_storable
from ebalance.services import Clock, InvalidInput, Refused
from identity.models import User
from tests.factories import AvailabilitySlotFactory, ServiceFactory, UserFactory
from tests.factories.base import ZONE
from tests.factories.booking import NEXT_WEEK, STEP
from tests.services import nothing_written as writes_nothing

# Bookings of these helpers start here, far from the times that the factories use.
TEN_YEARS_ON = NEXT_WEEK + timedelta(days=3650)
NUMBERS = itertools.count()

# Invalid values for a key, and texts that no column can store.
INVALID_KEYS = [
    "",
    "nobody",
    "0" * 31,
    "\0",
    "\ud800",
    "a" * 100_000,
    7,
    -1,
    2.5,
    [],
    {},
    b"\0",
    True,
]
INVALID_TEXTS = ["\0", "a\0b", "\ud800", "\udfff"]


@contextmanager
def refused(error: type[Refused], **details: object) -> Iterator[None]:
    """The block raises exactly this error, with a sentence, and writes nothing."""
    with writes_nothing(), pytest.raises(Refused) as caught:
        yield
    assert type(caught.value) is error, repr(caught.value)
    assert details.items() <= caught.value.details.items(), caught.value.details
    assert caught.value.sentence


def check_refusals(
    call: Callable[[Any], object],
    values: Iterable[Any],
    error: type[Refused],
    **details: object,
) -> None:
    """``call`` refuses each value with exactly this error and a sentence, and writes nothing.

    A text that no column can hold is InvalidInput in every argument. The tables are compared once,
    after the last value.
    """

    failed: dict[str, str] = {}
    with writes_nothing():
        for number, value in enumerate(values):
            name = f"{number}: {ascii(value)[:60]}"
            try:
                call(value)
            except Refused as refusal:
                same = details.items() <= refusal.details.items()
                expected = error if is_storable(value) else InvalidInput
                same = same or expected is not error
                if type(refusal) is not expected or not same or not refusal.sentence:
                    failed[name] = f"{refusal!r}, details {refusal.details}"
            except Exception as other:  # report all failures, not only the first
                failed[name] = repr(other)
            else:
                failed[name] = "accepted"
    assert not failed, f"{len(failed)} values are not refused by {error.__name__}: {failed}"


def stored(row: models.Model) -> dict[str, Any]:
    return type(row)._base_manager.filter(pk=row.pk).values().get()


# -- events ---------------------------------------------------------------------------------------


def event_types(row: models.Model | None = None) -> list[str]:
    """Return the types of the outbox events of one row, or of all rows, in order."""
    return [event.event_type for event in outbox(row)]


def outbox(row: models.Model | None = None) -> list[OutboxEvent]:
    about = {} if row is None else {"aggregate_id": row.pk, "aggregate_type": row._meta.db_table}
    return list(OutboxEvent.objects.filter(**about).order_by("pk"))


def payload(event_type: str) -> dict[str, Any]:
    """Return the payload of the only outbox event of this type."""
    return OutboxEvent.objects.get(event_type=event_type).payload


def tracked(event_name: str) -> list[dict[str, Any]]:
    """Return the properties of the tracking events of this name; check the timeline too."""
    events = list(AnalyticsEvent.objects.filter(tracking_event=event_name).order_by("received_at"))
    timeline = LeadTimelineEvent.objects.filter(tracking_event=event_name)
    assert {event.event_id for event in events} == {event.event_id for event in timeline}
    return [event.properties for event in events]


def tracked_names() -> list[str]:
    return sorted(AnalyticsEvent.objects.values_list("tracking_event", flat=True))


# -- service calls --------------------------------------------------------------------------------


def at(instant: datetime, **offset: float) -> Clock:
    """Return a clock fixed at ``instant`` plus ``offset`` (hours, minutes and so on)."""
    return lambda: instant + timedelta(**offset)


def by_staff(values: dict[str, Any]) -> dict[str, Any]:
    """``values``; a start is free for staff, who override, whether it is offered or not."""
    if values.get("start") is None or "override" in values:
        return values
    owners = User.objects.filter(user_roles__role="owner")
    return {"actor": owners.first() or UserFactory(role="owner"), "override": True} | values


def reschedule(appointment: Any, **values: Any) -> Appointment:
    """A move to a slot by the client, to a start by staff."""
    return reschedule_appointment(appointment, **by_staff(values))


def request(**values: Any) -> dict[str, Any]:
    """Return valid arguments of book_appointment()."""
    if "service" not in values:
        values["service"] = ServiceFactory(published=True)
    if not {"slot", "start"} & values.keys():
        start = TEN_YEARS_ON + next(NUMBERS) * STEP
        values["slot"] = AvailabilitySlotFactory(start_at_utc=start)
    if not {"client", "lead"} & values.keys():
        values["client"] = UserFactory()
    values.setdefault("client_request_id", f"request-{uuid4()}")
    return {"timezone": ZONE, "format": "online"} | by_staff(values)


def book(**values: Any) -> Appointment:
    return book_appointment(**request(**values))


def start(appointment: Appointment, purpose: str = "deposit", **values: Any) -> Payment:
    key = values.pop("idempotency_key", f"payment-{uuid4()}")
    return start_payment(appointment=appointment, purpose=purpose, idempotency_key=key, **values)


def known_payment(appointment: Appointment, purpose: str = "deposit", **values: Any) -> Payment:
    """Start a payment and attach a provider id."""
    return attach_provider_id(
        start(appointment, purpose, **values), provider_payment_id=f"provider-{uuid4()}"
    )


def deliver(
    payment: Payment | str, event_type: str = "payment.succeeded", **values: Any
) -> PaymentWebhookEvent:
    """Receive a webhook about a payment, in the provider's format."""
    if isinstance(payment, Payment):
        values.setdefault("amount", f"{payment.amount}.00")
        payment = payment.provider_payment_id
    values = {"amount": "1000.00", "currency": "RUB"} | values
    event = receive_webhook(event_type=event_type, provider_payment_id=payment, **values)
    ask_deferred_rules()  # each delivery is a transaction of its own
    return event


def paid(appointment: Appointment, purpose: str = "deposit", **values: Any) -> Payment:
    payment = known_payment(appointment, purpose, **values)
    assert deliver(payment, **values).last_error is None
    payment.refresh_from_db()
    appointment.refresh_from_db()
    return payment


def confirmed(purpose: str = "deposit", **values: Any) -> Appointment:
    """Book a session and pay for it."""
    appointment = book(**values)
    paid(appointment, purpose)
    assert appointment.status == "confirmed"
    return appointment
