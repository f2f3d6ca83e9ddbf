"""Migration files follow the rules of migrations.md for number, name and note."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

from ebalance.db.apps import PROJECT_APPS
from tests.advice import advises

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


def test_every_app_has_migrations() -> None:
    assert {path.parent.parent.name for path in FILES} == set(HUNDREDS)


@advises
def test_migrations_are_numbered_by_domain_and_named() -> Iterator[str]:
    for path in FILES:
        hundreds = HUNDREDS[path.parent.parent.name]
        if (
            not re.fullmatch(rf"{hundreds}[0-9]{{2}}_[a-z0-9_]+", path.stem)
            or "_auto_" in path.stem
        ):
            yield f"{name_of(path)}: rename the file to {hundreds}NN_what_it_does.py"


@advises
def test_migrations_after_the_first_have_a_rollback_note() -> Iterator[str]:
    for path in FILES:
        first = next(other for other in FILES if other.parent == path.parent)
        note = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
        if path != first and not re.search(r"Rollback note: \S+", note):
            yield f"{name_of(path)}: write `Rollback note: …` in the docstring of the module"


@advises
def test_migrations_import_no_code_of_an_app() -> Iterator[str]:
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                if name.split(".")[0] in PROJECT_APPS:
                    location = f"{name_of(path)}:{node.lineno}"
                    yield f"{location}: copy what the migration needs of `{name}`"


def name_of(path: Path) -> str:
    return str(path.relative_to(path.parents[2]))


def test_faulty_migration_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "booking" / "migrations" / "0399_auto_20260101.py"
    path.parent.mkdir(parents=True)
    path.write_text("from booking.models import Service\n")
    first = path.with_name("0301_booking.py")
    monkeypatch.setattr(f"{__name__}.FILES", [first, path])
    first.write_text("")
    name = "booking/migrations/0399_auto_20260101.py"
    assert [*test_migrations_are_numbered_by_domain_and_named.__wrapped__()] == [
        f"{name}: rename the file to 03NN_what_it_does.py"
    ]
    assert [*test_migrations_after_the_first_have_a_rollback_note.__wrapped__()] == [
        f"{name}: write `Rollback note: …` in the docstring of the module"
    ]
    assert [*test_migrations_import_no_code_of_an_app.__wrapped__()] == [
        f"{name}:1: copy what the migration needs of `booking.models`"
    ]
