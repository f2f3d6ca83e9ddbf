"""One run at a time, in the schema public."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.management.base import CommandError
from django.db import connection

from ebalance.db.runner.session import LOCK, exclusive_session
from tests.processes import eventually

from .support import Project, one

COLUMN = 'migrations.AddField("service", "extra", models.TextField(null=True))'


def test_waiting_run_names_the_other_and_gives_up(project: Project) -> None:
    lines: list[str] = []
    with project.database.connect(application_name="migrate web-1 42", autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        with (
            project.active(),
            pytest.raises(CommandError, match=r"Another migrate runs.*migrate web-1 42"),
            exclusive_session(connection, lines.append, wait=1.5),
        ):
            pass
    assert "Waiting for another migrate: migrate web-1 42" in lines[0]
    with project.active(), exclusive_session(connection, lines.append, wait=5.0):
        assert one(project.execute("SELECT pg_try_advisory_lock(%s)", [LOCK])) is False
    assert one(project.execute("SELECT pg_try_advisory_lock(%s)", [LOCK])) is True


def test_foreign_search_path_is_refused(project: Project) -> None:
    project.add("booking", "0390_extra", COLUMN)
    name = project.database.name
    project.execute("CREATE SCHEMA other")
    project.execute(f"ALTER DATABASE {name} SET search_path = other, public")
    refusal = project.refusal()
    assert "The search_path is other, public" in refusal
    assert "Nothing was changed" in refusal
    project.execute(f"ALTER DATABASE {name} RESET search_path")
    assert project.refusal() == ""


@pytest.mark.parametrize("limit", ["statement_timeout", "idle_in_transaction_session_timeout"])
def test_run_ignores_the_limits_of_the_database(project: Project, limit: str) -> None:
    index = 'AddIndexConcurrently("service", models.Index(fields=["extra"], name="by_extra"))'
    project.add("booking", "0390_extra", f"{COLUMN}, {index}")
    project.execute(f"ALTER DATABASE {project.database.name} SET {limit} = '7h'")
    statements: list[tuple[str, str]] = []  # with the limit during it

    def read_limit(execute: Any, sql: Any, *rest: Any) -> Any:
        is_in_run = statements or "pg_try_advisory_lock" in str(sql)
        if is_in_run and not str(sql).startswith("SHOW"):
            with connection.cursor() as cursor:
                cursor.execute(f"SHOW {limit}")
                statements.append((str(sql), *cursor.fetchone()))
        return execute(sql, *rest)

    with connection.execute_wrapper(read_limit):
        assert project.refusal() == ""
    assert "CREATE INDEX CONCURRENTLY" in str(statements)
    assert [sql for sql, value in statements if value == "7h"] == []
    assert project.applied("booking")[-1] == "0390_extra"


def test_runs_at_once_apply_each_migration_once(project: Project, empty_database) -> None:
    project.database = empty_database
    project.add("booking", "0390_extra", COLUMN)
    runs = [project.start() for _ in range(3)]
    outputs = [run.communicate()[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0, 0], outputs
    assert (
        project.execute(
            "SELECT app, name, count(*) FROM django_migrations GROUP BY 1, 2 HAVING count(*) > 1"
        )
        == []
    )
    assert project.applied("booking")[-1] == "0390_extra"


def test_sigterm_ends_in_one_line(project: Project) -> None:
    project.add("booking", "0390_extra", COLUMN)
    with project.database.connect(autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        run = project.start()
        assert eventually(
            lambda: project.execute(
                "SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'migrate %' "
                "AND datname = current_database()"
            )
        )
        run.terminate()
        output, _ = run.communicate()
    assert run.returncode == 130
    assert "Stopped; run the same command again to continue." in output
    assert "Traceback" not in output
