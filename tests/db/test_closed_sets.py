"""A closed set accepts only its members, from any program.

The sets are those of data_model.txt; which members each CHECK holds is in test_data_model.py.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import models

from tests.db import catalog
from tests.db.data_model import CLOSED_SETS, Column
from tests.factories import FACTORIES
from tests.support import ROUTES, breaks, case_loop, execute, insert_sql, refuses, save_related

pytestmark = pytest.mark.django_db

# Rules that PostgreSQL checks before the set's CHECK (triggers, then CHECKs by name) and that such
# values break too. The test drops them one by one, so that the set's CHECK refuses by itself.
ASKED_BEFORE = {
    "appointments.status": [
        "appointments_confirmed_at_with_status",
        "appointments_outcome_agrees_with_status",
    ],
    "appointments.outcome": [
        "appointments_outcome_agrees_with_status",
        "appointments_outcome_all_or_none",
    ],
    "appointments.outcome_recorded_by_role": ["appointments_outcome_all_or_none"],
    "analytics_events.source": ["analytics_events_source_in_plan"],
    "curated_items.item_type": ["curated_items_exactly_one_target"],
    "erasure_requests.refused_reason": ["erasure_requests_reason_when_refused"],
    "lead_timeline_events.source": ["lead_timeline_events_source_in_plan"],
    "roles.scope": ["roles_client_is_product"],
}
# Factory arguments that a value outside the set needs.
FITS = {"roles.code": {"scope": "admin"}}


def rule_of(column: Column) -> str:
    return f"{column.table}_{column.name}_in_set"


def outside(column: Column) -> list[Any]:
    member = column.members[0]
    values = [
        "",
        " ",
        "no_such_member",
        member.swapcase(),
        member.capitalize(),
        f" {member}",
        f"{member} ",
        f"{member}\n",
        f"{member}\u200b",
    ]
    values = [value for value in values if value not in column.members]
    if column.is_array:
        return [[value] for value in values] + [
            [member, "no_such_member"],
            [member, member],
            [member, None],
        ]
    return values


def lift(table: str, rule: str) -> None:
    if rule.endswith("_in_plan"):
        execute(f"ALTER TABLE {table} DISABLE TRIGGER {table}_p0_only")
    else:
        execute(f"ALTER TABLE {table} DROP CONSTRAINT {rule}")


def fit_row(column: Column) -> models.Model:
    """An unsaved row that satisfies all rules."""
    row = FACTORIES[catalog.model_of(column.table)].build(**FITS.get(str(column), {}))
    save_related(row)
    return row


def insert(row: models.Model, route: str) -> None:
    insert_sql(row) if route == "sql" else row.save(force_insert=True)


@breaks(*map(rule_of, CLOSED_SETS))
@pytest.mark.parametrize("column", CLOSED_SETS, ids=str)
def test_value_outside_a_closed_set_is_refused(column: Column) -> None:
    """INSERT as raw SQL and through the ORM refuses a value; full_clean() refuses each value.

    test_data_model.py checks the CHECK itself with every value.
    """
    row = fit_row(column)
    values = outside(column)
    inserted = [*zip(ROUTES, values, strict=False)]
    if column.is_array:  # test_data_model.py checks members only
        inserted += [("sql", value) for value in values[-3:]]
    with case_loop() as case:
        for route, value in inserted:
            setattr(row, column.name, value)
            with case(f"{value!r} [{route}]"):
                for rule in ASKED_BEFORE.get(str(column), []):
                    with refuses(rule, column.table):
                        insert(row, route)
                    lift(column.table, rule)
                with refuses(rule_of(column), column.table):
                    insert(row, route)
        for value in values:
            setattr(row, column.name, value)
            with case(f"{value!r} [full_clean]"):
                check_full_clean_refuses(row, column)


def check_full_clean_refuses(row: models.Model, column: Column) -> None:
    known = {"invalid_choice", "item_invalid", "blank", rule_of(column)}
    field = row._meta.get_field(column.name)
    with pytest.raises(ValidationError) as caught:  # noqa: PT012
        row.clean_fields(exclude=[f.name for f in row._meta.fields if f is not field])
        row.full_clean()  # if the field accepts the value, its constraint does not
    errors = caught.value.error_dict[column.name]
    assert known & {error.code for error in errors}, errors
    for error in errors:
        assert re.search("[а-яё]{3}", " ".join(error.messages)), error.messages
