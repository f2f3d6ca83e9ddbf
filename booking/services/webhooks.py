"""The inbox of the payment provider (states.md, "Payments").

YooKassa sends events without an id of their own, and repeats them for 24 hours until it gets HTTP
200. Two deliveries are the same if the type of the event and the id of its object are the same.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Self

from django.db import OperationalError, transaction
from django.utils import timezone

from audit.services import publish_event
from ebalance.db import lengths
from ebalance.services import (
    Clock,
    InvalidInput,
    RowOrKey,
    lock_rows,
    parse_choice,
    parse_external_id,
    parse_optional_choice,
    pk_of,
    transactional,
)

from ..models import Payment, PaymentWebhookEvent, ReceiptStatus
from .chains import Chain
from .inputs import parse_text
from .refunds import apply_provider_refund
from .settlement import close_payment, record_success

logger = logging.getLogger(__name__)

FIRST_BACK_OFF, LONGEST_BACK_OFF = timedelta(minutes=1), timedelta(days=1)
TRIED_FOR = timedelta(days=7)  # an event without an effect ends after this time
ENDING = ("unknown_payment", "amount_mismatch")  # errors that a retry alone never mends
WRITTEN = [
    *["amount", "currency", "receipt_status"],
    *["attempts", "next_attempt_at", "last_error", "processed_at"],
]
AMOUNT_LIMIT = Decimal(10**10)
# The rules of payment_webhook_events.
EVENT_TYPE = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*")
CURRENCY = re.compile(r"[A-Z]{3}")
REFUND = "refund.succeeded"
# How long after its start a payment may still get its id while a delivery waits for it.
# process_webhooks applies a delivery that is stored later than that.
ATTACHED_WITHIN = timedelta(hours=1)


@dataclass(frozen=True)
class LockedPayment:
    """A payment under the lock of its chain: one transaction at a time works on its deliveries."""

    payment: Payment
    chain: Chain

    @classmethod
    def lock(cls, payment: Payment) -> Self:
        return cls._of(payment, Chain.lock(payment.appointment_id))

    @classmethod
    def try_lock(cls, payment: Payment) -> Self | None:
        """None if another transaction works on the chain."""
        chain = Chain.try_lock(payment.appointment_id)
        return None if chain is None else cls._of(payment, chain)

    @classmethod
    def _of(cls, payment: Payment, chain: Chain) -> Self:
        (row,) = (row for row in chain.lock_payments() if row.pk == payment.pk)
        return cls(row, chain)


@transactional
def receive_webhook(
    *,
    event_type: str,
    provider_payment_id: str,
    amount: Decimal | int | str,
    currency: str | None,
    object_id: str | None = None,
    failure_category: str = "canceled",
    receipt_status: str | None = None,
    provider: str = "yookassa",
    clock: Clock = timezone.now,
) -> PaymentWebhookEvent:
    """Take in one delivery: event, payment, appointment and outbox change together.

    ``amount``: roubles as the provider writes them ("3500.00"). ``object_id``: for an event about
    something else than the payment, such as a refund. ``failure_category``: for a payment that was
    canceled. ``receipt_status``: of the payment's tax receipt, if the provider reports it; it only
    moves forward (ReceiptStatus), also by a repeated event.

    Answer the provider with success once this returns. An event without an effect so far is stored
    without ``processed_at``, with the reason in ``last_error``, and process_webhooks retries it.
    The same event again has no effect.

    Raises InvalidInput, and the errors of an unreachable database: then nothing is stored, and the
    provider repeats the delivery.
    """
    payment_id = parse_provider_id(provider_payment_id)
    roubles = parse_amount(amount)
    parse_choice(provider, PaymentWebhookEvent.Provider, "provider")
    parse_optional_choice(receipt_status, ReceiptStatus, "receipt_status")
    parse_text(event_type, EVENT_TYPE, lengths.CODE, "event_type")
    if currency is not None:
        parse_text(currency, CURRENCY, 3, "currency")
    parse_choice(failure_category, Payment.FailureCategory, "failure_category")
    if event_type.startswith("payment.") and object_id not in (None, payment_id):
        # The same event under another key would take effect twice.
        raise InvalidInput(field="object_id")
    locked = lock_payment_of(provider, payment_id, clock())
    event_id = f"{event_type}:{payment_id if object_id is None else parse_provider_id(object_id)}"
    new_event = PaymentWebhookEvent(
        provider=provider,
        provider_event_id=event_id,
        event_type=event_type,
        provider_payment_id=payment_id,
        amount=roubles,
        currency=currency,
        received_at=clock(),
    )
    PaymentWebhookEvent.objects.bulk_create([new_event], ignore_conflicts=True)
    (event,) = lock_rows(
        PaymentWebhookEvent.objects.filter(provider=provider, provider_event_id=event_id)
    )
    # The same id about another payment is stored already and is not applied to this one.
    if event.provider_payment_id != payment_id:
        return event
    if event.event_type.startswith("payment."):
        event.receipt_status = later_receipt(event.receipt_status, receipt_status)
    if event.processed_at is None:
        event.amount, event.currency = roubles, currency
        apply_event(event, locked, failure_category=failure_category, clock=clock)
    elif locked is not None and not event.has_ended:
        event.save(update_fields=["receipt_status"])
        store_receipt(event, locked.payment)
    return event


@transactional
def process_webhook(
    event: RowOrKey[PaymentWebhookEvent], *, clock: Clock = timezone.now
) -> PaymentWebhookEvent | None:
    """Try a waiting event again.

    Returns None if the event is processed or deleted, or if another transaction works on the
    deliveries of its payment.
    """
    waiting = PaymentWebhookEvent.objects.filter(pk=pk_of(event), processed_at=None)
    row = waiting.first()
    if row is None:
        return None
    payment = find_payment(row.provider, row.provider_payment_id)
    locked = None if payment is None else LockedPayment.try_lock(payment)
    if payment is not None and locked is None:
        return None
    for row in lock_rows(waiting, skip_locked=True):
        apply_event(row, locked, clock=clock)
        return row
    return None


def find_payment(provider: str, provider_payment_id: str) -> Payment | None:
    return Payment.objects.filter(
        provider=provider, provider_payment_id=provider_payment_id
    ).first()


def lock_payment_of(provider: str, provider_payment_id: str, now: datetime) -> LockedPayment | None:
    """Lock the payment with this id of the provider; None if there is none.

    The first delivery may arrive while another transaction stores the id. Each waits for the other
    by the rows of the payments without an id, so that the delivery is applied by one of them.
    """
    payment = find_payment(provider, provider_payment_id)
    if payment is None:
        started = Payment.objects.filter(provider=provider, provider_payment_id=None)
        lock_rows(started.filter(created_at__gt=now - ATTACHED_WITHIN))
        payment = find_payment(provider, provider_payment_id)
    return None if payment is None else LockedPayment.lock(payment)


def apply_event(
    event: PaymentWebhookEvent,
    locked: LockedPayment | None,
    *,
    failure_category: str = "canceled",
    clock: Clock,
) -> None:
    """Apply a locked event to its payment, if that is known, and store the result.

    A failed attempt leaves no other change.
    """
    error_before = event.last_error
    try:
        with transaction.atomic():
            error, is_processed = _apply_to_payment(event, locked, failure_category, clock=clock)
            if is_processed and locked is not None:
                store_receipt(event, locked.payment)
    except OperationalError:
        raise  # the whole transaction is lost
    except Exception:
        logger.exception("A payment notification could not be handled: %s", event.pk)
        error, is_processed = "internal", False
    if error == "amount_mismatch" != error_before:
        publish_event(
            "payment_amount_mismatch", event, event_type_code=event.event_type.replace(".", "_")
        )
    now = clock()
    event.attempts += 1
    event.last_error = error
    event.next_attempt_at = now + back_off(event.attempts)
    is_final = error in ENDING and now >= event.received_at + TRIED_FOR
    event.processed_at = now if is_processed or is_final else None
    event.save(update_fields=WRITTEN)


def later_receipt(known: str | None, reported: str | None) -> str | None:
    """The later status of two, by the order of ReceiptStatus."""
    order = [None, *ReceiptStatus.values]
    return max(known, reported, key=order.index)


def store_receipt(event: PaymentWebhookEvent, payment: Payment) -> None:
    """Store the status of the receipt with the locked payment. It never moves back."""
    receipt = later_receipt(payment.receipt_status, event.receipt_status)
    if receipt != payment.receipt_status:
        payment.receipt_status = receipt
        payment.save(update_fields=["receipt_status"])


def back_off(attempts: int) -> timedelta:
    """The time to wait after the attempt: 1, 2, 4, … minutes, up to a day."""
    return min(LONGEST_BACK_OFF, FIRST_BACK_OFF * 2 ** min(attempts - 1, 20))


def _apply_to_payment(
    event: PaymentWebhookEvent,
    locked: LockedPayment | None,
    failure_category: str,
    *,
    clock: Clock,
) -> tuple[str | None, bool]:
    """Returns last_error, and whether the event is processed."""
    if locked is None:
        return "unknown_payment", False
    payment = locked.payment
    match event.event_type:
        case "payment.succeeded":
            if not has_expected_amount(event, payment):
                return "amount_mismatch", False
            return record_success(payment, locked.chain, clock=clock), True
        case "payment.waiting_for_capture":
            if not has_expected_amount(event, payment):
                return "amount_mismatch", False
            if payment.status == "pending":
                publish_event("payment_to_capture", payment, amount=payment.amount)
        case "payment.canceled":
            if payment.status == "pending":
                close_payment(payment, "canceled", failure_category, clock=clock)
        case "refund.succeeded":
            error = apply_provider_refund(event, payment, clock=clock)
            return error, error is None
    return None, True


def has_expected_amount(event: PaymentWebhookEvent, payment: Payment) -> bool:
    """Whether amount and currency agree. A delivery without an amount never does."""
    return (event.amount, event.currency) == (payment.amount, payment.currency)


def parse_provider_id(value: object) -> str:
    """The provider's id of a payment or of another object. Raises InvalidInput."""
    return parse_external_id(value, lengths.PROVIDER_ID, "provider_payment_id")


def parse_amount(value: object) -> Decimal:
    """Roubles with at most two decimals. Raises InvalidInput."""
    try:
        amount = Decimal(value) if isinstance(value, int | str | Decimal) else None
        if amount is None or isinstance(value, bool) or not 0 <= amount < AMOUNT_LIMIT:
            raise InvalidInput(field="amount")
        if amount != amount.quantize(Decimal("0.01")):
            raise InvalidInput(field="amount")
    except InvalidOperation:
        raise InvalidInput(field="amount") from None
    return amount
