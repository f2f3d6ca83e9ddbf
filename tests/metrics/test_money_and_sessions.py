"""Payments, revenue, no-show and retention by hand-counted rows (metrics.md, Exactly 5, 8, 10)."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from ebalance.reports.figures import read_metrics

from .rows import (
    OCTOBER,
    appointment,
    at,
    event,
    identity,
    insert,
    key,
    lead,
    outcome,
    payment,
    period,
)

pytestmark = pytest.mark.django_db


def read(metric: str, first: date = OCTOBER[0], last: date = OCTOBER[1], **now: str) -> Any:
    return read_metrics(period(first, last, **now))[metric]


def succeeded(of: str, amount: int, when: str, **columns: Any) -> Any:
    return payment(of, amount, when, status="succeeded", confirmed_at=at(when), **columns)


# -- payments -------------------------------------------------------------------------------------


def test_pending_payment_fails_a_day_after_its_hold() -> None:
    for n, (hold, status) in enumerate(
        [("11-14 11:59", "pending_payment"), ("11-14 11:59", "canceled"), ("11-14 12:00", "paid")]
    ):
        canceled = at("11-14 12:00") if status == "canceled" else None
        appointment(
            f"a{n}",
            f"12-0{n + 1} 10:00",
            status=status,
            confirmed_at=None,
            canceled_at=canceled,
            hold_expires_at=at(hold),
        )
        payment(f"a{n}", 5000, "10-10 10:00")
    expected = {"started": 3, "failed": 2, "by_category": {"timeout": 2}}
    assert read("payments") == expected
    assert read("payments", now="11-15 12:01") == {
        "started": 3,
        "failed": 3,
        "by_category": {"timeout": 3},
    }


def test_failed_and_canceled_payments_count_by_category() -> None:
    appointment("a", "12-01 10:00")
    payment("a", 1, "10-10 10:00", status="failed", failure_category="insufficient_funds")
    payment("a", 1, "10-10 10:00", status="canceled", failure_category="timeout")
    payment("a", 1, "10-10 10:00", status="canceled")
    payment("a", 1, "10-10 10:00")
    succeeded("a", 1, "10-10 10:00")
    payment("a", 1, "09-30 23:59", status="failed")
    assert read("payments") == {
        "started": 5,
        "failed": 3,
        "by_category": {"insufficient_funds": 1, "timeout": 1, "unknown": 1},
    }


# -- revenue --------------------------------------------------------------------------------------


def test_refund_counts_in_the_month_in_which_it_succeeded() -> None:
    paid = succeeded("a", 5000, "09-30 23:59")
    succeeded("b", 1001, "10-01 00:00")
    succeeded("c", 1000, "10-31 23:59")
    insert(
        "refunds",
        payment_id=paid,
        amount=1500,
        reason="canceled",
        status="succeeded",
        succeeded_at=at("10-10 10:00"),
    )
    insert("refunds", payment_id=paid, amount=500, reason="canceled", status="due")
    assert read("revenue") == {
        "gross": 2001,
        "refunded": 1500,
        "net": 501,
        "payments": 2,
        "average": 1001,
        "previous_net": 5000,
    }


def test_previous_period_is_as_long_and_ends_just_before() -> None:
    succeeded("a", 1, "10-03 00:00")
    succeeded("b", 2, "10-05 23:59")
    succeeded("c", 4, "10-06 00:00")
    succeeded("d", 8, "10-02 23:59")
    figures = read("revenue", date(2026, 10, 6), date(2026, 10, 8))
    assert (figures["gross"], figures["previous_net"]) == (4, 3)


def test_revenue_of_nothing_has_no_average() -> None:
    assert read("revenue") == {
        "gross": 0,
        "refunded": 0,
        "net": 0,
        "payments": 0,
        "average": None,
        "previous_net": 0,
    }


# -- sessions -------------------------------------------------------------------------------------


def test_session_over_midnight_counts_on_the_day_of_its_start() -> None:
    appointment("a", "10-31 23:29", **outcome("attended", "11-01 01:00"))
    appointment("b", "11-01 00:00", **outcome("attended", "11-01 01:00"))
    appointment("c", "10-02 10:00", **outcome("no_show", "10-02 11:00"))
    assert read("no_show") == {"attended": 1, "no_show": 1, "unrecorded": 0}


def test_confirmed_session_is_unrecorded_once_it_has_ended() -> None:
    appointment("ended", "10-31 10:00")
    appointment("ahead", "10-31 11:00")
    appointment("moved", "10-30 10:00", status="rescheduled")
    figures = read("no_show", now="10-31 11:29")
    assert figures == {"attended": 0, "no_show": 0, "unrecorded": 1}
    assert read("no_show", now="10-31 11:30")["unrecorded"] == 2


# -- retention ------------------------------------------------------------------------------------


def test_cohort_is_the_month_of_the_first_confirmation() -> None:
    lead("lead:a"), lead("lead:b"), lead("lead:old", into="lead:b")
    identity("lead:b", user_id=key("user:b"))
    attended = {**outcome("attended", "10-31 23:00")}
    # a: confirmed in August, attended in August, October and (not counted) in November.
    appointment("a1", "08-20 10:00", **outcome("attended", "08-20 11:00"))
    appointment("a2", "10-31 22:00", **attended)
    appointment("a3", "11-01 10:00", **outcome("attended", "11-01 11:00"))
    # b: three names of one person; the first confirmation was as the merged lead.
    appointment("b1", "09-10 10:00", lead_id=key("lead:old"), confirmed_at=at("08-31 23:59"))
    appointment("b2", "09-20 10:00", lead_id=None, client_user_id=key("user:b"))
    event("lk_opened", "09-30 23:59", "user:b")
    event("lk_opened", "08-31 12:00", "lead:b")
    # c: a cohort of September without any later activity, known by the account only.
    canceled = {"status": "canceled", "canceled_at": at("09-25 09:00")}
    appointment("c1", "09-25 10:00", lead_id=None, client_user_id=key("user:c"), **canceled)
    assert read("retention", date(2026, 8, 1), date(2026, 11, 30)) == [
        {"month": "2026-08", "size": 2, "active": [1, 1]},
        {"month": "2026-09", "size": 1, "active": [0]},
    ]


def test_cohort_counts_if_its_month_begins_in_the_period() -> None:
    appointment("a", "08-20 10:00")
    assert read("retention", date(2026, 8, 1), date(2026, 8, 1)) == [
        {"month": "2026-08", "size": 1, "active": [0, 0]}
    ]
    assert read("retention", date(2026, 8, 2), date(2026, 8, 31)) == []


def test_month_before_the_current_one_has_no_later_month() -> None:
    appointment("a", "10-20 10:00")
    assert read("retention") == [{"month": "2026-10", "size": 1, "active": []}]
    assert read("retention", now="10-31 23:59") == []
