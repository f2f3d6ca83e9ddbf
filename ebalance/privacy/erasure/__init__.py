"""Erasure of a person (privacy.md §5)."""

from .erase import erase_again, erase_user
from .order import Erased, ErasureOrder
from .processing import process_erasure_request
from .requests import may_erase, request_erasure
from .sessions import CanceledSession, sessions_ahead

__all__ = [
    "CanceledSession",
    "Erased",
    "ErasureOrder",
    "erase_again",
    "erase_user",
    "may_erase",
    "process_erasure_request",
    "request_erasure",
    "sessions_ahead",
]
