"""The daily totals of deleted questions."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.factories import ModerationTotalFactory
from tests.rule_cases import range_cases
from tests.rule_groups import CaseGroup, case_groups, check_case_group, loop_over
from tests.support import Case, refuses, update_sql

pytestmark = pytest.mark.django_db

HOURS = [Decimal(1), Decimal(2), Decimal(3)]
NONE = {"rejected": 0, "crisis": 0, "within_due": 0, "answered": 0, "answer_hours": []}


def total(name: str, rule: str | None = None, /, **values: Any) -> Case:
    return Case(name, ModerationTotalFactory, values, rule)


@case_groups(
    *range_cases(ModerationTotalFactory, "decided", 1, hours=[Decimal(1)], **NONE)[:1],
    total("one decision, nothing else", decided=1, hours=[Decimal(1)], **NONE),
    total("each decision in every number", rejected=3, crisis=3, within_due=3),
    total("each answered", answered=3, answer_hours=HOURS),
    *(
        total(f"{name} {number}", f"moderation_totals_{name}_within_decided", **{name: number})
        for name in ("rejected", "crisis", "within_due")
        for number in (-1, 4)
    ),
    total(
        "more answers than questions",
        "moderation_totals_answered_within_decided",
        answered=4,
        answer_hours=[*HOURS, Decimal(4)],
    ),
    total("too few hours", "moderation_totals_hours_of_each", hours=HOURS[:2]),
    total("too many hours", "moderation_totals_hours_of_each", hours=[*HOURS, Decimal(4)]),
    total("no hours of an answer", "moderation_totals_answer_hours_of_each", answer_hours=[]),
    total(
        "a day twice",
        "moderation_totals_one_per_day",
        day=lambda: ModerationTotalFactory().day,
    ),
)
def test_numbers_of_a_day_agree(group: CaseGroup) -> None:
    check_case_group(group)


@loop_over("column", ["hours", "answer_hours"])
def test_list_of_hours_has_no_null(column: str) -> None:
    row = ModerationTotalFactory(answered=3, answer_hours=HOURS)
    with refuses(f"moderation_totals_{column}_of_each"):
        update_sql(row, **{column: [*HOURS[:2], None]})
