"""Leads, the tracking plan, P0-only events, internal notes, deep links."""

import pgtrigger
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from ebalance.db import rules, triggers
from ebalance.db.classification import p0, p1, p2
from ebalance.db.fields import (
    BlindIndex,
    ClosedSet,
    Entity,
    Ref,
    SealedText,
    TextLine,
    created_at,
    now_default,
    updated_at,
)
from ebalance.db.on_delete import DB_CASCADE
from ebalance.db.sets import EventSource, Members


def empty_object() -> models.Value:
    return models.Value({}, output_field=models.JSONField())


class Lead(Entity):
    """A person who showed interest, known by contact or only by a browser."""

    Status = Members(
        "Status",
        "new engaged booking_started booked_confirmed paid completed_session "
        "follow_up_needed inactive",
    )
    Source = Members("Source", "quiz telegram waitlist question booking")

    status = ClosedSet(Status, default=Status.new, db_comment=p0("how far it has come"))
    source = ClosedSet(Source, db_comment=p0("first contact"))
    topic = Ref(
        "content.Topic",
        db_column="topic_code",
        null=True,
        blank=True,
        related_name="leads",
        db_comment=p0("topic, if one"),
    )
    utm = models.JSONField(null=True, blank=True, db_comment=p0("utm_* of the first visit"))
    created_at = created_at()
    updated_at = updated_at()

    class Meta:
        db_table = "leads"
        db_table_comment = "People who showed interest"
        verbose_name = _("lead")
        verbose_name_plural = _("leads")
        constraints = [
            rules.Check(
                "leads_utm_is_p0",
                Q(rules.holds("is_utm", "utm")),
                _("Only utm_* parameters without personal data."),
                field="utm",
            ),
            rules.finite("leads", "created_at", "updated_at"),
        ]
        indexes = [
            rules.Index("leads_by_status", "status", "-created_at", serves="admin: the funnel"),
            rules.Index("leads_newest", "-created_at", serves="admin: newest leads first"),
            rules.Index("leads_by_topic", "topic", serves="leads of a topic; delete"),
        ]
        triggers = [triggers.touch_updated_at("leads")]

    def __str__(self) -> str:
        return f"{self.get_source_display()} · {self.get_status_display()}"


