"""The progress of changes of the schema and of stored rows (migrations.md)."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from ebalance.db import lengths, patterns, rules, triggers
from ebalance.db.fields import Entity, SingleLineTextField, updated_at
from ebalance.db.schema.classification import p0
from ebalance.db.schema.retention import kept
from ebalance.db.times import FactTime, now_default


class BackfillJob(Entity):
    """The progress of a backfill, which a migration declares. Written by backfill.

    ``cursor`` moves in the transaction that changes the rows, so a killed run changes no row twice.
    """

    name = SingleLineTextField(
        max_length=lengths.TITLE,
        db_comment=p0("name of the job: app and migration, unless the migration gives another"),
    )
    table_name = SingleLineTextField(max_length=lengths.CODE, db_comment=p0("table"))
    cursor = SingleLineTextField(
        max_length=lengths.OPAQUE_ID,
        null=True,
        blank=True,
        db_comment=p0("key of the last row that this pass has done, if a pass is running"),
    )
    rows_done = models.BigIntegerField(
        default=0, db_default=0, db_comment=p0("rows changed so far")
    )
    started_at = FactTime(
        db_default=now_default(), editable=False, db_comment=p0("when it began, UTC")
    )
    updated_at = updated_at()
    finished_at = FactTime(
        null=True, blank=True, db_comment=p0("when no row was left, UTC; empty if rows are left")
    )

    retention = kept("as the history of backfills; a row for each job")

    class Meta:
        db_table = "backfill_jobs"
        db_table_comment = "Backfills, which fill columns of stored rows"
        verbose_name = _("backfill")
        verbose_name_plural = _("backfills")
        constraints = [
            rules.matches(
                "backfill_jobs_name_names_a_job",
                "name",
                patterns.JOB_NAME,
                _("Lower-case Latin letters, digits and underscores, with at most one dot."),
            ),
            rules.code("backfill_jobs", "table_name"),
            rules.matches(
                "backfill_jobs_cursor_is_key",
                "cursor",
                patterns.ROW_KEY,
                _("The key of a record: an identifier, a code or a number."),
            ),
            rules.in_range("backfill_jobs", "rows_done", 0),
            rules.finite("backfill_jobs", "started_at", "updated_at", "finished_at"),
            rules.Unique("backfill_jobs_name_unique", fields=["name"]),
        ]
        triggers = [triggers.touch_updated_at("backfill_jobs")]

    def __str__(self) -> str:
        return self.name


class MigrationStep(Entity):
    """A finished step of a migration that is not one transaction. Written by migrate.

    A run that was killed continues after these steps. The rows are deleted when the migration is
    recorded in ``django_migrations``.
    """

    app_label = SingleLineTextField(max_length=lengths.CODE, db_comment=p0("app of the migration"))
    name = SingleLineTextField(max_length=lengths.TITLE, db_comment=p0("name of the migration"))
    step = models.IntegerField(db_comment=p0("number of the step, from 1"))
    statement_hash = SingleLineTextField(
        max_length=lengths.OPAQUE_ID, db_comment=p0("SHA-256 of the SQL of the step, hexadecimal")
    )
    finished_at = FactTime(
        db_default=now_default(), editable=False, db_comment=p0("when the step was finished, UTC")
    )

    retention = kept("until its migration is recorded")

    class Meta:
        db_table = "migration_steps"
        db_table_comment = "Finished steps of migrations that are still running"
        verbose_name = _("step of a migration")
        verbose_name_plural = _("steps of migrations")
        constraints = [
            rules.code("migration_steps", "app_label"),
            rules.matches(
                "migration_steps_name_names_a_migration",
                "name",
                patterns.MIGRATION_NAME,
                _("Four digits, an underscore, and words of lower-case Latin letters."),
            ),
            rules.in_range("migration_steps", "step", 1),
            rules.matches(
                "migration_steps_statement_hash_is_sha256",
                "statement_hash",
                patterns.SHA256,
                _("64 hexadecimal digits."),
            ),
            rules.finite("migration_steps", "finished_at"),
            rules.Unique("migration_steps_once", fields=["app_label", "name", "step"]),
        ]

    def __str__(self) -> str:
        return f"{self.app_label}.{self.name}, {self.step}"
