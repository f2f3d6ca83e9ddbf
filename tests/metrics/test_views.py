"""The views of the metrics, which the analyst reads."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection

from ebalance.metrics import Metric, Period
from ebalance.reports.figures import METRICS
from tests.factories import InteractiveRunFactory, SystemSettingFactory
from tests.support import execute

from .rows import appointment, at, event, outcome, payment, question, service

pytestmark = pytest.mark.django_db


def ago(days: int) -> str:
    """Midnight in Moscow, so many days ago."""
    return f"{datetime.now(ZoneInfo('Europe/Moscow')) - timedelta(days=days):%Y-%m-%d} 00:00"


def fill() -> None:
    """Rows of each metric, of today and of earlier days."""
    service("talk")
    for days in (0, 3, 20, 45):
        who, link = f"browser-{days}-of-anna", f"link-{days}"
        event("booking_start", ago(days), who, entry_point="ads")
        event("booking_slot_selected", ago(days), who)
        event("show_no_slots", ago(days), who)
        event("cta_tg_click", ago(days), who, deep_link_id=link)
        event("tg_subscribe_confirmed", ago(days), "bot-user", deep_link_id=link)
        appointment(f"of {days}", ago(days), **outcome("attended", ago(days)))
        paid = {"status": "succeeded", "confirmed_at": at(ago(days))}
        payment(f"of {days}", 100 + days, ago(days), **paid)
        question(ago(days + 1), decided=ago(days), status="approved")
    InteractiveRunFactory()


def read_view(metric: Metric, period: str) -> list[dict[str, Any]]:
    rows = execute(f"SELECT * FROM metric_{metric.name} WHERE period = %s", [period])
    return [dict(list(row.items())[3:]) for row in rows]


def in_any_order(rows: list[dict[str, Any]]) -> list[Any]:
    return sorted(([*row.items()] for row in rows), key=repr)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_view_shows_what_the_command_prints(metric: Metric) -> None:
    fill()
    periods = execute(
        "SELECT period, first_day, last_day, now() FROM metric_periods "
        "WHERE period IN ('today', '7d', '30d') OR now()::date - first_day BETWEEN 32 AND 90"
    )
    counted = []
    for row in periods:
        period = Period.choose(row["first_day"], row["last_day"], now=row["now"])
        rows = metric.read(period)
        assert in_any_order(read_view(metric, row["period"])) == in_any_order(rows), row
        counted.append(str(in_any_order(rows)))
    assert len(set(counted)) > 1, "each period has the same figures"


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_query_of_the_view_is_the_definition(metric: Metric) -> None:
    """After a change of a definition, a migration creates its view anew."""
    execute(f"CREATE TEMP VIEW rebuilt AS {metric.view_query()}")
    shown = "SELECT pg_get_viewdef(%s::regclass) AS query"
    (stored,) = execute(shown, [f"public.metric_{metric.name}"])
    assert execute(shown, ["pg_temp.rebuilt"]) == [stored]


def test_periods_are_days_of_the_practice() -> None:
    """While it is 30 November in Moscow, it is already 1 December in Vladivostok."""
    SystemSettingFactory(key="practice_timezone", value="Pacific/Kiritimati")
    rows = execute("SELECT * FROM metric_periods")
    (today,) = {row["last_day"] for row in rows if row["period"] in ("today", "7d", "30d")}
    with connection.cursor() as cursor:
        cursor.execute("SELECT (now() AT TIME ZONE 'Pacific/Kiritimati')::date")
        assert cursor.fetchone() == (today,)
    lengths = {row["period"]: (row["last_day"] - row["first_day"]).days + 1 for row in rows}
    assert (lengths.pop("today"), lengths.pop("7d"), lengths.pop("30d")) == (1, 7, 30)
    months = [row for row in rows if row["period"] in lengths]
    assert len(months) == 13
    assert {f"{row['first_day']:%Y-%m}" for row in months} == {*lengths}
    assert f"{today:%Y-%m}" in lengths
    assert all((row["last_day"] + timedelta(days=1)).day == 1 for row in months)


def test_only_events_of_the_stored_environment_count() -> None:
    event("booking_start", ago(0), environment="prod")
    event("booking_start", ago(0), environment="dev")
    event("booking_start", ago(0), environment="dev")
    starts = "SELECT starts FROM metric_no_slots WHERE period = 'today'"
    assert execute(starts) == [{"starts": 2}]
    SystemSettingFactory(key="environment", value="prod")
    assert execute(starts) == [{"starts": 1}]
