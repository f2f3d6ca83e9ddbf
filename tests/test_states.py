"""The state machines: of all pairs of states, exactly the listed transitions are possible.

The tables below transcribe the specification; these tests read nothing from the models.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Any

import factory
import pytest
from django.core.exceptions import ValidationError
from django.db import connection, models
from django.db.models.expressions import DatabaseDefault

from tests.audit.audit_cases import CHANGE_PATHS, INSERT_PATHS, UPSERTS
from tests.db import catalog
from tests.db.data_model import CLOSED_SETS
from tests.factories import FACTORIES, EntityFactory
from tests.factories.base import ago
from tests.support import breaks, case_loop, execute, insert_sql, refuses, rolled_back, save_related

pytestmark = pytest.mark.django_db

PUBLISHED = "draft→published, published→archived, published→draft, archived→draft"
ANY = "any→any"
MOVES = {
    "appointments": "pending_payment→paid, pending_payment→canceled, paid→confirmed, "
    "paid→canceled, confirmed→canceled, confirmed→rescheduled, confirmed→completed",
    "payments": "pending→succeeded, pending→canceled, pending→failed",
    "refunds": "due→sent, due→succeeded, sent→succeeded, sent→failed, failed→sent, "
    "failed→succeeded, due→failed",
    "availability_slots": "available→withdrawn, withdrawn→available, available→reserved, "
    "reserved→available, available→blocked, blocked→available",
    "waitlist_requests": "new→contacted, new→closed, contacted→closed",
    "intake_forms": "draft→submitted",
    "anonymous_questions": "pending→flagged, pending→approved, pending→rejected, "
    "flagged→approved, flagged→rejected, approved→flagged, approved→answered",
    "reviews": "draft→pending, pending→published, pending→unpublished, published→unpublished, "
    "unpublished→published",
    "content_items": "draft→review, review→draft, draft→published, review→published, "
    "published→archived, published→draft, archived→draft",
    "curated_collections": PUBLISHED,
    "glossary_terms": PUBLISHED,
    "services": PUBLISHED,
    "interactive_definitions": PUBLISHED,
    "interactive_runs": "in_progress→completed, in_progress→abandoned",
    "data_export_requests": "requested→processing, processing→ready, processing→failed, "
    "requested→failed",
    "erasure_requests": "requested→done, requested→refused",
    "message_templates": "draft→active, active→archived, archived→active, active→draft",
    "users": "active→blocked, blocked→active, active→deleted, blocked→deleted",
    "leads": ANY,
}
# "A row may be inserted in any state its own checks allow, except":
INITIAL = {
    # Those taken by staff succeeded: tests/booking/test_manual_payments.py.
    "payments": {"pending"},
    "refunds": {"due", "succeeded"},
    "waitlist_requests": {"new"},
    "data_export_requests": {"requested"},
    "erasure_requests": {"requested"},
    "anonymous_questions": {"pending", "flagged"},
    "reviews": {"draft", "pending"},
    # Or confirmed, if free of charge or the successor of a rescheduled one: tests/booking.
    "appointments": {"pending_payment", "confirmed"},
}
# Never changes once set.
KEPT = {
    ("anonymous_questions", "moderated_at"),
    ("payments", "provider_payment_id"),
    ("refunds", "provider_refund_id"),
    ("waitlist_requests", "closed_at"),
}

# Its status is that of the counted runs.
WITHOUT_A_LIFE = {"interactive_run_totals"}
STATES = {
    c.table: c.members for c in CLOSED_SETS if c.name == "status" and c.table not in WITHOUT_A_LIFE
}
PAIRS = [
    (table, old, new)
    for table, states in STATES.items()
    for old, new in itertools.permutations(states, 2)
]


def is_listed(table: str, old: str, new: str) -> bool:
    return MOVES[table] == ANY or f"{old}→{new}" in MOVES[table].split(", ")


def moves_of(table: str, *, listed: bool) -> list[tuple[str, str]]:
    return [(old, new) for t, old, new in PAIRS if t == table and is_listed(t, old, new) == listed]


def starts_of(table: str, *, allowed: bool) -> list[str]:
    return [state for state in STATES[table] if may_start(table, state) == allowed]


def may_start(table: str, state: str) -> bool:
    return state in INITIAL.get(table, {state})


each_table = pytest.mark.parametrize("table", STATES)
each_machine = pytest.mark.parametrize("table", [t for t in STATES if moves_of(t, listed=False)])
# An upsert tries to insert the row first, and the rule of the first state would refuse that.
TRANSITION_PATHS = {
    name: write_path for name, write_path in CHANGE_PATHS.items() if name not in UPSERTS
}


def factory_of(table: str) -> type[EntityFactory]:
    return FACTORIES[catalog.model_of(table)]


def in_state(table: str, state: str) -> dict[str, Any]:
    """The factory's arguments for a row in ``state``."""
    trait = factory_of(table)._meta.parameters.get(state)
    values = {state: True} if isinstance(trait, factory.Trait) else {"status": state}
    if table == "appointments":  # in the past, so that it may be completed
        values["start_at_utc"] = ago(days=3)
    if table == "availability_slots":  # only a slot of a rule is withdrawn
        values["from_rule"] = True
    return values


