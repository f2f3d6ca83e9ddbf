"""Rows of an export in words: titles, labels and values as a person reads them (privacy.md §5).

Labels are those of the models, of closed sets and of the payloads' schemas. Callers set the
language with ``translation.override``. All times are in one zone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property
from types import SimpleNamespace
from typing import Any, Literal, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

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
from ebalance.db.zones import get_zone_info

type Row = Mapping[str, Any]

UNREADABLE = "$unreadable"
USUAL_ZONE = "Europe/Moscow"
HALF_A_PAIR = re.compile("[\ud800-\udfff]")  # an unpaired surrogate, which cannot be encoded
LONG = 60  # characters of a text that gets lines of its own
ALTERNATIVES = (re.compile(r"\s*;\s*"), re.compile(r"\s+или\s+"))


def unreadable(reason: str) -> dict[str, str]:
    """The replacement of a sealed value that could not be opened; ``reason`` is a code.

    No payload has this key: the schemas allow no undeclared keys.
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
    values: tuple[LabelledValue, ...]
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
    """Renders the rows of one document, in the time zone of the person."""

    tables: Mapping[str, list[dict[str, Any]]]
    subject: str = ""
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo(USUAL_ZONE))
    # Cached: a document may have tens of thousands of rows.
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
        values: list[LabelledValue] = []
        keys: list[LabelledValue] = []
        for column, value in row.items():
            db_field = fields.get(column)
            if value is None or value in ("", [], {}):
                continue
            one = self.label_value(db_field, column, value, row)
            (keys if one.kind == "key" else values).append(one)
        return Record(
            anchor=f"{table}-{number}",
            title=self.title(table, number, row),
            values=tuple(values),
            keys=tuple(keys),
        )

    def title(self, table: str, number: int, row: Row) -> str:
        """The name of the model, with the first date or time that the row has."""
        model = model_of(table)
        if model is get_user_model():
            return gettext("Your account")
        name = capfirst(str(model._meta.verbose_name)) if model else f"№ {number}"
        for column, db_field in self.fields(table).items():
            if isinstance(db_field, models.DateField) and row.get(column):
                return f"{name}, {self.format_date(db_field, row[column])}"
        return name

    # -- values ---------------------------------------------------------------------------------

    def label(self, db_field: models.Field) -> str:
        if db_field not in self._labels:
            self._labels[db_field] = label_of(db_field)
        return self._labels[db_field]

    def fields(self, table: str) -> dict[str, models.Field]:
        if table not in self._fields:
            self._fields[table] = fields_of(table)
        return self._fields[table]

    def label_value(
        self, db_field: models.Field | None, column: str, value: Any, row: Row
    ) -> LabelledValue:
        label = column if db_field is None else self.label(db_field)
        if is_unreadable(value):
            return LabelledValue(label, gettext("could not be opened"), kind="unreadable")
        if db_field is None:
            return plain(label, value)
        if isinstance(db_field, SealedJSON):
            return LabelledValue(label, parts=tuple(payload(db_field, value, row)))
        if isinstance(db_field, models.DateField):
            return LabelledValue(label, self.format_date(db_field, value))
        if isinstance(db_field, models.ForeignKey | models.UUIDField):
            return self.key(db_field, label, value)
        if isinstance(db_field, ArrayField):
            labels = _labels(db_field.base_field)
            return LabelledValue(label, ", ".join(labels.get(one, str(one)) for one in value))
        if isinstance(value, str | bool | int | float):
            return LabelledValue(label, _labels(db_field).get(value) or word(value))
        return plain(label, value)

    def key(self, db_field: models.Field, label: str, value: Any) -> LabelledValue:
        """A key of this row or of another row. A key with a label, such as a role, is a text."""
        target = db_field.target_field if isinstance(db_field, models.ForeignKey) else db_field
        if (text := _labels(target).get(value)) is not None:
            return LabelledValue(label, text)
        if str(value) == self.subject:
            return LabelledValue(label, gettext("you"), kind="key")
        if isinstance(db_field, models.ForeignKey):
            table = db_field.related_model._meta.db_table
            if (number := self.numbers.get((table, str(value)))) is not None:
                title = self.title(table, number, self.tables[table][number - 1])
                return LabelledValue(label, title, kind="key", link=f"{table}-{number}")
        return LabelledValue(label, word(value), kind="key")

    @cached_property
    def numbers(self) -> dict[tuple[str, str], int]:
        """The number of each row in its table, by table and key."""
        positions = {}
        for table, rows in self.tables.items():
            model = model_of(table)
            for number, row in enumerate(rows, 1):
                if model and (key := row.get(column_of(model._meta.pk))) is not None:
                    positions[table, str(key)] = number
        return positions

    def format_date(self, db_field: models.Field, value: Any) -> str:
        if isinstance(db_field, models.DateTimeField):
            time = time_of(value)
            return date_and_time(time, self.zone) if time else word(value)
        day = day_of(value)
        return date_format(day, "DATE_FORMAT") if day else word(value)


