"""Anonymous questions; sealed."""

from typing import Any

import pgtrigger
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from ebalance.db import auditing, lengths, rules, triggers
from ebalance.db.encryption.fields import SealedText
from ebalance.db.fields import (
    ClosedSet,
    Entity,
    RestrictForeignKey,
)
from ebalance.db.schema.classification import DELETE, of_person, p0, p1, p2
from ebalance.db.schema.retention import After, purged
from ebalance.db.times import FactTime, TimeFromDatabase, now_default

from .totals import DAILY


class TriggerFlag(models.TextChoices):
    CRISIS = "crisis", _("crisis")
    PII = "pii", _("pii")
    MEDICAL = "medical", _("medical")
    SPAM = "spam", _("spam")


class EscalationReason(models.TextChoices):
    CRISIS = "crisis", _("crisis")
    COMPLEX = "complex", _("complex")
    OTHER = "other", _("other")


KEPT_AFTER_END = "90 days"
KEPT_UNANSWERED = "180 days"
ANSWER_WITHIN = "interval '72 hours'"  # of the approval


def decided(status: str, action: str, time: str, *, rows: str) -> After:
    """``moderated_at`` is the first decision. An escalated question was decided again later: the
    moderation actions have the time.
    """
    later = (
        "SELECT FROM ugc_moderation_actions a WHERE a.ugc_type = 'anonymous_question' "
        f"AND a.ugc_id = anonymous_questions.id AND a.action = '{action}' "
        f"AND a.created_at >= %(now)s::timestamptz - interval '{time}'"
    )
    where = f"status = '{status}' AND NOT EXISTS ({later})"
    return After("moderated_at", where=where, rows=rows, time=time)


def is_decided_too_early(row: models.Model) -> bool:
    """Whether saving this undecided question would give it a time of decision."""
    question: Any = row
    if question.status not in ("pending", "flagged") or question.moderated_at is None:
        return False
    before = triggers.stored(row, "moderated_at")
    return before is None or before["moderated_at"] is None


