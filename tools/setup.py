"""Make `.venv` with the locked packages. Standard library only; run through `make setup`.

The stamp in `.venv` is written last and identifies the installed packages. So a second call is
instant, and a call after a killed one starts again.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / "installed"
SCRATCH = VENV / "tmp"  # temporary files of venv and pip, removed with .venv
LOCK = ROOT / "requirements-dev.lock"


def wanted() -> str:
    digest = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    return f"{digest} python {sys.version_info.major}.{sys.version_info.minor} {VENV}\n"


def installed() -> str:
    try:
        (VENV / "bin" / "python").stat()
        return STAMP.read_text(encoding="utf-8")
    except OSError:
        return ""


def report(text: str) -> None:
    print(text, flush=True)


def install() -> None:
    started = time.monotonic()
    python = str(VENV / "bin" / "python")
    before = installed()
    STAMP.unlink(missing_ok=True)
    # After a change of Python or of the path, or an incomplete run: start again. After a change of
    # the lock file: install the packages only.
    if before.split(" ", 1)[1:] != wanted().split(" ", 1)[1:]:
        report(f"Making .venv with Python {sys.version.split()[0]} …")
        if VENV.is_symlink() or VENV.is_file():
            VENV.unlink()
        elif VENV.exists():
            shutil.rmtree(VENV)
        _empty_scratch()
        venv.create(VENV, symlinks=True, with_pip=True)
    _empty_scratch()
    report("Installing the locked packages into .venv (a minute or two the first time) …")
    command = [
        python,
        "-m",
        "pip",
        "install",
        "--disable-pip-version-check",
        "--no-input",
        "--quiet",
    ]
    command += ["--require-hashes", "--requirement", str(LOCK)]
    subprocess.run(command, check=True, cwd=ROOT)
    shutil.rmtree(SCRATCH)
    STAMP.write_text(wanted(), encoding="utf-8")
    report(f"The environment is ready ({time.monotonic() - started:.0f} s).")


def _empty_scratch() -> None:
    shutil.rmtree(SCRATCH, ignore_errors=True)
    SCRATCH.mkdir(parents=True)
    os.environ["TMPDIR"] = str(SCRATCH)


def main() -> int:
    if installed() == wanted():
        return 0
    if "--check" in sys.argv:
        return 1
    os.umask(0o022)  # the database's system user must be able to read the server's programs
    try:
        with (ROOT / ".venv.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                report("Another setup is running, waiting for it …")
                fcntl.flock(lock, fcntl.LOCK_EX)
            if installed() != wanted():
                install()
    except subprocess.CalledProcessError as error:
        output = (error.output or b"").decode(errors="replace").strip()
        reason = f": {output.splitlines()[-1]}" if output else ""
        if "No space left on device" in output:
            reason = ": the disk is full"
        print(
            f"Setup failed: {' '.join(error.cmd[1:4])} ended with code {error.returncode}{reason}.",
            file=sys.stderr,
        )
        return 1
    except OSError as error:
        print(
            f"Setup failed: {error.filename or ROOT}: {error.strerror or error}.", file=sys.stderr
        )
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
