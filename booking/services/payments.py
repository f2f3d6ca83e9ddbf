"""The verbs of payments (states.md, "Payments"): a payment is asked for once and decided once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from django.db import connection, transaction
from django.utils.timezone import now as wall_clock

from audit.services import publish_event
from ebalance.db.querysets import EntityQuerySet
from ebalance.services import (
    Clock,
    IdempotencyConflict,
    InvalidInput,
    RowOrKey,
    TransitionRefused,
    get_or_refuse,
    lock_or_refuse,
    lock_rows,
    transactional,
)

from ..errors import (
    HoldExpired,
    NothingToPay,
    PaymentInProgress,
    ProviderIdTaken,
    SlotTaken,
)
from . import calendar
from .announcements import refund_is_due, tell, track
from .appointments import confirm, successor
from .calendar import Time
from .chains import Chain

if TYPE_CHECKING:
    from datetime import datetime

    from ..models import Appointment, Payment

LARGEST_AMOUNT = 1_000_000_000  # roubles; what an event may hold (events.json, int)


class PaymentQuerySet(EntityQuerySet):
    @transactional
    def start(
        self,
        *,
        appointment: RowOrKey[Appointment],
        purpose: str,
        idempotency_key: str,
        clock: Clock = wall_clock,
    ) -> Payment:
        """Open a payment, to be asked for at the provider under ``idempotency_key``.

        ``purpose`` deposit: the deposit agreed; full: what of the price has not come in yet. It
        stands at the first appointment of the chain. The same key again returns the same payment.

        Raises HoldExpired, PaymentInProgress, NothingToPay, TransitionRefused,
        IdempotencyConflict, InvalidInput, NotFound.
        """
        key = calendar.request_key(idempotency_key)
        if purpose not in self.model.Purpose.values:
            raise InvalidInput(field="purpose")
        row = get_or_refuse(appointment_model().objects.all(), appointment)
        chain = Chain.locked(appointment_model().objects.all(), row.pk)
        earlier = self.filter(idempotency_key=key).first()
        if earlier is not None:
            return same_payment(earlier, chain, purpose)
        row, now = chain[row.pk], clock()
        if row.status == "pending_payment":
            if calendar.is_stale(row, now):
                raise HoldExpired(appointment=row.pk)
        elif row.status not in ("paid", "confirmed"):
            raise TransitionRefused(
                entity="appointments", id=row.pk, status=row.status, wanted="paid"
            )
        payment = self.model(
            appointment=chain.first,
            idempotency_key=key,
            purpose=purpose,
            amount=amount_to_pay(row, chain, purpose),
        )
        # Under the chain's lock only the key can be met: in a payment of another appointment.
        self.bulk_create([payment], ignore_conflicts=True)
        placed = self.filter(idempotency_key=key).get()
        if placed.pk != payment.pk:
            return same_payment(placed, chain, purpose)
        publish_event(
            "payment_started",
            placed,
            amount=placed.amount,
            currency=placed.currency,
            purpose=purpose,
            appointment_id=row.pk,
        )
        track(
            "payment_started",
            row,
            payment_provider=placed.provider,
            amount=placed.amount,
            currency=placed.currency,
            clock=clock,
        )
        return placed


class PaymentVerbs:
    """Each reads the row again under its lock, and brings ``self`` up to date."""

    @transactional
    def attach_provider_id(self, *, provider_payment_id: str, clock: Clock = wall_clock) -> Self:
        """Note the provider's id, once; what the provider has said about it before takes effect.

        Raises ProviderIdTaken, InvalidInput, NotFound.
        """
        from ..models import PaymentWebhookEvent

        key = provider_key(provider_payment_id)
        deliveries_wait(self.provider, key)
        payments = type(self).objects.all()
        row = lock_or_refuse(payments, self.pk)
        if row.provider_payment_id is None:
            if payments.filter(provider=row.provider, provider_payment_id=key).exists():
                raise ProviderIdTaken(payment=row.pk)
            row.provider_payment_id = key
            row.save(update_fields=["provider_payment_id"])
            waiting = PaymentWebhookEvent.objects.filter(
                provider=row.provider, provider_payment_id=key, processed_at=None
            )
            for event in lock_rows(waiting):
                event.take_effect(clock=clock)
        elif row.provider_payment_id != key:
            raise ProviderIdTaken(payment=row.pk)
        self.refresh_from_db()
        return self

    @transactional
    def fail(self, *, category: str, clock: Clock = wall_clock) -> Self:
        """Close a payment that the provider would not open. Repeatable.

        Money that comes for it all the same is due back. Raises TransitionRefused, InvalidInput,
        NotFound.
        """
        if category not in self.FailureCategory.values:
            raise InvalidInput(field="category")
        row = lock_or_refuse(type(self).objects.all(), self.pk)
        if row.status == "pending":
            close(row, "failed", category, clock=clock)
        elif (row.status, row.failure_category) != ("failed", category):
            raise TransitionRefused(
                entity="payments", id=row.pk, status=row.status, wanted="failed"
            )
        self.refresh_from_db()
        return self


def appointment_model() -> type[Appointment]:
    from ..models import Appointment

    return Appointment


def provider_key(value: object) -> str:
    return calendar.given_text(value, "provider_payment_id")


def deliveries_wait(provider: str, provider_payment_id: str) -> None:
    """One at a time until the transaction ends: whatever concerns this payment of the provider.

    Its first delivery may come before its id is known, so that there is no row to lock.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))",
            [f"payments:{provider}:{provider_payment_id}"],
        )


