"""The bundled server as its clients see it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from . import cluster
from .cluster import PORT, SUPERUSER, Cluster
from .errors import BundledServerError, explain_os_error, one_line
from .supervisor import spawn_supervisor

MOST_FAILURES = 500  # of connections to a server that runs, without an error of the server's own


class Server:
    """One PostgreSQL server on ``data_dir``, run with the programs in ``bin_dir``.

    It is reached through a socket only. ``start()`` joins the users of the server and starts it
    when needed. ``close()`` leaves; the last user to leave ends the server.
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
        self.cluster = Cluster(bin_dir, data_dir, options=options, quiet=quiet)
        self.locks = self.cluster.locks
        self._users: int | None = None  # descriptor of the users' lock, while we hold it
        self._supervisor: subprocess.Popen[bytes] | None = None
        self._known_pid: int | None = None
        self._refusal: str | None = None  # the error of the last connection that was tried
        self._mutex = threading.Lock()

    # -- what a client needs --------------------------------------------------------------------

    @property
    def socket_dir(self) -> str:
        return self.cluster.socket_dir

    @property
    def params(self) -> dict[str, Any]:
        """Connection parameters for psycopg, without ``dbname``."""
        return {"host": self.socket_dir, "port": self.port, "user": SUPERUSER}

    def url(self, database: str) -> str:
        """The same as a DATABASE_URL."""
        return f"postgresql://{SUPERUSER}@/{database}?host={self.socket_dir}&port={self.port}"

    def start(self, database: str | None = None) -> Server:
        """Make sure that the server runs and that this process is one of its users.

        A server that runs already costs little. ``database`` is created when missing. Raises
        BundledServerError.
        """
        with self._mutex:
            if (
                self._users is not None
                and self._known_pid == self.cluster.running_pid()
                and os.path.exists(self.cluster.socket)
            ):
                return self
            try:
                self._start(database)
            except OSError as error:
                message = explain_os_error(error, self.cluster.data_dir)
                raise BundledServerError(message) from error
        return self

    def close(self, *, wait: bool = False) -> None:
        """Leave. With ``wait``, return when the server has ended, unless others still use it."""
        with self._mutex:
            if self._users is not None:
                # Closed, never unlocked: a forked child shares the lock and may still need the
                # server.
                os.close(self._users)
                self._users = self._known_pid = None
            elif self._supervisor is None:  # else an interrupted start, which ends by itself
                return
            if wait:
                self._wait_for_supervisor()
            if self._supervisor is not None and self._supervisor.poll() is not None:
                self._supervisor = None

    def _is_running_as(self, pid: int) -> bool:
        return self.cluster.running_pid() == pid

    # -- start ----------------------------------------------------------------------------------

    def _start(self, database: str | None) -> None:
        self.cluster.check_programs()
        self.cluster.data_dir.parent.mkdir(parents=True, exist_ok=True)
        with self.locks.exclusive("start"):
            if self._users is None:
                self._users = self.locks.open("users")
                fcntl.flock(self._users, fcntl.LOCK_SH)
            try:
                self.cluster.open_paths()
                self.cluster.make()
                self._start_server()
                if database:
                    self._create_database(database)
                self._known_pid = self.cluster.running_pid()
            except BaseException:
                os.close(self._users)
                self._users = None
                raise

    def _start_server(self) -> None:
        if self._use_running_server():
            return
        self.cluster.remove_foreign_pid()
        self.cluster.remove_socket_dir()  # the socket's lock file can be stale in the same ways
        self.cluster.make_socket_dir()
        self.cluster.report(f"Starting the bundled PostgreSQL {self.cluster.major} …")
        self.cluster.rotate_log()
        deadline = time.monotonic() + cluster.PATIENCE
        while (reason := self._try_to_start()) is not None:
            # After a kill -9 the old server's children need some time to notice.
            if "shared memory block" not in reason or time.monotonic() > deadline:
                raise BundledServerError(f"The bundled PostgreSQL did not start: {reason}.")
            time.sleep(0.2)

    def _use_running_server(self) -> bool:
        """Whether a server runs that accepts connections. One that does not answer is ended."""
        deadline = time.monotonic() + cluster.PATIENCE
        while True:
            pid = self.cluster.running_pid()
            if pid is None:
                if self.locks.is_free("supervisor"):
                    return False
                # The supervisor is about to end, or is starting the server.
                if time.monotonic() > deadline:
                    raise BundledServerError(
                        "The supervisor of the bundled PostgreSQL does not end; "
                        f"see {self.cluster.log_path}."
                    )
                time.sleep(0.02)
                continue
            reason = self._wait_until_ready(partial(self._is_running_as, pid))
            if reason is None:
                if self.locks.is_free("supervisor"):
                    self._spawn_supervisor()
                return True
            if reason == self._refusal:  # the server works, and other processes may use it
                raise BundledServerError(f"The bundled PostgreSQL refuses connections: {reason}.")
            if self.cluster.running_pid() == pid:
                self.cluster.report("The bundled PostgreSQL does not answer, restarting it …")
                self.cluster.stop()
                if self.cluster.running_pid() == pid:
                    raise BundledServerError(f"The bundled PostgreSQL {pid} cannot be ended.")

    def _try_to_start(self) -> str | None:
        """Start once; returns why it failed, or None."""
        log_from = self.cluster.log_size()
        supervisor = self._spawn_supervisor()
        reason = self._wait_until_ready(lambda: supervisor.poll() is None)
        if reason is None:
            return None
        if supervisor.poll() is None:
            self.cluster.stop()
        with contextlib.suppress(subprocess.TimeoutExpired):
            supervisor.wait(cluster.PATIENCE)
        return reason or self.cluster.reason_in_log(log_from) or f"see {self.cluster.log_path}"

    def _spawn_supervisor(self) -> subprocess.Popen[bytes]:
        if self._supervisor is not None:
            self._supervisor.poll()  # reap the one that has ended
        self._supervisor = spawn_supervisor(self.cluster)
        return self._supervisor

    def _wait_until_ready(self, is_alive: Callable[[], bool]) -> str | None:
        """Wait until the server accepts a connection; returns None, or why it never will.

        The reason is empty if the server has ended. The server's own state decides, not the clock:
        the wait lasts as long as a server starts (recovery after a crash) or stops.
        """
        deadline, failures = None, 0
        while True:
            was_ready = self.cluster.is_ready()
            if self._connects():
                return None
            if not is_alive():
                return ""
            refusal = self._refusal
            # "… starting up", "… in recovery mode", "… shutting down"
            is_changing_state = refusal is not None and "the database system is" in refusal
            if was_ready and not is_changing_state and self.cluster.is_ready():
                failures += refusal is not None
                # An error of the server is its answer. Any other may concern one connection only.
                if refusal is not None and ("FATAL:" in refusal or failures > MOST_FAILURES):
                    return refusal
                if refusal is None and not self._accepts():
                    return "its socket is gone"
                deadline = deadline or time.monotonic() + cluster.PATIENCE
                if time.monotonic() > deadline:
                    return "it does not answer"
            time.sleep(0.02)

    def _create_database(self, name: str) -> None:
        import psycopg
        from psycopg import errors, sql

        exists = "SELECT FROM pg_database WHERE datname = %s"
        create = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
        try:
            with psycopg.connect(**self.params, dbname="postgres", autocommit=True) as connection:
                if not connection.execute(exists, [name]).fetchone():
                    with contextlib.suppress(errors.DuplicateDatabase, errors.UniqueViolation):
                        connection.execute(create)
        except psycopg.Error as error:
            raise BundledServerError(
                f"The database {name} could not be created: {one_line(error)}."
            ) from error

    # -- stop -----------------------------------------------------------------------------------

    def _wait_for_supervisor(self) -> None:
        deadline = time.monotonic() + cluster.PATIENCE
        # One check may see the lock while the supervisor, or another process that leaves, takes or
        # releases it. A user holds it for longer.
        looks = 0
        while time.monotonic() < deadline and not self._has_ended():
            is_shared = not self.locks.is_free("users") and self.locks.is_free(
                "users", fcntl.LOCK_SH
            )
            looks = looks + 1 if is_shared else 0
            if looks == 5:
                return  # others use it
            time.sleep(0.02)

    def _has_ended(self) -> bool:
        is_ours_gone = self._supervisor is None or self._supervisor.poll() is not None
        return is_ours_gone and self.locks.is_free("supervisor")

    # -- connections ------------------------------------------------------------------------------

    def _accepts(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(self.cluster.socket)
            except OSError:
                return False
        return True

    def _connects(self) -> bool:
        """Whether the server accepts a connection. The error is kept if there is one."""
        import psycopg

        self._refusal = None
        if not self._accepts():
            return False
        try:
            psycopg.connect(**self.params, dbname="postgres", connect_timeout=60).close()
        except psycopg.OperationalError as error:
            self._refusal = one_line(error)
            return False
        return True
