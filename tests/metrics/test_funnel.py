"""The booking funnel by hand-counted rows (metrics.md, Exactly 1 to 4)."""

from __future__ import annotations

from typing import Any

import pytest

from ebalance.reports.figures import read_metrics
from tests.rule_groups import loop_over
from tests.support import execute

from .rows import (
    OCTOBER,
    appointment,
    at,
    event,
    identity,
    insert,
    key,
    lead,
    payment,
    period,
    service,
)

pytestmark = pytest.mark.django_db


def funnel(first=OCTOBER[0], last=OCTOBER[1]) -> list[int]:
    return [*read_metrics(period(first, last))["booking_funnel"].values()]


def breakdown(dimension: str) -> dict[str, list[int]]:
    figures = read_metrics(period(*OCTOBER))["booking_funnel_by"][dimension]
    return {value: [*steps.values()] for value, steps in figures.items()}


def confirmed(when: str, who: str, start: str, **columns: Any) -> None:
    event(
        "booking_confirmed",
        when,
        who,
        appointment_start_at=at(start).isoformat(),
        **{"service_id": str(key("first")), "format": "online", **columns},
    )


def begin(who: str, day: str = "10-05", **columns: Any) -> None:
    """A start and, a minute later, a chosen slot."""
    event("booking_start", f"{day} 10:00", who, entry_point="seo", **columns)
    event("booking_slot_selected", f"{day} 10:01", who, service_slug="first")


def test_browser_that_books_as_a_lead_is_one_subject() -> None:
    lead("lead:a")
    identity("lead:a", anonymous_id="browser-of-a")
    begin("browser-of-a")
    event("booking_paid", "10-05 10:05", "lead:a")
    confirmed("10-05 10:05", "lead:a", "10-20 10:00")
    assert funnel() == [1, 1, 1, 1]


def test_person_on_two_devices_counts_once() -> None:
    lead("lead:a")
    identity("lead:a", anonymous_id="telephone-of-a")
    identity("lead:a", anonymous_id="notebook-of-a")
    identity("lead:a", user_id=key("user:a"))
    event("booking_start", "10-05 10:00", "telephone-of-a")
    event("booking_start", "10-05 11:00", "notebook-of-a")
    event("booking_slot_selected", "10-05 12:00", "user:a")
    assert funnel() == [1, 1, 0, 0]


def test_user_without_a_lead_and_its_browser_are_two_subjects() -> None:
    event("booking_start", "10-05 10:00", "user:a")
    event("booking_slot_selected", "10-05 11:00", "browser-of-a")
    assert funnel() == [1, 0, 0, 0]


def test_merged_leads_are_one_subject() -> None:
    for name, into in [("lead:a", None), ("lead:b", "lead:a"), ("lead:c", "lead:b")]:
        lead(name, into=into)
    event("booking_start", "10-05 10:00", "lead:c")
    event("booking_slot_selected", "10-05 11:00", "lead:b")
    event("booking_start", "10-05 12:00", "lead:a")
    assert funnel() == [1, 1, 0, 0]


def test_browser_of_two_leads_is_the_lead_with_the_oldest_identity() -> None:
    lead("lead:a"), lead("lead:b")
    identity("lead:a", "02-01 00:00", anonymous_id="shared-browser")
    identity("lead:b", "01-01 00:00", anonymous_id="shared-browser")
    event("booking_start", "10-05 10:00", "shared-browser")
    event("booking_slot_selected", "10-05 11:00", "lead:b")
    assert funnel() == [1, 1, 0, 0]


def test_step_before_the_previous_step_does_not_count() -> None:
    event("booking_slot_selected", "10-05 09:59")
    event("booking_start", "10-05 10:00")
    event("booking_paid", "10-05 10:10")
    assert funnel() == [1, 0, 0, 0]


def test_steps_at_the_same_time_count() -> None:
    for name in ("booking_start", "booking_slot_selected", "booking_paid"):
        event(name, "10-05 10:00")
    confirmed("10-05 10:00", "unknown-browser", "10-20 10:00")
    assert funnel() == [1, 1, 1, 1]


def test_steps_count_within_seven_days_of_the_start() -> None:
    event("booking_start", "10-31 23:59", "browser-one")
    event("booking_slot_selected", "11-07 23:59", "browser-one")
    event("booking_start", "10-31 23:58", "browser-two")
    event("booking_slot_selected", "11-07 23:59", "browser-two")
    assert funnel() == [2, 1, 0, 0]


def test_days_are_those_of_the_practice() -> None:
    event("booking_start", "10-01 00:00", "browser-one")
    event("booking_start", "09-30 23:59", "browser-two")
    event("booking_start", "10-31 23:59", "browser-three")
    event("booking_start", "11-01 00:00", "browser-four")
    assert funnel() == [2, 0, 0, 0]


