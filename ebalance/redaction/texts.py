"""Patterns of personal data in any text. Each runs in linear time."""

from __future__ import annotations

import re
from functools import cache

from .names import SECRETS, WITHHELD, personal_columns

CYRILLIC = (
    r"(?:[\u0400-\u052f]"
    r"|\\u04[0-9a-fA-F]{2}"  # as ascii() and log_message() of Django write it
    r"|%[dD][01]%[89abAB][0-9a-fA-F]"  # in an address
    r"|\\x[dD][01]\\x[89abAB][0-9a-fA-F])"  # in bytes
)
RULES = [
    # Parts of the database's messages, for drivers other than our backend.
    (r"(?s)\b(DETAIL|HINT|CONTEXT|STATEMENT|QUERY|LINE \d+):\s.*", rf"\1: {WITHHELD}"),
    (r"(?s)\bFailing row contains \(.*", f"Failing row contains ({WITHHELD})"),
    (r"(?s)\bKey \(([^()]*)\)=\(.*", rf"Key (\1)=({WITHHELD})"),
    # Sealed values and blind indexes; hashes of passwords.
    (r"\bv\d+\.[a-z0-9]{1,16}\.[\w-]{16,}+", "[sealed]"),
    (r"\b(?:pbkdf2|argon2|bcrypt|scrypt|md5)\w*\$[^\s'\"]++", "[hash]"),
    (r"(?i)\b((?:set-)?cookie):[^\r\n]*+", rf"\1: {WITHHELD}"),
    (r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{8,}+", rf"\1 {WITHHELD}"),
    # Addresses: without query, login and password.
    (r"(?<![^\s\"'<(=,])((?:[a-z][a-z+.-]*+:/)?/[^\s?\"'<>]*+)\?[^\s\"'<>]*+", r"\1?[query]"),
    (r"(?<=://)[^\s/@]++@", "[login]@"),
    (r"(?<![\w.+-])[\w.+-]++%40[\w.-]++", "[e-mail]"),
    (r"(?<![\w.+%-])[\w.+%-]++@(?:\[[^\]\s]{1,64}\]|[\w.-]*+)", "[e-mail]"),
    (r"(?i)\b(t|telegram)\.me/[^\s\"'<>?]++", r"\1.me/[name]"),
    (r"(?<![\w@/])@[A-Za-z]\w{3,31}+(?![\w.(])", "[name]"),
    # Users write in Cyrillic, programs log in English.
    (rf"{CYRILLIC}++(?:[ ,.:;!?\"'«»()\u2013\u2014-]{{0,3}}+{CYRILLIC}++)*+", "[text]"),
]
COMPILED = [(re.compile(pattern), replacement) for pattern, replacement in RULES]

UUID = "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
DAY = r"\d{4}-\d\d-\d\d"
# A run of digits that may be a phone or a Telegram id, unless it matches a known format.
NUMBERS = re.compile(
    rf"""
    (?P<known>
        {UUID}
      | \b[0-9a-f]{{32}}\b
      | \b0x(?=[0-9]*[a-fA-F])[0-9a-fA-F]+
      | \b{DAY}(?:[T ]\d\d:\d\d(?::\d\d)?(?:[.,]\d{{1,6}})?(?:Z|[+-]\d\d(?::?\d\d)?)?)?
      | \b\d\d/[A-Z][a-z]{{2}}/\d{{4}}[ :]\d\d:\d\d:\d\d
      | (?<![\w.])\d{{1,3}}(?:\.\d{{1,3}}){{3}}(?::\d{{1,5}})?(?![\w.])  # address, version
      | (?<![\w.+])(?:0\.\d{{1,9}}|\d{{1,2}}\.\d{{1,6}}|\d{{1,6}}\.\d{{1,3}})(?![\w.-])   # duration
    )
    | \+?\d++(?:(?:[-. \u00a0]|[- ]?\(|\)[- ]?)(?!{UUID}|{DAY})\d++)*+
    """,
    re.VERBOSE,
)
TRACEBACK = "Traceback (most recent call last):"
# Python's lines between the exceptions of a chain.
CHAIN = ("During handling of the above exception", "The above exception was the direct cause")


def text(value: str) -> str:
    """`value` without contacts, secrets, ciphertext and text that a person may have written."""
    if TRACEBACK in value:
        value = _without_messages(value)
    for pattern, replacement in COMPILED:
        value = pattern.sub(replacement, value)
    value = _named_values(personal_columns()).sub(rf"\1\2\1\3{WITHHELD}", value)
    return NUMBERS.sub(_number, value)


@cache
def _named_values(columns: frozenset[str]) -> re.Pattern[str]:
    """`name=value`, `name: value` and `"name": "value"` of names that are not shown.

    SQL, which has ` = `, is not changed.
    """
    names = "|".join(sorted((re.escape(name) for name in SECRETS | columns), reverse=True))
    return re.compile(
        rf"""(?i)(?<!\w)(['"]?)({names})\1(=|:\s?)(?!%[s(]|\$\d)"""
        r"""(?:'(?:[^'\\]|\\.)*+'|"(?:[^"\\]|\\.)*+"|[^\s,;&)}\]]++\]?)""",
        re.DOTALL,
    )


def _number(match: re.Match[str]) -> str:
    run = match[0]
    if match["known"] is not None:
        return run
    groups = re.findall(r"\d+", run)
    digits = sum(map(len, groups))
    if "+" in run or max(map(len, groups)) >= 7:
        is_number = digits >= 7
    elif any(sign in run for sign in " .\u00a0("):
        is_number = 10 <= digits <= 15  # "200 12345" is a status and a size
    else:
        is_number = digits >= 7
    return "[number]" if is_number else run


def _without_messages(value: str) -> str:
    """A traceback in a text: files, lines and types, no messages."""
    kept: list[str] = []
    in_frames = in_message = False
    for line in value.splitlines():
        if TRACEBACK in line or line.startswith(CHAIN):
            in_frames, in_message = TRACEBACK in line, False
            kept.append(line)
        elif in_frames and not line.startswith((" ", "\t")):
            in_frames, in_message = False, True
            kind = re.match(r"[A-Za-z_][\w.]*", line)
            kept.append(f"{kind[0] if kind else ''}: {WITHHELD}")
        elif not in_message:
            kept.append(line)
    return "\n".join(kept)
