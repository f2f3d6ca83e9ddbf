"""Sealed values never reach a page, and lists never load them (privacy.md §2)."""

from __future__ import annotations

import re

import pytest
from django.db import models
from django.test import Client
from django.urls import reverse

from ebalance.db.sealed import BlindIndex, ProtectedField
from tests.admin.support import (
    ADD_ONLY,
    MODELS,
    NEEDS_SEALING,
    READ_ONLY,
    asked,
    children,
    label,
    page,
    queries,
    row_pages,
    rows,
    text,
)
from tests.factories import FACTORIES, LeadIdentityFactory
from tests.support import execute

# table and column, of every sealed value
SEALED = [
    (model._meta.db_table, field.column)
    for model in FACTORIES
    for field in model._meta.concrete_fields
    if isinstance(field, ProtectedField)
]
# What may be done with such a column in SQL: ask for the id of its key.
ONLY_THE_KEY = re.compile(r"split_part\(\"?\w+\"?\.\"?\w+\"?, %s, %s\)", re.IGNORECASE)


def ciphertexts() -> set[str]:
    found = set()
    for table, column in SEALED:
        query = f'SELECT "{column}" AS v FROM "{table}" WHERE "{column}" IS NOT NULL'
        found |= {row["v"] for row in execute(query)}
    return found


def test_there_are_sealed_columns() -> None:
    assert len(SEALED) >= 11


@pytest.mark.parametrize("model", MODELS, ids=label)
def test_no_page_holds_or_loads_ciphertext(owner: Client, model: type[models.Model]) -> None:
    row = rows(model, 2)[0]
    children(row, 2)
    if label(model) == "crm.Lead":
        LeadIdentityFactory(lead=row)
        LeadIdentityFactory(lead=row, by_phone=True)
    addresses = [page(model, "changelist"), page(model, "changelist", q="v1.k1"), *row_pages(row)]
    if label(model) in READ_ONLY | ADD_ONLY:
        addresses.remove(page(model, "delete", row.pk))
    held = ciphertexts()
    columns = {column for _table, column in SEALED}
    for address in addresses:
        response, statements = asked(owner, address)
        assert response.status_code == 200, address
        for value in held:
            assert value.split(".")[2] not in text(response), address
        for sql in statements:
            selected = ONLY_THE_KEY.sub("", sql).partition(" WHERE ")[0]
            assert not [column for column in columns if f'"{column}"' in selected], sql


def test_a_sealed_column_is_shown_by_its_key(owner: Client) -> None:
    shown = {
        label(model): text(owner.get(page(model, "change", rows(model, 1)[0].pk)))
        for model in MODELS
        if label(model) in NEEDS_SEALING
    }
    assert len(shown) == 6
    for name, content in shown.items():
        assert "ключ k1" in content, name


def test_blind_indexes_have_no_place_on_a_page(owner: Client) -> None:
    for model in MODELS:
        names = [f.name for f in model._meta.concrete_fields if isinstance(f, BlindIndex)]
        for name in names:
            row = rows(model, 1)[0]
            assert name not in text(owner.get(page(model, "change", row.pk)))


def test_autocomplete_loads_no_ciphertext(owner: Client) -> None:
    rows(next(m for m in MODELS if label(m) == "ugc.AnonymousQuestion"), 2)
    address = reverse("admin:autocomplete") + (
        "?app_label=ugc&model_name=questionanswer&field_name=question"
    )
    for sql in queries(owner, address):
        assert '"question_text_encrypted"' not in ONLY_THE_KEY.sub("", sql)
