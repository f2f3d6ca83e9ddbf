"""Logins and failed logins, written into the audit log (access.md §3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib.auth.signals import user_logged_in, user_login_failed
from django.dispatch import receiver
from django.http import HttpRequest

from audit.models import AuditLogEntry
from audit.services import record_entry
from ebalance.actor import acting_as, origin

from .auth import find_person
from .models import User


@receiver(user_logged_in, dispatch_uid="audit")
def record_login(user: User, request: HttpRequest | None = None, **_: Any) -> None:
    # The middleware set the actor before the login, when there was none.
    with acting_as(user, **origin(request)):
        record_entry("login", user)


@receiver(user_login_failed, dispatch_uid="audit")
def record_failed_login(
    credentials: Mapping[str, Any], request: HttpRequest | None = None, **_: Any
) -> None:
    """Record a failed login, to a known account or to none.

    The typed address is not stored, because it may be a password. The actor is unknown and gets
    the role client, which has no rights in admin.
    """
    person = find_person(**{n: credentials.get(n) for n in ("username", "email")})
    with acting_as(None, role=AuditLogEntry.ActorRole.CLIENT, **origin(request)):
        record_entry("login_failed", person, entity_type=User._meta.db_table)
