"""Every command behind a transaction pooler: PgBouncer, three server connections, busy clients.

Needs pgbouncer: `apt-get install pgbouncer`. Without it the tests of this file that start it are
skipped, and the report names the package.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import get_commands
from django.db import connection

from audit.models import OutboxEvent
from ebalance.db.apps import PROJECT_APPS
from ebalance.db.backend.direct import is_pooled, use_direct_connection
from ebalance.db.database_url import parse_database_url
from ebalance.privacy.exports import request_export
from identity.models import DataExportRequest
from tests.backfilling import FILL, ended, make_things, running, start, write_migration
from tests.databases import OTHER_CLIENTS, Database, default_connection_on
from tests.factories import (
    DeepLinkFactory,
    ErasureRequestFactory,
    OutboxEventFactory,
    SecondFactorFactory,
    UserFactory,
)
from tests.factories.base import ago
from tests.privacy.exports import diarist
from tests.processes import ROOT, environment, eventually, free_port, manage
from tests.support import advisory_locks, execute

PGBOUNCER = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
needs_pgbouncer = pytest.mark.skipif(
    PGBOUNCER is None, reason="pgbouncer is not installed: apt-get install pgbouncer"
)
SESSIONS, CLIENTS = 3, 6  # server connections of the pooler; clients that keep them busy


@dataclass(frozen=True)
class Pooler:
    database: Database
    url: str
    conninfo: str

    def manage(self, *arguments: str, **changes: str | None) -> subprocess.CompletedProcess[str]:
        return manage(*arguments, **{"DATABASE_URL": self.url, **changes})

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, str(ROOT / "manage.py"), *arguments],
            env=environment(DATABASE_URL=self.url),
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            text=True,
        )


@pytest.fixture
def pooler(fresh_database: Database, django_db_blocker: Any, tmp_path: Path) -> Iterator[Pooler]:
    port = free_port()
    server = {key: fresh_database.params.get(key) for key in ("host", "port", "password")}
    target = " ".join(f"{key}={value}" for key, value in server.items() if value)
    name, user = fresh_database.name, str(fresh_database.params.get("user") or "postgres")
    # Another account has to read it; the folder of the test is closed to others.
    folder = Path(tempfile.mkdtemp(prefix="pgbouncer-"))
    folder.chmod(0o755)
    file, log = folder / "pgbouncer.ini", tmp_path / "pgbouncer.log"
    file.write_text(
        f"[databases]\n{name} = {target} user={user} dbname={name}\n"
        "[pgbouncer]\n"
        f"listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        f"auth_type = any\npool_mode = transaction\ndefault_pool_size = {SESSIONS}\n"
        "max_client_conn = 100\n"
    )
    with log.open("w") as output:
        process = subprocess.Popen(
            [str(PGBOUNCER), "-q", str(file)], stderr=output, **account(str(server["host"]))
        )
    try:
        conninfo = f"host=127.0.0.1 port={port} dbname={name} user={user}"
        assert eventually(lambda: answers(conninfo, process))
        with django_db_blocker.unblock(), default_connection_on(fresh_database):
            url = f"postgresql://{user}@127.0.0.1:{port}/{name}"
            yield Pooler(fresh_database, url, conninfo)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
        shutil.rmtree(folder)


def account(host: str) -> dict[str, Any]:
    """It refuses to run as root. The owner of the server's socket may connect to it."""
    if os.geteuid() != 0:
        return {}
    socket = Path(host)
    user = socket.stat().st_uid if host.startswith("/") else 0
    return {"user": user or "nobody"}


def answers(conninfo: str, process: subprocess.Popen[Any]) -> bool:
    assert process.poll() is None, "pgbouncer has ended; its log is in the folder of the test"
    try:
        with psycopg.connect(conninfo) as session:
            return session.execute("SELECT 1").fetchone() == (1,)
    except psycopg.OperationalError:
        return False


