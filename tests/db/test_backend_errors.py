"""Database errors and logged statements name the fault and quote no value."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.db import (
    DatabaseError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    connection,
    transaction,
)
from psycopg.types.json import Jsonb

from ebalance.db.backend.messages import safe_message
from ebalance.db.checks import server_log_is_quiet
from ebalance.db.errors import explain
from ebalance.db.server import QUIET_LOG
from tests.databases import Database
from tests.factories import UserFactory

MARKER = "Marker of a person"
INSERT = "INSERT INTO users (id, email, display_name, timezone) VALUES (%s, %s, %s, 'UTC')"

# A statement, its parameters, the SQLSTATE.
ERRORS: dict[str, tuple[str, list[Any], str]] = {
    "a check": (INSERT, [uuid4(), MARKER, MARKER], "23514"),
    "null": (
        "INSERT INTO users (id, email, display_name, status) VALUES (%s, %s, %s, NULL)",
        [uuid4(), "a@example.com", MARKER],
        "23502",
    ),
    "an unknown reference": (
        "INSERT INTO glossary_term_synonyms (id, term_id, synonym) VALUES (%s, %s, %s)",
        [uuid4(), uuid4(), MARKER],
        "23503",
    ),
    "no UUID": ("SELECT %s::uuid", [MARKER], "22P02"),
    "no number": ("SELECT %s::int", [MARKER], "22P02"),
    "no JSON": ("SELECT %s::jsonb", [MARKER], "22P02"),
    "no time": ("SELECT %s::timestamptz", [MARKER], "22007"),
    "no range": ("SELECT %s::int4range", [MARKER], "22P02"),
    "no array": ("SELECT %s::int[]", [f"{{{MARKER}}}"], "22P02"),
    "no boolean": ("SELECT %s::bool", [MARKER], "22P02"),
    "no zone": ("SELECT now() AT TIME ZONE %s", [MARKER], "22023"),
    "no pattern": ("SELECT 'a' ~ %s", [f"({MARKER}"], "2201B"),
    "no encoding": ("SELECT convert_to('a', %s)", [MARKER], "22023"),
    "a number too large": ("SELECT %s::int", ["99999999999"], "22003"),
    "no syntax": (f"SELECT '{MARKER}' '{MARKER}' {MARKER}", [], "42601"),
    "no end of a text": (f"SELECT '{MARKER}", [], "42601"),
    "a text in double quotes": (f'SELECT "{MARKER}"', [], "42703"),
    "a function that quotes": (
        f"DO $$ BEGIN RAISE EXCEPTION 'bad value %', '{MARKER}'; END $$",
        [],
        "P0001",
    ),
    "a setting": ("SELECT set_config('work_mem', %s, false)", [MARKER], "22023"),
}  # fmt: skip


def refused(sql: str, params: list[Any]) -> DatabaseError:
    with (
        pytest.raises(DatabaseError) as caught,
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(sql, params) if params else cursor.execute(sql)
    return caught.value


def printed(error: BaseException) -> str:
    """The text of a traceback without source lines, which are code."""
    shown = [str(error), repr(error)]
    for one in (error.__cause__, error.__context__):
        if one is not None:
            shown += [str(one), repr(one), *traceback.format_exception_only(one)]
    return "\n".join(shown)


@pytest.mark.django_db
@pytest.mark.parametrize("case", ERRORS)
def test_an_error_quotes_nothing(case: str) -> None:
    sql, params, sqlstate = ERRORS[case]
    error = refused(sql, params)
    assert error.__cause__.sqlstate == sqlstate  # type: ignore[union-attr]
    assert MARKER not in printed(error)
    assert "99999999999" not in printed(error)
    assert "\n" not in str(error)


@pytest.mark.django_db
def test_duplicate_address_is_named_by_its_rule_only() -> None:
    email = f"{'Marker'.lower()}@example.com"
    UserFactory(email=email)
    with pytest.raises(IntegrityError) as caught, transaction.atomic():
        UserFactory(email=email)
    assert email not in printed(caught.value)
    assert "users_email" in str(caught.value)


@pytest.mark.django_db
def test_plain_psycopg_errors_quote_values(database_params: dict[str, Any]) -> None:
    """The counterpart of the tests above: without the backend, the values are quoted."""
    quoted = set()
    with psycopg.connect(**database_params, autocommit=True) as plain:
        for case, (sql, params, _sqlstate) in ERRORS.items():
            with pytest.raises(psycopg.Error) as caught:
                plain.execute(sql, params or None)
            if MARKER in str(caught.value) or "99999999999" in str(caught.value):
                quoted.add(case)
    assert len(quoted) > len(ERRORS) / 2


@pytest.fixture
def database_params() -> dict[str, Any]:
    kept = {"host", "port", "user", "password", "dbname"}
    return {k: v for k, v in connection.get_connection_params().items() if k in kept}


@pytest.mark.django_db
def test_error_still_names_the_fault() -> None:
    assert "does not exist" in str(refused("SELECT * FROM no_such_table", []))
    assert "no_such_column" in str(refused("SELECT no_such_column FROM users", []))
    assert str(refused("SELEC 1", [])).endswith("SQLSTATE 42601 at character 1 of the statement")
    assert str(refused("SELECT %s::uuid", ["x"])) == "InvalidTextRepresentation, SQLSTATE 22P02"


@pytest.mark.django_db
def test_diagnosis_stays_usable() -> None:
    error = refused(*ERRORS["a check"][:2])
    assert isinstance(error, IntegrityError)
    assert error.__cause__.diag.constraint_name.startswith("users_email")  # type: ignore[union-attr]
    assert error.__cause__.diag.message_detail  # type: ignore[union-attr]
    assert MARKER not in explain(error)


# -- psycopg's own errors -----------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize(
    "value", [f"{MARKER}\0", Jsonb({MARKER: "\0"}), [MARKER, 1]], ids=["text", "json", "list"]
)
def test_value_that_cannot_be_sent_is_not_quoted(value: Any) -> None:
    assert MARKER not in printed(refused("SELECT %s::text", [value]))


@pytest.mark.django_db
def test_nul_character_is_named() -> None:
    assert "cannot contain NUL" in str(refused("SELECT %s", ["a\0"]))


@pytest.mark.django_db
def test_value_that_cannot_be_read_is_not_quoted() -> None:
    """A fetch may fail too: Python has no year 10000."""
    for fetch in (lambda cursor: cursor.fetchone(), list):
        with connection.cursor() as cursor:
            cursor.execute("SELECT '12345-01-01'::date")
            with pytest.raises(DatabaseError) as caught:
                fetch(cursor)
        assert "12345" not in printed(caught.value)


@pytest.mark.parametrize("error", [OperationalError, InterfaceError])
def test_connection_errors_keep_their_message(error: type) -> None:
    own = getattr(psycopg, error.__name__)("connection failed: no route to host")
    assert safe_message(own) == "connection failed: no route to host"


@pytest.mark.django_db
def test_notice_is_not_printed(capfd: pytest.CaptureFixture[str]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"DO $$ BEGIN RAISE WARNING '{MARKER}'; END $$")
    assert MARKER not in "".join(capfd.readouterr())


# -- statements ---------------------------------------------------------------------------------


@pytest.fixture
def debug_cursor(
    db: None, settings: Any, caplog: pytest.LogCaptureFixture
) -> Callable[[], list[logging.LogRecord]]:
    caplog.set_level(logging.DEBUG, "django.db.backends")
    connection.force_debug_cursor = True
    connection.queries_log.clear()
    yield lambda: caplog.records
    connection.force_debug_cursor = False


def test_statements_are_logged_without_parameters(
    debug_cursor: Callable[[], list[logging.LogRecord]],
) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s::text", [MARKER])
        cursor.executemany("SELECT %s::text", [[MARKER], [MARKER]])
        with pytest.raises(DatabaseError), transaction.atomic():
            cursor.execute("SELECT %s::uuid", [MARKER])
    records = debug_cursor()
    assert [r for r in records if "SELECT %s::text" in r.getMessage()]
    assert not [r for r in records if MARKER in f"{r.getMessage()} {vars(r)}"]
    assert not [r for r in records if "params" in vars(r)]
    assert MARKER not in str(connection.queries)
    assert "SELECT %s::text" in str(connection.queries)


@pytest.mark.django_db
def test_server_sees_no_value_in_a_statement() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_query(), %s::text", [MARKER])
        statement, value = cursor.fetchone()
        assert (MARKER in statement, "$1" in statement, value) == (False, True, MARKER)
    person = UserFactory(display_name=MARKER)
    with connection.execute_wrapper(_with_its_query):
        assert type(person)._base_manager.filter(display_name=MARKER).exists()


def _with_its_query(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
    assert MARKER not in sql
    return execute(sql, params, many, context)


# -- the server's own log -----------------------------------------------------------------------


def of_new_sessions(name: str, value: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_database()")
        cursor.execute(f"ALTER DATABASE \"{cursor.fetchone()[0]}\" SET {name} = '{value}'")


def test_quiet_server_gets_no_warning(db: None, settings: Any) -> None:
    settings.DEPLOYED = True
    for name, value in QUIET_LOG.items():
        of_new_sessions(name, value)
    assert server_log_is_quiet(None, databases=["default"]) == []
    of_new_sessions("log_min_messages", "panic")  # quieter still
    assert server_log_is_quiet(None, databases=["default"]) == []


def test_deployed_server_that_logs_values_gets_a_warning(db: None, settings: Any) -> None:
    of_new_sessions("log_parameter_max_length", "-1")
    of_new_sessions("log_min_messages", "warning")
    assert server_log_is_quiet(None, databases=["default"]) == []
    settings.DEPLOYED = True
    (warning,) = server_log_is_quiet(None, databases=["default"])
    assert "log_parameter_max_length" in warning.msg
    assert "ALTER SYSTEM SET log_min_messages = 'log'" in warning.hint


def test_unreachable_server_gets_no_warning(
    settings: Any, empty_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.DEPLOYED = True

    def fail(*args: Any) -> None:
        raise OperationalError("no")

    monkeypatch.setattr(connection, "cursor", fail)
    assert server_log_is_quiet(None, databases=["default"]) == []
    assert server_log_is_quiet(None, databases=None) == []
