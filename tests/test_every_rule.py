"""A test breaks every rule of the database by name.

A new constraint or refusing trigger without a test fails, and so does the name of a rule that no
longer exists. tests/db/test_references.py tests the foreign keys one by one.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import support
from tests.advice import advises, of_table
from tests.db import catalog

pytestmark = pytest.mark.django_db

# tests/db/test_patterns.py tests these column by column.
GENERIC_SUFFIXES = tuple(
    f"_{suffix}"
    for suffix in (
        "times_finite",
        "is_slug",
        "not_blank",
        "is_iana_zone",
        "is_opaque",
        "is_code",
        "is_sealed",
        "is_blind_index",
        "is_external_id",
        "is_https",
        "is_address",
        "is_object_key",
        "has_length",
    )
)


def rules_of_the_database() -> dict[str, str]:
    """Return every rule with its table."""
    tables = {row["name"]: row["table"] for row in catalog.constraints() if row["kind"] in "cux"}
    tables |= {
        i["name"]: i["table"]
        for i in catalog.indexes()
        if i["is_unique"] and not i["of_constraint"]
    }
    for model in catalog.project_models():
        for trigger in getattr(model._meta, "triggers", []):
            tables |= dict.fromkeys(trigger.messages, model._meta.db_table)
    return tables


@pytest.fixture(scope="module")
def imported() -> None:
    """Import all tests, which fills ``TESTED_RULES``."""
    root = Path(__file__).parent
    for path in sorted(root.rglob("test_*.py")):
        importlib.import_module(".".join(path.relative_to(root.parent).with_suffix("").parts))


@advises
def test_every_rule_is_broken_by_a_test(imported: None) -> Iterator[str]:
    rules = rules_of_the_database()
    assert len(rules) > 300
    for rule in rules.keys() - support.TESTED_RULES:
        if not rule.endswith(GENERIC_SUFFIXES):
            table = of_table(rules[rule])
            app = table.file.partition("/")[0]
            yield (
                f'tests/{app}/: break the rule in a test marked @breaks("{rule}") or in cases(); '
                f"`{table.declaration}` declares it ({table.file})"
            )
    for rule in support.TESTED_RULES - rules.keys():
        yield (
            f"tests/: remove or rename `{rule}` in breaks(), cases() or change_params(): "
            "no constraint and no trigger has this name"
        )


def test_untested_rule_is_named_with_its_file(
    imported: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {*test_every_rule_is_broken_by_a_test.__wrapped__(None)}
    catalog.execute("ALTER TABLE appointments ADD CONSTRAINT appointments_short CHECK (true)")
    monkeypatch.setattr(support, "TESTED_RULES", {*support.TESTED_RULES, "appointments_is_late"})
    lines = {*test_every_rule_is_broken_by_a_test.__wrapped__(None)} - before
    untried, unknown = sorted(lines, key=lambda line: not line.startswith("tests/booking/"))
    assert untried == (
        'tests/booking/: break the rule in a test marked @breaks("appointments_short") or in '
        f"cases(); `Appointment` declares it ({of_table('appointments').file})"
    )
    assert unknown.startswith("tests/: remove or rename `appointments_is_late` in breaks()")
