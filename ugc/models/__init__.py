"""Texts that clients write: questions, reviews, diaries. They are sealed."""

from .diaries import DiaryEntry
from .moderation import ModerationAction
from .questions import AnonymousQuestion, EscalationReason, QuestionAnswer, TriggerFlag
from .reviews import Review, ReviewPublicationConsent

__all__ = [
    "AnonymousQuestion",
    "DiaryEntry",
    "EscalationReason",
    "ModerationAction",
    "QuestionAnswer",
    "Review",
    "ReviewPublicationConsent",
    "TriggerFlag",
]