class AnonymousQuestion(Entity):
    """An anonymous question to the psychologist. A moderator approves it before it is answered."""

    class Channel(models.TextChoices):
        WEB = "web", _("web")
        TELEGRAM = "telegram", _("telegram")

    class Status(models.TextChoices):
        PENDING = "pending", _("pending")
        FLAGGED = "flagged", _("flagged")
        APPROVED = "approved", _("approved")
        ANSWERED = "answered", _("answered")
        REJECTED = "rejected", _("rejected")

    user = RestrictForeignKey(
        "identity.User",
        null=True,
        blank=True,
        related_name="anonymous_questions",
        db_comment=of_person("who asked, if logged in", DELETE),
    )
    channel = ClosedSet(Channel, default=Channel.WEB, db_comment=p0("where it was asked"))
    status = ClosedSet(Status, default=Status.PENDING, db_comment=p0("life cycle"))
    trigger_flags = lengths.TextList(
        max_items=lengths.LIST,
        max_length=lengths.CODE,
        default=list,
        db_default=models.Value([], output_field=ArrayField(models.TextField())),
        blank=True,
        db_comment=p0("what the filter saw: crisis, pii, medical, spam; no details"),
    )
    question_text_encrypted = SealedText(
        token="anonymous_questions.question", db_comment=p2("the question, sealed")
    )
    contact_value_encrypted = SealedText(
        token="anonymous_questions.contact",
        null=True,
        blank=True,
        db_comment=p1("contact for the answer, sealed"),
    )
    publish_allowed = models.BooleanField(
        default=False, db_default=False, db_comment=p0("may be published with the answer")
    )
    safety_confirmed = models.BooleanField(
        default=False, db_default=False, db_comment=p0("the asker confirmed being safe")
    )
    submitted_at = FactTime(db_default=now_default(), db_comment=p0("when asked, UTC"))
    due_at = TimeFromDatabase(
        blank=True,
        editable=False,
        db_comment=p0("decide by, UTC; set by the database: 4 h with a crisis flag, else 24 h"),
    )
    moderated_at = FactTime(
        null=True, blank=True, db_comment=p0("when first decided, UTC; an escalation keeps it")
    )
    moderated_due_at = TimeFromDatabase(
        null=True,
        blank=True,
        editable=False,
        db_comment=p0("due_at at the first decision, UTC; set by the database"),
    )
    answer_due_at = TimeFromDatabase(
        null=True,
        blank=True,
        editable=False,
        db_comment=p0(
            "answer by, UTC; set by the database: 72 h after the approval; an escalation empties it"
        ),
    )
    answered_at = FactTime(null=True, blank=True, db_comment=p0("when answered, UTC"))

    ugc_type = "anonymous_question"  # in ModerationAction and in the tracking plan
    event_name = "question"  # prefix of its outbox events
    text_column = "question_text_encrypted"
    maskable_in = frozenset({"pending", "flagged", "approved"})

    retention = purged(
        KEPT_AFTER_END,
        After("answered_at"),
        decided("rejected", "reject", KEPT_AFTER_END, rows="of one that was rejected"),
        decided("approved", "approve", KEPT_UNANSWERED, rows="of one that was never answered"),
        note="its moderation actions stay, and its numbers in moderation_totals",
        totals=DAILY,
    )

    class Meta:
        db_table = "anonymous_questions"
        db_table_comment = "Questions asked without a name, sealed"
        verbose_name = _("question")
        verbose_name_plural = _("questions")
        constraints = [
            rules.Check(
                "anonymous_questions_trigger_flags_in_set",
                Q(trigger_flags__contained_by=[str(v) for v in TriggerFlag.values])
                & Q(rules.holds("has_no_duplicates", "trigger_flags")),
                _("Known flags only, each once."),
                field="trigger_flags",
            ),
            rules.sealed("anonymous_questions", "question_text_encrypted"),
            rules.sealed("anonymous_questions", "contact_value_encrypted"),
            rules.set_exactly_when(
                "anonymous_questions_answered_at_with_status",
                "answered_at",
                Q(status="answered"),
                _("A time of answer is set exactly for an answered question."),
            ),
            rules.required_when(
                "anonymous_questions_decided_has_time",
                "moderated_at",
                Q(status__in=["approved", "answered", "rejected"]),
                _("A decided question has a time of decision."),
            ),
            rules.finite(
                "anonymous_questions",
                "submitted_at",
                "due_at",
                "moderated_at",
                "moderated_due_at",
                "answer_due_at",
                "answered_at",
            ),
        ]
        indexes = [
            rules.Index(
                "anonymous_questions_moderation_queue",
                "status",
                "submitted_at",
                condition=Q(status__in=["pending", "flagged"]),
                serves="admin: the moderation queue",
            ),
            rules.Index(
                "anonymous_questions_due",
                "due_at",
                condition=Q(status__in=["pending", "flagged"]),
                serves="admin: the moderation queue, oldest due first",
            ),
            rules.Index(
                "anonymous_questions_answer_due",
                "answer_due_at",
                condition=Q(status="approved"),
                serves="admin: the psychologist's queue, oldest due first",
            ),
            rules.Index("anonymous_questions_by_user", "user", serves="a person's; export"),
            rules.Index(
                "anonymous_questions_answered",
                "answered_at",
                condition=Q(answered_at__isnull=False),
                serves="purge_expired, 90 days after the answer",
            ),
            rules.Index(
                "anonymous_questions_decided",
                "moderated_at",
                condition=Q(status__in=["approved", "rejected"]),
                serves="purge_expired: rejected questions, approved ones without an answer",
            ),
            rules.Index(
                "anonymous_questions_by_submission",
                "submitted_at",
                serves="metrics: moderation times of a period; purge_expired",
            ),
        ]
        triggers = [
            *triggers.transitions(
                "anonymous_questions",
                {
                    "pending": ["flagged", "approved", "rejected"],
                    "flagged": ["approved", "rejected"],
                    "approved": ["flagged", "answered"],
                },
                initial=["pending", "flagged"],
            ),
            triggers.Rule(
                "anonymous_questions_set_due_at",
                operation=pgtrigger.Insert | pgtrigger.Update,
                body=f"""
BEGIN
    NEW.due_at := NEW.submitted_at
        + CASE WHEN 'crisis' = ANY (NEW.trigger_flags) THEN interval '4 hours'
               ELSE interval '24 hours' END;
    IF NEW.moderated_at IS NULL THEN
        NEW.moderated_due_at := NULL;
    ELSIF OLD.moderated_at IS NULL THEN
        NEW.moderated_due_at := NEW.due_at;
    ELSE
        -- Release 1.0 kept the deadline of the first decision in due_at.
        NEW.moderated_due_at := coalesce(OLD.moderated_due_at, OLD.due_at);
    END IF;
    IF NEW.status NOT IN ('approved', 'answered') THEN
        NEW.answer_due_at := NULL;
    ELSIF OLD.status IN ('approved', 'answered') THEN
        NEW.answer_due_at := coalesce(
            OLD.answer_due_at,
            (SELECT max(created_at) FROM public.ugc_moderation_actions
             WHERE ugc_type = 'anonymous_question' AND ugc_id = NEW.id AND action = 'approve')
                + {ANSWER_WITHIN},
            NEW.moderated_at + {ANSWER_WITHIN});
    ELSIF OLD.moderated_at IS NULL THEN
        NEW.answer_due_at := NEW.moderated_at + {ANSWER_WITHIN};
    ELSE
        -- moderated_at is the first decision: an approval after an escalation is dated here.
        NEW.answer_due_at := public.fact_clock() + {ANSWER_WITHIN};
    END IF;
    RETURN NEW;
END""",
            ),
            triggers.frozen(
                "anonymous_questions",
                "first_decision_stays",
                ["moderated_at", "submitted_at"],
                once="moderated_at",
                message=gettext_noop("The time of the first decision is not changed"),
            ),
            triggers.Rule(
                "anonymous_questions_undecided_has_no_time",
                operation=pgtrigger.Insert | pgtrigger.UpdateOf("status", "moderated_at"),
                message=gettext_noop("A question gets its time of decision with the decision"),
                column="moderated_at",
                body=f"""
BEGIN
    IF NEW.status IN ('pending', 'flagged') AND NEW.moderated_at IS NOT NULL
       AND (TG_OP = 'INSERT' OR OLD.moderated_at IS NULL) THEN
        {triggers.REFUSE}
    END IF;
    RETURN NULL;
END""",
                broken=is_decided_too_early,
            ),
            triggers.Rule(
                "anonymous_questions_withdraw_answer",
                operation=pgtrigger.UpdateOf("publish_allowed"),
                when=pgtrigger.After,
                condition="OLD.publish_allowed AND NOT NEW.publish_allowed",
                body="""
BEGIN
    UPDATE public.question_answers SET published_at = NULL
    WHERE question_id = NEW.id AND published_at IS NOT NULL;
    RETURN NULL;
END""",
            ),
            triggers.Rule(
                "anonymous_questions_answered_has_answer",
                operation=pgtrigger.UpdateOf("status"),
                when=pgtrigger.After,
                timing=pgtrigger.Immediate,
                condition="NEW.status = 'answered' AND OLD.status <> 'answered'",
                message=gettext_noop("A question becomes answered only together with its answer"),
                column="status",
                # The lock conflicts with a concurrent DELETE of the answer.
                body=f"""
BEGIN
    PERFORM FROM public.question_answers WHERE question_id = NEW.id FOR KEY SHARE;
    IF NOT FOUND THEN
        {triggers.REFUSE}
    END IF;
    RETURN NULL;
END""",
                broken=lambda row: row.status == "answered" and not row.answers.exists(),
            ),
            *auditing.audited(
                "anonymous_questions", changed=("question_status_changed", ["status"])
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_status_display()} {self.pk}"

    @property
    def has_crisis_flag(self) -> bool:
        return "crisis" in self.trigger_flags
