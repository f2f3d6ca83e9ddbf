"""Retention replaces runs by totals of their day; no metric changes."""

from __future__ import annotations

from collections import Counter
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crm.metrics import INTERACTIVES
from ebalance.metrics import Period
from tests.factories import (
    InteractiveDefinitionFactory,
    InteractiveRunFactory,
    InteractiveRunTotalFactory,
)
from tests.privacy.purging import before, command, purge
from tests.rule_cases import range_cases
from tests.rule_groups import CaseGroup, case_groups, check_case_group
from tests.support import Case, breaks, execute, insert_sql, refuses

pytestmark = pytest.mark.django_db

INSTANT = timedelta(microseconds=1)

# The totals computed from the runs, and the stored totals, with the same columns.
BY_DAY = """
SELECT (started_at AT TIME ZONE 'Europe/Moscow')::date AS day, interactive_definition_id, status,
       result_level, result_profile, entry_point, crisis_triggered, count(*) AS runs,
       count(duration_ms) AS timed_runs, coalesce(sum(duration_ms), 0) AS duration_ms
FROM interactive_runs GROUP BY 1, 2, 3, 4, 5, 6, 7
"""
TOTALS = """
SELECT day, interactive_definition_id, status, result_level, result_profile, entry_point,
       crisis_triggered, runs, timed_runs, duration_ms
FROM interactive_run_totals
"""


OPTIONAL = ("result_level", "result_profile", "entry_point")


def as_set(query: str) -> set[tuple[Any, ...]]:
    rows = [tuple(row.values()) for row in execute(query)]
    assert len({*rows}) == len(rows)
    return {*rows}


@case_groups(
    *(
        Case(
            f"cta_runs {n} of 1",
            InteractiveRunTotalFactory,
            {"runs": 1, "timed_runs": 0, "duration_ms": 0, "cta_runs": n},
            None if 0 <= n <= 1 else "interactive_run_totals_cta_runs_within_runs",
        )
        for n in (-1, 0, 1, 2)
    ),
    *range_cases(InteractiveRunTotalFactory, "runs", 1),
    *range_cases(InteractiveRunTotalFactory, "timed_runs", 0),
    *range_cases(InteractiveRunTotalFactory, "duration_ms", 0),
    *(
        Case(
            f"{number} calls to action",
            InteractiveRunTotalFactory,
            {"runs": 3, "cta_runs": number},
            None if 0 <= number <= 3 else "interactive_run_totals_cta_runs_within_runs",
        )
        for number in (-1, 0, 3, 4)
    ),
    Case("without optional values", InteractiveRunTotalFactory, dict.fromkeys(OPTIONAL)),
    Case("many", InteractiveRunTotalFactory, {"runs": 10**12, "duration_ms": 10**18}),
)
def test_total_counts_at_least_one_run(group: CaseGroup) -> None:
    check_case_group(group)


@breaks("interactive_run_totals_once")
@pytest.mark.parametrize("values", [{}, dict.fromkeys(OPTIONAL)], ids=["set", "unset"])
def test_equal_runs_of_a_day_have_one_total(values: dict[str, Any]) -> None:
    first = InteractiveRunTotalFactory(**values)
    same = {"interactive_definition": first.interactive_definition, **values}
    for route in (insert_sql, lambda row: row.save()):
        with refuses("interactive_run_totals_once", "interactive_run_totals"):
            route(InteractiveRunTotalFactory.build(**same))
    for other in (
        {"day": first.day - timedelta(days=1)},
        {"status": "abandoned"},
        {"result_level": "low"},
        {"result_profile": "clarify"},
        {"entry_point": "ads"},
        {"crisis_triggered": True},
        {"interactive_definition": InteractiveDefinitionFactory()},
    ):
        InteractiveRunTotalFactory(**{**same, **other})


def test_purge_adds_equal_runs_to_one_total() -> None:
    noon = before("100 days").replace(hour=9, minute=0, second=0, microsecond=0)
    quiz = InteractiveDefinitionFactory()
    same = {"interactive_definition": quiz, "started_at": noon}
    InteractiveRunFactory.create_batch(3, **same, completed=True, duration_ms=1000)
    InteractiveRunFactory(**same, completed=True, duration_ms=None)
    InteractiveRunFactory(**same, completed=True, result_level="high", duration_ms=7)
    InteractiveRunFactory(**same)
    InteractiveRunFactory(**same, entry_point=None)
    InteractiveRunFactory(**same, crisis=True)
    InteractiveRunFactory(**{**same, "started_at": noon + timedelta(hours=12)})  # the day after
    InteractiveRunFactory(**{**same, "interactive_definition": InteractiveDefinitionFactory()})
    expected = as_set(BY_DAY)
    assert len(expected) == 7
    assert purge("interactive_runs").done == 10
    assert as_set(TOTALS) == expected
    assert execute("SELECT FROM interactive_runs") == []


def test_a_later_run_is_added_to_the_total_of_its_day() -> None:
    """As after an interrupted purge, or with a wrong clock of a client."""
    quiz, at = InteractiveDefinitionFactory(), before("100 days")
    for number in (1, 2, 3):
        InteractiveRunFactory(
            interactive_definition=quiz,
            started_at=at,
            completed=True,
            entry_point=None,
            duration_ms=10**number,
        )
        purge("interactive_runs")
        (total,) = execute(TOTALS)
        assert (total["runs"], total["timed_runs"]) == (number, number)
    assert total["duration_ms"] == 10 + 100 + 1000


