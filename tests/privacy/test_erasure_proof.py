"""The proof: a person with a row in every table and a mark in every place is exported, erased, and
then found nowhere; not raw, not opened, not in a restored copy either; all others are as before.
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

# What may be new, or change, though it is nobody's that is erased.
WRITTEN_BY_ERASURE = {"erasure_ledger", "outbox_events", "audit_log_entries"}
# Where the id of the person, and of a lead of theirs, may stand afterwards: it names nobody.
IDS_STAY = {
    "users.id",
    "consents.user_id",
    "review_publication_consents.user_id",
    "erasure_ledger.subject_id",
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


def places(found: list[str]) -> set[str]:
    return {line.split(": ")[0] for line in found}


# -- nothing is left out --------------------------------------------------------------------------


def test_the_person_of_the_proof_has_a_row_in_every_table_and_a_mark_in_every_place(
    people: tuple[Marked, ...],
) -> None:
    for one in people:
        assert unmarked(one) == []
    declared = {column.table.name for column in data_map.columns() if column.privacy != "P0"}
    assert declared <= {table.name for table in tables_of_people()}


def test_the_search_finds_every_mark_before(people: tuple[Marked, ...]) -> None:
    """Raw, sealed, in JSON, as an address, in a signed session: else it would prove nothing."""
    for one in people:
        marks = one.marks.all()
        assert {line.split(": ")[1] for line in search({m: m for m in marks})} == {*marks}
        found = search(marks)
        elsewhere = [line for line in found if len(set(line.split(": "))) == 2]
        # Only what is on purpose the same: the account's contacts, and its browser.
        assert {line.split(": ")[1] for line in elsewhere} == {
            "interactive_runs.anonymous_id",
            "users.email",
            "users.phone",
        }


def test_a_column_that_nobody_marks_makes_the_proof_fail(
    people: tuple[Marked, ...], monkeypatch: Any
) -> None:
    execute("ALTER TABLE reviews ADD headline text")
    review = table_of("reviews")
    headline = models.TextField(db_comment=classification.p1("what it is called"))
    headline.set_attributes_from_name("headline")
    headline.model = review.model
    new = data_map.Column(review, "headline", headline, headline.db_comment)
    monkeypatch.setitem(review.__dict__, "columns", (*review.columns, new))
    assert "reviews.headline" in unmarked(people[0])


def test_a_column_that_erasure_forgets_makes_the_proof_fail(
    people: tuple[Marked, ...], monkeypatch: Any
) -> None:
    field = Lead._meta.get_field("utm")
    forgotten = classification.p0(
        "utm_* of the first visit", erasure=classification.IDENTIFIES_NO_PERSON
    )
    monkeypatch.setattr(field, "db_comment", forgotten)
    leads = table_of("leads")
    monkeypatch.delitem(leads.__dict__, "columns")  # as it was declared before
    erase_user(people[0].pk, method="admin")
    assert search(people[0].gone()) == ["leads.utm: leads.utm"]


def test_a_column_that_only_the_database_has_makes_the_proof_fail(
    people: tuple[Marked, ...],
) -> None:
    one = people[0]
    mark = one.marks.text("reviews.headline")
    execute("ALTER TABLE reviews ADD headline text")
    execute("UPDATE reviews SET headline = %s WHERE user_id = %s", [mark, one.pk])
    erase_user(one.pk, method="admin")
    assert search(one.gone()) == ["reviews.headline: reviews.headline"]


def test_a_field_without_a_declaration_stops_the_erasure_before_it_begins(
    people: tuple[Marked, ...], monkeypatch: Any
) -> None:
    field, leads = Lead._meta.get_field("utm"), table_of("leads")
    monkeypatch.setattr(field, "db_comment", "utm_* of the first visit")
    monkeypatch.delitem(leads.__dict__, "columns")
    before = digests()
    with pytest.raises(Undeclared, match=r"leads\.utm has no privacy class"):
        erase_user(people[0].pk, method="admin")
    assert digests() == before


def test_a_personal_column_without_a_way_from_a_person_makes_the_proof_fail(
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


def test_every_undeclared_copy_is_found(people: tuple[Marked, ...]) -> None:
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
    found = places(search(people[0].gone()))
    assert {place.split(".")[0] for place in found} == {*names}


# -- export ---------------------------------------------------------------------------------------


def test_the_export_has_every_mark_that_is_theirs_to_see_and_none_of_the_others(
    people: tuple[Marked, ...],
) -> None:
    exported = {str(column) for column in data_map.columns() if column.in_export}
    for one in people:
        text = render_json(export_user_data(one.pk, clock=lambda: ago(days=0))).decode()
        missing = {place for mark, place in one.marks.all().items() if mark not in text}
        assert missing == set(one.marks.placed) - exported
        for other in people:
            if other is not one:
                assert [mark for mark in other.marks.all() if mark in text] == []


def test_what_export_finds_erasure_removes(people: tuple[Marked, ...]) -> None:
    """Symmetry: of each exported column, either nothing is found any more or it is said to stay."""
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


def test_after_erasure_no_mark_is_found(people: tuple[Marked, ...]) -> None:
    one, *others = people
    before = [search(other.marks.all()) for other in others]
    erased = erase_user(one.pk, method="admin")
    connection.check_constraints()
    assert search(one.gone()) == []
    # What is kept on purpose, and where the database says so.
    assert places(search(one.marks.all())) == KEPT_MARKS
    for place in KEPT_MARKS:
        column = next(c for c in data_map.columns() if str(c) == place)
        assert column.erasure == classification.ACCOUNTING
    assert [search(other.marks.all()) for other in others] == before
    assert {table.name for table in tables_of_people()} - set(erased.counts) == {"payments"}


def test_nobody_else_is_touched(people: tuple[Marked, ...]) -> None:
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
    # And of these, what was there before is as it was.
    assert not (changed - theirs) & before.keys()


def test_only_ids_that_name_nobody_are_left(people: tuple[Marked, ...]) -> None:
    one = people[0]
    lead = one.rows["leads"][0]
    erase_user(one.pk, method="admin")
    connection.check_constraints()
    assert places(search({str(one.pk): "id"})) == IDS_STAY
    assert places(search({str(lead.pk): "id"})) == LEAD_IDS_STAY
    row = User.objects.get(pk=one.pk)
    assert (row.status, row.timezone, row.last_login, row.password) == ("deleted", None, None, "")


def test_the_audit_log_still_verifies(people: tuple[Marked, ...]) -> None:
    assert broken_chain() == []
    for one in people:
        erase_user(one.pk, method="self_service")
        connection.check_constraints()
        assert broken_chain() == []


def test_again_finds_nothing_and_writes_nothing(people: tuple[Marked, ...]) -> None:
    erase_user(people[0].pk, method="admin")
    connection.check_constraints()
    before = digests()
    erased = erase_user(people[0].pk, method="admin")
    connection.check_constraints()
    assert (erased.rows, erased.canceled) == (0, [])
    assert digests() == before


def test_a_second_erasure_removes_what_has_come_since_and_says_so(
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
def test_all_of_them_can_be_erased_one_after_the_other(people: tuple[Marked, ...]) -> None:
    for one in people:
        erase_user(one.pk, method="retention")
    for one in people:
        assert search(one.gone()) == []
        assert places(search(one.marks.all())) == KEPT_MARKS


def test_the_ledger_says_how_many_rows_of_which_tables(people: tuple[Marked, ...]) -> None:
    one = people[0]
    rows = {
        table.name: PersonalRows(one.pk).rows(table).count()  # type: ignore[union-attr]
        for table in tables_of_people()
    }
    erased = erase_user(one.pk, method="admin")
    (entry,) = ErasureLedgerEntry.objects.filter(subject_id=one.pk)
    assert entry.counts == erased.counts
    going = {table.name for table in tables_of_people() if table.rows_go}
    assert {name: erased.counts[name] for name in going} == {name: rows[name] for name in going}


# -- some of it -----------------------------------------------------------------------------------


# By these it is known what else is theirs; or the database keeps them.
LINKS = {"users", "leads", "appointments", "interactive_runs", "consents"}


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 8))]
)
def test_whatever_a_person_has_of_it_nothing_is_left(seed: int) -> None:
    """Random subsets of rows, removed before; then an erasure, and again."""
    dice = random.Random(seed)
    shared = Shared.made()
    one, other = marked_person(shared), marked_person(shared)
    tried = [table for table in tables_of_people() if table.name not in LINKS]
    for table in dice.sample(tried, k=dice.randrange(1, len(tried))):
        for row in one.rows[table.name]:
            if dice.random() < 0.7:
                # Evidence stays, whoever asks for it.
                with suppress(IntegrityError), transaction.atomic():
                    type(row)._base_manager.filter(pk=row.pk).delete()
                    connection.check_constraints()
    elsewhere = search(other.marks.all())
    erase_user(one.pk, method="admin")
    connection.check_constraints()
    assert search(one.gone()) == []
    assert search(other.marks.all()) == elsewhere
    assert erase_user(one.pk, method="admin").rows == 0
    assert broken_chain() == []
