"""Diaries and intake forms follow their schemas, and a refusal quotes no content."""

from __future__ import annotations

import copy
import hashlib
import json
import pickle
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as project
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from booking.models.requests import ContactChannel
from ebalance.db.encryption import payloads
from ebalance.db.encryption.payloads import PayloadInvalid, latest, schema_for, validate
from tests.case_loops import check_each
from tests.factories.payloads import PAYLOADS as FULL
from ugc.models import DiaryEntry

MARKER = "Ж7секрет"

# Old payloads follow a released schema. Never change a line of this.
RELEASED = {
    "intake.1.json": "bb5e3db00103f1901bac5817b9190fc4e55f4de3e8e6574379e59c97797624fe",
    "diary_abc.1.json": "8a39a3b0ecfee00044d8b50354de8d390e3a478dac5d2d91094158e92a3ed6c4",
    "diary_emotions.1.json": "171603c27ff38bc3b765347e62341ed962c1baeff1380a081d2684d3881e13fe",
    "diary_gratitude.1.json": "e1e3e0154a8fec4be8cafb377d4761e1510f2ac24b0123c251f30c9c4cc91e12",
    "diary_sleep_energy.1.json": "ceefd0c9e3aca6a3d36d7d974cd203e367ee36c8e91b2f6fe26c41604c2eaade",
}
ALL = [(name, version) for name, known in sorted(payloads._files().items()) for version in known]
NAMES = sorted(payloads._files())

KEYWORDS = {"type", "properties", "items", "$schema", "title", "description"} | (
    payloads.SENTENCES.keys() - {payloads.NOT_JSON}
)

LEAST: dict[str, dict[str, Any]] = {
    "diary_emotions": {"version": 1, "emotions": [{"name": "грусть", "intensity": 10}]},
    "diary_abc": {
        "version": 1,
        "activating_event": "Ссора",
        "beliefs": [{"thought": "Это конец"}],
        "consequences": {"emotions": [{"name": "боль", "intensity_before": 10}]},
    },
    "diary_sleep_energy": {"version": 1, "energy": {"evening": 1}},
    "diary_gratitude": {"version": 1, "items": [{"text": "Утро"}]},
    "intake": {
        "version": 1,
        "request": "?",
        "previous_therapy": {"had": False},
        "medication": {"takes": False},
        "safety": {"self_harm_thoughts": "prefer_not_to_say"},
        "adult_confirmed": True,
    },
}


