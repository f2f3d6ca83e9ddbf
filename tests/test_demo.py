"""Demo data: a month of a practice, made by the services (ebalance/dev/demo)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.apps import apps
from django.conf import settings
from django.db import connection, models, transaction
from django.utils import timezone

from audit.models import OutboxEvent
from booking.models import (
    Appointment,
    AvailabilitySlot,
    IntakeForm,
    Payment,
    Refund,
    WaitlistRequest,
)
from content.models import ContentItem
from crm.models import AnalyticsEvent, Lead
from ebalance.db.encryption.fields import SealedField
from ebalance.dev.demo import load_demo, newcomers, people, question_texts
from ebalance.dev.demo.world import UNSENT
from ebalance.metrics import Period
from ebalance.reports.figures import read_metrics
from identity.models import User
from interactive import configs
from interactive.models import InteractiveRun, InteractiveVersion
from tests.databases import Database
from tests.factories import UserFactory
from tests.services import committing
from ugc.models import AnonymousQuestion, Review

pytestmark = pytest.mark.slow

STATUSES: list[tuple[type[models.Model], str]] = [
    (Appointment, "status"),
    (Payment, "status"),
    (Payment, "failure_category"),
    (Payment, "receipt_status"),
    (Payment, "provider"),
    (Refund, "status"),
    (AnonymousQuestion, "status"),
    (Review, "status"),
    (ContentItem, "status"),
    (InteractiveRun, "status"),
    (InteractiveRun, "result_level"),
    (WaitlistRequest, "status"),
    (IntakeForm, "status"),
    (User, "status"),
    (Lead, "status"),
]


@pytest.fixture(scope="module")
def demo(
    module_database: Database, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Period]:
    """Demo data that were loaded and committed once; the period is their last 30 days."""
    with pytest.MonkeyPatch.context() as patch, committing(module_database, django_db_blocker):
        ledger = tmp_path_factory.mktemp("ledger") / "erasures.jsonl"
        patch.setattr(settings, "ERASURE_LEDGER_FILE", ledger)
        UserFactory(role="owner")
        now = timezone.now()
        load_demo(now=now)
        yield Period.choose(now=now)


def people_and_sessions() -> tuple[Counter, Counter]:
    accounts = User.objects.values_list("display_name", "email", "phone", "status", "created_at")
    sessions = Appointment.objects.values_list(
        "client__display_name", "service__slug", "start_at_utc", "status", "outcome", "created_at"
    )
    return Counter(accounts), Counter(sessions)


def test_second_load_has_no_effect(demo: Period) -> None:
    before = people_and_sessions(), OutboxEvent.objects.count()
    assert load_demo() == ""
    assert (people_and_sessions(), OutboxEvent.objects.count()) == before


def without_alina(rows: Counter) -> Counter:
    """All rows but those of the person who books at the time of the load."""
    return Counter({row: count for row, count in rows.items() if "Алина Щербакова" not in row})


def test_two_loads_on_one_day_are_the_same(
    demo: Period, fresh_database: Database, django_db_blocker: Any
) -> None:
    (accounts, sessions), figures = people_and_sessions(), read_metrics(demo)
    midnight = datetime.combine(demo.last, time(), ZoneInfo(demo.zone))
    earlier = max(midnight, demo.now - timedelta(hours=7))
    with committing(fresh_database, django_db_blocker):
        User.objects.create_superuser(email="someone@example.com")
        with transaction.atomic():
            load_demo(now=earlier)
            accounts_again, sessions_again = people_and_sessions()
            figures_again = read_metrics(demo)
            transaction.set_rollback(True)
        assert not Appointment.objects.exists()
    assert without_alina(sessions) == without_alina(sessions_again)
    assert (without_alina(accounts) - accounts_again).total() == 1  # the owner
    for name in figures.keys() - {"moderation"}:
        assert figures[name] == figures_again[name], name
    for name in ("queue", "decided", "mean_hours", "rejected", "crisis"):
        assert figures["moderation"][name] == figures_again["moderation"][name], name


@pytest.mark.parametrize(("model", "field"), STATUSES)
def test_every_value_occurs(demo: Period, model: type[models.Model], field: str) -> None:
    choices = {value for value, _label in model._meta.get_field(field).flatchoices}
    stored = set(model._base_manager.values_list(field, flat=True))
    assert choices <= stored


def test_each_metric_has_figures(demo: Period) -> None:
    figures = read_metrics(demo)
    funnel = [*figures["booking_funnel"].values()]
    assert funnel == sorted(set(funnel), reverse=True)
    for dimension, values in figures["booking_funnel_by"].items():
        assert len(values) > 2, dimension
    assert all(figures["no_slots"].values())
    assert {*figures["payments"]["by_category"]} == {*Payment.FailureCategory.values}
    for row in figures["interactives"]:
        assert row["started"] > row["completed"] > row["cta"] > 0
        if row["type"] != "navigator":
            assert all(row["levels"].values())
    assert len(figures["interactives"]) == 3
    assert all(figures["moderation"].values())
    assert figures["moderation"]["within_due"] < figures["moderation"]["decided"]
    assert all(figures["no_show"].values())
    assert all(figures["revenue"].values())
    telegram = figures["telegram"]
    assert telegram["clicks"] > telegram["subscribed"] > telegram["onboarded"] > 0
    assert telegram["stopped"]
    assert telegram["returned"]["1"] > telegram["returned"]["7"] > 0


def test_people_return_in_later_months(demo: Period) -> None:
    longer = Period.choose(demo.first - timedelta(days=90), demo.last, now=demo.now)
    rows = read_metrics(longer)["retention"]
    assert sum(row["size"] for row in rows) > 5
    assert any(count for row in rows for count in row["active"])


def test_month_has_its_sessions_and_some_ahead(demo: Period) -> None:
    sessions = Appointment.objects.filter(status__in=["confirmed", "completed"])
    month = sessions.filter(start_at_utc__range=(demo.now - timedelta(days=29), demo.now))
    assert 40 <= month.count() <= 52
    zone = ZoneInfo(demo.zone)
    today = [row for row in sessions if row.start_at_utc.astimezone(zone).date() == demo.last]
    ahead = sessions.filter(start_at_utc__gt=demo.now).exclude(pk__in=[row.pk for row in today])
    assert len(today) == 3
    assert 6 <= ahead.count() <= 8
    assert AvailabilitySlot.objects.filter(status="available").exists()


def test_two_pairs_are_namesakes(demo: Period) -> None:
    names = Counter(User.objects.values_list("display_name", flat=True))
    assert sorted(name for name, count in names.items() if count == 2 and name) == [
        "Анна Соколова",
        "Дмитрий Орлов",
    ]


def test_special_people_exist(demo: Period) -> None:
    assert User.objects.filter(email=None, phone=None, telegram_user_id__isnull=False).exists()
    assert User.objects.filter(timezone="Asia/Vladivostok").exists()
    assert Lead.objects.filter(merged_into__isnull=False).exists()
    assert Appointment.objects.filter(client=None, status="confirmed").exists()


def test_contacts_are_invented(demo: Period) -> None:
    for user in User.objects.exclude(user_roles__role="owner"):
        assert user.email is None or user.email.endswith("@example.com")
        assert user.phone is None or user.phone.startswith("+790000000")


def test_outbox_is_mostly_delivered(demo: Period) -> None:
    total, sent = OutboxEvent.objects.count(), OutboxEvent.objects.published().count()
    assert 0.95 * total < sent < total
    unsent = OutboxEvent.objects.filter(published_at=None)
    assert not unsent.filter(created_at__lt=demo.now - UNSENT).exists()


def test_no_time_of_a_fact_lies_ahead(demo: Period) -> None:
    assert not AnalyticsEvent.objects.filter(occurred_at__gt=demo.now).exists()
    assert not Payment.objects.filter(created_at__gt=demo.now).exists()
    early = Payment.objects.filter(confirmed_at__lt=models.F("created_at"))
    assert not early.exists()
    assert not Appointment.objects.filter(confirmed_at__lt=models.F("created_at")).exists()


def test_sealed_texts_are_not_readable(demo: Period) -> None:
    texts = [text for text, _answer in question_texts.ANSWERED]
    texts += [people.NOTES["anna"], question_texts.CRISIS[0], question_texts.REVIEWS[0][0]]
    texts += [newcomers.ANSWERS["roman"]["request"], question_texts.GRATITUDE[0]]
    sealed = [
        (model._meta.db_table, field.column)
        for model in apps.get_models()
        for field in model._meta.concrete_fields
        if isinstance(field, SealedField)
    ]
    filled = set()
    with connection.cursor() as cursor:
        for table, column in sealed:
            cursor.execute(f'SELECT encode("{column}"::bytea, \'escape\') FROM "{table}"')
            for (value,) in cursor.fetchall():
                filled.add(table)
                assert value is None or not any(text in value for text in texts)
    assert {"anonymous_questions", "intake_forms", "lead_notes", "diary_entries"} <= filled


def test_published_articles_and_interactives_are_complete(demo: Period) -> None:
    for item in ContentItem.objects.exclude(status="draft"):
        assert item.publication_offences() == [], item.slug
    for version in InteractiveVersion.objects.select_related("interactive_definition"):
        kind = version.interactive_definition.interactive_type
        assert configs.problems(kind, version.config) == []
