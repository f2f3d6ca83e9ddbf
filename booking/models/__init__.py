"""Services, schedule, appointments, payments, intake forms, waitlist."""

from .appointments import Appointment
from .payments import Payment, ReceiptStatus
from .refunds import Refund
from .requests import IntakeForm, WaitlistRequest
from .schedule import AvailabilitySlot, ScheduleRule
from .services import Service
from .webhook_events import PaymentWebhookEvent

__all__ = [
    "Appointment",
    "AvailabilitySlot",
    "IntakeForm",
    "Payment",
    "PaymentWebhookEvent",
    "ReceiptStatus",
    "Refund",
    "ScheduleRule",
    "Service",
    "WaitlistRequest",
]