def nodes(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A schema and its nested schemas."""
    yield schema
    for child in (*schema.get("properties", {}).values(), *filter(None, [schema.get("items")])):
        yield from nodes(child)


def refusal(name: str, payload: object, **options: Any) -> PayloadInvalid:
    with pytest.raises(PayloadInvalid) as caught:
        validate(name, payload, **options)
    return caught.value


def check_quotes_nothing(error: PayloadInvalid, *secrets: str) -> None:
    """Neither the error, nor its causes, nor our frames hold a secret."""
    assert error.__cause__ is None
    assert error.__context__ is None
    shown = [str(error), repr(error), repr(error.args), repr(error.messages), repr(vars(error))]
    frame = error.__traceback__
    while frame is not None:
        if "ebalance" in Path(frame.tb_frame.f_code.co_filename).parts:
            shown += map(repr, frame.tb_frame.f_locals.values())
        frame = frame.tb_next
    for secret in secrets:
        assert secret not in "\n".join(shown)


# The files


def check_is_closed(schema: dict[str, Any]) -> None:
    for node in nodes(schema):
        kind = node.get("type")
        assert kind in {"object", "array", "string", "integer", "boolean", None}
        if kind == "object":
            assert node["additionalProperties"] is False
            assert set(node.get("required", [])) <= node["properties"].keys()
        elif kind == "array":
            assert "maxItems" in node
            assert "items" in node
        elif kind == "string":
            assert "maxLength" in node or "enum" in node
        elif kind == "integer":
            assert {"minimum", "maximum"} <= node.keys()
        elif kind is None:
            assert node.keys() == {"const"}


def check_keywords_have_a_sentence(schema: dict[str, Any]) -> None:
    """This excludes $ref to other files and unlisted patterns."""
    for node in nodes(schema):
        assert node.keys() <= KEYWORDS
        # Bounded by maxLength, which also excludes the line end that "$" overlooks.
        assert node.get("pattern", r"\S") in {r"\S", "^([01][0-9]|2[0-3]):[0-5][0-9]$"}


def check_is_in_russian(schema: dict[str, Any]) -> None:
    for node in nodes(schema):
        for child in node.get("properties", {}).values():
            assert child == schema["properties"]["version"] or "title" in child
        for text in (node.get("title"), node.get("description")):
            assert text is None or any("а" <= letter <= "я" for letter in text.lower())


@pytest.mark.parametrize(
    "check",
    [
        Draft202012Validator.check_schema,
        check_is_closed,
        check_keywords_have_a_sentence,
        check_is_in_russian,
    ],
    ids=["valid", "closed", "keywords", "Russian"],
)
def test_schema_follows_the_conventions(check: Callable[[dict[str, Any]], Any]) -> None:
    check_each([(f"{name}.{v}.json", schema_for(name, v)) for name, v in ALL], check, undo=False)


def test_schema_requires_its_version() -> None:
    for name, version in ALL:
        schema = schema_for(name, version)
        assert schema["properties"]["version"] == {"const": version}, name
        assert "version" in schema["required"], name


def test_every_kind_of_diary_has_a_schema() -> None:
    assert set(NAMES) == {f"diary_{kind}" for kind in DiaryEntry.Type.values} | {"intake"}
    assert set(NAMES) == set(FULL) == set(LEAST)


def test_intake_form_lists_the_contact_channels() -> None:
    schema = schema_for("intake", latest("intake"))
    assert schema["properties"]["contact_preference"]["enum"] == ContactChannel.values


def test_versions_are_consecutive() -> None:
    for name, known in payloads._files().items():
        assert sorted(known) == list(range(1, latest(name) + 1))


def test_a_released_schema_never_changes() -> None:
    digests = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for known in payloads._files().values()
        for path in known.values()
    }
    assert digests == RELEASED, (
        "Old payloads are read by the schema they were written by. Leave the file as it was, "
        "add the next version beside it (diary_emotions.2.json) and list that one here."
    )


def test_an_unknown_schema_is_a_lookup_error() -> None:
    with pytest.raises(LookupError):
        latest("dreams")
    with pytest.raises(LookupError):
        schema_for("intake", 99)


# Accepted payloads


def test_full_and_short_entries_are_accepted() -> None:
    for name in NAMES:
        validate(name, FULL[name])
        validate(name, LEAST[name])
        assert set(FULL[name]) == schema_for(name, 1)["properties"].keys(), name


def longest(schema: dict[str, Any]) -> Any:
    """The largest payload that a schema admits."""
    if "const" in schema:
        return schema["const"]
    match schema["type"]:
        case "object":
            return {key: longest(child) for key, child in schema["properties"].items()}
        case "array" if schema.get("uniqueItems"):
            return schema["items"]["enum"]
        case "array":
            return [longest(schema["items"])] * schema["maxItems"]
        case "integer":
            return schema["maximum"]
        case "boolean":
            return True
    if "enum" in schema:
        return schema["enum"][0]
    return "23:59" if schema["maxLength"] == 5 else "😭" * schema["maxLength"]


def test_longest_entry_is_accepted() -> None:
    for name, version in ALL:
        validate(name, longest(schema_for(name, version)))


def test_draft_may_omit_answers() -> None:
    validate("intake", {"version": 1, "safety": {}, "goals": "Спать"}, draft=True)
    assert refusal("intake", {"goals": "Спать"}, draft=True).path == "$.version"
    assert refusal("intake", {"version": 1, "goals": 7}, draft=True).rule == "type"


# Refused payloads


def changed(name: str, *path: Any, to: Any) -> dict[str, Any]:
    payload = copy.deepcopy(FULL[name])
    at: Any = payload
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = to
    return payload


EMOTIONS, SLEEP = "diary_emotions", "diary_sleep_energy"
REFUSED = [
    (EMOTIONS, ("emotions", 1, "intensity"), 11, "maximum", "$.emotions[1].intensity"),
    (EMOTIONS, ("emotions", 1, "intensity"), -1, "minimum", "$.emotions[1].intensity"),
    (EMOTIONS, ("emotions", 1, "intensity"), 7.5, "type", "$.emotions[1].intensity"),
    (EMOTIONS, ("emotions", 1, "intensity"), True, "type", "$.emotions[1].intensity"),
    (EMOTIONS, ("emotions", 1, "intensity"), None, "type", "$.emotions[1].intensity"),
    (EMOTIONS, ("emotions", 0), {"name": MARKER}, "required", "$.emotions[0].intensity"),
    (EMOTIONS, ("emotions", 0, MARKER), 1, "additionalProperties", "$.emotions[0]"),
    (EMOTIONS, ("emotions", 0, "name"), " \n", "pattern", "$.emotions[0].name"),
    (EMOTIONS, ("emotions", 0, "name"), "я" * 201, "maxLength", "$.emotions[0].name"),
    (EMOTIONS, ("emotions",), [], "minItems", "$.emotions"),
    (EMOTIONS, ("emotions",), FULL[EMOTIONS]["emotions"] * 16, "maxItems", "$.emotions"),
    (EMOTIONS, ("emotions",), MARKER, "type", "$.emotions"),
    (EMOTIONS, ("situation",), [MARKER], "type", "$.situation"),
    (EMOTIONS, ("situation",), "я" * 1_000_000, "maxLength", "$.situation"),
    (EMOTIONS, (MARKER,), MARKER, "additionalProperties", "$"),
    (EMOTIONS, ("version",), 2, "const", "$.version"),
    (EMOTIONS, ("version",), 0, "const", "$.version"),
    (EMOTIONS, ("version",), True, "const", "$.version"),
    (EMOTIONS, ("version",), 1.0, "const", "$.version"),
    (EMOTIONS, ("version",), MARKER, "const", "$.version"),
    (EMOTIONS, ("version",), [1], "const", "$.version"),
    ("diary_abc", ("distortions",), ["labelling"] * 2, "uniqueItems", "$.distortions"),
    ("diary_abc", ("distortions", 0), MARKER, "enum", "$.distortions[0]"),
    ("diary_abc", ("consequences",), {}, "required", "$.consequences.emotions"),
    ("diary_abc", ("beliefs", 0, "thought"), "", "pattern", "$.beliefs[0].thought"),
    (SLEEP, ("sleep", "bed_time"), "24:00", "pattern", "$.sleep.bed_time"),
    (SLEEP, ("sleep", "bed_time"), "9:15", "pattern", "$.sleep.bed_time"),
    (SLEEP, ("sleep", "bed_time"), "09:15\n", "maxLength", "$.sleep.bed_time"),
    (SLEEP, ("sleep", "bed_time"), "٠٩:١٥", "pattern", "$.sleep.bed_time"),
    (SLEEP, ("energy",), {}, "minProperties", "$.energy"),
    ("intake", ("adult_confirmed",), False, "const", "$.adult_confirmed"),
    ("intake", ("adult_confirmed",), 1, "type", "$.adult_confirmed"),
    ("intake", ("contact_preference",), "ivan@example.com", "enum", "$.contact_preference"),
]


def check_refusal(case: tuple[str, tuple, Any, str, str]) -> None:
    name, path, value, rule, path_in_payload = case
    error = refusal(name, changed(name, *path, to=value))
    assert (error.schema, error.rule, error.code, error.path) == (
        f"{name}.1",
        rule,
        rule,
        path_in_payload,
    )
    assert error.messages == [f"{payloads.SENTENCES[rule]} ({name}.1: {path_in_payload}, {rule})."]
    check_quotes_nothing(error, MARKER, "ivan", "Позвонили")


def test_refusal_names_schema_rule_and_path() -> None:
    cases = [(f"{case[0]} {case[4]} {case[3]} {n}", case) for n, case in enumerate(REFUSED)]
    check_each(cases, check_refusal, undo=False)


def test_empty_entry_is_refused() -> None:
    error = refusal(SLEEP, {"version": 1})
    assert (error.rule, error.path) == ("minProperties", "$")


def test_payload_is_an_object() -> None:
    for payload in (None, True, 1, MARKER, [MARKER], (), b"{}", {MARKER}, object()):
        error = refusal(EMOTIONS, payload)
        assert (error.rule, error.path) == ("type", "$"), payload
        check_quotes_nothing(error, MARKER)


class Sly(dict):
    """A dict that gives another answer each time."""


class SlyText(str):
    """A string that gives another answer each time."""


def nested(levels: int, shell: type = list) -> Any:
    value: Any = MARKER
    for _level in range(levels):
        value = [value] if shell is list else {MARKER: value}
    return value


def cyclic() -> Any:
    value: list[Any] = [MARKER]
    value.append(value)
    return value


def exponential() -> Any:
    """A few shared objects that serialize to 10^9 values."""
    value: Any = MARKER
    for _level in range(9):
        value = [value] * 10
    return value


NOT_JSON = {
    "NUL": "\0" + MARKER,
    "half of a surrogate pair": MARKER + "\ud83d",
    "not a number": float("nan"),
    "infinity": float("-inf"),
    "10^400": 10**400,
    "a number too long to print": 10**10_000,
    "a tuple": (MARKER,),
    "a set": {MARKER},
    "bytes": MARKER.encode(),
    "an object of Python": object(),
    "a subclass of dict": Sly({MARKER: 1}),
    "a subclass of str": SlyText(MARKER),
    "a key that is no text": {7: MARKER},
    "a deep list": nested(10_000),
    "a deep object": nested(10_000, dict),
    "a list in itself": cyclic(),
    "a list that unfolds": exponential(),
    "a long list": [MARKER] * 1_000_000,
}


def check_not_json(value: Any) -> None:
    for path, path_in_payload in [
        (("situation",), "$.situation"),
        (("emotions", 0, "name"), "$.emotions[0].name"),
        (("emotions", 0, "intensity"), "$.emotions[0].intensity"),
        ((MARKER,), "$"),
    ]:
        payload = copy.deepcopy(LEAST[EMOTIONS])
        at: Any = payload
        for step in path[:-1]:
            at = at[step]
        at[path[-1]] = value
        error = refusal(EMOTIONS, payload)
        assert (error.rule, error.path) == ("json", path_in_payload)
        check_quotes_nothing(error, MARKER)


def test_value_that_is_no_plain_json_is_refused_everywhere() -> None:
    check_each(NOT_JSON.items(), check_not_json, undo=False)


def test_cyclic_object_is_refused() -> None:
    payload = copy.deepcopy(LEAST[EMOTIONS])
    payload["emotions"].append(payload)
    assert refusal(EMOTIONS, payload).rule == "json"


def test_a_subclass_of_dict_is_no_payload() -> None:
    assert refusal(EMOTIONS, Sly(LEAST[EMOTIONS])).rule == "type"


def test_error_can_be_pickled() -> None:
    error = refusal(EMOTIONS, {"version": 1})
    again = pickle.loads(pickle.dumps(error))
    assert (again.schema, again.rule, again.path) == (error.schema, error.rule, error.path)
    assert again.messages == error.messages


# Cost of validation


@pytest.mark.slow
def test_jsonschema_is_imported_only_by_validation() -> None:
    code = """
import sys, django
django.setup()
from ebalance.db.encryption import payloads
payloads.schema_for("intake", payloads.latest("intake"))
assert "jsonschema" not in sys.modules
payloads.validate("diary_gratitude", {"version": 1, "items": [{"text": "x"}]})
assert "jsonschema" in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], cwd=project.BASE_DIR, check=True, timeout=60)


