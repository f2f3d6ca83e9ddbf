"""record_event(): the lead of an event, its rows, its status and its refusals."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from audit.models import OutboxEvent
from crm.errors import EventRefused
from crm.models import AnalyticsEvent, Lead, LeadIdentity, LeadTimelineEvent
from crm.services import find_leads_by_contact, record_event
from crm.services.events import CONTACT_EVENTS
from crm.services.identifiers import parse_identifiers
from ebalance.db import contacts
from ebalance.db.encryption import keys
from ebalance.db.encryption.fields import Plaintext, UnsealedValue
from ebalance.services import IdempotencyConflict, InvalidInput, NotFound, Refused
from tests.advice import advises, of_test
from tests.case_loops import check_each
from tests.crm.test_events_follow_the_plan import EVENTS, all_parameters
from tests.factories import (
    LeadFactory,
    LeadIdentityFactory,
    LeadTimelineEventFactory,
    UserFactory,
)

pytestmark = pytest.mark.django_db

WRITTEN = [Lead, LeadIdentity, LeadTimelineEvent, AnalyticsEvent, OutboxEvent]
VIEW: dict[str, Any] = {"event_name": "page_view", "source": "web", "page": {"page_path": "/"}}
START: dict[str, Any] = {
    "event_name": "booking_start",
    "page": {"page_path": "/book"},
    "acquisition": {"entry_point": "seo"},
}
WAITS: dict[str, Any] = {
    "event_name": "waitlist_submitted",
    "properties": {"preferred_contact": "email", "service_slug": "first-meeting"},
}
PAID: dict[str, Any] = {"event_name": "booking_paid", "properties": all_parameters("booking_paid")}
BROWSER = "visitor-000001"
NAIVE = datetime(2027, 1, 1)  # noqa: DTZ001
EMAIL = "Maria.Ivanova@Example.com"


def record(event: dict[str, Any], **more: Any) -> Lead | None:
    return record_event(**{**event, **more})


def any_event(name: str) -> dict[str, Any]:
    return {
        "event_name": name,
        "source": EVENTS[name]["sources"][0],
        "properties": all_parameters(name),
    }


def email(text: str = EMAIL) -> dict[str, Plaintext]:
    return {"email": Plaintext(text)}


def row_counts() -> list[int]:
    return [model._base_manager.count() for model in WRITTEN]


@contextmanager
def nothing_written() -> Iterator[None]:
    before = row_counts()
    yield
    assert row_counts() == before


def lead_with_identity(**values: Any) -> Lead:
    lead = LeadFactory()
    LeadIdentityFactory(lead=lead, email_encrypted=None, email_bidx=None, **values)
    return lead


# -- Stored rows ----------------------------------------------------------------------------------


def test_event_without_a_lead_is_stored_in_analytics_only() -> None:
    session, instant = uuid4(), datetime(2026, 3, 1, 12, tzinfo=UTC)
    lead = record(
        VIEW,
        anonymous_id=BROWSER,
        session_id=session,
        occurred_at=instant,
        properties={"content_type": "article", "content_slug": None},
        acquisition={"utm_source": "mail"},
    )
    assert lead is None
    row = AnalyticsEvent.objects.get()
    assert (row.tracking_event_id, row.source, row.environment) == ("page_view", "web", "dev")
    assert (row.schema_version, row.event_version) == ("1.0", 1)
    assert (row.occurred_at, row.session_id) == (instant, session)
    assert (row.anonymous_id, row.user_id, row.lead_id) == (BROWSER, None, None)
    assert (row.page, row.acquisition) == ({"page_path": "/"}, {"utm_source": "mail"})
    assert row.properties == {"content_type": "article"}
    assert row_counts() == [0, 0, 0, 1, 0]


def test_event_of_a_lead_is_stored_in_both_tables_under_one_id() -> None:
    lead, user, event_id = lead_with_identity(anonymous_id=BROWSER), UserFactory(), uuid4()
    recorded = record(
        START,
        anonymous_id=BROWSER,
        user=user,
        event_id=event_id,
        acquisition={"entry_point": "ads", "utm_term": "a"},
        properties={"topic": "anxiety"},
    )
    assert recorded == lead
    event, shown = AnalyticsEvent.objects.get(), LeadTimelineEvent.objects.get()
    assert event.event_id == shown.event_id == event_id
    assert event.occurred_at == shown.occurred_at
    assert (event.lead_id, event.user_id) == (lead.pk, user.pk)
    assert event.properties == {"topic": "anxiety"}
    # The timeline has no columns for the envelope.
    assert (shown.lead_id, shown.source) == (lead.pk, "backend")
    assert shown.properties == {
        "topic": "anxiety",
        "page_path": "/book",
        "entry_point": "ads",
        "utm_term": "a",
    }


def test_times_and_ids_are_stored_as_text_and_none_is_omitted() -> None:
    service = uuid4()
    start = datetime(2026, 3, 1, 12, tzinfo=timezone(timedelta(hours=3)))
    record(
        {"event_name": "booking_slot_selected"},
        properties={
            "slot_start_at": start,
            "timezone": "Europe/Moscow",
            "service_id": service,
            "slot_type": None,
        },
    )
    assert AnalyticsEvent.objects.get().properties == {
        "slot_start_at": "2026-03-01T09:00:00Z",
        "timezone": "Europe/Moscow",
        "service_id": str(service),
    }


def test_event_without_a_time_gets_the_time_of_the_clock() -> None:
    now, earlier = datetime(2026, 3, 1, 12, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
    lead = LeadFactory()
    record(START, lead=lead, clock=lambda: now)
    record(START, lead=lead, clock=lambda: now, occurred_at=earlier)
    for table in [AnalyticsEvent, LeadTimelineEvent]:
        assert [*table.objects.order_by("id").values_list("occurred_at", flat=True)] == [
            now,
            earlier,
        ]


# -- Deep links -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "link", "column", "parameter"),
    [
        (START, "Ab12cd34", "Ab12cd34", "Ab12cd34"),
        (START, "0199f0a0-0000-7000-8000-000000000000", ..., ...),
        (START, "plan-7d_and_more", ..., ...),
        (START, "a1234567", ..., ...),  # a run of seven digits
        (START, "x" * 64, ..., ...),
        (START, "79991234567", None, None),  # no letter
        (START, "+7 917 555-12-34", None, None),
        (START, "short", None, None),
        (WAITS, "Ab12cd34", "Ab12cd34", None),  # the plan has no such parameter for this event
    ],
)
def test_deep_link_is_stored_where_it_is_valid(
    event: dict, link: str, column: str | None, parameter: str | None
) -> None:
    record(event, lead=LeadFactory(), deep_link_id=link)
    shown = LeadTimelineEvent.objects.get()
    assert shown.deep_link_id == (link if column is ... else column)
    expected = link if parameter is ... else parameter
    assert shown.properties.get("deep_link_id") == expected
    assert AnalyticsEvent.objects.get().properties.get("deep_link_id") == expected


def test_deep_link_in_the_properties_is_stored_in_its_column() -> None:
    record(START, lead=LeadFactory(), properties={"deep_link_id": "Ab12cd34"})
    assert LeadTimelineEvent.objects.get().deep_link_id == "Ab12cd34"


def test_required_deep_link_may_be_an_argument() -> None:
    subscribed = {
        "event_name": "tg_subscribe_confirmed",
        "source": "telegram",
        "properties": {"tg_target": "bot"},
    }
    person = {"contact": {"telegram": Plaintext("55512345")}}
    with nothing_written(), pytest.raises(EventRefused) as refused:
        record(subscribed, **person)
    assert refused.value.details["key"] == "deep_link_id"
    lead = record(subscribed, **person, deep_link_id="Ab12cd34")
    assert lead is not None
    assert lead.identities.get().telegram_user_id == "55512345"


# -- First contact --------------------------------------------------------------------------------

SOURCES = {
    "waitlist_submitted": ("waitlist", "engaged"),
    "question_submitted": ("question", "engaged"),
    "tg_subscribe_confirmed": ("telegram", "engaged"),
    "booking_start": ("booking", "booking_started"),
    "service_selected": ("booking", "booking_started"),
    "booking_slot_selected": ("booking", "booking_started"),
    "payment_started": ("booking", "booking_started"),
    "booking_paid": ("booking", "paid"),
    "booking_confirmed": ("booking", "booked_confirmed"),
    "intake_started": ("booking", "new"),
    "intake_submitted": ("booking", "engaged"),
}


@advises
def test_every_contact_event_has_an_expected_source() -> Iterator[str]:
    for name in {*SOURCES} ^ {*CONTACT_EVENTS}:
        yield of_test(record, "SOURCES")(
            f"add or remove {name} in", "CONTACT_EVENTS in crm/services/events.py differs"
        )


@pytest.mark.parametrize("name", SOURCES)
def test_contact_event_makes_a_lead(name: str) -> None:
    lead = record(any_event(name), anonymous_id=BROWSER)
    assert lead is not None
    lead.refresh_from_db()
    assert (lead.source, lead.status) == SOURCES[name]
    assert row_counts() == [1, 1, 1, 1, 1]
    assert (
        AnalyticsEvent.objects.get().lead_id == LeadTimelineEvent.objects.get().lead_id == lead.pk
    )
    published = OutboxEvent.objects.get()
    assert (published.event_type, published.aggregate_id) == ("lead_created", lead.pk)
    assert published.payload == {"source": lead.source, "status": lead.status}


def test_other_events_make_no_lead() -> None:
    others = [name for name in EVENTS if name not in SOURCES]
    made = {
        name: lead
        for name in others
        if (lead := record(any_event(name), anonymous_id=BROWSER)) is not None
    }
    assert made == {}
    assert row_counts() == [0, 0, 0, len(others), 0]


def test_contact_event_without_a_person_makes_no_lead() -> None:
    made = {name: lead for name in CONTACT_EVENTS if (lead := record(any_event(name))) is not None}
    assert made == {}
    assert row_counts() == [0, 0, 0, len(CONTACT_EVENTS), 0]


def test_new_lead_gets_all_given_identifiers() -> None:
    user = UserFactory()
    lead = record(
        WAITS,
        user=user,
        anonymous_id=BROWSER,
        contact={
            "phone": Plaintext("8 (917) 555-12-34"),
            "email": Plaintext(EMAIL),
            "telegram": Plaintext("55512345"),
        },
        topic="anxiety",
        utm={"utm_source": "search"},
    )
    assert lead is not None
    assert (lead.topic_id, lead.utm) == ("anxiety", {"utm_source": "search"})
    rows = [*lead.identities.all()]
    assert len(rows) == 5
    assert {row.user_id for row in rows} == {user.pk, None}
    assert {row.anonymous_id for row in rows} == {BROWSER, None}
    assert {row.telegram_user_id for row in rows} == {"55512345", None}
    (sealed_email,) = (row.email_encrypted for row in rows if row.email_encrypted)
    assert sealed_email.open() == "maria.ivanova@example.com"
    (primary,) = (row for row in rows if row.is_primary)  # a contact rather than a browser
    assert primary.phone_encrypted.open() == "+79175551234"
    assert find_leads_by_contact(email=EMAIL.upper()).get() == lead


def test_lead_has_no_primary_contact_until_it_has_a_contact() -> None:
    lead = record(START, anonymous_id=BROWSER)
    assert lead is not None
    assert not lead.identities.filter(is_primary=True).exists()
    record(WAITS, anonymous_id=BROWSER, contact=email())
    assert lead.identities.get(is_primary=True).email_encrypted.open() == EMAIL.lower()
    record(WAITS, lead=lead, contact={"phone": Plaintext("+79175551234")})
    assert lead.identities.filter(is_primary=True).count() == 1


def test_new_lead_gets_the_utm_of_its_first_event() -> None:
    lead = record(START, anonymous_id=BROWSER, acquisition={"entry_point": "ads", "utm_term": "a"})
    assert lead is not None
    assert lead.utm == {"utm_term": "a"}
    record(START, anonymous_id=BROWSER, utm={"utm_term": "b"}, topic="anxiety")
    lead.refresh_from_db()
    assert (lead.utm, lead.topic_id) == ({"utm_term": "a"}, None)


def test_telegram_name_identifies_no_lead() -> None:
    assert record(WAITS, contact={"telegram": Plaintext("@maria_ivanova")}) is None
    lead = record(WAITS, contact={"telegram": Plaintext("@maria_ivanova")}, anonymous_id=BROWSER)
    assert lead is not None
    assert [row.anonymous_id for row in lead.identities.all()] == [BROWSER]


# -- The lead of an event -------------------------------------------------------------------------


def test_each_identifier_resolves_to_the_lead() -> None:
    user = UserFactory()
    lead = record(WAITS, user=user, anonymous_id=BROWSER, contact=email())
    for person in [
        {"user": user},
        {"user": user.pk},
        {"user": str(user.pk)},
        {"contact": email(" MARIA.ivanova@example.COM ")},
        {"anonymous_id": BROWSER},
        {"lead": lead},
        {"lead": str(lead.pk)},
    ]:
        assert record(VIEW, **person) == lead
    assert row_counts() == [1, 3, 8, 8, 1]


def test_account_precedes_contact_and_contact_precedes_browser() -> None:
    user = UserFactory()
    by_browser = lead_with_identity(anonymous_id=BROWSER)
    by_contact = record(WAITS, contact=email())
    by_user = lead_with_identity(user=user)
    given = LeadFactory()
    person = {"anonymous_id": BROWSER}
    assert record(VIEW, **person) == by_browser
    person["contact"] = email()
    assert record(VIEW, **person) == by_contact
    person["user"] = user
    assert record(VIEW, **person) == by_user
    assert record(VIEW, **person, lead=given) == given


def test_oldest_of_several_leads_gets_the_event() -> None:
    leads = [lead_with_identity(anonymous_id=BROWSER) for _ in range(3)]
    Lead.objects.filter(pk=leads[1].pk).update(created_at=datetime(2026, 1, 1, tzinfo=UTC))
    assert record(VIEW, anonymous_id=BROWSER) == leads[1]


def test_registered_person_does_not_get_the_lead_of_another() -> None:
    """Two people share one browser and one phone."""
    first, second = UserFactory(), UserFactory()
    contact = {"phone": Plaintext("+79175551234")}
    lead = record(WAITS, user=first, anonymous_id=BROWSER, contact=contact)
    other = record(WAITS, user=second, anonymous_id=BROWSER, contact=contact)
    assert lead is not None
    assert other is not None
    assert other != lead
    assert {row.user_id for row in lead.identities.all()} == {first.pk, None}
    assert record(VIEW, user=first, anonymous_id=BROWSER) == lead
    assert record(VIEW, user=second, anonymous_id=BROWSER) == other
    assert record(VIEW, anonymous_id=BROWSER) == lead


PHONE = {"phone": Plaintext("+79175551234")}


def test_another_person_at_the_same_browser_gets_another_lead() -> None:
    """Otherwise one person would receive, and see, the messages for the other."""
    lead = record(WAITS, anonymous_id=BROWSER, contact=email())
    assert lead is not None
    registered = UserFactory()
    people = [{"contact": PHONE}, {"contact": email("b@example.com")}, {"user": registered}]
    others = [record(WAITS, anonymous_id=BROWSER, **person) for person in people]
    assert len({lead, *others, None}) == 5
    assert lead.identities.count() == 2
    # The browser alone identifies the first person; the others have their own identifiers.
    assert record(VIEW, anonymous_id=BROWSER) == lead
    assert [record(VIEW, anonymous_id=BROWSER, **person) for person in people] == others


def test_typed_contact_of_another_person_does_not_give_their_lead() -> None:
    lead = record(WAITS, contact={**email(), **PHONE})
    other_user = UserFactory()
    other = record(WAITS, user=other_user, contact=email())
    assert other is not None
    assert other != lead
    assert [row.user_id for row in other.identities.all() if row.user_id] == [other_user.pk]
    assert not other.identities.filter(phone_encrypted__isnull=False).exists()


def test_anonymous_event_adds_no_identifier_to_a_registered_lead() -> None:
    """Any visitor may have typed the contact, in any browser."""
    user = UserFactory()
    lead = record(WAITS, user=user, contact=email())
    assert lead is not None
    other_person = {"anonymous_id": "visitor-000002", "contact": {**email(), **PHONE}}
    assert record(WAITS, **other_person) == lead
    assert record(WAITS, lead=lead, **other_person) == lead
    assert record(WAITS, lead=lead, user=UserFactory()) == lead
    assert lead.identities.count() == 2
    assert lead.timeline.count() == 4


@pytest.mark.parametrize(
    ("channel", "account", "typed"),
    [
        ("email", {"email": EMAIL.lower()}, EMAIL),
        ("phone", {"phone": "+79175551234"}, "8 917 555-12-34"),
        ("telegram", {"telegram_user_id": "55512345"}, "55512345"),
    ],
)
def test_new_account_keeps_the_lead_of_its_contact(
    channel: str, account: dict[str, str], typed: str
) -> None:
    lead = record(WAITS, contact={channel: Plaintext(typed)})
    user = UserFactory(**account)
    assert record(VIEW, user=user) == lead  # as booking records it: by the account alone
    assert lead is not None
    assert {row.user_id for row in lead.identities.all()} == {user.pk, None}
    assert lead.identities.count() == 2


def test_new_account_does_not_get_a_lead_with_a_foreign_contact() -> None:
    """Any visitor may have typed the second contact beside the first."""
    lead = lead_with_identity(telegram_user_id="100200300")
    LeadIdentity.objects.create(lead=lead, phone_encrypted=Plaintext("+79995554433"))
    user = UserFactory(email="anton@example.org", phone="+79995554433")
    assert record(VIEW, user=user) != lead
    assert not lead.identities.filter(user=user).exists()


def test_new_account_does_not_get_a_lead_with_a_foreign_phone() -> None:
    lead = LeadFactory()
    LeadIdentity.objects.create(
        lead=lead,
        email_encrypted=Plaintext("anton@example.org"),
        phone_encrypted=Plaintext("+79995554433"),
    )
    user = UserFactory(email="anton@example.org")
    assert record(VIEW, user=user) != lead
    user.email = "other@example.org"
    user.save()
    both = UserFactory(email="anton@example.org", phone="+79995554433")
    assert record(VIEW, user=both) == lead


def test_account_with_an_invalid_contact_identifies_its_lead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    user = UserFactory()
    monkeypatch.setitem(contacts.READERS, "email", lambda text: None)
    lead = record(WAITS, user=user)
    assert lead is not None
    assert [row.user_id for row in lead.identities.all()] == [user.pk]


def test_lead_gains_each_new_identifier_once() -> None:
    user = UserFactory()
    lead = record(START, anonymous_id=BROWSER)
    assert lead is not None
    for _ in range(2):
        assert record(VIEW, anonymous_id=BROWSER, user=user, contact=email()) == lead
    assert lead.identities.count() == 3
    assert record(VIEW, user=user, contact=email("other@example.com")) == lead
    assert lead.identities.count() == 4
    assert find_leads_by_contact(email="other@example.com").get() == lead


def test_contact_resolves_to_its_lead_during_a_key_rotation(settings: Any) -> None:
    lead = record(WAITS, contact=email())
    (old,) = settings.BLIND_INDEX_KEYS
    (new,) = keys.Keyring([keys.Key("k2", b"2" * 32)])
    settings.BLIND_INDEX_KEYS = keys.Keyring([new, old])
    assert record(WAITS, contact=email()) == lead
    assert lead is not None
    assert lead.identities.count() == 1


def test_event_of_an_erased_person_has_no_person() -> None:
    """A late event of an erased person loses the person but keeps its other identifiers."""
    user = UserFactory(deleted=True)
    assert record(WAITS, user=user) is None
    assert row_counts() == [0, 0, 0, 1, 0]
    lead = record(WAITS, user=user, anonymous_id=BROWSER)
    assert lead is not None
    assert [row.anonymous_id for row in lead.identities.all()] == [BROWSER]
    assert {*AnalyticsEvent.objects.values_list("user_id", flat=True)} == {None}


def test_unknown_user_is_refused_in_every_event() -> None:
    with nothing_written(), pytest.raises(NotFound):
        record(VIEW, user=uuid4())


# -- Status ---------------------------------------------------------------------------------------

STAGES = ["new", "engaged", "booking_started", "paid", "booked_confirmed", "completed_session"]
PROVES = {
    "waitlist_submitted": "engaged",
    "question_submitted": "engaged",
    "tg_subscribe_confirmed": "engaged",
    "intake_submitted": "engaged",
    "booking_start": "booking_started",
    "service_selected": "booking_started",
    "booking_slot_selected": "booking_started",
    "payment_started": "booking_started",
    "booking_paid": "paid",
    "booking_confirmed": "booked_confirmed",
}


def check_status(case: tuple[str, str]) -> None:
    name, before = case
    lead = LeadFactory(status=before)
    recorded = record(any_event(name), lead=lead)
    expected = max(before, PROVES.get(name, "new"), key=STAGES.index)
    lead.refresh_from_db()
    assert lead.status == expected
    assert recorded is not None
    assert recorded.status == expected


@pytest.mark.parametrize("name", [*PROVES, "page_view"])
def test_status_moves_forward_only(name: str) -> None:
    check_each([(before, (name, before)) for before in STAGES], check_status)


def test_other_events_prove_no_status() -> None:
    others = [name for name in EVENTS if name not in PROVES]
    check_each([(name, (name, "new")) for name in others], check_status, undo=False)


@pytest.mark.parametrize("status", ["follow_up_needed", "inactive"])
def test_status_set_by_staff_does_not_change(status: str) -> None:
    lead = LeadFactory(status=status)
    record(PAID, lead=lead)
    lead.refresh_from_db()
    assert lead.status == status


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        ("attended", "completed_session"),
        ("no_show", "paid"),
        ("canceled_by_client", "paid"),
        ("canceled_by_provider", "paid"),
        ("rescheduled", "paid"),
    ],
)
def test_attended_session_gives_the_last_status(outcome: str, status: str) -> None:
    lead = LeadFactory(status="paid")
    happened = any_event("appointment_outcome_recorded")
    happened["properties"]["outcome"] = outcome
    record(happened, lead=lead)
    lead.refresh_from_db()
    assert lead.status == status


def test_events_may_be_recorded_in_any_order() -> None:
    lead = None
    for name in ["booking_confirmed", "booking_paid", "payment_started", "booking_start"]:
        lead = record(any_event(name), anonymous_id=BROWSER)
    assert lead is not None
    lead.refresh_from_db()
    assert (lead.status, lead.timeline.count()) == ("booked_confirmed", 4)


# -- Repeated events ------------------------------------------------------------------------------


def test_repeated_event_is_recorded_once() -> None:
    event_id, user = uuid4(), UserFactory()
    person = {"user": user, "contact": email(), "anonymous_id": BROWSER}
    lead = record(WAITS, **person, event_id=event_id)
    assert lead is not None
    Lead.objects.filter(pk=lead.pk).update(status="new")  # staff changed it back
    with nothing_written():
        assert record(WAITS, **person, event_id=event_id) == lead
        assert record(WAITS, **person, event_id=str(event_id)) == lead
        assert record(WAITS, event_id=event_id) == lead  # without a person this time
        assert record(WAITS, lead=lead, event_id=event_id) == lead
    lead.refresh_from_db()
    assert lead.status == "new"


def test_repeated_event_without_a_lead_gets_no_lead() -> None:
    event_id = uuid4()
    record(VIEW, anonymous_id=BROWSER, event_id=event_id)
    record(WAITS, anonymous_id=BROWSER)
    with nothing_written():
        assert record(VIEW, anonymous_id=BROWSER, event_id=event_id) is None


@pytest.mark.parametrize(
    "other",
    [
        {**VIEW, "anonymous_id": BROWSER},
        {**WAITS, "anonymous_id": "visitor-000002"},
        {**WAITS, "user": "another"},
        {**WAITS, "lead": "another"},
        {**WAITS, "contact": "another"},
        {**WAITS, "contact": "unknown"},
    ],
    ids=["event", "browser", "user", "lead", "contact", "unknown contact"],
)
def test_id_of_another_event_is_refused(other: dict[str, Any]) -> None:
    event_id, other_user = uuid4(), UserFactory()
    record(WAITS, user=UserFactory(), anonymous_id=BROWSER, event_id=event_id)
    other_lead = record(WAITS, user=other_user, contact=email())
    values = {"user": other_user, "lead": other_lead, "contact": email()}
    given = {k: values[k] if v == "another" else v for k, v in other.items()}
    if other.get("contact") == "unknown":
        given["contact"] = email("other@example.com")
    with nothing_written(), pytest.raises(IdempotencyConflict) as refused:
        record(given, event_id=event_id)
    assert refused.value.details == {"event_id": event_id}


def test_id_of_another_timeline_event_is_refused() -> None:
    """The timeline may have events that analytics lacks: staff writes them, and purges differ."""
    row = LeadTimelineEventFactory(
        tracking_event_id="booking_paid",
        source="backend",
        properties=all_parameters("booking_paid"),
    )
    other = LeadFactory()
    with nothing_written(), pytest.raises(IdempotencyConflict):
        record(PAID, lead=other, event_id=row.event_id)
    assert record(PAID, lead=row.lead, event_id=row.event_id) == row.lead
    assert row.lead.timeline.count() == 1


# -- Refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "rule", "key"),
    [
        ({**START, "event_name": "booking_ends"}, "analytics_events_event_in_plan", None),
        ({**START, "source": "telegram"}, "analytics_events_source_in_plan", None),
        ({**START, "page": {}}, "analytics_events_required_present", "page_path"),
        ({**START, "properties": {"text": "a"}}, "analytics_events_p0_only", "text"),
        ({**START, "properties": {"topic": "мне плохо"}}, "analytics_events_p0_only", "topic"),
        ({**START, "properties": {"Мария": "a"}}, "analytics_events_p0_only", "unnamed"),
        ({**START, "page": {"page_title": "a"}}, "analytics_events_p0_only", None),
        ({**START, "utm": {"utm_source": "a b"}}, "leads_utm_is_p0", None),
    ],
    ids=["event", "source", "required", "key", "value", "name of a key", "envelope", "utm"],
)
@pytest.mark.parametrize("known", [False, True], ids=["first", "known"])
def test_event_against_the_plan_is_refused(
    event: dict[str, Any], rule: str, key: str | None, known: bool
) -> None:
    if known:
        lead_with_identity(anonymous_id=BROWSER)
    if known and rule == "leads_utm_is_p0":  # only a new lead stores utm
        assert record(event, anonymous_id=BROWSER) is not None
        return
    with nothing_written(), pytest.raises(EventRefused) as refused:
        record(event, anonymous_id=BROWSER)
    assert refused.value.code == "event_refused"
    assert (refused.value.details["rule"], refused.value.details["key"]) == (rule, key)
    assert "плохо" not in str(refused.value)


UNKNOWN = UUID("0199f0a0-0000-4000-8000-000000000007")
BAD_INPUT: list[tuple[dict[str, Any], type[Refused], str | None]] = [
    ({"user": UNKNOWN}, NotFound, "user"),
    ({"user": "nobody"}, NotFound, "user"),
    ({"lead": UNKNOWN}, NotFound, "lead"),
    ({"lead": "nobody"}, NotFound, "lead"),
    ({"lead": 5}, NotFound, "lead"),
    ({"topic": "nowhere"}, NotFound, "topic"),
    ({"anonymous_id": "a b"}, InvalidInput, "anonymous_id"),
    ({"anonymous_id": ""}, InvalidInput, "anonymous_id"),
    ({"anonymous_id": 12345678}, InvalidInput, "anonymous_id"),
    ({"contact": {"email": Plaintext("Мария")}}, InvalidInput, "email"),
    ({"contact": {"phone": Plaintext("112")}}, InvalidInput, "phone"),
    ({"contact": {"address": Plaintext("a")}}, InvalidInput, "contact"),
    ({"event_id": "a"}, InvalidInput, "event_id"),
    ({"session_id": "a"}, InvalidInput, "session_id"),
    ({"occurred_at": NAIVE}, InvalidInput, "occurred_at"),
    ({"occurred_at": datetime.min.replace(tzinfo=UTC)}, InvalidInput, "occurred_at"),
    ({"properties": {"topic": object()}}, InvalidInput, "properties"),
    ({"properties": {"topic": NAIVE}}, InvalidInput, "properties"),
    ({"properties": {"topic": float("nan")}}, InvalidInput, "properties"),
    ({"properties": {"topic": "\0"}}, InvalidInput, None),
    ({"page": {"page_path": "\udc00"}}, Refused, None),
    ({"page": 5}, InvalidInput, "page"),
]


def test_bad_input_writes_nothing() -> None:
    def check(case: tuple[dict[str, Any], type[Refused], str | None]) -> None:
        given, error, detail = case
        with nothing_written(), pytest.raises(error) as refused:
            record({**START, "anonymous_id": BROWSER, **given})
        if detail is not None:
            assert detail in refused.value.details.values()
        assert "Мария" not in str(refused.value)

    check_each([(ascii(case[0]), case) for case in BAD_INPUT], check)


def test_unsealed_contact_is_refused() -> None:
    with nothing_written(), pytest.raises(UnsealedValue) as refused:
        record(WAITS, contact={"email": EMAIL})
    assert EMAIL not in str(refused.value)


# -- Costs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("identifier", "queries"), [("lead", 4), ("user", 6), ("anonymous_id", 6)])
def test_event_of_a_known_lead_takes_few_queries(identifier: str, queries: int) -> None:
    user = UserFactory()
    lead = record(WAITS, user=user, anonymous_id=BROWSER)
    person = {"lead": lead, "user": user, "anonymous_id": BROWSER}[identifier]
    with CaptureQueriesContext(
        connection,
    ) as captured:
        record(START, **{identifier: person})
    asked = [q["sql"] for q in captured if "SAVEPOINT" not in q["sql"]]
    assert len(asked) == queries, asked


def test_no_statement_contains_a_contact() -> None:
    """The log of the server may contain statements and numbers of advisory locks."""
    digits = "79175551234"
    with CaptureQueriesContext(connection) as captured:
        for _ in range(2):
            record(WAITS, contact={**email(), "phone": Plaintext(f"+{digits}")})
    statements = " ".join(q["sql"] for q in captured).lower()
    assert "insert into" in statements
    assert EMAIL.lower() not in statements
    assert digits not in statements


def test_repr_of_an_identifier_hides_its_value() -> None:
    contact = {"telegram": Plaintext("55512345"), "phone": Plaintext("+79175551234")}
    for one in parse_identifiers(user=None, contact=contact, anonymous_id=BROWSER):
        assert "5551234" not in repr(one)


def test_event_without_an_id_gets_a_uuid() -> None:
    record(VIEW)
    record(VIEW)
    made: set[UUID] = set(AnalyticsEvent.objects.values_list("event_id", flat=True))
    assert len(made) == 2
