"""Leases: locks that outlive a transaction, taken, renewed, lost and taken over."""

from __future__ import annotations

import io
from collections.abc import Iterator
from threading import Event
from typing import Any

import pytest
from django.core.management import call_command
from django.db import ProgrammingError, transaction

from audit.models import Lease
from audit.services import leases
from audit.services.leases import holder, holder_of, lease
from ebalance.db.ids import uuid7
from ebalance.db.schema.grants import ANALYST, APP
from tests.case_loops import breaks_rules_of, check_inserts
from tests.databases import Database, default_connection_on
from tests.factories import LeaseFactory
from tests.processes import eventually
from tests.support import Case, execute

A_ROW = "data_export:01a22943-4f47-7626-9efe-aabde91ad776"


@pytest.fixture
def committed(fresh_database: Database, django_db_blocker: Any) -> Iterator[Database]:
    """A separate database, to which the test and the renewing thread commit."""
    with django_db_blocker.unblock(), default_connection_on(fresh_database):
        yield fresh_database


def end_leases() -> None:
    """Let the time of every lease pass."""
    execute("UPDATE leases SET expires_at = clock_timestamp()")


# -- rules ----------------------------------------------------------------------------------------


def case(name: str, rule: str | None = None, /, **values: Any) -> Case:
    return Case(name, LeaseFactory, values, rule)


NAMES = "leases_name_names_a_lock"
HOLDERS = "leases_holder_is_host_and_process"
LEASES = [
    *[case(f"name {name!r}", name=name) for name in ("a", "purge_expired", A_ROW)],
    *[
        case(f"name {name!r}", NAMES, name=name)
        for name in ("A", "1a", "a:1", A_ROW.upper(), f"{A_ROW}\n", "Иван", "a" * 61)
    ],
    *[case(f"holder {host!r}", holder=host) for host in ("a:1", f"{'a' * 53}:1234567890")],
    *[
        case(f"holder {host!r}", HOLDERS, holder=host)
        for host in ("a", "a:", ":1", "A:1", "a b:1", "a:1\n", "ivan@example.com:1")
    ],
    case("a name twice", "leases_name_unique", name=lambda: LeaseFactory().name),
]


@breaks_rules_of(*LEASES)
@pytest.mark.django_db
def test_lease_names_a_lock_and_a_process_and_is_unique() -> None:
    check_inserts(LEASES)


def test_every_host_name_makes_a_valid_holder(monkeypatch: pytest.MonkeyPatch) -> None:
    for host in ("practice-1", "Web.Example.COM", "ноутбук", "", "x" * 300):
        monkeypatch.setattr("socket.gethostname", lambda host=host: host)
        (matches,) = [holder().rsplit(":", 1)]
        assert 1 <= len(matches[0]) <= 53
        assert matches[0].isascii()
        assert matches[0] == matches[0].lower()


# -- taking ---------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_lease_belongs_to_one_process_until_its_release() -> None:
    with lease("purge_expired") as first:
        assert first
        assert first.is_still_ours()
        process, until = holder_of("purge_expired")
        assert process == holder()
        assert until == Lease.objects.get().expires_at
        with lease("purge_expired") as second, lease(A_ROW) as other:
            assert (second, bool(other)) == (None, True)
    assert not Lease.objects.exists()
    assert holder_of("purge_expired") is None


@pytest.mark.django_db
def test_lease_ends_after_an_error() -> None:
    with pytest.raises(ZeroDivisionError), lease("purge_expired"):
        raise ZeroDivisionError
    assert not Lease.objects.exists()


@pytest.mark.django_db
def test_ended_lease_is_taken_over(caplog: pytest.LogCaptureFixture) -> None:
    with lease("purge_expired") as first:
        end_leases()
        assert holder_of("purge_expired") is None
        with lease("purge_expired") as second:
            assert second
            assert second.is_still_ours()
            assert not first.is_still_ours()
            assert caplog.text == ""
            first.release()
            assert "lease purge_expired was lost before its release" in caplog.text
            assert second.is_still_ours()


@pytest.mark.django_db
def test_result_of_a_lost_lease_is_refused_although_its_time_lasts() -> None:
    with lease("purge_expired") as own:
        Lease.objects.update(token=uuid7())
        with transaction.atomic():
            assert not own.is_still_ours()


@pytest.mark.slow
def test_app_takes_leases_and_analyst_only_reads_them(committed: Database) -> None:
    call_command("grant_db_roles", stdout=io.StringIO())
    LeaseFactory()
    execute(f"SET ROLE {ANALYST}")
    assert len(execute("SELECT name FROM leases")) == 1
    for statement in (
        "INSERT INTO leases (name, token, holder, expires_at) VALUES ('a', uuid7(), 'a:1', now())",
        "UPDATE leases SET token = uuid7()",
        "DELETE FROM leases",
        "SELECT name FROM leases FOR KEY SHARE",
    ):
        with pytest.raises(ProgrammingError, match="permission denied for table leases"):
            execute(statement)
    execute(f"SET ROLE {APP}")
    with lease("purge_expired") as first:
        assert first
        assert first.is_still_ours()
    execute("RESET ROLE")
    assert Lease.objects.count() == 1


# -- renewing -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_thread_renews_the_lease(committed: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "SECONDS", 0.3)
    with lease("purge_expired") as own:
        taken = Lease.objects.get().expires_at
        assert eventually(lambda: Lease.objects.get().expires_at > taken)
        assert not own.is_lost
    assert not Lease.objects.exists()


@pytest.mark.slow
def test_lost_lease_is_reported_to_its_process(
    committed: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "SECONDS", 0.3)
    lost = Event()
    with lease("purge_expired", on_lost=lost.set) as own:
        Lease.objects.update(token=uuid7())
        assert eventually(lost.is_set)
        assert own.is_lost
    assert Lease.objects.exists()  # of the other process
