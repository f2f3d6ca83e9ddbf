"""The sealed form and the blind index: vectors, failures, and errors without values."""

from __future__ import annotations

import base64
import datetime
import enum
import json
import multiprocessing
import pickle
import re
import sys
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest
from django.db import models
from django.test.utils import isolate_apps
from hypothesis import given, settings
from hypothesis import strategies as st

from ebalance.db.encryption import envelope
from ebalance.db.encryption.envelope import (
    MalformedSeal,
    SealBroken,
    SealingError,
    UnknownKey,
    UnknownVersion,
    UnsealedValue,
    WrongContent,
    blind_index,
    open_sealed,
    seal,
)
from ebalance.db.encryption.fields import Plaintext, SealedField, SealedJSON, SealedText
from ebalance.db.encryption.keys import Key, Keyring
from tests.case_loops import check_each
from tests.db import independent
from tests.support import execute

# Sealed with tests/db/independent.py. Stored values have this form: never change a line of it.
VECTORS = json.loads(Path(__file__).with_name("sealed_vectors.json").read_text(encoding="utf-8"))

MATERIAL = {"k1": bytes(range(7, 39)), "k2": bytes(range(100, 228, 4))}
RING = Keyring([Key(id, MATERIAL[id]) for id in ("k2", "k1")])
TOKEN = b"diary_entries.payload"
ROW = uuid.UUID("01890a5d-ac96-774b-bcce-b302099a8057")
SECRET = "Zq7mJ-nobody-may-read-this-Xw4kP"
OPENED = (TOKEN, ROW, RING)


def sealed(plain: bytes = SECRET.encode(), key: str = "k2") -> str:
    """Seal like ``seal``, by the second implementation."""
    nonce = bytes(range(12))
    data = nonce + independent.gcm_encrypt(MATERIAL[key], nonce, plain, TOKEN + b"\0" + ROW.bytes)
    return f"v1.{key}.{independent.base64url(data)}"


SEALED = sealed()
BODY = SEALED.split(".")[2]


def fragments(secret: str) -> set[str]:
    """Return pieces long enough not to be in a megabyte of random bytes by chance.

    Eight characters of base64 are six bytes; repr() writes one byte as up to four characters.
    """
    size = 24 if "\\x" in secret else 8
    return {secret[i : i + size] for i in range(len(secret) - size + 1)}


def our_locals(traceback: TracebackType | None) -> Iterator[str]:
    while traceback is not None:
        frame = traceback.tb_frame
        if "ebalance" in Path(frame.f_code.co_filename).parts:
            yield from map(repr, frame.f_locals.values())
        traceback = traceback.tb_next


def check_reveals_nothing(error: BaseException, *secrets: str) -> None:
    """Neither the error, nor its causes, nor our frames hold a piece of a secret."""
    assert error.__cause__ is None
    assert error.__context__ is None
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), again.args) == (type(error), error.args)
    notes = getattr(error, "__notes__", [])
    texts_shown = [str(error), repr(error), repr(error.args), repr(vars(error)), *notes]
    texts_shown += our_locals(error.__traceback__)
    keys = [form(key) for key in MATERIAL.values() for form in (repr, bytes.hex, base64_of)]
    for secret in (SECRET, *secrets, *keys):
        for fragment in fragments(secret):
            assert not any(fragment in text for text in texts_shown)


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


def refusal(kind: type[SealingError], action: Callable[[], object], *secrets: str) -> SealingError:
    with pytest.raises(SealingError) as caught:
        action()
    assert type(caught.value) is kind
    check_reveals_nothing(caught.value, *secrets)
    return caught.value


# The second implementation, on the vectors of the standards


def test_aes_matches_fips_197() -> None:
    block = bytes.fromhex("00112233445566778899aabbccddeeff")
    encrypted = independent.aes256(bytes(range(32)), block)
    assert encrypted.hex() == "8ea2b7ca516745bfeafc49904b496089"


