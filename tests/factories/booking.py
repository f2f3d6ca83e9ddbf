"""Services, schedule, appointments, payments, intake forms and waitlist requests."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import time, timedelta
from typing import Any

import factory
from django.utils import timezone

from booking.models import (
    Appointment,
    AvailabilitySlot,
    IntakeForm,
    Payment,
    PaymentWebhookEvent,
    Refund,
    ScheduleException,
    ScheduleRule,
    Service,
    WaitlistRequest,
)
from ebalance.db.encryption.fields import Plaintext

from .base import ZONE, EntityFactory, ahead, now, secret, today
from .identity import UserFactory
from .payloads import PAYLOADS

PRICE, DEPOSIT = 5000, 1000
SESSION = timedelta(minutes=50)

# Every appointment has its own three hours, enough for the longest break too. Past appointments
# lie in the last week, the others in the next one.
NEXT_WEEK = timezone.now().replace(minute=0, second=0, microsecond=0) + timedelta(days=7)
LAST_WEEK = NEXT_WEEK - timedelta(days=14)
STEP = timedelta(hours=3)


class ServiceFactory(EntityFactory):
    slug = factory.Sequence(lambda n: f"individualnaya-konsultaciya-{n}")
    title = factory.Sequence(lambda n: f"Индивидуальная консультация {n}")
    description_markdown = "Встреча с психологом, 50 минут, онлайн."
    format = "online"
    duration_minutes = 50
    price_amount = PRICE
    deposit_amount = DEPOSIT
    cancel_free_hours = 24
    cancel_partial_hours = 6
    reschedule_min_hours = 12
    reschedule_max_count = 2

    class Meta:
        model = Service

    class Params:
        published = factory.Trait(status="published")
        archived = factory.Trait(status="archived")
        free = factory.Trait(price_amount=0, deposit_amount=None)


class ScheduleRuleFactory(EntityFactory):
    service = factory.SubFactory(ServiceFactory)
    weekday = 1
    start_local = time(10)
    end_local = time(14)
    timezone = ZONE
    recurrence = "weekly"
    valid_from = today()
    buffer_minutes = 10

    class Meta:
        model = ScheduleRule


class ScheduleExceptionFactory(EntityFactory):
    starts_on = today()
    ends_on = factory.LazyAttribute(lambda o: o.starts_on + timedelta(days=6))
    timezone = ZONE
    kind = "closed"

    class Meta:
        model = ScheduleException

    class Params:
        # Of each day.
        hours = factory.Trait(start_local=time(10), end_local=time(14))
        extra = factory.Trait(kind="open", hours=True)


class AvailabilitySlotFactory(EntityFactory):
    start_at_utc = factory.Sequence(lambda n: NEXT_WEEK + n * STEP)
    end_at_utc = factory.LazyAttribute(lambda o: o.start_at_utc + SESSION)

    class Meta:
        model = AvailabilitySlot

    class Params:
        reserved = factory.Trait(status="reserved")
        blocked = factory.Trait(status="blocked", block_type="exception")
        from_rule = factory.Trait(schedule_rule=factory.SubFactory(ScheduleRuleFactory))
        withdrawn = factory.Trait(status="withdrawn", from_rule=True)
        from_calendar = factory.Trait(
            source="google_calendar",
            external_event_id=factory.Sequence(lambda n: f"calendar-event-{n}"),
        )


HOLD = {
    "status": "pending_payment",
    "hold_expires_at": lambda: ahead(minutes=15),
    "confirmed_at": None,
    "canceled_at": None,
    "outcome": None,
    "outcome_reason_category": None,
    "outcome_recorded_at": None,
    "outcome_recorded_by_role": None,
}
PAID = {**HOLD, "status": "paid", "hold_expires_at": None}
CONFIRMED = {**PAID, "status": "confirmed", "confirmed_at": timezone.now}


class AppointmentFactory(EntityFactory):
    """A client's hold; ``confirmed=True`` and the other traits move it to their state."""

    service = factory.SubFactory(ServiceFactory)
    client = factory.SubFactory(UserFactory)
    start_at_utc = factory.Sequence(lambda n: NEXT_WEEK + n * STEP)
    end_at_utc = factory.LazyAttribute(lambda o: o.start_at_utc + SESSION)
    timezone = ZONE
    format = "online"
    hold_expires_at = factory.LazyFunction(lambda: ahead(minutes=15))
    price_amount = PRICE
    deposit_amount = DEPOSIT
    entry_point = "seo"

    _steps_before = {
        "paid": [HOLD],
        "confirmed": [HOLD, PAID],
        "canceled": [HOLD],
        "rescheduled": [HOLD, PAID, CONFIRMED],
        "completed": [HOLD, PAID, CONFIRMED],
    }

    class Meta:
        model = Appointment

    class Params:
        held = factory.Trait(status="pending_payment")
        paid = factory.Trait(status="paid", hold_expires_at=None)
        confirmed = factory.Trait(status="confirmed", hold_expires_at=None, confirmed_at=now())
        canceled = factory.Trait(
            status="canceled",
            hold_expires_at=None,
            canceled_at=now(),
            outcome="canceled_by_client",
            outcome_recorded_at=now(),
            outcome_recorded_by_role="system",
        )
        rescheduled = factory.Trait(
            status="rescheduled",
            hold_expires_at=None,
            confirmed_at=now(),
            outcome="rescheduled",
            outcome_recorded_at=now(),
            outcome_recorded_by_role="assistant",
        )
        completed = factory.Trait(
            status="completed",
            start_at_utc=factory.Sequence(lambda n: LAST_WEEK - n * STEP),
            hold_expires_at=None,
            confirmed_at=factory.LazyAttribute(lambda o: o.start_at_utc - timedelta(days=1)),
            outcome="attended",
            outcome_recorded_at=factory.LazyAttribute(lambda o: o.end_at_utc),
            outcome_recorded_by_role="owner",
        )
        no_show = factory.Trait(
            completed=True, outcome="no_show", outcome_reason_category="unknown"
        )
        of_lead = factory.Trait(
            client=None, lead=factory.SubFactory("tests.factories.crm.LeadFactory")
        )
        free = factory.Trait(price_amount=0, deposit_amount=None)
        in_slot = factory.Trait(
            slot=factory.SubFactory(
                AvailabilitySlotFactory,
                reserved=True,
                start_at_utc=factory.SelfAttribute("..start_at_utc"),
                end_at_utc=factory.SelfAttribute("..end_at_utc"),
            )
        )

    @classmethod
    def before_move(cls, instance: Appointment, stop: Mapping[str, Any]) -> None:
        """Pay the deposit, or the price without one, unless something was paid."""
        is_paid = instance.payments.filter(status="succeeded").exists()
        if stop.get("status") not in ("paid", "confirmed") or is_paid or not instance.price_amount:
            return
        if instance.deposit_amount is None:
            PaymentFactory(
                appointment=instance, succeeded=True, purpose="full", amount=instance.price_amount
            )
        else:
            PaymentFactory(appointment=instance, succeeded=True, amount=instance.deposit_amount)


