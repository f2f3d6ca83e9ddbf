"""A second, slow implementation of the ciphers of privacy.md §2, directly from their standards.

AES-256 (FIPS 197), GCM (SP 800-38D), HMAC (RFC 2104) and base64url (RFC 4648 §5) share no
code with the libraries of the application. tests/db/test_envelope.py first checks them against the
vectors of their standards.
"""

from __future__ import annotations

import hashlib

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def base64url(data: bytes) -> str:
    """Without padding."""
    bits = "".join(f"{byte:08b}" for byte in data)
    bits += "0" * (-len(bits) % 6)
    return "".join(LETTERS[int(bits[i : i + 6], 2)] for i in range(0, len(bits), 6))


def from_base64url(text: str) -> bytes:
    bits = "".join(f"{LETTERS.index(letter):06b}" for letter in text)
    return bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits) - 7, 8))


def hmac_sha256(key: bytes, message: bytes) -> bytes:
    """For keys of up to 64 bytes."""
    key = key.ljust(64, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in key) + message).digest()
    return hashlib.sha256(bytes(byte ^ 0x5C for byte in key) + inner).digest()


def _doubled(byte: int) -> int:
    """Times x in the field of AES."""
    return (byte << 1 ^ (0x11B if byte & 0x80 else 0)) & 0xFF


def _times(a: int, b: int) -> int:
    """A product in the field of AES."""
    product = 0
    while b:
        product ^= a if b & 1 else 0
        a, b = _doubled(a), b >> 1
    return product


def _s_box() -> bytes:
    inverse = {1: 1}
    for a in range(2, 256):
        if a not in inverse:
            b = next(b for b in range(2, 256) if _times(a, b) == 1)
            inverse |= {a: b, b: a}
    box = []
    for byte in range(256):
        b = inverse.get(byte, 0)
        turns = [(b << n | b >> (8 - n)) & 0xFF for n in range(5)]
        box.append(turns[0] ^ turns[1] ^ turns[2] ^ turns[3] ^ turns[4] ^ 0x63)
    return bytes(box)


S_BOX = _s_box()


def _round_keys(key: bytes) -> list[bytes]:
    words = [key[i : i + 4] for i in range(0, 32, 4)]
    constant = 1
    for i in range(8, 60):
        word = words[-1]
        if i % 8 == 0:
            word = (word[1:] + word[:1]).translate(S_BOX)
            word = bytes([word[0] ^ constant]) + word[1:]
            constant = _doubled(constant)
        elif i % 8 == 4:
            word = word.translate(S_BOX)
        words.append(_xor(words[-8], word))
    return [b"".join(words[i : i + 4]) for i in range(0, 60, 4)]


def _xor(a: bytes, b: bytes) -> bytes:
    return bytes(x ^ y for x, y in zip(a, b, strict=True))


def _mixed(column: bytes) -> bytes:
    whole = column[0] ^ column[1] ^ column[2] ^ column[3]
    return bytes(
        byte ^ whole ^ _doubled(byte ^ column[(i + 1) % 4]) for i, byte in enumerate(column)
    )


def aes256(key: bytes, block: bytes) -> bytes:
    """Encrypt one block."""
    first, *between, last = _round_keys(key)
    state = _xor(block, first)
    for round_key in between:
        state = bytes(S_BOX[state[5 * i % 16]] for i in range(16))  # with rows shifted
        state = b"".join(_mixed(state[i : i + 4]) for i in range(0, 16, 4))
        state = _xor(state, round_key)
    return _xor(bytes(S_BOX[state[5 * i % 16]] for i in range(16)), last)


def _ghash(subkey: bytes, data: bytes) -> bytes:
    h, y = int.from_bytes(subkey), 0
    for i in range(0, len(data), 16):
        x, y, v = y ^ int.from_bytes(data[i : i + 16]), 0, h
        for bit in f"{x:0128b}":
            y ^= v if bit == "1" else 0
            v = v >> 1 ^ (0xE1 << 120 if v & 1 else 0)
    return y.to_bytes(16)


def _counted(key: bytes, nonce: bytes, data: bytes) -> bytes:
    """CTR mode; the counter's first value belongs to the tag."""
    stream = b"".join(
        aes256(key, nonce + (2 + i).to_bytes(4)) for i in range((len(data) + 15) // 16)
    )
    return _xor(data, stream[: len(data)])


def _tag(key: bytes, nonce: bytes, ciphertext: bytes, associated: bytes) -> bytes:
    padded = b"".join(part + bytes(-len(part) % 16) for part in (associated, ciphertext))
    lengths = (8 * len(associated)).to_bytes(8) + (8 * len(ciphertext)).to_bytes(8)
    digest = _ghash(aes256(key, bytes(16)), padded + lengths)
    return _xor(digest, aes256(key, nonce + (1).to_bytes(4)))


def gcm_encrypt(key: bytes, nonce: bytes, plain: bytes, associated: bytes) -> bytes:
    """Ciphertext and tag, for a nonce of 12 bytes."""
    ciphertext = _counted(key, nonce, plain)
    return ciphertext + _tag(key, nonce, ciphertext, associated)


def gcm_decrypt(key: bytes, nonce: bytes, data: bytes, associated: bytes) -> bytes:
    """Raise ValueError if the tag does not match."""
    ciphertext, tag = data[:-16], data[-16:]
    if tag != _tag(key, nonce, ciphertext, associated):
        raise ValueError("The tag is another one.")
    return _counted(key, nonce, ciphertext)
