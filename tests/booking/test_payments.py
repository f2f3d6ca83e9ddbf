"""Payments: their terms never change, and a final status is final."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from booking.models import Payment
from tests.factories import (
    AppointmentFactory,
    PaymentFactory,
    PaymentWebhookEventFactory,
)
from tests.rule_cases import (
    ALL_WRITE_PATHS,
    UPDATES,
    Change,
    check_refusal_is_discreet,
    range_cases,
)
from tests.rule_groups import (
    CaseGroup,
    ChangeGroup,
    case_groups,
    change_groups,
    check_case_group,
    check_change_group,
    loop_over,
)
from tests.support import (
    Case,
    breaks,
    execute,
    refuses,
    update_sql,
)

pytestmark = pytest.mark.django_db

CONFIRMED_AT = "payments_confirmed_at_with_status"
HAS_ID = "payments_succeeded_has_provider_id"
CATEGORY = "payments_failure_category_when_over"
TERMS = "payments_terms_stay"
ID_STAYS = "payments_provider_id_stays"
KNOWN = "payments_provider_payment_unique"
FITS = "payments_fit_price"
PAID_ONCE = "payments_one_yookassa_success_per_purpose"


def payment(name: str, rule: str | None = None, /, **values: Any) -> Case:
    return Case(name, PaymentFactory, values, rule)


@case_groups(
    *range_cases(PaymentFactory, "amount", 1, purpose="full"),
    payment("a deposit below the one agreed", FITS, amount=999),
    payment("a deposit above the one agreed", FITS, amount=1001),
    payment("a deposit where none is agreed", FITS, appointment__deposit_amount=None),
    payment("a part of the price", purpose="full", amount=4000),
    payment("more than the price", FITS, purpose="full", amount=5001),
    payment("for what is free of charge", FITS, purpose="full", amount=1, appointment__free=True),
    payment("pending, with a time of success", CONFIRMED_AT, confirmed_at=timezone.now),
    payment("pending, with a failure", CATEGORY, failure_category="timeout"),
    payment("before the provider has answered"),
    payment("after the provider has answered", answered=True),
    payment("for the full price", full=True),
    payment(
        "asked twice under one key",
        "payments_idempotency_key_unique",
        idempotency_key=lambda: PaymentFactory().idempotency_key,
    ),
    payment(
        "known to the provider already",
        KNOWN,
        provider_payment_id=lambda: PaymentFactory(answered=True).provider_payment_id,
    ),
    payment(
        "as unknown to the provider as others",
        provider_payment_id=lambda: PaymentFactory() and None,
    ),
    payment(
        "again after a success, still pending",
        appointment=lambda: PaymentFactory(succeeded=True).appointment,
    ),
)
def test_new_payment_is_pending_and_unique(group: CaseGroup) -> None:
    check_case_group(group)


def pay(trait: str, name: str, rule: str | None = None, /, **to: Any) -> Change:
    traits = {} if trait == "pending" else {trait: True}
    return Change(f"{trait}: {name}", PaymentFactory, traits, to, rule)


SUCCESS = {"status": "succeeded", "confirmed_at": lambda row: timezone.now()}


@change_groups(
    pay("answered", "succeeded", **SUCCESS),
    pay("answered", "succeeded without a time", CONFIRMED_AT, status="succeeded"),
    pay("pending", "succeeded unknown to the provider", HAS_ID, **SUCCESS),
    pay(
        "pending",
        "succeeded, with an id in the same statement",
        **SUCCESS,
        provider_payment_id="p-1",
    ),
    pay("answered", "succeeded with a failure", CATEGORY, **SUCCESS, failure_category="unknown"),
    *(
        pay("pending", f"{over} {why}", status=over, failure_category=why)
        for over in ["failed", "canceled"]
        for why in ["timeout", None]
    ),
    *(
        pay(over, "a time of success", CONFIRMED_AT, confirmed_at=lambda row: timezone.now())
        for over in ["failed", "canceled"]
    ),
    pay("succeeded", "a failure", CATEGORY, failure_category="provider_error"),
    pay("succeeded", "time forgotten", "payments_time_of_success_stays", confirmed_at=None),
)
def test_columns_of_a_payment_agree_with_its_status(group: ChangeGroup) -> None:
    check_change_group(group)


NEW_TERMS: dict[str, dict[str, Any]] = {
    "more": {"amount": 1001},
    "less": {"amount": 999},
    "another currency": {"currency": "USD"},
    "the full price": {"purpose": "full"},
    "another appointment": {"appointment_id": lambda row: AppointmentFactory().pk},
}


@change_groups(
    *(pay("pending", name, TERMS, **to) for name, to in NEW_TERMS.items()),
    write_paths=ALL_WRITE_PATHS,
)
def test_terms_of_a_pending_payment_do_not_change(group: ChangeGroup) -> None:
    check_change_group(group)


@change_groups(
    *(
        pay(status, name, TERMS, **to)
        for status in ["answered", "succeeded", "canceled", "failed"]
        for name, to in NEW_TERMS.items()
    ),
    pay("answered", "success for less", TERMS, **SUCCESS, amount=1),
    write_paths=["sql"],
)
def test_terms_of_a_later_status_do_not_change(group: ChangeGroup) -> None:
    check_change_group(group)


@change_groups(
    pay("answered", "another id", ID_STAYS, provider_payment_id="p-2"),
    pay("answered", "no id", ID_STAYS, provider_payment_id=None),
    pay("pending", "its first id", provider_payment_id="p-2"),
    write_paths=ALL_WRITE_PATHS,
)
def test_provider_id_is_set_once(group: ChangeGroup) -> None:
    check_change_group(group)


@change_groups(
    *(
        pay(over, "another id", ID_STAYS, provider_payment_id="p-2")
        for over in ["succeeded", "canceled"]
    ),
    pay("failed", "an answer that came late", provider_payment_id="p-2"),
    Change(
        "the id of another payment",
        PaymentFactory,
        {},
        {"provider_payment_id": lambda row: PaymentFactory(answered=True).provider_payment_id},
        KNOWN,
    ),
)
def test_provider_id_of_a_final_payment_does_not_change(group: ChangeGroup) -> None:
    check_change_group(group)


def succeed(row: Payment) -> None:
    update_sql(row, status="succeeded", confirmed_at=timezone.now())


def succeed_and_save(row: Payment) -> None:
    row.status, row.confirmed_at = "succeeded", timezone.now()
    row.save()


@pytest.mark.parametrize("succeed", [succeed, succeed_and_save], ids=["sql", "orm"])
@breaks(PAID_ONCE)
def test_each_purpose_succeeds_once(succeed: Callable[[Payment], None]) -> None:
    first = PaymentFactory(succeeded=True)
    again = PaymentFactory(appointment=first.appointment, answered=True)
    with refuses(PAID_ONCE, "payments"):
        succeed(again)
    # Another purpose or another appointment may be paid.
    succeed(PaymentFactory(appointment=first.appointment, answered=True, full=True))
    succeed(PaymentFactory(answered=True))
    assert Payment.objects.filter(status="succeeded").count() == 3


def test_each_purpose_succeeds_once_in_one_statement() -> None:
    row = PaymentFactory(answered=True)
    PaymentFactory(appointment=row.appointment, answered=True)
    with refuses(PAID_ONCE, "payments"):
        execute("UPDATE payments SET status = 'succeeded', confirmed_at = now()")


@loop_over("over", ["canceled", "failed"])
def test_purpose_may_be_paid_after_a_failure(over: str) -> None:
    row = PaymentFactory(**{over: True})
    succeed(PaymentFactory(appointment=row.appointment, answered=True))


@loop_over("late", ["failed", "canceled", "pending"])
def test_succeeded_payment_takes_no_other_status(late: str) -> None:
    row = PaymentFactory(succeeded=True)
    with refuses("payments_status_transition", "payments"):
        update_sql(row, status=late, confirmed_at=None)
    assert Payment.objects.get(pk=row.pk).status == "succeeded"


@breaks("payments_request_stays")
def test_idempotency_key_does_not_change() -> None:
    row = PaymentFactory(failed=True)
    with refuses("payments_request_stays", "payments"):
        update_sql(row, idempotency_key="another")
    with refuses("payments_request_stays", "payments"):
        Payment.objects.filter(pk=row.pk).update(idempotency_key="another")


@breaks("payments_time_of_success_stays")
def test_time_of_a_success_does_not_change() -> None:
    """The time of a success assigns the payment to an accounting period."""
    row = PaymentFactory(succeeded=True)
    with pytest.raises(IntegrityError), transaction.atomic():
        update_sql(row, confirmed_at=row.confirmed_at - timedelta(days=40))


SECRET = "ivanova-2027"


@pytest.mark.parametrize(
    ("rule", "column", "to"),
    [
        (TERMS, "amount", {"amount": 4321}),
        (ID_STAYS, "provider", {"provider_payment_id": "ivanova-4321"}),
    ],
    ids=[TERMS, ID_STAYS],
)
def test_refused_change_reveals_nothing_about_the_payment(
    rule: str, column: str, to: dict[str, Any]
) -> None:
    row = PaymentFactory(provider_payment_id=SECRET, idempotency_key=f"{SECRET}-1")
    check_refusal_is_discreet(
        lambda: update_sql(row, **to), rule, "payments", column, SECRET, "4321", str(row.pk)
    )


# -- webhook events -------------------------------------------------------------------------------


def delivery(name: str, rule: str | None = None, /, **values: Any) -> Case:
    return Case(name, PaymentWebhookEventFactory, values, rule)


DOTTED = "payment_webhook_events_event_type_is_dotted_code"
NOT_NEGATIVE = "payment_webhook_events_amount_not_negative"
CURRENCY = "payment_webhook_events_currency_is_iso"
INVALID_CURRENCIES = ["", "rub", "RU", "RUBL", "РУБ", "RUB\n", " RUB"]
EVENT_TYPES = [
    "payment.waiting_for_capture",
    "payment.succeeded",
    "payment.canceled",
    "refund.succeeded",
    "ping",
]
INVALID_EVENT_TYPES = [
    ".",
    "payment.",
    ".succeeded",
    "payment..succeeded",
    "Payment.succeeded",
    "payment.succeeded\n",
    "payment.succeeded ",
    "payment-succeeded",
    "1payment",
    "оплата",
]


@case_groups(
    *range_cases(PaymentWebhookEventFactory, "attempts", 0),
    *(delivery(f"of type {kind!r}", event_type=kind) for kind in EVENT_TYPES),
    *(delivery(f"of type {kind!r}", DOTTED, event_type=kind) for kind in INVALID_EVENT_TYPES),
    delivery("processed", processed=True),
    delivery("failed", last_error="amount_mismatch", attempts=1),
    delivery("of an unknown payment", provider_payment_id="unknown", last_error="unknown_payment"),
    delivery("of an amount", amount=Decimal("3500.00"), currency="RUB"),
    delivery("of nothing", amount=0, currency="RUB"),
    delivery("of less than nothing", NOT_NEGATIVE, amount=Decimal("-0.01")),
    delivery("of an amount without a currency", amount=1),
    *(delivery(f"in {code!r}", CURRENCY, currency=code) for code in INVALID_CURRENCIES),
    delivery(
        "a second time",
        "payment_webhook_events_once",
        provider_event_id=lambda: PaymentWebhookEventFactory().provider_event_id,
    ),
)
def test_delivery_is_stored_once(group: CaseGroup) -> None:
    check_case_group(group)


def test_delivery_has_an_event_type() -> None:
    with refuses(DOTTED, "payment_webhook_events"):
        update_sql(PaymentWebhookEventFactory(), event_type="")


def test_amount_of_a_delivery_is_a_number() -> None:
    with refuses(NOT_NEGATIVE, "payment_webhook_events"):
        update_sql(PaymentWebhookEventFactory(), amount=Decimal("NaN"))


@loop_over("write_path", UPDATES)
def test_delivery_does_not_take_the_event_id_of_another(write_path: str) -> None:
    first, second = PaymentWebhookEventFactory.create_batch(2)
    with refuses("payment_webhook_events_once", "payment_webhook_events"):
        UPDATES[write_path](second, provider_event_id=first.provider_event_id)


def test_repeated_delivery_inserts_no_row() -> None:
    """receive_webhook() inserts like this, so a repeated delivery has no effect."""
    row = PaymentWebhookEventFactory()
    written = execute(
        "INSERT INTO payment_webhook_events (provider, provider_event_id, event_type, "
        "provider_payment_id) VALUES ('yookassa', %s, 'payment.canceled', 'x') "
        "ON CONFLICT (provider, provider_event_id) DO NOTHING RETURNING id",
        [row.provider_event_id],
    )
    assert written == []
