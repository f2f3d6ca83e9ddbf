"""docs/data-dictionary.md matches the declarations of the models."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.utils import translation

from ebalance.db.schema import dictionary
from ebalance.db.schema.data_map import columns, tables, views
from identity.models import User
from tests.advice import advises, of_class, of_column, of_table


@pytest.fixture
def file(tmp_path: Path, monkeypatch) -> Path:
    """The file that the command writes, instead of the one in docs/."""
    path = tmp_path / "data-dictionary.md"
    monkeypatch.setattr("ebalance.db.management.commands.data_dictionary.FILE", path)
    return path


@advises
def test_dictionary_in_docs_is_up_to_date() -> Iterator[str]:
    """The command writes the whole file; each differing line is named with its declaration."""
    text = dictionary.FILE.read_text("utf-8") if dictionary.FILE.is_file() else ""
    if text == dictionary.render():
        return
    do = "docs/data-dictionary.md: run `manage.py data_dictionary`"
    yield do
    written, wanted = lines_of_tables(text), lines_of_tables(dictionary.render())
    for key in written.keys() | wanted.keys():
        if written.get(key) != wanted.get(key):
            location = of_column(*key) if key[1] else of_table(key[0])
            yield f"{do} for `{location.declaration}` ({location.file})"


def lines_of_tables(text: str) -> dict[tuple[str, str], str]:
    """The line of each column by table and column, and the head of each table by its name."""
    lines: dict[tuple[str, str], str] = {}
    table = ""
    for line in text.splitlines():
        if line.startswith("### "):
            table = line.removeprefix("### ")
        elif column := re.match(r"\| `(\w+)`", line):
            lines[table, column[1]] = line
        elif table and not line.startswith(("|", "#")):
            lines[table, ""] = lines.get((table, ""), "") + line
    return lines


def test_stale_dictionary_is_named_with_its_declaration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "data-dictionary.md"
    path.write_text(dictionary.render().replace("e-mail, lower case, trimmed", "an address"))
    monkeypatch.setattr(dictionary, "FILE", path)
    do = "docs/data-dictionary.md: run `manage.py data_dictionary`"
    assert {*test_dictionary_in_docs_is_up_to_date.__wrapped__()} == {
        do,
        f"{do} for `User.email` ({of_class(User).file})",
    }
    path.unlink()
    assert do in {*test_dictionary_in_docs_is_up_to_date.__wrapped__()}


@pytest.mark.parametrize("content", [None, "", "# Data dictionary\n"])
def test_stale_or_missing_dictionary_is_refused_and_unchanged(
    file: Path, content: str | None
) -> None:
    if content is not None:
        file.write_text(content)
    with pytest.raises(CommandError, match=r"is stale: run `manage\.py data_dictionary`"):
        call_command("data_dictionary", "--check")
    assert (file.read_text() if file.exists() else None) == content


def test_written_dictionary_is_up_to_date(file: Path) -> None:
    out = io.StringIO()
    call_command("data_dictionary", stdout=out)
    assert out.getvalue() == f"Wrote {file}.\n"
    call_command("data_dictionary", "--check")


def test_dictionary_has_every_table_and_column() -> None:
    text = dictionary.render()
    for table in tables():
        assert f"\n### {table.name}\n\n{table.meaning}.\n" in text
    for view in views():
        assert f"\n### {view.name}\n\n{view.meaning}.\n" in text
    of_views = sum(len(view.columns) for view in views())
    assert text.count("\n| `") == len([*columns()]) + of_views


def test_dictionary_shows_the_declaration_of_a_column() -> None:
    lines = dictionary.render().splitlines()
    assert "| `email` | text | yes | P1 | e-mail, lower case, trimmed | emptied | yes |" in lines
    assert "| `sources` | text[] |  | P0 | which services may send it | kept |  |" in lines


def test_every_line_of_the_dictionary_has_all_cells() -> None:
    for line in dictionary.render().splitlines():
        if line.startswith("|"):
            assert line.replace(r"\|", "").count("|") == len(dictionary.COLUMNS) + 1, line


@pytest.mark.parametrize("language", ["ru", "en"])
def test_dictionary_is_the_same_in_every_language(language: str) -> None:
    with translation.override(language):
        assert dictionary.render() == dictionary.FILE.read_text(encoding="utf-8")
