"""Login to admin in two steps, and what limits it (access.md §1)."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any
from unittest import mock

import pytest
from django.contrib.auth.hashers import make_password
from django.test import Client
from django.utils import timezone

from audit.models import AuditLogEntry
from ebalance.admin import login
from identity.models import LoginLimit, SecondFactor, User
from identity.services import (
    block_user,
    confirm_second_factor,
    offer_second_factor,
    offered_secret,
    reset_second_factor,
    second_factor_of,
    unblock_user,
)
from tests.factories import UserFactory
from tests.identity.test_second_factors import code_of

pytestmark = pytest.mark.django_db

PASSWORD, WRONG = "длинный пароль 1", "не тот пароль 1"
INDEX, LOGIN, CODE = "/admin/", "/admin/login/", "/admin/login/code/"
SETUP, OWN = "/admin/login/second_factor/", "/admin/second_factor/"
PAGE = "/admin/booking/service/"


@pytest.fixture(autouse=True)
def _deployed(settings: Any) -> None:
    settings.SECOND_FACTOR_REQUIRED = True


@pytest.fixture
def person() -> User:
    UserFactory(role="owner")
    return UserFactory(role="owner", email="owner@example.com", password=make_password(PASSWORD))


@pytest.fixture
def codes(person: User) -> list[str]:
    """The recovery codes of the person's second factor."""
    at = timezone.now() - timedelta(minutes=10)
    code = code_of(offer_second_factor(person), at)
    made = confirm_second_factor(person, code, clock=lambda: at)
    assert made is not None
    return made


def give_password(client: Client, password: str = PASSWORD, **options: Any) -> Any:
    form = {"username": "owner@example.com", "password": password}
    return client.post(f"{LOGIN}?next={PAGE}", form, **options)


def current_code(person: User) -> str:
    factor = second_factor_of(person)
    assert factor is not None
    return code_of(factor.secret_encrypted.open(), timezone.now())


def first_code(person: User) -> str:
    secret = offered_secret(person)
    assert secret is not None
    return code_of(secret, timezone.now())


def log_in(person: User, code: str | None = None) -> Client:
    client = Client()
    assert give_password(client).url == CODE
    answer = client.post(CODE, {"code": code or current_code(person)})
    assert (answer.status_code, answer.url) == (302, PAGE)
    return client


def is_in(client: Client) -> bool:
    return client.get(INDEX).status_code == 200


def actions() -> list[str]:
    return list(AuditLogEntry.objects.order_by("seq").values_list("action", flat=True))


# -- the second step ----------------------------------------------------------------------------


@pytest.mark.usefixtures("codes")
def test_password_alone_opens_nothing(person: User) -> None:
    client = Client()
    assert give_password(client).url == CODE
    for address in (INDEX, PAGE, OWN, "/admin/password_change/", "/admin/jsi18n/"):
        answer = client.get(address)
        assert (answer.status_code, answer.url.partition("?")[0]) == (302, LOGIN)
    assert "_auth_user_id" not in client.session
    assert "login" not in actions()


def test_code_of_the_app_completes_the_login(person: User, codes: list[str]) -> None:
    client = log_in(person)
    assert is_in(client)
    assert login.PENDING not in client.session
    entry = AuditLogEntry.objects.get(action="login")
    assert entry.actor_id == person.pk


def test_code_is_not_good_for_a_second_login(person: User, codes: list[str]) -> None:
    code = current_code(person)
    log_in(person, code)
    client = Client()
    give_password(client)
    assert client.post(CODE, {"code": code}).status_code == 200
    assert not is_in(client)


def test_recovery_code_completes_the_login_once_and_is_recorded(
    person: User, codes: list[str]
) -> None:
    assert is_in(log_in(person, codes[0]))
    client = Client()
    give_password(client)
    assert client.post(CODE, {"code": codes[0]}).status_code == 200
    assert not is_in(client)


