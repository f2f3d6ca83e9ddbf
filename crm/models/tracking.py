"""The tracking plan and the P0-only events that it admits."""

from typing import Any, ClassVar

import pgtrigger
from django.db import connection, models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop
from psycopg.types.json import Jsonb

from ebalance.db import lengths, rules, triggers
from ebalance.db.fields import (
    ClosedSet,
    Entity,
    RestrictForeignKey,
    SingleLineTextField,
)
from ebalance.db.on_delete import DB_CASCADE
from ebalance.db.schema.classification import EMPTY_OBJECT, NAMELESS_LEAD, NULL, of_person, p0
from ebalance.db.schema.retention import goes_with, kept, purged
from ebalance.db.sets import EventSource
from ebalance.db.times import FactTime, now_default

from .leads import Lead

KEPT = "13 months"  # of an analytics event

# Columns that an erasure may empty: first the identifiers, then the details.
IDENTIFIERS = ("user_id", "lead_id", "anonymous_id", "session_id")
DETAILS = ("page", "acquisition", "properties")


def as_written(row: str) -> str:
    """SQL: the row without the columns that an erasure may empty."""
    return f"(to_jsonb({row}) - '{{{','.join(IDENTIFIERS + DETAILS)}}}'::text[])"


def refilled() -> str:
    """SQL: a column gets a new value, or details are emptied while an identifier is still there."""
    named = f"num_nonnulls({', '.join(f'NEW.{c}' for c in IDENTIFIERS)}) > 0"
    bad = [(c, f"NEW.{c} IS NOT NULL") for c in IDENTIFIERS]
    bad += [(c, f"(NEW.{c} <> '{{}}' OR {named})") for c in DETAILS]
    return " OR ".join(f"(NEW.{c} IS DISTINCT FROM OLD.{c} AND {how})" for c, how in bad)


def empty_object() -> models.Value:
    return models.Value({}, output_field=models.JSONField())


class EventGuard(triggers.Rule):
    """An event holds what the tracking plan lists, and nothing else (privacy.md §3)."""

    sentences: ClassVar = {
        "_p0_only": gettext_noop("The tracking plan does not allow this property or its value"),
        "_required_present": gettext_noop("A property that the tracking plan requires is missing"),
        "_event_in_plan": gettext_noop("The tracking plan has no such active event"),
        "_source_in_plan": gettext_noop("This event does not come from this source"),
    }

    def __init__(self, table: str, operation):
        self.table = table
        arguments = ", ".join(
            triggers.literal(text) for pair in self.sentences.items() for text in pair
        )
        super().__init__(
            f"{table}_p0_only",
            operation=operation,
            execute=f"public.guard_p0_event({arguments})",
        )

    @property
    def messages(self):
        return {f"{self.table}{suffix}": text for suffix, text in self.sentences.items()}

    def validate(self, instance) -> None:
        """Call the function that the trigger calls, so that both agree."""
        objects: list[Any] = [
            Jsonb(getattr(instance, name, {})) for name in ("properties", "page", "acquisition")
        ]
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT public.event_offence(%s, %s, %s, %s, %s)",
                [instance.tracking_event_id, instance.source, *objects],
            )
            (offence,) = cursor.fetchone()
        if offence:
            suffix, column, _detail = offence
            raise self.violation(instance, f"{self.table}{suffix}", self.sentences[suffix], column)


class TrackingEvent(models.Model):
    """An event of the tracking plan, loaded by migration. Nothing else may be stored."""

    event_name = SingleLineTextField(
        max_length=lengths.CODE, primary_key=True, db_comment=p0("name in the tracking plan")
    )
    sources = lengths.TextList(
        max_items=lengths.LIST, max_length=lengths.CODE, db_comment=p0("which services may send it")
    )
    is_active = models.BooleanField(default=True, db_default=True, db_comment=p0("accepted now"))

    retention = kept("as long as events refer to it")
    deleted_by_owner_only = True

    class Meta:
        db_table = "tracking_events"
        db_table_comment = "The tracking plan: events"
        verbose_name = _("tracked event")
        verbose_name_plural = _("tracked events")
        constraints = [
            rules.code("tracking_events", "event_name"),
            rules.Check(
                "tracking_events_sources_in_set",
                Q(sources__contained_by=[str(v) for v in EventSource.values], sources__len__gte=1)
                & Q(rules.holds("has_no_duplicates", "sources")),
                _("Known sources only, each once, at least one."),
                field="sources",
            ),
        ]

    def __str__(self) -> str:
        return self.event_name


