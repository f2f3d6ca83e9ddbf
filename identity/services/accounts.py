"""Blocking and unblocking of accounts."""

from __future__ import annotations

from uuid import UUID

from django.db import connection

from ebalance.services import (
    NotFound,
    RowOrKey,
    TransitionRefused,
    lock_or_refuse,
    lock_rows,
    refresh,
    require_permission,
    storable_arguments,
    transactional,
)

from ..errors import LastOwner
from ..models import CONTACT_COLUMNS, Role, User, UserRole


@transactional
def block_user(user: RowOrKey[User], *, actor: User | None = None) -> User:
    """active → blocked: access ends at the next request. Repeatable.

    Raises LastOwner, TransitionRefused for an erased person, NotPermitted, NotFound.
    """
    return _set_status(user, User.Status.BLOCKED, actor)


@transactional
def unblock_user(user: RowOrKey[User], *, actor: User | None = None) -> User:
    """blocked → active. Repeatable. Raises TransitionRefused, NotPermitted, NotFound."""
    return _set_status(user, User.Status.ACTIVE, actor)


def require_other_owner(user: User) -> None:
    """Raises LastOwner unless another active person is owner.

    Locks the row of the role: two concurrent calls cannot each count the other's owner.
    """
    lock_rows(Role.objects.filter(pk="owner"))
    owners = UserRole.objects.filter(role="owner", user__status=User.Status.ACTIVE)
    if not owners.exclude(user=user.pk).exists():
        raise LastOwner(user=user.pk)


@storable_arguments
def lock_contacts(user: UUID) -> dict[str, str] | None:
    """The contacts of the account by channel; None for an erased account.

    Locks the row FOR KEY SHARE: an erasure empties contacts, which are keys, and so waits for this
    transaction; other updates do not wait. Raises NotFound.
    """
    columns = ", ".join(CONTACT_COLUMNS.values())
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT status, {columns} FROM users WHERE id = %s FOR KEY SHARE", [user])
        row = cursor.fetchone()
    if row is None:
        raise NotFound(what="user")
    status, *texts = row
    if status == User.Status.DELETED:
        return None
    contacts = zip(CONTACT_COLUMNS, texts, strict=True)
    return {channel: text for channel, text in contacts if text is not None}


def _set_status(user: RowOrKey[User], status: User.Status, actor: User | None) -> User:
    require_permission(actor, "identity.change_user")
    row = lock_or_refuse(User.objects.all(), user)
    if row.status == User.Status.DELETED:
        raise TransitionRefused(entity="users", id=row.pk, status=row.status, wanted=status)
    if row.status != status:
        if status == User.Status.BLOCKED and row.user_roles.filter(role="owner").exists():
            require_other_owner(row)
        row.status = status
        row.save(update_fields=["status"])
    return refresh(user, row)
