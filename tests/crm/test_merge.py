"""``merge_leads``: two leads of one person become one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise, product
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.test import Client
from django.urls import reverse

from audit.models import OutboxEvent
from booking.models import Appointment, MessageDelivery, WaitlistRequest
from crm.models import AnalyticsEvent, DeepLink, Lead, LeadIdentity, LeadNote, LeadTimelineEvent
from crm.services import find_leads_by_contact, merge_leads, record_event
from ebalance.db.encryption import keys
from ebalance.db.encryption.fields import Plaintext
from ebalance.services import (
    IdempotencyConflict,
    InvalidInput,
    NotFound,
    NotPermitted,
    Refused,
    TransitionRefused,
)
from identity.models import Consent
from tests.advice import advises, of_test
from tests.case_loops import check_each
from tests.factories import (
    AppointmentFactory,
    ConsentFactory,
    DeepLinkFactory,
    LeadFactory,
    LeadIdentityFactory,
    LeadNoteFactory,
    LeadTimelineEventFactory,
    MessageDeliveryFactory,
    UserFactory,
    UserRoleFactory,
    WaitlistRequestFactory,
)

pytestmark = pytest.mark.django_db

TABLES = [
    Lead,
    LeadIdentity,
    LeadTimelineEvent,
    LeadNote,
    DeepLink,
    AnalyticsEvent,
    OutboxEvent,
    Appointment,
    WaitlistRequest,
    MessageDelivery,
    Consent,
]


def all_rows() -> list[list[dict[str, Any]]]:
    return [[*model._base_manager.order_by("pk").values()] for model in TABLES]


@contextmanager
def nothing_written() -> Iterator[None]:
    before = all_rows()
    yield
    assert all_rows() == before


def identity(lead: Lead, **values: Any) -> LeadIdentity:
    row = LeadIdentity(lead=lead)
    for name, value in values.items():
        setattr(row, name, value)
    row.save()
    return row


def by_email(lead: Lead, text: str = "maria@example.com", **values: Any) -> LeadIdentity:
    return identity(lead, email_encrypted=Plaintext(text), **values)


def by_phone(lead: Lead, text: str = "+79175551234", **values: Any) -> LeadIdentity:
    return identity(lead, phone_encrypted=Plaintext(text), **values)


def test_all_rows_of_a_lead_move() -> None:
    lead, into = LeadFactory(), LeadFactory()
    rows = [
        by_email(lead),
        LeadTimelineEventFactory(lead=lead),
        LeadNoteFactory(lead=lead),
        DeepLinkFactory(lead=lead),
        AppointmentFactory(lead=lead, client=None),
        WaitlistRequestFactory(lead=lead),
        MessageDeliveryFactory(user=None, lead=lead, appointment=None),
    ]
    others = [LeadTimelineEventFactory(), AppointmentFactory(lead=LeadFactory(), client=None)]
    assert merge_leads(lead, into=into) == into
    for row in rows:
        row.refresh_from_db()
        assert row.lead_id == into.pk
    for row in others:
        lead_id = row.lead_id
        row.refresh_from_db()
        assert row.lead_id == lead_id
    assert rows[0].email_encrypted.open() == "maria@example.com"
    assert rows[2].note_encrypted.open()
    lead.refresh_from_db()
    assert (lead.status, lead.merged_into) == ("inactive", into)
    published = OutboxEvent.objects.get(event_type="lead_merged")
    assert (published.aggregate_type, published.aggregate_id) == ("leads", lead.pk)
    assert published.payload == {"into": str(into.pk)}


@advises
def test_every_table_that_references_a_lead_is_tested() -> Iterator[str]:
    for model in {relation.related_model for relation in Lead._meta.related_objects}:
        if model not in TABLES:
            yield of_test(all_rows, "TABLES")(
                f"add {model.__name__} to", "it references leads; its rows have to move too"
            )


# -- Identities -----------------------------------------------------------------------------------

IDENTIFIERS: list[Callable[[Lead], LeadIdentity]] = [
    by_email,
    by_phone,
    lambda lead: identity(lead, anonymous_id="visitor-000001"),
    lambda lead: identity(lead, telegram_user_id="55512345"),
]


@pytest.mark.parametrize("add", IDENTIFIERS, ids=["email", "phone", "browser", "telegram"])
def test_identifier_of_both_leads_is_kept_once(add: Callable[[Lead], LeadIdentity]) -> None:
    lead, into = LeadFactory(), LeadFactory()
    add(lead)
    kept = add(into)
    merge_leads(lead, into=into)
    assert [*LeadIdentity.objects.all()] == [kept]


def test_account_of_both_leads_is_kept_once() -> None:
    lead, into, user = LeadFactory(), LeadFactory(), UserFactory()
    identity(lead, user=user)
    kept = identity(into, user=user)
    other = identity(lead, user=UserFactory())
    merge_leads(lead, into=into)
    assert {*into.identities.all()} == {kept, other}


def test_new_part_of_an_identity_moves() -> None:
    lead, into = LeadFactory(), LeadFactory()
    by_email(into)
    row = by_email(lead, phone_encrypted=Plaintext("+79175551234"), anonymous_id="visitor-000001")
    merge_leads(lead, into=into)
    row.refresh_from_db()
    assert row.lead_id == into.pk
    assert (row.email_encrypted, row.email_bidx) == (None, None)
    assert row.phone_encrypted.open() == "+79175551234"
    assert row.anonymous_id == "visitor-000001"
    assert find_leads_by_contact(phone="+79175551234").get() == into


def test_contact_under_another_key_is_kept_once(settings: Any) -> None:
    """Otherwise the rotation would meet the contact twice and fail."""
    lead, into = LeadFactory(), LeadFactory()
    by_email(lead)
    (old,) = settings.BLIND_INDEX_KEYS
    settings.BLIND_INDEX_KEYS = keys.Keyring([keys.Key("k2", b"2" * 32), old])
    kept = by_email(into)
    merge_leads(lead, into=into)
    assert [*LeadIdentity.objects.all()] == [kept]


def test_identity_that_does_not_open_moves_unchanged(settings: Any) -> None:
    lead, into = LeadFactory(), LeadFactory()
    rows = [LeadIdentityFactory(lead=lead), LeadIdentityFactory(lead=into)]
    (old,) = settings.BLIND_INDEX_KEYS
    settings.BLIND_INDEX_KEYS = keys.Keyring([keys.Key("k2", b"2" * 32), old])
    merge_leads(lead, into=into)
    assert {*into.identities.all()} == {*rows}


def test_merge_keeps_one_primary_contact_if_there_was_one() -> None:
    def check(case: tuple[bool, bool, bool]) -> None:
        of_lead, of_into, same = case
        lead, into = LeadFactory(), LeadFactory()
        moving = by_email(lead, is_primary=of_lead)
        existing = by_email(
            into, "maria@example.com" if same else "m@example.org", is_primary=of_into
        )
        merge_leads(lead, into=into)
        primary = [*into.identities.filter(is_primary=True)]
        if of_into:
            assert primary == [existing]
        elif of_lead:
            assert primary == [existing if same else moving]
        else:
            assert primary == []

    check_each(
        [
            (f"{of_lead=} {of_into=} {same=}", (of_lead, of_into, same))
            for of_lead, of_into, same in product([True, False], repeat=3)
        ],
        check,
    )


# -- Status, topic, utm ---------------------------------------------------------------------------

STAGES = ["new", "engaged", "booking_started", "paid", "booked_confirmed", "completed_session"]


SET_BY_STAFF = ["follow_up_needed", "inactive"]
# Two statuses and the one that is kept: neighbouring stages in both orders, and the two ends.
STATUSES = [
    *((a, a, a) for a in STAGES),
    *(case for a, b in pairwise(STAGES) for case in [(a, b, b), (b, a, b)]),
    (STAGES[0], STAGES[-1], STAGES[-1]),
    (STAGES[-1], STAGES[0], STAGES[-1]),
    *((STAGES[-1], status, status) for status in SET_BY_STAFF),
    *(("inactive", status, status) for status in SET_BY_STAFF),
    ("follow_up_needed", "new", "new"),
    ("inactive", "paid", "paid"),
]


def test_merge_keeps_the_further_status() -> None:
    def check(case: tuple[str, str, str]) -> None:
        merged, status, expected = case
        lead, into = LeadFactory(status=merged), LeadFactory(status=status)
        assert merge_leads(lead, into=into).status == expected
        assert into.status == expected  # also the row in memory
        assert Lead.objects.get(pk=into.pk).status == expected

    check_each([(str(case), case) for case in STATUSES], check)


def test_merge_fills_empty_topic_and_utm() -> None:
    utm, other = {"utm_source": "a"}, {"utm_source": "b"}
    lead = LeadFactory(topic_id="sleep", utm=utm)
    empty, full = LeadFactory(topic_id=None, utm=None), LeadFactory(topic_id="anxiety", utm=other)
    merge_leads(lead, into=empty)
    assert (empty.topic_id, empty.utm) == ("sleep", utm)
    merge_leads(empty, into=full)
    assert (full.topic_id, full.utm) == ("anxiety", other)


# -- Rows that do not move ------------------------------------------------------------------------


def test_consents_stay_with_the_merged_lead() -> None:
    lead, into = LeadFactory(status="paid"), LeadFactory()
    by_email(lead)
    consent = ConsentFactory(user=None, lead=lead)
    own = ConsentFactory(user=None, lead=into, consent_type=consent.consent_type)
    merge_leads(lead, into=into)
    for row, owner in [(consent, lead), (own, into)]:
        row.refresh_from_db()
        assert row.lead_id == owner.pk
        assert row.revoked_at is None
    assert lead.status == "inactive"
    lead.refresh_from_db()
    assert lead.status == "inactive"
    assert not lead.identities.exists()
    assert into.status == "paid"


def test_analytics_events_stay_with_the_merged_lead() -> None:
    """analytics_events is append-only; the timeline event moves to the remaining lead."""
    event_id = uuid4()
    person = {"anonymous_id": "visitor-000001", "event_id": event_id}
    view = {"page": {"page_path": "/"}, "acquisition": {"entry_point": "seo"}}
    lead = record_event("booking_start", **person, **view)
    into = LeadFactory()
    assert lead is not None
    merge_leads(lead, into=into)
    assert AnalyticsEvent.objects.get().lead_id == lead.pk
    assert LeadTimelineEvent.objects.get().lead_id == into.pk
    # A repetition is still the same event.
    assert record_event("booking_start", **person, **view) == into
    with pytest.raises(IdempotencyConflict):
        record_event("booking_start", event_id=event_id, lead=LeadFactory(), **view)


# -- Repetition and refusals ----------------------------------------------------------------------


def test_repeated_merge_changes_nothing() -> None:
    lead, into = LeadFactory(), LeadFactory()
    by_email(lead)
    merge_leads(lead, into=into)
    with nothing_written():
        assert merge_leads(lead, into=into) == into
        assert merge_leads(Lead(pk=lead.pk), into=into.pk) == into
        assert merge_leads(Lead(pk=lead.pk), into=str(into.pk)) == into


def test_merged_lead_takes_part_in_no_other_merge() -> None:
    lead, into, other = LeadFactory(), LeadFactory(), LeadFactory()
    merge_leads(lead, into=into)
    with nothing_written(), pytest.raises(TransitionRefused) as refused:
        merge_leads(lead, into=other)
    assert refused.value.details["id"] == lead.pk
    for one in [into, other]:
        with nothing_written(), pytest.raises(TransitionRefused):
            merge_leads(one, into=lead)


PAGE = {"page_path": "/lk"}


def test_event_of_a_merged_lead_moves_to_the_last_lead() -> None:
    lead, middle, into = LeadFactory(), LeadFactory(), LeadFactory()
    merge_leads(lead, into=middle)
    merge_leads(middle, into=into)
    assert record_event("lk_opened", source="web", lead=lead, page=PAGE) == into
    assert into.timeline.count() == 1


@pytest.mark.parametrize(
    ("into", "error"),
    [
        ("itself", InvalidInput),
        (UUID("0199f0a0-0000-4000-8000-000000000007"), NotFound),
        ("nobody", NotFound),
        (None, NotFound),
        (5, NotFound),
    ],
    ids=["itself", "unknown", "no key", "none", "number"],
)
def test_bad_lead_is_not_merged(into: Any, error: type[Refused]) -> None:
    lead = LeadFactory()
    by_email(lead)
    with nothing_written(), pytest.raises(error):
        merge_leads(lead, into=lead if into == "itself" else into)
    unknown = Lead(pk=uuid4())
    with nothing_written(), pytest.raises(NotFound):
        merge_leads(unknown, into=lead)


@pytest.mark.parametrize(
    ("role", "allowed"), [("owner", True), ("assistant", True), ("editor", False), (None, False)]
)
def test_merge_needs_the_right_to_change_leads(role: str | None, allowed: bool) -> None:
    actor = UserFactory()
    if role:
        UserRoleFactory(user=actor, role_id=role)
    lead, into = LeadFactory(), LeadFactory()
    if allowed:
        assert merge_leads(lead, into=into, actor=actor) == into
        return
    with nothing_written(), pytest.raises(NotPermitted):
        merge_leads(lead, into=into, actor=actor)


def test_staff_merges_leads_in_admin(client: Client) -> None:
    oldest, *others = [LeadFactory() for _ in range(3)]
    apart = LeadFactory()
    client.force_login(UserFactory(role="assistant"))
    page = reverse("admin:crm_lead_changelist")
    chosen = {"action": "merge_selected", "_selected_action": [row.pk for row in [*others, oldest]]}
    client.post(page, chosen)
    assert {*Lead.objects.filter(merged_into=None)} == {oldest, apart}
    assert {*oldest.merged_leads.all()} == {*others}
    assert OutboxEvent.objects.filter(event_type="lead_merged").count() == 2
    with nothing_written():
        client.post(page, {"action": "merge_selected", "_selected_action": [oldest.pk]})


def test_editor_merges_no_leads_in_admin(client: Client) -> None:
    leads = [LeadFactory() for _ in range(2)]
    client.force_login(UserFactory(role="editor"))
    with nothing_written():
        response = client.post(
            reverse("admin:crm_lead_changelist"),
            {"action": "merge_selected", "_selected_action": [row.pk for row in leads]},
        )
    assert response.status_code == 404
