"""Normalises contacts to one spelling, so that a blind index finds them (privacy.md §2).

Blind indexes are hashes of normalised contacts. After a change of these rules all values must be
opened and indexed again, as in a key rotation. See docs/adr/0008-payloads-and-contacts.md.
"""

import re
import unicodedata
from collections.abc import Callable

from django.utils.translation import gettext_lazy as _

SENTENCES = {
    "email": _("An e-mail address has a name, one @ and a domain."),
    "phone": _("A phone number in international form, for example +79991234567."),
    "telegram": _("A Telegram name, for example @name, or a numeric Telegram id."),
}

LONGEST = 1_000  # characters of a contact
# Invisible characters, which are copied with text from a page or a messenger.
INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U000e0000-\U000e0fff]"
)
LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
DOMAIN = re.compile(rf"{LABEL}(\.{LABEL})*")
E164 = re.compile(r"\+[1-9][0-9]{9,14}")
TELEGRAM_ID = re.compile(r"[1-9][0-9]{0,15}")
TELEGRAM_NAME = re.compile(r"@?([a-z][a-z0-9_]{3,31})")
TELEGRAM_LINK = re.compile(r"(?:https?://)?(?:www\.)?(?:t|telegram)\.me/([^/?#]+)/?(?:[?#].*)?")


class ContactInvalid(ValueError):
    """The text is not a contact of ``channel``. The exception does not hold the text."""

    def __init__(self, channel: str) -> None:
        super().__init__(channel)
        self.channel = channel

    def __str__(self) -> str:
        return str(SENTENCES[self.channel])


def normalise(channel: str, text: str) -> str:
    """``text`` in the one spelling of its channel. Raises ContactInvalid.

    email: lower case, the domain in ASCII (``xn--``), as in ``users.email``. Dots and ``+tags``
    stay: their meaning depends on the provider.
    phone: E.164, as in ``users.phone``. Without ``+`` or ``00`` it is read as a Russian number: 8
    or 7 and ten digits.
    telegram: a numeric id, or a name in lower case without ``@``, also from a link to t.me.
    """
    try:
        normalised = READERS[channel](_readable(text))
    finally:
        del text  # error reporters show local variables
    if normalised is None:
        raise ContactInvalid(channel)
    return normalised


def _readable(text: str) -> str:
    """Without invisible characters; full-width letters and digits become ordinary ones."""
    if not isinstance(text, str) or len(text) > LONGEST:
        return ""
    return unicodedata.normalize("NFKC", INVISIBLE.sub("", text)).strip()


def _email(text: str) -> str | None:
    # Lower-casing can separate a letter from its accent; NFKC composes them again.
    name, at, domain = unicodedata.normalize("NFKC", text.lower()).partition("@")
    domain = ".".join(map(_ascii_label, domain.replace("。", ".").removesuffix(".").split(".")))
    if not at or not 1 <= len(name.encode("utf-8", "replace")) <= 64 or len(domain) > 253:
        return None
    # Refuse control characters, blanks, and characters unknown to this version of Unicode.
    if "@" in domain or any(unicodedata.category(letter)[0] in "CZ" for letter in name):
        return None
    return f"{name}@{domain}" if DOMAIN.fullmatch(domain) else None


def _ascii_label(label: str) -> str:
    if label.isascii() or any(unicodedata.category(letter)[0] in "CZ" for letter in label):
        return label
    return "xn--" + label.encode("punycode").decode("ascii")


def _phone(text: str) -> str | None:
    digits = "".join(
        str(unicodedata.decimal(letter, letter))
        for letter in text
        if not (letter.isspace() or letter in "./\u2212" or unicodedata.category(letter) == "Pd")
    )
    digits = digits.replace("(0)", "")  # +44 (0)20 …: dialled inside the country only
    digits = re.sub("[()]", "", digits)
    digits = re.sub("^00", "+", digits)
    digits = re.sub("^[87](?=[0-9]{10}$)", "+7", digits)
    return digits if E164.fullmatch(digits) else None


def _telegram(text: str) -> str | None:
    text = text.lower()
    if TELEGRAM_ID.fullmatch(text):
        return text
    link = TELEGRAM_LINK.fullmatch(text)
    name = TELEGRAM_NAME.fullmatch(link[1] if link else text)
    return name[1] if name else None


READERS: dict[str, Callable[[str], str | None]] = {
    "email": _email,
    "phone": _phone,
    "telegram": _telegram,
}