class TrackingEventParam(Entity):
    """A parameter an event may carry, and the kind of its value."""

    # events.json; one_of is a row "a|b" of which one must be present, itself no parameter.
    class Kind(models.TextChoices):
        ENUM = "enum", _("enum")
        ENUM_LIST = "enum_list", _("enum list")
        CODE = "code", _("code")
        CODE_LIST = "code_list", _("code list")
        SLUG = "slug", _("slug")
        REF = "ref", _("ref")
        DEEP_LINK = "deep_link", _("deep link")
        UUID = "uuid", _("uuid")
        INT = "int", _("int")
        BOOL = "bool", _("bool")
        TIMESTAMP = "timestamp", _("timestamp")
        PATH = "path", _("path")
        HOST = "host", _("host")
        ZONE = "zone", _("zone")
        TOPIC = "topic", _("topic")
        UTM = "utm", _("utm")
        ONE_OF = "one_of", _("one of")

    event = RestrictForeignKey(
        TrackingEvent,
        DB_CASCADE,
        db_column="event_name",
        related_name="params",
        db_comment=p0("event"),
    )
    name = SingleLineTextField(
        max_length=lengths.TITLE, db_comment=p0("key; a|b: one of these is required")
    )
    kind = ClosedSet(Kind, db_comment=p0("kind of value"))
    allowed = lengths.TextList(
        max_items=lengths.LIST,
        max_length=lengths.CODE,
        null=True,
        blank=True,
        db_comment=p0("values of an enum or enum_list"),
    )
    is_required = models.BooleanField(db_comment=p0("must be present"))

    retention = goes_with("event")
    deleted_by_owner_only = True

    class Meta:
        db_table = "tracking_event_params"
        db_table_comment = "The tracking plan: parameters"
        verbose_name = _("parameter of an event")
        verbose_name_plural = _("parameters of an event")
        constraints = [
            rules.Unique("tracking_event_params_once", fields=["event", "name"]),
            rules.matches(
                "tracking_event_params_name_is_code",
                "name",
                r"^[a-z][a-z0-9_]{0,59}(\|[a-z][a-z0-9_]{0,59})*$",
                _("A code, or codes joined by |."),
            ),
            rules.Check(
                "tracking_event_params_one_of_is_required",
                Q(kind="one_of", name__contains="|", is_required=True)
                | (~Q(kind="one_of") & ~Q(name__contains="|")),
                _("A choice of parameters is required and joins their names with |."),
                field="name",
            ),
            rules.Check(
                "tracking_event_params_allowed_are_codes",
                Q(rules.holds("are_p0_codes", "allowed")),
                _("Codes only, no free text."),
                field="allowed",
            ),
            rules.set_exactly_when(
                "tracking_event_params_allowed_with_enum",
                "allowed",
                Q(kind__in=["enum", "enum_list"]),
                _("Values are listed exactly for an enum."),
            ),
        ]

    def __str__(self) -> str:
        return self.name


class LeadTimelineEvent(Entity):
    """An event in the history of a lead: P0 only, enforced by the database."""

    lead = RestrictForeignKey(
        Lead, DB_CASCADE, related_name="timeline", db_comment=of_person("lead", NAMELESS_LEAD)
    )
    event_id = models.UUIDField(db_comment=p0("id given by the sender; makes a repeat the same"))
    tracking_event = RestrictForeignKey(
        TrackingEvent,
        db_column="event_name",
        related_name="timeline_events",
        db_comment=p0("event of the tracking plan"),
    )
    source = ClosedSet(EventSource, db_comment=p0("who sent it"))
    occurred_at = FactTime(db_default=now_default(), db_comment=p0("when, UTC"))
    deep_link_id = SingleLineTextField(
        max_length=lengths.OPAQUE_ID,
        null=True,
        blank=True,
        db_comment=p0("deep link; no key, links expire first", erasure=NULL),
    )
    properties = models.JSONField(
        default=dict,
        db_default=empty_object(),
        blank=True,
        db_comment=p0("parameters of the tracking plan", erasure=EMPTY_OBJECT),
    )

    retention = goes_with("lead")

    class Meta:
        db_table = "lead_timeline_events"
        db_table_comment = "Events of leads; P0 only"
        verbose_name = _("timeline event")
        verbose_name_plural = _("timeline events")
        constraints = [
            rules.Unique("lead_timeline_events_event_id_unique", fields=["event_id"]),
            rules.opaque_id("lead_timeline_events", "deep_link_id"),
            rules.finite("lead_timeline_events", "occurred_at"),
        ]
        indexes = [
            rules.Index(
                "lead_timeline_events_of_lead",
                "lead",
                "-occurred_at",
                serves="a lead's timeline, newest first",
            ),
            rules.Index(
                "lead_timeline_events_by_event", "tracking_event", serves="the delete check"
            ),
        ]
        triggers = [
            EventGuard("lead_timeline_events", pgtrigger.Insert | pgtrigger.Update),
        ]

    def __str__(self) -> str:
        return str(self.event_id)


