"""Slots from working hours (states.md, "Booking")."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Exists, Max, OuterRef, Q, QuerySet
from django.utils import timezone

from audit.services import publish_event
from ebalance.db.ids import uuid7
from ebalance.failures import Skipped, reason_of
from ebalance.services import Clock, lock_rows, transactional

from ..errors import RuleZoneUnknown
from ..models import Appointment, AvailabilitySlot, ScheduleRule, Service
from ..models.times import BLOCKING
from .offers import (
    BusyTimes,
    Intervals,
    Offer,
    check_period,
    choose_offers,
    get_zone,
    list_offers,
)

logger = logging.getLogger(__name__)

# Only one generation runs at a time. A role that only reads the table cannot take this lock.
GENERATION_LOCK = "LOCK TABLE schedule_rules IN SHARE ROW EXCLUSIVE MODE"
MAX_BUSY_LENGTH = timedelta(hours=12, minutes=120)  # a session and its break
MARGIN = timedelta(days=2)  # more than the difference of two zones

INSERT = """
INSERT INTO availability_slots AS slot
    (id, service_id, schedule_rule_id, start_at_utc, end_at_utc, buffer_minutes, status, source)
SELECT id, service_id, rule_id, start_at_utc, end_at_utc, buffer_minutes, 'available', 'product'
FROM unnest(%s::uuid[], %s::uuid[], %s::uuid[], %s::timestamptz[], %s::timestamptz[],
            %s::smallint[])
    AS offer (id, service_id, rule_id, start_at_utc, end_at_utc, buffer_minutes)
ON CONFLICT (start_at_utc, end_at_utc, source, service_id) DO UPDATE
    SET status = 'available', schedule_rule_id = EXCLUDED.schedule_rule_id,
        buffer_minutes = EXCLUDED.buffer_minutes
    WHERE slot.status = 'withdrawn'
