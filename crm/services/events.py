"""Events of the tracking plan: the values of a caller in the form in which they are stored."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db import connection

from ebalance.db import patterns, zones
from ebalance.services import InvalidInput, parse_uuid, pk_of, to_utc

from ..models import Lead

Status, Source = Lead.Status, Lead.Source

# The first contact of a person creates a lead (states.md). Events that are contacts, and the source
# of the lead. Page views, quiz answers and searches for free times are not contacts.
CONTACT_EVENTS = {
    "waitlist_submitted": Source.WAITLIST,
    "question_submitted": Source.QUESTION,
    "tg_subscribe_confirmed": Source.TELEGRAM,
    **dict.fromkeys(
        [
            "booking_start",
            "service_selected",
            "booking_slot_selected",
            "intake_started",
            "intake_submitted",
            "payment_started",
            "booking_paid",
            "booking_confirmed",
        ],
        Source.BOOKING,
    ),
}

PROMOTIONS = {
    "waitlist_submitted": Status.ENGAGED,
    "question_submitted": Status.ENGAGED,
    "tg_subscribe_confirmed": Status.ENGAGED,
    "intake_submitted": Status.ENGAGED,
    "booking_start": Status.BOOKING_STARTED,
    "service_selected": Status.BOOKING_STARTED,
    "booking_slot_selected": Status.BOOKING_STARTED,
    "payment_started": Status.BOOKING_STARTED,
    "booking_paid": Status.PAID,
    "booking_confirmed": Status.BOOKED_CONFIRMED,
}


@dataclass(frozen=True)
class ParsedEvent:
    """An event in the form in which it is stored."""

    name: str
    source: str
    event_id: UUID
    occurred_at: datetime | None  # None: now
    session_id: UUID | None
    properties: dict[str, Any]
    page: dict[str, Any]
    acquisition: dict[str, Any]
    deep_link_id: str | None
    topic: str | None
    utm: dict[str, Any] | None

    @property
    def promotion(self) -> str | None:
        """The status that the lead reaches at least by this event."""
        if self.name == "appointment_outcome_recorded":
            attended = self.properties.get("outcome") == "attended"
            return Status.COMPLETED_SESSION if attended else None
        return PROMOTIONS.get(self.name)

    @property
    def timeline_properties(self) -> dict[str, Any]:
        """The properties and the envelope: the timeline has no columns for the envelope."""
        return {**self.page, **self.acquisition, **self.properties}


def parse_event(
    name: str,
    *,
    source: str,
    event_id: UUID | str,
    occurred_at: datetime | None,
    properties: Mapping[str, object],
    page: Mapping[str, object],
    acquisition: Mapping[str, object],
    session_id: UUID | str | None,
    deep_link_id: str | None,
    topic: Any,
    utm: Mapping[str, str] | None,
) -> ParsedEvent:
    """Raises InvalidInput."""
    parse_text(name, "event_name")
    parse_text(source, "source")
    given = parse_json_object(properties, "properties")
    if isinstance(zone := given.get("timezone"), str):
        given["timezone"] = zones.renew_name(zone)
    link = deep_link_id or given.get("deep_link_id")
    if not isinstance(link, str) or not re.fullmatch(patterns.OPAQUE_ID, link):
        link = None
    if link and "deep_link_id" not in given and plan_takes_deep_link(name, link):
        given["deep_link_id"] = link
    return ParsedEvent(
        name=name,
        source=source,
        event_id=parse_uuid(event_id, "event_id"),
        occurred_at=None if occurred_at is None else to_utc(occurred_at, "occurred_at"),
        session_id=None if session_id is None else parse_uuid(session_id, "session_id"),
        properties=given,
        page=parse_json_object(page, "page"),
        acquisition=parse_json_object(acquisition, "acquisition"),
        deep_link_id=link,
        topic=pk_of(topic),
        utm=None if utm is None else parse_json_object(utm, "utm"),
    )


def parse_text(value: object, field: str) -> str:
    """Raises InvalidInput."""
    if not isinstance(value, str):
        raise InvalidInput(field=field)
    return value


def plan_takes_deep_link(event_name: str, deep_link_id: str) -> bool:
    """Whether the tracking plan takes this value as the event's deep_link_id."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM tracking_event_params WHERE event_name = %s "
            "AND name = 'deep_link_id' "
            "AND public.is_p0_value(kind, allowed, to_jsonb(%s::text)))",
            [event_name, deep_link_id],
        )
        (takes,) = cursor.fetchone()
    return bool(takes)


def parse_json_object(values: Mapping[str, object], field: str) -> dict[str, Any]:
    """``values`` as JSON: times in UTC, ids as text; values that are None are left out.

    Raises InvalidInput for a value that JSON cannot hold.
    """
    try:
        encoded = {name: _plain(value) for name, value in values.items() if value is not None}
        json.dumps(encoded, allow_nan=False)
    except (AttributeError, TypeError, ValueError, RecursionError, OverflowError):
        raise InvalidInput(field=field) from None
    return encoded


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        if value.utcoffset() is None:
            raise ValueError
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, UUID) else value