GCM_KEY = "feffe9928665731c6d6a8f9467308308" * 2
GCM_NONCE = "cafebabefacedbaddecaf888"
GCM_PLAIN = (
    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
    "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255"
)
GCM_CIPHER = (
    "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
    "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad"
)


GCM_CASES = {
    "test case 13": ("00" * 32, "00" * 12, "", "", "530f8afbc74536b9a963b4f1c4cb738b"),
    "test case 14": (
        "00" * 32,
        "00" * 12,
        "00" * 16,
        "",
        "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919",
    ),
    "test case 15": (
        GCM_KEY,
        GCM_NONCE,
        GCM_PLAIN,
        "",
        GCM_CIPHER + "b094dac5d93471bdec1a502270e3cc6c",
    ),
    "test case 16": (
        GCM_KEY,
        GCM_NONCE,
        GCM_PLAIN[:120],
        "feedfacedeadbeeffeedfacedeadbeefabaddad2",
        GCM_CIPHER[:120] + "76fc6ece0f4e1768cddf8853bb2d551b",
    ),
}


def test_gcm_matches_the_vectors_of_its_authors() -> None:
    actual = {
        name: independent.gcm_encrypt(*map(bytes.fromhex, parts)).hex()
        for name, (*parts, _expected) in GCM_CASES.items()
    }
    assert actual == {name: expected for name, (*_parts, expected) in GCM_CASES.items()}


def test_hmac_matches_rfc_4231() -> None:
    assert independent.hmac_sha256(b"\x0b" * 20, b"Hi There").hex() == (
        "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
    )
    assert independent.hmac_sha256(b"Jefe", b"what do ya want for nothing?").hex() == (
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    )


def test_base64url_matches_rfc_4648() -> None:
    texts = {b"f": "Zg", b"fo": "Zm8", b"foo": "Zm9v", b"\xff\xfe\xfd\xfb": "__79-w"}
    assert {data: independent.base64url(data) for data in texts} == texts
    assert {independent.from_base64url(text): text for text in texts.values()} == texts


# Vectors


def ring_of(vector: dict[str, str]) -> Keyring:
    return Keyring([Key(vector["key_id"], bytes.fromhex(vector["key"]))])


def check_sealed_vector(vector: dict[str, str]) -> None:
    """Check a vector by the second implementation, by opening it, and by sealing with its nonce."""
    key, nonce = bytes.fromhex(vector["key"]), bytes.fromhex(vector["nonce"])
    plain, row = vector["plaintext"].encode(), uuid.UUID(vector["row_id"])
    associated = vector["token"].encode() + b"\0" + bytes.fromhex(vector["row_id"].replace("-", ""))
    data = nonce + independent.gcm_encrypt(key, nonce, plain, associated)
    assert f"v1.{vector['key_id']}.{independent.base64url(data)}" == vector["sealed"]
    context = (vector["token"].encode(), row, ring_of(vector))
    assert open_sealed(vector["sealed"], *context) == plain
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(envelope, "urandom", lambda size: nonce[:size])
        assert seal(plain, *context) == vector["sealed"]


def check_blind_vector(vector: dict[str, str]) -> None:
    digest = independent.hmac_sha256(bytes.fromhex(vector["key"]), vector["normalised"].encode())
    assert f"v1.{vector['key_id']}.{independent.base64url(digest)}" == vector["blind_index"]
    assert blind_index(vector["normalised"], ring_of(vector).primary) == vector["blind_index"]


def test_vectors_are_sealed_and_opened_alike() -> None:
    sealed_vectors = [(vector["name"], vector) for vector in VECTORS["sealed"]]
    blind_vectors = [(vector["normalised"], vector) for vector in VECTORS["blind"]]
    check_each(sealed_vectors, check_sealed_vector, undo=False)
    check_each(blind_vectors, check_blind_vector, undo=False)


