"""The totals of deleted questions: one row a day, with a number for each question."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.factories import ModerationTotalFactory
from tests.rule_groups import CaseGroup, case_groups, check_case_group
from tests.support import Case, breaks, execute, refuses

pytestmark = pytest.mark.django_db

HOURS = "moderation_totals_hours_of_each"
ANSWERS = "moderation_totals_answer_hours_of_each"


def total(name: str, rule: str | None = None, /, **values: Any) -> Case:
    return Case(name, ModerationTotalFactory, values, rule)


@case_groups(
    total("as made"),
    total("all of them", rejected=3, crisis=3, within_due=3),
    total("none of them", rejected=0, crisis=0, within_due=0, answered=0, answer_hours=[]),
    *(
        total(f"{column} {value}", f"moderation_totals_{column}_within_decided", **{column: value})
        for column in ("rejected", "crisis", "within_due")
        for value in (-1, 4)
    ),
    total(
        "more answers than questions",
        "moderation_totals_answered_within_decided",
        answered=4,
        answer_hours=[Decimal(1)] * 4,
    ),
    total("an hour is missing", HOURS, hours=[Decimal(1)] * 2),
    total("an hour too many", HOURS, hours=[Decimal(1)] * 4),
    total("no hours", HOURS, hours=[]),
    total("an answer without its hours", ANSWERS, answer_hours=[]),
    total("hours without an answer", ANSWERS, answered=0),
)
def test_total_counts_each_question_once(group: CaseGroup) -> None:
    check_case_group(group)


@breaks("moderation_totals_decided_in_range")
def test_total_counts_at_least_one_question() -> None:
    row = ModerationTotalFactory()
    with refuses("moderation_totals_decided_in_range", "moderation_totals"):
        execute(
            "UPDATE moderation_totals SET decided = 0, rejected = 0, crisis = 0, within_due = 0, "
            "answered = 0, hours = '{}', answer_hours = '{}'"
        )
    execute(
        "UPDATE moderation_totals SET decided = 1, rejected = 0, crisis = 0, within_due = 0, "
        "answered = 0, hours = '{1}', answer_hours = '{}'"
    )
    row.refresh_from_db()
    assert row.decided == 1


@breaks("moderation_totals_one_per_day")
def test_day_has_one_total() -> None:
    row = ModerationTotalFactory()
    with refuses("moderation_totals_one_per_day", "moderation_totals"):
        ModerationTotalFactory(day=row.day)


def test_hour_without_a_number_is_refused() -> None:
    ModerationTotalFactory()
    with refuses(HOURS, "moderation_totals"):
        execute("UPDATE moderation_totals SET hours = '{1,NULL,2}'")
