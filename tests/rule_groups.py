"""Groups rows and changes by the rule that refuses them; loops in place of parameters."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import wraps
from itertools import batched, product
from typing import Any

import pytest

from tests.rule_cases import MAIN_WRITE_PATHS, Change, check_change
from tests.support import ROUTES, TESTED_RULES, Case, case_loop, check_insert

MAX_PER_TEST = 10  # inserts or changes in one test, so that it stays well below a second


@dataclass(frozen=True)
class Group[T: (Case, Change)]:
    """Rows or changes that one rule refuses, or accepted ones, each with a write path."""

    writes: list[tuple[T, str]]


CaseGroup = Group[Case]
ChangeGroup = Group[Change]


def groups[T: (Case, Change)](
    items: Iterable[T], write_paths: Iterable[str], others: Iterable[str]
) -> pytest.MarkDecorator:
    """Parametrise by rule: its first item on ``write_paths``, the rest on ``others``."""
    write_paths, others = [*write_paths], [*others]
    by_rule: dict[str | None, list[tuple[T, str]]] = {}
    for item in items:
        writes = by_rule.setdefault(item.rule, [])
        writes += [(item, write_path) for write_path in (others if writes else write_paths)]
    TESTED_RULES.update(rule for rule in by_rule if rule)
    return pytest.mark.parametrize(
        "group",
        [
            pytest.param(Group([*part]), id=f"{rule or 'allowed'}{f' {n}' if n > 1 else ''}")
            for rule, writes in by_rule.items()
            for n, part in enumerate(batched(writes, MAX_PER_TEST), start=1)
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
        for item, route in group.writes:
            with case(f"{item.name} [{route}]"):
                check_insert(item, route)


def change_groups(
    *items: Change,
    write_paths: Iterable[str] = MAIN_WRITE_PATHS,
    others: Iterable[str] = MAIN_WRITE_PATHS,
) -> Any:
    """Parametrise a test with the changes of each rule.

    The first change of a rule is made on all ``write_paths``, the other changes on those that
    are also in ``others``: the mechanism sees the statement, not the single value.
    """
    write_paths = [*write_paths]
    return groups(
        items, write_paths, [write_path for write_path in write_paths if write_path in others]
    )


def check_change_group(group: ChangeGroup) -> None:
    """Make each change of the group on its write path (tests.rule_cases.check_change)."""
    with case_loop() as case:
        for change, write_path in group.writes:
            with case(f"{change.name} [{write_path}]"):
                check_change(change, write_path)


def loop_over(
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
