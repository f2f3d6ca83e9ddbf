"""Who acts, told to the database, whose triggers write it into the audit log (access.md §3).

The actor travels in session variables that end with their transaction (``SET LOCAL``), so that a
pooled connection carries nobody into somebody else's request. While somebody acts, the database
backend says who at the beginning of each transaction, and again when another one goes on in it; a
statement that may change rows outside of one gets a transaction of its own. Programs without
Django say the same by themselves::

    BEGIN;
    SELECT set_config('ebalance.actor_user_id', '…', true),
           set_config('ebalance.ip_address', '…', true);

Without them a write is the system's. The role, unless said, is the highest that the person has.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from ipaddress import ip_address as parsed_address
from typing import Any

from django.conf import settings
from django.db import connections, transaction
from django.http import HttpRequest, HttpResponse

VARIABLES = ("actor_user_id", "actor_role", "ip_address", "user_agent")
USER_AGENT_LENGTH = 400  # characters, as record_audit_entry() keeps

# Statements that may change rows, also behind a comment. Of the SELECTs those that begin with a
# function in lower case: Django writes its own in capitals.
WRITES = re.compile(
    r"(?:\s|\(|--[^\n]*\n|/\*.*?\*/)*+"
    r"(?:(?i:INSERT|UPDATE|DELETE|MERGE|WITH|COPY|DO|CALL|EXECUTE|EXPLAIN)\b"
    r"|(?i:SELECT)\s+[a-z_][a-z0-9_.]*\()",
    re.DOTALL,
)
# What takes back, or ends, what was told.
ENDS = re.compile(r"\s*(?:ROLLBACK|ABORT|COMMIT|END)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Actor:
    """Who acts, and from where. ``user`` may be lazy: it is asked when the database is told."""

    user: Any = None
    role: str | None = None
    ip_address: str | None = None
    user_agent: str | None = None

    @property
    def is_somebody(self) -> bool:
        return self.user is not None and self.user.pk is not None

    def variables(self) -> dict[str, str]:
        """What the database is told; an empty text is nothing."""
        key = self.user.pk if self.is_somebody else None
        said = (key, self.role, self.ip_address, self.user_agent)
        return dict(zip(VARIABLES, ("" if one is None else str(one) for one in said), strict=True))


NOBODY = Actor().variables()

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
    before = _actor.set(Actor(user, role, ip_address, user_agent))
    try:
        yield
    finally:
        _actor.reset(before)


class Telling:
    """What a connection has told the database in its transaction. For the database backend.

    An execute wrapper too: around each statement that may write it sees to it that whoever acts
    has been told.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._has_told = False
        self._told: dict[str, str] | None = NOBODY  # None: a rollback may have taken it back
        self._is_telling = False

    def __call__(self, execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
        if self._has_told and isinstance(sql, str) and ENDS.match(sql):
            self._told = None
        if self._is_telling or not may_write(sql):
            return execute(sql, params, many, context)
        with self.in_transaction():
            return execute(sql, params, many, context)

    @contextmanager
    def in_transaction(self) -> Iterator[None]:
        """A statement in this block is in a transaction that knows who acts."""
        connection = self._connection
        if not connection.get_autocommit():
            self._go_on()
            yield
        elif current() is None or connections[connection.alias] is not connection:
            yield
        else:
            with transaction.atomic(using=connection.alias):
                yield

    def forget(self) -> None:
        """A transaction has ended, and with it what was told."""
        self._has_told, self._told = False, NOBODY

    def begin(self) -> Callable[[], None] | None:
        """Before a transaction begins: what to do when it has begun."""
        self.forget()
        wanted = self._wanted()
        return None if wanted == NOBODY else lambda: self._tell(wanted)

    def _go_on(self) -> None:
        """In the middle of a transaction: what was written before is still the one's before."""
        if current() is None and not self._has_told:
            return
        wanted = self._wanted()
        if wanted == self._told:
            return
        names = ", ".join(f"public.{name}" for name in audited())
        self._execute(f"SET CONSTRAINTS {names} IMMEDIATE; SET CONSTRAINTS {names} DEFERRED")
        self._tell(wanted)

    def _wanted(self) -> dict[str, str]:
        actor = current()
        if actor is None:
            return NOBODY
        # Who is logged in may have to be read from the database, with transactions of its own.
        token = _actor.set(None)
        try:
            return actor.variables()
        finally:
            _actor.reset(token)

    def _tell(self, variables: dict[str, str]) -> None:
        calls = ", ".join("set_config(%s, %s, true)" for _ in variables)
        values = [part for name, text in variables.items() for part in (f"ebalance.{name}", text)]
        self._has_told = True
        self._execute(f"SELECT {calls}", values)
        self._told = variables

    def _execute(self, sql: str, params: list[str] | None = None) -> None:
        self._is_telling = True
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(sql, params)
        finally:
            self._is_telling = False


def may_write(sql: object) -> bool:
    """Whether a statement may change rows; what is no plain text is not looked into."""
    if not isinstance(sql, str) or WRITES.match(sql):
        return True
    return ";" in sql and any(map(WRITES.match, sql.split(";")))


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
        return str(parsed_address(found.partition("%")[0]))  # without the zone of a link-local one
    except ValueError:
        return None


def agent_of(request: HttpRequest) -> str | None:
    given = request.META.get("HTTP_USER_AGENT", "")[:USER_AGENT_LENGTH]
    return "".join(letter for letter in given if letter.isprintable()).strip() or None
