"""A diary as a PDF: complete, in order, and safe for any text."""

from __future__ import annotations

import io
import logging
import re
from typing import Any

import pytest
from django.utils import translation
from pypdf import PdfReader

from ebalance.db.encryption import payloads
from ebalance.privacy.exports import readable
from ebalance.privacy.exports.diary_pdf import BOX, printable, render_diary_pdf
from tests.factories.payloads import PAYLOADS
from tests.privacy.documents import NOON, diary, texts

KINDS = ["abc", "emotions", "gratitude", "sleep_energy"]


def pdf(*entries: dict[str, Any], **options: Any) -> PdfReader:
    stream = io.BytesIO()
    render_diary_pdf(entries, stream, at=NOON, **options)
    return PdfReader(stream, strict=True)


def text_of(reader: PdfReader) -> str:
    """The whole text, with one blank between lines."""
    return " ".join(" ".join(page.extract_text().split()) for page in reader.pages)


def note(text: str, day: str = "2026-01-07", **values: Any) -> dict[str, Any]:
    payload = {"version": 1, "items": [{"text": "Солнцу"}], "note": text}
    return diary(day=day, **{"payload_encrypted": payload, **values})


def russian(message: str, **values: Any) -> str:
    with translation.override("ru"):
        return translation.gettext(message) % values


@pytest.mark.parametrize("kind", KINDS)
def test_pdf_contains_every_answer(kind: str) -> None:
    payload = PAYLOADS[f"diary_{kind}"]
    seen = text_of(pdf(diary(kind)))
    codes = {"mind_reading", "catastrophising"}
    for text in texts(payload):
        printed = " ".join(printable(" ".join(text.split())).split())
        assert (printed in seen) != (text in codes), text
    assert payloads.schema_for(f"diary_{kind}", 1)["properties"]["version"] == {"const": 1}
    assert "version" not in seen


def test_entries_are_ordered_and_outlined_by_day() -> None:
    reader = pdf(
        note("Третье", "2026-02-01"), note("Первое", "2025-12-31"), note("Второе", "2026-01-07")
    )
    seen = text_of(reader)
    assert seen.index("Первое") < seen.index("Второе") < seen.index("Третье")
    days = [
        "31 декабря 2025 г., среда",
        "7 января 2026 г., среда",
        "1 февраля 2026 г., воскресенье",
    ]
    assert all(day in seen for day in days)
    assert [entry.title.partition(":")[0] for entry in reader.outline] == days


def test_entries_of_a_day_are_in_the_order_of_writing() -> None:
    later = note("Вечером", created_at="2026-01-07T18:00:00Z")
    earlier = note("Утром", created_at="2026-01-07T06:00:00Z")
    seen = text_of(pdf(later, earlier))
    assert seen.index("Утром") < seen.index("Вечером")


def test_every_page_has_its_number() -> None:
    reader = pdf(*(note("Долго. " * 300) for _ in range(12)))
    assert len(reader.pages) > 5
    for number, page in enumerate(reader.pages, 1):
        assert russian("Page %(number)s", number=number) in page.extract_text()


def test_deleted_entry_is_left_out() -> None:
    deleted = note(
        "", payload_encrypted=None, deleted_at="2026-01-08T00:00:00Z", entry_date="2026-01-01"
    )
    seen = text_of(pdf(deleted, note("Осталось")))
    assert "Осталось" in seen
    assert "1 января 2026" not in seen


@pytest.mark.parametrize(
    "entries", [[], [note("", payload_encrypted=None)]], ids=["none", "deleted"]
)
def test_pdf_without_entries_has_a_notice(entries: list[dict[str, Any]]) -> None:
    reader = pdf(*entries)
    assert len(reader.pages) == 1
    assert russian("There are no entries.") in text_of(reader)


def test_unreadable_entry_is_marked_at_its_day() -> None:
    lost = note("", payload_encrypted=readable.unreadable("UnknownKey"), entry_date="2026-01-05")
    seen = text_of(pdf(lost, note("Осталось")))
    assert russian("could not be opened")[1:] in seen
    assert "5 января 2026 г." in seen
    assert "Осталось" in seen


