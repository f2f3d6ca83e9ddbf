from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from ebalance.commands import SKIPPED, Number, OperatorCommand
from ebalance.privacy.exports import open_requests, process_export, storage
from identity.models import DataExportRequest

SENTENCES = {
    "ready": "are ready",
    "incomplete": "are ready, with values that could not be opened",
    "failed": "failed",
    "postponed": "are postponed: the disk or the database failed",
    "gone": "are dropped: the person was erased meanwhile",
    SKIPPED: "are skipped: they could not be written",
    "elsewhere": "are processed by another worker",
}
FAILURES = ("incomplete", "failed", "postponed")


class Command(OperatorCommand):
    help = (
        "Make the files of requested exports, the oldest first, and remove those that have "
        "expired. Several at once share the work; safe to stop and to repeat; fails when an "
        "export could not be made, or not completely."
    )
    numbers = (
        Number("limit", "exports", metavar="N", help="so many at most (default: all that wait)"),
    )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            storage.prepare()
        except OSError as error:
            raise CommandError(
                f"The folder of EXPORTS_DIR cannot be used: {error.strerror}."
            ) from None
        waiting = open_requests()[: options["limit"]]
        outcomes = self.work_off(
            waiting,
            process_export,
            table=DataExportRequest._meta.db_table,
            total=len(waiting),
            failures={outcome: f"{outcome}; the log has the reason." for outcome in FAILURES},
        )
        self.write_counts(outcomes, SENTENCES, always=["ready"])
        try:
            if removed := storage.sweep(timezone.now()):
                self.stdout.write(f"{removed:>8,} files removed")
        except OSError as error:
            raise CommandError(f"An expired file cannot be removed: {error.strerror}.") from None
        if wrong := sum(outcomes[outcome] for outcome in (*FAILURES, SKIPPED)):
            raise CommandError(f"{wrong:,} exports could not be made, or not completely.")
