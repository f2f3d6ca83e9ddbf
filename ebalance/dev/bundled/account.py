"""The system account that runs the server. PostgreSQL refuses to run as root."""

from __future__ import annotations

import contextlib
import os
import pwd
import stat
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .errors import BundledServerError, one_line

SYSTEM_USER = "ebalance_postgres"  # runs the server when the caller is root
USERADD = ["useradd", "--system", "--no-create-home", "--shell", "/bin/false", SYSTEM_USER]


class Account:
    """The caller's own account. For root: the owner of existing data, or a system user."""

    def __init__(self, data_dir: Path, report: Callable[[str], None]) -> None:
        entry = _find_entry(data_dir) or _add_system_user(report)
        self.uid, self.gid, self.name = entry.pw_uid, entry.pw_gid, entry.pw_name

    @property
    def is_own(self) -> bool:
        return self.uid == os.geteuid()

    @property
    def process_options(self) -> dict[str, Any]:
        """Arguments of subprocess.Popen that run a program as this account."""
        if self.is_own:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def give(self, path: Path) -> None:
        """Make the account the owner of ``path``."""
        if not self.is_own:
            os.chown(path, self.uid, self.gid)

    def open_path(self, target: Path) -> list[str]:
        """Let the account reach ``target``; returns the folders that became searchable."""
        opened = []
        for folder in [*reversed(target.parents), target]:
            info = folder.stat()
            if not self._may_search(info):
                folder.chmod(stat.S_IMODE(info.st_mode) | stat.S_IXOTH)
                opened.append(str(folder))
        return opened

    def _may_search(self, info: os.stat_result) -> bool:
        if info.st_uid == self.uid:
            return bool(info.st_mode & stat.S_IXUSR)
        if info.st_gid == self.gid:
            return bool(info.st_mode & stat.S_IXGRP)
        return bool(info.st_mode & stat.S_IXOTH)


def _find_entry(data_dir: Path) -> pwd.struct_passwd | None:
    uid = os.geteuid()
    if uid == 0:
        with contextlib.suppress(FileNotFoundError):
            uid = data_dir.stat().st_uid  # for root, the owner of existing data runs the server
    if uid == 0:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(SYSTEM_USER)
        return None
    try:
        return pwd.getpwuid(uid)
    except KeyError:
        raise BundledServerError(
            f"The bundled PostgreSQL needs a named system user, but uid {uid} has no entry in "
            "/etc/passwd; set DATABASE_URL to a server instead."
        ) from None


def _add_system_user(report: Callable[[str], None]) -> pwd.struct_passwd:
    report(f"PostgreSQL does not run as root: adding the system user {SYSTEM_USER} for it …")
    try:
        result = subprocess.run(USERADD, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        reason, looks = one_line(result.stderr), 50
    except FileNotFoundError:
        reason, looks = "there is no useradd", 1
    for _ in range(looks):  # another command may be adding the user now
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(SYSTEM_USER)
        time.sleep(0.1)
    raise BundledServerError(
        f"PostgreSQL does not run as root, and the system user {SYSTEM_USER} cannot be made "
        f"({reason}); run as an ordinary user, or set DATABASE_URL to a server."
    )