def test_second_implementation_opens_sealed_values() -> None:
    def check(length: int) -> None:
        plain = bytes(i * 7 % 256 for i in range(length))
        version, key_id, text = seal(plain, *OPENED).split(".")
        data = independent.from_base64url(text)
        associated = TOKEN + b"\0" + ROW.bytes
        assert (version, key_id) == ("v1", "k2")
        assert len(data) == 12 + length + 16
        assert independent.gcm_decrypt(MATERIAL["k2"], data[:12], data[12:], associated) == plain

    check_each([(str(n), n) for n in (*range(1, 35), 255, 1000)], check, undo=False)


def test_every_key_of_the_ring_opens_its_values() -> None:
    for key in RING:
        assert open_sealed(sealed(key=key.id), *OPENED) == SECRET.encode()


# Values that do not open


def test_value_with_a_flipped_bit_does_not_open() -> None:
    for i in range(len(SEALED)):
        for bit in range(8):
            text = SEALED[:i] + chr(ord(SEALED[i]) ^ 1 << bit) + SEALED[i + 1 :]
            with pytest.raises(SealingError) as caught:
                open_sealed(text, *OPENED)
            expected: tuple[type[SealingError], ...] = (MalformedSeal, SealBroken)
            if i < 2:
                expected = (MalformedSeal, UnknownVersion)
            elif i < 6:
                expected = (MalformedSeal, UnknownKey, SealBroken)
            assert type(caught.value) in expected, (i, bit)
            check_reveals_nothing(caught.value)


def test_flipped_bit_of_the_ciphertext_breaks_the_seal() -> None:
    """The bit is flipped before encoding, so that the text is well formed."""
    data = independent.from_base64url(BODY)
    for i in range(len(data)):
        for bit in range(8):
            other = data[:i] + bytes([data[i] ^ 1 << bit]) + data[i + 1 :]
            text = f"v1.k2.{independent.base64url(other)}"
            refusal(SealBroken, lambda text=text: open_sealed(text, *OPENED))


def test_shorter_or_longer_text_does_not_open() -> None:
    for i in range(len(SEALED)):
        without = [SEALED[:i], SEALED[i + 1 :], SEALED[:i] + SEALED[i + 1 :]]
        longer = [SEALED[:i] + letter + SEALED[i:] for letter in "Av1._-\n\0é"]
        for text in without + longer:
            if text == SEALED:
                continue
            with pytest.raises(SealingError) as caught:
                open_sealed(text, *OPENED)
            check_reveals_nothing(caught.value)
    for more in ("A", "AAAA", "=", "==", "\n", " ", ".", ".A", "\0"):
        with pytest.raises(SealingError):
            open_sealed(SEALED + more, *OPENED)


def test_a_truncated_ciphertext_breaks_the_seal() -> None:
    data = independent.from_base64url(BODY)
    for length in range(len(data)):
        kind = SealBroken if length >= 29 else MalformedSeal
        text = f"v1.k2.{independent.base64url(data[:length])}"
        refusal(kind, lambda text=text: open_sealed(text, *OPENED))


@pytest.mark.parametrize("length", [31, 33])
def test_value_has_exactly_one_encoding(length: int) -> None:
    """The unused bits of the last letter are zero, as written by the encoder."""
    text = sealed(b"x" * length)
    assert len(text.split(".")[2]) % 4
    others = [text[:-1] + letter for letter in independent.LETTERS if letter != text[-1]]
    kinds = []
    for other in others:
        with pytest.raises(SealingError) as caught:
            open_sealed(other, *OPENED)
        kinds.append(type(caught.value))
    assert kinds.count(MalformedSeal) == 64 - (16 if length == 31 else 4)


