"""Bookings by the services, and what ``manage.py metrics`` prints about them."""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from datetime import date
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command

from booking.services import record_manual_payment
from crm.models import AnalyticsEvent, LeadIdentity
from crm.services import record_event
from ebalance.metrics import Period
from ebalance.services import InvalidInput
from tests.booking.outbox_assertions import book, paid
from tests.factories import ServiceFactory, SystemSettingFactory, UserFactory
from tests.factories.booking import DEPOSIT, PRICE
from tests.rule_groups import loop_over
from tests.support import execute

from .rows import at

pytestmark = pytest.mark.django_db

BROWSER = "browser-of-anna"


def command(*arguments: str) -> str:
    output = io.StringIO()
    call_command("metrics", *arguments, stdout=output)
    return output.getvalue()


def begin(**columns: Any) -> None:
    record_event(
        "booking_start",
        source="web",
        anonymous_id=BROWSER,
        properties={"entry_point": "ads", "page_path": "/services"},
        **columns,
    )


# -- events of the services -----------------------------------------------------------------------


@loop_over("is_free", [False, True])
def test_visitor_who_books_passes_the_whole_funnel(is_free: bool) -> None:
    begin()
    terms = {"price_amount": 0, "deposit_amount": None} if is_free else {}
    row = book(service=ServiceFactory(published=True, **terms), anonymous_id=BROWSER)
    if not is_free:
        paid(row)
    figures = json.loads(command("--json"))
    steps = {"started": 1, "slot_selected": 1, "paid": 1, "confirmed": 1}
    assert figures["booking_funnel"] == steps
    assert figures["booking_funnel_by"]["service"] == {row.service.slug: steps}
    assert figures["booking_funnel_by"]["format"] == {"online": steps}


def test_visitor_who_pays_in_cash_passes_the_whole_funnel() -> None:
    begin()
    row, owner = book(anonymous_id=BROWSER), UserFactory(role="owner")
    for number, amount in enumerate([DEPOSIT - 1, 1, PRICE - DEPOSIT]):
        record_manual_payment(
            row, method="cash", amount=amount, idempotency_key=f"cash-{number}", actor=owner
        )
    figures = json.loads(command("--json"))
    steps = {"started": 1, "slot_selected": 1, "paid": 1, "confirmed": 1}
    assert figures["booking_funnel"] == steps
    assert figures["booking_funnel_by"]["entry_point"] == {"ads": steps}
    assert figures["payments"]["started"] == 0  # of the provider
    assert (figures["revenue"]["gross"], figures["revenue"]["payments"]) == (PRICE, 3)
    events = AnalyticsEvent.objects.filter(properties__payment_provider="manual")
    # The first part leaves the hold waiting.
    assert Counter(events.values_list("tracking_event", flat=True)) == {
        "payment_started": 3,
        "booking_paid": 2,
    }


def test_booking_stores_browser_and_visit() -> None:
    session = uuid4()
    row = book(anonymous_id=BROWSER, session_id=str(session))
    event = AnalyticsEvent.objects.get(tracking_event="booking_slot_selected")
    assert (event.anonymous_id, event.session_id) == (BROWSER, session)
    browsers = LeadIdentity.objects.filter(anonymous_id=BROWSER)
    assert browsers.get().lead.identities.filter(user=row.client).exists()


@loop_over("values", [{"anonymous_id": "+79161234567"}, {"session_id": "today"}])
def test_wrong_browser_or_visit_is_refused(values: dict[str, str]) -> None:
    with pytest.raises(InvalidInput) as caught:
        book(**values)
    assert caught.value.details["field"] in values


# -- the command ----------------------------------------------------------------------------------


def test_json_has_the_shape_of_the_specification() -> None:
    steps = dict.fromkeys(["started", "slot_selected", "paid", "confirmed"], 0)
    assert json.loads(command("--from", "2026-10-01", "--to", "2026-10-31", "--json")) == {
        "period": {"from": "2026-10-01", "to": "2026-10-31"},
        "booking_funnel": steps,
        "booking_funnel_by": {"entry_point": {}, "topic": {}, "service": {}, "format": {}},
        "no_slots": {"starts": 0, "no_slots": 0, "waitlist": 0},
        "payments": {"started": 0, "failed": 0, "by_category": {}},
        "interactives": [],
        "moderation": {
            "queue": 0,
            "overdue": 0,
            "oldest_hours": None,
            "decided": 0,
            "mean_hours": None,
            "p90_hours": None,
            "within_due": 0,
            "rejected": 0,
            "crisis": 0,
            "answer_mean_hours": None,
        },
        "no_show": {"attended": 0, "no_show": 0, "unrecorded": 0},
        "revenue": {
            "gross": 0,
            "refunded": 0,
            "net": 0,
            "payments": 0,
            "average": None,
            "previous_net": 0,
        },
        "telegram": {
            "clicks": 0,
            "subscribed": 0,
            "onboarded": 0,
            "stopped": 0,
            "returned": {"1": 0, "7": 0, "30": 0},
        },
        "retention": [],
    }


def test_text_has_a_figure_a_line() -> None:
    begin()
    lines = command().splitlines()
    assert lines[0] == "period"
    assert "    ads" in lines
    assert "  average: –" in lines
    assert "interactives: –" in lines


@loop_over(
    ("arguments", "sentence"),
    [
        (["--from", "2026-13-01"], "2026-13-01 is not a date, for example 2026-11-30."),
        (["--to", "yesterday"], "yesterday is not a date, for example 2026-11-30."),
        (
            ["--from", "2026-11-02", "--to", "2026-11-01"],
            "The period ends on 2026-11-01, before its first day 2026-11-02.",
        ),
        (["--to", "0001-01-01"], "The year of 0001-01-01 is not between 2000 and 2100."),
        (["--from", "9999-12-31"], "The year of 9999-12-31 is not between 2000 and 2100."),
    ],
)
def test_wrong_period_is_refused_in_one_line(arguments: list[str], sentence: str) -> None:
    with pytest.raises(CommandError, match=f"^{re.escape(sentence)}$"):
        command(*arguments)


@loop_over(
    ("given", "first", "last"),
    [
        ({}, date(2026, 10, 3), date(2026, 11, 1)),
        ({"first": date(2026, 10, 31)}, date(2026, 10, 31), date(2026, 11, 1)),
        ({"last": date(2026, 1, 30)}, date(2026, 1, 1), date(2026, 1, 30)),
    ],
)
def test_period_is_the_last_thirty_days_by_default(
    given: dict[str, date], first: date, last: date
) -> None:
    chosen = Period.choose(**given, now=at("11-01 00:00"))
    assert (chosen.first, chosen.last, chosen.zone) == (first, last, "Europe/Moscow")


def test_days_follow_the_setting_of_the_practice() -> None:
    SystemSettingFactory(key="practice_timezone", value="Asia/Vladivostok")
    chosen = Period.choose(now=at("10-31 17:00"))
    assert (chosen.last, chosen.zone) == (date(2026, 11, 1), "Asia/Vladivostok")


def test_zone_that_the_server_has_lost_is_named() -> None:
    execute("SET LOCAL session_replication_role = replica")
    SystemSettingFactory(key="practice_timezone", value="Europe/Nowhere")
    with pytest.raises(CommandError, match=r"^The setting practice_timezone is .*not a time zone"):
        command()
