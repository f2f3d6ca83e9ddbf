"""The P0 guard accepts and refuses as the tracking plan requires, on both tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db.models import JSONField, Value

from crm.models import TrackingEvent
from tests.advice import advises, of_test
from tests.case_loops import check_each
from tests.crm import oracle
from tests.crm.writing import (
    ANALYTICS,
    GUARD,
    TABLES,
    TIMELINE,
    Writer,
    each_table,
)
from tests.factories import TrackingEventFactory, TrackingEventParamFactory
from tests.support import breaks, check_full_clean, execute, refuses

pytestmark = pytest.mark.django_db

EVENTS: dict[str, dict[str, Any]] = oracle.PLAN["events"]
declaration = oracle.declaration
SOURCES = ["web", "backend", "telegram", "admin"]
UUID = "0199f0a0-0000-7000-8000-000000000000"

# A valid value of each kind; value_of() takes the last allowed value of an enum.
VALID: dict[str, Any] = {
    "code": "Card.v2_b-1",
    "code_list": ["first", "second-2"],
    "slug": "trevozhnyj-vecher_2",
    "ref": UUID,
    "deep_link": "Ab12cd34",
    "uuid": UUID,
    "int": 10**9,
    "bool": False,
    "timestamp": "2027-03-01T09:30:00.125Z",
    "path": "/articles/trevoga_1.html",
    "host": "www.example.com",
    "zone": "Europe/Moscow",
    "topic": "panic",
    "utm": "spring_2027.v1",
}
# Values that no parameter accepts.
ALWAYS_INVALID = [
    None,
    {},
    {"answer": "да"},
    [{"a": 1}],
    [[1]],
    "",
    " ",
    "мне плохо",
    "a b",
    "a@b.ru",
]
# Values of another kind.
WRONG: dict[str, list[Any]] = {
    "enum": ["nothing_known", True, 1, []],
    "enum_list": ["nothing_known", ["nothing_known"], [None], True],
    "code": [True, 1, ["a"], "-a", "a/b", "a" * 61, "79991234567"],
    "code_list": ["a", [1], [None], ["a", "b c"], ["79991234567"]],
    "slug": [True, 1, "A", "a--b", "a.b", "a" * 121, "79991234567"],
    "ref": [True, 1, "-a", "a/b", "a" * 61, "79991234567"],
    "deep_link": [True, 1, "abc1234", "12345678", "a" * 65, "abcd.1234", "-" * 8],
    "uuid": [True, 1, "abc", UUID[:-1], UUID.replace("-", ""), f"{{{UUID}}}"],
    "int": [True, -1, 10**9 + 1, 1.5, "1", 1e300],
    "bool": [0, 1, "true", "f"],
    "timestamp": [
        True,
        1,
        "2027-03-01",
        "2027-02-29T10:00:00Z",
        "2027-03-01T10:00:00+03:00",
        "infinity",
        "2027-03-01 10:00:00Z",
        "2027-03-01T10:00:00",
    ],
    "path": [True, 1, "articles", "/a?q=1", "/a#b", "/A", "/%d0", "/" + "a" * 200, "/79991234567"],
    "zone": [True, 1, "MSK", "Moscow", "europe/moscow", "UTC+3"],
    "topic": [True, 1, "nowhere", "Anxiety", "Тревога"],
    "utm": [True, 1, "a/b", "a" * 81, "79991234567"],
}

each_route = pytest.mark.parametrize("orm", [False, True], ids=["sql", "orm"])


def value_of(param: dict[str, Any]) -> Any:
    match param["kind"]:
        case "enum":
            return param["allowed"][-1]
        case "enum_list":
            return param["allowed"]
        case kind:
            return VALID[kind]


def all_parameters(event: str) -> dict[str, Any]:
    """Return a value for every parameter of the event."""
    return {name: value_of(param) for name, param in EVENTS[event]["params"].items()}


def choices(event: str) -> set[str]:
    return {p["one_of"] for p in EVENTS[event]["params"].values() if "one_of" in p}


def required(event: str) -> list[str]:
    return [name for name, p in EVENTS[event]["params"].items() if p.get("required")]


def required_parameters(event: str) -> dict[str, Any]:
    """Return values for the required parameters only."""
    one_each = {choice.split("|")[0] for choice in choices(event)}
    return {k: v for k, v in all_parameters(event).items() if k in {*required(event), *one_each}}


def first_source(event: str) -> str:
    return EVENTS[event]["sources"][0]


# -- Events and parameters ------------------------------------------------------------------------
#
# The guard is one function with a trigger on each table. ANALYTICS is tested with every row of the
# plan, TIMELINE with a sample of each rule.

Attempt = tuple[str, str, dict[str, Any]]  # event, source, properties
Attempts = list[tuple[str, Attempt]]

# The event with the most parameters, and one with a choice of parameters.
LARGEST = max(EVENTS, key=lambda event: len(EVENTS[event]["params"]))
WITH_CHOICE = next(event for event in EVENTS if choices(event))


def events_of(table: str) -> list[str]:
    return [*EVENTS] if table == ANALYTICS else [LARGEST, WITH_CHOICE]


def check_accepted(writer: Writer, attempts: Attempts) -> None:
    def check(attempt: Attempt) -> None:
        event, source, properties = attempt
        if writer.orm:
            writer.build(event, source, properties).full_clean()
        row = writer.write(event, source, properties)
        row.refresh_from_db()
        assert (row.source, row.properties) == (source, properties)

    check_each(attempts, check, undo=False)
    assert writer.count() == len(attempts)


def check_refused(writer: Writer, rule: str, attempts: Attempts) -> None:
    def check(attempt: Attempt) -> None:
        with refuses(GUARD[writer.table][rule], writer.table):
            writer.write(*attempt)

    check_each(attempts, check, undo=False)
    assert writer.count() == 0


@advises
def test_every_kind_of_the_plan_has_test_values() -> Iterator[str]:
    used = {param["kind"] for spec in EVENTS.values() for param in spec["params"].values()}
    for kind in used - {"enum", "enum_list"} - set(VALID):
        yield of_test(value_of, "VALID")(f"add a value of the kind {kind} to")
    for kind in used - set(WRONG):
        yield of_test(value_of, "WRONG")(f"add values that are not of the kind {kind} to")


@each_table
def test_every_event_is_accepted_with_all_its_parameters(table: str) -> None:
    check_accepted(
        Writer(table),
        [
            (declaration(event, "sources", source), (event, source, all_parameters(event)))
            for event in events_of(table)
            for source in EVENTS[event]["sources"]
        ],
    )


@each_table
def test_model_accepts_an_event_of_each_source(table: str) -> None:
    events = {first_source(event): event for event in [*EVENTS, LARGEST]}
    check_accepted(
        Writer(table, orm=True),
        [
            (declaration(event, "sources", source), (event, source, all_parameters(event)))
            for source, event in events.items()
        ],
    )


def with_each_value(event: str) -> list[dict[str, Any]]:
    """Return properties that together contain each value of the closed sets of the event."""
    params = EVENTS[event]["params"].items()
    closed = {name: param for name, param in params if "allowed" in param}
    combinations = []
    for number in range(max((len(param["allowed"]) for param in closed.values()), default=0)):
        given = all_parameters(event)
        for name, param in closed.items():
            value = param["allowed"][number % len(param["allowed"])]
            given[name] = [value] if param["kind"] == "enum_list" else value
        combinations.append(given)
    return combinations


@each_table
def test_every_value_of_a_closed_set_is_accepted(table: str) -> None:
    check_accepted(
        Writer(table),
        [
            (f"{declaration(event, 'params')}: {given}", (event, first_source(event), given))
            for event in events_of(table)
            for given in with_each_value(event)
        ],
    )


@each_table
def test_event_needs_only_its_required_parameters(table: str) -> None:
    check_accepted(
        Writer(table),
        [
            (declaration(event, "params"), (event, first_source(event), required_parameters(event)))
            for event in events_of(table)
        ],
    )


@each_table
@breaks(*(GUARD[table]["source_in_plan"] for table in TABLES))
def test_event_from_another_source_is_refused(table: str) -> None:
    odd = {LARGEST: ["Web", ""]}
    check_refused(
        Writer(table),
        "source_in_plan",
        [
            (declaration(event, "sources", source), (event, source, all_parameters(event)))
            for event in events_of(table)
            for source in [
                *(s for s in SOURCES if s not in EVENTS[event]["sources"]),
                *odd.get(event, []),
            ]
        ],
    )


@each_table
@breaks(*(GUARD[table]["required_present"] for table in TABLES))
def test_event_without_a_required_parameter_is_refused(table: str) -> None:
    needed = [
        (event, names)
        for event in events_of(table)
        for names in [
            *([name] for name in required(event)),
            *(c.split("|") for c in choices(event)),
        ]
    ]
    check_refused(
        Writer(table),
        "required_present",
        [
            (
                declaration(event, "params", *names),
                (
                    event,
                    first_source(event),
                    {k: v for k, v in all_parameters(event).items() if k not in names},
                ),
            )
            for event, names in needed
        ],
    )


@each_table
def test_each_parameter_of_a_choice_is_enough(table: str) -> None:
    attempts = []
    for event in events_of(table):
        for choice in choices(event):
            rest = {k: v for k, v in all_parameters(event).items() if k not in choice.split("|")}
            for name in choice.split("|"):
                given = {**rest, name: all_parameters(event)[name]}
                attempts.append(
                    (declaration(event, "params", name), (event, first_source(event), given))
                )
    check_accepted(Writer(table), attempts)


@each_table
@breaks(*(GUARD[table]["p0_only"] for table in TABLES))
def test_every_parameter_refuses_a_value_of_another_kind(table: str) -> None:
    check_refused(
        Writer(table),
        "p0_only",
        [
            (
                declaration(event, "params", name),
                (
                    event,
                    first_source(event),
                    {**required_parameters(event), name: WRONG[param["kind"]][0]},
                ),
            )
            for event in events_of(table)
            for name, param in EVENTS[event]["params"].items()
        ],
    )


# A parameter of each kind.
OF_KIND = {
    param["kind"]: (event, name)
    for event, spec in EVENTS.items()
    for name, param in spec["params"].items()
}


@pytest.mark.parametrize("kind", OF_KIND)
def test_parameter_refuses_every_value_of_another_kind(kind: str) -> None:
    event, name = OF_KIND[kind]
    check_refused(
        Writer(ANALYTICS),
        "p0_only",
        [
            (
                f"{value!r}"[:80],
                (event, first_source(event), {**all_parameters(event), name: value}),
            )
            for value in ALWAYS_INVALID + WRONG[kind]
        ],
    )


UNKNOWN = ["text", "answer_text", "question", "diary", "email", "phone", "page_title", "referrer"]


@each_table
def test_every_event_refuses_an_unknown_key(table: str) -> None:
    attempts = []
    for event in events_of(table):
        keys = ["answer_text", *choices(event)]
        if event == LARGEST:
            keys += [*UNKNOWN, "", "Мария", *(name.upper() for name in all_parameters(event))]
        attempts += [
            (
                f"{declaration(event, 'params')}: {key!r}",
                (event, first_source(event), {**all_parameters(event), key: "a"}),
            )
            for key in keys
        ]
    check_refused(Writer(table), "p0_only", attempts)


@each_table
@each_route
@breaks(*(GUARD[table]["event_in_plan"] for table in TABLES))
def test_event_that_is_not_in_the_plan_is_refused(table: str, orm: bool) -> None:
    writer = Writer(table, orm=orm)
    for event in ["unknown", "PAGE_VIEW", "page_view ", "", "page_view\n"]:
        with refuses(GUARD[table]["event_in_plan"], table):
            writer.write(event, "web", {"page_path": "/"})


@each_table
def test_retired_event_is_refused(table: str) -> None:
    writer = Writer(table)
    TrackingEvent.objects.filter(pk="page_view").update(is_active=False)
    with refuses(GUARD[table]["event_in_plan"], table):
        writer.write("page_view", "web", {"page_path": "/"})
    TrackingEvent.objects.filter(pk="page_view").update(is_active=True)
    writer.write("page_view", "web", {"page_path": "/"})


@each_table
def test_event_without_parameters_accepts_the_envelope_only(table: str) -> None:
    event = TrackingEventFactory(sources=["web"]).pk
    writer = Writer(table)
    writer.write(event, "web", {})
    writer.write(event, "web", {"page_path": "/", "utm_source": "mail"})
    with refuses(GUARD[table]["p0_only"], table):
        writer.write(event, "web", {"mood": 1})


@each_table
def test_full_clean_refuses_with_the_rule_of_the_guard(table: str) -> None:
    writer = Writer(table)
    for suffix, event, source, properties in [
        ("p0_only", "page_view", "web", {"page_path": "/", "text": "мне плохо"}),
        ("required_present", "page_view", "web", {}),
        ("event_in_plan", "page_hidden", "web", {}),
        ("source_in_plan", "page_view", "backend", {"page_path": "/"}),
    ]:
        check_row = writer.build(event, source, properties)
        if suffix == "event_in_plan":  # full_clean() needs an existing event
            TrackingEventFactory(event_name=event, is_active=False)
        check_full_clean(check_row, GUARD[table][suffix])


# -- Shapes ---------------------------------------------------------------------------------------


@each_table
def test_properties_are_an_object(table: str) -> None:
    row = Writer(table).write("page_view", "web", {"page_path": "/"})
    copied = [
        f.column
        for f in row._meta.concrete_fields
        if f.column not in {"id", "event_id", "properties"}
    ]

    def check(json: str) -> None:
        with refuses(GUARD[table]["p0_only"], table):
            execute(
                f"INSERT INTO {table} ({', '.join(copied)}, event_id, properties) "
                f"SELECT {', '.join(copied)}, gen_random_uuid(), %s::jsonb FROM {table}",
                [json],
            )

    values = ["null", "[]", '"/"', "1", "true", '[{"page_path": "/"}]', '["page_path"]']
    check_each([(json, json) for json in values], check)


@pytest.mark.parametrize("column", ["page", "acquisition"])
def test_envelope_accepts_its_own_keys_only(column: str) -> None:
    writer = Writer(ANALYTICS, orm=True)

    def check(value: Any) -> None:
        with refuses(GUARD[ANALYTICS]["p0_only"], ANALYTICS):
            writer.write("page_view", "web", {"page_path": "/"}, **{column: value})

    values = [
        Value(None, JSONField()),
        [],
        "/",
        1,
        {"title": "a"},
        {"page_title": "a"},
        {"referrer": "https://ya.ru/?q=a"},
        {"properties": {"page_path": "/"}},
    ]
    check_each([(str(value), value) for value in values], check)


PAGE = {"page_path": "/articles", "referrer_host": "ya.ru"}
ACQUISITION = {
    "entry_point": "seo",
    **dict.fromkeys(["utm_source", "utm_medium", "utm_campaign", "utm_content", "utm_term"], "a"),
}


def test_envelope_is_accepted_in_its_own_columns() -> None:
    Writer(ANALYTICS).write(
        "page_view", "web", {"page_path": "/"}, page=PAGE, acquisition=ACQUISITION
    )


@pytest.mark.parametrize(("column", "other"), [("page", ACQUISITION), ("acquisition", PAGE)])
def test_envelope_is_refused_in_the_other_column(column: str, other: dict[str, Any]) -> None:
    writer = Writer(ANALYTICS)
    for key, value in other.items():
        with refuses(GUARD[ANALYTICS]["p0_only"], ANALYTICS):
            writer.write("page_view", "web", {"page_path": "/"}, **{column: {key: value}})


@each_table
def test_envelope_is_accepted_in_properties_of_any_event(table: str) -> None:
    check_accepted(
        Writer(table),
        [
            (
                declaration(event, "params"),
                (event, first_source(event), {**PAGE, **ACQUISITION, **required_parameters(event)}),
            )
            for event in events_of(table)
        ],
    )


INVALID_ENVELOPES: list[tuple[str, dict[str, Any]]] = [
    ("page", {"page_path": "/a?email=a"}),
    ("page", {"page_path": None}),
    ("page", {"page_path": {"a": "b"}}),
    ("page", {"referrer_host": "https://ya.ru/"}),
    ("page", {"referrer_host": "ya.ru:80"}),
    ("page", {"page_path": "/", "referrer_host": "мария.рф"}),
    ("acquisition", {"entry_point": "other"}),
    ("acquisition", {"entry_point": None}),
    ("acquisition", {"utm_source": "a b"}),
    ("acquisition", {"utm_source": "a", "utm_term": "maria@example.com"}),
    ("acquisition", {"utm_term": "79991234567"}),
    ("acquisition", {"utm_term": ["a"]}),
]


def test_envelope_accepts_p0_values_only() -> None:
    def check(case: tuple[str, dict[str, Any]]) -> None:
        column, value = case
        with refuses(GUARD[ANALYTICS]["p0_only"], ANALYTICS):
            Writer(ANALYTICS).write("page_view", "web", {"page_path": "/"}, **{column: value})
        # The same values in properties.
        for table in TABLES:
            with refuses(GUARD[table]["p0_only"], table):
                Writer(table).write("page_view", "web", {"page_path": "/", **value})

    check_each([(str(case), case) for case in INVALID_ENVELOPES], check)


def in_envelope(event: str, names: set[str]) -> dict[str, dict[str, Any]]:
    values = all_parameters(event)
    return {
        column: {key: values[key] for key in keys if key in names}
        for column, keys in oracle.ENVELOPE.items()
    }


ENVELOPED = {
    event: names
    for event in EVENTS
    if (names := {*required(event)} & {key for keys in oracle.ENVELOPE.values() for key in keys})
}


def test_required_parameter_is_accepted_in_the_envelope() -> None:
    """path, utm and entry_point may be in page or acquisition instead (events.json)."""
    writer, timeline = Writer(ANALYTICS), Writer(TIMELINE)

    def check(event: str) -> None:
        names, source = ENVELOPED[event], first_source(event)
        rest = {k: v for k, v in all_parameters(event).items() if k not in names}
        writer.write(event, source, rest, **in_envelope(event, names))
        for name in names:
            with refuses(GUARD[ANALYTICS]["required_present"], ANALYTICS):
                writer.write(event, source, rest, **in_envelope(event, names - {name}))
        # The timeline has no envelope.
        with refuses(GUARD[TIMELINE]["required_present"], TIMELINE):
            timeline.write(event, source, rest)

    check_each([(declaration(event, "params"), event) for event in ENVELOPED], check)


@each_table
def test_name_of_a_choice_is_not_a_parameter(table: str) -> None:
    param = TrackingEventParamFactory(kind="one_of", name="card_id|card_slug", is_required=True)
    writer = Writer(table)
    with refuses(GUARD[table]["p0_only"], table):
        writer.write(param.event_id, "web", {"card_id|card_slug": "a"})
    with refuses(GUARD[table]["required_present"], table):
        writer.write(param.event_id, "web", {})
