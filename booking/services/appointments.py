"""Changes of a booked appointment (states.md, "Booking").

Each service locks the chain of the appointment, and brings the caller's instance up to date.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone as django_timezone

from ebalance.db import zones
from ebalance.services import (
    Clock,
    InvalidInput,
    RowOrKey,
    TransitionRefused,
    get_or_refuse,
    parse_choice,
    pk_of,
    refresh,
    require_change,
    same_key,
    to_utc,
    transactional,
)
from identity.models import User

from ..errors import (
    CorrectionTooLate,
    NotPaid,
    OutcomeTooEarly,
    RescheduledTooOften,
    SlotTaken,
    TooLateToCancel,
    TooLateToReschedule,
)
from ..models import Appointment, AvailabilitySlot, Service
from ..models.outcomes import CORRECTED_WITHIN, OUTCOME
from ..models.times import BLOCKING
from .calendar import SessionTime, choose_time, insert_appointment, is_taken
from .chains import Chain
from .events import (
    get_acting_role,
    publish_appointment_event,
    publish_confirmation,
    track_outcome,
)
from .inputs import get_service, require_override_right
from .messages import schedule_session_messages
from .refunds import calculate_refund, hours, open_refunds, promised_refund
from .slots import release_and_reserve_slots


@dataclass(frozen=True)
class Cancellation:
    """A canceled appointment. ``refund_amount``: whole roubles due back to the client."""

    appointment: Appointment
    refund_amount: int


@transactional
def confirm_appointment(
    appointment: RowOrKey[Appointment],
    *,
    actor: User | None = None,
    clock: Clock = django_timezone.now,
) -> Appointment:
    """From paid to confirmed. Repeatable.

    Raises NotPaid while the deposit, or the price without one, is not paid; TransitionRefused,
    NotFound.
    """
    chain = Chain.lock(appointment)
    row = chain[appointment]
    if row.status == "paid":
        confirm_locked_appointment(row, chain, clock=clock)
    elif row.status != "confirmed":
        raise transition_refused(row, "confirmed")
    return refresh(appointment, row)


@transactional
def cancel_appointment(
    appointment: RowOrKey[Appointment],
    *,
    by: str,
    reason_category: str | None = None,
    actor: User | None = None,
    clock: Clock = django_timezone.now,
) -> Cancellation:
    """Cancel the session and release its slot. ``by``: client or provider.

    The refund due for the client follows the policy of the service (apply_refund_policy); the
    provider gives back all that is held. A repeated call returns the same answer. An expired hold
    stays as it is.

    Raises TooLateToCancel for a client once the session has begun, TransitionRefused,
    InvalidInput, NotFound.
    """
    check_party(by)
    check_reason(reason_category)
    chain = Chain.lock(appointment)
    chain.lock_payments()
    row = chain[appointment]
    if row.status == "canceled" and row.outcome in (None, f"canceled_by_{by}"):
        # The first answer counts: policy and payments may have changed since.
        return Cancellation(refresh(appointment, row), promised_refund(row, chain))
    if row.status not in BLOCKING:
        raise transition_refused(row, "canceled")
    now = clock()
    if by == "client" and row.status == "confirmed" and now >= row.start_at_utc:
        raise TooLateToCancel(start=row.start_at_utc)
    row.status, row.canceled_at = "canceled", now
    set_outcome(row, f"canceled_by_{by}", reason_category, actor=actor, now=now)
    row.save(update_fields=["status", "canceled_at", *OUTCOME])
    release_and_reserve_slots([row.slot_id])
    refund = calculate_refund(row, chain, now)
    schedule_session_messages(row, clock=clock)
    publish_appointment_event("appointment_canceled", row, by=by, refund_amount=refund)
    open_refunds(chain, refund, at=now)
    track_outcome(row, actor=actor, clock=clock)
    return Cancellation(refresh(appointment, row), refund)


@transactional
def reschedule_appointment(
    appointment: RowOrKey[Appointment],
    *,
    slot: RowOrKey[AvailabilitySlot] | None = None,
    start: datetime | None = None,
    timezone: str | None = None,
    by: str = "client",
    override: bool = False,
    actor: User | None = None,
    clock: Clock = django_timezone.now,
) -> Appointment:
    """Move a confirmed session. Returns the new appointment, which is confirmed too.

    The new time is offered, or lies in the slot of the session; with ``override`` an ``actor`` who
    may change appointments moves it to any free start. A move to the same time changes nothing
    and returns the appointment itself.

    The price stays as agreed, and payments stay with the first row of the chain. The break never
    gets shorter. A client may move a session until reschedule_min_hours before its start, and
    reschedule_max_count times; the provider has no such limits. A repeated call returns the same
    appointment.

    Raises SlotTaken, TimeNotOffered, NotPermitted, SlotUnsuitable, StartInPast, ZoneUnknown,
    TooLateToReschedule, RescheduledTooOften, TransitionRefused, InvalidInput, NotFound.
    """
    check_party(by)
    if (slot is None) == (start is None):
        raise InvalidInput(field="slot")
    start = None if start is None else to_utc(start, "start")
    require_override_right(override, actor)
    chain = Chain.lock(appointment)
    row = chain[appointment]
    zone = zones.renew_name(row.timezone)
    if timezone is None:
        service = get_or_refuse(Service.objects.all(), row.service_id)
    else:
        service, zone = get_service(
            row.service_id, timezone=timezone, format=row.format, published=False
        )
    if row.status == "rescheduled":
        return find_same_move(row, chain, slot=slot, start=start)
    if row.status != "confirmed":
        raise transition_refused(row, "rescheduled")
    if start == row.start_at_utc:
        return refresh(appointment, row)
    now = clock()
    time = choose_time(service, slot=slot, start=start, now=now, override=override, moved=row)
    if time.start == row.start_at_utc:
        return refresh(appointment, row)
    if by == "client":
        check_reschedule_policy(row, chain, service, now)
    # Checked before the old time is released: two sessions that change places would otherwise
    # wait for each other.
    if is_taken(time, now, besides=row):
        raise SlotTaken(start=time.start)
    row.status = "rescheduled"
    set_outcome(row, "rescheduled", None, actor=actor, now=now)
    row.save(update_fields=["status", *OUTCOME])
    successor = build_successor(row, time, timezone=zone)
    successor.status, successor.confirmed_at = "confirmed", now
    moved = insert_appointment(successor, now, released=row.slot_id)
    publish_appointment_event(
        "appointment_rescheduled", row, appointment_id=moved.pk, new_start_at=time.start
    )
    track_outcome(row, actor=actor, clock=clock)
    publish_confirmation(moved, clock=clock)
    refresh(appointment, row)
    return moved


@transactional
def record_outcome(
    appointment: RowOrKey[Appointment],
    *,
    outcome: str,
    reason_category: str | None = None,
    actor: User | None = None,
    clock: Clock = django_timezone.now,
) -> Appointment:
    """Record that a confirmed session was attended or not (no_show). Repeatable.

    ``actor`` None is the system. Raises NotPermitted, OutcomeTooEarly before the start,
    TransitionRefused, InvalidInput, NotFound.
    """
    check_attendance(outcome)
    check_reason(reason_category)
    require_change(actor, Appointment)
    row = Chain.lock(appointment)[appointment]
    if row.status == "completed" and row.outcome == outcome:
        return refresh(appointment, row)
    if row.status != "confirmed":
        raise transition_refused(row, "completed")
    now = clock()
    if now < row.start_at_utc:
        raise OutcomeTooEarly(start=row.start_at_utc)
    row.status = "completed"
    set_outcome(row, outcome, reason_category, actor=actor, now=now)
    row.save(update_fields=["status", *OUTCOME])
    publish_appointment_event("appointment_completed", row, outcome=outcome)
    track_outcome(row, actor=actor, clock=clock)
    return refresh(appointment, row)


@transactional
def correct_outcome(
    appointment: RowOrKey[Appointment],
    *,
    outcome: str,
    reason_category: str | None = None,
    actor: User | None = None,
    clock: Clock = django_timezone.now,
) -> Appointment:
    """Correct a wrong outcome of a completed session: attended or no_show. Repeatable.

    Possible for 30 days after the outcome was recorded; that time stays. Money is not touched.

    Raises CorrectionTooLate, NotPermitted, TransitionRefused, InvalidInput, NotFound.
    """
    require_change(actor, Appointment)
    check_attendance(outcome)
    check_reason(reason_category)
    row = Chain.lock(appointment)[appointment]
    if row.status != "completed" or row.outcome_recorded_at is None:
        raise transition_refused(row, "completed")
    if (row.outcome, row.outcome_reason_category) == (outcome, reason_category):
        return refresh(appointment, row)
    if clock() > row.outcome_recorded_at + CORRECTED_WITHIN:
        raise CorrectionTooLate(recorded_at=row.outcome_recorded_at)
    set_outcome(row, outcome, reason_category, actor=actor, now=row.outcome_recorded_at)
    row.save(update_fields=[*OUTCOME])
    publish_appointment_event("appointment_outcome_corrected", row, outcome=outcome)
    track_outcome(row, actor=actor, clock=clock)
    return refresh(appointment, row)


# -- steps ----------------------------------------------------------------------------------------


def check_party(by: object) -> None:
    if by not in ("client", "provider"):
        raise InvalidInput(field="by")


def check_attendance(outcome: object) -> None:
    if outcome not in ("attended", "no_show"):
        raise InvalidInput(field="outcome")


def check_reason(reason_category: object) -> None:
    if reason_category is not None:
        parse_choice(reason_category, Appointment.OutcomeReason, "reason_category")


def confirm_locked_appointment(row: Appointment, chain: Chain, *, clock: Clock) -> None:
    """From paid to confirmed, for a locked row. Raises NotPaid."""
    if not chain.is_paid:
        raise NotPaid(appointment=row.pk)
    row.status, row.confirmed_at = "confirmed", clock()
    row.save(update_fields=["status", "confirmed_at"])
    publish_confirmation(row, clock=clock)


def find_same_move(
    row: Appointment,
    chain: Chain,
    *,
    slot: RowOrKey[AvailabilitySlot] | None,
    start: datetime | None,
) -> Appointment:
    """The appointment that a moved session was moved to. Raises TransitionRefused if a caller now
    wants another slot or start.
    """
    for moved in chain:
        if moved.rescheduled_from_id == row.pk and (
            same_key(pk_of(slot), moved.slot_id) if start is None else start == moved.start_at_utc
        ):
            return moved
    raise transition_refused(row, "rescheduled")


def check_reschedule_policy(
    row: Appointment, chain: Chain, service: Service, now: datetime
) -> None:
    """Raises TooLateToReschedule, RescheduledTooOften."""
    # Without a limit a session can be moved until it begins.
    limit = service.reschedule_min_hours or 0
    if row.start_at_utc - now < hours(limit) or row.start_at_utc <= now:
        raise TooLateToReschedule(hours=limit)
    max_count = service.reschedule_max_count
    if max_count is not None and chain.move_count >= max_count:
        raise RescheduledTooOften(count=max_count)


def build_successor(row: Appointment, time: SessionTime, *, timezone: str) -> Appointment:
    """An unsaved row that replaces ``row``: the same terms and person, another time."""
    return Appointment(
        service_id=row.service_id,
        client_id=row.client_id,
        lead_id=row.lead_id,
        rescheduled_from=row,
        start_at_utc=time.start,
        end_at_utc=time.end,
        buffer_minutes=time.buffer_minutes,
        slot_id=time.slot_id,
        timezone=timezone,
        format=row.format,
        price_amount=row.price_amount,
        deposit_amount=row.deposit_amount,
        meeting_url=row.meeting_url,
        location_text=row.location_text,
        topic_id=row.topic_id,
        deep_link_id=row.deep_link_id,
        entry_point=row.entry_point,
    )


def set_outcome(
    row: Appointment, outcome: str, reason: str | None, *, actor: User | None, now: datetime
) -> None:
    row.outcome, row.outcome_reason_category = outcome, reason
    row.outcome_recorded_at, row.outcome_recorded_by_role = now, get_acting_role(actor)


def transition_refused(row: Appointment, wanted: str) -> TransitionRefused:
    return TransitionRefused(entity="appointments", id=row.pk, status=row.status, wanted=wanted)
