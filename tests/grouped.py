"""Rows and changes grouped by the rule that refuses them, and loops in place of parameters."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import wraps
from itertools import product
from typing import Any

import pytest

from tests.support import ROUTES, TRIED, Case, case_loop, check_insert
from tests.trying import SHORT, Change, check_change


@dataclass(frozen=True)
class CaseGroup:
    """The rows that one rule refuses, or, with rule None, the rows that are accepted."""

    rule: str | None
    cases: list[Case]
    others: list[str]  # routes of all cases but the first


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


def case_groups(*items: Case, others: Iterable[str] = ROUTES) -> Any:
    """Parametrise a test with the rows of each rule.

    The first row of a rule is inserted as raw SQL and through the ORM, the other rows on the
    routes in ``others``.
    """
    groups = [CaseGroup(rule, found, [*others]) for rule, found in by_rule(items).items()]
    return pytest.mark.parametrize("group", groups, ids=lambda group: group.rule or "allowed")


def check_inserts(group: CaseGroup) -> None:
    """Insert each row of the group (tests.support.check_insert)."""
    with case_loop() as case:
        for number, item in enumerate(group.cases):
            for route in group.others if number else ROUTES:
                with case(f"{item.name} [{route}]"):
                    check_insert(item, route)


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
    """Make each change of the group in its ways (tests.trying.check_change)."""
    with case_loop() as case:
        for number, change in enumerate(group.changes):
            for way in group.others if number else group.ways:
                with case(f"{change.name} [{way}]"):
                    check_change(change, way)


def looped(
    names: str | tuple[str, ...],
    values: Iterable[Any],
    ids: Iterable[str] | Callable[[Any], str] = repr,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Like ``pytest.mark.parametrize``, but as a loop in one test (tests.support.case_loop).

    Each case runs in a savepoint; fixtures are made once, before the first case.
    """
    rows = list(values)
    labels = [ids(row) for row in rows] if callable(ids) else list(ids)
    if isinstance(names, str):
        names, rows = (names,), [(row,) for row in rows]
    axis = [
        (
            f"{number}: {ascii(label)[:60]}",
            dict(zip(names, row, strict=True)),
        )
        for number, (label, row) in enumerate(zip(labels, rows, strict=True))
    ]

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        body, axes = getattr(test, "loop", (test, []))
        axes = [axis, *axes]

        @wraps(body)
        def run(**fixtures: Any) -> None:
            with case_loop() as case:
                for chosen in product(*axes):
                    arguments = {key: value for _, given in chosen for key, value in given.items()}
                    with case(" / ".join(name for name, _ in chosen)):
                        body(**fixtures, **arguments)

        signature = inspect.signature(body)
        given = {key for each in axes for _, arguments in each for key in arguments}
        fixtures = [p for name, p in signature.parameters.items() if name not in given]
        run.__signature__ = signature.replace(parameters=fixtures)  # type: ignore[attr-defined]
        run.loop = (body, axes)  # type: ignore[attr-defined]
        return run

    return decorate
