"""Payments, and the deliveries of the payment provider."""

from typing import ClassVar

import pgtrigger
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop, pgettext_lazy

from ebalance.db import lengths, rules, triggers
from ebalance.db.fields import (
    ClosedSet,
    Entity,
    ExternalId,
    RestrictForeignKey,
    SingleLineTextField,
    created_at,
)
from ebalance.db.schema.classification import ACCOUNTING, of_person, p0
from ebalance.db.schema.retention import kept, purged
from ebalance.db.times import FactTime, PlannedTime, now_default

from ..querysets import PaymentQuerySet, WebhookEventQuerySet
from .appointments import Appointment


class Payment(Entity):
    """A payment with the provider, without card data. Only services of booking write it."""

    class Provider(models.TextChoices):
        YOOKASSA = "yookassa", _("yookassa")

    class Purpose(models.TextChoices):
        DEPOSIT = "deposit", _("deposit")
        FULL = "full", pgettext_lazy("Purpose", "full")

    class Currency(models.TextChoices):
        RUB = "RUB", _("RUB")

    class Status(models.TextChoices):
        PENDING = "pending", _("pending")
        SUCCEEDED = "succeeded", _("succeeded")
        CANCELED = "canceled", _("canceled")
        FAILED = "failed", _("failed")

    class FailureCategory(models.TextChoices):
        CANCELED = "canceled", _("canceled")
        TIMEOUT = "timeout", _("timeout")
        PROVIDER_ERROR = "provider_error", _("provider error")
        INSUFFICIENT_FUNDS = "insufficient_funds", _("insufficient funds")
        UNKNOWN = "unknown", _("unknown")

    appointment = RestrictForeignKey(
        Appointment, related_name="payments", db_comment=of_person("what is paid for", ACCOUNTING)
    )
    provider = ClosedSet(Provider, default=Provider.YOOKASSA, db_comment=p0("payment provider"))
    provider_payment_id = ExternalId(
        max_length=lengths.PROVIDER_ID,
        null=True,
        blank=True,
        db_comment=p0("the provider's id; empty until it has answered", erasure=ACCOUNTING),
    )
    idempotency_key = ExternalId(
        max_length=lengths.PROVIDER_ID,
        db_comment=p0("key under which the provider was asked", erasure=ACCOUNTING),
    )
    purpose = ClosedSet(Purpose, db_comment=p0("deposit or full price"))
    amount = models.IntegerField(db_comment=p0("amount, whole roubles; never changes"))
    currency = ClosedSet(Currency, default=Currency.RUB, db_comment=p0("currency"))
    status = ClosedSet(Status, default=Status.PENDING, db_comment=p0("life cycle"))
    failure_category = ClosedSet(
        FailureCategory, null=True, blank=True, db_comment=p0("why it failed")
    )
    created_at = created_at()
    confirmed_at = FactTime(null=True, blank=True, db_comment=p0("when it succeeded, UTC"))

    objects: ClassVar[models.Manager] = PaymentQuerySet.as_manager()

    retention = kept("for accounting")
    deleted_by_owner_only = True

    class Meta:
        db_table = "payments"
        db_table_comment = "Payments with the provider"
        verbose_name = _("payment")
        verbose_name_plural = _("payments")
        constraints = [
            rules.in_range("payments", "amount", 1),
            rules.Unique("payments_idempotency_key_unique", fields=["idempotency_key"]),
            rules.Unique(
                "payments_provider_payment_unique",
                fields=["provider", "provider_payment_id"],
                message=_("This payment of the provider is already recorded."),
            ),
            rules.set_exactly_when(
                "payments_confirmed_at_with_status",
                "confirmed_at",
                Q(status="succeeded"),
                _("A time of success is set exactly for a payment that succeeded."),
            ),
            rules.required_when(
                "payments_succeeded_has_provider_id",
                "provider_payment_id",
                Q(status="succeeded"),
                _("A payment that succeeded has the provider's id."),
            ),
            rules.Check(
                "payments_failure_category_when_over",
                Q(failure_category__isnull=True) | Q(status__in=["failed", "canceled"]),
                _("Only a failed or canceled payment has a reason."),
                field="failure_category",
            ),
            rules.Unique(
                "payments_one_success_per_purpose",
                fields=["appointment", "purpose"],
                condition=Q(status="succeeded"),
                message=_("This has already been paid."),
            ),
            rules.finite("payments", "created_at", "confirmed_at"),
        ]
        indexes = [
            rules.Index("payments_by_appointment", "appointment", serves="what was paid for it"),
            rules.Index(
                "payments_by_success",
                "confirmed_at",
                condition=Q(status="succeeded"),
                serves="metrics: GMV and AOV of a period",
            ),
        ]
        triggers = [
            *triggers.transitions(
                "payments", {"pending": ["succeeded", "canceled", "failed"]}, initial=["pending"]
            ),
            triggers.frozen(
                "payments",
                "terms_stay",
                ["amount", "currency", "purpose", "appointment_id"],
                message=gettext_noop(
                    "Amount, currency, purpose and appointment of a payment never change"
                ),
            ),
            triggers.frozen(
                "payments",
                "request_stays",
                ["idempotency_key"],
                message=gettext_noop("The key under which the provider was asked does not change"),
            ),
            triggers.frozen(
                "payments",
                "time_of_success_stays",
                ["confirmed_at"],
                once="confirmed_at",
                message=gettext_noop("A payment that succeeded keeps its time"),
            ),
            triggers.frozen(
                "payments",
                "provider_id_stays",
                ["provider", "provider_payment_id"],
                once="provider_payment_id",
                message=gettext_noop("The provider's id, once known, does not change"),
            ),
            # Asked once: neither the amounts of a payment nor those of an appointment change.
            triggers.Rule(
                "payments_fit_price",
                operation=pgtrigger.Insert,
                when=pgtrigger.After,
                timing=pgtrigger.Immediate,
                message=gettext_noop(
                    "A deposit is the deposit agreed, a full payment at most the price"
                ),
                column="amount",
                broken=lambda row: row._state.adding and not fits_price(row),
                body=f"""
BEGIN
    IF EXISTS (SELECT FROM public.appointments a WHERE a.id = NEW.appointment_id
               AND CASE NEW.purpose
                   WHEN 'deposit' THEN NEW.amount IS DISTINCT FROM a.deposit_amount
                   ELSE NEW.amount > a.price_amount END) THEN
        {triggers.REFUSE}
    END IF;
    RETURN NULL;
END""",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.amount} ₽ · {self.get_status_display()}"


def fits_price(payment: Payment) -> bool:
    agreed = Appointment.objects.filter(pk=payment.appointment_id).first()
    if agreed is None or payment.amount is None:
        return True
    if payment.purpose == "deposit":
        return payment.amount == agreed.deposit_amount
    return payment.amount <= agreed.price_amount


class PaymentWebhookEvent(Entity):
    """An event that the provider has sent. Its body is not stored."""

    class LastError(models.TextChoices):
        UNKNOWN_PAYMENT = "unknown_payment", _("unknown payment")
        AMOUNT_MISMATCH = "amount_mismatch", _("amount mismatch")
        OUT_OF_ORDER = "out_of_order", _("out of order")
        INTERNAL = "internal", pgettext_lazy("LastError", "internal")

    provider = ClosedSet(Payment.Provider, db_comment=p0("payment provider"))
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
    # The body is not stored; without these two a delivery could not be judged again later.
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
