"""Fixtures carry ciphertext unchanged; plaintext in a fixture is refused and never quoted."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core import serializers
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import models

from ebalance.db.encryption.envelope import SealBroken
from ebalance.db.encryption.fields import ProtectedField, SealedField
from tests.sealed.support import (
    COLUMNS,
    each_column,
    each_model,
    each_sealed,
    filled_row,
    record_sql,
    reload,
    texts,
)

pytestmark = pytest.mark.django_db

MARKER = "мне страшно 48151623"
STYLES = ["json", "jsonl", "xml", "python"]


def fixture(row: models.Model, path: Path, **fields: Any) -> Path:
    """Dump the row into a file, with some fields changed."""
    (data,) = json.loads(serializers.serialize("json", [row]))
    data["fields"] |= fields
    path = path / "row.json"
    path.write_text(json.dumps([data]), encoding="utf-8")
    return path


def load(path: Path) -> None:
    call_command("loaddata", str(path), verbosity=0)


@each_model
def test_row_is_loaded_as_it_was_dumped(model: type[models.Model], tmp_path: Path) -> None:
    row = filled_row(model)
    before = texts(row)
    load(fixture(row, tmp_path))  # over itself
    assert texts(row) == before
    for style in STYLES:
        dump = serializers.serialize(style, [row])
        model._base_manager.filter(pk=row.pk).delete()
        for loaded in serializers.deserialize(style, dump):
            loaded.save()
        assert texts(row) == before, style
        restored = reload(row)
        for field in (f for f in COLUMNS if f.model is model and isinstance(f, SealedField)):
            assert getattr(restored, field.name).open() == getattr(row, field.name).open(), style


def test_dumpdata_and_loaddata_carry_sealed_values(tmp_path: Path) -> None:
    row = filled_row(COLUMNS[-1].model)
    path = tmp_path / "all.json"
    label = row._meta.label
    call_command("dumpdata", label, "--with-personal-data", output=str(path), verbosity=0)
    before = texts(row)
    type(row)._base_manager.filter(pk=row.pk).delete()
    load(path)
    assert texts(row) == before
    assert all(text in path.read_text() for text in before.values() if text)


PLAIN = {
    "str": MARKER,
    "empty": "",
    "almost sealed": "v1.k1.48151623",
    "sealed, and more": "v1.k1." + "A" * 43 + "\n",
    "int": 48151623,
    "False": False,
    "dict": {"version": 1, "note": MARKER},
    "list": [MARKER],
}


@each_column
def test_plaintext_in_a_fixture_is_refused_and_not_quoted(
    field: ProtectedField, tmp_path: Path
) -> None:
    row = filled_row(field.model)
    before = texts(row)
    for kind, plain in PLAIN.items():
        path = fixture(row, tmp_path, **{field.name: plain})
        with record_sql() as log, pytest.raises(CommandError) as caught:
            load(path)
        assert not log.writes, kind
        assert "48151623" not in str(caught.value), kind
        assert field.qualified_name in str(caught.value), kind
        assert caught.value.__cause__ is None, kind
        assert caught.value.__suppress_context__, kind
        assert texts(row) == before, kind


@each_sealed
def test_ciphertext_of_another_row_is_loaded_and_does_not_open(
    field: SealedField, tmp_path: Path
) -> None:
    row, other = filled_row(field.model), filled_row(field.model)
    load(fixture(row, tmp_path, **{field.name: getattr(other, field.name).text}))
    value = getattr(reload(row), field.name)
    assert value.text == getattr(other, field.name).text
    with pytest.raises(SealBroken):
        value.open()
    with pytest.raises(SealBroken):  # nor in the session that loaded it
        value.open(row_id=row.pk)


def test_xml_distinguishes_null_from_an_empty_value() -> None:
    row = filled_row(next(f.model for f in COLUMNS if f.column == "email_encrypted"))
    row.email_encrypted = None
    row.save()
    dump = serializers.serialize("xml", [row])
    assert dump.count("<None></None>") >= 2
    for loaded in serializers.deserialize("xml", io.StringIO(dump)):
        loaded.save()
    assert texts(row)["email_encrypted"] is texts(row)["email_bidx"] is None
