from __future__ import annotations

from datetime import datetime
from typing import Any

import psycopg
from django.core.management.base import CommandError, CommandParser
from django.db import DatabaseError

from ebalance.commands import (
    LARGEST_BATCH,
    LONGEST_PAUSE,
    Number,
    OperatorCommand,
    StopSignals,
    choose_tables,
    format_rows,
    locked_table_is_named,
    progress,
)
from ebalance.db.schema.data_map import Table
from ebalance.db.schema.privileges import RightsMissing
from ebalance.failures import reason_of
from ebalance.privacy import purge_guard, retention
from ebalance.privacy.retention import purge_of
from ebalance.services import Refused


class Command(OperatorCommand):
    help = (
        "Remove expired rows (docs/data-dictionary.md lists the retention of each table). Made for "
        "cron, as the owner of the tables; safe beside the running application, to stop and to "
        "repeat. Fails while expired rows remain."
    )
    dry_run = "only count; write nothing"
    numbers = (
        Number(
            "batch",
            "rows",
            2000,
            most=LARGEST_BATCH,
            help=f"rows per transaction at most (%(default)s; up to {LARGEST_BATCH:,})",
        ),
        Number(
            "pause",
            "milliseconds",
            0,
            least=0,
            most=LONGEST_PAUSE,
            metavar="MS",
            help="milliseconds between batches (%(default)s)",
        ),
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--table", action="append", metavar="NAME", help="this table only; may be repeated"
        )

    def handle(self, *args: Any, now: datetime | None = None, **options: Any) -> None:
        known = {table.name: table for table in retention.purged_tables()}
        chosen = choose_tables(options["table"], known, "table that is purged")
        try:
            purge_guard.check_rights(chosen, dry_run=options["dry_run"])
            with StopSignals() as stop, locked_table_is_named():
                given = {
                    "now": now or retention.database_time(),
                    "batch": options["batch"],
                    "pause": options["pause"] / 1000,
                    "stop": stop.asked,
                }
                if options["dry_run"]:
                    self.count(chosen, stop, given)
                    return
                with purge_guard.purge_lock(stop.asked):
                    self.purge(chosen, stop, given)
        except (purge_guard.AlreadyRunning, RightsMissing) as error:
            raise CommandError(str(error)) from None

    def count(self, chosen: list[Table], stop: StopSignals, given: dict[str, Any]) -> None:
        for table in chosen:
            rows = purge_of(table, **given).remaining()
            self.stdout.write(f"{table.name}: {format_rows(rows)} would be purged.")
            stop.check()

    def purge(self, chosen: list[Table], stop: StopSignals, given: dict[str, Any]) -> None:
        left = []
        for table in chosen:
            purge = purge_of(table, **given)
            try:
                with progress(table.name, purge.remaining()) as tick:
                    purge.run(tick)
            except OSError as error:
                left.append(f"{table.name}: its files cannot be removed: {error.strerror}")
            except Refused as refusal:
                left.append(f"{table.name}: {refusal}")
            except DatabaseError as error:
                left.append(f"{table.name}: {why_stopped(error)}")
            finally:
                self.stdout.write(f"{table.name}: {format_rows(purge.done)} purged.")
            stop.check()
            self.list_skipped(purge.refused, table.name)
            if purge.left:
                why = f"refused by {', '.join(sorted(purge.rules))}" if purge.rules else "in use"
                left.append(f"{table.name}: {format_rows(purge.left)}, {why}")
        if left:
            raise CommandError("\n".join(["Expired rows remain; run it again:", *left]))


def why_stopped(error: DatabaseError) -> str:
    """Raises the error again if it concerns more than the table."""
    if isinstance(error.__cause__, psycopg.errors.LockNotAvailable):
        return "another session has locked the whole table"
    return reason_of(error)
