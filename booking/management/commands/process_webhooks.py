from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from booking.models import PaymentWebhookEvent
from booking.services import process_webhook
from ebalance.commands import SKIPPED, Number, OperatorCommand

DONE, ENDED, ELSEWHERE = "done", "ended", "elsewhere"
# By the result of an event: done, its last_error, or locked by another transaction.
SENTENCES = {
    DONE: "took effect",
    "unknown_payment": "wait for a payment that is unknown so far",
    "amount_mismatch": "have an unexpected amount",
    "internal": "failed",
    ENDED: "ended: they had no effect for seven days",
    SKIPPED: "skipped: they could not be written",
    ELSEWHERE: "locked by another transaction",
}


class Command(OperatorCommand):
    help = (
        "Retry the notifications of the payment provider that have not taken effect and are due "
        "again, the oldest first. A notification without an effect for seven days ends. Safe to "
        "run beside live traffic, to stop and to repeat. Fails only if a notification could not "
        "be handled."
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
        due = PaymentWebhookEvent.objects.due(timezone.now())[: options["limit"]]
        outcomes = self.work_off(
            due,
            lambda key: _result(process_webhook(key)),
            table=PaymentWebhookEvent._meta.db_table,
            total=len(due),
            failures={"internal": "could not be handled; the log has the reason."},
        )
        self.write_counts(outcomes, SENTENCES, always=[DONE])
        if failed := outcomes["internal"] + outcomes[SKIPPED]:
            raise CommandError(f"{failed:,} could not be handled and will be retried.")


def _result(event: PaymentWebhookEvent | None) -> str:
    if event is None:
        return ELSEWHERE
    if event.processed_at is None:
        return str(event.last_error)
    return ENDED if event.has_ended else DONE
