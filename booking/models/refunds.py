"""Money that is owed or was given back."""

import pgtrigger
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from ebalance.db import auditing, lengths, rules, triggers
from ebalance.db.fields import (
    ClosedSet,
    Entity,
    ExternalId,
    RestrictForeignKey,
)
from ebalance.db.schema.classification import ACCOUNTING, by_staff, of_person, p0
from ebalance.db.schema.retention import kept
from ebalance.db.times import FactTime, now_default

from .payments import Payment


class Refund(Entity):
    """A part of a payment that is due back or was given back. Only services of booking write it.

    A failed refund was never paid out; the others lower what the practice holds.
    """

    class Reason(models.TextChoices):
        CANCELED = "canceled", _("session canceled")
        TIME_GONE = "time_gone", _("time lost before the money arrived")
        OVERPAID = "overpaid", _("paid above the price")
        DUPLICATE = "duplicate", _("paid twice")
        ALREADY_OVER = "already_over", _("payment was closed before")
        BY_HAND = "by_hand", _("made by hand at the provider")

    class Status(models.TextChoices):
        DUE = "due", _("due")
        SENT = "sent", _("sent")
        SUCCEEDED = "succeeded", _("succeeded")
        FAILED = "failed", _("failed")

    payment = RestrictForeignKey(
        Payment, related_name="refunds", db_comment=of_person("payment it is part of", ACCOUNTING)
    )
    amount = models.IntegerField(db_comment=p0("amount, whole roubles; never changes"))
    reason = ClosedSet(Reason, db_comment=p0("why it is due"))
    status = ClosedSet(Status, default=Status.DUE, db_comment=p0("life cycle"))
    provider_refund_id = ExternalId(
        max_length=lengths.PROVIDER_ID,
        null=True,
        blank=True,
        db_comment=p0("the provider's id; empty until it is known", erasure=ACCOUNTING),
    )
    requested_at = FactTime(db_default=now_default(), db_comment=p0("since when it is due, UTC"))
    sent_at = FactTime(null=True, blank=True, db_comment=p0("when the provider was asked, UTC"))
    succeeded_at = FactTime(null=True, blank=True, db_comment=p0("when it succeeded, UTC"))
    recorded_by = RestrictForeignKey(
        "identity.User",
        db_column="recorded_by_user_id",
        null=True,
        blank=True,
        related_name="+",
        db_comment=by_staff("colleague who recorded it"),
    )

    retention = kept("for accounting")
    deleted_by_owner_only = True

    class Meta:
        db_table = "refunds"
        db_table_comment = "Money that is owed or was given back"
        verbose_name = _("refund")
        verbose_name_plural = _("refunds")
        constraints = [
            rules.in_range("refunds", "amount", 1),
            rules.Unique(
                "refunds_provider_refund_unique",
                fields=["provider_refund_id"],
                message=_("This refund of the provider is already recorded."),
            ),
            rules.set_exactly_when(
                "refunds_succeeded_at_with_status",
                "succeeded_at",
                Q(status="succeeded"),
                _("A time of success is set exactly for a refund that succeeded."),
            ),
            rules.required_when(
                "refunds_sent_has_time",
                "sent_at",
                Q(status="sent"),
                _("A refund that was sent has its time."),
            ),
            rules.finite("refunds", "requested_at", "sent_at", "succeeded_at"),
        ]
        indexes = [
            rules.Index("refunds_by_payment", "payment", serves="what was given back of a payment"),
            rules.Index(
                "refunds_due",
                "requested_at",
                condition=Q(status="due"),
                serves="admin: what is due, oldest first",
            ),
            rules.Index("refunds_by_recorder", "recorded_by", serves="the delete check"),
        ]
        triggers = [
            *triggers.transitions(
                "refunds",
                {
                    "due": ["sent", "succeeded", "failed"],
                    "sent": ["succeeded", "failed"],
                    "failed": ["sent", "succeeded"],
                },
                initial=["due", "succeeded"],
            ),
            triggers.frozen(
                "refunds",
                "terms_stay",
                ["payment_id", "amount", "reason", "requested_at"],
                message=gettext_noop(
                    "Payment, amount, reason and time of request of a refund never change"
                ),
            ),
            triggers.frozen(
                "refunds",
                "provider_id_stays",
                ["provider_refund_id"],
                once="provider_refund_id",
                message=gettext_noop("The provider's id of a refund, once known, does not change"),
            ),
            triggers.frozen(
                "refunds",
                "time_of_success_stays",
                ["succeeded_at"],
                once="succeeded_at",
                message=gettext_noop("A refund that succeeded keeps its time"),
            ),
            triggers.frozen(
                "refunds",
                "recorder_stays",
                ["recorded_by_user_id"],
                once="recorded_by_user_id",
                message=gettext_noop("Who recorded a refund does not change"),
            ),
            # The payment is written, not only locked: a REPEATABLE READ transaction that does not
            # see another refund must fail.
            triggers.Rule(
                "refunds_within_payment",
                operation=pgtrigger.Insert | pgtrigger.UpdateOf("status"),
                when=pgtrigger.After,
                timing=pgtrigger.Immediate,
                condition="NEW.status <> 'failed'",
                message=gettext_noop("The refunds of a payment are together at most its amount"),
                column="amount",
                broken=lambda row: exceeds_payment(row),
                body=f"""
DECLARE
    paid bigint;
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.status <> 'failed' THEN
        RETURN NULL;
    END IF;
    UPDATE public.payments SET status = status WHERE id = NEW.payment_id
    RETURNING amount INTO paid;
    IF paid < (SELECT sum(r.amount) FROM public.refunds r
               WHERE r.payment_id = NEW.payment_id AND r.status <> 'failed') THEN
        {triggers.REFUSE}
    END IF;
    RETURN NULL;
END""",
            ),
            *auditing.audited(
                "refunds",
                inserted=("refund_created", ["payment_id", "amount", "reason", "status"]),
                changed=("refund_changed", ["status", "recorded_by_user_id"]),
                deleted="refund_deleted",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.amount} ₽ · {self.get_status_display()}"


def exceeds_payment(row: Refund) -> bool:
    payment = Payment.objects.filter(pk=row.payment_id).first()
    if payment is None or row.status == "failed":
        return False
    others = payment.refunds.exclude(pk=row.pk).exclude(status="failed")
    total = others.aggregate(total=models.Sum("amount"))["total"] or 0
    return total + (row.amount or 0) > payment.amount
