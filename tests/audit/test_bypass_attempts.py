"""An attacker with the rights of ebalance_app changes a price; the log always records it.

After every attempt, whether refused or not, the stored price equals the price in the last entry.
"""

from __future__ import annotations

import io
from contextlib import suppress
from typing import Any

import psycopg
import pytest
from django.core.management import call_command

from ebalance.db.schema import grants
from tests.databases import Database
from tests.services import committing

RAISE = "UPDATE services SET price_amount = price_amount + 1"
RUBBISH = "SELECT set_config('ebalance.actor_user_id', 'anna', true)"
SWALLOWED = "DO $$ BEGIN {}; EXCEPTION WHEN OTHERS THEN NULL; END $$"
NEW = (
    "INSERT INTO services (slug, title, description_markdown, format, duration_minutes, "
    "price_amount) VALUES ('one', 'Встреча', '', 'online', 50, 7)"
)

# Each attempt is one session, statement by statement; a refused statement is rolled back.
ATTEMPTS: dict[str, list[str]] = {
    "plainly": [RAISE],
    "in a transaction": ["BEGIN", RAISE, RAISE, "COMMIT"],
    "nothing more than that": ["BEGIN", RAISE, "ROLLBACK"],
    "triggers disabled": [
        "ALTER TABLE services DISABLE TRIGGER services_update_audited",
        "ALTER TABLE services DISABLE TRIGGER ALL",
        "DROP TRIGGER services_update_audited ON services",
        RAISE,
    ],
    "as a replica": [
        "SET session_replication_role = replica",
        "SELECT set_config('session_replication_role', 'replica', false)",
        "ALTER ROLE ebalance_app SET session_replication_role = replica",
        RAISE,
    ],
    "triggers of pgtrigger ignored": [
        "SET pgtrigger.ignore = '{services:services_update_audited}'",
        RAISE,
    ],
    "written at once": ["BEGIN", "SET CONSTRAINTS ALL IMMEDIATE", RAISE, "COMMIT"],
    "written at once and put off again": [
        "BEGIN",
        "SET CONSTRAINTS ALL IMMEDIATE",
        "SET CONSTRAINTS ALL DEFERRED",
        RAISE,
        "COMMIT",
    ],
    "written in a savepoint that is taken back": [
        "BEGIN",
        RAISE,
        "SAVEPOINT a",
        "SET CONSTRAINTS ALL IMMEDIATE",
        "ROLLBACK TO a",
        "COMMIT",
    ],
    "changed in a savepoint that stays": [
        "BEGIN",
        "SAVEPOINT a",
        RAISE,
        "SET CONSTRAINTS ALL IMMEDIATE",
        "SAVEPOINT b",
        RAISE,
        "ROLLBACK TO b",
        "RELEASE a",
        "COMMIT",
    ],
    "the refusal of the entry is swallowed": [
        "BEGIN",
        RUBBISH,
        RAISE,
        SWALLOWED.format("SET CONSTRAINTS ALL IMMEDIATE"),
        "COMMIT",
    ],
    "the refusal of the change is swallowed": [
        "BEGIN",
        "SET CONSTRAINTS ALL IMMEDIATE",
        RUBBISH,
        SWALLOWED.format(RAISE),
        "SELECT set_config('ebalance.actor_user_id', '', true)",
        "COMMIT",
    ],
    "an actor who is none": ["BEGIN", RUBBISH, RAISE, "COMMIT"],
    "a role that is none": ["BEGIN", "SET LOCAL ebalance.actor_role = 'x'", RAISE, "COMMIT"],
    "rubbish everywhere": [
        "SET ebalance.actor_user_id = ''",
        "SET ebalance.actor_role = ''",
        "SET ebalance.ip_address = '''; DROP TABLE services'",
        "SET ebalance.user_agent = '\\x00'",
        "SET ebalance.role_before = 'x y z'",
        "SET ebalance.uuid7_ticks = 'x'",
        RAISE,
        "SET ebalance.uuid7_ticks = '9223372036854775807'",
        RAISE,
    ],
    "a transaction that may only read at its end": [
        "BEGIN",
        RAISE,
        "SET TRANSACTION READ ONLY",
        "COMMIT",
    ],
    "another role at the end": [
        "BEGIN",
        RAISE,
        "SET LOCAL ROLE ebalance_analyst",
        "SET LOCAL ROLE ebalance_owner",
        "COMMIT",
    ],
    "a prepared transaction": [
        "BEGIN",
        RAISE,
        "PREPARE TRANSACTION 'price'",
        "COMMIT PREPARED 'price'",
    ],
    "no patience": ["BEGIN", "SET LOCAL lock_timeout = '1ms'", RAISE, "COMMIT"],
    "another log": [
        "CREATE TEMPORARY TABLE audit_log_entries (id int)",
        "CREATE SCHEMA strange",
        "CREATE TABLE public.other (LIKE services)",
        "SET search_path = pg_temp, strange, pg_catalog",
        f"{RAISE.replace('services', 'public.services')}",
    ],
    "another function": [
        "CREATE OR REPLACE FUNCTION public.audit_change() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN RETURN NULL; END'",
        "CREATE OR REPLACE FUNCTION pg_temp.now() RETURNS timestamptz LANGUAGE sql AS 'SELECT 1'",
        "ALTER FUNCTION public.audit_change() SET search_path = pg_temp",
        RAISE,
    ],
    "a child table": [
        "CREATE TABLE cheap () INHERITS (services)",
        "CREATE TEMPORARY TABLE cheap () INHERITS (services)",
        "ALTER TABLE services RENAME TO offers",
        RAISE,
    ],
    "a rule of the old kind": [
        "CREATE RULE quiet AS ON INSERT TO audit_log_entries DO INSTEAD NOTHING",
        "CREATE POLICY quiet ON audit_log_entries FOR INSERT WITH CHECK (false)",
        "ALTER TABLE audit_log_entries ENABLE ROW LEVEL SECURITY",
        RAISE,
    ],
    "out and in again": ["BEGIN", "DELETE FROM services", NEW, RAISE, "COMMIT"],
    "out and in again in one statement": [
        f"WITH gone AS (DELETE FROM services RETURNING 1) {NEW.replace('one', 'two')}",
    ],
    "an insert that meets it": [
        "INSERT INTO services (id, slug, title, description_markdown, format, duration_minutes, "
        "price_amount) SELECT id, slug, title, '', format, duration_minutes, 9 FROM services "
        "ON CONFLICT (id) DO UPDATE SET price_amount = excluded.price_amount + 11",
    ],
    "a merge": [
        "MERGE INTO services s USING services t ON s.id = t.id "
        "WHEN MATCHED THEN UPDATE SET price_amount = s.price_amount + 1",
    ],
    "a cursor that outlives": [
        "BEGIN",
        "DECLARE c CURSOR FOR SELECT * FROM services FOR UPDATE",
        "FETCH c",
        "UPDATE services SET price_amount = 12 WHERE CURRENT OF c",
        "COMMIT",
    ],
    "the key changed": [
        "BEGIN",
        "UPDATE services SET id = public.uuid7(), price_amount = 13",
        "COMMIT",
    ],
    "the log changed": [
        "BEGIN",
        RAISE,
        "SET CONSTRAINTS ALL IMMEDIATE",
        "SAVEPOINT a",
        "DELETE FROM audit_log_entries",
        "ROLLBACK TO a",
        "UPDATE audit_log_entries SET new_value = old_value",
        "ROLLBACK TO a",
        "TRUNCATE audit_log_entries",
        "ROLLBACK TO a",
        "SELECT public.audit_change()",
        "ROLLBACK TO a",
        "COMMIT",
    ],
    "the session ends first": ["BEGIN", RAISE, "SELECT pg_terminate_backend(pg_backend_pid())"],
    "everything forgotten": ["BEGIN", RAISE, "RESET ALL", "SET search_path = ''", "COMMIT"],
    "errors of its own": ["SET plpgsql.extra_errors = 'all'", RAISE],
    "names of columns before variables": ["SET plpgsql.variable_conflict = use_column", RAISE],
}


