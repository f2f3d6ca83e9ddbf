"""Messages to clients."""

from __future__ import annotations

import pgtrigger
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop, pgettext_lazy

from ebalance.db import auditing, lengths, rules, triggers
from ebalance.db.fields import (
    ClosedSet,
    Entity,
    Markdown,
    RestrictForeignKey,
    SingleLineTextField,
    created_at,
)
from ebalance.db.on_delete import DB_CASCADE
from ebalance.db.schema.classification import by_staff, p0
from ebalance.db.schema.retention import goes_with, kept


class MessageTemplate(Entity):
    """A message to clients, by channel and occasion. Its versions hold the text."""

    class Channel(models.TextChoices):
        EMAIL = "email", _("email")
        TELEGRAM = "telegram", _("telegram")

    class Category(models.TextChoices):
        BOOKING = "booking", _("booking")
        WAITLIST = "waitlist", _("waitlist")
        EVENT = "event", pgettext_lazy("Category", "event")
        MODERATION = "moderation", _("moderation")

    class Status(models.TextChoices):
        DRAFT = "draft", _("draft")
        ACTIVE = "active", _("active")
        ARCHIVED = "archived", _("archived")

    channel = ClosedSet(Channel, db_comment=p0("how it is sent"))
    category = ClosedSet(Category, db_comment=p0("occasion"))
    name = SingleLineTextField(max_length=lengths.TITLE, db_comment=p0("name"))
    status = ClosedSet(Status, default=Status.DRAFT, db_comment=p0("life cycle"))
    language = SingleLineTextField(
        max_length=lengths.CODE, default="ru", db_default="ru", db_comment=p0("ISO 639-1")
    )
    active_version = models.IntegerField(null=True, blank=True, db_comment=p0("version in use"))
    created_at = created_at()

    retention = kept("until staff delete it")

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
            # The channel decides whether the versions have a subject.
            triggers.frozen(
                "message_templates",
                "channel_stays",
                ["channel"],
                message=gettext_noop("A template keeps its channel"),
            ),
            *auditing.audited(
                "message_templates",
                inserted=("template_activated", ["status", "active_version"]),
                inserted_when="NEW.status = 'active'",
                changed=("template_changed", ["status", "active_version"]),
                deleted="template_deleted",
                deleted_when="OLD.status = 'active'",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class MessageTemplateVersion(Entity):
    """The text of a template as saved once. Immutable."""

    template = RestrictForeignKey(
        MessageTemplate, DB_CASCADE, related_name="versions", db_comment=p0("template")
    )
    version = models.IntegerField(db_comment=p0("number, from 1, per template"))
    subject = SingleLineTextField(
        max_length=lengths.TITLE,
        null=True,
        blank=True,
        db_comment=p0("subject; exactly for e-mail"),
    )
    body_markdown = Markdown(db_comment=p0("text, Markdown"))
    updated_by = RestrictForeignKey(
        "identity.User",
        db_column="updated_by_user_id",
        related_name="message_template_versions",
        db_comment=by_staff("who saved it"),
    )
    created_at = created_at()

    retention = goes_with("template")

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
    RETURN NULL;
END""",
            ),
            *triggers.versions("message_template_versions", "message_templates", "template_id"),
        ]

    def __str__(self) -> str:
        return f"№ {self.version}"
