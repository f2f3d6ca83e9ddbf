"""Locks are rows: who only reads cannot take them, and writers wait for each other."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.core.management import call_command

from audit.models import Lock
from crm.services.identifiers import LOCK_PARTS
from ebalance.db.schema.grants import ANALYST, APP
from tests.case_loops import breaks_rules_of, check_inserts
from tests.databases import Database, default_connection_on
from tests.factories import LockFactory, ServiceFactory
from tests.processes import HANG_TIMEOUT
from tests.rule_cases import range_cases
from tests.sessions import Session
from tests.support import Case, execute

from .writers import CAPTURED

TAKE = "SELECT public.take_lock(%s, %s)"
LOCKS = [
    *range_cases(LockFactory, "number", 0, 9999),
    Case("another number", LockFactory, {"number": lambda: LockFactory(number=1).number + 1}),
    Case(
        "the same once more",
        LockFactory,
        {"number": lambda: LockFactory(number=7).number},
        "locks_once",
    ),
]


@breaks_rules_of(*LOCKS)
@pytest.mark.django_db
def test_lock_exists_once_for_each_number() -> None:
    check_inserts(LOCKS)


@pytest.mark.django_db
def test_taking_a_lock_twice_adds_one_row() -> None:
    for _ in range(2):
        execute(TAKE, ["lead_identifier", LOCK_PARTS - 1])
    assert Lock.objects.filter(kind="lead_identifier").count() == 1


@pytest.fixture
def committed(fresh_database: Database, django_db_blocker: Any) -> Iterator[Database]:
    with django_db_blocker.unblock(), default_connection_on(fresh_database):
        yield fresh_database


@pytest.mark.parametrize("exists", [True, False])
def test_second_writer_waits_for_the_first(committed: Database, exists: bool) -> None:
    if exists:
        execute(TAKE, ["audit_chain", 0])
    with committed.connect() as first, committed.connect(autocommit=True) as observer:
        first.execute(TAKE, ["audit_chain", 0])
        second = Session(committed, "read committed")
        try:
            second.start(TAKE, "audit_chain", 0)
            second.wait_until_done_or_blocked(observer)
            assert not second.wait(0)
            first.commit()
            second.commit()
            assert second.error is None
        finally:
            second.close()
    assert Lock.objects.filter(kind="audit_chain").count() == 1


# Statements that lock, each refused to a role that only reads.
FORBIDDEN = [
    "SELECT kind FROM locks FOR UPDATE",
    "SELECT kind FROM locks FOR NO KEY UPDATE",
    "SELECT kind FROM locks FOR SHARE",
    "SELECT kind FROM locks FOR KEY SHARE",
    "SELECT public.take_lock('audit_chain')",
    "LOCK TABLE locks IN ROW EXCLUSIVE MODE",
    "LOCK TABLE locks IN ACCESS EXCLUSIVE MODE",
    "INSERT INTO locks (kind) VALUES ('audit_chain')",
    "SELECT seq FROM audit_log_entries FOR KEY SHARE",
]


def test_analyst_stops_no_writer(committed: Database) -> None:
    """The analyst takes each lock that it may take; an audited write does not wait for it."""
    call_command("grant_db_roles", stdout=io.StringIO())
    # As on a server whose superuser never ran the command.
    execute("GRANT EXECUTE ON FUNCTION pg_advisory_lock(bigint) TO PUBLIC")
    execute(TAKE, ["audit_chain", 0])
    service = ServiceFactory()
    with committed.connect() as analyst, committed.connect(autocommit=True) as app:
        analyst.execute(f"SET ROLE {ANALYST}")
        for statement in FORBIDDEN:
            with pytest.raises(psycopg.errors.InsufficientPrivilege), analyst.transaction():
                analyst.execute(statement)
        analyst.execute("SELECT kind FROM locks")
        # The numbers under which earlier versions locked.
        analyst.execute("SELECT pg_advisory_lock(hashtext('public.audit_log_entries'))")
        analyst.execute("SELECT pg_advisory_lock(hashtext('public.erasure_ledger'))")
        app.execute(f"SET ROLE {APP}")
        app.execute(f"SET lock_timeout = '{HANG_TIMEOUT}s'")
        app.execute(CAPTURED, [service.pk])