def row_in(table: str, state: str) -> models.Model:
    row = factory_of(table)(**in_state(table, state))
    connection.check_constraints()
    row.refresh_from_db()
    assert row.status == state
    return row


def fitting(row: models.Model, state: str) -> dict[str, Any]:
    """``state`` with the other columns of a row in that state.

    These are the columns that are empty in only one of the states, and the closed sets.
    """
    table = row._meta.db_table
    target = factory_of(table).build(**in_state(table, state))
    sets = {c.name for c in CLOSED_SETS if c.table == table and not c.is_array}
    changes = {}
    for f in row._meta.concrete_fields:
        old, new = getattr(row, f.attname), getattr(target, f.attname)
        if isinstance(new, DatabaseDefault) or ((table, f.column) in KEPT and old is not None):
            continue
        if (old is None) != (new is None) or (f.column in sets and old != new):
            changes[f.attname] = new
    assert changes["status"] == state
    # Rows that the state requires: a version, an answer, a consent.
    factory_of(table).before_move(row, changes)
    return changes


def rows_with_moves(table: str, *, listed: bool) -> Iterator[tuple[models.Model, str, list[str]]]:
    """A row in each state and its allowed (or refused) next states; one row at a time."""
    for old in STATES[table]:
        if targets := [new for start, new in moves_of(table, listed=listed) if start == old]:
            with rolled_back():
                yield row_in(table, old), old, targets


def write(row: models.Model, changes: dict[str, Any], write_path: str = "sql") -> None:
    TRANSITION_PATHS[write_path](row, **changes)
    connection.check_constraints()


def assign(row: models.Model, changes: dict[str, Any]) -> None:
    for name, value in changes.items():
        setattr(row, name, value)


def stored(row: models.Model) -> list[dict[str, Any]]:
    return execute(f"SELECT * FROM {row._meta.db_table} WHERE id = %s", [row.pk])


def assert_refused_in_russian(row: models.Model, rule: str, *, everything: bool = True) -> None:
    """``full_clean()`` refuses the row; without ``everything`` only its triggers are checked."""
    with pytest.raises(ValidationError) as caught:
        row.full_clean() if everything else row.clean()
    errors = [e for e in caught.value.error_dict.get("status", ()) if e.code == rule]
    assert errors, caught.value
    assert re.search("[а-яё]{3}", " ".join(errors[0].messages))


def test_every_status_has_its_machine() -> None:
    assert set(STATES) == set(MOVES)
    for table, moves in MOVES.items():
        named = set(re.findall(r"\w+", moves)) - {"any"}
        assert named <= set(STATES[table]), table
        assert moves == ANY or named == set(STATES[table])
    assert all(states <= set(STATES[table]) for table, states in INITIAL.items())


