"""``record_event`` writes an event to analytics and, if a lead is known, to its timeline."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from django.conf import settings
from django.db import IntegrityError, connection, models
from django.utils import timezone

from audit.services import publish_event
from ebalance.db.encryption.values import Plaintext
from ebalance.db.errors import FOREIGN_KEY
from ebalance.db.ids import uuid7
from ebalance.services import (
    Clock,
    IdempotencyConflict,
    InvalidInput,
    NotFound,
    Refused,
    RowOrKey,
    constraint_of,
    pk_of,
    to_utc,
    transactional,
)

from ..errors import EventRefused
from ..models import FUNNEL_STAGES, AnalyticsEvent, Lead, LeadIdentity, LeadTimelineEvent
from .events import CONTACT_EVENTS, ParsedEvent, parse_event
from .identifiers import Identifier, Strength
from .resolver import LeadResolver

SCHEMA_VERSION, EVENT_VERSION = "1.0", 1


@transactional
def record_event(
    event_name: str,
    *,
    source: str = "backend",
    event_id: UUID | str | None = None,
    occurred_at: datetime | None = None,
    lead: RowOrKey[Lead] | None = None,
    user: RowOrKey | None = None,
    anonymous_id: str | None = None,
    contact: Mapping[str, Plaintext] | None = None,
    properties: Mapping[str, object] = {},
    page: Mapping[str, object] = {},
    acquisition: Mapping[str, object] = {},
    session_id: UUID | str | None = None,
    deep_link_id: str | None = None,
    topic: Any = None,
    utm: Mapping[str, str] | None = None,
    clock: Clock = timezone.now,
) -> Lead | None:
    """Record an event of the tracking plan; returns the lead that it is about, if there is one.

    The lead is the one given; else the lead of the user, else of a contact, else of the browser or
    bot ``anonymous_id``; if several match, the oldest (see ``LeadResolver``). The first contact
    event of a person creates a lead (states.md). Later events add identifiers that the lead does
    not have, and move its status forward only. ``contact`` is by channel: email, phone, telegram.
    A ``deep_link_id`` that the plan does not take, and values that are None, are left out. The
    event occurred now at the latest, whatever ``occurred_at`` the caller's clock gives. A second
    event with the same ``event_id`` writes nothing.

    Raises EventRefused for an event that the plan does not allow, IdempotencyConflict for an
    event_id of another event or lead, NotFound for an unknown lead, user or topic, InvalidInput.
    """
    event = parse_event(
        event_name,
        source=source,
        event_id=uuid7() if event_id is None else event_id,
        occurred_at=occurred_at,
        properties=properties,
        page=page,
        acquisition=acquisition,
        session_id=session_id,
        deep_link_id=deep_link_id,
        topic=topic,
        utm=utm,
    )
    person = LeadResolver(lead, user=user, contact=contact, anonymous_id=anonymous_id)
    try:
        return _record(event, person, clock)
    except IntegrityError as error:
        refusal = refusal_of(error)
        if refusal is None:
            raise
        raise refusal from error


def _record(event: ParsedEvent, person: LeadResolver, clock: Clock) -> Lead | None:
    is_contact = event.name in CONTACT_EVENTS
    lead, missing = person.lock_lead(may_create=is_contact)
    now = to_utc(clock(), "clock")
    occurred_at = min(event.occurred_at or now, now)
    is_new = lead is None and is_contact and bool(person.identifiers)
    if is_new:
        lead = _new_lead(event)
    if not insert_once(_analytics_event(event, occurred_at, person, lead)):
        return _recorded_lead(event, person)
    if lead is None:
        return None
    if is_new:
        lead.save(force_insert=True)
    add_identities(lead, missing, is_new=is_new)
    if not insert_once(_timeline_event(event, occurred_at, lead)):
        _require_same_timeline(event, lead)
    if is_new:
        publish_event("lead_created", lead, source=lead.source, status=lead.status)
    else:
        promote(lead, event.promotion)
    return lead


# -- rows -----------------------------------------------------------------------------------------


def _new_lead(event: ParsedEvent) -> Lead:
    utm = event.utm or {k: v for k, v in event.acquisition.items() if k.startswith("utm_")}
    return Lead(
        source=CONTACT_EVENTS[event.name],
        status=event.promotion or Lead.Status.NEW,
        topic_id=event.topic,
        utm=utm or None,
    )


def _analytics_event(
    event: ParsedEvent, occurred_at: datetime, person: LeadResolver, lead: Lead | None
) -> AnalyticsEvent:
    return AnalyticsEvent(
        schema_version=SCHEMA_VERSION,
        tracking_event_id=event.name,
        event_version=EVENT_VERSION,
        event_id=event.event_id,
        occurred_at=occurred_at,
        source=event.source,
        environment=settings.ENVIRONMENT,
        session_id=event.session_id,
        anonymous_id=person.anonymous_id,
        user_id=person.user_id,
        lead_id=pk_of(lead),
        page=event.page,
        acquisition=event.acquisition,
        properties=event.properties,
    )


def _timeline_event(event: ParsedEvent, occurred_at: datetime, lead: Lead) -> LeadTimelineEvent:
    return LeadTimelineEvent(
        lead=lead,
        event_id=event.event_id,
        tracking_event_id=event.name,
        source=event.source,
        occurred_at=occurred_at,
        deep_link_id=event.deep_link_id,
        properties=event.timeline_properties,
    )


# -- a repeated event -----------------------------------------------------------------------------


def _recorded_lead(event: ParsedEvent, person: LeadResolver) -> Lead | None:
    """The lead of the event that was recorded first. Raises IdempotencyConflict."""
    earlier = AnalyticsEvent.objects.get(event_id=event.event_id)
    # A merge moves the timeline to the other lead; analytics keep the first lead.
    lead = Lead.objects.filter(timeline__event_id=event.event_id).first()
    same = [
        earlier.tracking_event_id == event.name,
        None in (earlier.user_id, person.user_id) or earlier.user_id == person.user_id,
        None in (earlier.anonymous_id, person.anonymous_id)
        or earlier.anonymous_id == person.anonymous_id,
        person.agrees_with(earlier.lead_id if lead is None else lead.pk),
    ]
    if not all(same):
        raise IdempotencyConflict(event_id=event.event_id)
    return lead


def _require_same_timeline(event: ParsedEvent, lead: Lead) -> None:
    """Analytics are purged before timelines, and staff may write timelines.

    Raises IdempotencyConflict.
    """
    row = LeadTimelineEvent.objects.get(event_id=event.event_id)
    if (row.tracking_event_id, row.lead_id) != (event.name, lead.pk):
        raise IdempotencyConflict(event_id=event.event_id)


# -- the lead -------------------------------------------------------------------------------------


def add_identities(lead: Lead, identifiers: list[Identifier], *, is_new: bool) -> None:
    """Add identifiers that the lead does not have; the lead is locked, or new.

    The first contact, else the account, becomes the primary identity: a browser cannot be answered.
    """
    rows = [identifier.new_identity() for identifier in identifiers]
    for row in rows:
        row.lead = lead
    answerable = [
        (identifier.strength != Strength.CONTACT, n)
        for n, identifier in enumerate(identifiers)
        if identifier.strength != Strength.BROWSER
    ]
    if answerable and (is_new or not lead.identities.filter(is_primary=True).exists()):
        rows[min(answerable)[1]].is_primary = True
    if rows:
        LeadIdentity.objects.bulk_create(rows)


def promote(lead: Lead, status: str | None) -> None:
    """Move the locked lead forward to ``status``, never back, and not out of a staff status."""
    if status is None:
        return
    before = FUNNEL_STAGES[: FUNNEL_STAGES.index(status)]
    # The lead is locked. The condition protects against writers that do not lock.
    if lead.status in before and Lead.objects.filter(pk=lead.pk, status__in=before).update(
        status=status
    ):
        lead.status = status


def insert_once(row: models.Model) -> bool:
    """Insert ``row`` unless its event_id exists. Returns False if it exists, and writes nothing."""
    meta = row._meta
    values = {}
    for field in meta.concrete_fields:
        value = field.pre_save(row, add=True)
        if not isinstance(value, models.expressions.DatabaseDefault):
            values[field.column] = field.get_db_prep_save(value, connection)
    names = ", ".join(f'"{name}"' for name in values)
    marks = ", ".join(["%s"] * len(values))
    with connection.cursor() as cursor:
        cursor.execute(
            f'INSERT INTO "{meta.db_table}" ({names}) VALUES ({marks}) '
            "ON CONFLICT (event_id) DO NOTHING",
            [*values.values()],
        )
        return cursor.rowcount == 1


def refusal_of(error: IntegrityError) -> Refused | None:
    """The typed refusal of a database error; None for an error that no input can cause."""
    cause, rule = error.__cause__, constraint_of(error) or ""
    if not isinstance(cause, psycopg.Error):
        return None
    diagnosis = cause.diag
    if diagnosis.sqlstate == FOREIGN_KEY:
        return NotFound(what="topic" if "topic" in rule else "user")
    if rule.endswith("_times_finite"):
        return InvalidInput(field="occurred_at")
    if not rule.startswith(("analytics_events_", "lead_timeline_events_", "leads_utm_")):
        return None
    # "<sentence>: <key> (<rule>)."; the key is a code of the plan, or "unnamed".
    text = (diagnosis.message_primary or "").rpartition(f" ({rule})")[0]
    _sentence, colon, key = text.rpartition(": ")
    return EventRefused(rule=rule, column=diagnosis.column_name, key=key if colon else None)
