"""Characters that no text column can hold: NUL, and half of a surrogate pair."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from django.db import models

from .encryption.values import Plaintext

UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def is_storable(value: Any) -> bool:
    """Whether every text in ``value`` can be stored: keys, values and members at any depth.

    The text of a row is its key, the text of a plaintext its value.
    """
    waiting, seen = [value], set()
    while waiting:
        item = waiting.pop()
        if isinstance(item, models.Model):
            item = item.pk
        elif isinstance(item, Plaintext):
            item = item.reveal()
        if isinstance(item, str):
            if UNSTORABLE.search(item):
                return False
        elif isinstance(item, Mapping | list | tuple | set | frozenset) and id(item) not in seen:
            seen.add(id(item))  # a list may contain itself
            members: Iterable[Any] = (*item, *item.values()) if isinstance(item, Mapping) else item
            waiting.extend(members)
    return True
