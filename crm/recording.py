"""``Lead.objects.record_event``: an event into analytics and, of a lead, into its timeline.

Locks, last of all (ebalance.verbs): first those of persons that no lead is known by yet, then the
lead itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from uuid import UUID

import psycopg
from django.conf import settings
from django.db import IntegrityError, connection, models
from django.db.models import Exists, F, OuterRef, Q

from audit.models import OutboxEvent
from ebalance.db.errors import FOREIGN_KEY
from ebalance.db.values import Plaintext
from ebalance.verbs import (
    Clock,
    IdempotencyConflict,
    NotFound,
    Refused,
    RowOrKey,
    key_of,
    moment,
    rule_of,
)

from .errors import EventRefused
from .events import CONTACTS, WAY, Event
from .events import PROMOTIONS as PROMOTIONS
from .models import AnalyticsEvent, Lead, LeadIdentity, LeadTimelineEvent
from .subjects import BROWSER, CONTACT, Browser, Identifier, User, identifiers, uuid_of

SCHEMA_VERSION, EVENT_VERSION = "1.0", 1

Status = Lead.Status


class Recorder:
    """Records one event about whoever is given."""

    def __init__(
        self,
        event: Event,
        lead: RowOrKey[Lead] | None,
        *,
        user: RowOrKey | None,
        contact: Mapping[str, Plaintext] | None,
        anonymous_id: str | None,
        clock: Clock,
    ) -> None:
        self.event = event
        self.clock = clock
        self.given_lead = uuid_of(key_of(lead))
        if lead is not None and self.given_lead is None:
            raise NotFound(what="lead")
        self.passed: set[UUID] = set()  # merged leads, on the way to the one that is
        self.persons = identifiers(user=user, contact=contact, anonymous_id=anonymous_id)

    def record(self) -> Lead | None:
        try:
            return self._record()
        except IntegrityError as error:
            refusal = said(error)
            if refusal is None:
                raise
            raise refusal from error

    def _record(self) -> Lead | None:
        lead, unknown = self._found(self._complete())
        if self.event.occurred_at is None:
            self.event = replace(self.event, occurred_at=moment(self.clock(), "clock"))
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
            OutboxEvent.objects.publish(
                "lead_created", lead, source=lead.source, status=lead.status
            )
        else:
            promote(lead, self.event.promotion)
        return lead

    # -- whose lead -----------------------------------------------------------------------------

    @property
    def user_id(self) -> UUID | None:
        return next((one.key for one in self.persons if isinstance(one, User)), None)

    @property
    def anonymous_id(self) -> str | None:
        return next((one.anonymous_id for one in self.persons if isinstance(one, Browser)), None)

    @property
    def _is_first_contact(self) -> bool:
        return bool(self.persons) and self.event.name in CONTACTS

    def _complete(self) -> list[LeadIdentity]:
        """What the person is known by, once nobody else makes or completes a lead of theirs."""
        identities = self._identities()
        unknown = self._unknown(identities, self._key(identities))
        user = next((one for one in unknown if isinstance(one, User)), None)
        if user is not None and not exists(user):
            self.persons.remove(user)
            return self._complete()
        if not unknown or not (self._key(identities) or self._is_first_contact):
            return identities
        hold(unknown)
        return self._identities()

    def _found(self, identities: list[LeadIdentity]) -> tuple[Lead | None, list[Identifier]]:
        """The lead, locked, and what it is not known by yet. Raises NotFound for a lead given."""
        while (key := self._key(identities)) is not None:
            lead = locked_lead(key)
            if (lead is None or lead.status == Status.inactive) and self._has_moved(lead, key):
                identities = self._identities()
                continue
            if lead is None:
                raise NotFound(what="lead")
            if self._unknown(identities, key):
                identities = self._identities()  # it was perhaps being completed until now
            return lead, self._unknown(identities, key)
        return None, self.persons

    def _key(self, identities: list[LeadIdentity]) -> UUID | None:
        return self.given_lead or next((row.lead_id for row in identities), None)

    def _unknown(self, identities: list[LeadIdentity], key: UUID | None) -> list[Identifier]:
        known = [row for row in identities if row.lead_id == key]
        return [one for one in self.persons if not any(map(one.is_in, known))]

    def _has_moved(self, lead: Lead | None, key: UUID) -> bool:
        """Whether the lead was merged meanwhile; then it is to be looked for again."""
        if self.given_lead is None:
            return key != self._key(self._identities())
        into = merged_into(lead, key)
        if into is None or into in self.passed:
            return False
        self.passed.add(key)
        self.given_lead = into
        return True

    def _identities(self) -> list[LeadIdentity]:
        """By which the person is known: strongest first, then of the oldest lead.

        A lead of another registered person is not theirs, though they share a browser or a phone.
        """
        if not self.persons:
            return []
        known = Q()
        for person in self.persons:
            known |= person.known
        rows = LeadIdentity.objects.filter(known)
        if self.given_lead is not None:
            return list(rows.filter(lead=self.given_lead))
        if self.user_id is not None:
            others = LeadIdentity.objects.filter(lead=OuterRef("lead"), user__isnull=False)
            own = LeadIdentity.objects.filter(lead=OuterRef("lead"), user=self.user_id)
            rows = rows.filter(Exists(own) | ~Exists(others))
        found = rows.annotate(lead_since=F("lead__created_at"))
        return sorted(found, key=lambda row: (self._strength(row), row.lead_since, row.lead_id))

    def _strength(self, identity: LeadIdentity) -> int:
        return min(one.strength for one in self.persons if one.is_in(identity))

    # -- rows -----------------------------------------------------------------------------------

    def _made(self) -> Lead:
        event = self.event
        utm = event.utm or {k: v for k, v in event.acquisition.items() if k.startswith("utm_")}
        return Lead(
            source=CONTACTS[event.name],
            status=event.promotion or Status.new,
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
            anonymous_id=self.anonymous_id,
            user_id=self.user_id,
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
        event_id = self.event.event_id
        earlier = AnalyticsEvent.objects.get(event_id=event_id)
        # The timeline goes with its lead when that is merged; analytics stays as it was.
        lead = Lead.objects.filter(timeline__event_id=event_id).first()
        same = [
            earlier.tracking_event_id == self.event.name,
            None in (earlier.user_id, self.user_id) or earlier.user_id == self.user_id,
            None in (earlier.anonymous_id, self.anonymous_id)
            or earlier.anonymous_id == self.anonymous_id,
            self._is_about(earlier.lead_id if lead is None else lead.pk),
        ]
        if not all(same):
            raise IdempotencyConflict(event_id=event_id)
        return lead

    def _is_about(self, key: UUID | None) -> bool:
        """Whether the person given, if one is, is the lead that the event was recorded for."""
        if self.given_lead is not None:
            return self.given_lead == key
        if key is None or not self.persons:
            return True  # of nobody known then, or by whom is not said now
        return any(identity.lead_id == key for identity in self._identities())

    def _check_timeline(self, lead: Lead) -> None:
        """Analytics are purged before timelines, and staff may write into these."""
        row = LeadTimelineEvent.objects.get(event_id=self.event.event_id)
        if (row.tracking_event_id, row.lead_id) != (self.event.name, lead.pk):
            raise IdempotencyConflict(event_id=self.event.event_id)


def exists(user: User) -> bool:
    """Whether events may name the person: whoever was erased is not known by anything again.

    The row cannot be deleted or erased until this transaction ends: erasure takes its contacts,
    which are keys. Raises NotFound for a user that never was.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT status FROM users WHERE id = %s FOR KEY SHARE", [user.key])
        row = cursor.fetchone()
    if row is None:
        raise NotFound(what="user")
    return row[0] != "deleted"


