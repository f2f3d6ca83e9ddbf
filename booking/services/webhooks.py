"""The inbox of the payment provider (states.md, "Payments").

YooKassa sends events without an id of their own and repeats them for 24 hours until it gets HTTP
200: what makes a delivery the same is the kind of event and the id of its object.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING
from uuid import UUID

from django.db import OperationalError, connection, transaction
from django.utils.timezone import now as wall_clock

from audit.services import publish_event
from ebalance.db.querysets import EntityQuerySet
from ebalance.services import Clock, InvalidInput, lock_rows, transactional

from . import payments
from .calendar import given_text
from .payments import deliveries_wait, provider_key

if TYPE_CHECKING:
    from ..models import Payment, PaymentWebhookEvent

logger = logging.getLogger(__name__)

LARGEST = Decimal(10**10)
# As payment_webhook_events wants them.
EVENT_TYPE = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*")
CURRENCY = re.compile(r"[A-Z]{3}")


class WebhookEventQuerySet(EntityQuerySet):
    @transactional
    def receive(
        self,
        *,
        event_type: str,
        provider_payment_id: str,
        amount: Decimal | int | str,
        currency: str | None,
        object_id: str | None = None,
        failure_category: str = "canceled",
        provider: str = "yookassa",
        clock: Clock = wall_clock,
    ) -> PaymentWebhookEvent:
        """Take in one delivery: event, payment, appointment and outbox change together.

        ``amount`` in roubles as the provider writes it ("3500.00"); ``object_id`` where the event
        is about something else than the payment (a refund); ``failure_category`` for a payment
        that was canceled. Answer the provider with success once this returns, whatever it returns:
        what could not take effect (``processed_at`` empty, ``last_error`` says why) is kept and
        tried again by process_webhooks. The same event again has no effect.

        Raises InvalidInput, and whatever makes the database unreachable: nothing is kept then, and
        the provider repeats it.
        """
        key = provider_key(provider_payment_id)
        told = amount_told(amount)
        if provider not in payment_model().Provider.values:
            raise InvalidInput(field="provider")
        if not EVENT_TYPE.fullmatch(given_text(event_type, "event_type")):
            raise InvalidInput(field="event_type")
        if currency is not None and not CURRENCY.fullmatch(given_text(currency, "currency")):
            raise InvalidInput(field="currency")
        if failure_category not in payment_model().FailureCategory.values:
            raise InvalidInput(field="failure_category")
        if event_type.startswith("payment.") and object_id not in (None, key):
            # The same event under another name would take effect again.
            raise InvalidInput(field="object_id")
        deliveries_wait(provider, key)
        event_id = f"{event_type}:{key if object_id is None else provider_key(object_id)}"
        event = self.model(
            provider=provider,
            provider_event_id=event_id,
            event_type=event_type,
            provider_payment_id=key,
            amount=told,
            currency=currency,
        )
        self.bulk_create([event], ignore_conflicts=True)
        (event,) = lock_rows(self.filter(provider=provider, provider_event_id=event_id))
        if event.processed_at is None:
            event.amount, event.currency = told, currency
            event.take_effect(failure_category=failure_category, clock=clock)
        return event

    def waiting(self) -> Iterator[UUID]:
        """Events that have not taken effect, the oldest first."""
        return (
            self.filter(processed_at=None)
            .order_by("received_at", "pk")
            .values_list("pk", flat=True)
            .iterator()
        )

    @transactional
    def process(self, key: UUID, *, clock: Clock = wall_clock) -> PaymentWebhookEvent | None:
        """Try one waiting event again; None when it is done, gone, or at work elsewhere."""
        event = self.filter(pk=key, processed_at=None).first()
        if event is None or not turn_is_free(event):
            return None
        for event in lock_rows(self.filter(pk=key, processed_at=None)):
            event.take_effect(clock=clock)
            return event
        return None


class WebhookEventVerbs:
    def take_effect(self, *, failure_category: str = "canceled", clock: Clock) -> None:
        """Apply a locked event and note what came of it. Nothing of a failed try remains."""
        before = self.last_error
        try:
            with transaction.atomic():
                error, done = self._apply(failure_category, clock=clock)
        except OperationalError:
            raise  # the transaction is lost, and with it this try
        except Exception:
            logger.exception("A payment notification could not be handled: %s", self.pk)
            error, done = "internal", False
        if error == "amount_mismatch" != before:
            publish_event(
                "payment_amount_mismatch", self, event_type_code=self.event_type.replace(".", "_")
            )
        self.attempts += 1
        self.last_error = error
        self.processed_at = clock() if done else None
        self.save(update_fields=["amount", "currency", "attempts", "last_error", "processed_at"])

    def _apply(self, failure_category: str, *, clock: Clock) -> tuple[str | None, bool]:
        """Returns last_error, and whether nothing is left to be done."""
        payment = self._payment()
        if payment is None:
            return "unknown_payment", False
        match self.event_type:
            case "payment.succeeded":
                if not self._agrees_with(payment):
                    return "amount_mismatch", False
                return payments.succeed(payment, clock=clock), True
            case "payment.waiting_for_capture":
                if not self._agrees_with(payment):
                    return "amount_mismatch", False
                if payment.status == "pending":
                    publish_event("payment_to_capture", payment, amount=payment.amount)
            case "payment.canceled":
                if payment.status == "pending":
                    payments.close(payment, "canceled", failure_category, clock=clock)
            case "refund.succeeded":
                publish_event("payment_refunded", payment, appointment_id=payment.appointment_id)
        return None, True

    def _payment(self) -> Payment | None:
        rows = payment_model().objects.filter(
            provider=self.provider, provider_payment_id=self.provider_payment_id
        )
        return next(iter(lock_rows(rows)), None)

    def _agrees_with(self, payment: Payment) -> bool:
        """A delivery that does not say how much was paid proves nothing."""
        return (self.amount, self.currency) == (payment.amount, payment.currency)


def payment_model() -> type[Payment]:
    from ..models import Payment

    return Payment


def amount_told(value: object) -> Decimal:
    """Roubles with at most two decimals. Raises InvalidInput."""
    try:
        amount = Decimal(value) if isinstance(value, int | str | Decimal) else None
        if amount is None or isinstance(value, bool) or not 0 <= amount < LARGEST:
            raise InvalidInput(field="amount")
        if amount != amount.quantize(Decimal("0.01")):
            raise InvalidInput(field="amount")
    except InvalidOperation:
        raise InvalidInput(field="amount") from None
    return amount


def turn_is_free(event: PaymentWebhookEvent) -> bool:
    """Whether nothing else about this payment is at work; if so, it is now ours (payments.py)."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))",
            [f"payments:{event.provider}:{event.provider_payment_id}"],
        )
        return cursor.fetchone()[0]
