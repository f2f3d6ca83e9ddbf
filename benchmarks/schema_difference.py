"""Prints the differences between the schemas of this checkout and of another commit.

    .venv/bin/python benchmarks/schema_difference.py COMMIT

It migrates an empty database with the code of each, dumps both with pg_dump, and prints the objects
that differ.
"""

from __future__ import annotations

import difflib
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from common import ROOT, empty_database, libpq_environment, program, url

HEADER = re.compile(r"^-- Name: (?P<name>.*?); Type: (?P<type>.*?);.*$", re.MULTILINE)


def main(commit: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        other = Path(folder) / "other"
        subprocess.run(
            ["git", "worktree", "add", "--quiet", "--detach", str(other), commit],
            cwd=ROOT,
            check=True,
        )
        try:
            before, after = schema_of(other), schema_of(ROOT)
        finally:
            subprocess.run(
                ["git", "worktree", "remove", "--force", str(other)], cwd=ROOT, check=True
            )
    differing = 0
    for key in sorted({*before, *after}):
        old, new = before.get(key, ""), after.get(key, "")
        if old != new:
            differing += 1
            print(f"== {key}")
            lines = difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=0)
            print("\n".join([*lines][3:]))
    print(f"{differing} of {len({*before, *after})} objects differ")


def schema_of(checkout: Path) -> dict[str, str]:
    """The definition of each object, by type and name."""
    with empty_database("schema") as params:
        subprocess.run(
            [sys.executable, "manage.py", "migrate", "--verbosity", "0"],
            cwd=checkout,
            env={**os.environ, "DATABASE_URL": url(params)},
            check=True,
        )
        dump = subprocess.run(
            [program("pg_dump"), "--schema-only", "--no-owner"],
            env=libpq_environment(params),
            check=True,
            capture_output=True,
            text=True,
        ).stdout
    objects: dict[str, str] = {}
    parts = HEADER.split(dump)
    for name, kind, definition in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        lines = [
            line for line in definition.splitlines() if line and not line.startswith(("--", "\\"))
        ]
        if kind == "TABLE":  # the order of columns does not matter
            lines.sort()
        objects[f"{kind} {name}"] = "\n".join(line.rstrip(",") for line in lines)
    return objects


if __name__ == "__main__":
    main(sys.argv[1])
