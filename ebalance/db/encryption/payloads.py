"""Validates diaries and intake forms before they are sealed (privacy.md §2).

A payload is JSON with a ``version``, which selects its schema:
``ugc/schemas/diary_<type>.<n>.json``, ``booking/schemas/intake.<n>.json``. A released file never
changes; see docs/adr/0008-payloads-and-contacts.md.
"""

import json
import math
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from django.apps import apps
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from ..apps import PROJECT_APPS
from ..storable import UNSTORABLE

type Step = tuple[Any, dict[str, Any], tuple[str | int, ...]]  # a value, its schema, its path

NOT_JSON = "json"
SENTENCES = {
    NOT_JSON: _("This is not plain JSON, or too much of it"),
    "additionalProperties": _("There is an answer that the form does not ask for"),
    "const": _("Not the expected answer"),
    "enum": _("Not one of the possible answers"),
    "maxItems": _("Too many answers"),
    "maxLength": _("The text is too long"),
    "maximum": _("The number is too large"),
    "minItems": _("Too few answers"),
    "minProperties": _("Too few answers"),
    "minimum": _("The number is too small"),
    "pattern": _("The text is empty or not of the expected form"),
    "required": _("An answer is missing"),
    "type": _("An answer of another type is expected"),
    "uniqueItems": _("The same answer is given twice"),
}

LARGEST = 2**53 - 1  # the largest integer that every JSON parser reads exactly
DEEPEST, WIDEST = 8, 2_000  # levels; values on one of them. The schemas need far less.


class PayloadInvalid(ValidationError):
    """A payload does not follow its schema. The error holds no text of the client.

    ``rule`` (also ``code``) is a keyword of JSON Schema or ``json``. ``path`` has only names that
    the schema declares, and indexes: ``$.emotions[0].intensity``.
    """

    def __init__(self, message: Any, code: str | None = None, params: Any = None) -> None:
        # Django's own signature, so that the exception can be copied and pickled.
        super().__init__(message, code, params)
        self.schema: str = params["schema"]
        self.rule: str = params["rule"]
        self.path: str = params["path"]


def latest(name: str) -> int:
    """The newest version of a schema. Raises LookupError for a name without one."""
    return max(_versions(name))


def is_known(name: str) -> bool:
    return name in _files()


@cache
def schema_for(name: str, version: int) -> dict[str, Any]:
    """The schema. It is cached, so callers must not change it. Raises LookupError."""
    try:
        path = _versions(name)[version]
    except KeyError:
        raise LookupError(f"There is no schema {name}.{version}.") from None
    return json.loads(path.read_text(encoding="utf-8"))


def validate(name: str, payload: object, *, draft: bool = False) -> None:
    """Raise PayloadInvalid unless the payload follows the schema of its version.

    A draft may lack any answer, but not the version. Raises LookupError for an unknown name.
    """
    try:
        offence = _offence(name, latest(name), payload, draft)
    finally:
        del payload  # error reporters show local variables
    if offence is None:
        return
    version, rule, path = offence
    raise PayloadInvalid(
        "%(sentence)s (%(schema)s: %(path)s, %(rule)s).",
        code=rule,
        params={
            "sentence": SENTENCES[rule],
            "schema": f"{name}.{version}",
            "path": "$" + "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path),
            "rule": rule,
        },
    )


def _offence(
    name: str, newest: int, payload: Any, draft: bool
) -> tuple[int, str, tuple[str | int, ...]] | None:
    """Version of the schema, rule and path of the first error.

    jsonschema's errors quote the payload, so this function does not raise them.
    """
    if type(payload) is not dict:
        return newest, "type", ()
    version = payload.get("version")
    if type(version) is not int or version not in _versions(name):
        return newest, "const" if "version" in payload else "required", ("version",)
    odd = _not_json(payload, schema_for(name, version))
    if odd is not None:
        return version, NOT_JSON, odd
    for error in _validator(name, version).iter_errors(payload):
        rule, path = error.validator, tuple(error.absolute_path)
        if rule == "required":
            if draft:
                continue
            path += (next(key for key in error.validator_value if key not in error.instance),)
        return version, rule, path
    return None


def _not_json(payload: Any, schema: dict[str, Any]) -> tuple[str | int, ...] | None:
    """The nearest declared path of a value that is not plain JSON, or too large.

    Checked first, because jsonschema fails on values that it cannot print, such as a recursive
    list.
    """
    level: list[Step] = [(payload, schema, ())]
    for _depth in range(DEEPEST):
        below: list[Step] = []
        for value, declared, path in level:
            if not _is_plain(value):
                return path
            below.extend(_children(value, declared, path))
            if len(below) > WIDEST:
                return path
        if not below:
            return None
        level = below
    return level[0][2]


def _is_plain(value: Any) -> bool:
    """Whether the value is plain JSON. Exact types only: a subclass may override methods."""
    kind = type(value)
    if kind is str:
        return not UNSTORABLE.search(value)
    if kind is int:
        return abs(value) <= LARGEST
    if kind is float:
        return math.isfinite(value)
    if kind is dict:
        return len(value) <= WIDEST and all(type(key) is str for key in value)
    if kind is list:
        return len(value) <= WIDEST
    return value is None or kind is bool


def _children(value: Any, declared: dict[str, Any], path: tuple[str | int, ...]) -> Iterator[Step]:
    """The items of an object or a list. An undeclared item has its parent's path."""
    if type(value) is dict:
        properties = declared.get("properties", {})
        for key, child in value.items():
            known = key in properties
            yield child, properties.get(key, {}), (*path, key) if known else path
    elif type(value) is list:
        known = "items" in declared
        for index, child in enumerate(value):
            yield child, declared.get("items", {}), (*path, index) if known else path


@cache
def _files() -> dict[str, dict[int, Path]]:
    files: dict[str, dict[int, Path]] = {}
    for label in PROJECT_APPS:
        for path in Path(apps.get_app_config(label).path, "schemas").glob("*.json"):
            name, version, _suffix = path.name.split(".")
            files.setdefault(name, {})[int(version)] = path
    return files


def _versions(name: str) -> dict[int, Path]:
    try:
        return _files()[name]
    except KeyError:
        raise LookupError(f"There is no schema {name}.") from None


@cache
def _validator(name: str, version: int) -> Any:
    # Imported late: most commands do not validate.
    from jsonschema import Draft202012Validator
    from referencing import Registry

    # An empty registry: jsonschema's default one would fetch the target of a $ref.
    return Draft202012Validator(schema_for(name, version), registry=Registry())
