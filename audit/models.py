"""Administration: the audit log, message templates, settings, the outbox, rotations of keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pgtrigger
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from ebalance.db import patterns, rules, triggers
from ebalance.db.classification import EVIDENCE, by_staff, keep, of_person, p0
from ebalance.db.fields import (
    BytesFromDatabase,
    ClosedSet,
    Entity,
    NumberFromDatabase,
    Ref,
    TextLine,
    created_at,
    now_default,
    updated_at,
)
from ebalance.db.on_delete import DB_CASCADE
from ebalance.db.sets import Members
from ebalance.verbs import TransitionRefused, found_locked, verb

from .managers import OutboxQuerySet

if TYPE_CHECKING:
    from identity.models import User

# Rows of the log are never changed, and it must be provable from where P2 was read.
RECORDED = keep("evidence of where a request came from, at least 3 years")


class AuditLogEntry(Entity):
    """Who did what. Append-only; every row carries the hash of the one before it."""

    ActorRole = Members("ActorRole", "owner assistant editor client system")

    seq = NumberFromDatabase(
        editable=False,
        db_comment=p0("place in the chain; set by the database inside its lock", export=False),
    )
    actor = Ref(
        "identity.User",
        db_column="actor_user_id",
        null=True,
        blank=True,
        related_name="audit_log_entries",
        db_comment=of_person("who acted, if a person", EVIDENCE),
    )
    actor_role = ClosedSet(ActorRole, db_comment=p0("role in which they acted"))
    action = TextLine(db_comment=p0("what was done, a code"))
    entity_type = TextLine(db_comment=p0("what it was done to, a code"))
    entity_id = models.UUIDField(null=True, blank=True, db_comment=p0("id of the row"))
    entity_key = TextLine(null=True, blank=True, db_comment=p0("key of the row, if text"))
    old_value = models.JSONField(null=True, blank=True, db_comment=p0("changed P0 columns before"))
    new_value = models.JSONField(null=True, blank=True, db_comment=p0("changed P0 columns after"))
    ip_address = models.GenericIPAddressField(
        null=True, blank=True, db_comment=p0("address of the request", erasure=RECORDED)
    )
    user_agent = TextLine(
        null=True, blank=True, db_comment=p0("user agent of the request", erasure=RECORDED)
    )
    created_at = created_at("when, UTC")
    prev_hash = BytesFromDatabase(
        editable=False, db_comment=p0("row_hash of the row before", export=False)
    )
    row_hash = BytesFromDatabase(
        editable=False, db_comment=p0("SHA-256 of the canonical row", export=False)
    )

    class Meta:
        db_table = "audit_log_entries"
        db_table_comment = "Audit log; append-only, hash-chained"
        verbose_name = _("audit log entry")
        verbose_name_plural = _("audit log")
        constraints = [
            rules.Unique("audit_log_entries_seq_unique", fields=["seq"]),
            rules.code("audit_log_entries", "action"),
            rules.code("audit_log_entries", "entity_type"),
            rules.matches(
                "audit_log_entries_entity_key_is_key",
                "entity_key",
                r"^[A-Za-z0-9_-]{1,64}$",
                _("Only keys are kept here."),
            ),
            *(
                rules.Check(
                    f"audit_log_entries_{field}_is_p0",
                    Q(rules.holds("is_audit_value", field)),
                    _("The audit log holds no personal data."),
                    field=field,
                )
                for field in ("old_value", "new_value")
            ),
            rules.finite("audit_log_entries", "created_at"),
        ]
        indexes = [
            rules.Index(
                "audit_log_entries_of_entity",
                "entity_type",
                "entity_id",
                "seq",
                serves="history of a row",
            ),
            rules.Index("audit_log_entries_by_actor", "actor", "seq", serves="what a person did"),
        ]
        triggers = [
            triggers.Rule(
                "audit_log_entries_chain",
                operation=pgtrigger.Insert,
                execute="public.chain_audit_entry()",
            ),
            *triggers.append_only("audit_log_entries"),
        ]

    def __str__(self) -> str:
        return f"{self.seq} {self.action}"


class MessageTemplate(Entity):
    """A message to clients, by channel and occasion; its text stands in its versions."""

    Channel = Members("Channel", "email telegram")
    Category = Members("Category", "booking waitlist event moderation")
    Status = Members("Status", "draft active archived")

    channel = ClosedSet(Channel, db_comment=p0("how it is sent"))
    category = ClosedSet(Category, db_comment=p0("occasion"))
    name = TextLine(db_comment=p0("name"))
    status = ClosedSet(Status, default=Status.draft, db_comment=p0("life cycle"))
    language = TextLine(default="ru", db_default="ru", db_comment=p0("ISO 639-1"))
    active_version = models.IntegerField(null=True, blank=True, db_comment=p0("version in use"))
    created_at = created_at()

    class Meta:
        db_table = "message_templates"
        db_table_comment = "Messages to clients"
        verbose_name = _("message template")
        verbose_name_plural = _("message templates")
        constraints = [
            rules.Unique(
                "message_templates_once",
                fields=["channel", "category", "name", "language"],
                message=_("There is already such a template."),
            ),
            rules.not_blank("message_templates", "name"),
            rules.matches(
                "message_templates_language_is_iso_639",
                "language",
                r"^[a-z]{2}$",
                _("Two letters."),
            ),
            rules.required_when(
                "message_templates_active_has_version",
                "active_version",
                Q(status="active"),
                _("An active template has a version in use."),
            ),
            rules.finite("message_templates", "created_at"),
        ]
        triggers = [
            *triggers.transitions(
                "message_templates",
                {"draft": ["active"], "active": ["archived", "draft"], "archived": ["active"]},
            ),
            triggers.existing_version(
                "message_templates",
                "active_version",
                "message_template_versions",
                "template_id",
            ),
            # Its versions have a subject or none because of it.
            triggers.frozen(
                "message_templates",
                "channel_stays",
                ["channel"],
                message=gettext_noop("A template keeps its channel"),
            ),
        ]

    def __str__(self) -> str:
        return self.name


class MessageTemplateVersion(Entity):
    """The text of a template as saved once. Immutable."""

    template = Ref(MessageTemplate, DB_CASCADE, related_name="versions", db_comment=p0("template"))
    version = models.IntegerField(db_comment=p0("number, from 1, per template"))
    subject = TextLine(null=True, blank=True, db_comment=p0("subject; exactly for e-mail"))
    body_markdown = models.TextField(db_comment=p0("text, Markdown"))
    updated_by = Ref(
        "identity.User",
        db_column="updated_by_user_id",
        related_name="message_template_versions",
        db_comment=by_staff("who saved it"),
    )
    created_at = created_at()

    class Meta:
        db_table = "message_template_versions"
        db_table_comment = "Texts of messages; immutable"
        verbose_name = _("version of a template")
        verbose_name_plural = _("versions of a template")
        constraints = [
            rules.Unique("message_template_versions_once", fields=["template", "version"]),
            rules.in_range("message_template_versions", "version", 1),
            rules.not_blank("message_template_versions", "subject"),
            rules.finite("message_template_versions", "created_at"),
        ]
        indexes = [
            rules.Index("message_template_versions_by_author", "updated_by", serves="delete check"),
        ]
        triggers = [
            triggers.Rule(
                "message_template_versions_subject_for_email",
                operation=pgtrigger.Insert,
                message=gettext_noop("A subject is given exactly for e-mail"),
                column="subject",
                broken=lambda row: any(
                    (template.channel == "email") != (row.subject is not None)
                    for template in MessageTemplate.objects.filter(pk=row.template_id)
                ),
                body=f"""
