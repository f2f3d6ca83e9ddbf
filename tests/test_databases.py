"""The test databases: clones of a template, dropped after use."""

from __future__ import annotations

import os
import subprocess
import sys

import psycopg
import pytest
from django.db import connection
from psycopg import sql

from tests.databases import TEMPLATE_LOCK, Database, Databases
from tests.processes import HANG_TIMEOUT, ROOT, environment, eventually, manage


@pytest.mark.django_db
def test_the_default_connection_is_on_a_migrated_clone(databases: Databases) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_database(), (SELECT count(*) FROM django_migrations)")
        name, migrations = cursor.fetchone()
    assert name.startswith(f"test_{databases.base}_{os.getpid()}_")
    assert migrations


@pytest.mark.slow
def test_fresh_database_is_separate_and_usable_by_processes(fresh_database: Database) -> None:
    with fresh_database.connect(autocommit=True) as mine:
        mine.execute("CREATE TABLE only_here ()")
        assert mine.info.dbname == fresh_database.name
    with psycopg.connect(fresh_database.conninfo) as again:
        assert again.execute("SELECT count(*) FROM only_here").fetchone() == (0,)
    result = manage("migrate", "--check", DATABASE_URL=fresh_database.url)
    assert result.returncode == 0, result.stderr


@pytest.mark.slow
def test_databases_of_dead_runs_are_dropped_but_not_those_of_live_runs(
    databases: Databases, fresh_database: Database
) -> None:
    dead = f"test_{databases.base}_{os.getpid()}_dead"
    with databases._maintenance() as other:
        other.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [dead])
        databases.keeper.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(dead)))
        databases.drop_leftovers()
        assert databases._exists(dead)

    def is_dropped() -> bool:
        # The server releases the lock shortly after the connection is closed.
        databases.drop_leftovers()
        return not databases._exists(dead)

    assert eventually(is_dropped)
    assert databases._exists(fresh_database.name)


def test_killed_build_is_no_template(databases: Databases) -> None:
    building = f"building_{databases.base}"
    with databases._maintenance() as reader:
        # Another run on this server may be building its template.
        reader.execute("SELECT pg_advisory_lock(%s)", [TEMPLATE_LOCK])
        databases.drop(building)
        databases.keeper.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(building)))
        name = databases.template()
        assert databases._exists(name)
        # No client connects to a template, so it can be cloned at any time.
        row = reader.execute(
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE datname = %s AND backend_type = 'client backend'",
            [name],
        )
        assert row.fetchone() == (0,)
        databases.drop(building)


@pytest.mark.slow
def test_concurrent_runs_are_independent() -> None:
    test = "tests/test_databases.py::test_the_default_connection_is_on_a_migrated_clone"
    runs = [
        subprocess.Popen(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test],
            cwd=ROOT,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(2)
    ]
    outputs = [run.communicate(timeout=HANG_TIMEOUT)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], outputs
