"""Brings PostgreSQL's text of an expression into one form.

PostgreSQL prints a parsed expression with all its parentheses. Text that was dumped and restored is
parsed again, and then has other parentheses: ``((a OR b) OR c)`` becomes ``(a OR b OR c)``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

TOKEN = re.compile(
    r"""(?P<space>\s*)(?P<text>
        [eE]'(?:[^'\\]|''|\\.)*'      # a string with escapes
      | '(?:[^']|'')*'
      | "(?:[^"]|"")*"
      | [^\W\d][\w$]*                 # a keyword or a name
      | [(),]
      | [^\s\w'"(),]+                 # an operator
      | .                             # part of a number
    )""",
    re.VERBOSE | re.DOTALL,
)
CONNECTORS = frozenset({"AND", "OR"})
# Parentheses around a query are never redundant: ANY ((SELECT …)) differs from ANY (SELECT …).
QUERIES = frozenset({"SELECT", "VALUES", "WITH", "TABLE"})


class Group:
    """The tokens and groups between two parentheses. Tokens keep one space before them."""

    def __init__(self, has_space: bool = False) -> None:
        self.has_space = has_space
        self.items: list[str | Group] = []

    def __str__(self) -> str:
        return f"{' ' * self.has_space}({render(self.items)})"

    @property
    def connectors(self) -> list[str]:
        return [word for word in map(word_of, self.items) if word in CONNECTORS]


def flatten(expression: str) -> str:
    """``expression`` without redundant parentheses, and with one space for any white space.

    Removes doubled parentheses, and those around a list of AND in a list of AND, or of OR in a list
    of OR. Where precedence decides, nothing changes: ``a AND (b OR c)`` keeps its parentheses.
    Strings and quoted names stay as they are. Raises ValueError if parentheses are unbalanced.
    """
    stack = [Group()]
    for match in TOKEN.finditer(expression.strip()):
        text, has_space = match["text"], bool(match["space"])
        if text == "(":
            stack.append(Group(has_space))
        elif text == ")":
            group = stack.pop()
            if not stack:
                raise ValueError(f"unbalanced parentheses: {expression}")
            stack[-1].items.append(simplified(group))
        else:
            stack[-1].items.append(f"{' ' * has_space}{text}")
    if len(stack) > 1:
        raise ValueError(f"unbalanced parentheses: {expression}")
    return render(stack[0].items)


def render(items: list[str | Group]) -> str:
    return "".join(map(str, items)).strip()


def word_of(item: str | Group) -> str:
    return item.strip() if isinstance(item, str) else ""


def simplified(group: Group) -> Group:
    """``group``, whose inner groups are simplified already."""
    if len(group.items) == 1 and isinstance(inner := group.items[0], Group) and is_one(inner):
        group.items = inner.items
    words = {word_of(item) for item in group.items}
    if len(words & CONNECTORS) == 1 and "BETWEEN" not in words:
        group.items = list(_joined(group.items, *(words & CONNECTORS)))
    return group


def is_one(group: Group) -> bool:
    """Whether the group is one expression: not a row, a list or a query."""
    return bool(group.items) and not any(
        word in QUERIES or word == "," or word.endswith("*") for word in map(word_of, group.items)
    )


def _joined(items: list[str | Group], connector: str) -> Iterator[str | Group]:
    """``items``, with the contents of each operand that is itself a list of ``connector``."""
    words = [connector, *(word_of(item) for item in items), connector]
    for number, item in enumerate(items, 1):
        is_operand = words[number - 1] == words[number + 1] == connector
        if (
            is_operand
            and isinstance(item, Group)
            and set(item.connectors) == {connector}
            and is_one(item)
        ):
            first, *rest = item.items
            if item.has_space:
                first = _spaced(first)
            yield from (first, *rest)
        else:
            yield item


def _spaced(item: str | Group) -> str | Group:
    if isinstance(item, Group):
        item.has_space = True
        return item
    return f" {item.lstrip()}"
