"""The bundled server: each test has its own data folder."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import psycopg
import pytest

from ebalance.dev.bundled import BundledServerError, Server, bundled_bin_dir, cluster, locks
from ebalance.dev.bundled.supervisor import supervisor_command
from tests.processes import (
    HANG_TIMEOUT,
    ROOT,
    environment,
    eventually,
    manage,
    processes_with_argument,
)

CLIENT = """
import sys
from ebalance.dev.bundled import Server
server = Server(sys.argv[1], sys.argv[2], quiet=True).start("ebalance")
print("ready", flush=True)
sys.stdin.read()
"""


slow = pytest.mark.slow


@contextlib.contextmanager
def new_folder() -> Iterator[Path]:
    """A folder that only its owner may enter; its name has a space and Cyrillic letters."""
    path = Path(tempfile.mkdtemp(prefix="ebalance тест "))
    try:
        yield path
    finally:
        eventually(
            lambda: not processes_with_argument(path), 30
        )  # ends by itself unless the test failed
        for process in processes_with_argument(path):
            with contextlib.suppress(psutil.Error):
                process.kill()
        eventually(lambda: not processes_with_argument(path), 30)
        shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def folder() -> Iterator[Path]:
    with new_folder() as path:
        yield path


@pytest.fixture(scope="module")
def prepared() -> Iterator[Path]:
    """The data folder of a stopped server. Tests copy it, because initdb takes long."""
    with new_folder() as path:
        new_server(path).start().close(wait=True)
        yield path / "data"


def new_server(folder: Path, bin_dir: Path | None = None) -> Server:
    return Server(bin_dir or bundled_bin_dir(), folder / "data", quiet=True)


@pytest.fixture
def server(folder: Path, prepared: Path) -> Iterator[Server]:
    subprocess.run(["cp", "-a", str(prepared), str(folder / "data")], check=True)
    made = new_server(folder)
    yield made
    made.close(wait=True)


def programs(folder: Path, before_start: str) -> Path:
    """The server's programs; the shell lines `before_start` run before the server."""
    real, made = bundled_bin_dir(), folder / "programs"
    made.mkdir()
    (made / "initdb").symlink_to(real / "initdb")
    (made / "postgres").write_text(
        f"""#!/bin/sh
[ "$1" = --version ] && exec '{real}/postgres' --version
cd '{folder}'
{before_start}
exec '{real}/postgres' "$@"
"""
    )
    (made / "postgres").chmod(0o755)
    made.chmod(0o777)
    return made


def client(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", CLIENT, str(bundled_bin_dir()), str(folder / "data")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment(),
    )


def query(server: Server, statement: str, database: str = "postgres") -> object:
    with psycopg.connect(**server.params, dbname=database, autocommit=True) as connection:
        row = connection.execute(statement).fetchone()
    return row[0] if row else None


