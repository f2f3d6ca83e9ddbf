"""Pages of schedule exceptions, and the dialog that writes a note about a session."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.utils.timezone import now

from booking.models import Appointment, ScheduleException, SessionNote
from tests.admin.support import form_at, page, text
from tests.admin.test_booking_actions import DAY, SENT, booking_form, dialog, messages_of
from tests.admin.test_writing import is_russian
from tests.booking.outbox_assertions import stored, writes_nothing
from tests.factories import (
    AppointmentFactory,
    AvailabilitySlotFactory,
    ScheduleExceptionFactory,
    ScheduleRuleFactory,
)


@pytest.mark.parametrize(("kind", "is_warned"), [("closed", True), ("open", False)])
def test_closed_period_names_its_booked_sessions(owner: Client, kind: str, is_warned: bool) -> None:
    start = (now() + timedelta(days=5)).replace(hour=9, minute=0, second=0, microsecond=0)
    row = AppointmentFactory(confirmed=True, start_at_utc=start)
    AppointmentFactory(confirmed=True, start_at_utc=start + timedelta(days=3))
    day = f"{start:%d.%m.%Y}"
    form = form_at(owner, page(ScheduleException, "add")) | {
        "kind": kind,
        "starts_on": day,
        "ends_on": day,
        "timezone": "UTC",
        "start_local": "08:00",
        "end_local": "12:00",
    }
    answer = owner.post(page(ScheduleException, "add"), form)
    assert answer.status_code == 302, answer.context["errors"]
    sentence = messages_of(answer)
    assert ("09:00" in sentence) == is_warned
    assert ";" not in sentence  # the later session is not closed
    assert stored(row)["status"] == "confirmed"


def test_new_rows_have_the_zone_of_the_practice(owner: Client) -> None:
    ScheduleRuleFactory(timezone="Asia/Omsk")
    for model in (ScheduleException, Appointment):
        assert form_at(owner, page(model, "add"))["timezone"] == "Asia/Omsk"


def test_booking_in_a_closed_time_is_warned_of(owner: Client) -> None:
    slot = AvailabilitySlotFactory(start_at_utc=(now() + 3 * DAY).replace(hour=9, microsecond=0))
    day = slot.start_at_utc.date()
    ScheduleExceptionFactory(kind="closed", starts_on=day, ends_on=day, timezone="UTC")
    answer = owner.post(page(Appointment, "add"), booking_form(slot))
    assert answer.status_code == 302
    assert "закрыто" in messages_of(answer)


def test_hold_that_is_over_is_refused_beside_its_field(owner: Client) -> None:
    slot = AvailabilitySlotFactory(start_at_utc=now().replace(microsecond=0) + 3 * DAY)
    for days in (-1, 5):  # over, and later than a day after the session
        hold = now() + days * DAY
        form = booking_form(slot) | {
            "hold_expires_at_0": f"{hold:%d.%m.%Y}",
            "hold_expires_at_1": f"{hold:%H:%M:%S}",
        }
        with writes_nothing():
            answer = owner.post(page(Appointment, "add"), form)
        errors = answer.context["adminform"].form.errors
        assert [*errors] == ["hold_expires_at"]
        assert is_russian(str(errors["hold_expires_at"][0]))


def test_owner_writes_a_note_about_a_session(owner: Client) -> None:
    row = AppointmentFactory(completed=True)
    opened = owner.get(dialog(row, "write_note")).context["form"]
    filled = SENT | {"id": str(opened["id"].value()), "text": "Первая строка\r\nВторая"}
    for _ in "twice":  # a form that is sent twice is one note
        answer = owner.post(dialog(row, "write_note"), filled)
        assert (answer.status_code, is_russian(messages_of(answer))) == (302, True)
    note = SessionNote.objects.get()
    assert note.note_encrypted.open() == "Первая строка\nВторая"
    shown = text(owner.get(page(Appointment, "change", row.pk)))
    assert page(SessionNote, "change", note.pk) in shown
    assert "Первая строка" not in shown


def test_blank_note_is_refused_beside_its_text(owner: Client) -> None:
    row = AppointmentFactory(completed=True)
    with writes_nothing():
        answer = owner.post(dialog(row, "write_note"), SENT | {"id": "", "text": " \n"})
    assert is_russian(str(answer.context["form"].errors["text"][0]))


def test_only_the_owner_writes_notes(as_role: Callable[[str], Client]) -> None:
    row = AppointmentFactory(completed=True)
    for role in ("assistant", "editor"):
        answer = as_role(role).post(dialog(row, "write_note"), SENT | {"text": "Текст"})
        assert answer.status_code == 404, role
    assert not SessionNote.objects.exists()
