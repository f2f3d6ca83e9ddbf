"""Services of booking and payment (docs/write-paths.md).

The chain and the calendar, shared by several of them, are in modules of their own.
"""

from .appointments import (
    Cancellation,
    cancel_appointment,
    confirm_appointment,
    correct_outcome,
    record_outcome,
    reschedule_appointment,
)
from .bookings import book_appointment
from .holds import expire_holds
from .intake import save_intake_draft, submit_intake_form
from .manual_payments import record_manual_payment
from .payments import attach_provider_id, fail_payment, start_payment
from .periods import Period, close_period, open_period, remove_exception
from .schedule import GeneratedSlots, generate_slots
from .slots import block_slot, unblock_slot
from .staff_bookings import book_for_client
from .staff_refunds import record_refund, send_refund
from .waitlist import (
    close_waitlist_request,
    mark_waitlist_request_contacted,
    submit_waitlist_request,
)
from .webhooks import process_webhook, receive_webhook

__all__ = [
    "Cancellation",
    "GeneratedSlots",
    "Period",
    "attach_provider_id",
    "block_slot",
    "book_appointment",
    "book_for_client",
    "cancel_appointment",
    "close_period",
    "close_waitlist_request",
    "confirm_appointment",
    "correct_outcome",
    "expire_holds",
    "fail_payment",
    "generate_slots",
    "mark_waitlist_request_contacted",
    "open_period",
    "process_webhook",
    "receive_webhook",
    "record_manual_payment",
    "record_outcome",
    "record_refund",
    "remove_exception",
    "reschedule_appointment",
    "save_intake_draft",
    "send_refund",
    "start_payment",
    "submit_intake_form",
    "submit_waitlist_request",
    "unblock_slot",
]
