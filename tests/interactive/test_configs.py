"""Configurations are checked before they become versions."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.utils import translation
from hypothesis import given, settings
from hypothesis import strategies as st

from interactive import configs
from interactive.configs import Problem, as_json, problems, results
from interactive.errors import SENTENCES, ConfigInvalid
from interactive.models import InteractiveDefinition, InteractiveRun
from tests.interactive.samples import SAMPLES, sample

KINDS = InteractiveDefinition.Type.values
LEVELS = InteractiveRun.ResultLevel.values
PROFILES = InteractiveRun.ResultProfile.values


def found(kind: str, config: Any) -> set[tuple[str, str]]:
    return {tuple(problem) for problem in problems(kind, config)}


@pytest.mark.parametrize("kind", KINDS)
def test_a_right_configuration_has_no_problem(kind: str) -> None:
    assert problems(kind, sample(kind)) == []


def test_every_kind_has_a_schema_of_its_own_and_closed_objects() -> None:
    schemas = {path.stem for path in configs.SCHEMAS.glob("*")}
    assert schemas == set(KINDS), (
        "each InteractiveDefinition.Type (interactive/models/definitions.py) has one file in "
        f"{configs.SCHEMAS}: {sorted(schemas ^ set(KINDS))} has none, or no type"
    )
    assert set(SAMPLES) == set(KINDS), (
        "SAMPLES in tests/interactive/samples.py has one sample for each kind: "
        f"{sorted(set(SAMPLES) ^ set(KINDS))}"
    )

    def objects(schema: Any) -> Iterator[dict[str, Any]]:
        if isinstance(schema, dict):
            if schema.get("type") == "object":
                yield schema
            for part in schema.values():
                yield from objects(part)
        elif isinstance(schema, list):
            for part in schema:
                yield from objects(part)

    wrong = []
    for kind in KINDS:
        path = configs.SCHEMAS / f"{kind}.json"
        schema = json.loads(path.read_text(encoding="utf-8"))
        configs.validator(kind).check_schema(schema)
        if "$ref" in str(schema):
            wrong.append(f"{path}: $ref")
        limits = {"string": "maxLength", "array": "maxItems", "integer": "maximum"}
        for part in objects(schema):
            if part.get("additionalProperties") is not False:
                keys = ", ".join(part.get("properties", {}))
                wrong.append(f"{path}: set additionalProperties to false in the object of {keys}")
            for name, value in part["properties"].items():
                limit = limits.get(value.get("type", ""))
                if limit and limit not in value:
                    wrong.append(f"{path}: {name!r} needs {limit}")
    assert wrong == []


def test_schemas_know_the_closed_sets_of_the_data_model() -> None:
    def enums(kind: str) -> list[list[str]]:
        text = (configs.SCHEMAS / f"{kind}.json").read_text(encoding="utf-8")
        seen: list[list[str]] = []
        json.loads(text, object_hook=lambda o: seen.append(o["enum"]) if "enum" in o else o)
        return seen

    wanted = {
        "quiz": [LEVELS],
        "thermometer": [LEVELS],
        "navigator": [PROFILES, PROFILES],
    }
    differing = {
        f"{configs.SCHEMAS}/{kind}.json": {"enums": enums(kind), "interactive/models/runs.py": sets}
        for kind, sets in wanted.items()
        if enums(kind) != sets
    }
    assert differing == {}


def test_every_problem_has_a_sentence_in_which_it_stands() -> None:
    without = sorted({*configs.KEYWORDS.values()} - {*SENTENCES})
    assert without == [], "add a sentence to SENTENCES in interactive/errors.py"
    error = ConfigInvalid(problems=[Problem("gap", "$.thresholds[1].min")] * 12)
    with translation.override("en"):
        assert str(SENTENCES["gap"]) in error.sentence
    assert error.sentence.count("$.thresholds[1].min") == 10
    assert error.details["field"] == "config"


# -- form ---------------------------------------------------------------------------------------


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    yield path, value
    children = value.items() if isinstance(value, dict) else []
    children = enumerate(value) if isinstance(value, list) else children
    for key, child in children:
        yield from places(child, (*path, key))


def put(config: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    target = config
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = value
    return config


WRONG = [None, 1.0, 0.5, [], {}, "", " ", "A b", 10**9, -(10**9), True, [1], "а" * 5000]


@pytest.mark.parametrize("kind", KINDS)
def test_no_value_may_be_of_another_kind(kind: str) -> None:
    """Each place of the sample in turn, filled with what does not belong there."""
    for path, value in places(sample(kind)):
        if not path:
            continue
        for wrong in WRONG:
            if type(wrong) is type(value) and not (isinstance(value, str) and not wrong.strip()):
                continue  # another text or number may be right; the properties below look at them
            changed = put(sample(kind), path, wrong)
            assert found(kind, changed), (path, wrong)


@pytest.mark.parametrize("kind", KINDS)
def test_an_unknown_key_is_refused_everywhere(kind: str) -> None:
    for path, value in places(sample(kind)):
        if isinstance(value, dict):
            changed = put(sample(kind), (*path, "Тайный ответ"), 1)
            assert found(kind, changed) == {("unknown_key", configs.path(*path))}


@pytest.mark.parametrize("kind", KINDS)
def test_a_required_key_is_missed_and_an_optional_one_is_not(kind: str) -> None:
    optional = {"intro", "title", "multiple", "min_label", "max_label", "results", "goal", "hint"}
    optional |= {"seconds"}
    if kind in ("quiz", "thermometer"):
        optional.add("text")  # of a threshold
    for path, value in places(sample(kind)):
        for key in value if isinstance(value, dict) else ():
            changed = sample(kind)
            target = changed
            for step in path:
                target = target[step]
            del target[key]
            said = found(kind, changed)
            if key in optional and not (key == "text" and "thresholds" not in path):
                assert said == set() or key == "multiple", (path, key)
            elif key not in ("next", "result"):
                assert ("missing", configs.path(*path, key)) in said, (path, key)


def test_of_very_many_mistakes_some_are_told() -> None:
    found = problems("quiz", {"questions": [{}] * 20_000, "thresholds": []})
    assert 0 < len(found) <= 3 * configs.MAX_ERRORS  # an object may lack several keys


def test_lists_have_limits() -> None:
    quiz = sample("quiz")
    quiz["questions"] = []
    assert found("quiz", quiz) == {("too_few", "$.questions")}
    quiz["questions"] = sample("quiz")["questions"] * 51
    assert ("too_many", "$.questions") in found("quiz", quiz)
    assert found("ritual", {"steps": []}) == {("too_few", "$.steps")}
    assert found("prep", {"questions": []}) == {("too_few", "$.questions")}
    assert found("boundaries", {"scenarios": []}) == {("too_few", "$.scenarios")}
    assert found("navigator", {"start": "a", "steps": []}) == {("too_few", "$.steps")}


@pytest.mark.parametrize("code", ["Q1", "1q", "q-1", "", "q1\n", "ы", "q" * 61])
def test_ids_are_codes(code: str) -> None:
    for kind, path in {
        "quiz": ("questions", 0, "id"),
        "navigator": ("steps", 0, "choices", 0, "id"),
        "ritual": ("steps", 0, "id"),
    }.items():
        said = {problem for problem, _place in found(kind, put(sample(kind), path, code))}
        assert said & {"bad_text", "too_long"}


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("quiz", ("questions", 1, "id")),
        ("quiz", ("questions", 0, "options", 1, "id")),
        ("quiz", ("thresholds", 1, "level")),
        ("thermometer", ("scales", 1, "id")),
        ("navigator", ("steps", 1, "id")),
        ("navigator", ("steps", 0, "choices", 1, "id")),
        ("navigator", ("results", 1, "profile")),
        ("boundaries", ("scenarios", 1, "scenario")),
        ("boundaries", ("scenarios", 1, "variants", 0, "id")),
        ("prep", ("questions", 1, "id")),
        ("ritual", ("steps", 1, "id")),
    ],
)
def test_nothing_is_named_twice(kind: str, path: tuple[Any, ...]) -> None:
    config = sample(kind)
    first = dict(places(config))[
        ("scenarios", 0, "variants", 0, "id")
        if path == ("scenarios", 1, "variants", 0, "id")
        else (*path[:-2], 0, path[-1])
    ]
    said = found(kind, put(config, path, first))
    assert ("repeated", configs.path(*path)) in said


def test_no_problem_quotes_a_text() -> None:
    said = found("quiz", {"Мой секрет": "Тайна", "questions": "Тайна", "thresholds": ["Тайна"]})
    assert {place for _code, place in said} == {"$", "$.questions", "$.thresholds[0]"}


# -- plain JSON ---------------------------------------------------------------------------------


def circular() -> dict[str, Any]:
    config: dict[str, Any] = {}
    config["steps"] = [config]
    return config


def deep() -> dict[str, Any]:
    config: dict[str, Any] = {}
    for _level in range(100_000):
        config = {"a": config}
    return config


@pytest.mark.parametrize(
    "config",
    [
        None,
        [],
        "{}",
        {"a": object()},
        {"a": float("nan")},
        {"a": float("inf")},
        {"a": "\ud800"},
        {"a": "б\0"},
        {"a": "\\\0"},
        {"a": {1, 2}},
        {"a": "б" * 200_000},
        {"a": 10**5000},
        circular(),
        deep(),
    ],
    ids=lambda config: repr(config)[:20] if not isinstance(config, dict) else "|".join(config),
)
def test_what_is_no_plain_json_of_sensible_size_is_told(config: Any) -> None:
    assert as_json(config) is None


def test_plain_json_is_copied() -> None:
    config = {"a": [1, "б", None, True, {"c": (1, 2)}], "текст": "\\u0000 пишут так"}
    copy = as_json(config)
    assert copy == {"a": [1, "б", None, True, {"c": [1, 2]}], "текст": "\\u0000 пишут так"}
    assert copy is not config


# -- thresholds, against all answers ------------------------------------------------------------


@st.composite
def quizzes(draw: Callable[..., Any]) -> dict[str, Any]:
    """Questions with any scores, and thresholds still to be filled in."""
    score = st.integers(-3, 4)
    questions = [
        {
            "id": f"q{number}",
            "text": "Вопрос",
            "multiple": draw(st.booleans()),
            "options": [
                {"id": f"o{n}", "text": "Ответ", "score": s}
                for n, s in enumerate(draw(st.lists(score, min_size=2, max_size=4)))
            ],
        }
        for number in range(draw(st.integers(1, 4)))
    ]
    return {"questions": questions}


def sums(config: dict[str, Any]) -> set[int]:
    """The sum of every possible way to answer, one by one."""
    ways = []
    for question in config["questions"]:
        given = [option["score"] for option in question["options"]]
        if question.get("multiple"):
            chosen = itertools.product([False, True], repeat=len(given))
            ways.append({sum(itertools.compress(given, marks)) for marks in chosen})
        else:
            ways.append(set(given))
    return {sum(scores) for scores in itertools.product(*ways)}


@st.composite
def cut(draw: Callable[..., Any], lowest: int, highest: int) -> list[dict[str, Any]]:
    """Up to three levels that cover the range, in any order."""
    most = min(3, highest - lowest + 1)
    inner = st.integers(lowest + 1, highest) if highest > lowest else st.nothing()
    starts = draw(st.lists(inner, max_size=most - 1, unique=True)) if most > 1 else []
    edges = [lowest, *sorted(starts), highest + 1]
    levels = draw(st.permutations(LEVELS))
    rows = [
        {"level": level, "min": start, "max": end - 1}
        for level, (start, end) in zip(levels, itertools.pairwise(edges), strict=False)
    ]
    return draw(st.permutations(rows))


def covers_exactly(rows: list[dict[str, Any]], lowest: int, highest: int) -> bool:
    """Score by score: each possible one has one level, no other has any."""
    if any(row["min"] > row["max"] for row in rows):
        return False
    around = range(
        min(lowest, *(r["min"] for r in rows)) - 1, max(highest, *(r["max"] for r in rows)) + 2
    )
    return all(
        sum(row["min"] <= score <= row["max"] for row in rows) == (lowest <= score <= highest)
        for score in around
    )


@settings(max_examples=60)
@given(st.data())
def test_a_quiz_that_covers_all_answers_passes_and_each_shift_is_refused(data: Any) -> None:
    config = data.draw(quizzes())
    possible = sums(config)
    lowest, highest = min(possible), max(possible)
    config["thresholds"] = data.draw(cut(lowest, highest))
    assert problems("quiz", config) == []
    row = data.draw(st.sampled_from(config["thresholds"]))
    row[data.draw(st.sampled_from(["min", "max"]))] += data.draw(st.sampled_from([-2, -1, 1, 2]))
    assert not covers_exactly(config["thresholds"], lowest, highest)
    assert problems("quiz", config) != []


@settings(max_examples=60)
@given(st.data())
def test_any_thresholds_are_judged_as_by_trying_every_score(data: Any) -> None:
    config = data.draw(quizzes())
    possible = sums(config)
    lowest, highest = min(possible), max(possible)
    near = st.integers(lowest - 1, highest + 1)
    size = data.draw(st.integers(1, 3))
    levels = data.draw(st.permutations(LEVELS))[:size]
    config["thresholds"] = [
        {"level": level, "min": data.draw(near), "max": data.draw(near)} for level in levels
    ]
    is_right = covers_exactly(config["thresholds"], lowest, highest)
    assert (problems("quiz", config) == []) == is_right


@given(
    st.lists(st.tuples(st.integers(-4, 4), st.integers(1, 4)), min_size=1, max_size=3), st.data()
)
def test_scales_are_judged_as_by_trying_every_position(scales: Any, data: Any) -> None:
    config = {
        "scales": [
            {"id": f"s{n}", "text": "Шкала", "min": low, "max": low + width}
            for n, (low, width) in enumerate(scales)
        ]
    }
    positions = [range(s["min"], s["max"] + 1) for s in config["scales"]]
    possible = {sum(chosen) for chosen in itertools.product(*positions)}
    config["thresholds"] = data.draw(cut(min(possible), max(possible)))
    assert problems("thermometer", config) == []
    config["scales"][0]["max"] += 1
    assert problems("thermometer", config) != []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ((0, "min", 0), ("does_not_begin", "$.thresholds[0].min")),
        ((0, "min", -2), ("does_not_begin", "$.thresholds[0].min")),
        ((1, "max", 6), ("does_not_end", "$.thresholds[1].max")),
        ((1, "max", 4), ("does_not_end", "$.thresholds[1].max")),
        ((2, "min", 3), ("gap", "$.thresholds[2].min")),
        ((2, "min", 1), ("overlap", "$.thresholds[2].min")),
        ((2, "max", 5), ("overlap", "$.thresholds[1].min")),
        ((2, "max", 1), ("empty_range", "$.thresholds[2].max")),
    ],
)
def test_a_threshold_out_of_place_is_named(change: Any, said: tuple[str, str]) -> None:
    config = sample("quiz")
    index, key, value = change
    config["thresholds"][index][key] = value
    assert found("quiz", config) == {said}


@pytest.mark.parametrize("ends", [(3, 3), (4, 3)])
def test_a_scale_has_room(ends: tuple[int, int]) -> None:
    config = sample("thermometer")
    config["scales"][1] |= dict(zip(("min", "max"), ends, strict=True))
    assert found("thermometer", config) == {("empty_range", "$.scales[1].max")}


# -- navigators, against all paths --------------------------------------------------------------


def walks(config: dict[str, Any]) -> tuple[bool, set[str], set[str]]:
    """Walk every path from the start, and from every other step: whether each ends in a result,
    the steps met from the start, and the profiles arrived at.
    """
    steps = {step["id"]: step for step in config["steps"]}
    met: set[str] = set()
    profiles: set[str] = set()

    def ends_well(step_id: str, behind: tuple[str, ...], from_start: bool) -> bool:
        if step_id not in steps or step_id in behind:
            return False
        if from_start:
            met.add(step_id)
        good = True
        for choice in steps[step_id]["choices"]:
            if "result" in choice:
                if from_start:
                    profiles.add(choice["result"])
            elif not ends_well(choice["next"], (*behind, step_id), from_start):
                good = False
        return good

    is_good = ends_well(config["start"], (), True)
    others = [ends_well(step_id, (), False) for step_id in steps]
    return is_good and all(others), met, profiles


@st.composite
def navigators(draw: Callable[..., Any], *, sound: bool) -> dict[str, Any]:
    """Steps and choices: ``sound`` ones only lead forward, and every step is led to."""
    size = draw(st.integers(1, 5))
    ids = [f"s{n}" for n in range(size)]
    result = st.sampled_from(PROFILES).map(lambda profile: {"result": profile})
    steps = []
    for n, step_id in enumerate(ids):
        targets = ids[n + 1 :] if sound else [*ids, "nowhere"]
        onward = st.sampled_from(targets).map(lambda i: {"next": i}) if targets else st.nothing()
        choices = draw(st.lists(result | onward, min_size=1, max_size=3))
        steps.append({"id": step_id, "text": "Шаг", "choices": choices})
    if sound:
        for n in range(1, size):
            steps[draw(st.integers(0, n - 1))]["choices"].append({"next": ids[n]})
    for step in steps:
        for number, choice in enumerate(step["choices"]):
            choice |= {"id": f"c{number}", "text": "Выбор"}
    start = ids[0] if sound else draw(st.sampled_from([*ids, "nowhere"]))
    return {"start": start, "steps": draw(st.permutations(steps))}


@settings(max_examples=60)
@given(navigators(sound=True))
def test_a_sound_navigator_passes(config: dict[str, Any]) -> None:
    assert problems("navigator", config) == []
    assert results("navigator", config).profiles == walks(config)[2]


@settings(max_examples=60)
@given(navigators(sound=False))
def test_any_navigator_is_judged_as_by_walking_every_path(config: dict[str, Any]) -> None:
    ends_well, met, _profiles = walks(config)
    is_right = ends_well and len(met) == len(config["steps"])
    assert (problems("navigator", config) == []) == is_right


@settings(max_examples=60)
@given(navigators(sound=True), st.data())
def test_each_break_of_a_sound_navigator_is_named(config: dict[str, Any], data: Any) -> None:
    step = data.draw(st.sampled_from(config["steps"]))
    choice = data.draw(st.sampled_from(step["choices"]))
    way = data.draw(st.sampled_from(["dangling", "cycle", "unreachable", "start", "both", "none"]))
    if way in ("dangling", "cycle"):
        choice.pop("result", None)
        choice["next"] = "nowhere" if way == "dangling" else step["id"]
    elif way == "unreachable":
        lonely = {"id": "c0", "text": "Выбор", "result": "other"}
        config["steps"].append({"id": "lonely", "text": "Шаг", "choices": [lonely]})
    elif way == "start":
        config["start"], way = "nowhere", "dangling"
    else:
        choice.pop("next", None)
        choice.pop("result", None)
        if way == "both":
            choice |= {"next": step["id"], "result": "other"}
        way = "next_or_result"
    assert way in {problem.code for problem in problems("navigator", config)}


def test_a_break_of_a_navigator_has_its_place() -> None:
    config = sample("navigator")
    choice = config["steps"][0]["choices"][0]
    del choice["result"], config["results"]
    choice["next"] = "first"
    assert found("navigator", config) == {("cycle", "$.steps[0]")}
    choice["next"] = "nowhere"
    assert found("navigator", config) == {("dangling", "$.steps[0].choices[0].next")}
    config["start"] = "last"
    assert found("navigator", config) == {
        ("dangling", "$.steps[0].choices[0].next"),
        ("unreachable", "$.steps[1]"),
    }


def test_texts_of_profiles_are_those_that_can_be_reached() -> None:
    config = sample("navigator")
    config["results"][0]["profile"] = "boundaries"
    assert found("navigator", config) == {
        ("unreachable", "$.results[0]"),
        ("text_missing", "$.results"),
    }


def test_a_long_chain_of_steps_is_no_trouble() -> None:
    steps = [
        {"id": f"s{n}", "text": "Шаг", "choices": [{"id": "c", "text": "Да", "next": f"s{n + 1}"}]}
        for n in range(200)
    ]
    steps[-1]["choices"][0] = {"id": "c", "text": "Да", "result": "other"}
    config = {"start": "s0", "steps": steps}
    assert problems("navigator", config) == []
    steps[-1]["choices"][0] = {"id": "c", "text": "Да", "next": "s0"}
    assert found("navigator", config) == {("cycle", "$.steps[0]")}


# -- results ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "levels", "profiles"),
    [
        ("quiz", {"low", "moderate", "high"}, set()),
        ("thermometer", {"low", "high"}, set()),
        ("navigator", set(), {"clarify", "restore_energy", "stabilize_now"}),
        ("boundaries", set(), set()),
        ("prep", set(), set()),
        ("ritual", set(), set()),
    ],
)
def test_a_version_says_how_it_may_end(kind: str, levels: set[str], profiles: set[str]) -> None:
    assert results(kind, sample(kind)) == (levels, profiles)


@pytest.mark.parametrize("config", [None, {}, {"thresholds": 5, "steps": "a"}])
def test_a_version_that_does_not_say_allows_any_result_of_its_kind(config: Any) -> None:
    assert results("quiz", config) == results("thermometer", config) == (None, set())
    assert results("navigator", config) == (set(), None)
    assert results("ritual", config) == (set(), set())