NOT_SEALED = {
    "nothing": "",
    "a letter": "v",
    "the version": "v1",
    "no key id": "v1.",
    "no data": "v1.k2.",
    "dots only": "..",
    "many dots": "." * 1000,
    "no dot after the key": f"v1.k2{BODY}",
    "no dot after the version": f"v1k2.{BODY}",
    "without a version": f"k2.{BODY}",
    "the data alone": BODY,
    "an empty version": f".k2.{BODY}",
    "an upper-case version": f"V1.k2.{BODY}",
    "a blank before": f" {SEALED}",
    "a byte order mark before": f"\ufeff{SEALED}",
    "quoted": f'"{SEALED}"',
    "bytes printed": repr(SEALED.encode()),
    "twice": f"{SEALED}.{SEALED}",
    "two in one": f"{SEALED}{SEALED}",
    "an empty key id": f"v1..{BODY}",
    "a long key id": f"v1.{'k' * 17}.{BODY}",
    "an upper-case key id": f"v1.K2.{BODY}",
    "a key id in Cyrillic": f"v1.к2.{BODY}",
    "digits of another script": f"v1.k٢.{BODY}",
    "a line end in the key id": f"v1.k2\n.{BODY}",
    "somebody's text as key id": f"v1.{SECRET}.{BODY}",
    "padded": sealed(b"x" * 31) + "=",
    "padded twice": sealed(b"x" * 33) + "==",
    "padded to the full": f"{SEALED}====",
    "base64 of another alphabet, +": f"v1.k2.{BODY[:-4]}+AAA",
    "base64 of another alphabet, /": f"v1.k2.{BODY[:-4]}/AAA",
    "our own stand-in for these": f"v1.k2.{BODY[:-4]}*AAA",
    "a line end": f"{SEALED}\n",
    "line ends inside": re.sub("(.{20})", "\\1\n", SEALED),
    "blanks inside": f"v1.k2.{BODY[:8]} {BODY[8:]}",
    "a tab instead": f"v1.k2.{BODY[:8]}\t{BODY[9:]}",
    "full-width letters": f"v1.k2.{BODY[:8]}ＡＡＡＡ{BODY[12:]}",
    "Cyrillic": f"v1.k2.{'ж' * 40}",
    "half of a surrogate pair": f"v1.k2.{BODY[:-1]}\ud83d",
    "half of a surrogate pair as key": f"v1.\ud83d.{BODY}",
    "NUL": f"v1.k2.{BODY}\0",
    "plaintext": SECRET,
    "plaintext with dots": f"v1.k2.{SECRET} {SECRET}",
    "JSON": json.dumps({"text": SECRET}),
    "a Fernet token": "gAAAAAB" + "A" * 93,
    "a blind index": f"v1.k2.{'A' * 38}",
    "a megabyte of nothing": "я" * 1_000_000,
    "a megabyte of almost": f"v1.k2.{'A' * 1_000_001}",
}


def test_text_that_is_not_sealed_is_malformed() -> None:
    def check(text: str) -> None:
        error = refusal(MalformedSeal, lambda: open_sealed(text, *OPENED))
        assert len(text) < 3 or text not in str(error)

    check_each(NOT_SEALED.items(), check, undo=False)
    wrong = ["v", "v1a", "v-1", "v1.0", "v12345", "vv1", "1", "w1", "v ", "v²"]
    check_each([(version, f"{version}.k2.{BODY}") for version in wrong], check, undo=False)


def test_unknown_version_is_named() -> None:
    def check(version: str) -> None:
        refusal(UnknownVersion, lambda: open_sealed(f"{version}.k2.{BODY}", *OPENED))
        refusal(UnknownVersion, lambda: open_sealed(f"{version}.{SECRET}", *OPENED))

    versions = ["v2", "v0", "v01", "v10", "v999", "v٢"]
    check_each([(version, version) for version in versions], check, undo=False)


def test_unknown_key_is_named() -> None:
    text = SEALED.replace("k2", "k9")
    assert "k9" in str(refusal(UnknownKey, lambda: open_sealed(text, *OPENED)))
    alone = Keyring([RING.by_id["k1"]])
    assert "k2" in str(refusal(UnknownKey, lambda: open_sealed(SEALED, TOKEN, ROW, alone)))


