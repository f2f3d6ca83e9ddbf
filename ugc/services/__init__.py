"""Writes of the ugc app: questions, reviews, diaries and their moderation (states.md).

The caller may choose the key (``id``) of a new row. A repeated request with the same key and
content returns the first row; other content raises IdempotencyConflict.
"""

from .diaries import erase_diary_entry, write_diary_entry
from .moderation import mask_personal_data
from .questions import (
    answer_question,
    approve_question,
    escalate_question,
    flag_question,
    publish_answer,
    reject_question,
    submit_question,
)
from .reviews import (
    draft_review,
    grant_review_consent,
    publish_review,
    reject_review,
    send_review_draft,
    submit_review,
    unpublish_review,
    withdraw_review_consent,
)

__all__ = [
    "answer_question",
    "approve_question",
    "draft_review",
    "erase_diary_entry",
    "escalate_question",
    "flag_question",
    "grant_review_consent",
    "mask_personal_data",
    "publish_answer",
    "publish_review",
    "reject_question",
    "reject_review",
    "send_review_draft",
    "submit_question",
    "submit_review",
    "unpublish_review",
    "withdraw_review_consent",
    "write_diary_entry",
]
