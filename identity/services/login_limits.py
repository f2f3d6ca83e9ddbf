"""Limits of the attempts to log in (access.md §1).

An attempt is counted before a password is hashed or an entry is written, so that parallel guesses
neither pass the limit nor fill the audit log. Ten attempts are free within 15 minutes. Each of the
next ones locks for twice as long as the one before, up to 15 minutes.

An attempt counts to its account and to its client's network. A browser in which the person has
logged in before counts for itself alone: guesses of others do not lock the person out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address, ip_network

from django.db import transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac

from audit.models import AuditLogEntry
from audit.services import record_entry
from ebalance.actor import Actor, acting_as, current_actor
from ebalance.services import storable_arguments, transactional

from ..errors import TooManyAttempts
from ..models import LoginLimit, User

FREE = 10  # attempts
WINDOW = LONGEST = timedelta(minutes=15)
SHORTEST = timedelta(seconds=30)
IPV6_NETWORK = 64  # bits; a client has all addresses of its network
NO_ADDRESS = "unknown"

Clock = Callable[[], datetime]
type Name = tuple[LoginLimit.Kind, str]


@dataclass
class Attempt:
    """A counted attempt. Call ``failed()`` or ``succeeded()`` once."""

    names: list[str]  # keyed hashes
    of_client: set[str]
    locks: list[tuple[LoginLimit.Kind, timedelta]] = field(default_factory=list)

    def failed(self, person: User | None) -> None:
        """Record the lock-outs that this attempt began."""
        origin = current_actor() or Actor()
        for kind, wait in self.locks:
            with (
                transaction.atomic(),
                acting_as(
                    None,
                    role=AuditLogEntry.ActorRole.CLIENT,
                    ip_address=origin.ip_address,
                    user_agent=origin.user_agent,
                ),
            ):
                record_entry(
                    "login_locked",
                    person,
                    entity_type=User._meta.db_table,
                    values={"limit": str(kind), "seconds": int(wait.total_seconds())},
                )

    @transactional
    def succeeded(self) -> None:
        """The account and the browser start anew. For the client's network, others may guess."""
        LoginLimit.objects.filter(key_hash__in={*self.names} - self.of_client).delete()
        for row in _lock(self.of_client):
            row.attempts = max(row.attempts - 1, 0)
            if any(kind == LoginLimit.Kind.CLIENT for kind, _wait in self.locks):
                row.locked_until = None
            row.save(update_fields=["attempts", "locked_until"])


@storable_arguments
def begin_attempt(
    step: str,
    account: str,
    address: str | None,
    *,
    browser: str | None = None,
    clock: Clock = timezone.now,
) -> Attempt:
    """Count an attempt at ``step`` of the login. Raises TooManyAttempts.

    ``account`` is the name in any spelling. ``browser`` identifies the browser if the person of the
    account has logged in with it before.
    """
    names = names_of(step, account, address, browser)
    return _count({hash_of(step, *name): name[0] for name in names}, clock)


def names_of(step: str, account: str, address: str | None, browser: str | None) -> list[Name]:
    if browser is not None:
        return [(LoginLimit.Kind.BROWSER, browser)]
    return [
        (LoginLimit.Kind.ACCOUNT, account.strip().lower()),
        (LoginLimit.Kind.CLIENT, network_of(address)),
    ]


def network_of(address: str | None) -> str:
    """The address, or the network of an IPv6 address."""
    if address is None:
        return NO_ADDRESS
    parsed = ip_address(address)
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped:
            return str(parsed.ipv4_mapped)
        return str(ip_network((parsed, IPV6_NETWORK), strict=False))
    return str(parsed)


def hash_of(step: str, kind: LoginLimit.Kind, name: str) -> str:
    hashed = salted_hmac("identity.login_limits", f"{step} {kind} {name}", algorithm="sha256")
    return hashed.hexdigest()


@transactional
def _count(kinds: dict[str, LoginLimit.Kind], clock: Clock) -> Attempt:
    expiry = clock() + WINDOW
    LoginLimit.objects.bulk_create(
        [
            LoginLimit(kind=kinds[name], key_hash=name, attempts=0, expires_at=expiry)
            for name in sorted(kinds)  # parallel attempts add and lock in one order
        ],
        ignore_conflicts=True,
    )
    rows, now = _lock(kinds), clock()
    until = max((row.locked_until for row in rows if row.locked_until), default=now)
    if until > now:
        raise TooManyAttempts(seconds=int((until - now).total_seconds()) + 1)
    attempt = Attempt(
        [*kinds], {name for name, kind in kinds.items() if kind == LoginLimit.Kind.CLIENT}
    )
    for row in rows:
        if row.expires_at <= now:
            row.attempts, row.locked_until, row.expires_at = 0, None, now + WINDOW
        row.attempts += 1
        if row.attempts >= FREE:
            wait = wait_after(row.attempts)
            row.locked_until = now + wait
            row.expires_at = row.locked_until + WINDOW
            attempt.locks.append((LoginLimit.Kind(row.kind), wait))
        row.save()
    return attempt


def wait_after(attempts: int) -> timedelta:
    """How long the next attempt waits: 30 seconds after the tenth, then twice as long each time."""
    return min(LONGEST, SHORTEST * 2 ** min(attempts - FREE, 10))


def _lock(names: Iterable[str]) -> list[LoginLimit]:
    rows = LoginLimit.objects.filter(key_hash__in=list(names)).order_by("key_hash")
    return list(rows.select_for_update(no_key=True))
