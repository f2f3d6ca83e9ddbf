"""Rows of an export in words: titles, labels and values as a person reads them (privacy.md §5).

Labels are those of the models, of closed sets and of the payloads' schemas. Called under
``translation.override``; times are said in one zone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property
from types import SimpleNamespace
from typing import Any, Literal, cast
from zoneinfo import ZoneInfo

from django.contrib.auth import get_user_model
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.formats import date_format
from django.utils.text import capfirst
from django.utils.translation import gettext

from ebalance.db.encryption import payloads
from ebalance.db.encryption.fields import ProtectedField, SealedJSON
from ebalance.db.schema import data_map

type Row = Mapping[str, Any]

UNREADABLE = "$unreadable"
USUAL_ZONE = "Europe/Moscow"
HALF_A_PAIR = re.compile("[\ud800-\udfff]")  # of UTF-16; no text that can be written
LONG = 60  # characters of a text that gets lines of its own
ALTERNATIVES = (re.compile(r"\s*;\s*"), re.compile(r"\s+или\s+"))


def unreadable(reason: str) -> dict[str, str]:
    """What stands in the place of a sealed value that could not be opened; ``reason`` is a code.

    No payload has such a key: their schemas take no other keys than their own.
    """
    return {UNREADABLE: reason}


def is_unreadable(value: object) -> bool:
    return isinstance(value, dict) and [*value] == [UNREADABLE]


@dataclass(frozen=True)
class LabelledValue:
    """A label with a text, or with parts of its own. ``link`` is the anchor of another record."""

    label: str
    text: str = ""
    parts: tuple[LabelledValue, ...] = ()
    kind: Literal["text", "key", "unreadable"] = "text"
    link: str = ""

    @property
    def is_long(self) -> bool:
        return bool(self.parts) or len(self.text) > LONG or "\n" in self.text


@dataclass(frozen=True)
class Record:
    anchor: str
    title: str
    said: tuple[LabelledValue, ...]
    keys: tuple[LabelledValue, ...]  # of the row itself and of what it refers to


@dataclass(frozen=True)
class Section:
    """A table with its rows."""

    name: str
    title: str
    records: tuple[Record, ...]

    @property
    def anchor(self) -> str:
        return self.name


@dataclass(frozen=True)
class Reader:
    """Says the rows of one document, in the zone of the person it is about."""

    tables: Mapping[str, list[dict[str, Any]]]
    subject: str = ""
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo(USUAL_ZONE))
    # What there may be ten thousand rows of is looked up once.
    _fields: dict[str, dict[str, models.Field]] = field(default_factory=dict)
    _labels: dict[models.Field, str] = field(default_factory=dict)

    # -- tables and rows ------------------------------------------------------------------------

    def sections(self) -> Iterator[Section]:
        """Tables that have rows, those of the project in their own order."""
        for name, rows in self.tables.items():
            if rows:
                records = (self.record(name, number, row) for number, row in enumerate(rows, 1))
                yield Section(name, table_title(name), tuple(records))

    def record(self, table: str, number: int, row: Row) -> Record:
        fields = self.fields(table)
        said: list[LabelledValue] = []
        keys: list[LabelledValue] = []
        for column, value in row.items():
            found = fields.get(column)
            if value is None or value in ("", [], {}):
                continue
            one = self.said(found, column, value, row)
            (keys if one.kind == "key" else said).append(one)
        return Record(
            anchor=f"{table}-{number}",
            title=self.title(table, number, row),
            said=tuple(said),
            keys=tuple(keys),
        )

    def title(self, table: str, number: int, row: Row) -> str:
        """What it is, and when: by the first time that its table has."""
        model = model_of(table)
        if model is get_user_model():
            return gettext("Your account")
        name = capfirst(str(model._meta.verbose_name)) if model else f"№ {number}"
        for column, found in self.fields(table).items():
            if isinstance(found, models.DateField) and row.get(column):
                return f"{name}, {self.moment(found, row[column])}"
        return name

    # -- values ---------------------------------------------------------------------------------

    def label(self, found: models.Field) -> str:
        if found not in self._labels:
            self._labels[found] = label_of(found)
        return self._labels[found]

    def fields(self, table: str) -> dict[str, models.Field]:
        if table not in self._fields:
            self._fields[table] = fields_of(table)
        return self._fields[table]

    def said(self, found: models.Field | None, column: str, value: Any, row: Row) -> LabelledValue:
        label = column if found is None else self.label(found)
        if is_unreadable(value):
            return LabelledValue(label, gettext("could not be opened"), kind="unreadable")
        if found is None:
            return plain(label, value)
        if isinstance(found, SealedJSON):
            return LabelledValue(label, parts=tuple(payload(found, value, row)))
        if isinstance(found, models.DateField):
            return LabelledValue(label, self.moment(found, value))
        if isinstance(found, models.ForeignKey | models.UUIDField):
            return self.key(found, label, value)
        if isinstance(found, ArrayField):
            labels = _labels(found.base_field)
            return LabelledValue(label, ", ".join(labels.get(one, str(one)) for one in value))
        if isinstance(value, str | bool | int | float):
            return LabelledValue(label, _labels(found).get(value) or word(value))
        return plain(label, value)

    def key(self, found: models.Field, label: str, value: Any) -> LabelledValue:
        """Of the row itself or of another one; a role and its kind are words."""
        target = found.target_field if isinstance(found, models.ForeignKey) else found
        if (text := _labels(target).get(value)) is not None:
            return LabelledValue(label, text)
        if str(value) == self.subject:
            return LabelledValue(label, gettext("you"), kind="key")
        if isinstance(found, models.ForeignKey):
            table = found.related_model._meta.db_table
            if (place := self.numbers.get((table, str(value)))) is not None:
                title = self.title(table, place, self.tables[table][place - 1])
                return LabelledValue(label, title, kind="key", link=f"{table}-{place}")
        return LabelledValue(label, word(value), kind="key")

    @cached_property
    def numbers(self) -> dict[tuple[str, str], int]:
        """Where a row stands in its table, by its key."""
        found = {}
        for table, rows in self.tables.items():
            model = model_of(table)
            for number, row in enumerate(rows, 1):
                if model and (key := row.get(column_of(model._meta.pk))) is not None:
                    found[table, str(key)] = number
        return found

    def moment(self, found: models.Field, value: Any) -> str:
        if isinstance(found, models.DateTimeField):
            time = time_of(value)
            return date_and_time(time, self.zone) if time else word(value)
        day = day_of(value)
        return date_format(day, "DATE_FORMAT") if day else word(value)


def zone_of(tables: Mapping[str, list[dict[str, Any]]]) -> ZoneInfo:
    """The zone of the person whose rows these are; Moscow's where none is known."""
    for row in tables.get("users", ()):
        try:
            return ZoneInfo(row.get("timezone") or USUAL_ZONE)
        except (ValueError, OSError, KeyError):  # a zone that this machine does not know
            break
    return ZoneInfo(USUAL_ZONE)


