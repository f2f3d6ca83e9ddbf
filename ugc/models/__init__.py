"""Texts that clients write: questions, reviews, diaries. They are sealed."""

from .diaries import DiaryEntry
from .moderation import ModerationAction
from .question_answers import QuestionAnswer
from .questions import AnonymousQuestion, EscalationReason, TriggerFlag
from .reviews import Review, ReviewPublicationConsent
from .totals import ModerationTotal

__all__ = [
    "AnonymousQuestion",
    "DiaryEntry",
    "EscalationReason",
    "ModerationAction",
    "ModerationTotal",
    "QuestionAnswer",
    "Review",
    "ReviewPublicationConsent",
    "TriggerFlag",
]
