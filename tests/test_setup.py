"""`make setup` without packages: first and second call, and interruptions."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from unittest.mock import ANY

import pytest

from tests.processes import HANG_TIMEOUT, ROOT, environment, eventually

pytestmark = pytest.mark.slow


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout that needs no package, at a path with a space and Cyrillic letters."""
    folder = tmp_path / "мой проект"
    folder.mkdir()
    shutil.copytree(ROOT / "tools", folder / "tools")
    (folder / "requirements-dev.lock").write_text("# none\n")
    (tmp_path / "tmp").mkdir()
    return folder


@pytest.fixture
def constraints(tmp_path: Path) -> Path:
    """A pipe that pip reads first, so that pip waits until the test writes."""
    path = tmp_path / "constraints"
    os.mkfifo(path)
    return path


def writer(pipe: Path) -> list[int]:
    """Open the other end of the pipe if it has a reader, which then waits until it is closed."""
    try:
        return [os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)]
    except OSError:
        return []


def setup(checkout: Path, constraints: Path | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ["sh", "tools/setup.sh"],
        cwd=checkout,
        env=environment(
            PYTHON3=sys.executable,
            TMPDIR=str(checkout.parent / "tmp"),
            PIP_CONSTRAINT=str(constraints) if constraints else None,
        ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a new group, which SIGINT reaches like Ctrl-C
    )


def finished(process: subprocess.Popen[str]) -> tuple[int, str]:
    output, _ = process.communicate(timeout=HANG_TIMEOUT)
    return process.returncode, output


def test_setup_reports_its_steps_and_a_second_call_does_nothing(checkout: Path) -> None:
    code, output = finished(setup(checkout))
    assert code == 0
    assert [line.split()[0] for line in output.splitlines()] == ["Making", "Installing", "The"]
    assert finished(setup(checkout)) == (0, "")


def read_until(process: subprocess.Popen[str], start: str) -> str:
    """Return the output up to the line with this start."""
    assert process.stdout
    text = ""
    for line in process.stdout:
        text += line
        if line.startswith(start):
            return text
    raise AssertionError(text)


def test_concurrent_calls_make_one_environment(checkout: Path, constraints: Path) -> None:
    first = setup(checkout, constraints)
    read_until(first, "Installing")
    second = setup(checkout)
    assert read_until(second, "Another").endswith("waiting for it …\n")
    constraints.write_text("")
    assert [finished(process) for process in (first, second)] == [(0, ANY), (0, "")]


@pytest.mark.parametrize("stage", ["Making", "Installing"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_interrupted_setup_starts_over(
    checkout: Path, constraints: Path, stage: str, number: signal.Signals
) -> None:
    process = setup(checkout, constraints)
    read_until(process, stage)
    if stage == "Installing":  # a starting Python prints its own traceback
        writers: list[int] = []
        assert eventually(lambda: writers.extend(writer(constraints)) or writers)
    os.killpg(process.pid, number)
    _, errors = process.communicate(timeout=HANG_TIMEOUT)
    if stage == "Installing":
        os.close(writers[0])
    assert process.returncode == (130 if number == signal.SIGINT else -number)
    assert "Traceback" not in errors
    assert finished(setup(checkout))[0] == 0
    assert not list((checkout.parent / "tmp").iterdir())
    assert not (checkout / ".venv" / "tmp").exists()


def test_unwritable_checkout_is_reported(checkout: Path) -> None:
    (checkout / ".venv.lock").mkdir()
    process = setup(checkout)
    _, errors = process.communicate(timeout=HANG_TIMEOUT)
    assert process.returncode == 1
    assert errors.startswith("Setup failed: ")
    assert len(errors.splitlines()) == 1
