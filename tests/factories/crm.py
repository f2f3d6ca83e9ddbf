"""Leads, the tracking plan, events, notes, deep links."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import factory

from crm.models import (
    AnalyticsEvent,
    DeepLink,
    Lead,
    LeadIdentity,
    LeadNote,
    LeadTimelineEvent,
    TrackingEvent,
    TrackingEventParam,
)

from .base import EntityFactory, ago, blind_index, now, sealed, secret
from .identity import UserFactory


class LeadFactory(EntityFactory):
    source = "quiz"
    topic_id = "anxiety"
    utm = factory.LazyFunction(lambda: {"utm_source": "search", "utm_medium": "organic"})

    class Meta:
        model = Lead


NO_EMAIL = {"email_encrypted": None, "email_bidx": None}


class LeadIdentityFactory(EntityFactory):
    """Identified by an e-mail address; its sealed value cannot be opened."""

    lead = factory.SubFactory(LeadFactory)
    email_encrypted = factory.LazyFunction(sealed)
    email_bidx = factory.LazyFunction(blind_index)

    class Meta:
        model = LeadIdentity

    class Params:
        primary = factory.Trait(is_primary=True)
        by_phone = factory.Trait(
            **NO_EMAIL,
            phone_encrypted=factory.LazyFunction(sealed),
            phone_bidx=factory.LazyFunction(blind_index),
        )
        by_telegram = factory.Trait(
            **NO_EMAIL, telegram_user_id=factory.Sequence(lambda n: str(100_000 + n))
        )
        by_browser = factory.Trait(
            **NO_EMAIL, anonymous_id=factory.Sequence(lambda n: f"visitor-{n:06d}")
        )
        registered = factory.Trait(**NO_EMAIL, user=factory.SubFactory(UserFactory))


class TrackingEventFactory(EntityFactory):
    """A separate event; those of the tracking plan are used by key (tracking_event_id)."""

    event_name = factory.Sequence(lambda n: f"event_{n}")
    sources = factory.LazyFunction(lambda: ["web", "backend"])

    class Meta:
        model = TrackingEvent


class TrackingEventParamFactory(EntityFactory):
    event = factory.SubFactory(TrackingEventFactory)
    name = factory.Sequence(lambda n: f"param_{n}")
    kind = "code"
    is_required = False

    class Meta:
        model = TrackingEventParam

    class Params:
        enum = factory.Trait(kind="enum", allowed=factory.LazyFunction(lambda: ["low", "high"]))
        one_of = factory.Trait(kind="one_of", name="page_path|topic", is_required=True)


class LeadTimelineEventFactory(EntityFactory):
    lead = factory.SubFactory(LeadFactory)
    event_id = factory.LazyFunction(uuid4)
    tracking_event_id = "booking_start"
    source = "web"
    properties = factory.LazyFunction(
        lambda: {"entry_point": "seo", "page_path": "/services", "topic": "anxiety"}
    )

    class Meta:
        model = LeadTimelineEvent


class AnalyticsEventFactory(EntityFactory):
    schema_version = "1.0"
    tracking_event_id = "page_view"
    event_version = 1
    event_id = factory.LazyFunction(uuid4)
    occurred_at = now()
    source = "web"
    environment = "prod"
    session_id = factory.LazyFunction(uuid4)
    anonymous_id = factory.Sequence(lambda n: f"visitor-{n:06d}")
    page = factory.LazyFunction(lambda: {"page_path": "/articles", "referrer_host": "ya.ru"})
    acquisition = factory.LazyFunction(lambda: {"entry_point": "seo", "utm_source": "search"})
    properties = factory.LazyFunction(lambda: {"page_path": "/articles"})

    class Meta:
        model = AnalyticsEvent


class LeadNoteFactory(EntityFactory):
    lead = factory.SubFactory(LeadFactory)
    author = factory.SubFactory(UserFactory)
    note_encrypted = secret()

    class Meta:
        model = LeadNote


class DeepLinkFactory(EntityFactory):
    """Valid for 30 days, the database's default expiry."""

    deep_link_id = factory.Sequence(lambda n: f"plan{n:06d}")
    flow = "plan_7d"
    topic_id = "anxiety"
    source_page = "trevozhnyj-vecher"
    anonymous_id = factory.Sequence(lambda n: f"visitor-{n:06d}")

    class Meta:
        model = DeepLink

    class Params:
        expired = factory.Trait(
            created_at=factory.LazyFunction(lambda: ago(days=31)),
            expires_at=factory.LazyAttribute(lambda o: o.created_at + timedelta(days=30)),
        )
        of_lead = factory.Trait(lead=factory.SubFactory(LeadFactory))
