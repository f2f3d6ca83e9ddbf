"""A copy of a person's data (privacy.md §5)."""

from .collecting import export_user_data
from .handing import hand_over_user_data
from .requests import open_requests, process_export, request_export

__all__ = [
    "export_user_data",
    "hand_over_user_data",
    "open_requests",
    "process_export",
    "request_export",
]
