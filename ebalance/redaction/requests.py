"""A request without what the person sent."""

from __future__ import annotations

import re
from typing import Any

from django.http import HttpRequest

from .texts import text

STARS = "********"
META_SHOWN = (
    "CONTENT_LENGTH",
    "HTTP_ACCEPT",
    "HTTP_HOST",
    "REQUEST_METHOD",
    "SERVER_NAME",
    "SERVER_PORT",
    "SERVER_PROTOCOL",
)
# A body of the wrong type is parsed into names; only what a form would call a field is shown.
FIELD_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,39}")


class BareRequest(HttpRequest):
    """What is logged and reported of a request: method, path, names of its parameters."""

    def __init__(self, request: HttpRequest) -> None:
        from .values import value  # which knows requests

        super().__init__()
        self.method = request.method
        self.path, self.path_info = text(request.path), text(request.path_info)
        self.META = {name: request.META[name] for name in META_SHOWN if name in request.META}
        self.user = value(request.__dict__.get("user"))
        found = request.__dict__  # a property would parse the body now
        for own, names in (
            (self.GET, request.GET),
            (self.POST, found.get("_post", found.get("POST"))),
            (self.FILES, found.get("_files", found.get("FILES"))),
            (self.COOKIES, request.COOKIES),
        ):
            own.update(_names_only(names))


def _names_only(parameters: Any) -> dict[str, str]:
    names = [name for name in parameters or () if FIELD_NAME.fullmatch(name)]
    return {name: STARS for name in names if text(name) == name}