@slow
def test_server_keeps_data_over_a_restart(folder: Path) -> None:
    server = new_server(folder)
    server.start("ebalance")
    with psycopg.connect(**server.params, dbname="ebalance", autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS n")
    server.close(wait=True)
    assert not processes_with_argument(folder)
    assert not Path(server.socket_dir).exists()
    server.start("ebalance")
    assert query(server, "SELECT n FROM kept", "ebalance") == 1
    server.close()


@slow
def test_server_listens_on_a_private_socket_in_utf8_and_utc(server: Server) -> None:
    server.start("ebalance")
    assert query(server, "SHOW listen_addresses") == ""
    assert query(server, "SHOW server_encoding") == "UTF8"
    assert query(server, "SHOW timezone") == "UTC"
    assert query(server, "SHOW fsync") == "on"
    assert query(server, "SELECT lower('ЁЖ')") == "ёж"
    assert Path(server.socket_dir).stat().st_mode & 0o077 == 0


@slow
def test_server_accepts_a_very_long_path(folder: Path) -> None:
    deep = folder / ("длинный " * 12).strip() / ("x" * 100)
    made = Server(bundled_bin_dir(), deep / "data", quiet=True).start()
    assert query(made, "SELECT 1") == 1
    made.close(wait=True)


@slow
def test_concurrent_starters_share_one_server(folder: Path) -> None:
    with ThreadPoolExecutor() as pool:
        clients = list(pool.map(lambda _: client(folder), range(3)))
    assert [process.stdout.readline() for process in clients if process.stdout] == ["ready\n"] * 3
    masters = [p for p in processes_with_argument(folder / "data") if "-D" in p.cmdline()]
    assert len(masters) == 1
    for process in clients:
        process.communicate()
    assert eventually(lambda: not processes_with_argument(folder))


@slow
def test_killed_client_leaves_no_process(folder: Path) -> None:
    process = client(folder)
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    process.kill()
    process.communicate()
    assert eventually(lambda: not processes_with_argument(folder))


@slow
def test_server_runs_while_a_client_uses_it(folder: Path, server: Server) -> None:
    server.start()
    process = client(folder)
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    process.kill()
    process.communicate()
    assert query(server, "SELECT 1") == 1
    other = client(folder)
    assert other.stdout
    assert other.stdout.readline() == "ready\n"
    server.close(wait=True)  # returns although the server keeps running
    assert processes_with_argument(folder / "data")
    other.communicate()
    assert eventually(lambda: not processes_with_argument(folder))


@slow
def test_last_user_waits_although_the_lock_is_briefly_taken(
    folder: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The supervisor takes and releases the users' lock between two checks of the last user."""
    server.start()
    look, seen = server.locks.is_free, iter([False, True])  # not free alone, but free to share

    def passing(name: locks.Name, kind: int = fcntl.LOCK_EX) -> bool:
        return next(seen, look(name, kind)) if name == "users" else look(name, kind)

    monkeypatch.setattr(server.locks, "is_free", passing)
    server.close(wait=True)
    assert not processes_with_argument(folder)


@slow
def test_killed_server_is_restarted(server: Server) -> None:
    server.start("ebalance")
    first = server.cluster.running_pid()
    assert first
    os.kill(first, signal.SIGKILL)
    assert eventually(lambda: not server.cluster.running_pid())
    server.start("ebalance")
    assert server.cluster.running_pid() != first
    assert query(server, "SELECT 1", "ebalance") == 1


@slow
def test_server_is_restarted_after_a_kill_of_all_processes(folder: Path, server: Server) -> None:
    server.start()
    for process in processes_with_argument(folder):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    assert eventually(lambda: not processes_with_argument(folder))
    server.start()
    assert query(server, "SELECT 1") == 1
    server.close(wait=True)
    assert not processes_with_argument(folder)


@slow
def test_server_without_a_supervisor_gets_a_new_one(folder: Path, server: Server) -> None:
    server.start()
    for process in processes_with_argument(folder):
        if "supervise" in process.cmdline():
            process.kill()
    second = new_server(folder).start()
    second.close()
    server.close(wait=True)
    assert eventually(lambda: not processes_with_argument(folder))


@slow
def test_unused_server_is_stopped_before_it_is_up(folder: Path, server: Server) -> None:
    """The starter has ended. The server has no pid file yet and misses the first signal."""
    bin_dir = programs(folder, """trap 'missed=1' INT; until [ "$missed" ]; do sleep 0.05; done""")
    server.cluster.make_socket_dir()
    command = supervisor_command(cluster.Cluster(bin_dir, server.cluster.data_dir))
    with (folder / "log").open("wb") as log:
        supervisor = subprocess.Popen(command, stderr=log)
    assert eventually(lambda: supervisor.poll() is not None)
    assert not processes_with_argument(folder)
    assert "immediate shutdown" not in (folder / "log").read_text()  # no stronger signal was used


@slow
def test_interrupted_start_is_waited_for(
    folder: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_lives: object) -> str | None:
        raise KeyboardInterrupt

    monkeypatch.setattr(server, "_wait_until_ready", interrupt)
    with pytest.raises(KeyboardInterrupt):
        server.start()
    server.close(wait=True)
    assert not processes_with_argument(folder)


@slow
def test_server_that_takes_long_to_start_is_waited_for(
    folder: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    bin_dir = programs(
        folder, "echo started >> programs/starts; until [ -e go ]; do sleep 0.05; done"
    )
    slow_one, tries = new_server(folder, bin_dir), []
    connects = slow_one._connects
    monkeypatch.setattr(slow_one, "_connects", lambda: tries.append(1) or connects())
    monkeypatch.setattr(cluster, "PATIENCE", 0.0)
    with ThreadPoolExecutor() as pool:
        started = pool.submit(slow_one.start)
        try:
            assert eventually(lambda: len(tries) > 20 or started.done())
            assert not started.done()
        finally:
            (folder / "go").touch()
        started.result()
    assert query(slow_one, "SELECT 1") == 1
    assert (bin_dir / "starts").read_text() == "started\n"
    monkeypatch.undo()
    slow_one.close(wait=True)


@slow
def test_running_server_without_a_socket_is_restarted(server: Server) -> None:
    """A cleaner of /tmp has removed the socket, so no client can connect."""
    server.start()
    first = server.cluster.running_pid()
    Path(server.cluster.socket).unlink()
    server.start()
    assert server.cluster.running_pid() != first
    assert query(server, "SELECT 1") == 1


@slow
def test_running_server_that_refuses_a_client_is_left_running(folder: Path, server: Server) -> None:
    server.start()
    first = server.cluster.running_pid()
    (folder / "data" / "pg_hba.conf").write_text("local all all reject\n")
    os.kill(first, signal.SIGHUP)
    assert eventually(lambda: not server._connects())
    assert "refuses connections" in (text := refusal(folder / "data"))
    assert "pg_hba.conf rejects connection" in text
    assert server.cluster.running_pid() == first


@slow
def test_wait_for_another_command_is_reported(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    server.start()
    other = Server(server.cluster.bin_dir, server.cluster.data_dir)
    with ThreadPoolExecutor() as pool:
        with server.locks.exclusive("start"):
            started = pool.submit(other.start)
            assert eventually(lambda: "waiting for it" in capsys.readouterr().err)
        started.result(HANG_TIMEOUT)
    other.close()


@slow
@pytest.mark.parametrize(
    "pid",
    [
        pytest.param("1999999999", id="of nobody"),
        pytest.param(None, id="of another program"),
        pytest.param("", id="lost"),
    ],
)
def test_server_starts_despite_a_stale_pid_file(
    folder: Path, server: Server, pid: str | None
) -> None:
    options = server.cluster.account.process_options
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, **options) as other:
        text = str(other.pid) if pid is None else pid
        (folder / "data" / "postmaster.pid").write_text(
            f"{text}\n{folder / 'data'}\n1\n5432\n/tmp\n\n  1 1\nready   \n"
        )
        server.start()
        assert query(server, "SELECT 1") == 1
        other.kill()


@slow
def test_incomplete_data_folder_is_replaced(folder: Path) -> None:
    (folder / "data.init-killed").mkdir()
    (folder / "data.init-killed" / "PG_VERSION").write_text("18\n")
    (folder / "data").mkdir()
    server = new_server(folder).start()
    assert query(server, "SELECT 1") == 1
    assert not (folder / "data.init-killed").exists()
    server.close()


@slow
def test_exit_of_a_forked_child_does_not_stop_the_server(server: Server) -> None:
    server.start()
    process = psutil.Popen(["true"])  # an unrelated child does not hold the lock either
    process.wait()
    # In a new process, because a fork beside the test runner's threads would warn.
    code = (
        "import os, sys; from ebalance.dev.bundled import Server; "
        "s = Server(sys.argv[1], sys.argv[2], quiet=True).start(); "
        "pid = os.fork(); "
        "os._exit(0) if pid == 0 else os.waitpid(pid, 0); "
        "sys.exit(0 if s._accepts() else 1)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(server.cluster.bin_dir), str(server.cluster.data_dir)],
        cwd=ROOT,
        env=environment(),
    )
    assert done.returncode == 0
    assert query(server, "SELECT 1") == 1


# Each of them alone would fail the query below.
OF_OTHER_SERVERS = {
    "PGSERVICE": "another",
    "PGOPTIONS": "-c search_path=another",
    "PGDATESTYLE": "German",
    "PGHOSTADDR": "192.0.2.1",
}


@slow
def test_environment_of_other_servers_is_ignored(folder: Path) -> None:
    code = (
        "from django.db import connection; cursor = connection.cursor(); "
        "cursor.execute('SELECT current_schema(), now()'); print(cursor.fetchone()[0])"
    )
    changes = {"DATABASE_URL": None, "EBALANCE_DATA_DIR": str(folder), **OF_OTHER_SERVERS}
    result = manage("shell", "--no-imports", "-c", code, **changes)
    assert result.stdout == "public\n", result.stderr


@slow
def test_refused_connection_is_reported_with_its_reason(folder: Path, server: Server) -> None:
    (folder / "data" / "pg_hba.conf").write_text("local all all reject\n")
    text = refusal(folder / "data")
    assert "did not start" in text
    assert "pg_hba.conf rejects connection" in text
    assert eventually(lambda: not processes_with_argument(folder))


def refusal(data_dir: Path, bin_dir: Path | None = None) -> str:
    with pytest.raises(BundledServerError) as caught:
        Server(bin_dir or bundled_bin_dir(), data_dir, quiet=True).start()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_read_only_data_folder_is_reported(folder: Path) -> None:
    if os.geteuid() == 0:
        assert "cannot use /sys/ebalance" in refusal(Path("/sys/ebalance/data"))
    else:
        folder.chmod(0o500)
        assert "may not write there" in refusal(folder / "below" / "data")
        folder.chmod(0o700)


def test_file_at_the_path_of_the_folder_is_reported(folder: Path) -> None:
    (folder / "file").write_text("")
    assert "a file is in the way" in refusal(folder / "file" / "data")
    assert "a file is in the way" in refusal(folder / "file" / "below" / "data")


def test_folder_with_other_files_is_reported(folder: Path) -> None:
    (folder / "data").mkdir()
    (folder / "data" / "diary.txt").write_text("")
    assert "holds no PostgreSQL data" in refusal(folder / "data")
    assert (folder / "data" / "diary.txt").exists()


def test_data_of_another_version_are_reported(folder: Path) -> None:
    (folder / "data").mkdir()
    new_server(folder).cluster.account.give(folder / "data")
    (folder / "data" / "PG_VERSION").write_text("14\n")
    assert "made by PostgreSQL 14" in refusal(folder / "data")


def test_data_of_another_owner_are_reported(folder: Path) -> None:
    made = new_server(folder)
    (folder / "data").mkdir()
    (folder / "data" / "PG_VERSION").write_text("18\n")
    made.cluster.account.uid += 1
    with pytest.raises(BundledServerError, match=r"belongs to .+, but PostgreSQL runs as"):
        made.cluster.make()


def test_too_long_path_is_reported(folder: Path) -> None:
    assert "too long for PostgreSQL" in refusal(folder.joinpath(*["п" * 100] * 5, "data"))


def test_missing_programs_are_reported(folder: Path) -> None:
    assert "incomplete" in refusal(folder / "data", bin_dir=folder)


@slow
@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("mount"), reason="mounting needs root")
def test_full_disk_is_reported(folder: Path) -> None:
    disk = folder / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m,mode=755", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting is not permitted here")
    try:
        assert "the disk is full" in refusal(disk / "data")
    finally:
        subprocess.run(["umount", str(disk)], check=True)