@pytest.fixture(scope="module")
def database(module_database: Database, django_db_blocker: Any) -> Database:
    with committing(module_database, django_db_blocker):
        call_command("grant_db_roles", stdout=io.StringIO())
    with module_database.connect(autocommit=True) as owner:
        owner.execute(NEW.replace("'one'", "'first'"))
    return module_database


def attempt(database: Database, statements: list[str]) -> list[str]:
    """Send the statements as ebalance_app; return the codes of the refusals."""
    refused = []
    session = database.connect(autocommit=True)
    with suppress(psycopg.OperationalError), session:
        session.execute(f"SET SESSION AUTHORIZATION {grants.APP}")
        for statement in statements:
            try:
                session.execute(statement)
            except psycopg.Error as error:
                refused.append(error.sqlstate or "lost")
    return refused


CURRENT = """
SELECT s.id, s.price_amount,
       (SELECT (a.new_value ->> 'price_amount')::int FROM public.audit_log_entries a
        WHERE a.entity_id = s.id AND a.new_value ? 'price_amount' ORDER BY a.seq DESC LIMIT 1)
FROM public.services s
"""


@pytest.mark.parametrize("statements", ATTEMPTS.values(), ids=ATTEMPTS)
def test_log_records_the_current_price_after_every_attempt(
    database: Database, statements: list[str]
) -> None:
    with database.connect(autocommit=True) as owner:
        before = owner.execute(CURRENT).fetchall()
        refused = attempt(database, statements)
        after = owner.execute(CURRENT).fetchall()
        assert after
        for _service, price, logged_price in after:
            assert price == logged_price
        gone = {key for key, *_ in before} - {key for key, *_ in after}
        for key in gone:
            assert owner.execute(
                "SELECT action FROM audit_log_entries WHERE entity_id = %s ORDER BY seq DESC",
                [key],
            ).fetchone() == ("service_deleted",)
    # Each attempt is either allowed and recorded, or refused for its own reason.
    assert {code[:2] for code in refused} <= {"42", "23", "25", "0A", "22", "55", "57", "3B"}


def test_plain_update_changes_a_price(database: Database) -> None:
    with database.connect(autocommit=True) as owner:
        before = owner.execute(CURRENT).fetchall()
        assert attempt(database, [RAISE]) == []
        assert owner.execute(CURRENT).fetchall() != before


def test_wait_for_the_chain_ends_with_lock_timeout(database: Database) -> None:
    """Another session holds the lock: the update waits, times out and writes nothing."""
    with database.connect(autocommit=True) as owner, database.connect() as other:
        before = owner.execute(CURRENT).fetchall()
        other.execute("SELECT take_lock('audit_chain')")
        statements = ["SET lock_timeout = '100ms'", RAISE]
        assert attempt(database, statements) == ["55P03"]
        assert owner.execute(CURRENT).fetchall() == before