def test_another_key_under_the_same_id_does_not_open() -> None:
    other = Keyring([Key("k2", bytes(range(32, 64)))])
    error = refusal(SealBroken, lambda: open_sealed(SEALED, TOKEN, ROW, other))
    assert "k2" in str(error)
    under_another_id = SEALED.replace("k2", "k1")
    refusal(SealBroken, lambda: open_sealed(under_another_id, *OPENED))


def test_a_value_does_not_open_in_another_row() -> None:
    for row in (uuid.uuid4(), uuid.UUID(int=ROW.int ^ 1), uuid.UUID(int=0)):
        refusal(SealBroken, lambda row=row: open_sealed(SEALED, TOKEN, row, RING))


def test_value_does_not_open_in_another_column() -> None:
    for token in (b"", b"diary_entries.payload\0", b"diary_entries.payloa", b"lead_notes.note"):
        refusal(SealBroken, lambda token=token: open_sealed(SEALED, token, ROW, RING))


def test_swapped_values_do_not_open() -> None:
    mine, yours = uuid.uuid4(), uuid.uuid4()
    text = seal(SECRET.encode(), TOKEN, mine, RING)
    assert open_sealed(text, TOKEN, mine, RING) == SECRET.encode()
    refusal(SealBroken, lambda: open_sealed(text, TOKEN, yours, RING))


def test_spliced_values_do_not_open() -> None:
    one, two = (independent.from_base64url(seal(SECRET.encode(), *OPENED)[6:]) for _ in "12")
    for cut in (12, 20, len(one) - 16):
        text = f"v1.k2.{independent.base64url(one[:cut] + two[cut:])}"
        refusal(SealBroken, lambda text=text: open_sealed(text, *OPENED))


# Content that a column refuses after opening


@pytest.fixture(scope="module")
@isolate_apps("ugc")
def note() -> type[models.Model]:
    class Note(models.Model):
        id = models.UUIDField(primary_key=True)
        text = SealedText(token="notes.text")
        value = SealedJSON(token="notes.value")  # without a schema: any JSON

        class Meta:
            app_label = "ugc"
            db_table = "notes"

        def __str__(self) -> str:
            return str(self.pk)

    return Note


@pytest.fixture(scope="module")
def texts(note: type[models.Model]) -> SealedField:
    return note._meta.get_field("text")


@pytest.fixture(scope="module")
def anything(note: type[models.Model]) -> SealedField:
    return note._meta.get_field("value")


def written(field: SealedField, value: Any) -> Any:
    """Assign ``value`` to a row's column and open it again."""
    row = field.model(id=ROW)
    setattr(row, field.name, Plaintext(value))
    return getattr(row, field.name).open()


def put(field: SealedField, plain: bytes) -> Callable[[], Any]:
    """Return a function that opens bytes sealed by another program for the column."""
    text = seal(plain, field.token, ROW)
    return lambda: field.opened(text, ROW)


NOT_JSON = {
    "no JSON": SECRET.encode(),
    "not UTF-8": b'"' + SECRET.encode() + b'\xff"',
    "UTF-16": f'"{SECRET}"'.encode("utf-16"),
    "half of a surrogate pair": b'"' + SECRET.encode() + b'\xed\xa0\xbd"',
    "an overlong letter": b'"\xc0\xaf' + SECRET.encode() + b'"',
    "a byte order mark": b'\xef\xbb\xbf"' + SECRET.encode() + b'"',
    "cut off": b'"' + SECRET.encode(),
    "two values": b'"a" "' + SECRET.encode() + b'"',
    "a control character": b'"\n' + SECRET.encode() + b'"',
    "NUL": b"\0",
    "NaN": b"NaN",
    "infinity": b"[-Infinity]",
    "a deep list": b"[" * 200_000 + b"]" * 200_000,
    "an endless number": b"1" * 5000,
    "compressed": b"\x1f\x8b\x08\x00" + SECRET.encode(),
    "a sealed value": SEALED.encode(),
}


