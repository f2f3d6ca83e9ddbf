"""Runs of interactives: subject, times and result. No answer is stored."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from interactive.models import InteractiveRun
from tests.db import catalog
from tests.factories import InteractiveDefinitionFactory, InteractiveRunFactory, UserFactory
from tests.rule_cases import ALL_WRITE_PATHS, Change, range_cases
from tests.rule_groups import (
    CaseGroup,
    ChangeGroup,
    case_groups,
    change_groups,
    check_case_group,
    check_change_group,
)
from tests.support import Case, execute

pytestmark = pytest.mark.django_db

SUBJECT, WITH_STATUS = (
    "interactive_runs_subject_present",
    "interactive_runs_completed_at_with_status",
)
AFTER, RESULT = "interactive_runs_completed_after_start", "interactive_runs_result_when_completed"
TRIGGER = "interactive_runs_trigger_type_with_flag"
NOON = datetime(2026, 1, 7, 12, tzinfo=UTC)
INSTANT = timedelta(microseconds=1)
DAY_MS = 86_400_000


def run(name: str, rule: str | None = None, **values: Any) -> Case:
    return Case(name, InteractiveRunFactory, values, rule)


@case_groups(
    run("visitor"),
    run("person", of_user=True),
    run("both", user=UserFactory),
    run("nobody", SUBJECT, anonymous_id=None),
    run("only a deep link", SUBJECT, anonymous_id=None, deep_link_id="abcdEF12"),
)
def test_run_has_a_subject(group: CaseGroup) -> None:
    check_case_group(group)


@case_groups(
    *range_cases(InteractiveRunFactory, "duration_ms", 0, DAY_MS, completed=True),
    *range_cases(InteractiveRunFactory, "definition_version", 1),
    run("no duration", completed=True, duration_ms=None),
    run("no version", definition_version=None),
)
def test_a_run_lasts_a_day_at_most(group: CaseGroup) -> None:
    check_case_group(group)


@case_groups(
    run("in progress"),
    run("abandoned", abandoned=True),
    run("completed", completed=True),
    run("in progress with an end", WITH_STATUS, started_at=NOON, completed_at=NOON),
    run("abandoned with an end", WITH_STATUS, abandoned=True, started_at=NOON, completed_at=NOON),
    run("completed without an end", WITH_STATUS, completed=True, completed_at=None),
    run("completed at once", completed=True, started_at=NOON, completed_at=NOON),
    run("completed before", AFTER, completed=True, started_at=NOON, completed_at=NOON - INSTANT),
    run("completed before it was written", AFTER, status="completed", completed_at=NOON),
)
def test_a_run_ends_exactly_when_completed(group: CaseGroup) -> None:
    check_case_group(group)


RESULTS = {"result_level": "low", "result_profile": "clarify"}


@case_groups(
    *[
        run(f"{state} {' '.join(result)}", rule, **{state: True} if state else {}, **result)
        for state, rule in [("", RESULT), ("abandoned", RESULT), ("completed", None)]
        for result in [RESULTS, *({name: value} for name, value in RESULTS.items())]
    ],
    run("completed with no result", completed=True, result_level=None),
)
def test_only_a_completed_run_has_a_result(group: CaseGroup) -> None:
    check_case_group(group)


@case_groups(
    run("none"),
    run("both", crisis=True),
    run("on completion", crisis=True, completed=True),
    run("no category", TRIGGER, crisis_triggered=True),
    run("no flag", TRIGGER, crisis_trigger_type="self_harm"),
)
def test_a_trigger_has_a_category(group: CaseGroup) -> None:
    check_case_group(group)


def change(name: str, row: dict[str, Any], to: dict[str, Any], rule: str | None = None) -> Change:
    return Change(name, InteractiveRunFactory, {"started_at": NOON, **row}, to, rule)


DONE = {"status": "completed", "completed_at": NOON + timedelta(minutes=5)}


@change_groups(
    change("completed", {}, {**DONE, **RESULTS}),
    change("completed without an end", {}, {"status": "completed"}, WITH_STATUS),
    change("completed before", {}, {**DONE, "completed_at": NOON - INSTANT}, AFTER),
    change(
        "started after its end",
        {"completed": True, "started_at": NOON, "completed_at": NOON},
        {"started_at": NOON + INSTANT},
        AFTER,
    ),
    change("abandoned with a result", {}, {"status": "abandoned", **RESULTS}, RESULT),
    change("a result meanwhile", {}, {"result_level": "high"}, RESULT),
    change("the end goes", {"completed": True}, {"completed_at": None}, WITH_STATUS),
    change("crisis", {}, {"crisis_triggered": True, "crisis_trigger_type": "violence"}),
    change("crisis without a category", {}, {"crisis_triggered": True}, TRIGGER),
    change("the category goes", {"crisis": True}, {"crisis_trigger_type": None}, TRIGGER),
    change("the flag goes", {"crisis": True}, {"crisis_triggered": False}, TRIGGER),
    change("the visitor goes", {}, {"anonymous_id": None}, SUBJECT),
    change(
        "the visitor becomes a person",
        {},
        {"anonymous_id": None, "user_id": lambda _: UserFactory().pk},
    ),
    write_paths=ALL_WRITE_PATHS,
)
def test_a_run_changes_by_the_same_rules(group: ChangeGroup) -> None:
    check_change_group(group)


def test_run_has_no_column_for_an_answer_or_a_text() -> None:
    """Every text of a run is of a closed set or an opaque identifier."""
    texts = {
        c["name"]
        for c in catalog.columns()
        if c["table"] == "interactive_runs" and c["type"] in {"text", "jsonb"}
    }
    checks = {row["name"] for row in catalog.constraints() if row["table"] == "interactive_runs"}
    kept = {
        name
        for name in texts
        if {f"interactive_runs_{name}_in_set", f"interactive_runs_{name}_is_opaque"} & checks
    }
    assert "anonymous_id" in texts
    assert sorted(texts - kept) == [], (
        "a text of InteractiveRun (interactive/models/runs.py) is declared with choices or as an "
        "opaque identifier, so that its table has the rule *_in_set or *_is_opaque"
    )


def test_new_run_is_in_progress_since_now_by_default() -> None:
    execute(
        "INSERT INTO interactive_runs (interactive_definition_id, anonymous_id) VALUES (%s, %s)",
        [InteractiveDefinitionFactory().pk, "visitor-1"],
    )
    run = InteractiveRun.objects.get()
    assert (run.status, run.crisis_triggered) == ("in_progress", False)
    (row,) = execute("SELECT started_at = now() AS is_now FROM interactive_runs")
    assert row == {"is_now": True}
