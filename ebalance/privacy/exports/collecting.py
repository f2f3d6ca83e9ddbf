"""``export_user_data``: everything about a person, read in one snapshot, as a document."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.utils import timezone

from ebalance.db.snapshot import read_only_snapshot
from ebalance.services import Clock, NotFound, RowOrKey, storable_arguments
from identity.models import User

from ..rows import PersonalRows, Unreadable
from ..subject import parse_key
from .document import Document, make_document
from .readable import unreadable


@storable_arguments
def export_user_data(
    user: RowOrKey[User],
    *,
    clock: Clock = timezone.now,
    wanted: Callable[[str], bool] = lambda table: True,
) -> Document:
    """The document about this person, of the tables whose names are ``wanted``.

    Sealed values are decrypted. Raises NotFound for a value that cannot be a key.
    """
    user_id = parse_key(user, "user")
    if user_id is None:
        raise NotFound(what="user")
    at = clock()
    with read_only_snapshot():
        tables = {
            table.name: [
                {column: plain(value, f"{table.name}.{column}") for column, value in row.items()}
                for row in rows
            ]
            for table, rows in PersonalRows(user_id).export()
            if wanted(table.name)
        }
    return make_document(user_id, tables, at)


def plain(value: Any, column: str) -> Any:
    """``value`` as plain JSON. Raises TypeError, naming the column, for a type without JSON."""
    if isinstance(value, Unreadable):
        return unreadable(value.reason)
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, UUID | Decimal):
        return str(value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    if isinstance(value, list | tuple):
        return [plain(one, column) for one in value]
    if isinstance(value, dict):
        return {str(key): plain(one, column) for key, one in value.items()}
    kind = type(value).__name__
    del value
    raise TypeError(f"{column}: there is no plain JSON for {kind}.")
