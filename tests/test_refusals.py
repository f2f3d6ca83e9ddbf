"""Every refusal of every verb: a code for programs, a sentence for people."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.apps import apps
from django.utils.functional import Promise
from django.utils.module_loading import import_module
from django.utils.translation import override

from ebalance.db.apps import PROJECT_APPS
from ebalance.verbs import Refused

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
each_refusal = pytest.mark.parametrize("refusal", REFUSALS, ids=lambda cls: cls.__name__)


def named(refusal: type[Refused]) -> set[str]:
    """The details that its sentence names."""
    return set(re.findall(r"%\((\w+)\)", str(refusal.sentence_template)))


def test_no_two_refusals_have_one_code() -> None:
    codes = Counter(refusal.code for refusal in REFUSALS)
    assert [code for code, number in codes.items() if number > 1] == []


@each_refusal
def test_a_refusal_has_a_code_and_a_sentence(refusal: type[Refused]) -> None:
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", refusal.code)
    template = refusal.sentence_template
    assert isinstance(template, Promise), "said in the reader's language, not when it is loaded"
    details = dict.fromkeys(named(refusal), 7)
    for language in ("en", "ru"):
        with override(language):
            assert str(template) % details
            assert named(refusal) == details.keys()
            assert "%" not in str(template) % details


def raised() -> Iterator[tuple[str, type[Refused], ast.Call]]:
    """Each place in the project's code where a refusal is made."""
    classes = {refusal.__name__: refusal for refusal in REFUSALS}
    for app in APPS:
        for path in app.rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if (
                    isinstance(node, ast.Call)
                    and isinstance(node.func, ast.Name)
                    and node.func.id in classes
                ):
                    yield f"{path}:{node.lineno}", classes[node.func.id], node


def test_each_sentence_gets_the_details_that_it_names() -> None:
    found = list(raised())
    assert len(found) > 50
    for place, refusal, call in found:
        given = {keyword.arg for keyword in call.keywords}
        own_sentence = next(c for c in refusal.__mro__ if "sentence" in vars(c)) is not Refused
        assert None in given or own_sentence or named(refusal) <= given, place
