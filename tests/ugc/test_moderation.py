"""Decisions of moderators: each has an existing target and never changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import models

from ebalance.db.ids import uuid7
from tests.factories import (
    AnonymousQuestionFactory,
    DiaryEntryFactory,
    ModerationActionFactory,
    QuestionAnswerFactory,
    ReviewFactory,
    UserFactory,
)
from tests.rule_cases import (
    UPDATES,
    check_delete,
    check_refusal_is_discreet,
    each_delete,
    stored,
)
from tests.rule_groups import CaseGroup, case_groups, check_case_group, loop_over
from tests.support import (
    Case,
    breaks,
    delete_sql,
    execute,
    insert_sql,
    refuses,
    update_sql,
)
from ugc.models import ModerationAction

pytestmark = pytest.mark.django_db

TABLE = "ugc_moderation_actions"
EXISTS = f"{TABLE}_target_exists"
REASON = f"{TABLE}_reject_has_reason"
IMMUTABLE, NO_DELETE, NO_TRUNCATE = (
    f"{TABLE}_{rule}" for rule in ["immutable", "no_delete", "no_truncate"]
)


def action(name: str, rule: str | None = None, /, **values: Any) -> Case:
    return Case(name, ModerationActionFactory, values, rule)


@case_groups(
    action("a rejection without a reason", REASON, action="reject"),
    action("a rejection with a reason", action="reject", reason_category="spam"),
    *(
        action(f"{name} without a reason", action=str(name))
        for name in ModerationAction.Action.values
        if name != "reject"
    ),
    action("another decision with a reason", action="flag", reason_category="pii"),
    action("about a review", of_review=True),
    action("about no question", EXISTS, ugc_id=uuid7()),
    action("about no review", EXISTS, of_review=True, ugc_id=uuid7()),
    action("about a question called a review", EXISTS, ugc_type="review"),
    action(
        "about a review called a question", EXISTS, of_review=True, ugc_type="anonymous_question"
    ),
    action("about a comment", EXISTS, ugc_type="comment"),
    action("about an answer", EXISTS, ugc_id=lambda: QuestionAnswerFactory().pk),
    action("about a diary", EXISTS, ugc_id=lambda: DiaryEntryFactory().pk),
)
def test_decision_has_an_existing_target(group: CaseGroup) -> None:
    check_case_group(group)


def test_a_comment_is_refused_even_under_the_key_of_a_question() -> None:
    row = ModerationActionFactory.build(
        ugc_type="comment",
        ugc_id=AnonymousQuestionFactory().pk,
        moderator=UserFactory(),
    )
    with refuses(EXISTS, TABLE):
        insert_sql(row)


CHANGES: dict[str, Callable[[], dict[str, Any]]] = {
    "action": lambda: {"action": "flag"},
    "reason": lambda: {"reason_category": "spam"},
    "moderator": lambda: {"moderator_user_id": UserFactory().pk},
    "target": lambda: {"ugc_id": AnonymousQuestionFactory().pk},
    "type": lambda: {"ugc_type": "review", "ugc_id": ReviewFactory().pk},
    "the same": lambda: {"action": "approve"},
}


@pytest.mark.parametrize("write_path", UPDATES)
@loop_over("to", CHANGES.values(), ids=CHANGES)
@breaks(IMMUTABLE)
def test_a_decision_is_not_changed(to: Callable[[], dict[str, Any]], write_path: str) -> None:
    row = ModerationActionFactory()
    before, changed = stored(row), to()
    with refuses(IMMUTABLE, TABLE):
        UPDATES[write_path](row, **changed)
    assert stored(row) == before


@each_delete
@breaks(NO_DELETE)
def test_a_decision_is_not_deleted(delete: Callable[[models.Model], Any]) -> None:
    check_delete(ModerationActionFactory(), delete, NO_DELETE)


@breaks(NO_TRUNCATE)
def test_decisions_are_not_truncated() -> None:
    with refuses(NO_TRUNCATE, TABLE):
        execute("TRUNCATE ugc_moderation_actions")


def test_a_decision_outlives_its_question() -> None:
    """Retention deletes the question after 90 days and keeps the decision (privacy.md §4)."""
    row = ModerationActionFactory()
    delete_sql(AnonymousQuestionFactory._meta.model.objects.get(pk=row.ugc_id))
    assert ModerationAction.objects.filter(pk=row.pk).exists()


def test_temporary_table_does_not_replace_the_questions() -> None:
    key = uuid7()
    execute("CREATE TEMPORARY TABLE anonymous_questions AS SELECT %s::uuid AS id", [key])
    row = ModerationActionFactory.build(ugc_id=key, moderator=UserFactory())
    with refuses(EXISTS, TABLE):
        insert_sql(row)


@loop_over(
    ("rule", "column", "attempt"),
    [
        (
            EXISTS,
            "ugc_id",
            lambda row: execute(
                "INSERT INTO ugc_moderation_actions (ugc_type, ugc_id, moderator_user_id, action) "
                "VALUES ('review', %s, %s, 'approve')",
                [row.ugc_id, row.moderator_id],
            ),
        ),
        (IMMUTABLE, "id", lambda row: update_sql(row, action="flag")),
        (NO_DELETE, "id", delete_sql),
    ],
    ids=[EXISTS, IMMUTABLE, NO_DELETE],
)
def test_refusal_reveals_nothing_of_the_decision(
    rule: str, column: str, attempt: Callable[[Any], Any]
) -> None:
    row = ModerationActionFactory()
    markers = [str(key) for key in (row.pk, row.ugc_id, row.moderator_id)]
    check_refusal_is_discreet(lambda: attempt(row), rule, TABLE, column, *markers, "flag")
