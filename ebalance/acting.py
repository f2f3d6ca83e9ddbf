"""Who acts, told to the database, whose triggers write it into the audit log (access.md §3).

The actor travels in session variables that end with their transaction (``SET LOCAL``), so that a
pooled connection carries nobody into somebody else's request. Inside ``acting_as()`` the database
backend says them at the beginning of each transaction; a statement that changes rows outside of
one gets a transaction of its own. Programs without Django say the same by themselves::

    BEGIN;
    SELECT set_config('ebalance.actor_user_id', '…', true),
           set_config('ebalance.ip_address', '…', true);

Without them a write is the system's. The role, unless said, is the highest that the person has.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from ipaddress import ip_address as parsed_address
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse

VARIABLES = ("actor_user_id", "actor_role", "ip_address", "user_agent")
USER_AGENT_LENGTH = 400  # characters, as record_audit_entry() keeps
WRITES = re.compile(r"\s*(INSERT|UPDATE|DELETE|MERGE|WITH|SELECT\s+public\.)", re.IGNORECASE)


@dataclass(frozen=True)
class Actor:
    """Who acts, and from where. ``user`` may be lazy: it is asked when a transaction begins."""

    user: Any = None
    role: str | None = None
    ip_address: str | None = None
    user_agent: str | None = None

    def variables(self) -> dict[str, str]:
        """What the database is told; an empty text is nothing."""
        key = getattr(self.user, "pk", None)
        said = (key, self.role, self.ip_address, self.user_agent)
        return dict(zip(VARIABLES, ("" if one is None else str(one) for one in said), strict=True))


_actor: ContextVar[Actor | None] = ContextVar("actor", default=None)


def current() -> Actor | None:
    return _actor.get()


@contextmanager
def acting_as(
    user: Any,
    *,
    role: str | None = None,
    ip_address: str | None = None,
    user_agent: str | None = None,
) -> Iterator[None]:
    """What is written in this block is written by ``user``; None is nobody who is logged in.

    ``role`` is one of AuditLogEntry.ActorRole; the database refuses any other, and a user that
    does not exist, at the end of the transaction that writes something to be audited.
    """
    actor = Actor(user, role, ip_address, user_agent)
    with ExitStack() as stack:
        if not any(isinstance(one, _InTransaction) for one in connection.execute_wrappers):
            stack.enter_context(connection.execute_wrapper(_InTransaction()))
        before = _actor.set(actor)
        try:
            if connection.in_atomic_block:
                _tell_in(actor)
            yield
        finally:
            outer = before.old_value if isinstance(before.old_value, Actor) else None
            _actor.reset(before)
            if connection.in_atomic_block and _is_usable():
                _tell_in(outer or Actor())


def begin() -> Callable[[], None] | None:
    """For the database backend, before a transaction begins: what to do when it has begun."""
    actor = _actor.get()
    if actor is None:
        return None
    # Who is logged in may have to be read from the database, with transactions of its own.
    token = _actor.set(None)
    try:
        said = actor.variables()
    finally:
        _actor.reset(token)
    return lambda: tell(said)


def tell(variables: Mapping[str, str]) -> None:
    """Set the session variables for the rest of this transaction."""
    calls = ", ".join("set_config(%s, %s, true)" for _ in variables)
    values = [part for name, text in variables.items() for part in (f"ebalance.{name}", text)]
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {calls}", values)


def _tell_in(actor: Actor) -> None:
    """In the middle of a transaction: what was written before is still the one's before."""
    names = ", ".join(f"public.{name}" for name in audited())
    with connection.cursor() as cursor:
        cursor.execute(f"SET CONSTRAINTS {names} IMMEDIATE; SET CONSTRAINTS {names} DEFERRED")
    tell(actor.variables())


def _is_usable() -> bool:
    # After an error the transaction, or a savepoint of it, is undone together with what we said.
    return (
        connection.connection is not None
        and not connection.needs_rollback
        and connection.connection.info.transaction_status.name != "INERROR"
    )


class _InTransaction:
    """Gives a write outside of a transaction one, in which its actor can be told."""

    def __call__(self, execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
        if connection.get_autocommit() and isinstance(sql, str) and WRITES.match(sql):
            with transaction.atomic():
                return execute(sql, params, many, context)
        return execute(sql, params, many, context)


@cache
def audited() -> tuple[str, ...]:
    """The names of the triggers that write into the audit log."""
    from ebalance.db.auditing import Audited
    from ebalance.db.inventory import tables

    return tuple(
        trigger.rule
        for table in tables()
        if table.model
        for trigger in getattr(table.model._meta, "triggers", ())
        if isinstance(trigger, Audited)
    )


class ActorMiddleware:
    """Who is logged in acts for the whole of a request. Stands after the authentication's."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        with acting_as(
            request.user,
            ip_address=address_of(request),
            user_agent=agent_of(request),
        ):
            return self.get_response(request)


def address_of(request: HttpRequest) -> str | None:
    """The address of who asks; behind our proxy the one that it saw."""
    found = request.META.get("REMOTE_ADDR", "")
    if settings.BEHIND_PROXY:
        # Only the last is our proxy's word; what stands before it, anybody may have sent.
        found = request.META.get("HTTP_X_FORWARDED_FOR", "").rpartition(",")[2].strip() or found
    try:
        return str(parsed_address(found))
    except ValueError:
        return None


def agent_of(request: HttpRequest) -> str | None:
    given = request.META.get("HTTP_USER_AGENT", "")[:USER_AGENT_LENGTH]
    return "".join(letter for letter in given if letter.isprintable()).strip() or None
