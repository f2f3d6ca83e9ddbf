"""The release that is migrated: its code, its migrations, and whether there is a newer one."""

from __future__ import annotations

import re
import subprocess
import tarfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from ebalance.db.runner import releases

ROOT = Path(__file__).resolve().parent.parent.parent


@dataclass(frozen=True)
class Release:
    """``targets`` has the last migration of each app; ``unreleased`` the files after it."""

    version: str
    targets: dict[str, str]
    unreleased: list[str]


def last_release() -> Release:
    """The last release of migrations.lock. Raises LookupError before the first one."""
    released = releases.released_files(ROOT)
    if not released:
        raise LookupError(f"{releases.LOCK_FILE} has no release.")
    paths = {each.path for each in released}
    targets: dict[str, str] = {}
    for path in sorted(paths):
        if migration := re.fullmatch(r"(\w+)/migrations/(\d\w+)\.py", path):
            targets[migration[1]] = migration[2]
    files = [path.as_posix() for path in releases.migration_files(ROOT)]
    version = max((each.release for each in released), key=_numbers)
    return Release(version, targets, [path for path in files if path not in paths])


def code_of(version: str, folder: Path) -> tuple[Path, str]:
    """The folder with the code of a release, and a line about it.

    It is that of the commit that wrote the lines of the release in migrations.lock, copied to
    ``folder``; the present tree if there is no difference, or no history. Raises LookupError if
    the migrations of the commit are not those of its release.
    """
    lines = f"  {version.replace('.', '[.]')}  "
    log = _git(
        *("log", "-1", "--format=%H", "-m", "--first-parent", f"-G{lines}"),
        *("--", releases.LOCK_FILE),
    )
    commit = log.stdout.decode().strip()
    if log.returncode or not commit:
        return ROOT, f"The history does not reach release {version}: the present code plays it"
    if not _git("diff", "--quiet", commit, "--", "*.py", "*.sql", "*.json").returncode:
        return ROOT, f"The present code is that of release {version} ({commit[:12]})"
    with tarfile.open(fileobj=BytesIO(_git("archive", commit).stdout)) as archive:
        archive.extractall(folder, filter="data")
    if changed := releases.changed_files(folder):
        raise LookupError(f"{commit[:12]} is not release {version}: {changed[0]}.")
    return folder, f"The code of release {version} is that of {commit[:12]}"


def _git(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True)
    except FileNotFoundError:
        return subprocess.CompletedProcess(arguments, 127, b"", b"")


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]
