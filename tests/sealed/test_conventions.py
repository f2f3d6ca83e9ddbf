"""The rules for every table with protected columns; a new one that breaks them fails here."""

from __future__ import annotations

from django.apps import apps
from django.db import models

from ebalance.db import contacts
from ebalance.db.fields import Entity, EntityQuerySet
from ebalance.db.ids import uuid7
from ebalance.db.sealed import BlindIndex, SealedField
from tests.sealed.support import COLUMNS, MODELS, SEALED, each_model, filled, identity

# A token never changes: it is a part of every value that is stored, and with another one none of
# them opens. A renamed column keeps its token; a new column has a line of its own here.
TOKENS = {
    "anonymous_questions.contact_value_encrypted": "anonymous_questions.contact",
    "anonymous_questions.question_text_encrypted": "anonymous_questions.question",
    "diary_entries.payload_encrypted": "diary_entries.payload",
    "intake_forms.payload_encrypted": "intake_forms.payload",
    "lead_identities.email_encrypted": "lead_identities.email",
    "lead_identities.phone_encrypted": "lead_identities.phone",
    "lead_notes.note_encrypted": "lead_notes.note",
    "question_answers.answer_text_encrypted": "question_answers.answer",
    "reviews.review_text_encrypted": "reviews.review",
    "waitlist_requests.contact_value_encrypted": "waitlist_requests.contact",
}


def test_tokens_stay() -> None:
    assert {field.place: field.token.decode() for field in SEALED} == TOKENS
    assert len({field.token for field in SEALED}) == len(SEALED)


def test_the_columns_are_those_that_are_named_so() -> None:
    named = {
        f"{f.model._meta.db_table}.{f.column}"
        for model in apps.get_models()
        for f in model._meta.concrete_fields
        if f.column.endswith(("_encrypted", "_bidx"))
    }
    assert {field.place for field in COLUMNS} == named


@each_model
def test_every_manager_seals_or_refuses(model: type[models.Model]) -> None:
    managers = [model._default_manager, model._base_manager, *model._meta.managers]
    assert issubclass(model, Entity)
    for manager in managers:
        assert isinstance(manager.all(), EntityQuerySet)


@each_model
def test_what_a_value_is_checked_by_stands_before_it(model: type[models.Model]) -> None:
    """Model(…) assigns in the order of the columns."""
    names = [f.name for f in model._meta.concrete_fields]
    row = model()
    assert names[0] == "id"
    assert type(row.pk) is type(uuid7())
    for field in (f for f in COLUMNS if f.model is model):
        if isinstance(field, BlindIndex):
            assert isinstance(model._meta.get_field(field.source), SealedField)
            assert names.index(field.source) < names.index(field.name)
            assert bool(field.channel) != bool(field.channel_field)
            if field.channel_field:
                assert names.index(field.channel_field) < names.index(field.source)
            else:
                assert field.channel in contacts.READERS


def test_every_table_has_a_full_row_in_these_tests(db: None) -> None:
    for model in MODELS:
        row = identity() if model._meta.db_table == "lead_identities" else filled(model)
        empty = [f.place for f in COLUMNS if f.model is model and getattr(row, f.name) is None]
        assert not empty
