"""The rules of the P0 guard in Python, to compare with the guard of the database.

Written from privacy.md §3 and the tracking plan, not from the SQL.
"""

from __future__ import annotations

import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import available_timezones

from django.conf import settings

PLAN_FILE = "docs/spec/events.json"
PLAN = json.loads(Path(settings.BASE_DIR, PLAN_FILE).read_text("utf-8"))
ENVELOPE: dict[str, dict[str, Any]] = PLAN["envelope"]
TOPICS = {
    row["pk"]
    for row in json.loads(Path(settings.BASE_DIR, "fixtures/seeds.json").read_text("utf-8"))
    if row["model"] == "content.topic"
}
TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|\+00:00)", re.ASCII)


def declaration(event: str, *path: str) -> str:
    """Return the file and the entry of the plan, for the message of a failing test."""
    return f"{PLAN_FILE}: {'.'.join(['events', event, *path])}"


def is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False


def is_timestamp(text: str) -> bool:
    if not TIMESTAMP.fullmatch(text):
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def fits(kind: str, allowed: list[str] | None, value: Any) -> bool:
    """Return whether a JSON value is of a kind of the plan."""
    if kind in {"enum_list", "code_list"}:
        single = kind.removesuffix("_list")
        return (
            isinstance(value, list)
            and 0 < len(value) <= 50
            and all(fits(single, allowed, item) for item in value)
        )
    if kind == "bool":
        return isinstance(value, bool)
    if kind == "int":
        return type(value) is int and 0 <= value <= 10**9
    if not isinstance(value, str):
        return False
    if kind == "enum":
        return value in (allowed or [])
    if len(value) > 120:
        return False
    if kind == "uuid" or (kind == "ref" and is_uuid(value)):
        return is_uuid(value)
    if kind == "timestamp":
        return is_timestamp(value)
    if kind == "deep_link":
        return re.fullmatch(r"(?=.*[A-Za-z])[A-Za-z0-9_-]{8,64}", value, re.ASCII) is not None
    if re.search("[0-9]{7}|([0-9][._-]?){11}", value):
        return False
    shapes = {
        "slug": r"[a-z0-9]+([_-][a-z0-9]+)*",
        "code": r"[A-Za-z0-9][A-Za-z0-9_.-]{0,59}",
        "ref": r"[A-Za-z0-9][A-Za-z0-9_.-]{0,59}",
        "utm": r"[A-Za-z0-9_.-]{1,80}",
        "path": r"/[a-z0-9/_.-]{0,199}",
        "host": r"(?i:([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)*[a-z]([a-z0-9-]*[a-z0-9])?)",
    }
    if kind == "topic":
        return value in TOPICS
    if kind == "zone":
        return value in available_timezones() - {"Factory", "localtime"}
    return re.fullmatch(shapes[kind], value, re.ASCII) is not None


def in_envelope(section: str | None, key: str, value: Any) -> bool:
    for name, keys in ENVELOPE.items():
        if section in (None, name) and key in keys:
            spec = keys[key]
            kind, allowed = ("enum", spec) if isinstance(spec, list) else (spec, None)
            return fits(kind, allowed, value)
    return False


def accepts(
    event: str, source: str, properties: dict, page: dict | None = None, acquisition=None
) -> bool:
    """Return whether the plan admits the event."""
    page, acquisition = page or {}, acquisition or {}
    spec = PLAN["events"].get(event)
    if spec is None or source not in spec["sources"]:
        return False
    params = spec["params"]
    for section, values in (("page", page), ("acquisition", acquisition)):
        if not all(in_envelope(section, key, value) for key, value in values.items()):
            return False
    for key, value in properties.items():
        if key in params:
            if not fits(params[key]["kind"], params[key].get("allowed"), value):
                return False
        elif not in_envelope(None, key, value):
            return False
    present = {*properties, *page, *acquisition}
    needed = [{name} for name, param in params.items() if param.get("required")]
    needed += [set(param["one_of"].split("|")) for param in params.values() if "one_of" in param]
    return all(present & names for names in needed)
