"""Moderation of questions and reviews."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import models
from django.utils import timezone

from audit.services import publish_event
from crm.services import record_event
from crm.services.texts import check_text, is_same_text
from ebalance.db.encryption.fields import Plaintext
from ebalance.services import Clock, NotPermitted, TransitionRefused, parse_choice, transactional
from identity.models import User

from ..errors import ReasonMissing
from ..models import AnonymousQuestion, ModerationAction, Review
from .rows import lock_and_refresh

MODERATORS = ("owner", "assistant")
LARGEST = 10**9  # the largest integer of the tracking plan; 11.5 days in milliseconds

type Moderated = AnonymousQuestion | Review


@transactional
def mask_personal_data(
    row: Moderated, *, text: Plaintext, actor: User, clock: Clock = timezone.now
) -> None:
    """Replace the text by one without personal data. The status does not change.

    Raises NotPermitted, NotFound, TextBlank, TextTooLong, InvalidInput, and TransitionRefused if
    the decision is final (``maskable_in``) or an erasure has emptied the text.
    """
    require_role(actor, *MODERATORS)
    check_text(text)
    with lock_and_refresh(type(row), row) as locked:
        stored = getattr(locked, locked.text_column)
        if locked.status not in locked.maskable_in or is_same_text(stored, Plaintext("")):
            raise transition_refused(locked, "masked")
        if is_same_text(stored, text):
            return
        setattr(locked, locked.text_column, text)
        locked.save(update_fields=[locked.text_column])
        add_action(locked, "mask_pii", actor, clock())
        publish_row_event(locked, "pii_masked")


# -- actors and values -----------------------------------------------------------------------------


def require_role(actor: User | None, *roles: str) -> str:
    """The first of ``roles`` that the actor has. Raises NotPermitted (access.md §1)."""
    if actor is not None and actor.is_staff:
        for role in roles:
            if role in actor.role_codes:
                return role
    raise NotPermitted(roles=" ".join(roles))


def parse_reason(reason: object) -> str:
    """One of ModerationAction.Reason. Raises ReasonMissing, InvalidInput."""
    if reason is None or reason == "":
        raise ReasonMissing(field="reason")
    return parse_choice(reason, ModerationAction.Reason, "reason")


# -- moderation actions ----------------------------------------------------------------------------


def actions_on(row: Moderated) -> models.QuerySet[ModerationAction]:
    return ModerationAction.objects.filter(ugc_type=row.ugc_type, ugc_id=row.pk)


def last_action(row: Moderated, *kinds: str) -> ModerationAction | None:
    """The latest moderation action of these kinds."""
    return actions_on(row).filter(action__in=kinds).order_by("created_at", "pk").last()


def add_action(
    row: Moderated, action: str, actor: User, now: datetime, reason: str | None = None
) -> None:
    ModerationAction.objects.create(
        ugc_type=row.ugc_type,
        ugc_id=row.pk,
        moderator=actor,
        action=action,
        reason_category=reason,
        created_at=now,
    )


def has_same_text(earlier: Moderated, text: Plaintext) -> bool:
    """Whether the earlier request had this text. A masked text can no longer be compared."""
    if last_action(earlier, "mask_pii") is not None:
        return True
    return is_same_text(getattr(earlier, earlier.text_column), text)


# -- refusals and events ---------------------------------------------------------------------------


def transition_refused(row: Moderated, wanted: str) -> TransitionRefused:
    return TransitionRefused(entity=row._meta.db_table, id=row.pk, status=row.status, wanted=wanted)


def publish_row_event(row: Moderated, event: str, **payload: object) -> None:
    publish_event(f"{row.event_name}_{event}", row, **payload)


def track_moderation(
    event_name: str,
    row: Moderated,
    *,
    now: datetime,
    clock: Clock,
    **properties: object,
) -> None:
    """Record an event about the text. It names neither the author nor the moderator."""
    record_event(
        event_name,
        source="admin",
        occurred_at=now,
        properties={"ugc_id": row.pk, **properties},
        clock=clock,
    )


def track_decision(
    row: Moderated,
    status: str,
    *,
    actor: User,
    now: datetime,
    clock: Clock,
    reason: str | None = None,
    has_crisis_trigger: bool | None = None,
) -> None:
    track_moderation(
        "ugc_moderated",
        row,
        now=now,
        clock=clock,
        ugc_type=row.ugc_type,
        moderation_status=status,
        moderator_role=require_role(actor, *MODERATORS),
        duration_ms=elapsed(row.submitted_at, now, milliseconds=1),
        rejection_reason=reason,
        has_crisis_trigger=has_crisis_trigger,
    )


def elapsed(since: datetime | None, now: datetime, **unit: int) -> int:
    """Whole units of time, within the limits of the tracking plan: 0 to 10^9."""
    if since is None:
        return 0
    return min(max((now - since) // timedelta(**unit), 0), LARGEST)
