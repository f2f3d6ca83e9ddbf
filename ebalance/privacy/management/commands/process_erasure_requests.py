from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError

from ebalance.commands import SKIPPED, Number, OperatorCommand
from ebalance.db.schema.privileges import RightsMissing, require_privileges
from ebalance.privacy.erasure.processing import process_erasure_request
from ebalance.privacy.erasure.requests import OWNER_ONLY, open_requests
from identity.models import ErasureRequest

from .erase_user import write_file

SENTENCES = {
    "done": "people were erased",
    "refused": "are refused; the page of each request has the reason",
    SKIPPED: "are skipped: they could not be carried out",
    "elsewhere": "were closed by another worker",
}


class Command(OperatorCommand):
    help = (
        "Erase the people whose erasure was requested in admin, the oldest request first. Needs "
        "the rights of the database's owner. Several at once are possible; safe to stop and to "
        "repeat; fails when a request could not be carried out, which then stays open."
    )
    numbers = (
        Number("limit", "requests", metavar="N", help="so many at most (default: all that wait)"),
    )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            require_privileges([(OWNER_ONLY, "UPDATE")], "an erasure")
        except RightsMissing as error:
            raise CommandError(str(error)) from None
        write_file()  # first, because the ledger file must be writable before anything is erased
        waiting = open_requests()[: options["limit"]]
        outcomes = self.work_off(
            waiting,
            process_erasure_request,
            table=ErasureRequest._meta.db_table,
            total=len(waiting),
            failures={"refused": "refused."},
        )
        write_file()
        self.write_counts(outcomes, SENTENCES, always=["done"])
        if skipped := outcomes[SKIPPED]:
            raise CommandError(f"{skipped:,} requests could not be carried out.")
