"""Interactives are published in a version that exists, and versions are never rewritten."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from interactive.models import InteractiveDefinition
from tests.factories import InteractiveDefinitionFactory, InteractiveVersionFactory
from tests.rule_cases import (
    ALL_WRITE_PATHS,
    UPDATES,
    Change,
    range_cases,
)
from tests.rule_groups import (
    CaseGroup,
    ChangeGroup,
    case_groups,
    change_groups,
    check_case_group,
    check_change_group,
    loop_over,
)
from tests.support import (
    Case,
    execute,
    refuses,
)

pytestmark = pytest.mark.django_db

COMPLETE = "interactive_definitions_published_is_complete"
EXISTS = "interactive_definitions_published_version_exists"
SLUG_TAKEN = "interactive_definitions_slug_unique_per_type"


def definition(name: str, rule: str | None = None, **values: Any) -> Case:
    return Case(name, InteractiveDefinitionFactory, values, rule)


@case_groups(
    definition("draft"),
    definition("archived", archived=True),
    definition("archived without a date", archived=True, published_at=None),
    definition("published, no version", COMPLETE, published=True, published_version=None),
    definition("published, neither", COMPLETE, status="published"),
    definition("published in a version to come", EXISTS, published=True),
    definition("draft of a version to come", EXISTS, published_version=1),
    definition("archived version to come", EXISTS, archived=True, published_version=0),
    definition(
        "same address", SLUG_TAKEN, slug=lambda: InteractiveDefinitionFactory(slug="a").slug
    ),
    definition(
        "same slug of another kind",
        slug=lambda: InteractiveDefinitionFactory(slug="a").slug,
        interactive_type="ritual",
    ),
)
def test_new_published_interactive_is_complete(group: CaseGroup) -> None:
    check_case_group(group)


def with_version(version: int = 1, **values: Any) -> Any:
    """A factory of an interactive with one version."""

    def make(**more: Any) -> InteractiveDefinition:
        made = InteractiveDefinitionFactory(**values, **more)
        InteractiveVersionFactory(interactive_definition=made, version=version)
        return made

    return make


NOW = timezone.now()
PUBLISHED = {"status": "published", "published_at": NOW, "published_version": 1}


@change_groups(
    Change("published", with_version(), {}, PUBLISHED),
    Change(
        "published without a date",
        with_version(),
        {},
        {**PUBLISHED, "published_at": None},
        COMPLETE,
    ),
    Change(
        "published without a version",
        with_version(),
        {},
        {**PUBLISHED, "published_version": None},
        COMPLETE,
    ),
    Change("published in a version to come", with_version(2), {}, PUBLISHED, EXISTS),
    Change("draft of a version to come", with_version(), {}, {"published_version": 2}, EXISTS),
    Change("draft of version 0", with_version(), {}, {"published_version": 0}, EXISTS),
    Change(
        "the date goes",
        InteractiveDefinitionFactory,
        {"published": True},
        {"published_at": None},
        COMPLETE,
    ),
    Change(
        "the version goes",
        InteractiveDefinitionFactory,
        {"published": True},
        {"published_version": None},
        COMPLETE,
    ),
    Change("the next version", with_version(2, published=True), {}, {"published_version": 2}),
    Change(
        "back to a draft",
        InteractiveDefinitionFactory,
        {"published": True},
        {"status": "draft", "published_version": None},
    ),
    write_paths=UPDATES,
)
def test_an_interactive_is_published_in_a_version_that_exists(group: ChangeGroup) -> None:
    check_change_group(group)


@change_groups(
    Change("version to come", with_version(), {}, {"published_version": 2}, EXISTS),
    Change("slug", InteractiveDefinitionFactory, {}, {"slug": "taken"}, SLUG_TAKEN),
    Change(
        "kind",
        InteractiveDefinitionFactory,
        {"slug": "taken", "interactive_type": "prep"},
        {"interactive_type": "quiz"},
        SLUG_TAKEN,
    ),
    write_paths=ALL_WRITE_PATHS,
)
def test_upsert_follows_the_same_rules(group: ChangeGroup) -> None:
    InteractiveDefinitionFactory(slug="taken")
    check_change_group(group)


def test_one_statement_writes_the_version_and_publishes_it() -> None:
    """As for a foreign key, the rule checks the rows after the statement."""
    row = InteractiveDefinitionFactory()
    execute(
        "WITH made AS (INSERT INTO interactive_versions "
        "(interactive_definition_id, version, config) VALUES (%(id)s, 1, '{}')) "
        "UPDATE interactive_definitions SET status = 'published', published_at = now(), "
        "published_version = 1 WHERE id = %(id)s",
        {"id": row.pk},
    )
    row.refresh_from_db()
    assert (row.status, row.published_version) == ("published", 1)


# -- versions -------------------------------------------------------------------------------------

CONFIG = "interactive_versions_config_is_object"


def configs(rule: str | None, *values: Any) -> list[Case]:
    return [
        Case(repr(value), InteractiveVersionFactory, {"config": value}, rule) for value in values
    ]


@case_groups(
    *range_cases(InteractiveVersionFactory, "version", 1),
    *configs(None, {"steps": []}, {"a": {"b": [1, None]}}),
    *configs(CONFIG, [{"steps": 1}], "steps", 7, 0.5, True),
    Case("by nobody", InteractiveVersionFactory, {"created_by": None}),
    Case(
        "same number",
        InteractiveVersionFactory,
        {"interactive_definition": lambda: with_version(3)(), "version": 3},
        "interactive_versions_once_per_definition",
    ),
    Case(
        "next number",
        InteractiveVersionFactory,
        {"interactive_definition": lambda: with_version(3)(), "version": 4},
    ),
    Case(
        "same number of another",
        InteractiveVersionFactory,
        {"version": lambda: InteractiveVersionFactory().version},
    ),
)
def test_a_version_has_a_number_and_an_object(group: CaseGroup) -> None:
    check_case_group(group)


@loop_over("config", ["null", "[]", '""', "0", "false"])
def test_an_empty_json_value_is_no_object(config: str) -> None:
    with refuses(CONFIG, "interactive_versions"):
        execute(
            "INSERT INTO interactive_versions (interactive_definition_id, version, config) "
            "VALUES (%s, 1, %s::jsonb)",
            [InteractiveDefinitionFactory().pk, config],
        )
