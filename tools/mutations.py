"""Break the code on purpose, one mutation at a time, and check that the tests detect it.

    .venv/bin/python tools/mutations.py                   # all of tools/mutations/*.toml
    .venv/bin/python tools/mutations.py "a dropped CHECK" --kind fault

The mutations are applied to a copy of the checkout. Exits 1 if the tests of an entry do not detect
it, or if a run ends with a collection error or a crash. Without DATABASE_URL a temporary server is
started; with it, that server keeps template databases of mutated code for a while.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from ebalance.dev.bundled import Server, bundled_bin_dir  # noqa: E402

ENTRIES = sorted((ROOT / "tools" / "mutations").glob("*.toml"))
LONGEST_RUN = 1800.0  # seconds; only ends a hang
# The template database is made from these files (tests/databases.py).
TEMPLATE_PARTS = re.compile(r"ebalance/db/|fixtures/|\w+/migrations/")
MIGRATION = """\
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [({app!r}, {last!r})]
    operations = [migrations.RunSQL({sql!r})]
"""


@dataclass(frozen=True)
class Mutation:
    """One entry: ``old`` becomes ``new`` in ``path``, or ``sql`` ends the migrations of ``app``."""

    name: str
    kind: str  # fault; or merged, for a group of tests that were merged
    tests: list[str]
    path: str = ""
    old: str = ""
    new: str = ""
    app: str = ""
    sql: str = ""
    slow: bool = False  # only tests with the mark slow detect it

    @property
    def changes_template(self) -> bool:
        return bool(self.sql or TEMPLATE_PARTS.match(self.path))

    def problem(self) -> str | None:
        """The reason why the mutation cannot be applied, or None."""
        for test in self.tests:
            if not (ROOT / test.split("::")[0]).exists():
                return f"there is no {test}"
        if self.path and (number := (ROOT / self.path).read_text("utf-8").count(self.old)) != 1:
            return f"the text to replace occurs {number} times in {self.path}"
        return None

    @contextlib.contextmanager
    def applied(self, copy: Path) -> Iterator[None]:
        if self.sql:
            last = sorted((copy / self.app / "migrations").glob("[0-9]*.py"))[-1]
            added = last.with_name(f"{int(last.stem[:4]) + 1:04}_mutation.py")
            added.write_text(MIGRATION.format(app=self.app, last=last.stem, sql=self.sql), "utf-8")
            yield
            added.unlink()
        else:
            changed = copy / self.path
            text = changed.read_text("utf-8")
            changed.write_text(text.replace(self.old, self.new), "utf-8")
            yield
            changed.write_text(text, "utf-8")


@dataclass(frozen=True)
class Runner:
    """Runs pytest in the copy, on the server at ``url``."""

    copy: Path
    url: str

    def run(self, tests: list[str], *, slow: bool) -> subprocess.CompletedProcess[str]:
        mark = "slow" if slow else "not slow"
        # A test that exceeds its time has not detected the mutation (tests/duration_limit.py).
        options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:duration-limit", "-m", mark]
        environment = {
            "DATABASE_URL": self.url,
            "EBALANCE_DATA_DIR": str(self.copy / ".data"),
            "PGOPTIONS": "-c lock_timeout=20s",  # a test that waits for itself fails
        }
        command = [sys.executable, "-m", "pytest", *options, *tests]
        with contextlib.suppress(subprocess.TimeoutExpired):
            return subprocess.run(
                command,
                cwd=self.copy,
                env=os.environ | environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=LONGEST_RUN,
            )
        return subprocess.CompletedProcess(command, -1, "pytest did not end.")


@contextlib.contextmanager
def database_server(folder: Path) -> Iterator[str]:
    """The URL of a server for the tests."""
    if url := os.environ.get("DATABASE_URL"):
        yield url
        return
    server = Server(bundled_bin_dir(), folder / "server", options={"fsync": "off"}, quiet=True)
    try:
        server.start("ebalance")
        yield server.url("ebalance")
    finally:
        server.close(wait=True)


def copy_checkout(target: Path) -> None:
    """Copy the files that git tracks or would add, as they are now."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout
    for name in os.fsdecode(listed).rstrip("\0").split("\0"):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)


def report(text: str) -> None:
    """Show progress on stderr; stdout has the results only."""
    print(text, file=sys.stderr, flush=True)


def passes_unmutated(chosen: list[Mutation], runner: Runner) -> bool:
    for slow in (False, True):
        tests = sorted({test for m in chosen if m.slow == slow for test in m.tests})
        if tests:
            report(f"Without a mutation: {len(tests)} {'slow ' if slow else ''}files or tests …")
            if (run := runner.run(tests, slow=slow)).returncode:
                report(run.stdout[-5000:])
                return False
    return True


def is_detected(mutation: Mutation, runner: Runner) -> bool:
    """Run the tests of one mutation, and print the result."""
    started = time.monotonic()
    with mutation.applied(runner.copy):
        run = runner.run(mutation.tests, slow=mutation.slow)
    seconds = f"{time.monotonic() - started:.1f} s"
    # A missing declaration ends the run before its first test (tests/advice.py).
    failed = re.search(r"^(?:FAILED|Exit: To do:\n)(.+?)(?: - .*)?$", run.stdout, re.MULTILINE)
    if run.returncode == 1 and failed:
        command = "make test-all" if mutation.slow else "make test"
        print(f"found: {mutation.name}, by {failed[1].strip()}, {command}, {seconds}", flush=True)
        return True
    print(f"NOT FOUND: {mutation.name}, {seconds}", flush=True)
    if run.returncode:
        report(f"{run.stdout[-5000:]}\npytest ended with {run.returncode} and no failed test.")
    return False


def chosen_mutations(
    parser: argparse.ArgumentParser, options: argparse.Namespace
) -> list[Mutation]:
    entries = [e for path in ENTRIES for e in tomllib.loads(path.read_text("utf-8"))["mutation"]]
    known = {entry["name"]: Mutation(**entry) for entry in entries}
    if len(known) < len(entries):
        parser.error("two mutations have the same name")
    if unknown := {*options.names} - {*known}:
        parser.error(f"there is no mutation {min(unknown)!r}")
    chosen = [known[name] for name in options.names or known]
    chosen = [mutation for mutation in chosen if options.kind in (None, mutation.kind)]
    # Mutations that need another template database are last, so that the usual one is made once.
    return sorted(chosen, key=lambda mutation: mutation.changes_template)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="mutations to try; default: all")
    parser.add_argument("--kind", choices=["fault", "merged"], help="only mutations of this kind")
    parser.add_argument("--list", action="store_true", help="list the mutations and stop")
    options = parser.parse_args()
    chosen = chosen_mutations(parser, options)
    if options.list:
        for mutation in chosen:
            print(f"{mutation.kind}: {mutation.name} ({mutation.path or mutation.app})")
        return 0
    if problems := [f"{m.name}: {problem}" for m in chosen if (problem := m.problem())]:
        print(*problems, sep="\n")
        return 1
    with tempfile.TemporaryDirectory(prefix="ebalance-mutations-") as name:
        folder = Path(name)
        copy_checkout(folder / "checkout")
        with database_server(folder) as url:
            runner = Runner(folder / "checkout", url)
            if not passes_unmutated(chosen, runner):
                print("The tests are not green without a mutation.")
                return 1
            detected = 0
            for number, mutation in enumerate(chosen, start=1):
                report(f"{number}/{len(chosen)} {mutation.name} …")
                detected += is_detected(mutation, runner)
    print(f"{detected} of {len(chosen)} mutations were found.")
    return 0 if detected == len(chosen) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
