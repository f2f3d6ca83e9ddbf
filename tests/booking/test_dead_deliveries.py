"""Deliveries of the payment provider that never take effect: back-off, a final state, the purge."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.utils.timezone import now

from booking.models import PaymentWebhookEvent
from booking.services import attach_provider_id, process_webhook, webhooks
from booking.services.webhooks import LONGEST_BACK_OFF, TRIED_FOR, back_off
from tests.booking.outbox_assertions import book, deliver, event_types, known_payment
from tests.factories import PaymentFactory, PaymentWebhookEventFactory
from tests.factories.base import ago
from tests.support import execute

pytestmark = pytest.mark.django_db
Inbox = PaymentWebhookEvent.objects
MINUTE = timedelta(minutes=1)


def command(name: str, *arguments: str) -> list[str]:
    output = io.StringIO()
    call_command(name, *arguments, stdout=output, stderr=output)
    return output.getvalue().splitlines()


def dead(error: str) -> PaymentWebhookEvent:
    """An event that ends now, and had this error in every attempt."""
    payment = PaymentFactory(answered=True)
    known = {"amount_mismatch": payment.provider_payment_id}
    return PaymentWebhookEventFactory(
        provider_payment_id=known.get(error, "provider-other"),
        amount=payment.amount + 1,
        currency="RUB",
        received_at=ago(days=7),
        attempts=12,
    )


def test_back_off_doubles_up_to_a_day() -> None:
    assert [back_off(n) / MINUTE for n in (1, 2, 3, 4)] == [1, 2, 4, 8]
    assert back_off(11) < back_off(12) == back_off(10_000) == LONGEST_BACK_OFF
    # So an event that ends was tried about twenty times.
    assert sum((back_off(n) for n in range(1, 18)), MINUTE) > TRIED_FOR


def test_event_is_due_after_its_back_off() -> None:
    start = now()
    event = deliver("provider-other", clock=lambda: start)
    assert (event.attempts, event.next_attempt_at) == (1, start + MINUTE)
    assert Inbox.due(start + MINUTE - timedelta(microseconds=1)) == []
    assert Inbox.due(start + MINUTE) == [event.pk]
    event = process_webhook(event, clock=lambda: start + MINUTE)
    assert (event.attempts, event.next_attempt_at) == (2, start + 3 * MINUTE)
    assert (event.processed_at, event.last_error) == (None, "unknown_payment")


def test_repeated_delivery_does_not_wait_for_the_back_off() -> None:
    row = book()
    payment = known_payment(row)
    deliver(payment, amount="1.00")
    assert deliver(payment).last_error is None
    payment.refresh_from_db()
    assert payment.status == "succeeded"


@pytest.mark.parametrize("error", ["unknown_payment", "amount_mismatch"])
def test_event_without_an_effect_ends_after_seven_days(error: str) -> None:
    event = dead(error)
    before = event.received_at + TRIED_FOR - timedelta(seconds=1)
    process_webhook(event, clock=lambda: before)
    event.refresh_from_db()
    assert (event.processed_at, event.last_error, event.has_ended) == (None, error, False)
    events = event_types()
    ended = process_webhook(event)
    assert (ended.last_error, ended.has_ended) == (error, True)
    assert ended.processed_at is not None
    assert event_types() == events
    assert process_webhook(event) is None
    assert Inbox.due(now() + timedelta(days=999)) == []


def test_fault_of_the_program_never_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    event = dead("amount_mismatch")

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError

    monkeypatch.setattr(webhooks, "_apply_to_payment", broken)
    row = process_webhook(event)
    assert (row.last_error, row.processed_at, row.has_ended) == ("internal", None, False)
    assert row.next_attempt_at - now() > timedelta(hours=23)


def test_command_counts_ended_events_and_passes_over_waiting_ones() -> None:
    dead("unknown_payment")
    deliver("provider-third")
    assert command("process_webhooks") == [
        "       0 took effect",
        "       1 ended: they had no effect for seven days",
    ]
    assert command("process_webhooks") == ["       0 took effect"]


def test_ended_event_takes_effect_when_its_payment_is_attached() -> None:
    row = book()
    payment = PaymentFactory(appointment=row)
    event = PaymentWebhookEventFactory(
        provider_payment_id="provider-late",
        amount=payment.amount,
        currency="RUB",
        received_at=ago(days=7),
    )
    assert process_webhook(event).has_ended
    attach_provider_id(payment, provider_payment_id="provider-late")
    event.refresh_from_db()
    payment.refresh_from_db()
    assert (payment.status, event.last_error, event.has_ended) == ("succeeded", None, False)


def test_ended_event_is_purged_ninety_days_later() -> None:
    event = dead("unknown_payment")
    process_webhook(event)
    purge = ("purge_expired", "--table", "payment_webhook_events")
    assert command(*purge) == ["payment_webhook_events: 0 rows purged."]
    execute(
        "UPDATE payment_webhook_events SET received_at = received_at - interval '91 days', "
        "processed_at = processed_at - interval '91 days'"
    )
    assert command(*purge) == ["payment_webhook_events: 1 row purged."]


def test_events_of_another_shop_cost_a_run_one_query_while_they_wait(
    django_assert_max_num_queries: Any,
) -> None:
    PaymentWebhookEventFactory.create_batch(
        50, last_error="unknown_payment", attempts=5, next_attempt_at=now() + timedelta(hours=1)
    )
    with django_assert_max_num_queries(1):
        assert command("process_webhooks") == ["       0 took effect"]