@pytest.mark.parametrize("code", ["", "000000", "\x00", "1" * 21, "абв", "abcde-fghjk"])
def test_wrong_code_is_refused(person: User, codes: list[str], code: str) -> None:
    client = Client()
    give_password(client)
    assert client.post(CODE, {"code": code}).status_code == 200
    assert not is_in(client)


def test_code_page_is_closed_without_a_password(person: User, codes: list[str]) -> None:
    for answer in (Client().get(CODE), Client().post(CODE, {"code": codes[0]})):
        assert (answer.status_code, answer.url) == (302, LOGIN)
    assert Client().get(SETUP).url == LOGIN


def test_second_step_ends_after_ten_minutes(person: User, codes: list[str]) -> None:
    client = Client()
    give_password(client)
    later = login.time.time() + login.STEP_SECONDS
    with mock.patch.object(login.time, "time", return_value=later):
        assert client.post(CODE, {"code": codes[0]}).url == LOGIN


def test_second_step_ends_when_the_person_is_blocked(person: User, codes: list[str]) -> None:
    client = Client()
    give_password(client)
    block_user(person)
    assert client.post(CODE, {"code": codes[0]}).url == LOGIN
    unblock_user(person)
    assert client.post(CODE, {"code": codes[0]}).url == LOGIN


def test_person_with_a_second_factor_cannot_set_up_another_by_password(
    person: User, codes: list[str]
) -> None:
    client = Client()
    give_password(client)
    assert client.get(SETUP).url == LOGIN
    assert client.post(SETUP, {"code": "000000"}).url == LOGIN
    assert not SecondFactor.objects.filter(confirmed_at=None).exists()


def test_login_as_another_person_ends_the_first_session(person: User, codes: list[str]) -> None:
    client = Client()
    client.force_login(UserFactory(role="editor"))
    give_password(client)
    assert not is_in(client)


# -- enrolment ----------------------------------------------------------------------------------


def test_first_login_sets_up_the_second_factor(person: User) -> None:
    client = Client()
    assert give_password(client).url == SETUP
    assert not is_in(client)
    page = client.get(SETUP)
    shown = page.content.decode()
    secret = offered_secret(person)
    assert secret is not None
    assert "<svg" in shown
    assert secret in shown
    assert re.sub(r"(.{4})", r"\1 ", secret).strip() in shown
    assert not re.search(r"(?:src|href)=\"(?:https?:)?//", shown)
    assert page.headers["Cache-Control"].count("no-store") == 1
    assert client.post(SETUP, {"code": "000000"}).status_code == 200
    assert offered_secret(person) == secret
    assert not is_in(client)
    codes_page = client.post(SETUP, {"code": first_code(person)})
    codes = re.findall(r">([a-z2-9]{5}-[a-z2-9]{5})<", codes_page.content.decode())
    assert len({*codes}) == 10
    assert f'href="{PAGE}"' in codes_page.content.decode()
    assert is_in(client)
    assert is_in(log_in(person, codes[0]))
    assert [a for a in actions() if "factor" in a] == ["second_factor_set"]


def test_lost_phone_is_replaced_after_the_reset(person: User, codes: list[str]) -> None:
    client = log_in(person)
    reset_second_factor(person)
    assert not is_in(client)
    fresh = Client()
    assert give_password(fresh).url == SETUP
    fresh.get(SETUP)
    assert fresh.post(SETUP, {"code": first_code(person)}).status_code == 200
    assert is_in(fresh)


def test_development_needs_no_second_factor(person: User, settings: Any) -> None:
    settings.SECOND_FACTOR_REQUIRED = False
    client = Client()
    assert give_password(client).url == PAGE
    assert is_in(client)


def test_second_factor_is_asked_in_development_if_it_exists(
    person: User, codes: list[str], settings: Any
) -> None:
    settings.SECOND_FACTOR_REQUIRED = False
    client = Client()
    assert give_password(client).url == CODE
    assert not is_in(client)


