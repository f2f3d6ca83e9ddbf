"""No table with rows of people accepts a new row of an erased person.

The references are those of the declarations: a new one without its rule fails.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import IntegrityError, models, transaction

from ebalance.db import triggers
from ebalance.db.schema.data_map import Column
from identity.models import User
from tests.advice import advises, declared_columns, of_column, of_rule
from tests.audit.audit_cases import CHANGE_PATHS, DELETED_USER, INSERT_PATHS, UPSERTS
from tests.databases import Database
from tests.db import catalog
from tests.factories import FACTORIES, UserFactory
from tests.rule_cases import check_refusal_is_discreet, stored
from tests.services import committing
from tests.sessions import LEVELS, Session, race
from tests.support import (
    TESTED_RULES,
    case_loop,
    check_full_clean,
    columns_of,
    execute,
    refuses,
    save_related,
    update_sql,
)

# Evidence of the acts of a person, including acts before the erasure.
STAYS_WITHOUT = {"audit_log_entries.actor_user_id"}
# Factory arguments that a row with such a reference needs.
CARRIES: dict[str, dict[str, Any]] = {
    "interactive_runs": {"of_user": True},
    "lead_identities": {"registered": True},
}

REFERENCES = [
    column
    for column in declared_columns()
    if column.declared.links_person
    and column.field is not None
    and column.field.related_model is User
    and str(column) not in STAYS_WITHOUT
]
each_reference = pytest.mark.parametrize("reference", REFERENCES, ids=str)


def rule_of(reference: Column) -> str:
    return f"{reference.table.name}_{reference.name}_not_erased"


TESTED_RULES.update(map(rule_of, REFERENCES))


def row_of(reference: Column, person: User) -> models.Model:
    """An unsaved row that belongs to the person."""
    assert reference.table.model is not None
    assert reference.field is not None
    row = FACTORIES[reference.table.model].build(**CARRIES.get(reference.table.name, {}))
    # The default owner of the row is not saved.
    setattr(row, reference.field.name, person)
    save_related(row)
    return row


@pytest.mark.django_db
@advises
def test_every_reference_to_a_person_has_its_rule() -> Iterator[str]:
    by_name = {
        trigger["name"]: trigger
        for trigger in catalog.triggers()
        if trigger["function"] == "refuse_for_erased_person"
    }
    assert len(REFERENCES) > 10
    for name in by_name.keys() - {*map(rule_of, REFERENCES)}:
        yield of_rule(by_name[name]["table"], name)(
            "declare of_person() beside the reference, or remove the trigger",
            "the column does not link a person",
        )
    for reference in REFERENCES:
        expected = f"AFTER INSERT OR UPDATE OF {reference.name} ON public.{reference.table.name}"
        if expected not in by_name.get(rule_of(reference), {}).get("definition", ""):
            yield of_column(reference.table.name, reference.name)(
                "make a RestrictForeignKey, which brings triggers.not_erased() along, of",
                f"the trigger {rule_of(reference)} is not `{expected}`",
            )


@pytest.mark.django_db
def test_reference_without_its_rule_is_named_with_its_file() -> None:
    before = {*test_every_reference_to_a_person_has_its_rule.__wrapped__()}
    execute("DROP TRIGGER appointments_client_user_id_not_erased ON appointments")
    (line,) = {*test_every_reference_to_a_person_has_its_rule.__wrapped__()} - before
    assert line.startswith("booking/models/appointments.py:")
    assert (
        "make a RestrictForeignKey, which brings triggers.not_erased() along, "
        "of `Appointment.client`" in line
    )


@pytest.mark.django_db
@advises
def test_tables_without_the_rule_are_never_updated() -> Iterator[str]:
    for column in declared_columns():
        if str(column) in STAYS_WITHOUT:
            assert column.table.model is not None
            if not triggers.is_immutable(column.table.model._meta.triggers):
                yield of_column(column.table.name, column.name)(
                    "remove from STAYS_WITHOUT in tests/db/test_not_erased.py, or freeze,",
                    "the table has no *_immutable rule",
                )


def check_insert_is_refused(reference: Column, write_path: str) -> None:
    row = row_of(reference, UserFactory(deleted=True))
    table = reference.table.name
    before = execute(f'SELECT count(*) FROM "{table}"')
    if write_path == "save":
        check_full_clean(row, rule_of(reference))
    with refuses(rule_of(reference), table):
        INSERT_PATHS[write_path](row)
    assert execute(f'SELECT count(*) FROM "{table}"') == before


def frozen_by(reference: Column) -> set[str]:
    """The rules that never let the person of a row change, erased or not."""
    assert reference.table.model is not None
    declared = reference.table.model._meta.triggers
    return {rule.rule for rule in declared if reference.name in rule.frozen_columns}


def check_update_is_refused(reference: Column, write_path: str) -> None:
    row = row_of(reference, UserFactory())
    row.save()
    row.refresh_from_db()
    before = stored(row)
    gone = UserFactory(deleted=True)
    with pytest.raises(IntegrityError) as caught, transaction.atomic():
        CHANGE_PATHS[write_path](row, **{reference.name: gone.pk})
    assert caught.value.__cause__.diag.constraint_name in {
        rule_of(reference),
        *frozen_by(reference),
    }
    assert stored(row) == before


def check_insert_for_others(reference: Column, person: User) -> None:
    row = row_of(reference, person)
    INSERT_PATHS["sql"](row)
    assert stored(row)[reference.name] is not None


def check_old_row_may_be_written(reference: Column) -> None:
    """Erasure and retention update rows of an erased person without changing the person."""
    person = UserFactory()
    row = row_of(reference, person)
    row.save()
    row.refresh_from_db()
    update_sql(person, **DELETED_USER)
    key = row._meta.pk.column
    update_sql(row, **{reference.name: person.pk, key: row.pk})
    assert stored(row)[reference.name] == person.pk
    row.clean()


def check_refusal_holds_nothing_of_the_row(reference: Column) -> None:
    row = row_of(reference, UserFactory(deleted=True))
    check_refusal_is_discreet(
        lambda: INSERT_PATHS["sql"](row),
        rule_of(reference),
        reference.table.name,
        reference.name,
        str(row.pk),
    )


@pytest.mark.django_db
@each_reference
def test_reference_to_an_erased_person_is_refused(reference: Column) -> None:
    with case_loop() as case:
        for write_path in ("sql", "save"):
            with case(f"insert by {write_path}"):
                check_insert_is_refused(reference, write_path)
        with case("update"):
            check_update_is_refused(reference, "sql")
        with case("insert for an active person"):
            check_insert_for_others(reference, UserFactory())
        with case("insert for a blocked person"):
            check_insert_for_others(reference, UserFactory(blocked=True))
        with case("update of an old row"):
            check_old_row_may_be_written(reference)
        with case("text of the refusal"):
            check_refusal_holds_nothing_of_the_row(reference)


# One function refuses for all tables. No other rule of this table freezes the person.
AWKWARD = next(c for c in REFERENCES if str(c) == "appointments.client_user_id")
assert not frozen_by(AWKWARD)


@pytest.mark.django_db
@pytest.mark.parametrize("write_path", INSERT_PATHS)
def test_every_insert_meets_the_rule(write_path: str) -> None:
    check_insert_is_refused(AWKWARD, write_path)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "write_path", [write_path for write_path in CHANGE_PATHS if write_path not in UPSERTS]
)
def test_every_update_meets_the_rule(write_path: str) -> None:
    check_update_is_refused(AWKWARD, write_path)


# -- concurrency ----------------------------------------------------------------------------------


ERASE = f"UPDATE users SET {', '.join(f'{name} = %s' for name in DELETED_USER)} WHERE id = %s"


@pytest.fixture
def statements(
    module_database: Database, django_db_blocker: Any
) -> tuple[User, tuple[Any, ...], tuple[Any, ...]]:
    """A person, the statement that erases the person, and one that inserts a row of the person."""
    with committing(module_database, django_db_blocker):
        person = UserFactory()
        row = row_of(AWKWARD, person)
        values = columns_of(row)
    names = ", ".join(f'"{name}"' for name in values)
    marks = ", ".join(["%s"] * len(values))
    insert = f'INSERT INTO "{AWKWARD.table.name}" ({names}) VALUES ({marks})'
    return person, (ERASE, *DELETED_USER.values(), person.pk), (insert, *values.values())


def rows_of(database: Database, person: User) -> int:
    with database.connect() as session:
        (number,) = session.execute(
            f'SELECT count(*) FROM "{AWKWARD.table.name}" WHERE "{AWKWARD.name}" = %s',
            [person.pk],
        ).fetchone()
    return number


def wait_until_blocked(database: Database, session: Session) -> None:
    """Wait until another session blocks this one; the limit only ends a hang."""
    with database.connect(autocommit=True) as observer:
        end = time.monotonic() + 60
        ask = "SELECT cardinality(pg_blocking_pids(%s)) > 0"
        while observer.execute(ask, [session.connection.info.backend_pid]).fetchone() != (True,):
            assert not session.wait(0.01), "the statement was not blocked"
            assert time.monotonic() < end, "the statement neither ends nor waits for a lock"


@pytest.mark.parametrize("level", LEVELS)
def test_row_written_during_an_erasure_is_refused(
    module_database: Database, statements: Any, level: str
) -> None:
    person, erase, insert = statements
    (error,) = race(module_database, level, erase, insert)
    assert error.diag.constraint_name == rule_of(AWKWARD)
    assert rows_of(module_database, person) == 0


def test_row_waits_for_an_erasure_that_is_rolled_back(
    module_database: Database, statements: Any
) -> None:
    person, erase, insert = statements
    erasing, writing = (Session(module_database, "read committed") for _ in range(2))
    try:
        erasing.start(*erase)
        erasing.wait()
        writing.start(*insert)
        wait_until_blocked(module_database, writing)
        erasing.connection.rollback()
        writing.commit()
    finally:
        erasing.close()
        writing.close()
    assert (erasing.error, writing.error) == (None, None)
    assert rows_of(module_database, person) == 1


def test_erasure_waits_for_a_row_that_is_being_written(
    module_database: Database, statements: Any
) -> None:
    """An erasure that locks the person first therefore sees every row."""
    person, erase, insert = statements
    writing, erasing = (Session(module_database, "read committed") for _ in range(2))
    try:
        writing.start(*insert)
        writing.wait()
        erasing.start("SELECT 1 FROM users WHERE id = %s FOR UPDATE", person.pk)
        wait_until_blocked(module_database, erasing)
        writing.commit()
        erasing.wait()
        erasing.start(*erase)
        erasing.commit()
    finally:
        writing.close()
        erasing.close()
    assert (erasing.error, writing.error) == (None, None)
    assert rows_of(module_database, person) == 1
