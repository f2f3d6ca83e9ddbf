"""Consultations on offer."""

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from content.markdown import is_visible
from content.models.publication import Publishable
from ebalance.db import auditing, lengths, rules, triggers
from ebalance.db.fields import (
    ClosedSet,
    Markdown,
    RestrictForeignKey,
    SingleLineTextField,
    created_at,
    updated_at,
)
from ebalance.db.schema.classification import p0
from ebalance.db.schema.retention import kept
from ebalance.db.sets import PUBLICATION_MOVES, PublicationStatus

from ..errors import ServiceIncomplete

# The price and the conditions that a client agrees to. The audit log has every change.
TERMS = (
    "price_amount",
    "deposit_amount",
    "cancel_free_hours",
    "cancel_partial_hours",
    "reschedule_min_hours",
    "reschedule_max_count",
)


class Service(Publishable):
    """A kind of consultation, with its price and its rules for cancelling.

    Only a published service is booked. Earlier appointments keep their terms.
    """

    class Format(models.TextChoices):
        ONLINE = "online", _("online")
        OFFLINE = "offline", _("offline")
        HYBRID = "hybrid", _("hybrid")

    slug = SingleLineTextField(max_length=lengths.SLUG, db_comment=p0("slug in addresses"))
    title = SingleLineTextField(max_length=lengths.TITLE, db_comment=p0("title"))
    description_markdown = Markdown(db_comment=p0("description, Markdown"))
    format = ClosedSet(Format, db_comment=p0("online, offline or either"))
    offline_address = SingleLineTextField(
        max_length=lengths.NOTE, null=True, blank=True, db_comment=p0("address of the practice")
    )
    duration_minutes = models.IntegerField(db_comment=p0("length of a session, minutes"))
    price_amount = models.IntegerField(db_comment=p0("price, whole roubles"))
    deposit_amount = models.IntegerField(
        null=True, blank=True, db_comment=p0("deposit, whole roubles")
    )
    cancel_free_hours = models.IntegerField(
        null=True, blank=True, db_comment=p0("hours before the start: full refund")
    )
    cancel_partial_hours = models.IntegerField(
        null=True, blank=True, db_comment=p0("hours before the start: half refund")
    )
    reschedule_min_hours = models.IntegerField(
        null=True, blank=True, db_comment=p0("hours before the start: moving allowed")
    )
    reschedule_max_count = models.IntegerField(
        null=True, blank=True, db_comment=p0("how many times an appointment may move")
    )
    status = ClosedSet(
        PublicationStatus, default=PublicationStatus.DRAFT, db_comment=p0("life cycle")
    )
    topic = RestrictForeignKey(
        "content.Topic",
        db_column="topic_code",
        null=True,
        blank=True,
        related_name="services",
        db_comment=p0("topic, if one"),
    )
    position = models.IntegerField(default=0, db_default=0, db_comment=p0("order in lists"))
    created_at = created_at()
    updated_at = updated_at()

    event_name = "service"
    not_ready_error = ServiceIncomplete

    retention = kept("until staff delete it")

    class Meta:
        db_table = "services"
        db_table_comment = "Consultations on offer"
        verbose_name = _("service")
        verbose_name_plural = _("services")
        constraints = [
            rules.Unique("services_slug_unique", fields=["slug"]),
            rules.slug("services"),
            rules.not_blank("services", "title"),
            rules.in_range("services", "duration_minutes", 10, 480),
            rules.in_range("services", "price_amount", 0),
            rules.Check(
                "services_deposit_within_price",
                Q(deposit_amount__isnull=True)
                | Q(deposit_amount__gte=1, deposit_amount__lte=F("price_amount")),
                _("A deposit is at least 1 rouble and at most the price."),
                field="deposit_amount",
            ),
            rules.in_range("services", "cancel_free_hours", 0),
            rules.in_range("services", "cancel_partial_hours", 0),
            rules.Check(
                "services_partial_refund_within_free",
                Q(cancel_partial_hours__isnull=True)
                | Q(
                    cancel_free_hours__isnull=False,
                    cancel_partial_hours__lte=F("cancel_free_hours"),
                ),
                _("The limit for a half refund is not longer than that for a full one."),
                field="cancel_partial_hours",
            ),
            rules.Check(
                "services_published_with_refund_policy",
                ~Q(status="published") | Q(price_amount=0) | Q(cancel_free_hours__isnull=False),
                _("A service that costs money is published with its hours of free cancellation."),
                field="cancel_free_hours",
            ),
            rules.in_range("services", "reschedule_min_hours", 0),
            rules.in_range("services", "reschedule_max_count", 0),
            rules.finite("services", "created_at", "updated_at"),
        ]
        indexes = [
            rules.Index("services_by_topic", "topic", serves="services of a topic"),
            rules.Index(
                "services_on_offer",
                "position",
                condition=Q(status="published"),
                serves="site: services on offer, in order",
            ),
        ]
        triggers = [
            *triggers.transitions("services", PUBLICATION_MOVES),
            triggers.touch_updated_at("services"),
            *auditing.audited(
                "services",
                inserted=("service_created", [*TERMS, "status"]),
                changed=("service_changed", [*TERMS, "status"]),
                deleted="service_deleted",
            ),
        ]

    def __str__(self) -> str:
        return self.title

    def publication_offences(self) -> list[str]:
        """Codes of ServiceIncomplete."""
        checks = {
            "description_missing": is_visible(self.description_markdown),
            "refund_policy_missing": not self.price_amount or self.cancel_free_hours is not None,
            "address_missing": self.format == "online" or is_visible(self.offline_address),
        }
        return [code for code, holds in checks.items() if not holds]
