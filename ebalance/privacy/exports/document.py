"""The data of a person as one document: JSON, and a ZIP with a page to read (privacy.md §5).

This module only renders; ``collecting.py`` selects the rows and decrypts them. Values are plain
JSON: times in UTC as ISO 8601, ids as text, sealed payloads decrypted. A value that could not be
decrypted is ``readable.unreadable(…)``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, BinaryIO, Final, Literal, NamedTuple, TypedDict
from uuid import UUID
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from ebalance.db.schema import data_map

from . import page, readable

FORMAT: Final = "ebalance-export"
VERSION: Final = 1
JSON_NAME, PAGE_NAME = "data.json", "index.html"

type Tables = dict[str, list[dict[str, Any]]]


class Document(TypedDict):
    """``tables`` holds the rows by table, each by the names of its columns."""

    format: Literal["ebalance-export"]
    version: Literal[1]
    exported_at: str
    subject: str
    tables: Tables


class Location(NamedTuple):
    """The location of a sealed value that could not be opened."""

    table: str
    key: str
    column: str

    def __str__(self) -> str:
        return f"{self.table}.{self.column} {self.key}"


def make_document(
    subject: UUID, tables: Mapping[str, list[dict[str, Any]]], at: datetime
) -> Document:
    """The document about ``subject``, with tables, rows and columns in a fixed order.

    Tables without rows are left out.
    """
    known = [table.name for table in data_map.tables()]
    positions = {name: position for position, name in enumerate(known)}
    names = sorted(tables, key=lambda name: (positions.get(name, len(known)), name))
    return {
        "format": FORMAT,
        "version": VERSION,
        "exported_at": at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "subject": str(subject),
        "tables": {name: _arranged(name, tables[name]) for name in names if tables[name]},
    }


def unreadable_in(made: Document) -> Iterator[Location]:
    """The locations of all values in the document that could not be opened."""
    for table, rows in made["tables"].items():
        for row in rows:
            for column, value in row.items():
                if readable.is_unreadable(value):
                    yield Location(table, _key(table, row), column)


def render_json(made: Document) -> bytes:
    """UTF-8. The same document gives the same bytes."""
    text = json.dumps(made, ensure_ascii=False, indent=2, allow_nan=False)
    # UTF-8 cannot encode an unpaired surrogate; it is written as a JSON escape.
    return text.encode("utf-8", "backslashreplace") + b"\n"


def render_zip(made: Document, stream: BinaryIO) -> None:
    """Write a ZIP with the JSON and a Russian page with the same data, to read and print."""
    at = datetime.fromisoformat(made["exported_at"])
    with ZipFile(stream, "w", ZIP_DEFLATED) as archive:
        for name, content in (
            (PAGE_NAME, render_page(made).encode("utf-8")),
            (JSON_NAME, render_json(made)),
        ):
            entry = ZipInfo(name, at.timetuple()[:6])
            entry.compress_type = ZIP_DEFLATED
            entry.external_attr = 0o600 << 16
            archive.writestr(entry, content)


def render_page(made: Document) -> str:
    """HTML in Russian: one file without scripts, everything in it escaped."""
    return page.render(
        made["tables"],
        subject=made["subject"],
        exported_at=made["exported_at"],
        json_name=JSON_NAME,
        is_complete=not any(unreadable_in(made)),
    )


def _arranged(table: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Order rows by key, the oldest first, and columns as in the model."""
    positions = {column: position for position, column in enumerate(readable.fields_of(table))}
    columns = {column for row in rows for column in row}
    names = sorted(columns, key=lambda name: (positions.get(name, len(positions)), name))
    arranged = [{name: row[name] for name in names if name in row} for row in rows]
    return sorted(arranged, key=lambda row: _key(table, row))


def _key(table: str, row: Mapping[str, Any]) -> str:
    model = readable.model_of(table)
    return str(row.get(readable.column_of(model._meta.pk) if model else "id", ""))
