"""People: contacts, deletion and reachability."""

from __future__ import annotations

import pytest
from django.contrib.auth.hashers import make_password
from django.db import connection
from django.utils import timezone

from identity.models import Role, User
from tests.adversarial_sql import refuses_by_any_rule
from tests.case_loops import breaks_rules_of, check_changes, check_inserts
from tests.factories import RoleFactory, UserFactory
from tests.rule_cases import ALL_WRITE_PATHS, Change
from tests.support import Case, execute, insert_sql, refuses

pytestmark = pytest.mark.django_db

NORMALISED, LOWER = "users_email_is_normalised", "users_email_is_lower_case"
E164, DIGITS = "users_phone_is_e164", "users_telegram_user_id_is_digits"
WITH_STATUS, NOTHING_PERSONAL = (
    "users_deleted_at_with_status",
    "users_deleted_holds_nothing_personal",
)


def contacts(field: str, rule: str | None, *values: str) -> list[Case]:
    return [Case(repr(value), UserFactory, {field: value}, rule) for value in values]


CONTACTS = [
    *contacts("email", None, "a@b", "anna.petrova+7@example.com", "анна@пример.рф", "a'b@c.d"),
    *contacts("email", NORMALISED, "", "@", "@b.ru", "a@", "a@@b.ru", "a@b@c.ru", "anna"),
    *contacts("email", NORMALISED, " a@b.ru", "a@b.ru ", "a b@c.ru", "a@b.ru\n", "a\t@b.ru"),
    *contacts("email", NORMALISED, "\u00a0a@b.ru", "a@b.ru\u3000"),
    *contacts("email", LOWER, "Anna@b.ru", "anna@B.ru", "Анна@пример.рф", "Ёж@пример.рф"),
    *contacts("phone", None, "+1234567890", "+79991234567", "+123456789012345"),
    *contacts("phone", E164, "", "+", "+123456789", "+09991234567"),
    *contacts("phone", E164, "79991234567", "+7 999 1234567", "+7-999-1234567", "+7(999)1234567"),
    *contacts("phone", E164, "++79991234567", "+79991234567\n", " +79991234567", "+7999123456٧"),
    *contacts("telegram_user_id", None, "1", "100200300", "7" * 20),
    *contacts("telegram_user_id", DIGITS, "", "-100", "1 2", "@anna", "12\n", "１２", "1e5", "٧"),
]


@breaks_rules_of(*CONTACTS)
@pytest.mark.parametrize("column", ["email", "phone", "telegram_user_id"])
def test_contact_is_normalised(column: str) -> None:
    check_inserts(case for case in CONTACTS if column in case.values)


def test_email_holds_no_invisible_character() -> None:
    """Two people would have addresses that look the same."""
    for email in ("\u200ba@b.ru", "a@b.ru\ufeff", "a\u0007@b.ru"):
        with refuses_by_any_rule():
            insert_sql(UserFactory.build(email=email))


TAKEN = [
    Case(
        "e-mail",
        UserFactory,
        {"email": lambda: UserFactory(email="anna@example.com").email},
        "users_email_unique",
    ),
    Case(
        "phone",
        UserFactory,
        {"phone": lambda: UserFactory(phone="+79991234567").phone},
        "users_phone_unique",
    ),
    Case(
        "Telegram",
        UserFactory,
        {"telegram_user_id": lambda: UserFactory(telegram_user_id="100200").telegram_user_id},
        "users_telegram_user_id_unique",
    ),
    Case(
        "absent contacts are not the same",
        UserFactory,
        {"by_phone": True, "email": lambda: UserFactory(by_telegram=True).email},
    ),
    Case(
        "a Telegram name may change hands",
        UserFactory,
        {"telegram_username": lambda: UserFactory(telegram_username="anna").telegram_username},
    ),
]


@breaks_rules_of(*TAKEN)
def test_contact_belongs_to_one_person() -> None:
    check_inserts(TAKEN)


CONTACT_CHANGES = [
    Change("e-mail", UserFactory, to={"email": "taken@example.com"}, rule="users_email_unique"),
    Change("upper case", UserFactory, to={"email": "Free@example.com"}, rule=LOWER),
    Change("no contact left", UserFactory, to={"email": None}, rule="users_reachable"),
    Change("another contact", UserFactory, to={"email": None, "phone": "+79991234567"}),
]


@breaks_rules_of(*CONTACT_CHANGES)
def test_contact_changes_by_the_same_rules() -> None:
    UserFactory(email="taken@example.com")
    check_changes(CONTACT_CHANGES)
    check_changes(CONTACT_CHANGES[:1], ALL_WRITE_PATHS)


NO_CONTACT = {"email": None}


