"""A run that is killed at any moment is finished by the next one (migrations.md)."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from contextlib import suppress

import psycopg
import pytest

from ebalance.db.schema.listing import schema_lines
from tests.clocks import REPLACED
from tests.databases import Database, Databases
from tests.processes import eventually
from tests.scale import scaled

from .support import Project, one

KILLS = 50
SEEDS = (16, 17)  # of each part, for the workers of pytest-xdist
TABLE = """
    CREATE TABLE parcels (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, code text, weight int)
"""
ROWS = """
    INSERT INTO parcels (code, weight) SELECT 'p' || n, n % 100 FROM generate_series(1, 30000) n
"""
STEPS = """
    AddIndexConcurrently("parcel", rules.Index("parcels_by_weight", "weight", serves="weights")),
    AddCheck("parcel", models.CheckConstraint(condition=Q(weight__gte=0), name="parcels_weighed")),
    SetNotNull("parcel", "weight", models.IntegerField()),
    AddUnique("parcel", models.UniqueConstraint(fields=["code"], name="parcels_code_unique")),
    ReplaceCheck("parcel", models.CheckConstraint(condition=Q(weight__lt=10**6),
                 name="parcels_weighed")),
    migrations.RunSQL("UPDATE parcels SET code = code || '!' WHERE id < 100",
                      "UPDATE parcels SET code = rtrim(code, '!') WHERE id < 100"),
    AddForeignKey("parcel", "next", models.ForeignKey("booking.Parcel", null=True,
                  on_delete=models.RESTRICT, related_name="+", db_index=False)),
    ReplaceFunction("is_code", "CREATE OR REPLACE FUNCTION is_code(value text) RETURNS boolean "
                    "LANGUAGE sql IMMUTABLE RETURN value ~ '^[a-z][a-z0-9_]{0,59}[*]?$'"),
"""
MODEL = """
    migrations.SeparateDatabaseAndState(state_operations=[migrations.CreateModel("Parcel", fields=[
        ("id", models.BigAutoField(primary_key=True)),
        ("code", models.TextField(null=True)),
        ("weight", models.IntegerField(null=True)),
    ], options={"db_table": "parcels"})], database_operations=[migrations.RunSQL("%s", "")])
