from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.module_loading import import_string

from ebalance.db.schema import drift
from ebalance.db.schema.listing import schema_lines

# Named, not imported: a deployed server imports nothing of ebalance.dev.
WRITER = "ebalance.dev.schema_files.write_schema_files"


class Command(BaseCommand):
    help = "Print a listing of the database's schema, one line per object."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        group = parser.add_mutually_exclusive_group()
        group.add_argument(
            "--check",
            action="store_true",
            help=f"compare the database with {drift.FILE.name}; fail when an object differs",
        )
        group.add_argument(
            "--write",
            action="store_true",
            help=f"write {drift.FILE.name} and schema.sql, from migrations that are applied to an "
            "empty database of the bundled server (development only)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["write"]:
            self.write_files()
        elif options["check"]:
            self.check_schema()
        else:
            for line in schema_lines():
                self.stdout.write(line)

    def write_files(self) -> None:
        if settings.DEPLOYED:
            raise CommandError(
                "--write is for development: it makes a database on the bundled server."
            )
        for path in import_string(WRITER)():
            self.stdout.write(f"Wrote {path}.")

    def check_schema(self) -> None:
        if missing := drift.unapplied_migrations():
            raise CommandError(
                f"This database is not fully migrated: it lacks {len(missing)} migrations, the "
                f"first is {missing[0]}. Run `manage.py migrate`, then check again."
            )
        try:
            lines = drift.drift()
        except FileNotFoundError:
            raise CommandError(f"The file {drift.FILE} is missing.") from None
        for line in lines:
            self.stdout.write(line)
        if lines:
            raise CommandError(f"The schema differs from {drift.FILE.name}: {len(lines)} objects.")
        self.stdout.write(drift.AS_EXPECTED)