def test_validation_does_not_use_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("The network was asked.")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    payloads._validator.cache_clear()
    for name, payload in FULL.items():
        validate(name, payload)
        refusal(name, {**payload, "x": 1})


# Random values

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)
SEEN = st.builds("{}ы{}".format, TEXT, TEXT)  # contains a visible letter
SCORE = st.integers(0, 10)
PERCENT = st.integers(0, 100)
MINUTES = st.integers(0, 1440)
CLOCK = st.times().map(lambda time: f"{time:%H:%M}")


def form(required: dict[str, Any] | None = None, **optional: Any) -> st.SearchStrategy[dict]:
    return st.fixed_dictionaries(required or {}, optional=optional)


def some(item: st.SearchStrategy, most: int = 4) -> st.SearchStrategy[list]:
    return st.lists(item, min_size=1, max_size=most)


VERSION = st.just(1)
VALID = {
    "diary_emotions": form(
        {"version": VERSION, "emotions": some(form({"name": SEEN, "intensity": SCORE}))},
        **dict.fromkeys(["situation", "thoughts", "body_sensations", "behaviour"], TEXT),
        **dict.fromkeys(["needs", "helped"], TEXT),
    ),
    "diary_abc": form(
        {
            "version": VERSION,
            "activating_event": SEEN,
            "beliefs": some(
                form({"thought": SEEN}, conviction_before=PERCENT, conviction_after=PERCENT)
            ),
            "consequences": form(
                {
                    "emotions": some(
                        form({"name": SEEN, "intensity_before": SCORE}, intensity_after=SCORE)
                    )
                },
                body_sensations=TEXT,
                behaviour=TEXT,
            ),
        },
        distortions=st.lists(
            st.sampled_from(["labelling", "mind_reading", "all_or_nothing"]), unique=True
        ),
        dispute=form(evidence_for=TEXT, evidence_against=TEXT),
        alternative=TEXT,
        next_step=TEXT,
    ),
    "diary_sleep_energy": form(
        {"version": VERSION, "note": TEXT},
        sleep=form(
            {"quality": SCORE},
            **dict.fromkeys(["bed_time", "wake_time", "rise_time"], CLOCK),
            **dict.fromkeys(["fell_asleep_minutes", "duration_minutes", "awake_minutes"], MINUTES),
            awakenings=PERCENT,
            dreams=TEXT,
        ),
        naps=some(form({"minutes": st.integers(1, 1440)}, start_time=CLOCK)),
        energy=form({"morning": SCORE}, afternoon=SCORE, evening=SCORE),
        caffeine=form({"cups": st.integers(0, 50)}, last_time=CLOCK),
        alcohol=st.booleans(),
        activity_minutes=MINUTES,
        gave_energy=TEXT,
        took_energy=TEXT,
    ),
    "diary_gratitude": form(
        {"version": VERSION, "items": some(form({"text": SEEN}, why=TEXT), 10)},
        good_deed=TEXT,
        mood=SCORE,
        note=TEXT,
    ),
    "intake": form(
        {
            "version": VERSION,
            "request": SEEN,
            "previous_therapy": form({"had": st.booleans()}, details=TEXT),
            "medication": form({"takes": st.booleans()}, details=TEXT),
            "safety": form(
                {"self_harm_thoughts": st.sampled_from(["none", "past", "present"])},
                in_danger=st.booleans(),
                details=TEXT,
            ),
            "adult_confirmed": st.just(True),
        },
        **dict.fromkeys(["goals", "expectations", "health", "support", "note"], TEXT),
        lasting=st.sampled_from(["under_month", "over_year"]),
        severity=SCORE,
        contact_preference=st.sampled_from(["email", "phone", "telegram"]),
        form_of_address=st.sampled_from(["formal", "informal"]),
    ),
}
ENTRIES = st.sampled_from(NAMES).flatmap(lambda name: st.tuples(st.just(name), VALID[name]))
ODD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text().map(MARKER.__add__)
    | st.sampled_from([10**400, (), b"", MARKER + "\ud800", MARKER + "\0"]),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text().map(MARKER.__add__), inner)
        | st.dictionaries(st.sampled_from(["version", "emotions", "items", "name", "sleep"]), inner)
        | st.dictionaries(st.integers(), inner)
    ),
    max_leaves=12,
)
quickly = settings(max_examples=60, deadline=None)


