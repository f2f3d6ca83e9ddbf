"""Nothing that is P1, P2 or ciphertext reaches a log, a report, a dump or the server's own log.

Every such column of every model is given a value that is found nowhere else. Then all goes wrong
that can, and what was written down meanwhile is searched.
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
from dataclasses import dataclass
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

from ebalance.db.encryption.fields import (
    BlindIndex,
    Plaintext,
    ProtectedField,
    SealedField,
    SealedJSON,
)
from ebalance.db.schema import data_map
from ebalance.dev.bundled import Server, bundled_bin_dir
from ebalance.redaction.exceptions import formatted
from ebalance.redaction.records import STANDARD, AdminMail
from ebalance.redaction.sentry import scrub
from tests.admin.support import WITHOUT_A_PAGE, form_data, page, row_pages
from tests.databases import Database
from tests.factories import FACTORIES, UserFactory
from tests.processes import HANG_TIMEOUT, ROOT, environment, eventually, free_port
from tests.sessions import Session

WORD = "qzxleak"  # in each value that may have letters
NUMBER = "77700777"  # in each that has digits only
# How a row comes to have a value in the column.
TRAITS: dict[str, dict[str, Any]] = {"identity.DataExportRequest": {"ready": True}}
# Django's own: filled by signing in.
NOT_PLANTED = {"django_session"}


@dataclass
class Planted:
    """A row, a personal column of it, and what its value must not be seen as."""

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
    return f"{word}@example.com" if re.search("email|contact", column) else word


def planted_value(field: models.Field, row: models.Model, number: int) -> tuple[Any, str]:
    """What is assigned, and the text in it."""
    value = plain_value(field.column, number)
    if isinstance(field, SealedJSON):
        payload = copy.deepcopy(getattr(row, field.name).open())
        payload["note"] = value
        return Plaintext(payload), value
    return (Plaintext(value) if isinstance(field, ProtectedField) else value), value


def plant() -> list[Planted]:
    """A row of each model with personal columns, all of them filled."""
    found: list[Planted] = []
    for table in data_map.tables():
        columns = [c.field for c in table.columns if c.privacy != "P0"]
        if not columns or table.name in NOT_PLANTED:
            continue
        model = table.model
        row = FACTORIES[model](**TRAITS.get(model._meta.label, {}))
        for field in columns:
            value = ""
            if not isinstance(field, BlindIndex):  # follows the column it is computed from
                assigned, value = planted_value(field, row, len(found))
                setattr(row, field.name, assigned)
            found.append(Planted(row, field, value))
        row.save()
    for planted in found:
        if isinstance(planted.field, ProtectedField):
            planted.ciphertext = getattr(planted.row, planted.field.name).text
    return found


def leaks(text: str, planted: list[Planted]) -> set[str]:
    """The columns whose value, or its ciphertext, is in `text`."""
    found = {str(p) for p in planted if p.value and p.value in text}
    found |= {str(p) for p in planted if p.ciphertext and p.ciphertext.split(".")[2] in text}
    return found | {part for part in (WORD, NUMBER) if part in text}


def two_columns(planted: list[Planted]) -> list[Planted]:
    """One in the open and one sealed."""
    sealed = next(p for p in planted if isinstance(p.field, SealedField))
    return [next(p for p in planted if not isinstance(p.field, ProtectedField)), sealed]


# -- what is written down -----------------------------------------------------------------------


class Notebook(logging.Handler):
    """Keeps all that a handler of another tool could see."""

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
def everything_written_down() -> Iterator[Notebook]:
    """All loggers at DEBUG, statements included."""
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


# -- what goes wrong ----------------------------------------------------------------------------


def statements(p: Planted) -> Iterator[tuple[str, list[Any]]]:
    """Raw SQL that the database refuses, with the value in it or in the row."""
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
    """Code that has the value in its hands when it fails."""
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


def goes_wrong(
    planted: list[Planted],
    ways: Callable[[Planted], Iterator[Callable[[], Any]]],
    notebook: Notebook,
) -> int:
    """Let each failure happen, and report it in every way. Returns how many there were."""
    failures = 0
    for p in planted:
        kept = copy.copy(p.row.__dict__)
        for fail in ways(p):
            try:
                with transaction.atomic():
                    fail()
            except Exception as error:
                failures += 1
                # Pages are slow to make: all of one column if all are tried, and some else.
                with_page = failures % 15 == 0 or (p is planted[0] and len(planted) > 2)
                report(error, p, notebook, with_page=with_page)
            p.row.__dict__.update(kept)
    return failures


def report(error: Exception, p: Planted, notebook: Notebook, *, with_page: bool) -> None:
    """As a careless programmer would, and as Django does."""
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


def look_around(planted: list[Planted], client: Client) -> None:
    """Admin's pages of each row, searches, forms that are refused."""
    templates = logging.getLogger("django.template")
    for row in {p.row.pk: p.row for p in planted}.values():
        if row._meta.label in WITHOUT_A_PAGE:
            continue
        for address in row_pages(row):
            response = client.get(address)
            if address.endswith("/change/") and "adminform" in (response.context or ()):
                client.post(address, {**form_data(response), "status": f"{WORD} {NUMBER}"})
        templates.setLevel(logging.INFO)  # each page would say again which variables it lacks
    for p in planted:
        if p.field.model._meta.label not in WITHOUT_A_PAGE:
            meta = p.field.model._meta
            client.get(f"/admin/{meta.app_label}/{meta.model_name}/", {"q": p.value})
            client.get(f"/admin/{meta.app_label}/{meta.model_name}/{p.value}/", {"e": p.value})
    client.post("/admin/login/", {"username": planted[0].value, "password": planted[0].value})


