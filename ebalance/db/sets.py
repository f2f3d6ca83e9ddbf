"""Closed sets that several tables share."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class EntryPoint(models.TextChoices):
    SEO = "seo", _("seo")
    TELEGRAM = "telegram", _("telegram")
    DIRECT = "direct", _("direct")
    REFERRAL = "referral", _("referral")
    ADS = "ads", _("ads")
    INTERNAL = "internal", _("internal")


class EventSource(models.TextChoices):
    WEB = "web", _("web")
    BACKEND = "backend", _("backend")
    TELEGRAM = "telegram", _("telegram")
    ADMIN = "admin", _("admin")


class PublicationStatus(models.TextChoices):
    DRAFT = "draft", _("draft")
    PUBLISHED = "published", _("published")
    ARCHIVED = "archived", _("archived")


# states.md: curated_collections, glossary_terms, services, interactive_definitions
PUBLICATION_MOVES = {
    "draft": ["published"],
    "published": ["archived", "draft"],
    "archived": ["draft"],
}
