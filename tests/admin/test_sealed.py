"""Sealed values never reach a page, and lists never load them (privacy.md §2)."""

from __future__ import annotations

import pytest
from django.db import models
from django.test import Client
from django.urls import reverse

from ebalance.db.encryption.fields import BlindIndex, protected_fields
from tests.admin.support import (
    MODELS,
    NEEDS_SEALING,
    ONLY_THE_KEY,
    SEALED,
    children,
    label,
    page,
    queries,
    row_pages,
    rows,
    text,
)
from tests.factories import LeadIdentityFactory


def test_there_are_sealed_columns() -> None:
    assert len(SEALED) >= 11


# Every other page is checked by ``queries`` too, in test_pages.py. These have sealed values of
# their own or in a table of identities.
@pytest.mark.parametrize(
    "model", [m for m in MODELS if protected_fields(m) or label(m) == "crm.Lead"], ids=label
)
def test_page_neither_contains_nor_loads_ciphertext(
    owner: Client, model: type[models.Model]
) -> None:
    row = rows(model, 2)[0]
    children(row, 2)
    if label(model) == "crm.Lead":
        LeadIdentityFactory(lead=row)
        LeadIdentityFactory(lead=row, by_phone=True)
    change, delete, history = row_pages(row)
    addresses = [page(model, "changelist"), page(model, "changelist", q="v1.k1"), change, history]
    if label(model) not in {"booking.IntakeForm", "booking.SessionNote"}:  # no page deletes them
        addresses.append(delete)
    for address in addresses:
        queries(owner, address)


def test_sealed_column_is_shown_by_its_key(owner: Client) -> None:
    shown = {
        label(model): text(owner.get(page(model, "change", rows(model, 1)[0].pk)))
        for model in MODELS
        if label(model) in NEEDS_SEALING
    }
    assert len(shown) == 6
    for name, content in shown.items():
        assert "ключ k1" in content, name


def test_blind_indexes_are_on_no_page(owner: Client) -> None:
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
