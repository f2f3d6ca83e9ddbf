"""A session of one's own, for commands that need one behind a transaction pooler.

A transaction pooler gives each transaction another session of the server. State of a session
(an advisory lock, a setting) would stay behind in a session that others use.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured


def use_direct_connection(connection: Any) -> None:
    """Connect to the server itself: to DATABASE_DIRECT_URL, if it is set.

    Raises ImproperlyConfigured if that connection uses a pooler too.
    """
    if settings.DATABASE_DIRECT is not None:
        connection.close()
        connection.settings_dict.update(settings.DATABASE_DIRECT)
    if is_pooled(connection):
        raise ImproperlyConfigured(
            "This command needs a session of its own, and its connection uses a pooler: "
            "set DATABASE_DIRECT_URL to the server itself."
        )


def is_pooled(connection: Any) -> bool:
    """Whether a pooler is between this program and the server.

    A pooler gives libpq a process number of its own. Two answers of the server prove nothing: an
    idle pooler gives both transactions the same session.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (server_process,) = cursor.fetchone()
    return connection.connection.info.backend_pid != server_process
