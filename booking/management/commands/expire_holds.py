from __future__ import annotations

from typing import Any

from booking.services import expire_holds
from ebalance.commands import OperatorCommand
from ebalance.failures import Skipped


class Command(OperatorCommand):
    help = (
        "Cancel the holds that expired unpaid and release their slots. Made for cron; safe to "
        "stop, to repeat and to run several times at once. Fails if a hold could not be canceled."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        skipped: Skipped = {}
        number = expire_holds(skipped=skipped)
        self.stdout.write(f"{number:,} hold{'' if number == 1 else 's'} expired.")
        self.list_skipped(skipped)
        self.fail_if_skipped(len(skipped))
