"""Waitlist requests and intake forms: each is stored once, with sealed contacts and answers."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils.timezone import now as wall_clock

from audit.models import OutboxEvent
from booking.errors import (
    AnswersInvalid,
    ClientUnavailable,
    IntakeClosed,
    ServiceUnavailable,
)
from booking.models import Appointment, IntakeForm, WaitlistRequest
from booking.services import (
    close_waitlist_request,
    mark_waitlist_request_contacted,
    save_intake_draft,
    submit_intake_form,
    submit_waitlist_request,
)
from booking.services.intake import has_text
from content.services import archive
from crm.models import AnalyticsEvent, Lead, LeadTimelineEvent
from crm.services import find_leads_by_contact
from ebalance.db.encryption.fields import Plaintext, UnsealedValue
from ebalance.db.ids import uuid7
from ebalance.services import (
    IdempotencyConflict,
    InvalidInput,
    NotFound,
    NotPermitted,
    Refused,
    TransitionRefused,
)
from tests.booking.outbox_assertions import (
    INVALID_KEYS,
    INVALID_TEXTS,
    TEN_YEARS_ON,
    at,
    book,
    check_refusals,
    confirmed,
    event_types,
    payload,
    refused,
    reschedule,
    stored,
    tracked,
    tracked_names,
    writes_nothing,
)
from tests.factories import (
    AppointmentFactory,
    IntakeFormFactory,
    LeadFactory,
    ServiceFactory,
    UserFactory,
    WaitlistRequestFactory,
)
from tests.factories.payloads import PAYLOADS
from tests.rule_groups import loop_over

pytestmark = pytest.mark.django_db

ANNA = "Anna.Ivanova@Example.com"


# -- the waitlist -----------------------------------------------------------------------------


def waiting(**values: Any) -> dict[str, Any]:
    """Return valid arguments of submit_waitlist_request()."""
    if "service" not in values:
        values["service"] = ServiceFactory(published=True)
    return {
        "preferred_contact": "email",
        "contact": Plaintext(ANNA),
        "preferred_time_window": "weekend",
    } | values


def submit(**values: Any) -> WaitlistRequest:
    return submit_waitlist_request(**waiting(**values))


def test_waitlist_request_is_stored_and_published() -> None:
    user = UserFactory()
    row = submit(user=user, entry_point="ads", deep_link_id="aB3dE5fG", anonymous_id="browser-1")
    after = stored(row)
    assert (after["status"], after["user_id"]) == ("new", user.pk)
    assert (after["preferred_contact"], after["preferred_time_window"]) == ("email", "weekend")
    assert WaitlistRequest.objects.get().contact_value_encrypted.open() == ANNA
    assert WaitlistRequest.objects.find_by_contact(email=ANNA.lower()).get() == row
    assert event_types(row) == ["waitlist_submitted"]
    assert payload("waitlist_submitted") == {
        "service_id": str(row.service_id),
        "preferred_contact": "email",
        "preferred_time_window": "weekend",
    }
    (properties,) = tracked("waitlist_submitted")
    assert properties == payload("waitlist_submitted")
    lead = Lead.objects.get()
    assert (lead.source, lead.status) == ("waitlist", "engaged")
    assert after["lead_id"] == row.lead_id == lead.pk
    assert find_leads_by_contact(email=ANNA).get() == lead
    event = AnalyticsEvent.objects.get()
    assert (event.acquisition, event.anonymous_id) == ({"entry_point": "ads"}, "browser-1")


@loop_over(
    ("channel", "contact"),
    [("email", ANNA), ("phone", "8 (999) 123-45-67"), ("telegram", "@anna_ivanova")],
)
def test_waitlist_request_needs_only_a_contact(channel: str, contact: str) -> None:
    row = submit(preferred_contact=channel, contact=Plaintext(contact), preferred_time_window=None)
    assert (row.user_id, row.preferred_time_window) == (None, None)
    assert row.contact_value_encrypted.open() == contact
    assert tracked_names() == ["waitlist_submitted"]
    # A Telegram name identifies no lead, because another person can take it over.
    assert Lead.objects.count() == (0 if channel == "telegram" else 1)
    assert (row.lead_id is None) == (channel == "telegram")


def test_waitlist_request_keeps_the_given_lead() -> None:
    lead = LeadFactory(status="paid")
    row = submit(lead=lead)
    assert (row.lead_id, Lead.objects.get().status) == (lead.pk, "paid")


def test_no_event_contains_the_contact() -> None:
    submit(user=UserFactory())
    for model in (OutboxEvent, AnalyticsEvent, LeadTimelineEvent):
        for values in model.objects.values():
            assert "ivanova" not in str(values).lower()


def test_repeated_request_returns_the_first_row() -> None:
    key, user = uuid7(), UserFactory()
    values = waiting(id=key, user=user)
    first = submit_waitlist_request(**values)
    with writes_nothing():
        for again in (
            values,
            values | {"id": str(key).upper()},
            values | {"contact": Plaintext(f"  {ANNA.lower()} ")},
            values | {"service": str(values["service"].pk), "user": user.pk},
            values | {"lead": first.lead_id},
        ):
            assert submit_waitlist_request(**again) == first
    close_waitlist_request(first)
    archive(values["service"])
    with writes_nothing():
        assert submit_waitlist_request(**values).status == "closed"


def test_requests_without_a_key_are_stored_separately() -> None:
    values = waiting()
    made = {submit_waitlist_request(**values).pk for _ in range(2)}
    assert len(made) == WaitlistRequest.objects.count() == 2
    assert Lead.objects.count() == 1


@loop_over(
    "other",
    [
        {"service": lambda: ServiceFactory(published=True)},
        {"user": lambda: None},
        {"user": UserFactory},
        {"lead": LeadFactory},
        {"preferred_time_window": lambda: None},
        {"preferred_time_window": lambda: "any"},
        {"contact": lambda: Plaintext("eva@example.com")},
        {"preferred_contact": lambda: "phone", "contact": lambda: Plaintext("+79991234567")},
    ],
    ids=lambda other: " ".join(other),
)
def test_same_key_with_other_content_is_refused(other: dict[str, Any]) -> None:
    values = waiting(id=uuid7(), user=UserFactory())
    first = submit_waitlist_request(**values)
    values |= {name: value() for name, value in other.items()}
    with refused(IdempotencyConflict, id=first.pk):
        submit_waitlist_request(**values)


@loop_over("status", ["draft", "archived"])
def test_waitlist_request_for_an_unpublished_service_is_refused(status: str) -> None:
    values = waiting(service=ServiceFactory(status=status))
    with refused(ServiceUnavailable):
        submit_waitlist_request(**values)


@loop_over("trait", ["blocked", "deleted"])
def test_waitlist_request_of_an_inactive_client_is_refused(trait: str) -> None:
    values = waiting(user=UserFactory(**{trait: True}))
    with refused(ClientUnavailable):
        submit_waitlist_request(**values)


INVALID_CODES = ["", "Email", "letter", "a" * 100_000, 7, True, [], {}, *INVALID_TEXTS]
INVALID_CONTACTS = [
    "",
    "anna",
    "anna@",
    "@",
    "a b@c.ru",
    "a" * 100_000,
    7,
    None,
    [],
    {},
    *INVALID_TEXTS,
]
WRONG: dict[str, tuple[type[Refused], list[Any]]] = {
    "service": (NotFound, [None, uuid7(), *INVALID_KEYS]),
    "user": (NotFound, [uuid7(), *INVALID_KEYS]),
    "lead": (NotFound, [uuid7(), *INVALID_KEYS]),
    "preferred_contact": (InvalidInput, [None, *INVALID_CODES]),
    "preferred_time_window": (InvalidInput, [*INVALID_CODES, "monday"]),
    "contact": (InvalidInput, [Plaintext(value) for value in INVALID_CONTACTS]),
    "anonymous_id": (InvalidInput, ["", "anna@example.com", "a" * 65, 7, [], *INVALID_TEXTS]),
    "deep_link_id": (InvalidInput, ["", "anna@example.com", "a" * 65, 7, [], *INVALID_TEXTS]),
    "entry_point": (InvalidInput, ["", "billboard", 7, [], *INVALID_TEXTS]),
    "id": (InvalidInput, ["", "1", "a" * 100_000, 7, [], {}, *INVALID_TEXTS]),
}


@pytest.mark.parametrize("name", [*WRONG])
def test_bad_input_is_refused_and_nothing_is_written(name: str) -> None:
    error, values = WRONG[name]
    given = waiting(user=UserFactory())
    check_refusals(lambda value: submit_waitlist_request(**given | {name: value}), values, error)


@loop_over("channel", ["phone", "telegram"])
def test_contact_of_another_channel_is_refused(channel: str) -> None:
    values = waiting(preferred_contact=channel)
    with refused(InvalidInput, field="contact"):
        submit_waitlist_request(**values)


def test_unsealed_contact_is_refused() -> None:
    values = waiting(contact=ANNA)
    with writes_nothing(), pytest.raises(UnsealedValue) as caught:
        submit_waitlist_request(**values)
    assert "Anna" not in str(caught.value)


def test_refusal_reveals_nothing_of_the_contact() -> None:
    values = waiting(id=uuid7())
    submit_waitlist_request(**values)
    for wrong in ({"contact": Plaintext("ivanova at example")}, {"contact": Plaintext("eva@e.ru")}):
        with pytest.raises(Refused) as caught:
            submit_waitlist_request(**values | wrong)
        shown = (
            f"{caught.value} {caught.value!r} {caught.value.sentence} {caught.value.__context__}"
        )
        assert "ivanova" not in shown
        assert "eva" not in shown


def test_waitlist_request_is_contacted_and_closed() -> None:
    row, actor = WaitlistRequestFactory(), UserFactory(role="assistant")
    assert mark_waitlist_request_contacted(row, actor=actor) is row
    assert row.status == stored(row)["status"] == "contacted"
    with writes_nothing():
        mark_waitlist_request_contacted(row)
    assert close_waitlist_request(row, actor=actor) is row
    with writes_nothing():
        close_waitlist_request(row)
    assert (row.status, event_types(row)) == ("closed", ["waitlist_contacted", "waitlist_closed"])
    with refused(TransitionRefused, entity="waitlist_requests", status="closed"):
        mark_waitlist_request_contacted(row)


def test_new_waitlist_request_may_be_closed() -> None:
    row = WaitlistRequestFactory()
    close_waitlist_request(row)
    assert (row.status, event_types(row)) == ("closed", ["waitlist_closed"])


def test_service_ignores_the_status_in_memory() -> None:
    row = WaitlistRequestFactory()
    old = WaitlistRequest.objects.get(pk=row.pk)
    close_waitlist_request(row)
    with refused(TransitionRefused):
        mark_waitlist_request_contacted(old)


@loop_over("role", ["editor", "client"])
def test_editors_and_clients_change_no_waitlist_request(role: str) -> None:
    row, actor = WaitlistRequestFactory(), UserFactory(role=role)
    with refused(NotPermitted):
        mark_waitlist_request_contacted(row, actor=actor)
    with refused(NotPermitted):
        close_waitlist_request(row, actor=actor)


def test_unknown_waitlist_request_is_refused() -> None:
    row = WaitlistRequestFactory.build()
    for service in (mark_waitlist_request_contacted, close_waitlist_request):
        with refused(NotFound):
            service(row)


# -- intake forms -----------------------------------------------------------------------------

ANSWERS = PAYLOADS["intake"]
SOME_ANSWERS = {"version": 1, "request": "Не могу уснуть"}


def draft(appointment: Any, answers: Any = SOME_ANSWERS) -> IntakeForm:
    return save_intake_draft(appointment=appointment, payload=Plaintext(answers))


def stored_answers(form: IntakeForm) -> Any:
    return IntakeForm.objects.get(pk=form.pk).payload_encrypted.open()


def test_answers_are_stored_as_a_draft() -> None:
    row = book()
    form = draft(row)
    assert (form.status, form.appointment_id, stored_answers(form)) == (
        "draft",
        row.pk,
        SOME_ANSWERS,
    )
    assert event_types(form) == ["intake_started"]
    assert payload("intake_started") == {
        "appointment_id": str(row.pk),
        "service_id": str(row.service_id),
    }
    assert tracked("intake_started") == [{"service_id": str(row.service_id)}]
    with writes_nothing():
        for given in (row, row.pk, str(row.pk)):
            assert draft(given) == form


def test_later_answers_replace_the_earlier_answers() -> None:
    row = book()
    form = draft(row)
    events = event_types()
    assert draft(row, ANSWERS) == form
    assert stored_answers(form) == ANSWERS
    assert (event_types(), IntakeForm.objects.count()) == (events, 1)
    assert tracked_names().count("intake_started") == 1


def test_complete_draft_is_submitted() -> None:
    row = book()
    form = draft(row, ANSWERS)
    now = wall_clock()
    assert submit_intake_form(form, clock=at(now)) is form
    assert (form.status, form.submitted_at, stored_answers(form)) == ("submitted", now, ANSWERS)
    assert event_types(form) == ["intake_started", "intake_submitted"]
    assert payload("intake_submitted") == payload("intake_started")
    assert tracked("intake_submitted") == [
        {"service_id": str(row.service_id), "has_text_fields": True}
    ]
    with writes_nothing():
        submit_intake_form(form, clock=at(now, hours=1))
        submit_intake_form(IntakeForm.objects.get(pk=form.pk))
        # The last draft may arrive after the form was submitted.
        assert draft(row, ANSWERS) == form


def test_submitted_answers_do_not_change() -> None:
    form = IntakeFormFactory(submitted=True)
    with refused(IntakeClosed, entity="intake_forms", status="submitted"):
        draft(form.appointment, SOME_ANSWERS)


@loop_over("missing", ["request", "safety", "adult_confirmed", "medication"])
def test_incomplete_draft_is_not_submitted(missing: str) -> None:
    answers = {name: value for name, value in ANSWERS.items() if name != missing}
    form = draft(AppointmentFactory(confirmed=True), answers)
    with refused(AnswersInvalid, rule="required", place=f"$.{missing}"):
        submit_intake_form(form)
    assert IntakeForm.objects.get().status == "draft"


def test_no_event_contains_the_answers() -> None:
    form = draft(book(), ANSWERS)
    submit_intake_form(form)
    for model in (OutboxEvent, AnalyticsEvent, LeadTimelineEvent):
        for values in model.objects.values():
            assert "уснуть" not in str(values)


@pytest.mark.parametrize(
    ("answers", "written"),
    [
        ({"version": 1, "severity": 7, "lasting": "under_year"}, False),
        ({"version": 1, "safety": {"self_harm_thoughts": "past", "details": " \n"}}, False),
        ({"version": 1, "safety": {"self_harm_thoughts": "past", "details": "Да"}}, True),
        ({"version": 1, "note": "Спасибо"}, True),
        ({"version": 1, "contact_preference": "email", "form_of_address": "formal"}, False),
    ],
)
def test_choices_and_blank_texts_are_not_text_answers(
    answers: dict[str, Any], written: bool
) -> None:
    assert has_text(Plaintext(answers)) is written


@loop_over("status", ["held", "paid", "confirmed"])
def test_form_is_filled_in_before_the_session(status: str) -> None:
    form = draft(AppointmentFactory(**{status: True}), ANSWERS)
    assert submit_intake_form(form).status == "submitted"


@loop_over("status", ["canceled", "completed"])
def test_form_is_closed_after_the_session(status: str) -> None:
    row = AppointmentFactory(**{status: True})
    with refused(IntakeClosed, entity="appointments", status=row.status):
        draft(row)
    form = IntakeFormFactory(appointment=row)
    with refused(IntakeClosed, entity="appointments"):
        submit_intake_form(form)


def test_moved_session_keeps_its_form() -> None:
    row = confirmed()
    form = draft(row)
    moved = reschedule(row, start=TEN_YEARS_ON - timedelta(days=1), by="provider")
    assert draft(moved, ANSWERS) == form
    assert draft(row, ANSWERS) == form
    assert submit_intake_form(form).status == "submitted"
    assert IntakeForm.objects.get().appointment_id == row.pk
    assert payload("intake_submitted")["appointment_id"] == str(moved.pk)


LOOP: list[Any] = []
LOOP.append(LOOP)
INVALID_ANSWERS = [
    None,
    "",
    "Не могу уснуть",
    [],
    {},
    7,
    {"request": "Не могу уснуть"},
    {"version": 2},
    {"version": "1"},
    {"version": True},
    {"version": 1, "anything": "else"},
    {"version": 1, "severity": 11},
    {"version": 1, "severity": float("nan")},
    {"version": 1, "request": " "},
    {"version": 1, "request": "a" * 20_001},
    {"version": 1, "request": "\0"},
    {"version": 1, "request": "\ud800"},
    {"version": 1, "note": LOOP},
    {"version": 1, 7: 7},
    {"version": 1, "adult_confirmed": False},
    {"version": 1, "safety": {"self_harm_thoughts": "secret-word"}},
]


def test_answers_that_violate_the_schema_are_refused() -> None:
    row = AppointmentFactory(held=True)
    check_refusals(
        lambda answers: draft(row, answers), INVALID_ANSWERS, AnswersInvalid, field="payload"
    )
    form = IntakeFormFactory(appointment=row)
    check_refusals(
        lambda answers: draft(row, answers), INVALID_ANSWERS, AnswersInvalid, field="payload"
    )
    assert stored_answers(form) == ANSWERS


def test_refusal_reveals_nothing_of_the_answers() -> None:
    row = AppointmentFactory(held=True)
    with pytest.raises(Refused) as caught:
        draft(row, {"version": 1, "safety": {"self_harm_thoughts": "secret-word"}})
    error = caught.value
    assert error.__context__ is None
    assert "secret" not in f"{error} {error!r} {error.sentence}"
    assert error.details["place"] == "$.safety.self_harm_thoughts"


def test_unsealed_answers_are_refused() -> None:
    row = AppointmentFactory(held=True)
    with writes_nothing(), pytest.raises(UnsealedValue):
        save_intake_draft(appointment=row, payload=SOME_ANSWERS)


def test_form_for_an_unknown_appointment_is_refused() -> None:
    check_refusals(draft, [None, uuid7(), *INVALID_KEYS], NotFound)


def test_unknown_form_is_refused() -> None:
    form = IntakeFormFactory.build(appointment=AppointmentFactory())
    with refused(NotFound):
        submit_intake_form(form)
    assert Appointment.objects.count() == 1
