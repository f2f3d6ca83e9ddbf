"""Every rule that the database holds is broken by some test, by name.

A new constraint or refusing trigger without a test fails here, and so does the name of a rule that
no longer exists. Foreign keys are tried one by one in tests/db/test_references.py.
"""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from tests import support
from tests.db import catalog

pytestmark = pytest.mark.django_db

# Tried column by column over the catalog, in tests/db/test_patterns.py.
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
    )
)


def rules_of_the_database() -> set[str]:
    found = {row["name"] for row in catalog.constraints() if row["kind"] in "cux"}
    found |= {i["name"] for i in catalog.indexes() if i["is_unique"] and not i["of_constraint"]}
    for model in catalog.project_models():
        for trigger in getattr(model._meta, "triggers", []):
            found |= set(trigger.messages)
    return found


def test_every_rule_is_broken_by_a_test_and_every_name_tried_exists() -> None:
    root = Path(__file__).parent
    for path in root.rglob("test_*.py"):
        importlib.import_module(".".join(path.relative_to(root.parent).with_suffix("").parts))
    rules = rules_of_the_database()
    assert len(rules) > 300
    untried = {rule for rule in rules if not rule.endswith(GENERIC_SUFFIXES)} - support.TRIED
    assert sorted(untried) == []
    assert sorted(support.TRIED - rules) == []
