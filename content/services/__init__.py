"""Writes of the content app: texts with revisions, and publication (states.md)."""

from .publication import archive, publish, restore, return_to_draft, submit_for_review, unpublish
from .revisions import rollback, save_revision

__all__ = [
    "archive",
    "publish",
    "restore",
    "return_to_draft",
    "rollback",
    "save_revision",
    "submit_for_review",
    "unpublish",
]
