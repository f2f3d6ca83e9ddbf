"""Deliveries of the payment provider."""

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from ebalance.db import lengths, rules
from ebalance.db.fields import ClosedSet, Entity, ExternalId, SingleLineTextField
from ebalance.db.schema.classification import ACCOUNTING, p0
from ebalance.db.schema.retention import purged
from ebalance.db.times import FactTime, PlannedTime, now_default

from ..querysets import WebhookEventQuerySet
from .payments import ReceiptStatus


class PaymentWebhookEvent(Entity):
    """An event that the provider has sent. Its body is not stored."""

    class Provider(models.TextChoices):
        """Manual payments have no deliveries."""

        YOOKASSA = "yookassa", _("yookassa")

    class LastError(models.TextChoices):
        UNKNOWN_PAYMENT = "unknown_payment", _("unknown payment")
        AMOUNT_MISMATCH = "amount_mismatch", _("amount mismatch")
        OUT_OF_ORDER = "out_of_order", _("out of order")
        INTERNAL = "internal", pgettext_lazy("LastError", "internal")

    provider = ClosedSet(Provider, db_comment=p0("payment provider"))
    provider_event_id = ExternalId(
        max_length=lengths.EXTERNAL_ID, db_comment=p0("what makes a repeated delivery the same")
    )
    event_type = SingleLineTextField(
        max_length=lengths.CODE, db_comment=p0("the provider's name of the event")
    )
    provider_payment_id = ExternalId(
        max_length=lengths.PROVIDER_ID,
        db_comment=p0("the provider's id of the payment", erasure=ACCOUNTING),
    )
    # The body is not stored; without these three a delivery could not be judged again later.
    amount = models.DecimalField(
        null=True,
        blank=True,
        max_digits=12,
        decimal_places=2,
        db_comment=p0("amount in the notification, roubles"),
    )
    currency = SingleLineTextField(
        max_length=lengths.CODE,
        null=True,
        blank=True,
        db_comment=p0("currency in the notification, ISO 4217"),
    )
    receipt_status = ClosedSet(
        ReceiptStatus,
        null=True,
        blank=True,
        db_comment=p0("status of the tax receipt in the notification"),
    )
    received_at = FactTime(db_default=now_default(), db_comment=p0("receipt, UTC"))
    processed_at = FactTime(
        null=True, blank=True, db_comment=p0("when it took effect, or ended without one, UTC")
    )
    attempts = models.IntegerField(default=0, db_default=0, db_comment=p0("tries so far"))
    next_attempt_at = PlannedTime(
        db_default=now_default(), db_comment=p0("not to be tried again before, UTC")
    )
    last_error = ClosedSet(LastError, null=True, blank=True, db_comment=p0("last failure"))

    objects: ClassVar[models.Manager] = WebhookEventQuerySet.as_manager()

    retention = purged("90 days", after="processed_at")
    deleted_by_owner_only = True

    @property
    def has_ended(self) -> bool:
        """Whether the event is final without an effect: no payment, or another amount."""
        return self.processed_at is not None and self.last_error in (
            self.LastError.UNKNOWN_PAYMENT,
            self.LastError.AMOUNT_MISMATCH,
        )

    class Meta:
        db_table = "payment_webhook_events"
        db_table_comment = "Deliveries of the payment provider"
        verbose_name = _("payment notification")
        verbose_name_plural = _("payment notifications")
        constraints = [
            rules.matches(
                "payment_webhook_events_event_type_is_dotted_code",
                "event_type",
                r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*$",
                _("Lower-case words joined by dots."),
            ),
            rules.Unique("payment_webhook_events_once", fields=["provider", "provider_event_id"]),
            rules.Check(
                "payment_webhook_events_amount_not_negative",
                Q(amount__isnull=True) | Q(amount__gte=0, amount__lt=10**10),
                _("An amount is not negative."),
                field="amount",
            ),
            rules.matches(
                "payment_webhook_events_currency_is_iso",
                "currency",
                r"^[A-Z]{3}$",
                _("Three capital Latin letters."),
            ),
            rules.in_range("payment_webhook_events", "attempts", 0),
            rules.finite(
                "payment_webhook_events", "received_at", "processed_at", "next_attempt_at"
            ),
        ]
        indexes = [
            rules.Index(
                "payment_webhook_events_processed",
                "processed_at",
                condition=Q(processed_at__isnull=False),
                serves="purge_expired, 90 days",
            ),
            rules.Index(
                "payment_webhook_events_unprocessed",
                "received_at",
                condition=Q(processed_at__isnull=True),
                serves="process_webhooks: what is to be done, oldest first",
            ),
            rules.Index(
                "payment_webhook_events_by_payment",
                "provider_payment_id",
                serves="deliveries about a payment",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.event_type} {self.provider_payment_id}"
