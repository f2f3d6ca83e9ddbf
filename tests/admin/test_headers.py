"""Headers for the browser, and lines of the access log (access.md §1)."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse

from ebalance.redaction.records import AccessFormatter
from identity.models import User
from tests.admin.support import page


@pytest.mark.parametrize("role", [None, "owner", "editor"])
def test_every_answer_has_a_policy_for_the_browser(
    as_role: Callable[..., Client], role: str | None
) -> None:
    client = as_role(role) if role else Client()
    for address in (reverse("admin:index"), page(User, "changelist"), "/nothing", "/admin/%00"):
        answer = client.get(address)
        policy = dict(part.split(" ", 1) for part in answer["Content-Security-Policy"].split("; "))
        assert policy["default-src"] == "'self'", address
        assert policy["script-src"] == "'self' 'unsafe-eval'", address
        assert policy["style-src"] == "'self' 'unsafe-inline'", address
        assert policy["frame-ancestors"] == policy["object-src"] == "'none'", address
        assert "camera=()" in answer["Permissions-Policy"], address
        assert answer["Referrer-Policy"] == "same-origin", address


def test_access_log_has_no_query_of_an_address() -> None:
    server = logging.LogRecord(
        "django.server",
        logging.INFO,
        "",
        0,
        '"%s" %s %s',
        ("GET /admin/identity/user/?q=Анна+Секретова&p=2 HTTP/1.1", "200", "512"),
        None,
    )
    server.server_time = "today"
    made = AccessFormatter(**{"fmt": "[{server_time}] {message}", "style": "{"}).format(server)
    assert made == '[today] "GET /admin/identity/user/ HTTP/1.1" 200 512'
    assert settings.LOGGING["formatters"]["access"]["()"].endswith("records.AccessFormatter")