def test_own_factor_is_replaced_only_with_the_current_password(
    person: User, codes: list[str]
) -> None:
    client, other = log_in(person), log_in(person, codes[0])
    assert client.get(SETUP).url == LOGIN
    assert client.get(OWN).status_code == 200
    assert client.post(OWN, {"current_password": WRONG}).status_code == 200
    assert client.get(SETUP).url == LOGIN
    assert client.post(OWN, {"current_password": PASSWORD}).url == SETUP
    assert client.get(SETUP).status_code == 200
    before = second_factor_of(person)
    assert client.post(SETUP, {"code": first_code(person)}).status_code == 200
    assert second_factor_of(person) != before
    assert is_in(client)
    assert not is_in(other)
    assert client.get(SETUP).url == LOGIN
    assert actions()[-2:] == ["second_factor_removed", "second_factor_set"]


@pytest.mark.parametrize("role", ["owner", "assistant", "editor"])
def test_each_role_has_the_page_of_its_second_factor(role: str) -> None:
    client = Client()
    client.force_login(UserFactory(role=role, password=make_password(PASSWORD)))
    assert client.get(OWN).status_code == 200
    assert OWN in client.get(INDEX).content.decode()


# -- limits -------------------------------------------------------------------------------------


def test_lock_out_refuses_the_correct_password_and_ends(person: User, codes: list[str]) -> None:
    for _ in range(10):
        assert give_password(Client(), WRONG).status_code == 200
    answer = give_password(Client())
    assert answer.status_code == 200
    assert "Слишком много попыток" in answer.content.decode()
    LoginLimit.objects.update(locked_until=timezone.now())
    assert give_password(Client()).url == CODE


def test_guesses_beyond_the_limit_write_no_entry_and_hash_nothing(person: User) -> None:
    for _ in range(10):
        give_password(Client(), WRONG)
    before = actions()
    assert before.count("login_failed") == 10
    assert before.count("login_locked") == 2
    with mock.patch.object(User, "check_password", side_effect=AssertionError):
        for _ in range(5):
            give_password(Client(), WRONG)
    assert actions() == before


def test_known_browser_logs_in_during_an_attack(person: User, codes: list[str]) -> None:
    known = log_in(person)
    known.post("/admin/logout/")
    for number in range(12):
        give_password(Client(), WRONG, REMOTE_ADDR=f"203.0.113.{number}")
    assert give_password(Client()).status_code == 200
    known.get(INDEX)
    assert give_password(known).url == CODE
    assert known.post(CODE, {"code": codes[0]}).url == PAGE


def test_cookie_of_one_person_does_not_help_with_another_account(
    person: User, codes: list[str]
) -> None:
    known = log_in(person)
    for _ in range(10):
        form = {"username": "other@example.com", "password": WRONG}
        known.post(LOGIN, form)
    assert "Слишком" in known.post(LOGIN, form).content.decode()


def test_forged_cookie_is_no_known_browser(person: User) -> None:
    client = Client()
    client.cookies[login.KNOWN_BROWSER] = f"{person.pk}:x"
    give_password(client, WRONG)
    assert {*LoginLimit.objects.values_list("kind", flat=True)} == {"account", "client"}


def test_guesses_of_the_code_are_limited(person: User, codes: list[str]) -> None:
    for _ in range(10):
        client = Client()
        give_password(client)
        client.post(CODE, {"code": "000000"})
    client = Client()
    give_password(client)
    assert "Слишком" in client.post(CODE, {"code": codes[0]}).content.decode()
    assert not is_in(client)


def test_guesses_of_the_current_password_are_limited(person: User, codes: list[str]) -> None:
    client = log_in(person)
    for _ in range(10):
        client.post(OWN, {"current_password": WRONG})
    assert "Слишком" in client.post(OWN, {"current_password": PASSWORD}).content.decode()
