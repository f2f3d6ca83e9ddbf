"""The progress of backfills and of migrations: names, keys and hashes; one row for each."""

from __future__ import annotations

from typing import Any

import pytest

from audit.models import BackfillJob, MigrationStep
from tests.case_loops import breaks_rules_of, check_inserts
from tests.factories import BackfillJobFactory, MigrationStepFactory
from tests.rule_cases import range_cases
from tests.support import Case, execute

pytestmark = pytest.mark.django_db

UUID_KEY = "01890a5d-ac96-774b-bcce-b302099a8057"


def cases_of(factory: Any, column: str, rule: str, values: dict[str, bool]) -> list[Case]:
    """A case for each value; True if the rule accepts it."""
    return [
        Case(f"{column} {value!r}", factory, {column: value}, None if accepted else rule)
        for value, accepted in values.items()
    ]


JOBS = [
    *cases_of(
        BackfillJobFactory,
        "name",
        "backfill_jobs_name_names_a_job",
        {
            "booking.0312_service_mode": True,
            "service_modes": True,
            "booking.0312.x": False,
            "Booking.0312": False,
            "0312_service_mode": False,
            "booking.": False,
            " ": False,
        },
    ),
    *cases_of(
        BackfillJobFactory,
        "cursor",
        "backfill_jobs_cursor_is_key",
        {
            UUID_KEY: True,
            "4711": True,
            "anxiety": True,
            "2026-ad_7~x": True,
            "79991234567": False,
            "Ivan Petrov": False,
            "": False,
        },
    ),
    *range_cases(BackfillJobFactory, "rows_done", 0),
    Case("finished", BackfillJobFactory, {"finished": True}),
    Case(
        "a name twice",
        BackfillJobFactory,
        {"name": lambda: BackfillJobFactory().name},
        "backfill_jobs_name_unique",
    ),
    Case("another name", BackfillJobFactory, {"name": lambda: f"{BackfillJobFactory().name}_b"}),
]


@breaks_rules_of(*JOBS)
def test_backfill_has_a_name_and_counts_rows() -> None:
    check_inserts(JOBS)


def twice(**values: Any) -> dict[str, Any]:
    """The values of a step that differs from a stored one by ``values``."""
    return {"name": lambda: MigrationStepFactory(name="0312_index").name, **values}


STEPS = [
    *cases_of(
        MigrationStepFactory,
        "name",
        "migration_steps_name_names_a_migration",
        {
            "0312_index_of_services": True,
            "312_index": False,
            "0312_": False,
            "0312": False,
            "0312 index": False,
        },
    ),
    *cases_of(
        MigrationStepFactory,
        "statement_hash",
        "migration_steps_statement_hash_is_sha256",
        {"0f" * 32: True, "0f" * 31: False, "0F" * 32: False, "0g" * 32: False},
    ),
    *range_cases(MigrationStepFactory, "step", 1),
    Case("a step twice", MigrationStepFactory, twice(), "migration_steps_once"),
    Case("the next step", MigrationStepFactory, twice(step=2)),
    Case("a step of another app", MigrationStepFactory, twice(app_label="crm")),
]


@breaks_rules_of(*STEPS)
def test_step_of_a_migration_is_recorded_once() -> None:
    check_inserts(STEPS)


def test_commands_without_django_may_write_both() -> None:
    execute("INSERT INTO backfill_jobs (name, table_name) VALUES ('service_modes', 'services')")
    job = BackfillJob.objects.get()
    assert (job.rows_done, job.cursor, job.finished_at) == (0, None, None)
    assert str(job) == "service_modes"
    execute(
        "INSERT INTO migration_steps (app_label, name, step, statement_hash) "
        "VALUES ('booking', '0312_index', 1, repeat('0', 64))"
    )
    step = MigrationStep.objects.get()
    assert step.finished_at is not None
    assert str(step) == "booking.0312_index, 1"
