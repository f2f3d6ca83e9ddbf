"""Parallel logins: a known browser beside wrong guesses, and codes that are good once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.hashers import make_password
from django.test import Client
from django.utils import timezone

from audit.models import AuditLogEntry
from identity.services import confirm_second_factor, offer_second_factor, use_code
from tests.factories import UserFactory
from tests.identity.test_second_factors import code_of
from tests.services import run_concurrently

PASSWORD, WRONG = "длинный пароль 1", "не тот пароль 1"
NAME, LOGIN, CODE = "owner@example.com", "/admin/login/", "/admin/login/code/"
ROUNDS, GUESSES = 3, 20


def give_password(client: Client, password: str) -> Any:
    return client.post(LOGIN, {"username": NAME, "password": password})


def entries(*actions: str) -> int:
    return AuditLogEntry.objects.filter(action__in=actions).count()


@pytest.mark.slow
@pytest.mark.usefixtures("committed")
def test_known_browser_logs_in_beside_parallel_guesses(settings: Any) -> None:
    settings.SECOND_FACTOR_REQUIRED = True
    person = UserFactory(role="owner", email=NAME, password=make_password(PASSWORD))
    before = timezone.now() - timedelta(minutes=10)
    code = code_of(offer_second_factor(person), before)
    codes = confirm_second_factor(person, code, clock=lambda: before) or []
    known = Client()
    give_password(known, PASSWORD)
    assert known.post(CODE, {"code": codes.pop()}).status_code == 302
    known.post("/admin/logout/")

    def log_in() -> Any:
        assert give_password(known, PASSWORD).url == CODE
        return known.post(CODE, {"code": codes.pop()}).status_code

    counts = []
    for _ in range(ROUNDS):
        guesses = [lambda: give_password(Client(), WRONG).status_code] * GUESSES
        results = run_concurrently(*guesses, log_in)
        assert results == [*[200] * GUESSES, 302]
        assert known.get("/admin/").status_code == 200
        known.post("/admin/logout/")
        counts.append(entries("login_failed", "login_locked"))
    # Ten failed logins and the lock-out of account and client. Once a wait is over, one more each.
    assert 12 <= counts[0] <= counts[-1] <= 12 + 3 * ROUNDS


@pytest.mark.slow
@pytest.mark.usefixtures("committed")
@pytest.mark.parametrize("kind", ["app", "recovery"])
def test_parallel_logins_use_a_code_once(kind: str) -> None:
    person = UserFactory(role="owner")
    secret, before = offer_second_factor(person), timezone.now() - timedelta(minutes=10)
    codes = confirm_second_factor(person, code_of(secret, before), clock=lambda: before) or []
    code = codes[0] if kind == "recovery" else code_of(secret, timezone.now())
    assert sorted(run_concurrently(*[lambda: use_code(person, code)] * 5)) == [*[False] * 4, True]
