"""Booking: the first request gets the time, and a repeated request returns the same appointment."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from django.utils.timezone import now as wall_clock

from booking.errors import (
    ClientUnavailable,
    FormatUnsuitable,
    ServiceUnavailable,
    SlotTaken,
    SlotUnsuitable,
    StartInPast,
    ZoneUnknown,
)
from booking.models import Appointment
from booking.services import book_appointment, bookings, cancel_appointment
from crm.models import Lead
from crm.services import merge_leads
from ebalance.db.ids import uuid7
from ebalance.services import IdempotencyConflict, InvalidInput, NotFound, Refused
from tests.booking.outbox_assertions import (
    INVALID_KEYS,
    INVALID_TEXTS,
    at,
    book,
    by_staff,
    check_refusals,
    event_types,
    outbox,
    payload,
    refused,
    request,
    tracked,
    tracked_names,
    writes_nothing,
)
from tests.factories import (
    AppointmentFactory,
    AvailabilitySlotFactory,
    LeadFactory,
    ServiceFactory,
    TopicFactory,
    UserFactory,
)
from tests.factories.base import ago
from tests.factories.booking import DEPOSIT, NEXT_WEEK, PRICE
from tests.rule_groups import loop_over

pytestmark = pytest.mark.django_db

TICK = timedelta(microseconds=1)


# -- a booking ------------------------------------------------------------------------------------


def test_booking_creates_a_hold_until_it_is_paid() -> None:
    topic = TopicFactory()
    slot = AvailabilitySlotFactory(
        end_at_utc=NEXT_WEEK + timedelta(hours=2), start_at_utc=NEXT_WEEK, buffer_minutes=10
    )
    values = request(
        slot=slot,
        topic=topic.pk,
        deep_link_id="aB3dE5fG",
        entry_point="telegram",
        client_request_id="request-1",
    )
    now = wall_clock()
    row = book_appointment(**values, clock=at(now))
    row = Appointment.objects.get(pk=row.pk)
    assert (row.status, row.hold_expires_at) == ("pending_payment", now + timedelta(minutes=15))
    assert (row.confirmed_at, row.canceled_at, row.outcome) == (None, None, None)
    assert (row.service, row.client, row.lead) == (values["service"], values["client"], None)
    assert (row.start_at_utc, row.end_at_utc) == (NEXT_WEEK, NEXT_WEEK + timedelta(minutes=50))
    assert (row.buffer_minutes, row.slot_id) == (10, slot.pk)
    assert (row.price_amount, row.deposit_amount) == (PRICE, DEPOSIT)
    assert (row.timezone, row.format) == ("Europe/Moscow", "online")
    assert (row.topic, row.deep_link_id, row.entry_point) == (topic, "aB3dE5fG", "telegram")
    assert row.client_request_id == "request-1"
    slot.refresh_from_db()
    assert slot.status == "reserved"
    assert event_types(row) == ["appointment_booked"]
    assert payload("appointment_booked") == {
        "service_id": str(row.service_id),
        "start_at_utc": NEXT_WEEK.isoformat().replace("+00:00", "Z"),
        "timezone": "Europe/Moscow",
        "hold_expires_at": row.hold_expires_at.isoformat().replace("+00:00", "Z"),
    }


def test_client_who_books_becomes_a_lead() -> None:
    row = book(entry_point="seo")
    assert tracked_names() == ["booking_slot_selected"]
    (properties,) = tracked("booking_slot_selected")
    assert properties["service_id"] == str(row.service_id)
    assert properties["timezone"] == "Europe/Moscow"
    assert properties["is_public_slots"] is True
    assert datetime.fromisoformat(properties["slot_start_at"]) == row.start_at_utc
    lead = Lead.objects.get()
    assert (lead.source, lead.status) == ("booking", "booking_started")
    assert [identity.user_id for identity in lead.identities.all()] == [row.client_id]


def test_lead_without_an_account_books() -> None:
    lead = LeadFactory()
    row = book(lead=lead)
    assert (row.client_id, row.lead_id) == (None, lead.pk)
    assert len(tracked("booking_slot_selected")) == 1
    assert Lead.objects.get().status == "booking_started"


def test_booking_stores_both_client_and_lead() -> None:
    lead, client = LeadFactory(), UserFactory()
    row = book(client=client, lead=lead)
    assert (row.client_id, row.lead_id) == (client.pk, lead.pk)


def test_free_appointment_is_confirmed_at_once() -> None:
    now = wall_clock()
    row = book(service=ServiceFactory(published=True, free=True), clock=at(now))
    assert (row.status, row.confirmed_at, row.hold_expires_at) == ("confirmed", now, None)
    assert event_types(row) == ["appointment_booked", "appointment_confirmed"]
    assert tracked_names() == ["booking_confirmed", "booking_slot_selected"]
    (properties,) = tracked("booking_confirmed")
    assert properties["format"] == "online"
    assert Lead.objects.get().status == "booked_confirmed"


def test_hold_lasts_as_long_as_the_setting(settings: Any) -> None:
    settings.HOLD_MINUTES = 3
    now = wall_clock()
    assert book(clock=at(now)).hold_expires_at == now + timedelta(minutes=3)


@loop_over(
    ("offered", "wanted"),
    [("online", "online"), ("offline", "offline"), ("hybrid", "online"), ("hybrid", "offline")],
)
def test_service_is_booked_in_the_formats_it_offers(offered: str, wanted: str) -> None:
    row = book(service=ServiceFactory(published=True, format=offered), format=wanted)
    assert row.format == wanted


# -- by a start -----------------------------------------------------------------------------------


def test_start_needs_no_slot() -> None:
    row = book(start=NEXT_WEEK)
    assert (row.slot_id, row.start_at_utc, row.buffer_minutes) == (None, NEXT_WEEK, 0)
    assert tracked("booking_slot_selected")[0]["is_public_slots"] is False


def test_start_may_be_in_any_time_zone() -> None:
    local = NEXT_WEEK.astimezone(timezone(timedelta(hours=7)))
    assert book(start=local).start_at_utc == NEXT_WEEK


def test_start_takes_the_available_slot_with_the_same_start() -> None:
    slot = AvailabilitySlotFactory()
    row = book(start=slot.start_at_utc)
    assert row.slot_id == slot.pk
    slot.refresh_from_db()
    assert slot.status == "reserved"


def test_start_prefers_a_slot_of_the_service() -> None:
    service = ServiceFactory(published=True)
    AvailabilitySlotFactory(start_at_utc=NEXT_WEEK)
    own = AvailabilitySlotFactory(start_at_utc=NEXT_WEEK, service=service)
    AvailabilitySlotFactory(start_at_utc=NEXT_WEEK, service=ServiceFactory())
    assert book(service=service, start=NEXT_WEEK).slot_id == own.pk


@loop_over(
    "slot",
    [
        {"end_at_utc": NEXT_WEEK + timedelta(minutes=49)},
        {"reserved": True},
        {"service": ServiceFactory.build},
    ],
    ids=["too short", "reserved", "another service's"],
)
def test_start_ignores_unsuitable_slots(slot: dict[str, Any]) -> None:
    values = {name: value() if callable(value) else value for name, value in slot.items()}
    if "service" in values:
        values["service"].save()
    AvailabilitySlotFactory(start_at_utc=NEXT_WEEK, **values)
    assert book(start=NEXT_WEEK).slot_id is None


# -- the same request again -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "spelled",
    [
        lambda row: row,
        lambda row: row.pk,
        lambda row: str(row.pk),
        lambda row: str(row.pk).upper(),
        lambda row: row.pk.hex,
    ],
    ids=["row", "uuid", "text", "capitals", "hex"],
)
def test_repeated_request_returns_the_first_appointment(
    spelled: Callable[[Any], Any],
) -> None:
    values = request(lead=LeadFactory(), client=UserFactory())
    first = book_appointment(**values)
    again = {
        name: spelled(value) if name in ("service", "slot", "client", "lead") else value
        for name, value in values.items()
    }
    with writes_nothing():
        assert book_appointment(**again).pk == first.pk


def test_repeated_request_may_have_its_start_in_another_zone() -> None:
    values = request(start=NEXT_WEEK)
    first = book_appointment(**values)
    local = NEXT_WEEK.astimezone(timezone(timedelta(hours=3)))
    with writes_nothing():
        assert book_appointment(**values | {"start": local}).pk == first.pk


def test_repeated_request_returns_the_appointment_in_its_new_state() -> None:
    """The client, the service or the time may be unavailable by then."""
    values = request()
    first = book_appointment(**values)
    cancel_appointment(first, by="client")
    for row, status in ((values["client"], "blocked"), (values["service"], "draft")):
        row.refresh_from_db()
        row.status = status
        row.save()
    with writes_nothing():
        again = book_appointment(**values, clock=at(first.end_at_utc, days=1))
    assert (again.pk, again.status) == (first.pk, "canceled")


@loop_over(
    "other",
    [
        {"service": lambda: ServiceFactory(published=True)},
        {"client": UserFactory},
        {"client": lambda: None, "lead": LeadFactory},
        {"lead": LeadFactory},
        {"slot": AvailabilitySlotFactory},
        {"slot": lambda: None, "start": lambda: NEXT_WEEK - timedelta(days=1)},
        {"service": lambda: "nothing"},
        {"client": lambda: uuid7()},
    ],
    ids=lambda other: " ".join(other),
)
def test_same_key_with_other_content_is_refused(other: dict[str, Any]) -> None:
    values = request()
    first = book_appointment(**values)
    values |= {name: value() for name, value in other.items()}
    with refused(IdempotencyConflict, appointment=first.pk):
        book_appointment(**values)


def test_request_is_the_same_after_its_lead_was_merged() -> None:
    lead, other = LeadFactory(), LeadFactory()
    values = request(client=None, lead=lead)
    first = book_appointment(**values)
    for source, into in ((lead, other), (other, LeadFactory())):
        merge_leads(source, into=into)
        assert book_appointment(**values).pk == first.pk
    values["lead"] = LeadFactory()
    with refused(IdempotencyConflict, appointment=first.pk):
        book_appointment(**values)


# -- taken times ----------------------------------------------------------------------------------


def test_slot_is_booked_once() -> None:
    first = book()
    with refused(SlotTaken):
        book_again(slot=first.slot_id)
    with refused(SlotTaken):
        book_again(start=first.start_at_utc)


def book_again(**values: Any) -> Appointment:
    """Book for another client; all rows that the request needs exist already."""
    return book_appointment(
        **{
            "service": OTHER_ROWS["service"],
            "client": OTHER_ROWS["client"],
            "client_request_id": "another-request",
            "timezone": "Europe/Moscow",
            "format": "online",
        }
        | by_staff(values)
    )


OTHER_ROWS: dict[str, Any] = {}


@pytest.fixture(autouse=True)
def other_rows(db: None) -> None:
    OTHER_ROWS.update(service=ServiceFactory(published=True), client=UserFactory())
    UserFactory(role="owner")


MINUTE = timedelta(minutes=1)
LENGTH = timedelta(minutes=50)


@loop_over(
    ("start", "free"),
    [
        (-LENGTH, True),
        (-LENGTH + TICK, False),
        (timedelta(0), False),
        (LENGTH, False),
        (LENGTH + 10 * MINUTE - TICK, False),
        (LENGTH + 10 * MINUTE, True),
    ],
    ids=["ends as it starts", "a tick later", "the same", "in the break", "nearly", "after it"],
)
def test_sessions_overlap_neither_each_other_nor_a_break(start: timedelta, free: bool) -> None:
    book(slot=AvailabilitySlotFactory(start_at_utc=NEXT_WEEK, buffer_minutes=10))
    if free:
        assert book_again(start=NEXT_WEEK + start).start_at_utc == NEXT_WEEK + start
    else:
        with refused(SlotTaken):
            book_again(start=NEXT_WEEK + start)


@loop_over("status", ["held", "paid", "confirmed"])
def test_blocking_statuses_keep_their_time(status: str) -> None:
    row = AppointmentFactory(**{status: True})
    with refused(SlotTaken):
        book_again(start=row.start_at_utc)


@loop_over("status", ["canceled", "rescheduled"])
def test_final_statuses_release_their_time(status: str) -> None:
    row = AppointmentFactory(**{status: True})
    assert book_again(start=row.start_at_utc).start_at_utc == row.start_at_utc


@loop_over(
    ("start", "free"),
    [(-LENGTH, True), (-LENGTH + TICK, False), (timedelta(hours=11), False), (12, True)],
    ids=["before it", "into it", "in it", "after it"],
)
def test_blocked_time_is_not_booked(start: Any, free: bool) -> None:
    AvailabilitySlotFactory(
        blocked=True, start_at_utc=NEXT_WEEK, end_at_utc=NEXT_WEEK + timedelta(hours=12)
    )
    wanted = NEXT_WEEK + (start if isinstance(start, timedelta) else timedelta(hours=start))
    if free:
        assert book_again(start=wanted).start_at_utc == wanted
    else:
        with refused(SlotTaken):
            book_again(start=wanted)


def test_blocked_slot_is_not_booked() -> None:
    slot = AvailabilitySlotFactory(blocked=True)
    with refused(SlotTaken):
        book_again(slot=slot)


def test_available_slot_within_blocked_time_is_not_booked() -> None:
    slot = AvailabilitySlotFactory()
    AvailabilitySlotFactory(
        from_calendar=True, blocked=True, start_at_utc=slot.start_at_utc + 10 * MINUTE
    )
    with refused(SlotTaken):
        book_again(slot=slot)


def test_slot_reserved_without_appointment_is_not_booked() -> None:
    slot = AvailabilitySlotFactory(reserved=True)
    with refused(SlotTaken):
        book_again(slot=slot)


# -- expired holds --------------------------------------------------------------------------------


def test_expired_hold_releases_its_slot() -> None:
    first = book()
    row = book_again(slot=first.slot_id, clock=at(first.hold_expires_at))
    first.refresh_from_db()
    assert (first.status, first.outcome) == ("canceled", None)
    assert first.canceled_at == first.hold_expires_at
    assert event_types(first) == ["appointment_booked", "hold_expired"]
    assert (row.status, row.slot_id, row.slot.status) == (
        "pending_payment",
        first.slot_id,
        "reserved",
    )


def test_hold_keeps_its_slot_until_it_expires() -> None:
    first = book()
    with refused(SlotTaken):
        book_again(slot=first.slot_id, clock=at(first.hold_expires_at - TICK))


def test_slots_of_expired_holds_become_available() -> None:
    slots = [
        AvailabilitySlotFactory(start_at_utc=NEXT_WEEK + n * timedelta(hours=1)) for n in range(3)
    ]
    holds = [book(slot=slot) for slot in slots]
    service = ServiceFactory(published=True, duration_minutes=90)
    row = book(service=service, start=NEXT_WEEK + 30 * MINUTE, clock=at(wall_clock(), minutes=15))
    for slot in slots:
        slot.refresh_from_db()
    assert [slot.status for slot in slots] == ["available", "available", "reserved"]
    for hold in holds:
        hold.refresh_from_db()
    assert [hold.status for hold in holds] == ["canceled", "canceled", "pending_payment"]
    assert row.slot_id is None


def test_refused_booking_does_not_expire_an_expired_hold() -> None:
    """The time also overlaps a confirmed session, so the expired hold stays as it is."""
    stale = book(start=NEXT_WEEK)
    AppointmentFactory(confirmed=True, start_at_utc=NEXT_WEEK + timedelta(hours=1))
    service = ServiceFactory(published=True, duration_minutes=120)
    with refused(SlotTaken):
        book_again(service=service, start=NEXT_WEEK, clock=at(stale.hold_expires_at))


# -- refusals -------------------------------------------------------------------------------------


@loop_over("status", ["draft", "archived"])
def test_only_a_published_service_is_booked(status: str) -> None:
    values = request(service=ServiceFactory(status=status))
    with refused(ServiceUnavailable, service=values["service"].pk):
        book_appointment(**values)


def test_blocked_client_does_not_book() -> None:
    values = request(client=UserFactory(status="blocked"))
    with refused(ClientUnavailable, client=values["client"].pk):
        book_appointment(**values)


def test_deleted_client_does_not_book() -> None:
    values = request(client=UserFactory(deleted=True))
    with refused(ClientUnavailable):
        book_appointment(**values)


def test_client_who_is_blocked_during_the_call_does_not_book(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values, insert = request(), bookings.insert_appointment

    def insert_and_block_client(*args: Any) -> Appointment:
        stored = insert(*args)
        type(values["client"]).objects.filter(pk=values["client"].pk).update(status="blocked")
        return stored

    monkeypatch.setattr(bookings, "insert_appointment", insert_and_block_client)
    with refused(ClientUnavailable):
        book_appointment(**values)


@loop_over(("offered", "wanted"), [("online", "offline"), ("offline", "online")])
def test_format_that_is_not_offered_is_refused(offered: str, wanted: str) -> None:
    values = request(service=ServiceFactory(published=True, format=offered), format=wanted)
    with refused(FormatUnsuitable):
        book_appointment(**values)


def test_slot_of_another_service_is_refused() -> None:
    values = request(slot=AvailabilitySlotFactory(service=ServiceFactory()))
    with refused(SlotUnsuitable, slot=values["slot"].pk):
        book_appointment(**values)


def test_slot_too_short_for_the_service_is_refused() -> None:
    slot = AvailabilitySlotFactory(start_at_utc=NEXT_WEEK, end_at_utc=NEXT_WEEK + LENGTH - TICK)
    values = request(slot=slot)
    with refused(SlotUnsuitable):
        book_appointment(**values)


@loop_over("start", [ago(days=1), ago(microseconds=1), datetime.min.replace(tzinfo=UTC)])
def test_start_in_the_past_is_refused(start: datetime) -> None:
    values = request(start=start)
    with refused(StartInPast):
        book_appointment(**values)


def test_start_equal_to_now_is_refused() -> None:
    values = request(start=NEXT_WEEK)
    with refused(StartInPast):
        book_appointment(**values, clock=at(NEXT_WEEK))
    assert book_appointment(**values, clock=at(NEXT_WEEK - TICK)).pk


def test_slot_in_the_past_is_refused() -> None:
    values = request(slot=AvailabilitySlotFactory(start_at_utc=ago(hours=1)))
    with refused(StartInPast):
        book_appointment(**values)


WRONG: dict[str, list[Any]] = {
    "service": [None, *INVALID_KEYS],
    "slot": INVALID_KEYS,
    "client": INVALID_KEYS,
    "lead": INVALID_KEYS,
    "start": [
        "",
        "tomorrow",
        "infinity",
        NEXT_WEEK.isoformat(),
        NEXT_WEEK.replace(tzinfo=None),
        datetime.max.replace(tzinfo=UTC),
        datetime.max.replace(tzinfo=timezone(timedelta(hours=-12))),
        datetime.min.replace(tzinfo=timezone(timedelta(hours=12))),
        NEXT_WEEK.date(),
        float("inf"),
        float("nan"),
        0,
        [],
    ],
    "client_request_id": [
        None,
        "",
        " ",
        "\n\t",
        "\u200b",
        "a" * 201,
        7,
        b"a",
        [],
        True,
        *INVALID_TEXTS,
    ],
    "timezone": [
        None,
        "",
        "Moscow",
        "Europe/Atlantis",
        "europe/moscow ",
        "MSK-3",
        "+03:00",
        "a" * 100_000,
        3,
        [],
        {},
        *INVALID_TEXTS,
    ],
    "format": [None, "", "hybrid", "Online", "a" * 100_000, 1, [], {}, *INVALID_TEXTS],
    "topic": ["", "no-such-topic", "a" * 100_000, 7, [], {}, True, *INVALID_TEXTS],
    "deep_link_id": ["", "+79991234567", "anna@example.com", "Анна", 7, *INVALID_TEXTS],
    "entry_point": ["", "billboard", "SEO", "a" * 100_000, 7, [], *INVALID_TEXTS],
}


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("service", NotFound),
        ("slot", NotFound),
        ("client", NotFound),
        ("lead", NotFound),
        ("topic", NotFound),
        ("start", InvalidInput),
        ("client_request_id", InvalidInput),
        ("timezone", ZoneUnknown),
        ("format", FormatUnsuitable),
        ("deep_link_id", InvalidInput),
        ("entry_point", InvalidInput),
    ],
)
def test_bad_input_raises_the_error_of_its_field(name: str, error: type[Refused]) -> None:
    values = request(lead=LeadFactory(), client=UserFactory())
    if name == "start":
        del values["slot"]
    check_refusals(lambda value: book_appointment(**values | {name: value}), WRONG[name], error)


@loop_over("name", ["service", "slot", "client", "lead"])
def test_unknown_key_is_refused(name: str) -> None:
    values = request() | {name: uuid7()}
    with refused(NotFound):
        book_appointment(**values)


def test_random_text_of_any_length_is_refused() -> None:
    """The text is too long for an index entry; PostgreSQL has a separate error for that."""
    noise = "".join(chr(97 + (n * n * 31 + n // 7) % 26) for n in range(50_000))
    values = request()
    with writes_nothing():
        for name in ("topic", "timezone", "deep_link_id", "entry_point", "client_request_id"):
            with pytest.raises(Refused):
                book_appointment(**values | {name: noise})


def test_request_names_either_a_slot_or_a_start() -> None:
    values = request()
    with refused(InvalidInput, field="slot"):
        book_appointment(**values | {"start": values["slot"].start_at_utc})
    del values["slot"]
    with refused(InvalidInput, field="slot"):
        book_appointment(**values)


def test_request_names_a_client_or_a_lead() -> None:
    values = request()
    del values["client"]
    with refused(InvalidInput, field="client"):
        book_appointment(**values)


def test_refusal_reveals_nothing_of_the_input() -> None:
    values = request() | {"deep_link_id": "anna@example.com"}
    with pytest.raises(Refused) as caught:
        book_appointment(**values)
    assert "anna" not in f"{caught.value} {caught.value!r} {caught.value.sentence}"


def test_taken_slot_is_refused_without_a_write_lock(django_assert_max_num_queries: Any) -> None:
    """Most requests for a popular hour must end without a write lock."""
    first = book()
    with django_assert_max_num_queries(5), pytest.raises(SlotTaken):
        book_again(slot=first.slot_id)


def test_far_future_start_is_published_with_a_four_digit_year() -> None:
    last = datetime(9999, 1, 1, tzinfo=UTC)
    assert book(start=last).start_at_utc == last
    assert outbox()[0].payload["start_at_utc"].startswith("9999-01-01")
