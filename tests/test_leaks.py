"""No P1 value, P2 value or ciphertext reaches a log, a report, a dump or the server's own log.

Every such column of every model receives a unique value. Then the tests cause every kind of failure
and search the recorded output for the values.
"""

from __future__ import annotations

import copy
import json
import logging
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.db import connection, models, transaction
from django.test import Client, RequestFactory
from django.views.debug import technical_500_response
from psycopg.types.json import Jsonb

from audit.models import AuditLogEntry
from ebalance.db.encryption.fields import (
    BlindIndex,
    Plaintext,
    ProtectedField,
    SealedField,
    SealedJSON,
)
from ebalance.db.fields import SecureURL
from ebalance.db.schema import data_map
from ebalance.dev.bundled import Server, bundled_bin_dir
from ebalance.redaction.exceptions import formatted
from ebalance.redaction.records import STANDARD, AdminMail
from ebalance.redaction.sentry import scrub
from tests.admin.support import WITHOUT_A_PAGE, form_data, page, row_pages
from tests.databases import Database
from tests.factories import FACTORIES, UserFactory
from tests.privacy.pii_markers import takes_text
from tests.processes import HANG_TIMEOUT, ROOT, environment, eventually, free_port
from tests.sessions import Session

WORD = "qzxleak"  # in each value that may have letters
NUMBER = "77700777"  # in each that has digits only
# Traits with which a factory fills the column.
TRAITS: dict[str, dict[str, Any]] = {"identity.DataExportRequest": {"ready": True}}
# Their rows never change: the values are given at creation.
FIXED = {AuditLogEntry}
# Django fills it at a login.
NOT_PLANTED = {"django_session"}


@dataclass
class Planted:
    """A row, a personal column, and the forms in which its value must not appear."""

    row: models.Model
    field: models.Field
    value: str
    ciphertext: str | None = None

    def __str__(self) -> str:
        return f"{self.field.model._meta.db_table}.{self.field.column}"


def plain_value(column: str, number: int) -> str:
    """A value that the rules of a column of this name accept."""
    word = f"{WORD}{number:03}"
    if "phone" in column:
        return f"+79{NUMBER}{number:03}"
    if column == "telegram_user_id":
        return f"{NUMBER}{number:03}"
    if column == "password":
        return f"!{word:x<40}"
    if column == "code_hash":
        return f"argon2$argon2id${word:x<40}"
    return f"{word}@example.com" if re.search("email|contact", column) else word


def planted_value(field: models.Field, row: models.Model, number: int) -> tuple[Any, str]:
    """The value to assign, and the text in it."""
    value = plain_value(field.column, number)
    if isinstance(field, SecureURL):
        value = f"https://example.com/{value}"
    elif isinstance(field, models.GenericIPAddressField):
        value = f"2001:db8:777::{number + 1}"
    if isinstance(field, SealedJSON):
        payload = copy.deepcopy(getattr(row, field.name).open())
        payload["note"] = value
        return Plaintext(payload), value
    return (Plaintext(value) if isinstance(field, ProtectedField) else value), value


def plant() -> list[Planted]:
    """A row of each model with personal columns, all of them filled."""
    planted_rows: list[Planted] = []
    for table in data_map.tables():
        columns = [c.field for c in table.columns if c.privacy != "P0" and takes_text(c)]
        if not columns or table.name in NOT_PLANTED:
            continue
        model = table.model
        row = FACTORIES[model](**TRAITS.get(model._meta.label, {}))
        assigned: dict[str, Any] = {}
        added: list[Planted] = []
        for field in columns:
            value = ""
            if not isinstance(field, BlindIndex):  # computed from its source column
                number = len(planted_rows) + len(added)
                assigned[field.name], value = planted_value(field, row, number)
            added.append(Planted(row, field, value))
        if model in FIXED:
            row = FACTORIES[model](**assigned)
            added = [replace(planted, row=row) for planted in added]
        else:
            for name, new in assigned.items():
                setattr(row, name, new)
            row.save()
        planted_rows += added
    for planted in planted_rows:
        if isinstance(planted.field, ProtectedField):
            planted.ciphertext = getattr(planted.row, planted.field.name).text
    return planted_rows


