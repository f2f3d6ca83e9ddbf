"""Everything a client writes: questions, reviews, diaries. Texts are sealed."""

import pgtrigger
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from ebalance.db import rules, triggers
from ebalance.db.classification import p0, p1, p2
from ebalance.db.fields import ClosedSet, Entity, Ref, SealedText, TextLine, created_at, now_default
from ebalance.db.on_delete import DB_CASCADE
from ebalance.db.sets import Members

TriggerFlag = Members("TriggerFlag", "crisis pii medical spam")


def answered_has_answer(question: models.Model) -> None:
    if question.status == "answered" and not question.answers.exists():
        raise ValidationError(
            {
                "status": ValidationError(
                    _("A question is answered together with its answer."),
                    code="anonymous_questions_answered_has_answer",
                )
            }
        )


class AnonymousQuestion(Entity):
    """A question to the psychologist, asked without a name. Moderated before it is answered."""

    Channel = Members("Channel", "web telegram")
    Status = Members("Status", "pending flagged approved answered rejected")

    user = Ref(
        "identity.User",
        null=True,
        blank=True,
        related_name="anonymous_questions",
        db_comment=p0("who asked, if logged in"),
    )
    channel = ClosedSet(Channel, default=Channel.web, db_comment=p0("where it was asked"))
    status = ClosedSet(Status, default=Status.pending, db_comment=p0("states.md"))
    trigger_flags = ArrayField(
        TextLine(),
        default=list,
        db_default=models.Value([], output_field=ArrayField(models.TextField())),
        blank=True,
        db_comment=p0("what the filter saw: crisis, pii, medical, spam; no details"),
    )
    question_text_encrypted = SealedText(db_comment=p2("the question, sealed"))
    contact_value_encrypted = SealedText(
        null=True, blank=True, db_comment=p1("contact for the answer, sealed")
    )
    publish_allowed = models.BooleanField(
        default=False, db_default=False, db_comment=p0("may be published with the answer")
    )
    safety_confirmed = models.BooleanField(
        default=False, db_default=False, db_comment=p0("the asker confirmed being safe")
    )
    submitted_at = models.DateTimeField(db_default=now_default(), db_comment=p0("when asked, UTC"))
    due_at = models.DateTimeField(
        null=False,
        blank=True,
        editable=False,
        db_default=now_default(),
        db_comment=p0("decide by, UTC; set by the database: 4 h with a crisis flag, else 24 h"),
    )
    moderated_at = models.DateTimeField(null=True, blank=True, db_comment=p0("when decided, UTC"))
    answered_at = models.DateTimeField(null=True, blank=True, db_comment=p0("when answered, UTC"))

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
                "anonymous_questions", "submitted_at", "due_at", "moderated_at", "answered_at"
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
            rules.Index("anonymous_questions_by_user", "user", serves="a person's; export"),
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
                body="""
BEGIN
    NEW.due_at := NEW.submitted_at
        + CASE WHEN 'crisis' = ANY (NEW.trigger_flags) THEN interval '4 hours'
               ELSE interval '24 hours' END;
    RETURN NEW;
END""",
            ),
            triggers.Rule(
                "anonymous_questions_answered_has_answer",
                operation=pgtrigger.UpdateOf("status"),
                condition="NEW.status = 'answered' AND OLD.status <> 'answered'",
                body="""
BEGIN
    IF NOT EXISTS (SELECT FROM public.question_answers WHERE question_id = NEW.id) THEN
        PERFORM public.raise_refusal('anonymous_questions_answered_has_answer', TG_TABLE_NAME,
            'status', 'A question becomes answered only when its answer is there');
    END IF;
    RETURN NEW;
END""",
                validate=answered_has_answer,
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_status_display()} {self.pk}"


class QuestionAnswer(Entity):
    """The owner's answer to a question; sealed."""

    question = Ref(AnonymousQuestion, DB_CASCADE, related_name="answers", db_comment=p0("question"))
    answered_by = Ref(
        "identity.User",
        db_column="answered_by_user_id",
        related_name="question_answers",
        db_comment=p0("who answered"),
    )
    answer_text_encrypted = SealedText(db_comment=p2("the answer, sealed"))
    published_at = models.DateTimeField(null=True, blank=True, db_comment=p0("when published, UTC"))

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
                body="""
BEGIN
    IF (TG_OP = 'DELETE' OR NEW.question_id <> OLD.question_id)
       AND EXISTS (SELECT FROM public.anonymous_questions
                   WHERE id = OLD.question_id AND status = 'answered') THEN
        PERFORM public.raise_refusal('question_answers_answered_keeps_answer', TG_TABLE_NAME,
            'question_id', 'The answer of an answered question goes only together with it');
    END IF;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    RETURN NEW;
END""",
            ),
            triggers.no_truncate("question_answers"),
        ]

    def __str__(self) -> str:
        return str(self.pk)


