"""The progress of a rotation: key ids, counted rows, one open rotation of a table."""

from __future__ import annotations

from typing import Any

import pytest

from audit.models import KeyRotation
from tests.case_loops import breaks_rules_of, check_inserts
from tests.factories import KeyRotationFactory
from tests.rule_cases import MAIN_WRITE_PATHS, Change, change_params, check_change, range_cases
from tests.support import Case, execute

pytestmark = pytest.mark.django_db

ONE = "key_rotations_one_open_per_table"


def rotation(name: str, rule: str | None = None, /, **values: Any) -> Case:
    return Case(name, KeyRotationFactory, values, rule)


ROTATIONS = [
    *[
        rotation(f"{field} {key!r}", rule and f"key_rotations_{field}_is_key_id", **{field: key})
        for field in ("to_key", "to_index_key")
        for key, rule in [
            ("k", None),
            ("2", None),
            ("a" * 16, None),
            (" ", True),
            ("a" * 17, True),
            ("K2", True),
            ("k-2", True),
            ("к2", True),
            ("k2\n", True),
        ]
    ],
    *range_cases(KeyRotationFactory, "rows_done", 0),
    rotation("finished", finished=True),
]


@breaks_rules_of(*ROTATIONS)
def test_rotation_names_keys_and_counts_rows() -> None:
    check_inserts(ROTATIONS)


OPEN = [
    rotation("a second one", ONE, table_name=lambda: KeyRotationFactory().table_name),
    rotation(
        "a second one to another key",
        ONE,
        table_name=lambda: KeyRotationFactory().table_name,
        to_key="k3",
    ),
    rotation(
        "one after another", None, table_name=lambda: KeyRotationFactory(finished=True).table_name
    ),
    rotation(
        "a finished one beside an open one",
        None,
        table_name=lambda: KeyRotationFactory().table_name,
        finished=True,
    ),
]


@breaks_rules_of(*OPEN)
def test_table_has_one_open_rotation() -> None:
    check_inserts(OPEN)


@change_params(
    Change(
        "opened again beside an open one",
        KeyRotationFactory,
        {
            "table_name": lambda: KeyRotationFactory(table_name="lead_notes").table_name,
            "finished": True,
        },
        {"finished_at": None},
        ONE,
    ),
    write_paths=MAIN_WRITE_PATHS,
)
def test_finished_rotation_is_not_reopened_beside_an_open_one(
    change: Change, write_path: str
) -> None:
    check_change(change, write_path)


def test_program_without_django_may_start_a_rotation() -> None:
    execute(
        "INSERT INTO key_rotations (table_name, to_key, to_index_key) "
        "VALUES ('lead_notes', 'k2', 'k2')"
    )
    row = KeyRotation.objects.get()
    assert (row.rows_done, row.cursor, row.finished_at) == (0, None, None)
    assert str(row) == "lead_notes → k2"
