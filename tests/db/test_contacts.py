"""All spellings of a contact have one normalised form, which the database accepts."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import pytest
from django.utils import translation
from hypothesis import example, given, settings
from hypothesis import strategies as st

from booking.models.requests import ContactChannel
from ebalance.db.contacts import (
    READERS,
    SENTENCES,
    ContactInvalid,
    normalise,
)
from tests.case_loops import check_each
from tests.support import execute

SAME = {
    ("email", "ivan@example.com"): [
        "Ivan@Example.COM",
        "  ivan@example.com\n",
        "\u200bivan@\u00adexample.com\ufeff",
        "ｉｖａｎ＠ｅｘａｍｐｌｅ．ｃｏｍ",
        "ivan@example.com.",
        "ivan@example。com",
    ],
    ("email", "иван@xn--e1afmkfd.xn--p1ai"): [
        "Иван@Пример.РФ",
        "иван@пример.рф",
        "ИВАН@XN--E1AFMKFD.XN--P1AI",
        "иван@пример.xn--p1ai.",
    ],
    ("email", "зоя+ёж@xn--e-3ub.org"): ["ЗОЯ+Ёж@ёe.org", "зоя+е\u0308ж@е\u0308e.org"],
    ("email", "a@xn--strae-oqa.de"): ["a@straße.de", "A@STRAẞE.DE"],
    ("email", "i.v.a.n+psy@gmail.com"): ["I.v.a.n+psy@gmail.com"],
    ("email", "owner@localhost"): ["Owner@localhost"],
    ("phone", "+79991234567"): [
        "+7 (999) 123-45-67",
        "8 (999) 123-45-67",
        "8(999)1234567",
        "89991234567",
        "79991234567",
        "7.999.123.45.67",
        "007 999 1234567",
        "(+7) 999 123 45 67",
        "+7\u00a0999\u2011123\u201345\u221267",
        "\u202a+7 999 123\u200945 67\u202c",
        "＋７９９９１２３４５６７",
        "+٧٩٩٩١٢٣٤٥٦٧",
        "+7/999/1234567",
        "+7 999\t123 45 67",
    ],
    ("phone", "+442079460958"): [
        "+44 (0)20 7946 0958",
        "00 44 (0) 20 79460958",
        "(+44)(0)2079460958",
    ],
    ("phone", "+380441234567"): ["00380441234567", "+380 (44) 123-45-67"],
    ("telegram", "ivan_petrov"): [
        "ivan_petrov",
        "@Ivan_Petrov",
        " @ivan_petrov\u200e",
        "t.me/ivan_petrov",
        "https://t.me/Ivan_Petrov",
        "HTTPS://T.ME/ivan_petrov/",
        "http://telegram.me/ivan_petrov?start=1#x",
        "https://t.me/@ivan_petrov",
        "＠ivan_petrov",
    ],
    ("telegram", "123456789"): ["123456789", " 123456789 ", "１２３４５６７８９"],
}

REFUSED = {
    "email": [
        *["ivan", "@example.com", "ivan@", "a@b@example.com", "ivan@example.com, p@example.com"],
        *["ivan petrov@example.com", "ivan@exa mple.com", "ivan@example..com", "ivan@.com"],
        *["ivan@example.com..", "ivan@-example.com", "ivan@exam_ple.com", "<ivan@example.com>"],
        *["a" * 65 + "@example.com", "ivan@" + "a" * 64 + ".com", "ivan@" + "a." * 127 + "com"],
        *["iv\0an@example.com", "iv\ud83dan@example.com", "iv\u0378an@example.com"],
        *["ivan@пример\ud83d.рф", "я" * 33 + "@example.com", "ivan@" + "я" * 900],
    ],
    "phone": [
        *["9991234567", "1234567", "+7999123", "+0999123456789", "+7999123456789012", "8999123456"],
        *["380441234567", "+7 999 123-45-67 доб. 1", "позвоните +79991234567", "++79991234567"],
        *["+7999123+4567", "+7\u2082\x00999123456", "½+79991234567", "8" * 1001, "+7,999,1234567"],
    ],
    "telegram": [
        *["@", "abc", "1van_petrov", "_ivan", "ivan petrov", "иван", "a" * 33, "@123456789"],
        *["+79991234567", "https://t.me/+79991234567", "https://t.me/joinchat/abcdef", "t.me/"],
        *["https://t.me/12345678", "https://example.com/ivan", "012345", "0", "9" * 17],
        *["ivan-petrov", "ivan_petrov\nx", "t.me/ivan/5"],
    ],
}
BLANK = ["", " ", "\u200b", "\0", "x" * 1_000_000, None, 79991234567, b"ivan@example.com"]


def test_spellings_of_one_contact_are_normalised_alike() -> None:
    normalised = {
        (channel, expected): {normalise(channel, text) for text in texts}
        for (channel, expected), texts in SAME.items()
    }
    assert normalised == {(channel, expected): {expected} for channel, expected in SAME}


def check_refused(channel: str, text: str) -> None:
    """The text is refused and not quoted."""
    with pytest.raises(ContactInvalid) as caught:
        normalise(channel, text)
    error = caught.value
    assert error.channel == channel
    assert error.args == (channel,)
    assert str(error) == SENTENCES[channel]
    assert error.__cause__ is None
    assert error.__context__ is None
    frame = error.__traceback__
    while frame is not None:
        if Path(frame.tb_frame.f_code.co_filename).name == "contacts.py":
            assert text not in frame.tb_frame.f_locals.values()
        frame = frame.tb_next


@pytest.mark.parametrize("channel", REFUSED)
def test_text_that_is_no_contact_is_refused_and_not_quoted(channel: str) -> None:
    texts = [(ascii(text)[:40], text) for text in REFUSED[channel]]
    check_each(texts, lambda text: check_refused(channel, text), undo=False)


def test_blank_or_oversized_value_is_no_contact() -> None:
    cases = [
        (f"{channel} {value!r:.20}", (channel, value)) for channel in READERS for value in BLANK
    ]

    def check(case: tuple[str, str]) -> None:
        with pytest.raises(ContactInvalid):
            normalise(*case)

    check_each(cases, check, undo=False)


def test_refusal_is_in_the_active_language() -> None:
    error = ContactInvalid("phone")
    with translation.override("en"):
        assert str(error).startswith("A phone number")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_every_channel_has_a_reader() -> None:
    assert set(READERS) == set(SENTENCES) == set(ContactChannel.values)
    with pytest.raises(LookupError):
        normalise("fax", "+79991234567")


# Against the database


def refused_by(rule: str, column: str, values: list[str]) -> list[str]:
    """The values that a CHECK of ``users`` refuses."""
    (check,) = execute(
        "SELECT pg_get_expr(conbin, conrelid) AS sql FROM pg_constraint WHERE conname = %s", [rule]
    )
    holds = re.sub(rf"\b{column}\b", "value", check["sql"])
    rows = execute(
        f"SELECT value FROM unnest(%s::text[]) AS value WHERE ({holds}) IS NOT TRUE", [values]
    )
    return [row["value"] for row in rows]


# All of Unicode except planes without letters, and the scripts of Europe.
ALPHABETS = {
    "Europe": ([*range(0x800)], 1_000),
    "all": ([*range(0x20000), *range(0xE0000, 0xE1000)], 100_000),
}


@pytest.mark.django_db
@pytest.mark.parametrize("alphabet", ["Europe", pytest.param("all", marks=pytest.mark.slow)])
def test_users_accept_a_normalised_address_with_any_letter(alphabet: str) -> None:
    """The server and Python lower-case every letter alike."""
    codes, least = ALPHABETS[alphabet]
    accepted = []
    for code in codes:
        for text in (f"{chr(code)}a@example.com", f"a{chr(code)}@{chr(code)}e.com"):
            try:
                address = normalise("email", text)
            except ContactInvalid:
                continue
            assert normalise("email", address) == address
            accepted.append(address)
    assert len(accepted) > least
    assert refused_by("users_email_is_normalised", "email", accepted) == []
    assert refused_by("users_email_is_lower_case", "email", accepted) == []


@pytest.mark.django_db
def test_users_accept_a_normalised_phone_and_telegram_id() -> None:
    phones = [normalised for channel, normalised in SAME if channel == "phone"]
    assert refused_by("users_phone_is_e164", "phone", phones) == []
    assert refused_by("users_telegram_user_id_is_digits", "telegram_user_id", ["123456789"]) == []


# Random values

quickly = settings(max_examples=300, deadline=None)
SHORT = st.text(max_size=40)
PHONY = st.text(st.sampled_from("+0123456789789 -().\u00a0８٧\u200b/"), max_size=24)
ADDRESS = st.builds("{}@{}.{}".format, st.text(min_size=1, max_size=12), SHORT, SHORT)
LINKED = st.builds("{}{}".format, st.sampled_from(["t.me/", "@", "https://t.me/"]), SHORT)


@pytest.mark.slow
@quickly
@given(st.sampled_from(sorted(READERS)), SHORT | PHONY | ADDRESS | LINKED)
@example("email", "ΑΣ@example.com")
@example("email", "İ@İ.com")
def test_normalisation_is_idempotent(channel: str, text: str) -> None:
    try:
        once = normalise(channel, text)
    except ContactInvalid:
        return
    assert normalise(channel, once) == once


DIGITS = st.text(st.sampled_from("0123456789"), min_size=10, max_size=10)
BETWEEN = st.sampled_from(["", " ", "-", "\u00a0", " (", ") ", ".", "\u2011", "\u200b"])


@quickly
@given(
    DIGITS, st.sampled_from(["8", "+7", "7", "007"]), st.lists(BETWEEN, min_size=10, max_size=10)
)
@example("0" * 10, "8", ["", "(", ")", *[""] * 7])
def test_russian_number_has_one_normalised_form(
    digits: str, prefix: str, between: list[str]
) -> None:
    spelled = prefix + "".join(map("".join, zip(between, digits, strict=True)))
    if "(0)" in re.sub(r"[^0-9()]", "", spelled):
        return  # a trunk zero: no digit of this number
    assert normalise("phone", spelled) == f"+7{digits}"
