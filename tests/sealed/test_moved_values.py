"""A sealed value belongs to one column of one row; a moved value is refused or does not open."""

from __future__ import annotations

import copy
import itertools
import pickle
from typing import Any

import pytest
from django.db import models, transaction

from crm.models import LeadIdentity, LeadNote
from ebalance.db.encryption.envelope import SealBroken
from ebalance.db.encryption.fields import Plaintext, SealedField, SealingError, UnsealedValue
from ebalance.db.ids import uuid7
from tests.case_loops import check_each
from tests.factories import LeadNoteFactory
from tests.sealed.support import (
    PHONE,
    each_sealed,
    filled_row,
    identity,
    record_sql,
    reload,
    texts,
)
from tests.support import execute

pytestmark = pytest.mark.django_db


@each_sealed
def test_value_of_another_row_is_refused(field: SealedField) -> None:
    one, two = filled_row(field.model), filled_row(field.model)
    before = getattr(two, field.attname)
    with record_sql() as log, pytest.raises(UnsealedValue):
        setattr(two, field.attname, getattr(one, field.attname))
    assert getattr(two, field.attname) is before
    assert not log.statements
    # A value of the same row is accepted.
    setattr(two, field.attname, getattr(reload(two), field.attname))
    two.save()


def test_value_of_another_column_is_refused() -> None:
    row = identity()
    with pytest.raises(UnsealedValue):
        row.phone_encrypted = row.email_encrypted
    with pytest.raises(UnsealedValue):
        LeadIdentity(id=row.pk, lead=row.lead, phone_encrypted=row.email_encrypted)
    assert reload(row).phone_encrypted.open() == PHONE


def saved(row: Any) -> None:
    row.save()


def saved_alone(row: Any) -> None:
    row.save(update_fields=["note_encrypted"])


def inserted(row: Any) -> None:
    row._state.adding = True
    row.save(force_insert=True)


def bulk_created(row: Any) -> None:
    LeadNote.objects.bulk_create([row])


def bulk_updated(row: Any) -> None:
    LeadNote.objects.bulk_update([row], ["note_encrypted"])


def bulk_updated_elsewhere(row: Any) -> None:
    LeadNote.objects.bulk_update([row], ["created_at"])


def by_plain_queryset(row: Any) -> None:
    models.QuerySet(LeadNote).bulk_create([row])


@pytest.mark.parametrize(
    "write",
    [
        saved,
        saved_alone,
        inserted,
        bulk_created,
        bulk_updated,
        bulk_updated_elsewhere,
        by_plain_queryset,
    ],
)
def test_row_with_a_changed_key_is_not_written(write: Any) -> None:
    def check(case: tuple[bool, bool]) -> None:
        is_read, has_key = case
        other, row = LeadNoteFactory(), LeadNoteFactory()
        if is_read:
            row = reload(row)
        row.pk = other.pk if has_key else None
        before = texts(other)
        with record_sql() as log, pytest.raises((SealingError, ValueError)), transaction.atomic():
            write(row)
        assert not log.writes
        assert texts(other) == before
        assert LeadNote.objects.count() == 2

    check_each([(str(c), c) for c in itertools.product([True, False], repeat=2)], check)


def test_a_row_is_cloned_by_opening_it() -> None:
    row = reload(LeadNoteFactory())
    text = row.note_encrypted.open()
    row.pk, row._state.adding = uuid7(), True
    row.note_encrypted = Plaintext(text)
    row.save()
    assert reload(row).note_encrypted.open() == text


def pickled(row: Any) -> Any:
    return pickle.loads(pickle.dumps(row))


def test_copy_of_a_row_opens_and_saves() -> None:
    for copied in (copy.copy, copy.deepcopy, pickled):
        for is_read in (True, False):
            row = LeadNoteFactory(note_encrypted=Plaintext("мне страшно"))
            twin = copied(reload(row) if is_read else row)
            assert twin.note_encrypted.open() == "мне страшно", copied
            twin.note_encrypted = Plaintext("мне лучше")
            twin.save()
            assert row.note_encrypted.open() == "мне страшно", copied
            assert reload(row).note_encrypted.open() == "мне лучше", copied


