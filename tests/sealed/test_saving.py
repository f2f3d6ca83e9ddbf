"""A retry loses no text, and an old text never overwrites a later one."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from django.db import models, transaction
from django.db.models.fetch_modes import FETCH_PEERS

from crm.models import LeadIdentity, LeadNote
from ebalance.db.encryption.fields import Plaintext, protected_fields
from tests.factories import LeadNoteFactory
from tests.sealed.support import EMAIL, each_model, filled_row, identity, reload, texts

pytestmark = pytest.mark.django_db

OLD, NEW, THEIRS = "мне страшно", "мне лучше", "записал другой"


class Abandoned(Exception):
    pass


def rolled_back(write: Callable[[], Any]) -> None:
    with suppress(Abandoned), transaction.atomic():
        write()
        raise Abandoned


def note(text: str = OLD) -> Any:
    return reload(LeadNoteFactory(note_encrypted=Plaintext(text)))


def elsewhere(row: models.Model, text: str = THEIRS) -> None:
    """Write the row from another session."""
    other = reload(row)
    other.note_encrypted = Plaintext(text)
    other.save()


WRITES: dict[str, Callable[[Any], Any]] = {
    "save": lambda row: row.save(),
    "save of it alone": lambda row: row.save(update_fields=["note_encrypted"]),
    "bulk_update": lambda row: LeadNote.objects.bulk_update([row], ["note_encrypted"]),
}


@pytest.mark.parametrize("write", WRITES)
def test_rolled_back_update_is_written_again(write: str) -> None:
    row = note()
    row.note_encrypted = Plaintext(NEW)
    rolled_back(lambda: WRITES[write](row))
    assert reload(row).note_encrypted.open() == OLD
    WRITES[write](row)
    assert reload(row).note_encrypted.open() == NEW


@pytest.mark.parametrize(
    "insert",
    [lambda row: row.save(), lambda row: LeadNote.objects.bulk_create([row])],
    ids=["save", "bulk_create"],
)
def test_rolled_back_insert_is_written_again(insert: Any) -> None:
    parents = note()
    row = LeadNote(lead=parents.lead, author=parents.author, note_encrypted=Plaintext(NEW))
    rolled_back(lambda: insert(row))
    assert not LeadNote.objects.filter(pk=row.pk).exists()
    row.save()
    assert reload(row).note_encrypted.open() == NEW


def test_deleted_row_that_is_saved_again_keeps_its_text() -> None:
    row = note()
    LeadNote.objects.filter(pk=row.pk).delete()
    row.save()
    assert reload(row).note_encrypted.open() == OLD


READ: dict[str, Callable[[Any], Any]] = {
    "get": reload,
    "refresh_from_db": lambda row: row.refresh_from_db() or row,
    "refresh_from_db of it": lambda row: row.refresh_from_db(fields=["note_encrypted"]) or row,
    "deferred": lambda row: fetched(LeadNote.objects.defer("note_encrypted").get(pk=row.pk)),
    "deferred, with its peers": lambda row: fetched(
        LeadNote.objects.defer("note_encrypted").fetch_mode(FETCH_PEERS).get(pk=row.pk)
    ),
    "saved": lambda row: reload(row).save() or row,
    "read and saved": lambda row: saved(reload(row)),
    "refused": lambda row: tried(reload(row)),
    "raw": lambda row: LeadNote.objects.raw("SELECT * FROM lead_notes WHERE id = %s", [row.pk])[0],
    "select_related": lambda row: LeadNote.objects.select_related("lead").get(pk=row.pk),
}


def fetched(row: Any) -> Any:
    assert row.note_encrypted.open()
    return row


def saved(row: Any) -> Any:
    row.save()
    return row


def tried(row: Any) -> Any:
    with suppress(TypeError):
        row.note_encrypted = "not sealed"
    return row


@pytest.mark.parametrize("read", READ)
def test_unchanged_row_does_not_overwrite_another_session(read: str) -> None:
    LeadNoteFactory()  # a peer
    for name, write in WRITES.items():
        row = READ[read](note())
        elsewhere(row)
        write(row)
        assert reload(row).note_encrypted.open() == THEIRS, name


def test_peers_are_fetched_together_and_saved_unchanged() -> None:
    rows = [note(), note()]
    peers = list(LeadNote.objects.defer("note_encrypted").fetch_mode(FETCH_PEERS))
    assert [row.note_encrypted.open() for row in peers] == [OLD, OLD]
    for row in rows:
        elsewhere(row)
    for row in peers:
        row.save()
    assert {reload(row).note_encrypted.open() for row in rows} == {THEIRS}


@pytest.mark.parametrize("write", WRITES)
def test_restored_text_is_written(write: str) -> None:
    row = note()
    read = row.note_encrypted
    row.note_encrypted = Plaintext(NEW)
    WRITES[write](row)
    row.note_encrypted = read
    WRITES[write](row)
    assert reload(row).note_encrypted.open() == OLD


def test_restored_contact_is_written() -> None:
    row = reload(identity())
    email, index = row.email_encrypted, row.email_bidx
    row.email_encrypted = None
    row.save()
    assert texts(row)["email_bidx"] is None
    row.email_encrypted, row.email_bidx = email, index
    row.save()
    assert reload(row).email_encrypted.open() == EMAIL


def test_value_without_a_row_is_written_into_a_deferred_field() -> None:
    row = note()
    old = LeadNote.objects.values_list("note_encrypted", flat=True).get(pk=row.pk)
    elsewhere(row)
    row = LeadNote.objects.defer("note_encrypted").get(pk=row.pk)
    row.note_encrypted = old
    row.save()
    assert reload(row).note_encrypted.open() == OLD


def test_manually_built_row_overwrites_the_stored_one() -> None:
    row = note()
    elsewhere(row)
    given = {f.attname: getattr(row, f.attname) for f in LeadNote._meta.concrete_fields}
    LeadNote(**given).save(force_update=True)
    assert reload(row).note_encrypted.open() == OLD


@each_model
def test_every_row_is_saved_unchanged(model: type[models.Model]) -> None:
    row = filled_row(model)
    before = texts(row)
    row.save()
    row.save(force_update=True)
    row.full_clean(exclude=["due_at"] if model._meta.db_table == "anonymous_questions" else None)
    row.save()
    model._base_manager.bulk_update([row], [f.name for f in protected_fields(model)])
    assert texts(row) == before


def test_only_the_changed_contact_is_written() -> None:
    row = reload(identity())
    other = reload(row)
    other.phone_encrypted = Plaintext("+79990000000")
    other.save()
    row.email_encrypted = Plaintext("new@example.com")
    LeadIdentity.objects.bulk_update([row], ["email_encrypted", "phone_encrypted"])
    stored = reload(row)
    assert stored.email_encrypted.open() == "new@example.com"
    assert stored.phone_encrypted.open() == "+79990000000"