@pytest.mark.parametrize(
    "text",
    [
        "<b>жирно</b> & <br/> &amp; <img src='http://example.com/x.png'/>",
        "<para><a href='javascript:1'>x</a></para>",
        "незакрытое <font color=red",
        "]]> -- {nb} %s %(x)s {{ x }} \\x00 (скобка \\) (",
        "/JavaScript << /S /URI >> endobj",
    ],
)
def test_markup_in_a_text_is_printed_as_text(text: str) -> None:
    reader = pdf(note(text))
    assert " ".join(text.split()) in text_of(reader)
    assert all("/Annots" not in page for page in reader.pages)
    assert "/JavaScript" not in str(reader.trailer["/Root"])


def test_long_text_continues_on_the_next_page() -> None:
    words = " ".join(f"слово{number}" for number in range(2_000))[:10_000].split()[:-1]
    reader = pdf(note(" ".join(words)))
    assert len(reader.pages) > 1
    assert re.findall(r"слово\d+", text_of(reader)) == words


def test_long_word_is_wrapped() -> None:
    reader = pdf(note("ъ" * 10_000))
    lines = [line for page in reader.pages for line in page.extract_text().splitlines()]
    assert sum(line.count("ъ") for line in lines) == 10_000
    assert max(map(len, lines)) < 120


def test_line_breaks_are_kept() -> None:
    (text,) = {page.extract_text() for page in pdf(note("Раз\n\nДва\r\nТри\u2028Четыре")).pages}
    assert re.search(r"Раз\n\s*Два\nТри\nЧетыре\n", text)


def test_thousand_lines_are_printed() -> None:
    reader = pdf(note("\n".join(f"строка{number}" for number in range(1_000))))
    assert re.findall(r"строка\d+", text_of(reader)) == [f"строка{n}" for n in range(1_000)]


@pytest.mark.slow
def test_hundred_entries_are_printed() -> None:
    reader = pdf(
        *(note("Хороший день. " * 100, f"2026-01-{day % 28 + 1:02}") for day in range(100))
    )
    assert text_of(reader).count("Хороший день.") == 100 * 100


# -- characters ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "printed"),
    [
        ("Ёлки, №1 — «да»… 20 ₽", "Ёлки, №1 — «да»… 20 ₽"),
        ("е\u0308 и\u0306 а\u0301", "ё й а\u0301"),
        ("день 🙂!", f"день {BOX}!"),
        ("👨\u200d👩\u200d👧 и 👍🏽 и ❤\ufe0f", f"{BOX} и {BOX} и {BOX}"),
        ("🙂🙂", f"{BOX}{BOX}"),
        ("שלום", BOX * 4),
        ("日本", BOX * 2),
        ("\ud83d", BOX),
        ("а\tб\u2009в\u3000г", "а б в г"),
        ("а\x07б", f"а{BOX}б"),
        ("со\u00adм\u200bне\u2060ние\ufeff", "сомнение"),
        ("\u202eабв\u202c", "абв"),
        ("\U000f0000", BOX),
        ("", ""),
    ],
)
def test_character_missing_in_the_font_is_a_box(written: str, printed: str) -> None:
    pdf()  # the first call loads the fonts
    assert printable(written) == printed


def test_boxes_are_explained_if_there_are_any() -> None:
    sentence = russian(
        "Signs that cannot be printed, such as smileys, are shown as %(box)s.", box=BOX
    )
    assert sentence in text_of(pdf(note("🙂")))
    assert sentence not in text_of(pdf(note("Без смайликов")))


def test_every_letter_of_russian_is_in_the_font() -> None:
    pdf()
    letters = "".join(chr(code) for code in range(ord("А"), ord("я") + 1)) + "Ёё"
    assert printable(letters) == letters


def test_file_embeds_its_fonts() -> None:
    """Every font in use is embedded, as a subset."""
    (page, *_rest) = pdf(note("Да")).pages
    fonts = [font.get_object() for font in page["/Resources"]["/Font"].values()]
    embedded = [font for font in fonts if "+SourceSansPro" in font["/BaseFont"]]
    assert len(embedded) >= 2
    assert all("/FontFile2" in font["/FontDescriptor"].get_object() for font in embedded)


def test_metadata_contains_no_name() -> None:
    reader = pdf(note("Да"))
    assert reader.metadata is not None
    assert reader.metadata.title == russian("My diary")
    assert reader.metadata.author == russian("Emotional balance")
    assert reader.trailer["/Root"]["/Lang"] == "ru"


def test_rendering_writes_nothing_into_logs(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        render_diary_pdf([note("🙂 тайна")], io.BytesIO(), at=NOON)
    assert [record for record in caplog.records if not record.name.startswith("pypdf")] == []
