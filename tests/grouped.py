"""Rows and changes grouped by the rule that refuses them: one test for each rule."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.looping import check_each
from tests.support import ROUTES, TRIED, Case, check_insert
from tests.trying import SHORT, Change, check_change


@dataclass(frozen=True)
class CaseGroup:
    """The rows that one rule refuses, or, with rule None, the rows that are accepted."""

    rule: str | None
    cases: list[Case]


@dataclass(frozen=True)
class ChangeGroup:
    """The changes that one rule refuses, or, with rule None, the changes that are accepted."""

    rule: str | None
    changes: list[Change]
    ways: list[str]  # of the first change
    others: list[str]  # of the other changes


def by_rule[T: (Case, Change)](items: Iterable[T]) -> dict[str | None, list[T]]:
    groups: dict[str | None, list[T]] = {}
    for item in items:
        groups.setdefault(item.rule, []).append(item)
    TRIED.update(rule for rule in groups if rule)
    return groups


def case_groups(*items: Case) -> Any:
    """Parametrise a test with the rows of each rule."""
    groups = [CaseGroup(rule, found) for rule, found in by_rule(items).items()]
    return pytest.mark.parametrize("group", groups, ids=lambda group: group.rule or "allowed")


def check_inserts(group: CaseGroup) -> None:
    """Insert each row of the group as raw SQL and through the ORM."""
    tried = [(f"{case.name} [{route}]", (case, route)) for case in group.cases for route in ROUTES]
    check_each(tried, lambda item: check_insert(*item))


def change_groups(
    *items: Change, ways: Iterable[str] = SHORT, others: Iterable[str] = SHORT
) -> Any:
    """Parametrise a test with the changes of each rule.

    The first change of a rule is tried in all ``ways``, the other changes in those of them that
    are in ``others``: the mechanism sees the statement, not the single value.
    """
    rest = [way for way in ways if way in others]
    groups = [ChangeGroup(rule, found, [*ways], rest) for rule, found in by_rule(items).items()]
    return pytest.mark.parametrize("group", groups, ids=lambda group: group.rule or "allowed")


def check_changes(group: ChangeGroup) -> None:
    """Try the first change of the group in all ways, the others in the short ones."""
    tried = [
        (f"{change.name} [{way}]", (change, way))
        for number, change in enumerate(group.changes)
        for way in (group.others if number else group.ways)
    ]
    check_each(tried, lambda item: check_change(*item))
