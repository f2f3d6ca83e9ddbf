"""`migrate` from empty on PostgreSQL 15, the oldest supported version, if it is installed."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from django.apps import apps

from ebalance.dev.bundled import Server
from tests.processes import manage

BIN_DIR = Path("/usr/lib/postgresql/15/bin")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (BIN_DIR / "postgres").exists(), reason="no PostgreSQL 15 on this system"
    ),
]


@pytest.fixture
def server() -> Iterator[Server]:
    folder = Path(tempfile.mkdtemp(prefix="ebalance-15-"))
    made = Server(BIN_DIR, folder / "data", options={"fsync": "off"}, quiet=True).start("ebalance")
    yield made
    made.close(wait=True)
    shutil.rmtree(folder, ignore_errors=True)


def test_oldest_server_accepts_migrations_and_seeds_twice(server: Server) -> None:
    for _ in range(2):
        result = manage("migrate", DATABASE_URL=server.url("ebalance"))
        assert result.returncode == 0, result.stderr
    with psycopg.connect(**server.params, dbname="ebalance") as connection:
        rows = connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        ).fetchall()
    tables = {name for (name,) in rows}
    expected = {
        model._meta.db_table
        for model in apps.get_models(include_auto_created=True)
        if model._meta.managed
    }
    assert expected <= tables
    # Besides the models' tables: Django's record of migrations and tables declared in SQL.
    assert len(tables) >= len(expected) + 1
    for _ in range(2):
        result = manage("loaddata", "seeds", DATABASE_URL=server.url("ebalance"))
        assert result.returncode == 0, result.stderr
