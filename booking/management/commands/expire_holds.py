from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from booking.services import expire_holds


class Command(BaseCommand):
    help = (
        "Cancel the holds that expired unpaid and release their slots. Made for cron; safe to "
        "stop, to repeat and to run several times at once."
    )
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        number = expire_holds()
        self.stdout.write(f"{number:,} hold{'' if number == 1 else 's'} expired.")
