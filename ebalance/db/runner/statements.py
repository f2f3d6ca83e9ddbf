"""Reads SQL text as far as the runner needs: without comments, strings and function bodies."""

from __future__ import annotations

import re
from collections.abc import Iterator

# A dollar-quoted body, a string, a quoted name, a comment. Quoted names are kept.
TOKENS = re.compile(
    r"(?P<dollar>\$(?P<tag>[A-Za-z_]\w*|)\$.*?\$(?P=tag)\$)"
    r"|(?P<string>[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*')"
    r'|(?P<name>"(?:[^"]|"")*")'
    r"|(?P<comment>--[^\n]*|/\*.*?\*/)"
    r"|(?P<end>;)",
    re.DOTALL,
)
NAME = r'(?:public\.|"public"\.)?"?(?P<name>\w+)"?'
# Statements that lock a table against its writers, or against everyone.
LOCKS = (
    re.compile(rf"\s*ALTER TABLE (?:IF EXISTS )?(?:ONLY )?{NAME}", re.I),
    re.compile(rf"\s*(?:CREATE|DROP)\b.*\bTRIGGER\b.*?\bON {NAME}", re.I | re.DOTALL),
    re.compile(rf"\s*(?:DROP|TRUNCATE) TABLE (?:IF EXISTS )?{NAME}", re.I),
    re.compile(rf"\s*ALTER TABLE\b.*\bREFERENCES {NAME}", re.I | re.DOTALL),
)
CONCURRENT = re.compile(
    r"\s*(?:CREATE\s+(?:UNIQUE\s+)?INDEX\s+|DROP\s+INDEX\s+|REINDEX\b.*\b)CONCURRENTLY\b",
    re.I | re.DOTALL,
)
VALIDATION = re.compile(r"\s*ALTER TABLE\b.*\bVALIDATE CONSTRAINT\b", re.I | re.DOTALL)
DROPPED_INDEX = re.compile(
    r"\s*DROP\s+INDEX\s+CONCURRENTLY\s+(?:IF\s+EXISTS\s+)?"
    r'(?:"?public"?\s*\.\s*)?(?:"(?P<quoted>(?:[^"]|"")+)"|(?P<name>\w+))',
    re.I,
)
TRANSACTION = re.compile(
    r"\s*(?:COMMIT|ROLLBACK(?!(?:\s+WORK|\s+TRANSACTION)?\s+TO)|ABORT|END|BEGIN"
    r"|START\s+TRANSACTION|PREPARE\s+TRANSACTION)\b",
    re.I,
)

WIDER = re.compile(
    r"varchar\((?P<was>\d+)\) (?:varchar\((?P<now>\d+)\)|varchar|text)"
    r"|numeric\((?P<digits>\d+),(?P<scale>\d+)\) numeric\((?P<more>\d+),(?P=scale)\)"
)


def is_wider(was: str, now: str) -> bool:
    """Whether the server stores every value of the type ``was`` as one of ``now``, as it is."""
    types = f"{was} {now}".replace("character varying", "varchar").replace(", ", ",")
    if (match := WIDER.fullmatch(types)) is None:
        return False
    if match["digits"]:
        return int(match["more"]) > int(match["digits"])
    return match["now"] is None or int(match["now"]) > int(match["was"])


def split(sql: str) -> Iterator[tuple[str, str]]:
    """Each statement of ``sql``, and the same without comments, strings and bodies."""
    start = position = 0
    bare: list[str] = []
    for token in TOKENS.finditer(sql):
        bare.append(sql[position : token.start()])
        position = token.end()
        if token["name"]:
            bare.append(token["name"])
        elif token["end"]:
            yield sql[start : token.start()].strip(), "".join(bare)
            start, bare = position, []
        else:
            bare.append(" ")
    bare.append(sql[position:])
    if rest := sql[start:].strip():
        yield rest, "".join(bare)


def is_concurrent(sql: str) -> bool:
    """Whether the first statement builds or drops an index without a lock on its table."""
    return "CONCURRENTLY" in sql.upper() and any(CONCURRENT.match(bare) for _, bare in split(sql))


def dropped_index(sql: str) -> str | None:
    """The name in DROP INDEX CONCURRENTLY, which is the only statement of ``sql``."""
    for _, bare in split(sql):
        if match := DROPPED_INDEX.match(bare):
            return match["name"].lower() if match["name"] else match["quoted"].replace('""', '"')
    return None


def is_validation(sql: str) -> bool:
    """Whether the statement checks the rows of a constraint that was added NOT VALID."""
    return "VALIDATE" in sql.upper() and any(VALIDATION.match(bare) for _, bare in split(sql))


def ends_transaction(sql: str) -> bool:
    """Whether a statement begins or ends a transaction."""
    return any(TRANSACTION.match(bare) for _, bare in split(sql))


def locked_tables(sql: str) -> list[str]:
    """The names of the tables that ``sql`` locks against writers, in the order of the text."""
    names: dict[str, None] = {}
    for _, bare in split(sql):
        if VALIDATION.match(bare):
            continue
        for pattern in LOCKS:
            if match := pattern.match(bare):
                names[match["name"]] = None
    return [*names]
