from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from django.core.checks import Tags
from django.core.management.base import CommandError
from django.core.management.commands import migrate
from django.db import connections

from ebalance.db.autodetector import SafeAutodetector
from ebalance.db.backend.direct import use_direct_connection
from ebalance.db.runner.executor import Executor
from ebalance.db.runner.indexes import repair_indexes
from ebalance.db.runner.production import mark_environment
from ebalance.db.runner.session import exclusive_session
from ebalance.db.schema import drift


class Command(migrate.Command):
    """migrate under the rules of docs/spec/migrations.md: see ebalance/db/runner."""

    autodetector = SafeAutodetector
    is_applying = False  # the output has begun the line of a migration

    def get_check_kwargs(self, options: Any) -> Any:
        # Only these checks: errors in admin or in URLs must not prevent a migration.
        kwargs: Any = super().get_check_kwargs(options)
        return {**kwargs, "tags": [Tags.models, Tags.database]}

    def handle(self, *args: Any, **options: Any) -> None:
        connection = connections[options["database"]]
        use_direct_connection(connection)
        if options["plan"] or options["check_unapplied"]:
            super().handle(*args, **options)
            return
        # Django's command has no parameter for its executor.
        migrate.MigrationExecutor = partial(Executor, write=self.write)  # type: ignore[attr-defined]
        try:
            with interrupted_by_sigterm(), exclusive_session(connection, self.write):
                repair_indexes(connection, self.write)
                super().handle(*args, **options)
                with connection.cursor() as cursor:
                    mark_environment(cursor)
                if options["verbosity"] and not drift.unapplied_migrations():
                    drift.report_drift(self.stdout)
        except CommandError:
            if self.is_applying and options["verbosity"]:
                self.stdout.write("")  # ends the line of the migration
            raise
        except KeyboardInterrupt:
            raise CommandError(
                "Stopped; run the same command again to continue.", returncode=130
            ) from None

    def migration_progress_callback(self, action: str, *args: Any) -> None:
        super().migration_progress_callback(action, *args)
        self.is_applying = action == "apply_start"

    def write(self, line: str) -> None:
        self.stderr.write(line, ending="\n")


@contextmanager
def interrupted_by_sigterm() -> Iterator[None]:
    """Let SIGTERM, by which a service is stopped, end a run as Ctrl-C does."""
    before = None
    with suppress(ValueError):  # not the main thread
        before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)
