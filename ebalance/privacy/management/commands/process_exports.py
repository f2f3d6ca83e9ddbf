from __future__ import annotations

from collections import Counter
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from ebalance.commands import SHOWN, StopSignals, progress, whole_number
from ebalance.privacy.exports import open_requests, process_export, storage
from identity.models import DataExportRequest

SENTENCES = {
    "ready": "are ready",
    "incomplete": "are ready, with values that could not be opened",
    "failed": "failed",
    "postponed": "have to wait: disk or database did not do their part",
    "gone": "are no longer wanted: the person was erased meanwhile",
    "elsewhere": "were at work elsewhere",
}
COMPLAINTS = ("incomplete", "failed", "postponed")


class Command(BaseCommand):
    help = (
        "Make the files of requested exports, the oldest first, and remove those that have "
        "expired. Several at once share the work; safe to stop and to repeat; fails when an "
        "export could not be made, or not completely."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--limit", metavar="N", help="so many at most (default: all that wait)")

    def handle(self, *args: Any, **options: Any) -> None:
        limit = options["limit"]
        if limit is not None:
            limit = whole_number(limit, "limit", of="exports")
        try:
            storage.prepare()
        except OSError as error:
            raise CommandError(
                f"The folder of EXPORTS_DIR cannot be used: {error.strerror}."
            ) from None
        waiting = open_requests()[:limit]
        came: Counter[str] = Counter()
        with (
            StopSignals() as stop,
            progress(DataExportRequest._meta.db_table, len(waiting)) as tick,
        ):
            for key in waiting:
                if stop.asked.is_set():
                    self.stdout.write("Stopped; the same command goes on from here.")
                    break
                outcome = process_export(key)
                came[outcome] += 1
                if outcome in COMPLAINTS and came[outcome] <= SHOWN:
                    self.stderr.write(f"  {key}: {outcome}; the log says why.")
                tick(1)
        for outcome, sentence in SENTENCES.items():
            if came[outcome] or outcome == "ready":
                self.stdout.write(f"{came[outcome]:>8,} {sentence}")
        if removed := storage.sweep(timezone.now()):
            self.stdout.write(f"{removed:>8,} files removed")
        if wrong := sum(came[outcome] for outcome in COMPLAINTS):
            raise CommandError(f"{wrong:,} exports could not be made, or not completely.")