"""


@pytest.fixture
def parcels(project: Project) -> Project:
    """A table of 30,000 rows, and a migration of many steps on it that has not run yet."""
    project.add("booking", "0390_parcels", MODEL % " ".join(TABLE.split()))
    project.migrate(environment="dev")
    project.execute(ROWS)
    project.add("booking", "0391_steps", STEPS)
    return project


def shape(project: Project) -> list[str]:
    with project.active():
        return schema_lines()


@pytest.mark.parametrize("seed", SEEDS)
def test_run_killed_at_random_times_is_finished(
    seed: int, parcels: Project, databases: Databases
) -> None:
    begun = parcels.database.name

    def start_again() -> None:
        """A database before the migration of many steps, and nothing of earlier runs."""
        parcels.database = databases.copy(begun)

    start_again()
    started = time.monotonic()
    parcels.migrate(environment="prod")
    duration, wanted = time.monotonic() - started, shape(parcels)
    databases.drop(parcels.database.name)

    kills = 0
    dice = random.Random(seed)
    while kills < scaled(KILLS // len(SEEDS)):
        start_again()
        for _ in range(dice.randint(1, 4)):
            run = parcels.start(environment="prod")
            eventually(lambda run=run: run.poll() is not None or backends_of_runs(parcels))
            with suppress(subprocess.TimeoutExpired):
                run.wait(dice.uniform(0.0, 1.1) * duration)
            kills += run.poll() is None
            run.kill()
            run.communicate()
            assert eventually(lambda: not backends_of_runs(parcels))
        parcels.migrate(environment="prod")
        assert shape(parcels) == wanted
        assert one(parcels.execute("SELECT count(*) FROM parcels WHERE code LIKE '%!'")) == 99
        assert one(parcels.execute("SELECT count(*) FROM migration_steps")) == 0
        assert parcels.applied("booking").count("0391_steps") == 1
        databases.drop(parcels.database.name)


def backends_of_runs(project: Project) -> list[tuple[int]]:
    return project.execute(
        "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'migrate %' "
        "AND datname = current_database()"
    )


def test_terminated_build_is_rebuilt_though_its_migration_is_faked(parcels: Project) -> None:
    name = "parcels_by_weight"
    with parcels.database.connect() as reader:
        reader.execute("SELECT count(*) FROM parcels")
        reader.execute("INSERT INTO parcels (code) VALUES ('held')")  # the build waits for it
        run = parcels.start(environment="prod")
        assert eventually(
            lambda: parcels.execute(
                "SELECT 1 FROM pg_index WHERE indexrelid = to_regclass(%s) AND NOT indisvalid",
                [name],
            )
        )
        parcels.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_progress_create_index")
        output, _ = run.communicate()
        reader.rollback()
    assert run.returncode == 1
    assert "Traceback" not in output
    assert "0391_steps" not in parcels.applied("booking")
    assert (
        one(
            parcels.execute(
                "SELECT indisvalid FROM pg_index WHERE indexrelid = %s::regclass", [name]
            )
        )
        is False
    )
    lines = parcels.migrate("booking", "0391", environment="prod", fake=True)
    assert f"Rebuilt the index {name} of parcels" in lines
    assert parcels.applied("booking")[-1] == "0391_steps"
    assert (
        one(
            parcels.execute(
                "SELECT indisvalid FROM pg_index WHERE indexrelid = %s::regclass", [name]
            )
        )
        is True
    )


def test_invalid_index_over_wrong_rows_is_named(project: Project) -> None:
    project.execute("CREATE TABLE letters (a text); INSERT INTO letters VALUES ('x'), ('x')")
    with suppress(psycopg.errors.UniqueViolation):
        project.execute("CREATE UNIQUE INDEX CONCURRENTLY letters_a ON letters (a)")
    assert "The index letters_a of letters is invalid and cannot be rebuilt" in project.refusal()
    project.execute("TRUNCATE letters")
    assert "Rebuilt the index letters_a" in project.migrate()


def test_index_with_another_definition_is_named(parcels: Project) -> None:
    parcels.execute("CREATE INDEX parcels_by_weight ON parcels (code)")
    refusal = parcels.refusal()
    assert "The index parcels_by_weight exists with another definition" in refusal
    parcels.execute("DROP INDEX parcels_by_weight")
    assert parcels.refusal() == ""


def test_index_that_exists_is_taken(parcels: Project) -> None:
    parcels.execute("CREATE INDEX parcels_by_weight ON parcels (weight)")
    assert parcels.refusal() == ""


def test_rows_that_break_a_unique_rule_leave_no_index(parcels: Project) -> None:
    parcels.execute("INSERT INTO parcels (code, weight) VALUES ('p1', 1)")
    refusal = parcels.refusal()
    assert 'could not create unique index "parcels_code_unique"' in refusal
    assert one(parcels.execute("SELECT to_regclass('parcels_code_unique')")) is None
    parcels.execute("DELETE FROM parcels WHERE id > 30000")
    assert parcels.refusal() == ""


def test_edited_file_is_not_continued(parcels: Project) -> None:
    parcels.execute("INSERT INTO parcels (code, weight) VALUES ('p1', 1)")
    parcels.refusal()
    path = parcels.path("booking", "0391_steps")
    text = path.read_text()
    path.write_text(text.replace("weight__gte=0", "weight__gte=-1"))
    del sys.modules[f"{parcels.package}.booking.0391_steps"]
    parcels.execute("DELETE FROM parcels WHERE id > 30000")
    refusal = parcels.refusal()
    assert "was begun with other SQL" in refusal


def test_busy_table_is_named_after_bounded_attempts(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ebalance.db.runner.execution.LOCK_TIMEOUTS", (20, 20))
    project.add(
        "booking", "0390_extra", 'migrations.AddField("service", "x", models.TextField(null=True))'
    )
    with project.database.connect(application_name="report") as reader:
        reader.execute("SELECT count(*) FROM services")
        refusal = project.refusal()
        assert "booking.0390_extra could not lock its tables in 2 attempts" in refusal
        assert "services is locked by process" in refusal
        assert "report, idle in transaction" in refusal
    assert project.refusal() == ""


def has_waited(project: Project) -> bool:
    """Whether the run waits for its lock since over a second, as only its last attempts do."""
    return bool(
        project.execute(
            "SELECT 1 FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE NOT granted "
            "AND application_name LIKE 'migrate %' AND datname = current_database() "
            "AND waitstart < now() - interval '1 second'"
        )
    )


@pytest.mark.parametrize("mode", ["ACCESS SHARE", "ACCESS EXCLUSIVE"])
def test_later_readers_wait_for_a_blocked_migration_under_two_seconds(
    project: Project, mode: str
) -> None:
    project.add(
        "booking", "0390_extra", 'migrations.AddField("service", "x", models.TextField(null=True))'
    )
    waits: list[float] = []
    with project.database.connect() as holder:
        holder.execute(f"LOCK TABLE services IN {mode} MODE")
        run = project.start(environment="prod")
        with project.database.connect(autocommit=True) as observer:
            # Until the run has waited with its longest timeout, in which it delays a reader.
            while max(waits, default=0.0) < 1.0 and not has_waited(project):
                assert run.poll() is None
                if mode == "ACCESS SHARE":
                    begun = time.monotonic()
                    observer.execute("SELECT count(*) FROM services")
                    waits.append(time.monotonic() - begun)
                time.sleep(0.01)
        holder.rollback()
    output, _ = run.communicate()
    assert run.returncode == 0, output
    assert max(waits, default=0.0) < 2.0
    assert project.applied("booking")[-1] == "0390_extra"


def test_first_installation_takes_all_steps_in_one_transaction_each(
    parcels: Project, empty_database: Database
) -> None:
    parcels.migrate(environment="prod")
    wanted = shape(parcels)
    parcels.database = empty_database
    parcels.migrate(environment="prod")
    with empty_database.connect(autocommit=True) as connection_:
        connection_.execute(REPLACED)
    assert shape(parcels) == wanted
