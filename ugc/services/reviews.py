"""What authors and moderators do with a review and the consent to publish it."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from django.apps import apps
from django.utils import timezone

from audit.services import publish_event
from ebalance.db import patterns
from ebalance.services import Clock, InvalidInput, get_or_refuse, lock_rows, transactional

from ..errors import ConsentActive, ConsentMissing
from .inputs import author, permitted
from .moderated import MODERATORS, Moderated
from .questions import reason_of


class ReviewVerbs(Moderated):
    """Each verb locks the review first, then its consents."""

    ugc_type = "review"
    event_prefix = "review"
    text_column = "review_text_encrypted"
    maskable: ClassVar = frozenset({"pending", "published", "unpublished"})

    class Meta:
        abstract = True

    # -- the author's ---------------------------------------------------------------------------

    @transactional
    def submit(self, *, clock: Clock = timezone.now) -> None:
        """draft → pending. Raises AuthorUnavailable, NotFound."""
        self._check_author()
        with self._under_lock() as row:
            if row.status != "draft":
                return
            row.status, row.submitted_at = "pending", clock()
            row.save(update_fields=["status", "submitted_at"])
            row._publish("submitted")

    @transactional
    def grant_publication(self, *, version: str, clock: Clock = timezone.now) -> Any:
        """The author agrees to publication; returns the consent. It publishes nothing by itself.

        ``version`` of the text agreed to: YYYY-MM-DD or YYYY-MM-DD.n. Raises InvalidInput,
        AuthorUnavailable, NotFound, ConsentActive for an active consent to another version.
        """
        version = version_of(version)
        self._check_author()
        with self._under_lock() as row:
            active = row._active_consent()
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
    def withdraw_consent(self, *, clock: Clock = timezone.now) -> None:
        """Withdraw the active consent, if there is one; a published review is unpublished.

        Not a moderator's decision, so without a moderation action. Raises NotFound.
        """
        with self._under_lock() as row:
            consent = row._active_consent()
            if consent is None:
                return
            consent.revoked_at = max(clock(), consent.granted_at)
            consent.save(update_fields=["revoked_at"])
            publish_event("review_consent_withdrawn", consent, review_id=row.pk)
            if row.status == "published":  # the database has unpublished it with the consent
                row._publish("unpublished")

    # -- the moderators' ------------------------------------------------------------------------

    @transactional
    def publish(self, *, actor: Any, clock: Clock = timezone.now) -> None:
        """pending, unpublished → published.

        Raises NotPermitted, TransitionRefused, ConsentMissing.
        """
        permitted(actor, *MODERATORS)
        with self._under_lock() as row:
            if row.status == "published":
                return
            if row.status == "draft":
                raise row._refusal("published")
            if row._active_consent() is None:
                raise ConsentMissing(entity=row._meta.db_table, id=row.pk)
            now = clock()
            row.status, row.published_at = "published", now
            row.save(update_fields=["status", "published_at"])
            row._note("publish", actor, now)
            row._publish("published")
            row._track_decision("approved", actor, now, clock)

    @transactional
    def reject(self, *, reason: str, actor: Any, clock: Clock = timezone.now) -> None:
        """pending → unpublished. ``reason`` is one of ModerationAction.Reason.

        Raises NotPermitted, ReasonMissing, TransitionRefused (also for another reason).
        """
        permitted(actor, *MODERATORS)
        reason = reason_of(reason)
        with self._under_lock() as row:
            if row.status == "unpublished":
                last = row._last_action("publish", "unpublish", "reject")
                if last is not None and (last.action, last.reason_category) == ("reject", reason):
                    return
            if row.status != "pending":
                raise row._refusal("unpublished")
            now = clock()
            row.status = "unpublished"
            row.save(update_fields=["status"])
            row._note("reject", actor, now, reason)
            row._publish("rejected", reason=reason)
            row._track_decision("rejected", actor, now, clock, reason)

    @transactional
    def unpublish(
        self, *, actor: Any, reason: str | None = None, clock: Clock = timezone.now
    ) -> None:
        """published → unpublished; the consent stays.

        Raises NotPermitted, InvalidInput, TransitionRefused for what was never decided on.
        """
        permitted(actor, *MODERATORS)
        reason = None if reason is None else reason_of(reason)
        with self._under_lock() as row:
            if row.status == "unpublished":
                return
            if row.status != "published":
                raise row._refusal("unpublished")
            row.status = "unpublished"
            row.save(update_fields=["status"])
            row._note("unpublish", actor, clock(), reason)
            row._publish("unpublished", reason=reason)

    # -- steps ----------------------------------------------------------------------------------

    def _check_author(self) -> None:
        """The author is locked before the review, as when a review is written."""
        stored = get_or_refuse(type(self)._default_manager.all(), self.pk)
        author(apps.get_model("identity.User").objects.all(), stored.user_id)

    def _active_consent(self) -> Any:
        """The consent that publication rests on, locked: it is not withdrawn meanwhile."""
        active = self.publication_consents.filter(granted=True, revoked_at__isnull=True)
        return next(iter(lock_rows(active)), None)


def version_of(version: object) -> str:
    """The version of a legal text. Raises InvalidInput."""
    if not isinstance(version, str) or not re.fullmatch(patterns.TEXT_VERSION, version):
        raise InvalidInput(field="version")
    return version
