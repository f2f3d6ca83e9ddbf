"""Reviews: what authors and moderators do with them, and the consent to publish them.

Each service locks the author if it needs the author, then the review, then its consents.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.utils import timezone

from audit.services import publish_event
from crm.services.texts import check_text
from ebalance.db.encryption.fields import Plaintext
from ebalance.services import (
    Clock,
    RowOrKey,
    get_or_refuse,
    lock_rows,
    parse_choice,
    parse_text_version,
    transactional,
)
from identity.models import User

from ..errors import ConsentActive, ConsentMissing
from ..models import Review, ReviewPublicationConsent
from .moderation import (
    MODERATORS,
    add_action,
    has_same_text,
    last_action,
    parse_reason,
    publish_row_event,
    require_role,
    track_decision,
    transition_refused,
)
from .rows import idempotency_conflict, insert_once, lock_and_refresh, lock_author, new_key

# -- authors ---------------------------------------------------------------------------------------


@transactional
def draft_review(
    *,
    text: Plaintext,
    user: RowOrKey[User] | None = None,
    anonymity_level: str = "full",
    id: UUID | str | None = None,
) -> Review:
    """Store a draft, which ``send_review_draft`` sends later.

    Raises TextBlank, TextTooLong, InvalidInput, NotFound, AuthorUnavailable, IdempotencyConflict.
    """
    row, is_new = insert_review(text, user, anonymity_level, id)
    if is_new:
        publish_row_event(row, "drafted")
    return row


@transactional
def submit_review(
    *,
    text: Plaintext,
    user: RowOrKey[User] | None = None,
    anonymity_level: str = "full",
    consent_version: str | None = None,
    id: UUID | str | None = None,
    clock: Clock = timezone.now,
) -> Review:
    """Store a review that awaits moderation, with the consent to publish it if a version is given.

    Raises what ``draft_review`` raises. The key of a draft is a conflict too.
    """
    if consent_version is not None:
        parse_text_version(consent_version)
    row, is_new = insert_review(text, user, anonymity_level, id, clock)
    if is_new:
        publish_row_event(row, "submitted")
        if consent_version is not None:
            grant_review_consent(row, version=consent_version, clock=clock)
    elif row.status == "draft" or not was_granted(row, consent_version):
        raise idempotency_conflict(row)
    return row


@transactional
def send_review_draft(review: RowOrKey[Review], *, clock: Clock = timezone.now) -> None:
    """draft → pending. Raises AuthorUnavailable, NotFound."""
    lock_author_of(review)
    with lock_and_refresh(Review, review) as row:
        if row.status != "draft":
            return
        row.status, row.submitted_at = "pending", clock()
        row.save(update_fields=["status", "submitted_at"])
        publish_row_event(row, "submitted")


@transactional
def grant_review_consent(
    review: RowOrKey[Review], *, version: str, clock: Clock = timezone.now
) -> ReviewPublicationConsent:
    """Store the author's consent to publication and return it. It does not publish the review.

    ``version`` of the legal text is YYYY-MM-DD or YYYY-MM-DD.n. Raises InvalidInput,
    AuthorUnavailable, NotFound, and ConsentActive if there is an active consent to another version.
    """
    version = parse_text_version(version)
    lock_author_of(review)
    with lock_and_refresh(Review, review) as row:
        active = lock_active_consent(row)
        if active is not None and active.version != version:
            raise ConsentActive(
                entity=active._meta.db_table, id=active.pk, status="granted", wanted="granted"
            )
        if active is not None:
            return active
        consent = row.publication_consents.create(
            user_id=row.user_id, granted=True, version=version, granted_at=clock()
        )
        publish_event("review_consent_granted", consent, review_id=row.pk)
        return consent


@transactional
def withdraw_review_consent(review: RowOrKey[Review], *, clock: Clock = timezone.now) -> None:
    """Withdraw the active consent, if there is one. The database unpublishes a published review.

    No moderator decides this, so no moderation action is written. Raises NotFound.
    """
    with lock_and_refresh(Review, review) as row:
        consent = lock_active_consent(row)
        if consent is None:
            return
        consent.revoked_at = max(clock(), consent.granted_at)
        consent.save(update_fields=["revoked_at"])
        publish_event("review_consent_withdrawn", consent, review_id=row.pk)
        if row.status == "published":
            publish_row_event(row, "unpublished")


# -- moderators ------------------------------------------------------------------------------------


@transactional
def publish_review(review: RowOrKey[Review], *, actor: User, clock: Clock = timezone.now) -> None:
    """pending, unpublished → published. Raises NotPermitted, TransitionRefused, ConsentMissing."""
    require_role(actor, *MODERATORS)
    with lock_and_refresh(Review, review) as row:
        if row.status == "published":
            return
        if row.status == "draft":
            raise transition_refused(row, "published")
        if lock_active_consent(row) is None:
            raise ConsentMissing(entity=row._meta.db_table, id=row.pk)
        now = clock()
        row.status, row.published_at = "published", now
        row.save(update_fields=["status", "published_at"])
        add_action(row, "publish", actor, now)
        publish_row_event(row, "published")
        track_decision(row, "approved", actor=actor, now=now, clock=clock)


@transactional
def reject_review(
    review: RowOrKey[Review], *, reason: str, actor: User, clock: Clock = timezone.now
) -> None:
    """pending → unpublished. ``reason`` is one of ModerationAction.Reason.

    Raises NotPermitted, ReasonMissing, InvalidInput, and TransitionRefused, also if the review was
    rejected for another reason.
    """
    require_role(actor, *MODERATORS)
    reason = parse_reason(reason)
    with lock_and_refresh(Review, review) as row:
        if row.status == "unpublished":
            last = last_action(row, "publish", "unpublish", "reject")
            if last is not None and (last.action, last.reason_category) == ("reject", reason):
                return
        if row.status != "pending":
            raise transition_refused(row, "unpublished")
        now = clock()
        row.status = "unpublished"
        row.save(update_fields=["status"])
        add_action(row, "reject", actor, now, reason)
        publish_row_event(row, "rejected", reason=reason)
        track_decision(row, "rejected", actor=actor, now=now, clock=clock, reason=reason)


@transactional
def unpublish_review(
    review: RowOrKey[Review],
    *,
    actor: User,
    reason: str | None = None,
    clock: Clock = timezone.now,
) -> None:
    """published → unpublished. The consent stays active.

    Raises NotPermitted, ReasonMissing, InvalidInput, and TransitionRefused for an undecided review.
    """
    require_role(actor, *MODERATORS)
    reason = None if reason is None else parse_reason(reason)
    with lock_and_refresh(Review, review) as row:
        if row.status == "unpublished":
            return
        if row.status != "published":
            raise transition_refused(row, "unpublished")
        row.status = "unpublished"
        row.save(update_fields=["status"])
        add_action(row, "unpublish", actor, clock(), reason)
        publish_row_event(row, "unpublished", reason=reason)


# -- steps -----------------------------------------------------------------------------------------


def insert_review(
    text: Plaintext,
    user: RowOrKey[User] | None,
    anonymity_level: str,
    id: UUID | str | None,
    clock: Clock | None = None,
) -> tuple[Review, bool]:
    """The review and whether it is new. It is pending if a clock is given, else a draft."""
    check_text(text)
    sealed: dict[str, Any] = {"review_text_encrypted": text}
    review = Review(
        id=new_key(id),
        user=lock_author(user),
        status="pending" if clock else "draft",
        anonymity_level=parse_choice(anonymity_level, Review.Anonymity, "anonymity_level"),
        submitted_at=clock() if clock else None,
        **sealed,
    )
    row, is_new = insert_once(review)
    same = (row.user_id, row.anonymity_level) == (review.user_id, review.anonymity_level)
    if not (is_new or (same and has_same_text(row, text))):
        raise idempotency_conflict(row)
    return row, is_new


def lock_author_of(review: RowOrKey[Review]) -> None:
    """Lock the author before the review, in the order of ``insert_review``."""
    lock_author(get_or_refuse(Review.objects.all(), review).user_id)


def lock_active_consent(row: Review) -> ReviewPublicationConsent | None:
    """The active consent, locked: it is not withdrawn before the transaction ends."""
    active = row.publication_consents.filter(granted=True, revoked_at__isnull=True)
    return next(iter(lock_rows(active)), None)


def was_granted(review: Review, version: str | None) -> bool:
    """Whether the review was submitted with this consent, even if it was withdrawn since."""
    granted = review.publication_consents.filter(granted=True)
    return version is None or granted.filter(version=version).exists()
