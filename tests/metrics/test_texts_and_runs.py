"""Moderation and interactives by hand-counted rows (metrics.md, Exactly 6 and 7)."""

from __future__ import annotations

from datetime import date
from typing import Any
from uuid import UUID, uuid4

import pytest

from ebalance.reports.figures import read_metrics
from tests.privacy.purging import purge

from .rows import OCTOBER, at, count, event, insert, key, period, question

pytestmark = pytest.mark.django_db


def read(metric: str, first: date = OCTOBER[0], last: date = OCTOBER[1], **now: str) -> Any:
    return read_metrics(period(first, last, **now))[metric]


# -- moderation -----------------------------------------------------------------------------------


def action(of: UUID, name: str, when: str, **columns: Any) -> None:
    insert(
        "ugc_moderation_actions",
        ugc_type="anonymous_question",
        ugc_id=of,
        moderator_user_id=key("user:owner"),
        action=name,
        created_at=at(when),
        **columns,
    )


NOTHING = {
    "queue": 0,
    "overdue": 0,
    "oldest_hours": None,
    "decided": 0,
    "mean_hours": None,
    "p90_hours": None,
    "within_due": 0,
    "rejected": 0,
    "crisis": 0,
    "answer_mean_hours": None,
}


def test_moderation_of_nothing_has_no_hours() -> None:
    assert read("moderation") == NOTHING


def test_queue_is_that_of_now() -> None:
    question("11-15 09:57", due="11-16 09:57")
    question("11-14 11:00", due="11-15 11:59", status="flagged", trigger_flags=["crisis"])
    question("09-01 10:00", status="approved", decided="09-01 11:00")
    expected = {**NOTHING, "queue": 2, "overdue": 1, "oldest_hours": 25.0}
    assert read("moderation") == expected
    assert read("moderation", now="11-14 11:03")["oldest_hours"] == 0.1


def test_decisions_count_by_the_first_one() -> None:
    question("10-01 00:00", decided="10-01 10:00", status="approved", due="10-01 09:00")
    question("10-01 00:00", decided="10-01 02:00", status="approved")
    question("10-01 00:00", decided="10-31 23:59", status="rejected")
    question("09-30 20:00", decided="09-30 23:59", status="approved")
    question("10-31 23:00", decided="11-01 00:00", status="approved")
    figures = read("moderation")
    hours = [2, 10, 743 + 59 / 60]
    assert figures == {
        **NOTHING,
        "decided": 3,
        "mean_hours": round(sum(hours) / 3, 1),
        "p90_hours": round(10 + 0.8 * (hours[2] - 10), 1),
        "within_due": 2,
        "rejected": 1,
    }


def test_escalated_question_keeps_its_first_decision_and_waits() -> None:
    of = question(
        "10-01 00:00",
        decided="10-01 05:00",
        due_then="10-02 00:00",
        due="10-01 04:00",
        status="flagged",
        trigger_flags=["crisis"],
    )
    action(of, "approve", "10-01 05:00")
    action(of, "escalate", "10-01 06:00")
    figures = read("moderation", now="10-01 08:00")
    assert figures == {
        **NOTHING,
        "queue": 1,
        "overdue": 1,
        "oldest_hours": 8.0,
        "decided": 1,
        "mean_hours": 5.0,
        "p90_hours": 5.0,
        "within_due": 1,
        "crisis": 1,
    }


def test_question_rejected_after_an_approval_was_not_rejected_first() -> None:
    of = question("10-01 00:00", decided="10-01 05:00", status="rejected")
    action(of, "approve", "10-01 05:00")
    action(of, "escalate", "10-01 06:00")
    action(of, "reject", "10-01 07:00", reason_category="other")
    assert read("moderation")["rejected"] == 0


def test_mean_hours_are_rounded_half_up() -> None:
    """The mean of 20, 20, 20 and 24 minutes is 0.35 hours."""
    for minute in (20, 20, 20, 24):
        question("10-01 00:00", decided=f"10-01 00:{minute}", status="approved")
    assert read("moderation")["mean_hours"] == 0.4


@pytest.mark.parametrize(("seconds", "hours"), [("02:59.999999", 0.0), ("03:00", 0.1)])
def test_hours_are_rounded_once(seconds: str, hours: float) -> None:
    when = f"10-01 00:{seconds}"
    question("10-01 00:00", decided=when, answered=when, status="answered")
    figures = read("moderation")
    assert [figures[f"{name}_hours"] for name in ("mean", "p90", "answer_mean")] == [hours] * 3


