"""Many cases in one test: each in its own savepoint, all failures in one report."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from tests.rule_cases import MAIN_WRITE_PATHS, Change, check_change
from tests.support import ROUTES, TESTED_RULES, Case, case_loop, check_insert


def check_each[T](
    items: Iterable[tuple[str, T]], check: Callable[[T], Any], *, undo: bool = True
) -> None:
    """Run ``check`` on each named item in a loop of cases (tests.support.case_loop)."""
    with case_loop(undo=undo) as case:
        for name, item in items:
            with case(name):
                check(item)


def breaks_rules_of[T](*items: Case | Change) -> Callable[[T], T]:
    """Record the rules that a test with ``check_inserts`` or ``check_changes`` breaks."""
    TESTED_RULES.update(item.rule for item in items if item.rule)
    return lambda test: test


def check_inserts(items: Iterable[Case], routes: Iterable[str] = ROUTES) -> None:
    """Insert each row on each route: refused by its rule, or accepted."""
    check_each(
        [
            (f"{case.rule or 'allowed'}: {case.name} [{route}]", (case, route))
            for case in items
            for route in routes
        ],
        lambda item: check_insert(*item),
    )


def check_changes(items: Iterable[Change], write_paths: Iterable[str] = MAIN_WRITE_PATHS) -> None:
    """Change each row by each write path: refused by its rule, or accepted and stored."""
    check_each(
        [
            (f"{change.rule or 'allowed'}: {change.name} [{write_path}]", (change, write_path))
            for change in items
            for write_path in write_paths
        ],
        lambda item: check_change(*item),
    )


def first_cases_of_each_rule[T: (Case, Change)](items: Iterable[T], count: int = 3) -> list[T]:
    """The first cases of each rule, and the first accepted ones.

    A slow write path needs few values of a long list: a rule sees the value, not the path.
    """
    groups: dict[str | None, list[T]] = {}
    for item in items:
        groups.setdefault(item.rule, []).append(item)
    return [item for group in groups.values() for item in group[:count]]
