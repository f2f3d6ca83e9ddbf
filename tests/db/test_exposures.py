"""Ways around the grants are removed by `grant_db_roles`, or named by its `--check`."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction

from ebalance.db import checks
from ebalance.db.ids import uuid7
from ebalance.db.schema import exposures, grants
from ebalance.db.schema.exposures import TIMEOUTS
from tests.case_loops import check_each
from tests.databases import Database, Databases, default_connection_on
from tests.support import execute

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module", autouse=True)
def granted(
    django_db_setup: None, databases: Databases, django_db_blocker: Any
) -> Iterator[Database]:
    """A database for this module in which the roles have their grants."""
    with django_db_blocker.unblock():
        database = databases.clone()
        with default_connection_on(database):
            call_command("grant_db_roles", stdout=io.StringIO())
            connection.close()
            yield database
        databases.drop(database.name)


def grant() -> str:
    """Run the command and return its warnings."""
    errors = io.StringIO()
    call_command("grant_db_roles", stdout=io.StringIO(), stderr=errors)
    return errors.getvalue()


def check() -> tuple[list[str], str, bool]:
    """The lines and the warnings of `--check`, and whether it fails."""
    out, errors = io.StringIO(), io.StringIO()
    try:
        call_command("grant_db_roles", "--check", stdout=out, stderr=errors)
    except CommandError:
        return out.getvalue().splitlines(), errors.getvalue(), True
    return out.getvalue().splitlines(), errors.getvalue(), False


def names_of_findings() -> list[str]:
    return [finding.text for finding in exposures.findings()]


def test_nothing_is_exposed_after_a_run() -> None:
    assert names_of_findings() == []
    assert check() == (["The roles have exactly the privileges that they need."], "", False)


# -- what a run removes ---------------------------------------------------------------------------

FORBIDDEN = [
    "SELECT pg_advisory_lock(1)",
    "SELECT pg_advisory_xact_lock(1, 2)",
    "SELECT pg_try_advisory_lock_shared(1)",
    "SELECT pg_advisory_unlock_all()",
    "SELECT lo_create(0)",
    "SELECT lo_from_bytea(0, 'a')",
    "SELECT lo_get(1)",
    "SELECT lo_unlink(1)",
]


@pytest.mark.parametrize("role", [grants.APP, grants.ANALYST])
def test_role_uses_no_advisory_lock_and_no_large_object(role: str) -> None:
    def check_one(statement: str) -> None:
        with pytest.raises(DatabaseError) as caught, transaction.atomic():
            execute(statement)
        assert caught.value.__cause__.sqlstate == "42501", caught.value

    execute(f"SET LOCAL ROLE {role}")
    check_each([(statement, statement) for statement in FORBIDDEN], check_one)
    execute("RESET ROLE")


REMOVED = {
    "GRANT EXECUTE ON FUNCTION pg_advisory_lock(bigint) TO ebalance_analyst": (
        "too much: clients may use advisory locks: pg_advisory_lock"
    ),
    "GRANT EXECUTE ON FUNCTION lo_put(oid, bigint, bytea) TO PUBLIC": (
        "too much: clients may use large objects: lo_put"
    ),
    "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO ebalance_analyst": (
        "too much: ebalance_analyst gets SELECT on new tables of {user}"
    ),
    "ALTER DEFAULT PRIVILEGES FOR ROLE ebalance_owner GRANT DELETE ON TABLES TO PUBLIC": (
        "too much: PUBLIC gets DELETE on new tables of ebalance_owner"
    ),
    "ALTER DEFAULT PRIVILEGES GRANT USAGE ON SEQUENCES TO ebalance_app": (
        "too much: ebalance_app gets USAGE on new sequences of {user}"
    ),
    "ALTER ROLE ebalance_app RESET lock_timeout": "missing: lock_timeout of ebalance_app",
    "ALTER ROLE ebalance_owner SET statement_timeout = 0": (
        "missing: statement_timeout of ebalance_owner"
    ),
    "ALTER ROLE ebalance_analyst RESET ALL": (
        "missing: idle_in_transaction_session_timeout of ebalance_analyst"
    ),
}


def test_exposure_is_named_and_a_run_removes_it() -> None:
    (row,) = execute("SELECT current_user AS user")

    def check_one(case: tuple[str, str]) -> None:
        statement, line = case
        execute(statement)
        lines, _, fails = check()
        assert line.format(**row) in lines
        assert fails
        assert grant() == ""
        assert names_of_findings() == []

    check_each([(statement, (statement, line)) for statement, line in REMOVED.items()], check_one)


# -- what a run only names ------------------------------------------------------------------------

NAMED = {
    "CREATE FUNCTION public.read_all() RETURNS SETOF text LANGUAGE sql SECURITY DEFINER "
    "RETURN (SELECT email FROM public.users)": (
        "too much: ebalance_analyst executes read_all() with the privileges of "
    ),
    "CREATE SCHEMA copies; CREATE TABLE copies.users AS SELECT * FROM public.users; "
    "GRANT USAGE ON SCHEMA copies TO PUBLIC; GRANT SELECT (email) ON copies.users TO "
    "ebalance_analyst": "too much: ebalance_analyst reads or writes copies.users",
    "CREATE SCHEMA reports; GRANT USAGE ON SCHEMA reports TO ebalance_analyst; "
    "CREATE VIEW reports.faces AS SELECT email FROM public.users; "
    "GRANT SELECT ON reports.faces TO PUBLIC": (
        "too much: ebalance_analyst reads or writes reports.faces"
    ),
    "CREATE SCHEMA scratch; GRANT CREATE ON SCHEMA scratch TO ebalance_app": (
        "too much: ebalance_app creates objects in the schema scratch"
    ),
}


def test_exposure_by_other_objects_is_named_and_stays() -> None:
    def check_one(case: tuple[str, str]) -> None:
        statement, line = case
        execute(statement)
        lines, _, fails = check()
        assert [one for one in lines if one.startswith(line)]
        assert fails
        assert line in grant()

    check_each([(statement, (statement, line)) for statement, line in NAMED.items()], check_one)


def test_objects_out_of_reach_are_no_exposure() -> None:
    execute(
        "CREATE SCHEMA copies; CREATE TABLE copies.users AS SELECT * FROM public.users; "
        "GRANT SELECT ON copies.users TO ebalance_analyst; "
        "CREATE FUNCTION copies.read_all() RETURNS int LANGUAGE sql SECURITY DEFINER RETURN 1"
    )
    assert names_of_findings() == []


def test_lost_settings_of_the_database_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "loud_settings", lambda: ["log_error_verbosity"])
    lines, warnings, fails = check()
    assert lines == ["missing: log_error_verbosity of the database"]
    assert "a superuser sets log_error_verbosity = terse." in warnings
    assert fails


# -- who runs the command -------------------------------------------------------------------------


@pytest.fixture
def deployer() -> str:
    """The owner of the database: no superuser, and a member of the owner role."""
    name = f"deployer_{uuid7().hex}"
    (database,) = execute("SELECT current_database() AS name")
    execute(f"CREATE ROLE {name}; GRANT ebalance_owner TO {name}")
    execute(f'ALTER DATABASE "{database["name"]}" OWNER TO {name}')
    return name


def test_missing_right_to_revoke_is_a_warning(deployer: str) -> None:
    execute("GRANT EXECUTE ON FUNCTION pg_advisory_lock(bigint) TO PUBLIC")
    line = "not removed: too much: clients may use advisory locks: pg_advisory_lock"
    execute(f"SET LOCAL ROLE {deployer}")
    assert line in grant()
    _, warnings, fails = check()
    execute("RESET ROLE")
    assert line in warnings
    assert not fails


def test_login_of_a_member_has_the_timeouts_of_its_role() -> None:
    """A session takes the settings of the role that logs in, not those of the roles above it."""
    name = f"site_{uuid7().hex}"
    execute(f"CREATE ROLE {name} LOGIN IN ROLE ebalance_app")
    execute(f"ALTER ROLE {name} SET statement_timeout = '7s'")
    assert names_of_findings() == [
        f"missing: {setting} of {name}"
        for setting in ("lock_timeout", "idle_in_transaction_session_timeout")
    ]
    assert grant() == ""
    (row,) = execute(
        "SELECT s.setconfig FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole "
        "WHERE r.rolname = %s",
        [name],
    )
    wanted = TIMEOUTS[grants.APP] | {"statement_timeout": "7s"}
    assert {*row["setconfig"]} == {f"{setting}={value}" for setting, value in wanted.items()}
