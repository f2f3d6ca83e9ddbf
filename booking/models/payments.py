"""Payments, with the provider or taken by staff."""

from typing import ClassVar

import pgtrigger
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop, pgettext_lazy

from ebalance.db import auditing, lengths, rules, triggers
from ebalance.db.fields import (
    ClosedSet,
    Entity,
    ExternalId,
    RestrictForeignKey,
    created_at,
)
from ebalance.db.schema.classification import ACCOUNTING, by_staff, of_person, p0
from ebalance.db.schema.retention import kept
from ebalance.db.times import FactTime

from ..querysets import PaymentQuerySet
from .appointments import Appointment
from .manual_payments import manual_payment_rules


class ReceiptStatus(models.TextChoices):
    """The tax receipt of a payment (54-ФЗ). A later report never moves it to an earlier member."""

    PENDING = "pending", pgettext_lazy("Receipt", "pending")
    CANCELED = "canceled", pgettext_lazy("Receipt", "canceled")
    SUCCEEDED = "succeeded", pgettext_lazy("Receipt", "registered")


class Payment(Entity):
    """Money of a client, without card data. Only services of booking write it.

    A payment with the provider starts pending, and its deliveries decide it. A manual payment is
    money that a colleague took by transfer, card or cash: it is stored as succeeded.
    """

    class Provider(models.TextChoices):
        YOOKASSA = "yookassa", _("yookassa")
        MANUAL = "manual", _("taken by staff")

    class Method(models.TextChoices):
        CARD = "card", pgettext_lazy("Payment method", "card")
        SBP = "sbp", pgettext_lazy("Payment method", "SBP")
        WALLET = "wallet", pgettext_lazy("Payment method", "wallet")
        TRANSFER = "transfer", pgettext_lazy("Payment method", "transfer")
        CASH = "cash", pgettext_lazy("Payment method", "cash")

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
    method = ClosedSet(Method, null=True, blank=True, db_comment=p0("how it was paid"))
    recorded_by = RestrictForeignKey(
        "identity.User",
        db_column="recorded_by_user_id",
        null=True,
        blank=True,
        related_name="+",
        db_comment=by_staff("colleague who took the money"),
    )
    receipt_status = ClosedSet(
        ReceiptStatus,
        null=True,
        blank=True,
        db_comment=p0("tax receipt (54-ФЗ), as the provider reports it"),
    )
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
        db_table_comment = "Payments, with the provider or taken by staff"
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
                Q(status="succeeded", provider="yookassa"),
                _("A payment that succeeded has the provider's id."),
            ),
            rules.required_when(
                "payments_manual_has_method",
                "method",
                Q(provider="manual"),
                _("A payment taken by staff has its method."),
            ),
            rules.set_exactly_when(
                "payments_recorder_with_manual",
                "recorded_by",
                Q(provider="manual"),
                _("A colleague is named exactly for a payment taken by staff."),
            ),
            rules.Check(
                "payments_failure_category_when_over",
                Q(failure_category__isnull=True) | Q(status__in=["failed", "canceled"]),
                _("Only a failed or canceled payment has a reason."),
                field="failure_category",
            ),
            rules.Unique(
                "payments_one_yookassa_success_per_purpose",
                fields=["appointment", "purpose"],
                condition=Q(status="succeeded", provider="yookassa"),
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
            rules.Index("payments_by_recorder", "recorded_by", serves="the delete check"),
        ]
        triggers = [
            *triggers.transitions("payments", {"pending": ["succeeded", "canceled", "failed"]}),
            triggers.Rule(
                "payments_status_initial",
                operation=pgtrigger.Insert,
                condition="NEW.status <> "
                "CASE NEW.provider WHEN 'manual' THEN 'succeeded' ELSE 'pending' END",
                message=gettext_noop(
                    "A payment starts pending, one taken by staff starts succeeded"
                ),
                column="status",
                broken=lambda row: (
                    row._state.adding
                    and row.status != ("succeeded" if row.provider == "manual" else "pending")
                ),
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
            triggers.frozen(
                "payments",
                "recorder_stays",
                ["provider", "recorded_by_user_id"],
                message=gettext_noop("Provider and recorder of a payment never change"),
            ),
            triggers.frozen(
                "payments",
                "method_stays",
                ["method"],
                once="method",
                message=gettext_noop("How a payment was made, once known, does not change"),
            ),
            *manual_payment_rules(),
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
            *auditing.audited(
                "payments",
                inserted=(
                    "manual_payment_recorded",
                    ["appointment_id", "amount", "method", "recorded_by_user_id"],
                ),
                inserted_when="NEW.provider = 'manual'",
                deleted="manual_payment_deleted",
                deleted_when="OLD.provider = 'manual'",
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
