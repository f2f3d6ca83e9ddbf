"""Middleware of all requests (access.md §1)."""

from __future__ import annotations

import logging
from collections.abc import Callable

import psycopg
from django.core.exceptions import BadRequest, ValidationError
from django.db import DataError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.views.defaults import bad_request

from ebalance.db.storable import is_storable

logger = logging.getLogger(__name__)


class BadInputMiddleware:
    """Answers 400 to a request with a value that the database cannot take.

    It precedes all middleware that reads cookies.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        texts = [request.path_info, *request.COOKIES.values(), *request.GET]
        if not is_storable([*texts, *request.GET.lists()]):
            return bad_request(request, BadRequest("A character that no text can hold."))
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Answer 400 if a value of the request caused the error. Other errors stay errors."""
        if not is_caused_by_input(error):
            return None
        logger.warning("A request was refused: %s", type(error).__name__)
        return bad_request(request, error)


class PermissionsPolicyMiddleware:
    """Declares to the browser that no page uses a device or a sensor."""

    UNUSED = ("camera", "display-capture", "geolocation", "microphone", "payment", "usb")
    POLICY = ", ".join(f"{feature}=()" for feature in UNUSED)

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response.headers.setdefault("Permissions-Policy", self.POLICY)
        return response


def is_caused_by_input(error: Exception) -> bool:
    """Whether a value, and no fault of the program, raises this error.

    Forms report such values at their field. The rest are keys and filters in addresses, values
    that are nested too deep, and a search that would take the database too long.
    """
    if isinstance(error, OperationalError):
        return isinstance(error.__cause__, psycopg.errors.QueryCanceled)
    return isinstance(error, DataError | ValidationError | RecursionError | UnicodeEncodeError)
