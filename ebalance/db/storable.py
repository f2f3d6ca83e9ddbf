"""Characters that no text column can hold: NUL, and half of a surrogate pair."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def is_storable(value: Any, content: Callable[[Any], Any] = lambda item: item) -> bool:
    """Whether every text in ``value`` can be stored: keys, values and members at any depth.

    ``content`` replaces an object by its text.
    """
    waiting, seen = [value], set()
    while waiting:
        item = content(waiting.pop())
        if isinstance(item, str):
            if UNSTORABLE.search(item):
                return False
        elif isinstance(item, Mapping | list | tuple | set | frozenset) and id(item) not in seen:
            seen.add(id(item))  # a list may contain itself
            members: Iterable[Any] = (*item, *item.values()) if isinstance(item, Mapping) else item
            waiting.extend(members)
    return True
