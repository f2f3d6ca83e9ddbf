"""The proof of erasure.

A person with a row in every table and a mark in every column is exported and erased. Afterwards no
mark remains, neither raw nor sealed. The rows of all other people are unchanged.
"""

from __future__ import annotations

import random
from contextlib import suppress
from typing import Any

import pytest
from django.db import IntegrityError, connection, models, transaction

from crm.models import Lead
from ebalance.db.encryption.fields import Plaintext
from ebalance.db.schema import classification, data_map
from ebalance.db.schema.data_map import Undeclared, tables
from ebalance.privacy.erasure import erase_user
from ebalance.privacy.exports import export_user_data
from ebalance.privacy.exports.document import render_json
from ebalance.privacy.rows import PersonalRows
from identity.models import ErasureLedgerEntry, User
from tests.factories.base import ago
from tests.privacy.pii_markers import (
    KEPT_MARKS,
    Marked,
    Shared,
    broken_chain,
    digests,
    marked_person,
    search,
    tables_of_people,
    unmarked,
)
from tests.support import execute

pytestmark = pytest.mark.django_db

# Tables in which an erasure writes rows of its own.
WRITTEN_BY_ERASURE = {"erasure_ledger", "outbox_events", "audit_log_entries", "moderation_totals"}
# Columns in which the ids of the person and of their leads may remain: they identify nobody.
IDS_STAY = {
    "users.id",
    "consents.user_id",
    "review_publication_consents.user_id",
    "erasure_ledger.subject_id",
    "erasure_requests.user_id",
    "outbox_events.aggregate_id",
    "outbox_events.payload",
    "audit_log_entries.actor_user_id",
    "audit_log_entries.entity_id",
    "audit_log_entries.old_value",
    "audit_log_entries.new_value",
}
LEAD_IDS_STAY = {
    "leads.id",
    "consents.lead_id",
    "appointments.lead_id",
    "lead_timeline_events.lead_id",
    "outbox_events.aggregate_id",
    "audit_log_entries.entity_id",
}


@pytest.fixture
def people(db: None) -> tuple[Marked, Marked, Marked]:
    shared = Shared.made()
    return tuple(marked_person(shared) for _ in range(3))  # type: ignore[return-value]


def columns_in(matches: list[str]) -> set[str]:
    return {line.split(": ")[0] for line in matches}


# -- completeness ---------------------------------------------------------------------------------


def test_marked_person_covers_every_table_and_column(
    people: tuple[Marked, ...],
) -> None:
    for one in people:
        assert unmarked(one) == []
    declared = {column.table.name for column in data_map.columns() if column.privacy != "P0"}
    assert declared <= {table.name for table in tables_of_people()}


def test_search_finds_every_mark_before_the_erasure(people: tuple[Marked, ...]) -> None:
    """Raw, sealed, in JSON, as an address, in a signed session; otherwise this proves nothing."""
    for one in people:
        marks = one.marks.all()
        assert {line.split(": ")[1] for line in search({m: m for m in marks})} == {*marks}
        matches = search(marks)
        elsewhere = [line for line in matches if len(set(line.split(": "))) == 2]
        # Only the contacts of the account and its browser are in several columns, on purpose.
        assert {line.split(": ")[1] for line in elsewhere} == {
            "interactive_runs.anonymous_id",
            "users.email",
            "users.phone",
        }


def test_unmarked_column_fails_the_proof(people: tuple[Marked, ...], monkeypatch: Any) -> None:
    execute("ALTER TABLE reviews ADD headline text")
    review = table_of("reviews")
    headline = models.TextField(db_comment=classification.p1("what it is called"))
    headline.set_attributes_from_name("headline")
    headline.model = review.model
    new = data_map.Column(review, "headline", headline, headline.db_comment)
    monkeypatch.setitem(review.__dict__, "columns", (*review.columns, new))
    assert "reviews.headline" in unmarked(people[0])


def test_column_that_erasure_omits_fails_the_proof(
    people: tuple[Marked, ...], monkeypatch: Any
) -> None:
    field = Lead._meta.get_field("utm")
    forgotten = classification.p0(
        "utm_* of the first visit", erasure=classification.IDENTIFIES_NO_PERSON
    )
    monkeypatch.setattr(field, "db_comment", forgotten)
    leads = table_of("leads")
    monkeypatch.delitem(leads.__dict__, "columns")  # the cached declarations
    erase_user(people[0].pk, method="admin")
    assert search(people[0].erased_marks()) == ["leads.utm: leads.utm"]


