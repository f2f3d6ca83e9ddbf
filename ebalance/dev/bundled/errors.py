"""Reasons why the bundled server cannot be used, each as one sentence."""

from __future__ import annotations

import errno
import os
import pwd
import re
from pathlib import Path

from ebalance.db.server import ServerUnavailable

REASONS = (
    r"(?:FATAL|PANIC):\s+(.*)",
    r"(?:error|ERROR):\s+(.*)",
    r"(No space left on device)",
)


class BundledServerError(ServerUnavailable):
    """The bundled server cannot be used. The message is one sentence for a person."""


def one_line(text: object) -> str:
    return " ".join(str(text).split()).rstrip(".")


def find_reason(lines: list[str]) -> str:
    """The line of a program's output with the reason of its failure."""
    for pattern in REASONS:
        for line in lines:
            if match := re.search(pattern, line):
                text = one_line(match.group(1))
                return "the disk is full" if "No space left" in text else text
    return one_line(lines[-1]) if lines else ""


def explain_os_error(error: OSError, data_dir: Path) -> str:
    user = user_name(os.geteuid())
    reason = {
        errno.ENOSPC: "the disk is full",
        errno.EDQUOT: "the disk quota is used up",
        errno.EROFS: "the disk is read-only",
        errno.EEXIST: "a file is in the way",
        errno.ENOTDIR: "a file is in the way",
        errno.EACCES: f"{user} may not write there",
        errno.EPERM: f"{user} may not write there",
    }.get(error.errno or 0, (error.strerror or str(error)).lower())
    return (
        f"The bundled PostgreSQL cannot use {error.filename or data_dir}: {reason}. "
        "Set EBALANCE_DATA_DIR to another folder, or DATABASE_URL to a server."
    )


def user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