def test_sealed_bytes_without_json_are_wrong_content(
    texts: SealedField, anything: SealedField
) -> None:
    def check(plain: bytes) -> None:
        for field in (texts, anything):
            error = refusal(WrongContent, put(field, plain))
            assert field.qualified_name in str(error)

    check_each(NOT_JSON.items(), check, undo=False)


def test_text_column_opens_texts_only(texts: SealedField) -> None:
    for value in (None, True, 0, 1.5, [SECRET], {SECRET: SECRET}):
        refusal(WrongContent, put(texts, json.dumps(value).encode()))


# Values survive sealing or are refused

TEXTS = {
    "nothing": "",
    "a blank": " ",
    "zero": "0",
    "a sealed value": SEALED,
    "a quote": '"',
    "a backslash": "\\u0000",
    "NUL": "\0",
    "line ends": "a\r\nb\rc\n\u2028\u2029\x85",
    "no character": "\ufffe\uffff\ufdd0\U0010ffff",
    "decomposed": "и\u0306",
    "a byte order mark": "\ufeffa\ufeff",
    "right to left": "\u202eabc",
    "a family": "👨‍👩‍👧‍👦",
    "a megabyte": "ж😭" * 200_000,
    "all of Unicode": "".join(
        chr(i) for i in range(sys.maxunicode + 1) if not 0xD800 <= i <= 0xDFFF
    ),
}


def test_every_text_survives_sealing(texts: SealedField, anything: SealedField) -> None:
    def check(value: str) -> None:
        assert written(texts, value) == value
        assert written(anything, {value: [value]}) == {value: [value]}

    check_each(TEXTS.items(), check, undo=False)


class Mood(enum.StrEnum):
    LOW = "low"


class Level(enum.IntEnum):
    HIGH = 3


VALUES = {
    "False": False,
    "zero": 0,
    "null": None,
    "no text": "",
    "an empty list": [],
    "an empty object": {},
    "true is not one": [True, 1, 1.0, False, 0, 0.0],
    "minus zero": -0.0,
    "a small number": 5e-324,
    "a large number": sys.float_info.max,
    "a fraction": 0.1 + 0.2,
    "a long integer": 2**64 + 1,
    "the longest integer": 10**4299,
    "order": {"b": 1, "a": 2},
    "a name": {"__proto__": 1, "": 2, "\0": 3},
    "an enumeration": [Mood.LOW, Level.HIGH],
    "an ordered dict": OrderedDict(b=1, a=2),
    "nested": [[[[[[{"a": [None]}]]]]]],
}


def test_every_json_value_survives_sealing(anything: SealedField) -> None:
    def check(value: Any) -> None:
        opened = written(anything, value)
        assert opened == value
        # 1 is not True, 0 is not -0.0
        assert repr(opened) == repr(json.loads(json.dumps(value)))

    check_each(VALUES.items(), check, undo=False)


class SlyText(str):
    __slots__ = ()


def test_str_subclass_is_opened_as_str(texts: SealedField) -> None:
    opened = written(texts, SlyText(SECRET))
    assert opened == SECRET
    assert type(opened) is str


def cyclic() -> list[Any]:
    value: list[Any] = [SECRET]
    value.append(value)
    return value


def nested_lists(levels: int) -> list[Any]:
    value: list[Any] = [SECRET]
    for _ in range(levels):
        value = [value]
    return value


