"""Blocking a time, and giving it back: what staff does with slots (states.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from audit.services import publish_event
from content.models.publication import must_be_allowed
from ebalance.services import TransitionRefused, lock_or_refuse, transactional

if TYPE_CHECKING:
    from identity.models import User


class SlotVerbs:
    """Each reads the row again under its lock, and brings ``self`` up to date. ``actor`` None is
    the system. Booked times are reserved and freed by the verbs of appointments.
    """

    @transactional
    def block(self, *, actor: User | None = None) -> Self:
        """From available to blocked, as an exception from the working hours. Repeatable.

        Raises TransitionRefused for a reserved slot, NotPermitted, NotFound.
        """
        return self._moved("available", "blocked", "exception", actor)

    @transactional
    def unblock(self, *, actor: User | None = None) -> Self:
        """From blocked to available, whatever blocked it. Repeatable.

        Raises TransitionRefused for a reserved slot, NotPermitted, NotFound.
        """
        return self._moved("blocked", "available", None, actor)

    def _moved(self, before: str, after: str, block_type: str | None, actor: User | None) -> Self:
        must_be_allowed(actor, type(self))
        row = lock_or_refuse(type(self).objects.all(), self.pk)
        if row.status == before:
            row.status, row.block_type = after, block_type
            row.save(update_fields=["status", "block_type"])
            publish_event(
                f"slot_{'blocked' if after == 'blocked' else 'unblocked'}",
                row,
                start_at_utc=row.start_at_utc,
                end_at_utc=row.end_at_utc,
                service_id=row.service_id,
            )
        elif row.status != after:
            raise TransitionRefused(
                entity="availability_slots", id=row.pk, status=row.status, wanted=after
            )
        self.refresh_from_db()
        return self
