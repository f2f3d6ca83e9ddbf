"""Requests to erase a person: the rules of the database."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from identity.models import ErasureRequest
from tests.factories import ErasureRequestFactory, UserFactory
from tests.rule_groups import CaseGroup, case_groups, check_case_group, loop_over
from tests.support import Case, breaks, refuses, update_sql

pytestmark = pytest.mark.django_db

TABLE = "erasure_requests"
COMPLETED, REASON = f"{TABLE}_completed_when_over", f"{TABLE}_reason_when_refused"
DONE, STAYS = f"{TABLE}_done_is_erased", f"{TABLE}_request_stays"
ONE_OPEN = f"{TABLE}_one_open_per_user"


def request(name: str, rule: str | None = None, /, **values: Any) -> Case:
    return Case(name, ErasureRequestFactory, values, rule)


@case_groups(
    request("open"),
    request("that cancels sessions", cancels_appointments=True),
    request("open, with a finish time", COMPLETED, completed_at=timezone.now),
    request("open, with a reason", REASON, refused_reason="last_owner"),
    request("second of a person", ONE_OPEN, user=lambda: ErasureRequestFactory().user),
    request("after a refused one", user=lambda: ErasureRequestFactory(refused=True).user),
    request("of a person who asks", user=UserFactory),
)
def test_new_request_is_open(group: CaseGroup) -> None:
    check_case_group(group)


@breaks(DONE)
def test_request_is_done_once_the_person_is_erased() -> None:
    row = ErasureRequestFactory()
    over = {"status": "done", "completed_at": timezone.now()}
    with refuses(DONE, TABLE):
        update_sql(row, **over)
    with refuses(DONE, TABLE):
        ErasureRequest.objects.filter(pk=row.pk).update(**over)
    assert ErasureRequestFactory(done=True).user.status == "active"  # of the instance in memory
    assert ErasureRequest.objects.filter(status="done", user__status="deleted").count() == 1


@breaks(COMPLETED, REASON)
@loop_over(
    ("changes", "rule"),
    [
        ({"status": "refused", "refused_reason": "last_owner"}, COMPLETED),
        ({"status": "refused", "completed_at": "now"}, REASON),
        ({"status": "refused", "refused_reason": "last_owner", "completed_at": "now"}, None),
    ],
)
def test_refused_request_has_reason_and_time(changes: dict[str, Any], rule: str | None) -> None:
    row = ErasureRequestFactory()
    if "completed_at" in changes:
        changes = {**changes, "completed_at": timezone.now()}
    if rule is None:
        update_sql(row, **changes)
        return
    with refuses(rule, TABLE):
        update_sql(row, **changes)


@breaks(STAYS)
@loop_over("column", ["user_id", "requested_by_user_id", "created_at"])
def test_request_keeps_person_requester_and_time(column: str) -> None:
    row = ErasureRequestFactory()
    value = timezone.now() if column == "created_at" else UserFactory().pk
    with refuses(STAYS, TABLE):
        update_sql(row, **{column: value})