def test_column_without_a_model_field_fails_the_proof(
    people: tuple[Marked, ...],
) -> None:
    one = people[0]
    mark = one.marks.text("reviews.headline")
    execute("ALTER TABLE reviews ADD headline text")
    execute("UPDATE reviews SET headline = %s WHERE user_id = %s", [mark, one.pk])
    erase_user(one.pk, method="admin")
    assert search(one.erased_marks()) == ["reviews.headline: reviews.headline"]


def test_undeclared_field_stops_the_erasure_before_it_begins(
    people: tuple[Marked, ...], monkeypatch: Any
) -> None:
    field, leads = Lead._meta.get_field("utm"), table_of("leads")
    monkeypatch.setattr(field, "db_comment", "utm_* of the first visit")
    monkeypatch.delitem(leads.__dict__, "columns")
    before = digests()
    with pytest.raises(Undeclared, match=r"leads\.utm has no privacy class"):
        erase_user(people[0].pk, method="admin")
    assert digests() == before


def test_personal_column_unreachable_from_a_person_fails_the_proof(
    monkeypatch: Any,
) -> None:
    tags = table_of("tags")
    column = next(column for column in tags.columns if column.name == "title")
    monkeypatch.setattr(column.field, "db_comment", classification.p1("whom it is about"))
    monkeypatch.delitem(tags.__dict__, "columns")
    declared = {column.table.name for column in data_map.columns() if column.privacy != "P0"}
    assert declared - {table.name for table in tables_of_people()} == {"tags"}


def table_of(name: str) -> data_map.Table:
    return next(table for table in tables() if table.name == name)


def test_every_undeclared_copy_is_detected(people: tuple[Marked, ...]) -> None:
    copies = [
        "TABLE {} AS SELECT id, email FROM users",
        "TABLE {} AS SELECT id, to_jsonb(u) AS said FROM users u",
        "TABLE {} AS SELECT id, ARRAY[display_name] AS said FROM users",
        "TABLE {} AS SELECT id, convert_to(email, 'UTF8') AS said FROM users",
        "TABLE {} AS SELECT id, ip_address AS said FROM audit_log_entries",
        "TABLE {} AS SELECT id, question_text_encrypted AS s FROM anonymous_questions",
        "TABLE {} AS SELECT id, jsonb_build_array(payload_encrypted) AS s FROM diary_entries",
        "MATERIALIZED VIEW {} AS SELECT id, session_id FROM analytics_events",
    ]
    names = [f"copies_{number}" for number in range(len(copies))]
    for name, copy in zip(names, copies, strict=True):
        execute(f"CREATE {copy.format(name)}")
    erase_user(people[0].pk, method="admin")
    columns = columns_in(search(people[0].erased_marks()))
    assert {column.split(".")[0] for column in columns} == {*names}


# -- export ---------------------------------------------------------------------------------------


def test_export_has_every_exported_mark_and_none_of_other_people(
    people: tuple[Marked, ...],
) -> None:
    exported = {str(column) for column in data_map.columns() if column.in_export}
    for one in people:
        text = render_json(export_user_data(one.pk, clock=lambda: ago(days=0))).decode()
        missing = {column for mark, column in one.marks.all().items() if mark not in text}
        assert missing == set(one.marks.placed) - exported
        for other in people:
            if other is not one:
                assert [mark for mark in other.marks.all() if mark in text] == []


def test_exported_values_are_erased_unless_declared_as_kept(people: tuple[Marked, ...]) -> None:
    """Each exported column is empty after the erasure, unless it is declared as kept."""
    one = people[0]
    before = {table.name: list(rows) for table, rows in PersonalRows(one.pk).export()}
    assert {name for name, rows in before.items() if rows} == {
        table.name
        for table in tables_of_people()
        if any(column.in_export for column in table.columns)
    }
    erase_user(one.pk, method="admin")
    declared = {str(column): column.erasure for column in data_map.columns()}
    after = {table.name: list(rows) for table, rows in PersonalRows(one.pk).export()}
    for table, rows in after.items():
        for row in rows:
            for column, value in row.items():
                assert declared[f"{table}.{column}"].action == "keep" or not value, column


# -- erasure --------------------------------------------------------------------------------------


def test_no_mark_remains_after_the_erasure(people: tuple[Marked, ...]) -> None:
    one, *others = people
    before = [search(other.marks.all()) for other in others]
    erased = erase_user(one.pk, method="admin")
    connection.check_constraints()
    assert search(one.erased_marks()) == []
    # The marks that are kept on purpose, as their columns declare.
    assert columns_in(search(one.marks.all())) == KEPT_MARKS
    for kept in KEPT_MARKS:
        column = next(c for c in data_map.columns() if str(c) == kept)
        assert column.erasure == classification.ACCOUNTING
    assert [search(other.marks.all()) for other in others] == before
    assert {table.name for table in tables_of_people()} - set(erased.counts) == {
        "erasure_requests",
        "payments",
        "refunds",
    }


