"""Every foreign key acts as in the data model, for SQL and the ORM.

The keys are those of data_model.txt; test_data_model.py checks that the catalog has exactly these.
"""

from __future__ import annotations

import re
from typing import Any
from uuid import uuid4

import pytest
from django.core.exceptions import ValidationError
from django.db import connection, models
from django.utils import timezone

from identity.models import Role
from tests.db import catalog
from tests.db.data_model import REFERENCES, Column
from tests.factories import FACTORIES
from tests.support import (
    ROUTES,
    breaks,
    case_loop,
    delete_sql,
    execute,
    insert_sql,
    refuses,
    save_related,
)

pytestmark = pytest.mark.django_db

# Factory arguments that a row with such a reference needs.
CARRIES: dict[tuple[str, str], dict[str, Any]] = {
    ("curated_items", "interactive_definition_id"): {"interactive": True},
    ("leads", "merged_into_id"): {"status": "inactive"},
    ("payments", "recorded_by_user_id"): {
        "provider": "manual",
        "method": "cash",
        "status": "succeeded",
        "confirmed_at": timezone.now(),
    },
    # The events of these tests have no parameters in the tracking plan.
    ("lead_timeline_events", "event_name"): {"properties": {}},
    ("analytics_events", "event_name"): {"properties": {}},
}
# Rules checked before the foreign key: an event must be in the tracking plan.
ASKED_BEFORE = {
    ("lead_timeline_events", "event_name"): "lead_timeline_events_event_in_plan",
    ("analytics_events", "event_name"): "analytics_events_event_in_plan",
}

BY_NAME = {str(reference): reference for reference in REFERENCES}


def field_of(reference: Column) -> models.Field:
    fields = catalog.model_of(reference.table)._meta.concrete_fields
    return next(f for f in fields if f.column == reference.name)


def missing_key(reference: Column) -> Any:
    return uuid4() if reference.type == "uuid" else "no_such_code"


def new_parent(reference: Column) -> models.Model:
    """A row without other references to it."""
    model = catalog.model_of(reference.parent)
    if model is Role:  # all four are seeded and no other can exist
        return Role.objects.get(code="editor")
    return FACTORIES[model]()


def child_of(reference: Column, key: Any) -> models.Model:
    """An unsaved row whose ``reference`` is ``key``."""
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


def rule_of(reference: Column) -> str:
    return f"{reference.table}_{reference.name}_fk"


def insert(child: models.Model, route: str) -> None:
    insert_sql(child) if route == "sql" else child.save()


def check_missing_parent(reference: Column, route: str) -> None:
    rule = ASKED_BEFORE.get((reference.table, reference.name), rule_of(reference))
    child = child_of(reference, missing_key(reference))
    with refuses(rule, reference.table):
        insert(child, route)
    assert row(child) == []


def check_full_clean_names_the_field(reference: Column) -> None:
    child = child_of(reference, missing_key(reference))
    with pytest.raises(ValidationError) as caught:
        child.full_clean()
    errors = caught.value.error_dict[field_of(reference).name]
    assert "invalid" in {error.code for error in errors}
    assert all(re.search("[а-яё]", " ".join(error.messages)) for error in errors)


def check_parent_stays(reference: Column, route: str) -> None:
    parent, child = family(reference)
    before = (row(parent), row(child))
    with refuses(rule_of(reference), reference.table):
        delete(parent, route)
    assert (row(parent), row(child)) == before


def check_only_its_rows_go(reference: Column, route: str) -> None:
    parent, child = family(reference)
    other_parent, other_child = family(reference)
    others = (row(other_parent), row(other_child))
    parents, children = count(reference.parent), count(reference.table)
    delete(parent, route)
    connection.check_constraints()
    assert (row(parent), row(child)) == ([], [])
    assert (row(other_parent), row(other_child)) == others
    assert (count(reference.parent), count(reference.table)) == (parents - 1, children - 1)


ON_DELETE = {"r": check_parent_stays, "c": check_only_its_rows_go}


@breaks(*ASKED_BEFORE.values())
@pytest.mark.parametrize("reference", REFERENCES, ids=str)
def test_reference_needs_its_parent(reference: Column) -> None:
    with case_loop() as case:
        with case("a missing parent is refused"):
            check_missing_parent(reference, "sql")
        with case("full_clean() names the field"):
            check_full_clean_names_the_field(reference)
        with case("a deleted parent"):
            ON_DELETE[reference.on_delete](reference, "sql")


@pytest.mark.parametrize(
    "name", ["user_roles.user_id", "appointments.client_user_id", "analytics_events.event_name"]
)
def test_reference_needs_its_parent_in_the_orm(name: str) -> None:
    """A cascade, a restriction, and a key behind a rule: PostgreSQL enforces all three."""
    check_missing_parent(BY_NAME[name], "orm")
    ON_DELETE[BY_NAME[name].on_delete](BY_NAME[name], "orm")


@pytest.mark.parametrize("where", ASKED_BEFORE, ids=".".join)
def test_foreign_key_refuses_without_the_earlier_rule(where: tuple) -> None:
    table, column = where
    child = child_of(BY_NAME[f"{table}.{column}"], "no_such_event")
    execute(f"ALTER TABLE {table} DISABLE TRIGGER {table}_p0_only")
    with refuses(f"{table}_{column}_fk", table):
        insert_sql(child)


def test_parent_without_children_may_be_deleted() -> None:
    with case_loop() as case:
        for number, table in enumerate(sorted({c.parent for c in REFERENCES})):
            with case(table):
                parent = new_parent(next(c for c in REFERENCES if c.parent == table))
                delete(parent, ROUTES[number % 2])
                assert row(parent) == []