def leaks(text: str, planted: list[Planted]) -> set[str]:
    """The columns whose value, or its ciphertext, is in `text`."""
    shown = {str(p) for p in planted if p.value and p.value in text}
    shown |= {str(p) for p in planted if p.ciphertext and p.ciphertext.split(".")[2] in text}
    return shown | {part for part in (WORD, NUMBER) if part in text}


def two_columns(planted: list[Planted]) -> list[Planted]:
    """One plain column and one sealed column."""
    sealed = next(p for p in planted if isinstance(p.field, SealedField))
    return [next(p for p in planted if not isinstance(p.field, ProtectedField)), sealed]


# -- recorded output ----------------------------------------------------------------------------


class Notebook(logging.Handler):
    """A handler that keeps everything that another tool could see."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(logging.Formatter("%(levelname)s %(name)s %(message)s"))
        self.pages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        extra = {k: v for k, v in vars(record).items() if k not in STANDARD}
        event = {"logentry": {"message": record.msg}, "extra": extra}
        self.pages += [self.format(record), repr((record.msg, record.args, extra))]
        self.pages.append(json.dumps(scrub(event, {"exc_info": record.exc_info})))

    @property
    def text(self) -> str:
        return "\n".join(self.pages)


@contextmanager
def record_all_logs() -> Iterator[Notebook]:
    """Set all loggers to DEBUG, including statements."""
    notebook = Notebook()
    loggers = [logging.getLogger(), *map(logging.getLogger, logging.root.manager.loggerDict)]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
        if not logger.propagate or logger is logging.root:
            logger.addHandler(notebook)
    connection.force_debug_cursor = True
    connection.queries_log.clear()
    try:
        yield notebook
        notebook.pages.append(repr(connection.queries))
    finally:
        connection.force_debug_cursor = False
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
            logger.removeHandler(notebook)


# -- failures -----------------------------------------------------------------------------------


def statements(p: Planted) -> Iterator[tuple[str, list[Any]]]:
    """Raw SQL that the database refuses, with the value in the statement or in the row."""
    meta = p.row._meta
    table, key, column = meta.db_table, meta.pk.column, p.field.column
    names = [f.column for f in meta.concrete_fields if f.column != key]
    rest = ", ".join(f'"{name}"' for name in names)
    pk, value = p.row.pk, p.value
    # "Failing row contains (…)", "Key (…)=(…) already exists", a trigger.
    yield f'INSERT INTO "{table}" ("{key}", {rest}) SELECT NULL, {rest} FROM "{table}"', []
    yield f'INSERT INTO "{table}" SELECT * FROM "{table}" WHERE "{key}" = %s', [pk]
    yield f'UPDATE "{table}" SET "{key}" = %s WHERE "{key}" = %s', [uuid.uuid4(), pk]
    yield f'UPDATE "{table}" SET "{column}" = %s, "{key}" = NULL WHERE "{key}" = %s', [value, pk]
    for kind in ("uuid", "int", "jsonb", "timestamptz", "int4range", "int[]", "bool", "inet"):
        yield f"SELECT %s::{kind}", [value]
    yield "SELECT 'a' ~ %s", [f"({value}"]
    yield "SELEC %s", [value]
    yield "SELECT %s FROM no_such_table", [value]
    yield "SELECT no_such_function(%s)", [value]
    yield "SELECT %s, %s", [value]  # one is missing
    yield "SELECT %s", [f"{value}\0"]
    yield "SELECT %s", [Jsonb({value: "\0"})]
    yield "SELECT %s", [object()]


def in_the_database(p: Planted) -> Iterator[Callable[[], Any]]:
    for sql, params in statements(p):

        def execute(sql: str = sql, params: list[Any] = params) -> None:
            with connection.cursor() as cursor:
                cursor.execute(sql, params)

        yield execute

    def twice() -> None:
        type(p.row)._base_manager.bulk_create([copy.copy(p.row)])

    yield twice
    yield lambda: type(p.row)._base_manager.filter(pk=p.value or "x").count()
    yield lambda: type(p.row)._base_manager.filter(**{p.field.name: p.row}).count()


def in_the_code(p: Planted) -> Iterator[Callable[[], Any]]:
    """Code that fails while it holds the value."""
    value = getattr(p.row, p.field.name)
    opened = value.open() if hasattr(value, "open") else p.value
    text = p.value or p.ciphertext
    yield lambda: int(text)
    yield lambda: {}[text]
    yield lambda: [opened].index(value)
    yield lambda: uuid.UUID(text)
    yield lambda: json.loads(text)
    yield lambda: text.encode().decode("utf-16-be").encode("ascii")
    yield lambda: Path(f"/no/such/{text}").read_text()
    yield lambda: setattr(p.row, p.field.attname, text) or p.row.full_clean()
    yield lambda: setattr(p.row, p.field.name, [opened])
    yield lambda: getattr(p.row, text)
    yield lambda: type(p.row)._base_manager.filter(**{text: 1})
    yield lambda: _raise(ValidationError("%(value)s", "invalid", {"value": text}))
    yield lambda: _raise(ValidationError({"__all__": [text]}))
    yield lambda: _raise(AssertionError(f"{p.row} {opened}"))
    yield lambda: _raise(ExceptionGroup(text, [ValueError(text), KeyError(p.row)]))
    yield lambda: _raise(ValueError(text), KeyError(text))
    yield lambda: _raise(OSError(550, text))


def _raise(error: Exception, cause: Exception | None = None) -> None:
    error.add_note(str(error))
    raise error from cause


def cause_failures(
    planted: list[Planted],
    failures_of: Callable[[Planted], Iterator[Callable[[], Any]]],
    notebook: Notebook,
) -> int:
    """Cause each failure, report it in every form, and return the number of failures."""
    failures = 0
    for p in planted:
        kept = copy.copy(p.row.__dict__)
        for fail in failures_of(p):
            try:
                with transaction.atomic():
                    fail()
            except Exception as error:
                failures += 1
                # Pages are slow: make all pages for the first column, and a sample for the others.
                with_page = failures % 15 == 0 or (p is planted[0] and len(planted) > 2)
                report(error, p, notebook, with_page=with_page)
            p.row.__dict__.update(kept)
    return failures


def report(error: Exception, p: Planted, notebook: Notebook, *, with_page: bool) -> None:
    """Report the error like careless code, and like Django."""
    logger = logging.getLogger("tests.leaks")
    where = f"/admin/?{p.field.name}={p.value}"
    request = RequestFactory().post(where, {p.field.name: p.value}, headers={"referer": where})
    request.user = p.row
    extra = {"request": request, "row": p.row, "rows": [{p.field.column: p.value}]}
    logger.exception("failed for %s: %s", p.row, error, extra={**extra, p.field.column: p.value})
    logger.debug("%s", {p.field.name: getattr(p.row, p.field.name, None)}, extra={"given": extra})
    logger.info(f"{p.field.column}={p.value}")
    notebook.pages.append(formatted(error))
    if with_page:
        page = technical_500_response(request, type(error), error, error.__traceback__)
        notebook.pages.append(page.content.decode())


def visit_admin(planted: list[Planted], client: Client) -> None:
    """Open admin's pages of each row, search, and post refused forms."""
    templates = logging.getLogger("django.template")
    for row in {p.row.pk: p.row for p in planted}.values():
        if row._meta.label in WITHOUT_A_PAGE:
            continue
        for address in row_pages(row):
            response = client.get(address)
            if address.endswith("/change/") and "adminform" in (response.context or ()):
                client.post(address, {**form_data(response), "status": f"{WORD} {NUMBER}"})
        templates.setLevel(logging.INFO)  # each page would repeat its missing variables
    for p in planted:
        if p.field.model._meta.label not in WITHOUT_A_PAGE:
            meta = p.field.model._meta
            client.get(f"/admin/{meta.app_label}/{meta.model_name}/", {"q": p.value})
            client.get(f"/admin/{meta.app_label}/{meta.model_name}/{p.value}/", {"e": p.value})
    client.post("/admin/login/", {"username": planted[0].value, "password": planted[0].value})


