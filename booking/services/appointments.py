"""The verbs of appointments (states.md, "Booking")."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Self
from uuid import UUID

from django.conf import settings
from django.db.models import Func, Q, Value
from django.db.models.fields import BooleanField
from django.utils.timezone import now as wall_clock

from content.models import Topic
from crm.models import Lead
from ebalance.db import patterns
from ebalance.db.encryption.payloads import UNSTORABLE
from ebalance.db.querysets import EntityQuerySet
from ebalance.db.sets import EntryPoint
from ebalance.services import (
    Clock,
    IdempotencyConflict,
    InvalidInput,
    NotFound,
    Refused,
    RowOrKey,
    TransitionRefused,
    get_or_refuse,
    key_of,
    to_utc,
    transactional,
)
from identity.models import User

from ..errors import (
    ClientUnavailable,
    FormatUnsuitable,
    NotPaid,
    OutcomeTooEarly,
    RescheduledTooOften,
    ServiceUnavailable,
    SlotTaken,
    StartInPast,
    TooLateToCancel,
    TooLateToReschedule,
    ZoneUnknown,
)
from ..models.schedule import AvailabilitySlot
from ..models.services import Service
from ..models.times import BLOCKING
from . import calendar, deadlines
from .announcements import acting_role, refund_is_due, refund_told, tell, track
from .calendar import Time
from .chains import Chain

if TYPE_CHECKING:
    from ..models import Appointment

SWEEP = 100  # holds per transaction of expire_holds


@dataclass(frozen=True)
class Cancellation:
    """What a cancellation comes to. ``refund_amount``: whole roubles due back to the client."""

    appointment: Appointment
    refund_amount: int


@dataclass(frozen=True)
class Request:
    """What a caller asked for, to tell a repetition from another request with the same key."""

    client_request_id: str
    service: object
    client: object
    lead: object
    slot: object
    start: datetime | None

    @property
    def meets(self) -> Q:
        """Its earlier answer, and whoever keeps its slot."""
        answer = Q(client_request_id=self.client_request_id)
        try:
            return answer | Q(slot=UUID(str(self.slot)), status__in=BLOCKING)
        except ValueError:  # no slot, or none that there could be
            return answer

    def answered_by(self, earlier: Appointment) -> Appointment:
        """The first appointment of a repeated request. Raises IdempotencyConflict."""
        same = (
            is_key(self.service, earlier.service_id)
            and is_key(self.client, earlier.client_id)
            and is_key(self.lead, earlier.lead_id)
            and (self.slot is None or is_key(self.slot, earlier.slot_id))
            and (self.start is None or self.start == earlier.start_at_utc)
        )
        if not same:
            raise IdempotencyConflict(appointment=earlier.pk)
        return earlier


class AppointmentQuerySet(EntityQuerySet):
    def book(
        self,
        *,
        service: RowOrKey[Service],
        client_request_id: str,
        timezone: str,
        format: str,
        slot: RowOrKey[AvailabilitySlot] | None = None,
        start: datetime | None = None,
        client: RowOrKey[User] | None = None,
        lead: RowOrKey[Lead] | None = None,
        topic: Topic | str | None = None,
        deep_link_id: str | None = None,
        entry_point: str | None = None,
        clock: Clock = wall_clock,
    ) -> Appointment:
        """Hold a time for 15 minutes (settings.HOLD_MINUTES) until it is paid; free of charge, it
        is confirmed at once.

        ``slot`` or ``start``, aware; ``client`` or ``lead`` or both. The same client_request_id
        again returns the first appointment, whatever has become of it.

        Raises SlotTaken; SlotUnsuitable, StartInPast, ZoneUnknown, FormatUnsuitable, InvalidInput;
        ServiceUnavailable, ClientUnavailable; NotFound; IdempotencyConflict.
        """
        request = Request(
            client_request_id=calendar.request_key(client_request_id),
            service=key_of(service),
            client=key_of(client),
            lead=key_of(lead),
            slot=key_of(slot),
            start=None if start is None else to_utc(start, "start"),
        )
        earlier = self._at_a_glance(request, clock=clock)
        if earlier is not None:
            return request.answered_by(earlier)
        try:
            return self._book(
                request,
                timezone=timezone,
                format=format,
                topic=topic,
                deep_link_id=deep_link_id,
                entry_point=entry_point,
                clock=clock,
            )
        except Refused:
            # It may have been answered meanwhile, and be refused because of that.
            earlier = self.filter(client_request_id=request.client_request_id).first()
            if earlier is None:
                raise
        return request.answered_by(earlier)

    def _at_a_glance(self, request: Request, *, clock: Clock) -> Appointment | None:
        """The earlier answer to a request. Raises SlotTaken when somebody keeps its slot.

        Most requests for a popular hour end here: one query, no lock, no transaction.
        """
        columns = ("client_request_id", "slot", "status", "hold_expires_at")
        met = list(self.filter(request.meets).only(*columns))
        for row in met:
            if row.client_request_id == request.client_request_id:
                return self.filter(pk=row.pk).first()
        if met and not all(calendar.is_stale(row, clock()) for row in met):
            raise SlotTaken(slot=met[0].slot_id)
        return None

    def _book(
        self,
        request: Request,
        *,
        timezone: str,
        format: str,
        topic: Topic | str | None,
        deep_link_id: str | None,
        entry_point: str | None,
        clock: Clock,
    ) -> Appointment:
        client, lead = request.client, request.lead
        if client is None and lead is None:
            raise InvalidInput(field="client")
        check_origin(deep_link_id, entry_point)
        offered = offered_service(request.service, timezone=timezone, format=format)
        time = calendar.choose_time(offered, slot=request.slot, start=request.start)
        # A time that is kept without this slot ends here, without a transaction.
        now = clock()
        if time.start <= now:
            raise StartInPast(start=time.start)
        met = calendar.keeping(self, time)
        if any(not calendar.is_stale(a, now) for a in met) or calendar.is_blocked(time):
            raise SlotTaken(start=time.start)
        row = self.model(
            service=offered,
            client_id=None if client is None else available_client(client).pk,
            lead_id=None if lead is None else get_or_refuse(Lead.objects.all(), lead).pk,
            client_request_id=request.client_request_id,
            start_at_utc=time.start,
            end_at_utc=time.end,
            buffer_minutes=time.buffer_minutes,
            slot_id=time.slot_id,
            timezone=timezone,
            format=format,
            price_amount=offered.price_amount,
            deposit_amount=offered.deposit_amount,
            topic_id=None if topic is None else known_topic(topic).pk,
            deep_link_id=deep_link_id,
            entry_point=entry_point,
        )
        return self._take(row, request, clock=clock)

    @transactional
    def _take(self, row: Appointment, request: Request, *, clock: Clock) -> Appointment:
        now = clock()
        if row.price_amount == 0:
            row.status, row.confirmed_at = "confirmed", now
        else:
            row.hold_expires_at = now + timedelta(minutes=settings.HOLD_MINUTES)
        placed = calendar.place(self, row, now)
        if placed.pk != row.pk:
            return request.answered_by(placed)
        if placed.client_id is not None:
            # Again: the INSERT has waited for whoever was deleting this person.
            available_client(placed.client_id)
        tell("appointment_booked", placed, hold_expires_at=placed.hold_expires_at)
        track(
            "booking_slot_selected",
            placed,
            slot_start_at=placed.start_at_utc,
            timezone=placed.timezone,
            is_public_slots=placed.slot_id is not None,
            clock=clock,
        )
        if placed.status == "confirmed":
            announce_confirmation(placed, clock=clock)
        return placed

    def expire_holds(self, *, clock: Clock = wall_clock) -> int:
        """Cancel every hold that ran out and free its slot; returns how many there were.

        In transactions of 100. A hold that is being paid at this moment is left to the payment.
        """
        total = 0
        while done := self._expire_some(clock=clock):
            total += done
        return total

    @transactional
    def _expire_some(self, *, clock: Clock) -> int:
        now = clock()
        holds = calendar.stale_holds(self, now, limit=SWEEP)
        calendar.expire(self, holds, now)
        calendar.hand_over(freed=[hold.slot_id for hold in holds])
        return len(holds)


class AppointmentVerbs:
    """Each reads the row again under its lock, and brings ``self`` up to date."""

    @transactional
    def confirm(self, *, actor: User | None = None, clock: Clock = wall_clock) -> Self:
        """From paid to confirmed; repeatable.

        Raises NotPaid while the deposit, or the price without one, has not come in;
        TransitionRefused, NotFound.
        """
        chain, row = self._locked()
        if row.status == "paid":
            confirm(row, chain, actor=actor, clock=clock)
        elif row.status != "confirmed":
            raise refused(row, "confirmed")
        return self._up_to_date()

    @transactional
    def cancel(
        self,
        *,
        by: str,
        reason_category: str | None = None,
        actor: User | None = None,
        clock: Clock = wall_clock,
    ) -> Cancellation:
        """Give the time back. ``by``: client or provider.

        Answers with the refund due, whole roubles: by the client as the service's policy says
        (deadlines.refund_due), by the provider all that was paid. The same again answers the same.
        A hold that ran out stays as it is.

        Raises TooLateToCancel for a client once the session has begun, TransitionRefused,
        InvalidInput, NotFound.
        """
        if by not in ("client", "provider"):
            raise InvalidInput(field="by")
        check_reason(self, reason_category)
        chain, row = self._locked()
        if row.status == "canceled" and row.outcome in (None, f"canceled_by_{by}"):
            # As it was told then: the policy may have changed, and more money have come and gone.
            told = refund_told(row)
            refund = refund_of(row, chain, row.canceled_at) if told is None else told
            return Cancellation(self._up_to_date(), refund)
        if row.status not in BLOCKING:
            raise refused(row, "canceled")
        now = clock()
        if by == "client" and row.status == "confirmed" and now >= row.start_at_utc:
            raise TooLateToCancel(start=row.start_at_utc)
        row.status, row.canceled_at = "canceled", now
        record(row, f"canceled_by_{by}", reason_category, actor=actor, now=now)
        row.save(update_fields=["status", "canceled_at", *OUTCOME])
        calendar.hand_over(freed=[row.slot_id])
        refund = refund_of(row, chain, now)
        tell("appointment_canceled", row, by=by, refund_amount=refund)
        give_back(chain, refund)
        announce_outcome(row, actor=actor, clock=clock)
        return Cancellation(self._up_to_date(), refund)

    @transactional
    def reschedule(
        self,
        *,
        slot: RowOrKey[AvailabilitySlot] | None = None,
        start: datetime | None = None,
        timezone: str | None = None,
        by: str = "client",
        actor: User | None = None,
        clock: Clock = wall_clock,
    ) -> Appointment:
        """Move a confirmed session; returns the new appointment, confirmed too.

        Price and payments stay as agreed, payments with the first row of the chain. A client
        moves it reschedule_min_hours before the start at the latest, reschedule_max_count times at
        most; the provider is not held to that. The same again returns the same appointment.

        Raises SlotTaken, SlotUnsuitable, StartInPast, ZoneUnknown, TooLateToReschedule,
        RescheduledTooOften, TransitionRefused, InvalidInput, NotFound.
        """
        if by not in ("client", "provider"):
            raise InvalidInput(field="by")
        if (slot is None) == (start is None):
            raise InvalidInput(field="slot")
        start = None if start is None else to_utc(start, "start")
        chain, row = self._locked()
        service = offered_service(
            row.service_id, timezone=timezone or row.timezone, format=row.format, published=False
        )
        if row.status == "rescheduled":
            return same_move(row, chain, slot=slot, start=start)
        time = calendar.choose_time(service, slot=slot, start=start)
        if row.status != "confirmed":
            raise refused(row, "rescheduled")
        now = clock()
        if time.start <= now:
            raise StartInPast(start=time.start)
        if by == "client":
            may_move(row, chain, service, now)
        rows = type(row).objects.all()
        others = calendar.keeping(rows, time).exclude(pk=row.pk)
        # Asked before the old time is given up: two sessions that change places would otherwise
        # wait for each other.
        if any(not calendar.is_stale(a, now) for a in others) or calendar.is_blocked(time):
            raise SlotTaken(start=time.start)
        row.status = "rescheduled"
        record(row, "rescheduled", None, actor=actor, now=now)
        row.save(update_fields=["status", *OUTCOME])
        moved = calendar.place(
            rows, successor(row, time, status="confirmed", confirmed_at=now, timezone=timezone), now
        )
        if row.slot_id != moved.slot_id:
            calendar.hand_over(freed=[row.slot_id])
        tell("appointment_rescheduled", row, appointment_id=moved.pk, new_start_at=time.start)
        announce_outcome(row, actor=actor, clock=clock)
        announce_confirmation(moved, clock=clock)
        self._up_to_date()
        return moved

    @transactional
    def record_outcome(
        self,
        *,
        outcome: str,
        reason_category: str | None = None,
        actor: User | None = None,
        clock: Clock = wall_clock,
    ) -> Self:
        """Record that a confirmed session was attended or not (no_show). Repeatable.

        Raises OutcomeTooEarly before the start, TransitionRefused, InvalidInput, NotFound.
        """
        if outcome not in ("attended", "no_show"):
            raise InvalidInput(field="outcome")
        check_reason(self, reason_category)
        _chain, row = self._locked()
        if row.status == "completed" and row.outcome == outcome:
            return self._up_to_date()
        if row.status != "confirmed":
            raise refused(row, "completed")
        now = clock()
        if now < row.start_at_utc:
            raise OutcomeTooEarly(start=row.start_at_utc)
        row.status = "completed"
        record(row, outcome, reason_category, actor=actor, now=now)
        row.save(update_fields=["status", *OUTCOME])
        tell("appointment_completed", row, outcome=outcome)
        announce_outcome(row, actor=actor, clock=clock)
        return self._up_to_date()

    def _locked(self) -> tuple[Chain, Appointment]:
        chain = Chain.locked(type(self).objects.all(), self.pk)
        return chain, chain[self.pk]

    def _up_to_date(self) -> Self:
        self.refresh_from_db()
        return self


OUTCOME = (
    "outcome",
    "outcome_reason_category",
    "outcome_recorded_at",
    "outcome_recorded_by_role",
)


def offered_service(
    service: RowOrKey[Service], *, timezone: str, format: str, published: bool = True
) -> Service:
    """The service as it is now. The server is asked in the same query whether it knows the zone."""
    if not isinstance(timezone, str) or UNSTORABLE.search(timezone):
        raise ZoneUnknown(field="timezone")
    known = Func(Value(timezone), function="is_time_zone", output_field=BooleanField())
    offered = get_or_refuse(Service.objects.annotate(zone_is_known=known), service)
    if published and offered.status != "published":
        raise ServiceUnavailable(service=offered.pk)
    if not offered.zone_is_known:
        raise ZoneUnknown(field="timezone")
    allowed = ("online", "offline") if offered.format == "hybrid" else (offered.format,)
    if published and format not in allowed:
        raise FormatUnsuitable(field="format")
    return offered


def check_origin(deep_link_id: object, entry_point: object) -> None:
    if deep_link_id is not None and not (
        isinstance(deep_link_id, str) and re.fullmatch(patterns.OPAQUE_ID, deep_link_id)
    ):
        raise InvalidInput(field="deep_link_id")
    if entry_point is not None and entry_point not in EntryPoint.values:
        raise InvalidInput(field="entry_point")


def known_topic(topic: Topic | str) -> Topic:
    code = key_of(topic)
    if not isinstance(code, str) or UNSTORABLE.search(code):
        raise NotFound(what="topic")
    return get_or_refuse(Topic.objects.all(), code)


def available_client(client: RowOrKey[User]) -> User:
    person = get_or_refuse(User.objects.all(), client)
    if person.status != "active":
        raise ClientUnavailable(client=person.pk)
    return person


def same_move(
    row: Appointment,
    chain: Chain,
    *,
    slot: RowOrKey[AvailabilitySlot] | None,
    start: datetime | None,
) -> Appointment:
    """Where a session was moved before, if that is where it is to be moved again."""
    for moved in chain:
        if moved.rescheduled_from_id == row.pk and (
            is_key(key_of(slot), moved.slot_id) if start is None else start == moved.start_at_utc
        ):
            return moved
    raise refused(row, "rescheduled")


def is_key(given: object, stored: UUID | None) -> bool:
    """Whether a caller's key, in whatever spelling, is this one."""
    try:
        return (None if given is None else UUID(str(given))) == stored
    except ValueError:
        return False


