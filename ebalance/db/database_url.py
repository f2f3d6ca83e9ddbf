"""Reads the URL of a database. Settings use it before Django is ready."""

from ipaddress import ip_address
from typing import Any
from urllib.parse import unquote, urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured


def is_local(config: dict[str, Any]) -> bool:
    """Whether the server of this database is on this machine."""
    host = config["HOST"] or config["OPTIONS"].get("hostaddr") or config["OPTIONS"].get("host", "")
    if not host or host == "localhost" or host.startswith("/"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def parse_database_url(name: str, url: str) -> dict[str, Any]:
    """The database that the variable ``name`` describes. Raises ImproperlyConfigured."""
    example = "it should look like postgresql://user:password@host:5432/name"
    scheme, separator, _rest = url.partition("://")
    if not separator:
        raise ImproperlyConfigured(f"{name} is not a URL; {example}.")
    if scheme not in {"postgres", "postgresql"}:
        raise ImproperlyConfigured(f"{name} starts with {scheme}://; {example}.")
    try:
        parts = urlsplit(url)
        _port = parts.port
        if "@" not in parts.netloc and "@" in url:  # the password holds /, ? or #
            raise ValueError
        config: dict[str, Any] = environ.Env.db_url_config(url, engine="ebalance.db.backend")
    except ValueError:
        raise ImproperlyConfigured(
            f"{name} has a wrong host or port, or a password with special characters that are "
            f"not percent-encoded; {example}."
        ) from None
    if not config.get("NAME"):
        raise ImproperlyConfigured(f"{name} names no database; {example}.")
    options = config.setdefault("OPTIONS", {})
    options.setdefault("connect_timeout", 10)  # seconds
    # Values are sent separately: the server's log and pg_stat_activity show $1 instead.
    options.setdefault("server_side_binding", True)
    # A named cursor outlives its transaction, and a transaction pooler would lose it.
    config["DISABLE_SERVER_SIDE_CURSORS"] = True
    config["HOST"] = unquote(config["HOST"])  # a socket's folder has slashes
    if "port" in options:  # beside ?host=/socket/folder
        config["PORT"] = str(options.pop("port"))
    return config
