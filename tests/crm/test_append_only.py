"""analytics_events: written once, kept 13 months, detached from an erased person."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import models

from crm.models import AnalyticsEvent
from tests.case_loops import breaks_rules_of, check_changes, check_each, check_inserts
from tests.clocks import fact_clock_at
from tests.crm.writing import ANALYTICS, MODELS, each_table
from tests.factories import AnalyticsEventFactory, LeadTimelineEventFactory
from tests.rule_cases import (
    UPDATES,
    Change,
    change_params,
    check_change,
    check_delete,
    check_refusal_is_discreet,
    each_delete,
    range_cases,
    stored,
)
from tests.support import (
    Case,
    breaks,
    columns_of,
    delete_sql,
    execute,
    refuses,
    update_sql,
)

pytestmark = pytest.mark.django_db

APPEND_ONLY = "analytics_events_append_only"
NO_DELETE = "analytics_events_no_delete"
NO_TRUNCATE = "analytics_events_no_truncate"
VERSION = "analytics_events_schema_version_is_version"
WHO = ("user_id", "lead_id", "anonymous_id", "session_id")


def event(name: str, rule: str | None = None, /, **values: Any) -> Case:
    return Case(name, AnalyticsEventFactory, values, rule)


EVENTS = [
    *range_cases(AnalyticsEventFactory, "event_version", 1),
    *(event(f"version {v!r}", schema_version=v) for v in ["1", "1.0", "2.10.3", "2027"]),
    *(
        event(f"version {v!r}", VERSION, schema_version=v)
        for v in ["v1", "1.", ".1", "1.0.0.0", "latest", "1.0\n", " 1.0", "12345", "١"]
    ),
    event("of nobody", session_id=None, anonymous_id=None),
    event("of a person and a lead", user_id=uuid4(), lead_id=uuid4()),
    event(
        "sent again",
        "analytics_events_event_id_unique",
        event_id=lambda: AnalyticsEventFactory().event_id,
    ),
    Case(
        "sent again",
        LeadTimelineEventFactory,
        {"event_id": lambda: LeadTimelineEventFactory().event_id},
        "lead_timeline_events_event_id_unique",
    ),
    Case(
        "known to the other table",
        LeadTimelineEventFactory,
        {"event_id": lambda: AnalyticsEventFactory().event_id},
    ),
]


@breaks_rules_of(*EVENTS)
def test_event_is_stored_once_in_a_known_version() -> None:
    check_inserts(EVENTS)


@each_table
def test_an_event_sent_again_is_answered_by_nothing(table: str) -> None:
    factory = AnalyticsEventFactory if table == ANALYTICS else LeadTimelineEventFactory
    row = {**columns_of(factory()), "id": uuid4()}
    written = execute(
        f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join(['%s'] * len(row))}) "
        "ON CONFLICT (event_id) DO NOTHING RETURNING id",
        list(row.values()),
    )
    assert written == []
    assert MODELS[table].objects.count() == 1


CHANGES: dict[str, dict[str, Any]] = {
    "properties": {"properties": {"page_path": "/other"}},
    "page": {"page": {}},
    "acquisition": {"acquisition": {}},
    "event": {"event_name": "cta_click"},
    "time": {"occurred_at": datetime(2020, 1, 1, tzinfo=UTC)},
    "receipt": {"received_at": datetime(2020, 1, 1, tzinfo=UTC)},
    "source": {"source": "backend"},
    "environment": {"environment": "dev"},
    "event id": {"event_id": uuid4()},
    "version": {"event_version": 2},
    "schema": {"schema_version": "2.0"},
    "another person": {"user_id": uuid4()},
    "another lead": {"lead_id": uuid4()},
    "another session": {"session_id": uuid4()},
    "another browser": {"anonymous_id": "visitor-other"},
    "detached, and more": {"anonymous_id": None, "environment": "dev"},
    "detached from one, given to another": {"session_id": None, "user_id": uuid4()},
    "nothing": {"environment": "prod"},
}


def check_unchanged(to: dict[str, Any], write_path: str) -> None:
    row = AnalyticsEventFactory(user_id=uuid4(), lead_id=uuid4())
    before = stored(row)
    with refuses(APPEND_ONLY, ANALYTICS):
        UPDATES[write_path](row, **to)
    assert stored(row) == before


@pytest.mark.parametrize("write_path", UPDATES)
@breaks(APPEND_ONLY)
def test_no_write_path_changes_an_event(write_path: str) -> None:
    """Detaching is allowed: a change that looks like it is the hardest one to refuse."""
    check_unchanged(CHANGES["detached from one, given to another"], write_path)


def test_no_column_of_an_event_changes() -> None:
    check_each(CHANGES.items(), lambda to: check_unchanged(to, "sql"))


def detached(*names: str) -> Change:
    person = {"user_id": uuid4(), "lead_id": uuid4()}
    return Change(
        f"without {' and '.join(names)}", AnalyticsEventFactory, person, dict.fromkeys(names)
    )


DETACHED = [
    *(detached(name) for name in WHO),
    Change(
        "from a lead, with no person known",
        AnalyticsEventFactory,
        {"lead_id": uuid4()},
        {"user_id": None, "lead_id": None},
    ),
]


@change_params(
    detached(*WHO), write_paths=[write_path for write_path in UPDATES if write_path != "save"]
)
def test_events_of_an_erased_person_are_detached(change: Change, write_path: str) -> None:
    """Nothing else of the row moves with it."""
    check_change(change, write_path)


def test_each_link_of_an_event_may_be_cut() -> None:
    check_changes(DETACHED, ["sql"])


def test_a_detached_event_is_not_attached_again() -> None:
    person = uuid4()
    row = AnalyticsEventFactory(user_id=person)
    update_sql(row, user_id=None)
    with refuses(APPEND_ONLY, ANALYTICS):
        update_sql(row, user_id=person)


def test_an_upsert_changes_no_event() -> None:
    row = AnalyticsEventFactory()
    given = {**columns_of(row), "id": uuid4()}
    with refuses(APPEND_ONLY, ANALYTICS):
        execute(
            f"INSERT INTO {ANALYTICS} ({', '.join(given)}) "
            f"VALUES ({', '.join(['%s'] * len(given))}) "
            "ON CONFLICT (event_id) DO UPDATE SET received_at = now() - interval '2 years'",
            list(given.values()),
        )


@pytest.fixture
def still_clock() -> Iterator[None]:
    with fact_clock_at("2026-11-01T12:00Z"):
        yield


def received(age: str) -> AnalyticsEvent:
    """An event of that age, counted by the clock of the rules."""
    (row,) = execute(f"SELECT public.fact_clock() - interval '{age}' AS at")
    return AnalyticsEventFactory(received_at=row["at"], occurred_at=row["at"])


@each_delete
@pytest.mark.usefixtures("still_clock")
@breaks(NO_DELETE)
def test_no_write_path_deletes_a_young_event(delete: Callable[[models.Model], Any]) -> None:
    check_delete(received("13 months -1 microsecond"), delete, NO_DELETE)


@pytest.mark.parametrize("age", ["0 s", "1 year", "-5 minutes"])
@pytest.mark.usefixtures("still_clock")
def test_event_is_kept_for_13_months(age: str) -> None:
    check_delete(received(age), delete_sql, NO_DELETE)


@pytest.mark.parametrize("age", ["13 months", "13 months 1 microsecond", "5 years"])
@pytest.mark.usefixtures("still_clock")
def test_event_of_13_months_may_be_purged(age: str) -> None:
    delete_sql(received(age))
    assert not AnalyticsEvent.objects.exists()


def test_the_age_is_that_of_the_receipt() -> None:
    """What happened long ago but came today stays: a sender's clock deletes nothing."""
    row = AnalyticsEventFactory(occurred_at=datetime(2020, 1, 1, tzinfo=UTC))
    with refuses(NO_DELETE, ANALYTICS):
        delete_sql(row)