class LeadIdentity(Entity):
    """One way to recognise a lead; contacts are sealed and found by blind index."""

    lead = Ref(Lead, DB_CASCADE, related_name="identities", db_comment=p0("lead"))
    user = Ref(
        "identity.User",
        null=True,
        blank=True,
        related_name="lead_identities",
        db_comment=p0("registered person"),
    )
    anonymous_id = TextLine(null=True, blank=True, db_comment=p0("browser or bot identifier"))
    email_encrypted = SealedText(null=True, blank=True, db_comment=p1("e-mail, sealed"))
    email_bidx = BlindIndex(null=True, blank=True, db_comment=p1("blind index of the e-mail"))
    phone_encrypted = SealedText(null=True, blank=True, db_comment=p1("phone, sealed"))
    phone_bidx = BlindIndex(null=True, blank=True, db_comment=p1("blind index of the phone"))
    telegram_user_id = TextLine(null=True, blank=True, db_comment=p1("Telegram's id, digits"))
    is_primary = models.BooleanField(
        default=False, db_default=False, db_comment=p0("the one to use; one per lead")
    )
    created_at = created_at()

    class Meta:
        db_table = "lead_identities"
        db_table_comment = "How leads are recognised; contacts sealed"
        verbose_name = _("contact of a lead")
        verbose_name_plural = _("contacts of a lead")
        constraints = [
            rules.opaque_id("lead_identities", "anonymous_id"),
            rules.sealed("lead_identities", "email_encrypted"),
            rules.blind_index("lead_identities", "email_bidx"),
            rules.sealed("lead_identities", "phone_encrypted"),
            rules.blind_index("lead_identities", "phone_bidx"),
            rules.matches(
                "lead_identities_telegram_user_id_is_digits",
                "telegram_user_id",
                r"^[0-9]+$",
                _("A Telegram id consists of digits."),
            ),
            rules.Check(
                "lead_identities_identifier_present",
                Q(user__isnull=False)
                | Q(anonymous_id__isnull=False)
                | Q(email_encrypted__isnull=False)
                | Q(phone_encrypted__isnull=False)
                | Q(telegram_user_id__isnull=False),
                _("Give at least one identifier."),
            ),
            rules.all_or_none(
                "lead_identities_email_with_index",
                ["email_encrypted", "email_bidx"],
                _("A sealed e-mail comes with its blind index."),
            ),
            rules.all_or_none(
                "lead_identities_phone_with_index",
                ["phone_encrypted", "phone_bidx"],
                _("A sealed phone comes with its blind index."),
            ),
            rules.Unique(
                "lead_identities_one_primary",
                fields=["lead"],
                condition=Q(is_primary=True),
                message=_("A lead has one primary contact."),
            ),
            *(
                rules.Unique(
                    f"lead_identities_{field}_once_per_lead",
                    fields=["lead", field],
                    message=_("The lead already has this contact."),
                )
                for field in [
                    "user",
                    "anonymous_id",
                    "email_bidx",
                    "phone_bidx",
                    "telegram_user_id",
                ]
            ),
            rules.finite("lead_identities", "created_at"),
        ]
        indexes = [
            rules.Index("lead_identities_by_user", "user", serves="leads of a person; erasure"),
            rules.Index("lead_identities_by_email", "email_bidx", serves="find_by_contact"),
            rules.Index("lead_identities_by_phone", "phone_bidx", serves="find_by_contact"),
            rules.Index(
                "lead_identities_by_telegram", "telegram_user_id", serves="find_by_contact"
            ),
            rules.Index(
                "lead_identities_by_anonymous_id", "anonymous_id", serves="record_event: whose lead"
            ),
        ]

    def __str__(self) -> str:
        return str(self.pk)


class TrackingEvent(models.Model):
    """An event of the tracking plan, loaded by migration. Nothing else may be stored."""

    event_name = TextLine(primary_key=True, db_comment=p0("name in the tracking plan"))
    sources = ArrayField(TextLine(), db_comment=p0("which services may send it"))
    is_active = models.BooleanField(default=True, db_default=True, db_comment=p0("accepted now"))

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
    Kind = Members(
        "Kind",
        "enum enum_list code code_list slug ref deep_link uuid int bool timestamp path host "
        "zone topic utm one_of",
    )

    event = Ref(
        TrackingEvent,
        DB_CASCADE,
        db_column="event_name",
        related_name="params",
        db_comment=p0("event"),
    )
    name = TextLine(db_comment=p0("key; a|b: one of these is required"))
    kind = ClosedSet(Kind, db_comment=p0("kind of value, privacy.md §3"))
    allowed = ArrayField(
        TextLine(), null=True, blank=True, db_comment=p0("values of an enum or enum_list")
    )
    is_required = models.BooleanField(db_comment=p0("must be present"))

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
    """What happened with a lead: P0 only, and the database enforces it."""

    lead = Ref(Lead, DB_CASCADE, related_name="timeline", db_comment=p0("lead"))
    event_id = models.UUIDField(db_comment=p0("id given by the sender; makes a repeat the same"))
    tracking_event = Ref(
        TrackingEvent,
        db_column="event_name",
        related_name="timeline_events",
        db_comment=p0("event of the tracking plan"),
    )
    source = ClosedSet(EventSource, db_comment=p0("who sent it"))
    occurred_at = models.DateTimeField(db_default=now_default(), db_comment=p0("when, UTC"))
    deep_link_id = TextLine(
        null=True, blank=True, db_comment=p0("deep link; no key, links expire first")
    )
    properties = models.JSONField(
        default=dict,
        db_default=empty_object(),
        blank=True,
        db_comment=p0("parameters of the tracking plan"),
    )

    class Meta:
        db_table = "lead_timeline_events"
        db_table_comment = "What happened with leads; P0 only"
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
            triggers.Rule(
                "lead_timeline_events_p0_only",
                operation=pgtrigger.Insert | pgtrigger.Update,
                execute="public.guard_p0_event()",
            ),
        ]

    def __str__(self) -> str:
        return str(self.event_id)


