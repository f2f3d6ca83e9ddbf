"""Released migrations: their files never change, and each has a rollback note.

``migrations.lock`` lists each file of a release: sha256, release, path. It also has the sha256 of
the SQL of each migration: the parts of ``ebalance.db`` that a migration uses must go on producing
that SQL. ``tools/release.py`` adds the lines of a new release.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from django.conf import settings

from ebalance.db.apps import PROJECT_APPS

LOCK_FILE = "migrations.lock"
SQL = "sql of "  # before the name of a migration, in place of a path
NOTE = re.compile(r"Rollback note:\s*(?P<text>.+?)(?:\n\s*\n|\Z)", re.DOTALL)
# A note has the commands to run, and the loss.
COMMAND = re.compile(r"`[^`]{8,}`")
LOSS = re.compile(r"\blos(?:es|t|s)\b", re.I)
PLACEHOLDER = re.compile(r"\b(?:todo|tbd|none|n/a|fixme|xxx)\b|\.\.\.|…", re.I)


class Released(NamedTuple):
    """A line of migrations.lock."""

    sha256: str
    release: str
    path: str


def released_lines(root: Path | None = None) -> list[Released]:
    """All lines of migrations.lock; empty before the first release."""
    file = (root or settings.BASE_DIR) / LOCK_FILE
    if not file.exists():
        return []
    lines = file.read_text(encoding="utf-8").splitlines()
    return [Released(*line.split(maxsplit=2)) for line in lines if line and line[0] != "#"]


def released_files(root: Path | None = None) -> list[Released]:
    return [line for line in released_lines(root) if not line.path.startswith(SQL)]


def released_sql(root: Path | None = None) -> dict[str, str]:
    """The sha256 of the SQL of each released migration, by "app.name"."""
    return {
        line.path.removeprefix(SQL): line.sha256
        for line in released_lines(root)
        if line.path.startswith(SQL)
    }


def migration_files(root: Path | None = None) -> Iterator[Path]:
    """Migrations, their SQL and their data, relative to ``root``."""
    root = root or settings.BASE_DIR
    for app in PROJECT_APPS:
        for path in sorted((root / app / "migrations").rglob("*")):
            if path.is_file() and path.name != "__init__.py" and path.suffix != ".pyc":
                yield path.relative_to(root)


def hash_of(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()


def changed_files(root: Path | None = None) -> list[str]:
    """A line for each released file that was edited, deleted, or moved."""
    root = root or settings.BASE_DIR
    lines = []
    for released in released_files(root):
        path = root / released.path
        if not path.exists():
            lines.append(f"{released.path} of release {released.release} is missing")
        elif hash_of(path) != released.sha256:
            lines.append(f"{released.path} was edited after release {released.release}")
    return lines


def release_of(migration: Any, root: Path | None = None) -> str | None:
    """The release that has the migration; None before its release."""
    path = f"{migration.app_label}/migrations/{migration.name}.py"
    return next((each.release for each in released_files(root) if each.path == path), None)


def rollback_note(migration: Any) -> str | None:
    """The rollback note in the docstring of the migration's module, as one line."""
    module = sys.modules.get(type(migration).__module__)
    note = NOTE.search((module and module.__doc__) or "")
    return " ".join(note["text"].split()) if note else None


def fault_of_note(note: str | None) -> str | None:
    """The fault of a rollback note; None if it has none."""
    if note is None:
        return "has no rollback note: write `Rollback note: …` in the docstring of the module"
    if PLACEHOLDER.search(note):
        return "has a placeholder in its rollback note"
    if not COMMAND.search(note):
        return "has a rollback note without the command to run, in `backticks`"
    if not LOSS.search(note):
        return "has a rollback note that does not say what is lost"
    return None
