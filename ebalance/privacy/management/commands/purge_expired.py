from __future__ import annotations

from datetime import datetime
from typing import Any

import psycopg
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError

from ebalance.commands import StopSignals, progress, rows_said, whole_number
from ebalance.db.management.commands.rotate_keys import LARGEST_BATCH
from ebalance.db.schema.data_map import Table
from ebalance.privacy import retention
from ebalance.privacy.retention import purge_of
from ebalance.services import Refused

LONGEST_PAUSE = 60_000  # milliseconds


class Command(BaseCommand):
    help = (
        "Remove the rows that have been kept as long as their tables declare "
        "(docs/data-dictionary.md says how long). Made for cron, as the owner of the tables; safe "
        "beside the running application, to stop and to repeat. Fails while something is left that "
        "should be gone."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only count; write nothing")
        parser.add_argument(
            "--batch",
            default="2000",
            metavar="ROWS",
            help=f"rows per transaction at most (%(default)s; up to {LARGEST_BATCH:,})",
        )
        parser.add_argument(
            "--table", action="append", metavar="NAME", help="this table only; may be repeated"
        )
        parser.add_argument(
            "--pause", default="0", metavar="MS", help="milliseconds between batches (%(default)s)"
        )

    def handle(self, *args: Any, now: datetime | None = None, **options: Any) -> None:
        batch = whole_number(options["batch"], "batch", of="rows", most=LARGEST_BATCH)
        pause = whole_number(
            options["pause"], "pause", of="milliseconds", least=0, most=LONGEST_PAUSE
        )
        chosen = _tables(options["table"])
        try:
            retention.check_rights(chosen, dry_run=options["dry_run"])
            with StopSignals() as stop:
                given = {
                    "now": now or retention.database_time(),
                    "batch": batch,
                    "pause": pause / 1000,
                    "stop": stop.asked,
                }
                if options["dry_run"]:
                    self.count(chosen, stop, given)
                    return
                with retention.alone():
                    self.purge(chosen, stop, given)
        except (retention.AtWork, retention.NotPermitted) as error:
            raise CommandError(str(error)) from None
        except OperationalError as error:
            if not isinstance(error.__cause__, psycopg.errors.LockNotAvailable):
                raise
            raise CommandError("Somebody has locked a whole table; try again later.") from None

    def count(self, chosen: list[Table], stop: StopSignals, given: dict[str, Any]) -> None:
        for table in chosen:
            rows = purge_of(table, **given).expired()
            self.stdout.write(f"{table.name}: {rows_said(rows)} would be purged.")
            self.mind(stop)

    def purge(self, chosen: list[Table], stop: StopSignals, given: dict[str, Any]) -> None:
        left = []
        for table in chosen:
            purge = purge_of(table, **given)
            try:
                with progress(table.name, purge.expired()) as tick:
                    purge.run(tick)
            except OSError as error:
                left.append(f"{table.name}: its files cannot be removed: {error.strerror}")
            except Refused as refusal:
                left.append(f"{table.name}: {refusal}")
            finally:
                self.stdout.write(f"{table.name}: {rows_said(purge.removed)} purged.")
            self.mind(stop)
            if purge.left:
                why = f"refused by {', '.join(sorted(purge.rules))}" if purge.rules else "in use"
                left.append(f"{table.name}: {rows_said(purge.left)}, {why}")
        if left:
            raise CommandError("\n".join(["Not all is gone; run it again:", *left]))

    def mind(self, stop: StopSignals) -> None:
        if stop.asked.is_set():
            raise CommandError(
                "Stopped after a batch; the same command goes on from here.",
                returncode=128 + stop.number,
            )


def _tables(names: list[str] | None) -> list[Table]:
    known = {table.name: table for table in retention.purged_tables()}
    for name in names or ():
        if name not in known:
            raise CommandError(
                f"{name!r} is no table that is purged; those are {', '.join(known)}."
            )
    return [table for name, table in known.items() if not names or name in names]
