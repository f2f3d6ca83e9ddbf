"""Key rings for sealed columns and blind indexes, from the environment (privacy.md §2).

A ring is written ``k2:<base64 of 32 bytes>,k1:<…>``: the first key seals, every key opens. Settings
hold one ring per purpose. This module imports neither Django's models nor the ciphers.
"""

from __future__ import annotations

import base64
import binascii
import functools
import hashlib
import os
import re
import secrets
import stat
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

from django.core.exceptions import ImproperlyConfigured

KEY_BYTES = 32
MOUNTED_SECRETS = Path("/run/secrets")
KEY_ID = re.compile(r"[a-z0-9]{1,16}")
EXAMPLE = "it should look like k2:<base64 of 32 bytes>,k1:<base64 of 32 bytes>"


class BadKeys(ImproperlyConfigured):
    """A ring that cannot be used. Names the variable and the key id, never key material."""


class Key:
    """Key material that no page, log or traceback shows."""

    __slots__ = ("__dict__", "_material", "id")

    def __init__(self, id: str, material: bytes):
        self.id = id
        self._material = material

    def __repr__(self) -> str:
        return f"<key {self.id}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("keys are not pickled")

    @property
    def material(self) -> bytes:
        """The 32 bytes. For ciphers only."""
        return self._material

    @functools.cached_property
    def aead(self) -> Any:
        """The AES-256-GCM cipher of this key."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        return AESGCM(self._material)

    @property
    def is_for_development(self) -> bool:
        return self._material[DEVELOPMENT_RANDOM:] == _development_mark(
            self._material[:DEVELOPMENT_RANDOM]
        )


class Keyring:
    """The keys of one purpose. ``primary`` seals, all open; iteration begins with the primary."""

    def __init__(self, keys: list[Key], name: str = "the ring"):
        if not keys:
            raise BadKeys(f"{name} holds no key; {EXAMPLE}.")
        self.primary = keys[0]
        self.by_id: Mapping[str, Key] = {key.id: key for key in keys}
        if len(self.by_id) < len(keys):
            raise BadKeys(f"{name} holds one key id twice.")
        if len({key.material for key in keys}) < len(keys):
            raise BadKeys(f"{name} holds the same key under two ids.")

    def __iter__(self) -> Iterator[Key]:
        return iter(self.by_id.values())

    def __repr__(self) -> str:
        return f"<keyring {', '.join(self.by_id)}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("keys are not pickled")


class DevelopmentKeyring(Keyring):
    """One generated key in a file outside version control, created at first use."""

    def __init__(self, path: Path):
        self.path = path

    def __repr__(self) -> str:
        return f"<keyring in {self.path}>"  # printing the settings creates no key

    def __getattr__(self, name: str) -> Any:
        if name not in ("primary", "by_id"):
            raise AttributeError(name)
        super().__init__(_parse(_development_file(self.path), str(self.path)), str(self.path))
        return getattr(self, name)


def from_environment(name: str, *, deployed: bool, development_file: Path) -> Keyring:
    """The ring in the variable ``name``, or in the file that ``<name>_FILE`` names.

    Without either, development gets a generated key. Raises BadKeys for a missing, malformed,
    short or weak key, and, when deployed, for a development key.
    """
    text, source = _read(name, deployed)
    if text is None:
        if deployed:
            raise BadKeys(f"{name} (or {name}_FILE) must be set; {EXAMPLE}.")
        return DevelopmentKeyring(development_file)
    problem = ""
    try:
        ring = Keyring(_parse(text, source), source)
    except BadKeys as error:
        problem = str(error)
    del text
    if problem:  # raised where no frame of the traceback holds key material
        raise BadKeys(problem)
    if deployed and any(key.is_for_development for key in ring):
        raise BadKeys(f"{source} holds a development key; make one with: manage.py keys generate.")
    return ring


def no_key_in_common(*rings: Keyring) -> None:
    """Raise BadKeys when rings of different purposes share a key."""
    known = [
        key.material for ring in rings if not isinstance(ring, DevelopmentKeyring) for key in ring
    ]
    shared = len(known) - len(set(known))
    del known
    if shared:
        raise BadKeys("Sealed columns and blind indexes must not share a key.")


def generate(id: str) -> str:
    """A new entry ``<id>:<base64>`` for a ring. Raises BadKeys for an invalid id."""
    if not KEY_ID.fullmatch(id):
        raise BadKeys("A key id is 1 to 16 lower-case Latin letters and digits.")
    return f"{id}:{base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()}"


def _read(name: str, deployed: bool) -> tuple[str | None, str]:
    text, path = os.environ.get(name), os.environ.get(f"{name}_FILE")
    if text and path:
        del text
        raise BadKeys(f"{name} and {name}_FILE are both set; one of them is enough.")
    if not path:
        return text or None, name
    try:
        with Path(path).open(encoding="ascii") as file:
            text, mode = file.read(), os.fstat(file.fileno()).st_mode
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it holds more than ASCII"
    else:
        if deployed:
            _check_mode(name, Path(path), mode)
        return text, f"{name}_FILE"
    raise BadKeys(f"The file of {name}_FILE cannot be read: {reason}.")


def _check_mode(name: str, path: Path, mode: int) -> None:
    """Raise BadKeys for a file that other users can write, or read (access.md §1).

    A secret that a container runtime mounts in /run/secrets is readable for every user there.
    """
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise BadKeys(f"Other users can write the file of {name}_FILE: chmod go-w.")
    if mode & stat.S_IROTH and not path.resolve().is_relative_to(MOUNTED_SECRETS):
        raise BadKeys(f"Other users can read the file of {name}_FILE: chmod o-r.")


def _parse(text: str, source: str) -> list[Key]:
    entries = [entry.strip() for entry in text.strip().split(",")]
    return [_parse_entry(entry, number, source) for number, entry in enumerate(entries, 1)]


def _parse_entry(entry: str, number: int, source: str) -> Key:
    id, separator, encoded = entry.partition(":")
    if not separator or not KEY_ID.fullmatch(id):
        # The text may be a key without its id, so it is not quoted.
        raise BadKeys(f"Entry {number} of {source} does not begin with a key id; {EXAMPLE}.")
    try:
        material = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        material = b""
    if len(material) != KEY_BYTES:
        raise BadKeys(f"The key {id} of {source} is not the base64 of {KEY_BYTES} bytes.")
    if len(set(material)) < KEY_BYTES // 2:
        raise BadKeys(f"The key {id} of {source} is not random.")
    return Key(id, material)


# -- the development key ------------------------------------------------------------------------

# 24 random bytes and a hash of them, by which production recognises a development key.
DEVELOPMENT_RANDOM = 24


def _development_mark(random: bytes) -> bytes:
    digest = hashlib.sha256(b"ebalance development key" + random).digest()
    return digest[: KEY_BYTES - DEVELOPMENT_RANDOM]


def _development_file(path: Path) -> str:
    """The file's content. The first of several processes creates the file."""
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            random = secrets.token_bytes(DEVELOPMENT_RANDOM)
            key = base64.b64encode(random + _development_mark(random)).decode()
            # Linked to its name when complete; mkstemp makes it readable for its owner only.
            handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
            try:
                with os.fdopen(handle, "w") as file:
                    file.write(f"dev{secrets.token_hex(4)}:{key}\n")
                    file.flush()
                    os.fsync(file.fileno())
                os.link(draft, path)
            except FileExistsError:
                pass
            finally:
                os.unlink(draft)
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it holds more than ASCII"
    raise BadKeys(f"The development keys in {path} cannot be used: {reason}.")
