"""Second factors: a code is good once, the rows keep their rules (access.md §1)."""

from __future__ import annotations

import base64
from datetime import datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from django_otp.oath import TOTP

from ebalance.privacy.erasure import erase_user
from ebalance.privacy.exports import export_user_data
from identity.models import RecoveryCode, SecondFactor, User
from identity.services import (
    confirm_second_factor,
    offer_second_factor,
    offered_secret,
    reset_second_factor,
    second_factor_of,
    unused_recovery_codes,
    use_code,
)
from tests.audit.audit_cases import capture_entries
from tests.case_loops import breaks_rules_of, check_changes, check_inserts
from tests.factories import RecoveryCodeFactory, SecondFactorFactory, UserFactory
from tests.rule_cases import Change
from tests.support import Case, execute

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _fast_hashes(settings: Any) -> None:
    """The default hash is slow on purpose."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


def code_of(secret: str, at: datetime) -> str:
    totp = TOTP(base64.b32decode(secret))
    totp.time = at.timestamp()
    return f"{totp.token():06d}"


@pytest.fixture
def person() -> User:
    return UserFactory(role="owner")


@pytest.fixture
def codes(person: User) -> list[str]:
    """The recovery codes of a second factor that was confirmed ten minutes ago."""
    at = timezone.now() - timedelta(minutes=10)
    secret = offer_second_factor(person)
    made = confirm_second_factor(person, code_of(secret, at), clock=lambda: at)
    assert made is not None
    return made


def secret_of(person: User) -> str:
    factor = second_factor_of(person)
    assert factor is not None
    return factor.secret_encrypted.open()


# -- rules --------------------------------------------------------------------------------------

STEP = "second_factors_step_with_confirmation"
ROWS = [
    Case("in use", SecondFactorFactory),
    Case("offered", SecondFactorFactory, {"offered": True}),
    Case("offered with a step", SecondFactorFactory, {"offered": True, "last_step": 1}, STEP),
    Case("in use without a step", SecondFactorFactory, {"last_step": None}, STEP),
    Case(
        "negative step", SecondFactorFactory, {"last_step": -1}, "second_factors_last_step_in_range"
    ),
    Case("recovery code", RecoveryCodeFactory),
    Case("no hash", RecoveryCodeFactory, {"code_hash": "abcde-fghjk"}, "recovery_codes_are_hashed"),
]


@breaks_rules_of(*ROWS)
def test_second_factor_and_recovery_code_have_a_form() -> None:
    check_inserts(ROWS)


def has_another(**values: Any) -> Any:
    return lambda: SecondFactorFactory(**values).user


PAIRS = [
    Case("two in use", SecondFactorFactory, {"user": has_another()}, "second_factors_one_in_use"),
    Case("one in use, one offered", SecondFactorFactory, {"offered": True, "user": has_another()}),
]


@breaks_rules_of(*PAIRS)
def test_person_has_one_second_factor_in_use() -> None:
    check_inserts(PAIRS)


PERSON, ONCE = "second_factors_person_stays", "second_factors_confirmed_once"
USED, FACTOR = "recovery_codes_used_once", "recovery_codes_factor_stays"
GOOD_ONCE = "second_factors_code_is_good_once"
CHANGES = [
    Change("later code", SecondFactorFactory, {"last_step": 5}, {"last_step": 6}),
    Change("earlier code", SecondFactorFactory, {"last_step": 5}, {"last_step": 4}, GOOD_ONCE),
    Change(
        "confirmed",
        SecondFactorFactory,
        {"offered": True},
        {"last_step": 1, "confirmed_at": timezone.now()},
    ),
    Change("confirmed again", SecondFactorFactory, {}, {"confirmed_at": timezone.now()}, ONCE),
    Change(
        "offered again", SecondFactorFactory, {}, {"confirmed_at": None, "last_step": None}, ONCE
    ),
    Change(
        "of another person",
        SecondFactorFactory,
        {},
        {"user_id": lambda row: UserFactory().pk},
        PERSON,
    ),
    Change("used", RecoveryCodeFactory, {}, {"used_at": timezone.now()}),
    Change("good again", RecoveryCodeFactory, {"used": True}, {"used_at": None}, USED),
    Change("used later", RecoveryCodeFactory, {"used": True}, {"used_at": timezone.now()}, USED),
    Change(
        "of another factor",
        RecoveryCodeFactory,
        {},
        {"second_factor_id": lambda row: SecondFactorFactory().pk},
        FACTOR,
    ),
]


@breaks_rules_of(*CHANGES)
def test_second_factor_changes_by_its_rules() -> None:
    check_changes(CHANGES)


# -- codes --------------------------------------------------------------------------------------


def test_secret_is_sealed_and_not_exported(person: User, codes: list[str]) -> None:
    secret = secret_of(person)
    (stored,) = execute("SELECT secret_encrypted FROM second_factors")
    assert stored["secret_encrypted"].startswith("v1.")
    assert secret not in str(export_user_data(person))
    assert secret not in str(execute("SELECT * FROM audit_log_entries"))


def test_code_is_good_once(person: User, codes: list[str]) -> None:
    now = timezone.now()
    code = code_of(secret_of(person), now)
    assert use_code(person, code, clock=lambda: now)
    assert not use_code(person, code, clock=lambda: now)
    assert not use_code(person, code, clock=lambda: now + timedelta(seconds=30))
    later = now + timedelta(seconds=60)
    assert use_code(person, code_of(secret_of(person), later), clock=lambda: later)


def test_code_that_confirmed_is_not_good_for_a_login(person: User) -> None:
    now = timezone.now()
    code = code_of(offer_second_factor(person), now)
    assert confirm_second_factor(person, code, clock=lambda: now)
    assert not use_code(person, code, clock=lambda: now)


@pytest.mark.parametrize(
    ("seconds", "is_good"), [(-30, True), (30, True), (-90, False), (90, False)]
)
def test_clock_of_the_phone_may_be_a_step_wrong(
    person: User, codes: list[str], seconds: int, is_good: bool
) -> None:
    now = timezone.now()
    code = code_of(secret_of(person), now + timedelta(seconds=seconds))
    assert use_code(person, code, clock=lambda: now) is is_good


@pytest.mark.parametrize("text", ["", " ", "12345", "1234567", "١٢٣٤٥٦", "abcdef", "-12345"])
def test_malformed_code_is_refused(person: User, codes: list[str], text: str) -> None:
    assert not use_code(person, text)


def test_spaces_and_capitals_of_a_code_do_not_matter(person: User, codes: list[str]) -> None:
    now = timezone.now()
    code = code_of(secret_of(person), now)
    assert use_code(person, f" {code[:3]} {code[3:]} ", clock=lambda: now)
    assert use_code(person, codes[0].upper().replace("-", " "))


def test_each_recovery_code_is_good_once(person: User, codes: list[str]) -> None:
    assert len({*codes}) == 10
    assert unused_recovery_codes(person) == 10
    assert use_code(person, codes[3])
    assert not use_code(person, codes[3])
    assert use_code(person, codes[4])
    assert unused_recovery_codes(person) == 8


def test_recovery_code_of_a_colleague_is_refused(codes: list[str]) -> None:
    other = SecondFactorFactory().user
    assert not use_code(other, codes[0])


def test_recovery_codes_are_stored_as_hashes(codes: list[str]) -> None:
    stored = str(execute("SELECT code_hash FROM recovery_codes"))
    assert not [code for code in codes if code in stored or code.replace("-", "") in stored]


def test_new_offer_voids_the_one_before(person: User) -> None:
    now = timezone.now()
    first = offer_second_factor(person)
    second = offer_second_factor(person)
    assert offered_secret(person) == second
    assert confirm_second_factor(person, code_of(first, now), clock=lambda: now) is None
    assert confirm_second_factor(person, code_of(second, now), clock=lambda: now)


def test_replacement_removes_the_old_factor_only_when_confirmed(
    person: User, codes: list[str]
) -> None:
    now, old = timezone.now(), second_factor_of(person)
    secret = offer_second_factor(person)
    assert second_factor_of(person) == old
    assert confirm_second_factor(person, "000000") is None
    fresh = confirm_second_factor(person, code_of(secret, now), clock=lambda: now)
    assert fresh is not None
    assert second_factor_of(person) != old
    assert not use_code(person, codes[0])
    assert use_code(person, fresh[0])


# -- reset --------------------------------------------------------------------------------------


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("reset_second_factor", *arguments, stdout=out)
    return out.getvalue()


def test_command_removes_the_factor_and_is_recorded(person: User, codes: list[str]) -> None:
    before = User.objects.get(pk=person.pk).session_stamp
    entries = capture_entries(lambda: run(person.email))
    assert [e["action"] for e in entries] == ["second_factor_removed"]
    assert not SecondFactor.objects.filter(user=person).exists()
    assert not RecoveryCode.objects.exists()
    assert User.objects.get(pk=person.pk).session_stamp != before
    assert "no second factor" in run(person.email)


def test_command_names_an_unknown_person() -> None:
    with pytest.raises(CommandError):
        run("nobody@example.com")


def test_reset_removes_an_offer_too(person: User) -> None:
    offer_second_factor(person)
    assert reset_second_factor(person) is False
    assert offered_secret(person) is None


def test_changes_of_the_factor_end_sessions(person: User) -> None:
    def stamp() -> Any:
        return User.objects.get(pk=person.pk).session_stamp

    now, first = timezone.now(), stamp()
    secret = offer_second_factor(person)
    assert stamp() == first
    assert confirm_second_factor(person, code_of(secret, now), clock=lambda: now)
    second = stamp()
    assert second != first
    assert use_code(person, code_of(secret, now + timedelta(seconds=30)))
    assert stamp() == second


def test_erasure_removes_the_second_factor(codes: list[str], person: User) -> None:
    UserFactory(role="owner")
    erase_user(person, method="admin")
    assert not SecondFactor.objects.exists()
    assert not RecoveryCode.objects.exists()