# -- the tests ----------------------------------------------------------------------------------


def test_every_personal_column_is_planted(db: None) -> None:
    columns = [c for c in data_map.columns() if c.privacy != "P0" and takes_text(c)]
    personal = {column.name for column in columns}
    planted = plant()
    assert personal - {"session_key", "session_data"} == {p.field.column for p in planted}
    for p in planted:
        assert p.value or p.ciphertext
        with connection.cursor() as cursor:
            cursor.execute(
                f'SELECT "{p.field.column}" FROM "{p.row._meta.db_table}" WHERE id = %s', [p.row.pk]
            )
            assert cursor.fetchone() == (p.ciphertext or p.value,)


@pytest.mark.parametrize(
    "chosen",
    [
        pytest.param(two_columns, id="two"),
        pytest.param(list, id="all", marks=pytest.mark.slow),
    ],
)
def test_database_refusals_log_no_personal_value(
    db: None, capfd: pytest.CaptureFixture[str], chosen: Callable[[list[Planted]], list[Planted]]
) -> None:
    with record_all_logs() as notebook:
        planted = plant()
        refused = chosen(planted)
        failures = cause_failures(refused, in_the_database, notebook)
    notebook.pages += capfd.readouterr()
    assert failures > 15 * len(refused)
    for part in ("INSERT INTO", "SQLSTATE 22P02", "_id_stays", "cannot contain NUL", "Traceback"):
        assert part in notebook.text
    assert leaks(notebook.text, planted) == set()


