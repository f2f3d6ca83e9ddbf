"""Payments (states.md, "Payments"). Each is requested once from the provider, and decided once."""

from __future__ import annotations

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from ebalance.db import lengths
from ebalance.services import (
    Clock,
    IdempotencyConflict,
    InvalidInput,
    RowOrKey,
    TransitionRefused,
    constraint_of,
    get_or_refuse,
    lock_rows,
    parse_choice,
    parse_external_id,
    refresh,
    transactional,
)

from ..errors import HoldExpired, NothingToPay, PaymentInProgress, ProviderIdTaken
from ..models import Appointment, Payment, PaymentWebhookEvent
from .appointments import transition_refused
from .chains import Chain
from .events import announce_start
from .holds import is_expired_hold
from .inputs import MAX_AMOUNT
from .settlement import close_payment
from .webhooks import REFUND, LockedPayment, apply_event, parse_provider_id


@transactional
def start_payment(
    appointment: RowOrKey[Appointment],
    *,
    purpose: str,
    idempotency_key: str,
    clock: Clock = timezone.now,
) -> Payment:
    """Open a payment, to be requested from the provider under ``idempotency_key``.

    ``purpose``: deposit, for the deposit agreed; full, for the part of the price that is not paid
    yet. The payment belongs to the first appointment of the chain. The same key again returns the
    same payment.

    Raises HoldExpired, PaymentInProgress, NothingToPay, TransitionRefused, IdempotencyConflict,
    InvalidInput, NotFound.
    """
    key = parse_external_id(idempotency_key, lengths.PROVIDER_ID, "idempotency_key")
    purpose = parse_choice(purpose, Payment.Purpose, "purpose")
    chain = Chain.lock(appointment)
    earlier = Payment.objects.filter(idempotency_key=key).first()
    if earlier is not None:
        return check_same_payment(earlier, chain, purpose)
    row, now = chain[appointment], clock()
    if row.status == "pending_payment":
        if is_expired_hold(row, now):
            raise HoldExpired(appointment=row.pk)
    elif row.status not in ("paid", "confirmed"):
        raise transition_refused(row, "paid")
    payment = Payment(
        appointment=chain.first,
        idempotency_key=key,
        purpose=purpose,
        amount=calculate_amount(row, chain, purpose),
    )
    # The chain is locked, so only a payment of another appointment can have the same key.
    Payment.objects.bulk_create([payment], ignore_conflicts=True)
    stored = Payment.objects.get(idempotency_key=key)
    if stored.pk != payment.pk:
        return check_same_payment(stored, chain, purpose)
    announce_start(stored, row, clock=clock)
    return stored


@transactional
def attach_provider_id(
    payment: RowOrKey[Payment], *, provider_payment_id: str, clock: Clock = timezone.now
) -> Payment:
    """Store the provider's id, once. Deliveries that arrived earlier take effect now.

    A manual payment has no provider: NotFound. Raises ProviderIdTaken, InvalidInput, NotFound.
    """
    key = parse_provider_id(provider_payment_id)
    payments = Payment.objects.exclude(provider=Payment.Provider.MANUAL)
    locked = LockedPayment.lock(get_or_refuse(payments, payment))
    row = locked.payment
    if row.provider_payment_id is None:
        store_provider_id(row, key)
        deliveries = PaymentWebhookEvent.objects.filter(
            provider=row.provider, provider_payment_id=key
        )
        ended = PaymentWebhookEvent.LastError.UNKNOWN_PAYMENT
        waiting = deliveries.filter(Q(processed_at=None) | Q(last_error=ended))
        # Refunds first: money that was given back already confirms no session.
        events = sorted(lock_rows(waiting), key=lambda event: event.event_type != REFUND)
        for event in events:
            apply_event(event, locked, clock=clock)
    elif row.provider_payment_id != key:
        raise ProviderIdTaken(payment=row.pk)
    return refresh(payment, row)


@transactional
def fail_payment(
    payment: RowOrKey[Payment], *, category: str, clock: Clock = timezone.now
) -> Payment:
    """Close a payment that the provider did not open. Repeatable.

    Money that arrives for it later is due back. Raises TransitionRefused, InvalidInput, NotFound.
    """
    category = parse_choice(category, Payment.FailureCategory, "category")
    row = LockedPayment.lock(get_or_refuse(Payment.objects.all(), payment)).payment
    if row.status == "pending":
        close_payment(row, "failed", category, clock=clock)
    elif (row.status, row.failure_category) != ("failed", category):
        raise TransitionRefused(entity="payments", id=row.pk, status=row.status, wanted="failed")
    return refresh(payment, row)


def store_provider_id(row: Payment, key: str) -> None:
    """Raises ProviderIdTaken if another payment has the id, or gets it first."""
    if Payment.objects.filter(provider=row.provider, provider_payment_id=key).exists():
        raise ProviderIdTaken(payment=row.pk)
    row.provider_payment_id = key
    try:
        with transaction.atomic():
            row.save(update_fields=["provider_payment_id"])
    except IntegrityError as error:
        if constraint_of(error) != "payments_provider_payment_unique":
            raise
        raise ProviderIdTaken(payment=row.pk) from error


def check_same_payment(earlier: Payment, chain: Chain, purpose: str) -> Payment:
    """Returns the first payment of a repeated request. Raises IdempotencyConflict."""
    same = (earlier.provider, earlier.purpose) == (Payment.Provider.YOOKASSA, purpose)
    if not same or all(earlier.appointment_id != row.pk for row in chain):
        raise IdempotencyConflict(payment=earlier.pk)
    return earlier


def calculate_amount(row: Appointment, chain: Chain, purpose: str) -> int:
    """The amount of a new payment, whole roubles.

    Raises PaymentInProgress, NothingToPay, InvalidInput.
    """
    # Parts that staff took leave the rest to pay with the provider.
    payments = chain.payments.filter(provider=Payment.Provider.YOOKASSA)
    pending = payments.filter(status="pending").first()
    if pending is not None:
        raise PaymentInProgress(payment=pending.pk)
    balance = chain.balance()
    amount = row.price_amount - balance if purpose == "full" else row.deposit_amount
    already = payments.filter(status="succeeded", purpose=purpose).exists()
    if not amount or amount < 0 or already or (purpose == "deposit" and balance):
        raise NothingToPay(appointment=row.pk)
    if amount > MAX_AMOUNT:
        raise InvalidInput(field="amount")
    return amount
