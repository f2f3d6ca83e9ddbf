"""The privacy class of a column, written once beside its field (privacy.md §1)."""


def p0(meaning: str) -> str:
    """Column comment of a safe column: ids, codes, closed sets, aggregates."""
    return f"P0 · {meaning}"


def p1(meaning: str) -> str:
    """Column comment of a personal column: contacts, names, notes about a person."""
    return f"P1 · {meaning}"


def p2(meaning: str) -> str:
    """Column comment of a sensitive column: what a client wrote; stored sealed only."""
    return f"P2 · {meaning}"
