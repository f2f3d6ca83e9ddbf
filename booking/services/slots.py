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
from ..models import Appointment, AvailabilitySlot


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
    released: Iterable[UUID | None], *, reserved_by: Appointment | None = None
) -> None:
    """Make the released slots available and reserve the slot of an appointment.

    Locks the slots in the order of their keys. A caller locks its appointments first. Raises
    SlotTaken if the slot is not available, or does not fit the appointment any more.
    """
    to_release = {key for key in released if key is not None}
    reserved = None if reserved_by is None else reserved_by.slot_id
    keys = to_release if reserved is None else to_release | {reserved}
    if not keys:
        return
    slots = AvailabilitySlot.objects.filter(pk__in=keys)
    locked = {slot.pk: slot for slot in lock_rows(slots)}
    slots.filter(pk__in=to_release - {reserved}, status="reserved").update(status="available")
    if reserved is None or reserved_by is None:
        return
    slot = locked.get(reserved)
    if slot is None or not is_in_slot(reserved_by, slot):
        raise SlotTaken(slot=reserved)
    if not (reserved in to_release and slot.status == "reserved"):
        if slot.status != "available":
            raise SlotTaken(slot=reserved)
        slots.filter(pk=reserved).update(status="reserved")


def is_in_slot(appointment: Appointment, slot: AvailabilitySlot) -> bool:
    """Whether the slot offers the time of the appointment, and its break is long enough."""
    return (
        slot.service_id in (None, appointment.service_id)
        and slot.buffer_minutes <= appointment.buffer_minutes
        and slot.start_at_utc <= appointment.start_at_utc
        and slot.end_at_utc >= appointment.end_at_utc
    )