def test_mean_just_below_a_half_is_rounded_down() -> None:
    for when in ("10-01 00:02:59.999999", *["10-01 00:03"] * 99):
        question("10-01 00:00", decided=when, answered=when, status="answered")
    figures = read("moderation")
    assert (figures["mean_hours"], figures["answer_mean_hours"]) == (0.0, 0.0)


def test_answer_counts_from_the_submission() -> None:
    question("10-01 00:00", decided="10-01 05:00", answered="11-02 00:00", status="answered")
    question("10-01 00:00", decided="10-01 05:00", answered="10-01 06:06", status="answered")
    assert read("moderation")["answer_mean_hours"] == round((32 * 24 + 6.1) / 2, 1)


def test_purge_changes_no_figure_of_moderation() -> None:
    for hour in range(10):
        of = question(
            "10-05 00:00",
            decided=f"10-05 0{hour}:07",
            answered=f"10-06 0{hour}:20" if hour % 2 else None,
            status="answered" if hour % 2 else "rejected",
            due="10-05 05:00",
            trigger_flags=["crisis"] if hour == 3 else [],
        )
        action(of, "approve" if hour % 3 else "reject", f"10-05 0{hour}:07", reason_category="spam")
    before = read("moderation")
    assert (before["decided"], before["rejected"], before["crisis"]) == (10, 4, 1)
    purge("anonymous_questions", now=at("2027-02-01 00:00"), batch=3)
    assert count("anonymous_questions") == 0
    assert read("moderation") == before


# -- interactives ---------------------------------------------------------------------------------


def definition(slug: str, type: str = "quiz", topic: str | None = None) -> UUID:
    return insert(
        "interactive_definitions",
        interactive_type=type,
        slug=slug,
        title=slug,
        topic_code=topic,
    )


def run(of: UUID, started: str, completed: str | None = None, **columns: Any) -> None:
    insert(
        "interactive_runs",
        interactive_definition_id=of,
        anonymous_id="browser-one",
        started_at=at(started),
        completed_at=completed and at(completed),
        status="completed" if completed else "in_progress",
        **columns,
    )


def test_runs_count_by_their_start() -> None:
    quiz, ritual = definition("calm", topic="anxiety"), definition("calm", type="ritual")
    definition("unused")
    run(quiz, "10-31 23:59", "11-01 00:30", result_level="high")
    run(quiz, "10-05 10:00", "10-05 10:10", result_level="low")
    run(quiz, "10-05 10:00")
    run(quiz, "11-01 00:00", "11-01 00:30", result_level="high")
    run(ritual, "10-05 10:00", "10-05 10:10")
    assert read("interactives") == [
        {
            "type": "quiz",
            "slug": "calm",
            "topic": "anxiety",
            "started": 3,
            "completed": 2,
            "levels": {"low": 1, "moderate": 0, "high": 1},
            "cta": 0,
        },
        {
            "type": "ritual",
            "slug": "calm",
            "topic": None,
            "started": 1,
            "completed": 1,
            "levels": {"low": 0, "moderate": 0, "high": 0},
            "cta": 0,
        },
    ]


def test_cta_follows_a_completed_run_in_its_session_once() -> None:
    quiz, sessions = definition("calm"), [uuid4() for _ in range(6)]
    for session in sessions[:5]:
        run(quiz, "10-05 10:00", "10-05 10:10", session_id=session)
    run(quiz, "10-05 10:00", session_id=sessions[5])
    run(quiz, "10-05 10:00", "10-05 10:10")
    event("cta_click", "10-05 10:10", session_id=sessions[0])
    event("cta_click", "10-05 10:20", session_id=sessions[0])
    event("cta_click", "10-05 10:09", session_id=sessions[1])
    event("cta_tg_click", "10-05 10:20", session_id=sessions[2])
    event("cta_click", "10-05 10:20", session_id=sessions[3], environment="prod")
    event("cta_click", "12-05 10:20", session_id=sessions[4])
    event("cta_click", "10-05 10:20", session_id=sessions[5])
    event("cta_click", "10-05 10:20")
    before = read("interactives", now="12-31 00:00")
    assert before[0]["cta"] == 2
    purge("interactive_runs", now=at("2027-02-01 00:00"), batch=3)
    assert count("interactive_runs") == 0
    assert read("interactives", now="12-31 00:00") == before
