"""Reviews and the consents to publish them; sealed."""

import pgtrigger
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop, pgettext_lazy

from ebalance.db import auditing, lengths, rules, triggers
from ebalance.db.encryption.fields import SealedText
from ebalance.db.encryption.values import Plaintext
from ebalance.db.evidence import consent_checks, consent_triggers
from ebalance.db.fields import (
    ClosedSet,
    Entity,
    RestrictForeignKey,
    SingleLineTextField,
)
from ebalance.db.schema.classification import EVIDENCE, NULL, of_person, p0, p2, replace
from ebalance.db.schema.retention import After, kept, purged
from ebalance.db.times import FactTime, now_default

KEPT = "3 years"  # of a consent that ended


class Review(Entity):
    """A client's review; published only with an active consent."""

    class Status(models.TextChoices):
        DRAFT = "draft", _("draft")
        PENDING = "pending", _("pending")
        PUBLISHED = "published", _("published")
        UNPUBLISHED = "unpublished", _("unpublished")

    class Anonymity(models.TextChoices):
        FULL = "full", pgettext_lazy("Anonymity", "full")
        INITIALS = "initials", _("initials")
        NAMED = "named", _("named")

    user = RestrictForeignKey(
        "identity.User",
        null=True,
        blank=True,
        related_name="reviews",
        db_comment=of_person("who wrote it, if known", NULL),
    )
    status = ClosedSet(Status, default=Status.DRAFT, db_comment=p0("life cycle"))
    # An erasure keeps the row: the consents to publish it are evidence and refer to it.
    review_text_encrypted = SealedText(
        token="reviews.review",
        db_comment=p2(
            "the review, sealed", erasure=replace("an empty text, sealed", lambda: Plaintext(""))
        ),
    )
    anonymity_level = ClosedSet(
        Anonymity, default=Anonymity.FULL, db_comment=p0("how the author is shown")
    )
    submitted_at = FactTime(null=True, blank=True, db_comment=p0("when submitted, UTC"))
    published_at = FactTime(null=True, blank=True, db_comment=p0("when last published, UTC"))

    ugc_type = "review"  # in ModerationAction and in the tracking plan
    event_name = "review"  # prefix of its outbox events
    text_column = "review_text_encrypted"
    maskable_in = frozenset({"pending", "published", "unpublished"})

    retention = kept("until its author is erased, without its text then")

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
                message=gettext_noop(
                    "A review is published only with the active consent of its author"
                ),
                column="status",
                # FOR SHARE: a concurrent withdrawal waits, and then unpublishes the review.
                body=f"""
BEGIN
    PERFORM FROM public.review_publication_consents
    WHERE review_id = NEW.id AND granted AND revoked_at IS NULL FOR SHARE;
    IF NOT FOUND THEN
        {triggers.REFUSE}
    END IF;
    RETURN NEW;
END""",
                broken=lambda row: (
                    row.status == "published"
                    and not row.publication_consents.filter(
                        granted=True, revoked_at__isnull=True
                    ).exists()
                ),
            ),
            *auditing.audited("reviews", changed=("review_status_changed", ["status"])),
        ]

    def __str__(self) -> str:
        return f"{self.get_status_display()} {self.pk}"


class ReviewPublicationConsent(Entity):
    """Evidence that an author agreed to publication. Withdrawal unpublishes at once."""

    review = RestrictForeignKey(
        Review, related_name="publication_consents", db_comment=of_person("review", EVIDENCE)
    )
    user = RestrictForeignKey(
        "identity.User",
        null=True,
        blank=True,
        related_name="review_publication_consents",
        db_comment=of_person("who agreed, if known", EVIDENCE),
    )
    granted = models.BooleanField(
        default=False, db_default=False, db_comment=p0("true: agreed; false: refused")
    )
    version = SingleLineTextField(
        max_length=lengths.CODE,
        db_comment=p0("version of the text, YYYY-MM-DD or YYYY-MM-DD.n"),
    )
    granted_at = FactTime(
        db_default=now_default(), editable=False, db_comment=p0("when given, UTC")
    )
    revoked_at = FactTime(null=True, blank=True, db_comment=p0("when withdrawn, UTC; set once"))

    retention = purged(
        KEPT,
        After("revoked_at"),
        After("granted_at", where="NOT granted", rows="of a refusal"),
        note="an active consent stays",
    )

    class Meta:
        db_table = "review_publication_consents"
        db_table_comment = "Evidence of consents to publish a review"
        verbose_name = _("consent to publication")
        verbose_name_plural = _("consents to publication")
        constraints = [
            *consent_checks("review_publication_consents"),
            rules.Unique(
                "review_publication_consents_one_active",
                fields=["review"],
                condition=Q(granted=True, revoked_at__isnull=True),
                message=_("There is already an active consent for this review."),
            ),
        ]
        indexes = [
            rules.Index(
                "review_publication_consents_withdrawn",
                "revoked_at",
                condition=Q(revoked_at__isnull=False),
                serves="purge_expired, 3 years after the withdrawal",
            ),
            rules.Index(
                "review_publication_consents_refused",
                "granted_at",
                condition=Q(granted=False),
                serves="purge_expired, 3 years after the refusal",
            ),
            rules.Index(
                "review_publication_consents_by_review", "review", serves="history of a review"
            ),
            rules.Index("review_publication_consents_by_user", "user", serves="a person's; export"),
        ]
        triggers = [
            *consent_triggers(
                "review_publication_consents",
                ["review_id", "user_id", "granted", "version", "granted_at"],
                kept=KEPT,
            ),
            triggers.Rule(
                "review_publication_consents_unpublish",
                operation=pgtrigger.UpdateOf("revoked_at"),
                when=pgtrigger.After,
                condition="NEW.revoked_at IS NOT NULL AND OLD.revoked_at IS NULL",
                # The row is updated whatever its status: a REPEATABLE READ transaction that still
                # reads the review as unpublished must fail.
                body="""
BEGIN
    UPDATE public.reviews
    SET status = CASE status WHEN 'published' THEN 'unpublished' ELSE status END
    WHERE id = NEW.review_id;
    RETURN NULL;
END""",
            ),
        ]

    def __str__(self) -> str:
        return self.version
