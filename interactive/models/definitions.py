"""Interactives and their immutable versions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from content.models.publication import Publishable
from ebalance.db import auditing, lengths, rules, triggers
from ebalance.db.fields import (
    ClosedSet,
    Entity,
    RestrictForeignKey,
    SingleLineTextField,
    created_at,
    updated_at,
)
from ebalance.db.on_delete import DB_CASCADE
from ebalance.db.schema.classification import by_staff, p0
from ebalance.db.schema.retention import BY_EDITORS, goes_with
from ebalance.db.sets import PUBLICATION_MOVES, PublicationStatus
from ebalance.db.times import FactTime

PUBLICATION = ("status", "published_version")


class InteractiveDefinition(Publishable):
    """A quiz, navigator, thermometer and so on. Its versions hold the content."""

    class Type(models.TextChoices):
        QUIZ = "quiz", _("quiz")
        NAVIGATOR = "navigator", _("navigator")
        THERMOMETER = "thermometer", _("thermometer")
        BOUNDARIES = "boundaries", _("boundaries")
        PREP = "prep", _("prep")
        RITUAL = "ritual", _("ritual")

    interactive_type = ClosedSet(Type, db_comment=p0("kind of interactive"))
    slug = SingleLineTextField(
        max_length=lengths.SLUG, db_comment=p0("slug in addresses, unique per kind")
    )
    title = SingleLineTextField(max_length=lengths.TITLE, db_comment=p0("title"))
    topic = RestrictForeignKey(
        "content.Topic",
        db_column="topic_code",
        null=True,
        blank=True,
        related_name="interactive_definitions",
        db_comment=p0("topic, if one"),
    )
    status = ClosedSet(
        PublicationStatus, default=PublicationStatus.DRAFT, db_comment=p0("life cycle")
    )
    published_at = FactTime(null=True, blank=True, db_comment=p0("when published, UTC"))
    published_version = models.IntegerField(
        null=True, blank=True, db_comment=p0("version that people see")
    )
    created_at = created_at()
    updated_at = updated_at()

    event_name = "interactive"

    retention = BY_EDITORS

    class Meta:
        db_table = "interactive_definitions"
        db_table_comment = "Interactives"
        verbose_name = _("interactive")
        verbose_name_plural = _("interactives")
        constraints = [
            rules.Unique(
                "interactive_definitions_slug_unique_per_type",
                fields=["interactive_type", "slug"],
                message=_("There is already such a slug for this kind of interactive."),
            ),
            rules.slug("interactive_definitions"),
            rules.not_blank("interactive_definitions", "title"),
            rules.Check(
                "interactive_definitions_published_is_complete",
                ~Q(status="published") | rules.all_set(["published_at", "published_version"]),
                _("What is published has a publication date and a version."),
                field="published_version",
            ),
            rules.finite("interactive_definitions", "created_at", "updated_at", "published_at"),
        ]
        indexes = [
            rules.Index("interactive_definitions_by_topic", "topic", serves="those of a topic"),
        ]
        triggers = [
            *triggers.transitions("interactive_definitions", PUBLICATION_MOVES),
            triggers.existing_version(
                "interactive_definitions",
                "published_version",
                "interactive_versions",
                "interactive_definition_id",
            ),
            triggers.touch_updated_at("interactive_definitions"),
            *auditing.audited(
                "interactive_definitions",
                inserted=("interactive_published", [*PUBLICATION, "slug"]),
                inserted_when="NEW.status = 'published'",
                changed=("interactive_status_changed", PUBLICATION),
                deleted="interactive_deleted",
                deleted_when="OLD.status = 'published'",
            ),
        ]

    def __str__(self) -> str:
        return self.title

    def event_facts(self) -> Mapping[str, Any]:
        return {
            "interactive_type": self.interactive_type,
            "published_version": self.published_version,
        }

    def version_numbered(self, number: int | None) -> InteractiveVersion | None:
        if number is None:
            return None
        return self.versions.filter(version=number).first()


class InteractiveVersion(Entity):
    """A published configuration of an interactive. Immutable."""

    interactive_definition = RestrictForeignKey(
        InteractiveDefinition, DB_CASCADE, related_name="versions", db_comment=p0("interactive")
    )
    version = models.IntegerField(db_comment=p0("number, from 1, per interactive"))
    config = lengths.SizedJSON(
        max_length=lengths.JSON_DOCUMENT,
        blank=True,
        db_comment=p0("questions, steps, thresholds; a JSON object"),
    )
    created_by = RestrictForeignKey(
        "identity.User",
        db_column="created_by_user_id",
        null=True,
        blank=True,
        related_name="interactive_versions",
        db_comment=by_staff("who made it"),
    )
    created_at = created_at()

    retention = goes_with("interactive_definition")

    class Meta:
        db_table = "interactive_versions"
        db_table_comment = "Configurations of interactives; immutable"
        verbose_name = _("version of an interactive")
        verbose_name_plural = _("versions of an interactive")
        constraints = [
            rules.Unique(
                "interactive_versions_once_per_definition",
                fields=["interactive_definition", "version"],
            ),
            rules.in_range("interactive_versions", "version", 1),
            rules.Check(
                "interactive_versions_config_is_object",
                Q(rules.holds("is_json_object", "config")),
                _("This must be a JSON object."),
                field="config",
            ),
            rules.finite("interactive_versions", "created_at"),
        ]
        indexes = [
            rules.Index("interactive_versions_by_author", "created_by", serves="the delete check"),
        ]
        triggers = triggers.versions(
            "interactive_versions", "interactive_definitions", "interactive_definition_id"
        )

    def __str__(self) -> str:
        return f"№ {self.version}"