@each_table
def test_listed_transitions_are_accepted(table: str) -> None:
    _first, *others = moves_of(table, listed=True)  # full_clean() is slow: once for each table
    with case_loop() as case:
        for row, old, targets in rows_with_moves(table, listed=True):
            for new in targets:
                with case(f"{old}→{new}"):
                    row.refresh_from_db()
                    changes = fitting(row, new)
                    assign(row, changes)
                    row.clean() if (old, new) in others else row.full_clean()
                    write(row, changes)
                    assert stored(row)[0]["status"] == new


@breaks(*(f"{table}_status_transition" for table in MOVES if MOVES[table] != ANY))
@each_machine
def test_unlisted_transitions_are_refused(table: str) -> None:
    """Refused alone, and with the other columns of the new state."""
    rule = f"{table}_status_transition"
    _first, *others = moves_of(table, listed=False)
    with case_loop() as case:
        for row, old, targets in rows_with_moves(table, listed=False):
            for new in targets:
                with case(f"{old}→{new}"):
                    row.refresh_from_db()
                    before = stored(row)
                    changes = fitting(row, new)
                    with refuses(rule, table):
                        write(row, {"status": new})
                    with refuses(rule, table):
                        write(row, changes)
                    assert stored(row) == before
                    assign(row, changes)
                    assert_refused_in_russian(row, rule, everything=(old, new) not in others)


@pytest.mark.parametrize("alone", [True, False], ids=["status alone", "with what fits"])
@pytest.mark.parametrize("write_path", TRANSITION_PATHS)
def test_every_write_path_meets_the_transition_rule(write_path: str, alone: bool) -> None:
    """One trigger serves every table; appointments have the most dependent columns."""
    row = row_in("appointments", "paid")
    before = stored(row)
    changes = {"status": "completed"} if alone else fitting(row, "completed")
    with refuses("appointments_status_transition", "appointments"):
        write(row, changes, write_path)
    assert stored(row) == before
    row.refresh_from_db()
    write(row, fitting(row, "confirmed"), write_path)
    assert stored(row)[0]["status"] == "confirmed"


@each_table
def test_same_status_is_no_transition(table: str) -> None:
    with case_loop() as case:
        for state in STATES[table]:
            with case(state):
                row = row_in(table, state)
                write(row, {"status": state})
                assert stored(row)[0]["status"] == state
                row.clean()


@pytest.mark.parametrize("write_path", TRANSITION_PATHS)
def test_every_write_path_may_repeat_the_status(write_path: str) -> None:
    row = row_in("appointments", "completed")
    write(row, {"status": "completed"}, write_path)
    assert stored(row)[0]["status"] == "completed"


def new_row(table: str, state: str) -> models.Model:
    row = factory_of(table).build(**in_state(table, state))
    save_related(row)
    return row


@each_table
def test_row_starts_in_each_allowed_state(table: str) -> None:
    with case_loop() as case:
        for state in starts_of(table, allowed=True):
            if (table, state) == ("appointments", "confirmed"):  # tests/booking
                continue
            with case(state):
                row = new_row(table, state)
                # The version that it names is written later in the transaction.
                execute("SET CONSTRAINTS ALL DEFERRED")
                insert_sql(row)
                values = {f.attname: getattr(row, f.attname) for f in row._meta.fields}
                factory_of(table).before_move(row, values)
                connection.check_constraints()
                assert stored(row)[0]["status"] == state


@breaks(*(f"{table}_status_initial" for table in INITIAL))
@pytest.mark.parametrize("table", INITIAL)
def test_row_starts_in_no_other_state(table: str) -> None:
    rule = f"{table}_status_initial"
    with case_loop() as case:
        for state in starts_of(table, allowed=False):
            with case(state):
                row = new_row(table, state)
                with refuses(rule, table):
                    insert_sql(row)
                assert stored(row) == []
                assert_refused_in_russian(row, rule)


@pytest.mark.parametrize("write_path", INSERT_PATHS)
def test_every_write_path_meets_the_rule_of_the_first_state(write_path: str) -> None:
    row = new_row("appointments", "completed")
    with refuses("appointments_status_initial", "appointments"):
        INSERT_PATHS[write_path](row)
    assert stored(row) == []
    row = new_row("appointments", "pending_payment")
    INSERT_PATHS[write_path](row)
    assert stored(row)[0]["status"] == "pending_payment"
