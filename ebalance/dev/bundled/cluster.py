"""One PostgreSQL cluster on disk: its data folder, programs, socket, log and pid file."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from ebalance.db.server import QUIET_LOG

from .account import Account
from .errors import BundledServerError, find_reason, user_name
from .locks import Locks

SUPERUSER = "postgres"
PORT = 5432  # names the socket only: the server listens on no network port
# Seconds. Both limits only end an endless wait; a slow machine needs much less.
PATIENCE = 600.0
STOP_PATIENCE = 300.0
LONGEST_PATH = 950  # bytes; the server's own programs keep paths in 1024 and crash beyond
LARGEST_LOG = 5_000_000  # bytes
OPTIONS: dict[str, str] = {
    **QUIET_LOG,
    "synchronous_commit": "off",  # a crash may lose the last commits, never consistency
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
}


class Cluster:
    """The files of one server. Knows whether a server runs on them, and can stop it."""

    def __init__(
        self,
        bin_dir: Path | str,
        data_dir: Path | str,
        *,
        options: Mapping[str, str] | None = None,
        quiet: bool = False,
    ) -> None:
        self.bin_dir = Path(bin_dir).resolve()
        # The parent is resolved. The folder itself need not exist yet.
        data = Path(os.path.abspath(data_dir))
        self.data_dir = Path(os.path.realpath(data.parent)) / data.name
        self.options = {**OPTIONS, **(options or {})}
        self.quiet = quiet
        self.log_path = self.data_dir.with_name(f"{self.data_dir.name}.log")
        self.pid_path = self.data_dir / "postmaster.pid"
        self.locks = Locks(self.data_dir, self.report)

    def report(self, text: str) -> None:
        """Print progress to standard error, apart from the command's output."""
        if not self.quiet:
            print(text, file=sys.stderr, flush=True)

    @cached_property
    def account(self) -> Account:
        return Account(self.data_dir, self.report)

    @cached_property
    def socket_dir(self) -> str:
        digest = hashlib.sha256(os.fsencode(self.data_dir)).hexdigest()[:12]
        return f"/tmp/ebalance-{self.account.uid}-{digest}"

    @property
    def socket(self) -> str:
        return f"{self.socket_dir}/.s.PGSQL.{PORT}"

    # -- programs -------------------------------------------------------------------------------

    def check_programs(self) -> None:
        """Raises BundledServerError for a missing program and for a path that is too long."""
        for path in (self.bin_dir, self.data_dir):
            if len(os.fsencode(path)) > LONGEST_PATH:
                raise BundledServerError(
                    f"The path of {path} is too long for PostgreSQL, which takes {LONGEST_PATH} "
                    "bytes; set EBALANCE_DATA_DIR to a shorter one, or move the checkout."
                )
        for name in ("postgres", "initdb"):
            if not os.access(self.bin_dir / name, os.X_OK):
                raise BundledServerError(
                    f"The bundled PostgreSQL is incomplete: no program {self.bin_dir / name}."
                )

    def run_program(self, program: str, *arguments: str) -> str:
        """Run one of the server's programs as the server's account; returns its output."""
        result = subprocess.run(
            [str(self.bin_dir / program), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            cwd="/",
            env=clean_environment(),
            umask=0o077,
            **self.account.process_options,
        )
        if result.returncode:
            reason = (
                find_reason(result.stderr.splitlines())
                or f"{program} ended with code {result.returncode}"
            )
            raise BundledServerError(
                f"The bundled PostgreSQL cannot be prepared in {self.data_dir}: {reason}."
            )
        return result.stdout

    @cached_property
    def major(self) -> str:
        version = self.run_program("postgres", "--version")
        match = re.search(r"(\d+)(\.\d+|devel|beta\d+|rc\d+)", version)
        return match.group(1) if match else "?"

    # -- files ----------------------------------------------------------------------------------

    def open_paths(self) -> None:
        """Let the server's account reach its programs and its data. Only root needs this."""
        if os.geteuid() != 0:
            return
        targets = (self.bin_dir, self.data_dir.parent)
        opened = [folder for target in targets for folder in self.account.open_path(target)]
        if opened:
            self.report(
                f"Added the search bit (o+x) to {', '.join(opened)}, "
                f"so that the database's system user {self.account.name} can reach its files."
            )

    def make(self) -> None:
        """Make the data folder, unless there is one that this server can use."""
        for leftover in self.data_dir.parent.glob(f"{_glob_escape(self.data_dir.name)}.init-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        if (self.data_dir / "PG_VERSION").exists():
            self._check_data()
            return
        if self.data_dir.exists():
            if any(self.data_dir.iterdir()):
                raise BundledServerError(
                    f"The data folder {self.data_dir} exists, but holds no PostgreSQL data."
                )
            self.data_dir.rmdir()
        self.report(
            f"Preparing the data folder of the bundled PostgreSQL {self.major} in {self.data_dir} …"
        )
        prefix = f"{self.data_dir.name}.init-"
        fresh = Path(tempfile.mkdtemp(prefix=prefix, dir=self.data_dir.parent))
        try:
            self.account.give(fresh)
            self._run_initdb(fresh)
            fresh.rename(self.data_dir)
        except BaseException:
            shutil.rmtree(fresh, ignore_errors=True)
            raise

    def _check_data(self) -> None:
        owner = self.data_dir.stat().st_uid
        if owner != self.account.uid:
            raise BundledServerError(
                f"The data folder {self.data_dir} belongs to {user_name(owner)}, "
                f"but PostgreSQL runs as {self.account.name}; "
                "change the owner of the folder and its files."
            )
        version = (self.data_dir / "PG_VERSION").read_text().strip()
        if version != self.major:
            raise BundledServerError(
                f"The data folder {self.data_dir} was made by PostgreSQL {version}, "
                f"the bundled one is {self.major}."
            )

    def _run_initdb(self, folder: Path) -> None:
        if int(self.major) >= 17:
            locale = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        else:
            locale = ["--locale=C.UTF-8"]
        options = ["--auth=trust", "--encoding=UTF8", "--no-instructions", *locale]
        self.run_program("initdb", "-D", str(folder), "-U", SUPERUSER, *options)

    def make_socket_dir(self) -> None:
        path = Path(self.socket_dir)
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=0o700)
            self.account.give(path)
        info = path.lstat()
        if not stat.S_ISDIR(info.st_mode) or info.st_uid not in {self.account.uid, os.geteuid()}:
            raise BundledServerError(
                f"{path} is not ours, so the database's socket cannot be put there; remove it."
            )
        path.chmod(0o700)
        if info.st_uid != self.account.uid:  # a start that was killed after mkdir
            self.account.give(path)

    def remove_socket_dir(self) -> None:
        shutil.rmtree(self.socket_dir, ignore_errors=True)

    def rotate_log(self) -> None:
        if self.log_path.exists() and self.log_path.stat().st_size > LARGEST_LOG:
            self.log_path.replace(self.log_path.with_suffix(".log.1"))

    def log_size(self) -> int:
        return self.log_path.stat().st_size if self.log_path.exists() else 0

    def reason_in_log(self, start: int) -> str:
        try:
            with self.log_path.open("rb") as log:
                log.seek(start)
                return find_reason(log.read().decode(errors="replace").splitlines())
        except OSError:
            return ""

    # -- the server's process ---------------------------------------------------------------------

    def running_pid(self) -> int | None:
        """The pid in postmaster.pid, if that process is a server on this folder."""
        try:
            pid = int(self.pid_path.read_text().split("\n", 1)[0])
        except (OSError, ValueError):
            return None
        return pid if _is_postmaster(pid, self.data_dir) else None

    def is_ready(self) -> bool:
        """Whether the server runs and its pid file has the status "ready"."""
        try:
            lines = self.pid_path.read_text().split("\n")
        except (OSError, ValueError):
            return False
        return len(lines) > 7 and lines[7].strip() == "ready" and self.running_pid() is not None

    def remove_foreign_pid(self) -> None:
        """Remove a postmaster.pid whose number belongs to another program or to a zombie.

        PostgreSQL would take that process for a server. A file whose number belongs to no process
        stays: PostgreSQL judges it itself, and detects children of a killed server.
        """
        import psutil

        try:
            is_foreign = psutil.pid_exists(int(self.pid_path.read_text().split("\n", 1)[0]))
        except FileNotFoundError:
            return
        except ValueError:
            is_foreign = True  # half-written
        if not is_foreign:
            return
        # Without the file PostgreSQL does not detect children of a killed server.
        deadline = time.monotonic() + PATIENCE
        while _is_used(self.data_dir):
            if time.monotonic() > deadline:
                raise BundledServerError(
                    f"Processes of a killed server still use the data folder {self.data_dir}."
                )
            time.sleep(0.05)
        self.pid_path.unlink(missing_ok=True)

    def stop(self, postmaster: int | None = None) -> None:
        """End the server, gently at first. Its data are safe in each case.

        ``postmaster`` is the pid of a child that may not have written its pid file yet.
        """
        for number, patience in (
            (signal.SIGINT, STOP_PATIENCE),  # "fast": roll back, checkpoint, end
            (signal.SIGQUIT, 60.0),
            (signal.SIGKILL, 60.0),
        ):
            pid = postmaster or self.running_pid()
            if pid is None:
                return
            deadline, repeat_at = time.monotonic() + patience, 0.0
            while (postmaster or self.running_pid()) == pid:
                if time.monotonic() > deadline:
                    break
                if time.monotonic() > repeat_at:
                    # Repeated: a program that is just starting may miss the first signal.
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, number)
                    repeat_at = time.monotonic() + 1
                time.sleep(0.02)


def clean_environment() -> dict[str, str]:
    """The environment of the server's programs, without PG* and LC_* variables."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC", "HOME": "/"}


def _is_postmaster(pid: int, data_dir: Path) -> bool:
    import psutil

    try:
        process = psutil.Process(pid)
        command = process.cmdline()
        is_alive = process.status() != psutil.STATUS_ZOMBIE
        return is_alive and "-D" in command and str(data_dir) in command
    except psutil.Error:
        return False


def _is_used(folder: Path) -> bool:
    """Whether a process works in ``folder``, as a server and its children do in their data."""
    import psutil

    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.cwd() == str(folder):
                return True
    return False


def _glob_escape(name: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", name)
