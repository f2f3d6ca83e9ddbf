"""Run squawk on the SQL of the migrations that no release has.

    .venv/bin/python tools/squawk.py

The SQL is that of ``migrate`` on a database with clients, in the same steps. squawk reads text: it
is a second look beside the refusals of ``migrate``. ``.squawk.toml`` has the rules that do not
apply here. Exits 1 if squawk has something against a migration.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ebalance.settings")

import django  # noqa: E402

django.setup()

from django.db import connection  # noqa: E402
from django.db.migrations.loader import MigrationLoader  # noqa: E402

from ebalance.db.apps import PROJECT_APPS  # noqa: E402
from ebalance.db.runner.recording import (  # noqa: E402
    NeedsDatabase,
    Step,
    record_steps,
    tables_of,
)
from ebalance.db.runner.releases import release_of  # noqa: E402

SQUAWK = Path(sys.executable).with_name("squawk")
# `migrate` sets limits for each step.
LIMITS = "SET lock_timeout = '1500ms';\nSET statement_timeout = '5s';\n"
COMMIT = "COMMIT;\n"
CREATED = re.compile(r'CREATE TABLE "(\w+)"')
CHANGED = re.compile(r'(?:ALTER TABLE|INDEX "\w+" ON|TRIGGER \w+ .* ON) "?(\w+)"?')


def unreleased() -> Iterator[tuple[str, list[Step] | None]]:
    """The name and the steps of each migration of the project that no release has.

    The steps are None if their SQL is known during the run only.
    """
    loader = MigrationLoader(None)
    state = loader.project_state([])
    for key in loader.graph._generate_plan(loader.graph.leaf_nodes(), True):  # type: ignore[attr-defined]
        migration = loader.graph.nodes[key]
        if migration.app_label not in PROJECT_APPS or release_of(migration):
            state = migration.mutate_state(state)
            continue
        try:
            steps, _ = record_steps(migration, state, connection, tables_of(state))
        except NeedsDatabase:
            steps = None
        yield str(migration), steps
        state = migration.mutate_state(state)


def text_of(steps: list[Step]) -> str:
    """The SQL of a migration with the transactions of ``migrate``. RunPython is left out.

    ``migrate`` also divides the statements on a new table that refer to tables of clients.
    squawk knows a new table in its own transaction only, so they are one transaction here.
    """
    texts: list[str] = []
    new: set[str] = set()
    for step in steps:
        new |= set(CREATED.findall(step.sql))
        if not step.sql:
            continue
        if step.is_concurrent:
            texts.append(f"{step.sql};\n")
        elif texts and set(CHANGED.findall(step.sql)) <= new and texts[-1].endswith(COMMIT):
            texts[-1] = f"{texts[-1].removesuffix(COMMIT)}{step.sql};\n{COMMIT}"
        else:
            texts.append(f"BEGIN;\n{step.sql};\n{COMMIT}")
    return "\n".join([LIMITS, *texts]) if texts else ""


def main() -> int:
    with TemporaryDirectory() as folder:
        for name, steps in unreleased():
            if steps is None:
                print(f"{name}: its SQL is known during the run only; squawk does not read it.")
            elif text := text_of(steps):
                Path(folder, f"{name}.sql").write_text(text, encoding="utf-8")
        files = sorted(each.name for each in Path(folder).iterdir())
        if not files:
            print("No SQL of unreleased migrations.")
            return 0
        command = [SQUAWK, "--config", ROOT / ".squawk.toml", *files]
        return subprocess.run(command, cwd=folder, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