UNSEALABLE = {
    "half of a surrogate pair": SECRET + "\ud83d",
    "a pair by halves": SECRET + "\ud83d\ude2d",
    "half of a pair as key": {SECRET + "\udead": 1},
    "not a number": [SECRET, float("nan")],
    "infinity": {SECRET: float("-inf")},
    "bytes": SECRET.encode(),
    "a set": {SECRET},
    "a tuple": (SECRET,),
    "a tuple inside": {"a": [(SECRET,)]},
    "a key that is a number": {1: SECRET},
    "a key that is a fraction": {1.5: SECRET},
    "a key that is true": {True: SECRET},
    "a key that is null": {None: SECRET},
    "a key that is a tuple": {(SECRET,): 1},
    "two keys of one name": {1: SECRET, "1": SECRET},
    "a time": datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
    "a decimal": Decimal("1.10"),
    "an id": ROW,
    "a path": Path(SECRET),
    "an object": object(),
    "plaintext in plaintext": [Plaintext(SECRET)],
    "a list in itself": cyclic(),
    "a deep list": nested_lists(200_000),
    "an integer too long to print": 10**5000,
}


def test_unsealable_value_is_refused(anything: SealedField) -> None:
    def check(value: Any) -> None:
        row = anything.model(id=ROW)
        refusal(WrongContent, lambda: setattr(row, anything.name, Plaintext(value)))
        assert getattr(row, anything.name) is None

    check_each(UNSEALABLE.items(), check, undo=False)


def test_text_column_accepts_texts_only(texts: SealedField) -> None:
    for value in (None, False, 0, 1.5, [], {}, SECRET.encode(), [SECRET], object()):
        row = texts.model(id=ROW)
        refusal(
            UnsealedValue,
            lambda row=row, value=value: setattr(row, texts.name, Plaintext(value)),
        )


def test_lone_surrogate_is_refused(texts: SealedField) -> None:
    row = texts.model(id=ROW)
    refusal(WrongContent, lambda: setattr(row, texts.name, Plaintext(SECRET + "\udc80")))


def test_empty_value_is_refused() -> None:
    refusal(WrongContent, lambda: seal(b"", *OPENED))


def test_blind_index_accepts_a_lone_surrogate() -> None:
    assert re.fullmatch(r"v1\.k1\.[\w-]{43}", blind_index(SECRET + "\ud83d", RING.by_id["k1"]))


# Nonces


def nonces(count: int) -> list[bytes]:
    drawn = []
    for _ in range(count):
        drawn.append(base64.urlsafe_b64decode(seal(b"x", *OPENED)[6:22]))
    return drawn


@pytest.mark.parametrize("count", [5_000, pytest.param(100_000, marks=pytest.mark.slow)])
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")  # the test needs fork
def test_nonces_are_never_repeated(count: int) -> None:
    """In one process, in threads, and in children forked after the cipher was created."""
    share = count // 20
    drawn = nonces(12 * share)
    with ThreadPoolExecutor(4) as threads:
        for more in threads.map(nonces, [share] * 4):
            drawn += more
    with multiprocessing.get_context("fork").Pool(4) as children:
        for more in children.map(nonces, [share] * 4, chunksize=1):
            drawn += more
    assert {len(nonce) for nonce in drawn} == {12}
    assert len(set(drawn)) == len(drawn) == count
    # Every bit of a nonce is random: no counter, time or process number.
    deviation = count**0.5 / 2
    for bit in range(96):
        ones = sum(int.from_bytes(nonce) >> bit & 1 for nonce in drawn)
        assert abs(ones - count / 2) < 9.5 * deviation


def test_threads_share_a_cipher() -> None:
    def there_and_back(number: int) -> bool:
        plain = b"%d" % number * 100
        return open_sealed(seal(plain, *OPENED), *OPENED) == plain

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(there_and_back, range(1_000)))


def test_equal_values_have_different_ciphertexts() -> None:
    one, two = (independent.from_base64url(seal(b"x" * 64, *OPENED)[6:]) for _ in "12")
    same = sum(a == b for a, b in zip(one, two, strict=True))
    assert same < 12  # of 92; one in 256 is by chance


# The database


