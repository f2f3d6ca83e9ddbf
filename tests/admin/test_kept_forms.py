"""A form sent after the end of its session asks for login, then saves (access.md §1)."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from typing import Any
from unittest import mock

import pytest
from django.contrib.auth.hashers import make_password
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from content.models import Tag
from identity import sessions
from identity.models import User
from identity.services import block_user, unblock_user
from tests.factories import TagFactory, UserFactory

pytestmark = pytest.mark.django_db

PASSWORD = "длинный пароль 1"
NEW = 'Сон & "отдых" <b>'


@pytest.fixture
def person() -> User:
    UserFactory(role="owner")
    return UserFactory(role="owner", password=make_password(PASSWORD))


@pytest.fixture
def client(person: User) -> Client:
    made = Client()
    made.force_login(person)
    return made


@pytest.fixture
def tag() -> Tag:
    return TagFactory()


def page(tag: Tag) -> str:
    return f"/admin/content/tag/{tag.pk}/change/"


def log_in(client: Client, person: User, address: str) -> Any:
    form = {"username": person.email, "password": PASSWORD}
    return client.post(f"/admin/login/?next={address}", form)


def send(client: Client, address: str, form: dict[str, Any]) -> Any:
    return client.post(address, {**form, "csrfmiddlewaretoken": "old"})


def send_too_late(client: Client, address: str, form: dict[str, Any]) -> None:
    later = timezone.now() + timedelta(hours=4)
    with mock.patch.object(sessions.timezone, "now", return_value=later):
        answer = send(client, address, form)
    assert (answer.status_code, answer.url) == (302, f"/admin/login/?next={address}")


def form_of(tag: Tag, **values: Any) -> dict[str, Any]:
    return {"slug": tag.slug, "title": NEW, "_save": "Сохранить", **values}


def kept_fields(answer: Any) -> dict[str, str]:
    inputs = r'<input type="hidden" name="([^"]*)" value="([^"]*)"'
    shown = answer.content.decode().partition('id="kept-form"')[2]
    return {unescape(name): unescape(value) for name, value in re.findall(inputs, shown)}


def test_form_is_kept_until_the_login_and_saved(client: Client, person: User, tag: Tag) -> None:
    send_too_late(client, page(tag), form_of(tag))
    assert log_in(client, person, page(tag)).url == page(tag)
    offered = client.get(page(tag))
    assert "no-store" in offered.headers["Cache-Control"]
    fields = kept_fields(offered)
    assert fields["title"] == NEW
    assert fields["csrfmiddlewaretoken"] != "old"
    assert client.post(page(tag), fields).status_code == 302
    tag.refresh_from_db()
    assert tag.title == NEW
    assert kept_fields(client.get(page(tag))) == {}


def test_kept_form_is_sealed(client: Client, tag: Tag) -> None:
    send_too_late(client, page(tag), form_of(tag, title="тайное"))
    stored = [str(session.get_decoded()) for session in Session.objects.all()]
    assert any(sessions.ENDED in text for text in stored)
    assert not [text for text in stored if "тайное" in text]


def test_other_person_does_not_get_the_form(client: Client, tag: Tag) -> None:
    other = UserFactory(role="owner", password=make_password(PASSWORD))
    send_too_late(client, page(tag), form_of(tag))
    log_in(client, other, page(tag))
    assert kept_fields(client.get(page(tag))) == {}
    assert "kept_form" not in client.session


ENDS: dict[str, Callable[[Client, User], Any]] = {
    "logged out": lambda client, person: client.post("/admin/logout/"),
    "blocked": lambda client, person: unblock_user(block_user(person)),
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_form_of_a_session_that_was_ended_is_not_kept(
    client: Client, person: User, tag: Tag, end: Callable[[Client, User], Any]
) -> None:
    end(client, person)
    send(client, page(tag), form_of(tag))
    log_in(client, person, page(tag))
    assert kept_fields(client.get(page(tag))) == {}


def test_password_is_never_kept(client: Client, person: User) -> None:
    form = {"old_password": PASSWORD, "new_password1": "x", "new_password2": "x"}
    send_too_late(client, "/admin/password_change/", form)
    assert "kept_form" not in client.session
