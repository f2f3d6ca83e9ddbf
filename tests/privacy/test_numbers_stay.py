"""Purge and erasure keep the numbers of questions, and of runs that a call to action follows."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings
from django.db import models

from crm.cta import followed_by_cta
from ebalance.privacy.erasure import erase_user
from identity.models import User
from interactive.models import InteractiveRun
from tests.factories import (
    AnalyticsEventFactory,
    AnonymousQuestionFactory,
    InteractiveRunFactory,
    ModerationActionFactory,
    UserFactory,
)
from tests.privacy.purging import before, purge
from tests.support import execute
from ugc.models.totals import DAILY

pytestmark = pytest.mark.django_db

MIDNIGHT = timedelta(hours=21)  # of Moscow, in UTC


def day_start() -> Any:
    start = before("200 days").replace(hour=0, minute=0, second=0, microsecond=0)
    return start + MIDNIGHT


def question(hours: float, **values: Any) -> models.Model:
    """Submitted a day before ``day_start()``, and first decided ``hours`` later."""
    submitted = day_start() - timedelta(days=1)
    at = submitted + timedelta(hours=hours)
    return AnonymousQuestionFactory(submitted_at=submitted, moderated_at=at, **values)


def numbers() -> list[tuple[Any, ...]]:
    """The numbers of questions by day: those of totals and those of stored rows together."""
    columns = ", ".join(f"{sql} AS {name}" for name, sql in {**DAILY.sums, **DAILY.lists}.items())
    rows = execute(
        f"SELECT day, decided, rejected, crisis, within_due, answered, hours, answer_hours "
        "FROM moderation_totals UNION ALL "
        f"SELECT day, decided, rejected, crisis, within_due, answered, hours, answer_hours FROM "
        f"(SELECT {DAILY.by['day']} AS day, {columns} FROM anonymous_questions AS gone "
        f"WHERE {DAILY.where} GROUP BY 1) AS rows"
    )
    days: dict[Any, dict[str, Any]] = {}
    for row in rows:
        total = days.setdefault(row.pop("day"), {})
        for name, value in row.items():
            total[name] = total[name] + value if name in total else value
    return sorted(
        (day, *(sorted(v) if isinstance(v, list) else v for v in total.values()))
        for day, total in days.items()
    )


def practice(user: User | None) -> None:
    """Rejected in time, answered late, a crisis after an escalation, and one undecided."""
    question(1, rejected=True, user=user)
    late = day_start() + timedelta(hours=60)
    answered = {"answered": True, "answered_at": late}
    question(30, **answered, user=user)
    row = question(20, approved=True, user=user)
    ModerationActionFactory(ugc=row, action="approve", created_at=day_start() - MIDNIGHT)
    execute(
        "UPDATE anonymous_questions SET status = 'flagged', trigger_flags = '{crisis}' "
        "WHERE id = %s",
        [row.pk],
    )
    ModerationActionFactory(ugc=row, rejected=True, created_at=day_start())
    execute("UPDATE anonymous_questions SET status = 'rejected' WHERE id = %s", [row.pk])
    AnonymousQuestionFactory(user=user)


def test_totals_have_hand_counted_numbers() -> None:
    practice(None)
    purge("anonymous_questions")
    day = (day_start() + timedelta(hours=3)).date()  # of Moscow
    first, second = execute("SELECT * FROM moderation_totals ORDER BY day")
    assert (first["day"], second["day"]) == (day - timedelta(days=1), day)
    counted = ("decided", "rejected", "crisis", "within_due", "answered")
    # The first decision about the crisis approves, and met the deadline of that time.
    assert [first[name] for name in counted] == [2, 1, 1, 2, 0]
    assert sorted(first["hours"]) == [Decimal(1), Decimal(20)]
    assert [second[name] for name in counted] == [1, 0, 0, 0, 1]
    assert (second["hours"], second["answer_hours"]) == ([Decimal(30)], [Decimal(84)])


@pytest.mark.parametrize("remove", ["purge", "erase", "erase, then purge"])
def test_removed_questions_keep_every_number(remove: str) -> None:
    person = UserFactory()
    for user in (person, None):
        practice(user)
    expected = numbers()
    for step in remove.split(", then "):
        if step == "purge":
            purge("anonymous_questions", batch=1)
        else:
            erase_user(person, method="admin")
        assert numbers() == expected
    purge("anonymous_questions")
    assert numbers() == expected


# -- runs -----------------------------------------------------------------------------------------


TELEGRAM = {"tg_target": "bot", "tg_flow": "plan_7d", "deep_link_id": "plan000001"}
CLICK = {"properties": {"cta_id": "book", "cta_target": "booking"}}


def visit(
    person: User, user: User | None, *, after: float, name: str = "cta_click", **event: Any
) -> None:
    """A completed run of ``user``, and clicks of ``person`` ``after`` minutes after its end."""
    session, start = uuid4(), before("100 days")
    subject = {"user": user, "anonymous_id": None} if user else {}
    run = InteractiveRunFactory(
        session_id=session,
        started_at=start,
        completed=True,
        completed_at=start + timedelta(minutes=5),
        **subject,
    )
    AnalyticsEventFactory.create_batch(
        2,  # a second click does not count
        tracking_event_id=name,
        session_id=session,
        occurred_at=run.completed_at + timedelta(minutes=after),
        **{**CLICK, "environment": settings.ENVIRONMENT, "user_id": person.pk, **event},
    )


def ctas() -> int:
    (row,) = execute(
        "SELECT (SELECT coalesce(sum(cta_runs), 0) FROM interactive_run_totals) + "
        f"(SELECT count(*) FROM interactive_runs run WHERE {followed_by_cta('run')}) AS n",
        {"environment": settings.ENVIRONMENT},
    )
    return int(row["n"])


@pytest.mark.parametrize("names_person", [True, False], ids=["of the person", "anonymous"])
@pytest.mark.parametrize("is_erased", [True, False], ids=["erased", "purged"])
def test_removed_runs_keep_their_calls_to_action(names_person: bool, is_erased: bool) -> None:
    person = UserFactory()
    user = person if names_person else None
    visit(person, user, after=0)
    visit(person, user, after=10)
    visit(person, user, after=-1)  # before the end
    visit(person, user, after=1, name="cta_tg_click", properties=TELEGRAM)
    visit(person, user, after=1, environment="stage")
    assert ctas() == 2
    if is_erased:
        erase_user(person, method="admin")
        assert ctas() == 2
        # The other runs are detached, and stay.
        assert InteractiveRun.objects.filter(user=None).count() == 3
    purge("interactive_runs", batch=2)
    assert ctas() == 2
    assert not InteractiveRun.objects.exists()
