"""Appointments and their breaks do not overlap (data-model.md §4)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from booking.models import Appointment
from tests.factories import AppointmentFactory, ServiceFactory, UserFactory
from tests.rule_cases import UPDATES, Change, copy_rows
from tests.rule_groups import (
    CaseGroup,
    ChangeGroup,
    case_groups,
    change_groups,
    check_case_group,
    check_change_group,
    loop_over,
)
from tests.support import Case, columns_of, execute, insert_sql, refuses

pytestmark = pytest.mark.django_db

RULE = "appointments_no_overlap"
START = datetime(2027, 3, 1, 10, tzinfo=UTC)
END = START + timedelta(minutes=50)
BREAK = 10
BREAK_END = END + timedelta(minutes=BREAK)
MICRO, MINUTE, SESSION = timedelta(microseconds=1), timedelta(minutes=1), timedelta(minutes=50)


def taken(**traits: Any) -> Appointment:
    """Create an appointment from 10:00 to 10:50 with a break of ten minutes."""
    return AppointmentFactory(start_at_utc=START, end_at_utc=END, buffer_minutes=BREAK, **traits)


def beside(
    name: str, rule: str | None, start: datetime, end: datetime | None = None, **values: Any
) -> Case:
    values = {"start_at_utc": start, "end_at_utc": end or start + SESSION, **values}
    return Case(name, AppointmentFactory, {"service": lambda: taken().service, **values}, rule)


ADJACENT_TIMES = [
    beside("the same time", RULE, START, END),
    beside("within it", RULE, START + MINUTE, END - MINUTE),
    beside("around it", RULE, START - MINUTE, END + MINUTE),
    beside("begins in it", RULE, END - MICRO),
    beside("ends in it", RULE, START - SESSION + MICRO),
    beside("begins when it ends, in the break", RULE, END),
    beside("begins a microsecond before the end of the break", RULE, BREAK_END - MICRO),
    beside("begins after the break", None, BREAK_END),
    beside("ends when it begins", None, START - SESSION, START),
    beside(
        "its own break reaches the next",
        RULE,
        START - SESSION - 9 * MINUTE,
        START - 9 * MINUTE,
        buffer_minutes=10,
    ),
    beside(
        "its own break ends when the next begins",
        None,
        START - SESSION - 10 * MINUTE,
        START - 10 * MINUTE,
        buffer_minutes=10,
    ),
    beside(
        "the longest break reaches the next",
        RULE,
        START - SESSION - 119 * MINUTE,
        START - 119 * MINUTE,
        buffer_minutes=120,
    ),
    beside("a day later", None, START + timedelta(days=1)),
    beside("the same time, of a lead", RULE, START, END, of_lead=True),
    beside("the same time, free and confirmed", RULE, START, END, free=True, confirmed=True),
]


@case_groups(*ADJACENT_TIMES, others=["sql"])
def test_two_appointments_do_not_overlap(group: CaseGroup) -> None:
    check_case_group(group)


def test_appointments_of_different_clients_and_services_do_not_overlap() -> None:
    taken(service=ServiceFactory(), client=UserFactory())
    with refuses(RULE, "appointments"):
        taken(service=ServiceFactory(), client=UserFactory())


@loop_over("blocking", ["held", "paid", "confirmed"])
def test_each_blocking_status_blocks_its_time(blocking: str) -> None:
    taken(**{blocking: True})
    with refuses(RULE, "appointments"):
        taken()


@loop_over("over", ["canceled", "rescheduled", "completed"])
def test_final_statuses_block_no_time(over: str) -> None:
    taken(**{over: True})
    taken(**{over: True})
    taken()
    assert Appointment.objects.count() == 3


def test_hold_blocks_its_time_until_it_is_canceled() -> None:
    """An expiry in the past releases nothing; expire_holds() cancels the row."""
    hold = taken(hold_expires_at=START - timedelta(days=300))
    with refuses(RULE, "appointments"):
        taken()
    hold.status, hold.canceled_at = "canceled", START
    hold.save()
    taken()


NEIGHBOUR = {"start_at_utc": lambda: taken() and BREAK_END, "end_at_utc": BREAK_END + SESSION}


def move(name: str, rule: str | None, **to: Any) -> Change:
    return Change(name, AppointmentFactory, NEIGHBOUR, to, rule)


MOVES = [
    move("a microsecond earlier", RULE, start_at_utc=BREAK_END - MICRO),
    move("onto the other", RULE, start_at_utc=START, end_at_utc=END),
    move("before the other", None, start_at_utc=START - SESSION, end_at_utc=START),
    move(
        "before the other, with a break",
        RULE,
        start_at_utc=START - SESSION,
        end_at_utc=START,
        buffer_minutes=1,
    ),
    move("later", None, start_at_utc=BREAK_END + MINUTE),
]


@change_groups(*MOVES, write_paths=UPDATES)
def test_appointment_is_not_moved_onto_another(group: ChangeGroup) -> None:
    check_change_group(group)


def growth(name: str, rule: str | None, **to: Any) -> Change:
    given = {"start_at_utc": START, "end_at_utc": END, "buffer_minutes": BREAK}
    return Change(name, AppointmentFactory, given, to, rule)


@change_groups(
    growth("longer", RULE, end_at_utc=END + MICRO),
    growth("a longer break", RULE, buffer_minutes=BREAK + 1),
    growth("no break", None, buffer_minutes=0),
    growth("shorter, with a longer break", None, end_at_utc=END - MINUTE, buffer_minutes=BREAK + 1),
)
def test_appointment_is_not_extended_into_the_next(group: ChangeGroup) -> None:
    AppointmentFactory(start_at_utc=BREAK_END, end_at_utc=BREAK_END + SESSION)
    check_change_group(group)


# -- write paths ---------------------------------------------------------------------------------


def two_rows() -> tuple[list[str], list[list[Any]]]:
    """Return columns and values of two new rows for one time; store service and client."""
    given = {"service": ServiceFactory(), "client": UserFactory()}
    rows = [
        columns_of(AppointmentFactory.build(start_at_utc=START, end_at_utc=END, **given))
        for _ in range(2)
    ]
    return list(rows[0]), [list(row.values()) for row in rows]


def one_insert() -> None:
    names, rows = two_rows()
    marks = ", ".join(["%s"] * len(names))
    execute(
        f"INSERT INTO appointments ({', '.join(names)}) VALUES ({marks}), ({marks})",
        [value for row in rows for value in row],
    )


def two_parts_of_a_statement() -> None:
    names, rows = two_rows()
    insert = (
        f"INSERT INTO appointments ({', '.join(names)}) VALUES ({', '.join(['%s'] * len(names))})"
    )
    execute(f"WITH first AS ({insert}) {insert}", [value for row in rows for value in row])


def copy() -> None:
    names, rows = two_rows()
    copy_rows("appointments", names, rows)


def bulk_create() -> None:
    given = {"service": ServiceFactory(), "client": UserFactory()}
    Appointment.objects.bulk_create(
        AppointmentFactory.build(start_at_utc=START, end_at_utc=END, **given) for _ in range(2)
    )


def deferred() -> None:
    execute("SET CONSTRAINTS ALL DEFERRED")
    one_insert()


def view() -> None:
    execute("CREATE TEMPORARY VIEW mine AS SELECT * FROM public.appointments")
    names, rows = two_rows()
    marks = ", ".join(["%s"] * len(names))
    for row in rows:
        execute(f"INSERT INTO mine ({', '.join(names)}) VALUES ({marks})", row)


def other_time_zone() -> None:
    """Insert the same hour in another time zone: 13:00 in Moscow is 10:00 UTC."""
    first, second = (
        AppointmentFactory.build(service=ServiceFactory(), client=UserFactory()) for _ in range(2)
    )
    first.start_at_utc, first.end_at_utc = START, END
    second.start_at_utc, second.end_at_utc = "2027-03-01 13:00", "2027-03-01 13:50"
    insert_sql(first)
    execute("SET LOCAL TIME ZONE 'Europe/Moscow'")
    insert_sql(second)


@pytest.mark.parametrize(
    "attempt",
    [one_insert, two_parts_of_a_statement, copy, bulk_create, deferred, view, other_time_zone],
)
def test_no_write_path_stores_two_appointments_for_one_time(attempt: Callable[[], None]) -> None:
    with refuses(RULE, "appointments"):
        attempt()
    assert not Appointment.objects.exists()


def test_on_conflict_do_nothing_inserts_no_overlapping_row() -> None:
    """book_appointment() inserts like this: a taken time returns no row, no error (states.md)."""
    first = taken()
    names, ((*values,), _) = two_rows()
    written = execute(
        f"INSERT INTO appointments ({', '.join(names)}) VALUES ({', '.join(['%s'] * len(names))}) "
        "ON CONFLICT DO NOTHING RETURNING id",
        values,
    )
    assert written == []
    assert list(Appointment.objects.values_list("pk", flat=True)) == [first.pk]


def test_one_update_does_not_move_two_appointments_onto_one_time() -> None:
    first, second = AppointmentFactory.create_batch(2)
    with refuses(RULE, "appointments"):
        execute("UPDATE appointments SET start_at_utc = %s, end_at_utc = %s", [START, END])
    assert {row.start_at_utc for row in Appointment.objects.all()} == {
        first.start_at_utc,
        second.start_at_utc,
    }


def test_canceled_appointment_is_not_reopened_over_another() -> None:
    row = taken(canceled=True)
    taken()
    with refuses("appointments_status_transition", "appointments"):
        execute(
            "UPDATE appointments SET status = 'confirmed', canceled_at = NULL, outcome = NULL, "
            "outcome_recorded_at = NULL, outcome_recorded_by_role = NULL, confirmed_at = now() "
            "WHERE id = %s",
            [row.pk],
        )
