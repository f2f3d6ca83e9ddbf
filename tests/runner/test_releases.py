"""Released migrations stay as they are, and production only moves forward (migrations.md)."""

from __future__ import annotations

import sys
from hashlib import sha256
from pathlib import Path

import pytest
from django.core.management.base import CommandError
from django.db import connection
from django.db.migrations.loader import MigrationLoader

from ebalance.db.runner import releases
from ebalance.db.runner.recording import sql_of_migrations
from tests.advice import advises

from .support import NOTE, Project

TEXT = 'migrations.AddField("service", "extra", models.TextField(null=True))'


@pytest.fixture
def released(tmp_path: Path) -> Path:
    """A root with one released migration."""
    file = tmp_path / "booking" / "migrations" / "0301_booking.py"
    file.parent.mkdir(parents=True)
    file.write_text("operations = []\n")
    (tmp_path / releases.LOCK_FILE).write_text(
        f"# a comment\n{releases.hash_of(file)}  1.0.0  booking/migrations/0301_booking.py\n"
    )
    return tmp_path


def test_unchanged_release_passes(released: Path) -> None:
    assert releases.changed_files(released) == []


def test_edited_file_is_named(released: Path) -> None:
    (released / "booking" / "migrations" / "0301_booking.py").write_text("operations = [1]\n")
    assert releases.changed_files(released) == [
        "booking/migrations/0301_booking.py was edited after release 1.0.0"
    ]


def test_deleted_file_is_named(released: Path) -> None:
    (released / "booking" / "migrations" / "0301_booking.py").unlink()
    assert releases.changed_files(released) == [
        "booking/migrations/0301_booking.py of release 1.0.0 is missing"
    ]


def test_files_of_this_project_are_as_released() -> None:
    assert releases.changed_files() == []
    assert {each.release for each in releases.released_files()} >= {"1.0.0"}


@pytest.mark.slow
def test_released_migrations_produce_the_same_sql(django_db_blocker, databases) -> None:
    # A change of ebalance.db that alters the SQL of a released migration is refused here.
    with django_db_blocker.unblock():
        sql = sql_of_migrations(connection)
    changed = [
        name
        for name, hash_ in releases.released_sql().items()
        if sha256(sql.get(name, "").encode()).hexdigest() != hash_
    ]
    assert changed == []
    assert "booking.0301_booking" in releases.released_sql()


@advises
def test_new_migrations_have_a_complete_rollback_note():
    loader = MigrationLoader(None)
    for (app, name), migration in sorted(loader.disk_migrations.items()):
        if not (Path(app, "migrations") / f"{name}.py").exists() or migration.initial:
            continue
        if fault := releases.fault_of_note(releases.rollback_note(migration)):
            yield f"{app}/migrations/{name}.py {fault}"


@pytest.mark.parametrize(
    ("note", "fault"),
    [
        (None, "has no rollback note"),
        ("none", "has a placeholder"),
        ("TODO", "has a placeholder"),
        ("run `ALTER TABLE a DROP b`", "does not say what is lost"),
        ("values of b are lost", "without the command"),
        ("run `ALTER TABLE a DROP b`; the values of b are lost.", None),
    ],
)
def test_rollback_note_names_command_and_loss(note: str | None, fault: str | None) -> None:
    actual = releases.fault_of_note(note)
    assert actual is None if fault is None else fault in (actual or "")


def test_edited_release_stops_migrate_everywhere(
    project: Project, released: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.add("booking", "0390_extra", TEXT)
    with monkeypatch.context() as patch:
        patch.setattr(
            "ebalance.db.runner.executor.changed_files",
            lambda: ["booking/migrations/0301_booking.py was edited after release 1.0.0"],
        )
        refusal = project.refusal(environment="dev")
        assert refusal == project.refusal(environment="dev", fake=True)
    assert "0301_booking.py was edited after release 1.0.0" in refusal
    assert "new migration" in refusal
    assert "0390_extra" not in project.applied("booking")
    assert project.refusal(environment="dev") == ""


def test_production_does_not_unapply(project: Project) -> None:
    project.add("booking", "0390_extra", TEXT, note=NOTE)
    project.migrate()
    refusal = project.refusal("booking", "0301")
    assert "booking.0390_extra: unapplying it would lose data" in refusal
    assert "Go forward" in refusal
    assert NOTE.removeprefix("Rollback note: ") in refusal
    assert project.applied("booking")[-1] == "0390_extra"
    assert "unapplying it would lose data" in project.refusal("booking", "0301", fake=True)
    # Elsewhere a developer may.
    project.execute("DELETE FROM system_settings WHERE key = 'environment'")
    project.migrate("booking", "0301", environment="dev")
    assert project.applied("booking")[-1] == "0301_booking"


def test_restored_copy_of_production_is_production(project: Project) -> None:
    project.migrate(environment="prod")
    project.add("booking", "0390_extra", TEXT)
    project.migrate(environment="dev")
    with pytest.raises(CommandError, match="unapplying it would lose data"):
        project.migrate("booking", "0301", environment="dev")


@pytest.mark.parametrize(
    ("environments", "stored"),
    [(["dev"], []), (["dev", "stage"], ["stage"]), (["stage", "prod", "stage", "dev"], ["prod"])],
)
def test_deployed_database_stores_its_environment(
    project: Project, environments: list[str], stored: list[str]
) -> None:
    for environment in environments:
        project.migrate(environment=environment)
    rows = project.execute("SELECT value FROM system_settings WHERE key = 'environment'")
    assert [value for (value,) in rows] == stored


def test_stage_and_development_are_warned(project: Project) -> None:
    project.add(
        "booking", "0390_drops", 'migrations.RemoveField("service", "description_markdown")'
    )
    lines = project.migrate(environment="dev")
    assert "Production refuses: booking.0390_drops: drops column services.description" in lines
    assert project.applied("booking")[-1] == "0390_drops"


def test_production_needs_the_lock_file(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.add("booking", "0390_extra", TEXT)
    with monkeypatch.context() as patch:
        patch.setattr("ebalance.db.runner.executor.released_files", lambda: [])
        refusal = project.refusal()
    assert "migrations.lock is missing or empty" in refusal
    assert project.refusal() == ""


def test_database_with_people_is_no_first_installation(project: Project) -> None:
    project.execute("DELETE FROM django_migrations WHERE name = '0102_curated_items'")
    project.execute("INSERT INTO users (id, email) VALUES (uuid7(), 'owner@example.com')")
    project.add("booking", "0390_drops", 'migrations.RemoveField("service", "title")')
    assert "drops column services.title" in project.refusal("booking", "0390")


def test_renamed_file_of_a_begun_migration_is_named(project: Project) -> None:
    operations = f"{TEXT}, migrations.RunSQL('ALTER TABLE users DROP COLUMN display_name', '')"
    project.add("booking", "0390_two_tables", operations)
    assert "drops column users.display_name" in project.refusal()
    path = project.path("booking", "0390_two_tables")
    renamed = path.rename(path.with_name("0390_other_name.py"))
    del sys.modules[f"{project.package}.booking.0390_two_tables"]
    refusal = project.refusal()
    assert "booking.0390_two_tables was begun, and no file has that name" in refusal
    # Corrected under its name, the migration continues.
    path.write_text(renamed.read_text().replace("DROP COLUMN display_name", "ADD COLUMN x text"))
    renamed.unlink()
    assert project.refusal() == ""
