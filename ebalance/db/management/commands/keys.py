from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from ebalance.db.encryption import keys, rotation


class Command(BaseCommand):
    help = "Say which keys are in use, or make a new one. Of a key, only its id is ever shown."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        what = parser.add_subparsers(dest="what", required=True, metavar="status | generate ID")
        what.add_parser("status", help="how many rows of each column are under which key")
        generate = what.add_parser("generate", help="print a new entry for a ring")
        generate.add_argument("id", help="1 to 16 lower-case Latin letters and digits")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["what"] == "status":
            self.status()
            return
        try:
            self.stdout.write(keys.generate(options["id"]))
        except keys.BadKeys as error:
            raise CommandError(str(error)) from None

    def status(self) -> None:
        for purpose, ring in (
            ("Sealed columns", settings.ENCRYPTION_KEYS),
            ("Blind indexes", settings.BLIND_INDEX_KEYS),
        ):
            ids = [key.id for key in ring]
            self.stdout.write(f"{purpose}: {', '.join([f'{ids[0]} (primary)', *ids[1:]])}")
        self.stdout.write("")
        for model in rotation.sealed_models():
            for share in rotation.shares(model):
                self.stdout.write(describe(share))


def describe(share: rotation.Share) -> str:
    """One line: column, key, rows, and what is to be said about the key."""
    place = f"{share.field.place:<46} {share.key_id:<16} {share.rows:>10,}"
    if share.is_current:
        return f"{place}  primary"
    return place if share.is_known else f"{place}  NOT IN THE RING"
