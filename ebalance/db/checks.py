"""System checks of a deployed server, run by `migrate` and `check --database`."""

from collections.abc import Iterable, Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Tags, Warning, register
from django.db import Error, connections

from .server import QUIET_LOG

# The settings of new sessions: the database's own setting takes precedence over the server's.
SETTINGS = """
    SELECT s.name, coalesce(
        (SELECT substr(own.line, length(s.name) + 2)
         FROM pg_db_role_setting r
         JOIN pg_database d ON d.oid = r.setdatabase,
         LATERAL unnest(r.setconfig) AS own (line)
         WHERE d.datname = current_database() AND r.setrole = 0
           AND starts_with(own.line, s.name || '=')),
        s.reset_val)
    FROM pg_settings s WHERE s.name = ANY (%s)
"""


@register(Tags.database)
def server_log_is_quiet(
    app_configs: Any, databases: Sequence[str] | None = None, **kwargs: Any
) -> Iterable[CheckMessage]:
    """Warn if the server's log quotes values. One query; no warning if it fails."""
    if not settings.DEPLOYED:
        return []
    return [warning for alias in databases or () for warning in _warnings(alias)]


def _warnings(alias: str) -> Iterable[CheckMessage]:
    try:
        loud = loud_settings(alias)
    except Error:
        return
    if loud:
        commands = "; ".join(f"ALTER SYSTEM SET {name} = '{QUIET_LOG[name]}'" for name in loud)
        yield Warning(
            f"The log of database {alias} may hold what people wrote: {', '.join(loud)}.",
            hint=f"A superuser runs `manage.py grant_db_roles`, or {commands}.",
            id="ebalance.W001",
        )


def loud_settings(alias: str = "default") -> list[str]:
    """Names of QUIET_LOG that new sessions do not have. Raises django.db.Error."""
    with connections[alias].cursor() as cursor:
        cursor.execute(SETTINGS, [list(QUIET_LOG)])
        live = dict(cursor.fetchall())
    return [name for name, wanted in QUIET_LOG.items() if not _quiet(name, live.get(name), wanted)]


def _quiet(name: str, setting: str | None, wanted: str) -> bool:
    if name == "log_min_messages":
        return setting in {"log", "fatal", "panic"}
    return setting == wanted
