"""Files of finished exports, in ``EXPORTS_DIR``: one for each request that is ready.

``file_url`` is the key of a file in this store, not a URL. The name of a file is the request's id
and 128 random bits: one key tells nothing about another.
It is written under another name and renamed when it is complete and on the disk, so that a
killed run leaves nothing under a name that looks finished. Folder 0700, files 0600.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from django.conf import settings
from django.utils import timezone

from ebalance.services import Clock
from identity.errors import ExportUnavailable

if TYPE_CHECKING:
    from identity.models import DataExportRequest

KEY_PREFIX = "exports/"
SUFFIXES = {"user_data": "zip", "diary_pdf": "pdf"}
NAME = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}-[0-9a-f]{32}\.(zip|pdf)")
UNFINISHED = ".part"
LEFT_ALONE = timedelta(hours=1)  # a file that nobody names yet may be of a run at work


class UnknownKey(ValueError):
    """Not the key of a file of ours. The error does not quote the key."""

    def __init__(self) -> None:
        super().__init__("This is not the key of an export.")


def prepare() -> None:
    """Make the folder, for its owner alone. Raises OSError."""
    folder = _folder()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_mode & 0o077:
        folder.chmod(0o700)


def save(request: DataExportRequest, write: Callable[[BinaryIO], None]) -> str:
    """Keep what ``write`` writes; the key for ``file_url``.

    Raises OSError, and whatever ``write`` raises; then nothing remains.
    """
    prepare()
    name = f"{request.pk}-{secrets.token_hex(16)}.{SUFFIXES[request.export_type]}"
    unfinished = _folder() / f"{name}{UNFINISHED}"
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with os.fdopen(os.open(unfinished, flags, 0o600), "wb") as stream:
            write(stream)
            stream.flush()
            os.fsync(stream.fileno())
        unfinished.rename(_folder() / name)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    _sync_folder()
    return KEY_PREFIX + name


def remove(file_url: str) -> None:
    """Remove the file of this key; again it changes nothing. Raises UnknownKey, OSError."""
    (_folder() / name_in(file_url)).unlink(missing_ok=True)


def open_for(request: DataExportRequest, *, clock: Clock = timezone.now) -> BinaryIO:
    """The file of a request that is ready and has not expired. Raises ExportUnavailable."""
    file_url, expires_at = request.file_url, request.expires_at
    if request.status == "ready" and file_url and expires_at and clock() < expires_at:
        with suppress(OSError, UnknownKey):
            path = _folder() / name_in(file_url)
            return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb")
    raise ExportUnavailable(status=request.status)


def sweep(now: datetime) -> int:
    """Remove files of exports that expired, and files that nobody names and are older than an hour.

    Returns how many. Safe beside running exports and at any time again.
    """
    found = [*_files()]  # before the requests are asked: what is finished later is not among them
    ready, expired = _named(now)
    removed = 0
    for name in found:
        if name in ready:
            continue
        path = _folder() / name
        with suppress(FileNotFoundError):  # another sweep was faster
            if name in expired or path.lstat().st_mtime < (now - LEFT_ALONE).timestamp():
                path.unlink()
                removed += 1
    return removed


def name_in(file_url: str) -> str:
    """The name of the file of this key. Raises UnknownKey."""
    prefix, name = file_url[: len(KEY_PREFIX)], file_url[len(KEY_PREFIX) :]
    if prefix != KEY_PREFIX or not NAME.fullmatch(name):
        raise UnknownKey
    return name


def _named(now: datetime) -> tuple[set[str], set[str]]:
    """Names of the files of requests that are ready: until their expiry, and after it."""
    from identity.models import DataExportRequest

    rows = DataExportRequest.objects.filter(status="ready")
    ready: set[str] = set()
    expired: set[str] = set()
    for file_url, expires_at in rows.values_list("file_url", "expires_at").iterator():
        if file_url is None or expires_at is None:
            continue
        with suppress(UnknownKey):
            (ready if now < expires_at else expired).add(name_in(file_url))
    return ready, expired


def _files() -> Iterator[str]:
    """Files of ours, finished or not; others in the folder are not ours to remove."""
    with suppress(FileNotFoundError):
        for path in _folder().iterdir():
            if NAME.fullmatch(path.name.removesuffix(UNFINISHED)):
                yield path.name


def _folder() -> Path:
    return Path(settings.EXPORTS_DIR)


def _sync_folder() -> None:
    descriptor = os.open(_folder(), os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
