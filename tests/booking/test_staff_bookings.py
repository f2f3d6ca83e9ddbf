"""Bookings that staff make for a person who calls: book_for_client()."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from booking.errors import ClientUnavailable, PersonAmbiguous, PersonUnknown, TimeNotOffered
from booking.models import Appointment
from booking.services import book_appointment, book_for_client, expire_holds
from crm.models import AnalyticsEvent, LeadIdentity
from crm.services import record_event
from ebalance.db.encryption.values import Plaintext
from ebalance.services import IdempotencyConflict, InvalidInput, NotPermitted
from identity.models import User
from tests.booking.outbox_assertions import (
    at,
    check_refusals,
    refused,
    request,
    tracked_names,
    writes_nothing,
)
from tests.booking.test_staff_payments import owner, take
from tests.factories import ServiceFactory, UserFactory
from tests.factories.booking import PRICE
from tests.rule_groups import loop_over

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _owner(db: None) -> None:
    """Written before the calls that must write nothing."""
    owner()


DAY = timedelta(hours=24)
PHONE, EMAIL = "+79991234567", "anna@example.com"


def arguments(**values: Any) -> dict[str, Any]:
    person = {"name", "phone", "email", "client"} & values.keys()
    if not person:
        values["phone"] = PHONE
    made = request(client=None, **values) if "client" not in values else request(**values)
    if "client" not in values:
        del made["client"]
    return {**made, "actor": values.get("actor") or owner()}


def call(**values: Any) -> Appointment:
    return book_for_client(**arguments(**values))


# -- the person -----------------------------------------------------------------------------------


@loop_over("given", [{"phone": "8 (999) 123-45-67"}, {"email": " Anna@Example.com "}])
def test_contact_in_any_spelling_means_the_known_person(given: dict[str, str]) -> None:
    person = UserFactory(phone=PHONE, email=EMAIL)
    assert call(**given, name="Другое имя").client == person
    assert User.objects.filter(display_name="Другое имя").count() == 0


def test_unknown_person_is_added_with_name_and_contacts() -> None:
    row = call(name=" Анна  ", phone="8 999 123-45-67", email="ANNA@example.com")
    person = row.client
    assert person is not None
    assert (person.display_name, person.phone, person.email) == ("Анна", PHONE, EMAIL)
    assert not person.has_usable_password()
    # The next call finds the same person.
    assert call(phone=PHONE).client == person


def test_contact_of_a_lead_means_its_account() -> None:
    person = UserFactory(email="other@example.com", phone=None)
    record_event(
        "waitlist_submitted",
        user=person,
        contact={"phone": Plaintext(PHONE)},
        properties={"preferred_contact": "phone", "service_id": ServiceFactory().pk},
    )
    assert call(phone=PHONE).client == person


def test_lead_with_the_contact_becomes_the_lead_of_a_new_person() -> None:
    lead = record_event(
        "waitlist_submitted",
        contact={"phone": Plaintext(PHONE)},
        properties={"preferred_contact": "phone", "service_id": ServiceFactory().pk},
    )
    row = call(phone=PHONE)
    assert lead is not None
    assert LeadIdentity.objects.filter(lead=lead, user=row.client).exists()


def test_name_alone_finds_one_person() -> None:
    person = UserFactory(display_name="Анна Иванова")
    assert call(name="анна иванова").client == person
    UserFactory(display_name="Анна Иванова")
    given = arguments(name="Анна Иванова")
    with refused(PersonAmbiguous, count=2):
        book_for_client(**given)
    given = arguments(name="Никто")
    with refused(PersonUnknown):
        book_for_client(**given)


def test_contacts_of_two_people_are_ambiguous() -> None:
    UserFactory(phone=PHONE, email=None)
    UserFactory(phone=None, email=EMAIL)
    given = arguments(phone=PHONE, email=EMAIL)
    with refused(PersonAmbiguous, count=2):
        book_for_client(**given)


def test_blocked_person_is_not_booked() -> None:
    person = UserFactory(phone=PHONE)
    User.objects.filter(pk=person.pk).update(status="blocked")
    given = arguments(phone=PHONE)
    with refused(ClientUnavailable):
        book_for_client(**given)


def test_invalid_person_is_refused() -> None:
    given = arguments(phone=PHONE)
    del given["phone"]
    for field, values in {
        "phone": ["123", "не телефон", 7],
        "email": ["anna", "a@", 7],
    }.items():
        check_refusals(
            lambda value, field=field: book_for_client(**given | {field: value}),
            values,
            InvalidInput,
            field=field,
        )
    check_refusals(
        lambda name: book_for_client(**given | {"name": name, "phone": PHONE}),
        ["x" * 201, "две\nстроки", 7],
        InvalidInput,
        field="name",
    )
    with refused(InvalidInput, field="client"):
        book_for_client(**given)


# -- the time and the hold ------------------------------------------------------------------------


def test_hold_lasts_a_day_or_as_staff_choose() -> None:
    now = owner().created_at
    row = call(clock=at(now))
    assert row.hold_expires_at == now + DAY
    chosen = call(hold_until=now + timedelta(minutes=1), clock=at(now))
    assert chosen.hold_expires_at == now + timedelta(minutes=1)


def test_hold_ends_at_most_a_day_after_the_session() -> None:
    given = arguments()
    end = given["slot"].start_at_utc + timedelta(minutes=50)
    now = owner().created_at
    check_refusals(
        lambda until: book_for_client(**given | {"hold_until": until}, clock=at(now)),
        [end + DAY + timedelta(microseconds=1), now, now - DAY, end.replace(tzinfo=None), "x"],
        InvalidInput,
        field="hold_until",
    )
    assert book_for_client(**given | {"hold_until": end + DAY}).hold_expires_at == end + DAY


def test_sweep_respects_the_chosen_hold() -> None:
    given = arguments()
    until = given["slot"].start_at_utc + timedelta(hours=20)
    row = book_for_client(**given | {"hold_until": until})
    assert expire_holds(clock=at(until, seconds=-1)) == 0
    take(row, PRICE, outcome="attended", clock=at(until, seconds=-1))
    other = call(phone=PHONE)
    assert expire_holds(clock=at(other.hold_expires_at)) == 1


def test_site_chooses_no_hold() -> None:
    given = request()
    with refused(NotPermitted):
        book_appointment(**given | {"hold_until": given["slot"].start_at_utc})


def test_time_that_is_not_offered_needs_an_override() -> None:
    given = arguments()
    start = given.pop("slot").end_at_utc + timedelta(hours=1)
    with refused(TimeNotOffered):
        book_for_client(**given, start=start)
    assert book_for_client(**given, start=start, override=True).start_at_utc == start


def test_free_session_is_confirmed_at_once() -> None:
    row = call(service=ServiceFactory(published=True, free=True))
    assert (row.status, row.hold_expires_at) == ("confirmed", None)
    assert "booking_confirmed" in tracked_names()


def test_same_request_books_once() -> None:
    given = arguments(name="Анна", phone=PHONE)
    row = book_for_client(**given)
    with writes_nothing():
        assert book_for_client(**given).pk == row.pk
    UserFactory(phone="+79990000000")
    with refused(IdempotencyConflict):
        book_for_client(**given | {"phone": "+79990000000"})


@loop_over("role", ["editor", "client"])
def test_only_owner_and_assistant_book_for_others(role: str) -> None:
    given = arguments()
    actor = UserFactory(role=role)
    with refused(NotPermitted):
        book_for_client(**given | {"actor": actor})
    with refused(NotPermitted):
        book_for_client(**given | {"actor": None})
    book_for_client(**given | {"actor": UserFactory(role="assistant")})


# -- the browser ----------------------------------------------------------------------------------


def test_booking_carries_the_browser_and_the_visit() -> None:
    visit = uuid4()
    record_event(
        "booking_start",
        source="web",
        anonymous_id="browser-1",
        session_id=visit,
        properties={"entry_point": "seo", "page_path": "/booking"},
    )
    given = request(service=ServiceFactory(published=True, free=True))
    row = book_appointment(**given, anonymous_id="browser-1", session_id=str(visit))
    for name in ("booking_slot_selected", "booking_confirmed"):
        event = AnalyticsEvent.objects.get(tracking_event=name)
        assert (event.anonymous_id, event.session_id) == ("browser-1", visit)
    browsers = LeadIdentity.objects.filter(anonymous_id="browser-1")
    people = LeadIdentity.objects.filter(user=row.client)
    assert browsers.get().lead_id == people.get().lead_id
    with writes_nothing():
        assert book_appointment(**given, anonymous_id="browser-1").pk == row.pk


def test_invalid_browser_or_visit_is_refused() -> None:
    given = request()
    for field in ("anonymous_id", "session_id"):
        check_refusals(
            lambda value, field=field: book_appointment(**given | {field: value}),
            ["", "a b", 7, "x" * 65],
            InvalidInput,
            field=field,
        )
