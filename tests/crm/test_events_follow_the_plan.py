"""The P0 guard over the plan as data: every event, every parameter, on both tables."""

from __future__ import annotations

from typing import Any

import pytest
from django.db.models import JSONField, Value

from crm.models import TrackingEvent
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
SOURCES = ["web", "backend", "telegram", "admin"]
UUID = "0199f0a0-0000-7000-8000-000000000000"

# A value of each kind; of an enum the last one allowed, so that not only the first is known.
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
# Of no kind at all, whatever the parameter.
NEVER = [None, {}, {"answer": "да"}, [{"a": 1}], [[1]], "", " ", "мне плохо", "a b", "a@b.ru"]
# Right in shape, of another kind.
WRONG: dict[str, list[Any]] = {
    "enum": ["nothing_known", True, 1, []],
    "enum_list": ["nothing_known", ["nothing_known"], [None], True],
    "code": [True, 1, ["a"], "-a", "a/b", "a" * 61, "79991234567"],
    "code_list": ["a", [1], [None], ["a", "b c"], ["79991234567"]],
    "slug": [True, 1, "A", "a--b", "a.b", "a" * 121, "79991234567"],
    "ref": [True, 1, "-a", "a/b", "a" * 61, "79991234567"],
    "deep_link": [True, 1, "abc1234", "12345678", "abcd-1234", "a" * 13, "a1234567"],
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

each_event = pytest.mark.parametrize("event", EVENTS)
each_route = pytest.mark.parametrize("orm", [False, True], ids=["sql", "orm"])


def value_of(param: dict[str, Any]) -> Any:
    match param["kind"]:
        case "enum":
            return param["allowed"][-1]
        case "enum_list":
            return param["allowed"]
        case kind:
            return VALID[kind]


def full(event: str) -> dict[str, Any]:
    """Every parameter of the event."""
    return {name: value_of(param) for name, param in EVENTS[event]["params"].items()}


def choices(event: str) -> set[str]:
    return {p["one_of"] for p in EVENTS[event]["params"].values() if "one_of" in p}


def required(event: str) -> list[str]:
    return [name for name, p in EVENTS[event]["params"].items() if p.get("required")]


def test_every_kind_of_the_plan_is_tried() -> None:
    used = {param["kind"] for spec in EVENTS.values() for param in spec["params"].values()}
    assert used - {"enum", "enum_list"} <= set(VALID)
    assert used <= set(WRONG)


@each_event
@each_table
@each_route
def test_an_event_with_all_its_parameters_is_accepted(event: str, table: str, orm: bool) -> None:
    writer = Writer(table, orm=orm)
    for source in EVENTS[event]["sources"]:
        if orm:
            writer.build(event, source, full(event)).full_clean()
        row = writer.write(event, source, full(event))
        row.refresh_from_db()
        assert (row.source, row.properties) == (source, full(event))


@each_event
@each_table
def test_every_value_of_a_closed_set_is_accepted(event: str, table: str) -> None:
    writer = Writer(table)
    for name, param in EVENTS[event]["params"].items():
        for value in param.get("allowed", ()):
            given = [value] if param["kind"] == "enum_list" else value
            writer.write(event, EVENTS[event]["sources"][0], {**full(event), name: given})
    values = sum(len(p.get("allowed", ())) for p in EVENTS[event]["params"].values())
    assert writer.count() == values


@each_event
@each_table
@breaks(*(GUARD[table]["source_in_plan"] for table in TABLES))
def test_an_event_from_another_source_is_refused(event: str, table: str) -> None:
    writer = Writer(table)
    for source in [s for s in SOURCES if s not in EVENTS[event]["sources"]] + ["Web", ""]:
        with refuses(GUARD[table]["source_in_plan"], table):
            writer.write(event, source, full(event))
    assert writer.count() == 0


@each_event
@each_table
@breaks(*(GUARD[table]["required_present"] for table in TABLES))
def test_what_an_event_requires_is_there(event: str, table: str) -> None:
    writer, source = Writer(table), EVENTS[event]["sources"][0]
    for name in required(event):
        short = {k: v for k, v in full(event).items() if k != name}
        with refuses(GUARD[table]["required_present"], table):
            writer.write(event, source, short)
    for choice in choices(event):
        names = choice.split("|")
        neither = {k: v for k, v in full(event).items() if k not in names}
        with refuses(GUARD[table]["required_present"], table):
            writer.write(event, source, neither)
        for name in names:
            writer.write(event, source, {**neither, name: full(event)[name]})
    assert writer.count() == sum(len(choice.split("|")) for choice in choices(event))


@each_event
@each_table
def test_what_an_event_does_not_require_may_be_left_out(event: str, table: str) -> None:
    writer = Writer(table)
    one_each = {choice.split("|")[0] for choice in choices(event)}
    least = {k: v for k, v in full(event).items() if k in {*required(event), *one_each}}
    writer.write(event, EVENTS[event]["sources"][0], least)
    assert writer.count() == 1


@each_event
@each_table
@breaks(*(GUARD[table]["p0_only"] for table in TABLES))
def test_a_value_of_another_kind_is_refused(event: str, table: str) -> None:
    writer, source = Writer(table), EVENTS[event]["sources"][0]
    for name, param in EVENTS[event]["params"].items():
        for value in NEVER + WRONG[param["kind"]]:
            with refuses(GUARD[table]["p0_only"], table):
                writer.write(event, source, {**full(event), name: value})
    assert writer.count() == 0


UNKNOWN = ["text", "answer_text", "question", "diary", "email", "phone", "page_title", "referrer"]


@each_event
@each_table
def test_an_unknown_key_is_refused(event: str, table: str) -> None:
    writer, source = Writer(table), EVENTS[event]["sources"][0]
    keys = [*UNKNOWN, "", "Мария", *(name.upper() for name in full(event)), *choices(event)]
    for key in keys:
        if key not in full(event):
            with refuses(GUARD[table]["p0_only"], table):
                writer.write(event, source, {**full(event), key: "a"})
    assert writer.count() == 0


@each_table
@each_route
@breaks(*(GUARD[table]["event_in_plan"] for table in TABLES))
def test_an_event_that_is_not_in_the_plan_is_refused(table: str, orm: bool) -> None:
    writer = Writer(table, orm=orm)
    for event in ["unknown", "PAGE_VIEW", "page_view ", "", "page_view\n"]:
        with refuses(GUARD[table]["event_in_plan"], table):
            writer.write(event, "web", {"page_path": "/"})


@each_table
def test_a_retired_event_is_refused(table: str) -> None:
    writer = Writer(table)
    TrackingEvent.objects.filter(pk="page_view").update(is_active=False)
    with refuses(GUARD[table]["event_in_plan"], table):
        writer.write("page_view", "web", {"page_path": "/"})
    TrackingEvent.objects.filter(pk="page_view").update(is_active=True)
    writer.write("page_view", "web", {"page_path": "/"})


@each_table
def test_an_event_without_parameters_takes_the_envelope_only(table: str) -> None:
    event = TrackingEventFactory(sources=["web"]).pk
    writer = Writer(table)
    writer.write(event, "web", {})
    writer.write(event, "web", {"page_path": "/", "utm_source": "mail"})
    with refuses(GUARD[table]["p0_only"], table):
        writer.write(event, "web", {"mood": 1})


@each_table
def test_full_clean_says_what_the_guard_says(table: str) -> None:
    writer = Writer(table)
    for suffix, event, source, properties in [
        ("p0_only", "page_view", "web", {"page_path": "/", "text": "мне плохо"}),
        ("required_present", "page_view", "web", {}),
        ("event_in_plan", "page_hidden", "web", {}),
        ("source_in_plan", "page_view", "backend", {"page_path": "/"}),
    ]:
        check_row = writer.build(event, source, properties)
        if suffix == "event_in_plan":  # as a reader would choose it: by key
            TrackingEventFactory(event_name=event, is_active=False)
        check_full_clean(check_row, GUARD[table][suffix])


# -- Shapes ---------------------------------------------------------------------------------------


@each_table
@pytest.mark.parametrize(
    "json",
    ["null", "[]", '"/"', "1", "true", '[{"page_path": "/"}]', '["page_path"]'],
)
def test_properties_are_an_object(table: str, json: str) -> None:
    row = Writer(table).write("page_view", "web", {"page_path": "/"})
    copied = [
        f.column
        for f in row._meta.concrete_fields
        if f.column not in {"id", "event_id", "properties"}
    ]
    with refuses(GUARD[table]["p0_only"], table):
        execute(
            f"INSERT INTO {table} ({', '.join(copied)}, event_id, properties) "
            f"SELECT {', '.join(copied)}, gen_random_uuid(), %s::jsonb FROM {table}",
            [json],
        )


@pytest.mark.parametrize("column", ["page", "acquisition"])
@pytest.mark.parametrize(
    "value",
    [
        Value(None, JSONField()),
        [],
        "/",
        1,
        {"title": "a"},
        {"page_title": "a"},
        {"referrer": "https://ya.ru/?q=a"},
        {"properties": {"page_path": "/"}},
    ],
    ids=str,
)
def test_the_envelope_takes_its_own_keys_only(column: str, value: Any) -> None:
    writer = Writer(ANALYTICS, orm=True)
    with refuses(GUARD[ANALYTICS]["p0_only"], ANALYTICS):
        writer.write("page_view", "web", {"page_path": "/"}, **{column: value})


PAGE = {"page_path": "/articles", "referrer_host": "ya.ru"}
ACQUISITION = {
    "entry_point": "seo",
    **dict.fromkeys(["utm_source", "utm_medium", "utm_campaign", "utm_content", "utm_term"], "a"),
}


def test_the_envelope_is_accepted_in_its_own_columns() -> None:
    Writer(ANALYTICS).write(
        "page_view", "web", {"page_path": "/"}, page=PAGE, acquisition=ACQUISITION
    )


@pytest.mark.parametrize(("column", "other"), [("page", ACQUISITION), ("acquisition", PAGE)])
def test_the_envelope_is_refused_in_the_other_column(column: str, other: dict[str, Any]) -> None:
    writer = Writer(ANALYTICS)
    for key, value in other.items():
        with refuses(GUARD[ANALYTICS]["p0_only"], ANALYTICS):
            writer.write("page_view", "web", {"page_path": "/"}, **{column: {key: value}})


@each_table
def test_the_envelope_may_stand_in_properties_of_any_event(table: str) -> None:
    writer = Writer(table)
    for event, spec in EVENTS.items():
        writer.write(event, spec["sources"][0], {**PAGE, **ACQUISITION, **full(event)})
    assert writer.count() == len(EVENTS)


@pytest.mark.parametrize(
    ("column", "value"),
    [
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
    ],
    ids=str,
)
def test_the_envelope_holds_p0_values(column: str, value: dict[str, Any]) -> None:
    with refuses(GUARD[ANALYTICS]["p0_only"], ANALYTICS):
        Writer(ANALYTICS).write("page_view", "web", {"page_path": "/"}, **{column: value})
    # The same in properties.
    for table in TABLES:
        with refuses(GUARD[table]["p0_only"], table):
            Writer(table).write("page_view", "web", {"page_path": "/", **value})


def in_envelope(event: str, names: set[str]) -> dict[str, dict[str, Any]]:
    values = full(event)
    return {
        column: {key: values[key] for key in keys if key in names}
        for column, keys in oracle.ENVELOPE.items()
    }


ENVELOPED = {
    event: names
    for event in EVENTS
    if (names := {*required(event)} & {key for keys in oracle.ENVELOPE.values() for key in keys})
}


@pytest.mark.parametrize("event", ENVELOPED)
def test_what_is_required_may_stand_in_the_envelope(event: str) -> None:
    """path, utm and entry_point may stand in page/acquisition instead (events.json)."""
    writer, names = Writer(ANALYTICS), ENVELOPED[event]
    rest = {k: v for k, v in full(event).items() if k not in names}
    source = EVENTS[event]["sources"][0]
    writer.write(event, source, rest, **in_envelope(event, names))
    for name in names:
        with refuses(GUARD[ANALYTICS]["required_present"], ANALYTICS):
            writer.write(event, source, rest, **in_envelope(event, names - {name}))
    # The timeline has no envelope.
    with refuses(GUARD[TIMELINE]["required_present"], TIMELINE):
        Writer(TIMELINE).write(event, source, rest)


@each_table
def test_a_choice_is_not_met_by_its_own_name(table: str) -> None:
    param = TrackingEventParamFactory(kind="one_of", name="card_id|card_slug", is_required=True)
    writer = Writer(table)
    with refuses(GUARD[table]["p0_only"], table):
        writer.write(param.event_id, "web", {"card_id|card_slug": "a"})
    with refuses(GUARD[table]["required_present"], table):
        writer.write(param.event_id, "web", {})
