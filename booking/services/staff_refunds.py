"""Refunds that staff make (states.md, "Staff (1.1)")."""

from __future__ import annotations

from uuid import UUID

from django.utils import timezone

from audit.services import publish_event
from ebalance.db import lengths
from ebalance.services import (
    Clock,
    IdempotencyConflict,
    RowOrKey,
    TransitionRefused,
    get_or_refuse,
    parse_external_id,
    parse_uuid,
    refresh,
    transactional,
)
from identity.models import User

from ..errors import ProviderIdTaken, RefundTooLarge
from ..models import Payment, Refund
from .inputs import parse_roubles, require_named
from .refunds import settle_refund
from .webhooks import LockedPayment


@transactional
def record_refund(
    payment: RowOrKey[Payment],
    *,
    amount: int,
    id: UUID | str,
    actor: User,
    clock: Clock = timezone.now,
) -> Refund:
    """Record that ``actor`` gave back ``amount`` roubles of a payment, by transfer or in cash.

    ``id``: the refund that was due, or had failed; or the key of a new one, which counts against
    what is due: a rest is due again. The same ``id`` again returns the same refund and changes
    nothing. The provider reports its own refunds by deliveries.

    Raises NotPermitted, RefundTooLarge, TransitionRefused for a payment without money or a refund
    that the provider was asked for, IdempotencyConflict, InvalidInput, NotFound.
    """
    require_named(actor, "booking.record_refund")
    key, amount = parse_uuid(id, "id"), parse_roubles(amount)
    row = LockedPayment.lock(get_or_refuse(Payment.objects.all(), payment)).payment
    refund = Refund.objects.filter(pk=key).first()
    if refund is None:
        if row.status != "succeeded" and not row.refunds.exists():
            # A closed payment has refunds if its money arrived late.
            raise TransitionRefused(
                entity="payments", id=row.pk, status=row.status, wanted="succeeded"
            )
        refund = Refund(pk=key, payment=row, amount=amount, reason="by_hand", requested_at=clock())
    elif (refund.payment_id, refund.amount) != (row.pk, amount):
        raise IdempotencyConflict(refund=refund.pk)
    elif refund.status == "succeeded":
        return refund
    elif refund.status == "sent":
        raise refund_refused(refund, "succeeded")
    if refund.recorded_by_id is None:
        refund.recorded_by = actor
    if not settle_refund(refund, row, at=clock()):
        raise RefundTooLarge(payment=row.pk)
    return refund


@transactional
def send_refund(
    refund: RowOrKey[Refund],
    *,
    provider_refund_id: str | None = None,
    actor: User,
    clock: Clock = timezone.now,
) -> Refund:
    """Record that the provider is asked for a refund, which was due or had failed. Repeatable.

    The provider is asked by readers of the event refund_sent, under the id of the refund as key.
    ``provider_refund_id``: its answer, once it is known.

    Raises NotPermitted, RefundTooLarge for a failed refund whose money was given back otherwise,
    TransitionRefused for one that succeeded or of a manual payment, ProviderIdTaken, InvalidInput,
    NotFound.
    """
    require_named(actor, "booking.change_refund")
    if provider_refund_id is not None:
        parse_external_id(provider_refund_id, lengths.PROVIDER_ID, "provider_refund_id")
    given = get_or_refuse(Refund.objects.select_related("payment"), refund)
    payment = LockedPayment.lock(given.payment).payment
    row = Refund.objects.get(pk=given.pk)
    if row.status == "succeeded" or payment.provider == "manual":
        raise refund_refused(row, "sent")
    if provider_refund_id is not None and row.provider_refund_id != provider_refund_id:
        taken = Refund.objects.filter(provider_refund_id=provider_refund_id).exists()
        if taken or row.provider_refund_id is not None:
            raise ProviderIdTaken(refund=row.pk)
        row.provider_refund_id = provider_refund_id
        row.save(update_fields=["provider_refund_id"])
    if row.status != "sent":
        if row.status == "failed" and is_too_large(row, payment):
            raise RefundTooLarge(payment=payment.pk)
        row.status, row.sent_at = "sent", clock()
        row.recorded_by_id = row.recorded_by_id or actor.pk
        row.save(update_fields=["status", "sent_at", "recorded_by"])
        publish_event(
            "refund_sent",
            payment,
            refund_id=row.pk,
            amount=row.amount,
            currency=payment.currency,
            appointment_id=payment.appointment_id,
        )
    return refresh(refund, row)


def is_too_large(refund: Refund, payment: Payment) -> bool:
    """Whether a failed refund is more than what is left of its locked payment."""
    return refund.amount > Payment.objects.with_balance().get(pk=payment.pk).balance


def refund_refused(refund: Refund, wanted: str) -> TransitionRefused:
    return TransitionRefused(entity="refunds", id=refund.pk, status=refund.status, wanted=wanted)
