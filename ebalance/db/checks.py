"""What `migrate` and `check --database` say about a server where we are deployed."""

from collections.abc import Iterable, Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Tags, Warning, register
from django.db import Error, connections

from ebalance.bundled import QUIET_LOG


@register(Tags.database)
def server_log_is_quiet(
    app_configs: Any, databases: Sequence[str] | None = None, **kwargs: Any
) -> Iterable[CheckMessage]:
    """The server's log quotes no values. One query, and silence where it cannot be asked."""
    if not settings.DEPLOYED:
        return []
    return [warning for alias in databases or () for warning in _loud_settings(alias)]


def _loud_settings(alias: str) -> Iterable[CheckMessage]:
    try:
        with connections[alias].cursor() as cursor:
            cursor.execute(
                "SELECT name, setting FROM pg_settings WHERE name = ANY(%s)", [list(QUIET_LOG)]
            )
            found = dict(cursor.fetchall())
    except Error:
        return
    loud = [name for name, wanted in QUIET_LOG.items() if not _quiet(name, found.get(name), wanted)]
    if loud:
        commands = "; ".join(f"ALTER SYSTEM SET {name} = '{QUIET_LOG[name]}'" for name in loud)
        yield Warning(
            f"The log of database {alias} may hold what people wrote: {', '.join(loud)}.",
            hint=f"{commands}. Then SELECT pg_reload_conf().",
            id="ebalance.W001",
        )


def _quiet(name: str, setting: str | None, wanted: str) -> bool:
    if name == "log_min_messages":
        return setting in {"log", "fatal", "panic"}
    return setting == wanted
