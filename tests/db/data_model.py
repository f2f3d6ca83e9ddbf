"""Reads data_model.txt, the transcription of the data model that tests compare with the catalog."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

TYPES = {
    "bool": "boolean",
    "int": "integer",
    "time": "time without time zone",
    "timestamptz": "timestamp with time zone",
}


@dataclass(frozen=True)
class Column:
    table: str
    name: str
    type: str
    is_null: bool
    is_key: bool
    is_unique: bool
    default: str | None
    members: tuple[str, ...]
    parent: str | None
    on_delete: str | None  # r c n, as in pg_constraint.confdeltype
    privacy: str

    @property
    def is_array(self) -> bool:
        return self.type.endswith("[]")

    @property
    def default_sql(self) -> str | None:
        """The default as PostgreSQL writes it."""
        if self.default is None or self.default.endswith("()"):
            return self.default
        if self.type in {"boolean", "integer", "smallint", "bigint"}:
            return self.default
        return f"'{self.default.strip(chr(39))}'::{self.type}"

    def __str__(self) -> str:
        return f"{self.table}.{self.name}"


@dataclass(frozen=True)
class Key:
    """A unique key over ``columns``; ``special``: where, deferrable, nulls equal, or empty."""

    table: str
    columns: tuple[str, ...]
    special: str


def _column(table: str, line: str) -> Column:
    name, rest = line.split(maxsplit=1)
    members = re.search(r"\{([^{}]+)\}", rest)
    words = re.sub(r"\{[^{}]+\}", "", rest).split()
    kind = words.pop(0)
    default = parent = on_delete = None
    privacy = "P0"
    marks = set()
    while words:
        word = words.pop(0)
        if word.startswith("="):
            default = word[1:]
        elif word.startswith("FK→"):
            parent, on_delete = word[3:], {"R": "r", "C": "c", "N": "n"}[words.pop(0)]
        elif word in {"P1", "P2"}:
            privacy = word
        else:
            marks.add(word)
    if marks - {"pk", "unique"}:
        raise ValueError(f"[{table}] {line}")
    base = kind.rstrip("?")
    return Column(
        table=table,
        name=name,
        type=TYPES.get(base, base),
        is_null=kind.endswith("?"),
        is_key="pk" in marks,
        is_unique="unique" in marks,
        default=default,
        members=tuple(members[1].split()) if members else (),
        parent=parent,
        on_delete=on_delete,
        privacy=privacy,
    )


def _key(table: str, line: str) -> Key:
    special = re.search(r" (where|deferrable|nulls equal)\b", line)
    columns = line[: special.start()] if special else line
    return Key(table, tuple(columns.split()[1:]), special[1] if special else "")


def _read() -> tuple[list[Column], list[Key]]:
    columns, keys, table = [], [], ""
    for line in Path(__file__).with_suffix(".txt").read_text(encoding="utf-8").splitlines():
        if heading := re.fullmatch(r"\[(\w+)\]", line):
            table = heading[1]
        elif line.startswith("unique "):
            keys.append(_key(table, line))
        elif line and not line.startswith("#"):
            columns.append(_column(table, line))
    keys += [Key(c.table, (c.name,), "") for c in columns if c.is_unique]
    return columns, keys


COLUMNS, KEYS = _read()
TABLES = sorted({column.table for column in COLUMNS})
CLOSED_SETS = [column for column in COLUMNS if column.members]
REFERENCES = [column for column in COLUMNS if column.parent]