class ModerationAction(Entity):
    """What a moderator did with something a client wrote. Append-only."""

    UgcType = Members("UgcType", "anonymous_question review comment")
    Action = Members("Action", "approve reject flag mask_pii publish unpublish escalate")
    Reason = Members("Reason", "crisis medical out_of_scope therapy_request spam pii other")

    ugc_type = ClosedSet(UgcType, db_comment=p0("what ugc_id points at"))
    ugc_id = models.UUIDField(db_comment=p0("id of the question or review"))
    moderator = Ref(
        "identity.User",
        db_column="moderator_user_id",
        related_name="moderation_actions",
        db_comment=p0("who decided"),
    )
    action = ClosedSet(Action, db_comment=p0("what was done"))
    reason_category = ClosedSet(
        Reason, null=True, blank=True, db_comment=p0("category of the reason; required to reject")
    )
    created_at = created_at()

    class Meta:
        db_table = "ugc_moderation_actions"
        db_table_comment = "Decisions of moderators; append-only"
        verbose_name = _("moderation action")
        verbose_name_plural = _("moderation actions")
        constraints = [
            rules.required_when(
                "ugc_moderation_actions_reject_has_reason",
                "reason_category",
                Q(action="reject"),
                _("A rejection needs a reason."),
            ),
            rules.finite("ugc_moderation_actions", "created_at"),
        ]
        indexes = [
            rules.Index(
                "ugc_moderation_actions_by_target",
                "ugc_type",
                "ugc_id",
                "created_at",
                serves="history of a question or review; metrics: decision times",
            ),
            rules.Index("ugc_moderation_actions_by_moderator", "moderator", serves="delete check"),
        ]
        triggers = [
            triggers.Rule(
                "ugc_moderation_actions_target_exists",
                operation=pgtrigger.Insert,
                body="""
BEGIN
    IF NOT (CASE NEW.ugc_type
            WHEN 'anonymous_question' THEN
                EXISTS (SELECT FROM public.anonymous_questions WHERE id = NEW.ugc_id)
            WHEN 'review' THEN EXISTS (SELECT FROM public.reviews WHERE id = NEW.ugc_id)
            -- Comments have no table in release 1; an unknown type is the CHECK's to name.
            WHEN 'comment' THEN false
            ELSE true END) THEN
        PERFORM public.raise_refusal('ugc_moderation_actions_target_exists', TG_TABLE_NAME,
            'ugc_id', 'There is no such question or review');
    END IF;
    RETURN NEW;
END""",
            ),
            *triggers.append_only("ugc_moderation_actions"),
        ]

    def __str__(self) -> str:
        return str(self.get_action_display())


