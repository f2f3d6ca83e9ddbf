"""``Lead.objects.record_event``: an event into analytics and, of a lead, into its timeline.

Whose event it is and what is locked for that: recognition.py.
"""

from __future__ import annotations

from dataclasses import replace

import psycopg
from django.conf import settings
from django.db import IntegrityError, connection, models

from audit.services import publish_event
from ebalance.db.errors import FOREIGN_KEY
from ebalance.services import (
    Clock,
    IdempotencyConflict,
    InvalidInput,
    NotFound,
    Refused,
    constraint_of,
    key_of,
    to_utc,
)

from ..errors import EventRefused
from ..models import AnalyticsEvent, Lead, LeadIdentity, LeadTimelineEvent
from .events import CONTACTS, WAY, Event
from .recognition import Search
from .subjects import BROWSER, CONTACT, Identifier

SCHEMA_VERSION, EVENT_VERSION = "1.0", 1

Status = Lead.Status


class Recorder:
    """Records one event about whoever it is."""

    def __init__(self, event: Event, whose: Search, *, clock: Clock) -> None:
        self.event = event
        self.whose = whose
        self.clock = clock

    def record(self) -> Lead | None:
        try:
            return self._record()
        except IntegrityError as error:
            refusal = said(error)
            if refusal is None:
                raise
            raise refusal from error

    def _record(self) -> Lead | None:
        lead, unknown = self.whose.found(may_be_made=self.event.name in CONTACTS)
        if self.event.occurred_at is None:
            self.event = replace(self.event, occurred_at=to_utc(self.clock(), "clock"))
        is_new = lead is None and self._is_first_contact
        if is_new:
            lead = self._made()
        if not insert_once(self._analytics(lead)):
            return self._as_before()
        if lead is None:
            return None
        if is_new:
            lead.save(force_insert=True)
        add_identities(lead, unknown, is_new=is_new)
        if not insert_once(self._timeline(lead)):
            self._check_timeline(lead)
        if is_new:
            publish_event("lead_created", lead, source=lead.source, status=lead.status)
        else:
            promote(lead, self.event.promotion)
        return lead

    @property
    def _is_first_contact(self) -> bool:
        return bool(self.whose.persons) and self.event.name in CONTACTS

    # -- rows -----------------------------------------------------------------------------------

    def _made(self) -> Lead:
        event = self.event
        utm = event.utm or {k: v for k, v in event.acquisition.items() if k.startswith("utm_")}
        return Lead(
            source=CONTACTS[event.name],
            status=event.promotion or Status.NEW,
            topic_id=event.topic,
            utm=utm or None,
        )

    def _analytics(self, lead: Lead | None) -> AnalyticsEvent:
        event = self.event
        return AnalyticsEvent(
            schema_version=SCHEMA_VERSION,
            tracking_event_id=event.name,
            event_version=EVENT_VERSION,
            event_id=event.event_id,
            occurred_at=event.occurred_at,
            source=event.source,
            environment=settings.ENVIRONMENT,
            session_id=event.session_id,
            anonymous_id=self.whose.anonymous_id,
            user_id=self.whose.user_id,
            lead_id=key_of(lead),
            page=event.page,
            acquisition=event.acquisition,
            properties=event.properties,
        )

    def _timeline(self, lead: Lead) -> LeadTimelineEvent:
        event = self.event
        return LeadTimelineEvent(
            lead=lead,
            event_id=event.event_id,
            tracking_event_id=event.name,
            source=event.source,
            occurred_at=event.occurred_at,
            deep_link_id=event.deep_link_id,
            properties=event.shown_to_lead,
        )

    # -- the same event again -------------------------------------------------------------------

    def _as_before(self) -> Lead | None:
        """The lead of the event as it was recorded first. Raises IdempotencyConflict."""
        event_id, whose = self.event.event_id, self.whose
        earlier = AnalyticsEvent.objects.get(event_id=event_id)
        # The timeline goes with its lead when that is merged; analytics stays as it was.
        lead = Lead.objects.filter(timeline__event_id=event_id).first()
        same = [
            earlier.tracking_event_id == self.event.name,
            None in (earlier.user_id, whose.user_id) or earlier.user_id == whose.user_id,
            None in (earlier.anonymous_id, whose.anonymous_id)
            or earlier.anonymous_id == whose.anonymous_id,
            whose.is_about(earlier.lead_id if lead is None else lead.pk),
        ]
        if not all(same):
            raise IdempotencyConflict(event_id=event_id)
        return lead

    def _check_timeline(self, lead: Lead) -> None:
        """Analytics are purged before timelines, and staff may write into these."""
        row = LeadTimelineEvent.objects.get(event_id=self.event.event_id)
        if (row.tracking_event_id, row.lead_id) != (self.event.name, lead.pk):
            raise IdempotencyConflict(event_id=self.event.event_id)


def add_identities(lead: Lead, persons: list[Identifier], *, is_new: bool) -> None:
    """Add what the lead is not known by yet; nobody else does, it is locked or new.

    Its first contact, else its person, becomes the primary one: a browser cannot be answered.
    """
    rows = [person.identity() for person in persons]
    for row in rows:
        row.lead = lead
    usable = [
        (person.strength != CONTACT, n)
        for n, person in enumerate(persons)
        if person.strength != BROWSER
    ]
    if usable and (is_new or not lead.identities.filter(is_primary=True).exists()):
        rows[min(usable)[1]].is_primary = True
    if rows:
        LeadIdentity.objects.bulk_create(rows)


def promote(lead: Lead, status: str | None) -> None:
    """Move the lead forward to ``status``, never back, and not out of what staff has set."""
    if status is None:
        return
    before = WAY[: WAY.index(Status(status))]
    # Locked: what was read still holds. The condition is for those who do not lock.
    if lead.status in before and Lead.objects.filter(pk=lead.pk, status__in=before).update(
        status=status
    ):
        lead.status = status


def insert_once(row: models.Model) -> bool:
    """Insert ``row`` unless its event_id is there; False when it is, and nothing was written."""
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


def said(error: IntegrityError) -> Refused | None:
    """What the database refused, as the caller is told; None for what nobody could have said."""
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
