"""Passwords and sessions of staff: what is hashed, recorded, and ended (access.md §1)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from unittest import mock
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher, make_password
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.test import Client
from django.utils import timezone

from ebalance.privacy.erasure import erase_user
from identity import sessions
from identity.models import User
from identity.services import block_user, unblock_user
from tests.audit.audit_cases import capture_entries
from tests.factories import UserFactory
from tests.support import execute, update_sql

pytestmark = pytest.mark.django_db

PASSWORD, OTHER = "длинный пароль 1", "другой пароль 22"
INDEX, OWN_PASSWORD = "/admin/", "/admin/password_change/"


@pytest.fixture(autouse=True)
def _second_owner() -> None:
    """A test may take the role of owner away: another owner remains."""
    UserFactory(role="owner")


@pytest.fixture
def person() -> User:
    return UserFactory(role="owner", email="anna@example.com", password=make_password(PASSWORD))


def sign_in(person: User, password: str = PASSWORD) -> Client:
    client = Client()
    answer = client.post("/admin/login/", {"username": person.email, "password": password})
    assert answer.status_code == 302, answer.context_data["form"].errors
    return client


def is_in(client: Client) -> bool:
    return client.get(INDEX).status_code == 200


def stamp(person: User) -> UUID:
    return User.objects.values_list("session_stamp", flat=True).get(pk=person.pk)


# -- passwords ----------------------------------------------------------------------------------


def test_password_is_hashed_with_argon2id() -> None:
    assert make_password(PASSWORD).startswith("argon2$argon2id$")


def old_hash() -> str:
    """Of fewer iterations than Django's, so that it is quick."""
    return PBKDF2PasswordHasher().encode(PASSWORD, "salt", iterations=1000)


def test_login_renews_an_old_hash_and_keeps_its_session(person: User) -> None:
    update_sql(person, password=old_hash())
    client = sign_in(person)
    person.refresh_from_db()
    assert person.password.startswith("argon2$argon2id$")
    assert is_in(client)


def test_wrong_password_renews_nothing(person: User) -> None:
    old = old_hash()
    update_sql(person, password=old)
    Client().post("/admin/login/", {"username": person.email, "password": OTHER})
    person.refresh_from_db()
    assert person.password == old


@pytest.mark.parametrize(
    "password", ["anna.petrova@example.com", "AnnaPetrova123", "79991234567a", "Анна Иванова1"]
)
def test_password_like_own_data_is_refused(password: str) -> None:
    person = UserFactory.build(
        email="anna.petrova@example.com",
        phone="+79991234567",
        telegram_username="annapetrova",
        display_name="Анна Иванова",
    )
    with pytest.raises(ValidationError):
        validate_password(password, person)
    validate_password(PASSWORD, person)


# -- the stamp ----------------------------------------------------------------------------------

ENDS: dict[str, dict[str, Any]] = {
    "password": {"password": "x"},
    "e-mail": {"email": "new@example.com"},
    "blocked": {"status": "blocked"},
    "stamp": {"session_stamp": uuid4()},
}


@pytest.mark.parametrize("values", ENDS.values(), ids=ENDS)
def test_database_changes_the_stamp_for_every_writer(person: User, values: dict[str, Any]) -> None:
    before = stamp(person)
    update_sql(person, **values)
    assert stamp(person) not in {before, values.get("session_stamp")}


def test_old_stamp_cannot_be_written_again(person: User) -> None:
    first, stale = stamp(person), User.objects.get(pk=person.pk)
    update_sql(person, password="x")
    update_sql(person, session_stamp=first)
    stale.save()
    User.objects.filter(pk=person.pk).update(session_stamp=first)
    assert stamp(person) != first


def test_other_changes_keep_the_stamp(person: User) -> None:
    before = stamp(person)
    update_sql(person, display_name="Другая", timezone="UTC", last_login=timezone.now())
    person.user_roles.create(role_id="editor")
    person.save()
    assert stamp(person) == before


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM user_roles WHERE user_id = %s AND role_code = 'owner'",
        "UPDATE user_roles SET role_code = 'editor' WHERE user_id = %s AND role_code = 'owner'",
    ],
)
def test_loss_of_a_role_changes_the_stamp(person: User, sql: str) -> None:
    before = stamp(person)
    execute(sql, [person.pk])
    assert stamp(person) != before


# -- sessions -----------------------------------------------------------------------------------


def test_unblocking_does_not_revive_a_session(person: User) -> None:
    client = sign_in(person)
    assert is_in(client)
    block_user(person)
    unblock_user(person)
    assert not is_in(client)
    assert is_in(sign_in(person))


def test_role_given_back_does_not_revive_a_session(person: User) -> None:
    client = sign_in(person)
    person.user_roles.all().delete()
    person.user_roles.create(role_id="owner")
    assert not is_in(client)


@pytest.mark.slow
def test_change_of_the_own_password_ends_the_other_sessions(person: User) -> None:
    this, other = sign_in(person), sign_in(person)
    form = {"new_password1": OTHER, "new_password2": OTHER}
    assert this.post(OWN_PASSWORD, {**form, "old_password": OTHER}).status_code == 200
    assert is_in(other)
    assert this.post(OWN_PASSWORD, {**form, "old_password": PASSWORD}).status_code == 302
    assert is_in(this)
    assert not is_in(other)


