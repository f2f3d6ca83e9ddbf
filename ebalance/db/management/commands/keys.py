from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from ebalance.db.encryption import keys, rotation


class Command(BaseCommand):
    help = "Show the keys in use, or generate a new one. Of stored keys, only the ids are shown."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        what = parser.add_subparsers(dest="what", required=True, metavar="status | generate ID")
        what.add_parser("status", help="the number of rows of each column by key")
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
    """One line: column, key, rows, and the state of the key."""
    line = f"{share.field.qualified_name:<46} {share.key_id:<16} {share.rows:>10,}"
    if share.is_current:
        return f"{line}  primary"
    return line if share.is_known else f"{line}  NOT IN THE RING"
