"""Texts of clients and acts of moderators. Every text is sealed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any

import factory
from django.utils import timezone

from ebalance.db.encryption.fields import Plaintext
from ugc.models import (
    AnonymousQuestion,
    DiaryEntry,
    ModerationAction,
    ModerationTotal,
    QuestionAnswer,
    Review,
    ReviewPublicationConsent,
)

from .base import FINAL, EntityFactory, ago, now, secret, today
from .identity import TEXT_VERSION, UserFactory
from .payloads import PAYLOADS

ASKED = {"status": "pending", "moderated_at": None, "answered_at": None}
APPROVED = {**ASKED, "status": "approved", "moderated_at": FINAL}


class AnonymousQuestionFactory(EntityFactory):
    question_text_encrypted = secret()
    safety_confirmed = True

    _steps_before = {"approved": [ASKED], "rejected": [ASKED], "answered": [ASKED, APPROVED]}

    class Meta:
        model = AnonymousQuestion

    class Params:
        flagged = factory.Trait(
            status="flagged", trigger_flags=factory.LazyFunction(lambda: ["pii"])
        )
        crisis = factory.Trait(
            status="flagged", trigger_flags=factory.LazyFunction(lambda: ["crisis"])
        )
        approved = factory.Trait(status="approved", moderated_at=now())
        rejected = factory.Trait(status="rejected", moderated_at=now())
        answered = factory.Trait(status="answered", moderated_at=now(), answered_at=now())

    @classmethod
    def before_move(cls, instance: AnonymousQuestion, step: Mapping[str, Any]) -> None:
        if step.get("status") == "answered":
            QuestionAnswerFactory(question=instance)


class QuestionAnswerFactory(EntityFactory):
    question = factory.SubFactory(AnonymousQuestionFactory)
    answered_by = factory.SubFactory(UserFactory)
    answer_text_encrypted = secret()

    class Meta:
        model = QuestionAnswer

    class Params:
        published = factory.Trait(
            published_at=now(),
            question=factory.SubFactory(AnonymousQuestionFactory, publish_allowed=True),
        )


WRITTEN = {"status": "pending", "published_at": None}


class ReviewFactory(EntityFactory):
    """A review; a published one has its author's consent."""

    user = factory.SubFactory(UserFactory)
    review_text_encrypted = secret()
    anonymity_level = "initials"

    _steps_before = {"published": [WRITTEN], "unpublished": [WRITTEN]}

    class Meta:
        model = Review

    class Params:
        pending = factory.Trait(status="pending", submitted_at=now())
        published = factory.Trait(status="published", submitted_at=now(), published_at=now())
        unpublished = factory.Trait(status="unpublished", submitted_at=now())

    @classmethod
    def before_move(cls, instance: Review, step: Mapping[str, Any]) -> None:
        if step.get("status") == "published":
            ReviewPublicationConsentFactory(review=instance, user=instance.user)


class ReviewPublicationConsentFactory(EntityFactory):
    """An author's consent; the database's own default is a refusal."""

    review = factory.SubFactory(ReviewFactory)
    user = factory.SelfAttribute("review.user")
    granted = True
    version = TEXT_VERSION

    class Meta:
        model = ReviewPublicationConsent

    class Params:
        refused = factory.Trait(granted=False)
        revoked = factory.Trait(
            granted_at=factory.LazyFunction(lambda: ago(days=30)), revoked_at=now()
        )


class ModerationActionFactory(EntityFactory):
    """About a question, or a review with ``of_review=True``; ``ugc=`` takes the row itself."""

    ugc_type = "anonymous_question"
    ugc = factory.SubFactory(AnonymousQuestionFactory)
    ugc_id = factory.SelfAttribute("ugc.pk")
    moderator = factory.SubFactory(UserFactory)
    action = "approve"

    class Meta:
        model = ModerationAction

    class Params:
        of_review = factory.Trait(
            ugc_type="review", ugc=factory.SubFactory(ReviewFactory, pending=True)
        )
        rejected = factory.Trait(action="reject", reason_category="spam")

    @classmethod
    def _create(cls, model_class: type[ModerationAction], *args: Any, **kwargs: Any) -> Any:
        kwargs.pop("ugc")
        return super()._create(model_class, *args, **kwargs)

    @classmethod
    def _build(cls, model_class: type[ModerationAction], *args: Any, **kwargs: Any) -> Any:
        # No foreign key leads to the subject: save_related() reads unsaved_relatives.
        unsaved = kwargs.pop("ugc")
        instance = super()._build(model_class, *args, **kwargs)
        instance.unsaved_relatives = [unsaved]
        return instance


class DiaryEntryFactory(EntityFactory):
    user = factory.SubFactory(UserFactory)
    diary_type = "gratitude"
    entry_date = today()
    payload_encrypted = factory.LazyAttribute(
        lambda entry: Plaintext(PAYLOADS[f"diary_{entry.diary_type}"])
    )

    class Meta:
        model = DiaryEntry

    class Params:
        deleted = factory.Trait(payload_encrypted=None, deleted_at=now())


class ModerationTotalFactory(EntityFactory):
    # One that cannot meet another: a day has one row.
    day = factory.Sequence(lambda n: timezone.localdate() - timedelta(days=n % 300))
    decided = 3
    rejected = 1
    crisis = 1
    within_due = 2
    hours = factory.LazyFunction(lambda: [Decimal("0.5"), Decimal(3), Decimal("25.25")])
    answered = 1
    answer_hours = factory.LazyFunction(lambda: [Decimal(48)])

    class Meta:
        model = ModerationTotal