def test_own_password_page_is_the_one_that_asks_for_the_current(person: User) -> None:
    client = sign_in(person)
    address = f"/admin/identity/user/{person.pk}/password/"
    form = {"password1": OTHER, "password2": OTHER, "usable_password": "true"}
    for answer in (client.get(address), client.post(address, form)):
        assert (answer.status_code, answer.url) == (302, OWN_PASSWORD)
    person.refresh_from_db()
    assert person.check_password(PASSWORD)


def page_form(client: Client, person: User) -> tuple[str, dict[str, Any]]:
    address = f"/admin/identity/user/{person.pk}/change/"
    page = client.get(address)
    form = page.context_data["adminform"].form
    values = {name: form[name].value() for name in form.fields}
    sent = {name: value for name, value in values.items() if value not in {None, ""}}
    for formset in page.context_data["inline_admin_formsets"]:
        management = formset.formset.management_form
        sent |= {
            management.add_prefix(name): management[name].value() for name in management.fields
        }
        sent[management.add_prefix("INITIAL_FORMS")] = 0
        sent[management.add_prefix("TOTAL_FORMS")] = 0
    return address, sent


@pytest.mark.slow
def test_own_address_changes_only_with_the_current_password(person: User) -> None:
    this, other = sign_in(person), sign_in(person)
    address, form = page_form(this, person)
    form["email"] = "new@example.com"
    for given in ({}, {"current_password": OTHER}):
        answer = this.post(address, {**form, **given})
        assert "current_password" in answer.context_data["adminform"].form.errors
    assert is_in(other)
    assert this.post(address, {**form, "current_password": PASSWORD}).status_code == 302
    person.refresh_from_db()
    assert person.email == "new@example.com"
    assert is_in(this)
    assert not is_in(other)


@pytest.mark.slow
def test_guesses_of_the_current_password_are_limited(person: User) -> None:
    client = sign_in(person)
    form = {"old_password": OTHER, "new_password1": OTHER, "new_password2": OTHER}
    for _ in range(10):
        client.post(OWN_PASSWORD, form)
    answer = client.post(OWN_PASSWORD, {**form, "old_password": PASSWORD})
    assert answer.status_code == 200
    address, fields = page_form(client, person)
    fields |= {"email": "new@example.com", "current_password": PASSWORD}
    assert client.post(address, fields).status_code == 200
    person.refresh_from_db()
    assert person.check_password(PASSWORD)
    assert person.email == "anna@example.com"


def test_other_own_data_changes_without_the_password(person: User) -> None:
    client = sign_in(person)
    address, form = page_form(client, person)
    assert client.post(address, {**form, "display_name": "Анна"}).status_code == 302
    person.refresh_from_db()
    assert person.display_name == "Анна"


def test_address_of_a_colleague_changes_without_the_password(person: User) -> None:
    client, colleague = sign_in(person), UserFactory(role="editor")
    address, form = page_form(client, colleague)
    assert "current_password" not in form
    assert client.post(address, {**form, "email": "new@example.com"}).status_code == 302
    assert is_in(client)


AGES: dict[str, tuple[list[float], bool]] = {
    "used every two hours": ([2, 2, 2, 2, 2, 1.9], True),
    "older than twelve hours": ([2, 2, 2, 2, 2, 2.1], False),
    "idle for less than three hours": ([2.9], True),
    "idle for three hours": ([3], False),
}


@pytest.mark.parametrize(("waits", "stays"), AGES.values(), ids=AGES)
def test_session_ends_by_age(person: User, waits: list[float], stays: bool) -> None:
    client, now = sign_in(person), timezone.now()
    answers = []
    for hours in waits:
        now += timedelta(hours=hours)
        with mock.patch.object(sessions.timezone, "now", return_value=now):
            answers.append(is_in(client))
    assert answers == [*[True] * (len(waits) - 1), stays]
    assert is_in(client) is stays


def test_session_without_its_start_has_ended(person: User) -> None:
    client = sign_in(person)
    session = client.session
    del session[sessions.BEGAN]
    session.save()
    assert not is_in(client)


# -- the audit log ------------------------------------------------------------------------------


def changed(action: str, person: User) -> list[tuple[Any, ...]]:
    return [(action, person.pk, None, None)]


def entries_of(write: Callable[[], Any]) -> list[tuple[Any, ...]]:
    return [
        (e["action"], e["entity_id"], e["old_value"], e["new_value"])
        for e in capture_entries(write)
    ]


@pytest.mark.parametrize("column", ["password", "email"])
@pytest.mark.parametrize("role", ["owner", "assistant", "editor", "client", None])
def test_changed_secret_of_staff_is_recorded_without_value(role: str | None, column: str) -> None:
    person = UserFactory(role=role)
    change = {column: "new@example.com"}
    expected = changed(f"{column}_changed", person) if role not in {"client", None} else []
    assert entries_of(lambda: update_sql(person, **change)) == expected
    assert entries_of(lambda: update_sql(person, **change)) == []


def test_erasure_records_no_changed_secret(person: User) -> None:
    entries = capture_entries(lambda: erase_user(person, method="admin"))
    assert not {e["action"] for e in entries} & {"password_changed", "email_changed"}
