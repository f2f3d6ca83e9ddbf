"""Refunds: what is due back, and what the provider has given back (states.md, "Payments")."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from audit.services import publish_event
from ebalance.services import Clock, lock_rows

from ..models import Appointment, Payment, PaymentWebhookEvent, Refund, Service
from .chains import Chain


def calculate_refund(row: Appointment, chain: Chain, canceled_at: datetime) -> int:
    """Whole roubles due back for a canceled session: the policy's share of what is held.

    An expired hold that was paid late gets nothing back if another appointment has replaced it.
    """
    if row.pk != chain.last.pk:
        return 0
    balance = chain.balance()
    if row.outcome == "canceled_by_client":
        service = Service.objects.get(pk=row.service_id)
        return apply_refund_policy(
            service, balance=balance, start=row.start_at_utc, canceled_at=canceled_at
        )
    return balance


def apply_refund_policy(
    service: Service, *, balance: int, start: datetime, canceled_at: datetime
) -> int:
    """Whole roubles due back when the client cancels (states.md).

    All of ``balance`` at cancel_free_hours or more before the start, half (rounded up) at
    cancel_partial_hours or more, else nothing. A limit that is not set grants nothing.
    """
    left = start - canceled_at
    if service.cancel_free_hours is not None and left >= hours(service.cancel_free_hours):
        return balance
    if service.cancel_partial_hours is not None and left >= hours(service.cancel_partial_hours):
        return (balance + 1) // 2
    return 0


def hours(number: int) -> timedelta:
    """A duration that a timedelta can hold, whatever the number."""
    return timedelta(hours=min(number, 1_000_000))


def open_refunds(chain: Chain, amount: int, *, at: datetime) -> None:
    """Spread the refund of a canceled session over its payments, the latest first."""
    payments = chain.payments.filter(status="succeeded").with_balance()
    for payment in payments.order_by("-confirmed_at", "-pk"):
        share = min(amount, payment.balance)
        if share > 0:
            open_refund(payment, share, "canceled", at=at)
            amount -= share


def give_back(payment: Payment, reason: str, *, at: datetime, at_most: int | None = None) -> None:
    """Open a refund of all that is held of a locked payment, or of ``at_most`` roubles of it."""
    balance = Payment.objects.with_balance().get(pk=payment.pk).balance
    amount = balance if at_most is None else min(balance, at_most)
    if amount > 0:
        open_refund(payment, amount, reason, at=at)


def open_refund(payment: Payment, amount: int, reason: str, *, at: datetime) -> Refund:
    """Record that money of ``payment`` is due back, whole roubles, and publish a notice."""
    refund = Refund.objects.create(payment=payment, amount=amount, reason=reason, requested_at=at)
    publish_event(
        "refund_due",
        payment,
        refund_id=refund.pk,
        amount=amount,
        currency=payment.currency,
        reason=reason,
        appointment_id=payment.appointment_id,
    )
    return refund


def give_back_for_lost_holds(holds: list[Appointment], at: datetime) -> None:
    """Open refunds for holds that ran out before all of their money arrived."""
    paid = Payment.objects.filter(appointment__in=holds, status="succeeded")
    for payment in lock_rows(paid):
        give_back(payment, "time_gone", at=at)


def promised_refund(row: Appointment, chain: Chain) -> int:
    """Whole roubles that the cancellation of ``row`` promised, paid out or not.

    Of each payment the first refund counts: a later one of the same reason replaces it after a part
    was given back by hand.
    """
    if row.pk != chain.last.pk:
        return 0
    reason = "time_gone" if row.outcome is None else "canceled"
    refunds = Refund.objects.filter(payment__in=chain.payments, reason=reason)
    amounts: dict[object, int] = {}
    for refund in refunds.order_by("requested_at", "pk"):
        amounts.setdefault(refund.payment_id, refund.amount)
    return sum(amounts.values())


# -- what the provider has given back -------------------------------------------------------------


def apply_provider_refund(
    event: PaymentWebhookEvent, payment: Payment, *, clock: Clock
) -> str | None:
    """Record that the provider has given back money of a locked payment.

    The refund is matched by the provider's id, else to the oldest one of this amount that was sent,
    or that is due. Otherwise it was made by hand: it counts against what is due, and a refund of
    the rest is opened. Returns the last_error to store with the delivery, if any.
    """
    refund_id = event.provider_event_id.partition(":")[2]
    amount = get_whole_roubles(event.amount)
    if amount is None or event.currency != payment.currency:
        return "amount_mismatch"
    now = clock()
    known = Refund.objects.filter(provider_refund_id=refund_id).first()
    if known is not None:
        if (known.payment_id, known.amount) != (payment.pk, amount):
            return "amount_mismatch"
        if known.status == "succeeded":
            return None
        refund: Refund | None = known
    else:
        due = payment.refunds.filter(
            status__in=["sent", "due"], amount=amount, provider_refund_id=None
        )
        refund = due.order_by("-status", "requested_at", "pk").first()
    if refund is None:
        refund = Refund(payment=payment, amount=amount, reason="by_hand", requested_at=now)
    refund.provider_refund_id = refund_id
    return None if settle_refund(refund, payment, at=now) else "amount_mismatch"


def settle_refund(refund: Refund, payment: Payment, *, at: datetime) -> bool:
    """Record that the money of ``refund`` was given back. Its payment is locked.

    A new refund, and one that had failed, counts against what is due: the due refunds are closed,
    and a refund of the rest is opened. Returns False, and writes nothing, if that is more than the
    payment.
    """
    owed: list[Refund] = []
    if refund._state.adding or refund.status == "failed":
        others = list(payment.refunds.exclude(status="failed").order_by("requested_at", "pk"))
        owed = [other for other in others if other.status == "due"]
        returned = sum(other.amount for other in others if other.status != "due")
        if returned + refund.amount > payment.amount:
            return False
        if not refund._state.adding and returned + refund.amount + total(owed) <= payment.amount:
            owed = []  # the late success of a refund leaves the others due
        for other in owed:
            other.status = "failed"
            other.save(update_fields=["status"])
    refund.status, refund.succeeded_at = "succeeded", at
    refund.save()
    if (rest := total(owed) - refund.amount) > 0:
        open_refund(payment, rest, owed[-1].reason, at=at)
    publish_event(
        "payment_refunded",
        payment,
        refund_id=refund.pk,
        amount=refund.amount,
        currency=payment.currency,
        appointment_id=payment.appointment_id,
    )
    return True


def total(refunds: list[Refund]) -> int:
    return sum(refund.amount for refund in refunds)


def get_whole_roubles(amount: Decimal | None) -> int | None:
    """None for no amount, nothing, or a part of a rouble, which no refund can have."""
    if amount is None or amount <= 0 or amount != int(amount):
        return None
    return int(amount)
