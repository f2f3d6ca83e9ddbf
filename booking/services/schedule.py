"""Slots from working hours (states.md, "Booking")."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Exists, Max, OuterRef, Q, QuerySet
from django.utils import timezone

from ebalance.failures import Skipped, reason_of
from ebalance.services import Clock, transactional

from ..errors import RuleZoneUnknown
from ..models import Appointment, AvailabilitySlot, ScheduleException, ScheduleRule, Service
from ..models.times import BLOCKING
from .closures import find_exceptions, is_closed_by, is_in_hours
from .offers import (
    BusyTimes,
    Hours,
    Intervals,
    Offer,
    check_period,
    choose_offers,
    get_zone,
    list_offers,
)
from .slot_writes import insert_slots, withdraw_slots

logger = logging.getLogger(__name__)

# Only one generation runs at a time. A role that only reads the table cannot take this lock.
GENERATION_LOCK = "LOCK TABLE schedule_rules IN SHARE ROW EXCLUSIVE MODE"
MAX_BUSY_LENGTH = timedelta(hours=12, minutes=120)  # a session and its break
MARGIN = timedelta(days=2)  # more than the difference of two zones


@dataclass(frozen=True)
class GeneratedSlots:
    """The numbers of changed slots, and the number of offers left out, by reason."""

    created: int = 0
    restored: int = 0  # withdrawn earlier, now available again
    withdrawn: int = 0  # free, but not offered any more
    past: int = 0  # not after now
    closed: int = 0  # after now, in a closed period
    blocked: int = 0  # in blocked time
    booked: int = 0  # an appointment keeps the time
    offered: int = 0  # a slot for the same service exists already
    skipped: Skipped = field(default_factory=dict)  # hours whose slots could not be made


@transactional
def generate_slots(
    first: date,
    last: date,
    *,
    rules: QuerySet[ScheduleRule] | None = None,
    clock: Clock = timezone.now,
) -> GeneratedSlots:
    """Make the slots from ``first`` to ``last`` agree with schedule rules and exceptions.

    Days are local in the zone of each rule, both included, at most 366. ``rules`` restricts the
    rules whose slots are made and withdrawn, and leaves out extra hours; default: all. A rule is
    used if it is active, within its valid days, and for a published service. A slot is as long as
    a session of the service. A rule without a service is for any service, so its slots are as long
    as the longest published session. Extra hours are used as a rule without a break. offers.py
    describes what happens around clock changes.

    A closed period takes away all offers that overlap it, those of extra hours too.

    Withdrawn is a future available slot of a rule or of extra hours if nothing offers its time,
    service and break any more. A withdrawn slot is available again once it is offered. All other
    slots stay as they are.

    Left out is an offer that does not start after now; that is closed; that overlaps blocked time,
    without the breaks; that overlaps, breaks included, an appointment that keeps its time (also an
    expired hold that is not canceled yet); or that overlaps, breaks included, a slot for the same
    service, or another slot for any. Slots of different services may overlap: the rule
    appointments_no_overlap decides which of them is booked.

    A rule whose slots cannot be made is logged and left to the next run; the other rules get their
    slots. The same holds for extra hours.

    Repeatable: a second run changes nothing. Slots for one service never overlap. Only one
    generation runs at a time.

    Raises PeriodInvalid, and the error of the first rule if no rule could be used, such as
    RuleZoneUnknown for a zone that Python does not know.
    """
    check_period(first, last)
    lock_generation()
    return make_slots(first, last, rules=rules, clock=clock)


def lock_generation() -> None:
    with connection.cursor() as cursor:
        cursor.execute(GENERATION_LOCK)


def make_slots(
    first: date,
    last: date,
    *,
    rules: QuerySet[ScheduleRule] | None = None,
    within: Sequence[ScheduleException] = (),
    clock: Clock,
) -> GeneratedSlots:
    """``generate_slots`` under its lock.

    With ``within`` only slots are made and withdrawn that overlap hours of these exceptions. Rules
    then make no slot after the last one that they have made: the practice has not opened those days
    yet.
    """
    # A slot is withdrawn only if nothing at all offers it, and a day has other limits in the zone
    # of another rule.
    early, late = first - MARGIN, last + MARGIN
    exceptions = [*find_exceptions(early - MARGIN, late + MARGIN).select_related("service")]
    closures = [each for each in exceptions if each.kind == "closed"]
    opened = [each for each in exceptions if each.kind == "open"]
    extra = [each for each in opened if is_published(each.service)]
    makers: list[Hours] = [*(ScheduleRule.objects.all() if rules is None else rules)]
    if rules is None:
        makers += opened
    in_force: list[Hours] = [*filter_rules_in_force(early, late), *extra]
    lengths = get_session_lengths(in_force)
    errors: dict[Hours, Exception] = {}
    offers: dict[Hours, list[Offer]] = {}
    closed: list[Offer] = []
    for rule in in_force:
        with _errors_of(rule, errors):
            if minutes := lengths[rule.service_id]:
                listed = [*list_offers(rule, early, late, minutes)]
                shut = {offer for offer in listed if is_offer_closed(closures, offer)}
                offers[rule] = [offer for offer in listed if offer not in shut]
                closed += shut
    now = clock()
    horizon = find_last_start() if within else None

    def is_wanted(offer: Offer) -> bool:
        if not first <= get_local_day(offer.start, offer.rule) <= last:
            return False
        if not within:
            return True
        if isinstance(offer.rule, ScheduleRule) and (horizon is None or offer.start > horizon):
            return False
        return any(is_in_hours(each, offer.start, offer.end) for each in within)

    unoffered = list_unoffered_slots(
        makers, offers, first, last, now=now, errors=errors, all_extra=rules is None, within=within
    )
    counts = _write_by_rule(unoffered, withdraw_slots, errors)
    wanted = [offer for rule in makers for offer in offers.get(rule, ()) if is_wanted(offer)]
    chosen, left_out = choose_offers(wanted, read_busy_times(wanted), now=now)
    left_out["closed"] = sum(
        offer.start > now and offer.rule in makers and is_wanted(offer) for offer in closed
    )
    by_rule = group_by_rule((offer.rule, offer) for offer in chosen)
    counts += _write_by_rule(by_rule, insert_slots, errors)
    skipped = {rule.pk: reason_of(error) for rule, error in errors.items() if rule in makers}
    used = {*unoffered, *(offer.rule for offer in wanted)}
    if skipped and not within and errors.keys() >= used:
        raise next(iter(errors.values()))
    # Another transaction may have inserted the same slot meanwhile.
    tried = sum(offer.rule not in errors for offer in chosen)
    left_out["offered"] += tried - counts["created"] - counts["restored"]
    return GeneratedSlots(**counts, **left_out, skipped=skipped)


@contextmanager
def _errors_of(rule: Hours, errors: dict[Hours, Exception]) -> Iterator[None]:
    """Run the block; an error of the rule alone is logged and stored."""
    try:
        yield
    except Exception as error:
        logger.error("the slots of rule %s were not made: %s", rule.pk, reason_of(error))
        errors[rule] = error


def _write_by_rule[T](
    rows: Mapping[Hours, list[T]],
    write: Callable[[Mapping[Hours, list[T]]], Counter[str]],
    errors: dict[Hours, Exception],
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


def group_by_rule[T](pairs: Iterable[tuple[Hours, T]]) -> dict[Hours, list[T]]:
    groups: dict[Hours, list[T]] = defaultdict(list)
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


def is_published(service: Service | None) -> bool:
    """Also without a service: the sessions are for any."""
    return service is None or service.status == "published"


def is_offer_closed(closures: list[ScheduleException], offer: Offer) -> bool:
    return is_closed_by(closures, offer.service_id, offer.start, offer.end)


def find_last_start() -> datetime | None:
    """The start of the last slot that a rule has made."""
    made = AvailabilitySlot.objects.filter(schedule_rule__isnull=False)
    return made.order_by("-start_at_utc").values_list("start_at_utc", flat=True).first()


def get_session_lengths(rules: Iterable[Hours]) -> dict[UUID | None, int | None]:
    """Minutes by service. For no service: those of the longest published one, or None."""
    lengths: dict[UUID | None, int | None] = {
        rule.service_id: rule.service.duration_minutes for rule in rules if rule.service
    }
    if any(rule.service_id is None for rule in rules):
        published = Service.objects.filter(status="published")
        lengths[None] = published.aggregate(longest=Max("duration_minutes"))["longest"]
    return lengths


def list_unoffered_slots(
    makers: list[Hours],
    offers: Mapping[Hours, list[Offer]],
    first: date,
    last: date,
    *,
    now: datetime,
    errors: Mapping[Hours, Exception],
    all_extra: bool,
    within: Sequence[ScheduleException],
) -> dict[Hours, list[UUID]]:
    """Keys of the free slots from ``first`` to ``last`` that none of the offers contains any more.

    Only slots that the ``makers`` without an error have made, by maker. With ``all_extra`` also
    those of extra hours that were deleted or moved to other days.
    """
    offered = {
        (offer.start, offer.end, offer.service_id, rule.buffer_minutes)
        for rule, each in offers.items()
        for offer in each
    }
    by_key = {rule.pk: rule for rule in makers if rule not in errors}
    made = Q(schedule_rule__in=by_key)
    if all_extra:
        made |= Q(schedule_rule=None, schedule_exception_id__isnull=False)
        made &= ~Q(schedule_exception_id__in=[rule.pk for rule in errors])
    day = datetime.combine(first, time(), UTC)
    slots = AvailabilitySlot.objects.filter(
        made,
        ~Exists(Appointment.objects.filter(slot=OuterRef("pk"), status__in=BLOCKING)),
        status="available",
        start_at_utc__gt=max(now, day - MARGIN),
        start_at_utc__lt=day + (last - first) + MARGIN,
    )
    unoffered: list[tuple[Hours, UUID]] = []
    for slot in slots:
        key = slot.schedule_rule_id or slot.schedule_exception_id
        assert key is not None
        rule = by_key.get(key) or ScheduleException(pk=key)
        time_offered = (slot.start_at_utc, slot.end_at_utc, slot.service_id, slot.buffer_minutes)
        if (
            time_offered not in offered
            and first <= get_local_day(slot.start_at_utc, rule) <= last
            and (
                not within
                or any(is_in_hours(each, slot.start_at_utc, slot.end_at_utc) for each in within)
            )
        ):
            unoffered.append((rule, slot.pk))
    return group_by_rule(unoffered)


def get_local_day(start: datetime, rule: Hours) -> date:
    """The day in the zone of the rule. The day in UTC if Python does not know the zone."""
    try:
        return start.astimezone(get_zone(rule)).date()
    except RuleZoneUnknown:
        return start.date()


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
