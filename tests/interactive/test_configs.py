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


def problems_of(kind: str, config: Any) -> set[tuple[str, str]]:
    return {tuple(problem) for problem in problems(kind, config)}


@pytest.mark.parametrize("kind", KINDS)
def test_valid_configuration_has_no_problem(kind: str) -> None:
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


def test_schemas_list_the_closed_sets_of_the_data_model() -> None:
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


def test_every_problem_has_a_sentence_with_its_path() -> None:
    without = sorted({*configs.KEYWORDS.values()} - {*SENTENCES})
    assert without == [], "add a sentence to SENTENCES in interactive/errors.py"
    error = ConfigInvalid(problems=[Problem("gap", "$.thresholds[1].min")] * 12)
    with translation.override("en"):
        assert str(SENTENCES["gap"]) in error.sentence
    assert error.sentence.count("$.thresholds[1].min") == 10
    assert error.details["field"] == "config"


# -- form ---------------------------------------------------------------------------------------


def nodes(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    yield path, value
    children = value.items() if isinstance(value, dict) else []
    children = enumerate(value) if isinstance(value, list) else children
    for key, child in children:
        yield from nodes(child, (*path, key))


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
def test_value_of_another_type_is_refused(kind: str) -> None:
    """Each value of the sample is replaced in turn by one of another type."""
    for path, value in nodes(sample(kind)):
        if not path:
            continue
        for wrong in WRONG:
            if type(wrong) is type(value) and not (isinstance(value, str) and not wrong.strip()):
                continue  # another text or number may be valid: the properties below cover them
            changed = put(sample(kind), path, wrong)
            assert problems_of(kind, changed), (path, wrong)


@pytest.mark.parametrize("kind", KINDS)
def test_an_unknown_key_is_refused_everywhere(kind: str) -> None:
    for path, value in nodes(sample(kind)):
        if isinstance(value, dict):
            changed = put(sample(kind), (*path, "Тайный ответ"), 1)
            assert problems_of(kind, changed) == {("unknown_key", configs.path(*path))}


@pytest.mark.parametrize("kind", KINDS)
def test_only_a_required_key_is_reported_as_missing(kind: str) -> None:
    optional = {"intro", "title", "multiple", "min_label", "max_label", "results", "goal", "hint"}
    optional |= {"seconds"}
    if kind in ("quiz", "thermometer"):
        optional.add("text")  # of a threshold
    for path, value in nodes(sample(kind)):
        for key in value if isinstance(value, dict) else ():
            changed = sample(kind)
            target = changed
            for step in path:
                target = target[step]
            del target[key]
            reported = problems_of(kind, changed)
            if key in optional and not (key == "text" and "thresholds" not in path):
                assert reported == set() or key == "multiple", (path, key)
            elif key not in ("next", "result"):
                assert ("missing", configs.path(*path, key)) in reported, (path, key)


def test_number_of_reported_problems_is_bounded() -> None:
    reported = problems("quiz", {"questions": [{}] * 20_000, "thresholds": []})
    assert 0 < len(reported) <= 3 * configs.MAX_ERRORS  # an object may lack several keys


def test_lists_have_limits() -> None:
    quiz = sample("quiz")
    quiz["questions"] = []
    assert problems_of("quiz", quiz) == {("too_few", "$.questions")}
    quiz["questions"] = sample("quiz")["questions"] * 51
    assert ("too_many", "$.questions") in problems_of("quiz", quiz)
    assert problems_of("ritual", {"steps": []}) == {("too_few", "$.steps")}
    assert problems_of("prep", {"questions": []}) == {("too_few", "$.questions")}
    assert problems_of("boundaries", {"scenarios": []}) == {("too_few", "$.scenarios")}
    assert problems_of("navigator", {"start": "a", "steps": []}) == {("too_few", "$.steps")}


@pytest.mark.parametrize("code", ["Q1", "1q", "q-1", "", "q1\n", "ы", "q" * 61])
def test_ids_are_codes(code: str) -> None:
    for kind, path in {
        "quiz": ("questions", 0, "id"),
        "navigator": ("steps", 0, "choices", 0, "id"),
        "ritual": ("steps", 0, "id"),
    }.items():
        reported = {problem for problem, _path in problems_of(kind, put(sample(kind), path, code))}
        assert reported & {"bad_text", "too_long"}


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
def test_repeated_id_is_refused(kind: str, path: tuple[Any, ...]) -> None:
    config = sample(kind)
    first = dict(nodes(config))[
        ("scenarios", 0, "variants", 0, "id")
        if path == ("scenarios", 1, "variants", 0, "id")
        else (*path[:-2], 0, path[-1])
    ]
    reported = problems_of(kind, put(config, path, first))
    assert ("repeated", configs.path(*path)) in reported


def test_no_problem_quotes_a_text() -> None:
    reported = problems_of(
        "quiz", {"Мой секрет": "Тайна", "questions": "Тайна", "thresholds": ["Тайна"]}
    )
    assert {path for _code, path in reported} == {"$", "$.questions", "$.thresholds[0]"}


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
def test_value_that_is_no_small_plain_json_is_refused(config: Any) -> None:
    assert as_json(config) is None


def test_plain_json_is_copied() -> None:
    config = {"a": [1, "б", None, True, {"c": (1, 2)}], "текст": "\\u0000 пишут так"}
    copy = as_json(config)
    assert copy == {"a": [1, "б", None, True, {"c": [1, 2]}], "текст": "\\u0000 пишут так"}
    assert copy is not config


# -- thresholds, against all answers ------------------------------------------------------------


@st.composite
def quizzes(draw: Callable[..., Any]) -> dict[str, Any]:
    """Questions with any scores, without thresholds."""
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
    """The sums of all possible answers, one by one."""
    per_question = []
    for question in config["questions"]:
        given = [option["score"] for option in question["options"]]
        if question.get("multiple"):
            chosen = itertools.product([False, True], repeat=len(given))
            per_question.append({sum(itertools.compress(given, marks)) for marks in chosen})
        else:
            per_question.append(set(given))
    return {sum(scores) for scores in itertools.product(*per_question)}


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
    """Score by score: each possible score has one level, and no other score has any."""
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
def test_quiz_that_covers_all_answers_passes_and_a_shift_is_refused(data: Any) -> None:
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
def test_thresholds_check_agrees_with_trying_every_score(data: Any) -> None:
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
def test_scales_check_agrees_with_trying_every_position(scales: Any, data: Any) -> None:
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
    ("change", "reported"),
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
def test_misplaced_threshold_is_reported(change: Any, reported: tuple[str, str]) -> None:
    config = sample("quiz")
    index, key, value = change
    config["thresholds"][index][key] = value
    assert problems_of("quiz", config) == {reported}


@pytest.mark.parametrize("ends", [(3, 3), (4, 3)])
def test_scale_with_an_empty_range_is_refused(ends: tuple[int, int]) -> None:
    config = sample("thermometer")
    config["scales"][1] |= dict(zip(("min", "max"), ends, strict=True))
    assert problems_of("thermometer", config) == {("empty_range", "$.scales[1].max")}


# -- navigators, against all paths --------------------------------------------------------------


def walks(config: dict[str, Any]) -> tuple[bool, set[str], set[str]]:
    """Walk every path from the start and from every other step.

    Returns whether each path ends in a result, the steps reached from the start, and the profiles
    reached from the start.
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
    """Steps and choices. If ``sound``, choices lead only forward and every step is reachable."""
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
def test_navigator_check_agrees_with_walking_every_path(config: dict[str, Any]) -> None:
    ends_well, met, _profiles = walks(config)
    is_right = ends_well and len(met) == len(config["steps"])
    assert (problems("navigator", config) == []) == is_right


@pytest.mark.slow
@settings(max_examples=60)
@given(navigators(sound=True), st.data())
def test_each_defect_of_a_navigator_is_reported(config: dict[str, Any], data: Any) -> None:
    step = data.draw(st.sampled_from(config["steps"]))
    choice = data.draw(st.sampled_from(step["choices"]))
    defect = data.draw(
        st.sampled_from(["dangling", "cycle", "unreachable", "start", "both", "none"])
    )
    if defect in ("dangling", "cycle"):
        choice.pop("result", None)
        choice["next"] = "nowhere" if defect == "dangling" else step["id"]
    elif defect == "unreachable":
        lonely = {"id": "c0", "text": "Выбор", "result": "other"}
        config["steps"].append({"id": "lonely", "text": "Шаг", "choices": [lonely]})
    elif defect == "start":
        config["start"], defect = "nowhere", "dangling"
    else:
        choice.pop("next", None)
        choice.pop("result", None)
        if defect == "both":
            choice |= {"next": step["id"], "result": "other"}
        defect = "next_or_result"
    assert defect in {problem.code for problem in problems("navigator", config)}


def test_defect_of_a_navigator_has_its_path() -> None:
    config = sample("navigator")
    choice = config["steps"][0]["choices"][0]
    del choice["result"], config["results"]
    choice["next"] = "first"
    assert problems_of("navigator", config) == {("cycle", "$.steps[0]")}
    choice["next"] = "nowhere"
    assert problems_of("navigator", config) == {("dangling", "$.steps[0].choices[0].next")}
    config["start"] = "last"
    assert problems_of("navigator", config) == {
        ("dangling", "$.steps[0].choices[0].next"),
        ("unreachable", "$.steps[1]"),
    }


def test_texts_exist_exactly_for_the_reachable_profiles() -> None:
    config = sample("navigator")
    config["results"][0]["profile"] = "boundaries"
    assert problems_of("navigator", config) == {
        ("unreachable", "$.results[0]"),
        ("text_missing", "$.results"),
    }


def test_long_chain_of_steps_is_checked() -> None:
    steps = [
        {"id": f"s{n}", "text": "Шаг", "choices": [{"id": "c", "text": "Да", "next": f"s{n + 1}"}]}
        for n in range(200)
    ]
    steps[-1]["choices"][0] = {"id": "c", "text": "Да", "result": "other"}
    config = {"start": "s0", "steps": steps}
    assert problems("navigator", config) == []
    steps[-1]["choices"][0] = {"id": "c", "text": "Да", "next": "s0"}
    assert problems_of("navigator", config) == {("cycle", "$.steps[0]")}


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
def test_version_lists_its_possible_results(
    kind: str, levels: set[str], profiles: set[str]
) -> None:
    assert results(kind, sample(kind)) == (levels, profiles)


@pytest.mark.parametrize("config", [None, {}, {"thresholds": 5, "steps": "a"}])
def test_version_without_results_allows_any_result_of_its_kind(config: Any) -> None:
    assert results("quiz", config) == results("thermometer", config) == (None, set())
    assert results("navigator", config) == (set(), None)
    assert results("ritual", config) == (set(), set())