def same_payment(earlier: Payment, chain: Chain, purpose: str) -> Payment:
    """The first payment of a repeated request. Raises IdempotencyConflict."""
    if earlier.purpose != purpose or all(earlier.appointment_id != row.pk for row in chain):
        raise IdempotencyConflict(payment=earlier.pk)
    return earlier


def amount_to_pay(row: Appointment, chain: Chain, purpose: str) -> int:
    """Whole roubles. Raises PaymentInProgress, NothingToPay, InvalidInput."""
    pending = chain.payments.filter(status="pending").first()
    if pending is not None:
        raise PaymentInProgress(payment=pending.pk)
    paid = chain.paid()
    amount = row.price_amount - paid if purpose == "full" else row.deposit_amount
    already = chain.payments.filter(status="succeeded", purpose=purpose).exists()
    if not amount or amount < 0 or already or (purpose == "deposit" and paid):
        raise NothingToPay(appointment=row.pk)
    if amount > LARGEST_AMOUNT:
        raise InvalidInput(field="amount")
    return amount


def succeed(payment: Payment, *, clock: Clock) -> str | None:
    """The money of a locked payment has come in, as much as was asked for.

    Its appointment is confirmed; if its time is lost, the money is due back. Returns the
    last_error to note with the delivery, if any.
    """
    if payment.status == "succeeded":
        return None
    if payment.status != "pending":
        # Closed before, and that is final: nobody has a session for this money.
        refund_is_due(payment, payment.amount, "already_over")
        return "out_of_order"
    chain = Chain.locked(appointment_model().objects.all(), payment.appointment_id)
    if chain.payments.filter(
        appointment=payment.appointment_id, purpose=payment.purpose, status="succeeded"
    ).exists():
        # Two payments for one thing, which start() never opens.
        close(payment, "canceled", "unknown", clock=clock)
        refund_is_due(payment, payment.amount, "duplicate")
        return None
    payment.status, payment.confirmed_at = "succeeded", clock()
    payment.save(update_fields=["status", "confirmed_at"])
    publish_event(
        "payment_succeeded",
        payment,
        amount=payment.amount,
        currency=payment.currency,
        purpose=payment.purpose,
        appointment_id=payment.appointment_id,
    )
    row = seat(chain, clock=clock)
    if row is None:
        refund_is_due(payment, payment.amount, "time_gone")
        return None
    track(
        "booking_paid",
        row,
        payment_provider=payment.provider,
        amount=payment.amount,
        currency=payment.currency,
        clock=clock,
    )
    if row.status == "paid":
        confirm(row, chain, clock=clock)
    if (over := chain.paid() - row.price_amount) > 0:
        refund_is_due(payment, min(over, payment.amount), "overpaid")
    return None


def seat(chain: Chain, *, clock: Clock) -> Appointment | None:
    """The appointment that the money of this chain is for, paid or confirmed; None if it is lost.

    A hold that ran out still has its time while nobody has taken it. After that the time is
    taken anew, if it is free, by a row in place of the canceled one.
    """
    row, now = chain.last, clock()
    if row.status == "pending_payment" and has_its_time(row, now):
        pay(row)
    elif row.status == "pending_payment":
        # Nobody can pay for it any more, nor be given back twice what is given back now.
        calendar.expire(type(row).objects.all(), [row], now)
        calendar.hand_over(freed=[row.slot_id])
        return None
    elif row.status == "canceled" and row.outcome is None and row.start_at_utc > now:
        row = claim_again(row, now)
    return row if row is not None and row.status in ("paid", "confirmed", "completed") else None


def has_its_time(row: Appointment, now: datetime) -> bool:
    """Whether a hold can be paid. One that ran out is judged as if it had been swept."""
    if calendar.is_stale(row, now):
        return row.start_at_utc > now and not calendar.is_blocked(Time.of(row))
    return row.end_at_utc > now


def pay(row: Appointment) -> None:
    row.status = "paid"
    row.save(update_fields=["status"])
    tell("appointment_paid", row)


def claim_again(row: Appointment, now: datetime) -> Appointment | None:
    rows = type(row).objects.all()
    time = calendar.without_lost_slot(Time.of(row))
    if calendar.is_blocked(time):
        return None
    try:
        with transaction.atomic():
            again = calendar.place(
                rows, successor(row, time, status="pending_payment", hold_expires_at=now), now
            )
    except SlotTaken:
        return None
    pay(again)
    return again


def close(payment: Payment, status: str, category: str, *, clock: Clock) -> None:
    """A locked payment comes to nothing. Its appointment keeps its hold, to be paid otherwise."""
    payment.status, payment.failure_category = status, category
    payment.save(update_fields=["status", "failure_category"])
    publish_event(
        "payment_failed",
        payment,
        failure_category=category,
        appointment_id=payment.appointment_id,
    )
    track(
        "payment_failed",
        payment.appointment,
        payment_provider=payment.provider,
        failure_category=category,
        clock=clock,
    )
