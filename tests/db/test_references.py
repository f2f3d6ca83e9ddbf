"""Every foreign key does what the data model says, whoever writes.

The keys are those of data_model.txt; that the catalog has these and no others is held in
test_data_model.py.
"""

from __future__ import annotations

import re
from typing import Any
from uuid import uuid4

import pytest
from django.core.exceptions import ValidationError
from django.db import connection, models

from identity.models import Role
from tests.db import catalog
from tests.db.data_model import REFERENCES, Column
from tests.factories import FACTORIES
from tests.support import (
    ROUTES,
    breaks,
    delete_sql,
    execute,
    insert_sql,
    refuses,
    save_related,
)

pytestmark = pytest.mark.django_db

# What the row needs to carry such a reference, as arguments of its factory.
CARRIES: dict[tuple[str, str], dict[str, Any]] = {
    ("curated_items", "interactive_definition_id"): {"interactive": True},
    # The events made here have no parameters in the tracking plan.
    ("lead_timeline_events", "event_name"): {"properties": {}},
    ("analytics_events", "event_name"): {"properties": {}},
}
# Asked before the foreign key is: an event must be in the tracking plan.
ASKED_BEFORE = {
    ("lead_timeline_events", "event_name"): "lead_timeline_events_event_in_plan",
    ("analytics_events", "event_name"): "analytics_events_event_in_plan",
}

each_route = pytest.mark.parametrize("route", ROUTES)


def each_reference(action: str = "rc") -> Any:
    found = [c for c in REFERENCES if c.on_delete in action]
    assert found
    return pytest.mark.parametrize("reference", found, ids=str)


def field_of(reference: Column) -> models.Field:
    fields = catalog.model_of(reference.table)._meta.concrete_fields
    return next(f for f in fields if f.column == reference.name)


def missing_key(reference: Column) -> Any:
    return uuid4() if reference.type == "uuid" else "no_such_code"


def new_parent(reference: Column) -> models.Model:
    """A row that nothing else refers to."""
    model = catalog.model_of(reference.parent)
    if model is Role:  # all four are seeded and no other can exist
        return Role.objects.get(code="editor")
    return FACTORIES[model]()


def child_of(reference: Column, key: Any) -> models.Model:
    """A row not yet written whose ``reference`` is ``key``."""
    model = catalog.model_of(reference.table)
    child = FACTORIES[model].build(**CARRIES.get((reference.table, reference.name), {}))
    setattr(child, field_of(reference).attname, key)
    save_related(child)
    return child


def family(reference: Column) -> tuple[models.Model, models.Model]:
    parent = new_parent(reference)
    child = child_of(reference, parent.pk)
    child.save()
    connection.check_constraints()
    return parent, child


def row(instance: models.Model) -> list[dict[str, Any]]:
    meta = instance._meta
    return execute(f'SELECT * FROM "{meta.db_table}" WHERE "{meta.pk.column}" = %s', [instance.pk])


def count(table: str) -> int:
    return execute(f'SELECT count(*) AS n FROM "{table}"')[0]["n"]


def delete(instance: models.Model, route: str) -> None:
    if route == "sql":
        delete_sql(instance)
    else:
        type(instance)._base_manager.filter(pk=instance.pk).delete()


@breaks(*ASKED_BEFORE.values())
@each_route
@each_reference()
def test_what_it_refers_to_exists(reference: Column, route: str) -> None:
    where = (reference.table, reference.name)
    child = child_of(reference, missing_key(reference))
    with refuses(ASKED_BEFORE.get(where, f"{reference}_fk".replace(".", "_")), reference.table):
        insert_sql(child) if route == "sql" else child.save()
    assert row(child) == []


@pytest.mark.parametrize("where", ASKED_BEFORE, ids=".".join)
def test_the_foreign_key_holds_behind_the_rule_that_is_asked_before(where: tuple) -> None:
    table, column = where
    reference = next(c for c in REFERENCES if (c.table, c.name) == where)
    child = child_of(reference, "no_such_event")
    execute(f"ALTER TABLE {table} DISABLE TRIGGER {table}_p0_only")
    with refuses(f"{table}_{column}_fk", table):
        insert_sql(child)


@each_route
@each_reference("r")
def test_a_parent_in_use_stays(reference: Column, route: str) -> None:
    parent, child = family(reference)
    before = (row(parent), row(child))
    with refuses(f"{reference}_fk".replace(".", "_"), reference.table):
        delete(parent, route)
    assert (row(parent), row(child)) == before


@each_route
@each_reference("c")
def test_a_row_goes_with_its_parent_and_no_other_does(reference: Column, route: str) -> None:
    parent, child = family(reference)
    other_parent, other_child = family(reference)
    others = (row(other_parent), row(other_child))
    parents, children = count(reference.parent), count(reference.table)
    delete(parent, route)
    connection.check_constraints()
    assert (row(parent), row(child)) == ([], [])
    assert (row(other_parent), row(other_child)) == others
    assert (count(reference.parent), count(reference.table)) == (parents - 1, children - 1)


@each_route
@pytest.mark.parametrize("table", sorted({c.parent for c in REFERENCES}))
def test_a_parent_that_nothing_refers_to_may_go(table: str, route: str) -> None:
    parent = new_parent(next(c for c in REFERENCES if c.parent == table))
    delete(parent, route)
    assert row(parent) == []


@each_reference()
def test_full_clean_says_what_is_missing(reference: Column) -> None:
    child = child_of(reference, missing_key(reference))
    with pytest.raises(ValidationError) as caught:
        child.full_clean()
    errors = caught.value.error_dict[field_of(reference).name]
    assert "invalid" in {error.code for error in errors}
    assert all(re.search("[а-яё]", " ".join(error.messages)) for error in errors)
