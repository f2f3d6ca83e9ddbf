from __future__ import annotations

from itertools import islice
from typing import Any

from django.core.management.base import CommandError

from booking.models import PaymentWebhookEvent
from booking.services import process_webhook
from ebalance.commands import Number, OperatorCommand

DONE, ELSEWHERE = "done", "elsewhere"
# By the result of an event: done, its last_error, or locked by another transaction.
SENTENCES = {
    DONE: "took effect",
    "unknown_payment": "wait for a payment that is unknown so far",
    "amount_mismatch": "have an unexpected amount",
    "internal": "failed",
    ELSEWHERE: "locked by another transaction",
}


class Command(OperatorCommand):
    help = (
        "Retry the notifications of the payment provider that have not taken effect, the oldest "
        "first. Safe to run beside live traffic, to stop and to repeat. Fails only if a "
        "notification could not be handled."
    )
    numbers = (
        Number(
            "limit",
            "notifications",
            metavar="N",
            help="the maximum to retry (default: all that wait)",
        ),
    )

    def handle(self, *args: Any, **options: Any) -> None:
        limit = options["limit"]
        events = PaymentWebhookEvent.objects
        waiting = events.filter(processed_at=None)[:limit].count()
        outcomes = self.work_off(
            islice(events.waiting(), limit),
            lambda key: _result(process_webhook(key)),
            table=PaymentWebhookEvent._meta.db_table,
            total=waiting,
            failures={"internal": "could not be handled; the log has the reason."},
        )
        self.write_counts(outcomes, SENTENCES, always=[DONE])
        if failed := outcomes["internal"]:
            raise CommandError(f"{failed:,} could not be handled and will be retried.")


def _result(event: PaymentWebhookEvent | None) -> str:
    if event is None:
        return ELSEWHERE
    return DONE if event.processed_at is not None else str(event.last_error)
