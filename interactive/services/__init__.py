"""Writes of the interactive app: versions and runs (states.md)."""

from .runs import abandon_run, complete_run, link_run_to_user, start_run
from .versions import publish_version

__all__ = [
    "abandon_run",
    "complete_run",
    "link_run_to_user",
    "publish_version",
    "start_run",
]
