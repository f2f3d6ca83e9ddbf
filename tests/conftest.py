from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import hypothesis.strategies
import pytest
import xdist
from django.conf import settings
from pytest_django.plugin import blocking_manager_key

from ebalance.cli import explain
from ebalance.db import walks
from ebalance.db.encryption import keys
from ebalance.dev import bundled
from tests.advice import stop_if_undeclared
from tests.clocks import LATE, fact_clock_at
from tests.databases import Database, Databases, default_connection_on
from tests.duration_limit import DurationLimit
from tests.left_processes import LeftProcesses

# One ring for each purpose, for this process and for the programs that tests start.
for _name in ("ENCRYPTION_KEYS", "BLIND_INDEX_KEYS"):
    os.environ[f"EBALANCE_{_name}"] = keys.generate("k1")
    os.environ.pop(f"EBALANCE_{_name}_FILE", None)
    setattr(
        settings,
        _name,
        keys.from_environment(f"EBALANCE_{_name}", deployed=True, development_file=Path()),
    )

# Tests connect to the server of DATABASE_URL only.
os.environ.pop("DATABASE_DIRECT_URL", None)
settings.DATABASE_DIRECT = None

# A folder of their own for exports and the ledger: a sweep would remove the developer's files.
_EXPORTS = tempfile.TemporaryDirectory(prefix="ebalance-exports-")
os.environ["EXPORTS_DIR"] = _EXPORTS.name
settings.EXPORTS_DIR = Path(_EXPORTS.name)
settings.ERASURE_LEDGER_FILE = Path(_EXPORTS.name) / "erasures.jsonl"
os.environ["ERASURE_LEDGER_FILE"] = str(settings.ERASURE_LEDGER_FILE)


# A cluster of its own, apart from the developer's data. Tests make and drop hundreds of databases,
# and each would take seconds if every file had to reach the disk.
bundled.choose_cluster(
    "tests-18", {"fsync": "off", "full_page_writes": "off", "max_connections": "200"}
)

# Most examples use a database, and the machine may be busy: no example has a deadline.
hypothesis.settings.register_profile(
    "suite", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("suite")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(DurationLimit(), "duration-limit")
    config.pluginmanager.register(LeftProcesses(), "left-processes")


# These modules take minutes on a busy machine, so they begin the run. At its end, one worker would
# run them alone: pytest-xdist does not move the last two tests of a worker to another.
LONGEST = {"test_ledger", "test_kills", "test_pooler", "test_machine", "test_rehearsal"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.stem not in LONGEST)


@contextlib.contextmanager
def refusals_in_one_line() -> Iterator[None]:
    """End the run when the server cannot be used, instead of failing each test."""
    try:
        yield
    except Exception as error:
        if (line := explain(error)) is None:
            raise
        pytest.exit(line, returncode=1)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Before workers start: check the declarations, connect to the server and make the template.

    Not in a worker, because a worker cannot end the run in one line.
    """
    if xdist.is_xdist_worker(session):
        return
    stop_if_undeclared()
    if not session.config.getoption("numprocesses", None):
        return
    blocker = session.config.stash[blocking_manager_key]
    with blocker.unblock(), refusals_in_one_line(), Databases() as made:
        made.template()


@pytest.fixture(scope="session", autouse=True)
def tables_of_characters() -> None:
    """Make Hypothesis' tables, which take a second in a fresh clone, before the first test."""
    hypothesis.strategies.from_regex("[a-z]").validate()


@pytest.fixture(scope="session")
def databases(django_test_environment: None, django_db_blocker: Any) -> Iterator[Databases]:
    """Makes databases for tests; see tests/databases.py."""
    with django_db_blocker.unblock(), refusals_in_one_line():
        made = Databases()
    with made:
        yield made


@pytest.fixture(scope="session")
def django_db_setup(databases: Databases, django_db_blocker: Any) -> Iterator[None]:
    """pytest-django's hook: the test database is a clone of the template, with seeds."""
    with django_db_blocker.unblock(), refusals_in_one_line():
        database = databases.clone()
    with default_connection_on(database):
        yield


@pytest.fixture
def timed_batches() -> None:
    """Batches of walks have the time limits of production."""


@pytest.fixture(autouse=True)
def untimed_batches(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine makes no batch of a walk smaller, so tests may count its rows.

    Tests of the time limits use ``timed_batches``.
    """
    if "timed_batches" not in request.fixturenames:
        monkeypatch.setattr(walks, "TARGET", float("inf"))
        for limits in (walks.BATCH_LIMITS, walks.ONE_ROW_LIMITS):
            monkeypatch.setitem(limits, "statement_timeout", "60s")


@pytest.fixture
def fresh_database(databases: Databases, django_db_blocker: Any) -> Iterator[Database]:
    """A migrated, seeded database for one test that commits or starts processes."""
    with django_db_blocker.unblock():
        database = databases.clone()
    yield database
    databases.drop(database.name)


@pytest.fixture(scope="module")
def module_database(databases: Databases, django_db_blocker: Any) -> Iterator[Database]:
    """A migrated, seeded database for one module, whose tests commit rows side by side."""
    with django_db_blocker.unblock():
        database = databases.clone()
    yield database
    databases.drop(database.name)


@pytest.fixture
def empty_database(databases: Databases) -> Iterator[Database]:
    """A database without tables, for tests of `migrate` itself."""
    database = databases.empty()
    yield database
    databases.drop(database.name)


def pytest_unconfigure() -> None:
    _EXPORTS.cleanup()
    bundled.leave(wait=True)


@pytest.fixture(scope="module")
def late_clock_of_new_sessions() -> Iterator[None]:
    """Sessions that begin now, also those of other processes, have the late clock."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PGOPTIONS", f"-c tests.fact_clock={LATE}")
        yield


@pytest.fixture
def late_clock(request: pytest.FixtureRequest, late_clock_of_new_sessions: None) -> Iterator[None]:
    """For tests whose services get clocks of coming years: the rules' clock is later than those."""
    marker = request.node.get_closest_marker("django_db")
    if marker is None and "db" not in request.fixturenames:
        yield
        return
    is_committing = bool(marker and marker.kwargs.get("transaction"))
    request.getfixturevalue("transactional_db" if is_committing else "db")
    with fact_clock_at(LATE):
        yield