@contextmanager
def busy_clients(pooler: Pooler) -> Iterator[None]:
    """Clients that mix the server connections: each runs one transaction after another."""
    stop = threading.Event()

    def work() -> None:
        with psycopg.connect(pooler.conninfo, prepare_threshold=None) as session:
            while not stop.is_set():
                session.execute("SELECT count(*) FROM users")
                session.execute("SELECT pg_sleep(0.002)")
                session.commit()

    threads = [threading.Thread(target=work) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


# -- commands -------------------------------------------------------------------------------------

# Commands of the project that work through a pooler, with arguments. The others need a session.
THROUGH_POOLER = {
    "backfill": [],
    "data_dictionary": ["--check"],
    "erase_user": [],
    "expire_holds": [],
    "export_user_data": [],
    "generate_slots": [],
    "grant_db_roles": [],
    "keys": ["status"],
    "loaddata": ["seeds"],
    "metrics": ["--json"],
    "process_erasure_requests": [],
    "process_exports": [],
    "process_webhooks": [],
    "purge_expired": [],
    "relay_outbox": ["--once"],
    "reset_second_factor": [],
    "replay_erasures": ["--no-file"],
    "rotate_keys": [],
    "schema": [],
    "verify_audit_log": [],
}
NEED_A_SESSION = {"migrate", "run"}
NO_DATABASE_STATE = {"diffsettings", "dumpdata", "makemigrations"}


def test_every_command_is_tried_behind_a_pooler() -> None:
    ours = {name for name, app in get_commands().items() if app in PROJECT_APPS}
    ours |= {name for name, app in get_commands().items() if str(app).startswith("ebalance.")}
    assert ours == THROUGH_POOLER.keys() | NEED_A_SESSION | NO_DATABASE_STATE


@needs_pgbouncer
@pytest.mark.slow
def test_every_command_works_twice_behind_a_pooler(pooler: Pooler, tmp_path: Path) -> None:
    people = [diarist() for _ in range(3)]
    requests = [request_export(person, export_type="user_data") for person in people]
    UserFactory(role="owner")
    second_factors = SecondFactorFactory.create_batch(2)
    links = DeepLinkFactory.create_batch(5, created_at=ago(days=31), expires_at=ago(days=2))
    OutboxEventFactory.create_batch(5)
    erasure = ErasureRequestFactory(requested_by__role="owner")
    changes = {
        "EXPORTS_DIR": str(tmp_path / "exports"),
        "ERASURE_LEDGER_FILE": str(tmp_path / "ledger"),
    }
    with busy_clients(pooler):
        for number in range(2):
            for name, arguments in THROUGH_POOLER.items():
                more = {
                    "erase_user": [str(people[number].pk), "--yes"],
                    "reset_second_factor": [str(second_factors[number].user_id)],
                    "export_user_data": [str(people[2].pk), "--output", f"{tmp_path}/{number}.zip"],
                }.get(name, arguments)
                if name == "erase_user" and number == 0:
                    continue
                run = pooler.manage(name, *more, **changes)
                assert run.returncode == 0, (name, run.stdout, run.stderr)
    states = DataExportRequest.objects.filter(pk__in=[request.pk for request in requests])
    assert {request.status for request in states} <= {"ready"}
    assert not type(links[0]).objects.filter(pk__in=[link.pk for link in links]).exists()
    assert not OutboxEvent.objects.filter(published_at=None, attempts__gt=0).exists()
    assert advisory_locks() == []
    erasure.refresh_from_db()
    assert erasure.status == "done"
    assert execute("SELECT FROM leases") == []
    # The pooler may have just replaced a session that the server has not ended yet.
    assert eventually(lambda: len(execute(OTHER_CLIENTS)) <= SESSIONS)
    assert {row["application_name"] for row in execute(OTHER_CLIENTS)} <= {"", "app - pgbouncer"}


@needs_pgbouncer
@pytest.mark.slow
def test_command_that_needs_a_session_names_the_direct_address(pooler: Pooler) -> None:
    """No client is busy, so that two questions get the same session."""
    wanted = (
        "Wrong settings: This command needs a session of its own, and its connection uses a "
        "pooler: set DATABASE_DIRECT_URL to the server itself.\n"
    )
    refused = pooler.manage("migrate")
    assert (refused.returncode, refused.stdout, refused.stderr) == (1, "", wanted)
    pooled_twice = pooler.manage("migrate", DATABASE_DIRECT_URL=pooler.url)
    assert (pooled_twice.returncode, pooled_twice.stderr) == (1, wanted)
    started = pooler.manage("run", "--port", str(free_port()))
    assert started.returncode == 1
    assert started.stderr.endswith(wanted)
    direct = pooler.manage("migrate", DATABASE_DIRECT_URL=pooler.database.url)
    assert (direct.returncode, direct.stderr) == (0, "")


@needs_pgbouncer
@pytest.mark.slow
def test_killed_purge_stops_no_later_one_behind_a_pooler(pooler: Pooler) -> None:
    DeepLinkFactory.create_batch(3, created_at=ago(days=31), expires_at=ago(days=2))
    with busy_clients(pooler):
        process = pooler.start("purge_expired", "--batch", "1", "--pause", "60000")
        assert eventually(lambda: len(execute("SELECT FROM deep_links")) == 2)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert len(execute("SELECT FROM leases")) == 1
        execute("UPDATE leases SET expires_at = clock_timestamp()")
        for _ in range(3):
            run = pooler.manage("purge_expired")
            assert run.returncode == 0, run.stderr
    assert execute("SELECT FROM deep_links") == []
    assert execute("SELECT FROM leases") == []
    assert advisory_locks() == []


@needs_pgbouncer
@pytest.mark.slow
def test_backfill_is_killed_and_finished_behind_a_pooler(pooler: Pooler, tmp_path: Path) -> None:
    write_migration(tmp_path, FILL.format(""))
    make_things(connection.cursor(), rows=400)
    pooled = Database(pooler.database.name, pooler.database.params, pooler.url)
    options = ("--batch", "3", "--max-lag", "1000000")
    with busy_clients(pooler):
        with running(pooled, tmp_path, *options, "--pause", "60000") as process:
            assert eventually(lambda: execute("SELECT FROM changes") == [{}] * 3)
            process.kill()
        runs = [start(pooled, tmp_path, *options) for _ in range(2)]
        assert [ended(process)[0] for process in runs] == [0, 0]
    assert execute("SELECT count(*) AS n, count(DISTINCT id) AS rows FROM changes") == [
        {"n": 400, "rows": 400}
    ]
    assert execute("SELECT FROM things WHERE new IS DISTINCT FROM old") == []
    assert advisory_locks() == []
    # The limits of a batch leave no trace in the sessions of the pooler.
    with psycopg.connect(pooler.conninfo, prepare_threshold=None) as session:
        assert session.execute("SHOW lock_timeout").fetchone() == ("0",)


# -- conventions ----------------------------------------------------------------------------------

# State that outlives a transaction, and the files that may use it, each with its reason.
SESSION_STATE = re.compile(
    r"pg_(?:try_)?advisory_(?:lock|unlock)\w*"  # not pg_advisory_xact_lock
    r"|set_config\([^)]*\bfalse\)|\bSET SESSION\b|\bLISTEN\s+\w|WITH HOLD|CREATE TEMP"
    r"|\bDEALLOCATE\s|\.cursor\(name=|chunked_cursor",
)
MAY_USE_IT = {
    "ebalance/dev/management/commands/run.py": "refuses a pooler, and closes its connection",
    "ebalance/db/runner/session.py": "of migrate, which refuses a pooler",
    "ebalance/db/schema/exposures.py": "grants the lock of migrate to the owner",
    "identity/migrations/sql/0001_functions.sql": "ticks of uuid7(), right in any session",
}


def test_no_program_depends_on_the_state_of_a_session() -> None:
    files = {
        str(path.relative_to(ROOT))
        for top in (*PROJECT_APPS, "ebalance")
        for pattern in ("*.py", "*.sql")
        for path in (ROOT / top).rglob(pattern)
        # The initial migrations contain the functions of the SQL files.
        if SESSION_STATE.search(path.read_text())
        and not re.search(r"migrations/\d+\w*\.py$", str(path))
    }
    assert files == MAY_USE_IT.keys()


def test_queries_use_no_named_cursors_and_no_prepared_statements() -> None:
    assert connection.get_connection_params()["prepare_threshold"] is None
    assert connection.settings_dict["DISABLE_SERVER_SIDE_CURSORS"] is True
    url = "postgresql://app@db.example.com:6432/practice"
    assert parse_database_url("DATABASE_URL", url)["DISABLE_SERVER_SIDE_CURSORS"] is True


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("db.example.com", "DATABASE_DIRECT_URL is not a URL"),
        ("mysql://db/practice", "DATABASE_DIRECT_URL starts with mysql://"),
        ("postgresql://app@db:port/practice", "DATABASE_DIRECT_URL has a wrong host or port"),
        ("postgresql://app@db.example.com", "DATABASE_DIRECT_URL names no database"),
    ],
)
def test_wrong_direct_address_is_named(url: str, sentence: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=f"^{re.escape(sentence)}"):
        parse_database_url("DATABASE_DIRECT_URL", url)


@pytest.mark.slow
def test_direct_address_replaces_the_pooled_one(
    fresh_database: Database, django_db_blocker: Any, settings: Any
) -> None:
    settings.DATABASE_DIRECT = parse_database_url("DATABASE_DIRECT_URL", fresh_database.url)
    with django_db_blocker.unblock():
        direct = connection.copy()
        try:
            use_direct_connection(direct)
            assert not is_pooled(direct)
            with direct.cursor() as cursor:
                cursor.execute("SELECT current_database()")
                assert cursor.fetchone() == (fresh_database.name,)
        finally:
            direct.close()
