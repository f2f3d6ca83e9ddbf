"""An export as JSON, as a page and as a ZIP: complete, safe and in Russian."""

from __future__ import annotations

import io
import json
import logging
import re
from datetime import timedelta
from html.parser import HTMLParser
from typing import Any
from zipfile import ZipFile

import pytest
from django.apps import apps
from django.utils import translation

from ebalance.db.encryption import payloads
from ebalance.db.ids import uuid7
from ebalance.db.schema import data_map
from ebalance.privacy.exports import document as export_document
from ebalance.privacy.exports import readable
from tests.factories.payloads import PAYLOADS
from tests.privacy.documents import ANNA, NOON, account, diary, document, row, texts

HOSTILE = "<script>alert('x')</script>\"'><img src=x onerror=y>&amp;{{ x }}{% now %}"


class Page(HTMLParser):
    """The tags and texts that a browser would parse."""

    void = {"meta"}

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.void:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return "\n".join(text.strip() for text in self.texts if text.strip())

    def attributes(self, name: str) -> list[str | None]:
        return [attrs[name] for _tag, attrs in self.tags if name in attrs]


def page(made: export_document.Document) -> Page:
    return Page(export_document.render_page(made))


# -- the document ---------------------------------------------------------------------------------


def test_document_has_a_header() -> None:
    made = document()
    assert {name: value for name, value in made.items() if name != "tables"} == {
        "format": "ebalance-export",
        "version": 1,
        "exported_at": "2026-01-07T12:00:00Z",
        "subject": str(ANNA),
    }


def test_order_is_that_of_the_models() -> None:
    first, second = row(status="draft", payload_encrypted={}), row(status="submitted")
    one = document(zzz=[{"b": 1, "a": 2}], intake_forms=[first, second], consents=[row()])
    other = document(
        consents=[*one["tables"]["consents"]],
        intake_forms=[second, dict(reversed(first.items()))],
        zzz=[{"a": 2, "b": 1}],
    )
    assert [*one["tables"]] == ["users", "consents", "intake_forms", "zzz"]
    assert [*one["tables"]["intake_forms"][0]] == ["id", "status", "payload_encrypted"]
    assert export_document.render_json(one) == export_document.render_json(other)


def test_tables_without_rows_are_left_out() -> None:
    assert [*document(reviews=[], consents=[row()])["tables"]] == ["users", "consents"]


def test_json_is_readable_utf_8() -> None:
    made = document(reviews=[row(review_text_encrypted="Спасибо 🙂\n")])
    content = export_document.render_json(made)
    assert "Спасибо 🙂\\n".encode() in content
    assert json.loads(content) == made


