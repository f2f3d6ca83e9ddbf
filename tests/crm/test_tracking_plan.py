"""The tracking plan as data: equal to events.json, and itself within its rules."""

from __future__ import annotations

from typing import Any

import pytest

from crm.models import TrackingEvent, TrackingEventParam
from tests.crm import oracle
from tests.factories import (
    AnalyticsEventFactory,
    LeadTimelineEventFactory,
    TrackingEventFactory,
    TrackingEventParamFactory,
)
from tests.strangers import is_refused
from tests.support import Case, breaks, cases, check_insert, execute, refuses
from tests.trying import Change, change_params, check_change

pytestmark = pytest.mark.django_db

EVENTS: dict[str, dict[str, Any]] = oracle.PLAN["events"]


def test_the_plan_in_the_database_is_the_plan_in_the_file() -> None:
    rows = TrackingEvent.objects.values_list("event_name", "sources", "is_active")
    assert {name: (sources, active) for name, sources, active in rows} == {
        name: (spec["sources"], True) for name, spec in EVENTS.items()
    }
    assert len(EVENTS) == 70


def test_the_parameters_in_the_database_are_those_in_the_file() -> None:
    expected = {}
    for event, spec in EVENTS.items():
        for name, param in spec["params"].items():
            required = param.get("required", False)
            expected[event, name] = (param["kind"], param.get("allowed"), required)
            if "one_of" in param:
                expected[event, param["one_of"]] = ("one_of", None, True)
    rows = TrackingEventParam.objects.values_list(
        "event_id", "name", "kind", "allowed", "is_required"
    )
    assert {(event, name): tuple(rest) for event, name, *rest in rows} == expected


def test_everything_the_plan_can_say_has_a_place_in_the_tables() -> None:
    assert {key for spec in EVENTS.values() for key in spec} <= {"sources", "params", "minimum"}
    said = {key for spec in EVENTS.values() for param in spec["params"].values() for key in param}
    assert said == {"kind", "required", "allowed", "one_of"}
    assert set(oracle.PLAN["kinds"]) | {"one_of"} == set(TrackingEventParam.Kind.values)
    # A choice names parameters of its own event.
    for spec in EVENTS.values():
        for param in spec["params"].values():
            assert set(param.get("one_of", "").split("|")) - {""} <= set(spec["params"])


SOURCES = "tracking_events_sources_in_set"
NAME = "tracking_event_params_name_is_code"
ONE_OF = "tracking_event_params_one_of_is_required"
ALLOWED = "tracking_event_params_allowed_with_enum"


def event(name: str, rule: str | None = None, /, **values: Any) -> Case:
    return Case(name, TrackingEventFactory, values, rule)


def param(name: str, rule: str | None = None, /, **values: Any) -> Case:
    return Case(name, TrackingEventParamFactory, values, rule)


@cases(
    event("from one source", sources=["admin"]),
    event("from every source", sources=["web", "backend", "telegram", "admin"]),
    event("from a source twice", SOURCES, sources=["web", "web"]),
    event("from somewhere else", SOURCES, sources=["web", "ios"]),
    event("from a source in capitals", SOURCES, sources=["Web"]),
    event("retired", is_active=False),
)
def test_an_event_has_known_sources(case: Case, route: str) -> None:
    check_insert(case, route)


@pytest.mark.parametrize(
    "sources", ["{}", "{NULL}", "{web,NULL}", "{{web,admin}}", '{""}', "{web,web}"]
)
def test_odd_arrays_are_no_sources(sources: str) -> None:
    with refuses(SOURCES, "tracking_events"):
        execute("INSERT INTO tracking_events VALUES ('of_a_stranger', %s)", [sources])
    with refuses(SOURCES, "tracking_events"):
        execute("UPDATE tracking_events SET sources = %s", [sources])


@cases(
    *(param(f"called {name!r}", name=name) for name in ["a", "a_1", "a" * 60]),
    *(
        param(f"called {name!r}", NAME, name=name)
        for name in ["A", "1a", "_a", "a-b", "a b", "a.b", "имя", "a" * 61, "a\n", "|", "a|", "|a"]
    ),
    param("a choice of two", one_of=True),
    param("a choice of three", kind="one_of", name="a|b|c", is_required=True),
    param("a choice not required", ONE_OF, one_of=True, is_required=False),
    param("a choice of one", ONE_OF, one_of=True, name="a"),
    param("a name of two", ONE_OF, name="a|b", is_required=True),
    param("an enum", enum=True),
    param("a list of an enum", enum=True, kind="enum_list"),
    param("an enum of nothing known", ALLOWED, enum=True, allowed=None),
    param("a list of nothing known", ALLOWED, kind="enum_list"),
    param("a code with values", ALLOWED, allowed=["a"]),
    param("a choice with values", ALLOWED, one_of=True, allowed=["a"]),
    param("required", is_required=True),
    param(
        "of the same event and name",
        "tracking_event_params_once",
        event=lambda: TrackingEventParamFactory(name="mood").event,
        name="mood",
    ),
    param(
        "of the same name only",
        event=lambda: TrackingEventParamFactory(name="mood") and TrackingEventFactory(),
        name="mood",
    ),
)
def test_a_parameter_says_what_it_may_hold(case: Case, route: str) -> None:
    check_insert(case, route)


@change_params(
    Change(
        "an enum made a code", TrackingEventParamFactory, {"enum": True}, {"kind": "code"}, ALLOWED
    ),
    Change(
        "an enum made a code without values",
        TrackingEventParamFactory,
        {"enum": True},
        {"kind": "code", "allowed": None},
    ),
    Change(
        "a choice made optional",
        TrackingEventParamFactory,
        {"one_of": True},
        {"is_required": False},
        ONE_OF,
    ),
    Change("a source taken away", TrackingEventFactory, {}, {"sources": ["web"]}),
)
def test_the_plan_changes_within_its_rules(change: Change, way: str) -> None:
    check_change(change, way)


PERSONAL = ["мне плохо", "maria@example.com", "89991234567", "x" * 121]


@breaks("tracking_event_params_allowed_are_codes")
@pytest.mark.parametrize("text", PERSONAL)
def test_the_plan_itself_admits_no_free_text(text: str) -> None:
    """No kind admits it (privacy.md §3), an enum neither: not by the plan, not by the event."""
    row = TrackingEventParamFactory(enum=True)
    with is_refused():
        execute("UPDATE tracking_event_params SET allowed = %s WHERE id = %s", [[text], row.pk])
        AnalyticsEventFactory(
            tracking_event_id=row.event_id,
            properties={row.name: text},
        )


@pytest.mark.parametrize("factory", [AnalyticsEventFactory, LeadTimelineEventFactory])
def test_an_event_that_was_seen_stays_in_the_plan(factory: Any) -> None:
    row = factory()
    with is_refused():
        execute("DELETE FROM tracking_events WHERE event_name = %s", [row.tracking_event_id])
    execute("DELETE FROM tracking_events WHERE event_name <> %s", [row.tracking_event_id])
    assert TrackingEvent.objects.count() == 1
    assert set(TrackingEventParam.objects.values_list("event_id", flat=True)) == {
        row.tracking_event_id
    }