RETURNING id, schedule_rule_id
"""


@dataclass(frozen=True)
class GeneratedSlots:
    """The numbers of changed slots, and the number of offers left out, by reason."""

    created: int = 0
    restored: int = 0  # withdrawn earlier, now available again
    withdrawn: int = 0  # free, but no rule offers them any more
    past: int = 0  # not after now
    blocked: int = 0  # in blocked time
    booked: int = 0  # an appointment keeps the time
    offered: int = 0  # a slot for the same service exists already
    skipped: Skipped = field(default_factory=dict)  # rules whose slots could not be made


@transactional
def generate_slots(
    first: date,
    last: date,
    *,
    rules: QuerySet[ScheduleRule] | None = None,
    clock: Clock = timezone.now,
) -> GeneratedSlots:
    """Make the slots from ``first`` to ``last`` agree with the schedule rules.

    Days are local in the zone of each rule, both included, at most 366. ``rules`` restricts the
    rules whose slots are made and withdrawn; default: all. A rule is used if it is active, within
    its valid days, and for a published service. A slot is as long as a session of the service. A
    rule without a service is for any service, so its slots are as long as the longest published
    session. offers.py describes what happens around clock changes.

    Withdrawn is a future available slot of a rule if no rule offers its time, service and break
    any more. A withdrawn slot is available again once a rule offers it. All other slots stay as
    they are.

    Left out is an offer that does not start after now; that overlaps blocked time, without the
    breaks; that overlaps, breaks included, an appointment that keeps its time (also an expired
    hold that is not canceled yet); or that overlaps, breaks included, a slot for the same service,
    or another slot for any. Slots of different services may overlap: the rule
    appointments_no_overlap decides which of them is booked.

    A rule whose slots cannot be made is logged and left to the next run; the other rules get their
    slots.

    Repeatable: a second run changes nothing. Slots for one service never overlap. Only one
    generation runs at a time.

    Raises PeriodInvalid, and the error of the first rule if no rule could be used, such as
    RuleZoneUnknown for a zone that Python does not know.
    """
    check_period(first, last)
    with connection.cursor() as cursor:
        cursor.execute(GENERATION_LOCK)
    makers = [*(ScheduleRule.objects.all() if rules is None else rules)]
    # A slot is withdrawn only if no rule at all offers it, and a day has other limits in the zone
    # of another rule.
    in_force = filter_rules_in_force(first - MARGIN, last + MARGIN)
    lengths = get_session_lengths(in_force)
    errors: dict[ScheduleRule, Exception] = {}
    offers: dict[ScheduleRule, list[Offer]] = {}
    for rule in in_force:
        with _errors_of(rule, errors):
            if minutes := lengths[rule.service_id]:
                offers[rule] = [*list_offers(rule, first - MARGIN, last + MARGIN, minutes)]
    now = clock()
    sound = [rule for rule in makers if rule not in errors]
    unoffered = list_unoffered_slots(sound, offers, first, last, now=now)
    counts = _write_by_rule(unoffered, withdraw_slots, errors)
    wanted = [
        offer
        for rule in makers
        for offer in offers.get(rule, ())
        if first <= get_local_day(offer.start, rule) <= last
    ]
    chosen, left_out = choose_offers(wanted, read_busy_times(wanted), now=now)
    by_rule = group_by_rule((offer.rule, offer) for offer in chosen)
    counts += _write_by_rule(by_rule, insert_slots, errors)
    skipped = {rule.pk: reason_of(error) for rule, error in errors.items() if rule in makers}
    used = {*unoffered, *(offer.rule for offer in wanted)}
    if skipped and errors.keys() >= used:
        raise next(iter(errors.values()))
    # Another transaction may have inserted the same slot meanwhile.
    tried = sum(offer.rule not in errors for offer in chosen)
    left_out["offered"] += tried - counts["created"] - counts["restored"]
    return GeneratedSlots(**counts, **left_out, skipped=skipped)


@contextmanager
def _errors_of(rule: ScheduleRule, errors: dict[ScheduleRule, Exception]) -> Iterator[None]:
    """Run the block; an error of the rule alone is logged and stored."""
    try:
        yield
    except Exception as error:
        logger.error("the slots of rule %s were not made: %s", rule.pk, reason_of(error))
        errors[rule] = error


def _write_by_rule[T](
    rows: Mapping[ScheduleRule, list[T]],
    write: Callable[[Mapping[ScheduleRule, list[T]]], Counter[str]],
    errors: dict[ScheduleRule, Exception],
) -> Counter[str]:
    """Write the rows of all rules, rule by rule if one of them is refused. Returns the numbers."""
    if not rows:
        return Counter()
    try:
        with transaction.atomic():
            return write(rows)
    except Exception as error:
        reason_of(error)  # raises the error of a lost connection
    counts: Counter[str] = Counter()
    for rule, each in rows.items():
        with _errors_of(rule, errors), transaction.atomic():
            counts += write({rule: each})
    return counts


def group_by_rule[T](pairs: Iterable[tuple[ScheduleRule, T]]) -> dict[ScheduleRule, list[T]]:
    groups: dict[ScheduleRule, list[T]] = defaultdict(list)
    for rule, each in pairs:
        groups[rule].append(each)
    return groups


def filter_rules_in_force(first: date, last: date) -> QuerySet[ScheduleRule]:
    return ScheduleRule.objects.filter(
        Q(service=None) | Q(service__status="published"),
        Q(valid_until=None) | Q(valid_until__gte=first),
        is_active=True,
        valid_from__lte=last,
    ).select_related("service")


def get_session_lengths(rules: Iterable[ScheduleRule]) -> dict[UUID | None, int | None]:
    """Minutes by service. For no service: those of the longest published one, or None."""
    lengths: dict[UUID | None, int | None] = {
        rule.service_id: rule.service.duration_minutes for rule in rules if rule.service
    }
    if any(rule.service_id is None for rule in rules):
        published = Service.objects.filter(status="published")
        lengths[None] = published.aggregate(longest=Max("duration_minutes"))["longest"]
    return lengths


def list_unoffered_slots(
    makers: list[ScheduleRule],
    offers: Mapping[ScheduleRule, list[Offer]],
    first: date,
    last: date,
    *,
    now: datetime,
) -> dict[ScheduleRule, list[UUID]]:
    """Keys of the free slots from ``first`` to ``last`` that none of the offers contains any more.

    Only slots that the rules ``makers`` have made, by rule.
    """
    offered = {
        (offer.start, offer.end, offer.service_id, rule.buffer_minutes)
        for rule, each in offers.items()
        for offer in each
    }
    day = datetime.combine(first, time(), UTC)
    slots = AvailabilitySlot.objects.filter(
        ~Exists(Appointment.objects.filter(slot=OuterRef("pk"), status__in=BLOCKING)),
        schedule_rule__in=makers,
        status="available",
        start_at_utc__gt=max(now, day - MARGIN),
        start_at_utc__lt=day + (last - first) + MARGIN,
    )
    by_key = {rule.pk: rule for rule in makers}
    return group_by_rule(
        (rule, slot.pk)
        for slot in slots
        if slot.schedule_rule_id
        and (rule := by_key[slot.schedule_rule_id])
        and first <= get_local_day(slot.start_at_utc, rule) <= last
        and (slot.start_at_utc, slot.end_at_utc, slot.service_id, slot.buffer_minutes)
        not in offered
    )


def get_local_day(start: datetime, rule: ScheduleRule) -> date:
    """The day in the zone of the rule. The day in UTC if Python does not know the zone."""
    try:
        return start.astimezone(get_zone(rule)).date()
    except RuleZoneUnknown:
        return start.date()


def withdraw_slots(keys: Mapping[ScheduleRule, list[UUID]]) -> Counter[str]:
    """Withdraw those of the slots that are still available, and publish the numbers by rule.

    A concurrent booking keeps its slot: the status is read again under the lock.
    """
    wanted = [key for each in keys.values() for key in each]
    slots = AvailabilitySlot.objects.filter(pk__in=wanted, status="available")
    locked = lock_rows(slots) if wanted else []
    slots.filter(pk__in=[slot.pk for slot in locked]).update(status="withdrawn")
    by_rule = Counter(slot.schedule_rule_id for slot in locked)
    for rule in keys:
        if count := by_rule[rule.pk]:
            publish_event("slots_withdrawn", rule, withdrawn=count)
    return Counter(withdrawn=len(locked))


def read_busy_times(offers: list[Offer]) -> BusyTimes:
    """Appointments and slots around the offers, in two queries."""
    if not offers:
        return BusyTimes()
    begins = min(offer.start for offer in offers) - MAX_BUSY_LENGTH
    ends = max(offer.busy_until for offer in offers)
    nearby = {"start_at_utc__gt": begins, "start_at_utc__lt": ends}
    times = ["start_at_utc", "end_at_utc", "buffer_minutes"]

    booked = Appointment.objects.filter(status__in=BLOCKING, **nearby).values_list(*times)
    blocked: list[tuple[datetime, datetime]] = []
    offered: dict[UUID | None, list[tuple[datetime, datetime]]] = defaultdict(list)
    slots = AvailabilitySlot.objects.filter(**nearby).exclude(status="withdrawn")
    for status, service_id, *session in slots.values_list("status", "service_id", *times):
        if status == "blocked":
            blocked.append((session[0], session[1]))
        else:
            offered[service_id].append(to_busy_interval(*session))
    return BusyTimes(
        blocked=Intervals(blocked),
        booked=Intervals(to_busy_interval(*session) for session in booked),
        offered={service: Intervals(intervals) for service, intervals in offered.items()},
    )


def to_busy_interval(
    start: datetime, end: datetime, buffer_minutes: int
) -> tuple[datetime, datetime]:
    """The session and its break, like busy_range() of the database."""
    return start, end + timedelta(minutes=buffer_minutes)


def insert_slots(offers: Mapping[ScheduleRule, list[Offer]]) -> Counter[str]:
    """Insert available slots in one statement, or make withdrawn ones available again.

    Publishes the numbers by rule.
    """
    by_id = {uuid7(): offer for each in offers.values() for offer in each}
    if not by_id:
        return Counter()
    columns = zip(
        *(
            (
                id,
                offer.service_id,
                offer.rule.pk,
                offer.start,
                offer.end,
                offer.rule.buffer_minutes,
            )
            for id, offer in by_id.items()
        ),
        strict=True,
    )
    with connection.cursor() as cursor:
        cursor.execute(INSERT, [[*column] for column in columns])
        written = cursor.fetchall()
    by_rule = Counter(rule for _, rule in written)
    for rule in offers:
        if count := by_rule[rule.pk]:
            publish_event("slots_generated", rule, created=count)
    created = sum(id in by_id for id, _ in written)
    return Counter(created=created, restored=len(written) - created)
