from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from booking.models import PaymentWebhookEvent
from booking.services import process_webhook
from ebalance.commands import SHOWN, StopSignals, progress, whole_number

DONE, ELSEWHERE = "done", "elsewhere"
# By the result of an event: done, its last_error, or locked by another transaction.
SENTENCES = {
    DONE: "took effect",
    "unknown_payment": "wait for a payment that is not known yet",
    "amount_mismatch": "have another amount than was asked for",
    "internal": "failed",
    ELSEWHERE: "were at work elsewhere",
}


class Command(BaseCommand):
    help = (
        "Try again the notifications of the payment provider that have not taken effect, the "
        "oldest first. Safe beside live traffic, to stop and to repeat; fails only when one of "
        "them could not be handled."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--limit", metavar="N", help="try so many at most (default: all that wait)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        limit = options["limit"]
        if limit is not None:
            limit = whole_number(limit, "limit", of="notifications")
        events = PaymentWebhookEvent.objects
        waiting = events.filter(processed_at=None)[:limit].count()
        came: Counter[str] = Counter()
        with (
            StopSignals() as stop,
            progress(PaymentWebhookEvent._meta.db_table, waiting) as tick,
        ):
            for key in islice(events.waiting(), limit):
                if stop.asked.is_set():
                    self.stdout.write("Stopped; the same command goes on from here.")
                    break
                result = _result(process_webhook(key))
                came[result] += 1
                if result == "internal" and came[result] <= SHOWN:
                    self.stderr.write(f"  {key}: could not be handled; the log says why.")
                tick(1)
        for result, sentence in SENTENCES.items():
            if came[result] or result == DONE:
                self.stdout.write(f"{came[result]:>8,} {sentence}")
        if failed := came["internal"]:
            raise CommandError(f"{failed:,} could not be handled and wait to be tried again.")


def _result(event: PaymentWebhookEvent | None) -> str:
    if event is None:
        return ELSEWHERE
    return DONE if event.processed_at is not None else str(event.last_error)
