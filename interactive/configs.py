"""Validation of the configurations of interactives, before they become versions.

A configuration is one JSON object per kind. A JSON Schema, ``config_schemas/<kind>.json``, defines
every key and limit. Schemas are closed, so an unknown key is an error. In short (``?``: optional;
each has ``intro?``; an ``id`` is a code, unique among its siblings):

* **quiz** ``{questions: [{id, text, multiple?, options: [{id, text, score}]}], thresholds}``
* **thermometer** ``{scales: [{id, text, min, max, min_label?, max_label?}], thresholds}``
* **navigator** ``{start, steps: [{id, text, choices: [{id, text, next | result}]}], results?}``
* **boundaries** ``{scenarios: [{scenario, title?, variants: [{id, tone, goal?, text}]}]}``
* **prep** ``{questions: [{id, text, hint?}]}``
* **ritual** ``{steps: [{id, title?, text, seconds?}]}``

``thresholds: [{level, min, max, title?, text?}]`` covers exactly the possible totals, in any order,
without a gap or an overlap. The total is a sum over all questions or scales. A question with one
answer ranges from its lowest to its highest score. A ``multiple`` question (any number of answers,
also none) ranges from the sum of its negative to the sum of its positive scores. A scale ranges
from ``min`` to ``max``.

All steps of a navigator are reachable from ``start``. They lead to existing steps and never back,
so every path ends in a result. ``results: [{profile, title?, text}]``, if given, has a text for
each reachable profile, and for no other.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from graphlib import CycleError, TopologicalSorter
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

SCHEMAS = Path(__file__).parent / "config_schemas"
LARGEST = 256 * 1024  # bytes of JSON
MAX_ERRORS = 100  # schema errors that are reported; a large configuration may have far more
NUL = re.compile(r"(?<!\\)(\\\\)*\\u0000")  # jsonb cannot store it

type Config = dict[str, Any]


class Problem(NamedTuple):
    code: str  # a key of errors.SENTENCES
    path: str  # $.questions[0].options[1].score


class Range(NamedTuple):
    lowest: int
    highest: int


def as_json(config: object) -> Config | None:
    """A copy, as the database would return it; None for anything but a plain JSON object."""
    try:
        text = json.dumps(config, allow_nan=False, ensure_ascii=False)
        if len(text.encode()) > LARGEST or NUL.search(text):
            return None
        copy = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        return None
    return copy if isinstance(copy, dict) else None


def problems(kind: str, config: Config) -> list[Problem]:
    """The mistakes in the configuration of an interactive of this kind.

    ``config`` is the result of ``as_json``. Its meaning is checked only if it follows its schema.
    """
    return form_problems(kind, config) or [*MEANINGS.get(kind, ids_only)(config)]


# -- form ---------------------------------------------------------------------------------------

KEYWORDS = {
    "additionalProperties": "unknown_key",
    "required": "missing",
    "type": "wrong_type",
    "enum": "not_allowed",
    "minItems": "too_few",
    "maxItems": "too_many",
    "maxLength": "too_long",
    "pattern": "bad_text",
    "maximum": "too_large",
    "minimum": "too_small",
}


def form_problems(kind: str, config: Config) -> list[Problem]:
    """The violations of the schema. The messages of jsonschema quote texts, so they are dropped."""
    violations = set()
    for error in islice(validator(kind).iter_errors(config), MAX_ERRORS):
        steps = [*error.absolute_path]
        if error.validator == "required":
            lacking = [key for key in error.validator_value if key not in error.instance]
            violations |= {Problem("missing", path(*steps, key)) for key in lacking}
        else:
            violations.add(Problem(KEYWORDS[error.validator], path(*steps)))
    return sorted(violations, key=lambda problem: (problem.path, problem.code))


@cache
def validator(kind: str) -> Any:
    from jsonschema import Draft202012Validator, validators
    from referencing import Registry

    # In JSON Schema 1.0 is an integer. Only int is one in these configurations.
    types = Draft202012Validator.TYPE_CHECKER.redefine("integer", lambda _, v: type(v) is int)
    strict = validators.extend(Draft202012Validator, type_checker=types)
    schema = json.loads((SCHEMAS / f"{kind}.json").read_text(encoding="utf-8"))
    return strict(schema, registry=Registry())


def path(*steps: str | int) -> str:
    return "$" + "".join(f"[{s}]" if isinstance(s, int) else f".{s}" for s in steps)


# -- meaning ------------------------------------------------------------------------------------


def repeated(rows: Sequence[Config], key: str, *parent: str | int) -> Iterator[Problem]:
    seen = set()
    for index, row in enumerate(rows):
        if row[key] in seen:
            yield Problem("repeated", path(*parent, index, key))
        seen.add(row[key])


def ids_only(config: Config) -> Iterator[Problem]:
    """For the kinds with one list of rows that have an id."""
    for name in ("questions", "steps"):
        yield from repeated(config.get(name, []), "id", name)


def quiz(config: Config) -> Iterator[Problem]:
    questions = config["questions"]
    yield from repeated(questions, "id", "questions")
    for index, question in enumerate(questions):
        yield from repeated(question["options"], "id", "questions", index, "options")
    yield from thresholds(config["thresholds"], total(map(scores, questions)))


def scores(question: Config) -> Range:
    given = [option["score"] for option in question["options"]]
    if question.get("multiple"):
        return Range(sum(s for s in given if s < 0), sum(s for s in given if s > 0))
    return Range(min(given), max(given))


def thermometer(config: Config) -> Iterator[Problem]:
    scales = config["scales"]
    yield from repeated(scales, "id", "scales")
    empty = [index for index, scale in enumerate(scales) if scale["min"] >= scale["max"]]
    yield from (Problem("empty_range", path("scales", index, "max")) for index in empty)
    if not empty:
        ranges = (Range(scale["min"], scale["max"]) for scale in scales)
        yield from thresholds(config["thresholds"], total(ranges))


def total(ranges: Iterable[Range]) -> Range:
    lowest, highest = zip(*ranges, strict=True)
    return Range(sum(lowest), sum(highest))


def thresholds(rows: Sequence[Config], possible: Range) -> Iterator[Problem]:
    """Thresholds cover ``possible`` and nothing else: each score once, each level once."""
    yield from repeated(rows, "level", "thresholds")
    empty = [index for index, row in enumerate(rows) if row["min"] > row["max"]]
    yield from (Problem("empty_range", path("thresholds", index, "max")) for index in empty)
    if empty:
        return
    by_score = sorted(enumerate(rows), key=lambda entry: entry[1]["min"])
    end = None
    for index, row in by_score:
        lower_end = path("thresholds", index, "min")
        if end is None:
            if row["min"] != possible.lowest:
                yield Problem("does_not_begin", lower_end)
        elif row["min"] != end + 1:
            yield Problem("gap" if row["min"] > end + 1 else "overlap", lower_end)
        end = row["max"] if end is None else max(end, row["max"])
    if end != possible.highest:
        last = max(range(len(rows)), key=lambda index: rows[index]["max"])
        yield Problem("does_not_end", path("thresholds", last, "max"))


def navigator(config: Config) -> Iterator[Problem]:
    steps = config["steps"]
    yield from (wrong := [*repeated(steps, "id", "steps")])
    for index, step in enumerate(steps):
        yield from repeated(step["choices"], "id", "steps", index, "choices")
        for number, choice in enumerate(step["choices"]):
            if ("next" in choice) == ("result" in choice):
                yield Problem("next_or_result", path("steps", index, "choices", number))
    if not wrong:
        yield from graph(config)


def graph(config: Config) -> Iterator[Problem]:
    """Every step is reachable, every choice leads to a step, and no path leads back."""
    indices = {step["id"]: index for index, step in enumerate(config["steps"])}
    if config["start"] not in indices:
        yield Problem("dangling", path("start"))
    for index, step in enumerate(config["steps"]):
        for number, choice in enumerate(step["choices"]):
            if "next" in choice and choice["next"] not in indices:
                yield Problem("dangling", path("steps", index, "choices", number, "next"))
    reached = reached_steps(config)
    if config["start"] in indices:
        for step_id, index in indices.items():
            if step_id not in reached:
                yield Problem("unreachable", path("steps", index))
    try:
        TopologicalSorter({step["id"]: following(step) for step in config["steps"]}).prepare()
    except CycleError as error:
        first = min(indices[step_id] for step_id in error.args[1])
        yield Problem("cycle", path("steps", first))
    yield from profile_texts(config, reached)


def following(step: Config) -> set[str]:
    return {choice["next"] for choice in step["choices"] if "next" in choice}


def reached_steps(config: Config) -> set[str]:
    steps = {step["id"]: step for step in config["steps"]}
    reached, waiting = set(), [config["start"]]
    while waiting:
        step_id = waiting.pop()
        if step_id in steps and step_id not in reached:
            reached.add(step_id)
            waiting.extend(following(steps[step_id]))
    return reached


def profile_texts(config: Config, reached: set[str]) -> Iterator[Problem]:
    if "results" not in config:
        return
    yield from repeated(config["results"], "profile", "results")
    profiles = {
        choice["result"]
        for step in config["steps"]
        if step["id"] in reached
        for choice in step["choices"]
        if "result" in choice
    }
    for index, row in enumerate(config["results"]):
        if row["profile"] not in profiles:
            yield Problem("unreachable", path("results", index))
    if profiles - {row["profile"] for row in config["results"]}:
        yield Problem("text_missing", path("results"))


def boundaries(config: Config) -> Iterator[Problem]:
    scenarios = config["scenarios"]
    yield from repeated(scenarios, "scenario", "scenarios")
    seen: set[str] = set()  # events name a variant by its id alone (boundaries_script_copied)
    for index, scenario in enumerate(scenarios):
        for number, variant in enumerate(scenario["variants"]):
            if variant["id"] in seen:
                yield Problem("repeated", path("scenarios", index, "variants", number, "id"))
            seen.add(variant["id"])


MEANINGS: dict[str, Callable[[Config], Iterator[Problem]]] = {
    "quiz": quiz,
    "thermometer": thermometer,
    "navigator": navigator,
    "boundaries": boundaries,
}


# -- results ------------------------------------------------------------------------------------


class Results(NamedTuple):
    """The results that a run may end with. None allows any, an empty set allows none."""

    levels: frozenset[str] | None
    profiles: frozenset[str] | None


NO_RESULTS: frozenset[str] = frozenset()


def results(kind: str, config: Config | None) -> Results:
    """The results that a run of this version may end with.

    ``config`` is None for an unknown version. A configuration that breaks the rules was not
    published by the service, and counts as unknown.
    """
    if config is not None and problems(kind, config):
        config = None
    levels: frozenset[str] | None = NO_RESULTS
    profiles: frozenset[str] | None = NO_RESULTS
    if kind in ("quiz", "thermometer"):
        levels = None
        if config is not None:
            levels = frozenset(row["level"] for row in config["thresholds"])
    elif kind == "navigator":
        profiles = None
        if config is not None:
            choices = chain.from_iterable(step["choices"] for step in config["steps"])
            profiles = frozenset(choice["result"] for choice in choices if "result" in choice)
    return Results(levels, profiles)
