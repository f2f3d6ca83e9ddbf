"""Ends sessions by age: some hours after the login, or after some hours without a request.

Other ends of a session are in the database: blocking, the loss of a role, and a change of password
or e-mail give the person another ``session_stamp`` (identity/models/people.py).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth import SESSION_KEY, user_logged_in
from django.contrib.auth.models import AnonymousUser
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

BEGAN, SEEN = "began", "seen"  # seconds since 1970, in the session
ENDED = "ended"  # in the session that follows one that ended by age: the person of that one
SEEN_STEP = 60  # seconds; a session is not written at every request


def seconds_now() -> int:
    return int(timezone.now().timestamp())


@receiver(user_logged_in, dispatch_uid="session age")
def begin_session(request: HttpRequest | None = None, **_: Any) -> None:
    if request is not None:
        request.session[BEGAN] = request.session[SEEN] = seconds_now()
        request.session.pop(ENDED, None)


class SessionAgeMiddleware:
    """Logs a user out whose session is too old. Follows the authentication middleware."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        session = request.session
        if SESSION_KEY in session:
            now = seconds_now()
            if is_too_old(session.get(BEGAN), session.get(SEEN), now):
                person = session[SESSION_KEY]
                session.flush()
                session[ENDED] = person
                request.user = AnonymousUser()
            elif now - session[SEEN] >= SEEN_STEP:
                session[SEEN] = now
        return self.get_response(request)


def is_too_old(began: int | None, seen: int | None, now: int) -> bool:
    if began is None or seen is None:
        return True
    age, idle = timedelta(seconds=now - began), timedelta(seconds=now - seen)
    return age >= timedelta(hours=settings.SESSION_HOURS) or idle >= timedelta(
        hours=settings.SESSION_IDLE_HOURS
    )
