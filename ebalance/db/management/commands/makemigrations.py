from __future__ import annotations

from pathlib import Path
from textwrap import fill
from typing import Any

from django.core.management.base import CommandError
from django.core.management.commands import makemigrations
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.writer import MigrationWriter

from ebalance.db.autodetector import SafeAutodetector
from ebalance.db.operations import Contract, SetNotNull
from ebalance.db.runner.safe_forms import preview

# Its rollback note is refused until it is complete: releases.fault_of_note.
DOCSTRING = '''"""TODO: what changes, and why.{hints}

Rollback note: TODO: run `…`; what is lost is ….
"""
'''
WIDTH = 99
HINTS = {
    Contract: (
        "Check its Contract: `expand` is the migration that replaces what is removed here, "
        "`released` the release that has it."
    ),
    SetNotNull: "SetNotNull fails on empty rows: an earlier migration has a Backfill of them.",
}


class Command(makemigrations.Command):
    """makemigrations that writes what production accepts, and warns of what it refuses."""

    autodetector = SafeAutodetector

    def handle(self, *app_labels: str, **options: Any) -> None:
        if options["update"]:
            # Its optimizer joins the steps of an operation, as AlterField and SetNotNull.
            raise CommandError("Delete the migration, and write it again without --update.")
        super().handle(*app_labels, **options)

    def write_migration_files(self, changes: Any, *args: Any) -> None:
        before = MigrationLoader(None, ignore_no_migrations=True).project_state()
        super().write_migration_files(changes, *args)
        for migration in (each for migrations in changes.values() for each in migrations):
            hints = [
                hint
                for kind, hint in HINTS.items()
                if any(isinstance(operation, kind) for operation in migration.operations)
            ]
            for hint in hints:
                self.log(self.style.WARNING(f"{migration}: {hint}"))
            if not (self.dry_run or migration.initial):
                _write_docstring(Path(MigrationWriter(migration).path), hints)
        for line in preview(changes, before, connection):
            self.log(self.style.WARNING(f"Production refuses: {line}"))


def _write_docstring(path: Path, hints: list[str]) -> None:
    """Replace the first comment of a written migration."""
    text = path.read_text(encoding="utf-8")
    code = text.partition("\n")[2] if text.startswith("#") else text
    lines = "".join("\n\n" + fill(f"TODO: {hint}", WIDTH) for hint in hints)
    path.write_text(DOCSTRING.format(hints=lines) + code, encoding="utf-8")
