"""Django's error page and error mail, in all environments."""

from __future__ import annotations

import datetime
from decimal import Decimal
from pathlib import PurePath
from types import NoneType
from typing import Any
from uuid import UUID

from django.utils.functional import Promise
from django.utils.regex_helper import _lazy_re_compile
from django.views import debug

from .exceptions import stand_in
from .texts import text
from .values import BareRequest, is_long_number

SHOWN: tuple[type, ...] = (
    *(NoneType, bool, int, float, Decimal, UUID),
    *(datetime.date, datetime.time, datetime.timedelta, type),
)


class Described:
    """Replaces an object: its type, and its length if it has one."""

    def __init__(self, given: Any) -> None:
        kind = type(given)
        sized = issubclass(kind, str | bytes | list | tuple | dict | set | frozenset)
        self.text = f"<{kind.__name__} of {len(given)}>" if sized else f"<{kind.__name__}>"

    def __repr__(self) -> str:
        return self.text


def variable(given: Any) -> Any:
    """A local variable: numbers, keys and times unchanged, any other value as its type."""
    kind = type(given)
    if not issubclass(kind, SHOWN) or is_long_number(given):
        return Described(given)
    return given


class ExceptionReporter(debug.ExceptionReporter):
    """Reports a stand-in of the exception, and the request without the data that was sent."""

    def __init__(self, request, exc_type, exc_value, tb, is_email=False):
        if request is not None and not isinstance(request, BareRequest):
            request = BareRequest(request)
        template = getattr(exc_value, "template_debug", None)
        if isinstance(exc_value, BaseException):
            exc_value = stand_in(exc_value)
            exc_type = type(exc_value)
        elif exc_value is not None:
            exc_value = text(str(exc_value))  # a log record without an exception
        super().__init__(request, exc_type, exc_value, tb, is_email=is_email)
        if template:
            self.template_info = {**template, "message": str(exc_value)}


class ExceptionReporterFilter(debug.SafeExceptionReporterFilter):
    hidden_settings = _lazy_re_compile(
        debug.SafeExceptionReporterFilter.hidden_settings.pattern + "|DSN|CREDENTIAL|INDEX|RING",
        flags=debug.SafeExceptionReporterFilter.hidden_settings.flags,
    )

    def is_active(self, request):
        return True  # with DEBUG too: error pages are copied into issue trackers

    def cleanse_setting(self, key, value):
        value = super().cleanse_setting(key, value)
        if isinstance(value, str | Promise | PurePath):
            return text(str(value))
        known = (*SHOWN, list, tuple, dict, debug.CallableSettingWrapper)
        return value if isinstance(value, known) else Described(value)

    def cleanse_special_types(self, request, value):
        return value  # Django would load a lazy object

    def get_traceback_frame_variables(self, request, tb_frame):
        return [
            (name, value if value is self.cleansed_substitute else variable(value))
            for name, value in super().get_traceback_frame_variables(request, tb_frame)
        ]
