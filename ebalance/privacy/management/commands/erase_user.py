from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import transaction
from django.utils import translation

from ebalance.commands import OperatorCommand
from ebalance.privacy.erasure import Erased, erase_user, ledger
from ebalance.privacy.lookup import PersonNotFound, find_person
from ebalance.services import Refused
from identity.models import ErasureLedgerEntry, User


class Command(OperatorCommand):
    help = (
        "Erase a person for good, in one transaction, and record it in the ledger of erasures. A "
        "repeated call removes what was written since."
    )
    dry_run = "list what would be removed; change nothing"

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("user", metavar="USER", help="id, e-mail, phone or Telegram id")
        parser.add_argument(
            "--force", action="store_true", help="cancel paid and confirmed sessions ahead"
        )
        parser.add_argument(
            "--method",
            choices=ErasureLedgerEntry.Method.values,
            default="admin",
            help="who started it (default: %(default)s)",
        )
        parser.add_argument("--yes", action="store_true", help="do not ask for confirmation")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            user = find_person(options["user"])
        except PersonNotFound as error:
            raise CommandError(str(error)) from None
        if options["dry_run"]:
            with transaction.atomic():
                erased = self.erased(user, options)
                transaction.set_rollback(True)
            self.print_result(erased, "would be", options["dry_run"])
            return
        write_file()  # first, because the ledger file must be writable before anything is erased
        if not options["yes"]:
            self.confirm(user)
        self.print_result(self.erased(user, options), "", options["dry_run"])
        write_file()

    def erased(self, user: User, options: dict[str, Any]) -> Erased:
        try:
            return erase_user(user, method=options["method"], force=options["force"])
        except Refused as refusal:
            raise CommandError(f"Nothing was changed. {in_english(refusal)}") from None

    def confirm(self, user: User) -> None:
        """Ask at a terminal. The question shows the id, not the name."""
        if not sys.stdin.isatty():
            return
        answer = input(f"Erase the person {user.pk}, for good? Type yes: ")
        if answer.strip().lower() != "yes":
            raise CommandError("Nothing was changed.")

    def print_result(self, erased: Erased, would: str, is_rehearsal: bool) -> None:
        for table, rows in sorted(erased.counts.items()):
            self.stdout.write(f"{rows:>8,} {table}")
        for session in erased.canceled:
            refund = f", {session.refund_amount} roubles due back" if session.refund_amount else ""
            self.stdout.write(
                f"Session {session.appointment} of {session.start:%Y-%m-%d %H:%M} UTC "
                f"{would or 'was'} canceled{refund}."
            )
        for lead in erased.doubtful:
            self.stdout.write(
                f"Lead {lead} had a contact of this person and another contact: check to whom the "
                "rest of it belongs."
            )
        if not erased.rows:
            self.stdout.write(f"Nothing of {erased.subject} is left to erase.")
        elif is_rehearsal:
            self.stdout.write(f"{erased.subject} would be erased: {erased.rows:,} rows.")
        else:
            self.stdout.write(f"{erased.subject} is erased: {erased.rows:,} rows.")


def in_english(refusal: Refused) -> str:
    """The refusal's sentence in English, the language of all commands."""
    with translation.override("en"):
        return refusal.sentence


def write_file(also: Iterable[ledger.LedgerLine] = ()) -> None:
    """Bring the file of the ledger up to date. Raises CommandError."""
    try:
        ledger.sync_file(also)
    except OSError as error:
        raise CommandError(
            f"The file of ERASURE_LEDGER_FILE cannot be written: {error.strerror}."
        ) from None