def test_a_purge_does_not_take_a_young_event_along() -> None:
    received("5 years")
    AnalyticsEventFactory()
    with refuses(NO_DELETE, ANALYTICS):
        execute("DELETE FROM analytics_events")
    assert AnalyticsEvent.objects.count() == 2


@breaks(NO_TRUNCATE)
def test_events_are_not_emptied_away() -> None:
    AnalyticsEventFactory()
    for statement in ("TRUNCATE analytics_events", "TRUNCATE tracking_events CASCADE"):
        with refuses(NO_TRUNCATE, ANALYTICS):
            execute(statement)


def test_a_timeline_goes_with_its_lead() -> None:
    row = LeadTimelineEventFactory()
    delete_sql(row.lead)
    assert not MODELS["lead_timeline_events"].objects.exists()


def test_times_are_the_databases_unless_given() -> None:
    row = LeadTimelineEventFactory()
    (found,) = execute("SELECT *, now() AS now FROM lead_timeline_events")
    assert found["occurred_at"] == found["now"]
    AnalyticsEventFactory(occurred_at=found["now"] - timedelta(hours=1))
    (found,) = execute("SELECT *, now() AS now FROM analytics_events")
    assert found["received_at"] == found["now"]
    assert row.properties["page_path"] == "/services"


SECRET = "visitor-maria-ivanova"


@pytest.mark.parametrize(
    ("rule", "statement"),
    [
        (APPEND_ONLY, "UPDATE analytics_events SET anonymous_id = 'visitor-maria-other'"),
        (NO_DELETE, "DELETE FROM analytics_events"),
        (NO_TRUNCATE, "TRUNCATE analytics_events"),
    ],
    ids=[APPEND_ONLY, NO_DELETE, NO_TRUNCATE],
)
def test_a_refusal_says_nothing_of_the_event(rule: str, statement: str) -> None:
    row = AnalyticsEventFactory(anonymous_id=SECRET)
    check_refusal_is_discreet(
        lambda: execute(statement), rule, ANALYTICS, "id", "maria", str(row.event_id), str(row.pk)
    )
