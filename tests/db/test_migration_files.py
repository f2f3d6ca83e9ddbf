"""Migration files keep to the rules of migrations.md, number, name and note."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from django.conf import settings

from ebalance.db.apps import PROJECT_APPS

HUNDREDS = {
    "identity": "00",
    "content": "01",
    "interactive": "02",
    "booking": "03",
    "ugc": "04",
    "crm": "05",
    "audit": "06",
}
FILES = [
    path
    for app in PROJECT_APPS
    for path in sorted(Path(settings.BASE_DIR, app, "migrations").glob("[0-9]*.py"))
]


def test_there_are_migrations_of_every_app() -> None:
    assert {path.parent.parent.name for path in FILES} == set(HUNDREDS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_migration_is_numbered_by_domain_and_named(path: Path) -> None:
    app = path.parent.parent.name
    assert re.fullmatch(rf"{HUNDREDS[app]}[0-9]{{2}}_[a-z0-9_]+", path.stem)
    assert "_auto_" not in path.stem


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_migration_but_the_first_says_how_to_go_back(path: Path) -> None:
    first = next(other for other in FILES if other.parent == path.parent)
    note = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
    assert path == first or re.search(r"Rollback note: \S+", note)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_migration_imports_no_code_of_an_app(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        assert not any(name.split(".")[0] in PROJECT_APPS for name in names), names
