"""Services, schedule, appointments, payments, intake forms, waitlist."""

from .appointments import Appointment
from .bookable import BookableSlot
from .exceptions import ScheduleException
from .metric_views import (
    BookingFunnelMetric,
    NoShowMetric,
    NoSlotsMetric,
    PaymentsMetric,
    RetentionMetric,
    RevenueMetric,
)
from .payments import Payment, ReceiptStatus
from .refunds import Refund
from .requests import IntakeForm, WaitlistRequest
from .schedule import AvailabilitySlot, ScheduleRule
from .services import Service
from .webhook_events import PaymentWebhookEvent

__all__ = [
    "Appointment",
    "AvailabilitySlot",
    "BookableSlot",
    "BookingFunnelMetric",
    "IntakeForm",
    "NoShowMetric",
    "NoSlotsMetric",
    "Payment",
    "PaymentWebhookEvent",
    "PaymentsMetric",
    "ReceiptStatus",
    "Refund",
    "RetentionMetric",
    "RevenueMetric",
    "ScheduleException",
    "ScheduleRule",
    "Service",
    "WaitlistRequest",
]
