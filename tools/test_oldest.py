"""Run the tests of the rules on PostgreSQL 15, the oldest supported, with the system's programs.

    make test-oldest

Arguments are passed to pytest; with paths among them it runs those tests alone. Does nothing if the
system has no PostgreSQL 15; the workflow runs these tests on several servers.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from ebalance.dev.bundled import Server  # noqa: E402

BIN_DIR = Path("/usr/lib/postgresql/15/bin")
# These start their own servers, or do not use the database.
LEFT_OUT = ["test_bundled", "test_commands", "test_databases", "test_leaks", "test_messages"]
LEFT_OUT += ["test_postgres15", "test_run", "test_setup", "admin"]


def main() -> int:
    if not (BIN_DIR / "postgres").exists():
        print("This system has no PostgreSQL 15: left out.")
        return 0
    folder = Path(tempfile.mkdtemp(prefix="ebalance-oldest-"))
    print("Starting PostgreSQL 15 …", flush=True)
    server = Server(BIN_DIR, folder / "data", options={"fsync": "off"}, quiet=True)
    try:
        server.start("ebalance")
        every = [
            str(path)
            for path in sorted((ROOT / "tests").iterdir())
            if path.stem not in LEFT_OUT and (path.is_dir() or path.name.startswith("test_"))
        ]
        chosen = any(argument.startswith("tests/") for argument in sys.argv[1:])
        tests = sys.argv[1:] if chosen else [*sys.argv[1:], *every]
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        environment = {**os.environ, "DATABASE_URL": server.url("ebalance")}
        return subprocess.run([*command, *tests], cwd=ROOT, env=environment).returncode
    finally:
        server.close(wait=True)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