def date_and_time(time: datetime, zone: ZoneInfo) -> str:
    time = time.astimezone(zone)
    return f"{date_format(time, 'DATE_FORMAT')}, {date_format(time, 'TIME_FORMAT')}"


def word(value: Any) -> str:
    if isinstance(value, bool):
        return gettext("yes") if value else gettext("no")
    return HALF_A_PAIR.sub("\N{REPLACEMENT CHARACTER}", str(value))


def plain(label: str, value: Any) -> LabelledValue:
    """JSON of which no schema is known."""
    if isinstance(value, Mapping):
        return LabelledValue(
            label, parts=tuple(plain(word(key), one) for key, one in value.items())
        )
    if isinstance(value, list | tuple):
        if all(isinstance(one, str | bool | int | float) for one in value):
            return LabelledValue(label, ", ".join(map(word, value)))
        return LabelledValue(
            label, parts=tuple(plain(f"{n}.", one) for n, one in enumerate(value, 1))
        )
    return LabelledValue(label, "—" if value is None else word(value))


# -- payloads -------------------------------------------------------------------------------------


def payload(found: SealedJSON, value: Any, row: Row) -> Iterator[LabelledValue]:
    """A diary entry or an intake form, with the titles of the schema that it was checked by."""
    schema = _schema(found, value, row)
    if schema and isinstance(value, Mapping):
        yield from _answers(value, schema)
    else:
        yield plain("", value)