@pytest.mark.django_db
def test_database_accepts_every_sealed_value() -> None:
    ids = ["0", "a", "k1", "a1b2c3d4e5f6g7h8"]
    rings = [Keyring([Key(id, MATERIAL["k1"])]) for id in ids]
    plains = [bytes(n) for n in range(1, 70)] + [bytes(1_000_000)]
    values = [seal(plain, TOKEN, ROW, ring) for ring in rings for plain in plains]
    (row,) = execute(
        "SELECT bool_and(is_sealed(value)) AS all, count(*) FROM unnest(%s::text[]) AS value",
        [values],
    )
    assert row == {"all": True, "count": len(values)}


@pytest.mark.django_db
def test_value_that_only_the_check_accepts_is_refused() -> None:
    """The CHECK sees letters and lengths; the application checks unused bits, keys and seals."""
    values = {
        "v1.k2." + "A" * 38 + "B": MalformedSeal,
        "v1.k2." + "A" * 41 + "B": MalformedSeal,
        "v1.k2." + "_" * 39: MalformedSeal,
        "v1.k2." + "_" * 40: SealBroken,
        "v1.k9." + "A" * 40: UnknownKey,
        SEALED.replace("k2", "k1"): SealBroken,
    }
    rows = execute(
        "SELECT value, is_sealed(value) FROM unnest(%s::text[]) AS value", [list(values)]
    )
    for row in rows:
        text = row["value"]
        assert row["is_sealed"], text
        refusal(values[text], lambda text=text: open_sealed(text, *OPENED))


@pytest.mark.django_db
def test_letters_of_other_scripts_are_no_base64() -> None:
    """Ranges of letters may include more than ASCII, depending on the database's locale."""
    rows = execute(
        """
        SELECT chr(i) AS letter FROM generate_series(1, 70000) AS i
        WHERE i NOT BETWEEN 55296 AND 57343
          AND (is_sealed('v1.k1.' || chr(i) || repeat('A', 39))
               OR is_sealed('v1.' || chr(i) || '.' || repeat('A', 40)))
        """
    )
    assert {row["letter"] for row in rows} == set(independent.LETTERS)


@pytest.mark.django_db
@given(
    text=st.from_regex(r"\Av[12]\.[a-zK0-9]{0,17}\.[A-Za-z0-9_=+-]{37,45}\n?\Z")
    | st.from_regex(r"\Av1\.k[12]\.[A-Za-z0-9_-]{37,45}\Z")
)
@settings(max_examples=60, deadline=None)
def test_well_formed_value_passes_the_check(text: str) -> None:
    (row,) = execute("SELECT is_sealed(%s)", [text])
    try:
        open_sealed(text, *OPENED)
    except (UnknownKey, SealBroken):
        assert row["is_sealed"]
    except MalformedSeal:
        pass


# Random values

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
)


@given(plain=st.binary(min_size=1), row=st.uuids(), token=st.from_regex(r"\A[a-z_]+\.[a-z_]+\Z"))
@settings(deadline=None)
def test_any_bytes_survive_sealing(plain: bytes, row: uuid.UUID, token: str) -> None:
    context = (token.encode(), row, RING)
    assert open_sealed(seal(plain, *context), *context) == plain


@given(value=TEXT)
@settings(deadline=None)
def test_any_text_survives_sealing(texts: SealedField, value: str) -> None:
    assert written(texts, value) == value


@given(value=JSON)
@settings(deadline=None, max_examples=25)
def test_any_json_survives_sealing(anything: SealedField, value: Any) -> None:
    assert repr(written(anything, value)) == repr(value)


@given(text=st.text(max_size=80) | st.text("v1.k2AQgw-_=+/ \n", max_size=80))
@settings(deadline=None, max_examples=200)
def test_any_text_that_is_not_sealed_is_refused_by_name(text: str) -> None:
    with pytest.raises(SealingError) as caught:
        open_sealed(text, *OPENED)
    assert type(caught.value) in (MalformedSeal, UnknownVersion, UnknownKey, SealBroken)
    assert caught.value.__context__ is None
    assert repr(text) not in set(our_locals(caught.value.__traceback__))
