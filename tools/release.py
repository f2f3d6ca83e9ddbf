"""Release a version: freeze its migrations in migrations.lock.

    .venv/bin/python tools/release.py 1.1.0

Adds the files of migrations that no release has. Refuses if a released file was changed, if a new
migration has no rollback note, or if CHANGELOG.md has no section for the version.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ebalance.settings")

from ebalance.db.runner import releases  # noqa: E402

HEADER = "# Files of released migrations, which never change: sha256, release, path.\n"


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or not re.fullmatch(r"\d+\.\d+\.\d+", arguments[0]):
        print("usage: tools/release.py VERSION, as 1.1.0", file=sys.stderr)
        return 2
    (version,) = arguments
    released = releases.released_files(ROOT)
    faults = [f"{line}." for line in releases.changed_files(ROOT)]
    if any(each.release == version for each in released):
        faults.append(f"Release {version} is in {releases.LOCK_FILE} already.")
    if f"## [{version}]" not in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"):
        faults.append(f"CHANGELOG.md has no section [{version}].")
    if faults:
        print("\n".join(faults), file=sys.stderr)
        return 1
    known = {each.path for each in released}
    added = [path for path in releases.migration_files(ROOT) if path.as_posix() not in known]
    lines = [
        *(f"{each.sha256}  {each.release}  {each.path}" for each in released),
        *(f"{releases.hash_of(ROOT / path)}  {version}  {path.as_posix()}" for path in added),
    ]
    (ROOT / releases.LOCK_FILE).write_text(HEADER + "\n".join(lines) + "\n", encoding="utf-8")
    print(f"Release {version}: {len(added)} files frozen in {releases.LOCK_FILE}.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