def test_lone_surrogate_does_not_prevent_an_export() -> None:
    """Another program sealed the text. UTF-8 cannot encode it, JSON can."""
    made = document(reviews=[row(review_text_encrypted="до \ud83d после")])
    assert json.loads(export_document.render_json(made)) == made
    assert "до \N{REPLACEMENT CHARACTER} после" in page(made).text
    export_document.render_page(made).encode("utf-8")


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), uuid7()], ids=["NaN", "infinity", "a key"]
)
def test_value_that_is_no_plain_json_is_refused(value: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        export_document.render_json(document(leads=[row(utm=value)]))


def test_zip_has_both_files_and_is_reproducible() -> None:
    made = document(diary_entries=[diary()])
    one, other = io.BytesIO(), io.BytesIO()
    export_document.render_zip(made, one)
    export_document.render_zip(made, other)
    assert one.getvalue() == other.getvalue()
    with ZipFile(one) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["index.html", "data.json"]
        assert archive.read("data.json") == export_document.render_json(made)
        assert archive.read("index.html").decode() == export_document.render_page(made)
        assert {entry.date_time for entry in archive.infolist()} == {(2026, 1, 7, 12, 0, 0)}
        assert {entry.external_attr >> 16 for entry in archive.infolist()} == {0o600}


def test_rendering_writes_nothing_into_logs(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        export_document.render_zip(document(diary_entries=[diary()]), io.BytesIO())
    assert caplog.records == []


# -- the page is safe -----------------------------------------------------------------------------


def hostile(value: Any) -> Any:
    if isinstance(value, str):
        return HOSTILE
    if isinstance(value, dict):
        return {name: hostile(one) for name, one in value.items()} | {HOSTILE: HOSTILE}
    return [hostile(one) for one in value] if isinstance(value, list) else value


def everywhere() -> dict[str, list[dict[str, Any]]]:
    """A hostile text in every column of every table, and in unknown tables."""
    tables = {
        table.name: [{column.name: HOSTILE for column in table.columns}]
        for table in data_map.tables()
    }
    tables["intake_forms"].append(
        row(status="draft", payload_encrypted=hostile(PAYLOADS["intake"]))
    )
    tables["diary_entries"] += [
        diary(kind, payload_encrypted={**hostile(PAYLOADS[f"diary_{kind}"]), "version": 1})
        for kind in ("emotions", "abc", "gratitude", "sleep_energy")
    ]
    return {**tables, HOSTILE: [{HOSTILE: HOSTILE, "list": [HOSTILE, [HOSTILE], {"a": HOSTILE}]}]}


ALLOWED = {
    *("html", "head", "meta", "title", "style", "body", "main", "header", "footer", "nav"),
    *("section", "article", "h1", "h2", "h3", "p", "ol", "li", "a", "span"),
    *("dl", "div", "dt", "dd"),
}


def test_hostile_text_is_escaped_on_the_page() -> None:
    made = export_document.make_document(ANNA, everywhere(), NOON)
    seen = page(made)
    assert {tag for tag, _attrs in seen.tags} <= ALLOWED
    names = {name for _tag, attrs in seen.tags for name in attrs}
    assert names <= {
        "lang",
        "charset",
        "http-equiv",
        "content",
        "name",
        "id",
        "class",
        "href",
        "dir",
    }
    assert HOSTILE in seen.text
    assert seen.text.count("<script>") > 200


def test_page_loads_no_external_resource() -> None:
    seen = page(document(appointments=[row(meeting_url="https://example.com/x?a=1&b=2")]))
    assert "https://example.com/x?a=1&b=2" in seen.text
    assert all(link and link.startswith("#") for link in seen.attributes("href"))
    html = export_document.render_page(document())
    assert "url(" not in html
    assert "@import" not in html
    assert "default-src 'none'" in html


def test_every_link_has_a_target_and_every_id_is_unique() -> None:
    appointment = row(start_at_utc="2026-01-07T12:00:00Z", client_user_id=str(ANNA))
    payment = row(appointment_id=appointment["id"], amount=1000)
    seen = page(document(appointments=[appointment], payments=[payment], consents=[row(), row()]))
    anchors = seen.attributes("id")
    assert len(anchors) == len({*anchors})
    assert {link.removeprefix("#") for link in seen.attributes("href") if link} <= {*anchors}
    assert "#appointments-1" in seen.attributes("href")


# -- the page is readable -------------------------------------------------------------------------


def test_tables_and_columns_have_their_russian_names() -> None:
    with translation.override("en"):  # the active language has no effect
        seen = page(document(consents=[row(consent_type="personal_data", granted=True)])).text
    for name in ("Согласия", "Вид согласия", "Обработка персональных данных", "Согласие дано"):
        assert name in seen
    assert "personal_data" not in seen


def test_every_exported_column_has_a_russian_label() -> None:
    with translation.override("ru"):
        for table in data_map.tables():
            for column in table.columns:
                if table.model and column.in_export and column.field is not None:
                    label = readable.label_of(column.field)
                    assert re.search("[А-яёЁ]|Telegram", label), column
                    assert "зашифрован" not in label, column


def test_contents_list_every_table_with_its_number_of_rows() -> None:
    made = document(consents=[row(), row(), row()], reviews=[])
    seen = page(made)
    assert [link for link in seen.attributes("href") if link][:2] == ["#users", "#consents"]
    assert "Согласия\n3" in seen.text
    assert "Отзывы" not in seen.text


@pytest.mark.parametrize(
    ("zone", "shown", "named"),
    [
        ("Europe/Moscow", "7 января 2026 г., 15:00", "Europe/Moscow"),
        ("Asia/Vladivostok", "7 января 2026 г., 22:00", "Asia/Vladivostok"),
        ("America/New_York", "7 января 2026 г., 7:00", "America/New_York"),
        (None, "7 января 2026 г., 15:00", "Europe/Moscow"),
        ("Mars/Olympus", "7 января 2026 г., 15:00", "Europe/Moscow"),
        ("../../etc/passwd", "7 января 2026 г., 15:00", "Europe/Moscow"),
    ],
)
def test_times_are_in_the_zone_of_the_person(zone: str | None, shown: str, named: str) -> None:
    made = export_document.make_document(
        ANNA,
        {"users": [account(timezone=zone)], "consents": [row(granted_at="2026-01-07T12:00:00Z")]},
        NOON + timedelta(days=1),
    )
    seen = page(made).text
    assert f"Согласие, {shown}" in seen
    assert named in seen.partition("Согласия")[0]


def test_days_have_no_zone() -> None:
    made = export_document.make_document(
        ANNA,
        {"users": [account(timezone="America/New_York")], "diary_entries": [diary()]},
        NOON,
    )
    assert "Запись дневника, 7 января 2026 г." in page(made).text


def test_empty_columns_are_not_shown_but_are_in_the_json() -> None:
    made = document(consents=[row(revoked_at=None, version="2026-01-07")])
    assert "Отозвано" not in page(made).text
    assert (
        json.loads(export_document.render_json(made))["tables"]["consents"][0]["revoked_at"] is None
    )


def test_zero_and_no_are_answers() -> None:
    seen = page(document(appointments=[row(price_amount=0)], consents=[row(granted=False)])).text
    assert "Цена, ₽\n0" in seen
    with translation.override("ru"):
        assert f"Согласие дано\n{readable.word(False)}" in seen


def test_line_breaks_of_a_text_are_kept() -> None:
    html = export_document.render_page(
        document(reviews=[row(review_text_encrypted="Раз\n\n  Два")])
    )
    assert "Раз\n\n  Два" in html
    assert "white-space: pre-wrap" in html


def test_reference_to_a_record_is_shown_by_its_title() -> None:
    appointment = row(start_at_utc="2026-03-01T09:00:00Z", client_user_id=str(ANNA))
    made = document(appointments=[appointment], payments=[row(appointment_id=appointment["id"])])
    reader = readable.Reader(made["tables"], made["subject"])
    with translation.override("ru"):
        sections = {section.name: section.records[0] for section in reader.sections()}
    assert [(key.text, key.link) for key in sections["payments"].keys][1:] == [
        ("Встреча, 1 марта 2026 г., 12:00", "appointments-1")
    ]
    assert str(ANNA) not in [key.text for key in sections["appointments"].keys]


def test_role_is_shown_as_a_word() -> None:
    seen = page(document(user_roles=[row(user_id=str(ANNA), role_code="client")])).text
    assert "Роль\nКлиент" in seen


def test_unknown_table_or_column_is_shown_as_it_is() -> None:
    seen = page(
        document(old_notes=[{"id": "1", "remark": "Давно", "more": {"a": [1, {"b": None}]}}])
    )
    for name in ("old_notes", "remark", "Давно", "more"):
        assert name in seen.text


def test_value_of_another_type_than_its_column_is_shown_as_it_is() -> None:
    odd = row(start_at_utc="вчера", price_amount={"a": 1}, status=["x"], format="by_owl")
    seen = page(document(appointments=[odd], diary_entries=[diary(entry_date=5)])).text
    assert "вчера" in seen
    assert "by_owl" in seen


def test_page_without_rows_has_a_notice() -> None:
    made = export_document.make_document(ANNA, {}, NOON)
    with translation.override("ru"):
        assert translation.gettext("We keep nothing about you.") in page(made).text


# -- payloads -------------------------------------------------------------------------------------

SCHEMAS = sorted(PAYLOADS)


def sealed_row(schema: str, payload: Any) -> tuple[str, dict[str, Any]]:
    if schema == "intake":
        return "intake_forms", row(status="submitted", payload_encrypted=payload)
    return "diary_entries", diary(schema.removeprefix("diary_"), payload_encrypted=payload)


def titles(schema: Any) -> list[str]:
    collected = [schema["title"]] if "title" in schema else []
    for one in schema.get("properties", {}).values():
        collected += titles(one)
    return collected + (titles(schema["items"]) if "items" in schema else [])


def questions(schema: Any) -> list[Any]:
    """Every question of a form, also nested ones."""
    collected = []
    for one in schema.get("properties", {}).values():
        collected += [one, *questions(one)]
    return collected + (questions(schema["items"]) if "items" in schema else [])


@pytest.mark.parametrize("schema", SCHEMAS)
def test_page_shows_every_answer_with_its_question(schema: str) -> None:
    table, made = sealed_row(schema, PAYLOADS[schema])
    seen = page(document(**{table: [made]})).text
    declared = payloads.schema_for(schema, 1)
    codes = {code for one in questions(declared) for code in enum_of(one)}
    shown = [title for title in titles(declared)[1:] if title in seen]
    missing = {*titles(declared)[1:]} - {*shown}
    # Only this title may be missing, which PAYLOADS leaves out.
    assert missing <= {"Насколько я в это верю после разбора, %"}
    for text in texts(PAYLOADS[schema]):
        assert (text in seen) != (text in codes), text
    assert "version" not in seen


def enum_of(question: Any) -> list[str]:
    return question.get("enum") or question.get("items", {}).get("enum", [])


@pytest.mark.parametrize("schema", SCHEMAS)
def test_every_question_and_every_closed_answer_has_a_label(schema: str) -> None:
    for version in range(1, payloads.latest(schema) + 1):
        for question in questions(payloads.schema_for(schema, version)):
            if question.get("const") == version:
                continue
            assert "title" in question
            if codes := enum_of(question):
                closed = question if "enum" in question else question["items"]
                options = readable._options(question, closed)
                assert [*options] == codes, question["title"]
                assert all(re.search("[А-яё]|Telegram", word) for word in options.values())


def test_scale_shows_its_maximum() -> None:
    seen = page(document(diary_entries=[diary("emotions")])).text
    with translation.override("ru"):
        assert translation.gettext("%(number)s out of 10") % {"number": 8} in seen


@pytest.mark.parametrize(
    "payload",
    [
        {"version": 7, "mood": "Спокойно"},
        {"mood": "Спокойно"},
        {"version": "1", "mood": {"mood": ["Спокойно", {"a": "b"}]}},
        {"version": [1], "mood": "Спокойно"},
        {"version": 1, "items": "Спокойно", "mood": ["x"], "note": {"a": 1}},
        {"version": 1, "items": [["Спокойно"]]},
        ["Спокойно"],
        "Спокойно",
    ],
    ids=str,
)
def test_payload_of_an_unknown_schema_is_shown_as_it_is(payload: Any) -> None:
    assert "Спокойно" in page(document(diary_entries=[diary(payload_encrypted=payload)])).text


def test_a_diary_of_an_unknown_kind_is_shown_as_it_is() -> None:
    entry = diary(payload_encrypted={"version": 1, "mood": "Спокойно"}, diary_type="dreams")
    assert "Спокойно" in page(document(diary_entries=[entry])).text


# -- unreadable values ----------------------------------------------------------------------------


def test_unreadable_value_is_marked() -> None:
    lost = diary(payload_encrypted=readable.unreadable("UnknownKey"))
    question = row(question_text_encrypted=readable.unreadable("SealBroken"))
    made = document(diary_entries=[diary(), lost], anonymous_questions=[question])
    with translation.override("ru"):
        mark = translation.gettext("could not be opened")
        notice = translation.gettext(
            "Some of it could not be opened and is marked so in its place. This is our fault, not "
            "yours. Please write to us, and we will look into it."
        )
    seen = page(made).text
    assert seen.count(mark) - notice.count(mark) == 2
    assert notice in seen
    assert f"Вопрос\n{mark}" in seen
    assert [*map(str, export_document.unreadable_in(made))] == [
        f"diary_entries.payload_encrypted {lost['id']}",
        f"anonymous_questions.question_text_encrypted {question['id']}",
    ]
    entries = json.loads(export_document.render_json(made))["tables"]["diary_entries"]
    by_id = {entry["id"]: entry["payload_encrypted"] for entry in entries}
    assert by_id[lost["id"]] == {"$unreadable": "UnknownKey"}
    assert notice not in page(document(diary_entries=[diary()])).text


def test_valid_payload_cannot_look_unreadable() -> None:
    for schema in SCHEMAS:
        with pytest.raises(payloads.PayloadInvalid):
            payloads.validate(schema, readable.unreadable("UnknownKey"))


def test_every_model_of_an_export_has_a_title() -> None:
    with translation.override("ru"):
        for model in apps.get_models():
            assert readable.table_title(model._meta.db_table)
