"""Limits of the attempts to log in: what counts together, how long it waits (access.md §1)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from audit.models import AuditLogEntry
from identity.errors import TooManyAttempts
from identity.models import LoginLimit
from identity.services import begin_attempt
from identity.services.login_limits import FREE, WINDOW, network_of
from tests.case_loops import breaks_rules_of, check_changes, check_inserts
from tests.factories import LoginLimitFactory
from tests.rule_cases import Change
from tests.support import Case

pytestmark = pytest.mark.django_db

NAME, ADDRESS = "owner@example.com", "203.0.113.7"
LOCK, RANGE = "login_limits_lock_before_expiry", "login_limits_attempts_in_range"

ROWS = [
    Case("some attempts", LoginLimitFactory),
    Case("locked", LoginLimitFactory, {"locked": True}),
    Case(
        "forgotten before the lock ends",
        LoginLimitFactory,
        {"locked": True, "expires_at": timezone.now},
        LOCK,
    ),
    Case("negative", LoginLimitFactory, {"attempts": -1}, RANGE),
    Case(
        "the same twice",
        LoginLimitFactory,
        {"key_hash": lambda: LoginLimitFactory().key_hash},
        "login_limits_once",
    ),
    Case(
        "an address in the clear",
        LoginLimitFactory,
        {"key_hash": NAME},
        "login_limits_key_is_hashed",
    ),
]
CHANGES = [
    Change("too many", LoginLimitFactory, {}, {"attempts": 1_000_001}, RANGE),
    Change("one more", LoginLimitFactory, {}, {"attempts": 2}),
]


@breaks_rules_of(*ROWS)
def test_limit_has_a_form() -> None:
    check_inserts(ROWS)


@breaks_rules_of(*CHANGES)
def test_limit_changes_within_its_range() -> None:
    check_changes(CHANGES)


class Guesses:
    """Failed attempts one after another, at a time that the test sets."""

    def __init__(self) -> None:
        self.now = timezone.now()

    def fail(self, name: str = NAME, address: str | None = ADDRESS, **options: Any) -> None:
        begin_attempt("password", name, address, clock=lambda: self.now, **options).failed(None)

    def is_refused(self, name: str = NAME, address: str | None = ADDRESS, **options: Any) -> bool:
        try:
            begin_attempt("password", name, address, clock=lambda: self.now, **options)
        except TooManyAttempts:
            return True
        return False

    def wait(self, time: timedelta) -> None:
        self.now += time


@pytest.fixture
def guesses() -> Guesses:
    return Guesses()


def locked() -> list[dict[str, Any]]:
    entries = AuditLogEntry.objects.filter(action="login_locked").order_by("seq")
    return [entry.new_value for entry in entries]


def test_ten_attempts_are_free_and_the_next_waits(guesses: Guesses) -> None:
    for _ in range(FREE):
        guesses.fail()
    assert guesses.is_refused()
    guesses.wait(timedelta(seconds=29))
    assert guesses.is_refused()
    guesses.wait(timedelta(seconds=1))
    assert not guesses.is_refused()


def test_waits_grow_to_fifteen_minutes(guesses: Guesses) -> None:
    for _ in range(FREE - 1):
        guesses.fail()
    waits = []
    for _ in range(8):
        guesses.fail()
        began, entries = guesses.now, locked()
        guesses.now = LoginLimit.objects.values_list("locked_until", flat=True)[0]
        waits.append((guesses.now - began) / timedelta(minutes=1))
        assert entries[-1]["seconds"] == waits[-1] * 60
    assert waits == [0.5, 1, 2, 4, 8, 15, 15, 15]


def test_refused_attempts_count_and_record_nothing(guesses: Guesses) -> None:
    for _ in range(FREE):
        guesses.fail()
    rows = list(LoginLimit.objects.order_by("pk").values())
    entries = AuditLogEntry.objects.count()
    assert all(guesses.is_refused() for _ in range(50))
    assert list(LoginLimit.objects.order_by("pk").values()) == rows
    assert AuditLogEntry.objects.count() == entries


def test_lock_out_is_recorded_once_for_account_and_client(guesses: Guesses) -> None:
    for _ in range(FREE):
        guesses.fail()
    assert sorted(locked(), key=str) == [
        {"limit": "account", "seconds": 30},
        {"limit": "client", "seconds": 30},
    ]


def test_attempts_are_forgotten_after_fifteen_minutes(guesses: Guesses) -> None:
    for _ in range(FREE - 1):
        guesses.fail()
    guesses.wait(WINDOW)
    for _ in range(FREE - 1):
        guesses.fail()
    assert not guesses.is_refused()


def test_account_counts_in_any_spelling_and_from_any_client(guesses: Guesses) -> None:
    for number in range(FREE):
        guesses.fail([NAME, f" {NAME.upper()} "][number % 2], f"203.0.113.{number}")
    assert guesses.is_refused(NAME.title(), "198.51.100.1")
    assert not guesses.is_refused("other@example.com", "198.51.100.1")


def test_client_counts_over_all_accounts(guesses: Guesses) -> None:
    for number in range(FREE):
        guesses.fail(f"person{number}@example.com", f"2001:db8::{number:x}")
    assert guesses.is_refused("another@example.com", "2001:db8::ffff:1")
    assert not guesses.is_refused("another@example.com", "2001:db8:0:1::1")


def test_known_browser_counts_for_itself(guesses: Guesses) -> None:
    for _ in range(FREE):
        guesses.fail()
    assert guesses.is_refused()
    assert not guesses.is_refused(browser="a browser")
    for _ in range(FREE):
        guesses.fail(browser="another")
    assert guesses.is_refused(browser="another")
    assert not guesses.is_refused(browser="a browser")


def test_success_starts_anew_for_the_account_only(guesses: Guesses) -> None:
    for _ in range(FREE - 1):
        guesses.fail()
    begin_attempt("password", NAME, ADDRESS, clock=lambda: guesses.now).succeeded()
    (left,) = LoginLimit.objects.all()
    assert (left.kind, left.attempts) == ("client", FREE - 1)
    guesses.fail(address="198.51.100.1")
    assert not guesses.is_refused(address="198.51.100.1")
    guesses.fail("another@example.com")
    assert guesses.is_refused("third@example.com")


def test_steps_of_the_login_count_apart(guesses: Guesses) -> None:
    for _ in range(FREE):
        guesses.fail()
    begin_attempt("code", NAME, ADDRESS, clock=lambda: guesses.now)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        (None, "unknown"),
    ],
)
def test_network_of_a_client(address: str | None, network: str) -> None:
    assert network_of(address) == network


def test_stored_limit_names_neither_account_nor_address(guesses: Guesses) -> None:
    guesses.fail()
    stored = str(list(LoginLimit.objects.values()))
    assert NAME not in stored
    assert ADDRESS not in stored


def test_expired_limits_are_purged(guesses: Guesses) -> None:
    LoginLimitFactory(expires_at=timezone.now() - timedelta(minutes=1))
    kept = LoginLimitFactory()
    call_command("purge_expired", verbosity=0)
    assert list(LoginLimit.objects.all()) == [kept]


def test_sentence_names_the_minutes_left(guesses: Guesses) -> None:
    for _ in range(FREE):
        guesses.fail()
    with pytest.raises(TooManyAttempts) as refusal:
        begin_attempt("password", NAME, ADDRESS, clock=lambda: guesses.now)
    assert "1" in refusal.value.sentence
    assert refusal.value.details == {"seconds": 31}
