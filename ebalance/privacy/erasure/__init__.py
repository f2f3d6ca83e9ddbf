"""Erasure of a person (privacy.md §5)."""

from .erase import erase_again, erase_user
from .request import Erased, ErasureRequest
from .sessions import CanceledSession, sessions_ahead

__all__ = [
    "CanceledSession",
    "Erased",
    "ErasureRequest",
    "erase_again",
    "erase_user",
    "sessions_ahead",
]