def zone_of(tables: Mapping[str, list[dict[str, Any]]]) -> ZoneInfo:
    """The time zone of the person; Moscow if it is not known."""
    for row in tables.get("users", ()):
        try:
            return get_zone_info(row.get("timezone") or USUAL_ZONE)
        except ZoneInfoNotFoundError:  # a zone that this machine does not know
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
    """A JSON value without a known schema."""
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


def payload(db_field: SealedJSON, value: Any, row: Row) -> Iterator[LabelledValue]:
    """A diary entry or an intake form, with the titles of its schema."""
    schema = _schema(db_field, value, row)
    if schema and isinstance(value, Mapping):
        yield from _answers(value, schema)
    else:
        yield plain("", value)


def _schema(db_field: SealedJSON, value: Any, row: Row) -> dict[str, Any]:
    try:
        name, _is_draft = db_field.schema(SimpleNamespace(**row)) if db_field.schema else ("", True)
        return payloads.schema_for(name, value["version"])
    except (AttributeError, LookupError, TypeError):  # another version, or no payload
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
    """The labels of the answers to a closed question.

    The description of the question lists the labels in the order of the codes. If it does not,
    they are those of the models' closed sets.
    """
    codes = closed.get("enum", ())
    text = described.get("description", "").strip().removesuffix(".")
    for between in ALTERNATIVES:
        words = between.split(text)
        if len(words) == len(codes) > 1:
            return {code: capfirst(option) for code, option in zip(codes, words, strict=True)}
    return {code: capfirst(gettext(code.replace("_", " "))) for code in codes}


# -- labels ---------------------------------------------------------------------------------------


def model_of(table: str) -> type[models.Model] | None:
    declared = _table(table)
    return declared.model if declared else None


def fields_of(table: str) -> dict[str, models.Field]:
    """The columns of the table by name, in the order of its model."""
    declared = _table(table)
    return {c.name: c.field for c in declared.columns if c.field is not None} if declared else {}


def column_of(db_field: models.Field) -> str:
    """The name of the field's column. Only a many-to-many field has none."""
    return cast("str", db_field.column)


def table_title(table: str) -> str:
    model = model_of(table)
    if model is get_user_model():
        return gettext("About you")
    return capfirst(str(model._meta.verbose_name_plural)) if model else table


def label_of(db_field: models.Field) -> str:
    label = str(db_field.verbose_name)
    if isinstance(db_field, ProtectedField | models.DateTimeField):
        # The label mentions sealing or UTC, but exported values are decrypted and in local time.
        label = re.sub(r"\s*\([^()]*\)$", "", label)
    return capfirst(label)


def _table(name: str) -> data_map.Table | None:
    return next((table for table in data_map.tables() if table.name == name), None)


def _labels(db_field: models.Field) -> dict[Any, str]:
    return {value: capfirst(str(label)) for value, label in db_field.flatchoices}


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
