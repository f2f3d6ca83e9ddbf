"""The rules of messages and session notes, as the database has them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.utils import timezone

from booking.models import Appointment, MessageDelivery
from booking.models.message_rules import CONSENT_IS_ACTIVE
from crm.models import LeadIdentity
from ebalance.db.schema.data_map import tables
from ebalance.privacy.links import LEADS, PEOPLE, foreign_keys
from tests.clocks import fact_clock_at
from tests.factories import (
    AppointmentFactory,
    ConsentFactory,
    LeadFactory,
    LeadIdentityFactory,
    MessageDeliveryFactory,
    MessageTemplateVersionFactory,
    SessionNoteFactory,
    UserFactory,
)
from tests.factories.base import ago, ahead
from tests.rule_cases import UPDATES, Change, change_params, check_change, range_cases
from tests.support import Case, breaks, cases, check_insert, execute, refuses, update_sql

pytestmark = pytest.mark.django_db

FACTS = "message_deliveries_facts_stay"
LINKS = "message_deliveries_links_stay"
LEAD = "message_deliveries_lead_stays"
SENT = "message_deliveries_what_was_sent_stays"
ONE_CLAIM = "message_deliveries_one_claim"
IS_ON = "message_deliveries_session_is_on"
ERASED = "message_deliveries_person_not_erased"
AGREED = "message_deliveries_person_agreed"
NOTE_STAYS = "session_notes_origin_stays"
KINDS = sorted(set(MessageDelivery.Kind.values) - {"canceled"})

each_path = pytest.mark.parametrize("write_path", UPDATES)


@pytest.fixture(autouse=True)
def _real_clock(db: None, _late_clock: None) -> Iterator[None]:
    with fact_clock_at(""):
        yield


def new(name: str, rule: str | None = None, /, **values: Any) -> Case:
    return Case(name, MessageDeliveryFactory, values, rule)


@cases(
    *range_cases(MessageDeliveryFactory, "attempts", 0),
    new("without person and session", user=None, appointment=None),
    new("its key again", "message_deliveries_dedupe_key_unique",
        dedupe_key=lambda: MessageDeliveryFactory().dedupe_key),
    new("digits", "message_deliveries_dedupe_key_is_external_id", dedupe_key="79161234567"),
    new("a text as error", "message_deliveries_last_error_is_code", last_error="mailbox full"),
    new("scheduled with a reason", "message_deliveries_suppressed_with_reason",
        suppressed_reason="erased"),
    new("scheduled with a claim", "message_deliveries_claimed_until_with_status",
        claimed_until=lambda: ahead(minutes=5)),
    new("scheduled with a time of sending", "message_deliveries_sent_at_with_status",
        sent_at=timezone.now),
)  # fmt: skip
def test_message_is_scheduled_without_results(case: Case, route: str) -> None:
    check_insert(case, route)


def change(trait: str, name: str, rule: str | None = None, /, **to: Any) -> Change:
    traits = {} if trait == "scheduled" else {trait: True}
    return Change(f"{trait}: {name}", MessageDeliveryFactory, traits, to, rule)


def claimed(**more: Any) -> dict[str, Any]:
    return {"status": "sending", "claimed_until": ahead(minutes=5), **more}


@change_params(
    change("scheduled", "other kind", FACTS, kind="reminder_1h"),
    change("sent", "other channel", FACTS, channel="telegram"),
    change("failed", "other key", FACTS, dedupe_key="reminder_24h:other"),
    change("scheduled", "other person", LINKS, user_id=lambda row: UserFactory().pk),
    change("scheduled", "person emptied", user_id=None),
    change("scheduled", "session emptied alone", LINKS, appointment_id=None),
    change("sent", "all links emptied", user_id=None, appointment_id=None),
    change("scheduled", "other session", LINKS, appointment_id=lambda row: AppointmentFactory().pk),
    change("scheduled", "a lead of its own", LEAD, lead_id=lambda row: LeadFactory().pk),
    change("scheduled", "later", due_at=lambda row: ahead(hours=1)),
    change("sending", "sent without a text", "message_deliveries_sent_has_template",
           status="sent", claimed_until=None, sent_at=lambda row: timezone.now()),
    change("sending", "sent without a time", "message_deliveries_sent_at_with_status",
           status="sent", claimed_until=None,
           template_version_id=lambda row: MessageTemplateVersionFactory().pk),
    change("sending", "failed with its claim", "message_deliveries_claimed_until_with_status",
           status="failed"),
    change("sending", "not sent without a reason", "message_deliveries_suppressed_with_reason",
           status="suppressed", claimed_until=None),
    change("sent", "other text", SENT,
           template_version_id=lambda row: MessageTemplateVersionFactory().pk),
    change("sent", "other time", SENT, sent_at=lambda row: ago(days=1)),
    change("sending", "the provider's id", provider_message_id="mail-1"),
    change("sent", "other id of the provider", SENT, provider_message_id="mail-1"),
    Change("the provider's id emptied", MessageDeliveryFactory,
           {"sent": True, "provider_message_id": "mail-1"}, {"provider_message_id": None}, SENT),
    Change("the provider's id emptied with the person", MessageDeliveryFactory,
           {"sent": True, "provider_message_id": "mail-1"},
           {"provider_message_id": None, "user_id": None}),
    change("sending", "tried again later", status="scheduled", claimed_until=None),
    change("sending", "claimed again", ONE_CLAIM, claimed_until=lambda row: ahead(minutes=9)),
    change("sending", "its error", last_error="mailbox_full"),
    Change("tried again after its claim", MessageDeliveryFactory,
           {"sending": True, "claimed_until": lambda: ago(seconds=1)},
           {"status": "scheduled", "claimed_until": None}, ONE_CLAIM),
    Change("claimed again after its claim", MessageDeliveryFactory,
           {"sending": True, "claimed_until": lambda: ago(seconds=1)},
           {"claimed_until": lambda row: ahead(minutes=5)}, ONE_CLAIM),
    Change("ended after its claim", MessageDeliveryFactory,
           {"sending": True, "claimed_until": lambda: ago(seconds=1)},
           {"status": "failed", "claimed_until": None, "last_error": "outcome_unknown"}),
)  # fmt: skip
def test_message_changes_only_as_its_state_allows(change: Change, write_path: str) -> None:
    check_change(change, write_path)


def test_message_follows_its_lead_into_a_merge() -> None:
    lead, into = LeadFactory(), LeadFactory()
    row = MessageDeliveryFactory(user=None, lead=lead, appointment=None)
    with refuses(LEAD, "message_deliveries"):
        update_sql(row, lead_id=into.pk)
    update_sql(lead, status="inactive", merged_into_id=into.pk)
    update_sql(row, lead_id=into.pk)
    row.refresh_from_db()
    row.clean()
    assert row.lead == into


# -- the session ----------------------------------------------------------------------------------


def agreed_message(appointment: Appointment | None = None, **values: Any) -> MessageDelivery:
    """A scheduled message to a person who agreed."""
    if appointment is not None:
        values["user"] = appointment.client
    row = MessageDeliveryFactory(appointment=appointment, **values)
    MessageDeliveryFactory.before_move(row, {"status": "sending"})
    return row


def end_session(row: Appointment, status: str) -> None:
    canceled_at = timezone.now() if status == "canceled" else None
    update_sql(row, status=status, canceled_at=canceled_at)


@pytest.mark.parametrize("status", ["canceled", "rescheduled"])
def test_session_that_ends_cancels_its_messages(status: str) -> None:
    row, other = AppointmentFactory(confirmed=True), AppointmentFactory(confirmed=True)
    waiting = [agreed_message(row, kind=kind) for kind in KINDS]
    kept = [
        agreed_message(row, kind="canceled"),
        agreed_message(other),
        MessageDeliveryFactory(appointment=row, user=row.client, sending=True),
    ]
    before = [each.status for each in kept]
    end_session(row, status)
    rows = MessageDelivery.objects.in_bulk([each.pk for each in (*waiting, *kept)])
    assert {rows[each.pk].status for each in waiting} == {"canceled"}
    assert [rows[each.pk].status for each in kept] == before


def test_completed_session_keeps_its_messages() -> None:
    row = AppointmentFactory(confirmed=True, start_at_utc=ago(hours=2))
    message = agreed_message(row)
    execute(
        "UPDATE appointments SET status = 'completed', outcome = 'attended', "
        "outcome_recorded_at = now(), outcome_recorded_by_role = 'owner' WHERE id = %s",
        [row.pk],
    )
    message.refresh_from_db()
    assert message.status == "scheduled"


@breaks(IS_ON)
@each_path
@pytest.mark.parametrize("status", ["canceled", "rescheduled"])
def test_message_of_an_ended_session_is_not_sent(status: str, write_path: str) -> None:
    """Written by a program that does not know that the session has ended."""
    row = AppointmentFactory(**{status: True})
    for kind in KINDS:
        message = agreed_message(row, kind=kind)
        if (status, kind) == ("rescheduled", "rescheduled"):
            UPDATES[write_path](message, **claimed())
            continue
        with refuses(IS_ON, "message_deliveries"):
            UPDATES[write_path](message, **claimed())
    UPDATES[write_path](agreed_message(row, kind="canceled"), **claimed())


# -- the person -----------------------------------------------------------------------------------


@breaks(ERASED)
@each_path
def test_message_to_an_erased_person_is_not_sent(write_path: str) -> None:
    user = UserFactory()
    message = agreed_message(user=user)
    update_sql(
        user, email=None, phone=None, telegram_user_id=None, telegram_username=None,
        display_name=None, password="", status="deleted", deleted_at=timezone.now(),
    )  # fmt: skip
    with refuses(ERASED, "message_deliveries"):
        UPDATES[write_path](message, **claimed())


@breaks(AGREED)
@each_path
def test_message_without_consent_is_not_sent(write_path: str) -> None:
    message = MessageDeliveryFactory()
    with refuses(AGREED, "message_deliveries"):
        UPDATES[write_path](message, **claimed())
    ConsentFactory(user=message.user, consent_type="telegram")  # for another channel
    with refuses(AGREED, "message_deliveries"):
        UPDATES[write_path](message, **claimed())
    granted = {"user": message.user, "consent_type": "communications"}
    ConsentFactory(**granted, granted_at=ago(days=2), revoked_at=ago(days=1))
    with refuses(AGREED, "message_deliveries"):
        UPDATES[write_path](message, **claimed())
    ConsentFactory(**granted)
    UPDATES[write_path](message, **claimed())


@breaks(AGREED)
def test_message_without_a_person_is_not_sent() -> None:
    ConsentFactory(consent_type="communications")
    message = MessageDeliveryFactory(user=None, appointment=None)
    with refuses(AGREED, "message_deliveries"):
        update_sql(message, **claimed())


def test_consent_is_asked_by_all_links_between_people_and_leads() -> None:
    """The rule names the tables by which DataSubject knows whose a lead is."""
    pairs = {t.name for t in tables() if foreign_keys(t, PEOPLE) and foreign_keys(t, LEADS)}
    asked = re.findall(r"user_id, \w\.lead_id FROM public\.(\w+)", CONSENT_IS_ACTIVE)
    assert sorted(asked) == sorted(pairs)


@breaks(AGREED)
def test_later_refusal_outweighs_an_earlier_consent() -> None:
    """Also one that the person gave as a lead."""
    identity = LeadIdentityFactory(registered=True)
    message = MessageDeliveryFactory(user=identity.user)
    purpose = {"consent_type": "communications"}
    ConsentFactory(user=message.user, granted_at=ago(days=2), **purpose)
    ConsentFactory(user=None, lead=identity.lead, granted=False, granted_at=ago(days=1), **purpose)
    with refuses(AGREED, "message_deliveries"):
        update_sql(message, **claimed())


@pytest.mark.parametrize("link", ["identity", "appointment", "merge"])
def test_consent_of_a_linked_lead_counts(link: str) -> None:
    lead, user = LeadFactory(), UserFactory()
    if link == "appointment":
        AppointmentFactory(client=user, lead=lead)
    else:
        LeadIdentity.objects.create(lead=lead, user=user)
    if link == "merge":  # the consent stays with the merged lead
        into, lead = lead, LeadFactory()
        update_sql(lead, status="inactive", merged_into_id=into.pk)
    ConsentFactory(user=None, lead=lead, consent_type="communications")
    message = MessageDeliveryFactory(user=user, appointment=None)
    update_sql(message, **claimed())
    other = MessageDeliveryFactory()
    with refuses(AGREED, "message_deliveries"):
        update_sql(other, **claimed())


# -- notes ----------------------------------------------------------------------------------------


@change_params(
    Change("other session", SessionNoteFactory, {},
           {"appointment_id": lambda row: AppointmentFactory().pk}, NOTE_STAYS),
    Change("other author", SessionNoteFactory, {},
           {"author_user_id": lambda row: UserFactory().pk}, NOTE_STAYS),
)  # fmt: skip
def test_note_keeps_its_session_and_author(change: Change, write_path: str) -> None:
    check_change(change, write_path)


def test_notes_end_with_their_session() -> None:
    note = SessionNoteFactory(appointment=AppointmentFactory(canceled=True))
    execute("DELETE FROM appointments WHERE id = %s", [note.appointment_id])
    assert not type(note).objects.filter(pk=note.pk).exists()