REACHABLE = [
    Case("nothing", UserFactory, NO_CONTACT, "users_reachable"),
    Case("blocked", UserFactory, {**NO_CONTACT, "blocked": True}, "users_reachable"),
    Case(
        "only a Telegram name",
        UserFactory,
        {**NO_CONTACT, "telegram_username": "anna"},
        "users_reachable",
    ),
    Case("e-mail", UserFactory),
    Case("phone", UserFactory, {"by_phone": True}),
    Case("Telegram", UserFactory, {"by_telegram": True}),
    Case("deleted", UserFactory, {"deleted": True}),
]


@breaks_rules_of(*REACHABLE)
def test_person_can_be_reached() -> None:
    check_inserts(REACHABLE)


DELETION_DATES = [
    Case("deleted without a date", UserFactory, {"deleted": True, "deleted_at": None}, WITH_STATUS),
    Case("active with a date", UserFactory, {"deleted_at": timezone.now}, WITH_STATUS),
    Case(
        "blocked with a date",
        UserFactory,
        {"blocked": True, "deleted_at": timezone.now},
        WITH_STATUS,
    ),
    Case("blocked", UserFactory, {"blocked": True}),
]


@breaks_rules_of(*DELETION_DATES)
def test_deletion_date_belongs_to_the_deleted_status() -> None:
    check_inserts(DELETION_DATES)


NO_PASSWORD = make_password(None)
PERSONAL = {
    "email": "anna@example.com",
    "phone": "+79991234567",
    "telegram_user_id": "100200300",
    "telegram_username": "anna",
    "display_name": "Анна",
    "password": "argon2$argon2id$v=19$m=102400,t=2,p=8$c2FsdA$aGFzaA",
}


ERASED = [
    *[
        Case(field, UserFactory, {"deleted": True, field: value}, NOTHING_PERSONAL)
        for field, value in PERSONAL.items()
    ],
    Case(
        "an empty Telegram name",
        UserFactory,
        {"deleted": True, "telegram_username": ""},
        NOTHING_PERSONAL,
    ),
    Case(
        "Django's mark of no password", UserFactory, {"deleted": True, "password": "!" + "a" * 40}
    ),
    Case("the time zone, which is no personal value", UserFactory, {"deleted": True}),
]


@breaks_rules_of(*ERASED)
def test_deleted_person_holds_nothing_personal() -> None:
    check_inserts(ERASED)


def test_mark_of_no_password_contains_nothing_else() -> None:
    with refuses_by_any_rule():
        insert_sql(UserFactory.build(deleted=True, password="!Анна Петрова, +79991234567"))


RESTORED = [
    *[
        Change(field, UserFactory, {"deleted": True}, {field: value}, NOTHING_PERSONAL)
        for field, value in PERSONAL.items()
    ],
    Change(
        "the date goes",
        UserFactory,
        {"deleted": True},
        {"deleted_at": None},
        WITH_STATUS,
    ),
    Change(
        "deleted, the name left",
        UserFactory,
        {},
        {"status": "deleted", "deleted_at": timezone.now(), "email": None},
        NOTHING_PERSONAL,
    ),
    Change(
        "deleted, all gone",
        UserFactory,
        {"blocked": True},
        {"status": "deleted", "deleted_at": timezone.now(), "email": None, "display_name": None},
    ),
]


@breaks_rules_of(*RESTORED)
def test_deleted_person_gets_no_personal_value_back() -> None:
    check_changes(RESTORED)
    check_changes(RESTORED[:1], ALL_WRITE_PATHS)


def test_one_statement_does_not_duplicate_an_address() -> None:
    for email in ["a@example.com", "b@example.com"]:
        UserFactory(email=email)
    with refuses("users_email_unique", "users"):
        execute("UPDATE users SET email = 'c@example.com'")
    assert set(User.objects.values_list("email", flat=True)) == {"a@example.com", "b@example.com"}


SCOPES = [
    *[
        Change(
            f"{code} {scope}",
            RoleFactory,
            {"code": code},
            {"scope": scope},
            None if (code == "client") is (scope == "product") else "roles_client_is_product",
        )
        for code in Role.Code.values
        for scope in Role.Scope.values
    ]
]


@breaks_rules_of(*SCOPES)
def test_only_the_client_role_acts_in_the_product() -> None:
    check_changes(SCOPES)


def test_truncating_people_is_refused_and_deletes_nothing() -> None:
    UserFactory(role="client")
    connection.check_constraints()  # pending audit entries would prevent TRUNCATE anyway
    with refuses("users_no_truncate", "users"):
        execute("TRUNCATE users CASCADE")
    assert User.objects.count() == 1