def locked_lead(key: UUID) -> Lead | None:
    """The lead, locked; None when there is none any more."""
    return Lead.objects.select_for_update(no_key=True, of=("self",)).filter(pk=key).first()


def merged_into(lead: Lead | None, key: UUID) -> UUID | None:
    """The lead that the one of ``key`` was merged into, while the outbox remembers (privacy.md §4).

    ``lead`` is what is left of it. One that is in use again is no merged one.
    """
    if lead is not None and (lead.status != Status.inactive or lead.identities.exists()):
        return None
    merges = OutboxEvent.objects.filter(
        aggregate_type=Lead._meta.db_table, aggregate_id=key, event_type="lead_merged"
    )
    into = merges.order_by("created_at", "id").values_list("payload__into", flat=True).last()
    return uuid_of(into)


def hold(persons: Iterable[Identifier]) -> None:
    """Wait until nobody else makes a lead of them; then others wait for this transaction."""
    keys = sorted(set().union(*(person.locks for person in persons)))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(key) FROM unnest(%s::bigint[]) WITH ORDINALITY "
            "AS k (key, n) ORDER BY n",
            [keys],
        )


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
    cause, rule = error.__cause__, rule_of(error) or ""
    if not isinstance(cause, psycopg.Error):
        return None
    diagnosis = cause.diag
    if diagnosis.sqlstate == FOREIGN_KEY:
        return NotFound(what="topic" if "topic" in rule else "user")
    if not rule.startswith(("analytics_events_", "lead_timeline_events_", "leads_utm_")):
        return None
    # "<sentence>: <key> (<rule>)."; the key is a code of the plan, or "unnamed".
    text = (diagnosis.message_primary or "").rpartition(f" ({rule})")[0]
    _sentence, colon, key = text.rpartition(": ")
    return EventRefused(rule=rule, column=diagnosis.column_name, key=key if colon else None)
