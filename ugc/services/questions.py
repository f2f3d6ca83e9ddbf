"""Questions: submission, decisions of moderators, answers of the owner.

Each service locks the question, and no other row except its answer. Only ``submit_question`` locks
more: the author and, last, the lead.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.utils import timezone

from audit.services import publish_event
from crm.services import record_event
from crm.services.texts import check_text, is_same_text, length_of
from ebalance.db.encryption.fields import Plaintext
from ebalance.services import (
    Clock,
    RowOrKey,
    lock_rows,
    parse_bool,
    parse_choice,
    transactional,
)
from identity.models import User

from ..errors import PublicationNotAllowed, ReasonMissing
from ..models import AnonymousQuestion, EscalationReason, QuestionAnswer, TriggerFlag
from .inputs import parse_choices, parse_contact
from .moderation import (
    MODERATORS,
    add_action,
    elapsed,
    has_same_text,
    last_action,
    parse_reason,
    publish_row_event,
    require_role,
    track_decision,
    track_moderation,
    transition_refused,
)
from .rows import idempotency_conflict, insert_once, lock_and_refresh, lock_author, new_key

UNDECIDED = frozenset({"pending", "flagged"})
# A moderation action names one reason: the first of these that is among the flags.
MOST_SERIOUS = ("crisis", "medical", "pii", "spam")
SHORT, MEDIUM = 500, 2_000  # the largest lengths of a short and a medium answer, in characters


@transactional
def submit_question(
    *,
    text: Plaintext,
    channel: str = "web",
    user: RowOrKey[User] | None = None,
    contact: Mapping[str, Plaintext] | None = None,
    trigger_flags: Collection[str] = (),
    publish_allowed: bool = False,
    safety_confirmed: bool = False,
    id: UUID | str | None = None,
    anonymous_id: str | None = None,
    deep_link_id: str | None = None,
    clock: Clock = timezone.now,
) -> AnonymousQuestion:
    """Store a new question: flagged if the automatic filter gave flags, else pending.

    ``contact`` is one of ``{"email": Plaintext(…)}``, ``phone`` and ``telegram``. This is a first
    contact: it creates the lead for the user, the contact or ``anonymous_id``.

    Raises TextBlank, TextTooLong, ContactUnusable, InvalidInput, NotFound, AuthorUnavailable,
    IdempotencyConflict, EventRefused.
    """
    check_text(text)
    value = parse_contact(contact)
    parse_choice(channel, AnonymousQuestion.Channel, "channel")
    flags = parse_choices(trigger_flags, TriggerFlag, "trigger_flags")
    person = lock_author(user)
    sealed: dict[str, Any] = {"question_text_encrypted": text, "contact_value_encrypted": value}
    question = AnonymousQuestion(
        id=new_key(id),
        user=person,
        channel=channel,
        status="flagged" if flags else "pending",
        trigger_flags=flags,
        publish_allowed=parse_bool(publish_allowed, "publish_allowed"),
        safety_confirmed=parse_bool(safety_confirmed, "safety_confirmed"),
        submitted_at=clock(),
        **sealed,
    )
    row, is_new = insert_once(question)
    if not is_new:
        if not is_same_question(row, question, text, value):
            raise idempotency_conflict(row)
        return row
    urgency = {"crisis": row.has_crisis_flag, "due_at": row.due_at}
    publish_row_event(row, "submitted", channel=channel, has_contact=value is not None, **urgency)
    if flags:
        publish_row_event(row, "flagged", **urgency)
    record_event(
        "question_submitted",
        source=channel,
        occurred_at=row.submitted_at,
        user=person,
        anonymous_id=anonymous_id,
        contact=contact,
        deep_link_id=deep_link_id,
        properties={"channel": channel, "has_contact": value is not None},
        clock=clock,
    )
    return row


@transactional
def flag_question(
    question: RowOrKey[AnonymousQuestion],
    *,
    flags: Collection[str],
    actor: User | None = None,
    clock: Clock = timezone.now,
) -> None:
    """Add flags to an undecided question: pending, flagged → flagged.

    Without an actor the automatic filter flags it, which writes no moderation action: each action
    names a moderator. Raises NotPermitted, InvalidInput, ReasonMissing, TransitionRefused.
    """
    if actor is not None:
        require_role(actor, *MODERATORS)
    added = parse_choices(flags, TriggerFlag, "flags")
    reason = next((flag for flag in MOST_SERIOUS if flag in added), None)
    if reason is None:
        raise ReasonMissing(field="flags")
    with lock_and_refresh(AnonymousQuestion, question) as row:
        if row.status not in UNDECIDED:
            raise transition_refused(row, "flagged")
        if row.status == "flagged" and {*added} <= {*row.trigger_flags}:
            return
        now = clock()
        is_new_crisis = "crisis" in added and not row.has_crisis_flag
        add_flags(row, added)
        row.status = "flagged"
        row.save(update_fields=["status", "trigger_flags"])
        if actor is not None:
            add_action(row, "flag", actor, now, reason)
        publish_row_event(row, "flagged", crisis=row.has_crisis_flag, due_at=read_due_at(row))
        if actor is not None and is_new_crisis:
            track_decision(
                row, "flagged_crisis", actor=actor, now=now, clock=clock, has_crisis_trigger=True
            )


@transactional
def approve_question(
    question: RowOrKey[AnonymousQuestion], *, actor: User, clock: Clock = timezone.now
) -> None:
    """pending, flagged → approved: the owner may answer it.

    Raises NotPermitted, TransitionRefused.
    """
    require_role(actor, *MODERATORS)
    with lock_and_refresh(AnonymousQuestion, question) as row:
        if row.status == "approved":
            return
        decide(row, "approved", "approve", actor, clock)


@transactional
def reject_question(
    question: RowOrKey[AnonymousQuestion],
    *,
    reason: str,
    actor: User,
    clock: Clock = timezone.now,
) -> None:
    """pending, flagged → rejected, which is final. ``reason`` is one of ModerationAction.Reason.

    Raises NotPermitted, ReasonMissing, InvalidInput, and TransitionRefused, also if the question
    was rejected for another reason.
    """
    require_role(actor, *MODERATORS)
    reason = parse_reason(reason)
    with lock_and_refresh(AnonymousQuestion, question) as row:
        if row.status == "rejected":
            last = last_action(row, "reject")
            if last is not None and last.reason_category == reason:
                return
        decide(row, "rejected", "reject", actor, clock, reason)


@transactional
def escalate_question(
    question: RowOrKey[AnonymousQuestion],
    *,
    actor: User,
    reason: str = "other",
    clock: Clock = timezone.now,
) -> None:
    """Pass the question to the owner: pending, flagged, approved → flagged.

    ``reason`` is one of EscalationReason. ``crisis`` adds the flag too, which shortens the time to
    decide. An escalation cancels an approval. Raises NotPermitted, InvalidInput, TransitionRefused.
    """
    require_role(actor, *MODERATORS)
    reason = parse_choice(reason, EscalationReason, "reason")
    category = "crisis" if reason == "crisis" else "other"
    with lock_and_refresh(AnonymousQuestion, question) as row:
        if row.status not in {*UNDECIDED, "approved"}:
            raise transition_refused(row, "flagged")
        if is_escalated(row, category):
            return
        now = clock()
        row.status = "flagged"
        if reason == "crisis":
            add_flags(row, ["crisis"])
        row.save(update_fields=["status", "trigger_flags"])
        add_action(row, "escalate", actor, now, category)
        publish_row_event(
            row, "escalated", reason=reason, crisis=row.has_crisis_flag, due_at=read_due_at(row)
        )
        track_moderation(
            "moderation_escalated",
            row,
            now=now,
            clock=clock,
            ugc_type=row.ugc_type,
            escalation_reason=reason,
        )


@transactional
def answer_question(
    question: RowOrKey[AnonymousQuestion],
    *,
    text: Plaintext,
    actor: User,
    clock: Clock = timezone.now,
) -> QuestionAnswer:
    """approved → answered. Returns the answer. Only the owner answers.

    No moderation action is written, because the answer names its author. Raises NotPermitted,
    TextBlank, TextTooLong, InvalidInput, and TransitionRefused, also if there is another answer.
    """
    require_role(actor, "owner")
    check_text(text)
    with lock_and_refresh(AnonymousQuestion, question) as row:
        earlier = lock_answer(row)
        if earlier is not None and not is_same_text(earlier.answer_text_encrypted, text):
            raise transition_refused(row, "answered")
        if earlier is not None and row.status == "answered":
            return earlier
        if row.status != "approved":
            raise transition_refused(row, "answered")
        sealed: dict[str, Any] = {"answer_text_encrypted": text}
        answer = earlier or QuestionAnswer.objects.create(question=row, answered_by=actor, **sealed)
        now = clock()
        row.status, row.answered_at = "answered", now
        row.save(update_fields=["status", "answered_at"])
        publish_row_event(row, "answered", answer_id=answer.pk)
        track_moderation(
            "ugc_answered",
            row,
            now=now,
            clock=clock,
            answer_length_bucket=length_bucket(length_of(text)),
            time_to_answer_hours=elapsed(row.submitted_at, now, hours=1),
        )
        return answer


@transactional
def publish_answer(
    question: RowOrKey[AnonymousQuestion], *, actor: User, clock: Clock = timezone.now
) -> None:
    """Publish an answered question with its answer. Only the owner publishes it.

    Raises NotPermitted, TransitionRefused, and PublicationNotAllowed unless the author of the
    question allowed it.
    """
    require_role(actor, "owner")
    with lock_and_refresh(AnonymousQuestion, question) as row:
        answer = lock_answer(row)
        if row.status != "answered" or answer is None:
            raise transition_refused(row, "published")
        if not row.publish_allowed:
            raise PublicationNotAllowed(entity=row._meta.db_table, id=row.pk)
        if answer.published_at is not None:
            return
        answer.published_at = clock()
        answer.save(update_fields=["published_at"])
        add_action(row, "publish", actor, answer.published_at)
        publish_event("answer_published", answer, question_id=row.pk)


# -- steps -----------------------------------------------------------------------------------------


def decide(
    row: AnonymousQuestion,
    status: str,
    action: str,
    actor: User,
    clock: Clock,
    reason: str | None = None,
) -> None:
    if row.status not in UNDECIDED:
        raise transition_refused(row, status)
    now = clock()
    row.status = status
    row.moderated_at = row.moderated_at or now  # an escalated question keeps its first decision
    row.save(update_fields=["status", "moderated_at"])
    add_action(row, action, actor, now, reason)
    publish_row_event(row, status, reason=reason)
    track_decision(
        row,
        status,
        actor=actor,
        now=now,
        clock=clock,
        reason=reason,
        has_crisis_trigger=row.has_crisis_flag,
    )


def add_flags(row: AnonymousQuestion, flags: Collection[str]) -> None:
    flagged = {*row.trigger_flags, *flags}
    row.trigger_flags = [str(flag) for flag in TriggerFlag.values if flag in flagged]


def is_escalated(row: AnonymousQuestion, category: str) -> bool:
    """Whether the last decision about the question was an escalation for this reason."""
    last = last_action(row, "approve", "reject", "flag", "escalate")
    return (
        row.status == "flagged"
        and last is not None
        and (last.action, last.reason_category) == ("escalate", category)
    )


def lock_answer(row: AnonymousQuestion) -> QuestionAnswer | None:
    return next(iter(lock_rows(row.answers.all())), None)


def read_due_at(row: AnonymousQuestion) -> datetime:
    """The new value, which a trigger has set."""
    row.refresh_from_db(fields=["due_at"])
    return row.due_at


def is_same_question(
    earlier: AnonymousQuestion,
    new: AnonymousQuestion,
    text: Plaintext,
    contact: Plaintext | None,
) -> bool:
    """Flags are not compared: moderators add some."""
    same = ("user_id", "channel", "publish_allowed", "safety_confirmed")
    return (
        all(getattr(earlier, name) == getattr(new, name) for name in same)
        and is_same_text(earlier.contact_value_encrypted, contact)
        and has_same_text(earlier, text)
    )


def length_bucket(characters: int) -> str:
    """``answer_length_bucket`` of the tracking plan."""
    if characters <= SHORT:
        return "short"
    return "medium" if characters <= MEDIUM else "long"
