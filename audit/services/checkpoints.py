"""Signed checkpoints and checkpoint files, with which the chain of the audit log is compared.

A checkpoint (`AuditCheckpoint`) records up to which entry retention has removed the log. Its
signature is an HMAC under the primary blind index key, which the database does not have: an
administrator of the database can remove entries, but cannot pass this off as retention.

A checkpoint file records the end of the log when it was verified, and hashes of earlier entries.
It detects a cut tail and a rewritten chain. Store it where the administrator of the database cannot
write.
"""

from __future__ import annotations

import contextlib
import hmac
import json
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings

from ebalance.db.encryption.keys import Key

# No normalised contact begins like this: the same key makes the blind indexes of contacts.
DOMAIN = b"ebalance audit checkpoint 1\0"

FORMAT = "ebalance audit log 1"
MOST_MARKS = 4096
LARGEST_FILE = 4_000_000  # bytes
HASH_BYTES = 32


def signature(seq: int, row_hash: bytes, entries: int, key: Key) -> bytes:
    """HMAC-SHA-256 over a checkpoint."""
    content = seq.to_bytes(8) + entries.to_bytes(8) + bytes(row_hash)
    return hmac.digest(key.material, DOMAIN + content, "sha256")


def sign(seq: int, row_hash: bytes, entries: int) -> tuple[str, bytes]:
    """The id of the primary blind index key, and the signature under it."""
    key = settings.BLIND_INDEX_KEYS.primary
    return key.id, signature(seq, row_hash, entries, key)


def is_signed(
    seq: int, row_hash: bytes, entries: int, *, key_id: str, signed: bytes
) -> bool | None:
    """Whether the signature is ours; None when the ring has no key of this id."""
    key = settings.BLIND_INDEX_KEYS.by_id.get(key_id)
    if key is None:
        return None
    if min(seq, entries) < 0:
        return False
    return hmac.compare_digest(signature(seq, row_hash, entries, key), bytes(signed))


class BadFile(Exception):
    """A checkpoint file that cannot be read or written. The message is one line with its name."""


@dataclass(frozen=True)
class CheckpointFile:
    """The end of the log when it was verified."""

    seq: int
    row_hash: bytes
    entries: int
    """How many were verified, from the first that was there."""
    written_at: str
    marks: Mapping[int, bytes] = field(default_factory=dict)
    """Hashes of earlier entries by seq: the log was rewritten where they cease to agree."""
    path: Path = Path()

    @classmethod
    def read(cls, path: Path) -> CheckpointFile:
        """Raises BadFile for a file that cannot be read or is no checkpoint."""
        try:
            # Reading a pipe would block.
            if not stat.S_ISREG(path.stat().st_mode) or path.stat().st_size > LARGEST_FILE:
                raise BadFile(f"{path} is not a checkpoint of the audit log.")
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise BadFile(f"The checkpoint {path} cannot be read: {error.strerror}.") from None
        except UnicodeDecodeError:
            text = ""
        try:
            return cls._parsed(json.loads(text), path)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            # The content is not quoted: it may be secret.
            raise BadFile(f"{path} is not a checkpoint of the audit log.") from None

    @classmethod
    def _parsed(cls, content: Any, path: Path) -> CheckpointFile:
        if content["format"] != FORMAT:
            raise ValueError
        seq, entries = _number(content["seq"]), _number(content["entries"])
        row_hash = bytes.fromhex(content["row_hash"])
        marks = {_number(int(number)): _hash(text) for number, text in content["marks"].items()}
        written_at = datetime.fromisoformat(content["written_at"]).astimezone(UTC).isoformat()
        if len(row_hash) != (HASH_BYTES if seq else 0) or any(not 0 < n <= seq for n in marks):
            raise ValueError
        return cls(seq, row_hash, entries, written_at, marks, path)

    def write(self, path: Path) -> None:
        """Replace ``path`` atomically by a file that only its owner can read. Raises BadFile.

        An error leaves the earlier file unchanged.
        """
        content = {
            "format": FORMAT,
            "seq": self.seq,
            "row_hash": self.row_hash.hex(),
            "entries": self.entries,
            "written_at": self.written_at,
            "marks": {str(number): row_hash.hex() for number, row_hash in self.marks.items()},
        }
        with _errors_of(path):
            target = path.resolve()  # keeps a symbolic link
            handle, draft = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:100]}.")
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    json.dump(content, file, indent=1)
                    file.write("\n")
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(draft, target)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(draft)
                raise
            folder = os.open(target.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)


def can_be_written(path: Path) -> None:
    """Raise BadFile before the verification rather than after it."""
    with _errors_of(path), tempfile.NamedTemporaryFile(dir=path.resolve().parent):
        pass


@contextlib.contextmanager
def _errors_of(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BadFile(f"The checkpoint {path} cannot be written: {error.strerror}.") from None


def _number(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**63:
        raise ValueError
    return value


def _hash(text: str) -> bytes:
    row_hash = bytes.fromhex(text)
    if len(row_hash) != HASH_BYTES:
        raise ValueError
    return row_hash
