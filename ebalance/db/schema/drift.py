"""Compares the connected database with ``schema.catalog`` (migrations.md, "Afterwards")."""

from pathlib import Path
from typing import Protocol

from django.conf import settings
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from . import grants
from .listing import differences, schema_lines

FILE = Path(settings.BASE_DIR) / "schema.catalog"
AS_EXPECTED = f"The schema is as {FILE.name} lists it."
HINT = "`manage.py schema --check` compares again."


class Output(Protocol):
    def write(self, msg: str, /) -> object: ...


def drift() -> list[str]:
    """One line per object that differs from ``schema.catalog``, and one per differing grant.

    Grants are compared in a database where the roles have some: roles belong to the whole server,
    and another database of it may be the one that uses them. Raises FileNotFoundError.
    """
    lines = differences(FILE.read_text(encoding="utf-8").splitlines(), schema_lines())
    if any(grant.kind == "TABLE" and grant.role in grants.ROLES for grant in grants.live()):
        lines += [f"grants: {line}" for line in grants.differences()]
    return lines


def unapplied_migrations() -> list[str]:
    """The migrations of this release that the connected database lacks, as ``app.name``, in order.

    ``drift()`` means something only when there are none.
    """
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return [f"{migration.app_label}.{migration.name}" for migration, _ in plan]


def report_drift(stdout: Output) -> None:
    """Write one line if the schema is as expected, else one per drifted object and a hint.

    For the end of ``migrate``, when ``unapplied_migrations()`` is empty. Raises FileNotFoundError.
    """
    lines = drift()
    for line in lines:
        stdout.write(f"Drift: {line}")
    stdout.write(HINT if lines else AS_EXPECTED)
