from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.management.base import CommandError, CommandParser
from django.db import transaction

from ebalance.commands import SHOWN, OperatorCommand, StopSignals, progress
from ebalance.failures import database_error, reason_of
from ebalance.privacy.erasure import Erased, erase_again, ledger
from ebalance.services import Refused
from identity.models import User

from .erase_user import in_english, write_file


class Command(OperatorCommand):
    help = (
        "After a restore from a backup: erase again everybody whom the ledger of erasures names, "
        "in its file or in its table. Safe to stop and to repeat; fails if a person could not "
        "be erased, or may have been missed. Sessions ahead are cancelled without notifications: "
        "these were sent when the sessions were cancelled the first time."
    )
    dry_run = "list the people who would be erased; change nothing"

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--ledger", metavar="FILE", help="another file than that of ERASURE_LEDGER_FILE"
        )
        parser.add_argument(
            "--no-file",
            action="store_true",
            help="use the table alone if there is no file: nobody was ever erased, or the file is "
            "lost",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        is_rehearsal = options["dry_run"]
        self.doubts: list[str] = []
        by_subject = self.to_repeat(options["ledger"], is_without=options["no_file"])
        if not is_rehearsal:
            write_file(also=[line for lines in by_subject.values() for line in lines])
        outcomes: Counter[str] = Counter()
        with StopSignals() as stop, progress("erasure_ledger", len(by_subject)) as tick:
            for subject, lines in by_subject.items():
                stop.check("a person")
                outcomes[self.repeat(subject, lines, is_rehearsal)] += 1
                tick(1)
        self.conclude(outcomes, is_rehearsal)

    def to_repeat(
        self, file: str | None, *, is_without: bool
    ) -> dict[UUID, list[ledger.LedgerLine]]:
        """The lines of the file and of the table by person, the oldest first."""
        default = ledger.default_file()
        path = default if file is None else Path(file)
        if not path.is_file() and file is not None:
            raise CommandError(f"There is no file {file}.")
        # A refused erasure may have created an empty file in place of the lost one.
        is_lost = not path.is_file() or (path == default and path.stat().st_size == 0)
        if is_lost and not is_without:
            raise CommandError(
                f"There is no file {path}, or it is empty: the erasures since the backup are not "
                "known. Nothing was changed. If nobody was ever erased, or the file is "
                "lost, pass --no-file."
            )
        lines: list[ledger.LedgerLine] = []
        for source in dict.fromkeys([path, default]):
            lines += self.read(source)
        unique = ledger.unique_lines([*lines, *ledger.lines_of_table()])
        by_subject: dict[UUID, list[ledger.LedgerLine]] = {}
        for line in sorted(unique, key=lambda line: line.requested_at):
            by_subject.setdefault(line.subject_id, []).append(line)
        return by_subject

    def read(self, path: Path) -> list[ledger.LedgerLine]:
        try:
            lines, missed = ledger.read_with_broken(path)
        except OSError as error:
            raise CommandError(f"{path} cannot be read: {error.strerror}.") from None
        if missed:
            numbers = ", ".join(map(str, missed[:SHOWN]))
            self.doubts.append(
                f"Whom these lines of {path} name is not known: {numbers}"
                f"{' and more' if len(missed) > SHOWN else ''}."
            )
        return lines

    def repeat(self, subject: UUID, lines: list[ledger.LedgerLine], is_rehearsal: bool) -> str:
        exists = User.objects.filter(pk=subject).exists()
        try:
            if is_rehearsal:
                with transaction.atomic():
                    erased = erase_again(lines)
                    transaction.set_rollback(True)
            else:
                erased = erase_again(lines)
        except Exception as error:
            if isinstance(error, Refused) and database_error(error) is None:
                reason = in_english(error)
            else:
                reason = reason_of(error)
            self.stderr.write(f"  {subject}: {reason}")
            return "refused"
        if not erased.rows:
            return "gone" if exists else "unknown"
        self.name(erased, is_rehearsal)
        return "erased"

    def name(self, erased: Erased, is_rehearsal: bool) -> None:
        would = "would be" if is_rehearsal else "was"
        for session in erased.canceled[:SHOWN]:
            self.stderr.write(
                f"  Session {session.appointment} of {session.start:%Y-%m-%d %H:%M} UTC {would} "
                "canceled without notifications; check that its payment was refunded."
            )

    def conclude(self, outcomes: Counter[str], is_rehearsal: bool) -> None:
        would = "would be erased" if is_rehearsal else "were erased again"
        sentences = {
            "erased": would,
            "gone": "are erased already",
            "unknown": "are unknown to this database",
        }
        self.write_counts(outcomes, sentences, always=sentences)
        if refused := outcomes["refused"]:
            self.doubts.append(f"{refused:,} could not be erased.")
        if self.doubts:
            raise CommandError("\n".join(self.doubts))
