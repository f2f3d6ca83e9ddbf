"""Release a version: freeze its migrations in migrations.lock.

    .venv/bin/python tools/release.py 1.1.0

Adds the files and the SQL of migrations that no release has. Refuses if a released file or its SQL
was changed, if a new migration has no rollback note, or if CHANGELOG.md has no section for the
version.
"""

from __future__ import annotations

import os
import re
import sys
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ebalance.settings")

import django  # noqa: E402

django.setup()

from django.db import connection  # noqa: E402
from django.db.migrations.loader import MigrationLoader  # noqa: E402

from ebalance.db.runner import releases  # noqa: E402
from ebalance.db.runner.recording import sql_of_migrations  # noqa: E402

HEADER = (
    "# Released migrations and their SQL, which never change: sha256, release, path or migration.\n"
)


def notes_missing(paths: set[str]) -> list[str]:
    """A line for each migration of ``paths``, after the first of its app, without a full note."""
    return [
        f"{migration} {fault}."
        for migration in MigrationLoader(None).disk_migrations.values()
        if f"{migration.app_label}/migrations/{migration.name}.py" in paths
        and not migration.initial
        and (fault := releases.fault_of_note(releases.rollback_note(migration)))
    ]


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or not re.fullmatch(r"\d+\.\d+\.\d+", arguments[0]):
        print("usage: tools/release.py VERSION, as 1.1.0", file=sys.stderr)
        return 2
    (version,) = arguments
    released = releases.released_lines(ROOT)
    known = {each.path for each in released}
    added = [
        (releases.hash_of(ROOT / path), path.as_posix())
        for path in releases.migration_files(ROOT)
        if path.as_posix() not in known
    ]
    sql = {
        name: sha256(text.encode()).hexdigest()
        for name, text in sql_of_migrations(connection).items()
    }
    faults = [f"{line}." for line in releases.changed_files(ROOT)]
    for name, hash_ in releases.released_sql(ROOT).items():
        if sql.get(name) != hash_:
            faults.append(f"The SQL of {name} has changed: restore what it uses of ebalance.db.")
    if any(each.release == version for each in released):
        faults.append(f"Release {version} is in {releases.LOCK_FILE} already.")
    if f"## [{version}]" not in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"):
        faults.append(f"CHANGELOG.md has no section [{version}].")
    faults += notes_missing({path for _, path in added})
    if faults:
        print("\n".join(faults), file=sys.stderr)
        return 1
    added += [
        (hash_, f"{releases.SQL}{name}")
        for name, hash_ in sql.items()
        if f"{releases.SQL}{name}" not in known
    ]
    lines = [
        *(f"{each.sha256}  {each.release}  {each.path}" for each in released),
        *(f"{hash_}  {version}  {path}" for hash_, path in added),
    ]
    (ROOT / releases.LOCK_FILE).write_text(HEADER + "\n".join(lines) + "\n", encoding="utf-8")
    print(f"Release {version}: {len(added)} lines added to {releases.LOCK_FILE}.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
