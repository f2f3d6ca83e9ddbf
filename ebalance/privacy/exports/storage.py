"""Files of finished exports, in ``EXPORTS_DIR``: one for each request that is ready.

``file_url`` is the key of a file in this store, not a URL. A file's name is the request's id and
128 random bits, so that no key can be guessed from another. A file is written under a temporary
name, synced and renamed: a killed run leaves no incomplete file under a final name. Folder 0700,
files 0600.
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
LEFT_ALONE = timedelta(hours=1)  # an unreferenced file may belong to a running worker


class UnknownKey(ValueError):
    """The text is not the key of an export. The message does not quote it."""

    def __init__(self) -> None:
        super().__init__("This is not the key of an export.")


def prepare() -> None:
    """Create the folder, accessible to its owner only. Raises OSError."""
    folder = _folder()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_mode & 0o077:
        folder.chmod(0o700)


def save(request: DataExportRequest, write: Callable[[BinaryIO], None]) -> str:
    """Store the output of ``write``; returns the key for ``file_url``.

    Raises OSError, and any error of ``write``; then no file remains.
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
    """Remove the file of this key, if it exists. Raises UnknownKey, OSError."""
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
    """Remove files of expired exports, and unreferenced files older than an hour; returns how many.

    Safe to repeat, and safe beside running exports. Raises the OSError of the first file that
    cannot be removed, after it has tried the others.
    """
    names = [*_files()]  # listed before the requests are read, so that no later file is removed
    ready, expired = _named(now)
    removed, errors = 0, []
    for name in names:
        if name in ready:
            continue
        path = _folder() / name
        try:
            if name in expired or path.lstat().st_mtime < (now - LEFT_ALONE).timestamp():
                path.unlink()
                removed += 1
        except FileNotFoundError:
            continue  # another sweep was faster
        except OSError as error:
            errors.append(error)
    if errors:
        raise errors[0]
    return removed


def name_in(file_url: str) -> str:
    """The name of the file of this key. Raises UnknownKey."""
    is_ours = isinstance(file_url, str) and file_url.startswith(KEY_PREFIX)
    name = file_url.removeprefix(KEY_PREFIX) if is_ours else ""
    if not NAME.fullmatch(name):
        raise UnknownKey
    return name


def _named(now: datetime) -> tuple[set[str], set[str]]:
    """Names of the files of ready requests: those that are valid, and those that expired."""
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
    """The names of export files, finished or not. Other files in the folder are not touched."""
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