def test_later_start_in_the_period_does_not_begin_anew() -> None:
    event("booking_start", "10-01 10:00")
    event("booking_start", "10-20 10:00")
    event("booking_slot_selected", "10-20 10:05")
    assert funnel() == [1, 0, 0, 0]


def test_events_of_other_environments_do_not_count() -> None:
    event("booking_start", "10-05 10:00", environment="prod")
    assert funnel() == [0, 0, 0, 0]


@loop_over(("price", "steps"), [(0, [1, 1, 1, 1]), (5000, [1, 1, 0, 0])])
def test_only_a_free_session_passes_paid_with_its_confirmation(
    price: int, steps: list[int]
) -> None:
    service("first"), lead("lead:a")
    begin("lead:a")
    appointment("booked", "10-20 10:00", price_amount=price)
    confirmed("10-05 10:02", "lead:a", "10-20 10:00")
    assert funnel() == steps


def test_money_of_staff_passes_paid_with_the_confirmation() -> None:
    """Also without a booking_paid event, and where the session was moved since."""
    service("first"), lead("lead:a")
    begin("lead:a")
    old = appointment("old", "10-19 10:00", status="rescheduled")
    appointment("new", "10-20 10:00", rescheduled_from_id=old)
    manual = {
        "provider": "manual",
        "method": "cash",
        "recorded_by_user_id": key("user:owner"),
        "provider_payment_id": None,
    }
    taken_at = at("10-05 10:02")
    payment("old", 5000, "10-05 10:02", status="succeeded", confirmed_at=taken_at, **manual)
    confirmed("10-05 10:03", "lead:a", "10-20 10:00")
    assert funnel() == [1, 1, 1, 1]


def test_confirmation_means_the_own_appointment_at_that_time() -> None:
    service("first"), lead("lead:a"), lead("lead:b")
    begin("lead:a")
    appointment("free", "10-20 10:00", price_amount=0, lead_id=key("lead:b"))
    appointment("dear", "10-20 10:00", status="canceled", canceled_at=at("10-06 10:00"))
    confirmed("10-05 10:02", "lead:a", "10-20 10:00")
    assert funnel() == [1, 1, 0, 0]


def test_breakdown_takes_the_first_counted_step_with_a_value() -> None:
    service("first"), service("second")
    begin("browser-one", topic="anxiety")
    event("booking_start", "10-06 10:00", "browser-two", entry_point="ads")
    event("booking_slot_selected", "10-06 10:01", "browser-two", service_id=str(key("second")))
    event("booking_paid", "10-06 10:02", "browser-two", service_slug="first")
    confirmed("10-06 10:03", "browser-two", "10-20 10:00", format="offline")
    assert breakdown("entry_point") == {"ads": [1, 1, 1, 1], "seo": [1, 1, 0, 0]}
    assert breakdown("topic") == {"anxiety": [1, 1, 0, 0], "none": [1, 1, 1, 1]}
    assert breakdown("service") == {"first": [1, 1, 0, 0], "second": [1, 1, 1, 1]}
    assert breakdown("format") == {"none": [1, 1, 0, 0], "offline": [1, 1, 1, 1]}


def test_entry_point_may_stand_in_the_acquisition() -> None:
    insert(
        "analytics_events",
        schema_version="1.0",
        event_name="booking_start",
        event_version=1,
        event_id=key("event"),
        occurred_at=at("10-05 10:00"),
        source="web",
        environment="dev",
        anonymous_id="browser-one",
        acquisition={"entry_point": "telegram"},
    )
    assert breakdown("entry_point") == {"telegram": [1, 0, 0, 0]}


def test_events_without_a_person_are_no_subject() -> None:
    insert(
        "analytics_events",
        schema_version="1.0",
        event_name="booking_start",
        event_version=1,
        event_id=key("event"),
        occurred_at=at("10-05 10:00"),
        source="web",
        environment="dev",
    )
    assert funnel() == [0, 0, 0, 0]
    assert read_metrics(period(*OCTOBER))["no_slots"]["starts"] == 1


def test_no_slots_counts_events() -> None:
    for name, n in (("booking_start", 3), ("show_no_slots", 2), ("waitlist_submitted", 1)):
        for minute in range(n):
            event(name, f"10-05 10:0{minute}", "browser-one")
    figures = read_metrics(period(*OCTOBER))["no_slots"]
    assert figures == {"starts": 3, "no_slots": 2, "waitlist": 1}


def test_window_is_as_long_in_each_zone_of_the_session() -> None:
    """New York turned its clocks back on 1 November: seven days there are 169 hours."""
    event("booking_start", "10-28 10:00", "browser-a")
    event("booking_slot_selected", "11-04 10:30", "browser-a")
    assert funnel() == [1, 0, 0, 0]
    execute("SET LOCAL TIME ZONE 'America/New_York'")
    assert funnel() == [1, 0, 0, 0]