@pytest.mark.slow
def test_admin_pages_log_no_personal_value(db: None, capfd: pytest.CaptureFixture[str]) -> None:
    owner = Client(raise_request_exception=False)
    owner.force_login(UserFactory(role="owner"))
    with record_all_logs() as notebook:
        planted = plant()
        visit_admin(planted, owner)
    notebook.pages += capfd.readouterr()
    assert "GET" in notebook.text or "SELECT" in notebook.text
    assert leaks(notebook.text, planted) == set()


@pytest.mark.slow
def test_errors_in_code_log_no_personal_value(
    db: None, settings: Any, mailoutbox: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    settings.ADMINS = ["ops@localhost"]
    settings.MAILERS = {"default": {"BACKEND": "django.core.mail.backends.locmem.EmailBackend"}}
    logger, mails = logging.getLogger("tests.leaks"), AdminMail(include_html=True)
    mails.setLevel(logging.ERROR)
    with record_all_logs() as notebook:
        planted = plant()
        logger.addHandler(mails)
        try:
            failures = cause_failures(planted[:1], in_the_code, notebook)
        finally:
            logger.removeHandler(mails)
        failures += cause_failures(planted[1:], in_the_code, notebook)
    for mail in mailoutbox:
        notebook.pages += [mail.subject, mail.body, mail.alternatives[0].content]
    notebook.pages += capfd.readouterr()
    assert failures > 12 * len(planted)
    assert len(mailoutbox) > 12
    for part in ("KeyError", "UnicodeEncodeError", "ExceptionGroup", "message withheld"):
        assert part in notebook.text
    assert leaks(notebook.text, planted) == set()


def pages_of(role: str, planted: list[Planted]) -> str:
    """The admin pages and lists of the planted rows for a user with this role."""
    client = Client()
    client.force_login(UserFactory(role=role))
    pages = []
    for row in {p.row.pk: p.row for p in planted}.values():
        if row._meta.label not in WITHOUT_A_PAGE:
            for address in (page(type(row), "changelist"), *row_pages(row)):
                pages.append(client.get(address).content.decode())
    return "\n".join(pages)


@pytest.mark.slow
def test_admin_pages_show_no_sealed_value(db: None) -> None:
    planted = plant()
    sealed = [p for p in planted if isinstance(p.field, ProtectedField)]
    shown = leaks(pages_of("owner", planted), planted)
    assert shown & {str(p) for p in sealed} == set()
    # The owner sees plain contacts, the editor does not.
    assert {"users.email", "users.phone", "users.display_name"} <= shown
    assert leaks(pages_of("editor", planted), planted) == set()


def test_search_for_leaks_detects_every_planted_value(db: None) -> None:
    """The searches of the tests above are effective."""
    with record_all_logs() as notebook:
        planted = plant()
    for p in planted:
        with pytest.raises(KeyError) as caught:
            {}[p.ciphertext or p.value]
        assert str(p) in leaks(repr(caught.value), planted)
    assert leaks(notebook.text, planted) == set()
    assert leaks(f"{notebook.text} {planted[0].value}", planted) == {str(planted[0]), WORD}


@pytest.mark.slow
def test_deadlocks_and_serialization_failures_quote_no_value(fresh_database: Database) -> None:
    with fresh_database.connect(autocommit=True) as plain:
        keys = [
            plain.execute(
                "INSERT INTO users (email, display_name) VALUES (%s, %s) RETURNING id",
                [f"{WORD}{n}@example.com", WORD],
            ).fetchone()[0]
            for n in range(2)
        ]
    errors = []
    update = "UPDATE users SET display_name = %s WHERE id = %s"
    first, second = (
        Session(fresh_database, "read committed"),
        Session(fresh_database, "serializable"),
    )
    first.start(update, f"{WORD} 1", keys[0])
    second.start(update, f"{WORD} 2", keys[1])
    first.wait()
    second.wait()
    first.start(update, f"{WORD} 3", keys[1])
    second.start(update, f"{WORD} 4", keys[0])
    first.wait()
    second.wait()
    errors += [session.error for session in (first, second) if session.error]
    first.connection.close()
    second.connection.close()
    late = Session(fresh_database, "serializable")
    with fresh_database.connect(autocommit=True) as plain:
        plain.execute(update, [f"{WORD} 5", keys[0]])
    late.start(update, f"{WORD} 6", keys[0])
    late.wait()
    errors += [late.error]
    late.connection.close()
    assert {type(error).__name__ for error in errors} == {
        "DeadlockDetected",
        "SerializationFailure",
    }
    with record_all_logs() as notebook:
        for error in errors:
            logging.getLogger("tests.leaks").error("%s", error, exc_info=error)
    assert "DeadlockDetected" in notebook.text
    assert WORD not in notebook.text


def test_dump_holds_personal_values_only_on_request(db: None) -> None:
    planted = plant()
    dumped, warnings = StringIO(), StringIO()
    call_command("dumpdata", "--all", stdout=dumped, stderr=warnings)
    assert leaks(dumped.getvalue(), planted) == set()
    assert len(json.loads(dumped.getvalue())) > len(planted)
    for p in planted:
        assert str(p) in warnings.getvalue()
    full = StringIO()
    call_command("dumpdata", "--all", "--with-personal-data", stdout=full, stderr=warnings)
    assert leaks(full.getvalue(), planted) >= {str(p) for p in planted if not is_json(p)}
    again = StringIO()
    call_command("dumpdata", "--all", stdout=again, stderr=warnings)
    assert again.getvalue() == dumped.getvalue()  # no switch is left changed


def is_json(p: Planted) -> bool:
    return isinstance(p.field, SealedJSON) and p.ciphertext is None


def test_dump_has_no_sessions_and_no_natural_keys(db: None) -> None:
    client = Client()
    client.force_login(UserFactory(role="owner"))
    dumped, warnings = StringIO(), StringIO()
    call_command("dumpdata", "sessions", "identity.User", stdout=dumped, stderr=warnings)
    assert client.session.session_key not in dumped.getvalue()
    assert "django_session" in warnings.getvalue()
    assert "lead_notes" not in warnings.getvalue()
    for option in ("--natural-foreign", "--natural-primary"):
        with pytest.raises(Exception, match="--with-personal-data"):
            call_command("dumpdata", option, stdout=dumped, stderr=warnings)


def test_refused_fixture_is_named_without_its_values(db: None, tmp_path: Path) -> None:
    key = str(uuid.uuid4())
    cases: list[tuple[str, dict[str, Any], str]] = [
        ("identity.user", {"created_at": WORD}, "users.created_at"),
        ("identity.user", {"is_superuser": WORD}, "users.is_superuser"),
        ("identity.userrole", {"user": WORD, "role": "client"}, "user_roles.user_id"),
        ("crm.leadnote", {"note_encrypted": WORD}, "lead_notes.note_encrypted"),
    ]
    path = tmp_path / "wrong.json"
    for model, fields, column in cases:
        path.write_text(json.dumps([{"model": model, "pk": key, "fields": fields}]))
        with pytest.raises(Exception) as caught:  # noqa: PT011  (its text is what is checked)
            call_command("loaddata", path, verbosity=0)
        shown = f"{caught.value} {formatted(caught.value)}"
        assert WORD not in shown
        assert column in str(caught.value)
        assert str(path) in str(caught.value)
    path.write_text(json.dumps([{"model": "identity.user", "pk": WORD, "fields": {}}]))
    with pytest.raises(Exception, match=r"users\.id") as caught:
        call_command("loaddata", path, verbosity=0)
    assert WORD not in str(caught.value)


@pytest.mark.slow
def test_failing_command_prints_nothing_personal() -> None:
    code = f"value = {WORD!r} + '1'; int(value)"
    command = [sys.executable, str(ROOT / "manage.py"), "shell", "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, env=environment(), cwd=ROOT)
    assert result.returncode == 1
    assert "ValueError: (message withheld)" in result.stderr
    assert f"{WORD}1" not in result.stderr
    shown = subprocess.run(
        [*command, "--traceback"], capture_output=True, text=True, env=environment(), cwd=ROOT
    )
    assert f"{WORD}1" in shown.stderr


@pytest.mark.slow
def test_runserver_logs_no_query(fresh_database: Database) -> None:
    port = free_port()
    command = [sys.executable, str(ROOT / "manage.py"), "runserver", "--noreload", str(port)]
    server = subprocess.Popen(
        command,
        env=environment(DATABASE_URL=fresh_database.url, PYTHONWARNINGS=None),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:

        def asked() -> bool:
            for address in (f"/admin/login/?next={WORD}", f"/no/such/?q={WORD}@example.com"):
                try:
                    url = f"http://127.0.0.1:{port}{address}"
                    urllib.request.urlopen(url, timeout=HANG_TIMEOUT).close()
                except urllib.error.HTTPError as error:
                    error.close()
                except OSError:
                    return False
            return True

        assert eventually(asked)
    finally:
        server.terminate()
        printed = server.communicate(timeout=HANG_TIMEOUT)[0]
    assert "GET /admin/login/ HTTP" in printed
    assert "Not Found: /no/such/" in printed
    assert WORD not in printed


# -- the server's own log -----------------------------------------------------------------------

PROGRAMS = {"bundled": bundled_bin_dir, "15": lambda: Path("/usr/lib/postgresql/15/bin")}
LOUD = {"log_statement": "all", "log_min_duration_statement": "0"}


@pytest.fixture(params=PROGRAMS, scope="module")
def loud_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A separate server that logs all statements."""
    bin_dir = PROGRAMS[request.param]()
    if not (bin_dir / "postgres").exists():
        pytest.skip(f"no PostgreSQL {request.param} on this system")
    folder = Path(tempfile.mkdtemp(prefix="ebalance-leaks-"))
    made = Server(bin_dir, folder / "data", options={"fsync": "off", **LOUD}, quiet=True)
    made.start("ebalance")
    yield made
    made.close(wait=True)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.slow
def test_server_log_receives_no_personal_value(loud_server: Server) -> None:
    """The refusals of the database again, on a server that logs every statement."""
    start = loud_server.cluster.log_path.stat().st_size
    tests = f"{__file__}::test_database_refusals_log_no_personal_value"
    tests += "[two]"
    options = ("-p", "no:cacheprovider", "-p", "no:duration-limit")
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *options, tests],
        env=environment(DATABASE_URL=loud_server.url("ebalance")),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=HANG_TIMEOUT,
    )
    assert result.returncode == 0, result.stdout
    with loud_server.cluster.log_path.open(errors="replace") as file:
        file.seek(start)
        log = file.read()
    assert 'INSERT INTO "users"' in log
    assert "$1" in log
    assert WORD not in log
    assert NUMBER not in log
    assert not re.search(r"v1\.[a-z0-9]+\.[\w-]{38}", log)  # ciphertext of any row


@pytest.mark.slow
def test_server_log_receives_values_of_plain_psycopg(loud_server: Server) -> None:
    """Without the project's backend or the quiet settings, the log holds the values."""
    with psycopg.connect(
        **loud_server.params,
        dbname="ebalance",
        autocommit=True,
        cursor_factory=psycopg.ClientCursor,
    ) as plain:
        plain.execute("SELECT %s", [f"{WORD} in the statement"])
    with psycopg.connect(**loud_server.params, dbname="ebalance", autocommit=True) as plain:
        plain.execute("SET log_parameter_max_length = -1; SET log_error_verbosity = verbose")
        plain.execute("SELECT %s", [f"{WORD} in a parameter"])
        plain.execute("SET log_min_messages = error")
        with pytest.raises(psycopg.DataError):
            plain.execute("SELECT %s::int", [f"{WORD} in an error"])
    log = loud_server.cluster.log_path.read_text(errors="replace")
    for source in ("the statement", "a parameter", "an error"):
        assert f"{WORD} in {source}" in log
