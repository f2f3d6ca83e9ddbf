"""Logins and failed logins in the audit log (access.md §3)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth import authenticate
from django.db import DatabaseError, connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from ebalance.actor import acting_as
from identity import signals
from identity.models import User
from tests.databases import Database, default_connection_on
from tests.factories import UserFactory
from tests.support import execute

PASSWORD = "длинный пароль 1"
SAVEPOINT = re.compile(r'"s[0-9]+_x[0-9]+"')
ADDRESS, AGENT = "203.0.113.7", "Mozilla/5.0 (X11)"
ENTRIES = """
    SELECT actor_user_id, actor_role, action, entity_type, entity_id, entity_key,
           old_value, new_value, host(ip_address) AS ip_address, user_agent
    FROM audit_log_entries WHERE action IN ('login', 'login_failed') ORDER BY seq
"""


@pytest.fixture(autouse=True)
def _fast_passwords(settings: Any) -> None:
    """The default hash is slow on purpose."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def committed(fresh_database: Database, django_db_blocker: Any) -> Iterator[Database]:
    """A database of its own, in which requests commit."""
    with django_db_blocker.unblock(), default_connection_on(fresh_database):
        yield fresh_database


def entries() -> list[dict[str, Any]]:
    return execute(ENTRIES)


def entry(**values: Any) -> dict[str, Any]:
    return {
        "actor_user_id": None,
        "actor_role": "client",
        "entity_type": "users",
        "entity_id": None,
        "entity_key": None,
        "old_value": None,
        "new_value": None,
        "ip_address": ADDRESS,
        "user_agent": AGENT,
        **values,
    }


def person(role: str | None = "assistant", **values: Any) -> User:
    made = UserFactory(role=role, **values)
    made.set_password(PASSWORD)
    made.save()
    return made


def sign_in(address: str, password: str = PASSWORD, client: Client | None = None) -> HttpResponse:
    client = client or Client()
    return client.post(
        reverse("admin:login"),
        {"username": address, "password": password},
        REMOTE_ADDR=ADDRESS,
        headers={"User-Agent": AGENT},
    )


@pytest.mark.django_db
@pytest.mark.parametrize("role", ["owner", "assistant", "editor"])
def test_login_entry_names_the_person(role: str) -> None:
    who = person(role)
    assert sign_in(f"  {who.email.upper()} ").status_code == 302
    assert entries() == [
        entry(action="login", actor_user_id=who.pk, actor_role=role, entity_id=who.pk)
    ]


@pytest.mark.django_db
def test_login_over_another_session_names_the_new_person() -> None:
    first, second = person("owner"), person("editor")
    client = Client()
    sign_in(first.email, client=client)
    sign_in(second.email, client=client)
    assert [(e["action"], e["actor_user_id"], e["actor_role"]) for e in entries()] == [
        ("login", first.pk, "owner"),
        ("login", second.pk, "editor"),
    ]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("status", "password"),
    [("active", "не тот пароль"), ("blocked", PASSWORD), ("blocked", "не тот пароль")],
)
def test_failed_login_names_the_person_and_no_actor(status: str, password: str) -> None:
    who = person("assistant", status=status)
    assert sign_in(f" {who.email.title()}", password).status_code == 200
    assert entries() == [entry(action="login_failed", entity_id=who.pk)]


@pytest.mark.django_db
def test_client_with_the_right_password_fails_to_log_in_to_admin() -> None:
    who = person(role="client")
    client = Client()
    assert sign_in(who.email, client=client).status_code == 200
    assert entries() == [entry(action="login_failed", entity_id=who.pk)]
    assert "_auth_user_id" not in client.session


@pytest.mark.django_db
@pytest.mark.parametrize(
    "typed", ["nobody.zq@example.org", "zqparol", "+7 916 555-12-34", "' OR 1=1 --", "я" * 150]
)
def test_unknown_address_is_not_stored(typed: str) -> None:
    assert sign_in(typed, "zqparol").status_code == 200
    assert entries() == [entry(action="login_failed")]
    (row,) = execute("SELECT to_jsonb(e)::text AS all FROM audit_log_entries e")
    for part in (typed, "zq", "nobody", "9165551234", "parol"):
        assert part.lower() not in row["all"].lower()