def _schema(found: SealedJSON, value: Any, row: Row) -> dict[str, Any]:
    try:
        name, _is_draft = found.schema(SimpleNamespace(**row)) if found.schema else ("", True)
        return payloads.schema_for(name, value["version"])
    except (AttributeError, LookupError, TypeError):  # of another version, or no payload at all
        return {}


def _answers(value: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[LabelledValue]:
    properties = schema.get("properties", {})
    known = [name for name in properties if name in value and "title" in properties[name]]
    for name in [*known, *(name for name in value if name not in properties)]:
        yield _answer(properties.get(name, {}), name, value[name])


def _answer(schema: Mapping[str, Any], name: str, value: Any) -> LabelledValue:
    label = word(schema.get("title", name))
    if isinstance(value, Mapping) and "properties" in schema:
        return LabelledValue(label, parts=tuple(_answers(value, schema)))
    if isinstance(value, list) and (items := schema.get("items")):
        if "enum" in items:
            options = _options(schema, items)
            return LabelledValue(label, "\n".join(options.get(one) or word(one) for one in value))
        numbered = [(f"{number}.", one) for number, one in enumerate(value, 1)]
        return LabelledValue(
            label, parts=tuple(_answer(items, mark, one) for mark, one in numbered)
        )
    if isinstance(value, str):
        return LabelledValue(label, _options(schema, schema).get(value) or word(value))
    if type(value) is int and schema.get("maximum") == 10:
        return LabelledValue(label, gettext("%(number)s out of 10") % {"number": value})
    return plain(label, value)


def _options(described: Mapping[str, Any], closed: Mapping[str, Any]) -> dict[str, str]:
    """What the answers of a closed question mean: its description lists them in their order,
    or they are called as in the closed sets of the models.
    """
    codes = closed.get("enum", ())
    text = described.get("description", "").strip().removesuffix(".")
    for between in ALTERNATIVES:
        words = between.split(text)
        if len(words) == len(codes) > 1:
            return {code: capfirst(said) for code, said in zip(codes, words, strict=True)}
    return {code: capfirst(gettext(code.replace("_", " "))) for code in codes}


# -- labels ---------------------------------------------------------------------------------------


def model_of(table: str) -> type[models.Model] | None:
    found = _table(table)
    return found.model if found else None


def fields_of(table: str) -> dict[str, models.Field]:
    """The columns of the table by name, in the order of its model."""
    found = _table(table)
    return {c.name: c.field for c in found.columns if c.field is not None} if found else {}


def column_of(found: models.Field) -> str:
    """The name of its column; only a many-to-many field has none."""
    return cast("str", found.column)


def table_title(table: str) -> str:
    model = model_of(table)
    if model is get_user_model():
        return gettext("About you")
    return capfirst(str(model._meta.verbose_name_plural)) if model else table


def label_of(found: models.Field) -> str:
    label = str(found.verbose_name)
    if isinstance(found, ProtectedField | models.DateTimeField):
        # What was sealed is open here, and times are not in UTC.
        label = re.sub(r"\s*\([^()]*\)$", "", label)
    return capfirst(label)


def _table(name: str) -> data_map.Table | None:
    return next((table for table in data_map.tables() if table.name == name), None)


def _labels(found: models.Field) -> dict[Any, str]:
    return {value: capfirst(str(label)) for value, label in found.flatchoices}


def time_of(value: Any) -> datetime | None:
    if isinstance(value, datetime):
        time: datetime | None = value
    else:
        try:
            time = parse_datetime(value)
        except (TypeError, ValueError):
            return None
    return time if time and time.utcoffset() is not None else None


def day_of(value: Any) -> date | None:
    if isinstance(value, date):
        return value
    try:
        return parse_date(value)
    except (TypeError, ValueError):
        return None
