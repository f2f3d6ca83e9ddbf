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
LINKS = ("user_id", "lead_id", "anonymous_id", "session_id")


def event(name: str, rule: str | None = None, /, **values: Any) -> Case:
    return Case(name, AnalyticsEventFactory, values, rule)


EVENTS = [
    *range_cases(AnalyticsEventFactory, "event_version", 1),
    *(event(f"version {v!r}", schema_version=v) for v in ["1", "1.0", "2.10.3", "2027"]),
    *(
        event(f"version {v!r}", VERSION, schema_version=v)
        for v in ["v1", "1.", ".1", "1.0.0.0", "latest", "1.0\n", " 1.0", "12345", "١"]
    ),
    event("without a person", session_id=None, anonymous_id=None),
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
def test_event_is_stored_once_with_a_valid_version() -> None:
    check_inserts(EVENTS)


@each_table
def test_repeated_event_inserts_no_row(table: str) -> None:
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
    """This change is the hardest to refuse, because it resembles an allowed detachment."""
    check_unchanged(CHANGES["detached from one, given to another"], write_path)


def test_no_column_of_an_event_changes() -> None:
    check_each(CHANGES.items(), lambda to: check_unchanged(to, "sql"))


def detached(*names: str) -> Change:
    person = {"user_id": uuid4(), "lead_id": uuid4()}
    return Change(
        f"without {' and '.join(names)}", AnalyticsEventFactory, person, dict.fromkeys(names)
    )


DETACHED = [
    *(detached(name) for name in LINKS),
    Change(
        "from a lead, with no person known",
        AnalyticsEventFactory,
        {"lead_id": uuid4()},
        {"user_id": None, "lead_id": None},
    ),
]


@change_params(
    detached(*LINKS), write_paths=[write_path for write_path in UPDATES if write_path != "save"]
)
def test_events_of_an_erased_person_are_detached(change: Change, write_path: str) -> None:
    """The other columns of the row do not change."""
    check_change(change, write_path)


def test_each_link_of_an_event_may_be_removed() -> None:
    check_changes(DETACHED, ["sql"])


def test_detached_event_is_not_attached_again() -> None:
    person = uuid4()
    row = AnalyticsEventFactory(user_id=person)
    update_sql(row, user_id=None)
    with refuses(APPEND_ONLY, ANALYTICS):
        update_sql(row, user_id=person)


def test_upsert_changes_no_event() -> None:
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
    """Create an event of this age, by the clock of the rules."""
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


def test_age_of_an_event_counts_from_its_receipt() -> None:
    """An old event that was received today is kept, whatever the clock of its sender."""
    row = AnalyticsEventFactory(occurred_at=datetime(2020, 1, 1, tzinfo=UTC))
    with refuses(NO_DELETE, ANALYTICS):
        delete_sql(row)


def test_purge_of_all_events_is_refused_if_one_is_young() -> None:
    received("5 years")
    AnalyticsEventFactory()
    with refuses(NO_DELETE, ANALYTICS):
        execute("DELETE FROM analytics_events")
    assert AnalyticsEvent.objects.count() == 2


@breaks(NO_TRUNCATE)
def test_events_are_not_truncated() -> None:
    AnalyticsEventFactory()
    for statement in ("TRUNCATE analytics_events", "TRUNCATE tracking_events CASCADE"):
        with refuses(NO_TRUNCATE, ANALYTICS):
            execute(statement)


def test_timeline_is_deleted_with_its_lead() -> None:
    row = LeadTimelineEventFactory()
    delete_sql(row.lead)
    assert not MODELS["lead_timeline_events"].objects.exists()


def test_default_times_are_those_of_the_database() -> None:
    timeline_event = LeadTimelineEventFactory()
    (row,) = execute("SELECT *, now() AS now FROM lead_timeline_events")
    assert row["occurred_at"] == row["now"]
    AnalyticsEventFactory(occurred_at=row["now"] - timedelta(hours=1))
    (row,) = execute("SELECT *, now() AS now FROM analytics_events")
    assert row["received_at"] == row["now"]
    assert timeline_event.properties["page_path"] == "/services"


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
def test_refusal_reveals_nothing_about_the_event(rule: str, statement: str) -> None:
    row = AnalyticsEventFactory(anonymous_id=SECRET)
    check_refusal_is_discreet(
        lambda: execute(statement), rule, ANALYTICS, "id", "maria", str(row.event_id), str(row.pk)
    )
