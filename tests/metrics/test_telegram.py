"""The way into Telegram by hand-counted rows (metrics.md, Exactly 9)."""

from __future__ import annotations

from typing import Any

import pytest

from ebalance.reports.figures import read_metrics

from .rows import OCTOBER, event, identity, key, lead, period

pytestmark = pytest.mark.django_db

LINK = {"deep_link_id": "link-one"}


def telegram() -> dict[str, Any]:
    figures = read_metrics(period(*OCTOBER, now="12-31 12:00"))["telegram"]
    return {**figures, "returned": [*figures["returned"].values()]}


def counts(clicks: int, subscribed: int, onboarded: int, stopped: int, *returned: int) -> Any:
    names = ("clicks", "subscribed", "onboarded", "stopped")
    figures = zip(names, (clicks, subscribed, onboarded, stopped), strict=True)
    return {**dict(figures), "returned": [*returned]}


def subscribe(day: str = "10-10", who: str = "bot-user", link: str = "link-one") -> None:
    event("cta_tg_click", f"{day} 10:00", "browser-one", deep_link_id=link)
    event("tg_subscribe_confirmed", f"{day} 10:05", who, deep_link_id=link)


def test_steps_follow_the_link() -> None:
    subscribe()
    event("cta_tg_click", "10-11 10:00", "browser-two", **LINK)
    event("tg_onboarding_completed", "10-10 10:10", "another-bot-user", **LINK)
    event("tg_series_stopped", "10-12 10:10", "another-bot-user", **LINK)
    assert telegram() == counts(1, 1, 1, 1, 1, 0, 0)


def test_events_without_a_link_follow_the_subject() -> None:
    lead("lead:a")
    identity("lead:a", anonymous_id="browser-one")
    subscribe()
    event("tg_onboarding_completed", "10-10 10:10", "bot-user")
    event("tg_series_stopped", "10-10 10:20", "lead:a")
    assert telegram() == counts(1, 1, 1, 1, 0, 0, 0)


def test_event_of_another_link_does_not_follow_the_subject() -> None:
    subscribe()
    event("tg_onboarding_completed", "10-10 10:10", "bot-user", deep_link_id="link-two")
    assert telegram() == counts(1, 1, 0, 0, 0, 0, 0)


def test_steps_count_within_thirty_days_of_the_click() -> None:
    event("cta_tg_click", "10-31 23:59", **LINK)
    event("tg_subscribe_confirmed", "11-30 23:59", **LINK)
    event("tg_onboarding_completed", "12-01 00:00", **LINK)
    event("cta_tg_click", "10-31 23:58", deep_link_id="link-two")
    event("tg_subscribe_confirmed", "11-30 23:59", deep_link_id="link-two")
    event("cta_tg_click", "11-01 00:00", deep_link_id="link-three")
    assert telegram() == counts(2, 1, 0, 0, 1, 0, 0)


def test_step_before_the_previous_one_does_not_count() -> None:
    event("tg_onboarding_completed", "10-10 10:04", "bot-user", **LINK)
    subscribe()
    event("tg_subscribe_confirmed", "10-10 09:00", "bot-user", deep_link_id="link-two")
    event("cta_tg_click", "10-10 10:00", deep_link_id="link-two")
    assert telegram() == counts(2, 1, 0, 0, 0, 0, 0)


def test_return_is_any_event_of_link_or_subject_on_that_day() -> None:
    lead("lead:a"), lead("lead:b", into="lead:a")
    identity("lead:a", anonymous_id="browser-one")
    identity("lead:a", user_id=key("user:a"))
    subscribe("10-31")
    event("page_view", "11-01 00:00", "browser-one")
    event("tg_interaction", "11-07 23:59", "somebody-else", **LINK)
    event("page_view", "11-30 12:00", "lead:b")
    assert telegram() == counts(1, 1, 0, 0, 1, 1, 1)


def test_events_of_other_days_and_people_are_no_return() -> None:
    subscribe("10-31")
    event("page_view", "11-01 00:00", "browser-two")
    event("page_view", "10-31 23:59", "bot-user")
    event("page_view", "11-06 23:59", "bot-user")
    event("page_view", "11-08 00:00", "bot-user")
    event("page_view", "11-30 12:00", "bot-user", environment="stage")
    assert telegram() == counts(1, 1, 0, 0, 0, 0, 0)


def test_account_returns_as_its_lead() -> None:
    lead("lead:a")
    identity("lead:a", user_id=key("user:a"))
    identity("lead:a", anonymous_id="bot-user")
    subscribe()
    event("lk_opened", "10-11 12:00", "user:a")
    assert telegram() == counts(1, 1, 0, 0, 1, 0, 0)
