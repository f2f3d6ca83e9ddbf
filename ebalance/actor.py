"""The current actor: the user to whom the audit log attributes writes (access.md §3).

The database backend copies the current actor into session variables at the start of each
transaction (``ebalance.db.backend.session``). The variables end with the transaction
(``SET LOCAL``), so a pooled connection never carries one request's actor into another request.
Programs without Django set the variables themselves::

    BEGIN;
    SELECT set_config('ebalance.actor_user_id', '…', true),
           set_config('ebalance.ip_address', '…', true);

Without the variables the log names the system. The role defaults to the user's highest role.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from ipaddress import ip_address as parse_address
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse

VARIABLES = ("actor_user_id", "actor_role", "ip_address", "user_agent")
USER_AGENT_LENGTH = 300  # characters; the column takes no more


@dataclass(frozen=True)
class Actor:
    """A user and their origin. ``user`` may be lazy; it is evaluated when a transaction begins."""

    user: Any = None
    role: str | None = None
    ip_address: str | None = None
    user_agent: str | None = None

    @property
    def is_user(self) -> bool:
        return self.user is not None and self.user.pk is not None

    def variables(self) -> dict[str, str]:
        """The session variables; an empty text means none."""
        key = self.user.pk if self.is_user else None
        values = (key, self.role, self.ip_address, self.user_agent)
        texts = ("" if value is None else str(value) for value in values)
        return dict(zip(VARIABLES, texts, strict=True))


SYSTEM = Actor().variables()

_actor: ContextVar[Actor | None] = ContextVar("actor", default=None)


def current_actor() -> Actor | None:
    return _actor.get()


@contextmanager
def acting_as(
    user: Any,
    *,
    role: str | None = None,
    ip_address: str | None = None,
    user_agent: str | None = None,
) -> Iterator[None]:
    """Make ``user`` the actor of this block; None means an anonymous visitor.

    ``role`` is one of AuditLogEntry.ActorRole. The database refuses any other role, and a user that
    does not exist, at the end of the transaction that writes an audited row.
    """
    token = _actor.set(Actor(user, role, ip_address, user_agent))
    try:
        yield
    finally:
        _actor.reset(token)


@contextmanager
def without_actor() -> Iterator[None]:
    """Suspend the actor: for queries that evaluate a lazy user."""
    token = _actor.set(None)
    try:
        yield
    finally:
        _actor.reset(token)


class ActorMiddleware:
    """Makes the logged-in user the actor of a request. Follows the authentication middleware."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        with acting_as(
            request.user,
            ip_address=client_address(request),
            user_agent=user_agent(request),
        ):
            return self.get_response(request)


def origin(request: HttpRequest | None) -> dict[str, str | None]:
    """Address and user agent of the request; without a request, those of the current actor."""
    if request is not None:
        return {"ip_address": client_address(request), "user_agent": user_agent(request)}
    actor = current_actor() or Actor()
    return {"ip_address": actor.ip_address, "user_agent": actor.user_agent}


def client_address(request: HttpRequest) -> str | None:
    """The client's IP address; behind our proxy the address that the proxy saw."""
    text = request.META.get("REMOTE_ADDR", "")
    if settings.BEHIND_PROXY:
        # Only the last address was added by our proxy; a client can send the others.
        text = request.META.get("HTTP_X_FORWARDED_FOR", "").rpartition(",")[2].strip() or text
    try:
        return str(parse_address(text.partition("%")[0]))  # without a link-local zone
    except ValueError:
        return None


def user_agent(request: HttpRequest) -> str | None:
    text = request.META.get("HTTP_USER_AGENT", "")[:USER_AGENT_LENGTH]
    return "".join(letter for letter in text if letter.isprintable()).strip() or None
