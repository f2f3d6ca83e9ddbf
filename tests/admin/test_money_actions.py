"""Pages and dialogs in which staff record money, for the roles of access.md §1."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.contrib import admin
from django.test import Client
from django.utils.timezone import now

from booking.models import Appointment, MessageDelivery, Payment, Refund, SessionNote
from identity.models import ErasureRequest
from tests.admin.support import page, text
from tests.admin.test_booking_actions import DAY, SENT, booking_form, dialog, messages_of
from tests.admin.test_writing import is_russian
from tests.booking.outbox_assertions import event_types, stored, writes_nothing
from tests.factories import (
    AppointmentFactory,
    AvailabilitySlotFactory,
    PaymentFactory,
    RefundFactory,
    SystemSettingFactory,
    UserFactory,
)
from tests.factories.booking import DEPOSIT, PRICE
from tests.rule_groups import loop_over
from ugc.models import ModerationTotal

ROLES = ["owner", "assistant"]
each_role = pytest.mark.parametrize("role", ROLES)


def opened(browser: Client, row: Any, button: str) -> dict[str, Any]:
    """The values that a dialog offers when it is opened."""
    answer = browser.get(dialog(row, button))
    assert answer.status_code == 200, answer
    form = answer.context["form"]
    return SENT | {
        name: value if isinstance(value, int) else str(value)
        for name in form.fields
        if (value := form[name].value()) not in (None, True)
    }


@each_role
def test_staff_record_a_payment_in_parts(as_role: Callable[[str], Client], role: str) -> None:
    browser, row = as_role(role), AppointmentFactory()
    assert dialog(row, "take_money") in text(browser.get(page(Appointment, "change", row.pk)))
    for method, amount, rest, status in (
        ("cash", DEPOSIT - 1, PRICE, "pending_payment"),
        ("transfer", 1, PRICE - DEPOSIT + 1, "confirmed"),
        ("card", PRICE - DEPOSIT, PRICE - DEPOSIT, "confirmed"),
    ):
        offered = opened(browser, row, "take_money")
        assert offered["amount"] == rest
        filled = {**offered, "method": method, "amount": amount}
        answers = [browser.post(dialog(row, "take_money"), filled) for _ in "twice"]
        assert {answer.status_code for answer in answers} == {302}
        assert is_russian(messages_of(answers[0])), messages_of(answers[0])
        payment = Payment.objects.get(method=method)  # a form that is sent twice is one payment
        assert (payment.amount, payment.recorded_by.role_codes) == (amount, {role})
        assert stored(row)["status"] == status
    assert "amount" not in opened(browser, row, "take_money")


def test_payment_may_complete_the_session(owner: Client) -> None:
    row = AppointmentFactory(confirmed=True, start_at_utc=now() - timedelta(minutes=30))
    filled = opened(owner, row, "take_money") | {"method": "cash", "outcome": "attended"}
    assert owner.post(dialog(row, "take_money"), filled).status_code == 302
    assert (stored(row)["status"], stored(row)["outcome"]) == ("completed", "attended")


@loop_over(
    ("changed", "field"),
    [
        ({"amount": PRICE + 1}, "amount"),
        ({"amount": 0}, "amount"),
        ({"amount": "1.5"}, "amount"),
        ({"amount": 10**12}, "amount"),
        ({"method": ""}, "method"),
        ({"method": "barter"}, "method"),
        ({"outcome": "attended"}, "outcome"),  # the session is still ahead
        ({"idempotency_key": "\0"}, "idempotency_key"),
    ],
)
def test_refused_payment_keeps_its_input(
    owner: Client, changed: dict[str, Any], field: str
) -> None:
    row = AppointmentFactory()
    filled = {**opened(owner, row, "take_money"), "method": "cash", **changed}
    with writes_nothing():
        answer = owner.post(dialog(row, "take_money"), filled)
    assert answer.status_code == 200
    (errors,) = answer.context["form"].errors.items()
    assert errors[0] == field
    assert is_russian(str(errors[1][0])), errors
    if "\0" not in filled["idempotency_key"]:
        assert filled["idempotency_key"] in text(answer)


@each_role
def test_staff_record_that_money_was_given_back(
    as_role: Callable[[str], Client], role: str
) -> None:
    browser, row = as_role(role), PaymentFactory(manual=True, amount=PRICE)
    assert dialog(row, "hand_back") in text(browser.get(page(Payment, "change", row.pk)))
    filled = opened(browser, row, "hand_back")
    assert filled["amount"] == PRICE
    filled["amount"] = PRICE - 1
    for _ in "twice":
        answer = browser.post(dialog(row, "hand_back"), filled)
        assert (answer.status_code, is_russian(messages_of(answer))) == (302, True)
    (refund,) = Refund.objects.all()
    assert (refund.amount, refund.status, refund.reason) == (PRICE - 1, "succeeded", "by_hand")
    assert refund.recorded_by.role_codes == {role}
    with writes_nothing():
        too_much = opened(browser, row, "hand_back") | {"amount": 2}
        answer = browser.post(dialog(row, "hand_back"), too_much)
    assert is_russian(str(answer.context["form"].errors["amount"][0]))


def due_refund(**payment: Any) -> Refund:
    return RefundFactory(payment=PaymentFactory(**{"succeeded": True, **payment}))


def test_owner_sends_a_refund_that_is_due(owner: Client) -> None:
    row = due_refund()
    assert dialog(row, "send") in text(owner.get(page(Refund, "change", row.pk)))
    answer = owner.post(dialog(row, "send"), SENT)
    assert (answer.status_code, is_russian(messages_of(answer))) == (302, True)
    assert stored(row)["status"] == "sent"
    assert event_types(row.payment)[-1] == "refund_sent"


def test_assistant_sends_no_refund(as_role: Callable[[str], Client]) -> None:
    assistant, row = as_role("assistant"), due_refund()
    assert dialog(row, "send") not in text(assistant.get(page(Refund, "change", row.pk)))
    with writes_nothing():
        assert assistant.post(dialog(row, "send"), SENT).status_code in (403, 404)


@each_role
def test_staff_give_back_by_hand_what_is_due(as_role: Callable[[str], Client], role: str) -> None:
    browser, row = as_role(role), due_refund(manual=True, succeeded=False)
    assert dialog(row, "hand_back") in text(browser.get(page(Refund, "change", row.pk)))
    assert browser.post(dialog(row, "hand_back"), SENT).status_code == 302
    assert stored(row)["status"] == "succeeded"
    assert Refund.objects.count() == 1


def test_refund_of_a_manual_payment_is_not_sent(owner: Client) -> None:
    row = due_refund(manual=True, succeeded=False)
    with writes_nothing():
        answer = owner.post(dialog(row, "send"), SENT)
    assert is_russian(messages_of(answer)), messages_of(answer)


def test_assistant_sees_the_money_of_the_day_only(as_role: Callable[[str], Client]) -> None:
    row = AppointmentFactory()
    yesterday = now() - DAY - timedelta(hours=1)
    old = PaymentFactory(manual=True, appointment=row, amount=11, created_at=yesterday)
    new = PaymentFactory(manual=True, appointment=row, amount=13)
    refunds = [
        RefundFactory(payment=old, amount=5, requested_at=yesterday),
        RefundFactory(payment=new, amount=7),
    ]
    for role, seen in (("owner", {old, new}), ("assistant", {new})):
        browser = as_role(role)
        assert set(browser.get(page(Payment, "changelist")).context["cl"].result_list) == seen
        listed = browser.get(page(Refund, "changelist")).context["cl"].result_list
        assert {refund.payment for refund in listed} == seen
        shown = text(browser.get(page(Appointment, "change", row.pk)))
        assert ("11 ₽" in shown) == (old in seen), role
        assert "13 ₽" in shown
        opened_page = browser.get(page(Payment, "change", old.pk))
        assert (opened_page.status_code == 200) == (old in seen)
        offered = browser.get(dialog(old, "hand_back")).context["form"]["amount"].value()
        assert offered == (old.amount - 5 if old in seen else None)
    with writes_nothing():
        form = SENT | {"amount": 1, "id": "0190c0de-0000-7000-8000-000000000000"}
        assert browser.post(dialog(old, "hand_back"), form).status_code == 404
        assert browser.post(dialog(refunds[0], "hand_back"), SENT).status_code == 404


def test_day_of_the_assistant_is_that_of_the_practice(as_role: Callable[[str], Client]) -> None:
    """The day of Kiritimati began ten hours before that of UTC."""
    zone = ZoneInfo("Pacific/Kiritimati")
    SystemSettingFactory(key="practice_timezone", value=zone.key)
    midnight = now().astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    rows = [
        PaymentFactory(manual=True, amount=amount, created_at=midnight + timedelta(seconds=seconds))
        for amount, seconds in ((11, -1), (13, 0))
    ]
    seen = as_role("assistant").get(page(Payment, "changelist")).context["cl"].result_list
    assert [*seen] == rows[1:]


def test_lists_of_money_name_the_client(owner: Client) -> None:
    row = AppointmentFactory(client=UserFactory(display_name="Анна Соколова"))
    RefundFactory(payment=PaymentFactory(manual=True, appointment=row, amount=PRICE), amount=1)
    for model, amount in ((Payment, f"{PRICE:,}".replace(",", "\xa0")), (Refund, "1")):
        for is_listed, search in ((True, "Соколова"), (False, "Орлова")):
            shown = text(owner.get(page(model, "changelist"), {"q": search}))
            for expected in ("Анна Соколова", f">{amount}\xa0₽<"):
                assert (expected in shown) == is_listed, (model, expected)


def test_empty_list_explains_itself(owner: Client) -> None:
    for model in (Payment, Refund, MessageDelivery, SessionNote, ErasureRequest, ModerationTotal):
        explained = admin.site.get_model_admin(model).empty_list
        assert is_russian(str(explained)), model
        assert str(explained) in text(owner.get(page(model, "changelist"))), model
        assert str(explained) not in text(owner.get(page(model, "changelist"), {"q": "я"})), model


def test_others_record_no_money(as_role: Callable[[str], Client]) -> None:
    payment = PaymentFactory(succeeded=True)
    refund = RefundFactory(payment=payment)
    browsers = [as_role("editor"), as_role("client")]
    with writes_nothing():
        for browser in browsers:
            for row, button in (
                (payment.appointment, "take_money"),
                (payment, "hand_back"),
                (refund, "hand_back"),
                (refund, "send"),
            ):
                assert browser.get(dialog(row, button)).status_code == 404, button
                assert browser.post(dialog(row, button), SENT).status_code == 404, button


def test_page_of_a_payment_shows_its_receipt_in_words(owner: Client) -> None:
    row = PaymentFactory(succeeded=True, method="sbp", receipt_status="succeeded")
    shown = text(owner.get(page(Payment, "change", row.pk)))
    assert "зарегистрирован" in shown
    assert "СБП" in shown


@loop_over("hours", [None, 48])
def test_booking_of_staff_waits_for_its_money(owner: Client, hours: int | None) -> None:
    slot = AvailabilitySlotFactory(start_at_utc=now().replace(microsecond=0) + 3 * DAY)
    form = booking_form(slot)
    chosen = None
    if hours is not None:
        chosen = now().replace(microsecond=0) + timedelta(hours=hours)
        form |= {
            "hold_expires_at_0": f"{chosen:%d.%m.%Y}",
            "hold_expires_at_1": f"{chosen:%H:%M:%S}",
        }
    assert owner.post(page(Appointment, "add"), form).status_code == 302
    row = Appointment.objects.get()
    assert row.status == "pending_payment"
    if chosen is None:
        assert DAY - timedelta(minutes=5) < row.hold_expires_at - now() <= DAY
    else:
        # The page takes local times.
        assert abs(row.hold_expires_at - chosen) <= timedelta(hours=3)
