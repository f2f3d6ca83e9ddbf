"""Questions and answers: due times, flags, and an answer for each answered question."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any

import psycopg
import pytest
from django.db import connection

from ebalance.db.operations import Backfill
from tests.adversarial_sql import refuses_by_any_rule
from tests.clocks import fact_clock_at
from tests.databases import Database
from tests.factories import (
    AnonymousQuestionFactory,
    ModerationActionFactory,
    QuestionAnswerFactory,
    sealed,
)
from tests.rule_cases import (
    ALL_WRITE_PATHS,
    UPDATES,
    Change,
    check_delete,
    check_refusal_is_discreet,
    each_delete,
    stored,
)
from tests.rule_groups import (
    CaseGroup,
    ChangeGroup,
    case_groups,
    change_groups,
    check_case_group,
    check_change_group,
    loop_over,
)
from tests.support import (
    Case,
    breaks,
    delete_sql,
    execute,
    insert_sql,
    refuses,
    update_sql,
)
from ugc.models import AnonymousQuestion, QuestionAnswer

pytestmark = pytest.mark.django_db

FLAGS = "anonymous_questions_trigger_flags_in_set"
ANSWERED_AT = "anonymous_questions_answered_at_with_status"
DECIDED = "anonymous_questions_decided_has_time"
HAS_ANSWER = "anonymous_questions_answered_has_answer"
KEEPS = "question_answers_answered_keeps_answer"
NOW = datetime(2026, 3, 28, 22, 30, tzinfo=UTC)  # the night of a clock change in Europe
FIRST_STAYS = "anonymous_questions_first_decision_stays"
TOO_EARLY = "anonymous_questions_undecided_has_no_time"
ALLOWED = "question_answers_published_is_allowed"


def question(name: str, rule: str | None = None, /, **values: Any) -> Case:
    return Case(name, AnonymousQuestionFactory, values, rule)


@case_groups(
    *(
        question(f"flags {flags}", trigger_flags=flags)
        for flags in [[], ["crisis"], ["spam", "pii"], ["crisis", "pii", "medical", "spam"]]
    ),
    question("an unknown flag", FLAGS, trigger_flags=["crisis", "suicide"]),
    question("a flag twice", FLAGS, trigger_flags=["pii", "pii"]),
    question("a flag in capitals", FLAGS, trigger_flags=["Crisis"]),
    question("a flag with a space", FLAGS, trigger_flags=["crisis "]),
    question("a Cyrillic look-alike", FLAGS, trigger_flags=["сrisis"]),
    question("the words that raised it", FLAGS, trigger_flags=["не хочу жить"]),
    question("an answer's time on a new one", ANSWERED_AT, answered_at=NOW),
    question("a time of decision without one", TOO_EARLY, moderated_at=NOW),
    question("a time of decision on a flagged one", TOO_EARLY, flagged=True, moderated_at=NOW),
    question("of a visitor", user=None),
    question("with a contact", contact_value_encrypted=sealed),
)
def test_question_has_only_known_flags(group: CaseGroup) -> None:
    check_case_group(group)


@loop_over(
    "flags",
    ["{NULL}", "{crisis,NULL}", "{{crisis,pii},{medical,spam}}", "{{crisis}}", '{""}', "{null}"],
)
def test_malformed_flag_arrays_are_refused(flags: str) -> None:
    row = AnonymousQuestionFactory()
    with refuses(FLAGS, "anonymous_questions"):
        execute("UPDATE anonymous_questions SET trigger_flags = %s", [flags])
    with refuses(FLAGS, "anonymous_questions"):
        execute(
            "INSERT INTO anonymous_questions (question_text_encrypted, trigger_flags) "
            "VALUES (%s, %s)",
            [sealed(), flags],
        )
    assert stored(row)["trigger_flags"] == []


# -- due_at ---------------------------------------------------------------------------------------


@loop_over(
    ("flags", "hours"),
    [
        ([], 24),
        (["spam", "pii", "medical"], 24),
        (["crisis"], 4),
        (["spam", "crisis"], 4),
    ],
    ids=str,
)
@loop_over("write", [insert_sql, AnonymousQuestion.save], ids=["sql", "orm"])
@loop_over("given", [None, NOW + timedelta(days=30)], ids=["nothing", "a time"])
def test_due_time_is_set_by_the_database(
    flags: list[str], hours: int, write: Callable[..., None], given: datetime | None
) -> None:
    """A due time given by the writer is ignored."""
    row = AnonymousQuestionFactory.build(submitted_at=NOW, trigger_flags=flags)
    if given:
        row.due_at = given
    write(row)
    assert stored(row)["due_at"] == NOW + timedelta(hours=hours)


@loop_over("write_path", UPDATES)
@loop_over(
    ("to", "due"),
    [
        ({"due_at": NOW + timedelta(days=30)}, NOW + timedelta(hours=24)),
        ({"trigger_flags": ["crisis"]}, NOW + timedelta(hours=4)),
        ({"submitted_at": NOW + timedelta(hours=1)}, NOW + timedelta(hours=25)),
        (
            {"trigger_flags": ["crisis"], "submitted_at": NOW - timedelta(hours=1), "due_at": NOW},
            NOW + timedelta(hours=3),
        ),
    ],
    ids=["due", "a crisis seen later", "submission", "all at once"],
)
def test_due_time_follows_flags_and_submission(
    write_path: str, to: dict[str, Any], due: datetime
) -> None:
    row = AnonymousQuestionFactory(submitted_at=NOW)
    UPDATES[write_path](row, **to)
    assert stored(row)["due_at"] == due


def test_due_time_ignores_clock_changes_of_the_time_zone() -> None:
    execute("SET LOCAL TIME ZONE 'Europe/Berlin'")
    insert_sql(AnonymousQuestionFactory.build(submitted_at=NOW))
    execute("SET LOCAL TIME ZONE 'UTC'")
    (row,) = execute("SELECT due_at FROM anonymous_questions")
    assert row["due_at"] == NOW + timedelta(hours=24)


def test_removed_crisis_flag_restores_the_due_time() -> None:
    row = AnonymousQuestionFactory(submitted_at=NOW, crisis=True)
    update_sql(row, trigger_flags=[])
    assert stored(row)["due_at"] == NOW + timedelta(hours=24)


def test_default_due_time_is_in_a_day() -> None:
    execute("INSERT INTO anonymous_questions (question_text_encrypted) VALUES (%s)", [sealed()])
    (row,) = execute("SELECT *, now() AS now FROM anonymous_questions")
    assert (row["submitted_at"], row["due_at"]) == (row["now"], row["now"] + timedelta(hours=24))
    assert (row["status"], row["channel"], row["trigger_flags"]) == ("pending", "web", [])


DAY = timedelta(days=1)


def approved() -> AnonymousQuestion:
    return AnonymousQuestionFactory(submitted_at=NOW, approved=True, moderated_at=NOW + DAY)


@loop_over("write_path", UPDATES)
def test_answer_is_due_72_hours_after_the_approval(write_path: str) -> None:
    row = AnonymousQuestionFactory(submitted_at=NOW)
    assert stored(row)["answer_due_at"] is None
    UPDATES[write_path](row, status="approved", moderated_at=NOW + DAY, answer_due_at=NOW)
    assert stored(row)["answer_due_at"] == NOW + 4 * DAY
    # A later value of the writer is ignored.
    UPDATES[write_path](AnonymousQuestion.objects.get(pk=row.pk), answer_due_at=NOW)
    assert stored(row)["answer_due_at"] == NOW + 4 * DAY


@loop_over("status", ["pending", "flagged", "rejected"])
def test_only_an_approved_question_has_a_deadline_of_the_answer(status: str) -> None:
    row = AnonymousQuestionFactory(**{status: True} if status != "pending" else {})
    assert stored(row)["answer_due_at"] is None
    execute("UPDATE anonymous_questions SET answer_due_at = now()")
    assert stored(row)["answer_due_at"] is None


@loop_over("write_path", UPDATES)
def test_escalation_moves_due_time_and_keeps_that_of_the_decision(write_path: str) -> None:
    row = approved()
    assert stored(row)["moderated_due_at"] == NOW + DAY
    UPDATES[write_path](row, status="flagged", trigger_flags=["crisis"])
    values = stored(row)
    assert values["answer_due_at"] is None
    assert values["due_at"] == NOW + timedelta(hours=4)
    assert values["moderated_due_at"] == NOW + DAY
    execute("UPDATE anonymous_questions SET moderated_due_at = NULL")
    assert stored(row)["moderated_due_at"] == NOW + DAY


def test_approval_after_an_escalation_is_dated_by_the_clock() -> None:
    row = approved()
    update_sql(row, status="flagged")
    with fact_clock_at(NOW + 10 * DAY):
        update_sql(row, status="approved")
    assert stored(row)["answer_due_at"] == NOW + 13 * DAY


def test_answered_question_keeps_the_deadline_of_the_answer() -> None:
    row = approved()
    QuestionAnswerFactory(question=row)
    update_sql(row, **ANSWERED)
    assert stored(row)["answer_due_at"] == NOW + 4 * DAY


def test_row_of_release_1_0_gets_its_deadlines_by_any_write() -> None:
    """Release 1.0 kept the deadline of the first decision in due_at."""
    row = approved()
    other = AnonymousQuestionFactory(submitted_at=NOW, flagged=True)
    ModerationActionFactory(ugc=row, created_at=NOW + 2 * DAY)  # approved again
    connection.check_constraints()
    execute("ALTER TABLE anonymous_questions DISABLE TRIGGER USER")
    execute(
        "UPDATE anonymous_questions SET trigger_flags = '{crisis}', moderated_due_at = NULL, "
        "answer_due_at = NULL WHERE id = %s",
        [row.pk],
    )
    execute("ALTER TABLE anonymous_questions ENABLE TRIGGER USER")
    before = stored(other)
    (job,) = [
        operation
        for operation in import_module("ugc.migrations.0403_fill_question_deadlines")
        .Migration("0403", "ugc")
        .operations
        if isinstance(operation, Backfill)
    ]
    for _ in range(2):
        execute(f"UPDATE anonymous_questions SET {job.set} WHERE {job.where}")
        values = stored(row)
        assert values["moderated_due_at"] == NOW + DAY
        assert values["due_at"] == NOW + timedelta(hours=4)
        assert values["answer_due_at"] == NOW + 5 * DAY
        assert stored(other) == before
    assert execute(f"SELECT FROM anonymous_questions WHERE {job.where}") == []


# -- status ---------------------------------------------------------------------------------------


def change(trait: str, name: str, rule: str | None = None, /, **to: Any) -> Change:
    traits = {} if trait == "pending" else {trait: True}
    return Change(f"{trait}: {name}", AnonymousQuestionFactory, traits, to, rule)


@change_groups(
    *(
        change(before, f"{to} without a time", DECIDED, status=to)
        for before in ["pending", "flagged"]
        for to in ["approved", "rejected"]
    ),
    *(
        change(before, to, status=to, moderated_at=NOW)
        for before in ["pending", "flagged"]
        for to in ["approved", "rejected"]
    ),
    *(
        change(status, "decision forgotten", FIRST_STAYS, moderated_at=None)
        for status in ["approved", "answered", "rejected"]
    ),
    *(
        change(status, "a time of answer", ANSWERED_AT, answered_at=NOW)
        for status in ["pending", "flagged", "approved", "rejected"]
    ),
    change("answered", "answer's time forgotten", ANSWERED_AT, answered_at=None),
    change("approved", "escalated", status="flagged"),
    change("approved", "escalated", FIRST_STAYS, status="flagged", moderated_at=None),
    change("approved", "another time of decision", FIRST_STAYS, moderated_at=NOW),
    change("approved", "another time of submission", FIRST_STAYS, submitted_at=NOW),
    change("pending", "a time of decision without one", TOO_EARLY, moderated_at=NOW),
    change("pending", "flagged with a time", TOO_EARLY, status="flagged", moderated_at=NOW),
    Change(
        "answered without a time",
        lambda: QuestionAnswerFactory(question__approved=True).question,
        {},
        {"status": "answered"},
        ANSWERED_AT,
    ),
)
def test_times_agree_with_the_status(group: ChangeGroup) -> None:
    check_change_group(group)


ANSWERED = {"status": "answered", "answered_at": NOW}


@change_groups(change("approved", "answered", HAS_ANSWER, **ANSWERED), write_paths=UPDATES)
def test_a_question_is_answered_only_with_its_answer(group: ChangeGroup) -> None:
    check_change_group(group)
    # The answer of another question does not count.
    QuestionAnswerFactory(question__approved=True)
    check_change_group(group)


@loop_over("write_path", UPDATES)
def test_a_question_with_its_answer_is_answered(write_path: str) -> None:
    row = QuestionAnswerFactory(question__approved=True).question
    UPDATES[write_path](row, **ANSWERED)
    assert stored(row)["status"] == "answered"


def test_deferred_rule_allows_any_order_of_question_and_answer() -> None:
    row = AnonymousQuestionFactory(approved=True)
    execute(f"SET CONSTRAINTS {HAS_ANSWER} DEFERRED")
    update_sql(row, **ANSWERED)
    QuestionAnswerFactory(question=row)
    connection.check_constraints()
    assert stored(row)["status"] == "answered"


def test_deferred_rule_is_still_checked() -> None:
    row = AnonymousQuestionFactory(approved=True)
    with refuses(HAS_ANSWER, "anonymous_questions"):
        execute("SET CONSTRAINTS ALL DEFERRED")
        update_sql(row, **ANSWERED)


def answered_question() -> AnonymousQuestion:
    return AnonymousQuestionFactory(answered=True)


def answer_of(row: AnonymousQuestion) -> QuestionAnswer:
    return QuestionAnswer.objects.get(question=row)


def answer_of_answered_question() -> QuestionAnswer:
    return answer_of(answered_question())


@each_delete
@breaks(KEEPS)
def test_an_answered_question_keeps_its_answer(delete: Callable[..., Any]) -> None:
    check_delete(answer_of_answered_question(), delete, KEEPS)


ELSEWHERE = {"question_id": lambda row: AnonymousQuestionFactory(approved=True).pk}


@change_groups(
    Change("to another question", answer_of_answered_question, {}, ELSEWHERE, KEEPS),
    write_paths=ALL_WRITE_PATHS,
)
def test_answer_of_an_answered_question_does_not_move(group: ChangeGroup) -> None:
    check_change_group(group)


@change_groups(
    Change(
        "a better answer",
        answer_of_answered_question,
        {},
        {"answer_text_encrypted": lambda row: sealed()},
    ),
    Change(
        "published",
        QuestionAnswerFactory,
        {"question__publish_allowed": True},
        {"published_at": NOW},
    ),
    Change(
        "published against the author's will",
        answer_of_answered_question,
        {},
        {"published_at": NOW},
        ALLOWED,
    ),
    Change(
        "published, moved to a question that is not to be published",
        QuestionAnswerFactory,
        {"published": True},
        ELSEWHERE,
        ALLOWED,
    ),
    Change("to another question", QuestionAnswerFactory, {}, ELSEWHERE),
    Change(
        "to a question that has one",
        QuestionAnswerFactory,
        {},
        {"question_id": lambda row: QuestionAnswerFactory().question_id},
        "question_answers_one_per_question",
    ),
)
def test_any_other_change_of_an_answer_is_possible(group: ChangeGroup) -> None:
    check_change_group(group)


@case_groups(
    Case("the first", QuestionAnswerFactory),
    Case("published at once", QuestionAnswerFactory, {"published": True}),
    Case(
        "published at once against the author's will",
        QuestionAnswerFactory,
        {"published_at": NOW},
        ALLOWED,
    ),
    Case(
        "a second",
        QuestionAnswerFactory,
        {"question": lambda: QuestionAnswerFactory().question},
        "question_answers_one_per_question",
    ),
)
def test_a_question_has_one_answer(group: CaseGroup) -> None:
    check_case_group(group)


@loop_over("write_path", ["sql", "save"])
def test_withdrawn_permission_withdraws_the_answer(write_path: str) -> None:
    answer, other = QuestionAnswerFactory.create_batch(2, published=True)
    if write_path == "sql":
        execute(
            "UPDATE anonymous_questions SET publish_allowed = false WHERE id = %s",
            [answer.question_id],
        )
    else:
        answer.question.publish_allowed = False
        answer.question.save()
    answer.refresh_from_db()
    other.refresh_from_db()
    assert answer.published_at is None
    assert other.published_at is not None


@each_delete
@loop_over("status", ["pending", "flagged", "approved", "rejected"])
def test_answer_of_an_unanswered_question_may_be_deleted(
    delete: Callable[..., Any], status: str
) -> None:
    traits = {} if status == "pending" else {status: True}
    row = QuestionAnswerFactory(question=AnonymousQuestionFactory(**traits))
    delete(row)
    assert not QuestionAnswer.objects.exists()


@each_delete
def test_answered_question_is_deleted_with_its_answer(delete: Callable[..., Any]) -> None:
    """Retention and erasure delete such questions."""
    delete(answered_question())
    assert not QuestionAnswer.objects.exists()


@loop_over("statement", ["TRUNCATE question_answers", "TRUNCATE anonymous_questions CASCADE"])
@breaks("question_answers_no_truncate")
def test_answers_are_not_truncated(statement: str) -> None:
    with refuses("question_answers_no_truncate", "question_answers"):
        execute(statement)


# -- adversarial SQL ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        "WITH gone AS (DELETE FROM question_answers RETURNING 1) {answer} "
        "AND (SELECT count(*) FROM gone) >= 0",
        "WITH gone AS (DELETE FROM question_answers) {answer}",
        "WITH said AS ({answer} RETURNING 1) DELETE FROM question_answers",
        "WITH said AS ({answer} RETURNING 1) DELETE FROM question_answers "
        "WHERE (SELECT count(*) FROM said) > 0",
    ],
    ids=["deleted first", "deleted beside", "answered beside", "answered first"],
)
def test_one_statement_does_not_answer_and_delete_the_answer(statement: str) -> None:
    row = QuestionAnswerFactory(question__approved=True).question
    answer = (
        "UPDATE anonymous_questions SET status = 'answered', answered_at = now() "
        f"WHERE id = '{row.pk}'"
    )
    with refuses_by_any_rule():
        execute(statement.format(answer=answer))
    assert stored(row)["status"] == "approved"
    assert QuestionAnswer.objects.count() == 1


def test_deferred_rule_still_keeps_the_answer() -> None:
    row = QuestionAnswerFactory(question__approved=True).question
    with refuses(KEEPS, "question_answers"):
        execute("SET CONSTRAINTS ALL DEFERRED")
        update_sql(row, **ANSWERED)
        execute("DELETE FROM question_answers")


def test_temporary_table_does_not_replace_the_answers() -> None:
    row = AnonymousQuestionFactory(approved=True)
    execute("CREATE TEMPORARY TABLE question_answers (question_id uuid)")
    execute("INSERT INTO pg_temp.question_answers VALUES (%s)", [row.pk])
    with refuses(HAS_ANSWER, "anonymous_questions"):
        execute("UPDATE public.anonymous_questions SET status = 'answered', answered_at = now()")


def test_answered_question_does_not_lose_its_answer_by_a_new_key() -> None:
    """The key changes, and a new question takes the old key and its answer."""
    row = answered_question()
    with refuses_by_any_rule():
        execute("SET CONSTRAINTS ALL DEFERRED")
        execute("UPDATE anonymous_questions SET id = uuid7()")
        insert_sql(AnonymousQuestionFactory.build(id=row.pk))


@pytest.mark.slow
def test_temporary_type_called_text_does_not_hide_the_status(fresh_database: Database) -> None:
    """Any role may create such a type; "char" holds the first letter only."""
    with fresh_database.connect() as session:
        session.execute(
            """
            WITH asked AS (
                INSERT INTO anonymous_questions (question_text_encrypted) VALUES (%(text)s)
                RETURNING id
            ), author AS (
                INSERT INTO users (email) VALUES ('owner@example.com') RETURNING id
            )
            INSERT INTO question_answers (question_id, answered_by_user_id, answer_text_encrypted)
            SELECT asked.id, author.id, %(text)s FROM asked, author
            """,
            {"text": sealed()},
        )
        for status in ("approved", "answered"):
            session.execute(
                "UPDATE anonymous_questions SET status = %(status)s, moderated_at = now(), "
                "answered_at = CASE %(status)s WHEN 'answered' THEN now() END",
                {"status": status},
            )
        session.execute('CREATE DOMAIN pg_temp.text AS pg_catalog."char"')
        with pytest.raises(psycopg.errors.CheckViolation) as caught:
            session.execute("DELETE FROM question_answers")
        assert caught.value.diag.constraint_name == KEEPS
        session.rollback()


SECRET = f"v1.k1.{'Anna' * 20}"


def test_refusal_reveals_nothing_of_question_or_answer() -> None:
    row = AnonymousQuestionFactory(approved=True, question_text_encrypted=SECRET)
    check_refusal_is_discreet(
        lambda: update_sql(row, **ANSWERED),
        HAS_ANSWER,
        "anonymous_questions",
        "status",
        SECRET,
        str(row.pk),
    )
    answer = QuestionAnswerFactory(question=row, answer_text_encrypted=SECRET)
    update_sql(row, **ANSWERED)
    check_refusal_is_discreet(
        lambda: delete_sql(answer),
        KEEPS,
        "question_answers",
        "question_id",
        SECRET,
        str(row.pk),
        str(answer.pk),
    )
