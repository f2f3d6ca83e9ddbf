"""Rehearse a deploy: migrate a filled copy of the last release while its programs run.

    make rehearse                      200,000 rows in each hot table
    make rehearse ROWS=2000 DURATION=3

A database of its own gets the schema of the last release in migrations.lock, ROWS rows in each hot
table, and clients: services of that release in processes, and programs that know the schema by SQL.
Then `manage.py migrate` and `manage.py backfill` run in production mode. The migrations are those
after the release; without one, samples of each safe operation.

Prints by migration: seconds, longest wait of a client for a lock, longest latency, rewritten
tables, failed queries. Exits with 1 if a query failed, a table was rewritten, or a client waited
longer than LONGEST_WAIT ms for a lock. See docs/operations.md and docs/adr/0045-rehearsal.md.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ebalance.settings")

import django  # noqa: E402

django.setup()

import psycopg  # noqa: E402
from django.db import connection  # noqa: E402

from ebalance.db.apps import PROJECT_APPS  # noqa: E402
from ebalance.db.encryption import keys  # noqa: E402
from tools.rehearsal import samples  # noqa: E402
from tools.rehearsal.fill import fill  # noqa: E402
from tools.rehearsal.release import Release, code_of, last_release  # noqa: E402
from tools.rehearsal.report import Report, Window, read_journals  # noqa: E402
from tools.rehearsal.watching import Watcher, files_of_tables, rewritten  # noqa: E402

PREFIX = "rehearsal_"
GUARD = "SELECT {}(hashtextextended(%s, 0))"  # held while the rehearsal of a database runs
PARTS = Path(__file__).resolve().parent / "rehearsal"
SERVICE_CLIENTS = 2
# In the output of migrate.
MARKS = re.compile(r"Applying (?P<name>\S+?)\.\.\.|\bOK\b")
HANG_TIMEOUT = 300  # seconds, to end a hang only
INSTALL = (
    "from django.core.management import call_command\n"
    "for app, name in {targets!r}.items():\n"
    "    call_command('migrate', app, name, interactive=False, verbosity=0)\n"
    "call_command('loaddata', 'seeds', verbosity=0)\n"
    # With the roles, migrate grants new objects in the transaction that makes them.
    "call_command('grant_db_roles', verbosity=0)"
)


class Failed(Exception):
    """The rehearsal itself could not be run."""


def report_line(line: str) -> None:
    print(line, flush=True)


# -- the database ----------------------------------------------------------------------------------


@contextmanager
def database() -> Iterator[dict[str, Any]]:
    """Connection parameters of a database of its own, which is dropped at the end."""
    taken = ("host", "port", "user", "password", "dbname")
    given = connection.get_connection_params()
    params = {key: given[key] for key in taken if given.get(key)}
    name = f"{PREFIX}{os.getpid()}"
    with psycopg.connect(**{**params, "dbname": "postgres"}, autocommit=True) as keeper:
        for (old,) in keeper.execute(
            "SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [PREFIX]
        ).fetchall():
            if keeper.execute(GUARD.format("pg_try_advisory_lock"), [old]).fetchone() == (True,):
                keeper.execute(f'DROP DATABASE IF EXISTS "{old}" WITH (FORCE)')  # of a killed run
        keeper.execute(GUARD.format("pg_advisory_lock"), [name])
        keeper.execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
        try:
            yield {**params, "dbname": name}
        finally:
            keeper.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def url_of(params: dict[str, Any], application: str) -> str:
    login = quote(str(params.get("user", "")), safe="")
    if params.get("password"):
        login += ":" + quote(str(params["password"]), safe="")
    query = {key: params[key] for key in ("host", "port") if key in params}
    return f"postgresql://{login}@/{params['dbname']}?" + urlencode(
        {**query, "application_name": application}
    )


# -- processes -------------------------------------------------------------------------------------


class Stage:
    """The processes of a rehearsal: all share a database, keys and a temporary folder."""

    def __init__(self, params: dict[str, Any], folder: Path, code: Path) -> None:
        self.params, self.folder, self.code = params, folder, code
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")},
            "EBALANCE_ENV": "dev",
            "EBALANCE_ENCRYPTION_KEYS": keys.generate("k1"),
            "EBALANCE_BLIND_INDEX_KEYS": keys.generate("k1"),
            "PYTHONUNBUFFERED": "1",
        }
        for name in ("EBALANCE_ENCRYPTION_KEYS_FILE", "EBALANCE_BLIND_INDEX_KEYS_FILE"):
            self.environment.pop(name, None)
        self.environment.pop("DATABASE_DIRECT_URL", None)
        self.journals: list[Path] = []

    def start(
        self, *arguments: str, code: Path, application: str, **changes: str
    ) -> subprocess.Popen[bytes]:
        """Start a Python program, apart from the terminal: Ctrl-C is for this process."""
        return subprocess.Popen(
            [sys.executable, *arguments],
            cwd=code,
            env={
                **self.environment,
                "DATABASE_URL": url_of(self.params, application),
                "PYTHONPATH": str(code),
                **changes,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def install(self, targets: dict[str, str]) -> None:
        """Migrate the empty database with the code of the release, and load its seeds."""
        script = INSTALL.format(targets=targets)
        with ending(
            self.start(
                "manage.py", "shell", "-v", "0", "-c", script, code=self.code, application=""
            )
        ) as process:
            output, _ = process.communicate()
        if process.returncode:
            raise Failed(f"The release could not be installed:\n{output.decode()}")

    @contextmanager
    def clients(self) -> Iterator[list[subprocess.Popen[bytes]]]:
        """The clients, as soon as each has done something, until the block ends."""
        own = self.code / "tools" / "rehearsal" / "service_client.py"
        service = own if own.exists() else PARTS / "service_client.py"
        commands = [("sql", [str(PARTS / "sql_clients.py")], ROOT)]
        for number in range(SERVICE_CLIENTS):
            commands.append((f"services-{number}", [str(service)], self.code))
        with ExitStack() as stack:
            processes = []
            for number, (name, command, code) in enumerate(commands):
                journal = self.folder / f"{name}.jsonl"
                self.journals.append(journal)
                share = [str(number - 1), str(SERVICE_CLIENTS)] if number else []
                process = self.start(
                    *command, str(journal), *share, code=code, application=f"client {name}"
                )
                processes.append(stack.enter_context(ending(process)))
            deadline = time.monotonic() + HANG_TIMEOUT
            while not all(path.exists() and path.stat().st_size for path in self.journals):
                check_clients(processes)
                if time.monotonic() > deadline:
                    raise Failed("The clients did not begin.")
                time.sleep(0.1)
            yield processes

    def manage(self, *arguments: str, settings: str) -> subprocess.Popen[bytes]:
        return self.start(
            "manage.py",
            *arguments,
            code=ROOT,
            application="migrate",
            DJANGO_SETTINGS_MODULE=settings,
            PYTHONPATH=f"{self.folder}{os.pathsep}{ROOT}",
        )


@contextmanager
def ending(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """End the process with the block: SIGTERM, and SIGKILL for one that does not react."""
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def check_clients(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        if process.poll() is not None:
            output = process.stdout.read().decode() if process.stdout else ""
            raise Failed(f"A client ended: {process.args}\n{output[-3000:]}")


# -- migrations ------------------------------------------------------------------------------------


def copy_migrations(folder: Path) -> Path:
    """A package with the migrations of all apps, to which samples are added."""
    package = folder / "rehearsed_migrations"
    package.mkdir()
    (package / "__init__.py").touch()
    for app in PROJECT_APPS:
        shutil.copytree(
            ROOT / app / "migrations", package / app, ignore=shutil.ignore_patterns("__pycache__")
        )
    return package


def write_settings(folder: Path, *, package: Path | None) -> str:
    """A module of settings for production mode; returns its name."""
    lines = ["from ebalance.settings import *", 'ENVIRONMENT = "prod"']
    if package is not None:
        modules = {app: f"{package.name}.{app}" for app in PROJECT_APPS}
        lines.append(f"MIGRATION_MODULES = {modules!r}")
    (folder / "rehearsal_settings.py").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return "rehearsal_settings"


class Deploy:
    """Runs migrate and backfill, and notes the window of each migration."""

    def __init__(self, stage: Stage, settings: str, observer: psycopg.Connection[Any]) -> None:
        self.stage, self.settings, self.observer = stage, settings, observer
        self.windows: list[Window] = []

    def migrate(self) -> None:
        """Run ``manage.py migrate``. Raises Failed with its output if it fails."""
        output, read = "", 0
        files = files_of_tables(self.observer)
        with ending(self.stage.manage("migrate", "--no-input", settings=self.settings)) as process:
            assert process.stdout
            while chunk := os.read(process.stdout.fileno(), 4096):
                now = time.time()
                output += chunk.decode(errors="replace")
                for mark in MARKS.finditer(output, read):
                    read = mark.end()
                    if mark["name"]:
                        report_line(f"  {mark['name']}")
                        self.windows.append(Window(mark["name"], now))
                    else:
                        before, files = files, files_of_tables(self.observer)
                        self._close(now, rewritten(before, files))
            process.wait()
        if process.returncode:
            raise Failed(f"migrate failed:\n{output}")

    def backfill(self) -> None:
        """Run ``manage.py backfill``, if a migration declares one that has rows left."""
        with ending(self.stage.manage("backfill", "--status", settings=self.settings)) as status:
            listed, _ = status.communicate()
        if not any(line.endswith(b"left") for line in listed.splitlines()):
            return
        report_line("  backfill")
        self.windows.append(Window("manage.py backfill", time.time()))
        files = files_of_tables(self.observer)
        with ending(self.stage.manage("backfill", settings=self.settings)) as process:
            output, _ = process.communicate()
        self._close(time.time(), rewritten(files, files_of_tables(self.observer)))
        if process.returncode:
            raise Failed(f"backfill failed:\n{output.decode()}")

    def idle(self, name: str, seconds: float, processes: list[subprocess.Popen[bytes]]) -> None:
        """Let the clients work alone."""
        self.windows.append(Window(name, time.time()))
        time.sleep(seconds)
        check_clients(processes)
        self._close(time.time(), [])

    def _close(self, now: float, rewrites: list[str]) -> None:
        self.windows[-1].ended, self.windows[-1].rewrites = now, rewrites


# -- the rehearsal ---------------------------------------------------------------------------------


def rehearse(release: Release, rows: int, duration: float, bar: int) -> Report:
    with ExitStack() as stack:
        prefix = f"ebalance-{PREFIX}{os.getpid()}-"
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=prefix)))
        code, line = code_of(release.version, folder / "release")
        report_line(f"{line}.")
        params = stack.enter_context(database())
        stage = Stage(params, folder, code)
        report_line(f"Installing release {release.version} in the database {params['dbname']} …")
        stage.install(release.targets)
        observer = stack.enter_context(psycopg.connect(**params, autocommit=True))
        report_line(f"Filling the hot tables with {rows:,} rows each …")
        fill(observer, rows, report_line)

        phases: list[dict[tuple[str, str], str]] = [{}]
        package = None
        if not release.unreleased:
            report_line("No migration is unreleased: samples of each safe operation are rehearsed.")
            phases, package = [*samples.PHASES], copy_migrations(folder)
        settings = write_settings(folder, package=package)

        watcher = Watcher(psycopg.conninfo.make_conninfo(**params))
        stack.callback(watcher.end)
        report_line("Starting the clients …")
        processes = stack.enter_context(stage.clients())
        watcher.start()
        deploy = Deploy(stage, settings, observer)
        deploy.idle("before", duration, processes)
        for phase in phases:
            if package is not None:
                samples.write(package, phase)
            report_line("migrate")
            deploy.migrate()
            check_clients(processes)
            deploy.backfill()
        deploy.idle("afterwards", duration, processes)
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(HANG_TIMEOUT)
        watcher.end()
        operations = read_journals(stage.journals)
        return Report(deploy.windows, operations, [*watcher.waits.values()], bar)


def stop(*_: object) -> None:
    """End the rehearsal. A second signal does not interrupt the end."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=200_000, help="in each hot table (%(default)s)")
    parser.add_argument(
        "--duration", type=float, default=10, help="seconds before and after (%(default)s)"
    )
    parser.add_argument(
        "--longest-wait", type=int, default=200, help="the bar, milliseconds (%(default)s)"
    )
    options = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    try:
        report = rehearse(last_release(), options.rows, options.duration, options.longest_wait)
    except KeyboardInterrupt:
        print("Stopped; the database and the clients are gone.", file=sys.stderr)
        return 130
    except (Failed, LookupError) as error:
        print(error, file=sys.stderr)
        return 1
    print("\n".join(["", *report.lines()]))
    missed = report.missed()
    print("\n".join(missed) if missed else "All bars are met.")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
