"""Test databases: clones of one migrated and seeded template, so that a run starts testing at once.

Every database that a run makes is guarded by an advisory lock which the run holds while it lives.
A database whose lock is free was left by a dead run, and the next run drops it, even one from
another machine.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import psycopg
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from psycopg import sql

from tests.clocks import REPLACED

ROOT = Path(settings.BASE_DIR)
TEMPLATE_LOCK = 0x6562_616C_0002
KEPT_TEMPLATES = 2  # another checkout on the same server may use its own
CLONE_ATTEMPTS = 20  # PostgreSQL itself waits five seconds in each
# Without the worker of autovacuum, which is listed as a session of the database too.
OTHER_CLIENTS = """
SELECT pid, application_name FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""


@dataclass(frozen=True)
class Database:
    """A database of its own for a test that commits, truncates, or starts processes."""

    name: str
    params: dict[str, Any]  # for psycopg.connect
    url: str  # for DATABASE_URL of a process

    @property
    def conninfo(self) -> str:
        return psycopg.conninfo.make_conninfo("", **self.params)

    def connect(self, **options: Any) -> psycopg.Connection[Any]:
        return psycopg.connect(**{**self.params, **options})


class Databases:
    """The databases of one test run. Use as a context manager; leaving drops them."""

    def __init__(self) -> None:
        params = connection.get_connection_params()
        self.params = {
            key: value
            for key, value in params.items()
            if key not in {"context", "cursor_factory", "prepare_threshold", "client_encoding"}
        }
        self.base = settings.DATABASES["default"]["NAME"]
        self.counter = itertools.count()
        self.keeper = self._maintenance()

    def __enter__(self) -> Databases:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(psycopg.OperationalError):  # Ctrl-C has closed the connection
            for name in self._names(f"test_{self.base}_{os.getpid()}_"):
                self.drop(name)
        self.keeper.close()

    def _maintenance(self) -> psycopg.Connection[Any]:
        try:
            return psycopg.connect(**{**self.params, "dbname": "postgres"}, autocommit=True)
        except psycopg.OperationalError:
            return psycopg.connect(**{**self.params, "dbname": self.base}, autocommit=True)

    # -- template -------------------------------------------------------------------------------

    def template(self) -> str:
        """Return the name of the migrated and seeded template; make the template if it is missing.

        The build has another name until it is complete, so a killed one is never used.
        """
        name = f"template_{self.base}_{self._fingerprint()}"
        if self._exists(name):
            return name
        building = f"building_{self.base}"
        with self._maintenance() as maintenance:
            maintenance.execute("SELECT pg_advisory_lock(%s)", [TEMPLATE_LOCK])
            if self._exists(name):  # another run has made it
                return name
            self.drop(building)
            self.keeper.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(building))
            )
            self._fill(building)
            self.keeper.execute(
                sql.SQL("ALTER DATABASE {} RENAME TO {}").format(
                    sql.Identifier(building), sql.Identifier(name)
                )
            )
            self._drop_older_templates(name)
        return name

    def _fill(self, name: str) -> None:
        usual = connection.settings_dict["NAME"]
        connection.close()
        connection.settings_dict["NAME"] = name
        try:
            call_command("migrate", interactive=False, verbosity=0)
            call_command("loaddata", "seeds", verbosity=0)
            with connection.cursor() as cursor:
                cursor.execute(REPLACED)
                # Autovacuum does so at some time. A plan for an empty table reads the whole table:
                # a test of a plan has to fill and analyse its tables.
                cursor.execute("VACUUM ANALYZE")
        finally:
            connection.close()
            connection.settings_dict["NAME"] = usual

    def _drop_older_templates(self, current: str) -> None:
        """Sorted by oid, which grows; a name does not show its age."""
        rows = self.keeper.execute(
            "SELECT datname FROM pg_database WHERE starts_with(datname, %s) AND datname <> %s "
            "ORDER BY oid DESC OFFSET %s",
            [f"template_{self.base}_", current, KEPT_TEMPLATES - 1],
        ).fetchall()
        for (name,) in rows:
            with contextlib.suppress(psycopg.errors.ObjectInUse):  # another run is cloning it
                self.keeper.execute(
                    sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name))
                )

    def _fingerprint(self) -> str:
        """Changes with everything that the template depends on."""
        digest = hashlib.sha256(str(self.keeper.info.server_version).encode())
        kit = [
            path
            for path in (ROOT / "ebalance" / "db").rglob("*")
            if path.suffix in {".py", ".sql", ".json"}
        ]
        fixtures = [path for path in (ROOT / "fixtures").rglob("*") if path.is_file()]
        migrations = [
            path
            for path in ROOT.glob("*/migrations/**/*")
            if path.is_file() and path.suffix != ".pyc" and ".venv" not in path.parts
        ]
        for path in sorted(
            {
                *kit,
                *fixtures,
                *migrations,
                ROOT / "requirements.lock",
                Path(__file__),
                Path(__file__).with_name("clocks.py"),
            }
        ):
            digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes() + b"\0")
        return digest.hexdigest()[:12]

    # -- clones ---------------------------------------------------------------------------------

    def clone(self) -> Database:
        """Make a migrated database, reserved for this run until it ends."""
        self.drop_leftovers()
        name = self._reserved_name()
        for is_last in (*[False] * (CLONE_ATTEMPTS - 1), True):
            template = self.template()
            try:
                self.keeper.execute(
                    sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                        sql.Identifier(name), sql.Identifier(template)
                    )
                )
            except (psycopg.errors.InvalidCatalogName, psycopg.errors.ObjectInUse):
                # Another checkout has just dropped the template, or autovacuum still works in it.
                if is_last:
                    raise
            else:
                break
        return self._database(name)

    def empty(self, options: str = "") -> Database:
        """Make a database without tables; `options` are those of CREATE DATABASE."""
        name = self._reserved_name()
        self.keeper.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE template0 {}").format(
                sql.Identifier(name), sql.SQL(options)
            )
        )
        return self._database(name)

    def copy(self, original: str) -> Database:
        """Make a copy of the database `original`, which has no sessions."""
        name = self._reserved_name()
        self.keeper.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                sql.Identifier(name), sql.Identifier(original)
            )
        )
        return self._database(name)

    def _reserved_name(self) -> str:
        """Return a name that no other run drops, because this run holds its lock."""
        name = f"test_{self.base}_{os.getpid()}_{next(self.counter)}"
        self.keeper.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [name])
        self.drop(name)
        return name

    def drop(self, name: str) -> None:
        self.keeper.execute(
            sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        )

    def drop_leftovers(self) -> None:
        for name in self._names(f"test_{self.base}_"):
            # In its own session, because this session would be granted its own locks again.
            with self._maintenance() as maintenance:
                query = "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))"
                if maintenance.execute(query, [name]).fetchone() == (True,):
                    self.drop(name)

    def _database(self, name: str) -> Database:
        params = {**self.params, "dbname": name}
        login = quote(str(params.get("user", "")), safe="")
        if params.get("password"):
            login += ":" + quote(str(params["password"]), safe="")
        rest = {
            k: v
            for k, v in params.items()
            if k not in {"user", "password", "dbname"} and v not in (None, "")
        }
        return Database(name, params, f"postgresql://{login}@/{name}?{urlencode(rest)}")

    def _names(self, prefix: str) -> list[str]:
        rows = self.keeper.execute(
            "SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [prefix]
        )
        return [name for (name,) in rows.fetchall()]

    def _exists(self, name: str) -> bool:
        return (
            self.keeper.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone()
            is not None
        )


@contextlib.contextmanager
def default_connection_on(database: Database) -> Iterator[None]:
    """Point Django's connection at `database` for the rest of the run."""
    usual = connection.settings_dict["NAME"]
    connection.close()
    connection.settings_dict["NAME"] = settings.DATABASES["default"]["NAME"] = database.name
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict["NAME"] = settings.DATABASES["default"]["NAME"] = usual
