"""Payments and refunds of the demo data, as the provider reports them."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

from booking.models import Appointment, Payment, Refund
from booking.services import (
    attach_provider_id,
    fail_payment,
    receive_webhook,
    record_manual_payment,
    record_refund,
    send_refund,
    start_payment,
)

from .world import World


def start(world: World, appointment: Appointment, purpose: str) -> Payment:
    """Open a payment and give it the provider's id."""
    payment = start_payment(
        appointment, purpose=purpose, idempotency_key=f"demo-{world.uuid()}", clock=world.clock
    )
    world.stamp(payment)
    world.pass_time(seconds=2)
    return attach_provider_id(
        payment, provider_payment_id=f"demo-{world.uuid()}", clock=world.clock
    )


def pay(world: World, appointment: Appointment, purpose: str) -> Payment:
    """Pay on the page of the provider, which takes a client some minutes."""
    payment = start(world, appointment, purpose)
    world.pass_time(seconds=40 + world.random.randrange(180))
    return deliver_success(world, payment)


def pay_rest_later(world: World, appointment: Appointment) -> None:
    """Pay what the deposit leaves on the evening before, unless the session was canceled."""

    def pay_rest() -> None:
        appointment.refresh_from_db()
        if appointment.status == "confirmed":
            pay(world, appointment, "full")

    day_before = appointment.start_at_utc.astimezone(world.zone).date() - timedelta(days=1)
    world.at(world.on(day_before, 20, world.random.randrange(60)), pay_rest)


def deliver_success(world: World, payment: Payment) -> Payment:
    deliver(world, payment, "payment.succeeded", receipt_status=choose_receipt(world))
    return payment


def choose_receipt(world: World) -> str | None:
    """The status of the tax receipt. The practice has issued receipts for five weeks."""
    age = world.now - world.time
    if age > timedelta(weeks=5):
        return None
    if age < timedelta(weeks=1):
        return "pending"
    return "canceled" if world.random.random() < 0.05 else "succeeded"


def decline(world: World, appointment: Appointment, purpose: str, category: str) -> None:
    """Start a payment that the provider ends without success."""
    payment = start(world, appointment, purpose)
    world.pass_time(seconds=90)
    deliver(world, payment, "payment.canceled", failure_category=category)


def break_off(world: World, appointment: Appointment, purpose: str, category: str) -> None:
    """Start a payment that the provider does not open."""
    payment = start_payment(
        appointment, purpose=purpose, idempotency_key=f"demo-{world.uuid()}", clock=world.clock
    )
    world.stamp(payment)
    world.pass_time(seconds=5)
    fail_payment(payment, category=category, clock=world.clock)


def deliver(world: World, payment: Payment, event_type: str, **values: Any) -> None:
    receive_webhook(
        event_type=event_type,
        provider_payment_id=str(payment.provider_payment_id),
        amount=payment.amount,
        currency=payment.currency,
        clock=world.clock,
        **values,
    )
    payment.refresh_from_db()


def take(
    world: World,
    appointment: Appointment,
    method: str,
    amount: int | None = None,
    outcome: str | None = None,
) -> None:
    """The psychologist takes money: ``amount`` roubles, or all that the price still lacks."""
    if amount is None:
        held = Payment.objects.filter(appointment=appointment.pk, status="succeeded")
        amount = appointment.price_amount - sum(payment.amount for payment in held)
    payment = record_manual_payment(
        appointment.pk,
        method=method,
        amount=amount,
        idempotency_key=f"demo-{world.uuid()}",
        outcome=outcome,
        actor=world.owner,
        clock=world.clock,
    )
    world.stamp(payment)


# -- refunds --------------------------------------------------------------------------------------


def refund_later(world: World, appointment: Appointment, *, hours: int) -> None:
    """The provider gives back what is due for the session, some hours from now."""
    world.at(world.time + timedelta(hours=hours), partial(give_back_due, world, appointment))


def give_back_due(world: World, appointment: Appointment) -> None:
    for refund in due_refunds(appointment):
        deliver_refund(world, refund.payment, refund.amount)


def give_back_part(world: World, appointment: Appointment, amount: int) -> None:
    """The psychologist transfers a part herself: the first refund ends, the rest stays due."""
    for refund in due_refunds(appointment):
        record_refund(
            refund.payment, amount=amount, id=world.uuid(), actor=world.owner, clock=world.clock
        )


def ask_for_refund(world: World, appointment: Appointment) -> None:
    """The provider was asked for the refund, and has not answered yet."""
    for refund in due_refunds(appointment):
        send_refund(
            refund,
            provider_refund_id=f"demo-{world.uuid()}",
            actor=world.owner,
            clock=world.clock,
        )


def due_refunds(appointment: Appointment) -> list[Refund]:
    due = Refund.objects.filter(payment__appointment=appointment, status="due")
    return list(due.select_related("payment").order_by("pk"))


def deliver_refund(world: World, payment: Payment, amount: int) -> None:
    receive_webhook(
        event_type="refund.succeeded",
        provider_payment_id=str(payment.provider_payment_id),
        object_id=f"demo-{world.uuid()}",
        amount=amount,
        currency=payment.currency,
        clock=world.clock,
    )
