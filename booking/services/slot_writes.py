"""The writes of generated slots."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from uuid import UUID

from django.db import connection

from audit.services import publish_event
from ebalance.db.ids import uuid7
from ebalance.services import lock_rows

from ..models import AvailabilitySlot, ScheduleException, ScheduleRule
from .offers import Hours, Offer

INSERT = """
INSERT INTO availability_slots AS slot
    (id, service_id, schedule_rule_id, schedule_exception_id, start_at_utc, end_at_utc,
     buffer_minutes, status, source)
SELECT id, service_id, rule_id, exception_id, start_at_utc, end_at_utc, buffer_minutes,
       'available', 'product'
FROM unnest(%s::uuid[], %s::uuid[], %s::uuid[], %s::uuid[], %s::timestamptz[], %s::timestamptz[],
            %s::smallint[])
    AS offer (id, service_id, rule_id, exception_id, start_at_utc, end_at_utc, buffer_minutes)
ON CONFLICT (start_at_utc, end_at_utc, source, service_id) DO UPDATE
    SET status = 'available', schedule_rule_id = EXCLUDED.schedule_rule_id,
        schedule_exception_id = EXCLUDED.schedule_exception_id,
        buffer_minutes = EXCLUDED.buffer_minutes
    WHERE slot.status = 'withdrawn'
RETURNING id, coalesce(schedule_rule_id, schedule_exception_id)
"""


def withdraw_slots(keys: Mapping[Hours, list[UUID]]) -> Counter[str]:
    """Withdraw those of the slots that are still available, and publish the numbers by rule.

    A concurrent booking keeps its slot: the status is read again under the lock.
    """
    wanted = [key for each in keys.values() for key in each]
    slots = AvailabilitySlot.objects.filter(pk__in=wanted, status="available")
    locked = lock_rows(slots) if wanted else []
    slots.filter(pk__in=[slot.pk for slot in locked]).update(status="withdrawn")
    by_rule = Counter(slot.schedule_rule_id or slot.schedule_exception_id for slot in locked)
    for rule in keys:
        if count := by_rule[rule.pk]:
            publish_event("slots_withdrawn", rule, withdrawn=count)
    return Counter(withdrawn=len(locked))


def insert_slots(offers: Mapping[Hours, list[Offer]]) -> Counter[str]:
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
                offer.rule.pk if isinstance(offer.rule, ScheduleRule) else None,
                offer.rule.pk if isinstance(offer.rule, ScheduleException) else None,
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
