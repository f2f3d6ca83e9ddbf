"""Backfills as migrations declare them: arguments, names, no effect, and whether they are done."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import ProgrammingError, connection, migrations
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import ProjectState
from django.db.migrations.writer import MigrationWriter

from ebalance.db import backfills, walks
from ebalance.db.backfills import BackfillError, Job, declared_backfills, is_done, remaining
from ebalance.db.operations import Backfill
from tests.backfilling import (
    FILL,
    NAME,
    NO_OTHER_BACKFILLS,
    PACKAGE,
    make_things,
    write_migration,
)
from tests.support import execute


def job(**values: Any) -> Job:
    given = {
        "name": NAME,
        "app_label": "booking",
        "migration": "0399_things",
        "table": "things",
        "set": "new = old",
        "where": "new IS NULL",
        "batch": 1000,
    }
    return Job(**{**given, **values})


@pytest.fixture
def declare(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable]:
    """Write a migration of booking with these operations, and read the backfills."""

    def forget() -> None:
        for name in [name for name in sys.modules if name.split(".")[0] == PACKAGE]:
            del sys.modules[name]

    def read(*operations: str) -> dict[str, Job]:
        forget()
        write_migration(tmp_path, *operations)
        settings.MIGRATION_MODULES = {"booking": PACKAGE, **NO_OTHER_BACKFILLS}
        jobs = declared_backfills(MigrationLoader(None))
        return {name: job for name, job in jobs.items() if job.app_label == "booking"}

    monkeypatch.syspath_prepend(str(tmp_path))
    yield read
    forget()


# -- the operation --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, None),
        ({"name": "service_modes", "batch": 10_000}, None),
        ({"where": "old LIKE 'a%'"}, None),
        ({"table": ""}, "table is empty"),
        ({"set": " "}, "set is empty"),
        ({"where": ""}, "where is empty"),
        ({"where": None}, "where is empty"),
        ({"name": ""}, "name is empty"),
        ({"set": "new = old; DROP TABLE things"}, "set has a semicolon"),
        ({"where": "true;"}, "where has a semicolon"),
        ({"batch": 0}, "batch is a number of rows from 1 to 10,000"),
        ({"batch": 10_001}, "batch is a number of rows from 1 to 10,000"),
    ],
)
def test_arguments_of_a_backfill_are_checked(changes: dict[str, Any], message: str | None) -> None:
    given = {"table": "things", "set": "new = old", "where": "new IS NULL", **changes}
    if message is None:
        assert Backfill(given.pop("table"), **given).where == given["where"]
        return
    with pytest.raises(ValueError, match=f"^Backfill: {re.escape(message)}"):
        Backfill(given.pop("table"), **given)


def test_backfill_is_written_into_a_migration_and_read_back() -> None:
    given = {"table": "things", "set": "new = old", "where": "new IS NULL"}
    operation = Backfill(**given, batch=7, name="things")
    migration = type("Migration", (migrations.Migration,), {"operations": [operation]})
    text = MigrationWriter(migration("0399_things", "booking")).as_string()
    names: dict[str, Any] = {}
    exec(compile(text, "0399_things.py", "exec"), names)
    (read,) = names["Migration"].operations
    assert read.deconstruct() == operation.deconstruct()
    assert (read.table, read.set, read.where) == ("things", "new = old", "new IS NULL")
    assert (read.batch, read.name) == (7, "things")
    assert operation.describe() == "Declare a backfill of things: new = old"


@pytest.mark.django_db
def test_migration_with_a_backfill_changes_nothing() -> None:
    make_things(connection.cursor(), rows=2)
    operation = Backfill("things", set="new = old", where="new IS NULL")
    state = ProjectState()
    operation.state_forwards("booking", state)
    assert state.models == {}
    with connection.schema_editor(collect_sql=True) as editor:
        operation.database_forwards("booking", editor, state, state)
        operation.database_backwards("booking", editor, state, state)
    assert editor.collected_sql == []
    assert execute("SELECT new FROM things") == [{"new": None}] * 2


# -- the registry ---------------------------------------------------------------------------------


def test_backfills_are_read_from_the_files(declare: Callable) -> None:
    second = FILL.format(', batch=5, name="later"')
    assert declare(FILL.format(""), second) == {
        NAME: job(),
        "later": job(name="later", batch=5),
    }
    assert declare("migrations.RunSQL('SELECT 1')") == {}


def test_two_backfills_of_one_name_are_refused(declare: Callable) -> None:
    with pytest.raises(BackfillError) as caught:
        declare(FILL.format(""), FILL.format(""))
    assert str(caught.value) == (
        "Two backfills are named booking.0399_things, in booking.0399_things and "
        "booking.0399_things: give one of them another name=."
    )


# -- whether it is done ---------------------------------------------------------------------------


@pytest.mark.django_db
def test_job_is_done_when_no_row_is_left() -> None:
    make_things(connection.cursor(), rows=3)
    assert (is_done(job(), connection), remaining(job())) == (False, 3)
    execute("UPDATE things SET new = old WHERE old > 1")
    assert (is_done(job(), connection), remaining(job())) == (False, 1)
    execute("UPDATE things SET new = old")
    assert (is_done(job(), connection), remaining(job())) == (True, 0)
    # NULL is not true: such a row needs nothing.
    execute("UPDATE things SET new = NULL")
    assert is_done(job(where="new > 0"), connection)
    assert not is_done(job(where="old::text LIKE '1%'"), connection)


@pytest.mark.django_db
def test_check_ends_at_a_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def keep(execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
        seen.append((sql, params))
        return execute(sql, params, many, context)

    make_things(connection.cursor(), rows=1)
    with connection.execute_wrapper(keep):
        is_done(job(), connection)
    limits = [position for position, (sql, _) in enumerate(seen) if "set_config" in sql]
    checks = [position for position, (sql, _) in enumerate(seen) if "EXISTS" in sql]
    assert limits < checks
    assert seen[limits[0]][1] == ["lock_timeout", "5s", "statement_timeout", "60s"]
    monkeypatch.setitem(backfills.CHECK_LIMITS, "statement_timeout", "20ms")
    with pytest.raises(Exception, match="statement timeout"):
        is_done(job(where="pg_sleep(60) IS NULL"), connection)


@pytest.mark.django_db
@pytest.mark.parametrize("changes", [{"where": "missing IS NULL"}, {"table": "missing"}])
def test_job_of_a_dropped_column_is_obsolete(changes: dict[str, str]) -> None:
    make_things(connection.cursor(), rows=1)
    assert not backfills.is_obsolete(job())
    assert backfills.is_obsolete(job(**changes))
    with pytest.raises(ProgrammingError, match="does not exist"):
        is_done(job(**changes), connection)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("keys", "accepted"),
    [
        ("a bigint PRIMARY KEY", True),
        ("a smallint PRIMARY KEY", True),
        ("a text PRIMARY KEY", True),
        ("a varchar(40) PRIMARY KEY", True),
        ("a uuid PRIMARY KEY", True),
        ("a integer UNIQUE", False),
        ("a integer, b integer, PRIMARY KEY (a, b)", False),
        ("a timestamptz PRIMARY KEY", False),
    ],
)
def test_key_of_a_table_can_be_stored_as_text(keys: str, accepted: bool) -> None:
    execute(f"CREATE TABLE keyed ({keys})")
    if accepted:
        assert backfills.key_of("keyed")[0] == "a"
        return
    with pytest.raises(BackfillError, match=r"^keyed has no primary key of one column"):
        backfills.key_of("keyed")


# -- the walk -------------------------------------------------------------------------------------


def walk(**options: Any) -> backfills.BackfillWalk:
    changes = options.pop("job", {})
    given = {"batch": 10, "patience": 0.0, "max_lag": 1 << 60, "report": print}
    made = backfills.BackfillWalk(job(**changes), **{**given, **options})
    made.begin()
    made.run()
    made.end()
    return made


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("kind", "key"),
    [
        ("uuid", "public.uuid7()"),
        ("bigint", "n * 7"),
        ("smallint", "n"),
        ("text", "'code_' || n"),
        ("varchar(20)", "'code.' || n"),
    ],
)
def test_rows_of_every_kind_of_key_are_filled(kind: str, key: str) -> None:
    execute(f'CREATE TABLE keyed (key {kind} PRIMARY KEY, "100%" integer, new integer)')
    execute(f"INSERT INTO keyed SELECT {key}, n FROM generate_series(1, 57) AS n")
    filled = {
        "table": "keyed",
        "set": 'new = "100%" % 1000',
        "where": "new IS NULL AND '5%' LIKE '5%'",
    }
    made = walk(job=filled)
    assert (made.done, made.left, made.refused) == (57, 0, {})
    assert execute('SELECT FROM keyed WHERE new IS DISTINCT FROM "100%"') == []
    (stored,) = execute(
        "SELECT rows_done, cursor, finished_at IS NOT NULL AS ended FROM backfill_jobs"
    )
    assert stored == {"rows_done": 57, "cursor": None, "ended": True}


@pytest.mark.django_db
def test_next_run_continues_after_the_stored_key() -> None:
    make_things(connection.cursor(), rows=30)
    killed = backfills.BackfillWalk(job(), batch=10, max_lag=1 << 60, report=print)
    killed.begin()
    assert [killed.run_batch(), killed.run_batch()] == [10, 10]
    (stored,) = execute("SELECT cursor, rows_done FROM backfill_jobs")
    assert stored == {"cursor": str(killed.cursor), "rows_done": 20}
    resumed = backfills.BackfillWalk(job(), batch=10, max_lag=1 << 60, report=print)
    assert resumed.begin() == 20
    assert resumed.cursor == killed.cursor
    # An old program writes behind the cursor.
    execute("UPDATE things SET new = NULL WHERE old = 1")
    resumed.run()
    assert (resumed.done, resumed.left) == (11, 0)


@pytest.mark.django_db
def test_rows_that_do_not_need_it_are_not_written() -> None:
    make_things(connection.cursor(), rows=10)
    execute("UPDATE things SET new = 0 WHERE old <= 4")
    execute("DELETE FROM changes")
    assert walk().done == 6
    assert execute("SELECT count(*)::int AS n FROM changes") == [{"n": 6}]
    assert execute("SELECT FROM things WHERE new = 0") == [{}] * 4


@pytest.mark.django_db
def test_refused_rows_are_passed_over_with_their_rule() -> None:
    make_things(connection.cursor(), rows=20)
    execute("UPDATE things SET old = 1000000 WHERE old IN (3, 11)")
    made = walk()
    keys = [row["id"] for row in execute("SELECT id FROM things WHERE old = 1000000 ORDER BY id")]
    assert made.refused == dict.fromkeys(keys, "refused by things_new_below_limit")
    assert (made.done, made.left) == (18, 2)
    assert execute("SELECT finished_at FROM backfill_jobs") == [{"finished_at": None}]
    execute("UPDATE things SET old = 0 WHERE old = 1000000")
    assert walk().left == 0
    assert execute("SELECT rows_done FROM backfill_jobs") == [{"rows_done": 20}]


@pytest.mark.django_db
def test_row_that_still_needs_it_after_its_change_is_refused() -> None:
    make_things(connection.cursor(), rows=3)
    execute("UPDATE things SET old = NULL WHERE old = 2")
    made = walk()
    assert [*made.refused.values()] == ["the row still needs the backfill after its assignment"]
    assert (made.done, made.left) == (2, 1)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("assignment", "fault"),
    [
        ("new = old", None),
        ("new = old::text", 'column "new" is of type integer but expression is of type text'),
        ("new = nothing(old)", "function nothing(integer) does not exist"),
        ("new = ", 'syntax error at or near "WHERE"'),
    ],
)
def test_wrong_sql_is_named_before_any_row_is_changed(assignment: str, fault: str | None) -> None:
    make_things(connection.cursor(), rows=1)
    if fault is None:
        assert not backfills.is_obsolete(job(set=assignment))
        return
    with pytest.raises(BackfillError) as caught:
        backfills.is_obsolete(job(set=assignment))
    assert str(caught.value) == f"The SQL of {NAME} is wrong: {fault}"


@pytest.mark.django_db
def test_limits_of_a_batch_hold_for_its_transaction_only() -> None:
    assert walks.BATCH_LIMITS["lock_timeout"] == "50ms"
    make_things(connection.cursor(), rows=1)
    execute(
        "CREATE FUNCTION see_limits() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "NEW.old = extract(epoch FROM current_setting('lock_timeout')::interval) * 1000; "
        "RETURN NEW; END $$; CREATE TRIGGER see_limits BEFORE UPDATE ON things "
        "FOR EACH ROW EXECUTE FUNCTION see_limits()"
    )
    walk(batch=5)
    assert execute("SELECT old FROM things") == [{"old": 50}]