def test_pickle_contains_ciphertext() -> None:
    row, plaintext = LeadNoteFactory(note_encrypted=Plaintext("afraid")), Plaintext("afraid")
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        data = pickle.dumps(row, protocol)
        assert b"afraid" not in data
        assert row.note_encrypted.text.encode() in data
        with pytest.raises(TypeError, match="Plaintext is not pickled"):
            pickle.dumps(plaintext, protocol)
    assert copy.deepcopy(plaintext) is copy.copy(plaintext) is plaintext


@each_sealed
def test_ciphertext_moved_by_sql_does_not_open(field: SealedField) -> None:
    one, two = filled_row(field.model), filled_row(field.model)
    table, column = field.model._meta.db_table, field.column
    execute(
        f'UPDATE "{table}" a SET "{column}" = b."{column}" FROM "{table}" b '
        "WHERE (a.id, b.id) IN ((%s, %s), (%s, %s))",
        [one.pk, two.pk, two.pk, one.pk],
    )
    for row in (one, two):
        value = getattr(reload(row), column)
        with pytest.raises(SealBroken) as caught:
            value.open()
        assert value.text not in str(caught.value)
        assert caught.value.__context__ is None


def test_ciphertext_moved_to_another_column_does_not_open() -> None:
    row = identity()
    execute("UPDATE lead_identities SET phone_encrypted = email_encrypted")
    with pytest.raises(SealBroken):
        reload(row).phone_encrypted.open()


def test_value_without_a_row_needs_its_id() -> None:
    note, other = LeadNoteFactory(), LeadNoteFactory()
    value = LeadNote.objects.values_list("note_encrypted", flat=True).get(pk=note.pk)
    with pytest.raises(SealingError, match="needs the id of the row"):
        value.open()
    assert value.open(row_id=note.pk)
    with pytest.raises(SealBroken):
        value.open(row_id=other.pk)
    assert value.open(row_id=str(note.pk)) == value.open(row_id=note.pk)


def rowless(row: LeadNote) -> Any:
    return LeadNote.objects.values_list("note_encrypted", flat=True).get(pk=row.pk)


def test_value_without_a_row_is_assigned_to_its_own_row_only() -> None:
    note, other = LeadNoteFactory(), LeadNoteFactory()
    before = reload(other).note_encrypted.text
    with pytest.raises(UnsealedValue):
        other.note_encrypted = rowless(note)
    columns = LeadNote.objects.values().get(pk=note.pk)
    with pytest.raises(UnsealedValue):
        LeadNote(**columns | {"id": uuid7()}).save()
    with pytest.raises(UnsealedValue):
        LeadNote.objects.bulk_create([LeadNote(**columns | {"id": uuid7()})])
    with pytest.raises(UnsealedValue):
        LeadNote.objects.bulk_update([LeadNote(**columns | {"id": other.pk})], ["note_encrypted"])
    assert reload(other).note_encrypted.text == before
    note.note_encrypted = rowless(note)  # its own
    note.save()
    LeadNote(**columns).save(force_update=True)
    assert reload(note).note_encrypted.open()


def test_manual_expression_cannot_move_a_value_to_another_row() -> None:
    note, other = LeadNoteFactory(), LeadNoteFactory()
    before = texts(reload(note)), texts(reload(other))
    field = LeadNote._meta.get_field("note_encrypted")
    note.note_encrypted = Plaintext("новое")
    stored = reload(note).note_encrypted
    for value in (note.note_encrypted, stored, rowless(reload(note))):
        for condition in ({"pk": other.pk}, {"lead": other.lead_id}):
            case = models.Case(
                models.When(**condition, then=models.Value(value, output_field=field))
            )
            with record_sql() as log, pytest.raises(UnsealedValue):
                LeadNote.objects.update(note_encrypted=case)
            assert not log.statements
    mine = models.Value(note.note_encrypted, output_field=field)
    theirs = models.Value(other.note_encrypted, output_field=field)
    for case in (
        models.Case(models.When(pk=other.pk, then=theirs), default=mine),
        models.Case(models.When(models.Exists(LeadNote.objects.all()), then=mine)),
        models.Case(models.When(models.Q(pk=note.pk) | models.Q(pk=other.pk), then=mine)),
        models.Case(models.When(~models.Q(pk=note.pk), then=mine)),
        models.Case(models.When(pk__in=[note.pk, other.pk], then=mine)),
    ):
        with record_sql() as log, pytest.raises(UnsealedValue):
            LeadNote.objects.update(note_encrypted=case)
        assert not log.writes
    assert (texts(reload(note)), texts(reload(other))) == before