class Review(Entity):
    """A client's review; published only with an active consent."""

    Status = Members("Status", "draft pending published unpublished")
    Anonymity = Members("Anonymity", "full initials named")

    user = Ref(
        "identity.User",
        null=True,
        blank=True,
        related_name="reviews",
        db_comment=p0("who wrote it, if known"),
    )
    status = ClosedSet(Status, default=Status.draft, db_comment=p0("states.md"))
    review_text_encrypted = SealedText(db_comment=p2("the review, sealed"))
    anonymity_level = ClosedSet(
        Anonymity, default=Anonymity.full, db_comment=p0("how the author is shown")
    )
    submitted_at = models.DateTimeField(null=True, blank=True, db_comment=p0("when submitted, UTC"))
    published_at = models.DateTimeField(
        null=True, blank=True, db_comment=p0("when last published, UTC")
    )

    class Meta:
        db_table = "reviews"
        db_table_comment = "Reviews of clients, sealed"
        verbose_name = _("review")
        verbose_name_plural = _("reviews")
        constraints = [
            rules.sealed("reviews", "review_text_encrypted"),
            rules.finite("reviews", "submitted_at", "published_at"),
        ]
        indexes = [
            rules.Index("reviews_by_user", "user", serves="a person's reviews; export"),
            rules.Index("reviews_by_status", "status", "submitted_at", serves="moderation; site"),
        ]
        triggers = [
            *triggers.transitions(
                "reviews",
                {
                    "draft": ["pending"],
                    "pending": ["published", "unpublished"],
                    "published": ["unpublished"],
                    "unpublished": ["published"],
                },
                initial=["draft", "pending"],
            ),
            triggers.Rule(
                "reviews_published_has_consent",
                operation=pgtrigger.UpdateOf("status"),
                condition="NEW.status = 'published' AND OLD.status <> 'published'",
                # FOR SHARE: a withdrawal at the same moment waits, and then unpublishes.
                body="""
BEGIN
    PERFORM FROM public.review_publication_consents
    WHERE review_id = NEW.id AND granted AND revoked_at IS NULL FOR SHARE;
    IF NOT FOUND THEN
        PERFORM public.raise_refusal('reviews_published_has_consent', TG_TABLE_NAME, 'status',
            'A review is published only with the active consent of its author');
    END IF;
    RETURN NEW;
END""",
                validate=lambda review: _check_consent(review),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_status_display()} {self.pk}"


def _check_consent(review: Review) -> None:
    if (
        review.status == "published"
        and not review.publication_consents.filter(granted=True, revoked_at__isnull=True).exists()
    ):
        raise ValidationError(
            {
                "status": ValidationError(
                    _("A review is published only with the active consent of its author."),
                    code="reviews_published_has_consent",
                )
            }
        )


class ReviewPublicationConsent(Entity):
    """Evidence that an author agreed to publication. Withdrawal unpublishes at once."""

    review = Ref(Review, related_name="publication_consents", db_comment=p0("review"))
    user = Ref(
        "identity.User",
        null=True,
        blank=True,
        related_name="review_publication_consents",
        db_comment=p0("who agreed, if known"),
    )
    granted = models.BooleanField(
        default=False, db_default=False, db_comment=p0("true: agreed; false: refused")
    )
    version = TextLine(db_comment=p0("version of the text, YYYY-MM-DD or YYYY-MM-DD.n"))
    granted_at = models.DateTimeField(
        db_default=now_default(), editable=False, db_comment=p0("when given, UTC")
    )
    revoked_at = models.DateTimeField(
        null=True, blank=True, db_comment=p0("when withdrawn, UTC; set once")
    )

    class Meta:
        db_table = "review_publication_consents"
        db_table_comment = "Evidence of consents to publish a review"
        verbose_name = _("consent to publication")
        verbose_name_plural = _("consents to publication")
        constraints = [
            rules.matches(
                "review_publication_consents_version_is_dated",
                "version",
                rules.TEXT_VERSION,
                _("A version is a date, for example 2026-01-07 or 2026-01-07.2."),
            ),
            rules.Check(
                "review_publication_consents_revoked_after_granted",
                Q(revoked_at__isnull=True) | Q(revoked_at__gte=F("granted_at")),
                _("A consent cannot be withdrawn before it was given."),
                field="revoked_at",
            ),
            rules.Check(
                "review_publication_consents_refusal_is_not_revoked",
                Q(granted=True) | Q(revoked_at__isnull=True),
                _("A refusal cannot be withdrawn."),
                field="revoked_at",
            ),
            rules.Unique(
                "review_publication_consents_one_active",
                fields=["review"],
                condition=Q(granted=True, revoked_at__isnull=True),
                message=_("There is already an active consent for this review."),
            ),
            rules.finite("review_publication_consents", "granted_at", "revoked_at"),
        ]
        indexes = [
            rules.Index(
                "review_publication_consents_by_review", "review", serves="history of a review"
            ),
            rules.Index("review_publication_consents_by_user", "user", serves="a person's; export"),
        ]
        triggers = [
            triggers.frozen(
                "review_publication_consents",
                "are_evidence",
                ["id", "review_id", "user_id", "granted", "version", "granted_at"],
                message="A consent is evidence: only its withdrawal can be recorded",
            ),
            triggers.frozen(
                "review_publication_consents",
                "revoked_once",
                ["revoked_at"],
                when="OLD.revoked_at IS NOT NULL",
                message="A consent is withdrawn once",
            ),
            triggers.Rule(
                "review_publication_consents_unpublish",
                operation=pgtrigger.UpdateOf("revoked_at"),
                when=pgtrigger.After,
                condition="NEW.revoked_at IS NOT NULL AND OLD.revoked_at IS NULL",
                body="""
BEGIN
    UPDATE public.reviews SET status = 'unpublished'
    WHERE id = NEW.review_id AND status = 'published';
    RETURN NULL;
END""",
            ),
            triggers.no_delete("review_publication_consents"),
            triggers.no_truncate("review_publication_consents"),
        ]

    def __str__(self) -> str:
        return self.version


class DiaryEntry(Entity):
    """A client's diary; the author's alone, no staff role reads it."""

    Type = Members("Type", "emotions abc sleep_energy gratitude")

    user = Ref("identity.User", related_name="diary_entries", db_comment=p0("whose diary"))
    diary_type = ClosedSet(Type, db_comment=p0("kind of diary"))
    entry_date = models.DateField(db_comment=p0("day it is about"))
    payload_encrypted = SealedText(
        null=True, blank=True, db_comment=p2("entry, sealed JSON; empty exactly when deleted")
    )
    created_at = created_at()
    deleted_at = models.DateTimeField(null=True, blank=True, db_comment=p0("when deleted, UTC"))

    class Meta:
        db_table = "diary_entries"
        db_table_comment = "Diaries of clients, sealed"
        verbose_name = _("diary entry")
        verbose_name_plural = _("diary entries")
        constraints = [
            rules.sealed("diary_entries", "payload_encrypted"),
            rules.Check(
                "diary_entries_deleted_means_gone",
                Q(deleted_at__isnull=True, payload_encrypted__isnull=False)
                | Q(deleted_at__isnull=False, payload_encrypted__isnull=True),
                _("A deleted entry keeps no text, any other has one."),
                field="deleted_at",
            ),
            rules.finite("diary_entries", "entry_date", "created_at", "deleted_at"),
        ]
        indexes = [
            rules.Index(
                "diary_entries_of_user", "user", "-entry_date", serves="the author's diary; export"
            ),
            rules.Index(
                "diary_entries_deleted",
                "deleted_at",
                condition=Q(deleted_at__isnull=False),
                serves="purge_expired, 30 days",
            ),
        ]

    def __str__(self) -> str:
        return str(self.pk)
