"""Compares sealing and opening a value with the bare cipher.

    .venv/bin/python benchmarks/sealing.py

The bare cipher is AES-256-GCM of pyca/cryptography, created once, with a random nonce and base64 in
both directions. It is compared with the envelope, and with a model: Plaintext is assigned to a row
and opened again, JSON included. Rounds alternate; the result is the best round of each. The bound
for the envelope is 1.5.
"""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Callable

import common  # noqa: F401  (settings)
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

from crm.models import LeadNote
from ebalance.db.encryption import envelope
from ebalance.db.encryption.fields import Plaintext
from ebalance.db.encryption.keys import Key, Keyring
from ebalance.db.ids import uuid7

SIZES = {"0.5 kB": 500, "10 kB": 10_000, "100 kB": 100_000}
ROUNDS = 60
SECONDS = 0.02  # of each measurement
BOUND = 1.5

MATERIAL = os.urandom(32)
TOKEN = LeadNote._meta.get_field("note_encrypted").token
ROW = uuid7()


def bare(plain: bytes) -> Callable[[], object]:
    cipher, data = AESGCM(MATERIAL), TOKEN + b"\0" + ROW.bytes

    def seal_and_open() -> bytes:
        nonce = os.urandom(12)
        text = base64.urlsafe_b64encode(nonce + cipher.encrypt(nonce, plain, data)).decode()
        raw = base64.urlsafe_b64decode(text)
        return cipher.decrypt(raw[:12], raw[12:], data)

    return seal_and_open


def sealed(plain: bytes) -> Callable[[], object]:
    return lambda: envelope.open_sealed(envelope.seal(plain, TOKEN, ROW), TOKEN, ROW)


def through_a_model(plain: bytes) -> Callable[[], object]:
    note, text = LeadNote(id=ROW), plain.decode()

    def seal_and_open() -> str:
        note.note_encrypted = Plaintext(text)
        return note.note_encrypted.open()

    return seal_and_open


def seconds(work: Callable[[], object], times: int) -> float:
    start = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - start) / times


def main() -> None:
    settings.ENCRYPTION_KEYS = Keyring([Key("k1", MATERIAL)])
    for label, size in SIZES.items():
        # Letters of two bytes, as in most sealed texts.
        plain = ("я" * (size // 2)).encode()
        variants = {"bare": bare(plain), "envelope": sealed(plain), "model": through_a_model(plain)}
        times = max(1, int(SECONDS / seconds(variants["bare"], 3)))
        best = dict.fromkeys(variants, float("inf"))
        for _ in range(ROUNDS):
            for name, work in variants.items():
                best[name] = min(best[name], seconds(work, times))
        print(
            f"{label:>6}   bare {best['bare'] * 1e6:7.1f} µs   "
            f"envelope {best['envelope'] * 1e6:7.1f} µs, "
            f"ratio {best['envelope'] / best['bare']:.2f} (bound {BOUND})   "
            f"model {best['model'] * 1e6:7.1f} µs, ratio {best['model'] / best['bare']:.2f}"
        )


if __name__ == "__main__":
    main()
