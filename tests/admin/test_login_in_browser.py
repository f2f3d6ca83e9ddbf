"""Enrolment, login and lock-out in a real browser, wide and narrow, under the CSP of the site.

The last test begins with an empty database and the settings of production.

Needs Debian's chromium and chromium-driver. EBALANCE_PICTURES names a folder for screenshots.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.contrib.auth.hashers import make_password
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from django.core.wsgi import get_wsgi_application
from django.utils import timezone

from identity.models import User
from identity.services import offered_secret
from tests.databases import Database
from tests.factories import UserFactory
from tests.identity.test_second_factors import code_of
from tests.processes import ROOT, environment, eventually, free_port, manage
from tests.test_commands import PRODUCTION

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
waits = pytest.importorskip("selenium.webdriver.support.wait")
conditions = pytest.importorskip("selenium.webdriver.support.expected_conditions")

PASSWORD, WRONG = "длинный пароль 1", "не тот пароль 1"
PATIENCE = 60  # seconds; only ends a hang

pytestmark = pytest.mark.slow


class Quiet(WSGIRequestHandler):
    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def site(committed: Any) -> Iterator[str]:
    """The address of a server on the test's database."""
    server = ThreadedWSGIServer(("127.0.0.1", 0), Quiet)
    server.set_app(StaticFilesHandler(get_wsgi_application()))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(params=[1280, 390])
def browser(request: pytest.FixtureRequest) -> Iterator[Any]:
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("needs apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--lang=ru"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    made = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    made.set_page_load_timeout(PATIENCE)
    made.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": request.param, "height": 900, "deviceScaleFactor": 1, "mobile": False},
    )
    yield made
    made.quit()


class Visitor:
    """The steps of a person in the browser."""

    def __init__(self, browser: Any, site: str) -> None:
        self.browser, self.site = browser, site
        self.width = browser.execute_script("return window.innerWidth")

    def open(self, path: str) -> None:
        self.browser.get(self.site + path)

    def see(self, selector: str) -> Any:
        wait = waits.WebDriverWait(self.browser, PATIENCE)
        return wait.until(lambda browser: browser.find_element("css selector", selector))

    def send(self, **fields: str) -> None:
        for name, text in fields.items():
            field = self.see(f"[name={name}]")
            field.clear()
            field.send_keys(text)
        page = self.see("html")
        self.see("#login-form").submit()
        wait = waits.WebDriverWait(self.browser, PATIENCE)
        wait.until(conditions.staleness_of(page))

    def check_page(self, name: str) -> None:
        """It fits its width, and the browser reports no error, as of a refused script."""
        assert self.browser.execute_script(
            "return document.documentElement.scrollWidth <= window.innerWidth"
        ), name
        serious = [e for e in self.browser.get_log("browser") if e["level"] == "SEVERE"]
        assert [e["message"] for e in serious if "favicon" not in e["message"]] == []
        if folder := os.environ.get("EBALANCE_PICTURES"):
            self.browser.save_screenshot(str(Path(folder) / f"{name}-{self.width}.png"))


@pytest.fixture
def visitor(browser: Any, site: str, settings: Any) -> Visitor:
    settings.SECOND_FACTOR_REQUIRED = True
    return Visitor(browser, site)


def test_person_sets_up_the_factor_and_logs_in_with_it(visitor: Visitor) -> None:
    person: User = UserFactory(role="owner", password=make_password(PASSWORD))
    visitor.open("/admin/")
    visitor.check_page("password")
    visitor.send(username=person.email, password=PASSWORD)
    assert visitor.see("#qr-code svg").size["width"] > 150
    visitor.check_page("setup")
    secret = offered_secret(person)
    assert secret is not None
    assert visitor.see("#secret").text.replace(" ", "") == secret
    visitor.send(code="000000")
    visitor.check_page("setup-wrong")
    visitor.send(code=code_of(secret, timezone.now()))
    codes = visitor.see("#recovery-codes").text.split()
    assert len(codes) == 10
    visitor.check_page("recovery-codes")
    visitor.open("/admin/second_factor/")
    visitor.see("[name=current_password]")
    visitor.check_page("second-factor")
    visitor.browser.delete_all_cookies()
    visitor.open("/admin/")
    visitor.send(username=person.email, password=PASSWORD)
    visitor.check_page("code")
    visitor.send(code=codes[0])
    visitor.see("#nav-sidebar, #header, [action$='/logout/']")
    assert visitor.browser.current_url == f"{visitor.site}/admin/"


