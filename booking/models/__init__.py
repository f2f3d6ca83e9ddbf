"""Services, schedule, appointments, payments, intake forms, waitlist."""

from .appointments import Appointment
from .messages import MessageDelivery
from .notes import SessionNote
from .payments import Payment, PaymentWebhookEvent
from .refunds import Refund
from .requests import IntakeForm, WaitlistRequest
from .schedule import AvailabilitySlot, ScheduleRule
from .services import Service

__all__ = [
    "Appointment",
    "AvailabilitySlot",
    "IntakeForm",
    "MessageDelivery",
    "Payment",
    "PaymentWebhookEvent",
    "Refund",
    "ScheduleRule",
    "Service",
    "SessionNote",
    "WaitlistRequest",
]
