from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from ebalance.commands import (
    LARGEST_BATCH,
    Number,
    OperatorCommand,
    StopSignals,
    choose_tables,
    format_rows,
    locked_table_is_named,
    progress,
)
from ebalance.db.encryption.rotation import Rotation, sealed_models, shares

from .keys import describe


class Command(OperatorCommand):
    help = (
        "Move all sealed values and blind indexes to the first key of their ring. Safe beside "
        "the running application, and to stop and start again; fails while one row remains "
        "under an old key."
    )
    dry_run = "open what would be moved, and write nothing"
    numbers = (
        Number("batch", "rows", 500, most=LARGEST_BATCH, help="rows per transaction (%(default)s)"),
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--table", action="append", metavar="NAME", help="this table only; may be repeated"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        known = {model._meta.db_table: model for model in sealed_models()}
        chosen = choose_tables(options["table"], known, "table with sealed columns")
        batch = options["batch"]
        with StopSignals() as stop, locked_table_is_named():
            rotations = [Rotation(model, batch=batch, stop=stop.asked) for model in chosen]
            for rotation in rotations:
                self.rehearse(rotation) if options["dry_run"] else self.rotate(rotation)
                stop.check()
        self.conclude(rotations, dry_run=options["dry_run"])

    def rotate(self, rotation: Rotation) -> None:
        remaining = rotation.remaining()
        if not remaining:
            rotation.end()  # a run that was killed may have left it open
            return
        with progress(rotation.name, remaining, rotation.begin()) as tick:
            rotation.run(tick)
        self.stdout.write(f"{rotation.name}: {format_rows(rotation.done)} moved.")
        self.list_skipped(rotation.refused, rotation.name)

    def rehearse(self, rotation: Rotation) -> None:
        if remaining := rotation.remaining():
            with progress(rotation.name, remaining) as tick:
                rotation.rehearse(tick)
            self.stdout.write(f"{rotation.name}: {format_rows(rotation.done)} would be moved.")
            self.list_skipped(rotation.refused, rotation.name)

    def conclude(self, rotations: list[Rotation], *, dry_run: bool) -> None:
        if dry_run:
            if left := sum(len(rotation.refused) for rotation in rotations):
                raise CommandError(f"{format_rows(left)} cannot be moved.")
            return
        # Checks all tables, not only the chosen ones: exit code 0 means that old keys may be
        # removed.
        known = [share for model in sealed_models() for share in shares(model)]
        old = [share for share in known if not share.is_current]
        if old:
            raise CommandError("\n".join(["Rows under an old key remain:", *map(describe, old)]))
        self.stdout.write("Everything is under the first key of its ring.")
