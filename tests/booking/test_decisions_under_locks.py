"""A booking decides again under its locks.

Another session keeps the time without committing, so the INSERT of a booking waits. Meanwhile a
third session commits a change that the booking has not seen. Then the first one rolls back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from booking.errors import (
    ClientUnavailable,
    ServiceUnavailable,
    SlotTaken,
    TimeNotOffered,
    TooManyHolds,
)
from booking.models import Appointment, AvailabilitySlot
from booking.services import (
    GeneratedSlots,
    book_appointment,
    close_period,
    generate_slots,
    reschedule_appointment,
)
from ebalance.services import Refused
from tests.booking.outbox_assertions import confirmed, request
from tests.databases import Database
from tests.factories import (
    AppointmentFactory,
    AvailabilitySlotFactory,
    LeadFactory,
    ScheduleExceptionFactory,
    ScheduleRuleFactory,
    ServiceFactory,
    UserFactory,
)
from tests.factories.booking import NEXT_WEEK
from tests.processes import HANG_TIMEOUT, eventually
from tests.services import committing, run_concurrently

pytestmark = pytest.mark.slow

START = NEXT_WEEK + timedelta(days=7300)  # far from the times of the factories
END = START + timedelta(minutes=50)
WAITING = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock'
"""
KEEP_TIME = """
INSERT INTO appointments (service_id, client_user_id, start_at_utc, end_at_utc, timezone, format,
                          price_amount, deposit_amount, hold_expires_at)
SELECT s.id, u.id, %s, %s, 'Europe/Moscow', 'online', 5000, 1000, now() + interval '15 minutes'
FROM services s, users u LIMIT 1
"""


@pytest.fixture
def committed(fresh_database: Database, django_db_blocker: Any) -> Iterator[Database]:
    with committing(fresh_database, django_db_blocker):
        yield fresh_database


@contextmanager
def waiting(
    database: Database, statement: str, params: list[Any], call: Callable[[], Any], end: str
) -> Iterator[Any]:
    """Run ``call`` in a thread until it waits for ``statement``; then the block, then ``end``.

    Yields a list, which has the result of the call at the end: a row or a refusal.
    """
    results: list[Any] = []

    def run() -> Any:
        try:
            return call()
        except Refused as refusal:
            return refusal
        finally:
            connection.close()

    with (
        database.connect() as other,
        database.connect(autocommit=True) as watcher,
        ThreadPoolExecutor(1) as thread,
    ):
        other.execute(statement, params)
        answer = thread.submit(run)
        assert eventually(lambda: answer.done() or watcher.execute(WAITING).fetchone() != (0,))
        assert not answer.done(), answer.result()
        yield results
        other.execute(end)
        results.append(answer.result(HANG_TIMEOUT))


def wait_for_the_time(database: Database, call: Callable[[], Any]) -> Any:
    return waiting(database, KEEP_TIME, [START, END], call, "ROLLBACK")


def change(row: Any, **values: Any) -> None:
    assert type(row).objects.filter(pk=row.pk).update(**values) == 1


def block_the_time(values: dict[str, Any]) -> None:
    AvailabilitySlotFactory(
        from_calendar=True, blocked=True, start_at_utc=END - timedelta(minutes=1), end_at_utc=END
    )


