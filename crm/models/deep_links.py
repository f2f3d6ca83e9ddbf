"""Links from the site into Telegram."""

import pgtrigger
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from ebalance.db import lengths, patterns, rules, triggers
from ebalance.db.fields import (
    ClosedSet,
    RestrictForeignKey,
    SingleLineTextField,
    created_at,
)
from ebalance.db.on_delete import DB_CASCADE
from ebalance.db.schema.classification import DELETE, of_person, p0
from ebalance.db.schema.retention import until
from ebalance.db.times import PlannedTimeFromDatabase

from .leads import Lead


def code_or_slug(field: str) -> rules.Check:
    """P0: what a link is about, never a phone number."""
    return rules.Check(
        f"deep_links_{field}_is_code_or_slug",
        Q(**{f"{field}__regex": patterns.REFERENCE}),
        _("A code or a slug, at most 120 characters, without long numbers."),
        field=field,
    )


class DeepLink(models.Model):
    """A link from the site into Telegram, valid for at most 30 days."""

    class Flow(models.TextChoices):
        PLAN_7D = "plan_7d", _("plan 7d")
        SAVE_RESOURCE = "save_resource", _("save resource")
        CHALLENGE_7D = "challenge_7d", _("challenge 7d")
        CONCIERGE = "concierge", _("concierge")
        QUESTION = "question", _("question")
        PREP = "prep", _("prep")
        RITUAL = "ritual", _("ritual")
        BOUNDARIES = "boundaries", _("boundaries")
        FAVORITES = "favorites", _("favorites")

    class Target(models.TextChoices):
        BOT = "bot", _("bot")
        CHANNEL = "channel", _("channel")

    deep_link_id = SingleLineTextField(
        max_length=lengths.OPAQUE_ID, primary_key=True, db_comment=p0("identifier in the link")
    )
    flow = ClosedSet(Flow, db_comment=p0("what the bot is to do"))
    tg_target = ClosedSet(Target, default=Target.BOT, db_comment=p0("bot or channel"))
    topic = RestrictForeignKey(
        "content.Topic",
        db_column="topic_code",
        null=True,
        blank=True,
        related_name="deep_links",
        db_comment=p0("topic, if one"),
    )
    entity_ref = SingleLineTextField(
        max_length=lengths.SLUG,
        null=True,
        blank=True,
        db_comment=p0("what it is about: code or slug"),
    )
    source_page = SingleLineTextField(
        max_length=lengths.SLUG,
        null=True,
        blank=True,
        db_comment=p0("page that showed the link: code or slug"),
    )
    anonymous_id = SingleLineTextField(
        max_length=lengths.OPAQUE_ID, null=True, blank=True, db_comment=p0("browser identifier")
    )
    lead = RestrictForeignKey(
        Lead,
        DB_CASCADE,
        null=True,
        blank=True,
        related_name="deep_links",
        db_comment=of_person("lead, if known", DELETE),
    )
    created_at = created_at()
    # Without a value the database sets created_at + 30 days (trigger).
    expires_at = PlannedTimeFromDatabase(
        blank=True, db_comment=p0("end of validity, UTC; at most 30 days after created_at")
    )

    retention = until("expires_at")

    class Meta:
        db_table = "deep_links"
        db_table_comment = "Links into Telegram"
        verbose_name = _("deep link")
        verbose_name_plural = _("deep links")
        constraints = [
            rules.opaque_id("deep_links", "deep_link_id"),
            code_or_slug("entity_ref"),
            code_or_slug("source_page"),
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
