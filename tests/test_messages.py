"""What people read is in Russian."""

from __future__ import annotations

import re

import pytest
from babel.messages import Message
from django.utils import translation

from tools import messages

CYRILLIC = re.compile(r"[а-яё]", re.IGNORECASE)
LATIN = {"Telegram"}  # names that are written so in Russian too
PLAIN = re.compile(r"[\n -~“”’№–—…]+")  # what an English source may be made of


@pytest.fixture(autouse=True)
def russian():
    with translation.override("ru"):
        yield


def untranslated(texts) -> list[str]:
    return [text for text in map(str, texts) if text not in LATIN and not CYRILLIC.search(text)]


def test_the_catalogue_is_complete_and_compiled():
    assert messages.problems() == []


@pytest.mark.parametrize("model", messages.project_models(), ids=lambda m: m._meta.label)
def test_what_a_model_says_is_russian(model):
    texts = [model._meta.verbose_name, model._meta.verbose_name_plural]
    texts += [field.verbose_name for field in model._meta.local_fields]
    texts += [rule.get_violation_error_message() for rule in model._meta.constraints]
    texts += [
        translation.gettext(message)
        for trigger in getattr(model._meta, "triggers", ())
        for message in getattr(trigger, "messages", {}).values()
    ]
    assert untranslated(texts) == []


def test_labels_of_closed_sets_are_russian():
    assert untranslated(m.label for members in messages.closed_sets() for m in members) == []


def test_field_labels_start_in_lower_case_or_with_an_abbreviation():
    labels = {
        str(field.verbose_name)
        for model in messages.project_models()
        for field in model._meta.local_fields
    }
    assert [text for text in labels if text[0].isupper() and not text[:2].isupper()] == []


def test_english_sources_are_plain():
    ids = [
        text
        for message in messages.entries(messages.wanted())
        for text in ([message.id] if isinstance(message.id, str) else message.id)
    ]
    assert [text for text in ids if not PLAIN.fullmatch(text)] == []


@pytest.mark.parametrize(
    ("source", "russian_text", "fault"),
    [
        ("Not yet", "", "is not translated"),
        ("%(name)s is gone.", "Этого больше нет.", "has other placeholders"),
        ("%(name)s is gone.", "%(nane)s: больше нет.", "has other placeholders"),
        ("{name} is gone.", "{0}: больше нет.", "has other placeholders"),
        ("<b>Gone</b>", "<b>Нет<b>", "has other placeholders or tags"),
        ("Gone.", "Больше нет", "ends otherwise"),
        ("Gone", "Больше нет.", "ends otherwise"),
    ],
)
def test_a_wrong_translation_is_named(source, russian_text, fault):
    assert any(found.startswith(fault) for found in messages.faults(Message(source, russian_text)))


def test_a_right_translation_is_not():
    assert list(messages.faults(Message("%(name)s: gone.", "%(name)s: больше нет."))) == []


def test_a_fuzzy_translation_is_named():
    assert list(messages.faults(Message("Gone", "Нет", flags=["fuzzy"]))) == ["is marked as fuzzy"]


def test_a_plural_needs_every_form():
    one, few, many = "%(n)s запись", "%(n)s записи", "%(n)s записей"
    assert list(messages.faults(Message(("%(n)s row", "%(n)s rows"), (one, few, many)))) == []
    assert list(messages.faults(Message(("%(n)s row", "%(n)s rows"), (one, few, ""))))
