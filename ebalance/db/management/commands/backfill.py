from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import connection
from django.db.migrations.loader import MigrationLoader

from ebalance.commands import (
    LARGEST_BATCH,
    LONGEST_PAUSE,
    Number,
    OperatorCommand,
    StopSignals,
    format_rows,
    locked_table_is_named,
    progress,
)
from ebalance.db import backfills
from ebalance.db.backfills import MEGABYTE, BackfillError, BackfillWalk, Job
from ebalance.db.schema.privileges import RightsMissing, require_privileges


class Command(OperatorCommand):
    help = (
        "Fill columns of stored rows, as migrations declare it. For the owner of the tables; safe "
        "beside the running application, to stop and to start again. Fails while rows are left."
    )
    numbers = (
        Number(
            "batch",
            "rows",
            most=LARGEST_BATCH,
            help="rows per transaction at most (that of the migration)",
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
        Number(
            "max-lag",
            "megabytes",
            64,
            metavar="MB",
            help="wait while a replica or a slot is further behind (%(default)s)",
        ),
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("name", nargs="?", help="one backfill; all of them by default")
        parser.add_argument(
            "--status", action="store_true", help="list all backfills, and change nothing"
        )

    def handle(self, *args: Any, name: str | None, status: bool, **options: Any) -> None:
        loader = MigrationLoader(connection)
        try:
            jobs = backfills.declared_backfills(loader)
            if name is not None and name not in jobs:
                known = f"those are {', '.join(jobs)}" if jobs else "no migration declares one"
                raise CommandError(f"{name!r} is no backfill; {known}.")
            chosen = [job for job in jobs.values() if name in (None, job.name)]
            progress_table = [("backfill_jobs", "INSERT"), ("backfill_jobs", "UPDATE")]
            require_privileges(progress_table, "a backfill")
            with locked_table_is_named():
                if status:
                    self.list_jobs(chosen, loader)
                else:
                    self.run_jobs(chosen, loader, is_named=name is not None, **options)
        except (BackfillError, RightsMissing) as error:
            raise CommandError(str(error)) from None

    def list_jobs(self, jobs: list[Job], loader: MigrationLoader) -> None:
        for job in jobs:
            if not job.is_applied(loader):
                state = "not applied"
            elif backfills.is_obsolete(job):
                state = "over: a later migration dropped what it fills"
            else:
                rows = backfills.remaining(job)
                state = f"{format_rows(rows)} left" if rows else "done"
            self.stdout.write(f"{job.name}: {state}")

    def run_jobs(
        self, jobs: list[Job], loader: MigrationLoader, *, is_named: bool, **options: Any
    ) -> None:
        if is_named and not jobs[0].is_applied(loader):
            raise CommandError(f"{jobs[0].name} is not applied: run `manage.py migrate` first.")
        open_jobs = [
            job for job in jobs if job.is_applied(loader) and not backfills.is_obsolete(job)
        ]
        if is_named and not open_jobs:
            raise CommandError(f"{jobs[0].name} is over: a later migration dropped what it fills.")
        left = []
        with StopSignals() as stop:
            for job in open_jobs:
                walk = BackfillWalk(
                    job,
                    batch=options["batch"] or job.batch,
                    pause=options["pause"] / 1000,
                    max_lag=options["max_lag"] * MEGABYTE,
                    report=self.stderr.write,
                    stop=stop.asked,
                )
                self.run_job(walk)
                stop.check()
                if walk.left:
                    refused = len(walk.refused)
                    why = f"{refused:,} of them refused" if refused else "in use"
                    left.append(f"{job.name}: {format_rows(walk.left)}, {why}")
        if left:
            raise CommandError("\n".join(["Rows are left; run it again:", *left]))

    def run_job(self, walk: BackfillWalk) -> None:
        changed = walk.begin()
        is_complete = True
        if rows := walk.remaining():
            with progress(walk.job.name, rows, changed) as tick:
                is_complete = walk.run(tick)
        if is_complete:
            walk.end()
        self.stdout.write(f"{walk.job.name}: {format_rows(walk.done)} changed.")
        self.list_skipped(walk.refused, walk.job.table)