@quickly
@given(ENTRIES)
def test_any_valid_entry_is_accepted(entry: tuple[str, dict]) -> None:
    name, payload = entry
    validate(name, payload)
    validate(name, json.loads(json.dumps(payload)))


@quickly
@given(st.sampled_from(NAMES), ODD)
def test_invalid_entry_is_refused_and_not_quoted(name: str, payload: Any) -> None:
    check_quotes_nothing(refusal(name, payload), MARKER)


def positions(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container of a payload with every key or index in it."""
    for key in range(len(value)) if isinstance(value, list) else list(value):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from positions(value[key])


@quickly
@given(ENTRIES, st.data())
def test_a_damaged_entry_is_refused_and_not_quoted(entry: tuple[str, dict], data: Any) -> None:
    name, payload = entry
    container, key = data.draw(st.sampled_from(list(positions(payload))))
    what = data.draw(st.sampled_from(["another", "more"]))
    if what == "more" and isinstance(container, dict):
        container[MARKER + data.draw(st.text())] = data.draw(ODD)
    else:
        container[key] = data.draw(ODD.filter(lambda odd: not isinstance(odd, str | int)))
    try:
        validate(name, payload)
    except PayloadInvalid as error:
        check_quotes_nothing(error, MARKER)
    else:
        # The new value happened to be valid: an object with valid names, or a whole float.
        assert what == "another"
        assert MARKER not in json.dumps(payload, ensure_ascii=False)