def test_run_older_than_the_retention_of_totals_leaves_no_total() -> None:
    InteractiveRunFactory(started_at=before("14 months"))
    output = command()
    assert "interactive_runs: 1 row purged." in output
    assert "interactive_run_totals: 1 row purged." in output
    assert execute(TOTALS) == []


RUN = st.fixed_dictionaries(
    {
        "days": st.integers(0, 180),
        "minutes": st.integers(0, 24 * 60 - 1),
        "quiz": st.integers(0, 1),
        "state": st.sampled_from(["in_progress", "completed", "abandoned"]),
        "level": st.sampled_from([None, "low", "moderate", "high"]),
        "entry": st.sampled_from([None, "seo", "ads"]),
        "crisis": st.booleans(),
        "ms": st.none() | st.integers(0, 86_400_000),
    }
)


@pytest.mark.slow
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(
    runs=st.lists(RUN, min_size=1, max_size=25),
    purges=st.lists(st.integers(0, 260), max_size=3),
    batch=st.integers(1, 7),
    period=st.tuples(st.integers(0, 260), st.integers(0, 260)).map(sorted),
)
def test_purge_at_any_time_changes_no_metric(
    runs: list[dict[str, Any]], purges: list[int], batch: int, period: list[int]
) -> None:
    """Compares the metrics of runs and totals together, and the totals column by column."""
    last = date(2026, 11, 24) - timedelta(days=period[0])
    first = date(2026, 11, 24) - timedelta(days=period[1])
    with transaction.atomic():
        quizzes = InteractiveDefinitionFactory.create_batch(2)
        for run in runs:
            InteractiveRunFactory(**run_of(run, quizzes))
        expected, by_day = counted(runs, quizzes, first, last), as_set(BY_DAY)
        assert figures(first, last) == expected
        for days in sorted(purges, reverse=True):
            now = NOW - timedelta(days=days - 80)
            purge("interactive_runs", now=now, batch=batch)
            left = execute("SELECT FROM interactive_runs WHERE started_at < %s", [now - NINETY])
            assert left == []
            assert figures(first, last) == expected
        purge("interactive_runs", now=NOW + timedelta(days=365), batch=batch)
        assert as_set(TOTALS) == by_day
        assert figures(first, last) == expected
        transaction.set_rollback(True)


NOW = datetime.fromisoformat("2026-11-24 20:30:00+00")
NINETY = timedelta(days=90)


def run_of(run: dict[str, Any], quizzes: list[Any]) -> dict[str, Any]:
    started = NOW - timedelta(days=run["days"], minutes=run["minutes"])
    is_completed = run["state"] == "completed"
    return {
        "interactive_definition": quizzes[run["quiz"]],
        "started_at": started,
        "status": run["state"],
        "completed_at": started if is_completed else None,
        "result_level": run["level"] if is_completed else None,
        "entry_point": run["entry"],
        "crisis_triggered": run["crisis"],
        "crisis_trigger_type": "panic_like" if run["crisis"] else None,
        "duration_ms": run["ms"],
    }


COUNTED = ("started", "completed", "low", "moderate", "high")


def figures(first: date, last: date) -> dict[str, list[int]]:
    """The metric of the period: for each interactive with runs the numbers COUNTED."""
    rows = INTERACTIVES.read(Period(first, last, "Europe/Moscow", NOW))
    return {row["slug"]: [row[name] for name in COUNTED] for row in rows}


def counted(
    runs: list[dict[str, Any]], quizzes: list[Any], first: date, last: date
) -> dict[str, list[int]]:
    """The expected figures, counted one by one. Moscow is three hours ahead of UTC all year."""
    seen: dict[str, Counter[str]] = {}
    for run in runs:
        made = run_of(run, quizzes)
        if first <= (made["started_at"] + timedelta(hours=3)).date() <= last:
            counts = seen.setdefault(made["interactive_definition"].slug, Counter())
            counts.update(["started", made["status"], made["result_level"]])
    return {slug: [counts[name] for name in COUNTED] for slug, counts in seen.items()}


def test_metrics_of_a_day_match_a_hand_count() -> None:
    quiz = InteractiveDefinitionFactory()
    late = datetime.fromisoformat("2026-03-01 20:59:59.999999+00")
    for n, level in enumerate(["low", "low", "high", None]):
        InteractiveRunFactory(
            interactive_definition=quiz,
            status="completed",
            started_at=late - timedelta(hours=n),
            completed_at=late,
            result_level=level,
        )
    InteractiveRunFactory(interactive_definition=quiz, started_at=late)
    InteractiveRunFactory(interactive_definition=quiz, started_at=late + INSTANT)
    first = date(2026, 3, 1)
    assert figures(first, first) == {quiz.slug: [5, 4, 2, 0, 1]}
    assert figures(first, first + timedelta(days=1)) == {quiz.slug: [6, 4, 2, 0, 1]}
    assert figures(date(2026, 2, 1), date(2026, 2, 28)) == {}
