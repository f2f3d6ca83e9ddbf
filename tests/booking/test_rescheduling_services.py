"""Rescheduling: the new row has the agreed terms of the old one, which releases its time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from booking.errors import (
    RescheduledTooOften,
    SlotTaken,
    SlotUnsuitable,
    StartInPast,
    TooLateToReschedule,
    ZoneUnknown,
)
from booking.models import Appointment, Payment, Service
from ebalance.db.ids import uuid7
from ebalance.services import InvalidInput, NotFound, TransitionRefused
from identity.models import User
from tests.booking.outbox_assertions import (
    INVALID_KEYS,
    INVALID_TEXTS,
    at,
    book,
    check_refusals,
    confirmed,
    event_types,
    paid,
    refused,
    reschedule,
    stored,
    tracked,
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

TICK = timedelta(microseconds=1)
DAY = timedelta(days=1)
LATER = NEXT_WEEK + 7300 * DAY  # far from the times of the factories


@pytest.fixture(autouse=True)
def owner(db: None) -> User:
    """Staff that by_staff() names: a move by start may override."""
    return UserFactory(role="owner")


# -- effects --------------------------------------------------------------------------------------


def test_session_is_moved_to_another_slot() -> None:
    row = confirmed(
        client=UserFactory(), lead=LeadFactory(), deep_link_id="aB3dE5fG", entry_point="ads"
    )
    Appointment.objects.filter(pk=row.pk).update(
        meeting_url="https://meet.example.org/1", location_text="Кабинет 3"
    )
    slot = AvailabilitySlotFactory(start_at_utc=LATER, buffer_minutes=10)
    now = row.start_at_utc - 2 * DAY
    moved = reschedule(row, slot=slot, clock=at(now))
    old, new = stored(row), stored(moved)
    assert (old["status"], old["outcome"]) == ("rescheduled", "rescheduled")
    assert (old["outcome_recorded_at"], old["outcome_recorded_by_role"]) == (now, "system")
    assert row.status == "rescheduled"
    assert (new["status"], new["confirmed_at"]) == ("confirmed", now)
    assert new["rescheduled_from_id"] == row.pk
    assert (new["start_at_utc"], new["end_at_utc"]) == (LATER, LATER + timedelta(minutes=50))
    assert (new["slot_id"], new["buffer_minutes"]) == (slot.pk, 10)
    for kept in (
        "service_id",
        "client_id",
        "lead_id",
        "price_amount",
        "deposit_amount",
        "format",
        "timezone",
        "topic_id",
        "deep_link_id",
        "entry_point",
        "meeting_url",
        "location_text",
    ):
        assert new[kept] == old[kept], kept
    assert (new["client_request_id"], new["hold_expires_at"], new["outcome"]) == (None, None, None)
    row.slot.refresh_from_db()
    slot.refresh_from_db()
    assert (row.slot.status, slot.status) == ("available", "reserved")


def test_payments_stay_with_the_first_row_of_the_chain() -> None:
    row = confirmed()
    moved = reschedule(reschedule(row, start=LATER), start=LATER + DAY)
    assert {payment.appointment_id for payment in Payment.objects.all()} == {row.pk}
    assert paid(moved, "full").appointment_id == row.pk


def test_move_publishes_and_tracks_its_events() -> None:
    row = confirmed()
    moved = reschedule(row, start=LATER)
    assert event_types(row)[-1] == "appointment_rescheduled"
    assert event_types(moved) == ["appointment_confirmed"]
    (properties,) = tracked("appointment_outcome_recorded")
    assert (properties["outcome"], properties["appointment_id"]) == ("rescheduled", str(row.pk))
    starts = [event["appointment_start_at"] for event in tracked("booking_confirmed")]
    assert datetime.fromisoformat(starts[-1]) == LATER


def test_moved_session_keeps_its_price_and_takes_the_current_duration() -> None:
    row = confirmed()
    row.service.price_amount, row.service.duration_minutes = 9999, 80
    row.service.status = "archived"
    row.service.save()
    moved = reschedule(row, start=LATER)
    assert moved.price_amount == row.price_amount == 5000
    assert moved.end_at_utc - moved.start_at_utc == timedelta(minutes=80)


def test_move_may_change_the_time_zone() -> None:
    row = confirmed()
    assert reschedule(row, start=LATER, timezone="Asia/Omsk").timezone == "Asia/Omsk"


def test_session_moves_into_its_own_time() -> None:
    """The new time overlaps only the session itself."""
    row = confirmed()
    moved = reschedule(row, start=row.start_at_utc + timedelta(minutes=30))
    assert moved.status == "confirmed"
    row.slot.refresh_from_db()
    assert row.slot.status == "available"


@pytest.mark.parametrize("role", ["owner", "assistant"])
def test_move_records_the_role_of_the_actor(role: str) -> None:
    row = confirmed()
    reschedule(row, start=LATER, by="provider", actor=UserFactory(role=role))
    assert row.outcome_recorded_by_role == role


# -- repetition -----------------------------------------------------------------------------------


def test_repeated_move_returns_the_same_row() -> None:
    row, slot = confirmed(), AvailabilitySlotFactory(start_at_utc=LATER)
    moved = reschedule(row, slot=slot)
    with writes_nothing():
        for wanted in ({"slot": slot}, {"slot": str(slot.pk)}, {"start": LATER}):
            again = reschedule(Appointment.objects.get(pk=row.pk), **wanted)
            assert again.pk == moved.pk
        assert reschedule(row, slot=slot, clock=at(LATER + DAY)).pk == moved.pk


@pytest.mark.parametrize("other", ["slot", "start"])
def test_second_move_of_one_row_to_another_time_is_refused(other: str) -> None:
    row = confirmed()
    reschedule(row, start=LATER)
    wanted = {"slot": AvailabilitySlotFactory()} if other == "slot" else {"start": LATER + DAY}
    with refused(TransitionRefused, status="rescheduled", wanted="rescheduled"):
        reschedule(row, **wanted)


def test_moved_session_is_moved_again_from_its_new_row() -> None:
    row = confirmed()
    moved = reschedule(row, start=LATER)
    again = reschedule(moved, start=LATER + DAY)
    assert (again.rescheduled_from_id, again.status) == (moved.pk, "confirmed")
    with writes_nothing():
        assert reschedule(row, start=LATER).pk == moved.pk


# -- limits of the policy -------------------------------------------------------------------------

H = timedelta(hours=1)
MOVES: list[tuple[int | None, timedelta, bool]] = [
    (12, 12 * H, True),
    (12, 12 * H - TICK, False),
    (0, TICK, True),
    (0, timedelta(0), False),
    (0, -TICK, False),
    (None, TICK, True),
    (None, timedelta(0), False),
    (None, -H, False),
    (2**31 - 1, 100 * DAY, False),
]


@pytest.fixture
def session(db: None) -> Appointment:
    """A session that is booked and paid for."""
    return confirmed()


@loop_over(("limit", "left", "allowed"), MOVES)
def test_client_moves_a_session_only_the_agreed_hours_before(
    session: Appointment, limit: int | None, left: timedelta, allowed: bool
) -> None:
    Service.objects.filter(pk=session.service_id).update(reschedule_min_hours=limit)
    row = Appointment.objects.get(pk=session.pk)
    now = at(row.start_at_utc - left)
    if allowed:
        assert reschedule(row, start=LATER, clock=now).status == "confirmed"
    else:
        with refused(TooLateToReschedule, hours=limit or 0):
            reschedule(row, start=LATER, clock=now)


@loop_over("limit", [0, 1, 2])
def test_client_moves_a_session_only_the_agreed_number_of_times(
    session: Appointment, limit: int
) -> None:
    Service.objects.filter(pk=session.service_id).update(reschedule_max_count=limit)
    row = Appointment.objects.get(pk=session.pk)
    for number in range(limit):
        row = reschedule(row, start=LATER + number * DAY)
    with refused(RescheduledTooOften, count=limit):
        reschedule(row, start=LATER + 10 * DAY)


def test_client_moves_a_session_any_number_of_times_without_a_limit() -> None:
    row = confirmed(service=ServiceFactory(published=True, reschedule_max_count=None))
    for number in range(4):
        row = reschedule(row, start=LATER + number * DAY)
    assert row.status == "confirmed"


def test_provider_moves_a_session_beyond_the_limits() -> None:
    service = ServiceFactory(published=True, reschedule_max_count=0, reschedule_min_hours=24)
    row = confirmed(service=service)
    moved = reschedule(row, start=LATER, by="provider", clock=at(row.start_at_utc, hours=2))
    assert moved.status == "confirmed"


# -- refusals -------------------------------------------------------------------------------------


@loop_over("status", ["held", "paid", "canceled", "completed"])
def test_only_a_confirmed_session_is_moved(status: str) -> None:
    row = AppointmentFactory(**{status: True})
    with refused(TransitionRefused, entity="appointments", wanted="rescheduled"):
        reschedule(row, start=LATER)


def test_time_of_another_appointment_is_refused() -> None:
    row, other = confirmed(), AppointmentFactory(held=True, start_at_utc=LATER)
    with refused(SlotTaken):
        reschedule(row, start=LATER)
    with refused(SlotTaken):
        reschedule(row, start=other.end_at_utc - TICK)
    assert reschedule(row, start=other.end_at_utc).status == "confirmed"


def test_move_to_the_same_time_changes_nothing() -> None:
    row = confirmed()
    for wanted in ({"slot": row.slot_id}, {"start": row.start_at_utc}):
        with writes_nothing():
            assert reschedule(row, **wanted) == row
    assert row.status == "confirmed"


def test_blocked_time_is_refused() -> None:
    row = confirmed()
    slot = AvailabilitySlotFactory(blocked=True, start_at_utc=LATER)
    with refused(SlotTaken):
        reschedule(row, slot=slot)
    with refused(SlotTaken):
        reschedule(row, start=LATER + timedelta(minutes=49))
    reserved = AvailabilitySlotFactory(reserved=True)
    with refused(SlotTaken):
        reschedule(row, slot=reserved)


def test_expired_hold_releases_its_slot_to_a_move() -> None:
    row = confirmed()
    stale = book(slot=AvailabilitySlotFactory(start_at_utc=LATER))
    with refused(SlotTaken):
        reschedule(row, slot=stale.slot_id, clock=at(stale.hold_expires_at - TICK))
    moved = reschedule(row, slot=stale.slot_id, clock=at(stale.hold_expires_at))
    stale.refresh_from_db()
    assert (moved.slot_id, stale.status) == (stale.slot_id, "canceled")


def test_unsuitable_slot_is_refused() -> None:
    row = confirmed()
    others = AvailabilitySlotFactory(service=ServiceFactory())
    short = AvailabilitySlotFactory(start_at_utc=LATER, end_at_utc=LATER + timedelta(minutes=49))
    for slot in (others, short):
        with refused(SlotUnsuitable, slot=slot.pk):
            reschedule(row, slot=slot)


def test_start_in_the_past_is_refused() -> None:
    row = confirmed()
    now = row.start_at_utc - 2 * DAY
    for start in (now, now - DAY, datetime.min.replace(tzinfo=UTC)):
        with refused(StartInPast):
            reschedule(row, start=start, clock=at(now))


def test_bad_slot_is_refused() -> None:
    row = AppointmentFactory(confirmed=True)
    check_refusals(lambda value: reschedule(row, slot=value), INVALID_KEYS, NotFound)


def test_bad_start_is_refused() -> None:
    row = AppointmentFactory(confirmed=True)
    values = [
        "",
        "infinity",
        LATER.isoformat(),
        LATER.replace(tzinfo=None),
        LATER.date(),
        datetime.max.replace(tzinfo=UTC),
        float("inf"),
        0,
        [],
    ]
    check_refusals(lambda value: reschedule(row, start=value), values, InvalidInput, field="start")


def test_bad_zone_is_refused() -> None:
    row = AppointmentFactory(confirmed=True)
    check_refusals(
        lambda value: reschedule(row, start=LATER, timezone=value),
        ["Moscow", "+03:00", "a" * 100_000, 3, ["UTC"], *INVALID_TEXTS],
        ZoneUnknown,
    )


def test_unknown_side_does_not_move_a_session() -> None:
    row = AppointmentFactory(confirmed=True)
    check_refusals(
        lambda value: reschedule(row, start=LATER, by=value),
        [None, "", "system", 7, [], *INVALID_TEXTS],
        InvalidInput,
        field="by",
    )


def test_request_names_either_a_slot_or_a_start() -> None:
    row, slot = confirmed(), AvailabilitySlotFactory(start_at_utc=LATER)
    for wanted in ({}, {"slot": slot, "start": LATER}):
        with refused(InvalidInput, field="slot"):
            reschedule(row, **wanted)
    reschedule(row, start=LATER + DAY)
    for wanted in ({}, {"slot": slot, "start": LATER + DAY}):
        with refused(InvalidInput, field="slot"):
            reschedule(row, **wanted)


def test_unknown_appointment_is_refused() -> None:
    row = confirmed()
    row.pk = uuid7()
    with refused(NotFound):
        reschedule(row, start=LATER)
