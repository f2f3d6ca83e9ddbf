"""The last active owner cannot lose the role, be blocked or be deleted."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from identity.models import User, UserRole
from tests.adversarial_sql import (
    each_stealthy_delete,
    refuses_by_any_rule,
    rename_key,
    shadow_equality_operator,
    update_through_a_view,
)
from tests.case_loops import breaks_rules_of, check_changes, check_each, check_inserts
from tests.factories import UserFactory, UserRoleFactory
from tests.rule_cases import (
    ALL_WRITE_PATHS,
    DELETES,
    Change,
    check_delete,
    check_refusal_is_discreet,
)
from tests.support import (
    Case,
    breaks,
    delete_sql,
    execute,
    refuses,
    update_sql,
)

pytestmark = pytest.mark.django_db

OF_USER, OF_ROLE = "users_last_owner_stays", "user_roles_last_owner_stays"
GONE = {"status": "deleted", "deleted_at": timezone.now(), "email": None, "display_name": None}


def owner(**values: Any) -> User:
    return UserFactory(role="owner", **values)


def inactive_owner(status: str) -> User:
    """An owner who is not active. An erased person gets no new role, so one is changed."""
    person = UserFactory(role="client")
    update_sql(person, **(GONE if status == "deleted" else {"status": status}))
    person.user_roles.update(role_id="owner")
    return person


def role_of(user: User) -> UserRole:
    return user.user_roles.get(role_id="owner")


OWNER = (UserFactory, {"role": "owner"})
OWNERS_ROLE = (UserRoleFactory, {"role_id": "owner"})
LOSSES = [
    ("blocked", OWNER, {"status": "blocked"}, OF_USER),
    ("deleted", OWNER, GONE, OF_USER),
    ("another role", OWNERS_ROLE, {"role_code": "client"}, OF_ROLE),
    ("another person", OWNERS_ROLE, {"user_id": lambda _: UserFactory().pk}, OF_ROLE),
]


LAST = [
    *[Change(name, *row, to, rule) for name, row, to, rule in LOSSES],
    Change("another name", *OWNER, {"display_name": "Ирина"}),
]


@breaks_rules_of(*LAST)
def test_last_owner_stays() -> None:
    check_changes(LAST)
    check_changes([LAST[0], LAST[2], LAST[4]], ALL_WRITE_PATHS)


def test_one_of_two_owners_may_change() -> None:
    owner()
    check_changes(Change(name, *row, to) for name, row, to, _ in LOSSES)


@pytest.mark.parametrize("status", ["blocked", "deleted"])
def test_owner_who_is_not_active_does_not_count(status: str) -> None:
    inactive_owner(status)
    check_changes(LAST[:-1])


@breaks(OF_USER, OF_ROLE)
def test_last_owner_and_the_role_are_not_deleted() -> None:
    last = owner()
    check_each(DELETES.items(), lambda delete: check_delete(last, delete, OF_USER))
    check_each(DELETES.items(), lambda delete: check_delete(role_of(last), delete, OF_ROLE))


@each_stealthy_delete
def test_indirect_statements_are_refused(delete: Any) -> None:
    last = owner()
    with refuses(OF_USER, "users"):
        delete(last)
    with refuses(OF_ROLE, "user_roles"):
        delete(role_of(last))
    with refuses(OF_USER, "users"):
        update_through_a_view(last, "status", "blocked")


def test_one_of_two_owners_may_be_deleted() -> None:
    def delete_one_of_two(delete: Any) -> None:
        first, second = owner(), owner()
        delete(first)
        with refuses(OF_USER, "users"):
            delete(second)
        assert [role.user_id for role in UserRole.objects.all()] == [second.pk]

    check_each(DELETES.items(), delete_one_of_two)


@pytest.mark.parametrize("status", ["blocked", "deleted"])
def test_an_owner_who_is_not_active_may_lose_the_role(status: str) -> None:
    owner()
    inactive = inactive_owner(status)
    delete_sql(role_of(inactive))
    delete_sql(inactive)
    assert User.objects.count() == 1


def test_other_role_of_the_owner_may_be_deleted() -> None:
    last = owner()
    UserRoleFactory(user=last, role_id="assistant").delete()
    assert last.user_roles.count() == 1


def test_role_is_handed_over_by_granting_first() -> None:
    last, heir = owner(), UserFactory()
    with refuses(OF_ROLE, "user_roles"):
        delete_sql(role_of(last))
    UserRoleFactory(user=heir, role_id="owner")
    delete_sql(role_of(last))
    update_sql(last, status="blocked")
    with refuses(OF_USER, "users"):
        update_sql(heir, status="blocked")


@breaks(OF_USER, OF_ROLE)
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE users SET status = 'blocked'",
        "DELETE FROM users",
        "DELETE FROM user_roles",
        "UPDATE user_roles SET role_code = 'client'",
        "WITH a AS (DELETE FROM user_roles WHERE user_id = %(first)s RETURNING 1), "
        "b AS (UPDATE users SET status = 'blocked' WHERE id = %(second)s RETURNING 1) "
        "SELECT (SELECT count(*) FROM a), (SELECT count(*) FROM b)",
        "WITH a AS (UPDATE users SET status = 'blocked' WHERE id = %(first)s RETURNING 1), "
        "b AS (DELETE FROM users WHERE id = %(second)s RETURNING 1) "
        "SELECT (SELECT count(*) FROM b), (SELECT count(*) FROM a)",
    ],
)
def test_one_statement_does_not_take_both_owners(statement: str) -> None:
    ids = {"first": owner().pk, "second": owner().pk}
    with refuses_by_any_rule():
        execute(statement, ids)
    assert UserRole.objects.filter(role_id="owner", user__status="active").count() == 2


@breaks("users_no_truncate", "user_roles_no_truncate")
@pytest.mark.parametrize(
    ("table", "rule"),
    [
        ("users", "users_no_truncate"),
        ("user_roles", "user_roles_no_truncate"),
        ("roles", "user_roles_no_truncate"),
    ],
)
def test_the_tables_of_owners_are_not_truncated(table: str, rule: str) -> None:
    owner()
    connection.check_constraints()  # pending audit entries would prevent TRUNCATE anyway
    with refuses(rule):
        execute(f"TRUNCATE {table} CASCADE")


def test_temporary_table_does_not_replace_the_roles() -> None:
    last, other = owner(), UserFactory()
    execute("CREATE TEMPORARY TABLE user_roles AS TABLE public.user_roles")
    execute(
        "INSERT INTO pg_temp.user_roles (id, granted_at, role_code, user_id) "
        "VALUES (uuid7(), now(), 'owner', %s)",
        [other.pk],
    )
    with refuses(OF_ROLE, "user_roles"):
        execute("DELETE FROM public.user_roles")
    with refuses(OF_USER, "users"):
        update_sql(last, status="blocked")


def test_changed_key_does_not_detach_the_role() -> None:
    last = owner()
    with refuses_by_any_rule():
        rename_key(last)
        execute("DELETE FROM user_roles WHERE user_id = %s", [last.pk])


def test_custom_operator_does_not_hide_the_owner() -> None:
    owner()
    shadow_equality_operator("uuid", answer=False)
    with refuses(OF_ROLE, "user_roles"):
        execute("DELETE FROM user_roles")


GRANTS = [
    Case(
        "twice",
        UserRoleFactory,
        {"user": lambda: UserFactory(role="client")},
        "user_roles_once_per_user",
    ),
    Case(
        "another role",
        UserRoleFactory,
        {"user": lambda: UserFactory(role="client"), "role_id": "assistant"},
    ),
    Case("another person", UserRoleFactory, {"user": lambda: UserFactory(email="a@example.com")}),
]


@breaks_rules_of(*GRANTS)
def test_role_is_granted_once() -> None:
    check_inserts(GRANTS)


def test_role_is_not_changed_into_one_the_person_has() -> None:
    change = Change(
        "a role that the person has",
        UserRoleFactory,
        {"user": lambda: UserFactory(role="editor"), "role_id": "assistant"},
        {"role_code": "editor"},
        "user_roles_once_per_user",
    )
    check_changes([change])


def test_refusal_reveals_nothing_of_the_person() -> None:
    last = owner(display_name="Marker", email="marker@example.com")
    for write, rule, table, column in [
        (lambda: update_sql(last, status="blocked"), OF_USER, "users", "status"),
        (lambda: delete_sql(last), OF_USER, "users", "status"),
        (lambda: delete_sql(role_of(last)), OF_ROLE, "user_roles", "role_code"),
    ]:
        check_refusal_is_discreet(write, rule, table, column, "Marker", "marker@", str(last.pk))