class AnalyticsEvent(Entity):
    """An event of the site, the bot or the API: P0 only, high volume, append-only."""

    Environment = Members("Environment", "prod stage dev")

    schema_version = TextLine(db_comment=p0("version of the event envelope"))
    tracking_event = Ref(
        TrackingEvent,
        db_column="event_name",
        related_name="analytics_events",
        db_comment=p0("event of the tracking plan"),
    )
    event_version = models.IntegerField(db_comment=p0("version of the event, from 1"))
    event_id = models.UUIDField(db_comment=p0("id given by the sender; makes a repeat the same"))
    occurred_at = models.DateTimeField(db_comment=p0("when, UTC"))
    source = ClosedSet(EventSource, db_comment=p0("who sent it"))
    environment = ClosedSet(Environment, db_comment=p0("where it happened"))
    session_id = models.UUIDField(null=True, blank=True, db_comment=p0("visit"))
    anonymous_id = TextLine(null=True, blank=True, db_comment=p0("browser or bot identifier"))
    user_id = models.UUIDField(null=True, blank=True, db_comment=p0("person; no key"))
    lead_id = models.UUIDField(null=True, blank=True, db_comment=p0("lead; no key"))
    page = models.JSONField(
        default=dict, db_default=empty_object(), blank=True, db_comment=p0("path and referrer host")
    )
    acquisition = models.JSONField(
        default=dict, db_default=empty_object(), blank=True, db_comment=p0("entry point and utm")
    )
    properties = models.JSONField(
        default=dict,
        db_default=empty_object(),
        blank=True,
        db_comment=p0("parameters of the tracking plan"),
    )
    received_at = models.DateTimeField(db_default=now_default(), db_comment=p0("receipt, UTC"))

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
        ]
        triggers = [
            # An erased person's events stay, detached: identifiers may be emptied, no more.
            triggers.Rule(
                "analytics_events_append_only",
                operation=pgtrigger.Update,
                condition="""(to_jsonb(OLD) - '{user_id,lead_id,anonymous_id,session_id}'::text[])
    IS DISTINCT FROM (to_jsonb(NEW) - '{user_id,lead_id,anonymous_id,session_id}'::text[])
    OR (NEW.user_id IS NOT NULL AND NEW.user_id IS DISTINCT FROM OLD.user_id)
    OR (NEW.lead_id IS NOT NULL AND NEW.lead_id IS DISTINCT FROM OLD.lead_id)
    OR (NEW.anonymous_id IS NOT NULL AND NEW.anonymous_id IS DISTINCT FROM OLD.anonymous_id)
    OR (NEW.session_id IS NOT NULL AND NEW.session_id IS DISTINCT FROM OLD.session_id)
    OR ROW(OLD.user_id, OLD.lead_id, OLD.anonymous_id, OLD.session_id)
       IS NOT DISTINCT FROM ROW(NEW.user_id, NEW.lead_id, NEW.anonymous_id, NEW.session_id)""",
                execute=triggers.refusal(
                    "analytics_events_append_only", "", "This table is append-only"
                ),
            ),
            triggers.no_delete(
                "analytics_events",
                condition="OLD.received_at > now() - interval '13 months'",
                message="Events are kept for 13 months",
            ),
            triggers.no_truncate("analytics_events"),
            triggers.Rule(
                "analytics_events_p0_only",
                operation=pgtrigger.Insert,
                execute="public.guard_p0_event()",
            ),
        ]

    def __str__(self) -> str:
        return str(self.event_id)


