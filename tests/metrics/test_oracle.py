"""The metrics of random rows, compared with an independent implementation (oracle.py).

A failure prints its seed. With METRICS_SEED in the environment each test uses that seed only.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import pytest
from django.db import transaction

from ebalance.reports.figures import read_metrics
from tests.privacy.purging import purge
from tests.scale import scaled
from tests.support import execute

from .oracle import compute_metrics
from .random_rows import RandomRows
from .rows import OCTOBER, at, count

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

SEED = os.environ.get("METRICS_SEED")
SEEDS = 300
STEPS = "started slot_selected paid confirmed"
# The figures, by their path in the object, that the seeds reach.
FIGURES = {
    "booking_funnel": STEPS,
    "booking_funnel_by.entry_point.seo": STEPS,
    "booking_funnel_by.entry_point.none": "started slot_selected",
    "booking_funnel_by.topic.sleep": STEPS,
    "booking_funnel_by.topic.none": "started slot_selected",
    "booking_funnel_by.service.second": STEPS,
    "booking_funnel_by.service.none": "started",
    "booking_funnel_by.format.online": "paid confirmed",
    "booking_funnel_by.format.none": "started slot_selected paid",
    "no_slots": "starts no_slots waitlist",
    "payments": "started failed",
    "payments.by_category": "canceled timeout unknown",
    "interactives": "started completed cta",
    "interactives.levels": "low moderate high",
    "moderation": "queue overdue oldest_hours decided mean_hours p90_hours within_due rejected "
    "crisis answer_mean_hours",
    "no_show": "attended no_show unrecorded",
    "revenue": "gross refunded net payments average previous_net",
    "telegram": "clicks subscribed onboarded stopped",
    "telegram.returned": "1 7 30",
    "retention": "size active",
}
REACHED = {f"{path}.{name}" for path, names in FIGURES.items() for name in names.split()}


def choose_seeds(number: int) -> Iterable[int]:
    return range(scaled(number)) if SEED is None else [int(SEED)]


@contextmanager
def stored(rows: RandomRows) -> Iterator[None]:
    """Store the rows during the block."""
    with transaction.atomic():
        rows.insert()
        yield
        transaction.set_rollback(True)


def compare(rows: RandomRows, expected: dict[str, Any]) -> None:
    """Fail with the metrics in which the product's object differs from the expected one."""
    figures = read_metrics(rows.period)
    lines = []
    for name in expected | figures:
        both = [json.dumps(whole.get(name), sort_keys=True) for whole in (figures, expected)]
        if both[0] != both[1]:
            lines += [name, f"  product {both[0]}", f"  oracle  {both[1]}"]
    if lines:
        repeat = f"METRICS_SEED={rows.seed} python -m pytest -n 0 tests/metrics/test_oracle.py"
        lines = [f"seed {rows.seed}: {rows.period}", *lines, f"repeat: {repeat}"]
        pytest.fail("\n".join(lines), pytrace=False)


def list_paths(figures: Any, path: str = "") -> Iterator[str]:
    """The paths of all numbers but 0. The rows of a list have the same path."""
    match figures:
        case dict():
            for name, value in figures.items():
                yield from list_paths(value, f"{path}.{name}" if path else name)
        case list():
            for value in figures:
                yield from list_paths(value, path)
        case int() | float() if figures != 0:
            yield path


def test_metrics_agree_with_an_independent_implementation() -> None:
    reached: set[str] = set()
    for seed in choose_seeds(SEEDS):
        rows = RandomRows(seed)
        with stored(rows):
            expected = compute_metrics(**asdict(rows.period))
            compare(rows, expected)
        reached.update(list_paths(expected))
    if SEED is None and scaled(SEEDS) >= SEEDS:
        assert REACHED - reached == set()


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kathmandu"])
def test_metrics_of_another_zone_agree_without_totals(zone: str) -> None:
    for seed in choose_seeds(SEEDS // 10):
        rows = RandomRows(seed, zone, has_totals=False)
        with stored(rows):
            compare(rows, compute_metrics(**asdict(rows.period)))


def test_purge_changes_no_figure_of_random_rows() -> None:
    for seed in choose_seeds(SEEDS // 10):
        rows = RandomRows(seed, topics=("runs", "questions"), days=OCTOBER)
        with stored(rows):
            expected = compute_metrics(**asdict(rows.period))
            compare(rows, expected)
            for table in ("interactive_runs", "anonymous_questions"):
                purge(table, now=at("2029-01-01 00:00"), batch=1 + seed % 3)
            assert count("interactive_runs") == 0
            statuses = execute("SELECT DISTINCT status FROM anonymous_questions")
            assert {row["status"] for row in statuses} <= {"pending", "flagged"}
            compare(rows, expected)
