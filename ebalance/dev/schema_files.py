"""Writes the files ``schema.catalog`` and ``schema.sql`` (`manage.py schema --write`)."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from django.conf import settings
from django.core.management import CommandError
from psycopg import errors, sql

from ebalance.db.schema import drift

from .bundled import Server, ensure_running

SCRATCH = sql.Identifier("schema_scratch")
SQL_FILE = drift.FILE.with_name("schema.sql")
# Lines that differ between two dumps of one schema: versions, and a random token for psql.
CHANGING_LINES = re.compile(r"^(?:-- Dumped (?:from|by) .*|\\(?:un)?restrict .*)\n+", re.MULTILINE)


def write_schema_files() -> list[Path]:
    """Migrate an empty database of the bundled server, and write its listing and its dump.

    Returns the paths of the files. Raises CommandError, also when another run uses the database,
    and BundledServerError. Neither file is touched then.
    """
    server = ensure_running()
    with scratch_database(server) as url:
        manage(url, "migrate", "--verbosity", "0")
        texts = {drift.FILE: manage(url, "schema"), SQL_FILE: dump_schema(server, url)}
    for path, text in texts.items():
        new = path.with_name(f"{path.name}.new")
        new.write_text(text, encoding="utf-8")
        new.replace(path)
    return [*texts]


def dump_schema(server: Server, url: str) -> str:
    """The dump of the schema by the pg_dump of ``server``, without lines that change each time."""
    dump = server.cluster.run_program(
        "pg_dump", "--schema-only", "--no-owner", "--no-privileges", "--dbname", url
    )
    return CHANGING_LINES.sub("", dump).strip() + "\n"


@contextmanager
def scratch_database(server: Server) -> Iterator[str]:
    """Yield the URL of an empty database, which is dropped afterwards."""
    drop = sql.SQL("DROP DATABASE IF EXISTS {} {}")
    with psycopg.connect(**server.params, dbname="postgres", autocommit=True) as keeper:
        try:
            keeper.execute(drop.format(SCRATCH, sql.SQL("")))  # of a run that was killed
            keeper.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(SCRATCH))
        except (errors.ObjectInUse, errors.DuplicateDatabase):
            raise CommandError("Another `manage.py schema --write` is running.") from None
        try:
            yield server.url("schema_scratch")
        finally:
            keeper.execute(drop.format(SCRATCH, sql.SQL("WITH (FORCE)")))


def manage(url: str, *arguments: str) -> str:
    """Run `manage.py` on the database of ``url``; returns its output. Raises CommandError."""
    environment = {**os.environ, "DATABASE_URL": url}
    environment.pop("DATABASE_DIRECT_URL", None)
    result = subprocess.run(
        [sys.executable, str(settings.BASE_DIR / "manage.py"), *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if result.returncode:
        raise CommandError(f"`manage.py {arguments[0]}` failed: {result.stderr.strip()}")
    return result.stdout
