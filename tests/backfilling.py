"""Shared by the tests of backfills: migration files that the project does not have.

    python -m tests.backfilling FOLDER backfill …

runs manage.py with the migrations of the folder beside those of booking.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from tests.databases import Database
from tests.processes import HANG_TIMEOUT, ROOT, environment

PACKAGE = "more_migrations"
NAME = "booking.0399_things"
# The apps of the project that declare backfills: these tests run without their migrations.
NO_OTHER_BACKFILLS = {"ugc": None}
THINGS = """
CREATE TABLE things (
    id uuid PRIMARY KEY DEFAULT public.uuid7(),
    old integer,
    new integer CONSTRAINT things_new_below_limit CHECK (new < 1000000)
);
CREATE TABLE changes (id uuid NOT NULL);
CREATE FUNCTION count_change() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO changes VALUES (NEW.id); RETURN NULL; END $$;
CREATE TRIGGER count_change AFTER UPDATE ON things FOR EACH ROW
    WHEN (NEW.new IS DISTINCT FROM OLD.new) EXECUTE FUNCTION count_change();
INSERT INTO things (old) SELECT n FROM generate_series(1, %(rows)s) AS n;
"""
APPLIED = (
    "INSERT INTO django_migrations (app, name, applied) VALUES ('booking', '0399_things', now())"
)
MIGRATION = """
from django.db import migrations
from ebalance.db.operations import Backfill


class Migration(migrations.Migration):
    dependencies = [("booking", "0301_booking")]
    operations = [{operations}]
"""
FILL = 'Backfill("things", set="new = old", where="new IS NULL"{})'


def write_migration(folder: Path, *operations: str, name: str = "0399_things") -> Path:
    """A package with the migrations of booking and this one."""
    package = folder / PACKAGE
    package.mkdir(exist_ok=True)
    # Django reloads the package, and would forget a path that was added to booking.migrations.
    (package / "__init__.py").write_text(
        "import booking.migrations\n__path__ = [*__path__, *booking.migrations.__path__]\n"
    )
    (package / f"{name}.py").write_text(MIGRATION.format(operations=", ".join(operations)))
    return folder


def make_things(database: Any, rows: int) -> None:
    """A table of which every row needs the backfill, and a table that counts the changes."""
    database.execute(THINGS.replace("%(rows)s", str(rows)) + APPLIED)


def start(database: Database, folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.backfilling", str(folder), "backfill", *arguments],
        env=environment(DATABASE_URL=database.url),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    )


@contextmanager
def running(database: Database, folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run the command as a process; the end of the block kills the process."""
    process = start(database, folder, *arguments)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Its exit code, output and errors."""
    output, errors = process.communicate(timeout=HANG_TIMEOUT)
    assert "Traceback" not in errors, errors
    return process.returncode, output, errors


def run(database: Database, folder: Path, *arguments: str) -> tuple[int, str, str]:
    return ended(start(database, folder, *arguments))


def number(session: psycopg.Connection[Any], query: str) -> int:
    row = session.execute(query).fetchone()
    assert row is not None
    return int(row[0])


def main() -> int:
    folder, *arguments = sys.argv[1:]
    sys.path.insert(0, folder)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ebalance.settings")
    from django.conf import settings

    settings.MIGRATION_MODULES = {"booking": PACKAGE, **NO_OTHER_BACKFILLS}
    from ebalance.cli import run as run_command

    return run_command(["manage.py", *arguments])


if __name__ == "__main__":
    sys.exit(main())
