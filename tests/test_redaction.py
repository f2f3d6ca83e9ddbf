"""Logs, reports and breadcrumbs hold no personal values; other text stays readable."""

from __future__ import annotations

import collections
import copy
import functools
import io
import json
import logging
import pickle
import sys
import threading
import time
import traceback
import types
import uuid
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import IntEnum
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import (
    ImproperlyConfigured,
    ValidationError,
)
from django.core.management.base import CommandError
from django.http import HttpRequest, QueryDict
from django.template import Context, Engine, TemplateDoesNotExist
from django.test import Client, RequestFactory
from django.utils.functional import SimpleLazyObject
from django.utils.translation import gettext_lazy
from django.views.debug import technical_500_response

from ebalance.db.encryption.fields import Plaintext
from ebalance.dev.bundled import BundledServerError
from ebalance.redaction import records
from ebalance.redaction.exceptions import WITHHELD, formatted, message, stand_in
from ebalance.redaction.reports import ExceptionReporter, ExceptionReporterFilter
from ebalance.redaction.sentry import scrub
from ebalance.redaction.texts import text
from ebalance.redaction.values import BareRequest, value
from identity.models import User
from tests.case_loops import check_each
from tests.factories import UserFactory, blind_index, sealed
from tests.processes import free_port

NAME = "Анна Каренина"
PERSON = User(
    id=uuid.UUID("0192f3c4-8a2b-7c3d-9e4f-5a6b7c8d9e0f"),
    email="anna@example.com",
    display_name=NAME,
)
LABEL = "identity.User 0192f3c4-8a2b-7c3d-9e4f-5a6b7c8d9e0f"


