"""Schedule rules and availability slots."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import IntegrityError, models, transaction

from booking.models import AvailabilitySlot, ScheduleRule
from tests.factories import (
    AppointmentFactory,
    AvailabilitySlotFactory,
    ScheduleRuleFactory,
    ServiceFactory,
)
from tests.rule_cases import (
    ALL_WRITE_PATHS,
    UPDATES,
    Change,
    check_delete,
    check_refusal_is_discreet,
    each_delete,
    range_cases,
)
from tests.rule_groups import (
    CaseGroup,
    ChangeGroup,
    case_groups,
    change_groups,
    check_case_group,
    check_change_group,
    loop_over,
)
from tests.support import (
    Case,
    breaks,
    delete_sql,
    execute,
    refuses,
    update_sql,
)

pytestmark = pytest.mark.django_db

START = datetime(2027, 3, 1, 7, tzinfo=UTC)
END = START + timedelta(minutes=50)
MICRO = timedelta(microseconds=1)


def hours(name: str, rule: str | None = None, /, **values: Any) -> Case:
    return Case(name, ScheduleRuleFactory, values, rule)


def slot(name: str, rule: str | None = None, /, **values: Any) -> Case:
    return Case(name, AvailabilitySlotFactory, values, rule)


LATER = "schedule_rules_ends_after_start"
LAST_DAY = "schedule_rules_valid_until_after_from"
FIRST = date(2027, 3, 1)


@case_groups(
    *range_cases(ScheduleRuleFactory, "weekday", 1, 7),
    *range_cases(ScheduleRuleFactory, "buffer_minutes", 0, 120),
    hours("no time at all", LATER, start_local=time(10), end_local=time(10)),
    hours("a microsecond", start_local=time(10), end_local=time(10, 0, 0, 1)),
    hours("past midnight", LATER, start_local=time(22), end_local=time(2)),
    hours("until midnight", LATER, start_local=time(22), end_local=time(0)),
    hours("all day", start_local=time(0), end_local=time.max),
    hours("one day", valid_from=FIRST, valid_until=FIRST),
    hours("over before it begins", LAST_DAY, valid_from=FIRST, valid_until=date(2027, 2, 28)),
    hours("open end", valid_until=None),
    hours("any service", service=None),
)
def test_schedule_rule_is_within_its_limits(group: CaseGroup) -> None:
    check_case_group(group)


@breaks("schedule_rules_ends_before_midnight")
def test_working_hours_end_before_midnight() -> None:
    """PostgreSQL accepts 24:00, which is on the next day and which Python cannot represent."""
    rule = ScheduleRuleFactory()
    with pytest.raises(IntegrityError), transaction.atomic():
        update_sql(rule, end_local="24:00")
    assert ScheduleRule.objects.get(pk=rule.pk).end_local == rule.end_local


SESSION = "availability_slots_ends_after_start"
EVENT_ID = "availability_slots_external_id_with_source"
BLOCK_TYPE = "availability_slots_block_type_with_status"
ONCE = "availability_slots_once"
HAS_RULE = "availability_slots_withdrawn_has_rule"
TIMES = {"start_at_utc": START, "end_at_utc": END}


@case_groups(
    *range_cases(AvailabilitySlotFactory, "buffer_minutes", 0, 120),
    slot("no time at all", SESSION, start_at_utc=START, end_at_utc=START),
    slot("backwards", SESSION, start_at_utc=END, end_at_utc=START),
    slot("a microsecond", start_at_utc=START, end_at_utc=START + MICRO),
    slot("12 hours", start_at_utc=START, end_at_utc=START + timedelta(hours=12)),
    slot(
        "longer than 12 hours",
        SESSION,
        start_at_utc=START,
        end_at_utc=START + timedelta(hours=12) + MICRO,
    ),
    slot("own, with an outside event", EVENT_ID, external_event_id="event-1"),
    slot("of the calendar, without its event", EVENT_ID, source="google_calendar"),
    slot("of the calendar", source="google_calendar", external_event_id="event-1"),
    slot("blocked without a reason", BLOCK_TYPE, status="blocked"),
    slot("available with a reason", BLOCK_TYPE, block_type="buffer"),
    slot("reserved with a reason", BLOCK_TYPE, status="reserved", block_type="exception"),
    slot("blocked for an exception", status="blocked", block_type="exception"),
    slot("blocked as a break", status="blocked", block_type="buffer"),
    slot("withdrawn without a rule", HAS_RULE, status="withdrawn"),
    slot("withdrawn, of a rule", withdrawn=True),
    slot("withdrawn, of extra hours", status="withdrawn", schedule_exception_id=uuid4()),
    slot("available, of a rule", from_rule=True),
    slot(
        "the same of the same service",
        ONCE,
        **TIMES,
        service=lambda: AvailabilitySlotFactory(**TIMES, service=ServiceFactory()).service,
    ),
    # NULLS NOT DISTINCT: two slots of any service are the same slot.
    slot(
        "the same of any service",
        ONCE,
        **TIMES,
        service=lambda: AvailabilitySlotFactory(**TIMES).service,
    ),
    slot(
        "the same, blocked",
        ONCE,
        **TIMES,
        blocked=True,
        service=lambda: AvailabilitySlotFactory(**TIMES).service,
    ),
    slot(
        "the same time, another service",
        **TIMES,
        service=lambda: AvailabilitySlotFactory(**TIMES) and ServiceFactory(),
    ),
    slot(
        "the same time, from the calendar",
        **TIMES,
        from_calendar=True,
        service=lambda: AvailabilitySlotFactory(**TIMES).service,
    ),
    slot(
        "the same start, another end",
        start_at_utc=START,
        end_at_utc=END + MICRO,
        service=lambda: AvailabilitySlotFactory(**TIMES).service,
    ),
)
def test_slot_is_within_its_limits_and_unique(group: CaseGroup) -> None:
    check_case_group(group)


def test_slot_of_the_calendar_has_an_event_id() -> None:
    """An empty text is not an event id."""
    row = AvailabilitySlotFactory(from_calendar=True)
    with pytest.raises(IntegrityError), transaction.atomic():
        update_sql(row, external_event_id="")


@change_groups(
    Change("blocked", AvailabilitySlotFactory, {}, {"status": "blocked"}, BLOCK_TYPE),
    Change(
        "blocked with a reason",
        AvailabilitySlotFactory,
        {},
        {"status": "blocked", "block_type": "exception"},
    ),
    Change(
        "unblocked, reason kept",
        AvailabilitySlotFactory,
        {"blocked": True},
        {"status": "available"},
        BLOCK_TYPE,
    ),
    Change(
        "unblocked",
        AvailabilitySlotFactory,
        {"blocked": True},
        {"status": "available", "block_type": None},
    ),
    Change(
        "withdrawn without a rule", AvailabilitySlotFactory, {}, {"status": "withdrawn"}, HAS_RULE
    ),
    Change("withdrawn", AvailabilitySlotFactory, {"from_rule": True}, {"status": "withdrawn"}),
    Change(
        "rule removed from a withdrawn slot",
        AvailabilitySlotFactory,
        {"withdrawn": True},
        {"schedule_rule_id": None},
        HAS_RULE,
    ),
    Change("offered again", AvailabilitySlotFactory, {"withdrawn": True}, {"status": "available"}),
    Change(
        "event forgotten",
        AvailabilitySlotFactory,
        {"from_calendar": True},
        {"external_event_id": None},
        EVENT_ID,
    ),
    Change(
        "taken over from the calendar",
        AvailabilitySlotFactory,
        {"from_calendar": True},
        {"source": "product", "external_event_id": None},
    ),
)
def test_columns_of_a_slot_agree_with_its_status_and_source(group: ChangeGroup) -> None:
    check_change_group(group)


PUT = "availability_slots_reserved_stays_put"
MOVES: dict[str, dict[str, Any]] = {
    "start": {"start_at_utc": lambda row: row.start_at_utc + MICRO},
    "end": {"end_at_utc": lambda row: row.end_at_utc + MICRO},
    "service": {"service_id": lambda row: ServiceFactory().pk},
    "break": {"buffer_minutes": 10},
    "source": {"source": "google_calendar", "external_event_id": "event-1"},
}


def moves(rule: str | None, row: dict[str, Any], more: dict[str, Any]) -> list[Change]:
    return [
        Change(name, AvailabilitySlotFactory, row, {**to, **more}, rule)
        for name, to in MOVES.items()
    ]


@change_groups(*moves(PUT, {"reserved": True}, {}), write_paths=ALL_WRITE_PATHS)
def test_reserved_slot_is_not_moved(group: ChangeGroup) -> None:
    check_change_group(group)


@change_groups(
    *moves(PUT, {"reserved": True}, {"status": "available"}),
    *moves(None, {"status": "available"}, {"status": "reserved"}),
)
def test_reserved_slot_is_not_moved_while_it_is_freed(group: ChangeGroup) -> None:
    """One statement may move and reserve a free slot, but not move and free a reserved one."""
    check_change_group(group)


@change_groups(
    *moves(None, {"status": "available"}, {}),
    *moves(None, {"blocked": True}, {}),
    Change("note", AvailabilitySlotFactory, {"reserved": True}, {"note": "позвонить"}),
    Change("given back", AvailabilitySlotFactory, {"reserved": True}, {"status": "available"}),
)
def test_available_or_blocked_slot_is_moved(group: ChangeGroup) -> None:
    check_change_group(group)


@each_delete
@breaks("availability_slots_no_delete")
def test_reserved_slot_is_not_deleted(delete: Callable[[models.Model], Any]) -> None:
    check_delete(AvailabilitySlotFactory(reserved=True), delete, "availability_slots_no_delete")


@each_delete
@pytest.mark.parametrize("trait", ["available", "blocked"])
def test_available_or_blocked_slot_is_deleted(
    delete: Callable[[models.Model], Any], trait: str
) -> None:
    row = AvailabilitySlotFactory(**{"blocked": True} if trait == "blocked" else {})
    delete(AvailabilitySlot.objects.get(pk=row.pk))
    assert not AvailabilitySlot.objects.exists()


def test_delete_of_many_slots_is_refused_if_one_is_reserved() -> None:
    AvailabilitySlotFactory.create_batch(2)
    AvailabilitySlotFactory(reserved=True)
    with refuses("availability_slots_no_delete", "availability_slots"):
        execute("DELETE FROM availability_slots")
    assert AvailabilitySlot.objects.count() == 3


@pytest.mark.parametrize("table", ["availability_slots", "services"])
@breaks("availability_slots_no_truncate", "services_no_truncate")
def test_table_with_reserved_slots_is_not_truncated(table: str) -> None:
    AvailabilitySlotFactory(reserved=True)
    with refuses(f"{table}_no_truncate", table):
        execute(f"TRUNCATE {table} CASCADE")
    assert AvailabilitySlot.objects.count() == 1


TAKEN = "appointments_one_blocking_per_slot"


def in_slot(row: Any, **traits: Any) -> Any:
    """Create an appointment of the slot, at a separate time."""
    return AppointmentFactory(slot=row, **traits)


@loop_over("blocking", ["held", "paid", "confirmed"])
@breaks(TAKEN)
def test_slot_has_one_blocking_appointment(blocking: str) -> None:
    row = in_slot(AvailabilitySlotFactory(reserved=True), **{blocking: True}).slot
    with refuses(TAKEN, "appointments"):
        in_slot(row)
    assert row.appointments.count() == 1


@loop_over("over", ["canceled", "rescheduled", "completed"])
def test_slot_has_any_number_of_final_appointments(over: str) -> None:
    row = in_slot(AvailabilitySlotFactory(), **{over: True}).slot
    in_slot(row, **{over: True})
    in_slot(row)
    assert row.appointments.count() == 3


@change_groups(
    Change(
        "moved into it",
        AppointmentFactory,
        {},
        {"slot_id": lambda row: in_slot(AvailabilitySlotFactory()).slot_id},
        TAKEN,
    ),
    Change(
        "moved into a free one",
        AppointmentFactory,
        {"in_slot": True},
        # At a start that no factory gives: the appointment's own slot has the next one.
        {"slot_id": lambda row: AvailabilitySlotFactory(**TIMES).pk},
    ),
    Change("moved out", AppointmentFactory, {"in_slot": True}, {"slot_id": None}),
    write_paths=UPDATES,
)
def test_appointment_is_not_moved_into_a_taken_slot(group: ChangeGroup) -> None:
    check_change_group(group)


def test_two_appointments_do_not_swap_their_slots() -> None:
    """One statement cannot do it either, because a unique index is checked row by row."""
    first, second = (in_slot(AvailabilitySlotFactory()) for _ in range(2))
    with refuses(TAKEN, "appointments"):
        execute(
            "UPDATE appointments SET slot_id = CASE id WHEN %s THEN %s::uuid ELSE %s END",
            [first.pk, second.slot_id, first.slot_id],
        )


SECRET = "Мария, звонить после шести"


@pytest.mark.parametrize(
    ("rule", "column", "action"),
    [
        (PUT, "start_at_utc", lambda row: update_sql(row, start_at_utc=START)),
        ("availability_slots_no_delete", "id", delete_sql),
    ],
    ids=[PUT, "availability_slots_no_delete"],
)
def test_refusal_reveals_nothing_about_the_slot(
    rule: str, column: str, action: Callable[[models.Model], Any]
) -> None:
    row = AvailabilitySlotFactory(reserved=True, note=SECRET)
    check_refusal_is_discreet(
        lambda: action(row), rule, "availability_slots", column, SECRET, str(row.pk)
    )
