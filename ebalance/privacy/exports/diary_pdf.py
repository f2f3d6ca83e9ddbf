"""A person's diary as a PDF to read and print (export type ``diary_pdf``).

The font is Source Sans Pro (OFL), in ``ebalance/privacy/fonts``. It has Cyrillic, but no emoji. A
missing sign is drawn as an empty box, which the last page explains.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, cast
from xml.sax.saxutils import escape
from zoneinfo import ZoneInfo

from django.utils import translation
from django.utils.formats import date_format
from django.utils.text import capfirst
from django.utils.translation import gettext
from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import CondPageBreak, Flowable, HRFlowable, Paragraph, SimpleDocTemplate

from ebalance.db.contacts import INVISIBLE

from . import readable

TABLE = "diary_entries"
REGULAR, BOLD = "SourceSansPro-Regular", "SourceSansPro-Bold"
FONTS = Path(__file__).resolve().parent.parent / "fonts"
BOX = "\N{BALLOT BOX}"  # drawn for what the font lacks
INK, QUIET, LINE = HexColor("#23302f"), HexColor("#5c6b69"), HexColor("#dde5e2")
MARGIN = 22 * mm
STEP = 5 * mm  # indentation of the parts of an answer

BODY = ParagraphStyle("body", fontName=REGULAR, fontSize=11, leading=15.5, textColor=INK)
BODY.splitLongWords = 1
TITLE = ParagraphStyle("title", BODY, fontName=BOLD, fontSize=24, leading=30, spaceAfter=4)
ENTRY = ParagraphStyle("entry", BODY, fontName=BOLD, fontSize=14, leading=18, spaceBefore=14)
KIND = ParagraphStyle("kind", BODY, textColor=QUIET, spaceAfter=4)
LABEL = ParagraphStyle("label", BODY, fontSize=9.5, leading=13, textColor=QUIET, spaceBefore=5)
SHORT = ParagraphStyle("short", BODY, spaceBefore=3)
NOTE = ParagraphStyle("note", BODY, fontSize=9.5, leading=13.5, textColor=QUIET, spaceBefore=10)


def render_diary_pdf(
    entries: Iterable[Mapping[str, Any]],
    stream: BinaryIO,
    *,
    at: datetime,
    zone: ZoneInfo | None = None,
) -> None:
    """Write a PDF of these rows of diary_entries, opened as in an export, by their days.

    Entries that their author deleted are empty and are left out. Without entries the PDF has one
    page that states this.
    """
    zone = zone or ZoneInfo(readable.USUAL_ZONE)
    _fonts()
    with translation.override("ru"):
        title = gettext("My diary")
        pages = Pages(stream, title)
        pages.build(
            list(_story(entries, title, readable.date_and_time(at, zone))),
            onFirstPage=_foot,
            onLaterPages=_foot,
        )


class Pages(SimpleDocTemplate):
    """Pages with an outline that lists the entries by day."""

    def __init__(self, stream: BinaryIO, title: str) -> None:
        super().__init__(
            stream,
            pagesize=A4,
            leftMargin=MARGIN,
            rightMargin=MARGIN,
            topMargin=MARGIN,
            bottomMargin=MARGIN,
            title=title,
            author=gettext("Emotional balance"),
            lang="ru",
        )
        self.marks = 0

    def afterFlowable(self, flowable: Flowable) -> None:
        if (mark := getattr(flowable, "mark", None)) is not None:
            self.marks += 1
            key = f"entry-{self.marks}"
            self.canv.bookmarkPage(key)
            self.canv.addOutlineEntry(mark, key)


def _foot(canvas: Canvas, page: Pages) -> None:
    canvas.setFont(REGULAR, 9)
    canvas.setFillColor(QUIET)
    number = gettext("Page %(number)s") % {"number": page.page}
    canvas.drawCentredString(A4[0] / 2, MARGIN / 2, number)


def _story(entries: Iterable[Mapping[str, Any]], title: str, made_at: str) -> Iterator[Flowable]:
    shown = sorted(
        (row for row in entries if row.get("payload_encrypted") is not None),
        key=lambda row: (str(row["entry_date"]), str(row.get("created_at"))),
    )
    writer = Writer()
    yield from writer.lines(title, TITLE)
    yield from writer.lines(gettext("Made on %(time)s") % {"time": made_at}, NOTE)
    if not shown:
        yield from writer.lines(gettext("There are no entries."), BODY)
    for row in shown:
        yield from writer.entry(row)
        yield HRFlowable(width="100%", color=LINE, spaceBefore=12, spaceAfter=0)
    if writer.has_boxes:
        sentence = gettext("Signs that cannot be printed, such as smileys, are shown as %(box)s.")
        yield from writer.lines(sentence % {"box": BOX}, NOTE)


class Writer:
    """Makes paragraphs of labelled values, and records whether the font lacked a sign."""

    def __init__(self) -> None:
        self.reader = readable.Reader({})
        self.has_boxes = False

    def entry(self, row: Mapping[str, Any]) -> Iterator[Flowable]:
        fields = readable.fields_of(TABLE)
        day = readable.day_of(row["entry_date"])
        when = self.reader.format_date(fields["entry_date"], row["entry_date"])
        if day:
            when = f"{when}, {date_format(day, 'l').lower()}"
        kind = self.reader.label_value(fields["diary_type"], "diary_type", row["diary_type"], row)
        payload_field = fields["payload_encrypted"]
        column = readable.column_of(payload_field)
        content = self.reader.label_value(payload_field, column, row["payload_encrypted"], row)
        yield CondPageBreak(35 * mm)  # a heading is not left alone at the end of a page
        heading: Any  # a Paragraph; Pages reads its mark
        (heading,) = self.lines(when, ENTRY)
        heading.mark = self.printable(f"{when}: {kind.text}")
        yield heading
        yield from self.lines(f"{kind.label}: {kind.text}", KIND)
        if content.kind == "unreadable":
            yield from self.lines(capfirst(content.text), NOTE)
        for one in content.parts:
            yield from self.answer(one)

    def answer(self, one: readable.LabelledValue, depth: int = 0) -> Iterator[Flowable]:
        if not one.is_long:
            yield self.line(one, depth)
            return
        yield CondPageBreak(LABEL.leading + 2 * BODY.leading)  # nor is a question left alone
        yield from self.lines(one.label, LABEL, depth)
        for part in one.parts:
            yield from self.answer(part, depth + 1)
        if not one.parts:
            yield from self.lines(one.text, BODY, depth)

    def line(self, one: readable.LabelledValue, depth: int) -> Flowable:
        """Question and answer on one line."""
        label, text = (escape(self.printable(part)) for part in (one.label, one.text))
        asked = f'<font size="{LABEL.fontSize}" color="{QUIET.hexval()}">{label}:</font> '
        return Paragraph((asked if label else "") + text, _indented(SHORT, depth))

    def lines(self, text: str, style: ParagraphStyle, depth: int = 0) -> Iterator[Flowable]:
        """A paragraph for each line; blank lines stay."""
        style = _indented(style, depth)
        for line in text.splitlines():
            # Escaped: Paragraph would interpret tags.
            yield Paragraph(escape(self.printable(line)) or "\N{NO-BREAK SPACE}", style)

    def printable(self, text: str) -> str:
        shown = printable(text)
        self.has_boxes |= BOX in shown and BOX not in text
        return shown


def printable(text: str) -> str:
    """``text`` with a box for each sign that the font lacks; a joined sign gets one box."""
    text = unicodedata.normalize("NFC", readable.word(text))
    text = "".join(" " if _is_blank(letter) else letter for letter in text)
    text = _sequences().sub(BOX, text)
    return INVISIBLE.sub("", text)


def _is_blank(letter: str) -> bool:
    return letter == "\t" or unicodedata.category(letter) == "Zs"


@cache
def _indented(style: ParagraphStyle, depth: int) -> ParagraphStyle:
    name = f"{style.name}-{depth}"
    return ParagraphStyle(name, style, leftIndent=min(depth, 6) * STEP) if depth else style


@cache
def _fonts() -> None:
    for name in (REGULAR, BOLD):
        pdfmetrics.registerFont(TTFont(name, str(FONTS / f"{name}.ttf")))


def _font(name: str) -> TTFont:
    return cast("TTFont", pdfmetrics.getFont(name))


@cache
def _sequences() -> re.Pattern[str]:
    """Signs that one of the fonts lacks; a joined sign, such as a family, is one match."""
    known = set.intersection(*({*_font(name).face.charToGlyph} for name in (REGULAR, BOLD)))
    inside = "".join(f"\\U{code:08x}" for code in sorted(known) if code > 31)
    sign = f"[^{inside}{INVISIBLE.pattern.strip('[]')}]"
    more = "[\\ufe0e\\ufe0f\\U0001f3fb-\\U0001f3ff]*"  # variants and colours of skin
    return re.compile(f"{sign}{more}(\\u200d{sign}{more})*")