def test_other_people_are_unchanged(people: tuple[Marked, ...]) -> None:
    one = people[0]
    theirs = {
        (table.name, str(key))
        for table in tables_of_people()
        for key in PersonalRows(one.pk).rows(table).values_list("pk", flat=True)  # type: ignore[union-attr]
    }
    before = digests()
    erase_user(one.pk, method="admin")
    connection.check_constraints()
    after = digests()
    changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    assert {name for name, _ in changed - theirs} == WRITTEN_BY_ERASURE
    # These tables only gain rows.
    assert not (changed - theirs) & before.keys()


def test_only_unlinked_ids_remain(people: tuple[Marked, ...]) -> None:
    one = people[0]
    lead = one.rows["leads"][0]
    erase_user(one.pk, method="admin")
    connection.check_constraints()
    assert columns_in(search({str(one.pk): "id"})) == IDS_STAY
    assert columns_in(search({str(lead.pk): "id"})) == LEAD_IDS_STAY
    row = User.objects.get(pk=one.pk)
    assert (row.status, row.timezone, row.last_login, row.password) == ("deleted", None, None, "")


def test_audit_log_still_verifies(people: tuple[Marked, ...]) -> None:
    assert broken_chain() == []
    for one in people:
        erase_user(one.pk, method="self_service")
        connection.check_constraints()
        assert broken_chain() == []


def test_repeated_erasure_writes_nothing(people: tuple[Marked, ...]) -> None:
    erase_user(people[0].pk, method="admin")
    connection.check_constraints()
    before = digests()
    erased = erase_user(people[0].pk, method="admin")
    connection.check_constraints()
    assert (erased.rows, erased.canceled) == (0, [])
    assert digests() == before


def test_second_erasure_removes_and_counts_new_rows(
    people: tuple[Marked, ...],
) -> None:
    one = people[0]
    erase_user(one.pk, method="self_service")
    lead = one.rows["leads"][0]
    lead.notes.create(author=people[1].user, note_encrypted=Plaintext("Ещё одна заметка"))
    lead.identities.create(anonymous_id="visitor-again")
    erased = erase_user(one.pk, method="admin")
    assert erased.counts == {"lead_notes": 1, "lead_identities": 1}
    ledger = ErasureLedgerEntry.objects.filter(subject_id=one.pk).order_by("pk")
    assert [row.method for row in ledger] == ["self_service", "admin"]
    assert ledger[1].counts == erased.counts


@pytest.mark.slow
def test_people_can_be_erased_one_after_the_other(people: tuple[Marked, ...]) -> None:
    for one in people:
        erase_user(one.pk, method="retention")
    for one in people:
        assert search(one.erased_marks()) == []
        assert columns_in(search(one.marks.all())) == KEPT_MARKS


def test_ledger_counts_rows_per_table(people: tuple[Marked, ...]) -> None:
    one = people[0]
    rows = {
        table.name: PersonalRows(one.pk).rows(table).count()  # type: ignore[union-attr]
        for table in tables_of_people()
    }
    erased = erase_user(one.pk, method="admin")
    (entry,) = ErasureLedgerEntry.objects.filter(subject_id=one.pk)
    assert entry.counts == erased.counts
    removed = {table.name for table in tables_of_people() if table.rows_go}
    assert {name: erased.counts[name] for name in removed} == {name: rows[name] for name in removed}


# -- subsets of rows ------------------------------------------------------------------------------


# These rows link the person to other rows, or the database keeps them.
LINKS = {"users", "leads", "appointments", "interactive_runs", "consents"}


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 8))]
)
def test_person_with_any_subset_of_rows_is_erased(seed: int) -> None:
    """Random subsets of rows are deleted before the erasure, which is then repeated."""
    dice = random.Random(seed)
    shared = Shared.made()
    one, other = marked_person(shared), marked_person(shared)
    tried = [table for table in tables_of_people() if table.name not in LINKS]
    for table in dice.sample(tried, k=dice.randrange(1, len(tried))):
        for row in one.rows[table.name]:
            if dice.random() < 0.7:
                # Evidence cannot be deleted.
                with suppress(IntegrityError), transaction.atomic():
                    type(row)._base_manager.filter(pk=row.pk).delete()
                    connection.check_constraints()
    elsewhere = search(other.marks.all())
    erase_user(one.pk, method="admin")
    connection.check_constraints()
    assert search(one.erased_marks()) == []
    assert search(other.marks.all()) == elsewhere
    assert erase_user(one.pk, method="admin").rows == 0
    assert broken_chain() == []