CHANGES: dict[str, tuple[Callable[[dict[str, Any]], None], type[Refused] | None]] = {
    "nothing": (lambda values: None, None),
    "the time is blocked": (block_the_time, SlotTaken),
    "the slot is blocked": (
        lambda values: change(values["slot"], status="blocked", block_type="exception"),
        SlotTaken,
    ),
    "the slot is withdrawn": (lambda values: change(values["slot"], status="withdrawn"), SlotTaken),
    "the slot is moved": (
        lambda values: change(values["slot"], start_at_utc=START + timedelta(minutes=1)),
        SlotTaken,
    ),
    "the slot has another service": (
        lambda values: change(values["slot"], service=ServiceFactory()),
        SlotTaken,
    ),
    "the slot has a longer break": (
        lambda values: change(values["slot"], buffer_minutes=11),
        SlotTaken,
    ),
    "the service is archived": (
        lambda values: change(values["service"], status="archived"),
        ServiceUnavailable,
    ),
    "the client is blocked": (
        lambda values: change(values["client"], status="blocked"),
        ClientUnavailable,
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_booking_reads_again_after_it_waited(committed: Database, name: str) -> None:
    values = request(
        slot=AvailabilitySlotFactory(
            from_rule=True, start_at_utc=START, end_at_utc=END, buffer_minutes=10
        )
    )
    act, refusal = CHANGES[name]
    with wait_for_the_time(committed, lambda: book_appointment(**values)) as results:
        act(values)
    (result,) = results
    assert isinstance(result, refusal or Appointment), result
    slot = AvailabilitySlot.objects.get(pk=values["slot"].pk)
    assert (slot.status == "reserved") == (refusal is None)
    assert Appointment.objects.count() == (refusal is None)


@pytest.mark.parametrize("is_blocked", [False, True])
def test_move_reads_again_after_it_waited(committed: Database, is_blocked: bool) -> None:
    row = confirmed()
    slot = AvailabilitySlotFactory(start_at_utc=START, end_at_utc=END)
    with wait_for_the_time(
        committed, lambda: reschedule_appointment(row.pk, slot=slot.pk)
    ) as results:
        if is_blocked:
            block_the_time({})
    row.refresh_from_db()
    slot.refresh_from_db()
    if is_blocked:
        assert isinstance(results[0], SlotTaken)
        assert (row.status, slot.status) == ("confirmed", "available")
    else:
        assert (row.status, slot.status) == ("rescheduled", "reserved")


@pytest.mark.parametrize("by", ["client", "lead"])
def test_concurrent_bookings_of_one_person_make_three_holds(committed: Database, by: str) -> None:
    person = UserFactory() if by == "client" else LeadFactory()
    service = ServiceFactory(published=True)
    requests = [request(service=service, **{by: person}) for _ in range(8)]
    results = run_concurrently(*(lambda values=v: book_appointment(**values) for v in requests))
    names = sorted(type(result).__name__ for result in results)
    assert names == ["Appointment"] * 3 + ["TooManyHolds"] * 5
    assert {r.details["count"] for r in results if isinstance(r, TooManyHolds)} == {3}
    assert AvailabilitySlot.objects.filter(status="reserved").count() == 3


def test_generation_keeps_a_slot_that_is_being_booked(committed: Database) -> None:
    rule = ScheduleRuleFactory(service=ServiceFactory(published=True), is_active=False)
    day = START.date()
    slots = [
        AvailabilitySlotFactory(
            schedule_rule=rule,
            start_at_utc=START + n * timedelta(hours=1),
            end_at_utc=END + n * timedelta(hours=1),
        )
        for n in range(2)
    ]
    statement = "UPDATE availability_slots SET status = 'reserved' WHERE id = %s"
    days = (day - timedelta(days=1), day + timedelta(days=1))
    with waiting(
        committed, statement, [slots[0].pk], lambda: generate_slots(*days), "COMMIT"
    ) as results:
        pass
    assert results == [GeneratedSlots(withdrawn=1)]
    statuses = [AvailabilitySlot.objects.get(pk=slot.pk).status for slot in slots]
    assert statuses == ["reserved", "withdrawn"]


def test_booking_does_not_take_a_slot_that_is_being_withdrawn(committed: Database) -> None:
    slot = AvailabilitySlotFactory(from_rule=True)
    values = request(slot=slot)
    statement = "UPDATE availability_slots SET status = 'withdrawn' WHERE id = %s"
    with waiting(
        committed, statement, [slot.pk], lambda: book_appointment(**values), "COMMIT"
    ) as results:
        pass
    assert isinstance(results[0], SlotTaken)
    assert not Appointment.objects.exists()


# -- closed periods ------------------------------------------------------------------------------

PERIOD = (START.date(), START.date())


def close_day() -> None:
    ScheduleExceptionFactory(starts_on=PERIOD[0], ends_on=PERIOD[1], timezone="UTC")


def test_booking_waits_for_the_period_that_is_being_closed(committed: Database) -> None:
    slot = AvailabilitySlotFactory(start_at_utc=START, end_at_utc=END)
    values = request(slot=slot)
    with waiting(
        committed,
        "LOCK TABLE appointments IN EXCLUSIVE MODE",
        [],
        lambda: book_appointment(**values),
        "COMMIT",
    ) as results:
        close_day()
    assert isinstance(results[0], TimeNotOffered)
    assert not Appointment.objects.exists()


def test_closing_reports_the_session_that_is_being_booked(committed: Database) -> None:
    """Also one without a slot, which staff may book in a closed period."""
    ServiceFactory()
    UserFactory()
    close = partial(close_period, *PERIOD, timezone="UTC")
    with waiting(committed, KEEP_TIME, [START, END], close, "COMMIT") as results:
        pass
    assert [each.pk for each in results[0].booked] == [Appointment.objects.get().pk]


def test_closing_reports_the_hold_that_is_being_paid_late(committed: Database) -> None:
    past = timezone.now() - timedelta(minutes=1)
    hold = AppointmentFactory(start_at_utc=START, end_at_utc=END, hold_expires_at=past)
    close = partial(close_period, *PERIOD, timezone="UTC")
    lock = "SELECT FROM appointments WHERE id = %s FOR NO KEY UPDATE"
    keep = f"UPDATE appointments SET hold_expires_at = '{END}' WHERE id = '{hold.pk}'; COMMIT"
    with waiting(committed, lock, [hold.pk], close, keep) as results:
        pass
    assert [each.pk for each in results[0].booked] == [hold.pk]


def test_generation_honours_the_period_that_is_being_closed(committed: Database) -> None:
    ScheduleRuleFactory(
        service=ServiceFactory(published=True), weekday=START.isoweekday(), timezone="UTC"
    )
    with waiting(
        committed,
        "LOCK TABLE schedule_rules IN SHARE ROW EXCLUSIVE MODE",
        [],
        lambda: generate_slots(*PERIOD),
        "COMMIT",
    ) as results:
        close_day()
    assert results[0].created == 0
    assert results[0].closed > 0
    assert not AvailabilitySlot.objects.exists()