PENDING = {"status": "pending", "confirmed_at": None, "failure_category": None}


class PaymentFactory(EntityFactory):
    appointment = factory.SubFactory(AppointmentFactory)
    idempotency_key = factory.Sequence(lambda n: f"payment-{n}")
    purpose = "deposit"
    amount = DEPOSIT

    _steps_before = {"succeeded": [PENDING], "canceled": [PENDING], "failed": [PENDING]}

    class Meta:
        model = Payment

    class Params:
        full = factory.Trait(purpose="full", amount=PRICE)
        answered = factory.Trait(
            provider_payment_id=factory.Sequence(lambda n: f"{n:08x}-000f-5000-9000-1edaf29243f2")
        )
        succeeded = factory.Trait(answered=True, status="succeeded", confirmed_at=now())
        canceled = factory.Trait(answered=True, status="canceled", failure_category="canceled")
        failed = factory.Trait(status="failed", failure_category="timeout")
        manual = factory.Trait(
            provider="manual",
            method="transfer",
            recorded_by=factory.SubFactory(UserFactory),
            purpose="full",
            status="succeeded",
            confirmed_at=now(),
        )

    @classmethod
    def _create(cls, model_class: type[Payment], *args: Any, **kwargs: Any) -> Payment:
        if kwargs.get("provider") == "manual":  # no step before it
            return model_class._default_manager.create(**kwargs)
        return super()._create(model_class, *args, **kwargs)


class RefundFactory(EntityFactory):
    payment = factory.SubFactory(PaymentFactory)
    amount = 400
    reason = "canceled"

    _steps_before = {
        "sent": [{"status": "due", "sent_at": None}],
        "failed": [{"status": "due", "sent_at": None}],
    }

    class Meta:
        model = Refund

    class Params:
        sent = factory.Trait(status="sent", sent_at=now())
        succeeded = factory.Trait(
            status="succeeded",
            succeeded_at=now(),
            provider_refund_id=factory.Sequence(lambda n: f"refund-{n:08x}"),
        )
        failed = factory.Trait(status="failed", sent_at=now())


class PaymentWebhookEventFactory(EntityFactory):
    provider = "yookassa"
    provider_event_id = factory.LazyAttribute(lambda o: f"{o.event_type}:{o.provider_payment_id}")
    event_type = "payment.succeeded"
    provider_payment_id = factory.Sequence(lambda n: f"{n:08x}-000f-5000-9000-1edaf29243f2")

    class Meta:
        model = PaymentWebhookEvent

    class Params:
        processed = factory.Trait(processed_at=now(), attempts=1)


class IntakeFormFactory(EntityFactory):
    appointment = factory.SubFactory(AppointmentFactory)
    payload_encrypted = secret(PAYLOADS["intake"])

    class Meta:
        model = IntakeForm

    class Params:
        submitted = factory.Trait(status="submitted", submitted_at=now())


NEW = {"status": "new", "closed_at": None}


class WaitlistRequestFactory(EntityFactory):
    user = factory.SubFactory(UserFactory)
    service = factory.SubFactory(ServiceFactory)
    preferred_contact = "email"
    contact_value_encrypted = factory.Sequence(lambda n: Plaintext(f"client{n}@example.com"))
    preferred_time_window = "weekday_evening"

    _steps_before = {"contacted": [NEW], "closed": [NEW]}

    class Meta:
        model = WaitlistRequest

    class Params:
        contacted = factory.Trait(status="contacted")
        closed = factory.Trait(status="closed", closed_at=now())