def may_move(row: Appointment, chain: Chain, service: Service, now: datetime) -> None:
    # A limit that is not set is none before the session, but one that has begun is not moved.
    limit = service.reschedule_min_hours or 0
    if row.start_at_utc - now < deadlines.hours(limit) or row.start_at_utc <= now:
        raise TooLateToReschedule(hours=limit)
    if service.reschedule_max_count is not None and chain.moves >= service.reschedule_max_count:
        raise RescheduledTooOften(count=service.reschedule_max_count)


def successor(row: Appointment, time: Time, **changed: object) -> Appointment:
    """A new row in place of ``row``, as agreed with the same person, at another time."""
    timezone = changed.pop("timezone", None) or row.timezone
    return type(row)(
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
        **changed,
    )


def confirm(row: Appointment, chain: Chain, *, actor: User | None = None, clock: Clock) -> None:
    """From paid to confirmed, for a locked row. Raises NotPaid."""
    agreed = row.price_amount if row.deposit_amount is None else row.deposit_amount
    if chain.paid() < agreed:
        raise NotPaid(appointment=row.pk)
    row.status, row.confirmed_at = "confirmed", clock()
    row.save(update_fields=["status", "confirmed_at"])
    announce_confirmation(row, actor=actor, clock=clock)


def refund_of(row: Appointment, chain: Chain, canceled_at: datetime) -> int:
    """What is due back for a canceled session. More than its price was given back before, and a
    hold that ran out and was paid late has its money in the row that took its place.
    """
    if row.pk != chain.last.pk:
        return 0
    paid = min(chain.paid(), row.price_amount)
    if row.outcome == "canceled_by_client":
        service = Service.objects.get(pk=row.service_id)
        return deadlines.refund_due(service, paid=paid, start=row.start_at_utc, moment=canceled_at)
    return paid


