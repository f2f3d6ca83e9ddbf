"""Money that staff take by transfer, card or cash (states.md, "Staff (1.1)")."""

from __future__ import annotations

from datetime import datetime

from django.utils import timezone

from ebalance.db import lengths
from ebalance.services import (
    Clock,
    IdempotencyConflict,
    RowOrKey,
    parse_choice,
    parse_external_id,
    transactional,
)
from identity.models import User

from ..errors import HoldExpired, NothingToPay, Overpayment, SlotTaken
from ..models import Appointment, Payment
from .appointments import record_outcome, transition_refused
from .calendar import SessionTime, is_blocked
from .chains import Chain
from .events import announce_start
from .holds import is_expired_hold
from .inputs import parse_roubles, require_named
from .settlement import book_expired_hold_again, conclude_payment, mark_paid, publish_success


@transactional
def record_manual_payment(
    appointment: RowOrKey[Appointment],
    *,
    method: str,
    amount: int,
    idempotency_key: str,
    outcome: str | None = None,
    actor: User,
    clock: Clock = timezone.now,
) -> Payment:
    """Record money that ``actor`` took: it succeeds at once, and confirms a hold that it pays for.

    ``amount``: whole roubles, at most the part of the price that is not held yet; a session may be
    paid in parts. A hold waits until its deposit, or its price, is held. A hold that ran out is
    paid only in full of that, and only while its time is free, also if it is past. With ``outcome``
    (attended or no_show) the session is completed too. The payment belongs to the first appointment
    of the chain, the last one decides. The same key again returns the same payment and changes
    nothing.

    Raises NotPermitted, HoldExpired, SlotTaken, NothingToPay, Overpayment, TransitionRefused for a
    session that was canceled, OutcomeTooEarly, IdempotencyConflict, InvalidInput, NotFound.
    """
    require_named(actor, "booking.record_payment")
    key = parse_external_id(idempotency_key, lengths.PROVIDER_ID, "idempotency_key")
    method = parse_choice(method, Payment.Method, "method")
    amount = parse_roubles(amount)
    chain = Chain.lock(appointment)
    chain.lock_payments()
    payment = Payment(
        appointment=chain.first,
        provider=Payment.Provider.MANUAL,
        method=method,
        recorded_by=actor,
        idempotency_key=key,
        purpose=Payment.Purpose.FULL,
        amount=amount,
        status=Payment.Status.SUCCEEDED,
    )
    earlier = Payment.objects.filter(idempotency_key=key).first()
    if earlier is not None:
        return check_same_manual_payment(earlier, payment, chain)
    now = clock()
    check_amount(chain, amount)
    is_waiting = check_payable(chain, amount, now)
    payment.confirmed_at = now
    # The chain is locked, so only a payment of another appointment can have the same key.
    Payment.objects.bulk_create([payment], ignore_conflicts=True)
    stored = Payment.objects.get(idempotency_key=key)
    if stored.pk != payment.pk:
        return check_same_manual_payment(stored, payment, chain)
    announce_start(stored, chain.last, clock=clock)
    publish_success(stored)
    row = chain.last
    if not is_waiting:
        row = claim_session(row, now)
        conclude_payment(stored, row, chain, clock=clock)
    if outcome is not None:
        record_outcome(row, outcome=outcome, actor=actor, clock=clock)
    return stored


def check_same_manual_payment(earlier: Payment, payment: Payment, chain: Chain) -> Payment:
    """Returns the first payment of a repeated request. Raises IdempotencyConflict."""
    terms = ("provider", "method", "amount")
    is_same = all(getattr(earlier, name) == getattr(payment, name) for name in terms)
    if not is_same or all(earlier.appointment_id != row.pk for row in chain):
        raise IdempotencyConflict(payment=earlier.pk)
    return earlier


def check_amount(chain: Chain, amount: int) -> None:
    """Raises NothingToPay, Overpayment."""
    row = chain.last
    left = row.price_amount - chain.balance()
    if left <= 0:
        raise NothingToPay(appointment=row.pk)
    if amount > left:
        raise Overpayment(appointment=row.pk, left=left)


def check_payable(chain: Chain, amount: int, now: datetime) -> bool:
    """Whether the session is a hold that still waits for money after this payment.

    Raises HoldExpired, TransitionRefused.
    """
    row = chain.last
    agreed = row.price_amount if row.deposit_amount is None else row.deposit_amount
    is_short = chain.balance() + amount < agreed
    match row.status:
        case "pending_payment" if not is_expired_hold(row, now):
            return is_short
        case "canceled" if row.outcome is not None:
            raise transition_refused(row, "paid")
        case "pending_payment" | "canceled" if is_short:
            raise HoldExpired(appointment=row.pk)
    return False


def claim_session(row: Appointment, now: datetime) -> Appointment:
    """The session that money of staff pays for: a hold becomes paid, one that ran out is booked
    again. Raises SlotTaken.
    """
    if row.status == "pending_payment":
        if is_expired_hold(row, now) and is_blocked(SessionTime.of(row)):
            raise SlotTaken(start=row.start_at_utc)
        mark_paid(row)
    elif row.status == "canceled":
        again = book_expired_hold_again(row, now)
        if again is None:
            raise SlotTaken(start=row.start_at_utc)
        return again
    return row
