"""A form that was sent after its session had ended by age is kept, and sent again after the login.

The session that ended names its person. The next session keeps the fields sealed, and gives them to
that person alone, once.
"""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID, uuid4

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import add_never_cache_headers

from ebalance.db.encryption import envelope
from identity.sessions import ENDED

KEPT = "kept_form"  # in the session
TOKEN = b"sessions.kept_form"
CSRF = "csrfmiddlewaretoken"  # of the session that ended


def keep_form(request: HttpRequest) -> None:
    """Keep the fields of a form that an anonymous visitor sent. Never passwords or files."""
    person = request.session.get(ENDED)
    if person is None or request.FILES or any("password" in name for name in request.POST):
        return
    fields = [
        (name, value) for name, values in request.POST.lists() if name != CSRF for value in values
    ]
    key = uuid4()
    request.session[KEPT] = {
        "path": request.get_full_path(),
        "person": person,
        "key": str(key),
        "sealed": envelope.seal(json.dumps(fields).encode(), TOKEN, key),
    }


def take_form(request: HttpRequest) -> list[tuple[str, str]] | None:
    """The kept fields of this page, if the person who sent them asks. They are kept no longer."""
    kept: dict[str, Any] | None = request.session.get(KEPT)
    if kept is None or kept["path"] != request.get_full_path():
        return None
    del request.session[KEPT]
    if kept["person"] != str(request.user.pk):
        return None
    try:
        plain = envelope.open_sealed(kept["sealed"], TOKEN, UUID(kept["key"]))
    except envelope.SealingError:  # its key was retired
        return None
    return [(name, value) for name, value in json.loads(plain)]


def offer_form(
    request: HttpRequest, fields: list[tuple[str, str]], context: dict[str, Any]
) -> HttpResponse:
    """A page with a button that sends the form again."""
    shown = {**context, "fields": fields, "target": request.get_full_path()}
    response = render(request, "login/kept_form.html", shown)
    add_never_cache_headers(response)
    return response
