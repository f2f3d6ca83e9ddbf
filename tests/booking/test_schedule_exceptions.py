"""Closed periods and extra hours: the services, generation, bookings and the view."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import transaction
from django.utils import timezone

from audit.models import AuditLogEntry
from booking.errors import HoursInvalid, PeriodInvalid, TimeNotOffered, ZoneUnknown
from booking.models import (
    Appointment,
    AvailabilitySlot,
    BookableSlot,
    ScheduleException,
    ScheduleRule,
)
from booking.services import (
    GeneratedSlots,
    book_appointment,
    close_period,
    expire_holds,
    generate_slots,
    open_period,
    remove_exception,
)
from ebalance.services import InvalidInput, NotFound, NotPermitted
from tests.booking.outbox_assertions import book, refused, request
from tests.clocks import fact_clock_at
from tests.factories import (
    AppointmentFactory,
    AvailabilitySlotFactory,
    ScheduleExceptionFactory,
    ScheduleRuleFactory,
    ServiceFactory,
    UserFactory,
)
from tests.rule_groups import CaseGroup, case_groups, check_case_group
from tests.services import execute, nothing_written
from tests.support import Case, breaks, refuses, update_sql

pytestmark = pytest.mark.django_db

MONDAY = date(2099, 1, 5)
NEW_YEAR = datetime(2099, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
SUNDAY = MONDAY - DAY
TIMES = {"timezone": "UTC", "clock": lambda: NEW_YEAR}
WHOLE = {"starts_on": MONDAY, "ends_on": MONDAY, "timezone": "UTC"}


def make_rule(**values: Any) -> ScheduleRule:
    """Mondays 10:00 to 14:00 UTC: four sessions of 50 minutes with breaks of 10."""
    if "service" not in values:
        values["service"] = ServiceFactory(published=True)
    return ScheduleRuleFactory(**{"timezone": "UTC", "valid_from": date(2027, 1, 1)} | values)


def generate(first: date = MONDAY, last: date | None = None) -> GeneratedSlots:
    return generate_slots(first, last or first, clock=lambda: NEW_YEAR)


def close(first: date = MONDAY, last: date | None = None, **values: Any) -> Any:
    return close_period(first, last or first, **TIMES | values)


def extra_hours(start: int, end: int, first: date = MONDAY, **values: Any) -> Any:
    values |= {"start_local": time(start), "end_local": time(end)}
    return open_period(first, first, **TIMES | values)


def hours(status: str) -> list[int]:
    slots = AvailabilitySlot.objects.filter(status=status).order_by("start_at_utc")
    return [slot.start_at_utc.hour for slot in slots]


def slot_at(hour: int) -> AvailabilitySlot:
    return AvailabilitySlot.objects.get(start_at_utc=datetime(2099, 1, 5, hour, tzinfo=UTC))


def bookable() -> set[UUID]:
    return {*BookableSlot.objects.values_list("pk", flat=True)}


# -- rules of the table ---------------------------------------------------------------------------


def exception(name: str, rule: str | None = None, /, **values: Any) -> Case:
    return Case(name, ScheduleExceptionFactory, WHOLE | values, rule)


TOGETHER = "schedule_exceptions_hours_all_or_none"
LATER = "schedule_exceptions_ends_after_start"


@case_groups(
    exception("one day"),
    exception("ends before it begins", "schedule_exceptions_ends_on_after_start", ends_on=SUNDAY),
    exception("366 days", ends_on=MONDAY + 365 * DAY),
    exception("367 days", "schedule_exceptions_at_most_366_days", ends_on=MONDAY + 366 * DAY),
    exception("start alone", TOGETHER, start_local=time(9)),
    exception("end alone", TOGETHER, end_local=time(9)),
    exception("no time at all", LATER, start_local=time(9), end_local=time(9)),
    exception("past midnight", LATER, start_local=time(22), end_local=time(0)),
    exception("all day", start_local=time(0), end_local=time.max),
    exception("open without hours", "schedule_exceptions_open_has_hours", kind="open"),
    exception("extra hours", extra=True),
)
def test_exception_is_within_its_limits(group: CaseGroup) -> None:
    check_case_group(group)


@breaks("schedule_exceptions_ends_before_midnight")
def test_hours_of_an_exception_end_before_midnight() -> None:
    row = ScheduleExceptionFactory(extra=True)
    with refuses("schedule_exceptions_ends_before_midnight"):
        update_sql(row, end_local="24:00")


@breaks("schedule_exceptions_no_truncate")
def test_exceptions_cannot_be_emptied() -> None:
    with refuses("schedule_exceptions_no_truncate", "schedule_exceptions"):
        execute("TRUNCATE schedule_exceptions")


def test_every_writer_of_exceptions_is_audited() -> None:
    row = ScheduleExceptionFactory(**WHOLE, note="secret")
    ScheduleException.objects.filter(pk=row.pk).update(ends_on=MONDAY + DAY)
    execute("DELETE FROM schedule_exceptions")
    execute("SET CONSTRAINTS ALL IMMEDIATE")
    entries = AuditLogEntry.objects.filter(entity_id=row.pk).order_by("seq")
    assert [entry.action for entry in entries] == [
        "schedule_exception_created",
        "schedule_exception_changed",
        "schedule_exception_deleted",
    ]
    assert "secret" not in str([(entry.old_value, entry.new_value) for entry in entries])


# -- closed periods -------------------------------------------------------------------------------


def test_closed_day_withdraws_free_slots_at_once_and_gives_them_back() -> None:
    make_rule()
    generate()
    period = close()
    assert (period.slots.withdrawn, period.booked) == (4, ())
    assert hours("withdrawn") == [10, 11, 12, 13]
    with nothing_written():
        again = close(note="another")
    assert again.exception == period.exception
    assert remove_exception(period.exception, clock=lambda: NEW_YEAR).restored == 4
    assert hours("available") == [10, 11, 12, 13]
    with pytest.raises(NotFound):
        remove_exception(period.exception)


def test_closed_hours_take_the_sessions_that_overlap_them() -> None:
    make_rule()
    generate()
    close(start_local=time(11, 49), end_local=time(12))
    assert (hours("available"), hours("withdrawn")) == ([10, 12, 13], [11])


def test_break_after_a_session_may_be_closed() -> None:
    make_rule()
    generate()
    close(start_local=time(11, 50), end_local=time(12))
    assert hours("available") == [10, 11, 12, 13]


def test_days_are_those_of_the_zone_of_the_exception() -> None:
    make_rule()
    generate()
    # Kiritimati is 14 hours ahead: its Monday ends at 10:00 UTC.
    close(timezone="Pacific/Kiritimati")
    assert hours("available") == [10, 11, 12, 13]
    close(MONDAY + DAY, timezone="Pacific/Kiritimati")
    assert hours("withdrawn") == [10, 11, 12, 13]


def test_period_of_one_service_leaves_the_others() -> None:
    rule, other = make_rule(), make_rule()
    generate()
    close(service=rule.service)
    left = AvailabilitySlot.objects.filter(status="available")
    assert {*left.values_list("schedule_rule", flat=True)} == {other.pk}


def test_generation_honours_an_exception_of_another_writer() -> None:
    make_rule()
    execute(
        "INSERT INTO schedule_exceptions (starts_on, ends_on, timezone, kind) "
        "VALUES ('2099-01-05', '2099-01-05', 'UTC', 'closed')"
    )
    assert generate() == GeneratedSlots(closed=4)
    execute("DELETE FROM schedule_exceptions")
    assert generate() == GeneratedSlots(created=4)


def test_booked_sessions_of_a_closed_period_stay_and_are_returned() -> None:
    rule = make_rule()
    generate()
    row = book(service=rule.service, slot=slot_at(11), clock=lambda: NEW_YEAR)
    period = close()
    assert [each.pk for each in period.booked] == [row.pk]
    row.refresh_from_db()
    assert (row.status, slot_at(11).status) == ("pending_payment", "reserved")
    assert hours("withdrawn") == [10, 12, 13]


def test_time_that_is_closed_is_not_booked_before_generation_ran() -> None:
    rule = make_rule()
    generate()
    slot = slot_at(10)
    row = ScheduleExceptionFactory(**WHOLE)
    for chosen in ({"slot": slot}, {"start": slot.start_at_utc}):
        values = request(service=rule.service, clock=lambda: NEW_YEAR, **chosen)
        with refused(TimeNotOffered):
            book_appointment(**values | {"actor": None, "override": False})
    row.delete()
    assert book(service=rule.service, slot=slot, clock=lambda: NEW_YEAR).slot_id == slot.pk


# -- extra hours ----------------------------------------------------------------------------------


def test_extra_hours_make_slots_until_they_are_removed() -> None:
    service = ServiceFactory(published=True, duration_minutes=60)
    period = extra_hours(18, 20, service=service)
    assert period.slots == GeneratedSlots(created=2)
    slots = AvailabilitySlot.objects.all()
    assert {slot.schedule_exception_id for slot in slots} == {period.exception.pk}
    with nothing_written():
        assert generate() == GeneratedSlots(offered=2)
    book(service=service, slot=slot_at(19), clock=lambda: NEW_YEAR)
    assert remove_exception(period.exception, clock=lambda: NEW_YEAR).withdrawn == 1
    assert (hours("withdrawn"), hours("reserved")) == ([18], [19])


def test_extra_hours_that_another_writer_deletes_are_withdrawn() -> None:
    service = ServiceFactory(published=True, duration_minutes=60)
    extra_hours(18, 20, service=service)
    execute("DELETE FROM schedule_exceptions")
    assert generate() == GeneratedSlots(withdrawn=2)


def test_closed_period_has_precedence_over_extra_hours() -> None:
    service = ServiceFactory(published=True, duration_minutes=60)
    closed = close().exception
    assert extra_hours(18, 20, service=service).slots == GeneratedSlots(closed=2)
    assert remove_exception(closed, clock=lambda: NEW_YEAR).created == 2


# -- arguments and rights -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "refusal"),
    [
        ({"timezone": "Mars/Olympus"}, ZoneUnknown),
        ({"timezone": ""}, ZoneUnknown),
        ({"start_local": time(9)}, HoursInvalid),
        ({"start_local": time(9), "end_local": time(9)}, HoursInvalid),
        ({"start_local": time(9, tzinfo=UTC), "end_local": time(10)}, HoursInvalid),
        ({"start_local": "09:00", "end_local": "10:00"}, HoursInvalid),
        ({"last": MONDAY - DAY}, PeriodInvalid),
        ({"last": MONDAY + 366 * DAY}, PeriodInvalid),
        ({"last": NEW_YEAR}, PeriodInvalid),
        ({"note": "n" * 2001}, InvalidInput),
        ({"note": 7}, InvalidInput),
    ],
    ids=str,
)
def test_invalid_period_is_refused(values: dict[str, Any], refusal: type[Exception]) -> None:
    with nothing_written(), pytest.raises(refusal):
        close(**values)


def test_only_staff_of_the_schedule_change_periods() -> None:
    exception = close().exception
    editor = UserFactory(role="editor")
    for call in (
        lambda: close(MONDAY + DAY, actor=editor),
        lambda: extra_hours(9, 10, actor=editor),
        lambda: remove_exception(exception, actor=editor),
    ):
        with nothing_written(), pytest.raises(NotPermitted):
            call()
    assistant = UserFactory(role="assistant")
    assert close(MONDAY + DAY, actor=assistant).exception.created_by == assistant


# -- bookable_slots -------------------------------------------------------------------------------


@pytest.fixture
def time_now(_late_clock: None) -> Iterator[None]:
    """The view reads the clock of the rules."""
    with fact_clock_at(timezone.now()):
        yield


def a_free_slot(**values: Any) -> AvailabilitySlot:
    return AvailabilitySlotFactory(**values)


def over(slot: AvailabilitySlot, **values: Any) -> dict[str, Any]:
    return {"start_at_utc": slot.start_at_utc, "end_at_utc": slot.end_at_utc, **values}


def test_view_lists_a_free_slot_with_its_columns(time_now: None) -> None:
    service = ServiceFactory(published=True, duration_minutes=50)
    slot = a_free_slot(service=service, buffer_minutes=10)
    (row,) = execute("SELECT * FROM bookable_slots")
    assert row == {
        "slot_id": slot.pk,
        "service_id": service.pk,
        **over(slot),
        "buffer_minutes": 10,
    }
    execute("UPDATE services SET status = 'archived'")
    assert bookable() == set()


def test_view_lists_a_slot_for_any_service_if_one_is_published(time_now: None) -> None:
    slot = a_free_slot(service=None)
    assert bookable() == set()
    ServiceFactory(published=True, duration_minutes=50)
    assert bookable() == {slot.pk}


@pytest.mark.parametrize("status", ["blocked", "withdrawn", "reserved"])
def test_view_lists_available_slots_only(time_now: None, status: str) -> None:
    ServiceFactory(published=True, duration_minutes=50)
    a_free_slot(**{status: True})
    assert bookable() == set()


def test_view_leaves_out_blocked_closed_and_booked_time(time_now: None) -> None:
    service = ServiceFactory(published=True, duration_minutes=50)
    slot = a_free_slot(service=service)
    day = slot.start_at_utc.date()
    for make in (
        lambda: a_free_slot(blocked=True, **over(slot)),
        lambda: ScheduleExceptionFactory(starts_on=day, ends_on=day, timezone="UTC"),
        lambda: AppointmentFactory(service=service, confirmed=True, **over(slot)),
        lambda: AppointmentFactory(
            service=service,
            confirmed=True,
            buffer_minutes=1,
            start_at_utc=slot.start_at_utc - timedelta(minutes=50),
            end_at_utc=slot.start_at_utc,
        ),
    ):
        assert bookable() == {slot.pk}
        with transaction.atomic():
            make()
            assert slot.pk not in bookable()
            transaction.set_rollback(True)


def test_expired_hold_gives_its_slot_back_to_the_view(time_now: None) -> None:
    service = ServiceFactory(published=True, duration_minutes=50)
    slot = a_free_slot(service=service)
    row = book(service=service, slot=slot)
    assert bookable() == set()
    ahead, past = row.hold_expires_at, row.created_at - timedelta(minutes=1)
    Appointment.objects.filter(pk=row.pk).update(hold_expires_at=past)
    assert bookable() == {slot.pk}
    assert ahead > past
    expire_holds()
    assert bookable() == {slot.pk}