def test_locked_out_person_reads_how_long_to_wait(visitor: Visitor) -> None:
    person: User = UserFactory(role="owner", password=make_password(PASSWORD))
    visitor.open("/admin/")
    for _ in range(11):
        visitor.send(username=person.email, password=WRONG)
    assert "Слишком много попыток" in visitor.see("body").text
    visitor.check_page("locked")


OWNER = "Owner@example.com"


@pytest.fixture
def production(empty_database: Database) -> Iterator[dict[str, str]]:
    """The settings of a server that was set up as docs/operations.md describes, and runs."""
    port = free_port()
    settings = {
        **PRODUCTION,
        "DATABASE_URL": empty_database.url,
        "ALLOWED_HOSTS": "localhost",
        "CSRF_TRUSTED_ORIGINS": f"http://localhost:{port}",
        "BEHIND_PROXY": "on",
        "SITE": f"http://localhost:{port}",
    }
    first = {"DJANGO_SUPERUSER_EMAIL": OWNER, "DJANGO_SUPERUSER_PASSWORD": PASSWORD}
    for command in (["migrate"], ["loaddata", "seeds"], ["createsuperuser", "--noinput"]):
        done = manage(*command, **settings, **first)
        assert done.returncode == 0, done.stderr
    server = subprocess.Popen(
        [sys.executable, "manage.py", "runserver", "--noreload", "--insecure", f"localhost:{port}"],
        cwd=ROOT,
        env=environment(**settings),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    yield settings
    server.terminate()
    server.wait()


def test_first_owner_of_production_logs_in(
    production: dict[str, str], browser: Any, empty_database: Database
) -> None:
    """Enrolment, recovery code, lost phone, lock-out and its end."""
    # The proxy in front of the server ends TLS.
    browser.execute_cdp_cmd("Network.enable", {})
    headers = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.7"}
    browser.execute_cdp_cmd("Network.setExtraHTTPHeaders", {"headers": headers})
    visitor = Visitor(browser, production["SITE"])
    assert eventually(lambda: is_listening(production["SITE"]))

    def log_in(password: str = PASSWORD) -> None:
        browser.delete_all_cookies()
        visitor.open("/admin/")
        visitor.send(username=OWNER.lower(), password=password)

    def enrol() -> list[str]:
        visitor.check_page("production-setup")
        secret = visitor.see("#secret").text.replace(" ", "")
        visitor.send(code=code_of(secret, timezone.now()))
        return visitor.see("#recovery-codes").text.split()

    def is_logged_in() -> bool:
        visitor.open("/admin/")
        return "/login/" not in browser.current_url

    log_in()
    assert not is_logged_in()
    log_in()
    codes = enrol()
    assert is_logged_in()
    names = {cookie["name"] for cookie in browser.get_cookies()}
    assert {"__Host-sessionid", "__Host-csrftoken", "__Host-known_browser"} <= names
    log_in()
    visitor.send(code=codes[0])
    assert is_logged_in()
    log_in()
    visitor.send(code=codes[0])
    assert not is_logged_in()
    done = manage("reset_second_factor", OWNER, **production)
    assert done.returncode == 0, done.stderr
    log_in()
    assert len(enrol()) == 10
    assert is_logged_in()
    for _ in range(10):
        log_in(WRONG)
    log_in()
    assert "Слишком много попыток" in visitor.see("body").text
    visitor.check_page("production-locked")
    with empty_database.connect(autocommit=True) as session:
        session.execute("UPDATE login_limits SET locked_until = now()")
    log_in()
    assert visitor.see("[name=code]")


def is_listening(site: str) -> bool:
    parts = urlsplit(site)
    try:
        socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE).close()
    except OSError:
        return False
    return True
