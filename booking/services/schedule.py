"""Slots from working hours (states.md, Booking)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from django.apps import apps
from django.db import connection, models
from django.db.models import Max, Q
from django.utils import timezone

from audit.services import publish_event
from ebalance.db.ids import uuid7
from ebalance.db.querysets import EntityQuerySet
from ebalance.services import Clock, lock_rows, transactional

from ..models.times import BLOCKING
from .slots import Busy, Offer, Taken, check_period, choose, offers_of

if TYPE_CHECKING:
    from ..models import ScheduleRule

GENERATION_LOCK = 0x6562_616C_0004  # advisory: generations work one after the other
LONGEST_BUSY = timedelta(hours=12, minutes=120)  # a session and its break

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
    """How many slots were made, and how many times of the grid were left out, and why."""

    created: int = 0
    past: int = 0  # not after now
    blocked: int = 0  # in blocked time
    booked: int = 0  # an appointment keeps the time
    offered: int = 0  # there is a slot for the same service already


class ScheduleRuleQuerySet(EntityQuerySet):
    @transactional
    def generate_slots(
        self, first: date, last: date, *, clock: Clock = timezone.now
    ) -> GeneratedSlots:
        """Make the slots which these rules offer from ``first`` to ``last``.

        Days are local in each rule's zone, both included, at most 366. Rules count when active,
        within their valid days, and for a published service; a slot is as long as a session of
        it. A rule without a service serves any, so its slots are as long as a session of the
        longest one published. slots.py says what happens around clock changes.

        Left out is what does not start after now; what overlaps blocked time, whoever blocked it,
        the breaks not counted; what overlaps, breaks included, an appointment that keeps its time
        (an expired hold too, until it is expired); and what overlaps, breaks included, a slot for
        the same service, or another slot for any. Slots of different services may overlap: the
        rule appointments_no_overlap decides who comes first.

        Repeatable, also with rules changed meanwhile: no slot is ever changed or deleted, and
        offers for one service never overlap. Two generations work one after the other.

        Raises PeriodInvalid, and RuleZoneUnknown for a zone that Python does not know.
        """
        check_period(first, last)
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [GENERATION_LOCK])
        rules = lock_rows(self._in_force(first, last).select_related("service"))
        lengths = session_lengths(rules)
        offers = [
            offer
            for rule in rules
            if (minutes := lengths[rule.service_id])
            for offer in offers_of(rule, first, last, minutes)
        ]
        chosen, left_out = choose(offers, taken_around(offers), now=clock())
        created = insert(chosen)
        for rule in rules:
            if made := created[rule.pk]:
                publish_event("slots_generated", rule, created=made)
        # A stranger may have written the very same slot at this moment.
        left_out["offered"] += len(chosen) - created.total()
        return GeneratedSlots(created=created.total(), **left_out)

    generate_slots.alters_data = True  # type: ignore[attr-defined]

    def _in_force(self, first: date, last: date) -> models.QuerySet[ScheduleRule]:
        return self.filter(
            Q(service=None) | Q(service__status="published"),
            Q(valid_until=None) | Q(valid_until__gte=first),
            is_active=True,
            valid_from__lte=last,
        )


def session_lengths(rules: list[ScheduleRule]) -> dict[UUID | None, int | None]:
    """Minutes by service; of none: the longest published one's, None if there is none."""
    lengths: dict[UUID | None, int | None] = {
        rule.service_id: rule.service.duration_minutes for rule in rules if rule.service
    }
    if any(rule.service_id is None for rule in rules):
        published = apps.get_model("booking.Service").objects.filter(status="published")
        lengths[None] = published.aggregate(longest=Max("duration_minutes"))["longest"]
    return lengths


def taken_around(offers: list[Offer]) -> Taken:
    """What stands between the first of the offers and the last, in two queries."""
    if not offers:
        return Taken()
    begins = min(offer.start for offer in offers) - LONGEST_BUSY
    ends = max(offer.busy_until for offer in offers)
    nearby = {"start_at_utc__gt": begins, "start_at_utc__lt": ends}
    times = ["start_at_utc", "end_at_utc", "buffer_minutes"]

    appointments = apps.get_model("booking.Appointment").objects
    booked = appointments.filter(status__in=BLOCKING, **nearby).values_list(*times)
    blocked: list[tuple[datetime, datetime]] = []
    offered: dict[UUID | None, list[tuple[datetime, datetime]]] = defaultdict(list)
    slots = apps.get_model("booking.AvailabilitySlot").objects.filter(**nearby)
    for status, scope, *session in slots.values_list("status", "service_id", *times):
        if status == "blocked":
            blocked.append((session[0], session[1]))
        else:
            offered[scope].append(busy(*session))
    return Taken(
        blocked=Busy(blocked),
        booked=Busy(busy(*session) for session in booked),
        offered={scope: Busy(intervals) for scope, intervals in offered.items()},
    )


def busy(start: datetime, end: datetime, buffer_minutes: int) -> tuple[datetime, datetime]:
    """What a session keeps busy, like busy_range() of the database."""
    return start, end + timedelta(minutes=buffer_minutes)


def insert(offers: Iterable[Offer]) -> Counter[UUID]:
    """Write available slots, in one statement; how many were new, by rule."""
    by_id = {uuid7(): offer for offer in offers}
    if not by_id:
        return Counter()
    columns = zip(
        *(
            (id, offer.scope, offer.start, offer.end, offer.rule.buffer_minutes)
            for id, offer in by_id.items()
        ),
        strict=True,
    )
    with connection.cursor() as cursor:
        cursor.execute(INSERT, [[*column] for column in columns])
        return Counter(by_id[id].rule.pk for (id,) in cursor.fetchall())
