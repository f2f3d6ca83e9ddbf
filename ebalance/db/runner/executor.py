"""Runs planned migrations: examines all of them, then executes one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from django.core.management.base import CommandError
from django.db import transaction
from django.db.migrations.executor import MigrationExecutor

from .contracts import faults_of_contract
from .execution import StepRunner
from .plan import PlanExaminer, contracts_of
from .production import is_production
from .recording import (
    NeedsDatabase,
    Step,
    is_stepwise,
    new_tables,
    reading_only,
    record_steps,
)
from .releases import LOCK_FILE, changed_files, released_files, rollback_note

STEPS_TABLE = "public.migration_steps"


class Executor(MigrationExecutor):
    """Django's executor with the rules of migrations.md. ``write`` takes lines for the operator."""

    def __init__(
        self, connection: Any, progress_callback: Any = None, write: Callable[[str], object] = print
    ) -> None:
        super().__init__(connection, progress_callback)
        self.write = write
        self.declared: dict[Any, set[str]] = {}  # losses by migration
        with connection.cursor() as cursor:
            self.is_strict = is_production(cursor)
            has_people = _has_people(cursor)
        # A first installation has no clients and no data: nothing is examined, compared, limited.
        self.is_installed = has_people or self._has_first_release()

    def migrate(self, targets, plan=None, state=None, fake=False, fake_initial=False):
        plan = self.migration_plan(targets) if plan is None else plan
        self._refuse(plan, fake)
        return super().migrate(targets, plan, state, fake, fake_initial)

    def _has_first_release(self) -> bool:
        files = released_files()
        first = files[0].release if files else None
        wanted = {
            key
            for key, migration in self.loader.disk_migrations.items()
            if any(
                each.path == f"{migration.app_label}/migrations/{migration.name}.py"
                for each in files
                if each.release == first
            )
        }
        return bool(wanted) and wanted <= {*self.loader.applied_migrations}

    # -- refusals ---------------------------------------------------------------------------------

    def _refuse(self, plan: list[tuple[Any, bool]], fake: bool) -> None:
        """Raise CommandError with all faults of the plan. Outside of production, warn.

        A changed file of a release is refused everywhere.
        """
        if self.is_strict and not released_files():
            raise CommandError(
                f"{LOCK_FILE} is missing or empty. It belongs to the release: deploy all its files."
            )
        if begun := self._begun_elsewhere():
            raise CommandError(
                f"{begun} was begun, and no file has that name any more. Restore the name of its "
                "file, and run the command again. Nothing was changed."
            )
        if changed := changed_files():
            raise CommandError(
                "Released migrations were changed:\n"
                + "\n".join(f"  {line}." for line in changed)
                + "\nRestore the files; make the change in a new migration. Nothing was changed."
            )
        lines = [*self._faults(plan, fake)]
        if lines and self.is_strict:
            text = "\n".join(f"  {line}" for line in lines)
            raise CommandError(f"Refused before the first statement:\n{text}")
        for line in lines:
            self.write(f"Production refuses: {line}")

    def _begun_elsewhere(self) -> str | None:
        """A migration with finished steps and without a file: it was renamed or deleted."""
        if "migration_steps" not in self._tables():
            return None
        with self.connection.cursor() as cursor:
            cursor.execute(f"SELECT DISTINCT app_label, name FROM {STEPS_TABLE} ORDER BY 1, 2")
            keys = [key for key in cursor.fetchall() if key not in self.loader.disk_migrations]
        return ".".join(keys[0]) if keys else None

    def _faults(self, plan: list[tuple[Any, bool]], fake: bool) -> Iterator[str]:
        if backwards := [migration for migration, is_backwards in plan if is_backwards]:
            for migration in backwards:
                note = rollback_note(migration) or "it has none, because it made the tables"
                yield (
                    f"{migration}: unapplying it would lose data. Go forward: write a migration "
                    f"that mends the fault. Rollback note: {note}"
                )
            return
        if not plan or fake or not self.is_installed:
            return
        state = self._create_project_state(with_applied_migrations=True)  # type: ignore[attr-defined]
        examiner = PlanExaminer(self.connection, state)
        for migration, _ in plan:
            sentences, self.declared[migration] = examiner.examine(migration)
            for contract in contracts_of(migration):
                sentences += faults_of_contract(migration, contract, self)
            for sentence in sentences:
                yield f"{migration}: {sentence}"

    # -- execution --------------------------------------------------------------------------------

    def apply_migration(self, state, migration, fake=False, fake_initial=False):
        if fake_initial:
            fake, state = self.detect_soft_applied(state, migration)
        if fake:
            return super().apply_migration(state, migration, fake=True)
        if self.progress_callback:
            self.progress_callback("apply_start", migration, fake)
        try:
            stored = self._tables() if self.is_installed else None
            with reading_only(self.connection):
                steps, after = record_steps(migration, state, self.connection, stored)
        except NeedsDatabase:
            if is_stepwise(migration):
                raise CommandError(
                    f"{migration}: an operation reads the schema that an earlier step changes, or "
                    "writes to the database itself. Write it in a migration of its own. Nothing "
                    "was changed by this migration."
                ) from None
            steps, after = self._live_step(migration, state)
        self._run(migration, steps, new_tables(state, after))
        if self.progress_callback:
            self.progress_callback("apply_success", migration, fake)
        return after

    def unapply_migration(self, state, migration, fake=False):
        # Operations CONCURRENTLY refuse to run in a transaction. Not in production.
        migration.atomic = not is_stepwise(migration)
        return super().unapply_migration(state, migration, fake)

    def _run(self, migration: Any, steps: list[Step], new: set[str]) -> None:
        runner = StepRunner(
            self.connection,
            compares=self.is_installed,
            is_strict=self.is_strict,
            write=self.write,
            new_tables=new,
        )
        done = self._steps_done(migration) if self.is_installed else {}
        for number, step in enumerate(steps, 1):
            if hash := done.get(number):
                if hash != step.hash:
                    raise CommandError(
                        f"{migration} was begun with other SQL: its step {number} is done and has "
                        "changed since. Restore the file, and run the command again."
                    )
                continue
            record = (
                partial(self._record, migration, of=len(steps) + len(done))
                if number == len(steps)
                else partial(self._record_step, migration, number, step)
            )
            of = f", step {number} of {len(steps)}," if len(steps) > 1 else ""
            if step.is_concurrent or step.is_validation:
                self.write(f"{migration}{of} takes as long as its table demands: {step.sql[:100]}")
            runner.run(f"{migration}{of}", step, self.declared.get(migration, set()), record)
        if not steps or len(steps) in done:
            with transaction.atomic(using=self.connection.alias):
                self._record(migration, of=len(steps) + len(done))

    def _tables(self) -> set[str]:
        with self.connection.cursor() as cursor:
            return {*self.connection.introspection.table_names(cursor)}

    def _live_step(self, migration: Any, state: Any) -> tuple[list[Step], Any]:
        """One step that executes each operation when its SQL is known."""

        def apply() -> None:
            with self.connection.schema_editor(atomic=False) as editor:
                migration.apply(state.clone(), editor)

        return [Step([apply])], migration.mutate_state(state)

    # -- records ----------------------------------------------------------------------------------

    def _steps_done(self, migration: Any) -> dict[int, str]:
        """The hash of each finished step, by its number."""
        with self.connection.cursor() as cursor:
            cursor.execute(
                f"SELECT step, statement_hash FROM {STEPS_TABLE} "
                "WHERE app_label = %s AND name = %s",
                [migration.app_label, migration.name],
            )
            return dict(cursor.fetchall())

    def _record_step(self, migration: Any, number: int, step: Step) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute(
                f"INSERT INTO {STEPS_TABLE} (app_label, name, step, statement_hash) "
                "VALUES (%s, %s, %s, %s)",
                [migration.app_label, migration.name, number, step.hash],
            )

    def _record(self, migration: Any, of: int) -> None:
        """Record the migration, and forget its steps; ``of`` is their number at most."""
        self.record_migration(migration.app_label, migration.name)
        if of > 1:
            with self.connection.cursor() as cursor:
                cursor.execute(
                    f"DELETE FROM {STEPS_TABLE} WHERE app_label = %s AND name = %s",
                    [migration.app_label, migration.name],
                )


def _has_people(cursor: Any) -> bool:
    cursor.execute("SELECT to_regclass('public.users') IS NOT NULL")
    if cursor.fetchone() == (False,):
        return False
    cursor.execute("SELECT EXISTS (SELECT FROM public.users)")
    return cursor.fetchone() == (True,)
