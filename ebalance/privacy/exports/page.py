"""The page of an export: one HTML file in Russian, without scripts, everything in it escaped.

The frame is a template. The records are built in Python, because there may be tens of thousands.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from html import escape
from typing import Any

from django.template.loader import render_to_string
from django.utils import translation
from django.utils.safestring import mark_safe

from .readable import LabelledValue, Reader, Record, date_and_time, zone_of

type Tables = dict[str, list[dict[str, Any]]]


def render(
    tables: Tables, *, subject: str, exported_at: str, json_name: str, is_complete: bool
) -> str:
    """The page about ``subject``; ``json_name`` is the file with the same data as JSON."""
    zone = zone_of(tables)
    with translation.override("ru"):
        sections = [
            {"section": section, "records": mark_safe("".join(map(_record, section.records)))}
            for section in Reader(tables, subject, zone).sections()
        ]
        return render_to_string(
            "privacy/export.html",
            {
                "sections": sections,
                "exported_at": date_and_time(datetime.fromisoformat(exported_at), zone),
                "zone": zone.key,
                "subject": subject,
                "is_complete": is_complete,
                "json_name": json_name,
            },
        )


def _record(record: Record) -> str:
    parts = [f'<article class="box record" id="{escape(record.anchor)}">']
    parts.append(f"<h3>{escape(record.title)}</h3>\n")
    if record.values:
        parts += [*_list(record.values), "\n"]
    if record.keys:
        parts.append(f'<p class="keys">{"".join(map(_key, record.keys))}</p>\n')
    return "".join([*parts, "</article>\n"])


def _list(values: tuple[LabelledValue, ...]) -> Iterator[str]:
    yield '<dl class="values">'
    for one in values:
        yield '<div class="long">' if one.is_long else "<div>"
        if one.label:
            yield f"<dt>{escape(one.label)}</dt>"
        if one.parts:
            yield "<dd>"
            yield from _list(one.parts)
            yield "</dd></div>"
        else:
            lost = ' class="lost"' if one.kind == "unreadable" else ""
            yield f'<dd{lost} dir="auto">{escape(one.text)}</dd></div>'
    yield "</dl>"


def _key(key: LabelledValue) -> str:
    text = escape(key.text)
    if key.link:
        text = f'<a href="#{escape(key.link)}">{text}</a>'
    return f"<span>{escape(key.label)}: {text}</span>"