# -- the tests ----------------------------------------------------------------------------------


def test_every_personal_column_is_planted(db: None) -> None:
    personal = {c.name for t in data_map.tables() for c in t.columns if c.privacy != "P0"}
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
def test_what_the_database_refuses_is_not_written_down(
    db: None, capfd: pytest.CaptureFixture[str], chosen: Callable[[list[Planted]], list[Planted]]
) -> None:
    with everything_written_down() as notebook:
        planted = plant()
        refused = chosen(planted)
        failures = goes_wrong(refused, in_the_database, notebook)
    notebook.pages += capfd.readouterr()
    assert failures > 15 * len(refused)
    for part in ("INSERT INTO", "SQLSTATE 22P02", "_id_stays", "cannot contain NUL", "Traceback"):
        assert part in notebook.text
    assert leaks(notebook.text, planted) == set()


@pytest.mark.slow
def test_no_page_of_admin_writes_down_what_is_personal(
    db: None, capfd: pytest.CaptureFixture[str]
) -> None:
    owner = Client(raise_request_exception=False)
    owner.force_login(UserFactory(role="owner"))
    with everything_written_down() as notebook:
        planted = plant()
        look_around(planted, owner)
    notebook.pages += capfd.readouterr()
    assert "GET" in notebook.text or "SELECT" in notebook.text
    assert leaks(notebook.text, planted) == set()


