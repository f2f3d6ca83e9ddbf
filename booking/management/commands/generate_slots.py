from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from booking.services import generate_slots
from booking.services.offers import LONGEST_PERIOD, YEARS
from ebalance.commands import OperatorCommand
from ebalance.services import Refused


class Command(OperatorCommand):
    help = (
        "Create the slots that the schedule rules offer in the coming days, and withdraw free ones "
        "that no rule offers any more. Made for cron; safe to repeat. Fails if the slots of a rule "
        "were not made."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--from", dest="first", metavar="DATE", help="first day, YYYY-MM-DD (default: today)"
        )
        parser.add_argument(
            "--days", default="60", metavar="N", help="number of days, 1 to 366 (%(default)s)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        first, days = _day(options["first"]), _days(options["days"])
        last = first + timedelta(days=days - 1)
        try:
            slots = generate_slots(first, last)
        except Refused as refusal:
            raise CommandError(str(refusal)) from None
        self.stdout.write(
            f"{first} to {last}: {slots.created} slots made, {slots.restored} offered again, "
            f"{slots.withdrawn} withdrawn; left out: {slots.past} past, {slots.blocked} blocked, "
            f"{slots.booked} booked, {slots.offered} there already."
        )
        self.list_skipped(slots.skipped, "schedule_rules")
        self.fail_if_skipped(len(slots.skipped))


def _day(text: str | None) -> date:
    if text is None:
        # The day in the last zone, UTC-12. Slots in the past are left out anyway.
        return (timezone.now() - timedelta(hours=12)).date()
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise CommandError(f"{text[:20]!r} is no day: YYYY-MM-DD.") from None
    if not YEARS.start <= day.year < YEARS.stop - 1:
        raise CommandError(f"{text!r} is no day of this age.")
    return day


def _days(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text[:9]) <= LONGEST_PERIOD:
        raise CommandError(f"{text[:20]!r} is no number of days: 1 to {LONGEST_PERIOD}.")
    return int(text)
