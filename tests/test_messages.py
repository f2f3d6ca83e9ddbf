"""All texts for people are in Russian."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from babel.messages import Catalog, Message
from django.utils import translation

from booking.models import Appointment
from tests.advice import advises, of_class, of_field
from tools import messages

CATALOGUE = messages.PO.relative_to(messages.ROOT)
CYRILLIC = re.compile(r"[а-яё]", re.IGNORECASE)
LATIN = {"Telegram"}  # names that Russian writes in Latin letters
PLAIN = re.compile(r"[\n -~“”’№–—…]+")  # the allowed form of an English source


@pytest.fixture(autouse=True)
def russian():
    with translation.override("ru"):
        yield


@pytest.fixture(scope="module")
def wanted() -> Catalog:
    """All messages that need a translation, read once because the source is large."""
    return messages.wanted()


def untranslated(texts) -> list[str]:
    return [text for text in map(str, texts) if text not in LATIN and not CYRILLIC.search(text)]


@advises
def test_catalogue_is_complete_and_compiled(
    wanted: Catalog, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    monkeypatch.setattr(messages, "wanted", lambda: wanted)
    for problem in messages.problems():
        yield f"{CATALOGUE}: run `make messages` and write the Russian: {problem}"


@advises
def test_texts_of_models_are_russian() -> Iterator[str]:
    for model in messages.project_models():
        location = of_class(model)
        texts = {
            "verbose_name": model._meta.verbose_name,
            "verbose_name_plural": model._meta.verbose_name_plural,
        }
        texts |= {f.name: f.verbose_name for f in model._meta.local_fields}
        texts |= {rule.name: rule.get_violation_error_message() for rule in model._meta.constraints}
        texts |= {
            rule: translation.gettext(message)
            for trigger in getattr(model._meta, "triggers", ())
            for rule, message in getattr(trigger, "messages", {}).items()
        }
        for name, text in texts.items():
            if untranslated([text]):
                yield (
                    f"{CATALOGUE}: translate {str(text)!r}, the text of "
                    f"`{location.declaration}.{name}` ({location.file}), and run `make messages`"
                )


@advises
def test_labels_of_closed_sets_are_russian() -> Iterator[str]:
    for members in messages.closed_sets():
        for member in members:
            if untranslated([member.label]):
                yield (
                    f"{CATALOGUE}: translate {str(member.label)!r}, a label of the set "
                    f"`{members.__name__}` ({members.__module__}), and run `make messages`"
                )


@advises
def test_field_labels_start_in_lower_case_or_with_an_abbreviation() -> Iterator[str]:
    for model in messages.project_models():
        for field in model._meta.local_fields:
            text = str(field.verbose_name)
            if text[0].isupper() and not text[:2].isupper():
                location = of_field(field)
                yield (
                    f"{CATALOGUE}: start {text!r} in lower case, the label of "
                    f"`{location.declaration}` ({location.file})"
                )


def test_untranslated_label_is_named_with_its_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Appointment._meta.get_field("format"), "verbose_name", "Format")
    for test, do in [
        (test_texts_of_models_are_russian, "translate 'Format', the text of"),
        (
            test_field_labels_start_in_lower_case_or_with_an_abbreviation,
            "start 'Format' in lower case, the label of",
        ),
    ]:
        (line,) = [line for line in test.__wrapped__() if "Appointment.format" in line]
        assert line.startswith(f"locale/ru/LC_MESSAGES/django.po: {do} `Appointment.format` (book")


def test_english_sources_are_plain(wanted: Catalog) -> None:
    ids = [
        text
        for message in messages.entries(wanted)
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
def test_wrong_translation_is_named(source, russian_text, fault):
    assert any(each.startswith(fault) for each in messages.faults(Message(source, russian_text)))


def test_right_translation_has_no_fault():
    assert list(messages.faults(Message("%(name)s: gone.", "%(name)s: больше нет."))) == []


def test_fuzzy_translation_is_named():
    assert list(messages.faults(Message("Gone", "Нет", flags=["fuzzy"]))) == ["is marked as fuzzy"]


def test_plural_needs_every_form():
    one, few, many = "%(n)s запись", "%(n)s записи", "%(n)s записей"
    assert list(messages.faults(Message(("%(n)s row", "%(n)s rows"), (one, few, many)))) == []
    assert list(messages.faults(Message(("%(n)s row", "%(n)s rows"), (one, few, ""))))
