"""Services: prices, deposits and the bounds of their limits."""

from __future__ import annotations

import pytest

from tests.factories import ServiceFactory
from tests.rule_cases import Change, range_cases
from tests.rule_groups import (
    CaseGroup,
    ChangeGroup,
    case_groups,
    change_groups,
    check_case_group,
    check_change_group,
)
from tests.support import Case

pytestmark = pytest.mark.django_db


def service(name: str, rule: str | None = None, /, **values: object) -> Case:
    return Case(name, ServiceFactory, values, rule)


DEPOSIT = "services_deposit_within_price"
PARTIAL = "services_partial_refund_within_free"
POLICY = "services_published_with_refund_policy"
NO_POLICY = {"cancel_free_hours": None, "cancel_partial_hours": None}
OPTIONAL = [
    "deposit_amount",
    "cancel_free_hours",
    "cancel_partial_hours",
    "reschedule_min_hours",
    "reschedule_max_count",
    "topic_id",
    "offline_address",
]


@case_groups(
    *range_cases(ServiceFactory, "duration_minutes", 10, 480),
    *range_cases(ServiceFactory, "price_amount", 0, deposit_amount=None),
    *range_cases(ServiceFactory, "cancel_free_hours", 0, cancel_partial_hours=None),
    *range_cases(ServiceFactory, "cancel_partial_hours", 0, cancel_free_hours=24),
    *range_cases(ServiceFactory, "reschedule_min_hours", 0),
    *range_cases(ServiceFactory, "reschedule_max_count", 0),
    service("every optional column empty", **dict.fromkeys(OPTIONAL)),
    service("a deposit of nothing", DEPOSIT, deposit_amount=0),
    service("a negative deposit", DEPOSIT, deposit_amount=-1),
    service("a deposit of a rouble", deposit_amount=1),
    service("the price as deposit", price_amount=3000, deposit_amount=3000),
    service("a deposit above the price", DEPOSIT, price_amount=3000, deposit_amount=3001),
    service("a deposit for a free session", DEPOSIT, price_amount=0, deposit_amount=1),
    service("a free session", price_amount=0, deposit_amount=None),
    service("half refund as long as full", cancel_free_hours=24, cancel_partial_hours=24),
    service("half refund longer", PARTIAL, cancel_free_hours=24, cancel_partial_hours=25),
    # NULL <= anything is NULL, and a CHECK takes NULL for true.
    service("half refund without full", PARTIAL, cancel_free_hours=None, cancel_partial_hours=1),
    service("a draft without a refund", **NO_POLICY),
    service("archived without a refund", archived=True, **NO_POLICY),
    service("published without a refund", POLICY, published=True, **NO_POLICY),
    service(
        "published with a refund until the start",
        published=True,
        cancel_free_hours=0,
        cancel_partial_hours=None,
    ),
    service(
        "published free of charge", published=True, price_amount=0, deposit_amount=None, **NO_POLICY
    ),
    service("full refund only", cancel_free_hours=24, cancel_partial_hours=None),
    service("an address already used", "services_slug_unique", slug=lambda: ServiceFactory().slug),
)
def test_service_keeps_its_limits(group: CaseGroup) -> None:
    check_case_group(group)


@change_groups(
    Change("price below the deposit", ServiceFactory, {}, {"price_amount": 999}, DEPOSIT),
    Change("price down to the deposit", ServiceFactory, {}, {"price_amount": 1000}),
    Change(
        "price and deposit together",
        ServiceFactory,
        {},
        {"price_amount": 100, "deposit_amount": 100},
    ),
    Change("full refund shortened", ServiceFactory, {}, {"cancel_free_hours": 5}, PARTIAL),
    Change("full refund taken away", ServiceFactory, {}, {"cancel_free_hours": None}, PARTIAL),
    Change("refund taken away", ServiceFactory, {"published": True}, NO_POLICY, POLICY),
    Change(
        "price set without a refund",
        ServiceFactory,
        {"published": True, "price_amount": 0, "deposit_amount": None, **NO_POLICY},
        {"price_amount": 1},
        POLICY,
    ),
    Change(
        "published too short",
        ServiceFactory,
        {"published": True},
        {"duration_minutes": 9},
        "services_duration_minutes_in_range",
    ),
)
def test_changed_service_keeps_its_limits(group: ChangeGroup) -> None:
    check_change_group(group)
