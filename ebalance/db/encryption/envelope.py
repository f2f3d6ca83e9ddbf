"""The envelope of sealed values and the blind index (privacy.md §2), as pure functions.

A sealed value is the text ``v1.<key id>.<base64url(nonce‖ciphertext‖tag)>``: AES-256-GCM, a random
96-bit nonce, base64url without padding. Its associated data is the column's token, a zero byte
and the 16 bytes of the row's id, so that it opens in its own row and column only. The plaintext is
JSON in UTF-8, also for text columns: an empty text has two bytes, and zero bytes are refused.

A blind index is ``v1.<key id>.<base64url(HMAC-SHA-256(key, normalised value))>``.

No error of this module carries a value, a part of it, or other errors that might. None is raised
from a frame that still holds plaintext, since error reporters show local variables.
"""

from __future__ import annotations

import binascii
import hmac
import re
from os import urandom
from uuid import UUID

from django.conf import settings

from .keys import KEY_ID, Key, Keyring

VERSION = "v1"
NOT_SEALED = "This is not a sealed value as it is known here: never sealed, truncated or altered."
NONCE_BYTES = 12
TAG_BYTES = 16

# From base64 to base64url and back; "*" is in neither alphabet and is refused.
_TO_URL = bytes.maketrans(b"+/", b"-_")
_FROM_URL = bytes.maketrans(b"-_+/=", b"+/***")
# The last letter of an encoding has 4 or 2 unused bits. They must be zero, so that a value has
# exactly one encoding.
_PADDING = {0: b"", 2: b"==", 3: b"="}
_LAST = {2: b"AQgw", 3: b"AEIMQUYcgkosw048"}


class SealingError(Exception):
    """An error about a sealed value. Never carries the value."""


class UnsealedValue(SealingError, TypeError):
    """A sealed column was given something that is not a sealed value."""


class MalformedSeal(SealingError):
    """The text is not of the sealed form: truncated, altered, or never sealed."""


class UnknownVersion(MalformedSeal):
    """The text is of a version that this code does not know."""


class UnknownKey(SealingError):
    """The value is sealed with a key that is not in the ring."""


class SealBroken(SealingError):
    """The seal does not open: another key under this id, altered, or another row or column."""


class WrongContent(SealingError):
    """The plaintext does not fit the column (UTF-8 text, JSON)."""


def seal(plain: bytes, token: bytes, row_id: UUID, ring: Keyring | None = None) -> str:
    """``plain`` sealed with the primary key for one column and row.

    ``token`` is the column's declared token, ASCII. ``ring`` defaults to that of the settings.
    Raises WrongContent for zero bytes.
    """
    if not plain:
        raise WrongContent("There is nothing to seal.")
    try:
        key = (ring or settings.ENCRYPTION_KEYS).primary
        nonce = urandom(NONCE_BYTES)
        data = nonce + key.aead.encrypt(nonce, plain, b"%b\0%b" % (token, row_id.bytes))
    finally:
        del plain
    encoded = binascii.b2a_base64(data, newline=False).translate(_TO_URL).rstrip(b"=").decode()
    return f"{VERSION}.{key.id}.{encoded}"


def open_sealed(text: str, token: bytes, row_id: UUID, ring: Keyring | None = None) -> bytes:
    """The plaintext. Raises MalformedSeal, UnknownVersion, UnknownKey or SealBroken."""
    parts = _take_apart(text)
    if not isinstance(parts, tuple):
        del text
        raise parts(NOT_SEALED)
    key_id, data = parts
    del parts
    key = (ring or settings.ENCRYPTION_KEYS).by_id.get(key_id)
    if key is None:
        del text, data
        if KEY_ID.fullmatch(key_id):
            raise UnknownKey(f"There is no key {key_id} in the ring.")
        del key_id
        raise MalformedSeal(NOT_SEALED)
    bound_to = b"%b\0%b" % (token, row_id.bytes)
    try:
        plain: bytes = key.aead.decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], bound_to)
        return plain
    except Exception:  # InvalidTag, or any other error of the cipher
        del text, data
    raise SealBroken(
        f"A value under key {key_id} does not open: the key is another one, "
        "or the value was altered or moved here from another row or column."
    )


def blind_index(normalised: str, key: Key | None = None) -> str:
    """The blind index of a normalised value (contacts.py) under ``key``, the primary by default."""
    try:
        key = key or settings.BLIND_INDEX_KEYS.primary
        # Normalised values have no unpaired surrogate; an encoding error would quote the value.
        digest = hmac.digest(key.material, normalised.encode(errors="surrogatepass"), "sha256")
    finally:
        del normalised
    encoded = binascii.b2a_base64(digest, newline=False).translate(_TO_URL).rstrip(b"=").decode()
    return f"{VERSION}.{key.id}.{encoded}"


def blind_indexes(normalised: str) -> list[str]:
    """Every blind index that the value may be stored under while keys are being rotated."""
    try:
        return [blind_index(normalised, key) for key in settings.BLIND_INDEX_KEYS]
    finally:
        del normalised


def _take_apart(text: str) -> tuple[str, bytes] | type[MalformedSeal]:
    """Key id and data, or the error class, for the caller to raise once it holds no text."""
    try:
        version, key_id, encoded = text.split(".", 2)
        raw = encoded.encode("ascii")
        tail = len(raw) % 4
        if version == VERSION and (not tail or raw[-1] in _LAST[tail]):
            data = binascii.a2b_base64(raw.translate(_FROM_URL) + _PADDING[tail], strict_mode=True)
            if len(data) > NONCE_BYTES + TAG_BYTES:
                return key_id, data
    except (ValueError, KeyError):  # not three parts, not ASCII, or not base64
        pass
    version = text.partition(".")[0]
    is_newer = version != VERSION and re.fullmatch(r"v\d{1,3}", version)
    return UnknownVersion if is_newer else MalformedSeal
