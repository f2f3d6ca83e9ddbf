"""Events of Sentry and of tools with the same format.

sentry_sdk.init(…, before_send=scrub, before_send_transaction=scrub, before_breadcrumb=scrub)
"""

from __future__ import annotations

from typing import Any

from .exceptions import WITHHELD, message
from .names import is_sensitive, words
from .texts import text
from .values import LONG_NUMBER

# Parts with user input or with objects of the program.
DROPPED = words("vars user cookies headers query_string env body args kwargs locals params")
# Source code and its locations; keys of the format that look like names of columns.
CODE = words(
    "abs_path context_line filename function lineno module platform post_context pre_context "
    "raw_function type event_id trace_id span_id parent_span_id timestamp start_timestamp level "
    "logger category environment release dist sdk server_name"
)
# Containers and texts of the format whose names are also names of data elsewhere.
FORMAT = words("data message name description transaction formatted title")


def scrub(event: dict[str, Any], hint: dict[str, Any] | None = None) -> dict[str, Any]:
    """A copy of an event or a breadcrumb without personal data."""
    shown = _mapping(event, 0)
    request = event.get("request")
    if isinstance(request, dict):
        shown["request"] = {
            key: text(str(request[key])) for key in ("method", "url") if key in request
        }
    exceptions = event.get("exception")
    if isinstance(exceptions, dict):
        _messages(shown["exception"], hint or {})
    return shown


def _messages(exceptions: dict[str, Any], hint: dict[str, Any]) -> None:
    """Set the safe messages of the exceptions in ``hint``."""
    known: dict[str, str] = {}
    error = (hint.get("exc_info") or (None, None))[1]
    for _ in range(50):
        if error is None:
            break
        name = type(error).__name__
        # Two exceptions with the same name cannot be distinguished: withhold both.
        known[name] = WITHHELD if name in known else message(error)
        error = error.__cause__ or error.__context__
    for entry in exceptions.get("values") or ():
        if isinstance(entry, dict):
            entry["value"] = known.get(str(entry.get("type")), WITHHELD)


def _mapping(given: dict[str, Any], depth: int) -> dict[str, Any]:
    return {
        text(str(key)): _item(str(key), item, depth)
        for key, item in given.items()
        if key not in DROPPED
    }


def _item(key: str, item: Any, depth: int) -> Any:
    if key in CODE and not isinstance(item, dict):
        return item
    if key not in FORMAT and item is not None and is_sensitive(key):
        return "[withheld]"
    return _any(item, depth + 1)


def _any(item: Any, depth: int) -> Any:
    if depth > 20:
        return "…"
    if isinstance(item, dict):
        return _mapping(item, depth)
    if isinstance(item, list | tuple):
        return [_any(inner, depth + 1) for inner in item]
    if isinstance(item, str):
        return text(item)
    if item is None or isinstance(item, bool | float):
        return item
    if isinstance(item, int):
        return item if abs(item) < LONG_NUMBER else "[number]"
    return f"<{type(item).__name__}>"
