from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.databases import Database

from .support import Project


@pytest.fixture
def project(tmp_path: Path, fresh_database: Database, django_db_blocker: Any) -> Project:
    """The project's migrations in a copy, and a database at the last release."""
    return Project(tmp_path, fresh_database, django_db_blocker)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test on a copy of the migrations takes about a second or more."""
    for item in items:
        if "project" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)
