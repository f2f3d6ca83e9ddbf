"""Redacted forms of objects.

Only types are inspected: methods of an object may run queries, raise, or return a person's name.
"""

from __future__ import annotations

import datetime
import re
from collections import deque
from collections.abc import ItemsView, KeysView, Mapping, ValuesView
from decimal import Decimal
from pathlib import PurePath
from types import BuiltinFunctionType, FunctionType, ModuleType, NoneType
from typing import Any
from uuid import UUID

from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.functional import LazyObject, Promise, empty

from .exceptions import described
from .names import WITHHELD, is_sensitive
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
# A body of the wrong type is parsed into arbitrary names; only names of form fields are shown.
FIELD_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,39}")


class BareRequest(HttpRequest):
    """The part of a request that is logged and reported: method, path, names of parameters."""

    def __init__(self, request: HttpRequest) -> None:
        super().__init__()
        self.method = request.method
        self.path, self.path_info = text(request.path), text(request.path_info)
        self.META = {name: request.META[name] for name in META_SHOWN if name in request.META}
        attributes = request.__dict__  # a property would parse the body now
        self.user = value(attributes.get("user"))
        parameters: tuple[tuple[Any, Any], ...] = (
            (self.GET, request.GET),
            (self.POST, attributes.get("_post", attributes.get("POST"))),
            (self.FILES, attributes.get("_files", attributes.get("FILES"))),
            (self.COOKIES, request.COOKIES),
        )
        for own, given in parameters:
            own.update(_names_only(given))


def _names_only(parameters: Any) -> dict[str, str]:
    names = [name for name in parameters or () if FIELD_NAME.fullmatch(name)]
    return {name: STARS for name in names if text(name) == name}


HARMLESS = (
    NoneType, bool, int, float, complex, Decimal, UUID,
    datetime.date, datetime.time, datetime.timedelta, datetime.tzinfo,
    type, FunctionType, BuiltinFunctionType, ModuleType, BareRequest,
)  # fmt: skip
SEQUENCES = (list, tuple, set, frozenset, deque, KeysView, ValuesView, ItemsView)
LONG_NUMBER = 10**6  # larger numbers may be a phone or a Telegram id
MOST, DEEPEST = 1_000, 8  # objects and levels that are shown; the rest is "…"


def is_long_number(given: Any) -> bool:
    return type(given) in (int, float, Decimal) and abs(given) >= LONG_NUMBER


def value(given: Any) -> Any:
    """The redacted form of `given`."""
    return _Walk().show(given)


def named_value(name: str, given: Any) -> Any:
    """The redacted form of a named value: an item of a mapping, an attribute of a record."""
    return _Walk().show_named(name, given, 0)


class _Walk:
    def __init__(self) -> None:
        self.left = MOST

    def show(self, given: Any, depth: int = 0) -> Any:
        try:
            return self._show(given, type(given), depth)
        except Exception:
            return f"<{type(given).__name__}>"

    def show_named(self, name: Any, given: Any, depth: int) -> Any:
        if given is not None and not isinstance(given, bool):
            if isinstance(name, str) and is_sensitive(name):
                return WITHHELD
            if is_long_number(given):
                return "[number]"
        return self.show(given, depth)

    def _show(self, given: Any, kind: type, depth: int) -> Any:
        self.left -= 1
        if self.left < 0 or depth > DEEPEST:
            return "…"
        if issubclass(kind, str):
            return text(str.__str__(given))
        if issubclass(kind, HARMLESS):
            return given
        if issubclass(kind, BaseException):
            return described(given)
        if issubclass(kind, HttpRequest):
            return BareRequest(given)
        if issubclass(kind, Model):
            return model_label(given)
        if issubclass(kind, QuerySet):
            return f"<{kind.__name__} of {given.model._meta.label}>"
        if issubclass(kind, LazyObject):
            inner = given.__dict__.get("_wrapped", empty)
            return f"<{kind.__name__}>" if inner is empty else self.show(inner, depth)
        if issubclass(kind, Promise | PurePath):
            return text(str(given))
        if issubclass(kind, bytes | bytearray | memoryview):
            return f"<{kind.__name__} of {len(given)}>"
        if issubclass(kind, Mapping):
            return {
                self.show(key, depth): self.show_named(key, item, depth + 1)
                for key, item in self._some(given.items())
            }
        if issubclass(kind, SEQUENCES):
            shown = [self.show_named(None, item, depth + 1) for item in self._some(given)]
            return tuple(shown) if issubclass(kind, tuple) else shown
        return f"<{kind.__name__}>"

    def _some(self, items: Any) -> Any:
        for item in items:
            if self.left <= 0:
                return
            yield item


def model_label(instance: Model) -> str:
    """`app.Model key`; the text of a row may be a person's name."""
    from ebalance.db.schema.data_map import is_personal

    meta = type(instance)._meta
    key = None if is_personal(meta.pk) else instance.__dict__.get(meta.pk.attname)
    shown = key if isinstance(key, int | UUID) else text(key) if isinstance(key, str) else "?"
    return f"{meta.label} {shown}"
