"""All that is held about a person, read at one moment, as the document that exports render."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg
from django.db import connection, transaction

from ebalance.privacy.subject import Person, Unreadable

from .document import Document, document
from .readable import unreadable


def collected(
    user_id: UUID, at: datetime, *, wanted: Callable[[str], bool] = lambda table: True
) -> Document:
    """The document about this person, of the tables whose names are ``wanted``."""
    with one_moment():
        tables = {
            table.name: [
                {column: plain(value, f"{table.name}.{column}") for column, value in row.items()}
                for row in rows
            ]
            for table, rows in Person(user_id).export()
            if wanted(table.name)
        }
    return document(user_id, tables, at)


@contextmanager
def one_moment() -> Iterator[None]:
    """A transaction that sees one moment and writes nothing; inside of another it is that one."""
    if connection.in_atomic_block:
        yield
        return
    connection.ensure_connection()
    session = connection.connection
    try:
        session.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        session.read_only = True
        with transaction.atomic():
            yield
    finally:
        if not session.closed:
            session.isolation_level = session.read_only = None


def plain(value: Any, place: str) -> Any:
    """``value`` as plain JSON. Raises TypeError, naming the place, for a kind that has none."""
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
        return [plain(one, place) for one in value]
    if isinstance(value, dict):
        return {str(key): plain(one, place) for key, one in value.items()}
    kind = type(value).__name__
    del value
    raise TypeError(f"{place}: there is no plain JSON for {kind}.")
