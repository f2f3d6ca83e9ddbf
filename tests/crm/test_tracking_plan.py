"""The rows of the tracking plan equal the plan file and obey their rules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from crm.models import TrackingEvent, TrackingEventParam
from tests.adversarial_sql import refuses_by_any_rule
from tests.advice import Location, advises, of_class
from tests.case_loops import (
    breaks_rules_of,
    check_changes,
    check_each,
    check_inserts,
    first_cases_of_each_rule,
)
from tests.crm import oracle
from tests.factories import (
    AnalyticsEventFactory,
    LeadTimelineEventFactory,
    TrackingEventFactory,
    TrackingEventParamFactory,
)
from tests.rule_cases import Change
from tests.support import Case, breaks, execute, refuses

pytestmark = pytest.mark.django_db

EVENTS: dict[str, dict[str, Any]] = oracle.PLAN["events"]


def differing(stored: dict[str, Any], planned: dict[str, Any]) -> Iterator[str]:
    """Yield advice for each entry of the plan that differs from its row."""
    for entry in stored.keys() | planned.keys():
        if stored.get(entry) != planned.get(entry):
            yield Location(oracle.PLAN_FILE, entry)(
                "edit, or load by a migration of crm,",
                f"the database has {stored.get(entry)}, the plan {planned.get(entry)}",
            )


@advises
def test_database_has_the_events_of_the_plan() -> Iterator[str]:
    rows = TrackingEvent.objects.values_list("event_name", "sources", "is_active")
    yield from differing(
        {f"events.{name}": (sources, active) for name, sources, active in rows},
        {f"events.{name}": (spec["sources"], True) for name, spec in EVENTS.items()},
    )
    assert len(EVENTS) == 70


@advises
def test_database_has_the_parameters_of_the_plan() -> Iterator[str]:
    planned = {}
    for event, spec in EVENTS.items():
        for name, param in spec["params"].items():
            entry = f"events.{event}.params"
            required = param.get("required", False)
            planned[f"{entry}.{name}"] = (param["kind"], param.get("allowed"), required)
            if "one_of" in param:
                planned[f"{entry}.{param['one_of']}"] = ("one_of", None, True)
    rows = TrackingEventParam.objects.values_list(
        "event_id", "name", "kind", "allowed", "is_required"
    )
    stored = {f"events.{event}.params.{name}": tuple(rest) for event, name, *rest in rows}
    yield from differing(stored, planned)


@advises
def test_tables_have_a_column_for_every_key_of_the_plan() -> Iterator[str]:
    for event, spec in EVENTS.items():
        for key in {*spec} - {"sources", "params", "minimum"}:
            yield of_class(TrackingEvent)(f"add a column {key} to", f"events.{event} has it")
        for name, param in spec["params"].items():
            entry = Location(oracle.PLAN_FILE, f"events.{event}.params.{name}")
            for key in {*param} - {"kind", "required", "allowed", "one_of"}:
                yield of_class(TrackingEventParam)(
                    f"add a column {key} to", f"{entry.declaration} has it"
                )
            # A choice names parameters of its own event.
            if not {*param.get("one_of", name).split("|")} <= {*spec["params"]}:
                yield entry("edit", "one_of names a parameter of another event")
    for kind in {*oracle.PLAN["kinds"], "one_of"} ^ {*TrackingEventParam.Kind.values}:
        yield of_class(TrackingEventParam.Kind)(
            f"add or remove {kind} in", f"kinds in {oracle.PLAN_FILE} differ"
        )


SOURCES = "tracking_events_sources_in_set"
NAME = "tracking_event_params_name_is_code"
ONE_OF = "tracking_event_params_one_of_is_required"
ALLOWED = "tracking_event_params_allowed_with_enum"


def event(name: str, rule: str | None = None, /, **values: Any) -> Case:
    return Case(name, TrackingEventFactory, values, rule)


def param(name: str, rule: str | None = None, /, **values: Any) -> Case:
    return Case(name, TrackingEventParamFactory, values, rule)


PLANNED_EVENTS = [
    event("from one source", sources=["admin"]),
    event("from every source", sources=["web", "backend", "telegram", "admin"]),
    event("from a source twice", SOURCES, sources=["web", "web"]),
    event("from somewhere else", SOURCES, sources=["web", "ios"]),
    event("from a source in capitals", SOURCES, sources=["Web"]),
    event("retired", is_active=False),
]


@breaks_rules_of(*PLANNED_EVENTS)
def test_event_has_known_sources() -> None:
    check_inserts(PLANNED_EVENTS)


@breaks(SOURCES)
def test_invalid_source_arrays_are_refused() -> None:
    def check(sources: str) -> None:
        with refuses(SOURCES, "tracking_events"):
            execute("INSERT INTO tracking_events VALUES ('unknown', %s)", [sources])
        with refuses(SOURCES, "tracking_events"):
            execute("UPDATE tracking_events SET sources = %s", [sources])

    values = ["{}", "{NULL}", "{web,NULL}", "{{web,admin}}", '{""}', "{web,web}"]
    check_each([(sources, sources) for sources in values], check)


PARAMS = [
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
]


@breaks_rules_of(*PARAMS)
def test_parameter_has_a_valid_name_kind_and_values() -> None:
    check_inserts(PARAMS, ["sql"])
    check_inserts(first_cases_of_each_rule(PARAMS), ["orm"])


CHANGES = [
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
]


@breaks_rules_of(*CHANGES)
def test_plan_changes_within_its_rules() -> None:
    check_changes(CHANGES)


@breaks("tracking_event_params_allowed_are_codes")
def test_allowed_values_contain_no_free_text() -> None:
    """The plan refuses free text as a value of an enum too (privacy.md §3)."""
    row = TrackingEventParamFactory(enum=True)

    def check(text: str) -> None:
        with refuses_by_any_rule():
            execute("UPDATE tracking_event_params SET allowed = %s WHERE id = %s", [[text], row.pk])
            AnalyticsEventFactory(
                tracking_event_id=row.event_id,
                properties={row.name: text},
            )

    texts = ["мне плохо", "maria@example.com", "89991234567", "x" * 121]
    check_each([(text, text) for text in texts], check)


@pytest.mark.parametrize("factory", [AnalyticsEventFactory, LeadTimelineEventFactory])
def test_used_event_is_not_deleted_from_the_plan(factory: Any) -> None:
    row = factory()
    with refuses_by_any_rule():
        execute("DELETE FROM tracking_events WHERE event_name = %s", [row.tracking_event_id])
    execute("DELETE FROM tracking_events WHERE event_name <> %s", [row.tracking_event_id])
    assert TrackingEvent.objects.count() == 1
    assert set(TrackingEventParam.objects.values_list("event_id", flat=True)) == {
        row.tracking_event_id
    }