def give_back(chain: Chain, amount: int) -> None:
    """Spread a refund over the payments of a session, the latest first."""
    for payment in chain.payments.filter(status="succeeded").order_by("-confirmed_at", "-pk"):
        share = min(amount, payment.amount)
        if share > 0:
            refund_is_due(payment, share, "canceled")
        amount -= share


def check_reason(row: Appointment, reason: object) -> None:
    if reason is not None and reason not in row.OutcomeReason.values:
        raise InvalidInput(field="reason_category")


def record(
    row: Appointment, outcome: str, reason: str | None, *, actor: User | None, now: datetime
) -> None:
    row.outcome, row.outcome_reason_category = outcome, reason
    row.outcome_recorded_at, row.outcome_recorded_by_role = now, acting_role(actor)


def announce_confirmation(row: Appointment, *, actor: User | None = None, clock: Clock) -> None:
    tell("appointment_confirmed", row, format=row.format)
    track(
        "booking_confirmed",
        row,
        appointment_start_at=row.start_at_utc,
        timezone=row.timezone,
        format=row.format,
        clock=clock,
    )


def announce_outcome(row: Appointment, *, actor: User | None, clock: Clock) -> None:
    track(
        "appointment_outcome_recorded",
        row,
        actor=actor,
        appointment_id=row.pk,
        scheduled_start_at=row.start_at_utc,
        outcome=row.outcome,
        recorded_by_role=row.outcome_recorded_by_role,
        reason_category=row.outcome_reason_category,
        clock=clock,
    )


def refused(row: Appointment, wanted: str) -> TransitionRefused:
    return TransitionRefused(entity="appointments", id=row.pk, status=row.status, wanted=wanted)
