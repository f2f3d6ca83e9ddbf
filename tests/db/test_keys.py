"""A row keeps its key, because versions, roles and sealed values depend on it."""

from __future__ import annotations

import pytest
from django.db import models

from ebalance.db.ids import uuid7
from tests.case_loops import check_each
from tests.db import catalog
from tests.factories import FACTORIES
from tests.support import TESTED_RULES, execute, refuses, update_sql

pytestmark = pytest.mark.django_db

KEYED = [
    model for model in catalog.project_models() if model._meta.pk.get_internal_type() == "UUIDField"
]


def rule_of(model: type[models.Model]) -> str:
    rules = {trigger.rule for trigger in getattr(model._meta, "triggers", [])}
    table = model._meta.db_table
    # An immutable row needs no separate rule for its key.
    whole = rules & {f"{table}_immutable", f"{table}_append_only"}
    return whole.pop() if whole else f"{table}_id_stays"


TESTED_RULES.update(rule_of(model) for model in KEYED)


def check_key_stays(model: type[models.Model]) -> None:
    row = FACTORIES[model]()
    rule, table = rule_of(model), model._meta.db_table
    with refuses(rule, table):
        update_sql(row, id=uuid7())
    with refuses(rule, table):
        model._base_manager.filter(pk=row.pk).update(id=uuid7())
    with refuses(rule, table):
        execute(f'SET CONSTRAINTS ALL DEFERRED; UPDATE "{table}" SET id = uuid7()')
    if rule.endswith("_id_stays"):
        update_sql(row, id=row.pk)  # the same key is no change


@pytest.mark.parametrize("app", sorted({model._meta.app_label for model in KEYED}))
def test_rows_keep_their_keys(app: str) -> None:
    named = [(rule_of(m), m) for m in KEYED if m._meta.app_label == app]
    check_each(named, check_key_stays)
