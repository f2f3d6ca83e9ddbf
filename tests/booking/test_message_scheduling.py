"""Messages are scheduled when a session is confirmed, moved or canceled, once each."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from booking.errors import ClientUnavailable
from booking.models import MessageDelivery
from booking.services import (
    cancel_appointment,
    confirm_appointment,
    expire_holds,
    schedule_message,
    schedule_messages,
)
from crm.services import merge_leads
from ebalance.services import IdempotencyConflict, InvalidInput, NotFound, NotPermitted
from tests.booking.messaging import agreed_user, session, statuses
from tests.booking.outbox_assertions import (
    INVALID_KEYS,
    INVALID_TEXTS,
    at,
    book,
    check_refusals,
    confirmed,
    paid,
    refused,
    reschedule,
    writes_nothing,
)
from tests.clocks import LATE, fact_clock_at
from tests.factories import (
    AppointmentFactory,
    AvailabilitySlotFactory,
    LeadFactory,
    LeadIdentityFactory,
    ServiceFactory,
    UserFactory,
)
from tests.factories.base import ahead
from tests.factories.booking import NEXT_WEEK
from tests.support import execute

pytestmark = pytest.mark.django_db

ALL = {"booking_confirmation", "reminder_24h", "reminder_1h"}


@pytest.fixture(autouse=True)
def _real_clock(db: None, _late_clock: None) -> Iterator[None]:
    with fact_clock_at(""):
        yield


def rows(appointment: Any) -> dict[str, MessageDelivery]:
    return {row.kind: row for row in MessageDelivery.objects.filter(appointment=appointment)}


# -- by the services of booking -------------------------------------------------------------------


def test_payment_schedules_confirmation_and_reminders() -> None:
    row = book(client=agreed_user())
    assert statuses(row) == {}
    paid(row)
    made = rows(row)
    assert set(made) == ALL
    for kind, message in made.items():
        assert (message.user_id, message.lead_id) == (row.client_id, None)
        assert (message.channel, message.status) == ("email", "scheduled")
        assert message.dedupe_key == f"{kind}:{row.pk}"
    assert made["booking_confirmation"].due_at <= timezone.now()
    assert made["reminder_24h"].due_at == row.start_at_utc - timedelta(hours=24)
    assert made["reminder_1h"].due_at == row.start_at_utc - timedelta(hours=1)


def test_free_session_schedules_at_booking() -> None:
    row = book(service=ServiceFactory(published=True, free=True))
    assert set(statuses(row)) == ALL


def test_move_cancels_old_messages_and_schedules_new_ones() -> None:
    row = confirmed()
    moved = reschedule(row, slot=AvailabilitySlotFactory(start_at_utc=NEXT_WEEK))
    assert set(statuses(row).values()) == {"canceled"}
    assert statuses(moved) == dict.fromkeys(
        ["rescheduled", "reminder_24h", "reminder_1h"], "scheduled"
    )
    again = reschedule(
        moved, slot=AvailabilitySlotFactory(start_at_utc=NEXT_WEEK + timedelta(days=1))
    )
    assert set(statuses(moved).values()) == {"canceled"}
    assert set(statuses(again)) == {"rescheduled", "reminder_24h", "reminder_1h"}


@pytest.mark.parametrize("by", ["client", "provider"])
def test_cancellation_schedules_its_message_only(by: str) -> None:
    row = confirmed()
    cancel_appointment(row, by=by)
    assert statuses(row) == dict.fromkeys(ALL, "canceled") | {"canceled": "scheduled"}
    with writes_nothing():
        cancel_appointment(row, by=by)


def test_expired_hold_schedules_nothing() -> None:
    row = book()
    with fact_clock_at(LATE):
        assert expire_holds(clock=at(timezone.now(), hours=1)) == 1
    schedule_messages(row)
    assert statuses(row) == {}


def test_repeated_confirmation_schedules_nothing_more() -> None:
    row = confirmed()
    with writes_nothing():
        confirm_appointment(row)
        assert len(schedule_messages(row)) == len(ALL)


# -- schedule_messages ----------------------------------------------------------------------------


def test_messages_of_a_session_from_before_are_scheduled_on_demand() -> None:
    """Of one that another program, or the previous release, confirmed."""
    row = session()
    made = schedule_messages(row.pk)
    assert [message.kind for message in made] == [
        "booking_confirmation",
        "reminder_24h",
        "reminder_1h",
    ]
    with writes_nothing():
        assert schedule_messages(row) == made


@pytest.mark.parametrize(
    ("hours", "kinds"),
    [
        (24.01, ALL),
        (24, {"booking_confirmation", "reminder_1h"}),
        (1.01, {"booking_confirmation", "reminder_1h"}),
        (1, {"booking_confirmation"}),
        (0.01, {"booking_confirmation"}),
        (0, set()),
        (-1, set()),
    ],
)
def test_reminder_is_not_scheduled_after_its_time(hours: float, kinds: set[str]) -> None:
    row = session()
    schedule_messages(row, clock=at(row.start_at_utc - timedelta(hours=hours)))
    assert set(statuses(row)) == kinds


@pytest.mark.parametrize("state", ["pending_payment", "completed", "rescheduled"])
def test_session_in_another_state_schedules_nothing(state: str) -> None:
    traits = {} if state == "pending_payment" else {state: True}
    row = AppointmentFactory(**traits)
    assert schedule_messages(row) == []


def test_cancellation_of_a_session_that_is_over_is_not_announced() -> None:
    row = AppointmentFactory(
        canceled=True, outcome="canceled_by_provider", outcome_recorded_at=timezone.now(),
        outcome_recorded_by_role="owner",
    )  # fmt: skip
    assert schedule_messages(row, clock=at(row.end_at_utc)) == []
    assert [m.kind for m in schedule_messages(row, clock=at(row.start_at_utc))] == ["canceled"]


@pytest.mark.parametrize(
    ("contacts", "consents", "channel"),
    [
        ("email telegram", ["email"], "email"),
        ("email telegram", ["telegram"], "telegram"),
        ("email telegram", ["email", "telegram"], "email"),
        ("email", ["telegram"], "email"),
        ("telegram", ["email"], "telegram"),
        ("phone", ["email", "telegram"], "email"),
    ],
)
def test_channel_follows_contact_and_consent(
    contacts: str, consents: list[str], channel: str
) -> None:
    given = {
        "email": "email" in contacts and "maria@example.com",
        "telegram_user_id": "telegram" in contacts and "123456789",
        "phone": "phone" in contacts and "+79161234567",
    }
    user = agreed_user(*consents, **{name: value or None for name, value in given.items()})
    row = session(user)
    assert {message.channel for message in schedule_messages(row)} == {channel}


def test_lead_gets_messages_by_its_contact() -> None:
    lead = LeadFactory()
    LeadIdentityFactory(lead=lead)
    row = AppointmentFactory(confirmed=True, client=None, lead=lead)
    assert {(m.user_id, m.lead_id, m.channel) for m in schedule_messages(row)} == {
        (None, lead.pk, "email")
    }


def test_only_those_who_may_change_messages_schedule_them() -> None:
    row = session()
    for actor in [UserFactory(role=role) for role in ("assistant", "editor", "client")]:
        with refused(NotPermitted):
            schedule_messages(row, actor=actor)
    assert schedule_messages(row, actor=UserFactory(role="owner"))
    check_refusals(schedule_messages, INVALID_KEYS, NotFound)


# -- schedule_message -----------------------------------------------------------------------------


def test_single_message_is_scheduled_once() -> None:
    user, later = agreed_user(), ahead(hours=5)
    row = schedule_message("answer_ready", dedupe_key="q-1", user=user, due_at=later)
    assert (row.dedupe_key, row.due_at, row.channel) == ("answer_ready:q-1", later, "email")
    with writes_nothing():
        assert schedule_message("answer_ready", dedupe_key="q-1", user=user.pk) == row
    other = UserFactory()
    with refused(IdempotencyConflict):
        schedule_message("answer_ready", dedupe_key="q-1", user=other)
    other = schedule_message("waitlist_offer", dedupe_key="q-1", user=user)
    assert other != row


def test_follow_up_goes_to_the_client_of_its_session() -> None:
    row = AppointmentFactory(completed=True)
    made = schedule_message("follow_up", dedupe_key=f"s-{row.pk}", appointment=row)
    assert (made.user_id, made.appointment_id) == (row.client_id, row.pk)


def test_single_message_refuses_what_it_does_not_know() -> None:
    user = agreed_user()

    def call(**values: Any) -> MessageDelivery:
        given = {"kind": "follow_up", "dedupe_key": "k-1", "user": user, **values}
        return schedule_message(given.pop("kind"), **given)

    kinds = ["reminder_24h", "canceled", "booking_confirmation", "nothing", "", None, 7]
    check_refusals(lambda kind: call(kind=kind), kinds, InvalidInput, field="kind")
    keys = ["", "a b", "maria@example.com", "79161234567", "k" * 141, None, 7, *INVALID_TEXTS]
    check_refusals(lambda key: call(dedupe_key=key), keys, InvalidInput)
    channels = ["phone", "", 7]
    check_refusals(lambda c: call(channel=c), channels, InvalidInput, field="channel")
    check_refusals(lambda key: call(user=key), INVALID_KEYS, NotFound)
    times = [timezone.now().replace(tzinfo=None), "now", 7]
    check_refusals(lambda time: call(due_at=time), times, InvalidInput, field="due_at")
    lead, erased = LeadFactory(), UserFactory(deleted=True)
    assistant = UserFactory(role="assistant")
    with refused(InvalidInput, field="user"):
        call(lead=lead)
    with refused(InvalidInput, field="user"):
        call(user=None)
    with refused(ClientUnavailable):
        call(user=erased)
    with refused(NotPermitted):
        call(actor=assistant)
    assert execute("SELECT count(*) AS n FROM message_deliveries")[0]["n"] == 0


def test_message_to_a_merged_lead_goes_to_the_lead_that_has_its_contacts() -> None:
    lead, into = LeadFactory(), LeadFactory()
    LeadIdentityFactory(lead=lead)
    first = schedule_message("follow_up", dedupe_key="first", lead=lead)
    merge_leads(lead, into=into)
    assert schedule_message("follow_up", dedupe_key="first", lead=lead.pk) == first
    assert schedule_message("follow_up", dedupe_key="second", lead=lead.pk).lead == into
