"""Erasure of a person (privacy.md §5)."""

from .erase import Erased, ErasureRequest, erase_again, erase_user
from .sessions import CanceledSession, sessions_ahead

__all__ = [
    "CanceledSession",
    "Erased",
    "ErasureRequest",
    "erase_again",
    "erase_user",
    "sessions_ahead",
]
