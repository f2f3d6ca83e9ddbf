"""Rows and changes grouped by the rule that refuses them, and loops in place of parameters."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import wraps
from itertools import batched, product
from typing import Any

import pytest

from tests.rule_cases import SHORT, Change, check_change
from tests.support import ROUTES, TRIED, Case, case_loop, check_insert

MOST = 10  # inserts or changes in one test, so that it stays well below a second


@dataclass(frozen=True)
class Group[T: (Case, Change)]:
    """Rows or changes that one rule refuses, or that are accepted, each with its ways."""

    tried: list[tuple[T, str]]


CaseGroup = Group[Case]
ChangeGroup = Group[Change]


def groups[T: (Case, Change)](
    items: Iterable[T], ways: Iterable[str], others: Iterable[str]
) -> pytest.MarkDecorator:
    """Parametrise with the items of each rule: the first in ``ways``, the rest in ``others``."""
    ways, others = [*ways], [*others]
    found: dict[str | None, list[tuple[T, str]]] = {}
    for item in items:
        tried = found.setdefault(item.rule, [])
        tried += [(item, way) for way in (others if tried else ways)]
    TRIED.update(rule for rule in found if rule)
    return pytest.mark.parametrize(
        "group",
        [
            pytest.param(Group([*part]), id=f"{rule or 'allowed'}{f' {n}' if n > 1 else ''}")
            for rule, tried in found.items()
            for n, part in enumerate(batched(tried, MOST), start=1)
        ],
    )


def case_groups(*items: Case, others: Iterable[str] = ROUTES) -> Any:
    """Parametrise a test with the rows of each rule.

    The first row of a rule is inserted as raw SQL and through the ORM, the other rows on the
    routes in ``others``.
    """
    return groups(items, ROUTES, others)


def check_case_group(group: CaseGroup) -> None:
    """Insert each row of the group (tests.support.check_insert)."""
    with case_loop() as case:
        for item, route in group.tried:
            with case(f"{item.name} [{route}]"):
                check_insert(item, route)


def change_groups(
    *items: Change, ways: Iterable[str] = SHORT, others: Iterable[str] = SHORT
) -> Any:
    """Parametrise a test with the changes of each rule.

    The first change of a rule is tried in all ``ways``, the other changes in those of them that
    are in ``others``: the mechanism sees the statement, not the single value.
    """
    ways = [*ways]
    return groups(items, ways, [way for way in ways if way in others])


def check_change_group(group: ChangeGroup) -> None:
    """Make each change of the group in its way (tests.rule_cases.check_change)."""
    with case_loop() as case:
        for change, way in group.tried:
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
