"""Slots from working hours (states.md, "Booking")."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Max, Q, QuerySet
from django.utils import timezone

from audit.services import publish_event
from ebalance.db.ids import uuid7
from ebalance.failures import Skipped, reason_of
from ebalance.services import Clock, lock_rows, transactional

from ..models import Appointment, AvailabilitySlot, ScheduleRule, Service
from ..models.times import BLOCKING
from .offers import BusyTimes, Intervals, Offer, check_period, choose_offers, list_offers

logger = logging.getLogger(__name__)

# Only one generation runs at a time. A role that only reads the table cannot take this lock.
GENERATION_LOCK = "LOCK TABLE schedule_rules IN SHARE ROW EXCLUSIVE MODE"
MAX_BUSY_LENGTH = timedelta(hours=12, minutes=120)  # a session and its break

INSERT = """
INSERT INTO availability_slots
    (id, service_id, start_at_utc, end_at_utc, buffer_minutes, status, source)
SELECT id, service_id, start_at_utc, end_at_utc, buffer_minutes, 'available', 'product'
FROM unnest(%s::uuid[], %s::uuid[], %s::timestamptz[], %s::timestamptz[], %s::smallint[])
    AS offer (id, service_id, start_at_utc, end_at_utc, buffer_minutes)
ON CONFLICT (start_at_utc, end_at_utc, source, service_id) DO NOTHING
RETURNING id
"""


@dataclass(frozen=True)
class GeneratedSlots:
    """The number of new slots, and the number of offers left out, by reason."""

    created: int = 0
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
    """Create the slots that schedule rules offer from ``first`` to ``last``.

    Days are local in the zone of each rule, both included, at most 366. ``rules`` restricts the
    rules that are used; default: all. A rule is used if it is active, within its valid days, and
    for a published service. A slot is as long as a session of the service. A rule without a
    service is for any service, so its slots are as long as the longest published session.
    offers.py describes what happens around clock changes.

    Left out is an offer that does not start after now; that overlaps blocked time, without the
    breaks; that overlaps, breaks included, an appointment that keeps its time (also an expired
    hold that is not canceled yet); or that overlaps, breaks included, a slot for the same service,
    or another slot for any. Slots of different services may overlap: the rule
    appointments_no_overlap decides which of them is booked.

    A rule whose slots cannot be made is logged and left to the next run; the other rules get their
    slots.

    Repeatable, also with rules that were changed meanwhile: no slot is ever changed or deleted, and
    slots for one service never overlap. Only one generation runs at a time.

    Raises PeriodInvalid, and the error of the first rule if no rule could be used, such as
    RuleZoneUnknown for a zone that Python does not know.
    """
    check_period(first, last)
    with connection.cursor() as cursor:
        cursor.execute(GENERATION_LOCK)
    given = ScheduleRule.objects.all() if rules is None else rules
    used = lock_rows(filter_rules_in_force(given, first, last).select_related("service"))
    lengths = get_session_lengths(used)
    errors: dict[ScheduleRule, Exception] = {}
    offers: list[Offer] = []
    for rule in used:
        with _errors_of(rule, errors):
            if minutes := lengths[rule.service_id]:
                offers += list_offers(rule, first, last, minutes)
    chosen, left_out = choose_offers(offers, read_busy_times(offers), now=clock())
    created = _insert_and_publish(used, chosen, errors)
    if used and len(errors) == len(used):
        raise next(iter(errors.values()))
    # Another transaction may have inserted the same slot meanwhile.
    tried = sum(offer.rule not in errors for offer in chosen)
    left_out["offered"] += tried - created
    skipped = {rule.pk: reason_of(error) for rule, error in errors.items()}
    return GeneratedSlots(created=created, **left_out, skipped=skipped)


@contextmanager
def _errors_of(rule: ScheduleRule, errors: dict[ScheduleRule, Exception]) -> Iterator[None]:
    """Run the block; an error of the rule alone is logged and stored."""
    try:
        yield
    except Exception as error:
        logger.error("the slots of rule %s were not made: %s", rule.pk, reason_of(error))
        errors[rule] = error


def _insert_and_publish(
    rules: list[ScheduleRule], chosen: list[Offer], errors: dict[ScheduleRule, Exception]
) -> int:
    """Insert the slots, rule by rule if one of them is refused. Returns the number of new ones."""
    try:
        with transaction.atomic():
            return _insert_for(rules, chosen)
    except Exception as error:
        reason_of(error)  # raises the error of a lost connection
    created = 0
    for rule in rules:
        with _errors_of(rule, errors), transaction.atomic():
            created += _insert_for([rule], [offer for offer in chosen if offer.rule == rule])
    return created


def _insert_for(rules: list[ScheduleRule], offers: list[Offer]) -> int:
    created = insert_slots(offers)
    for rule in rules:
        if count := created[rule.pk]:
            publish_event("slots_generated", rule, created=count)
    return created.total()


def filter_rules_in_force(
    rules: QuerySet[ScheduleRule], first: date, last: date
) -> QuerySet[ScheduleRule]:
    return rules.filter(
        Q(service=None) | Q(service__status="published"),
        Q(valid_until=None) | Q(valid_until__gte=first),
        is_active=True,
        valid_from__lte=last,
    )


def get_session_lengths(rules: list[ScheduleRule]) -> dict[UUID | None, int | None]:
    """Minutes by service. For no service: those of the longest published one, or None."""
    lengths: dict[UUID | None, int | None] = {
        rule.service_id: rule.service.duration_minutes for rule in rules if rule.service
    }
    if any(rule.service_id is None for rule in rules):
        published = Service.objects.filter(status="published")
        lengths[None] = published.aggregate(longest=Max("duration_minutes"))["longest"]
    return lengths


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
    slots = AvailabilitySlot.objects.filter(**nearby)
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


def insert_slots(offers: Iterable[Offer]) -> Counter[UUID]:
    """Insert available slots in one statement. Returns the number of new ones by rule."""
    by_id = {uuid7(): offer for offer in offers}
    if not by_id:
        return Counter()
    columns = zip(
        *(
            (id, offer.service_id, offer.start, offer.end, offer.rule.buffer_minutes)
            for id, offer in by_id.items()
        ),
        strict=True,
    )
    with connection.cursor() as cursor:
        cursor.execute(INSERT, [[*column] for column in columns])
        return Counter(by_id[id].rule.pk for (id,) in cursor.fetchall())
