"""Nothing new is written of an erased person, in any table whose rows belong to people.

The references are the inventory's: a new one without its rule fails here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import IntegrityError, models, transaction

from ebalance.db import triggers
from ebalance.db.inventory import Column, columns
from identity.models import User
from tests.audit.capturing import CHANGE_WAYS, GONE, INSERT_WAYS, UPSERTS
from tests.databases import Database, Databases
from tests.db import catalog
from tests.factories import FACTORIES, UserFactory
from tests.sessions import LEVELS, Session, race
from tests.support import (
    TRIED,
    check_full_clean,
    columns_of,
    execute,
    refuses,
    save_related,
    update_sql,
)
from tests.trying import check_refusal_is_discreet, stored
from tests.verbs import committing

# Evidence of what somebody did, also of what they did before they were erased.
STAYS_WITHOUT = {"audit_log_entries.actor_user_id"}
# What the row needs to carry such a reference, as arguments of its factory.
CARRIES: dict[str, dict[str, Any]] = {
    "interactive_runs": {"of_user": True},
    "lead_identities": {"registered": True},
}

REFERENCES = [
    column
    for column in columns()
    if column.declared.links_person
    and column.field is not None
    and column.field.related_model is User
    and str(column) not in STAYS_WITHOUT
]
each_reference = pytest.mark.parametrize("reference", REFERENCES, ids=str)


def rule_of(reference: Column) -> str:
    return f"{reference.table.name}_{reference.name}_not_erased"


TRIED.update(map(rule_of, REFERENCES))


def row_of(reference: Column, person: User) -> models.Model:
    """A row not yet written that belongs to the person."""
    assert reference.table.model is not None
    assert reference.field is not None
    row = FACTORIES[reference.table.model].build(**CARRIES.get(reference.table.name, {}))
    # Whoever it would have belonged to is not written.
    setattr(row, reference.field.name, person)
    save_related(row)
    return row


@pytest.mark.django_db
def test_every_reference_to_a_person_has_its_rule() -> None:
    found = {
        trigger["name"]: trigger["definition"]
        for trigger in catalog.triggers()
        if trigger["function"] == "refuse_for_erased_person"
    }
    assert set(found) == set(map(rule_of, REFERENCES))
    assert len(REFERENCES) > 10
    for reference in REFERENCES:
        expected = f"BEFORE INSERT OR UPDATE OF {reference.name} ON public.{reference.table.name}"
        assert expected in found[rule_of(reference)]


@pytest.mark.django_db
def test_what_stays_without_is_written_once() -> None:
    for column in columns():
        if str(column) in STAYS_WITHOUT:
            assert column.table.model is not None
            assert triggers.stays_as_written(column.table.model._meta.triggers)


INSERTS = [
    pytest.param(reference, way, id=f"{reference} [{way}]")
    for reference in REFERENCES
    for way in INSERT_WAYS
]
UPDATES = [
    pytest.param(reference, way, id=f"{reference} [{way}]")
    for reference in REFERENCES
    for way in CHANGE_WAYS
    if way not in UPSERTS
]


@pytest.mark.django_db
@pytest.mark.parametrize(("reference", "way"), INSERTS)
def test_no_row_is_added_to_an_erased_person(reference: Column, way: str) -> None:
    row = row_of(reference, UserFactory(deleted=True))
    table = reference.table.name
    before = execute(f'SELECT count(*) FROM "{table}"')
    if way == "save":
        check_full_clean(row, rule_of(reference))
    with refuses(rule_of(reference), table):
        INSERT_WAYS[way](row)
    assert execute(f'SELECT count(*) FROM "{table}"') == before


@pytest.mark.django_db
@pytest.mark.parametrize("person", [{}, {"blocked": True}], ids=["active", "blocked"])
@each_reference
def test_rows_are_added_to_everybody_else(reference: Column, person: dict[str, Any]) -> None:
    row = row_of(reference, UserFactory(**person))
    INSERT_WAYS["sql"](row)
    assert stored(row)[reference.name] is not None


@pytest.mark.django_db
@pytest.mark.parametrize(("reference", "way"), UPDATES)
def test_no_row_is_given_to_an_erased_person(reference: Column, way: str) -> None:
    row = row_of(reference, UserFactory())
    row.save()
    row.refresh_from_db()
    before = stored(row)
    assert reference.table.model is not None
    # Whose they are is frozen in some tables, whoever it is.
    frozen = {
        rule.rule
        for rule in reference.table.model._meta.triggers
        if reference.name in rule.frozen_columns
    }
    gone = UserFactory(deleted=True)
    with pytest.raises(IntegrityError) as caught, transaction.atomic():
        CHANGE_WAYS[way](row, **{reference.name: gone.pk})
    assert caught.value.__cause__.diag.constraint_name in {rule_of(reference), *frozen}
    assert stored(row) == before


@pytest.mark.django_db
@each_reference
def test_what_there_is_of_an_erased_person_may_still_be_written(reference: Column) -> None:
    """By erasure and by retention: of the person nothing new is said."""
    person = UserFactory()
    row = row_of(reference, person)
    row.save()
    row.refresh_from_db()
    update_sql(person, **GONE)
    key = row._meta.pk.column
    update_sql(row, **{reference.name: person.pk, key: row.pk})
    assert stored(row)[reference.name] == person.pk
    row.clean()


@pytest.mark.django_db
@each_reference
def test_the_refusal_tells_nothing_of_the_row(reference: Column) -> None:
    row = row_of(reference, UserFactory(deleted=True))
    check_refusal_is_discreet(
        lambda: INSERT_WAYS["sql"](row),
        rule_of(reference),
        reference.table.name,
        reference.name,
        str(row.pk),
    )


# -- at once --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def database(databases: Databases, django_db_blocker: Any) -> Iterator[Database]:
    """One for all races, which commit: each looks at rows of its own."""
    with django_db_blocker.unblock():
        made = databases.clone()
    yield made
    databases.drop(made.name)


ERASE = f"UPDATE users SET {', '.join(f'{name} = %s' for name in GONE)} WHERE id = %s"


@pytest.fixture
def statements(
    reference: Column, database: Database, django_db_blocker: Any
) -> tuple[User, tuple[Any, ...], tuple[Any, ...]]:
    """A person, the erasure of that person, and a new row of theirs."""
    with committing(database, django_db_blocker):
        person = UserFactory()
        row = row_of(reference, person)
        values = columns_of(row)
    names = ", ".join(f'"{name}"' for name in values)
    marks = ", ".join(["%s"] * len(values))
    insert = f'INSERT INTO "{reference.table.name}" ({names}) VALUES ({marks})'
    return person, (ERASE, *GONE.values(), person.pk), (insert, *values.values())


def rows_of(database: Database, reference: Column, person: User) -> int:
    with database.connect() as session:
        (number,) = session.execute(
            f'SELECT count(*) FROM "{reference.table.name}" WHERE "{reference.name}" = %s',
            [person.pk],
        ).fetchone()
    return number


@pytest.mark.parametrize("level", LEVELS)
@each_reference
def test_a_row_that_comes_during_an_erasure_is_refused(
    reference: Column, database: Database, statements: Any, level: str
) -> None:
    person, erase, insert = statements
    (error,) = race(database, level, erase, insert)
    if error.sqlstate != "40001":  # which asks to be tried again, and then is refused
        assert error.diag.constraint_name == rule_of(reference)
    assert rows_of(database, reference, person) == 0


@each_reference
def test_a_row_waits_for_an_erasure_and_comes_when_that_is_taken_back(
    reference: Column, database: Database, statements: Any
) -> None:
    person, erase, insert = statements
    erasing, writing = (Session(database, "read committed") for _ in range(2))
    try:
        erasing.start(*erase)
        erasing.wait()
        writing.start(*insert)
        assert not writing.wait(0.3)
        erasing.connection.rollback()
        writing.commit()
    finally:
        erasing.close()
        writing.close()
    assert (erasing.error, writing.error) == (None, None)
    assert rows_of(database, reference, person) == 1


@each_reference
def test_an_erasure_waits_for_a_row_that_is_being_written(
    reference: Column, database: Database, statements: Any
) -> None:
    """So that an erasure which locks the person first finds every row there is."""
    person, erase, insert = statements
    writing, erasing = (Session(database, "read committed") for _ in range(2))
    try:
        writing.start(*insert)
        writing.wait()
        erasing.start("SELECT 1 FROM users WHERE id = %s FOR UPDATE", person.pk)
        assert not erasing.wait(0.3)
        writing.commit()
        erasing.wait()
        erasing.start(*erase)
        erasing.commit()
    finally:
        writing.close()
        erasing.close()
    assert (erasing.error, writing.error) == (None, None)
    assert rows_of(database, reference, person) == 1
