"""Locks and inserts that the services of this app share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from django.db import IntegrityError, models, transaction

from ebalance.db.ids import uuid7
from ebalance.services import (
    IdempotencyConflict,
    RowOrKey,
    constraint_of,
    lock_or_refuse,
    parse_uuid,
    refresh,
)
from identity.models import User

from ..errors import AuthorUnavailable


@contextmanager
def lock_and_refresh[Row: models.Model](model: type[Row], given: RowOrKey[Row]) -> Iterator[Row]:
    """Lock the row for the block, then read the result into the caller's instance.

    Raises NotFound.
    """
    row = lock_or_refuse(model._default_manager.all(), given)
    yield row
    refresh(given, row)


def lock_author(user: RowOrKey[User] | None) -> User | None:
    """Lock the author, so that nobody blocks or erases the account meanwhile.

    None for an unknown author. Raises NotFound, AuthorUnavailable.
    """
    if user is None:
        return None
    person = lock_or_refuse(User.objects.all(), user)
    if not person.is_active:
        raise AuthorUnavailable(user=person.pk, status=person.status)
    return person


def new_key(id: UUID | str | None) -> UUID:
    """The key of a new row: the caller's, or a new one. Raises InvalidInput."""
    return uuid7() if id is None else parse_uuid(id, "id")


def insert_once[Row: models.Model](row: Row) -> tuple[Row, bool]:
    """Insert the row. Returns it and True, or the locked row that already has its key and False."""
    try:
        with transaction.atomic():
            row.save(force_insert=True)
    except IntegrityError as error:
        if constraint_of(error) != f"{row._meta.db_table}_pkey":
            raise
        return lock_or_refuse(type(row)._default_manager.all(), row.pk), False
    return row, True


def idempotency_conflict(row: models.Model) -> IdempotencyConflict:
    return IdempotencyConflict(entity=row._meta.db_table, id=row.pk)
