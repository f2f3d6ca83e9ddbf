"""Opened values equal the sealed ones, from PostgreSQL and from memory; also "", 0 and null."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test.utils import isolate_apps
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crm.models import LeadNote
from ebalance.db.encryption.envelope import WrongContent
from ebalance.db.encryption.fields import Plaintext, SealedJSON, SealedText, UnsealedValue
from ebalance.db.fields import Entity
from tests.case_loops import check_each
from tests.factories import LeadNoteFactory
from tests.sealed.support import format_error, reload, texts

pytestmark = pytest.mark.django_db

# As long as a sealed column takes: 400,000 characters of Base64.
LONGEST = "Мне страшно. " * 12_900
TEXTS = {
    "empty": "",
    "space": " ",
    "zero": "0",
    "null": "null",
    "quotes": "\"'\\",
    "lines": "a\r\nb\tc\u2028d\x7f\x01\x00e",
    "emoji": "👩‍👩‍👧‍👦 🇷🇺 e\u0301 \u202eback",
    "of the sealed form": "v1.k1." + "A" * 43,
    "JSON": '{"version": 1}',
    "the longest": LONGEST,
}
JSON = {
    **TEXTS,
    "None": None,
    "False": False,
    "True": True,
    "0": 0,
    "0.0": 0.0,
    "-1": -1,
    "2**53": 2**53,
    "1e300": 1e300,
    "list": [],
    "object": {},
    "nested": {"": [None, False, 0, "", {"a": [[]]}]},
    "a list of 1 MB": ["я" * 1000] * 600,
}


def test_text_survives() -> None:
    def check(text: str) -> None:
        row = LeadNoteFactory(note_encrypted=Plaintext(text))
        assert row.note_encrypted.open() == text
        assert reload(row).note_encrypted.open() == text
        assert texts(row)["note_encrypted"].startswith("v1.k1.")

    check_each(TEXTS.items(), check)


@pytest.fixture
def box() -> Iterator[Any]:
    """A table with an unrestricted payload, which no table of the project has."""
    with isolate_apps("tests"):

        class Box(Entity):
            content = SealedJSON(token="boxes.content", null=True)
            text = SealedText(token="boxes.text", null=True)

            class Meta:
                app_label = "tests"
                db_table = "boxes"
                managed = False
                base_manager_name = "objects"

            def __str__(self) -> str:
                return str(self.pk)

        with connection.cursor() as cursor:
            cursor.execute(
                "CREATE TEMPORARY TABLE boxes (id uuid PRIMARY KEY, content text, text text) "
                "ON COMMIT DROP"
            )
        yield Box


def test_payload_survives(box: Any) -> None:
    def check(content: Any) -> None:
        row = box.objects.create(content=Plaintext(content))
        opened = reload(row).content.open()
        assert opened == content
        assert type(opened) is type(content)
        box.objects.bulk_update([row], ["content"])
        reload(row).save()
        assert reload(row).content.open() == content

    check_each(JSON.items(), check)


def test_null_in_the_column_differs_from_sealed_null(box: Any) -> None:
    nothing, null = box.objects.create(), box.objects.create(content=Plaintext(None))
    assert reload(nothing).content is None
    assert reload(null).content.open() is None
    assert list(box.objects.filter(content__isnull=True)) == [nothing]
    reload(null).save()
    assert list(box.objects.filter(content__isnull=False)) == [null]


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(content=JSON_VALUES)
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_any_json_payload_survives(box: Any, content: Any) -> None:
    row = box.objects.create(content=Plaintext(content))
    assert json.dumps(reload(row).content.open()) == json.dumps(content)


NOT_JSON = {
    "NaN": float("nan"),
    "infinity": float("inf"),
    "bytes": b"afraid",
    "set": {"afraid"},
    "object": object(),
    "half of a pair": "afraid \ud800",
    "key of another type": {("afraid",): 1},
    "plaintext": Plaintext("afraid"),
}


def test_value_that_is_no_json_is_refused_and_not_quoted(box: Any) -> None:
    def check(content: Any) -> None:
        row = box()
        with pytest.raises(WrongContent) as caught:
            row.content = Plaintext(content)
        assert row.content is None
        assert "afraid" not in format_error(caught.value, ours=True)
        assert caught.value.__context__ is None

    check_each(NOT_JSON.items(), check)


def test_cyclic_or_deep_payload_is_refused(box: Any) -> None:
    endless: list[Any] = ["afraid"]
    endless.append(endless)
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    for content in (endless, deep):
        with pytest.raises(WrongContent):
            box(content=Plaintext(content))


def test_text_column_accepts_text_only() -> None:
    for value in (None, 0, False, b"afraid", ["afraid"], {"a": "afraid"}):
        with pytest.raises(UnsealedValue) as caught:
            LeadNote(note_encrypted=Plaintext(value))
        assert "afraid" not in format_error(caught.value, ours=True)


def test_text_column_does_not_open_another_type(box: Any) -> None:
    row = box(content=Plaintext({"a": "afraid"}))
    field = SealedText(token="boxes.content")
    field.contribute_to_class(box, "other")
    with pytest.raises(WrongContent) as caught:
        field.opened(row.content.text, row.pk)
    assert "afraid" not in format_error(caught.value, ours=True)