class LeadNote(Entity):
    """A staff member's note about a lead; sealed."""

    lead = Ref(Lead, DB_CASCADE, related_name="notes", db_comment=p0("lead"))
    author = Ref(
        "identity.User",
        db_column="author_user_id",
        related_name="lead_notes",
        db_comment=p0("who wrote it"),
    )
    note_encrypted = SealedText(db_comment=p2("note, sealed"))
    created_at = created_at()
    updated_at = updated_at()

    class Meta:
        db_table = "lead_notes"
        db_table_comment = "Internal notes about leads, sealed"
        verbose_name = _("note about a lead")
        verbose_name_plural = _("notes about a lead")
        constraints = [
            rules.sealed("lead_notes", "note_encrypted"),
            rules.finite("lead_notes", "created_at", "updated_at"),
        ]
        indexes = [
            rules.Index("lead_notes_of_lead", "lead", "-created_at", serves="a lead's notes"),
            rules.Index("lead_notes_by_author", "author", serves="the delete check"),
        ]
        triggers = [triggers.touch_updated_at("lead_notes")]

    def __str__(self) -> str:
        return str(self.pk)


class DeepLink(models.Model):
    """A link from the site into Telegram, valid for at most 30 days."""

    Flow = Members(
        "Flow",
        "plan_7d save_resource challenge_7d concierge question prep ritual boundaries favorites",
    )
    Target = Members("Target", "bot channel")

    deep_link_id = TextLine(primary_key=True, db_comment=p0("identifier in the link"))
    flow = ClosedSet(Flow, db_comment=p0("what the bot is to do"))
    tg_target = ClosedSet(Target, default=Target.bot, db_comment=p0("bot or channel"))
    topic = Ref(
        "content.Topic",
        db_column="topic_code",
        null=True,
        blank=True,
        related_name="deep_links",
        db_comment=p0("topic, if one"),
    )
    entity_ref = TextLine(null=True, blank=True, db_comment=p0("what it is about: code or slug"))
    source_page = TextLine(null=True, blank=True, db_comment=p0("page it stood on: code or slug"))
    anonymous_id = TextLine(null=True, blank=True, db_comment=p0("browser identifier"))
    lead = Ref(
        Lead,
        DB_CASCADE,
        null=True,
        blank=True,
        related_name="deep_links",
        db_comment=p0("lead, if known"),
    )
    created_at = created_at()
    # Without a value the database sets created_at + 30 days (trigger).
    expires_at = models.DateTimeField(
        blank=True, db_comment=p0("end of validity, UTC; at most 30 days after created_at")
    )

    class Meta:
        db_table = "deep_links"
        db_table_comment = "Links into Telegram"
        verbose_name = _("deep link")
        verbose_name_plural = _("deep links")
        constraints = [
            rules.opaque_id("deep_links", "deep_link_id"),
            rules.matches(
                "deep_links_entity_ref_is_code_or_slug",
                "entity_ref",
                r"^[a-z0-9]+([_-][a-z0-9]+)*$",
                _("A code or a slug."),
            ),
            rules.matches(
                "deep_links_source_page_is_code_or_slug",
                "source_page",
                r"^[a-z0-9]+([_-][a-z0-9]+)*$",
                _("A code or a slug."),
            ),
            rules.opaque_id("deep_links", "anonymous_id"),
            rules.Check(
                "deep_links_expire_within_30_days",
                Q(rules.holds("is_link_lifetime", "created_at", "expires_at")),
                _("A link expires after it was created, at most 30 days later."),
                field="expires_at",
            ),
            rules.finite("deep_links", "created_at", "expires_at"),
        ]
        indexes = [
            rules.Index("deep_links_by_expiry", "expires_at", serves="purge_expired"),
            rules.Index("deep_links_by_lead", "lead", serves="links of a lead; erasure"),
            rules.Index("deep_links_by_topic", "topic", serves="the delete check"),
        ]
        triggers = [
            triggers.Rule(
                "deep_links_set_expiry",
                operation=pgtrigger.Insert,
                condition="NEW.expires_at IS NULL",
                body="""
BEGIN
    NEW.expires_at := NEW.created_at + interval '720 hours';
    RETURN NEW;
END""",
            ),
        ]

    def __str__(self) -> str:
        return self.deep_link_id
