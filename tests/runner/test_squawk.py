"""squawk reads the SQL of migrations that no release has (tools/squawk.py)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.utils.module_loading import import_string

from .support import Project

TEXT = "models.TextField(null=True)"
INDEX = 'models.Index(fields=["title"], name="services_by_title")'
RULE = 'models.CheckConstraint(condition=Q(price_amount__lt=10**7), name="services_price_limit")'


@pytest.fixture
def squawk(project: Project, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run the tool on the released migrations and those of the test. Returns its exit code."""
    project.remove_unreleased()
    monkeypatch.syspath_prepend(Path(settings.BASE_DIR, "tools"))
    main = import_string("squawk.main")

    def run() -> int:
        with project.active():
            return main()

    return run


def test_released_migrations_are_not_read(squawk: Any, capfd: Any) -> None:
    assert squawk() == 0
    assert "No SQL of unreleased migrations." in capfd.readouterr().out


@pytest.mark.parametrize(
    "operations",
    [
        f'migrations.AddField("service", "extra", {TEXT}), AddCheck("service", {RULE})',
        f'AddIndexConcurrently("service", {INDEX})',
        'SetNotNull("service", "deposit_amount", models.IntegerField())',
    ],
)
def test_safe_forms_pass(project: Project, squawk: Any, capfd: Any, operations: str) -> None:
    project.add("booking", "0390_safe", operations)
    assert squawk() == 0, capfd.readouterr().out
    assert "Found 0 issues in 1 file" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("operation", "rule"),
    [
        ('migrations.RenameField("service", "title", "heading")', "renaming-column"),
        (f'migrations.AddConstraint("service", {RULE})', "constraint-missing-not-valid"),
        (
            'migrations.RunSQL("CREATE INDEX services_by_title ON services (title)", "")',
            "require-concurrent-index-creation",
        ),
    ],
)
def test_bad_migration_fails(
    project: Project, squawk: Any, capfd: Any, operation: str, rule: str
) -> None:
    project.add("booking", "0390_bad", operation)
    assert squawk() == 1
    output = capfd.readouterr()
    assert rule in output.out + output.err
    assert "booking.0390_bad.sql" in output.out + output.err
