"""A listing of the schema ``public``, one line per object (migrations.md, "Afterwards").

Each line is ``kind name: definition``. PostgreSQL 15 to 18, a restored dump and an upgraded server
give the same lines for the same schema.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import takewhile

from django.db import connection, transaction

from . import catalog
from .expressions import flatten
from .objects import QUERIES

# PostgreSQL's text of an expression depends on these settings of the session.
SETTINGS = {
    "search_path": "public, pg_temp",
    "TimeZone": "UTC",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "quote_all_identifiers": "off",
    "standard_conforming_strings": "on",
}
LONGEST_BODY = 100  # characters; a longer body is listed as its hash
SHOWN = 90  # characters of a definition, in a difference
WORDS_BEFORE = 4  # the first word that differs
COMMENT_ON = "comment on "
# Objects of these kinds are dropped with their relation, and their names begin with its name.
RELATIONS = ("table", "view", "materialized view", "foreign table")
OF_A_RELATION = ("column", "constraint", "index", "trigger", "rule", "policy")


def schema_lines() -> list[str]:
    """All objects of ``public`` in the connected database, sorted, one line each.

    Objects of extensions are left out, and so are owners, tablespaces and the rights of the roles
    of ``grants``. Takes the locks of a reader of the catalog only.
    """
    with _fixed_settings():
        rows = [row for query in QUERIES for row in catalog.read_rows(query)]
    return sorted(_line(*row) for row in rows)


@contextmanager
def _fixed_settings() -> Iterator[None]:
    """Set SETTINGS in a transaction, and the earlier values if the transaction is not over then."""
    names, values = list(SETTINGS), list(SETTINGS.values())
    read = "SELECT current_setting(name) FROM unnest(%s::text[]) WITH ORDINALITY AS n (name, i)"
    write = "SELECT set_config(n, v, true) FROM unnest(%s::text[], %s::text[]) AS s (n, v)"
    with transaction.atomic():
        before = catalog.read_column(f"{read} ORDER BY i", [names])
        catalog.read_rows(write, [names, values])
        yield
        if connection.savepoint_ids:
            catalog.read_rows(write, [names, before])


def _line(kind: str, name: str, definition: str | None, body: str | None) -> str:
    text = flatten(definition or "")
    if body is not None:
        text = f"{text} {_shortened(body)}".strip()
    line = f"{kind} {name}: {text}" if text else f"{kind} {name}"
    return line.replace("\n", "\\n")


def _shortened(body: str) -> str:
    """``body`` itself, or the hash of a body that does not fit into a readable line."""
    if (len(body) <= LONGEST_BODY and "\n" not in body) or body.startswith("IS "):
        return body
    return f"BODY sha256 {hashlib.sha256(body.encode()).hexdigest()}"


def differences(expected: list[str], live: list[str]) -> list[str]:
    """The differences of two listings: one line per object, which names the object first.

    A missing or unknown object is one difference. Its comment gets no line, nor do the columns,
    constraints and so on of a table.
    """
    wanted, existing = _by_object(expected), _by_object(live)
    lines = []
    for name in sorted(wanted.keys() | existing.keys()):
        owners = _owners_of(name)
        if owners.isdisjoint(wanted) != owners.isdisjoint(existing):
            continue
        if name not in existing:
            lines.append(f"{name}: missing")
        elif name not in wanted:
            lines.append(f"{name}: unknown{_in_brackets(existing[name])}")
        elif wanted[name] != existing[name]:
            old, new = _first_difference(wanted[name], existing[name])
            lines.append(f"{name}: differs: expected «{old}», has «{new}»")
    return lines


def _by_object(lines: list[str]) -> dict[str, str]:
    return {name: text for name, _, text in (line.partition(": ") for line in lines)}


def _owners_of(name: str) -> set[str]:
    """The key of the object that is commented on, or keys of the relation with the column, …"""
    if name.startswith(COMMENT_ON):
        return {name.removeprefix(COMMENT_ON)}
    kind, _, rest = name.partition(" ")
    relation = rest.partition(".")[0]
    return {f"{each} {relation}" for each in RELATIONS} if kind in OF_A_RELATION else set()


def _in_brackets(text: str) -> str:
    return f" ({_cut(text)})" if text else ""


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 2]} …"


def _first_difference(old: str, new: str) -> tuple[str, str]:
    """Both texts, from a few words before the first word that differs."""
    words = old.split(" "), new.split(" ")
    common = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(*words, strict=False)))
    start = max(0, common - WORDS_BEFORE)
    shown = [("… " if start else "") + _cut(" ".join(text[start:])) for text in words]
    return shown[0], shown[1]
