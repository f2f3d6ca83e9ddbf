"""Answers to anonymous questions; sealed."""

import pgtrigger
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from ebalance.db import rules, triggers
from ebalance.db.encryption.fields import SealedText
from ebalance.db.fields import Entity, RestrictForeignKey
from ebalance.db.on_delete import DB_CASCADE
from ebalance.db.schema.classification import DELETE, by_staff, of_person, p0, p2
from ebalance.db.schema.retention import goes_with
from ebalance.db.times import FactTime

from .questions import AnonymousQuestion


def leaves_answered_question(answer: "QuestionAnswer") -> bool:
    """Whether saving this answer would leave its answered question without an answer."""
    row = triggers.stored(answer, "question_id")
    return (
        row is not None
        and row["question_id"] != answer.question_id
        and AnonymousQuestion.objects.filter(pk=row["question_id"], status="answered").exists()
    )


class QuestionAnswer(Entity):
    """The owner's answer to a question; sealed."""

    question = RestrictForeignKey(
        AnonymousQuestion,
        DB_CASCADE,
        related_name="answers",
        db_comment=of_person("question", DELETE),
    )
    answered_by = RestrictForeignKey(
        "identity.User",
        db_column="answered_by_user_id",
        related_name="question_answers",
        db_comment=by_staff("who answered"),
    )
    answer_text_encrypted = SealedText(
        token="question_answers.answer", db_comment=p2("the answer, sealed")
    )
    published_at = FactTime(null=True, blank=True, db_comment=p0("when published, UTC"))

    retention = goes_with("question")

    class Meta:
        db_table = "question_answers"
        db_table_comment = "Answers to questions, sealed"
        verbose_name = _("answer")
        verbose_name_plural = _("answers")
        constraints = [
            rules.Unique("question_answers_one_per_question", fields=["question"]),
            rules.sealed("question_answers", "answer_text_encrypted"),
            rules.finite("question_answers", "published_at"),
        ]
        indexes = [
            rules.Index("question_answers_by_author", "answered_by", serves="the delete check"),
        ]
        triggers = [
            triggers.Rule(
                "question_answers_answered_keeps_answer",
                operation=pgtrigger.Delete | pgtrigger.UpdateOf("question_id"),
                message=gettext_noop(
                    "The answer of an answered question goes only together with the question"
                ),
                column="question_id",
                broken=leaves_answered_question,
                # The lock is taken whatever the status: a REPEATABLE READ transaction that still
                # reads the question as unanswered must fail.
                body=f"""
DECLARE
    question_status text;
BEGIN
    IF TG_OP = 'DELETE' OR NEW.question_id <> OLD.question_id THEN
        SELECT status INTO question_status FROM public.anonymous_questions
        WHERE id = OLD.question_id FOR SHARE;
        IF question_status = 'answered' THEN
            {triggers.REFUSE}
        END IF;
    END IF;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    RETURN NEW;
END""",
            ),
            triggers.Rule(
                "question_answers_published_is_allowed",
                operation=pgtrigger.Insert | pgtrigger.UpdateOf("published_at", "question_id"),
                condition="NEW.published_at IS NOT NULL",
                message=gettext_noop(
                    "An answer is published only if the author of the question allowed it"
                ),
                column="published_at",
                broken=lambda row: (
                    row.published_at is not None and not row.question.publish_allowed
                ),
                # FOR SHARE: a concurrent withdrawal waits, and then withdraws the answer too.
                body=f"""
BEGIN
    PERFORM FROM public.anonymous_questions
    WHERE id = NEW.question_id AND publish_allowed FOR SHARE;
    IF NOT FOUND THEN
        {triggers.REFUSE}
    END IF;
    RETURN NULL;
END""",
            ),
            triggers.no_truncate("question_answers"),
        ]

    def __str__(self) -> str:
        return str(self.pk)