class AnalyticsEvent(Entity):
    """An event of the site, the bot or the API: P0 only, high volume, append-only."""

    class Environment(models.TextChoices):
        PROD = "prod", _("prod")
        STAGE = "stage", _("stage")
        DEV = "dev", _("dev")

    schema_version = SingleLineTextField(
        max_length=lengths.CODE, db_comment=p0("version of the event envelope")
    )
    tracking_event = RestrictForeignKey(
        TrackingEvent,
        db_column="event_name",
        related_name="analytics_events",
        db_comment=p0("event of the tracking plan"),
    )
    event_version = models.IntegerField(db_comment=p0("version of the event, from 1"))
    event_id = models.UUIDField(db_comment=p0("id given by the sender; makes a repeat the same"))
    occurred_at = FactTime(db_comment=p0("when, UTC"))
    source = ClosedSet(EventSource, db_comment=p0("who sent it"))
    environment = ClosedSet(Environment, db_comment=p0("where it happened"))
    session_id = models.UUIDField(null=True, blank=True, db_comment=p0("visit", erasure=NULL))
    anonymous_id = SingleLineTextField(
        max_length=lengths.OPAQUE_ID,
        null=True,
        blank=True,
        db_comment=p0("browser or bot identifier", erasure=NULL),
    )
    user_id = models.UUIDField(null=True, blank=True, db_comment=of_person("person; no key", NULL))
    lead_id = models.UUIDField(null=True, blank=True, db_comment=of_person("lead; no key", NULL))
    page = models.JSONField(
        default=dict,
        db_default=empty_object(),
        blank=True,
        db_comment=p0("path and referrer host", erasure=EMPTY_OBJECT),
    )
    acquisition = models.JSONField(
        default=dict,
        db_default=empty_object(),
        blank=True,
        db_comment=p0("entry point and utm", erasure=EMPTY_OBJECT),
    )
    properties = models.JSONField(
        default=dict,
        db_default=empty_object(),
        blank=True,
        db_comment=p0("parameters of the tracking plan", erasure=EMPTY_OBJECT),
    )
    received_at = FactTime(db_default=now_default(), db_comment=p0("receipt, UTC"))

    retention = purged(KEPT, after="received_at")

    class Meta:
        db_table = "analytics_events"
        db_table_comment = "Product events; P0 only, append-only"
        verbose_name = _("analytics event")
        verbose_name_plural = _("analytics events")
        constraints = [
            rules.Unique("analytics_events_event_id_unique", fields=["event_id"]),
            rules.matches(
                "analytics_events_schema_version_is_version",
                "schema_version",
                r"^[0-9]{1,4}(\.[0-9]{1,4}){0,2}$",
                _("A version, for example 1.0."),
            ),
            rules.in_range("analytics_events", "event_version", 1),
            rules.opaque_id("analytics_events", "anonymous_id"),
            rules.finite("analytics_events", "occurred_at", "received_at"),
        ]
        indexes = [
            rules.Index(
                "analytics_events_by_event",
                "tracking_event",
                "occurred_at",
                serves="metrics: funnels of a period",
            ),
            rules.Index("analytics_events_by_receipt", "received_at", serves="purge_expired"),
            rules.Index(
                "analytics_events_cta_by_session",
                "session_id",
                "occurred_at",
                condition=Q(tracking_event="cta_click", session_id__isnull=False),
                serves="metrics, purge_expired: calls to action of a visit",
            ),
        ]
        triggers = [
            # An erased person's events stay, without the columns that could identify the person.
            triggers.Rule(
                "analytics_events_append_only",
                operation=pgtrigger.Update,
                condition=f"""{as_written("OLD")} IS DISTINCT FROM {as_written("NEW")}
    OR to_jsonb(OLD) = to_jsonb(NEW)
    OR {refilled()}""",
                message=triggers.APPEND_ONLY,
                broken=lambda row: not row._state.adding,
                withholds=("UPDATE", "DELETE"),
            ),
            triggers.no_delete(
                "analytics_events",
                condition=f"OLD.received_at > public.fact_clock() - interval '{KEPT}'",
                message=gettext_noop("Events are kept for 13 months"),
            ),
            triggers.no_truncate("analytics_events"),
            EventGuard("analytics_events", pgtrigger.Insert),
        ]

    def __str__(self) -> str:
        return str(self.event_id)
