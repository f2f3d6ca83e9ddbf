"""Compares `manage.py migrate` on an empty database with psql, which replays a dump of it.

    .venv/bin/python benchmarks/fresh_database.py

The times are those of whole processes on the same server, medians of the runs. The bound is 5.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from common import empty_database, libpq_environment, migrate, program, seconds

RUNS = 3
BOUND = 5.0


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        dump = Path(folder) / "schema.sql"
        print("making the dump …", file=sys.stderr)
        with empty_database("dump") as params:
            migrate(params)
            subprocess.run(
                [program("pg_dump"), "--no-owner", "--file", str(dump)],
                env=libpq_environment(params),
                check=True,
            )
        migrated, replayed = [], []
        for number in range(1, RUNS + 1):
            print(f"run {number} of {RUNS} …", file=sys.stderr)
            with empty_database("migrate") as params:
                migrated.append(migrate(params))
            with empty_database("replay") as params:
                command = [program("psql"), "--quiet", "--no-psqlrc", "--set", "ON_ERROR_STOP=1"]
                replayed.append(seconds([*command, "--file", str(dump)], libpq_environment(params)))
    ratio = statistics.median(migrated) / statistics.median(replayed)
    print(f"migrate on an empty database  {statistics.median(migrated):6.3f} s")
    print(f"psql replaying the dump       {statistics.median(replayed):6.3f} s")
    print(f"ratio                         {ratio:6.2f}   (bound {BOUND})")


if __name__ == "__main__":
    main()
