"""Slots: staff block and unblock them, bookings reserve and release them."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from audit.services import publish_event
from ebalance.services import (
    RowOrKey,
    TransitionRefused,
    lock_or_refuse,
    lock_rows,
    refresh,
    require_change,
    transactional,
)
from identity.models import User

from ..errors import SlotTaken
from ..models import AvailabilitySlot


@transactional
def block_slot(slot: RowOrKey[AvailabilitySlot], *, actor: User | None = None) -> AvailabilitySlot:
    """From available to blocked, as an exception from the working hours. Repeatable.

    ``actor`` None is the system. Raises TransitionRefused for a reserved slot, NotPermitted,
    NotFound.
    """
    return _move_slot(slot, "available", "blocked", "exception", actor)


@transactional
def unblock_slot(
    slot: RowOrKey[AvailabilitySlot], *, actor: User | None = None
) -> AvailabilitySlot:
    """From blocked to available, even if another user blocked the slot. Repeatable.

    ``actor`` None is the system. Raises TransitionRefused for a reserved slot, NotPermitted,
    NotFound.
    """
    return _move_slot(slot, "blocked", "available", None, actor)


def _move_slot(
    slot: RowOrKey[AvailabilitySlot],
    before: str,
    after: str,
    block_type: str | None,
    actor: User | None,
) -> AvailabilitySlot:
    require_change(actor, AvailabilitySlot)
    row = lock_or_refuse(AvailabilitySlot.objects.all(), slot)
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
    return refresh(slot, row)


def release_and_reserve_slots(
    released: Iterable[UUID | None], *, reserved: UUID | None = None
) -> None:
    """Make the released slots available and reserve another one. Raises SlotTaken.

    Locks the slots in the order of their keys. A caller locks its appointments first.
    """
    to_release = {key for key in released if key is not None}
    keys = to_release if reserved is None else to_release | {reserved}
    if not keys:
        return
    slots = AvailabilitySlot.objects.filter(pk__in=keys)
    status = {slot.pk: slot.status for slot in lock_rows(slots)}
    slots.filter(pk__in=to_release - {reserved}, status="reserved").update(status="available")
    if reserved is not None and not (reserved in to_release and status.get(reserved) == "reserved"):
        if status.get(reserved) != "available":
            raise SlotTaken(slot=reserved)
        slots.filter(pk=reserved).update(status="reserved")
