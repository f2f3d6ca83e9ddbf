"""The view offers nothing that book_appointment() refuses, and its plan uses indexes."""

from __future__ import annotations

import random
from datetime import UTC, datetime, time, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import transaction

from booking.models import (
    Appointment,
    AvailabilitySlot,
    BookableSlot,
    ScheduleException,
    Service,
)
from booking.services import book_appointment
from ebalance.services import Refused
from identity.models import User
from tests.factories import (
    AppointmentFactory,
    AvailabilitySlotFactory,
    ScheduleExceptionFactory,
    ServiceFactory,
    UserFactory,
)
from tests.services import execute

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

FIRST = datetime(2099, 1, 1, 10, tzinfo=UTC)
NOW = datetime(2098, 1, 1, tzinfo=UTC)
ROUNDS, STATES = 10, 1000
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
ZONES = ["UTC", "Europe/Moscow", "America/New_York", "Pacific/Kiritimati", "Asia/Kathmandu"]


@pytest.fixture(autouse=True)
def _clock_of_the_view(_late_clock: None) -> None:
    execute("SELECT set_config('tests.fact_clock', %s, true)", [NOW.isoformat()])


class Round:
    """Independent states, each with one slot on days of its own."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.services = [
            ServiceFactory(published=True, duration_minutes=50),
            ServiceFactory(published=True, duration_minutes=30),
            ServiceFactory(duration_minutes=50),
        ]
        self.client = UserFactory()
        self.slots: list[AvailabilitySlot] = []
        self.appointments: list[Appointment] = []
        self.exceptions: list[ScheduleException] = []
        for n in range(STATES):
            self.add_state(FIRST + 7 * n * DAY)
        AvailabilitySlot.objects.bulk_create(self.slots)
        Appointment.objects.bulk_create(self.appointments)
        ScheduleException.objects.bulk_create(self.exceptions)

    def add_state(self, start: datetime) -> None:
        choice, chance = self.random.choice, self.random.random
        slot = AvailabilitySlotFactory.build(
            service=choice([*self.services, None]),
            start_at_utc=start,
            end_at_utc=start + choice([30, 50, 50, 50, 90]) * MINUTE,
            buffer_minutes=choice([0, 10, 30]),
            status=choice(["available", "available", "reserved"]),
        )
        self.slots.append(slot)
        if chance() < 0.4:
            self.add_appointment(slot)
        if chance() < 0.2:
            shift = choice([-90, -51, -50, -49, 0, 49, 50, 51, 90]) * MINUTE
            blocked = {"start_at_utc": start + shift, "end_at_utc": start + shift + 50 * MINUTE}
            self.slots.append(
                AvailabilitySlotFactory.build(blocked=True, from_calendar=True, **blocked)
            )
        if chance() < 0.4:
            self.add_exception(start)

    def add_appointment(self, slot: AvailabilitySlot) -> None:
        choice = self.random.choice
        shift = choice([-90, -60, -50, -49, 0, 49, 50, 60, 90]) * MINUTE
        at = {"start_at_utc": slot.start_at_utc + shift}
        at["end_at_utc"] = at["start_at_utc"] + 50 * MINUTE
        state: dict[str, Any] = {"confirmed": True, "price_amount": 0, "deposit_amount": None}
        if self.random.random() < 0.6:
            expires = NOW + choice([-1, 0, 1]) * MINUTE
            state = {"status": "pending_payment", "hold_expires_at": expires}
        if shift == 0 * MINUTE and slot.end_at_utc >= at["end_at_utc"]:
            state["slot"] = slot
        self.appointments.append(
            AppointmentFactory.build(
                service=choice(self.services),
                client=self.client,
                buffer_minutes=choice([0, 1, 10]),
                **at,
                **state,
            )
        )

    def add_exception(self, start: datetime) -> None:
        choice = self.random.choice
        first = start.date() + choice([-2, -1, 0, 0, 1]) * DAY
        values: dict[str, Any] = {}
        if self.random.random() < 0.7:
            hour = self.random.randrange(0, 23)
            minute = choice([0, 49, 50])
            values = {"start_local": time(hour, minute), "end_local": time(23, 59)}
        self.exceptions.append(
            ScheduleExceptionFactory.build(
                service=choice([*self.services, None]),
                starts_on=first,
                ends_on=first + choice([0, 1]) * DAY,
                timezone=choice(ZONES),
                **values,
            )
        )


def can_book(service: Service, slot: AvailabilitySlot, client: User) -> bool:
    try:
        with transaction.atomic():
            book_appointment(
                service,
                slot=slot,
                client=client,
                client_request_id=str(uuid4()),
                timezone="UTC",
                format="online",
                clock=lambda: NOW,
            )
            transaction.set_rollback(True)
    except Refused:
        return False
    return True


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_view_offers_exactly_what_is_booked(seed: int) -> None:
    """A slot is listed only if one of its services can be booked in it.

    A slot that is not listed can be booked only where it is longer than the session: the rest of
    the slot may be taken, blocked or closed.
    """
    states = Round(seed)
    listed = {*BookableSlot.objects.values_list("pk", flat=True)}
    client = UserFactory()
    seen = {True: 0, False: 0}
    for slot in states.slots:
        if slot.status == "blocked":
            continue
        services = [slot.service] if slot.service else states.services
        fitting = {service: can_book(service, slot, client) for service in services}
        is_offered = slot.pk in listed
        seen[is_offered] += 1
        if is_offered:
            assert any(fitting.values()), (seed, slot.pk, slot.start_at_utc)
        for service, is_bookable in fitting.items():
            length = slot.end_at_utc - slot.start_at_utc
            if is_bookable and length == service.duration_minutes * MINUTE:
                assert is_offered, (seed, slot.pk, slot.start_at_utc)
    assert min(seen.values()) > STATES // 10, seen


def test_plan_of_the_view_uses_indexes() -> None:
    """It reads slots and appointments by index, although the planner expects too many slots."""
    service = ServiceFactory(published=True)
    ScheduleExceptionFactory()
    execute(
        "INSERT INTO availability_slots (service_id, start_at_utc, end_at_utc, status, block_type) "
        "SELECT %s, time, time + interval '50 minutes', "
        "    CASE n %% 20 WHEN 0 THEN 'blocked' ELSE 'available' END, "
        "    CASE n %% 20 WHEN 0 THEN 'exception' END "
        "FROM generate_series(1, 100000) n, LATERAL (SELECT %s + n * interval '1 hour' AS time) t "
        "ORDER BY random()",
        [service.pk, NOW - timedelta(hours=50_000)],
    )
    execute(
        "INSERT INTO appointments (service_id, client_user_id, start_at_utc, end_at_utc, timezone, "
        "    format, price_amount, hold_expires_at) "
        "SELECT %s, %s, time, time + interval '50 minutes', 'UTC', 'online', 0, time "
        "FROM generate_series(1, 3000) n, LATERAL (SELECT %s + n * interval '1 hour' AS time) t "
        "ORDER BY random()",
        [service.pk, UserFactory().pk, NOW],
    )
    execute("ANALYZE availability_slots, appointments")
    rows = execute(
        "EXPLAIN SELECT * FROM bookable_slots WHERE start_at_utc < %s", [NOW + timedelta(days=30)]
    )
    plan = "\n".join(row["QUERY PLAN"] for row in rows)
    for table in ("availability_slots", "appointments"):
        assert f"Seq Scan on {table}" not in plan, plan
