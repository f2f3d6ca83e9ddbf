"""`manage.py run` serves a login page from an empty folder and leaves no process."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import (
    HANG_TIMEOUT,
    ROOT,
    environment,
    eventually,
    free_port,
    processes_with_argument,
)

pytestmark = pytest.mark.slow


@pytest.fixture
def data_dir() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="ebalance run "))
    yield folder
    assert eventually(lambda: not processes_with_argument(folder)), "a process is left"
    shutil.rmtree(folder, ignore_errors=True)


def start(data_dir: Path, port: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(ROOT / "manage.py"), "run", "--port", str(port)],
        env=environment(DATABASE_URL=None, EBALANCE_DATA_DIR=str(data_dir)),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
    )


def read_until_served(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    text = ""
    for line in process.stdout:
        text += line
        if "Admin is served" in line:
            return text
    raise AssertionError(text)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_run_serves_a_login_page_and_leaves_nothing(data_dir: Path, number: signal.Signals) -> None:
    port = free_port()
    process = start(data_dir, port)
    text = read_until_served(process)
    assert re.search(r"address:\s+\S+@\S+\n\s*password: \S{12,}", text)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=HANG_TIMEOUT) as page:
        assert page.url.startswith(f"http://127.0.0.1:{port}/admin/login/")
        assert 'name="password"' in page.read().decode()
    process.send_signal(number)
    rest, _ = process.communicate(timeout=HANG_TIMEOUT)
    assert process.returncode == 0
    assert "Traceback" not in rest
    assert not processes_with_argument(data_dir), (
        "the database was stopped before the command ended"
    )


def test_concurrent_runs_share_the_database(data_dir: Path) -> None:
    runs = [start(data_dir, free_port()) for _ in range(2)]
    texts = [read_until_served(run) for run in runs]
    assert sum("password: " in text for text in texts) == 1, "one owner was made"
    for run in runs:
        run.send_signal(signal.SIGINT)
        run.communicate(timeout=HANG_TIMEOUT)
    assert [run.returncode for run in runs] == [0, 0]


def test_run_ends_quietly_after_its_output_is_closed(data_dir: Path) -> None:
    """`make run | head -1`."""
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "manage.py"), "run", "--port", str(free_port())],
        env=environment(DATABASE_URL=None, EBALANCE_DATA_DIR=str(data_dir)),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout
    process.stdout.readline()
    process.stdout.close()
    _, errors = process.communicate(timeout=HANG_TIMEOUT)
    assert process.returncode == 1
    assert "Traceback" not in errors
    assert "BrokenPipe" not in errors
    assert not processes_with_argument(data_dir)


def test_killed_run_leaves_no_server(data_dir: Path) -> None:
    process = start(data_dir, free_port())
    read_until_served(process)
    process.kill()
    process.communicate()
    assert eventually(lambda: not processes_with_argument(data_dir))