@pytest.mark.slow
def test_what_code_stumbles_over_is_not_written_down(
    db: None, settings: Any, mailoutbox: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    settings.ADMINS = ["ops@localhost"]
    settings.MAILERS = {"default": {"BACKEND": "django.core.mail.backends.locmem.EmailBackend"}}
    logger, mails = logging.getLogger("tests.leaks"), AdminMail(include_html=True)
    mails.setLevel(logging.ERROR)
    with everything_written_down() as notebook:
        planted = plant()
        logger.addHandler(mails)
        try:
            failures = goes_wrong(planted[:1], in_the_code, notebook)
        finally:
            logger.removeHandler(mails)
        failures += goes_wrong(planted[1:], in_the_code, notebook)
    for mail in mailoutbox:
        notebook.pages += [mail.subject, mail.body, mail.alternatives[0].content]
    notebook.pages += capfd.readouterr()
    assert failures > 12 * len(planted)
    assert len(mailoutbox) > 12
    for part in ("KeyError", "UnicodeEncodeError", "ExceptionGroup", "message withheld"):
        assert part in notebook.text
    assert leaks(notebook.text, planted) == set()


def pages_of(role: str, planted: list[Planted]) -> str:
    """What admin shows of the planted rows, and lists of them, to somebody with this role."""
    client = Client()
    client.force_login(UserFactory(role=role))
    found = []
    for row in {p.row.pk: p.row for p in planted}.values():
        if row._meta.label not in WITHOUT_A_PAGE:
            for address in (page(type(row), "changelist"), *row_pages(row)):
                found.append(client.get(address).content.decode())
    return "\n".join(found)


@pytest.mark.slow
def test_no_page_of_admin_shows_what_is_sealed(db: None) -> None:
    planted = plant()
    sealed = [p for p in planted if isinstance(p.field, ProtectedField)]
    shown = leaks(pages_of("owner", planted), planted)
    assert shown & {str(p) for p in sealed} == set()
    # Contacts in the open are there for the owner to see, and for nobody in the editor's place.
    assert {"users.email", "users.phone", "users.display_name"} <= shown
    assert leaks(pages_of("editor", planted), planted) == set()


def test_what_is_searched_for_can_be_found(db: None) -> None:
    """The two tests above would notice."""
    with everything_written_down() as notebook:
        planted = plant()
    for p in planted:
        with pytest.raises(KeyError) as caught:
            {}[p.ciphertext or p.value]
        assert str(p) in leaks(repr(caught.value), planted)
    assert leaks(notebook.text, planted) == set()
    assert leaks(f"{notebook.text} {planted[0].value}", planted) == {str(planted[0]), WORD}


@pytest.mark.slow
def test_a_deadlock_and_a_serialization_failure_quote_nothing(fresh_database: Database) -> None:
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
    with everything_written_down() as notebook:
        for error in errors:
            logging.getLogger("tests.leaks").error("%s", error, exc_info=error)
    assert "DeadlockDetected" in notebook.text
    assert WORD not in notebook.text


def test_a_dump_holds_nothing_personal_unless_asked(db: None) -> None:
    planted = plant()
    dumped, said = StringIO(), StringIO()
    call_command("dumpdata", "--all", stdout=dumped, stderr=said)
    assert leaks(dumped.getvalue(), planted) == set()
    assert len(json.loads(dumped.getvalue())) > len(planted)
    for p in planted:
        assert str(p) in said.getvalue()
    full = StringIO()
    call_command("dumpdata", "--all", "--with-personal-data", stdout=full, stderr=said)
    assert leaks(full.getvalue(), planted) >= {str(p) for p in planted if not is_json(p)}
    again = StringIO()
    call_command("dumpdata", "--all", stdout=again, stderr=said)
    assert again.getvalue() == dumped.getvalue()  # nothing was left switched off or on


def is_json(p: Planted) -> bool:
    return isinstance(p.field, SealedJSON) and p.ciphertext is None


def test_sessions_and_natural_keys_are_left_out_of_a_dump(db: None) -> None:
    client = Client()
    client.force_login(UserFactory(role="owner"))
    dumped, said = StringIO(), StringIO()
    call_command("dumpdata", "sessions", "identity.User", stdout=dumped, stderr=said)
    assert client.session.session_key not in dumped.getvalue()
    assert "django_session" in said.getvalue()
    assert "lead_notes" not in said.getvalue()
    for option in ("--natural-foreign", "--natural-primary"):
        with pytest.raises(Exception, match="--with-personal-data"):
            call_command("dumpdata", option, stdout=dumped, stderr=said)


def test_a_fixture_that_is_refused_is_named_without_its_values(db: None, tmp_path: Path) -> None:
    key = str(uuid.uuid4())
    cases: list[tuple[str, dict[str, Any], str]] = [
        ("identity.user", {"created_at": WORD}, "users.created_at"),
        ("identity.user", {"is_superuser": WORD}, "users.is_superuser"),
        ("identity.userrole", {"user": WORD, "role": "client"}, "user_roles.user_id"),
        ("crm.leadnote", {"note_encrypted": WORD}, "lead_notes.note_encrypted"),
    ]
    path = tmp_path / "wrong.json"
    for model, fields, place in cases:
        path.write_text(json.dumps([{"model": model, "pk": key, "fields": fields}]))
        with pytest.raises(Exception) as caught:  # noqa: PT011  (its text is what is checked)
            call_command("loaddata", path, verbosity=0)
        said = f"{caught.value} {formatted(caught.value)}"
        assert WORD not in said
        assert place in str(caught.value)
        assert str(path) in str(caught.value)
    path.write_text(json.dumps([{"model": "identity.user", "pk": WORD, "fields": {}}]))
    with pytest.raises(Exception, match=r"users\.id") as caught:
        call_command("loaddata", path, verbosity=0)
    assert WORD not in str(caught.value)


@pytest.mark.slow
def test_a_command_that_fails_prints_nothing_personal() -> None:
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
    assert "GET /admin/login/?[query]" in printed
    assert "Not Found: /no/such/" in printed
    assert WORD not in printed


# -- the server's own log -----------------------------------------------------------------------

PROGRAMS = {"bundled": bundled_bin_dir, "15": lambda: Path("/usr/lib/postgresql/15/bin")}
LOUD = {"log_statement": "all", "log_min_duration_statement": "0"}


@pytest.fixture(params=PROGRAMS, scope="module")
def loud_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server of its own that logs all statements."""
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
def test_nothing_reaches_the_servers_log(loud_server: Server) -> None:
    """What the database refuses, once more on a server that logs all it does."""
    start = loud_server.cluster.log_path.stat().st_size
    tests = f"{__file__}::test_what_the_database_refuses_is_not_written_down"
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
def test_the_usual_way_would_reach_the_servers_log(loud_server: Server) -> None:
    """What is searched for above is there without our backend, or without the quiet settings."""
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
    for place in ("the statement", "a parameter", "an error"):
        assert f"{WORD} in {place}" in log
