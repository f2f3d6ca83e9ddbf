"""Buttons of admin that call the booking services, for the roles of access.md §1."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.messages import get_messages
from django.db import models
from django.test import Client
from django.utils.timezone import now

from booking import admin as booking_admin
from booking.models import Appointment, AvailabilitySlot, Service, WaitlistRequest
from identity.models import User
from tests.admin.support import form_at, page, text
from tests.admin.test_writing import is_russian
from tests.booking.outbox_assertions import (
    TEN_YEARS_ON,
    event_types,
    outbox,
    stored,
    tracked,
    writes_nothing,
)
from tests.factories import (
    FACTORIES,
    AppointmentFactory,
    AvailabilitySlotFactory,
    LeadIdentityFactory,
    ServiceFactory,
    UserFactory,
    WaitlistRequestFactory,
)

SENT = {"_form_submitted": "True"}  # distinguishes a sent dialog from an opened one
DAY = timedelta(days=1)

# model, button, state before, what is filled in, status after, outbox event
BUTTONS: list[tuple[type[models.Model], str, str, dict[str, Any], str, str]] = [
    (Appointment, "confirm", "paid", {}, "confirmed", "appointment_confirmed"),
    (Appointment, "attended", "begun", {}, "completed", "appointment_completed"),
    (Appointment, "no_show", "begun", {}, "completed", "appointment_completed"),
    (
        Appointment,
        "no_show",
        "begun",
        {"reason_category": "illness"},
        "completed",
        "appointment_completed",
    ),
    (Appointment, "cancel_by_client", "held", {}, "canceled", "appointment_canceled"),
    (
        Appointment,
        "cancel_by_client",
        "confirmed",
        {"reason_category": "other"},
        "canceled",
        "appointment_canceled",
    ),
    (Appointment, "cancel_by_provider", "paid", {}, "canceled", "appointment_canceled"),
    (Appointment, "cancel_by_provider", "confirmed", {}, "canceled", "appointment_canceled"),
    (
        Appointment,
        "correct_outcome",
        "just_completed",
        {"outcome": "no_show", "reason_category": "illness"},
        "completed",
        "appointment_outcome_corrected",
    ),
    (AvailabilitySlot, "block", "available", {}, "blocked", "slot_blocked"),
    (AvailabilitySlot, "unblock", "blocked", {}, "available", "slot_unblocked"),
    (WaitlistRequest, "mark_contacted", "new", {}, "contacted", "waitlist_contacted"),
    (WaitlistRequest, "close", "new", {}, "closed", "waitlist_closed"),
    (WaitlistRequest, "close", "contacted", {}, "closed", "waitlist_closed"),
]
# The assistant presses every button, the owner the last one of each table.
PRESSED = [("assistant", *button) for button in BUTTONS]
PRESSED += [("owner", *button) for button in {button[0]: button for button in BUTTONS}.values()]
MODELS = [Appointment, AvailabilitySlot, WaitlistRequest]
each_model = pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)


def row_in(model: type[models.Model], state: str) -> Any:
    if state == "begun":
        return AppointmentFactory(confirmed=True, start_at_utc=now() - timedelta(minutes=30))
    if state == "just_completed":
        return AppointmentFactory(completed=True, outcome_recorded_at=now())
    if state in ("available", "new"):
        return FACTORIES[model]()
    return FACTORIES[model](**{state: True})


def dialog(row: models.Model, button: str) -> str:
    meta = type(row)._meta
    return f"/admin/{meta.app_label}/{meta.model_name}/{row.pk}/{button.replace('_', '-')}/"


def messages_of(response: Any) -> str:
    return " ".join(str(message) for message in get_messages(response.wsgi_request))


# -- permitted roles --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "model", "button", "state", "filled", "after", "event"),
    PRESSED,
    ids=[
        " ".join([role, model.__name__, button, state, *filled])
        for role, model, button, state, filled, *_ in PRESSED
    ],
)
def test_button_calls_the_service(
    as_role: Callable[[str], Client],
    role: str,
    model: Any,
    button: str,
    state: str,
    filled: dict[str, Any],
    after: str,
    event: str,
) -> None:
    client, row = as_role(role), row_in(model, state)
    address = dialog(row, button)
    assert address in text(client.get(page(model, "change", row.pk)))
    with writes_nothing():  # opening it decides nothing
        assert client.get(address).status_code == 200
    answer = client.post(address, {**SENT, **filled})
    assert (answer.status_code, answer.url) == (302, page(model, "change", row.pk))
    assert is_russian(messages_of(answer)), messages_of(answer)
    assert stored(row)["status"] == after
    assert event_types(row) == [event]
    if "outcome" in stored(row) and after != "confirmed":
        assert stored(row)["outcome_recorded_by_role"] == role
        assert stored(row)["outcome_reason_category"] == filled.get("reason_category")


@each_model
def test_others_have_no_dialog(as_role: Callable[[str], Client], model: Any) -> None:
    editor, client, anonymous = as_role("editor"), as_role("client"), Client()
    buttons = [button for button in BUTTONS if button[0] is model]
    rows = {state: row_in(model, state) for state in {state for _, _, state, *_ in buttons}}
    with writes_nothing():
        for _, button, state, filled, *_ in buttons:
            where = dialog(rows[state], button)
            for browser in (editor, client):
                assert browser.get(where).status_code == 404, (button, browser)
                assert browser.post(where, {**SENT, **filled}).status_code == 404, button
            # A person who is not signed in is asked to sign in.
            assert anonymous.post(where, {**SENT, **filled}).status_code == 302, button


def test_post_without_the_csrf_token_decides_nothing(owner: Client) -> None:
    strict, row = Client(enforce_csrf_checks=True), AppointmentFactory(confirmed=True)
    strict.force_login(User.objects.get(pk=owner.session["_auth_user_id"]))
    with writes_nothing():
        assert strict.post(dialog(row, "cancel_by_client"), SENT).status_code == 403


def test_dialog_in_a_page_reloads_the_page(owner: Client) -> None:
    row = AppointmentFactory(confirmed=True)
    answer = owner.post(dialog(row, "cancel_by_client"), SENT, headers={"HX-Request": "true"})
    assert answer.status_code == 200
    assert answer.headers["HX-Redirect"] == page(Appointment, "change", row.pk)


SHOWN: list[tuple[type[models.Model], str, set[str]]] = [
    (Appointment, "held", {"take_money", "cancel_by_client", "cancel_by_provider"}),
    (Appointment, "paid", {"take_money", "confirm", "cancel_by_client", "cancel_by_provider"}),
    (
        Appointment,
        "confirmed",
        {"take_money", "attended", "no_show", "reschedule"}
        | {"cancel_by_client", "cancel_by_provider"},
    ),
    (Appointment, "canceled", {"take_money"}),
    (Appointment, "rescheduled", set()),
    (Appointment, "completed", {"take_money", "correct_outcome"}),
    (AvailabilitySlot, "available", {"block"}),
    (AvailabilitySlot, "blocked", {"unblock"}),
    (AvailabilitySlot, "reserved", set()),
    (WaitlistRequest, "new", {"mark_contacted", "close"}),
    (WaitlistRequest, "contacted", {"close"}),
    (WaitlistRequest, "closed", set()),
]


@each_model
def test_page_has_the_buttons_of_the_permitted_moves(owner: Client, model: Any) -> None:
    states = {state: buttons for kind, state, buttons in SHOWN if kind is model}
    for state, buttons in states.items():
        row = row_in(model, state)
        shown = text(owner.get(page(model, "change", row.pk)))
        known = set().union(*states.values())
        assert {button for button in known if dialog(row, button) in shown} == buttons, state


# -- refusals ---------------------------------------------------------------------------------


def test_refusal_is_a_message(owner: Client) -> None:
    for model, button, state in (
        (Appointment, "confirm", "held"),
        (Appointment, "confirm", "canceled"),
        (Appointment, "attended", "confirmed"),
        (AvailabilitySlot, "block", "reserved"),
        (AvailabilitySlot, "unblock", "reserved"),
        (WaitlistRequest, "mark_contacted", "closed"),
    ):
        row = row_in(model, state)
        with writes_nothing():
            answer = owner.post(dialog(row, button), SENT)
            assert answer.status_code == 302, (button, state)
            assert is_russian(messages_of(answer)), messages_of(answer)
            if button == "confirm":
                assert messages_of(answer) in text(owner.get(answer.url))


def test_refused_dialog_keeps_its_input(owner: Client) -> None:
    for button, state in (
        ("no_show", "confirmed"),
        ("no_show", "canceled"),
        ("cancel_by_client", "begun"),
        ("cancel_by_client", "completed"),
        ("cancel_by_provider", "rescheduled"),
    ):
        row = row_in(Appointment, state)
        with writes_nothing():
            answer = owner.post(dialog(row, button), {**SENT, "reason_category": "other"})
        assert answer.status_code == 200, (button, state)
        (errors,) = answer.context["form"].errors.values()
        assert is_russian(str(errors[0])), errors
        assert str(errors[0]) in text(answer)
        assert re.search(r'value="other"\s+selected', text(answer)), (button, state)


def test_reason_outside_the_set_is_refused(owner: Client) -> None:
    row = AppointmentFactory(confirmed=True)
    where = dialog(row, "cancel_by_client")
    with writes_nothing():
        for reason in ("unheard of", "a" * 1000, "\0"):
            answer = owner.post(where, {**SENT, "reason_category": reason})
            assert answer.status_code == 200
            assert "reason_category" in answer.context["form"].errors, reason


def test_dialog_of_a_missing_session_does_not_exist(owner: Client) -> None:
    for button in ("confirm", "no-show", "reschedule"):
        for key in (uuid4(), "nothing", "../../x"):
            address = f"/admin/booking/appointment/{key}/{button}/"
            answer = owner.post(address, {**SENT, "by": "provider", "slot": str(uuid4())})
            if button == "reschedule" and answer.status_code == 200:
                assert "slot" in answer.context["form"].errors  # there is no time to choose
            else:
                assert answer.status_code == 404, address


# -- money ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("button", "due"), [("cancel_by_client", "500 ₽"), ("cancel_by_provider", "1000 ₽")]
)
def test_message_names_the_refund_due(owner: Client, button: str, due: str) -> None:
    row = AppointmentFactory(confirmed=True, start_at_utc=now() + timedelta(hours=7))
    answer = owner.post(dialog(row, button), SENT)
    assert messages_of(answer).endswith(f" {due}.")
    assert [event.payload["amount"] for event in outbox() if event.event_type == "refund_due"] == [
        int(due.split()[0])
    ]


# -- moving -----------------------------------------------------------------------------------


def choices(client: Client, row: Appointment) -> list[str]:
    form = client.get(dialog(row, "reschedule")).context["form"]
    return [value for value, _label in form.fields["slot"].choices if value]


def test_session_is_moved_to_a_free_slot(owner: Client) -> None:
    row = AppointmentFactory(confirmed=True, in_slot=True)
    slot = AvailabilitySlotFactory(start_at_utc=TEN_YEARS_ON)
    assert str(slot.pk) in choices(owner, row)
    answer = owner.post(dialog(row, "reschedule"), {**SENT, "slot": str(slot.pk), "by": "client"})
    assert answer.status_code == 302
    moved = Appointment.objects.get(rescheduled_from=row)
    assert (moved.slot_id, moved.status, stored(row)["status"]) == (
        slot.pk,
        "confirmed",
        "rescheduled",
    )
    assert stored(row)["outcome_recorded_by_role"] == "owner"


def test_only_suitable_free_slots_are_offered(
    owner: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = AppointmentFactory(confirmed=True)
    ahead = [TEN_YEARS_ON + n * DAY for n in range(6)]
    own = AvailabilitySlotFactory(start_at_utc=ahead[1], service=row.service)
    of_any_service = AvailabilitySlotFactory(start_at_utc=ahead[0])
    AvailabilitySlotFactory(start_at_utc=ahead[2], service=ServiceFactory())
    AvailabilitySlotFactory(start_at_utc=ahead[3], end_at_utc=ahead[3] + timedelta(minutes=49))
    AvailabilitySlotFactory(start_at_utc=ahead[4], reserved=True)
    AvailabilitySlotFactory(start_at_utc=ahead[5], blocked=True)
    AvailabilitySlotFactory(start_at_utc=now() - timedelta(minutes=1))
    assert choices(owner, row) == [str(of_any_service.pk), str(own.pk)]
    monkeypatch.setattr(booking_admin, "SLOTS_SHOWN", 1)
    assert choices(owner, row) == [str(of_any_service.pk)]


def test_slot_taken_meanwhile_is_an_error_of_its_field(
    owner: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = AppointmentFactory(confirmed=True)
    slot = AvailabilitySlotFactory(start_at_utc=TEN_YEARS_ON)
    AppointmentFactory(held=True, start_at_utc=TEN_YEARS_ON)  # not in the slot, but in its time
    with writes_nothing():
        answer = owner.post(
            dialog(row, "reschedule"), {**SENT, "slot": str(slot.pk), "by": "provider"}
        )
    assert answer.status_code == 200
    (error,) = answer.context["form"].errors["slot"]
    assert is_russian(error), error


def test_dialog_asks_again_for_missing_input(owner: Client) -> None:
    row = AppointmentFactory(confirmed=True)
    where = dialog(row, "reschedule")
    with writes_nothing():
        for filled in (
            {},
            {"slot": "", "by": "client"},
            {"slot": "nothing", "by": "client"},
            {"slot": str(uuid4()), "by": "client"},
            {"slot": "\0", "by": "client"},
            {"by": "nobody"},
        ):
            answer = owner.post(where, {**SENT, **filled})
            assert answer.status_code == 200, filled
            assert answer.context["form"].errors, filled


# -- many at once -----------------------------------------------------------------------------

SELECTED: list[tuple[type[models.Model], str, str, str, str]] = [
    # model, action, state before and after, a state from which it is refused
    (AvailabilitySlot, "block_selected", "available", "blocked", "reserved"),
    (AvailabilitySlot, "unblock_selected", "blocked", "available", "reserved"),
    (WaitlistRequest, "mark_selected_contacted", "new", "contacted", "closed"),
    (WaitlistRequest, "close_selected", "new", "closed", ""),
]


def select(client: Client, model: type[models.Model], name: str, *rows: models.Model) -> Any:
    form = {"action": name, "_selected_action": [row.pk for row in rows]}
    return client.post(page(model, "changelist"), form)


@pytest.mark.parametrize(
    ("model", "name", "before", "after", "wrong"), SELECTED, ids=[name for _, name, *_ in SELECTED]
)
def test_selected_rows_are_moved_all_or_none(
    as_role: Callable[[str], Client], model: Any, name: str, before: str, after: str, wrong: str
) -> None:
    assistant = as_role("assistant")
    rows = [row_in(model, before) for _ in range(3)]
    if wrong:
        refused = row_in(model, wrong)
        with writes_nothing():
            answer = select(assistant, model, name, *rows, refused)
        assert answer.status_code == 302
        assert is_russian(messages_of(answer)), messages_of(answer)
    answer = select(assistant, model, name, *rows)
    assert answer.status_code == 302
    assert is_russian(messages_of(answer)), messages_of(answer)
    assert [stored(row)["status"] for row in rows] == [after] * 3
    editor = as_role("editor")
    with writes_nothing():
        assert select(editor, model, name, *rows).status_code == 404


# -- services ---------------------------------------------------------------------------------

MOVES = [
    ("publish", "draft", "published"),
    ("unpublish", "published", "draft"),
    ("archive", "published", "archived"),
    ("restore", "archived", "draft"),
]


def press(client: Client, row: Service, button: str, **changed: Any) -> Any:
    address = page(Service, "change", row.pk)
    form = form_at(client, address)
    return client.post(address, form | changed | {f"booking_service_{button}": "1"})


@pytest.mark.parametrize(("button", "before", "after"), MOVES)
def test_owner_moves_a_service(owner: Client, button: str, before: str, after: str) -> None:
    row = ServiceFactory(status=before)
    answer = press(owner, row, button)
    assert answer.status_code == 302
    first = str(next(iter(get_messages(answer.wsgi_request))))
    assert is_russian(first), first
    assert stored(row)["status"] == after
    assert len(event_types(row)) == 1


def test_missing_part_of_a_service_is_an_error_of_the_form(owner: Client) -> None:
    row = ServiceFactory(format="offline")
    with writes_nothing():
        answer = press(owner, row, "publish", title="Новое имя")
    assert answer.status_code == 200
    (error,) = answer.context_data["adminform"].form.errors["__all__"]
    assert is_russian(error), error
    assert 'value="Новое имя"' in text(answer)
    assert press(owner, row, "publish", offline_address="Москва").status_code == 302
    assert stored(row)["status"] == "published"


def test_assistant_reads_services_and_moves_none(as_role: Callable[[str], Client]) -> None:
    assistant = as_role("assistant")
    for button, before, _after in MOVES:
        row = ServiceFactory(status=before)
        shown = text(assistant.get(page(Service, "change", row.pk)))
        assert f"booking_service_{button}" not in shown
        with writes_nothing():
            form = {f"booking_service_{button}": "1"}
            assert assistant.post(page(Service, "change", row.pk), form).status_code in (403, 404)


# -- fields that no form has ------------------------------------------------------------------

LOCKED: dict[type[models.Model], set[str]] = {
    Appointment: {
        "status",
        "service",
        "start_at_utc",
        "end_at_utc",
        "buffer_minutes",
        "slot",
        "hold_expires_at",
        "outcome",
        "confirmed_at",
        "canceled_at",
    },
    AvailabilitySlot: {"status", "block_type", "start_at_utc", "end_at_utc"},
    WaitlistRequest: {"status", "preferred_contact"},
    Service: {"status"},
}


@pytest.mark.parametrize("model", LOCKED, ids=lambda model: model.__name__)
def test_form_has_no_field_for_a_state_or_a_time(owner: Client, model: Any) -> None:
    row = FACTORIES[model]()
    address = page(model, "change", row.pk)
    form = owner.get(address).context_data["adminform"].form
    assert not LOCKED[model] & set(form.fields)
    before = stored(row)
    typed = form_at(owner, address) | {
        "status": "canceled" if model is Appointment else "blocked",
        "start_at_utc_0": "2030-01-01",
        "start_at_utc_1": "10:00",
        "block_type": "exception",
        "outcome": "attended",
    }
    assert owner.post(address, typed).status_code == 302
    after = stored(row)
    assert {name: after[name] for name in before if name != "updated_at"} == {
        name: before[name] for name in before if name != "updated_at"
    }


def test_new_slot_is_available(owner: Client) -> None:
    address = page(AvailabilitySlot, "add")
    form = form_at(owner, address) | {
        "start_at_utc_0": "2035-05-05",
        "start_at_utc_1": "10:00",
        "end_at_utc_0": "2035-05-05",
        "end_at_utc_1": "10:50",
        "status": "blocked",
        "source": "product",
    }
    assert owner.post(address, form).status_code == 302
    assert AvailabilitySlot.objects.get().status == "available"


def test_event_of_an_admin_action_names_the_role(owner: Client) -> None:
    row = AppointmentFactory(confirmed=True)
    LeadIdentityFactory(user=row.client)
    owner.post(dialog(row, "cancel_by_provider"), SENT)
    (properties,) = tracked("appointment_outcome_recorded")
    assert properties["recorded_by_role"] == "owner"


def test_page_of_a_waitlist_request_shows_no_sealed_value(owner: Client) -> None:
    row = WaitlistRequestFactory()
    shown = text(owner.get(page(WaitlistRequest, "change", row.pk)))
    assert row.contact_value_encrypted.open() not in shown
    assert row.contact_value_encrypted.text not in shown


def booking_form(slot: AvailabilitySlot, **changed: Any) -> dict[str, Any]:
    """The form that staff fills in for a person who calls."""
    return {
        "service": ServiceFactory(published=True).pk,
        "client": UserFactory().pk,
        "start_at_utc_0": f"{slot.start_at_utc:%d.%m.%Y}",
        "start_at_utc_1": f"{slot.start_at_utc:%H:%M:%S}",
        "timezone": "Europe/Moscow",
        "format": "online",
        **changed,
    }


def test_staff_books_for_a_person_through_the_service(as_role: Callable[[str], Client]) -> None:
    slot = AvailabilitySlotFactory()
    answer = as_role("owner").post(page(Appointment, "add"), booking_form(slot))
    assert answer.status_code == 302
    (booked,) = Appointment.objects.all()
    assert (booked.slot_id, booked.status) == (slot.pk, "pending_payment")
    assert booked.price_amount == booked.service.price_amount
    assert stored(slot)["status"] == "reserved"
    assert event_types(booked) == ["appointment_booked"]


def test_taken_time_is_an_error_and_the_input_stays(owner: Client) -> None:
    slot = AvailabilitySlotFactory()
    taken = AppointmentFactory(start_at_utc=slot.start_at_utc + timedelta(minutes=5))
    answer = owner.post(page(Appointment, "add"), booking_form(slot, timezone="Asia/Dubai"))
    assert answer.status_code == 200
    assert "только что заняли" in text(answer)
    assert "Asia/Dubai" in text(answer)
    assert [*Appointment.objects.all()] == [taken]
    assert stored(slot)["status"] == "available"
