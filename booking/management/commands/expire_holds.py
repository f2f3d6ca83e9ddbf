from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from booking.models import Appointment


class Command(BaseCommand):
    help = (
        "Cancel the holds that ran out unpaid and free their slots. Made for cron; safe to stop "
        "and to repeat, and any number of these may run."
    )
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        number = Appointment.objects.expire_holds()
        self.stdout.write(f"{number:,} hold{'' if number == 1 else 's'} expired.")