@pytest.mark.django_db
def test_known_and_unknown_addresses_cost_the_same_statements() -> None:
    """A slower answer would reveal that an account exists."""
    who, blocked = person(), person(status="blocked")
    sign_in(who.email, "не тот пароль")  # caches of the process
    asked = []
    for address in (who.email, blocked.email, "nobody@example.org"):
        with CaptureQueriesContext(connection) as captured:
            sign_in(address, "не тот пароль")
        asked.append(
            [re.sub(r'"s[0-9]+_x[0-9]+"', "", q["sql"]) for q in captured.captured_queries]
        )
    assert any("record_audit_entry" in sql for sql in asked[0])
    assert asked[0] == asked[1] == asked[2]


@pytest.mark.django_db
def test_failed_login_of_a_logged_in_person_has_no_actor() -> None:
    who, other = person("owner"), person("assistant")
    client = Client()
    sign_in(who.email, client=client)
    sign_in(other.email, "не тот пароль", client=client)
    assert entries()[1:] == [entry(action="login_failed", entity_id=other.pk)]


@pytest.mark.django_db
@pytest.mark.parametrize(
    "credentials",
    [
        {"username": "nobody@example.org", "password": "x"},
        {"email": "nobody@example.org", "password": "x"},
        {"username": "", "password": "x"},
        {"username": "nobody@example.org"},
        {"token": "zq"},
    ],
    ids=str,
)
def test_program_without_a_request_may_authenticate(credentials: dict[str, str]) -> None:
    assert authenticate(**credentials) is None
    assert entries() == [entry(action="login_failed", ip_address=None, user_agent=None)]


@pytest.mark.django_db
def test_address_set_by_a_program_is_stored() -> None:
    who = person()
    with acting_as(who, ip_address=ADDRESS, user_agent=AGENT):
        assert authenticate(username=who.email, password="не тот пароль") is None
    assert entries() == [entry(action="login_failed", entity_id=who.pk)]


@pytest.mark.django_db
def test_right_password_alone_is_no_login() -> None:
    who = person()
    assert authenticate(username=who.email, password=PASSWORD) == who
    assert entries() == []


@pytest.mark.django_db
def test_login_by_a_program_has_an_entry() -> None:
    who = person("owner")
    Client().force_login(who)  # a request without an address
    assert entries() == [
        entry(
            action="login",
            actor_user_id=who.pk,
            actor_role="owner",
            entity_id=who.pk,
            ip_address=None,
            user_agent=None,
        )
    ]


# -- committed --------------------------------------------------------------------------------


def broken(*_: Any, **__: Any) -> None:
    raise ZeroDivisionError


@pytest.mark.slow
def test_entry_stays_when_the_request_fails(
    committed: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    who = person("owner")
    monkeypatch.setattr("django.contrib.auth.views.LoginView.form_invalid", broken)
    monkeypatch.setattr("django.contrib.auth.views.LoginView.get_success_url", broken)
    client = Client(raise_request_exception=False)
    assert sign_in(who.email, "не тот пароль", client).status_code == 500
    assert sign_in("nobody@example.org", client=client).status_code == 500
    assert sign_in(who.email, client=client).status_code == 500
    with committed.connect() as other:
        stored = other.execute(
            "SELECT action, entity_id FROM audit_log_entries WHERE action ^@ 'login' ORDER BY seq"
        ).fetchall()
    assert stored == [("login_failed", who.pk), ("login_failed", None), ("login", who.pk)]


@pytest.mark.slow
def test_login_fails_when_its_entry_cannot_be_written(
    committed: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    who = person("owner")
    client = Client(raise_request_exception=False)

    def unwritable(*_: Any, **__: Any) -> None:
        raise DatabaseError

    monkeypatch.setattr(signals, "record_entry", unwritable)
    assert sign_in(who.email, client=client).status_code == 500
    monkeypatch.undo()
    answer = client.get(reverse("admin:index"))
    assert (answer.status_code, answer.url) == (302, f"{reverse('admin:login')}?next=/admin/")
    assert entries() == []
