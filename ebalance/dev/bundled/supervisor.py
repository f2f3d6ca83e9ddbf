"""The supervisor's process: the parent of the server, or the guardian of an orphaned server."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from .cluster import PORT, Cluster, clean_environment

ROOT = Path(__file__).resolve().parents[3]
# Only the folder of the checkout is added to the path; -P leaves out the current folder.
COMMAND = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from ebalance.dev.bundled.supervisor import main; main(sys.argv[3:])"
)


class _Detached(subprocess.Popen[bytes]):
    """A child that may outlive its parent, without a ResourceWarning."""

    def __del__(self) -> None:
        with contextlib.suppress(Exception):
            self.poll()


def spawn_supervisor(cluster: Cluster) -> subprocess.Popen[bytes]:
    with cluster.log_path.open("ab") as log:
        return _Detached(
            supervisor_command(cluster),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            start_new_session=True,
        )


def supervisor_command(cluster: Cluster) -> list[str]:
    options = [f"{name}={value}" for name, value in cluster.options.items()]
    folders = [str(cluster.bin_dir), str(cluster.data_dir)]
    return [sys.executable, "-P", "-c", COMMAND, str(ROOT), "supervise", *folders, *options]


def main(arguments: list[str]) -> None:
    """``BIN_DIR DATA_DIR [NAME=VALUE …]``"""
    options = dict(item.split("=", 1) for item in arguments[2:])
    Supervisor(Cluster(arguments[0], arguments[1], options=options, quiet=True)).run()


class Supervisor:
    """Stops the server when no process uses it any more, and ends together with it."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.postmaster: int | None = None  # pid of the child

    def run(self) -> None:
        import psutil

        locks = self.cluster.locks
        life = locks.open("supervisor")
        try:
            fcntl.flock(life, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return  # there is a supervisor already
        # Set before the server starts, so that it inherits no ignored signal: a shell ignores
        # SIGINT in the programs that it starts in the background.
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: self.stop())
        pid = self.cluster.running_pid()
        if pid is None:
            self.start_postmaster()
        else:
            self.end_after(psutil.Process(pid).wait)
        users = locks.open("users")
        while True:
            fcntl.flock(users, fcntl.LOCK_EX)  # waits until no process uses the server
            fcntl.flock(users, fcntl.LOCK_UN)  # a newcomer with the start lock must not wait
            with locks.exclusive("start"):
                try:
                    fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                self.stop()
                signal.pause()  # the watching thread ends this process under the start lock

    def start_postmaster(self) -> None:
        cluster = self.cluster
        options = {
            **cluster.options,
            "listen_addresses": "",
            "unix_socket_directories": cluster.socket_dir,
            "unix_socket_permissions": "0700",
            "port": str(PORT),
        }
        command = [str(cluster.bin_dir / "postgres"), "-D", str(cluster.data_dir)]
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            cwd="/",
            env=clean_environment(),
            umask=0o077,
            **cluster.account.process_options,
        )
        self.postmaster = process.pid
        self.end_after(process.wait)

    def end_after(self, wait: Callable[[], object]) -> None:
        """End this process as soon as the server has ended, for whatever reason."""

        def watch() -> None:
            with contextlib.suppress(Exception):
                wait()
            self.cluster.remove_socket_dir()
            os._exit(0)

        threading.Thread(target=watch, daemon=True).start()

    def stop(self) -> None:
        self.cluster.stop(self.postmaster)
