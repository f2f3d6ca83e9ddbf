"""An export as JSON, as a page and as a ZIP: complete, harmless, in Russian."""

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
    """What a browser would see."""

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


def test_a_document_says_what_it_is() -> None:
    made = document()
    assert {name: value for name, value in made.items() if name != "tables"} == {
        "format": "ebalance-export",
        "version": 1,
        "exported_at": "2026-01-07T12:00:00Z",
        "subject": str(ANNA),
    }


def test_the_order_is_that_of_the_models_whoever_gave_the_rows() -> None:
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


def test_json_is_utf_8_that_anybody_can_read() -> None:
    made = document(reviews=[row(review_text_encrypted="Спасибо 🙂\n")])
    content = export_document.render_json(made)
    assert "Спасибо 🙂\\n".encode() in content
    assert json.loads(content) == made


def test_half_a_character_is_no_reason_to_keep_everything_back() -> None:
    """Text that another program sealed; UTF-8 cannot say it, JSON can."""
    made = document(reviews=[row(review_text_encrypted="до \ud83d после")])
    assert json.loads(export_document.render_json(made)) == made
    assert "до \N{REPLACEMENT CHARACTER} после" in page(made).text
    export_document.render_page(made).encode("utf-8")


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), uuid7()], ids=["NaN", "infinity", "a key"]
)
def test_what_is_no_plain_json_is_refused(value: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        export_document.render_json(document(leads=[row(utm=value)]))


def test_a_zip_holds_both_and_is_the_same_twice() -> None:
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


# -- the page: harmless ---------------------------------------------------------------------------


def hostile(value: Any) -> Any:
    if isinstance(value, str):
        return HOSTILE
    if isinstance(value, dict):
        return {name: hostile(one) for name, one in value.items()} | {HOSTILE: HOSTILE}
    return [hostile(one) for one in value] if isinstance(value, list) else value


def everywhere() -> dict[str, list[dict[str, Any]]]:
    """A hostile text in every column of every table there is, and in tables there are not."""
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


def test_nothing_that_somebody_wrote_becomes_a_part_of_the_page() -> None:
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


def test_the_page_asks_nobody_for_anything() -> None:
    seen = page(document(appointments=[row(meeting_url="https://example.com/x?a=1&b=2")]))
    assert "https://example.com/x?a=1&b=2" in seen.text
    assert all(link and link.startswith("#") for link in seen.attributes("href"))
    html = export_document.render_page(document())
    assert "url(" not in html
    assert "@import" not in html
    assert "default-src 'none'" in html


def test_every_link_leads_somewhere_and_every_place_is_named_once() -> None:
    appointment = row(start_at_utc="2026-01-07T12:00:00Z", client_user_id=str(ANNA))
    payment = row(appointment_id=appointment["id"], amount=1000)
    seen = page(document(appointments=[appointment], payments=[payment], consents=[row(), row()]))
    anchors = seen.attributes("id")
    assert len(anchors) == len({*anchors})
    assert {link.removeprefix("#") for link in seen.attributes("href") if link} <= {*anchors}
    assert "#appointments-1" in seen.attributes("href")


# -- the page: readable ---------------------------------------------------------------------------


def test_tables_and_columns_have_their_russian_names() -> None:
    with translation.override("en"):  # whatever the language of the program is
        seen = page(document(consents=[row(consent_type="personal_data", granted=True)])).text
    for said in ("Согласия", "Вид согласия", "Обработка персональных данных", "Согласие дано"):
        assert said in seen
    assert "personal_data" not in seen


def test_no_label_of_a_table_in_an_export_is_a_name_of_a_program() -> None:
    with translation.override("ru"):
        for table in data_map.tables():
            for column in table.columns:
                if table.model and column.in_export and column.field is not None:
                    label = readable.label_of(column.field)
                    assert re.search("[А-яёЁ]|Telegram", label), column
                    assert "зашифрован" not in label, column


def test_the_contents_name_every_table_and_how_much_is_in_it() -> None:
    made = document(consents=[row(), row(), row()], reviews=[])
    seen = page(made)
    assert [link for link in seen.attributes("href") if link][:2] == ["#users", "#consents"]
    assert "Согласия\n3" in seen.text
    assert "Отзывы" not in seen.text


@pytest.mark.parametrize(
    ("zone", "said", "named"),
    [
        ("Europe/Moscow", "7 января 2026 г., 15:00", "Europe/Moscow"),
        ("Asia/Vladivostok", "7 января 2026 г., 22:00", "Asia/Vladivostok"),
        ("America/New_York", "7 января 2026 г., 7:00", "America/New_York"),
        (None, "7 января 2026 г., 15:00", "Europe/Moscow"),
        ("Mars/Olympus", "7 января 2026 г., 15:00", "Europe/Moscow"),
        ("../../etc/passwd", "7 января 2026 г., 15:00", "Europe/Moscow"),
    ],
)
def test_times_are_the_persons_own_and_the_zone_is_named(
    zone: str | None, said: str, named: str
) -> None:
    made = export_document.make_document(
        ANNA,
        {"users": [account(timezone=zone)], "consents": [row(granted_at="2026-01-07T12:00:00Z")]},
        NOON + timedelta(days=1),
    )
    seen = page(made).text
    assert f"Согласие, {said}" in seen
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


def test_lines_of_a_text_stay_lines() -> None:
    html = export_document.render_page(
        document(reviews=[row(review_text_encrypted="Раз\n\n  Два")])
    )
    assert "Раз\n\n  Два" in html
    assert "white-space: pre-wrap" in html


def test_another_record_is_called_by_what_it_is_and_the_person_is_not_a_number() -> None:
    appointment = row(start_at_utc="2026-03-01T09:00:00Z", client_user_id=str(ANNA))
    made = document(appointments=[appointment], payments=[row(appointment_id=appointment["id"])])
    reader = readable.Reader(made["tables"], made["subject"])
    with translation.override("ru"):
        sections = {section.name: section.records[0] for section in reader.sections()}
    assert [(key.text, key.link) for key in sections["payments"].keys][1:] == [
        ("Встреча, 1 марта 2026 г., 12:00", "appointments-1")
    ]
    assert str(ANNA) not in [key.text for key in sections["appointments"].keys]


def test_a_role_is_a_word() -> None:
    seen = page(document(user_roles=[row(user_id=str(ANNA), role_code="client")])).text
    assert "Роль\nКлиент" in seen


def test_a_table_or_column_that_is_not_known_is_shown_as_it_is() -> None:
    seen = page(
        document(old_notes=[{"id": "1", "remark": "Давно", "more": {"a": [1, {"b": None}]}}])
    )
    for said in ("old_notes", "remark", "Давно", "more"):
        assert said in seen.text


def test_a_value_of_another_kind_than_its_column_is_shown_as_it_is() -> None:
    odd = row(start_at_utc="вчера", price_amount={"a": 1}, status=["x"], format="by_owl")
    seen = page(document(appointments=[odd], diary_entries=[diary(entry_date=5)])).text
    assert "вчера" in seen
    assert "by_owl" in seen


def test_a_person_of_whom_nothing_is_kept() -> None:
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
    found = [schema["title"]] if "title" in schema else []
    for one in schema.get("properties", {}).values():
        found += titles(one)
    return found + (titles(schema["items"]) if "items" in schema else [])


def questions(schema: Any) -> list[Any]:
    """Every question of a form, those inside of others too."""
    found = []
    for one in schema.get("properties", {}).values():
        found += [one, *questions(one)]
    return found + (questions(schema["items"]) if "items" in schema else [])


@pytest.mark.parametrize("schema", SCHEMAS)
def test_every_answer_stands_beside_its_question(schema: str) -> None:
    table, made = sealed_row(schema, PAYLOADS[schema])
    seen = page(document(**{table: [made]})).text
    declared = payloads.schema_for(schema, 1)
    codes = {code for one in questions(declared) for code in enum_of(one)}
    asked = [title for title in titles(declared)[1:] if title in seen]
    missing = {*titles(declared)[1:]} - {*asked}
    # What PAYLOADS leaves out, and nothing else.
    assert missing <= {"Насколько я в это верю после разбора, %"}
    for text in texts(PAYLOADS[schema]):
        assert (text in seen) != (text in codes), text
    assert "version" not in seen


def enum_of(question: Any) -> list[str]:
    return question.get("enum") or question.get("items", {}).get("enum", [])


@pytest.mark.parametrize("schema", SCHEMAS)
def test_every_question_has_a_title_and_every_closed_answer_words(schema: str) -> None:
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


def test_a_scale_says_of_how_many() -> None:
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
def test_a_payload_of_no_known_schema_is_shown_as_it_is(payload: Any) -> None:
    assert "Спокойно" in page(document(diary_entries=[diary(payload_encrypted=payload)])).text


def test_a_diary_of_an_unknown_kind_is_shown_as_it_is() -> None:
    entry = diary(payload_encrypted={"version": 1, "mood": "Спокойно"}, diary_type="dreams")
    assert "Спокойно" in page(document(diary_entries=[entry])).text


# -- what could not be opened ---------------------------------------------------------------------


def test_what_could_not_be_opened_is_named_in_its_place() -> None:
    lost = diary(payload_encrypted=readable.unreadable("UnknownKey"))
    question = row(question_text_encrypted=readable.unreadable("SealBroken"))
    made = document(diary_entries=[diary(), lost], anonymous_questions=[question])
    with translation.override("ru"):
        said = translation.gettext("could not be opened")
        notice = translation.gettext(
            "Some of it could not be opened and is marked so in its place. This is our fault, not "
            "yours. Please write to us, and we will look into it."
        )
    seen = page(made).text
    assert seen.count(said) - notice.count(said) == 2
    assert notice in seen
    assert f"Вопрос\n{said}" in seen
    assert [*map(str, export_document.unreadable_in(made))] == [
        f"diary_entries.payload_encrypted {lost['id']}",
        f"anonymous_questions.question_text_encrypted {question['id']}",
    ]
    entries = json.loads(export_document.render_json(made))["tables"]["diary_entries"]
    held = {entry["id"]: entry["payload_encrypted"] for entry in entries}
    assert held[lost["id"]] == {"$unreadable": "UnknownKey"}
    assert notice not in page(document(diary_entries=[diary()])).text


def test_no_payload_can_look_as_if_it_had_not_been_opened() -> None:
    for schema in SCHEMAS:
        with pytest.raises(payloads.PayloadInvalid):
            payloads.validate(schema, readable.unreadable("UnknownKey"))


def test_every_model_of_an_export_has_a_title() -> None:
    with translation.override("ru"):
        for model in apps.get_models():
            assert readable.table_title(model._meta.db_table)
