"""Nothing but its members goes into a closed set: not from outside, not from the application.

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
from tests.support import ROUTES, breaks, execute, insert_sql, refuses, save_related

pytestmark = pytest.mark.django_db

# Rules that PostgreSQL asks before the set's CHECK (triggers, then CHECKs by name) and that such a
# value breaks too. The test lifts them one by one, to see that the set holds by itself.
ASKED_BEFORE = {
    "anonymous_questions.status": ["anonymous_questions_status_initial"],
    "appointments.status": [
        "appointments_status_initial",
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
    "data_export_requests.status": ["data_export_requests_status_initial"],
    "lead_timeline_events.source": ["lead_timeline_events_source_in_plan"],
    "payments.status": ["payments_status_initial"],
    "reviews.status": ["reviews_status_initial"],
    "roles.scope": ["roles_client_is_product"],
    "waitlist_requests.status": ["waitlist_requests_status_initial"],
}
# What goes with a value outside, as arguments of the factory.
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
    if rule.endswith("_initial"):
        execute(f"ALTER TABLE {table} DISABLE TRIGGER {rule}")
    elif rule.endswith("_in_plan"):
        execute(f"ALTER TABLE {table} DISABLE TRIGGER {table}_p0_only")
    else:
        execute(f"ALTER TABLE {table} DROP CONSTRAINT {rule}")


def fit_row(column: Column) -> models.Model:
    """A row not yet written that is fit to be."""
    row = FACTORIES[catalog.model_of(column.table)].build(**FITS.get(str(column), {}))
    save_related(row)
    return row


@breaks(*map(rule_of, CLOSED_SETS))
@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("column", CLOSED_SETS, ids=str)
def test_a_value_outside_is_refused(column: Column, route: str) -> None:
    row = fit_row(column)
    for rule in ASKED_BEFORE.get(str(column), []):
        setattr(row, column.name, outside(column)[0])
        with refuses(rule, column.table):
            insert_sql(row) if route == "sql" else row.save(force_insert=True)
        lift(column.table, rule)
    for value in outside(column):
        setattr(row, column.name, value)
        with refuses(rule_of(column), column.table):
            insert_sql(row) if route == "sql" else row.save(force_insert=True)


@pytest.mark.parametrize("column", CLOSED_SETS, ids=str)
def test_full_clean_says_that_a_value_is_outside(column: Column) -> None:
    row = fit_row(column)
    known = {"invalid_choice", "item_invalid", "blank", rule_of(column)}
    for value in outside(column):
        setattr(row, column.name, value)
        with pytest.raises(ValidationError) as caught:
            row.full_clean()
        errors = caught.value.error_dict[column.name]
        assert known & {error.code for error in errors}, (value, errors)
        for error in errors:
            assert re.search("[а-яё]{3}", " ".join(error.messages)), error.messages
