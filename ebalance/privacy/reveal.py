"""Opens one sealed value for a member of staff (access.md §1, §3).

The entry of the audit log is committed before the value is opened, so that the log names everybody
who saw it, even if the request fails later. Authors read their own texts in the product instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.contrib.auth import get_user_model
from django.db import connection, models, transaction
from django.utils.translation import gettext_lazy as _

from audit.services import record_entry
from ebalance.actor import Actor, acting_as, current_actor
from ebalance.db.encryption.fields import Sealed, SealedField, SealingError
from ebalance.services import NotFound, NotPermitted, Refused
from identity.permissions import HIDDEN_MODELS


class DoesNotOpen(Refused):
    """The key is not in the ring, or the value was altered or moved; ``reason`` names the error."""

    code = "does_not_open"
    sentence_template = _(
        "This value does not open: its key is not there, or it was altered. Nothing of it is shown."
    )


def reveal(row: models.Model, field_name: str, *, actor: Any) -> Any:
    """The decrypted value of a sealed column of ``row``, as stored now: text, or JSON.

    Writes ``sealed_value_revealed`` in a transaction of its own. Raises NotPermitted if the actor's
    roles do not include it, and writes ``access_refused``; NotFound if the row or the value does
    not exist any more; DoesNotOpen, after the entry; RuntimeError inside a transaction, whose
    rollback would remove the entry.
    """
    field = row._meta.get_field(field_name)
    if not isinstance(field, SealedField):
        raise TypeError(f"{field} is not sealed.")
    # Read again: blocking the person, or removing a role, ends access at once.
    key: Any = getattr(actor, "pk", None)
    person = get_user_model()._base_manager.filter(pk=key).first()
    with recorded_as(person):
        is_permitted = person is not None and person.may_reveal(field)
        value = _stored(row, field) if is_permitted else None
        if value is not None:
            record_entry("sealed_value_revealed", row, values={"column": field.column})
        elif person is not None and not is_permitted:
            _record_refusal(row, field)
    if not is_permitted:
        raise NotPermitted(entity=row._meta.db_table, column=field.column)
    if value is None:
        raise NotFound(what=row._meta.model_name, column=field.column)
    try:
        return value.open()
    except SealingError as error:
        reason = type(error).__name__
    raise DoesNotOpen(entity=row._meta.db_table, id=row.pk, column=field.column, reason=reason)


def _stored(row: models.Model, field: SealedField) -> Sealed | None:
    columns = {"pk", field.name, *field.checked_by}
    current = type(row)._base_manager.filter(pk=row.pk).only(*columns).first()
    return None if current is None else getattr(current, field.name)


def _record_refusal(row: models.Model, field: SealedField) -> None:
    """Record the refusal; a diary's key, which shows its time, is left out (access.md §1)."""
    record_entry(
        "access_refused",
        None if row._meta.label_lower in HIDDEN_MODELS else row,
        entity_type=row._meta.db_table,
        values={"column": field.column},
    )


@contextmanager
def recorded_as(person: Any) -> Iterator[None]:
    """A transaction of its own, whose entries in the audit log name ``person``.

    Raises RuntimeError inside another transaction, whose rollback would remove the entries.
    """
    with _acting(person), _committed():
        yield


@contextmanager
def _acting(person: Any) -> Iterator[None]:
    """Make the person the actor, with the origin of the current request."""
    current = current_actor() or Actor()
    with acting_as(person, ip_address=current.ip_address, user_agent=current.user_agent):
        yield


@contextmanager
def _committed() -> Iterator[None]:
    """A transaction that is committed at its end. Raises RuntimeError inside another one."""
    if not connection.in_atomic_block and not connection.get_autocommit():
        raise RuntimeError("A value is not revealed while autocommit is off.")
    with transaction.atomic(durable=True):
        yield
