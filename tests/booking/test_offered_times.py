"""Clients book offered time only, and keep at most three unpaid holds; staff override."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from booking.errors import SlotTaken, StartInPast, TimeNotOffered, TooManyHolds
from booking.models import Appointment, AvailabilitySlot
from booking.services import book_appointment, cancel_appointment, reschedule_appointment
from ebalance.services import InvalidInput, NotPermitted
from identity.models import User
from tests.booking.outbox_assertions import (
    at,
    confirmed,
    refused,
    request,
    writes_nothing,
)
from tests.factories import (
    AppointmentFactory,
    AvailabilitySlotFactory,
    LeadFactory,
    ServiceFactory,
    UserFactory,
)
from tests.factories.booking import NEXT_WEEK
from tests.rule_groups import loop_over

pytestmark = pytest.mark.django_db

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
TICK = timedelta(microseconds=1)
LENGTH = timedelta(minutes=50)
OPEN = NEXT_WEEK + 7300 * DAY  # far from the times of the factories
NIGHT = OPEN + 11 * HOUR + 17 * MINUTE


def client_request(**values: Any) -> dict[str, Any]:
    """Return valid arguments of book_appointment(), without the override of request()."""
    return request(**{"override": False} | values)


def long_slot(**values: Any) -> AvailabilitySlot:
    """Three hours from ``OPEN``."""
    return AvailabilitySlotFactory(
        **{"start_at_utc": OPEN, "end_at_utc": OPEN + 3 * HOUR, "buffer_minutes": 10} | values
    )


# -- offered time ---------------------------------------------------------------------------------


@loop_over(
    ("start", "offered"),
    [
        (-TICK, False),
        (timedelta(0), True),
        (HOUR + 17 * MINUTE, True),
        (3 * HOUR - LENGTH, True),
        (3 * HOUR - LENGTH + TICK, False),
        (NIGHT - OPEN, False),
    ],
    ids=["a tick before", "its start", "inside", "until its end", "over its end", "at night"],
)
def test_client_books_a_start_inside_an_offered_slot(start: timedelta, offered: bool) -> None:
    slot = long_slot()
    values = client_request(start=OPEN + start)
    if not offered:
        with refused(TimeNotOffered, start=OPEN + start):
            book_appointment(**values)
        return
    row = book_appointment(**values)
    assert (row.slot_id, row.buffer_minutes) == (slot.pk, 10)
    assert (row.start_at_utc, row.end_at_utc) == (OPEN + start, OPEN + start + LENGTH)
    slot.refresh_from_db()
    assert slot.status == "reserved"


@loop_over(
    "slot",
    [{"reserved": True}, {"withdrawn": True}, {"service": ServiceFactory}],
    ids=["reserved", "withdrawn", "of another service"],
)
def test_slot_that_is_not_available_offers_nothing(slot: dict[str, Any]) -> None:
    long_slot(**{name: value() if callable(value) else value for name, value in slot.items()})
    values = client_request(start=OPEN)
    with refused(TimeNotOffered, start=OPEN):
        book_appointment(**values)


def test_slot_of_an_expired_hold_offers_its_time() -> None:
    slot = long_slot()
    hold = book_appointment(**client_request(start=OPEN))
    values = client_request(start=OPEN + HOUR)
    with refused(TimeNotOffered, start=OPEN + HOUR):
        book_appointment(**values, clock=at(hold.hold_expires_at - TICK))
    late = at(hold.hold_expires_at)
    row = book_appointment(**values, clock=late)
    hold.refresh_from_db()
    assert (row.slot_id, hold.status) == (slot.pk, "canceled")


def test_start_takes_its_own_slot_first_and_then_one_of_the_service() -> None:
    service = ServiceFactory(published=True)
    long_slot()
    own = long_slot(service=service, start_at_utc=OPEN + HOUR)
    row = book_appointment(**client_request(service=service, start=OPEN + HOUR))
    assert row.slot_id == own.pk


def test_slot_with_too_little_time_left_is_not_offered_to_a_longer_service() -> None:
    long_slot()
    service = ServiceFactory(published=True, duration_minutes=181)
    values = client_request(service=service, start=OPEN)
    with refused(TimeNotOffered):
        book_appointment(**values)


# -- override -------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["owner", "assistant"])
def test_staff_book_a_start_that_is_not_offered(role: str) -> None:
    values = client_request(start=NIGHT, override=True, actor=UserFactory(role=role))
    row = book_appointment(**values)
    assert (row.start_at_utc, row.slot_id) == (NIGHT, None)


ACTORS: dict[str, Callable[[], User | None]] = {
    "nobody": lambda: None,
    "a client": UserFactory,
    "an editor": lambda: UserFactory(role="editor"),
}


@pytest.mark.parametrize("who", ACTORS)
def test_override_needs_the_right_to_change_appointments(who: str) -> None:
    values = client_request(start=NIGHT, override=True, actor=ACTORS[who]())
    with refused(NotPermitted):
        book_appointment(**values)
    row, actor = confirmed(), ACTORS[who]()
    with refused(NotPermitted):
        reschedule_appointment(row, start=NIGHT, override=True, actor=actor)


@pytest.mark.parametrize("value", [None, 1, "true", "", []], ids=repr)
def test_override_that_is_no_truth_value_is_refused(value: Any) -> None:
    values = client_request(start=NIGHT, override=value, actor=UserFactory(role="owner"))
    with refused(InvalidInput, field="override"):
        book_appointment(**values)


def test_actor_without_override_books_offered_time_only() -> None:
    values = client_request(start=NIGHT, actor=UserFactory(role="owner"))
    with refused(TimeNotOffered):
        book_appointment(**values)


def test_override_takes_neither_blocked_nor_kept_nor_past_time() -> None:
    staff = {"override": True, "actor": UserFactory(role="owner")}
    AvailabilitySlotFactory(blocked=True, start_at_utc=NIGHT, end_at_utc=NIGHT + HOUR)
    AppointmentFactory(confirmed=True, start_at_utc=OPEN, end_at_utc=OPEN + LENGTH)
    for start in (NIGHT, OPEN):
        values = client_request(start=start, **staff)
        with refused(SlotTaken):
            book_appointment(**values)
    values = client_request(start=OPEN, **staff)
    with refused(StartInPast):
        book_appointment(**values, clock=at(OPEN))


def test_taken_time_is_refused_as_taken_and_not_as_never_offered() -> None:
    """The client learns that the time was offered."""
    long_slot()
    first = book_appointment(**client_request(start=OPEN))
    values = client_request(start=first.start_at_utc)
    with refused(SlotTaken):
        book_appointment(**values)


# -- moves ----------------------------------------------------------------------------------------


def booked_in(slot: AvailabilitySlot, start: Any = OPEN) -> Appointment:
    """A confirmed session inside a slot."""
    service = ServiceFactory(published=True, free=True)
    return book_appointment(**client_request(service=service, start=start))


def test_client_moves_a_session_to_offered_time_only() -> None:
    row = booked_in(long_slot())
    offered = long_slot(start_at_utc=OPEN + DAY, end_at_utc=OPEN + DAY + 2 * HOUR)
    with refused(TimeNotOffered, start=OPEN + 2 * DAY):
        reschedule_appointment(row, start=OPEN + 2 * DAY)
    moved = reschedule_appointment(row, start=OPEN + DAY + HOUR)
    assert (moved.slot_id, moved.buffer_minutes) == (offered.pk, 10)


def test_move_inside_the_slot_keeps_the_slot_and_the_break() -> None:
    slot = long_slot()
    row = booked_in(slot)
    moved = reschedule_appointment(row, start=OPEN + HOUR)
    assert (moved.slot_id, moved.buffer_minutes) == (slot.pk, 10)
    slot.refresh_from_db()
    assert slot.status == "reserved"
    again = reschedule_appointment(moved, slot=slot)
    assert (again.start_at_utc, again.slot_id) == (OPEN, slot.pk)


@loop_over(("of_slot", "kept"), [(0, 10), (10, 10), (25, 25)])
def test_move_keeps_the_longer_break(of_slot: int, kept: int) -> None:
    row = booked_in(long_slot())
    long_slot(start_at_utc=OPEN + DAY, end_at_utc=OPEN + DAY + HOUR, buffer_minutes=of_slot)
    assert reschedule_appointment(row, start=OPEN + DAY).buffer_minutes == kept


def test_staff_move_to_a_time_without_slot_keeps_the_break() -> None:
    slot = long_slot()
    row = booked_in(slot)
    staff = UserFactory(role="owner")
    moved = reschedule_appointment(row, start=NIGHT, by="provider", override=True, actor=staff)
    assert (moved.slot_id, moved.buffer_minutes) == (None, 10)
    slot.refresh_from_db()
    assert slot.status == "available"


def test_move_to_the_same_time_is_none() -> None:
    """It costs no move of the policy, and needs no time left."""
    row = booked_in(long_slot())
    for wanted in ({"start": OPEN}, {"slot": row.slot_id}):
        for clock in (at(OPEN - HOUR), at(OPEN - 30 * DAY)):
            with writes_nothing():
                same = reschedule_appointment(row, **wanted, clock=clock)
            assert (same.pk, same.status) == (row.pk, "confirmed")


# -- unpaid holds ---------------------------------------------------------------------------------


def hold(**values: Any) -> Appointment:
    return book_appointment(**client_request(**values))


def test_client_keeps_three_unpaid_holds() -> None:
    client, service = UserFactory(), ServiceFactory(published=True)
    holds = [hold(client=client, service=service) for _ in range(3)]
    values = client_request(client=client, service=service)
    with refused(TooManyHolds, count=3):
        book_appointment(**values)
    assert hold(service=service).status == "pending_payment"  # another client
    cancel_appointment(holds[0], by="client")
    assert book_appointment(**values).status == "pending_payment"


def test_repeated_request_is_answered_in_spite_of_the_limit() -> None:
    client = UserFactory()
    requests = [client_request(client=client) for _ in range(3)]
    first, *_ = [book_appointment(**values) for values in requests]
    with writes_nothing():
        assert book_appointment(**requests[0]).pk == first.pk


def test_expired_holds_and_sessions_are_not_counted() -> None:
    client = UserFactory()
    holds = [hold(client=client) for _ in range(3)]
    values = client_request(client=client)
    with refused(TooManyHolds):
        book_appointment(**values, clock=at(holds[0].hold_expires_at - TICK))
    for status in ("paid", "confirmed", "canceled"):
        AppointmentFactory(**{status: True}, client=client)
    assert book_appointment(**values, clock=at(holds[-1].hold_expires_at)).status == (
        "pending_payment"
    )


def test_free_session_is_no_hold() -> None:
    client = UserFactory()
    for _ in range(3):
        hold(client=client)
    free = ServiceFactory(published=True, free=True)
    assert hold(client=client, service=free).status == "confirmed"


def test_holds_of_a_lead_without_a_client_are_counted_by_lead() -> None:
    lead = LeadFactory()
    for _ in range(3):
        hold(lead=lead)
    values = client_request(lead=lead)
    with refused(TooManyHolds, count=3):
        book_appointment(**values)
    assert hold(lead=lead, client=UserFactory()).status == "pending_payment"


def test_staff_book_more_holds_with_override() -> None:
    client, staff = UserFactory(), UserFactory(role="assistant")
    for _ in range(4):
        row = hold(client=client, override=True, actor=staff)
    assert row.status == "pending_payment"
    values = client_request(client=client, actor=staff)
    with refused(TooManyHolds, count=4):
        book_appointment(**values)
