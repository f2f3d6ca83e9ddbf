"""Every refusal of every service: a code for programs, a sentence for people."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings
from django.utils.functional import Promise
from django.utils.module_loading import import_module
from django.utils.translation import override

from ebalance.db.apps import PROJECT_APPS
from ebalance.services import Refused
from tests.advice import ROOT, advises, of_class

APPS = [Path(apps.get_app_config(label).path) for label in PROJECT_APPS]

for _label in PROJECT_APPS:
    _name = apps.get_app_config(_label).name
    if Path(apps.get_app_config(_label).path, "errors.py").exists():
        import_module(f"{_name}.errors")


def below(cls: type[Refused]) -> Iterator[type[Refused]]:
    for child in cls.__subclasses__():
        yield child
        yield from below(child)


def is_ours(cls: type[Refused]) -> bool:
    return cls.__module__.partition(".")[0] in {"ebalance", *PROJECT_APPS}


REFUSALS = sorted({Refused, *filter(is_ours, below(Refused))}, key=lambda cls: cls.__qualname__)


def named(refusal: type[Refused]) -> set[str]:
    """The details that the sentence of the refusal names."""
    return set(re.findall(r"%\((\w+)\)", str(refusal.sentence_template)))


PROBLEM = SimpleNamespace(path="$.steps[0]", code="missing")
# Details of the refusals whose sentence contains them.
DETAILS: dict[str, dict[str, Any]] = {
    "ConfigInvalid": {"problems": [PROBLEM]},
    "LogDamaged": {"seq": 7},
    "Overpayment": {"left": 400},
    "NotReadyToPublish": {"offences": ["cta_missing"]},
    "ServiceIncomplete": {"offences": ["description_missing"]},
    "SigningKeyMissing": {"key": "k1"},
    "TooLateToReschedule": {"hours": 24},
    "TooManyAttempts": {"seconds": 90},
    "TextTooLong": {"limit": 10_000},
    "RuleZoneUnknown": {"zone": "Europe/Moscow"},
    "UpcomingAppointments": {"starts": [datetime(2026, 1, 7, 12, tzinfo=UTC)]},
}


@advises
def test_refusals_have_different_codes() -> Iterator[str]:
    codes = Counter(refusal.code for refusal in REFUSALS)
    for refusal in REFUSALS:
        if codes[refusal.code] > 1:
            yield of_class(refusal)("give a `code` of its own to", f"it has {refusal.code!r}")


@advises
def test_refusals_have_a_code_and_a_sentence() -> Iterator[str]:
    for refusal in REFUSALS:
        location = of_class(refusal)
        if not re.fullmatch(r"[a-z]+(_[a-z]+)*", refusal.code):
            yield location("set a `code` of lower-case words in", f"it is {refusal.code!r}")
        template = refusal.sentence_template
        if not isinstance(template, Promise):
            yield location("wrap the sentence in gettext_lazy() in", "it is translated when read")
        names = named(refusal)
        details = dict.fromkeys(names, 7)
        for language, _name in settings.LANGUAGES:
            with override(language):
                if named(refusal) != names:
                    yield location(
                        "run `make messages` and keep the placeholders of", f"{language}: {names}"
                    )
                elif "%" in str(template) % details:
                    yield location(f"correct the {language} sentence of", str(template))


@advises
def test_refusals_show_sentence_code_and_details() -> Iterator[str]:
    for refusal in REFUSALS:
        location = of_class(refusal)
        refused = refusal(**DETAILS.get(refusal.__name__, {}))
        for language, _name in settings.LANGUAGES:
            with override(language):
                sentence = refused.sentence
            if not sentence.endswith(".") or "%(" in sentence:
                yield location(
                    f"end the {language} sentence with a full stop and fill it in", sentence
                )
        refused = refusal(**DETAILS.get(refusal.__name__, {"what": "lead"}))
        shown = str(refused)
        if not shown.startswith(refusal.code) or not all(f"{n}=" in shown for n in refused.details):
            yield location("show code and details in str() of", shown)


def test_faulty_refusal_is_named_with_its_file(monkeypatch: pytest.MonkeyPatch) -> None:
    refusal = next(cls for cls in REFUSALS if cls.__name__ == "SlotTaken")
    monkeypatch.setattr(refusal, "code", "Slot-taken")
    monkeypatch.setattr(refusal, "sentence_template", "Taken")
    lines = test_refusals_have_a_code_and_a_sentence.__wrapped__()
    code, sentence = [line for line in lines if "`SlotTaken`" in line]
    assert re.match(r"booking/errors\.py:\d+: set a `code` .* in `SlotTaken`", code)
    assert re.match(r"booking/errors\.py:\d+: wrap the sentence .* in `SlotTaken`", sentence)


def raised() -> Iterator[tuple[str, type[Refused], ast.Call]]:
    """Each call in the project's code that makes a refusal."""
    classes = {refusal.__name__: refusal for refusal in REFUSALS}
    for app in APPS:
        for path in app.rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if (
                    isinstance(node, ast.Call)
                    and isinstance(node.func, ast.Name)
                    and node.func.id in classes
                ):
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", classes[node.func.id], node


@advises
def test_sentences_receive_the_details_that_they_name() -> Iterator[str]:
    calls = list(raised())
    assert len(calls) > 50
    for location, refusal, call in calls:
        given = {keyword.arg for keyword in call.keywords}
        own_sentence = next(c for c in refusal.__mro__ if "sentence" in vars(c)) is not Refused
        if None not in given and not own_sentence and not named(refusal) <= given:
            yield f"{location}: give {sorted(named(refusal) - given)} to `{refusal.__name__}`"
