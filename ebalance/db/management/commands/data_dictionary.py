from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ebalance.db.schema.dictionary import FILE, render


class Command(BaseCommand):
    help = "Write docs/data-dictionary.md from the declarations of the models."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--check", action="store_true", help="write nothing; fail when the file is stale"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        text = render()
        if FILE.is_file() and FILE.read_text(encoding="utf-8") == text:
            return
        if options["check"]:
            raise CommandError(f"{FILE.name} is stale: run `manage.py data_dictionary`.")
        FILE.write_text(text, encoding="utf-8")
        self.stdout.write(f"Wrote {FILE}.")
