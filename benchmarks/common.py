"""Shared parts of the benchmarks: temporary databases on the project's server."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote, urlencode

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ebalance.settings")

import django  # noqa: E402

django.setup()

import psycopg  # noqa: E402
from django.db import connection  # noqa: E402
from psycopg import sql  # noqa: E402

CONNECTION_KEYS = ("host", "port", "user", "password", "dbname")


def server() -> dict[str, str]:
    """Connection parameters of the server that the project would use, as psycopg takes them."""
    params = connection.get_connection_params()
    return {key: str(params[key]) for key in CONNECTION_KEYS if params.get(key)}


def url(params: dict[str, str]) -> str:
    """DATABASE_URL for these parameters, with a socket folder in the query."""
    user = quote(params.get("user", ""), safe="")
    secret = f":{quote(params['password'], safe='')}" if params.get("password") else ""
    query = urlencode({k: params[k] for k in ("host", "port") if k in params})
    return f"postgresql://{user}{secret}@/{params['dbname']}?{query}"


def libpq_environment(params: dict[str, str]) -> dict[str, str]:
    names = {
        "host": "PGHOST",
        "port": "PGPORT",
        "user": "PGUSER",
        "password": "PGPASSWORD",
        "dbname": "PGDATABASE",
    }
    return {**os.environ, **{names[key]: value for key, value in params.items()}}


@contextlib.contextmanager
def empty_database(label: str) -> Iterator[dict[str, str]]:
    """A database without a table, dropped at the end."""
    params = server()
    name = f"bench_{label}_{os.getpid()}"
    with psycopg.connect(**{**params, "dbname": "postgres"}, autocommit=True) as keeper:
        keeper.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            yield {**params, "dbname": name}
        finally:
            keeper.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def program(name: str) -> str:
    """The path of a PostgreSQL client program: the bundled one, else the system's."""
    from ebalance.dev.bundled import bundled_bin_dir

    bundled = bundled_bin_dir() / name
    path = str(bundled) if bundled.exists() else shutil.which(name)
    if not path:
        sys.exit(f"{name} is needed for this benchmark and was not found.")
    return path


def seconds(command: Sequence[str], environment: dict[str, str]) -> float:
    """Wall time of one whole process."""
    start = time.perf_counter()
    subprocess.run(command, env=environment, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def migrate(params: dict[str, str]) -> float:
    """Seconds that `manage.py migrate` takes on this database."""
    return seconds(
        [sys.executable, str(ROOT / "manage.py"), "migrate", "--verbosity", "0"],
        {**os.environ, "DATABASE_URL": url(params)},
    )
