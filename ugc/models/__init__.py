"""Everything a client writes: questions, reviews, diaries. Texts are sealed."""

from .diaries import DiaryEntry
from .moderation import ModerationAction
from .questions import AnonymousQuestion, QuestionAnswer
from .reviews import Review, ReviewPublicationConsent

__all__ = [
    "AnonymousQuestion",
    "DiaryEntry",
    "ModerationAction",
    "QuestionAnswer",
    "Review",
    "ReviewPublicationConsent",
]