BEGIN
    -- Without a template it is the foreign key's to refuse.
    IF EXISTS (SELECT FROM public.message_templates
               WHERE id = NEW.template_id
                 AND (channel = 'email') <> (NEW.subject IS NOT NULL)) THEN
        {triggers.REFUSE}
    END IF;
    RETURN NEW;
END""",
            ),
            *triggers.versions("message_template_versions", "message_templates", "template_id"),
        ]

    def __str__(self) -> str:
        return f"№ {self.version}"


class SystemSetting(models.Model):
    """A setting that staff may change at run time. No secrets."""

    key = TextLine(primary_key=True, db_comment=p0("code of the setting"))
    value = models.JSONField(blank=True, db_comment=p0("value, JSON"))
    updated_by = Ref(
        "identity.User",
        db_column="updated_by_user_id",
        null=True,
        blank=True,
        related_name="system_settings",
        db_comment=by_staff("who changed it last"),
    )
    updated_at = updated_at()

    class Meta:
        db_table = "system_settings"
        db_table_comment = "Settings changed at run time; no secrets"
        verbose_name = _("setting")
        verbose_name_plural = _("settings")
        constraints = [
            rules.code("system_settings", "key"),
            rules.Check(
                "system_settings_key_names_no_secret",
                ~Q(key__regex=r"(^|_)(secret|token|password|key)s?(_|$)"),
                _("Secrets are not kept here."),
                field="key",
            ),
            rules.finite("system_settings", "updated_at"),
        ]
        indexes = [
            rules.Index("system_settings_by_editor", "updated_by", serves="the delete check"),
        ]
        triggers = [triggers.touch_updated_at("system_settings")]

    def __str__(self) -> str:
        return self.key


class OutboxEvent(Entity):
    """A domain event waiting to be sent, written in the transaction it tells about.

    relay_outbox sends it (`audit.relay`); `audit.managers` says what its columns tell of that.
    """

    event_type = TextLine(db_comment=p0("what happened, a code"))
    aggregate_type = TextLine(db_comment=p0("what it happened to, a code"))
    aggregate_id = models.UUIDField(db_comment=p0("id of that row"))
    payload = models.JSONField(
        default=dict,
        db_default=models.Value({}, output_field=models.JSONField()),
        blank=True,
        db_comment=p0("flat object of P0 values"),
    )
    created_at = created_at()
    available_at = models.DateTimeField(
        db_default=now_default(), db_comment=p0("not to be sent before, UTC")
    )
    attempts = models.IntegerField(default=0, db_default=0, db_comment=p0("tries so far"))
    published_at = models.DateTimeField(null=True, blank=True, db_comment=p0("when sent, UTC"))
    last_error = TextLine(null=True, blank=True, db_comment=p0("last failure, a code"))

    objects = OutboxQuerySet.as_manager()

    class Meta:
        db_table = "outbox_events"
        db_table_comment = "Domain events waiting to be sent"
        verbose_name = _("outbox event")
        verbose_name_plural = _("outbox")
        constraints = [
            rules.code("outbox_events", "event_type"),
            rules.code("outbox_events", "aggregate_type"),
            rules.code("outbox_events", "last_error"),
            rules.Check(
                "outbox_events_payload_is_p0",
                Q(rules.holds("is_outbox_payload", "payload")),
                _("A flat object of codes, numbers, dates and identifiers."),
                field="payload",
            ),
            rules.in_range("outbox_events", "attempts", 0),
            rules.finite("outbox_events", "created_at", "available_at", "published_at"),
        ]
        indexes = [
            rules.Index(
                "outbox_events_next",
                "available_at",
                "id",
                condition=Q(published_at__isnull=True),
                serves="relay_outbox: the next unpublished, oldest first, skipping locked",
            ),
            rules.Index(
                "outbox_events_of_aggregate",
                "aggregate_type",
                "aggregate_id",
                "created_at",
                serves="events of a row, in order",
            ),
            rules.Index(
                "outbox_events_heads",
                "aggregate_type",
                "aggregate_id",
                "id",
                condition=Q(published_at__isnull=True),
                serves="relay_outbox: the first unpublished event of a row, and those behind it",
            ),
            rules.Index(
                "outbox_events_published",
                "published_at",
                condition=Q(published_at__isnull=False),
                serves="relay_outbox --status: sent in the last minute; retention",
            ),
        ]

    def __str__(self) -> str:
        return self.event_type

    @verb
    def requeue(self, *, actor: User | None = None) -> None:
        """Let a dead letter be tried again, from the first attempt on.

        An event that is in the queue anyway stays as it is. ``actor`` is who asks for it. Raises
        NotFound, and TransitionRefused for an event that was delivered.
        """
        events = OutboxEvent.objects
        if found_locked(events.all(), self.pk).published_at is not None:
            raise TransitionRefused(
                entity=self._meta.db_table, id=self.pk, status="published", wanted="waiting"
            )
        events.dead().filter(pk=self.pk).update(attempts=0, available_at=Now(), last_error=None)
        self.refresh_from_db()


class KeyRotation(Entity):
    """A table's move to new keys, as far as it has come. Written by rotate_keys.

    While a batch is written, its row names the transaction: by this the database tells a value
    that moves to another key from one that changes (is_resealing).
    """

    table_name = TextLine(db_comment=p0("table"))
    to_key = TextLine(db_comment=p0("id of the key that values are sealed with"))
    to_index_key = TextLine(db_comment=p0("id of the key that blind indexes are made with"))
    cursor = models.UUIDField(
        null=True, blank=True, db_comment=p0("row up to which this pass has come, if one is going")
    )
    rows_done = models.BigIntegerField(default=0, db_default=0, db_comment=p0("rows moved so far"))
    batch_transaction = models.BigIntegerField(
        null=True, blank=True, db_comment=p0("transaction (xid8) of the batch at work")
    )
    started_at = models.DateTimeField(
        db_default=now_default(), editable=False, db_comment=p0("when it began, UTC")
    )
    updated_at = updated_at()
    finished_at = models.DateTimeField(
        null=True, blank=True, db_comment=p0("when all rows had moved or another took over, UTC")
    )

    class Meta:
        db_table = "key_rotations"
        db_table_comment = "Moves of tables to new keys"
        verbose_name = _("rotation of keys")
        verbose_name_plural = _("rotations of keys")
        constraints = [
            rules.code("key_rotations", "table_name"),
            *(
                rules.matches(
                    f"key_rotations_{field}_is_key_id",
                    field,
                    patterns.KEY_ID,
                    _("1 to 16 lower-case Latin letters and digits."),
                )
                for field in ("to_key", "to_index_key")
            ),
            rules.in_range("key_rotations", "rows_done", 0),
            rules.finite("key_rotations", "started_at", "updated_at", "finished_at"),
            rules.Unique(
                "key_rotations_one_open_per_table",
                fields=["table_name"],
                condition=Q(finished_at__isnull=True),
                message=_("A rotation of this table is already going on."),
            ),
        ]
        triggers = [triggers.touch_updated_at("key_rotations")]

    def __str__(self) -> str:
        return f"{self.table_name} → {self.to_key}"
