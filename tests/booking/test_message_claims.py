"""A due message is claimed once, under consent, and its report ends it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from audit.models import MessageTemplate
from booking.errors import ClaimLost
from booking.models import MessageDelivery
from booking.services import (
    ClaimedMessage,
    cancel_appointment,
    claim_due_messages,
    mark_failed,
    mark_sent,
)
from booking.services.message_claims import MAX_ATTEMPTS
from crm.models import LeadIdentity
from ebalance.db.encryption.fields import Plaintext
from ebalance.privacy.consents import withdraw_consent
from ebalance.privacy.erasure import erase_user
from ebalance.services import IdempotencyConflict, InvalidInput, NotFound, TransitionRefused
from tests.booking.messaging import agreed_user, due_message, session, statuses, template
from tests.booking.outbox_assertions import (
    INVALID_KEYS,
    INVALID_TEXTS,
    at,
    check_refusals,
    refused,
    writes_nothing,
)
from tests.clocks import fact_clock_at
from tests.factories import (
    AppointmentFactory,
    ConsentFactory,
    LeadFactory,
    LeadIdentityFactory,
    MessageDeliveryFactory,
    MessageTemplateVersionFactory,
    UserFactory,
)
from tests.factories.base import ago, ahead
from tests.support import execute, update_sql
from tests.test_bad_rows import refusing

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _real_clock(db: None, _late_clock: None) -> Iterator[None]:
    with fact_clock_at(""):
        yield


def claim(**values: Any) -> list[ClaimedMessage]:
    return claim_due_messages(**values)


def claim_one(row: MessageDelivery | None = None, **values: Any) -> ClaimedMessage:
    row = row or due_message()
    (claimed,) = claim(**values)
    assert claimed.delivery == row
    return claimed


def outcome(row: MessageDelivery) -> tuple[str, str | None]:
    row.refresh_from_db()
    return row.status, row.suppressed_reason or row.last_error


# -- what is claimed ------------------------------------------------------------------------------


def test_claim_has_what_the_sender_needs() -> None:
    made, row = template(), due_message()
    claimed = claim_one(row, lease_seconds=60)
    row.refresh_from_db()
    assert (row.status, row.attempts) == ("sending", 1)
    assert timedelta(seconds=50) < row.claimed_until - timezone.now() <= timedelta(seconds=60)
    assert claimed.template == row.template_version == made.versions.get()
    assert claimed.open_contact() == row.user.email
    assert claimed.facts["start_at_utc"] == row.appointment.start_at_utc
    assert claimed.facts["service_title"] == row.appointment.service.title
    assert row.user.email not in repr(claimed)
    assert claim() == []


def test_claim_takes_the_oldest_due_messages() -> None:
    rows = [due_message(due_at=ago(minutes=minutes)) for minutes in (1, 3, 2)]
    due_message(due_at=ahead(minutes=1))
    assert [claimed.delivery for claimed in claim(limit=2)] == [rows[1], rows[2]]
    assert [claimed.delivery for claimed in claim()] == [rows[0]]


def test_claim_of_a_channel_leaves_the_other() -> None:
    user = agreed_user("email", "telegram", telegram_user_id="123456789")
    mail, note = due_message(session(user)), due_message(session(user), channel="telegram")
    assert claim_one(note, channel="telegram").open_contact() == "123456789"
    assert claim_one(mail, channel="email").open_contact() == user.email


def test_lead_is_addressed_by_its_primary_identity() -> None:
    lead = LeadFactory()
    LeadIdentityFactory(lead=lead)
    email = "anna@example.com"
    LeadIdentity.objects.create(lead=lead, is_primary=True, email_encrypted=Plaintext(email))
    ConsentFactory(user=None, lead=lead, consent_type="communications")
    row = due_message(
        AppointmentFactory(confirmed=True, client=None, lead=lead), user=None, lead=lead
    )
    assert claim_one(row).open_contact() == email


@pytest.mark.parametrize("name", ["reminder_24h", "Напоминание за сутки", "НАПОМИНАНИЕ ЗА СУТКИ"])
def test_template_is_named_as_the_kind(name: str) -> None:
    made = template(name)
    template("booking_confirmation")
    template(name, channel="telegram")
    template(name, category="event")
    template(name, language="en")
    MessageTemplateVersionFactory(template=made, version=9)  # not in use
    assert claim_one().template == made.versions.get(version=1)


def test_message_without_template_is_sent_with_the_text_of_the_sender() -> None:
    template("reminder_1h")
    MessageTemplate.objects.filter(name="reminder_24h").delete()
    claimed = claim_one()
    assert claimed.template is None
    with refused(InvalidInput, field="template_version"):
        mark_sent(claimed.delivery)
    version = MessageTemplateVersionFactory()
    assert mark_sent(claimed.delivery, template_version=version).template_version == version


# -- what is not ----------------------------------------------------------------------------------


@pytest.mark.parametrize("channel", ["email", "telegram"])
def test_message_without_consent_is_suppressed(channel: str) -> None:
    user = UserFactory(telegram_user_id="123456789")
    row = due_message(AppointmentFactory(confirmed=True, client=user), channel=channel)
    assert claim() == []
    assert outcome(row) == ("suppressed", "no_consent")


def test_message_without_contact_is_suppressed() -> None:
    user = agreed_user(email=None, phone="+79161234567")
    row = due_message(session(user))
    unnamed = due_message(user=None, appointment=None, kind="follow_up")
    assert claim() == []
    assert outcome(row) == outcome(unnamed) == ("suppressed", "no_contact")


def test_message_after_a_withdrawal_is_suppressed() -> None:
    row = due_message()
    kept = due_message()
    withdraw_consent(user=row.user, consent_type="communications")
    assert [claimed.delivery for claimed in claim()] == [kept]
    assert outcome(row) == ("suppressed", "no_consent")


def test_message_to_a_blocked_person_is_suppressed() -> None:
    row = due_message()
    update_sql(row.user, status="blocked")
    assert claim() == []
    assert outcome(row) == ("suppressed", "no_consent")


def test_message_about_a_canceled_session_is_not_claimed() -> None:
    row = due_message()
    cancel_appointment(row.appointment, by="provider")
    (claimed,) = claim()
    assert claimed.delivery.kind == "canceled"
    assert outcome(row) == ("canceled", None)


@pytest.mark.parametrize("kind", ["reminder_24h", "follow_up"])
def test_message_written_after_the_cancellation_is_canceled(kind: str) -> None:
    row = due_message(AppointmentFactory(canceled=True, client=agreed_user()), kind=kind)
    assert claim() == []
    assert outcome(row) == ("canceled", "session_canceled")


def test_reminder_without_a_session_is_sent() -> None:
    """Another program scheduled it, about something of its own."""
    row = MessageDeliveryFactory(user=agreed_user(), appointment=None)
    assert claim_one(row).facts == {"kind": "reminder_24h"}


def test_reminder_is_not_sent_after_the_start() -> None:
    row = session()
    reminder = due_message(row)
    notice = due_message(row, kind="follow_up")
    (claimed,) = claim(clock=at(row.start_at_utc))
    assert claimed.delivery == notice
    assert outcome(reminder) == ("canceled", "too_late")


def test_message_of_a_bad_row_does_not_stop_the_others(monkeypatch: Any) -> None:
    """The database refuses one message, which the permission of the application allows."""
    bad, good = due_message(due_at=ago(minutes=9)), due_message()
    execute("UPDATE consents SET revoked_at = now() WHERE user_id = %s", [bad.user_id])
    monkeypatch.setattr("booking.services.message_claims.may_contact", lambda *_, **__: True)
    assert [claimed.delivery for claimed in claim(limit=1)] == [good]
    assert outcome(bad) == ("scheduled", None)


def test_bad_row_does_not_stop_the_end_of_other_claims() -> None:
    bad, good = claim_one().delivery, claim_one().delivery
    with refusing(bad, state="P0001"):
        assert claim(clock=at(timezone.now(), minutes=6)) == []
    assert outcome(bad) == ("sending", None)
    assert outcome(good) == ("failed", "outcome_unknown")


def test_claim_inside_a_transaction_is_refused() -> None:
    with transaction.atomic(), pytest.raises(RuntimeError):
        claim()
    assert claim() == []


def test_claim_refuses_what_is_no_limit_or_lease() -> None:
    limits = [0, -1, 101, 1.5, True, None, "10", float("nan")]
    check_refusals(lambda n: claim(limit=n), limits, InvalidInput, field="limit")
    leases = [0, 0.5, 3601, True, None, "60", float("nan"), float("inf")]
    check_refusals(lambda n: claim(lease_seconds=n), leases, InvalidInput, field="lease_seconds")
    check_refusals(lambda c: claim(channel=c), ["phone", "", 7], InvalidInput, field="channel")


# -- reports --------------------------------------------------------------------------------------


def test_sent_message_is_recorded_once() -> None:
    template()
    row = claim_one().delivery
    assert mark_sent(row, provider_message_id="mail-1") is row
    assert (row.status, row.provider_message_id, row.claimed_until) == ("sent", "mail-1", None)
    assert row.sent_at is not None
    with writes_nothing():
        mark_sent(row.pk)
        mark_sent(row, provider_message_id="mail-1")
    with refused(IdempotencyConflict):
        mark_sent(row, provider_message_id="mail-2")
    with refused(TransitionRefused):
        mark_failed(row, error="refused")


def test_final_failure_ends_the_message() -> None:
    row = claim_one().delivery
    mark_failed(row, error="address_unknown")
    assert outcome(row) == ("failed", "address_unknown")
    with writes_nothing():
        mark_failed(row, error="address_unknown")
    with refused(TransitionRefused):
        mark_sent(row)


def test_temporary_failure_is_tried_again_later() -> None:
    template()
    row = claim_one().delivery
    mark_failed(row, error="mailbox_full", temporary=True)
    assert outcome(row) == ("scheduled", "mailbox_full")
    assert row.due_at > timezone.now()
    with writes_nothing():
        mark_failed(row, error="mailbox_full", temporary=True)
    assert claim() == []
    again = claim_one(row, clock=at(row.due_at)).delivery
    assert again.attempts == 2


def test_temporary_failures_end_at_last() -> None:
    row = due_message(sending=True, attempts=MAX_ATTEMPTS)
    mark_failed(row, error="mailbox_full", temporary=True)
    assert outcome(row) == ("failed", "mailbox_full")


def test_message_of_a_session_canceled_meanwhile_is_not_tried_again() -> None:
    row = claim_one().delivery
    cancel_appointment(row.appointment, by="provider")
    mark_failed(row, error="mailbox_full", temporary=True)
    assert outcome(row) == ("failed", "mailbox_full")


def test_claim_that_ran_out_is_never_sent_again() -> None:
    row = claim_one(lease_seconds=60).delivery
    assert claim(clock=at(timezone.now(), seconds=50)) == []
    assert outcome(row) == ("sending", None)
    later = at(timezone.now(), seconds=61)
    assert claim(clock=later) == []
    assert outcome(row) == ("failed", "outcome_unknown")
    with refused(ClaimLost):
        mark_sent(row)
    with refused(ClaimLost):
        mark_failed(row, error="mailbox_full", temporary=True)
    assert claim(clock=at(timezone.now(), hours=5)) == []


def test_failure_reported_after_the_claim_is_not_tried_again() -> None:
    row = due_message(sending=True, claimed_until=ago(seconds=1))
    mark_failed(row, error="mailbox_full", temporary=True)
    assert outcome(row) == ("failed", "outcome_unknown")


def test_late_repeat_of_a_report_does_not_end_a_later_claim() -> None:
    """A sender repeats its report after a lost connection. Another one sends by then."""
    template()
    first = claim_one().delivery
    late = MessageDelivery.objects.get(pk=first.pk)
    mark_failed(first, error="mailbox_full", temporary=True)
    second = claim_one(first, clock=at(first.due_at)).delivery
    for report in (
        lambda: mark_failed(late, error="mailbox_full", temporary=True),
        lambda: mark_sent(late),
    ):
        with refused(ClaimLost):
            report()
    assert outcome(second) == ("sending", "mailbox_full")
    assert mark_sent(second).status == "sent"


def test_report_takes_a_row_read_before_the_claim() -> None:
    template()
    row = due_message()
    claim_one(row)
    assert mark_sent(row).status == "sent"


def test_sender_with_a_fast_clock_can_report() -> None:
    template()
    row = mark_sent(claim_one().delivery, clock=at(timezone.now(), hours=1))
    assert row.sent_at is not None
    assert row.sent_at <= timezone.now()


@pytest.mark.parametrize("minutes", [-10, 10])
def test_senders_with_different_clocks_send_once(minutes: int) -> None:
    """One clock is ten minutes off, more than a lease: claims end early, and never start again."""
    rows = [due_message(due_at=ago(hours=1)) for _ in range(3)]
    wrong = at(timezone.now(), minutes=minutes)
    claimed = [claim(limit=1, clock=clock) for clock in (timezone.now, wrong, timezone.now, wrong)]
    keys = [message.delivery.pk for messages in claimed for message in messages]
    assert sorted(keys) == sorted({row.pk for row in rows})
    assert claim() == claim(clock=wrong) == []


def test_reports_need_a_claimed_message() -> None:
    for state in ("scheduled", "canceled", "suppressed"):
        row = due_message() if state == "scheduled" else due_message(**{state: True})
        with refused(TransitionRefused, status=state):
            mark_sent(row)
        with refused(TransitionRefused, status=state):
            mark_failed(row, error="refused")
    check_refusals(mark_sent, INVALID_KEYS, NotFound)
    check_refusals(lambda key: mark_failed(key, error="refused"), INVALID_KEYS, NotFound)
    errors = ["", "Mailbox full", "a@b.c", "x" * 61, None, 7, *INVALID_TEXTS]
    check_refusals(lambda e: mark_failed(row, error=e), errors, InvalidInput)
    ids = ["", "a b", "a@b.c", "7" * 9, 7, *INVALID_TEXTS]
    check_refusals(lambda key: mark_sent(row, provider_message_id=key), ids, InvalidInput)


# -- erasure --------------------------------------------------------------------------------------


def test_erasure_suppresses_and_empties_messages() -> None:
    template()
    user = agreed_user()
    waiting = due_message(session(user))
    about_nothing = due_message(kind="answer_ready", user=user, appointment=None)
    flying = due_message(session(user), sending=True)
    retried = due_message(session(user), sending=True)
    sent = due_message(session(user), sent=True, provider_message_id="mail-1")
    erase_user(user, method="admin", force=True)
    for row in (waiting, about_nothing, flying, retried, sent):
        row.refresh_from_db()
        assert (row.user_id, row.lead_id, row.appointment_id) == (None, None, None)
        assert row.provider_message_id is None
    assert outcome(waiting) == outcome(about_nothing) == ("suppressed", "erased")
    assert not MessageDelivery.objects.filter(status="scheduled").exists()
    version = MessageTemplateVersionFactory()
    mark_sent(flying, provider_message_id="mail-2", template_version=version)
    assert (flying.status, flying.provider_message_id) == ("sent", None)
    mark_failed(retried, error="mailbox_full", temporary=True)
    assert outcome(retried) == ("suppressed", "erased")
    assert claim(clock=at(timezone.now(), hours=5)) == []


def test_move_leaves_nothing_to_claim_of_the_old_time() -> None:
    row = session()
    due_message(row)
    update_sql(row, status="rescheduled")
    assert claim() == []
    assert statuses(row) == {"reminder_24h": "canceled"}
    connection.check_constraints()