class Foreign(logging.Handler):
    """A handler of another tool, with its own formatter and without our filter."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(logging.Formatter("%(message)s"))
        self.records: list[logging.LogRecord] = []
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)
        try:
            self.lines.append(self.format(record))
        except Exception:
            self.handleError(record)

    @property
    def seen(self) -> str:
        """All text that could be read from the records."""
        return "\n".join([*self.lines, *(repr(vars(record)) for record in self.records)])


@pytest.fixture
def log() -> Iterator[tuple[logging.Logger, Foreign]]:
    logger, handler = logging.getLogger("tests.redaction"), Foreign()
    logger.setLevel(logging.DEBUG)
    logger.addHandler(handler)
    logger.propagate = False
    yield logger, handler
    logger.removeHandler(handler)


# -- texts --------------------------------------------------------------------------------------

HIDDEN = {
    "an e-mail address": ("write to anna.k+tag@mail.example.com now", "anna"),
    "in angle brackets": ("To: <anna@example.com>", "anna"),
    "in a list": ("a@b.ru,anna@example.com;x", "anna"),
    "with Cyrillic": ("анна@пример.рф", "пример"),
    "with a numeric host": ("anna@[127.0.0.1]", "anna"),
    "without a dot": ("root anna@localhost", "anna"),
    "in an address": ("/who/anna%40example.com/", "anna"),
    "a phone in E.164": ("call +79161234567", "916"),
    "a phone as people write it": ("8 (916) 123-45-67", "123"),
    "with non-breaking spaces": ("+7\u00a0916\u00a0123\u00a045\u00a067", "916"),
    "with hyphens": ("8-916-123-45-67", "916"),
    "with one dot": ("call 8.9161234567", "916"),
    "with a decimal point": ("id 9161234567.1", "916"),
    "after a hexadecimal prefix": ("0x79161234567", "916"),
    "with dots": ("8.916.123.45.67", "916"),
    "a local number": ("123-45-67", "123"),
    "a Telegram id": ("chat 123456789", "123456789"),
    "a number glued to a word": ("tg123456789", "123456789"),
    "a Telegram name": ("ask @anna_karenina, please", "anna"),
    "a link to Telegram": ("https://t.me/anna_karenina", "anna"),
    "a name in Cyrillic": ("hello Анна Каренина!", "Карен"),
    "escaped Cyrillic": (ascii("Анна"), "u0410"),
    "Cyrillic in an address": ("/%D0%90%D0%BD%D0%BD%D0%B0/", "%D0"),
    "Cyrillic in bytes": (repr("Анна".encode()), "xd0"),
    "a sealed value": (f"got {sealed()}", "v1.k1"),
    "a blind index": (f"{blind_index('k2')!r}", "v1.k2"),
    "a sealed value that was cut": (sealed()[:40], "v1.k1"),
    "a query string": ("GET /admin/users/?q=anna HTTP/1.1", "anna"),
    "a query without a name": ("GET /admin/?anna HTTP/1.1", "anna"),
    "a query of an absolute address": ("see https://example.com/a/b?token=anna#x", "anna"),
    "a login in an address": ("postgresql://ebalance:anna@db:5432/name", "anna"),
    "a hash of a password": ("pbkdf2_sha256$100$salt$anna", "anna"),
    "a cookie": ("Cookie: sessionid=anna; x=anna", "anna"),
    "a bearer": ("Authorization: Bearer annaannaanna", "anna"),
    "a value with its name": ("display_name=anna", "anna"),
    "a quoted value with its name": ("note='anna is here', x=1", "anna"),
    "a dictionary as text": (str({"display_name": "anna k", "n": 1}), "anna"),
    "JSON as text": (json.dumps({"email": "anna k", "n": 1}), "anna"),
    "DETAIL": ("ERROR: no\nDETAIL:  Failing row contains (anna).", "anna"),
    "a failing row": ("Failing row contains (1,\n anna).", "anna"),
    "a key": ("Key (email)=(anna) already exists.", "anna"),
    "an excerpt": ("no\nLINE 1: SELECT 'anna'\n   ^", "anna"),
    "several lines": ("first\nsecond anna@example.com\nthird", "anna"),
}
READABLE = [
    "Watching for file changes with StatReloader",
    "0192f3c4-8a2b-7c3d-9e4f-5a6b7c8d9e0f",
    "task 12 of 0192f3c4-8a2b-7c3d-9e4f-5a6b7c8d9e0f took 0.001234567 s",
    "0192f3c48a2b7c3d9e4f5a6b7c8d9e0f",
    "2026-07-01 12:00:00,123 worker 3 started",
    "2026-07-01T12:00:00.123456+00:00 and 2026-07-01T12:00:00Z and 2026-07-01",
    "[01/Jul/2026 12:00:00] done",
    '"GET /admin/identity/user/ HTTP/1.1" 200 12345',
    "listening on 127.0.0.1:51234, [::1]:8000 and localhost:5432",
    "10.123.200.100:5432",
    "(0.003) SELECT 1; alias=default",
    "PostgreSQL 18.6, psycopg 3.3.9, Python 3.13.0, v2.11.4",
    'File "/usr/lib/python3.13/site-packages/django/db/utils.py", line 123456, in inner',
    'SELECT "users"."email" FROM "users" WHERE "users"."email" = %s AND note = $1 LIMIT 21',
    'INSERT INTO "users" ("id", "email", "phone") VALUES (%s, %s, %s)',
    "Applying identity.0001_initial... OK",
    "users_email_is_normalised",
    "<function handler at 0x7f12345678ab>",
    "ran 12 tests in 3.5 s, exit code 0",
    "50% of 1000 rows",
    "https://docs.djangoproject.com/en/6.1/ref/checks/",
    "a = b @ c",
    "Is it there? yes",
]


def test_text_about_a_person_is_hidden() -> None:
    def check(case: tuple[str, str]) -> None:
        given, part = case
        assert part in given
        assert part not in text(given)
        assert text(text(given)) == text(given)

    check_each(HIDDEN.items(), check, undo=False)


def test_impersonal_text_stays_readable() -> None:
    assert [text(line) for line in READABLE] == READABLE


def test_text_around_a_hidden_value_stays() -> None:
    assert text("mail to anna@example.com failed in 0.2 s") == "mail to [e-mail] failed in 0.2 s"
    assert text("GET /a/?q=x HTTP/1.1") == "GET /a/?[query] HTTP/1.1"
    assert text("email=x, retries=3") == "email=[withheld], retries=3"


def test_traceback_in_a_text_keeps_locations_and_types() -> None:
    try:
        try:
            int("Marker")
        except ValueError as error:
            raise KeyError("Marker\n  Marker again") from error
    except KeyError:
        shown = text(f"it failed\n{traceback.format_exc()}")
    messages = [line for line in shown.splitlines() if not line.startswith("    ")]
    assert "Marker" not in "\n".join(messages)
    assert f'File "{__file__}"' in shown
    assert "ValueError: [withheld]" in shown
    assert "KeyError: [withheld]" in shown


HUGE = [
    "a",
    "a.",
    "1",
    "1-",
    "1 ",
    "/",
    "@",
    "a@",
    "'",
    "note='",
    "а ",
    "v1.k1.",
    "%40",
    "(",
    "{\\",
]


def test_time_of_a_huge_text_grows_with_its_length() -> None:
    """Quadratic time would far exceed the limit, which counts the work of this thread only."""
    for unit in HUGE:
        started = time.thread_time()
        text(unit * (30_000 // len(unit)))
        assert time.thread_time() - started < 2, unit


# -- values -------------------------------------------------------------------------------------


class Raises:
    def __str__(self) -> str:
        raise RuntimeError("Marker")

    __repr__ = __str__
    __len__ = __iter__ = __str__  # type: ignore[assignment]


class Speaks:
    def __repr__(self) -> str:
        return "Marker"


def circle() -> list[Any]:
    ring: list[Any] = ["Marker@example.com"]
    ring.append(ring)
    return ring


def bush() -> list[Any]:
    """A small value that is endless to walk through."""
    level: list[Any] = ["x"]
    for _ in range(50):
        level = [level] * 10
    return level


HIDDEN_PERSON = dict.fromkeys(["email", "phone", "Display-Name"], "[withheld]")
HIDDEN_SECRETS = dict.fromkeys(["password", "HTTP_COOKIE", "api_key"], "[withheld]")
HIDDEN_SEALED = dict.fromkeys(["payload_encrypted", "email_bidx"], "[withheld]")
VALUES: dict[str, tuple[Any, Any]] = {
    "a person": (PERSON, LABEL),
    "a row without a key": (User(id=None, email="Marker"), "identity.User ?"),
    "rows": ([PERSON], [LABEL]),
    "people by name": ({"who": PERSON}, {"who": LABEL}),
    "a lazy person": (SimpleLazyObject(lambda: pytest.fail("loaded")), "<SimpleLazyObject>"),
    "a query": (User.objects.all(), "<QuerySet of identity.User>"),
    "personal names": ({"email": 1, "phone": "x", "Display-Name": "x"}, HIDDEN_PERSON),
    "secrets": ({"password": "x", "HTTP_COOKIE": "x", "api_key": "x"}, HIDDEN_SECRETS),
    "sealed names": ({"payload_encrypted": "x", "email_bidx": "x"}, HIDDEN_SEALED),
    "absent": ({"email": None, "password": False}, {"email": None, "password": False}),
    "a person as a key": ({PERSON: 1}, {LABEL: 1}),
    "an id of Telegram": ({"chat": 123456789}, {"chat": "[number]"}),
    "a QueryDict": (QueryDict("note=Marker&page=2"), {"note": "[withheld]", "page": "2"}),
    "nested": ([({"a": [{"email": "Marker"}]},)], [({"a": [{"email": "[withheld]"}]},)]),
    "bytes": (b"Marker", "<bytes of 6>"),
    "something that speaks": (Speaks(), "<Speaks>"),
    "something that raises": (Raises(), "<Raises>"),
    "a method of it": (Raises().__str__, "<method>"),
    "a partial": (functools.partial(print, "Marker"), "<partial>"),
    "a namespace": (types.SimpleNamespace(a="Marker"), "<SimpleNamespace>"),
    "plaintext": (Plaintext("Marker"), "<Plaintext>"),
    "an exception": (KeyError("Marker"), f"KeyError: {WITHHELD}"),
    "a path": (Path("/srv/anna@example.com"), "/srv/[e-mail]"),
    "a lazy text": (gettext_lazy("anna@example.com"), "[e-mail]"),
    "a set": ({"anna@example.com"}, ["[e-mail]"]),
    "a deque": (collections.deque(["anna@example.com"]), ["[e-mail]"]),
    "items": ({"email": "Marker"}.keys(), ["email"]),
    "numbers": ((1, 2.5, Decimal("1.50"), True, None), (1, 2.5, Decimal("1.50"), True, None)),
    "times": (datetime(2026, 7, 1, tzinfo=UTC), datetime(2026, 7, 1, tzinfo=UTC)),
    "dates": ([date(2026, 7, 1), timedelta(1)], [date(2026, 7, 1), timedelta(1)]),
    "keys": (PERSON.id, PERSON.id),
    "members": (IntEnum("Kind", "A").A, 1),
    "types": ((int, print), (int, print)),
}  # fmt: skip


def test_value_is_shown_without_data_about_people() -> None:
    def check(case: tuple[Any, Any]) -> None:
        given, expected = case
        assert value(given) == expected
        assert value(value(given)) == value(given)

    check_each(VALUES.items(), check, undo=False)


def test_cyclic_and_branching_values_are_cut() -> None:
    assert "Marker" not in str(value(circle()))
    assert len(str(value(bush()))) < 100_000
    assert len(value(list(range(100_000)))) < 2_000


# -- exceptions ---------------------------------------------------------------------------------

MESSAGES: dict[str, tuple[BaseException, str]] = {
    "a value": (ValueError("Marker"), WITHHELD),
    "a key": (KeyError("Marker"), WITHHELD),
    "a type": (TypeError("Marker"), WITHHELD),
    "an assertion": (AssertionError("Marker"), WITHHELD),
    "nothing": (ValueError(), ""),
    "a file": (FileNotFoundError(2, "Marker", "/Marker"), "[Errno 2] No such file or directory"),
    "an OSError of a mail server": (OSError(550, "Marker"), WITHHELD),
    "an OSError in words": (OSError("Marker"), WITHHELD),
    "an attribute": (AttributeError("'X' has no attribute 'Marker'"), WITHHELD),
    "a module": (ModuleNotFoundError("No module named 'x'"), "No module named 'x'"),
    "settings": (ImproperlyConfigured("Set X, anna@example.com"), "Set X, [e-mail]"),
    "a command": (CommandError("No such label"), "No such label"),
    "the bundled server": (BundledServerError("The disk is full"), "The disk is full"),
    "a row that is not there": (User.DoesNotExist("No row"), "No row"),
    "a template": (TemplateDoesNotExist("a.html"), "a.html"),
    "a validation": (ValidationError("%(value)s", "invalid", {"value": "Marker"}), "invalid"),
    "a form": (
        ValidationError({"email": ValidationError("Marker", "unique"), "__all__": ["Marker"]}),
        "email: unique; row: None",
    ),
    "a group": (ExceptionGroup("Marker", [ValueError("Marker")]), WITHHELD),
}  # fmt: skip


def test_exception_is_shown_without_data_about_people() -> None:
    def check(case: tuple[BaseException, str]) -> None:
        error, expected = case
        assert message(error) == expected
        assert str(stand_in(error)).startswith(expected)
        assert "Marker" not in formatted(error)

    check_each(MESSAGES.items(), check, undo=False)


class RaisesWhenAsked(ImproperlyConfigured):
    def __str__(self) -> str:
        raise RuntimeError("Marker")


def test_exception_with_a_failing_text_is_withheld() -> None:
    assert message(RaisesWhenAsked("x")) == WITHHELD


def chained() -> BaseException:
    try:
        try:
            try:
                {}["Marker"]
            except KeyError as error:
                error.add_note("Marker")
                raise ExceptionGroup("Marker", [error, ValueError("Marker")]) from error
        except ExceptionGroup:
            raise RuntimeError("Marker")  # noqa: B904  (the test needs the context)
    except RuntimeError as error:
        return error


def code_of(function: Callable[..., Any]) -> str:
    return function.__name__


def test_chain_of_errors_keeps_types_and_locations() -> None:
    shown = formatted(chained())
    messages = [line for line in shown.splitlines() if "raise" not in line and "[" not in line]
    assert "Marker" not in "\n".join(messages)
    for part in ("KeyError", "ExceptionGroup", "RuntimeError", "During handling", code_of(chained)):
        assert part in shown


def test_cyclic_or_endless_chain_of_errors_is_redacted() -> None:
    first, second = ValueError("Marker"), KeyError("Marker")
    first.__cause__, second.__cause__ = second, first
    assert "Marker" not in formatted(first)
    error: BaseException = ValueError("Marker")
    for _ in range(5_000):
        following = ValueError("Marker")
        following.__context__ = error
        error = following
    assert "Marker" not in formatted(error)


# -- records ------------------------------------------------------------------------------------


def test_record_is_redacted_at_its_creation(log: Any) -> None:
    logger, handler = log
    logger.info("%s wrote %d lines to %s in %.2f s", PERSON, 3, "anna@example.com", 0.5)
    assert handler.lines == [f"{LABEL} wrote 3 lines to [e-mail] in 0.50 s"]
    assert NAME not in handler.seen
    assert "anna" not in handler.seen


def test_harmless_message_keeps_its_arguments_separate(log: Any) -> None:
    """Tools group records by the message."""
    logger, handler = log
    logger.info("%s wrote %d lines", PERSON, 3)
    assert (handler.records[0].msg, handler.records[0].args) == ("%s wrote %d lines", (LABEL, 3))


FORMS = [
    ("%s@%s", ("marker", "example.com")),
    ("+7%d", (9161234567,)),
    ("%(email)s %(n)d", ({"email": "Marker", "n": 1},)),
    ("%(email)s", (types.MappingProxyType({"email": "Marker"}),)),
    ("%r", (PERSON,)),
    ("%s", ({"note": "Marker"},)),
    ("%s", (ValueError("Marker"),)),
    ("%s %s", (b"Marker", Speaks())),
    ("Marker@example.com", ()),
    (PERSON, ()),
    ({"email": "Marker"}, ()),
    (ValueError("Marker"), ()),
    (Speaks(), ()),
    ("see /a?q=%s", ("Marker",)),
]


def test_message_is_redacted_in_every_form(log: Any) -> None:
    logger, handler = log

    def check(case: tuple[Any, tuple]) -> None:
        template, args = case
        handler.records.clear()
        handler.lines.clear()
        logger.warning(template, *args)
        assert len(handler.lines) == 1
        assert not [part for part in ("arker", "916123", NAME, "anna") if part in handler.seen]

    check_each([(str(n), case) for n, case in enumerate(FORMS)], check, undo=False)


def test_extra_attributes_of_a_record_are_redacted(log: Any) -> None:
    logger, handler = log
    request = RequestFactory().post(
        "/a/?q=Marker", {"note": "Marker"}, headers={"cookie": "x=Marker"}
    )
    request.user = PERSON
    extra = {"request": request, "status_code": 404, "email": "Marker", "who": PERSON}
    logger.error("no", extra={**extra, "rows": [{"note": "Marker"}], "chat_id": 123456789})
    (record,) = handler.records
    assert "Marker" not in handler.seen
    assert NAME not in handler.seen
    assert (record.status_code, record.email, record.who) == (404, "[withheld]", LABEL)
    assert (record.request.method, record.request.path) == ("POST", "/a/")
    assert "123456789" not in handler.seen


def test_exception_is_redacted_for_every_formatter(log: Any) -> None:
    logger, handler = log
    try:
        raise chained()
    except RuntimeError:
        logger.exception("failed")
    shown = handler.lines[0]
    assert "RuntimeError: (message withheld)" in shown
    kind, error, frames = handler.records[0].exc_info
    assert (kind, str(error)) == (RuntimeError, WITHHELD)
    assert frames is not None
    assert "Marker" not in "".join(traceback.format_exception_only(error))


def test_mismatched_arguments_are_reported_redacted(
    log: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    logger, handler = log
    monkeypatch.setattr(logging, "raiseExceptions", True)
    address = "anna@example.com"
    template = "%d and %s"
    # Not through the logger, because pytest's handler raises an error that others report.
    handler.handle(logger.makeRecord("x", 30, "a.py", 1, template, (address,), None))
    printed = capsys.readouterr().err
    assert "--- Logging error ---" in printed
    assert "Arguments: ('[e-mail]',)" in printed
    assert address not in printed
    assert handler.lines == []


def test_hostile_values_do_not_make_logging_fail(log: Any) -> None:
    logger, handler = log
    hostile = [Raises(), circle(), bush(), PERSON, {1: Raises()}, object()]
    for number, given in enumerate(hostile, 1):
        logger.warning("%s", given, extra={"given": given})
        logger.warning(given)
        assert len(handler.lines) == 2 * number
    assert "Marker" not in handler.seen


def test_failing_redaction_withholds_the_record(log: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    logger, handler = log
    monkeypatch.setattr(records, "text", Raises().__str__)
    logger.warning("Marker")
    assert handler.lines == ["(a message that could not be redacted)"]


def test_second_redaction_changes_nothing(log: Any) -> None:
    logger, handler = log
    try:
        raise KeyError("Marker")
    except KeyError:
        logger.exception("%s %s", PERSON, "anna@example.com", extra={"request": HttpRequest()})
    (record,) = handler.records
    before = {k: v for k, v in vars(record).items() if k != "exc_text"}
    records.Redaction().filter(record)
    assert {k: v for k, v in vars(record).items() if k != "exc_text"} == before


def test_records_of_other_factories_are_redacted(log: Any) -> None:
    made = logging.makeLogRecord({"msg": "anna@example.com", "exc_text": "x anna@example.com"})
    assert "anna" in made.getMessage()  # set after the creation
    shown = records.Redaction().filter(made)
    assert "anna" not in f"{shown.getMessage()} {shown.exc_text}"


def test_a_record_can_be_copied_and_pickled(log: Any) -> None:
    logger, handler = log
    logger.warning("%s", PERSON, extra={"rows": [PERSON]})
    (record,) = handler.records
    assert pickle.loads(pickle.dumps(copy.copy(record))).getMessage() == LABEL


def test_threads_log_concurrently(log: Any) -> None:
    logger, handler = log
    threads = [
        threading.Thread(target=lambda: [logger.info("%s", PERSON) for _ in range(50)])
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert handler.lines == [LABEL] * 400


def test_warnings_are_redacted_records(monkeypatch: pytest.MonkeyPatch) -> None:
    handler = Foreign()
    logger = logging.getLogger("py.warnings")
    logger.addHandler(handler)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            logging.captureWarnings(False)  # pytest has replaced it since
            logging.captureWarnings(True)
            try:
                warnings.warn("no anna@example.com", stacklevel=1)
            finally:
                logging.captureWarnings(False)
    finally:
        logger.removeHandler(handler)
    assert "no [e-mail]" in handler.seen


def test_second_installation_changes_nothing() -> None:
    before = logging.getLogRecordFactory(), logging.Logger.makeRecord
    records.install()
    assert (logging.getLogRecordFactory(), logging.Logger.makeRecord) == before


def test_all_configured_handlers_have_the_filter(settings: Any) -> None:
    assert all("redaction" in h["filters"] for h in settings.LOGGING["handlers"].values())


# -- pages and mails ----------------------------------------------------------------------------


def failing(request: HttpRequest) -> tuple[type, BaseException, Any]:
    email, note, answers = "Marker@example.com", "Marker", {"q": "Marker"}
    attempts, person, key = 3, PERSON, PERSON.id
    try:
        try:
            int(note)
        except ValueError as error:
            raise KeyError(f"{email} {answers} {attempts} {person} {key}") from error
    except KeyError:
        return sys.exc_info()  # type: ignore[return-value]


@pytest.fixture
def request_of_a_person() -> HttpRequest:
    request = RequestFactory().post(
        "/admin/users/?q=Marker",
        {"display_name": "Marker", '{"text": "Marker"}': "", "file": io.BytesIO(b"Marker")},
        headers={
            "cookie": "sessionid=Marker",
            "referer": "https://example.com/?q=Marker",
            "authorization": "Bearer Marker",
            "user-agent": "Marker",
        },
        REMOTE_ADDR="10.66.66.66",
        DATABASE_URL="postgresql://Marker@x/y",
    )
    request.user = PERSON
    assert request.POST  # parses it
    return request


def lines_without_code(report: str) -> str:
    """The report without excerpts of this file, which contain the marker."""
    return "\n".join(
        line
        for line in report.splitlines()
        if not any(sign in line for sign in ('"Marker', "f&quot;", "&quot;Marker", 'f"'))
    )


@pytest.mark.parametrize("is_email", [True, False])
@pytest.mark.parametrize("debug", [True, False])
def test_error_report_shows_no_data(
    request_of_a_person: HttpRequest, settings: Any, is_email: bool, debug: bool
) -> None:
    settings.DEBUG = debug
    reporter = ExceptionReporter(
        request_of_a_person, *failing(request_of_a_person), is_email=is_email
    )
    for report in (reporter.get_traceback_html(), reporter.get_traceback_text()):
        shown = lines_without_code(report)
        assert "Marker" not in shown
        assert NAME not in shown
        assert "10.66.66.66" not in shown
        for part in ("KeyError", "/admin/users/", "POST", WITHHELD, LABEL, "display_name"):
            assert part in shown, part


def test_variables_are_shown_by_type(request_of_a_person: HttpRequest) -> None:
    _kind, _error, frames = failing(request_of_a_person)
    shown = dict(
        ExceptionReporterFilter().get_traceback_frame_variables(
            request_of_a_person, frames.tb_frame
        )
    )
    assert repr(shown["email"]) == "<str of 18>"
    assert repr(shown["answers"]) == "<dict of 1>"
    assert repr(shown["person"]) == "<User>"
    assert (shown["attempts"], shown["key"]) == (3, PERSON.id)


def test_debug_page_shows_no_data(request_of_a_person: HttpRequest) -> None:
    page = technical_500_response(request_of_a_person, *failing(request_of_a_person))
    assert "Marker" not in lines_without_code(page.content.decode())


def test_a_template_error_shows_its_line() -> None:
    class Failing:
        def __str__(self) -> str:
            raise ValueError("Marker")

    template = Engine(debug=True).from_string("first\n{{ who }} second")
    try:
        template.render(Context({"who": Failing()}))
    except ValueError:
        report = ExceptionReporter(None, *sys.exc_info()).get_traceback_text()
    assert "{{ who }}" in report
    assert "Marker" not in lines_without_code(report)


def test_settings_are_shown_without_secrets(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.CACHES = {"default": {"LOCATION": "redis://u:Marker@cache:6379/0"}}
    settings.SOME_OBJECT = Speaks()
    monkeypatch.setitem(settings.DATABASES["default"], "PASSWORD", "Marker")
    shown = ExceptionReporterFilter().get_safe_settings()
    assert "Marker" not in str(shown)
    assert shown["DATABASES"]["default"]["ENGINE"] == "ebalance.db.backend"
    assert shown["LANGUAGE_CODE"] == "ru"
    for name in ("SECRET_KEY", "ENCRYPTION_KEYS", "BLIND_INDEX_KEYS"):
        assert shown[name] == ExceptionReporterFilter.cleansed_substitute


def test_a_mail_to_the_admins_shows_no_data(
    request_of_a_person: HttpRequest, settings: Any, mailoutbox: Any, log: Any
) -> None:
    settings.ADMINS = ["ops@example.com"]
    settings.MAILERS = {"default": {"BACKEND": "django.core.mail.backends.locmem.EmailBackend"}}
    logger, _handler = log
    handler = records.AdminMail(include_html=True)
    logger.addHandler(handler)
    try:
        logger.error(
            "failed for %s",
            PERSON,
            exc_info=failing(request_of_a_person),
            extra={"request": request_of_a_person},
        )
        logger.error("no exception, Marker@example.com")
    finally:
        logger.removeHandler(handler)
    first, second = mailoutbox
    sent = [first.subject, first.body, first.alternatives[0].content, second.subject, second.body]
    assert "Marker" not in lines_without_code("\n".join(sent))
    assert NAME not in "\n".join(sent)
    assert "KeyError" in first.body
    assert LABEL in first.subject


def test_unreachable_mail_server_breaks_nothing(
    settings: Any, log: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.ADMINS = ["ops@example.com"]
    backend = "django.core.mail.backends.smtp.EmailBackend"
    options = {"host": "127.0.0.1", "port": free_port()}
    settings.MAILERS = {"default": {"BACKEND": backend, "OPTIONS": options}}
    logger, _handler = log
    handler = records.AdminMail()
    logger.addHandler(handler)
    try:
        logger.error("failed")
    finally:
        logger.removeHandler(handler)
    assert "Connection refused" in capsys.readouterr().err


def test_bare_request_does_not_parse_or_load() -> None:
    request = RequestFactory().post("/a/", b"Marker", content_type="text/plain")
    request.user = SimpleLazyObject(lambda: pytest.fail("loaded"))
    bare = BareRequest(request)
    assert (bare.method, bare.path, bare.user) == ("POST", "/a/", "<SimpleLazyObject>")
    assert repr(BareRequest(RequestFactory().get("/a/?q=Marker"))) == "<BareRequest: GET '/a/'>"


# -- a running site -----------------------------------------------------------------------------


def test_unknown_address_is_logged_without_its_query(db: None, client: Client) -> None:
    handler = Foreign()
    logger = logging.getLogger("django.request")
    logger.addHandler(handler)
    try:
        client.get("/no/such/анна@example.com/?q=Marker")
    finally:
        logger.removeHandler(handler)
    (line,) = handler.lines
    assert line.startswith("Not Found: /no/such/[text]")
    assert not [part for part in ("Marker", "u0430", "анна") if part in handler.seen]


def test_a_failing_page_is_logged_without_data(
    db: None, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Any, request: Any, username: str, password: str) -> None:
        raise ValueError(f"{username} {password}")

    monkeypatch.setattr("identity.auth.RolesBackend.authenticate", fail)
    handler = Foreign()
    logger = logging.getLogger("django.request")
    logger.addHandler(handler)
    client.raise_request_exception = False
    try:
        client.post("/admin/login/?next=Marker", {"username": "Marker", "password": "Marker"})
    finally:
        logger.removeHandler(handler)
    assert "Marker" not in lines_without_code(handler.seen)
    assert "/admin/login/" in handler.lines[0]


# -- Sentry -------------------------------------------------------------------------------------


def event() -> dict[str, Any]:
    frame = {
        "filename": "a.py",
        "function": "submit",
        "lineno": 12,
        "context_line": "    note = form['note']",
        "vars": {"note": "'Marker'", "self": "<User: Marker>"},
    }
    return {
        "event_id": "0192f3c48a2b7c3d9e4f5a6b7c8d9e0f",
        "level": "error",
        "transaction": "/admin/?q=Marker",
        "logentry": {
            "message": "to %s",
            "params": ["Marker@example.com"],
            "formatted": "to Marker@example.com",
        },
        "exception": {
            "values": [
                {"type": kind, "value": "Marker", "stacktrace": {"frames": [frame]}}
                for kind in ("ValueError", "ImproperlyConfigured")
            ]
        },
        "request": {
            "url": "https://example.com/a/?q=Marker",
            "method": "POST",
            "query_string": "q=Marker",
            "data": {"note": "Marker"},
            "cookies": {"sessionid": "Marker"},
            "headers": {"Referer": "Marker"},
            "env": {"REMOTE_ADDR": "Marker"},
        },
        "user": {"id": "1", "email": "Marker", "ip_address": "Marker"},
        "extra": {"email": "Marker", "object": Speaks(), "n": 3, "sys.argv": ["manage.py"]},
        "contexts": {"form": {"display_name": "Marker"}},
        "breadcrumbs": {
            "values": [{"category": "query", "message": "SELECT 'x' /* Marker@example.com */"}]
        },
        "spans": [{"op": "http", "description": "GET https://api.example.com/?phone=Marker"}],
        "tags": {"url": "/a/?q=Marker"},
    }  # fmt: skip


def test_event_is_scrubbed() -> None:
    given = event()
    shown = scrub(given)
    assert "Marker" not in json.dumps(shown)
    assert shown["request"] == {"method": "POST", "url": "https://example.com/a/?[query]"}
    frame = shown["exception"]["values"][0]["stacktrace"]["frames"][0]
    assert frame["context_line"] == "    note = form['note']"
    assert (frame["lineno"], shown["event_id"]) == (12, given["event_id"])
    assert shown["breadcrumbs"]["values"][0]["message"] == "SELECT 'x' /* [e-mail] */"
    assert given == {**event(), "extra": given["extra"]}  # the event is copied


def test_event_keeps_safe_messages() -> None:
    try:
        try:
            int("Marker")
        except ValueError as error:
            raise ImproperlyConfigured("X must be set") from error
    except ImproperlyConfigured:
        hint = {"exc_info": sys.exc_info()}
    values = scrub(event(), hint)["exception"]["values"]
    assert [entry["value"] for entry in values] == [WITHHELD, "X must be set"]


def test_breadcrumb_is_scrubbed() -> None:
    crumb = {
        "type": "http",
        "category": "httplib",
        "message": "to Marker@example.com",
        "data": {"url": "https://example.com/?q=Marker", "status_code": 200, "email": "Marker"},
    }
    assert scrub(crumb, {}) == {
        "type": "http",
        "category": "httplib",
        "message": "to [e-mail]",
        "data": {"url": "https://example.com/?[query]", "status_code": 200, "email": "[withheld]"},
    }


@pytest.mark.django_db
def test_logging_a_row_sends_no_query(
    log: Any, django_assert_num_queries: Callable[..., Any]
) -> None:
    logger, _handler = log
    person = User.objects.only("id").get(pk=UserFactory().pk)
    with django_assert_num_queries(0):
        logger.info("%s %r", person, User.objects.all(), extra={"who": person})
