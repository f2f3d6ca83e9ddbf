"""What moderators and the owner do with a question."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any, ClassVar

from django.apps import apps
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from audit.services import publish_event
from ebalance.db.encryption.fields import Plaintext
from ebalance.services import Clock, lock_rows, transactional

from ..errors import PublicationNotAllowed, ReasonMissing
from .inputs import check_text, is_same_text, length_of, one_of, permitted, some_of
from .moderated import MODERATORS, Moderated, since


class TriggerFlag(models.TextChoices):
    CRISIS = "crisis", _("crisis")
    PII = "pii", _("pii")
    MEDICAL = "medical", _("medical")
    SPAM = "spam", _("spam")


class EscalationReason(models.TextChoices):
    CRISIS = "crisis", _("crisis")
    COMPLEX = "complex", _("complex")
    OTHER = "other", _("other")


# The flag that a moderation action names as its reason, of several.
MOST_SERIOUS = ("crisis", "medical", "pii", "spam")
SHORT, MEDIUM = 500, 2_000  # an answer is short and medium up to so many characters


class QuestionVerbs(Moderated):
    """Each verb locks the question, and nothing else but its answer."""

    ugc_type = "anonymous_question"
    event_prefix = "question"
    text_column = "question_text_encrypted"
    maskable: ClassVar = frozenset({"pending", "flagged", "approved"})

    class Meta:
        abstract = True

    @property
    def has_crisis_flag(self) -> bool:
        return "crisis" in self.trigger_flags

    @transactional
    def flag(
        self, flags: Collection[str], *, actor: Any = None, clock: Clock = timezone.now
    ) -> None:
        """Add flags to an undecided question: pending or flagged becomes flagged.

        Without an actor it is the automatic filter, of which no moderation action is kept: each
        names a moderator. Raises NotPermitted, InvalidInput, TransitionRefused.
        """
        if actor is not None:
            permitted(actor, *MODERATORS)
        given = some_of(flags, TriggerFlag, "flags")
        reason = next((flag for flag in MOST_SERIOUS if flag in given), None)
        if reason is None:
            raise ReasonMissing(field="flags")
        with self._under_lock() as row:
            if row.status not in {"pending", "flagged"}:
                raise row._refusal("flagged")
            if row.status == "flagged" and {*given} <= {*row.trigger_flags}:
                return
            now = clock()
            is_crisis = "crisis" in given and not row.has_crisis_flag
            row._add_flags(given)
            row.status = "flagged"
            row.save(update_fields=["status", "trigger_flags"])
            if actor is not None:
                row._note("flag", actor, now, reason)
            row._publish("flagged", crisis=row.has_crisis_flag, due_at=row._due_at())
            if actor is not None and is_crisis:
                row._track_decision("flagged_crisis", actor, now, clock, has_crisis_trigger=True)

    @transactional
    def approve(self, *, actor: Any, clock: Clock = timezone.now) -> None:
        """pending, flagged → approved: it may be answered.

        Raises NotPermitted, TransitionRefused.
        """
        permitted(actor, *MODERATORS)
        with self._under_lock() as row:
            if row.status == "approved":
                return
            row._decide("approved", "approve", actor, clock)

    @transactional
    def reject(self, *, reason: str, actor: Any, clock: Clock = timezone.now) -> None:
        """pending, flagged → rejected, for good. ``reason`` is one of ModerationAction.Reason.

        Raises NotPermitted, ReasonMissing, TransitionRefused (also once it is rejected for another
        reason).
        """
        permitted(actor, *MODERATORS)
        reason = reason_of(reason)
        with self._under_lock() as row:
            if row.status == "rejected":
                last = row._last_action("reject")
                if last is not None and last.reason_category == reason:
                    return
            row._decide("rejected", "reject", actor, clock, reason)

    @transactional
    def escalate(self, *, actor: Any, reason: str = "other", clock: Clock = timezone.now) -> None:
        """Hand the question to the owner: pending, approved → flagged; flagged stays.

        ``reason``: crisis (which also flags it so, and shortens the time to decide), complex,
        other. An approval is taken back. Raises NotPermitted, InvalidInput, TransitionRefused.
        """
        permitted(actor, *MODERATORS)
        reason = one_of(reason, EscalationReason, "reason")
        category = "crisis" if reason == "crisis" else "other"
        with self._under_lock() as row:
            if row.status not in {"pending", "flagged", "approved"}:
                raise row._refusal("flagged")
            if row._is_escalated(category):
                return
            now = clock()
            row.status, row.moderated_at = "flagged", None
            if reason == "crisis":
                row._add_flags(["crisis"])
            row.save(update_fields=["status", "moderated_at", "trigger_flags"])
            row._note("escalate", actor, now, category)
            row._publish(
                "escalated", reason=reason, crisis=row.has_crisis_flag, due_at=row._due_at()
            )
            row._track(
                "moderation_escalated",
                actor,
                now,
                clock,
                ugc_type=row.ugc_type,
                escalation_reason=reason,
            )

    @transactional
    def answer(self, text: Plaintext, *, actor: Any, clock: Clock = timezone.now) -> Any:
        """approved → answered, with its answer, which is returned. The owner's alone.

        The moderation actions have none for it: the answer names who gave it. Raises NotPermitted,
        TextBlank, TextTooLong, TransitionRefused (also for another answer than was given).
        """
        permitted(actor, "owner")
        check_text(text)
        with self._under_lock() as row:
            given = row._answer()
            if given is not None and not is_same_text(given.answer_text_encrypted, text):
                raise row._refusal("answered")
            if given is not None and row.status == "answered":
                return given
            if row.status != "approved":
                raise row._refusal("answered")
            answer = given or apps.get_model("ugc.QuestionAnswer").objects.create(
                question=row, answered_by=actor, answer_text_encrypted=text
            )
            now = clock()
            row.status, row.answered_at = "answered", now
            row.save(update_fields=["status", "answered_at"])
            row._publish("answered", answer_id=answer.pk)
            row._track(
                "ugc_answered",
                actor,
                now,
                clock,
                answer_length_bucket=length_bucket(length_of(text)),
                time_to_answer_hours=since(row.submitted_at, now, hours=1),
            )
            return answer

    @transactional
    def publish_answer(self, *, actor: Any, clock: Clock = timezone.now) -> None:
        """Publish an answered question with its answer. The owner's alone.

        Raises NotPermitted, TransitionRefused, PublicationNotAllowed unless the asker allowed it.
        """
        permitted(actor, "owner")
        with self._under_lock() as row:
            answer = row._answer()
            if row.status != "answered" or answer is None:
                raise row._refusal("published")
            if not row.publish_allowed:
                raise PublicationNotAllowed(entity=row._meta.db_table, id=row.pk)
            if answer.published_at is not None:
                return
            answer.published_at = clock()
            answer.save(update_fields=["published_at"])
            row._note("publish", actor, answer.published_at)
            publish_event("answer_published", answer, question_id=row.pk)

    # -- steps ----------------------------------------------------------------------------------

    def _decide(
        self, status: str, action: str, actor: Any, clock: Clock, reason: str | None = None
    ) -> None:
        if self.status not in {"pending", "flagged"}:
            raise self._refusal(status)
        now = clock()
        self.status, self.moderated_at = status, now
        self.save(update_fields=["status", "moderated_at"])
        self._note(action, actor, now, reason)
        self._publish(status, reason=reason)
        self._track_decision(
            status, actor, now, clock, reason, has_crisis_trigger=self.has_crisis_flag
        )

    def _add_flags(self, flags: Collection[str]) -> None:
        self.trigger_flags = [
            str(flag) for flag in TriggerFlag.values if flag in {*self.trigger_flags, *flags}
        ]

    def _is_escalated(self, category: str) -> bool:
        """Whether the last decision about it was to escalate it, for this reason."""
        last = self._last_action("approve", "reject", "flag", "escalate")
        return (
            self.status == "flagged"
            and last is not None
            and (last.action, last.reason_category) == ("escalate", category)
        )

    def _answer(self) -> Any:
        return next(iter(lock_rows(self.answers.all())), None)

    def _due_at(self) -> datetime:
        """As the database has just set it."""
        self.refresh_from_db(fields=["due_at"])
        return self.due_at


def reason_of(reason: object) -> str:
    """One of ModerationAction.Reason. Raises ReasonMissing, InvalidInput."""
    if reason is None or reason == "":
        raise ReasonMissing(field="reason")
    return one_of(reason, apps.get_model("ugc.ModerationAction").Reason, "reason")


def length_bucket(characters: int) -> str:
    """Of the tracking plan's ``answer_length_bucket``."""
    if characters <= SHORT:
        return "short"
    return "medium" if characters <= MEDIUM else "long"
