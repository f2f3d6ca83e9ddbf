"""The rules for every table with protected columns; a new table that breaks them fails."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.apps import apps
from django.db import models

from ebalance.db import contacts
from ebalance.db.encryption.fields import BlindIndex, SealedField
from ebalance.db.fields import Entity, EntityQuerySet
from ebalance.db.ids import uuid7
from tests.advice import advises, of_class, of_field, of_test
from tests.sealed.support import COLUMNS, MODELS, SEALED, filled_row, identity

# A token never changes: it is a part of every stored value, which would not open with another one.
# A renamed column keeps its token; a new column needs a line in this table.
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
    "second_factors.secret_encrypted": "second_factors.secret",
    "session_notes.note_encrypted": "session_notes.note",
    "waitlist_requests.contact_value_encrypted": "waitlist_requests.contact",
}


@advises
def test_tokens_do_not_change() -> Iterator[str]:
    location = of_test(filled_columns, "TOKENS")
    tokens = {field.qualified_name: field.token.decode() for field in SEALED}
    for field in SEALED:
        known = TOKENS.get(field.qualified_name)
        if known is None:
            yield location(f'give "{field.qualified_name}" a line in', "the column is new")
        elif known != tokens[field.qualified_name]:
            yield of_field(field)(f'give the token "{known}" back to', "stored values go by it")
        if [*tokens.values()].count(tokens[field.qualified_name]) > 1:
            yield of_field(field)("choose a token of its own for", "another column has the same")
    for name in TOKENS.keys() - tokens:
        yield location(f'move or remove the line of "{name}" in', "there is no such column")


@advises
def test_columns_are_named_by_their_kind() -> Iterator[str]:
    names = {field.qualified_name for field in COLUMNS}
    for model in apps.get_models():
        for field in model._meta.concrete_fields:
            is_named = field.column.endswith(("_encrypted", "_bidx"))
            if is_named and f"{model._meta.db_table}.{field.column}" not in names:
                yield of_field(field)("rename or seal", "its name is the name of a sealed column")
    for field in COLUMNS:
        if not field.column.endswith(("_encrypted", "_bidx")):
            yield of_field(field)("end the name with _encrypted or _bidx:", "it is sealed")


@advises
def test_every_manager_seals_or_refuses() -> Iterator[str]:
    for model in MODELS:
        if not issubclass(model, Entity):
            yield of_class(model)("derive from Entity the model", "it has sealed columns")
        for manager in (model._default_manager, model._base_manager, *model._meta.managers):
            if not isinstance(manager.all(), EntityQuerySet):
                yield of_class(model)(
                    f"make `{manager.name}` a manager of EntityQuerySet in", "it has sealed columns"
                )


@advises
def test_column_follows_the_columns_that_its_check_reads() -> Iterator[str]:
    """Model(…) assigns in the order of the columns."""
    for model in MODELS:
        names = [f.name for f in model._meta.concrete_fields]
        if names[0] != "id" or type(model().pk) is not type(uuid7()):
            yield of_class(model)("declare `id` before the other columns of", "values go by it")
    for index in (field for field in COLUMNS if isinstance(field, BlindIndex)):
        location, meta = of_field(index), index.model._meta
        names = [f.name for f in meta.concrete_fields]
        if not isinstance(meta.get_field(index.source), SealedField):
            yield location("name a sealed column as `source` of")
        if names.index(index.source) > names.index(index.name):
            yield location(f"declare `{index.source}` before")
        if bool(index.channel) == bool(index.channel_field):
            yield location("declare either `channel` or `channel_field` of")
        elif index.channel_field:
            if names.index(index.channel_field) > names.index(index.source):
                yield location(f"declare `{index.channel_field}` before `{index.source}`, of")
        elif index.channel not in contacts.READERS:
            yield location("declare a channel with a reader (ebalance/db/contacts.py) for")


def filled_columns(model: type[models.Model]) -> set[str]:
    """The protected columns that the rows of these tests fill."""
    row = identity() if model._meta.db_table == "lead_identities" else filled_row(model)
    columns = [field for field in COLUMNS if field.model is model]
    return {field.qualified_name for field in columns if getattr(row, field.name) is not None}


@advises
def test_every_table_has_a_full_row_in_these_tests(db: None) -> Iterator[str]:
    for model in MODELS:
        for field in (field for field in COLUMNS if field.model is model):
            if field.qualified_name not in filled_columns(model):
                yield of_test(filled_row, "filled_row")(
                    "fill the column in", of_field(field).declaration
                )


def test_new_sealed_column_is_named_with_its_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(TOKENS, "reviews.review_text_encrypted")
    (line,) = test_tokens_do_not_change.__wrapped__()
    assert line.startswith('tests/sealed/test_conventions.py: give "reviews.review_text_encrypted"')
