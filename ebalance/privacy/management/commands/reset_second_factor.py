from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from ebalance.commands import OperatorCommand
from ebalance.privacy.lookup import PersonNotFound, find_person
from identity.services import reset_second_factor


class Command(OperatorCommand):
    help = (
        "Remove the second factor of a person who lost the phone and the recovery codes. Ends "
        "their sessions; the next login sets up another one. The audit log records it. Make sure "
        "first that it is the person who asks."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user", metavar="USER", help="id, e-mail, phone or Telegram id")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            person = find_person(options["user"])
        except PersonNotFound as error:
            raise CommandError(str(error)) from None
        if reset_second_factor(person):
            self.stdout.write("Removed. The next login sets up another second factor.")
        else:
            self.stdout.write("This person has no second factor.")
