"""Entries of the audit log that only the application can write (access.md §3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.db import connection, models, transaction
from psycopg.types.json import Jsonb

from ebalance.services import storable_arguments

from .payloads import flat


@storable_arguments
@transaction.atomic(savepoint=False)
def record_entry(
    action: str,
    about: models.Model | None = None,
    *,
    entity_type: str | None = None,
    entity_key: str | None = None,
    values: Mapping[str, object] | None = None,
) -> UUID:
    """Write an entry: a login, a refusal, an export, an erasure, a reveal.

    The actor is set by ``acting_as()``. ``about`` is the row; without a row,
    ``entity_type`` names a table or a code. ``values`` are P0: codes, numbers, ids. Returns the key
    of the entry. Raises IntegrityError for values that the log may not hold.
    """
    entity: tuple[UUID | None, object] = (None, entity_key)
    if about is not None:
        entity_type = about._meta.db_table
        entity = (about.pk, None) if isinstance(about.pk, UUID) else (None, about.pk)
    new_value = None if values is None else Jsonb(flat(values))
    parameters: list[Any] = [action, entity_type, *entity, new_value]
    with connection.cursor() as cursor:
        cursor.execute("SELECT public.record_audit_entry(%s, %s, %s, %s, NULL, %s)", parameters)
        (key,) = cursor.fetchone()
    return key
