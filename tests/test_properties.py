"""Rules compared with a second, simpler implementation, on random values.

A long check has a fast test with few examples and a slow test with many.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.types.json import Jsonb

from tests.crm import oracle
from tests.factories import AppointmentFactory, LeadFactory, TagFactory
from tests.support import execute, insert_sql, refuses

pytestmark = pytest.mark.django_db

many = settings(
    max_examples=300,
    deadline=None,  # every example uses a database
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


class Undo(Exception):
    """Rolls back the rows of an example."""


def is_accepted(write) -> bool:
    """Whether the database accepts the rows of ``write``; they are rolled back."""
    try:
        with transaction.atomic():
            write()
            connection.check_constraints()
            raise Undo
    except Undo:
        return True
    except IntegrityError:
        return False


SLUGGISH = st.text(st.sampled_from("az09-_ AZя\n\t.%'\\"), max_size=12) | st.integers(115, 125).map(
    lambda n: "a" * n
)


@settings(many, max_examples=100)
@given(slug=SLUGGISH)
def test_slug_rule_agrees_with_a_pattern(slug: str) -> None:
    expected = len(slug) <= 120 and re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", slug) is not None
    assert is_accepted(lambda: insert_sql(TagFactory.build(slug=slug))) == expected
    assert is_accepted(lambda: TagFactory(slug=slug)) == expected


@many
@given(text=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=60))
def test_typed_text_is_never_a_sealed_value(text: str) -> None:
    """No text that a person types has the form of a sealed value."""
    (row,) = execute("SELECT is_sealed(%s) AS sealed", [text])
    assert row["sealed"] is False


SESSION = st.tuples(
    st.integers(0, 40),  # start, in steps of five minutes
    st.integers(1, 12),  # length, in the same steps
    st.sampled_from([0, 5, 10, 30]),  # break, in minutes
    st.sampled_from(["held", "paid", "confirmed", "canceled"]),
)
MORNING = datetime(2031, 3, 30, 7, tzinfo=UTC)  # a clock change in Europe


SESSIONS = st.lists(SESSION, min_size=2, max_size=6)


@settings(many, max_examples=8)
@given(sessions=SESSIONS)
def test_sessions_overlap_when_their_busy_times_do(sessions: list) -> None:
    check_overlap(sessions)


@pytest.mark.slow
@settings(many, max_examples=120)
@given(sessions=SESSIONS)
def test_many_sessions_overlap_when_their_busy_times_do(sessions: list) -> None:
    check_overlap(sessions)


def check_overlap(sessions: list) -> None:
    """The database refuses exactly the sessions whose busy time overlaps an earlier one."""
    busy: list[tuple[datetime, datetime]] = []
    with transaction.atomic():
        shared = AppointmentFactory()
        for start, length, pause, state in sessions:
            starts = MORNING + timedelta(minutes=5 * start)
            ends = starts + timedelta(minutes=5 * length)
            until = ends + timedelta(minutes=pause)
            book = partial(
                AppointmentFactory,
                service=shared.service,
                client=shared.client,
                start_at_utc=starts,
                end_at_utc=ends,
                buffer_minutes=pause,
                **{state: True},
            )
            if all(until <= other[0] or other[1] <= starts for other in busy):
                book()
                if state != "canceled":
                    busy.append((starts, until))
            else:
                with refuses("appointments_no_overlap"):
                    book()
        transaction.set_rollback(True)


WORDS = st.sampled_from(
    [
        *["seo", "web", "low", "online", "anxiety", "burnout", "nowhere", "Europe/Moscow", "MSK"],
        *["/articles", "/articles?x=1", "/Статья", "yandex.ru", "localhost", "t.me", "a..b"],
        *["abcd1234", "12345678", "resource-1", "resource_1", "Resource", "a b", "a@b.c", ""],
        *["+79991234567", "1234567", "123456", "Мне страшно", "2026-02-29T10:00:00Z"],
        *["2026-03-02T09:00:00Z", "2026-03-02T09:00:00+03:00", "infinity", "0000-01-01T00:00Z"],
        *["0199f0a0-0000-7000-8000-000000000000", "x" * 60, "x" * 61, "x" * 121, "a\n", "true"],
    ]
)
VALUES = st.one_of(
    WORDS,
    st.booleans(),
    st.integers(-1, 10**9 + 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.none(),
    st.lists(WORDS, max_size=3),
    st.dictionaries(WORDS, st.integers(), max_size=1),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12),
)
ENVELOPE_KEYS = [key for keys in oracle.ENVELOPE.values() for key in keys]


@st.composite
def fitting(draw: Any, kind: str, allowed: list[str] | None) -> Any:
    """A value of the kind, or sometimes any value."""
    if draw(st.integers(0, 19)) == 0:
        return draw(VALUES)
    if kind.endswith("_list"):
        return [draw(fitting(kind.removesuffix("_list"), allowed)) for _ in range(2)]
    good = {
        "enum": st.sampled_from(allowed or [""]),
        "int": st.integers(0, 10**9),
        "bool": st.booleans(),
        "uuid": st.uuids().map(str),
        "timestamp": st.datetimes(timezones=st.just(UTC)).map(
            lambda instant: instant.isoformat().replace("+00:00", "Z")
        ),
        "topic": st.sampled_from(sorted(oracle.TOPICS)),
        "zone": st.sampled_from(["Europe/Moscow", "UTC", "Asia/Kolkata"]),
        "path": st.sampled_from(["/", "/services", "/quiz/burnout-1"]),
        "deep_link": st.sampled_from(["abcd1234", "a1b2c3d4e5f6"]),
    }
    return draw(good.get(kind, st.sampled_from(["resource-1", "a", "x7"])))


@st.composite
def events(draw: Any) -> tuple[str, str, dict, dict, dict]:
    """An event that mostly follows the plan."""
    name = draw(st.sampled_from(sorted(oracle.PLAN["events"])))
    spec = oracle.PLAN["events"][name]
    source = draw(st.sampled_from([*spec["sources"] * 5, "web", "admin"]))
    properties = {
        key: draw(fitting(param["kind"], param.get("allowed")))
        for key, param in spec["params"].items()
        if draw(st.integers(0, 9)) > 0
    }
    if draw(st.integers(0, 4)) == 0:
        key = draw(st.sampled_from([*ENVELOPE_KEYS, "text", "email", "answer"]))
        properties[key] = draw(VALUES)
    sections: list[dict] = []
    for section in ("page", "acquisition"):
        keys = st.sampled_from([*oracle.ENVELOPE[section], "page_title"])
        some = draw(st.lists(keys, max_size=2)) if draw(st.integers(0, 2)) == 0 else []
        sections.append({key: draw(VALUES) for key in some})
    return name, source, properties, *sections


@settings(many, max_examples=60)
@given(event=events())
def test_guard_agrees_with_the_oracle(event: tuple) -> None:
    check_guard(event)


@pytest.mark.slow
@settings(many, max_examples=1500)
@given(event=events())
def test_guard_agrees_with_the_oracle_on_many_events(event: tuple) -> None:
    check_guard(event)


def check_guard(event: tuple) -> None:
    name, source, *objects = event
    (row,) = execute(
        "SELECT event_offence(%s, %s, %s, %s, %s) AS offence",
        [name, source, *map(Jsonb, objects)],
    )
    assert (row["offence"] is None) == oracle.accepts(name, source, *objects), row


@settings(many, max_examples=20)
@given(event=events())
def test_both_tables_of_events_have_the_guard(event: tuple) -> None:
    check_guard_of_both_tables(event)


@pytest.mark.slow
@many
@given(event=events())
def test_both_tables_of_events_have_the_guard_for_many_events(event: tuple) -> None:
    check_guard_of_both_tables(event)


def check_guard_of_both_tables(event: tuple) -> None:
    name, source, properties, page, acquisition = event
    expected = oracle.accepts(name, source, properties, page, acquisition)
    analytics = """
        INSERT INTO analytics_events (schema_version, event_name, event_version, event_id,
            occurred_at, source, environment, page, acquisition, properties)
        VALUES ('1.0', %s, 1, %s, now(), %s, 'dev', %s, %s, %s)"""
    row = [name, uuid4(), source, *map(Jsonb, (page, acquisition, properties))]
    assert is_accepted(lambda: execute(analytics, row)) == expected
    lead = LeadFactory()
    timeline = """
        INSERT INTO lead_timeline_events (lead_id, event_id, event_name, source, properties)
        VALUES (%s, %s, %s, %s, %s)"""
    row = [lead.pk, uuid4(), name, source, Jsonb(properties)]
    assert is_accepted(lambda: execute(timeline, row)) == oracle.accepts(name, source, properties)
